#!/usr/bin/env python3
"""Guest instructions per second of lutrun on small C kernels, against qemu-riscv64 on the same ELF."""
import pathlib
import tempfile

import report
import lutra

VLEN = 256
CLANG = ["clang-19", "--target=riscv64", "-mabi=lp64d", "-O2", "-ffreestanding", "-nostdlib", "-static",
         "-fuse-ld=lld"]
KERNELS = [  # file, ISA, rounds (some tenths of a second), the ratio that is asked for
    ("hash", "rv64gc", 500_000, None),
    ("sort", "rv64gc", 1000, None),
    ("matmul", "rv64gc", 250, 2),
    ("saxpy", "rv64gcv", 6_000, 5),
    ("dot", "rv64gcv", 12_000, 5),
]
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


def compare(out, program, name, rounds, goal):
    ours, theirs = report.repeat(lambda: once(lutrun, program, rounds), lambda: once(qemu, program, rounds),
                                 times=REPETITIONS)
    if ours[0][1] != theirs[0][1]:
        raise SystemExit(f"bench: error: {name}: lutrun printed {ours[0][1]!r}, qemu-riscv64 {theirs[0][1]!r}")
    count = ours[0][2]
    speeds, bases = ([count / r[0] / 1e6 for r in runs] for runs in (ours, theirs))
    out.add(f"emulator/{name}", "1e6 instructions/s", speeds, "qemu-riscv64", bases, goal=goal)


def main():
    out = report.Report()
    with tempfile.TemporaryDirectory() as folder:
        for name, isa, rounds, goal in KERNELS:
            program = pathlib.Path(folder) / f"{name}.elf"
            report.execute(*CLANG, f"-march={isa}", report.FOLDER / "kernels" / f"{name}.c", "-o", program)
            compare(out, program, name, rounds, goal)
    out.show()


if __name__ == "__main__":
    main()
