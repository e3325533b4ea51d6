#!/usr/bin/env python3
"""The same input compiles to the same bytes: twice, elsewhere, and resumed from every dumped stage."""
import json
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import lutra

EXAMPLE = lutra.SOURCE / "examples" / "ffn"
MODEL = lutra.SOURCE / "examples" / "models" / "llama.lut"
# A model with constants, states and every kind of kernel.
SHAPE = {f"llama.{key}": value for key, value in {
    "embedding_length": 64, "feed_forward_length": 128, "block_count": 2, "attention.head_count": 4, "vocab_size": 100,
    "attention.head_count_kv": 2, "context_length": 32}.items()}


def default_passes():
    return lutra.run("lutc", "list", "passes").stdout.split("in order: ")[1].strip().split(",")


def check(folder, name, source, options, weights):
    """What is wrong with a program of `options`; its stages are resumed with `weights` alone."""
    problems = []
    for i in range(2):
        lutra.run("lutc", source, *options, *weights, "--dump-dir", folder / f"d{i}", "-o", folder / f"{i}.elf")
    first = (folder / "0.elf").read_bytes()
    if (folder / "1.elf").read_bytes() != first:
        problems.append("two compilations differ")
    stages = sorted((folder / "d0").glob("*.lir"))
    passes = default_passes()
    if len(stages) != len(passes) + 1:
        problems.append(f"{len(stages)} dumps of {len(passes)} passes")
    for index, stage in enumerate(stages):
        if (folder / "d1" / stage.name).read_bytes() != stage.read_bytes():
            problems.append(f"{stage.name} differs")
        lutra.run("lutc", stage, *weights, "--passes", ",".join(passes[index:]), "-o", folder / "r.elf")
        again = (folder / "r.elf").read_bytes()
        lutra.run("lutc", stage, *weights, "-o", folder / "r.elf")
        if again != first or (folder / "r.elf").read_bytes() != first:
            problems.append(f"resumed from {stage.name}: another program")
    return [f"{name}: {p}" for p in problems]


def main():
    problems = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        shape = folder / "shape.json"
        shape.write_text(json.dumps(SHAPE))
        programs = [("ffn", EXAMPLE / "ffn.lut", ["--quant", "w4g32z"], ["--weights", EXAMPLE / "ffn.gguf"]),
                    ("llama", MODEL, ["--quant", "w2g64"], ["--weights", "random:1", "--metadata", shape])]
        for program, *rest in programs:
            place = folder / program
            place.mkdir()
            problems += check(place, program, *rest)
    print("\n".join(problems) or f"the same bytes twice, and resumed from every stage, of {len(programs)} programs")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
