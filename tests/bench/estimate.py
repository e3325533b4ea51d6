#!/usr/bin/env python3
"""The estimator against the instruction-level timing model, kernel by kernel.

usage: estimate.py            the table of cycles, and the mean absolute error
       estimate.py --check    a test: units as busy as counted, instructions and cycles near enough
"""
import json
import pathlib
import statistics
import sys
import tempfile

import report
import lutra

LINEAR = """dim T in 1..512;
weights {{ w : w[{n}, {k}]; }}
entry fn main(x: {x}[T, {k}]) -> {y}[T, {n}] {{ return linear(x, w, type = {y}); }}
"""
ROWS = """dim T in 1..512;
weights {{ g, b : f32[{k}]; }}
entry fn main(x: f32[T, {k}]) -> f32[T, {k}] {{ return {body}; }}
"""
ATTEND = """dim T in 1..512;
state k, v : f16[1024, {g}, {d}];
entry fn main(x: f32[T, {h}, {d}], pos: i32) -> f32[T, {h}, {d}] {{ return attend(x, k, v, pos); }}
"""
ROPE = """dim T in 1..512;
entry fn main(x: f32[T, 8, 64], pos: i32) -> f32[T, 8, 64] {{ return rope(x, pos, layout = {layout}, base = 10000.0); }}
"""
DENSE = """dim T in 1..512;
weights { w : dense[512, 512]; }
entry fn main(x: f32[T, 512]) -> f32[T, 512] { return linear(x, w); }
"""
INTEGER = """dim T in 1..512;
weights { w : w[512, 1024]; }
entry fn main(x: f32[T, 1024]) -> f32[T, 512] { q, s = quantize(x); return linear(q, w, scale = s, type = f32); }
"""
FUSED = """dim T in 1..512;
weights { w : w[512, 1024]; g : f32[1024]; }
entry fn main(x: f32[T, 1024]) -> f32[T, 512] { return linear(rms_norm(x, g, eps = 0.00001), w); }
"""
GATED = """dim T in 1..512;
weights { a, b : w[1024, 512]; c : w[512, 1024]; g : f32[512]; }
entry fn main(x: f32[T, 512]) -> f32[T, 512] {
    h = rms_norm(x, g, eps = 0.00001);
    return x + linear(silu(linear(h, a)) * linear(h, b), c);
}
"""
GATHER = """dim T in 1..512;
weights {{ e : {format}[{rows}, 512]; }}
entry fn main(x: i32[T]) -> f32[T, 512] {{ return embedding(e, x); }}
"""
UNITS = ("LUT array", "table builder", "dequantizer", "matrix")
GOAL = 5  # percent, mean absolute error


def linear(weights, n, k, rows, machine="m2n64k4", tables="i8", x="f32"):
    name = f"{weights} {n}x{k}" + ("" if x == "f32" else f" {x}") + ("" if tables == "i8" else f" tables {tables}")
    return name, LINEAR.format(n=n, k=k, x=x, y=x), rows, machine, ["--quant", weights, "--tables", tables], None


def rows(body, k, count):
    return body, ROWS.format(k=k, body=body), count, "m2n64k4", [], None


def attend(h, g, d, count, position):
    return (f"attend {h}/{g} heads of {d} at {position}", ATTEND.format(h=h, g=g, d=d), count, "m2n64k4", [], position)


def plain(name, text, count, options=(), position=None):
    return name, text, count, "m2n64k4", list(options), position


