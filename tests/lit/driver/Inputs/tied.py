"""tied.py FILE.gguf TYPE tied|untied: zeros for tied.lut."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "tools"))
import gguf

path, kind, form = sys.argv[1:]
names = {"token_embd.weight": (64, 128), "output.weight": (64, 128), "down.weight": (128, 64)}
if form == "tied":
    del names["output.weight"]
gguf.write(path, {"general.name": "tied"}, [(name, kind, shape) for name, shape in names.items()],
           lambda name, kind, shape: [bytes(gguf.size_of(kind, shape))])
