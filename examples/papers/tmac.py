#!/usr/bin/env python3
"""T-MAC: time is linear in bits, and 8-bit tables add nearly nothing to the error of 4-bit weights."""
import pathlib
import tempfile

import claims
import lutra

SIDE = 512 if claims.QUICK else 4096
PROGRAM = f"""dim T in 1..16;
weights {{ w : w[{SIDE}, {SIDE}]; }}
entry fn main(x: f32[T, {SIDE}]) -> f32[T, {SIDE}] {{ return linear(x, w, type = f32); }}
"""
ROWS = 4
PUBLISHED = {"exact tables": 3.33e-3, "i8 tables": 3.35e-3}  # 4096 x 4096, W4; exact: llama.cpp, which has none


def run(folder, quant, tables, rows, *options):
    elf, out = folder / "linear.elf", folder / "result.npy"
    lutra.run("lutc", folder / "linear.lut", "--weights", "random:1", "--quant", quant, "--tables", tables, "-o", elf)
    lutra.run("lutrun", elf, "--input", "x=random:2", "--dim", f"T={rows}", "--output", f"result=@{out}", *options)
    return lutra.read_npy(out)


def ideal(folder, quant):
    out = folder / "ideal.npy"
    lutra.run("lutc", "eval", folder / "linear.lut", "--weights", "random:1", "--quant", quant, "--input", "x=random:2",
              "--dim", f"T={ROWS}", "--output", f"result=@{out}")
    return lutra.read_npy(out)


def scaling(claim, folder):
    busy, cycles, out = {}, {}, folder / "time.json"
    for bits in (1, 2, 3, 4):
        run(folder, f"w{bits}", "i8,row", 1, f"--time=json:{out}")
        time = lutra.statistics(out.read_text())
        busy[bits], cycles[bits] = time["busy"]["LUT array"], time["cycles"]
    for bits in (2, 3, 4):
        claim.row(f"LUT array is busy, {bits} bits / 1 bit", "", busy[bits] / busy[1], bits, "linear in bits")
        claim.row(f"cycles of one row, {bits} bits / 1 bit", "", cycles[bits] / cycles[1], bits, "linear in bits")


def error(claim, folder, quant):
    exact = ideal(folder, "f32")
    codes = lutra.nmse(ideal(folder, quant), exact)
    claim.row(f"NMSE, {quant}, exact tables (oracle)", "", codes, PUBLISHED["exact tables"])
    for tables in ("f16", "i8", "i8,row"):
        whole = lutra.nmse(run(folder, quant, tables, ROWS), exact)
        claim.row(f"NMSE, {quant}, {tables} tables", "", whole, PUBLISHED["exact tables" if tables == "f16" else "i8 tables"])
        claim.row(f"what {tables} tables add, {quant}", "%", 100 * (whole / codes - 1),
                  None if tables == "f16" else 100 * (PUBLISHED["i8 tables"] / PUBLISHED["exact tables"] - 1))


def main():
    claim = claims.Claim("t-mac", "Time by bits, and the error of tables", f"T-MAC (arXiv 2407.00088), W4, {SIDE} x {SIDE}")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "linear.lut").write_text(PROGRAM, encoding="utf-8")
        scaling(claim, folder)
        for quant in ("w4g32",) if claims.QUICK else ("w4g32", "w4g32z"):
            error(claim, folder, quant)
    claim.show(
        "Cycles are those of the emulator's timing model on m2n64k4, one row. Time is linear in bits where lookups or memory "
        "limit; what does not depend on bits (tables, scales, results) flattens it. T-MAC measured CPUs with byte shuffles; "
        "its speeds of at most 11.2, 5.8, 4.7 and 3.1 times llama.cpp at 1 to 4 bits are such measurements, and llama.cpp is "
        "not equally fast at all of them. What this project's CPU code reaches is `./dev bench native`.",
        f"NMSE is against the oracle's products of the unquantized weights, {ROWS} rows, weights and activations random, run "
        "on the emulator; T-MAC had other weights. How large the error of 4 bits is depends on them; what tables add to it "
        "compares better.",
        "T-MAC has a scale for each 64 activations; `i8` here leaves that choice to the compiler, `i8,row` has one for all "
        "4096. Its averaging adds (8.09e-3) are not done here: sums are exact.")


if __name__ == "__main__":
    main()
