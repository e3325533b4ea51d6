#!/usr/bin/env python3
"""The same input compiles to the same bytes: twice, elsewhere, and resumed from every dumped stage."""
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import lutra

EXAMPLE = lutra.SOURCE / "examples" / "ffn"


def default_passes():
    return lutra.run("lutc", "list", "passes").stdout.split("in order: ")[1].strip().split(",")


def main():
    problems = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        options = ["--weights", EXAMPLE / "ffn.gguf", "--quant", "w4g32z"]
        for i in range(2):
            lutra.run("lutc", EXAMPLE / "ffn.lut", *options, "--dump-dir", folder / f"d{i}", "-o", folder / f"{i}.elf")
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
            lutra.run("lutc", stage, "--weights", EXAMPLE / "ffn.gguf", "--passes", ",".join(passes[index:]), "-o",
                      folder / "r.elf")
            again = (folder / "r.elf").read_bytes()
            lutra.run("lutc", stage, "--weights", EXAMPLE / "ffn.gguf", "-o", folder / "r.elf")
            if again != first or (folder / "r.elf").read_bytes() != first:
                problems.append(f"resumed from {stage.name}: another program")
    print("\n".join(problems) or f"the same bytes twice, and resumed from {len(stages)} stages")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
