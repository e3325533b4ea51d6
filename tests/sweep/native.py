#!/usr/bin/env python3
"""Products on CPUs: every format, level, way to take activations and number of threads against the oracle.

Integers times low bits are the oracle's, bit for bit. Floats rounded to 8 bits stay within the error of i8 tables, exact
ones within f32's. Threads change nothing, levels neither, but for SSE2, which cannot look up.
"""
import pathlib
import random
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import lutra
import native

ROUNDED, EXACT = 1e-4, 1e-11
UNEVEN = ("nf4", "fp4", "iq4nl", "bitmod", "cb", "bcq", "e4m3", "e5m2")  # multiplied as they are
INTEGER_RANGE = {"i8": 127, "i16": 32767}
LEVELS = [0, native.AVX2, native.ALL_FEATURES]
# format, N, K, rows, activations, --tables; of integers, whether they come without scales
UNSCALED = "unscaled"
CASES = [(f, 100, 328, rows, "f16", None) for rows in (1, 9, 50)
         for f in ("w1", "w2", "w3", "w4", "ternary", "w1g32", "w2g16z", "w4g128z")]
CASES += [(f, 70, 288, 7, "f32", None) for f in ("w3g16", "w1g16", "w2g64", "w3g32z", "w1g64z", "w2g256", "ternaryg256",
                                                "w4z", "w1z", "w4g32f", "w3g128zf", "ternaryg32")]
CASES += [(f, 100, 328, rows, "i8", None) for rows in (1, 11)
          for f in ("w1", "w2", "w3z", "w4", "ternary", "w1g32", "w2g16z", "w4g128z", "w3g64")]
CASES += [(f, 64, 300, 5, "f32", t) for t in ("i8,row", "i8,group", "f16") for f in ("w1", "w2g64z", "w3", "w4g32", "ternary")]
CASES += [(f, 70, 296, rows, "f16", None) for rows in (1, 8) for f in ("w5", "w6g64z", "w7g16", "w8", "w8g32z")]
CASES += [(f, 70, 296, rows, "i8", None) for rows in (1, 8) for f in ("w5g32", "w6", "w7z", "w8", "w8g64")]
CASES += [(f, 70, 296, rows, "f32", None) for rows in (1, 8) for f in ("nf4g64", "fp4", "iq4nlg32", "bitmod3g128")]
CASES += [("w4g32", 1, 32, 1, "i8", None), ("w4g32", 1, 32, 64, "f32", None), ("w2", 65, 4, 3, "f32", None), ("w1", 3, 2000, 2, "f32", None),
          ("w4g64", 200, 1000, 97, "f16", None), ("none", 70, 300, 5, "i16", None), ("none", 70, 300, 5, "i8", None)]
CASES += [(f, 130, 296, rows, "f32", None) for rows in (1, 8)
          for f in ("cb4g32", "cb2", "bitmod4g64", "bcq1", "bcq2g16z", "bcq3g32", "bcq4z", "e4m3", "e5m2")]
CASES += [("i8", 70, 296, rows, kind, None) for rows in (1, 8) for kind in ("f32", "i8")]
CASES += [(f, 70, 296, rows, "i8", None) for rows in (1, 8) for f in ("bcq1", "bcq3g32z", "bcq4g16", "fp4", "bitmod3",
                                                                     "bitmod4g64")]
CASES += [(f, 300, 296, rows, kind, None) for rows in (1, 8) for f, kind in
          (("w2g64_2x64_w4g64", "f32"), ("w1_1x64_ternary_1x64_w8", "i8"), ("bcq2g32_1x64_w4g32", "f16"), ("nf4_3x64_nf4", "f32"))]
# Blocks of one bit beside each other: more than one stream, the last one short, and several spans.
CASES += [(f, 4300, 2500, rows, "f32", t) for rows in (1, 3) for f, t in
          (("w1", None), ("w1g64z", None), ("w1g256", None), ("w1", "i8,row"), ("bcq1g32", None))]
