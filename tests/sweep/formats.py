#!/usr/bin/env python3
"""Every format with every activation that `lutc list formats` says it goes with, against the oracle.

usage: formats.py [--only BASE]

Integers must agree bit for bit, floats within the bound of their tables. What the list marks with
'-' must be refused, with the list. Formats for matrix units are multiplied by one: given elements of
the same type bit for bit, floats with what the graph says behind use-matrix, which quantizes them.
Formats that look up the same tables are mixed in one matrix, block of rows by block of rows.
"""
import argparse
import pathlib
import random
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import lutra
import supported
from supported import FLOATS

SHAPES = [(70, 136, "m2n64k4"), (33, 65, "m1n64k4"), (130, 256, "m4n128k4"), (64, 300, "m2n128k4")]
GROUPS = ["", "g32", "g64", "g128f"]
BOUND = {"f16": 2e-7, "i8": 1e-4}
# A codebook's table of 16 entries for each activation is rounded four times as often.
BOOK_NOISE = 4


def entry(name, activation, n, k):
    if activation[0] == "i":
        return (f"entry fn {name}(x: {activation}[T, {k}], s: f32[T]) -> f32[T, {n}] {{\n"
                f"    return linear(x, w, scale = s);\n}}\n")
    return (f"entry fn {name}(x: f32[T, {k}]) -> f32[T, {n}] {{\n"
            f"    return linear(x as {activation}, w, type = f32);\n}}\n")


def program(weight, n, k, activations):
    head = f"model formats;\ndim T in 1..8;\nweight w: {weight}[{n}, {k}];\n"
    return head + "".join(entry(f"f_{a}", a, n, k) for a in activations)


def call(activation, rows, largest):
    inputs = {"x": f"random:{rows}"}
    if activation[0] == "i":
        inputs["x"] = largest  # every bit of the integers counts
        inputs["s"] = "random:7"
    return ["--entry", f"f_{activation}", *lutra.inputs(inputs), "--dim", f"T={rows}"]


def integers(folder, activation, rows, k, seed):
    r, most = random.Random(seed), 127 if activation == "i8" else 32767
    values = [r.choice([-most - 1, most, 0, r.randint(-most - 1, most)]) for _ in range(rows * k)]
    path = folder / f"{activation}.npy"
    lutra.write_npy(path, lutra.Array(activation, (rows, k), values))
    return path


def compare(folder, common, exact, bound):
    lutra.run("lutrun", folder / "p.elf", *common, "--output", f"result=@{folder / 'got.npy'}")
    got, want = lutra.read_npy(folder / "got.npy"), lutra.read_npy(folder / "want.npy")
    if exact:
        return None if got.values == want.values else "not exact"
    error = lutra.nmse(got, want)
    return None if error <= bound else f"nmse {error:.3g} > {bound:.3g}"


def check_weight(folder, number, weight, n, k, tables, options, activations, variants=((),)):
    """One weight with these activations; a list of what is wrong. Each of the variants of lutrun's options must agree."""
    source = folder / "p.lut"
    lutra.run("lutc", source, *options, "--tables", tables, "-o", folder / "p.elf")
    wrong = []
    for activation in activations:
        rows = 1 + (number + len(activation)) % 5
        largest = integers(folder, activation, rows, k, number) if activation[0] == "i" else None
        common = call(activation, rows, largest)
        lutra.run("lutc", "eval", source, *options, *common, "--output", f"result=@{folder / 'want.npy'}")
        book = BOOK_NOISE if weight[:2] in ("nf", "fp", "iq", "cb", "bi") else 1
        for more in variants:
            problem = compare(folder, [*common, *more], activation[0] == "i", BOUND[tables] * book)
            if problem:
                wrong.append(f"{weight}[{n}, {k}] {activation} {tables} {' '.join([*options, *more])}: {problem}")
    return wrong


