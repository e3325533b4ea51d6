#!/usr/bin/env python3
"""The LUT unit in compiled programs: lmma and weights per second, against a plain native loop."""
import pathlib
import tempfile

import report
import lutra

SIDE = 1024  # N and K: the weights lie in the cache
PROGRAM = """model bench;
dim T in 1..16;
weight w: {weight}[{side}, {side}];
entry fn main(x: {x}[T, {side}]) -> {y}[T, {side}] {{ return linear(x, w); }}
"""
PASSES = ("fold,quantize-weights,split-precompute,quantize-tables(type={}),pack-weights,fuse,choose-tiles,"
          "lower-to-tile,assign-tile-registers,plan-memory")
TABLES = {  # entries of the tables: activations, result, quantize-tables, activations of the native loop
    "i8": ("f16", "f16", "i8", "i8"),
    "i8 row": ("f16", "f16", "i8,scale=row", "i8"),
    "i16": ("i8", "f32", "i8", "i8"),
    "f16": ("f16", "f16", "f16", "f32"),
}
CASES = [  # weights, tables, 1e9 weights per second that are wanted of one row on AVX-512
    ("w1", "i8", None), ("w2", "i8", None), ("w3", "i8", None), ("w4", "i8", None), ("w2g64", "i8", None),
    ("w2", "i8 row", 150), ("w2g64", "i8 row", 120), ("w2", "i16", 75), ("w2", "f16", None),
]
ROWS = (1, 16)
SECONDS = 0.2  # of one measurement
REPETITIONS = 5


def avx512():
    info = pathlib.Path("/proc/cpuinfo")
    return info.exists() and "avx512bw" in info.read_text(encoding="utf-8").split()


def build(weight, tables, folder):
    x, y, kind, _ = TABLES[tables]
    source, program = folder / "bench.lut", folder / f"{weight}-{tables.replace(' ', '-')}.elf"
    source.write_text(PROGRAM.format(weight=weight, x=x, y=y, side=SIDE), encoding="utf-8")
    lutra.run("lutc", source, "--weights", "random:1", "--passes", PASSES.format(kind), "-o", program)
    return program


def run(program, rows, calls):
    """Processor seconds, and the counts of all calls."""
    result = report.timed(lambda: lutra.run("lutrun", program, "--input", "x=random:1", "--dim", f"T={rows}",
                                            "--repeat", calls, "--stats=json"))
    return result[1], lutra.statistics(result[2].stderr)["work"]


def emulate(program, rows, calls):
    """Processor seconds per call without those of loading, and lmma per call."""
    load = run(program, rows, 1)[0]
    seconds, work = run(program, rows, calls + 1)
    return (seconds - load) / calls, work["lmma"] / (calls + 1)


def calls_that_last(program, rows, seconds):
    calls = 1
    while (elapsed := emulate(program, rows, calls)[0] * calls) < seconds / 4:
        calls *= 2
    return max(1, round(calls * seconds / elapsed))


def measure(out, native, program, case, rows):
    weight, tables, target = case
    calls = calls_that_last(program, rows, SECONDS)
    runs, loops = report.repeat(
        lambda: emulate(program, rows, calls),
        lambda: float(report.execute(native, TABLES[tables][3], rows, SIDE, SIDE, SECONDS).split()[0]),
        times=REPETITIONS)
    name = f"lmma/{weight}/{tables} tables/T = {rows}"
    weights = [rows * SIDE * SIDE / seconds / 1e9 for seconds, _ in runs]
    out.add(f"{name}/lmma", "1e6/s", [lmma / seconds / 1e6 for seconds, lmma in runs])
    out.add(f"{name}/weights", "1e9/s", weights, f"native {TABLES[tables][3]} loop, 8-bit weights",
            [rows * SIDE * SIDE / seconds / 1e9 for seconds in loops])
    if target and rows == 1 and avx512():
        out.add(f"{name}/weights on AVX-512", "1e9/s", weights, "target", target, goal=1)


def main():
    out = report.Report()
    with tempfile.TemporaryDirectory() as folder:
        native = report.native("gemv", folder)
        for case in CASES:
            program = build(case[0], case[1], pathlib.Path(folder))
            for rows in ROWS:
                measure(out, native, program, case, rows)
    out.show()


if __name__ == "__main__":
    main()
