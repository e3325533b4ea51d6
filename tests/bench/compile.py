#!/usr/bin/env python3
"""Compile time per phase, of programs that ship with the project."""
import pathlib
import tempfile
import time

import table
import lutra

PROGRAMS = [  # name, options; the demo's program must compile within a second
    ("ffn", ["examples/ffn/ffn.lut", "--weights", "examples/ffn/ffn.gguf", "--quant", "w2g64"]),
    ("linear 4096 x 4096", ["examples/linear/linear.lut", "--weights", "random:1"]),
    ("ffn 2560 x 6912", ["examples/ffn/ffn.lut", "--weights", "random:1", "--quant", "w2g64"]),
]
MOST_MILLISECONDS = 1000


def phases(text):
    """The lines behind 'ms % phase': {name: milliseconds}."""
    lines = text[text.index("phase"):].splitlines()[1:]
    return {name: float(ms) for ms, _, name in (line.split(None, 2) for line in lines)}


def compile_once(options, output):
    start = time.monotonic()
    result = lutra.run("lutc", *options, "--time-passes", "-o", output)
    elapsed = 1e3 * (time.monotonic() - start)
    return {**phases(result.stderr), "process": elapsed}


def main():
    out = table.Table()
    with tempfile.TemporaryDirectory() as folder:
        for name, words in PROGRAMS:
            options = [lutra.SOURCE / w if w.startswith("examples/") else w for w in words]
            runs = table.repeat(lambda o=options: compile_once(o, pathlib.Path(folder) / "p.elf"))
            for phase in runs[0]:
                if phase != "process" and max(r[phase] for r in runs) < 0.05:
                    continue  # too short to say anything
                limit = MOST_MILLISECONDS if phase == "process" else None
                out.add(f"compile/{name}/{phase}", [r[phase] for r in runs], "ms", limit=limit,
                        goal=1.0 if limit else None)
    out.show()


if __name__ == "__main__":
    main()
