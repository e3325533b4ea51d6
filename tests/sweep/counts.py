#!/usr/bin/env python3
"""Instruction counts of compiled linears against counts computed from the shapes by hand."""
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import lutra

# machine, weight type, group (0: row), zero points, N, K, T, --tables
CASES = [
    ("m2n64k4", "w2[64, 64]", 0, False, 64, 64, 1, "i8,tile"),
    ("m2n64k4", "w2[512, 192] group(64)", 64, False, 512, 192, 3, "i8,group"),
    ("m2n64k4", "w2[512, 192] group(64)", 64, False, 512, 192, 3, "i8"),
    ("m2n64k4", "w4[130, 200] group(32)", 32, False, 130, 200, 17, "f16"),
    ("m2n64k4", "w4[130, 200] group(32)", 32, False, 130, 200, 17, "i8"),
    ("m2n64k4", "w3[65, 257] group(128) zero", 128, True, 65, 257, 2, "f16"),
    ("m2n64k4", "w3[65, 257] group(16) zero", 16, True, 65, 257, 2, "i8"),
    ("m2n64k4", "ternary[1, 1]", 0, False, 1, 1, 1, "f16"),
    ("m2n64k4", "w1[300, 100]", 0, False, 300, 100, 0, "i8"),
    ("m1n64k4", "w2[100, 100] group(32)", 32, False, 100, 100, 5, "f16"),
    ("m4n128k4", "w2[300, 300] group(64) zero", 64, True, 300, 300, 6, "i8,row"),
]
SHAPES = {"m1n64k4": (1, 64), "m2n64k4": (2, 64), "m4n128k4": (4, 128)}


def up(x, y):
    return -(-x // y)


def by_hand(machine, group, zero, n, k, t, tables):
    """One lmma does up to one row tile x column tile x depth tile; slices are counted one by one. Scales that span more
    than a quarter of the depth are found by a lut.tbl of their own."""
    m, columns = SHAPES[machine]
    depth = 32 * m
    row_tiles, column_tiles, depth_tiles = up(t, m), up(n, columns), up(k, depth)
    slices = 4 if tables in ("i8", "i8,slice") else depth // group if 0 < group < depth else 1
    sums = row_tiles * depth_tiles * slices if zero else 0
    passes = 2 if tables in ("i8,row", "i8,group", "i8,tile") else 1
    return {"lmma": row_tiles * column_tiles * depth_tiles * slices + sums, "lut_tbl": passes * row_tiles * depth_tiles}


def measured(folder, machine, weight, n, k, t, tables):
    source, elf, stats = folder / "p.lut", folder / "p.elf", folder / "s.json"
    source.write_text(f"dim T in 0..64;\nweight w: {weight};\n"
                      f"entry fn main(x: f32[T, {k}]) -> f32[T, {n}] {{ return linear(x, w); }}\n")
    lutra.run("lutc", source, "--weights", "random:1", "--machine", machine, "--tables", tables, "-o", elf)
    lutra.run("lutrun", elf, "--input", "x=random:1", "--dim", f"T={t}", f"--stats=json:{stats}")
    return lutra.statistics(stats.read_text())["work"]


def tables_are_shared(folder):
    """q, k and v of one normalized activation: its tables are built once."""
    source, elf, stats = lutra.SOURCE / "examples" / "blocks" / "llama_block.lut", folder / "b.elf", folder / "s.json"
    sizes = [x for d in ("D=256", "F=512", "L=1", "H=4") for x in ("-D", d)]
    lutra.run("lutc", source, "--weights", "random:1", "--quant", "w2g64", *sizes, "-o", elf)
    lutra.run("lutrun", elf, "--entry", "qkv", "--input", "x=random:1", "--dim", "T=5", f"--stats=json:{stats}")
    got, want = lutra.statistics(stats.read_text())["work"]["lut_tbl"], up(5, 2) * up(256, 64)
    return None if got == want else f"qkv: {got} lut.tbl, by hand {want}"


def weights_are_touched_once(folder):
    """A step of decoding looks up every tile of every weight of the shipped model once."""
    source, elf, stats = lutra.SOURCE / "examples" / "models" / "bitnet.lut", folder / "m.elf", folder / "s.json"
    blocks, width, hidden, keys = 3, 256, 256, 128
    matrices = [(width, width), (keys, width), (keys, width), (width, width), (hidden, width), (hidden, width), (width, hidden)]
    want = blocks * sum(by_hand("m2n64k4", 0, False, n, k, 1, "i16")["lmma"] for n, k in matrices)
    for name, values in (("tokens", [7]), ("pos", [100])):
        lutra.write_npy(folder / f"{name}.npy", lutra.Array("i32", (1, 1) if name == "tokens" else (1,), values))
    lutra.run("lutc", source, "--weights", lutra.SOURCE / "examples" / "tiny-lm" / "tiny-lm.gguf", "-o", elf)
    lutra.run("lutrun", elf, "--entry", "forward", "--input", f"tokens=@{folder}/tokens.npy", "--input", f"pos=@{folder}/pos.npy",
              f"--stats=json:{stats}")
    got = lutra.statistics(stats.read_text())["work"]["lmma"]
    return None if got == want else f"a step of decoding: {got} lmma, by hand {want}"


def main():
    problems = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for machine, weight, group, zero, n, k, t, tables in CASES:
            work, want = measured(folder, machine, weight, n, k, t, tables), by_hand(machine, group, zero, n, k, t, tables)
            problems += [f"{machine} {weight} T={t} {tables}: {work[key]} {key}, by hand {count}"
                         for key, count in want.items() if work[key] != count]
        problems += filter(None, [tables_are_shared(folder), weights_are_touched_once(folder)])
    print("\n".join(problems) or f"{len(CASES)} linears have the counts computed by hand")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
