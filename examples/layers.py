#!/usr/bin/env python3
"""Compiles a program, runs every entry on the emulator, compares it with the oracle, prints a table.

usage: layers.py PROGRAM.lut [--rows T] [--keep FOLDER] [options of lutc: --weights, --quant, --machine, -D ...]

A row per entry: the linear layers in it, their shape and format, multiply-accumulates done by lookup, lmma
instructions, and the error against the oracle (normalized mean square, on the same quantized weights).
Exits with 1 when an entry is further from the oracle than its tables allow.
"""
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

BOUND = 1e-3  # of a whole entry: a wrong scale or bit order is far above, rounding far below


TOOLS = pathlib.Path(__file__).resolve().parents[1] / "build" / "bin"


def run(*command):
    tool = shutil.which(command[0]) or TOOLS / command[0]
    if not pathlib.Path(tool).exists():
        sys.exit(f"layers.py: {command[0]} is neither on PATH nor in build/bin; ./dev build makes it")
    command = [tool, *command[1:]]
    result = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{result.stderr}layers.py: '{' '.join(map(str, command))}' failed with {result.returncode}")
    return result


class Program:
    """What the graph of a program says: the shape and format of weights, the linears of entries."""

    def __init__(self, graph):
        self.weights = {name: (fmt, shape) for name, fmt, shape in
                        re.findall(r"^weight @(\S+) : (\w+|weight<\w+>)\[([\d, ]+)\]", graph, re.M)}
        self.entries = {}
        for name, signature, body in re.findall(r"^entry func @(\S+)\((.*?)\) -> .*?\{(.*?)^\}", graph, re.M | re.S):
            inputs = re.findall(r"%(\w+): ([^,\[]+)", signature)
            linears = re.findall(r" = linear %\S+, @([^\s,]+)", body)
            self.entries[name] = ([i for i, _ in inputs], [self.weights[w] + (w,) for w in linears])


def measure(entry, inputs, rows, source, options, elf, folder):
    given = ["--entry", entry, "--dim", f"T={rows}"]
    for seed, name in enumerate(inputs):
        given += ["--input", f"{name}=random:{seed + 1}"]
    results = [re.sub(r":.*", "", line) for line in run("lutrun", elf, *given).stdout.splitlines() if ": " in line]
    outputs, expects = [], []
    for name in results:
        outputs += ["--output", f"{name}=@{folder / name}.npy"]
        expects += ["--expect", f"{name}=@{folder / name}.npy,nmse={BOUND}"]
    run("lutc", "eval", source, *options, *given, *outputs)
    checked = run("lutrun", elf, *given, *expects, f"--stats=json:{folder / 'stats.json'}")
    error = max(float(x) for x in re.findall(r"nmse ([\d.e+-]+)", checked.stderr))
    return json.loads((folder / "stats.json").read_text())["work"], error


def table(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for n, row in enumerate(rows):
        print("  ".join(c.ljust(w) if i < 3 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))).rstrip())
        if n == 0:
            print("  ".join("-" * w for w in widths))


def main():
    args, rows, keep = sys.argv[1:], 3, None
    if not args or args[0] in ("-h", "--help"):
        sys.exit(__doc__)
    for name in ("--rows", "--keep"):
        if name in args:
            i = args.index(name)
            value = args[i + 1]
            del args[i:i + 2]
            rows, keep = (int(value), keep) if name == "--rows" else (rows, pathlib.Path(value))
    source, options = pathlib.Path(args[0]), args[1:]
    with tempfile.TemporaryDirectory() as name:
        folder = keep or pathlib.Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        elf = folder / (source.stem + ".elf")
        run("lutc", source, *options, "-o", elf)
        program = Program(run("lutc", source, *options, "--emit=graph", "-o", "-").stdout)
        lines = [("entry", "linear layers", "format", "LUT MACs", "lmma", "NMSE")]
        for entry, (inputs, linears) in program.entries.items():
            work, error = measure(entry, inputs, rows, source, options, elf, folder)
            layers = ", ".join(f"{name} {shape.replace(', ', 'x')}" for _, shape, name in linears)
            formats = ", ".join(dict.fromkeys(fmt for fmt, _, _ in linears))
            lines.append((entry, layers, formats, f"{work['lut_multiply_accumulates']:,}", f"{work['lmma']:,}",
                          f"{error:.1e}"))
        table(lines)


if __name__ == "__main__":
    main()