CASES = [  # name, program, T, machine, options of lutc, position
    linear("w2g64", 512, 1024, 1), linear("w2g64", 512, 1024, 16), linear("w2g64", 2048, 512, 512),
    linear("w1", 1024, 2048, 1), linear("w2", 1024, 4096, 1), linear("w4", 512, 512, 16), linear("w4g32", 256, 1024, 5),
    linear("w4g32z", 512, 512, 8), linear("w3", 256, 768, 16),
    linear("w3", 256, 768, 64), linear("ternary", 768, 1024, 16),
    linear("w2g64", 512, 1024, 16, x="f16"), linear("w2g64", 512, 1024, 16, tables="f16"),
    linear("w2g64", 512, 1024, 16, tables="i8,row"), plain("ternary 512x1024 i8", INTEGER, 16, ["--quant", "ternary"]),
    linear("w2g64", 256, 512, 7, "m1n64k4"), linear("w1", 512, 1024, 16, "m2n128k4"),
    linear("w2g64", 512, 1024, 16, "m4n128k4"), linear("w2g128", 512, 1024, 33, "m4n256k4"),
    plain("norm and w2g64", FUSED, 16, ["--quant", "w2g64"]), plain("gated network w2g64", GATED, 16, ["--quant", "w2g64"]),
    plain("dense 512x512", DENSE, 1), plain("dense 512x512", DENSE, 16),
    rows("rms_norm(x, g, eps = 0.00001)", 2048, 1), rows("rms_norm(x, g, eps = 0.00001)", 2048, 64),
    rows("layer_norm(x, g, b, eps = 0.00001)", 1024, 16), rows("softmax(x)", 1024, 16), rows("x * x + 0.5", 4096, 16),
    rows("exp(x)", 1024, 8), rows("silu(x)", 1024, 8), rows("gelu(x)", 1024, 8), rows("tanh(x)", 1024, 8),
    rows("sigmoid(x)", 1024, 8), rows("sqrt(x)", 1024, 8),
    attend(8, 8, 64, 1, 511), attend(8, 2, 64, 1, 255), attend(8, 8, 32, 1, 1000), attend(4, 4, 128, 16, 0),
    attend(8, 4, 64, 64, 0), plain("rope interleaved", ROPE.format(layout="interleaved"), 16, position=5),
    plain("rope half", ROPE.format(layout="half"), 16, position=5),
    plain("gather f16", GATHER.format(format="dense", rows=100), 32),
    plain("gather w4g32", GATHER.format(format="w", rows=128), 16, ["--quant", "w4g32"]),
]


def estimated(source, rows, machine, options, position, folder):
    where = ["--position", position] if position else []
    lutra.run("lutc", "estimate", source, "--machine", machine, *options, "--dim", f"T={rows}", *where,
              "--json", folder / "estimate.json")
    return json.loads((folder / "estimate.json").read_text(encoding="utf-8"))["total"]


def measured(source, rows, machine, options, position, folder):
    program, out = folder / "program.elf", folder / "time.json"
    lutra.run("lutc", source, "--machine", machine, "--weights", "random:1", *options, "-o", program)
    kind = "iota" if "x: i32" in source.read_text(encoding="utf-8") else "random:1"
    where = [] if position is None else ["--input", f"pos={position}"]
    lutra.run("lutrun", program, "--machine", machine, "--input", f"x={kind}", *where, "--dim", f"T={rows}",
              f"--time=json:{out}")
    return json.loads(out.read_text(encoding="utf-8"))


def compare(case, folder):
    name, text, rows, machine, options, position = case
    source = folder / "program.lut"
    source.write_text(text, encoding="utf-8")
    guess = estimated(source, rows, machine, options, position, folder)
    truth = measured(source, rows, machine, options, position, folder)
    suffix = "" if machine == "m2n64k4" else f" on {machine}"
    return f"{name}, T = {rows}{suffix}", guess, truth


def error(guess, truth):
    """In percent."""
    return 100 * (guess / truth - 1) if truth else 0.0


def mean_error(results, key):
    return statistics.mean(abs(error(g[key], t[key])) for _, g, t in results)


def table(results):
    rows = report.Report()
    for name, guess, truth in results:
        rows.add(f"estimate/{name}/cycles", "cycles", [guess["cycles"]], "timing model", truth["cycles"])
    rows.add("estimate/mean absolute error", "%", [mean_error(results, "cycles")], "goal", GOAL, larger=False, goal=1)
    rows.show()


def check(results):
    failures = []
    for name, guess, truth in results:
        for unit in UNITS:
            got, want = guess["busy"].get(unit, 0), truth["busy"].get(unit, 0)
            if "attend" not in name and abs(got - want) > 0.01 * want + 8:
                failures.append(f"{name}: {unit} is busy for {want} cycles, estimated {got:.0f}")
    for key, limit in (("cycles", 5), ("instructions", 6)):
        mean = mean_error(results, key)
        print(f"{key}: mean absolute error {mean:.2f} %")
        if mean > limit:
            failures.append(f"{key}: mean absolute error {mean:.2f} %, at most {limit} % are allowed")
    print("\n".join(failures))
    return 1 if failures else 0


def main():
    with tempfile.TemporaryDirectory() as folder:
        results = [compare(case, pathlib.Path(folder)) for case in (CASES[::4] if lutra.QUICK else CASES)]
    if sys.argv[1:] == ["--check"]:
        sys.exit(check(results))
    table(results)


if __name__ == "__main__":
    main()
