#!/usr/bin/env python3
"""Packing speed: bytes of the packed file written per second of one core, against memcpy."""
import pathlib
import random
import struct
import tempfile

import report
import lutra

SIDE = 8192
PROGRAM = """model bench;
weight w: w[{side}, {side}] = "w";
entry fn main(x: f16[1, {side}]) -> f16[1, {side}] {{ return linear(x, w); }}
"""
WANTED = 0.5  # GB/s of one core
SECONDS = 0.2
REPETITIONS = 5


def halves(count):
    """Nearly normal weights as f16."""
    return struct.pack(f"<{count}e", *(random.gauss(0, 0.02) for _ in range(count)))


def singles(count):
    return struct.pack(f"<{count}f", *(random.gauss(0, 0.02) for _ in range(count)))


def q4_0(count):
    return b"".join(struct.pack("<e", random.uniform(0.001, 0.01)) + random.randbytes(16) for _ in range(count // 32))


def tq2_0(count):
    """Blocks of 256 weights -1, 0, 1, all with the same scale."""
    digits = [sum(random.randrange(3) << 2 * i for i in range(4)) for _ in range(count // 4)]
    blocks = (bytes(digits[at:at + 64]) for at in range(0, len(digits), 64))
    return b"".join(block + struct.pack("<e", 0.02) for block in blocks)


CASES = [  # source, its GGUF type, its writer, what the weights become, whether they are only packed
    ("Q4_0", 2, q4_0, "w4g32z", True),
    ("TQ2_0", 35, tq2_0, "ternary", True),
    ("F16", 1, halves, "w2g64", False),
    ("F16", 1, halves, "w4g32", False),
    ("F32", 0, singles, "w2g64", False),
]


def text(string):
    return struct.pack("<Q", len(string)) + string.encode()


def write_gguf(path, kind, rows):
    """One tensor 'w' of SIDE x SIDE; the same random rows again and again."""
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + text("w") + struct.pack("<IQQIQ", 2, SIDE, SIDE, kind, 0)
    with open(path, "wb") as f:
        f.write(head + bytes(-len(head) % 32))
        for _ in range(SIDE // 16):
            f.write(rows)


def processor_seconds(*command):
    return report.timed(lambda: lutra.run(*command))[1]


def pack(folder, weights, quant):
    """Processor seconds without those in which lutc starts."""
    start = processor_seconds("lutc", "--version")
    return processor_seconds("lutc", "pack", folder / "bench.lut", "--weights", weights, "--quant", quant,
                             "-o", folder / "bench.lutw") - start


def measure(out, copy, folder, case):
    source, kind, rows, quant, lossless = case
    weights, packed = folder / "bench.gguf", folder / "bench.lutw"
    write_gguf(weights, kind, rows(16 * SIDE))
    pack(folder, weights, quant)
    size = packed.stat().st_size
    runs, copies = report.repeat(
        lambda: pack(folder, weights, quant),
        lambda: float(report.execute(copy, size, SECONDS).split()[0]), times=REPETITIONS)
    name = f"pack/{source} to {quant}"
    speed = [size / seconds / 1e9 for seconds in runs]
    out.add(f"{name}/written", "GB/s", speed, "memcpy", [size / seconds / 1e9 for seconds in copies])
    out.add(f"{name}/read", "GB/s", [weights.stat().st_size / seconds / 1e9 for seconds in runs])
    if lossless:
        out.add(f"{name}/wanted", "GB/s", speed, "target", WANTED, goal=1)


def main():
    random.seed(1)
    out = report.Report()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "bench.lut").write_text(PROGRAM.format(side=SIDE), encoding="utf-8")
        copy = report.native("copy", folder)
        for case in CASES:
            measure(out, copy, folder, case)
    out.show()


if __name__ == "__main__":
    main()
