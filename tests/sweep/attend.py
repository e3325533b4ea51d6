#!/usr/bin/env python3
"""Attention over random shapes on the emulator against the oracle.

usage: attend.py [--seed S] [--programs N]

Rows, batches with positions of their own, heads sharing keys, windows, slopes, caches as tensors and
as states, blocks of keys, scores that are huge or all equal; and positions outside, which must stop the program.
"""
import functools
import pathlib
import random
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import lutra  # noqa: E402

ROWS = [1, 1, 2, 3, 17]
DEPTHS = [1, 8, 20, 32, 64, 100, 128]
WINDOWS = [0, 0, 1, 4, 7, 1000]
BOUND = {"f32": 1e-12, "f16": 1e-6}
REASON = "attention beyond the last key"


def random_case(r, index):
    group = r.choice([1, 1, 2])
    return {"index": index, "S": r.choice([1, 5, 33, 40, 100]), "heads": group * r.choice([1, 1, 3, 8]), "groups": group,
            "D": r.choice(DEPTHS), "E": r.choice([8, 16, 20, 64, 100]), "batch": r.choice([0, 0, 1, 3]),
            "window": r.choice(WINDOWS), "slopes": r.random() < 0.3, "q": r.choice(["f16", "f32"]),
            "cache": r.choice(["f16", "f16", "f32", "bf16"]), "y": r.choice(["f32", "f32", "f16"]),
            "state": r.random() < 0.3, "scale": r.choice([0.5, 1.0])}


def entry(c):
    """The case's states, and its entry function."""
    i, lead = c["index"], f"{c['batch']}, " if c["batch"] else ""
    cache = {n: f"{c['cache']}[{lead}{c['S']}, {c['groups']}, {c[size]}]" for n, size in (("k", "D"), ("v", "E"))}
    new = {n: f"{c['cache']}[{lead}T, {c['groups']}, {c[size]}]" for n, size in (("k", "D"), ("v", "E"))}
    position = f"i32[{c['batch']}]" if c["batch"] else "index"
    y = f"{c['y']}[{lead}T, {c['heads']}, {c['E']}]"
    inputs = [f"%q: {c['q']}[{lead}T, {c['heads']}, {c['D']}]"]
    inputs += [f"%{n}: {(new if c['state'] else cache)[n]}" for n in "kv"] + [f"%p: {position}"]
    inputs += [f"%s: f32[{c['heads']}]"] if c["slopes"] else []
    lines, k = [], "%k, %v"
    if c["state"]:
        lines = [f"  state.write @{n}{i}, %{n}, position = %p" for n in "kv"]
        k = f"@k{i}, @v{i}"
    window = f", window = {c['window']}" if c["window"] else ""
    slopes = ", slopes = %s" if c["slopes"] else ""
    scale = c["scale"] / c["D"] ** 0.5
    lines.append(f"  %y = attend %q, {k}, %p{slopes} {{scale = {scale}{window}}} : {y}")
    states = [f"state @{n}{i} : {cache[n]}" for n in "kv"] if c["state"] else []
    return states, f"entry func @f{i}({', '.join(inputs)}) -> ({y}) {{\n" + "\n".join(lines) + "\n  return %y\n}"


def program(cases):
    parts = [entry(c) for c in cases]
    return "\n".join(['module "attend"', "dim T in 1..32", *(s for p in parts for s in p[0]), *(p[1] for p in parts)]) + "\n"


def positions(r, c, rows):
    last = c["S"] - rows
    if c["batch"]:
        return [r.choice([0, last, r.randint(0, last)]) for _ in range(c["batch"])]
    return r.choice([0, last, r.randint(0, last)])


def options(folder, r, c, rows, position):
    given = {n: f"random:{r.randint(1, 1000)}" for n in "qkv"}
    given["p"] = position
    if c["batch"]:
        given["p"] = folder / "p.npy"
        lutra.write_npy(given["p"], lutra.Array("i32", (c["batch"],), position))
    if c["slopes"]:
        given["s"] = f"random:{r.randint(1, 1000)}:0.1"  # steep ones take digits from the scores
    return ["--entry", f"f{c['index']}", *lutra.inputs(given), "--dim", f"T={rows}"]


def compare(folder, source, common, bound, what):
    want, got = folder / "want.npy", folder / "got.npy"
    lutra.run("lutc", "eval", source, *common, "--output", f"result=@{want}")
    lutra.run("lutrun", folder / "p.elf", *common, "--output", f"result=@{got}")
    error = lutra.nmse(lutra.read_npy(got), lutra.read_npy(want))
    if error <= bound:  # not so for NaN
        return True
    print(f"{what}: nmse {error:.3g} > {bound:.3g}")
    return False


