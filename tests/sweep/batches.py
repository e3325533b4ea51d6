#!/usr/bin/env python3
"""Batches of sequences on the emulator against the oracle: rows counted by two sizes.

usage: batches.py     tools are found on PATH or in build/bin

Every form of kernel over [B, T, ..] for several B and T: row-wise, products through tables and dense,
copies, rotation, angles in f64; and positions and slices outside, which must stop the program.
"""
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import lutra  # noqa: E402

HEAD = """module "batches" {machine = MACHINE}
dim B in 1..3
dim T in 1..20
dim One in 1..1
"""
SIZES = [(b, t) for b in (1, 3) for t in (1, 2, 3, 17)]
ROPES = "".join(f"""  %y{i} = rope %x{i}, %c, %s {{layout = {layout}}} : {to}[B, T, 3, {columns}]
""" for i, (layout, to, columns) in enumerate([("interleaved", "f16", 16), ("half", "f32", 16), ("half", "bf16", 21), ("interleaved", "f16", 21)]))

# name, globals, arguments, body, types of the results, bound of the error
PROGRAMS = [
    ("rows", "weight @g : f32[40]", "%x: f16[B, T, 40], %b: f32[B, 1, 40], %s: f32[T, 1]",
     """  %n = rms_norm %x, gain = @g : f16[B, T, 40]
  %a = add %n, %b : f32[B, T, 40]
  %m = mul %a, %s : f32[B, T, 40]
  %p = softmax %m : f16[B, T, 40]
  %q, %r = quantize %x : i8[B, T, 40], f32[B, T]
  return %m, %p, %q, %r""", ["f32[B, T, 40]", "f16[B, T, 40]", "i8[B, T, 40]", "f32[B, T]"], 1e-6),
    ("products", "weight @a : w2g64[70, 130]\nweight @b : w4g32z[70, 130]\nweight @c : ternary[65, 70]\nweight @d : weight<f16>[70, 130]",
     "%x: f16[B, T, 130], %y: f16[B, T, 1, 70]",
     """  %h = silu %x : f16[B, T, 130]
  %a = linear %h, @a : f16[B, T, 70]
  %b = linear %h, @b : f16[B, T, 70]
  %s = silu %a : f16[B, T, 70]
  %m = mul %s, %b : f16[B, T, 70]
  %f = linear %m, @c : f32[B, T, 65]
  %d = linear %x, @d : f16[B, T, 70]
  %dd = relu %d : f16[B, T, 70]
  %r = reshape %y : f16[B, T, 70]
  %e = add %dd, %r : f16[B, T, 70]
  %w = linear %m, @c : f64[B, T, 65]
  return %m, %f, %e, %w""", ["f16[B, T, 70]", "f32[B, T, 65]", "f16[B, T, 70]", "f64[B, T, 65]"], 2e-6),
    ("narrow products", "weight @c : w4g32[65, 130]", "%x: f16[B, T, 130]",
     """  %a = linear %x, @c : e4m3[B, T, 65]
  %b = linear %x, @c : e5m2[B, T, 65]
  %c = linear %x, @c : bf16[B, T, 65]
  %d = cast %a : f16[B, T, 65]
  %e = cast %b : f16[B, T, 65]
  %f = cast %c : f32[B, T, 65]
  return %d, %e, %f""", ["f16[B, T, 65]", "f16[B, T, 65]", "f32[B, T, 65]"], 1e-4),
    ("integer products", "weight @a : w2[64, 64]", "%x: f16[B, T, 64]",
     """  %q, %s = quantize %x : i8[B, T, 64], f32[B, T]
  %y = linear %q, @a, scale = %s : f32[B, T, 64]
  return %y""", ["f32[B, T, 64]"], 0),
    ("angles", "constant @f : f64[5] = [1, 0.177827941, 0.0316227766, 0.00562341325, 0.001]\nconstant @shift : i32[1] = [1000000]",
     "%p: i32[B]",
     """  %i = iota : i32[T]
  %p1 = reshape %p : i32[B, 1]
  %q = add %p1, %i : i32[B, T]
  %far = add %q, @shift : i32[B, T]
  %q3 = reshape %far : i32[B, T, 1]
  %a = cast %q3 : f64[B, T, 1]
  %b = mul %a, @f : f64[B, T, 5]
  %c = cos %b : f64[B, T, 5]
  %s = sin %b : f64[B, T, 5]
  %cc = cast %c : f32[B, T, 5]
  %d = div %b, %c : f64[B, T, 5]
  %h = cast %s : f16[B, T, 5]
  return %cc, %s, %d, %h, %far""", ["f32[B, T, 5]", "f64[B, T, 5]", "f64[B, T, 5]", "f16[B, T, 5]", "i32[B, T]"], 1e-14),
    ("iotas", "constant @c : f16[2, 3] = [1, -2, 3.5, 65504, 0, 1e-7]", "%x: f32[B, T]",
     """  %i = iota : i32[T]
  %r = reshape %i : i32[T, 1]
  %f = cast %r : f32[T, 1]
  %j = cast %i : f32[T]
  %y = add %x, %j : f32[B, T]
  %z = mul %f, %j : f32[T, T]
  %n = iota : i32[7]
  %one = iota : i32[1]
  return %i, %y, %z, %n, %one, @c""", ["i32[T]", "f32[B, T]", "f32[T, T]", "i32[7]", "i32[1]", "f16[2, 3]"], 0),
    ("wide", "weight @g : f32[9]", "%x: f64[B, T, 9], %k: i64[B, T, 9]",
     """  %n = rms_norm %x, gain = @g : f64[B, T, 9]
  %l = layer_norm %x : f32[B, T, 9]
  %s = softmax %x : f64[B, T, 9]
  %q, %r = quantize %x : i8[B, T, 9], f32[B, T]
  %a = fma %x, %x, %n : f64[B, T, 9]
  %m = mul %k, %k : i64[B, T, 9]
  %c = cast %m : f64[B, T, 9]
  return %n, %l, %s, %q, %r, %a, %c""",
     ["f64[B, T, 9]", "f32[B, T, 9]", "f64[B, T, 9]", "i8[B, T, 9]", "f32[B, T]", "f64[B, T, 9]", "f64[B, T, 9]"], 1e-12),
    ("ropes", "", "%x0: f16[B, T, 3, 16], %x1: f32[B, T, 3, 16], %x2: bf16[B, T, 3, 21], %x3: f32[B, T, 3, 21], %c: f32[B, T, 8], %s: f32[B, T, 8]",
     ROPES + "  %z2 = cast %y2 : f32[B, T, 3, 21]\n  return %y0, %y1, %z2, %y3",
     ["f16[B, T, 3, 16]", "f32[B, T, 3, 16]", "f32[B, T, 3, 21]", "f16[B, T, 3, 21]"], 1e-8),
    ("slices", "", "%x: f16[B, T, 2, 9], %y: i8[B, T, 40], %at: index",
     """  %t = dim T : index
  %one = constant 1 : index
  %zero = constant 0 : index
  %last = sub %t, %one : index
  %a = slice %x, %last {dimension = 1} : f16[B, 1, 2, 9]
  %b = slice %x, %zero {dimension = 0} : f16[1, T, 2, 9]
  %c = slice %x, %one {dimension = 2} : f16[B, T, 1, 9]
  %d = slice %x, %at {dimension = 3} : f16[B, T, 2, 4]
  %e = slice %y, %at {dimension = 2} : i8[B, T, 1]
  %f = slice %y, %zero {dimension = 1} : i8[B, T, 40]
  return %a, %b, %c, %d, %e, %f""",
     ["f16[B, 1, 2, 9]", "f16[1, T, 2, 9]", "f16[B, T, 1, 9]", "f16[B, T, 2, 4]", "i8[B, T, 1]", "i8[B, T, 40]"], 0),
    ("states", "state @k : f16[B, 24, 2, 5]\nstate @w : f32[40, 7]\nstate @v : i8[B, 20, 3]\nstate @u : f32[1]", "%x: f16[B, T, 2, 5], %p: i32[B], %y: f32[2, 7], %z: i8[B, 20, 3], %u: f32[1]",
     """  state.write @k, %x, position = %p
  %k = state.read @k : f16[B, 24, 2, 5]
  %five = constant 5 : index
  state.write @w, %y, position = %five
  %w = state.read @w : f32[40, 7]
  state.write @v, %z
  %v = state.read @v : i8[B, 20, 3]
  state.write @u, %u
  %r = state.read @u : f32[1]
  return %k, %w, %v, %r""", ["f16[B, 24, 2, 5]", "f32[40, 7]", "i8[B, 20, 3]", "f32[1]"], 0),
    ("one", "weight @a : w2g64[66, 64]", "%x: f16[One, T, 64], %y: f32[T, One]",
     """  %n = rms_norm %x : f16[One, T, 64]
  %a = linear %n, @a : f16[One, T, 66]
  %i = iota : i32[One]
  %f = cast %i : f32[One]
  %z = add %y, %f : f32[T, One]
  %o = constant 0 : index
  %s = slice %n, %o {dimension = 0} : f16[1, T, 64]
  return %a, %z, %s""", ["f16[One, T, 66]", "f32[T, One]", "f16[1, T, 64]"], 2e-6),
]