CASES += [("w1z", 4300, 2500, rows, "i8", None) for rows in (1, 3)] + [("w1", 4300, 1300, 1, "f32", "f16")]
CASES += [(f, 70, 4200, rows, "f32", "i8,row") for rows in (1, 3) for f in ("w1", "w1z", "w2")]
CASES += [(f, 70, 4200, rows, "i8", None) for rows in (1, 3) for f in ("w1", "w2z", "w3", "ternary")]

CASES += [(f, 70, 296, rows, "i8", UNSCALED) for rows in (1, 11) for f in ("w1", "w2g64", "w3z", "w4g32", "w8", "ternary", "i8", "bcq2g64",
                                                                            "bitmod4g64")]

INTEGERS = """model {name};
dim T in 1..100;
weights {{ w: w[{n}, {k}] = "w"; }}
entry fn main(x: {type}[T, {k}], s: f32[T]) -> f32[T, {n}] {{ return linear(x, w, scale = s, type = f32); }}
"""
FLOATS = """model {name};
dim T in 1..100;
weights {{ w: w[{n}, {k}] = "w"; }}
entry fn main(x: {type}[T, {k}]) -> f32[T, {n}] {{ return linear(x, w, type = f32); }}
"""


# Rows by number, formats of which stand in planes, with terms, or one in bytes.
ROWS = ["w1", "w1g32", "w3g16z", "w8g32", "ternary", "nf4g64", "cb4g32", "cb2", "bitmod3", "bitmod4g64", "bcq1", "bcq3g32", "bcq4z", "i8",
        "e4m3", "e5m2"]
GATHER = """model {name};
dim T in 1..100;
weights {{ w: w[{n}, {k}] = "w"; }}
entry fn main(ids: i32[T]) -> f32[T, {k}] {{ return embedding(w, ids, type = f32); }}
"""


def has_scales(case):
    return case[4] in INTEGER_RANGE and case[5] != UNSCALED


def make_inputs(work, case, seed):
    _, _, k, rows, kind, _ = case
    r = random.Random(seed)
    if kind in INTEGER_RANGE:
        most = INTEGER_RANGE[kind]
        some = [-most - 1, most] if seed % 2 else range(-most - 1, most + 1)
        made = {"x": lutra.Array(kind, (rows, k), [r.choice(some) for _ in range(rows * k)])}
    else:
        values = [r.gauss(0, 1) for _ in range(rows * k)]
        made = {"x": lutra.Array(kind, (rows, k), values)}
    if has_scales(case):
        made["s"] = lutra.Array("f32", (rows,), [r.uniform(0.001, 0.1) for _ in range(rows)])
    for name, array in made.items():
        lutra.write_npy(work / f"{name}.npy", array)
        made[name] = lutra.read_npy(work / f"{name}.npy")
    return made


def bound(form, kind, tables):
    if kind == "i8" and form != "none":
        return 0.0
    if tables == "f16" or form == "none" or form.startswith(UNEVEN):
        return EXACT
    return 2 * ROUNDED if tables == "i8,row" else ROUNDED


def is_looked_up(case):
    form, _, _, _, kind, tables = case
    return form.startswith("w1") and not form.startswith("w1g16") and kind not in INTEGER_RANGE and tables != "f16"


