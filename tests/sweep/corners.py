#!/usr/bin/env python3
"""Small programs at the language's corners, on the emulator against the oracle.

usage: corners.py     tools are found on PATH or in build/bin

Scalars and arguments as results, one value returned in several shapes, sizes known only when the
program runs in any place of a shape, states written at positions, inside and outside.
"""
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import lutra  # noqa: E402

STATES = """state s: f32[16, 4];
state k[2]: f16[8, 2, 3];
entry fn main(x: f32[T, 4], p: i32) -> f32[16, 4] { s[p * 2 + 1 : p * 2 + 1 + T] = x; return s; }
entry fn two(x: f16[T, 2, 3], p: i64) -> f16[8, 2, 3], f16[8, 6] {
    k[0][p : p + T] = x;
    first = k[0];
    k[1][0 : T] = x * 2;
    return first, k[1] as [8, 6];
}
entry fn all(x: f16[8, 2, 3]) -> f16[8, 6] { k[0] = x; return k[0] as [8, 6]; }
"""

# name, program behind "dim T", entry, number of results, more inputs, rows to try
PROGRAMS = [
    ("scalar computed", "entry fn main(x: f16) -> f16 { v = abs(x); return silu(v) * 3; }", "main", 1, {}, [1]),
    ("scalar given", "entry fn main(x: f32[4], p: f32) -> f32[4], f32, f32 { return x, p, p; }", "main", 3, {}, [1]),
    ("scalar bf16", "entry fn main(x: bf16, y: bf16[3, 1]) -> f32, f32[3, 1], f32[3, 1] {"
     " a = sigmoid(x) * x; return f32(a), f32((y * a) as [3, 1, 1]) as [3, 1], f32(y + exp(a)); }", "main", 3, {}, [1]),
    ("vector scale", "weight w: w2[4, 8];\nfn twice(s: f32) -> f32 { return s + s; }\n"
     "entry fn main(x: f32[8]) -> i8[8], f32, f32[4], f32 {"
     " q, s = quantize(x); return q, s, linear(q, w, scale = s) * s, twice(s); }", "main", 4, {}, [1]),
    ("product beside another's epilogue", "weight a: w1[64, 5];\nweight b: w4[64, 5];\nweight c: w2[33, 64];\n"
     "entry fn main(x: f32[T, 5]) -> f32[T, 64], f32[T, 33] {"
     " u = linear(x, a); v = linear(x, b); return v, linear(u / 0.5, c); }", "main", 2, {}, [0, 1, 2, 3, 17]),
    ("narrow integers", "entry fn main(x: i8[T, 9], y: i16[T, 9], u: u8[T, 9], c: i8) -> i8[T, 9], i16[T, 9], u8[T, 9], i8[T, 9], i8 {"
     " return x * x - x, y * y * y, u * u - u, -(x - 100), c * c; }", "main", 5, {"c": -128}, [3]),
    ("division", "entry fn main(x: i32[T, 9], a: i32, b: i64) -> i32[T, 9], i32, i32, i64, i64, i64, i64, i64 {"
     " return x / (x - x), a / -1, a % (a - a), b / (b - b), b % 0, b / -1, b % -1, b % 10; }", "main", 8,
     {"a": -2**31, "b": -1234567}, [3]),
    ("scalar size", "entry fn main(p: i32) -> i32, i64 { return p + T * 2, 5; }", "main", 2, {"p": 3}, [1, 7]),
    ("argument twice", "entry fn main(x: f16[T, 5]) -> f16[T, 5], f16[T, 5] { return x, x; }", "main", 2, {}, [0, 1, 3]),
    ("value and its shape", "weight w: w2[63, 2];\nentry fn main(x: f16[T, 2]) -> f16[T, 63], f16[T, 1, 63] {"
     " v = linear(x, w); return v, v as [T, 1, 63]; }", "main", 2, {}, [1, 5]),
    ("shape and its value", "entry fn main(x: f16[T, 6]) -> f16[T, 2, 3], f16[T, 6], f16[T, 3, 2] {"
     " v = silu(x); r = v as [T, 2, 3]; return r, v, r as [T, 3, 2]; }", "main", 3, {}, [1, 5]),
    ("columns", "entry fn main(x: f32[4, T], y: f32[T], z: f16[4, 1]) -> f32[4, T], f32[T, 4, T], f16[4, T], f32[4] {"
     " q, s = quantize(x); _ = q; return softmax(x) * y, rms_norm(x + 1) + (x as [1, 4, T]) * (y as [T, 1, 1]),"
     " z * f16(y), s; }", "main", 4, {}, [1, 2, 40]),
    ("columns into rows", "entry fn main(x: f32[4, T]) -> f32[4 * T, 1] { return silu(x) as [4 * T, 1]; }", "main", 1, {}, [1, 9]),
    ("state", STATES, "main", 1, {"p": 6}, [0, 3]),
    ("states", STATES, "two", 2, {"p": 5}, [0, 3]),
    ("whole state", STATES, "all", 1, {}, [1]),
]
# A position outside: the oracle's error and the program's fault. entry, position, rows
OUTSIDE = [("main", 7, 3), ("main", -1, 1), ("two", 6, 3), ("two", 9, 0), ("two", -1, 0), ("two", 2**63 - 1, 3), ("two", -2**63, 3)]
LOOKUP = ["--tables", "f16", "--weights", "random:3"]


