#!/usr/bin/env python3
"""Epilogues between the lookups of the next column tile against epilogues behind their products: every bit is the same,
whatever the rows, columns, harts, machines and formats."""
import itertools
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import lutra

# What stands behind the products of x: f32[T, K] with p, q: w[N, K], and r: f32[T, N], s: f32[N].
BODIES = {"gated": "silu(linear(x, p)) * linear(x, q)", "residual": "r + linear(x, p)",
          "narrow": "linear(x, p) as f16", "row": "gelu(linear(x, p)) * s + r", "roots": "sigmoid(linear(x, p)) / (r * r + 1.0)"}
# machine, weights, --tables, N, K; the last column tile may be ragged, and the strips of a row may be many.
SHAPES = [("m2n64k4", "w1", "i8,row", 192, 2048), ("m2n64k4", "w2 group(64)", "i8,row", 130, 576), ("m2n64k4", "w4", "f16", 256, 1024),
          ("m1n64k4", "w3 group(32) zero", "i8,row", 192, 256), ("m4n128k4", "w2", "i8,row", 384, 1024),
          ("m2n128k4", "ternary", "i8,tile", 300, 512), ("m2n64k4", "w2", "i8", 192, 512)]
ROWS = (0, 1, 8, 16, 37)
HARTS = (1, 3)


def build(folder, shape, body, *options):
    machine, weights, tables, n, k = shape
    source, elf = folder / "p.lut", folder / f"p{len(options)}.elf"
    kind, _, group = weights.partition(" ")
    result = "f16" if "f16" in body else "f32"
    source.write_text(f"dim T in 0..64;\nweight p: {kind}[{n}, {k}] {group};\nweight q: {kind}[{n}, {k}] {group};\nweight s: f32[{n}];\n"
                      f"entry fn main(x: f32[T, {k}], r: f32[T, {n}]) -> {result}[T, {n}] {{ return {body}; }}\n")
    return elf, lutra.run("lutc", source, "--weights", "random:1", "--machine", machine, "--tables", tables, "--remarks", *options, "-o", elf).stderr


def results(folder, elf):
    out = []
    for rows, harts in itertools.product(ROWS, HARTS):
        lutra.run("lutrun", elf, "--input", "x=random:1", "--input", "r=random:2", "--dim", f"T={rows}", "--harts", harts,
                  "--output", f"result=@{folder / 'r.npy'}")
        out.append((folder / "r.npy").read_bytes())
    return out


def main():
    applied = failed = 0
    shapes = SHAPES[:3] if lutra.QUICK else SHAPES
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for shape, (title, body) in itertools.product(shapes, BODIES.items()):
            beside, remarks = build(folder, shape, body)
            behind, _ = build(folder, shape, body, "--disable", "interleave")
            applied += "[interleave] applied" in remarks
            if results(folder, beside) != results(folder, behind):
                failed += 1
                print(f"{title} {shape}: differs")
    print(f"{applied} of {len(shapes) * len(BODIES)} programs were changed, {failed} differ")
    return failed or applied < len(shapes) * len(BODIES) // 2


if __name__ == "__main__":
    sys.exit(main())