@functools.cache
def passes():
    """The usual ones, and these with attention in the smallest blocks of keys."""
    usual = lutra.run("lutc", "list", "passes").stdout.split("in order: ")[1].strip()
    assert "stream-softmax" in usual, "lutc list passes has changed"
    return usual, usual.replace("stream-softmax", "stream-softmax(keys=1)")


def check_program(seed):
    """Number of good cases; 0 when one is bad."""
    r = random.Random(seed)
    cases = [random_case(r, i) for i in range(10)]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        source = folder / "p.lir"
        source.write_text(program(cases))
        lutra.run("lutc", source, "--machine", r.choice(["m2n64k4", "m2n64k4", "m4n128k4"]), "--passes",
                  r.choice(passes()), "-o", folder / "p.elf")
        for c in cases:
            rows = min(r.choice(ROWS), c["S"])
            common = options(folder, r, c, rows, positions(r, c, rows))
            if not compare(folder, source, common, BOUND[c["y"]], f"T = {rows}, {c}"):
                print(f"repeat: attend.py --seed {seed} --programs 1")
                return 0
    return len(cases)


EDGE = """module "edge"
dim T in 1..8
entry func @f(%q: f32[T, 2, 8], %k: f32[20, 1, 8], %v: f32[20, 1, 8], %p: index) -> (f32[T, 2, 8]) {
  %y = attend %q, %k, %v, %p {scale = 1.0} : f32[T, 2, 8]
  return %y
}
entry func @g(%q: f32[3, T, 2, 8], %k: f32[3, 20, 1, 8], %v: f32[3, 20, 1, 8], %p: i32[3]) -> (f32[3, T, 2, 8]) {
  %y = attend %q, %k, %v, %p {scale = 1.0} : f32[3, T, 2, 8]
  return %y
}
"""


def save(folder, name, shape, value):
    count = 1
    for n in shape:
        count *= n
    path = folder / f"{name}.npy"
    lutra.write_npy(path, lutra.Array("f32", shape, [value(i) for i in range(count)]))
    return path


def check_scores(folder, source):
    """Scores of -1e4 .. 1e4 and beyond, all of them alike, and all of them zero."""
    good = True
    for name, q, k in [("large", 5.0, lambda i: 250.0 * (-1 if i // 8 % 3 else 1)), ("alike", 5.0, lambda i: 250.0),
                       ("negative", 5.0, lambda i: -250.0), ("zero", 0.0, lambda i: 1.0),
                       ("huge", 1e10, lambda i: 1e8 * (i // 8 % 5 - 2))]:
        given = {"q": save(folder, "q", (3, 2, 8), lambda i: q), "k": save(folder, "k", (20, 1, 8), k), "v": "random:1",
                 "p": 9}
        good &= compare(folder, source, ["--entry", "f", *lutra.inputs(given), "--dim", "T=3"], 1e-12, name)
    return good


def check_outside(folder, source):
    """The oracle's error; the program's SIGILL and its reason."""
    good = True
    for name, position, rows in [("f", 18, 3), ("f", 20, 1), ("f", -1, 1), ("f", 2**63 - 1, 2), ("f", -2**63, 2),
                                 ("g", [0, 0, 13], 8), ("g", [-1, 0, 0], 1), ("g", [0, 2**31 - 1, 0], 4)]:
        given = {n: "random:1" for n in "qkv"}
        given["p"] = position
        if name == "g":
            given["p"] = folder / "p.npy"
            lutra.write_npy(given["p"], lutra.Array("i32", (3,), position))
        common = ["--entry", name, *lutra.inputs(given), "--dim", f"T={rows}"]
        oracle = lutra.run("lutc", "eval", source, *common, check=False)
        fault = lutra.run("lutrun", folder / "p.elf", *common, check=False)
        if oracle.returncode != 1 or "outside the 20 rows" not in oracle.stderr:
            print(f"position {position}: the oracle says {oracle.returncode}, {oracle.stderr}")
            good = False
        if fault.returncode != 132 or REASON not in fault.stderr:
            print(f"position {position}: the program ends with {fault.returncode}, {fault.stderr}")
            good = False
    return good


def check_edges():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        source = folder / "p.lir"
        source.write_text(EDGE)
        lutra.run("lutc", source, "-o", folder / "p.elf")
        return check_scores(folder, source) & check_outside(folder, source)


def main():
    good = check_edges()
    done = [check_program(seed) for seed in lutra.seeds(quick=2, usual=8)]
    if not all(done) or not good:
        return 1
    print(f"{sum(done)} attentions agree with the oracle, and the edges")
    return 0


if __name__ == "__main__":
    sys.exit(main())