def check(folder, number, row, tables):
    """One format in one shape; a list of what is wrong, and how many products were compared."""
    base, _, support = row
    n, k, machine = SHAPES[number % len(SHAPES)]
    group = GROUPS[(number + number // 4) % len(GROUPS)]
    zero = "z" if number % 2 and (base[0] == "w" or base.startswith("bcq")) else ""
    weight = base + group.rstrip("f") + zero + ("f" if group.endswith("f") else "")
    good = [a for a, t in support.items() if t != "-"]
    if lutra.QUICK:
        good = good[number % 3::3]
    (folder / "p.lut").write_text(program(weight, n, k, good))
    options = ["--weights", "random:1", "--machine", machine]
    return check_weight(folder, number, weight, n, k, tables, options, good), len(good)


def refuse(folder, row):
    base, _, support = row
    wrong = []
    for activation in [a for a, t in support.items() if t == "-"]:
        source = folder / "p.lut"
        source.write_text(program(base, 8, 64, [activation]))
        result = lutra.run("lutc", source, "--weights", "random:1", "-o", folder / "p.elf", check=False)
        if result.returncode != 1 or "What goes together" not in result.stderr or base not in result.stderr:
            wrong.append(f"{base} with {activation} is not refused: {result.returncode} {result.stderr}")
    return wrong


MIXES = ["w2g64_2x64_w4g64", "w1_1x64_ternary_1x64_w3_1x64_w4", "w2z_1x64_w4z_1x64_w8z", "bcq2g32_1x64_w4g32",
         "w3g128f_3x64_bcq3g128f", "bitmod4_2x64_bitmod4", "nf4g64_1x64_nf4g64"]


def check_mix(folder, number, weight, bases):
    """A matrix of several formats: what the activations of all of them allow, and one hart as three."""
    n, k, tables = [(300, 136), (256, 65), (217, 300)][number % 3] + (("f16", "i8")[number % 2],)
    formats = [part for part in weight.split("_") if "x64" not in part]
    known = [bases[max((b for b in bases if f.startswith(b)), key=len)] for f in formats]
    good = [a for a in [*FLOATS, "i8", "i16"] if all(t[a] != "-" for t in known)]
    (folder / "p.lut").write_text(program("w", n, k, good))
    options = ["--weights", "random:1", "--quant", weight]
    return check_weight(folder, number, weight, n, k, tables, options, good, ((), ("--harts", "3"))), len(good)


def check_mixes(folder, rows, only):
    wrong, count = [], 0
    bases = {base: tables for base, _, tables in rows}
    for number, weight in enumerate(MIXES[:3] if lutra.QUICK else MIXES):
        if only is None:
            problems, products = check_mix(folder, number, weight, bases)
            wrong, count = wrong + problems, count + products
    return wrong, count


MATRIX_SHAPES = [(70, 300, "m2n64k4"), (1, 17, "m1n64k4"), (257, 64, "a100-int8"), (64, 129, "h100-fp8")]
# Sums of up to 300 products in f32; of activations and weights rounded to so few bits.
MATRIX_BOUND = {"i8": (0, 2e-4), "e4m3": (1e-12, 3e-3), "e5m2": (1e-12, 1e-2)}


def call_matrix(folder, source, entry_name, rows, options, seed, bound):
    """What is wrong with the emulator's result beside the oracle's of `source`, or None."""
    values = {"x": f"random:{seed}"} | ({"s": "random:7"} if entry_name == "given" else {})
    common = ["--entry", entry_name, *lutra.inputs(values), "--dim", f"T={rows}"]
    lutra.run("lutc", "eval", source, *options, *common, "--output", f"result=@{folder / 'want.npy'}")
    return compare(folder, common, bound == 0, bound)


def check_matrix(folder, base, shape):
    """A format for matrix units: with activations like it, and with floats."""
    n, k, machine = shape
    exact, rounded = MATRIX_BOUND[base]
    given = (f"entry fn given(x: i8[T, {k}], s: f32[T]) -> f32[T, {n}] {{ return linear(x, w, scale = s); }}\n"
             if base == "i8" else "")
    source = folder / "p.lut"
    source.write_text(f"model formats;\ndim T in 1..100;\nweight w: w[{n}, {k}];\n{given}"
                      f"entry fn floats(x: f32[T, {k}]) -> f32[T, {n}] {{ return linear(x, w); }}\n")
    options = ["--weights", "random:1", "--machine", machine]
    lutra.run("lutc", source, *options, "--quant", base, "--dump-dir", folder / "d", "-o", folder / "p.elf")
    graph = next((folder / "d").glob("*-use-matrix.lir"))
    wrong = []
    for rows in (1, 3, 17, 70):
        cases = [("floats", graph, exact), ("floats", source, rounded)] + ([("given", source, 0)] if given else [])
        for entry_name, program_file, bound in cases:
            problem = call_matrix(folder, program_file, entry_name, rows, [*options, "--quant", base], rows, bound)
            if problem:
                wrong.append(f"{base}[{n}, {k}] {machine} {entry_name} T={rows} {program_file.suffix}: {problem}")
    return wrong, 2 + bool(given)


def check_matrix_units(folder, only):
    wrong, count = [], 0
    for base in supported.for_matrix_units():
        for shape in MATRIX_SHAPES[:2] if lutra.QUICK else MATRIX_SHAPES:
            if only in (None, base):
                problems, products = check_matrix(folder, base, shape)
                wrong, count = wrong + problems, count + products
        source = folder / "p.lut"
        result = lutra.run("lutc", source, "--weights", "random:1", "--quant", base, "--disable", "use-matrix",
                           "-o", folder / "p.elf", check=False)
        if only in (None, base) and (result.returncode != 1 or "need a matrix unit" not in result.stderr):
            wrong.append(f"{base} without a matrix unit is not refused: {result.stderr}")
    return wrong, count


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only")
    args = parser.parse_args()
    wrong, count = [], 0
    rows = supported.in_planes()
    assert len(rows) >= 20, "lutc list formats has changed"
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for number, row in enumerate(rows):
            if args.only and row[0] != args.only:
                continue
            for turn, tables in enumerate(row[2]["f16"].split(",")):
                problems, products = check(folder, number + turn * len(rows), row, tables)
                wrong, count = wrong + problems, count + products
            wrong += refuse(folder, row)
        for more in (check_matrix_units(folder, args.only), check_mixes(folder, rows, args.only)):
            wrong, count = wrong + more[0], count + more[1]
    print("\n".join(wrong) or f"{count} products of {len(rows)} formats agree with the oracle")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