OUTSIDE = """state @k : f16[B, 24, 2, 5]
entry func @write(%x: f16[B, T, 2, 5], %p: i32[B]) -> (f16[B, 24, 2, 5]) {
  state.write @k, %x, position = %p
  %k = state.read @k : f16[B, 24, 2, 5]
  return %k
}
entry func @slice(%x: f16[B, T, 9], %at: index) -> (f16[B, T, 4]) {
  %y = slice %x, %at {dimension = 2} : f16[B, T, 4]
  return %y
}
"""
# entry, what is given for the position, T, the program's reason; "" when it is inside
WRONG = [("write", [0, 22, 0], 3, "state position out of range"), ("write", [0, 0, -1], 1, "state position out of range"),
         ("write", [0, 2**31 - 1, 0], 2, "state position out of range"), ("write", [21, 0, 21], 3, ""),
         ("slice", 6, 2, "slice out of range"), ("slice", -1, 2, "slice out of range"), ("slice", 5, 2, ""),
         ("slice", 2**63 - 1, 2, "slice out of range"), ("slice", -2**63, 2, "slice out of range")]
GIVEN = {"p": "iota", "at": "5"}
OPTIONS = ["--weights", "random:5", "--tables", "f16"]


def compiled(folder, machine, text):
    source = folder / "p.lir"
    source.write_text(HEAD.replace("MACHINE", machine) + text)
    lutra.run("lutc", source, *OPTIONS, "-o", folder / "p.elf")
    return source


