#!/usr/bin/env python3
"""Attention over random shapes on this CPU against the oracle: the cases of attend.py. Levels and numbers of threads
must not change a bit.

usage: attend_native.py [--seed S] [--programs N]
"""
import argparse
import math
import pathlib
import random
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import attend  # noqa: E402
import lutra  # noqa: E402
import native  # noqa: E402

RUNS = [(0, 1), (native.AVX2, 1), (native.ALL_FEATURES, 1), (native.ALL_FEATURES, 3)]  # features, threads


def random_case(r, index):
    case = attend.random_case(r, index)
    case["cache"] = case["cache"].replace("bf16", "f16")  # which arrays here do not have
    return case


def random_array(r, folder, name, kind, shape):
    path = folder / f"{name}.npy"
    lutra.write_npy(path, lutra.Array(kind, shape, [r.gauss(0, 1) for _ in range(math.prod(shape))]))
    return path


def inputs(folder, r, c, rows, position):
    """Files of arrays, and the position where it is a number."""
    lead = (c["batch"],) if c["batch"] else ()
    keys = rows if c["state"] else c["S"]
    given = {"q": random_array(r, folder, "q", c["q"], (*lead, rows, c["heads"], c["D"]))}
    for name, size in ("k", "D"), ("v", "E"):
        given[name] = random_array(r, folder, name, c["cache"], (*lead, keys, c["groups"], c[size]))
    given["p"] = position
    if c["batch"]:
        given["p"] = folder / "p.npy"
        lutra.write_npy(given["p"], lutra.Array("i32", lead, position))
    if c["slopes"]:
        given["s"] = random_array(r, folder, "s", "f32", (c["heads"],))
    return given


def run(library, entry, given, rows, features, threads):
    arrays = {name: lutra.read_npy(x) if isinstance(x, pathlib.Path) else x for name, x in given.items()}
    program = native.Program(library, "attend", threads=threads, features=features)
    (result,) = program.call(entry, arrays, {"T": rows}).values()
    program.close()
    return result


def check(folder, library, c, rows, given):
    entry, want = f"f{c['index']}", folder / "want.npy"
    lutra.run("lutc", "eval", folder / "p.lir", "--entry", entry, *lutra.inputs(given), "--dim", f"T={rows}", "--output",
              f"result=@{want}")
    results = [run(library, entry, given, rows, *how) for how in RUNS]
    error = lutra.nmse(results[0], lutra.read_npy(want))
    same = all(got.values == results[0].values for got in results)
    good = error <= attend.BOUND[c["y"]] and same
    if not good:
        print(f"T = {rows}, {c}: nmse {error:.3g}" + ("" if same else "; levels or threads change the result"))
    return good


def check_program(seed):
    r = random.Random(seed)
    cases = [random_case(r, i) for i in range(10)]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "p.lir").write_text(attend.program(cases))
        library = folder / "p.so"
        lutra.run("lutc", folder / "p.lir", "--target=native", "-o", library)
        for c in cases:
            rows = min(r.choice(attend.ROWS), c["S"])
            if not check(folder, library, c, rows, inputs(folder, r, c, rows, attend.positions(r, c, rows))):
                print(f"repeat: attend_native.py --seed {seed} --programs 1")
                return False
    return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--programs", type=int, default=4 if lutra.QUICK else 8)
    arguments = parser.parse_args()
    bad = sum(not check_program(arguments.seed + i) for i in range(arguments.programs))
    print(f"{10 * arguments.programs} cases, {bad} programs bad")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
