#!/usr/bin/env python3
"""Guest instructions per second of lutrun on small C kernels, against qemu-riscv64 on the same ELF."""
import pathlib
import statistics
import tempfile

import report
import lutra

VLEN = 256
CLANG = ["clang-19", "--target=riscv64", "-mabi=lp64d", "-O2", "-ffreestanding", "-nostdlib", "-static",
         "-fuse-ld=lld"]
KERNELS = [  # file, class, ISA, rounds: half a second and more in lutrun
    ("hash", "integer", "rv64gc", 300_000),
    ("sort", "integer", "rv64gc", 600),
    ("matmul", "scalar float", "rv64gc", 600),
    ("saxpy", "vector", "rv64gcv", 10_000),
    ("dot", "vector", "rv64gcv", 10_000),
]
GOALS = {"scalar float": 2, "vector": 5}  # the integer goal is over eight kernels, not over these two
REPETITIONS = 5


def lutrun(program, rounds):
    seconds, result = report.timed(lambda: lutra.run(
        "lutrun", "--vlen", VLEN, "--stats=json", program, rounds))[1:]
    return seconds, result.stdout, lutra.statistics(result.stderr)["instructions"]


def qemu(program, rounds):
    command = ["qemu-riscv64", "-cpu", f"rv64,v=true,vlen={VLEN}", program, rounds]
    return report.timed(lambda: report.execute(*command))[1:]


def once(emulator, program, rounds):
    """Processor seconds without those of an empty run, and what else the emulator gave."""
    empty = emulator(program, 0)[0]
    seconds, *rest = emulator(program, rounds)
    return (seconds - empty, *rest)


def compare(out, program, name, rounds):
    """Adds the row of a kernel; returns the ratios of its rounds."""
    ours, theirs = report.repeat(lambda: once(lutrun, program, rounds), lambda: once(qemu, program, rounds),
                                 times=REPETITIONS)
    if ours[0][1] != theirs[0][1]:
        raise SystemExit(f"bench: error: {name}: lutrun printed {ours[0][1]!r}, qemu-riscv64 {theirs[0][1]!r}")
    count = ours[0][2]
    speeds, bases = ([count / r[0] / 1e6 for r in runs] for runs in (ours, theirs))
    out.add(f"emulator/{name}", "1e6 instructions/s", speeds, "qemu-riscv64", bases)
    return [s / b for s, b in zip(speeds, bases)]


def main():
    out, classes = report.Report(), {}
    with tempfile.TemporaryDirectory() as folder:
        for name, kind, isa, rounds in KERNELS:
            program = pathlib.Path(folder) / f"{name}.elf"
            report.execute(*CLANG, f"-march={isa}", report.FOLDER / "kernels" / f"{name}.c", "-o", program)
            classes.setdefault(kind, []).append(compare(out, program, name, rounds))
    for kind, ratios in classes.items():
        means = [statistics.geometric_mean(round) for round in zip(*ratios)]
        out.add(f"emulator/{kind}, geometric mean", "of qemu", means, "qemu-riscv64", 1, goal=GOALS.get(kind))
    out.show()


if __name__ == "__main__":
    main()