def close(a, b, bound):
    return a.shape == b.shape and a.type == b.type and (a.values == b.values if bound == 0 else lutra.nmse(a, b) <= bound)


def check(folder, source, call, results, bound, what):
    names = ["result"] if results == 1 else [f"result{i}" for i in range(results)]
    files = {r: [o for n in names for o in ("--output", f"{n}=@{folder / (r + n)}")] for r in ("got", "want")}
    lutra.run("lutc", "eval", source, *OPTIONS, *call, *files["want"])
    lutra.run("lutrun", folder / "p.elf", *call, *files["got"])
    failed = 0
    for n in names:
        a, b = lutra.read_npy(folder / f"got{n}"), lutra.read_npy(folder / f"want{n}")
        if not close(a, b, bound):
            print(f"{what}: {n} is off by {lutra.nmse(a, b) if a.shape == b.shape else (a.shape, b.shape)}")
            failed = 1
    return failed


def check_program(folder, machine, name, declared, arguments, body, types, bound):
    text = f"{declared}\nentry func @main({arguments}) -> ({', '.join(types)}) {{\n{body}\n}}\n"
    source = compiled(folder, machine, text)
    names = [a.split(":")[0].strip().lstrip("%") for a in arguments.split("%")[1:]]
    given = lutra.inputs({n: GIVEN.get(n, f"random:{i + 1}") for i, n in enumerate(names)})
    return sum(check(folder, source, [*given, "--dim", f"B={b}", "--dim", f"T={t}", *(["--dim", "One=1"] if name == "one" else [])], len(types), bound, f"{name}, {b} x {t}")
               for b, t in SIZES)


def check_outside(folder, source, entry, position, rows, reason):
    given = {"x": "random:1", "at": position}
    if entry == "write":
        lutra.write_npy(folder / "p.npy", lutra.Array("i32", (3,), position))
        given = {"x": "random:1", "p": folder / "p.npy"}
    call = ["--entry", entry, *lutra.inputs(given), "--dim", "B=3", "--dim", f"T={rows}"]
    if not reason:
        return check(folder, source, call, 1, 0, f"{entry} at {position}")
    oracle = lutra.run("lutc", "eval", source, *OPTIONS, *call, check=False)
    fault = lutra.run("lutrun", folder / "p.elf", *call, check=False)
    if oracle.returncode == 1 and "outside" in oracle.stderr and fault.returncode == 132 and reason in fault.stderr:
        return 0
    print(f"{entry} at {position}: {oracle.returncode} {oracle.stderr}{fault.returncode} {fault.stderr}")
    return 1


def main():
    failed = total = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for machine in ["m2n64k4"] if lutra.QUICK else ["m2n64k4", "m4n128k4"]:
            for program in PROGRAMS:
                failed, total = failed + check_program(folder, machine, *program), total + len(SIZES)
        source = compiled(folder, "m2n64k4", OUTSIDE)
        for wrong in WRONG:
            failed, total = failed + check_outside(folder, source, *wrong), total + 1
    print(f"{total - failed} of {total} calls agree with the oracle")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
