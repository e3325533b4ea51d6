#!/usr/bin/env python3
"""Random dense products on the matrix unit, on the emulator against the oracle.

usage: matrix.py [--seed S] [--programs N]

Products of 16-bit activations and weights are exact but for their sums in f32; activations that use-matrix rounds
bring an error of their own. Every program is run again with the vector unit alone. Machines without LUT unit unpack
weights in planes first, to f16.
"""
import pathlib
import random
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import lutra  # noqa: E402

ROWS = [0, 1, 2, 15, 16, 17, 64, 65, 100]
PLANES = ["w1", "w2g64", "w3g128z", "w4g32", "w4g32z", "ternary", "w5g64", "bcq2g128", "nf4g64"]
UNPACKING = "a100-fp16"
MACHINES = ["m2n64k4", "m2n64k4", "m1n64k4", "m2n128k4", "m4n128k4", "m4n256k4"]
# Of the result, in mean squares: sums of up to 300 products in f32, the result's type, the rounded activations.
BOUND = {("f32", "exact"): 1e-12, ("f16", "exact"): 1e-6, ("f32", "f16"): 2e-6, ("f32", "bf16"): 1e-4,
         ("f16", "f16"): 2e-6, ("f16", "bf16"): 1e-4}


def random_case(r, index, formats):
    weight = r.choice(formats)
    return {"index": index, "weight": weight, "x": r.choice([weight, weight, "f32"] if weight in ("f16", "bf16") else ["f16", "f32"]),
            "n": r.choice([1, 7, 8, 9, 31, 32, 33, 64, 128, r.randint(1, 200)]),
            "k": r.choice([1, 2, 15, 16, 17, 64, 100, r.randint(1, 300)]), "gated": r.random() < 0.4,
            "y": r.choice(["f32", "f32", "f16"])}


def entry(c):
    i, n, k, w, y = c["index"], c["n"], c["k"], c["weight"], c["y"]
    if w in ("f16", "bf16"):
        w = f"weight<{w}>"
    lines = [f"weight @a{i} : {w}[{n}, {k}]", f"weight @b{i} : {w}[{n}, {k}]",
             f"entry func @f{i}(%x: {c['x']}[T, {k}]) -> ({y}[T, {n}]) {{"]
    if c["gated"]:
        lines += [f"  %g = linear %x, @a{i} : f32[T, {n}]", f"  %u = linear %x, @b{i} : f32[T, {n}]",
                  f"  %s = silu %g : f32[T, {n}]", f"  %p = mul %s, %u : f32[T, {n}]"]
        lines += [f"  %y = cast %p : {y}[T, {n}]"] if y != "f32" else []
        result = "%y" if y != "f32" else "%p"
    else:
        lines += [f"  %y = linear %x, @a{i} : {y}[T, {n}]"]
        result = "%y"
    return lines + [f"  return {result}", "}"]


def program(cases):
    entries = [entry(c) for c in cases]
    return "\n".join(['module "matrix"', "dim T in 0..100", *(line for e in entries for line in e[:2]),
                      *(line for e in entries for line in e[2:])]) + "\n"


def passes(matrix):
    return ("fold,quantize-weights,split-precompute,quantize-tables," + matrix +
            "pack-weights,fuse,choose-tiles,lower-to-tile,partition,assign-tile-registers,plan-memory")


def check_program(seed):
    """Number of good cases; 0 when one is bad."""
    r = random.Random(seed)
    machine = UNPACKING if seed % 3 == 0 else r.choice(MACHINES)
    kinds = [("rounded", "use-matrix(precision=rounded),"), ("vector", "")]
    if machine == UNPACKING:
        kinds = kinds[:1]
    cases = [random_case(r, i, PLANES if machine == UNPACKING else ["f16", "bf16"]) for i in range(8)]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        source = folder / "p.lir"
        source.write_text(program(cases))
        weights = ["--weights", f"random:{seed}", "--machine", machine]
        for kind, matrix in kinds:
            lutra.run("lutc", source, *weights, "--passes", passes(matrix), "-o", folder / f"{kind}.elf")
        for c in cases:
            common = ["--entry", f"f{c['index']}", *lutra.inputs({"x": f"random:{r.randint(1, 1000)}"}),
                      "--dim", f"T={r.choice(ROWS)}"]
            evaluated = [*common, *weights]
            rounded = "f16" if c["weight"] in PLANES else "exact" if c["x"] == c["weight"] else c["weight"]
            for kind, _ in kinds:
                bound = BOUND[c["y"], rounded if kind == "rounded" else "exact"]
                want, got = folder / "want.npy", folder / "got.npy"
                lutra.run("lutc", "eval", source, *evaluated, "--output", f"result=@{want}")
                lutra.run("lutrun", folder / f"{kind}.elf", *common, "--output", f"result=@{got}")
                error = lutra.nmse(lutra.read_npy(got), lutra.read_npy(want))
                if not error <= bound:
                    print(f"{machine}, {kind}, {' '.join(common)}, {c}: nmse {error:.3g} > {bound:.3g}")
                    print(f"repeat: matrix.py --seed {seed} --programs 1")
                    return 0
    return len(cases)


def main():
    done = [check_program(seed) for seed in lutra.seeds(quick=3, usual=9)]
    if not all(done):
        return 1
    print(f"{sum(done)} dense products agree with the oracle, by matrix and by vector unit")
    return 0


if __name__ == "__main__":
    sys.exit(main())