def check(work, number, case):
    form, n, k, rows, kind, tables = case
    name = f"case{number}"
    program = work / f"{name}.lut"
    program.write_text((INTEGERS if has_scales(case) else FLOATS).format(name=name, n=n, k=k, type=kind))
    inputs = make_inputs(work, case, number)
    source = ["--weights", "random:1", "--quant", form]
    lutra.run("lutc", "eval", program, *source, *lutra.inputs({x: work / f"{x}.npy" for x in inputs}),
              "--output", f"result=@{work}/want.npy")
    want = lutra.read_npy(work / "want.npy")
    library = work / f"{name}.so"
    options = ["--tables", tables] if tables not in (None, UNSCALED) else []
    lutra.run("lutc", program, *source, "--target=native", "-o", library, *options)
    first = {}
    for features in LEVELS:
        for threads in (1, 3):
            p = native.Program(library, name, threads=threads, features=features)
            got = p.call("main", inputs)["result"]
            p.close()
            error = lutra.nmse(got, want)
            assert error <= bound(form, kind, tables), f"{case} at {p.level}: NMSE {error}"
            same = first.setdefault(p.level, got.values)
            assert same == got.values, f"{case} at {p.level}: {threads} threads change the result"
    same = [v for level, v in first.items() if level != "sse2" or not is_looked_up(case)]
    assert all(v == same[0] for v in same), f"{case}: levels differ: {list(first)}"


def check_rows(work, number, form):
    name, n, k = f"rows{number}", 130, 150
    if form.startswith("w1"):
        n, k = 4300, 1200 # blocks beside each other
    program, library, ids = work / f"{name}.lut", work / f"{name}.so", work / "ids.npy"
    program.write_text(GATHER.format(name=name, n=n, k=k))
    lutra.write_npy(ids, lutra.Array("i32", (5,), [0, n - 1, 64, 63, n - 13]))
    source = ["--weights", "random:1", "--quant", form]
    lutra.run("lutc", "eval", program, *source, *lutra.inputs({"ids": ids}), "--output", f"result=@{work}/want.npy")
    lutra.run("lutc", program, *source, "--target=native", "-o", library)
    want = lutra.read_npy(work / "want.npy")
    for features in LEVELS:
        p = native.Program(library, name, features=features)
        error = lutra.nmse(p.call("main", {"ids": lutra.read_npy(ids)})["result"], want)
        assert error <= 1e-14, f"rows of {form} at {p.level}: NMSE {error}"
        p.close()


# Two products in a kernel, whose blocks stand beside each other or alone.
PAIR = """model {name};
dim T in 1..100;
weights {{ a: {a}[1100, 1200] = "a"; b: {b}[1100, 1200] = "b"; }}
entry fn main(x: f32[T, 1200]) -> f32[T, 1100] {{ return silu(linear(x, a, type = f32)) * linear(x, b, type = f32); }}
"""
PAIRS = [("w1", "w1"), ("w1", "w2"), ("w2", "w1")]


def check_pair(work, number, a, b, rows):
    name = f"pair{number}x{rows}"
    program = work / f"{name}.lut"
    program.write_text(PAIR.format(name=name, a=a, b=b))
    inputs = make_inputs(work, (None, None, 1200, rows, "f32", None), number)
    lutra.run("lutc", "eval", program, "--weights", "random:1", *lutra.inputs({"x": work / "x.npy"}),
              "--output", f"result=@{work}/want.npy")
    lutra.run("lutc", program, "--weights", "random:1", "--target=native", "-o", work / f"{name}.so")
    for threads in (1, 2, 5):
        p = native.Program(work / f"{name}.so", name, threads=threads)
        error = lutra.nmse(p.call("main", inputs)["result"], lutra.read_npy(work / "want.npy"))
        assert error <= 4 * ROUNDED, f"{a} and {b}, {rows} rows: NMSE {error}"
        p.close()


def main():
    cases = CASES[::4] if lutra.QUICK else CASES
    with tempfile.TemporaryDirectory() as folder:
        for number, form in enumerate(ROWS[::3] if lutra.QUICK else ROWS):
            check_rows(pathlib.Path(folder), number, form)
        for number, (a, b) in enumerate(PAIRS):
            for rows in 1, 4:
                check_pair(pathlib.Path(folder), number, a, b, rows)
    with tempfile.TemporaryDirectory() as folder:
        for number, case in enumerate(cases):
            check(pathlib.Path(folder), number, case)
    print(f"{len(cases)} products: like the oracle's at every level and number of threads")


if __name__ == "__main__":
    main()
