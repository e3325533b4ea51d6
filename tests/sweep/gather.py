#!/usr/bin/env python3
"""Rows of tables by number, on the emulator against the oracle, for every weight format.

usage: gather.py [--seed S] [--programs N]

Values in f32 must agree bit for bit; an index outside must stop the program.
"""
import pathlib
import random
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import lutra  # noqa: E402

MACHINES = {"m2n64k4": [0, 16, 32, 64, 128, 256], "m1n64k4": [0, 16, 32, 64, 128, 256], "m2n128k4": [0, 16, 32, 64, 128, 256],
            "m4n128k4": [0, 32, 64, 128, 256]}
DENSE = ["f32", "f16", "bf16"]
INDICES = [("%i: i32[T]", "T"), ("%i: i32[2, T]", "2, T"), ("%i: i32[3]", "3")]
REASON = "index beyond the table's rows"


def plane_format(r, machine):
    group = r.choice(MACHINES[machine])
    signs = [f"w{r.randint(1, 8)}", "w4", "ternary", f"bcq{r.randint(1, 4)}"]
    name = r.choice(r.choice([signs, ["nf4", "fp4", "iq4nl", "cb4", "cb2", "bitmod3"]]))
    zero = "z" if name in signs and name != "ternary" and r.random() < 0.4 else ""
    return name + (f"g{group}" if group else "") + zero + ("f" if group and r.random() < 0.4 else "")


def random_case(r, machine, index):
    dense = r.random() < 0.25
    indices, rows = r.choice(INDICES)
    return {"index": index, "N": r.choice([1, 31, 64, 65, 130, r.randint(1, 300)]),
            "K": r.choice([1, 3, 4, 63, 64, 65, 128, 192, r.randint(1, 400)]), "tensor": dense and r.random() < 0.5,
            "format": r.choice(DENSE) if dense else plane_format(r, machine), "indices": indices, "rows": rows,
            "y": r.choice(["f32", "f32", "f32", "f16"])}


def entry(c):
    shape = f"[{c['N']}, {c['K']}]"
    table = f"weight<{c['format']}>" if c["format"] in DENSE else c["format"]
    argument = f"%t: {c['format']}{shape}, " if c["tensor"] else ""
    weight = [] if c["tensor"] else [f"weight @w{c['index']} : {table}{shape}"]
    name = "%t" if c["tensor"] else f"@w{c['index']}"
    y = f"{c['y']}[{c['rows']}, {c['K']}]"
    return weight, (f"entry func @f{c['index']}({argument}{c['indices']}) -> ({y}) {{\n"
                    f"  %y = gather {name}, %i : {y}\n  return %y\n}}")


def program(cases):
    parts = [entry(c) for c in cases]
    return "\n".join(['module "gather"', "dim T in 0..9", *(w for p in parts for w in p[0]), *(p[1] for p in parts)]) + "\n"


def write_indices(path, c, values):
    shape = {"T": (len(values),), "2, T": (2, len(values) // 2), "3": (3,)}[c["rows"]]
    lutra.write_npy(path, lutra.Array("i32", shape, values))
    return ["--entry", f"f{c['index']}", "--input", f"i=@{path}", *(["--input", "t=random:1"] if c["tensor"] else []),
            *(["--dim", "T=0"] if c["rows"] == "3" else [])]


def random_indices(r, c):
    count = {"T": r.randint(0, 7), "2, T": 2 * r.randint(1, 3), "3": 3}[c["rows"]]
    near = [0, c["N"] - 1, min(16, c["N"] - 1), min(48, c["N"] - 1), min(64, c["N"] - 1)]
    return [r.choice([*near, r.randrange(c["N"])]) for _ in range(count)]


def problem(r, folder, source, weights, c):
    call = write_indices(folder / "i.npy", c, random_indices(r, c))
    want, got = folder / "want.npy", folder / "got.npy"
    lutra.run("lutc", "eval", source, *weights, *call, "--output", f"result=@{want}")
    lutra.run("lutrun", folder / "p.elf", *call, "--output", f"result=@{got}")
    a, b = lutra.read_npy(got), lutra.read_npy(want)
    if a.shape != b.shape:
        return f"shape {a.shape} instead of {b.shape}"
    once = not c["format"].startswith("bcq")  # more terms than one are rounded one by one
    if c["y"] == "f32" and once and a.values != b.values:
        i = next(i for i, (x, y) in enumerate(zip(a.values, b.values)) if x != y)
        return f"element {i} is {a.values[i]!r}, not {b.values[i]!r}"
    error = lutra.nmse(a, b)
    return None if error <= 1e-7 else f"nmse {error:.3g}"


def outside(r, folder, source, weights, c):
    values = random_indices(r, c) or [0]  # rows may be 0
    values[-1] = r.choice([c["N"], -1, 2**31 - 1, -2**31])
    call = write_indices(folder / "i.npy", c, values)
    oracle = lutra.run("lutc", "eval", source, *weights, *call, check=False)
    fault = lutra.run("lutrun", folder / "p.elf", *call, check=False)
    if oracle.returncode == 1 and fault.returncode == 132 and REASON in fault.stderr:
        return None
    return f"{values}: {oracle.returncode} {oracle.stderr}{fault.returncode} {fault.stderr}"


def check_program(seed):
    """Number of good cases; 0 when one is bad."""
    r = random.Random(seed)
    machine = r.choice(list(MACHINES))
    cases = [random_case(r, machine, i) for i in range(12)]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        source = folder / "p.lir"
        source.write_text(program(cases))
        weights = ["--weights", f"random:{seed}", "--machine", machine]
        lutra.run("lutc", source, *weights, "-o", folder / "p.elf")
        for i, c in enumerate(cases):
            wrong = problem(r, folder, source, weights, c) or (i < 3 and outside(r, folder, source, weights, c))
            if wrong:
                print(f"{machine} {c}: {wrong}\nrepeat: gather.py --seed {seed} --programs 1")
                return 0
    return len(cases)


def main():
    done = [check_program(seed) for seed in lutra.seeds(quick=2, usual=8)]
    if not all(done):
        return 1
    print(f"{sum(done)} gathers agree with the oracle")
    return 0


if __name__ == "__main__":
    sys.exit(main())
