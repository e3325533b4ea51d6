#!/usr/bin/env python3
"""Guest instructions per second of lutrun on C kernels, against qemu-riscv64 (a JIT) on the same ELF."""
import math
import pathlib
import tempfile

import report
import lutra

FREESTANDING = ["-mabi=lp64d", "-O2", "-ffreestanding", "-nostdlib", "-static"]
GCC = ["riscv64-linux-gnu-gcc", "-march=rv64gc", "-fno-pie", "-no-pie", "-Wl,--no-warn-rwx-segments",
       *FREESTANDING]
CLANG = ["clang-19", "--target=riscv64", "-march=rv64gcv", "-fuse-ld=lld", *FREESTANDING]
# Groups: compiler, VLENs, kernels and their rounds (some tenths of a second), the ratio that is asked
# for, and whether of their geometric mean.
GROUPS = [
    ("integer", GCC, [128], {"hash": 120_000, "multiply": 700, "copy": 60_000, "sieve": 1000,
                             "bytecode": 25_000, "recursion": 16_000, "gather": 24_000, "mix": 12_000},
     0.35, True),
    ("other integer", GCC, [128], {"sort": 300}, None, False),
    ("scalar f32", GCC, [128], {"matmul": 150, "saxpy": 5000}, 2, False),
    ("vector", CLANG, [128, 256], {"saxpy": 6000, "softmax": 2000, "dot": 12_000, "lookup": 6000}, 5,
     False),
]
REPETITIONS = 5


def lutrun(program, vlen, rounds):
    seconds, result = report.timed(lambda: lutra.run(
        "lutrun", "--vlen", vlen, "--stats=json", program, rounds))[1:]
    return seconds, result.stdout, lutra.statistics(result.stderr)["instructions"]


def qemu(program, vlen, rounds):
    command = ["qemu-riscv64", "-cpu", f"rv64,v=true,vlen={vlen}", program, rounds]
    return report.timed(lambda: report.execute(*command))[1:]


def once(emulator, program, vlen, rounds):
    """Processor seconds without those of an empty run, and what else the emulator gave."""
    empty = emulator(program, vlen, 0)[0]
    seconds, *rest = emulator(program, vlen, rounds)
    return (seconds - empty, *rest)


def measure(program, vlen, rounds):
    """Speeds of both in 1e6 instructions/s, one for each repetition."""
    ours, theirs = report.repeat(lambda: once(lutrun, program, vlen, rounds),
                                 lambda: once(qemu, program, vlen, rounds), times=REPETITIONS)
    if ours[0][1] != theirs[0][1]:
        raise SystemExit(f"bench: error: {program}: lutrun printed {ours[0][1]!r}, qemu-riscv64 {theirs[0][1]!r}")
    return [[ours[0][2] / run[0] / 1e6 for run in runs] for runs in (ours, theirs)]


def mean(rows):
    """Geometric means over the rows, for each repetition."""
    return [math.prod(values) ** (1 / len(values)) for values in zip(*rows)]


def measure_group(out, folder, name, compiler, vlens, kernels, goal, is_mean):
    unit, baseline = "1e6 instructions/s", "qemu-riscv64"
    rows = []
    for kernel, rounds in kernels.items():
        program = pathlib.Path(folder) / f"{kernel}.elf"
        report.execute(*compiler, report.FOLDER / "kernels" / f"{kernel}.c", "-o", program)
        for vlen in vlens:
            rows.append(measure(program, vlen, rounds))
            at = f", VLEN {vlen}" if len(vlens) > 1 else ""
            out.add(f"machine/{name}/{kernel}{at}", unit, rows[-1][0], baseline, rows[-1][1],
                    goal=None if is_mean else goal)
    if is_mean:
        ours, theirs = (mean(side) for side in zip(*rows))
        out.add(f"machine/{name}/geometric mean", unit, ours, baseline, theirs, goal=goal)


def main():
    out = report.Report()
    with tempfile.TemporaryDirectory() as folder:
        for group in GROUPS:
            measure_group(out, folder, *group)
    out.show()


if __name__ == "__main__":
    main()
