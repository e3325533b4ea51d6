#!/usr/bin/env python3
"""Tables of the next block of rows built among lookups, and rounds that load what the next one begins with, against a
kernel of their own and rounds on their own: every bit is the same, whatever the rows, harts and shapes."""
import itertools
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import lutra

# The program behind x: f32[T, K], with g: f32[K] and p, q: w1[N, K]; what goes on among the lookups.
BODIES = {"norm": "h = rms_norm(x, g); return silu(linear(h, p)) * linear(h, q);",
          "no gain": "h = rms_norm(x); return linear(h, p);",
          "plain": "return linear(x, p);",
          "both": "h = rms_norm(x, g); return linear(h, p) as f16 as f32 + linear(x, q);"}
# machine, N, K: depth tiles that do and do not fill stages, a ragged last column tile, depth in parts.
SHAPES = [("m2n64k4", 3520, 1024), ("m2n64k4", 2304, 704), ("m2n64k4", 1210, 256), ("m2n64k4", 1280, 8448), ("m4n128k4", 640, 1024), ("m2n128k4", 1290, 640)]
ROWS = (1, 16, 31, 32, 47, 50, 64)
HARTS = (1, 3)
PASSES = ("pipeline-tables", "rotate")
# Small blocks of rows, with which few columns are enough; the passes before and behind partition.
ORDERS = ("partition,interleave,pipeline-tables,rotate", "pipeline-tables,rotate,partition", "pipeline-tables,partition,prefetch")
USUAL = "fold,quantize-weights,split-precompute,quantize-tables(type=i8,scale=row),pack-weights,fuse,choose-tiles(row_block=2),lower-to-tile,overlap,{},assign-tile-registers,plan-memory"


def build(folder, shape, body, *options):
    """The program, and the compiler's remarks."""
    machine, n, k = shape
    source, elf = folder / "p.lut", folder / "p.elf"
    source.write_text(f"model m;\ndim T in 1..64;\nweight p: w1[{n}, {k}];\nweight q: w1[{n}, {k}];\nweight g: f32[{k}];\n"
                      f"entry fn main(x: f32[T, {k}]) -> f32[T, {n}] {{ {body} }}\n", encoding="utf-8")
    return elf, lutra.run("lutc", source, "--weights", "random:1", "--machine", machine, "--remarks", *options, "-o", elf).stderr


def results(folder, elf):
    out = []
    for rows, harts in itertools.product(ROWS[1:5:2] if lutra.QUICK else ROWS, HARTS):
        lutra.run("lutrun", elf, "--input", "x=random:1", "--dim", f"T={rows}", "--harts", harts, "--output", f"result=@{folder / 'r.npy'}")
        out.append((folder / "r.npy").read_bytes())
    return out


def main():
    failed = 0
    applied = dict.fromkeys(PASSES, 0)
    shapes = SHAPES[:2] if lutra.QUICK else SHAPES
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for shape, (title, body) in itertools.product(shapes, BODIES.items()):
            alone, _ = build(folder, shape, body, "--tables", "i8,row", "--disable", ",".join(PASSES))
            expected = results(folder, alone)
            for options in (("--tables", "i8,row"), *(("--passes", USUAL.format(order)) for order in ORDERS)):
                among, remarks = build(folder, shape, body, *options)
                for word in PASSES:
                    applied[word] += f"[{word}] applied" in remarks
                if results(folder, among) != expected:
                    failed += 1
                    print(f"{title} {shape} {options}: differs")
    programs = len(shapes) * len(BODIES) * (1 + len(ORDERS))
    print(f"{applied} of {programs} programs were changed, {failed} differ")
    return failed or min(applied.values()) < programs // 4


if __name__ == "__main__":
    sys.exit(main())
