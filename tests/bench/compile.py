#!/usr/bin/env python3
"""Compile time, whole and per phase, of programs that ship with the project."""
import pathlib
import statistics
import tempfile

import report
import lutra

FFN = ["examples/ffn/ffn.lut", "--weights", "examples/ffn/ffn.gguf", "--quant"]
BLOCK = ["examples/blocks/llama_block.lut", "--weights", "random:1", "--quant", "w4g32",
         "-D", "D=512", "-D", "F=1376", "-D", "H=8", "-D", "L=1"]
PROGRAMS = [  # name, options, whether it is the demo's and must compile within the limit
    ("ffn w2g64", FFN + ["w2g64"], True),
    ("ffn w4g32z", FFN + ["w4g32z"], True),
    ("ffn ternary", FFN + ["ternary"], True),
    ("llama_block w4g32", BLOCK, False),
    ("ffn 2560 x 6912 w2g64", ["examples/ffn/ffn.lut", "--weights", "random:1", "--quant", "w2g64"], False),
]
LIMIT = 1000  # milliseconds
LEAST = 0.05  # shorter phases say nothing
CLANG = ["clang-19", "--target=riscv64", "-march=rv64gcv", "-mabi=lp64d", "-O2", "-ffreestanding", "-nostdlib",
         "-static", "-fuse-ld=lld"]


def phases(text):
    """The lines behind 'ms % phase': {name: milliseconds}."""
    lines = text[text.index("phase"):].splitlines()[1:]
    return {name: float(ms) for ms, _, name in (line.split(None, 2) for line in lines)}


def compile_once(words, output):
    options = [lutra.SOURCE / w if w.startswith("examples/") else w for w in words]
    wall, processor, result = report.timed(lambda: lutra.run("lutc", *options, "--time-passes", "-o", output))
    return {**phases(result.stderr), "whole": 1e3 * wall, "processor": 1e3 * processor}


def clang_once(folder):
    """Processor milliseconds of another compiler on a program of similar size."""
    source = lutra.SOURCE / "examples" / "intrinsics" / "mpgemv.c"
    return 1e3 * report.timed(lambda: report.execute(*CLANG, f"-I{folder}", source, "-o", folder / "c.elf"))[1]


def main():
    out = report.Report()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        lutra.run("isa_publish", "header", folder / "xlut.h")
        for name, words, demo in PROGRAMS:
            runs, clang = report.repeat(lambda w=words: compile_once(w, folder / "p.elf"), lambda: clang_once(folder))
            columns = {what: [r[what] for r in runs] for what in runs[0] if what != "total"}
            limit = {"versus": "limit", "baseline": LIMIT, "goal": 1} if demo else {}
            out.add(f"compile/{name}/wall time", "ms", columns.pop("whole"), larger=False, **limit)
            out.add(f"compile/{name}/processor time", "ms", columns.pop("processor"), "clang-19 -O2 mpgemv.c", clang,
                    larger=False)
            for what, values in columns.items():
                if statistics.median(values) >= LEAST:
                    out.add(f"compile/{name}/{what}", "ms", values)
    out.show()


if __name__ == "__main__":
    main()
