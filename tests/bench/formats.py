#!/usr/bin/env python3
"""Every weight format with every kind of table that `lutc list formats` names, one row through a layer: cycles of the
timing model, beside reading its weights from memory, and what the emulator does in a second of processor time."""
import json
import pathlib
import re
import tempfile

import report
import lutra
import supported

SIDE = 1024  # N and K
MACHINE, BANDWIDTH, CLOCK = "m2n64k4", 25.6e9, 1.41e9  # isa/machines
MATRIX_ROWS = 16  # rows that an mma has: fewer take as long
SECONDS = 0.05
REPETITIONS = 3


def program_of(weight, activation):
    scale = ", s: f32[T]" if activation[0] == "i" else ""
    argument = ", scale = s" if scale else ", type = f32"
    return (f"model formats;\ndim T in 1..16;\nweight w: w[{SIDE}, {SIDE}];\n"
            f"entry fn main(x: {activation}[T, {SIDE}]{scale}) -> f32[T, {SIDE}] {{ return linear(x, w{argument}); }}\n")


def build(folder, weight, activation, tables):
    """The program, and the bytes of its packed weights."""
    source, program = folder / "p.lut", folder / "p.elf"
    source.write_text(program_of(weight, activation), encoding="utf-8")
    table = ["--tables", tables] if tables and activation[0] != "i" else []
    stats = lutra.run("lutc", source, "--weights", "random:1", "--plain", "--quant", weight, "--machine", MACHINE, *table,
                      "--stats", "-o", program).stdout
    return program, int(re.search(r"^weights +1, (\d+) bytes", stats, re.M)[1])


def call(program, activation, rows, *options):
    scale = ["--input", "s=random:2"] if activation[0] == "i" else []
    return lutra.run("lutrun", program, "--input", "x=random:1", *scale, "--dim", f"T={rows}", *options)


def timed_call(folder, program, activation, rows):
    """Cycles of a call."""
    path = folder / "time.json"
    call(program, activation, rows, f"--time=json:{path}")
    return json.loads(path.read_text(encoding="utf-8"))["cycles"]


def emulated(program, activation, rows, calls):
    """Processor seconds of a call, without those of loading."""
    def run(n):
        return report.timed(lambda: call(program, activation, rows, "--repeat", n))[1]
    return max(1e-6, (run(calls + 1) - run(1)) / calls)


def measure(out, folder, weight, activation, tables, rows=1):
    program, size = build(folder, weight, activation, tables)
    read = size / BANDWIDTH * CLOCK
    cycles = timed_call(folder, program, activation, rows)
    name = f"formats/{weight}/{activation}, {tables or weight} " + ("tables" if tables else "on the matrix unit")
    out.add(f"{name}/cycles, T = {rows}", "1e3", [cycles / 1e3], "reading the weights from memory", [read / 1e3], larger=False)
    calls = max(1, round(SECONDS / emulated(program, activation, rows, 4)))
    seconds, = report.repeat(lambda: emulated(program, activation, rows, calls), times=REPETITIONS)
    out.add(f"{name}/emulated weights, T = {rows}", "1e9/s", [rows * SIDE * SIDE / 1e9 / s for s in seconds])


def main():
    out = report.Report()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for base, _, tables in supported.in_planes():
            for activation, entries in supported.products(tables):
                measure(out, folder, base, activation, entries)
        for base in supported.for_matrix_units():
            measure(out, folder, base, "f16", None, MATRIX_ROWS)
    out.show()


if __name__ == "__main__":
    main()
