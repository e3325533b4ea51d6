#!/usr/bin/env python3
"""A model of 1.1e9 random parameters (TinyLlama's shape): packed, loaded, and tokens decoded one by one."""
import pathlib
import tempfile

import report
import lutra
import shapes

NAME = "tinyllama-1.1b"
FORMATS = ["w4g32", "w4g32,head=w4g32", "w2g64,head=w4g32", "ternary,head=w4g32"]  # the output head is dense unless named
POSITION = 255  # of the token: it attends to as many before it
TOKENS, REPETITIONS = 4, 3
LUTC = 128  # MiB that lutc may take
OWN = 128  # MiB that lutrun may take beside the program
MIB = 1 << 20


def decode(program, tokens):
    return shapes.run("lutrun", program, "--entry", "forward", "--input", "tokens=ones", "--input", f"pos={POSITION}",
                      "--dim", "B=1", "--dim", "T=1", "--repeat", tokens, "--stats=json")


def per_token(short, long, *path):
    """A count of the statistics."""
    first, second = (lutra.statistics(r.err) for r in (short, long))
    for key in path:
        first, second = first[key], second[key]
    return (second - first) / TOKENS


def measure(out, program, quant):
    pack = shapes.compile(NAME, "--weights", "random:1", "--quant", quant, "-o", program)
    size = program.stat().st_size / MIB
    rounds = [(decode(program, 1), decode(program, 1 + TOKENS)) for _ in range(REPETITIONS)]
    out.add(f"billion/{quant}/program", "MiB", [size])
    out.add(f"billion/{quant}/lutc, processor time", "s", [pack.seconds])
    out.add(f"billion/{quant}/lutc, peak memory", "MiB", [pack.peak / MIB], "limit", LUTC, larger=False, goal=1)
    out.add(f"billion/{quant}/lutrun, peak memory", "MiB", [long.peak / MIB for _, long in rounds],
            f"program and {OWN} MiB", size + OWN, larger=False, goal=1)
    out.add(f"billion/{quant}/decode", "tokens/s", [TOKENS / (long.seconds - short.seconds) for short, long in rounds])
    out.add(f"billion/{quant}/instructions", "1e6/token", [per_token(*rounds[0], "instructions") / 1e6])
    out.add(f"billion/{quant}/lookups", "1e6/token", [per_token(*rounds[0], "work", "lookups") / 1e6])


def main():
    out = report.Report()
    with tempfile.TemporaryDirectory() as folder:
        for quant in FORMATS:
            measure(out, pathlib.Path(folder) / "model.elf", quant)
    out.show()


if __name__ == "__main__":
    main()