def compiled(folder, body):
    source, program = folder / "p.lut", folder / "p.elf"
    source.write_text(f"model corners;\ndim T in 0..{3 if 'state' in body else 40};\n{body}\n")
    lutra.run("lutc", source, *LOOKUP, "-o", program)
    return source, program


def given(body, entry, inputs, rows):
    signature = body[body.index(f"fn {entry}("):].split(")", 1)[0].split("(", 1)[1]
    names = [part.split(":")[0].strip() for part in signature.split(", ") if ":" in part]
    options = lutra.inputs({n: inputs.get(n, f"random:{i + 1}") for i, n in enumerate(names)})
    return ["--entry", entry, *options, *(["--dim", f"T={rows}"] if "T" in body else [])]


def check(folder, name, body, entry, count, inputs, rows):
    source, program = compiled(folder, body)
    call = given(body, entry, inputs, rows)
    results = ["result"] if count == 1 else [f"result{i}" for i in range(count)]
    files = {r: [o for n in results for o in ("--output", f"{n}=@{folder / (r + n)}")] for r in ("got", "want")}
    lutra.run("lutc", "eval", source, *LOOKUP, *call, *files["want"])
    lutra.run("lutrun", program, *call, *files["got"])
    for n in results:
        a, b = lutra.read_npy(folder / f"got{n}"), lutra.read_npy(folder / f"want{n}")
        if a.shape != b.shape or a.type != b.type or not lutra.nmse(a, b) <= 1e-6:
            print(f"{name}, {rows} rows: {n} is {a}, not {b}")
            return 1
    return 0


def check_outside(folder, entry, position, rows):
    source, program = compiled(folder, STATES)
    call = given(STATES, entry, {"p": position}, rows)
    oracle = lutra.run("lutc", "eval", source, *LOOKUP, *call, check=False)
    fault = lutra.run("lutrun", program, *call, check=False)
    if oracle.returncode == 1 and "are outside the state's" in oracle.stderr and fault.returncode == 132:
        return 0
    print(f"{entry} at {position}, {rows} rows: {oracle.returncode} {oracle.stderr}{fault.returncode} {fault.stderr}")
    return 1


def main():
    failed = total = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for *program, tried in PROGRAMS:
            for rows in tried:
                failed, total = failed + check(folder, *program, rows), total + 1
        for entry, position, rows in OUTSIDE:
            failed, total = failed + check_outside(folder, entry, position, rows), total + 1
    print(f"{total - failed} of {total} corners agree with the oracle")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
