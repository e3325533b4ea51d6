#!/usr/bin/env python3
"""Random linears, any shape and format, on the emulator against the oracle.

usage: sweep.py [--seed S] [--programs N]

Every program has several linears of random shapes, weight formats, activation types and machines.
Integer activations must agree bit for bit, float ones within the bound of their tables.
Fails with the command line that repeats the first mismatch.
"""
import pathlib
import random
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import lutra

INTEGERS = ["i8", "i16"]
# Codebooks, and the integers that their tables are exact for. A table of 16 entries for each
# activation is rounded as often as four of 8 entries: the noise is larger.
CODEBOOKS = {"nf4": [], "fp4": ["i8"], "iq4nl": [], "cb4": [], "cb2": [], "bitmod3": ["i8"],
             "bitmod4": ["i8"]}
NOISE = 4
ROWS = [0, 1, 1, 2, 3, 17]
MACHINES = ["m2n64k4", "m2n64k4", "m2n64k4", "m1n64k4", "m2n128k4", "m4n128k4", "m4n256k4"]
GROUPS = {"m1n64k4": [0, 32, 64, 128], "m2n64k4": [0, 16, 32, 64, 128], "m2n128k4": [0, 16, 32, 64, 128],
          "m4n128k4": [0, 32, 64, 128], "m4n256k4": [0, 32, 64, 128]}
TABLES = ["f16", "i8", "i8", "i8,group", "i8,tile", "i8,row"]
BOUND = {"f16": 2e-7, "i8": 1e-4, "i8,group": 3e-4, "i8,tile": 3e-4, "i8,row": 5e-4}


def random_format(r, machine):
    group = r.choice(GROUPS[machine])
    text = "" if group == 0 else f" group({group})"
    signs = ["ternary", f"bcq{r.randint(1, 4)}", f"w{r.randint(1, 8)}", f"w{r.randint(1, 4)}"]
    base = r.choice(r.choice([signs, list(CODEBOOKS)]))
    return base, text + (" zero" if base[0] in "wb" and base[1] != "i" and r.random() < 0.4 else "")


def integers(base):
    """The integer activations that products of the format take."""
    if base in CODEBOOKS:
        return CODEBOOKS[base]
    return ["i8"] if base in ("w5", "w6", "w7", "w8") else ["i8", "i16"]


def random_linear(r, machine, index):
    k = r.choice([1, 2, 3, 4, 5, 63, 64, 65, 128, 192, r.randint(1, 400)])
    n = r.choice([1, 2, 63, 64, 65, 128, r.randint(1, 300)])
    kind, group = random_format(r, machine)
    return {"index": index, "n": n, "k": k, "weight": f"{kind}[{n}, {k}]{group}",
            "activation": r.choice(["f16", "f32", "bf16", *integers(kind)])}


def program(linears):
    lines = ["model sweep;", "dim T in 0..64;"]
    for l in linears:
        i, n, k, a = l["index"], l["n"], l["k"], l["activation"]
        lines.append(f"weight w{i}: {l['weight']};")
        if a in INTEGERS:
            lines += [f"entry fn f{i}(x: {a}[T, {k}], s: f32[T]) -> f32[T, {n}] {{",
                      f"    return linear(x, w{i}, scale = s);", "}"]
        else:
            lines += [f"entry fn f{i}(x: f32[T, {k}]) -> f32[T, {n}] {{",
                      f"    return linear(x as {a}, w{i}, type = f32);", "}"]
    return "\n".join(lines) + "\n"


class Pool:
    """Error and power of results too few to judge alone: a few roundings may all be large, or
    the sums cancel to nearly nothing. Together they must keep the bound."""

    def __init__(self):
        self.error, self.power = {}, {}

    def add(self, tables, a, b):
        self.error[tables] = self.error.get(tables, 0) + sum((x - y) ** 2 for x, y in zip(a.values, b.values))
        self.power[tables] = self.power.get(tables, 0) + sum(y * y for y in b.values)

    def problems(self):
        return [f"{t}: pooled nmse {self.error[t] / self.power[t]:.3g} > {2 * BOUND[t]:.3g}" for t in self.error
                if self.error[t] > 2 * BOUND[t] * self.power[t]]


def check_linear(r, folder, source, options, linear, tables, pool):
    entry, rows = f"f{linear['index']}", r.choice(ROWS)
    given = {"x": f"random:{r.randint(1, 1000)}"}
    if linear["activation"] in INTEGERS:
        given["s"] = "ones" if r.random() < 0.3 else f"random:{r.randint(1, 1000)}"
    common = ["--entry", entry, *lutra.inputs(given), "--dim", f"T={rows}"]
    want, got = folder / "want.npy", folder / "got.npy"
    lutra.run("lutc", "eval", source, *options, *common, "--output", f"result=@{want}")
    lutra.run("lutrun", folder / "p.elf", *common, "--output", f"result=@{got}")
    a, b = lutra.read_npy(got), lutra.read_npy(want)
    if a.shape != b.shape:
        return f"shape {a.shape} instead of {b.shape}"
    if linear["activation"] in INTEGERS:
        return None if a.values == b.values else f"not exact: {first_difference(a, b)}"
    bound = BOUND[tables] * (NOISE if linear["weight"].split("[")[0] in CODEBOOKS else 1)
    if linear["k"] < 64 or rows * linear["n"] < 64:
        pool.add(tables, a, b)
        bound = 0.1
    error = lutra.nmse(a, b)
    return None if error <= bound else f"nmse {error:.3g} > {bound:.3g}"


def first_difference(a, b):
    i = next(i for i, (x, y) in enumerate(zip(a.values, b.values)) if x != y)
    return f"element {i} is {a.values[i]!r}, not {b.values[i]!r}"


def check_program(seed, pool):
    r = random.Random(seed)
    machine, tables = r.choice(MACHINES), r.choice(TABLES)
    linears = [random_linear(r, machine, i) for i in range(6)]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        source = folder / "p.lut"
        source.write_text(program(linears))
        options = ["--weights", f"random:{seed}", "--machine", machine]
        lutra.run("lutc", source, *options, "--tables", tables, "-o", folder / "p.elf")
        for linear in linears:
            problem = check_linear(r, folder, source, options, linear, tables, pool)
            if problem:
                print(f"{machine} {tables} {linear}: {problem}\nrepeat: sweep.py --seed {seed} --programs 1")
                return 0
    return len(linears)


def main():
    total, pool = 0, Pool()
    for seed in lutra.seeds(quick=5, usual=40):
        done = check_program(seed, pool)
        if not done:
            return 1
        total += done
    problems = pool.problems()
    print("\n".join(problems) or f"{total} linears agree with the oracle")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
