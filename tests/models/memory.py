#!/usr/bin/env python3
"""Models much larger than what lutc may use are packed: peak memory does not grow with the file."""
import os
import pathlib
import random
import resource
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import gguf

MIB = 1 << 20
MOST_DATA = 64 * MIB  # anonymous memory of lutc pack, enforced by the kernel
MOST_PEAK = 100 * MIB  # resident at once, with the pages of LLVM and of the mapped file
MOST_GROWTH = 24 * MIB  # of that, more than for a file of one layer
WIDTH = 4096
PACK, COMPILE = ["lutc", "pack"], ["lutc"]
CASES = [  # source, layers, the command, its options
    ("F16", 12, PACK, ["--quant", "w4g32"]),
    ("F16", 12, COMPILE, ["--quant", "w4g32"]),
    ("F32", 6, PACK, ["--quant", "none"]),
    ("Q8_0", 24, PACK, ["--quant", "w2g64"]),
    ("Q4_0", 42, PACK, []),
    ("Q4_0", 42, COMPILE, []),
    ("lutw", 42, PACK, []),  # what the case before packed
    ("lutw", 42, PACK, ["--quant", "ternary"]),
]
PROGRAM = f"""model wide;
const L = meta("wide.block_count");
dim T in 1..4;
weights {{ layer[L] : w[{WIDTH}, {WIDTH}] = "layer.{{i}}"; }}
entry fn main(x: f16[T, {WIDTH}]) -> f16[T, {WIDTH}] {{
    for i in 0..L {{ x = linear(x, layer[i]); }}
    return x;
}}
"""


def sixteen_rows(kind):
    """Random blocks with scales that are finite."""
    random_bytes = random.Random(1).randbytes
    _, block, size = gguf.TYPES[kind]
    if block > 1:
        return b"".join(b"\0\x20" + random_bytes(size - 2) for _ in range(16 * WIDTH // block))
    return b"".join(random_bytes(size - 1) + b"\x3c" for _ in range(16 * WIDTH))


def write_gguf(path, kind, layers):
    rows = sixteen_rows(kind)
    tensors = [(f"layer.{i}", kind, (WIDTH, WIDTH)) for i in range(layers)]
    gguf.write(path, {"wide.block_count": layers}, tensors, lambda *_: (rows for _ in range(WIDTH // 16)))


def limit():
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_DATA, MOST_DATA))


def peak(command, limited=False):
    """Largest resident memory of a run, in bytes."""
    command = [str(word) for word in command]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, preexec_fn=limit if limited else None)
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        note = f" with at most {MOST_DATA // MIB} MiB of its own" if limited else ""
        sys.exit(f"failed{note}: {' '.join(command)}")
    return usage.ru_maxrss * 1024


class Bench:
    def __init__(self, folder):
        self.folder = folder
        self.program = folder / "wide.lut"
        self.program.write_text(PROGRAM)

    def source(self, kind, layers):
        """A file of so many layers; packed ones are made from Q4_0."""
        path = self.folder / f"{layers}.{kind}"
        if path.exists():
            return path
        if kind == "lutw":
            peak([*PACK, self.program, "--weights", self.source("Q4_0", layers), "-o", path])
        else:
            write_gguf(path, kind, layers)
        return path

    def check(self, kind, layers, command, options):
        output = self.folder / "output"
        runs = [[*command, self.program, "--weights", self.source(kind, n), *options, "-o", output] for n in (1, layers)]
        base, used = peak(runs[0]), peak(runs[1], limited=command is PACK)
        sizes = [os.path.getsize(path) / MIB for path in (self.source(kind, layers), output)]
        print(f"{' '.join(command):9} {kind:5} {' '.join(options):15} {sizes[0]:4.0f} MiB to {sizes[1]:4.0f} MiB: "
              f"peak {used / MIB:3.0f} MiB, {(used - base) / MIB:+5.1f} MiB to one layer", flush=True)
        if used > MOST_PEAK or used - base > MOST_GROWTH:
            sys.exit(f"more than {MOST_PEAK // MIB} MiB, or {MOST_GROWTH // MIB} MiB more than for one layer")


def main():
    last = None
    with tempfile.TemporaryDirectory(dir=".", prefix="memory-") as name:
        bench = Bench(pathlib.Path(name))
        for kind, layers, command, options in CASES:
            if last not in (None, kind) and kind != "lutw":
                for path in bench.folder.glob(f"*.{last}"):
                    path.unlink()
            bench.check(kind, layers, command, options)
            last = kind


main()
