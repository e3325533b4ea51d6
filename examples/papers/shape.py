#!/usr/bin/env python3
"""LUT Tensor Core: K = 4 and M2 N64 K4 as the best array, by the area model of `lutc explore`, frozen before it was swept."""
import csv
import pathlib
import tempfile

import claims
import lutra
import shapes

MODEL, MACHINE, TOKENS = "llama-2-7b", "m2n64k4", 512
ROWS = "1,2,4,8"
TILES = "m1n64,m2n64,m2n128,m4n128,m4n256,m8n256"
WIDTHS = "3,4" if claims.QUICK else "2,3,4,5,6"
PHASES = {f"decode {TOKENS}": ("--decode", TOKENS)} | ({} if claims.QUICK else {f"prefill {TOKENS}": ("--prefill", TOKENS)})
CLOCK, PASSES_OF_16_BITS = 1.41e9, 2


def sweep(layers):
    """The rows of a sweep by what machine and phase they are of."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "sweep.csv"
        phases = [word for words in PHASES.values() for word in words]
        lutra.run("lutc", "explore", *shapes.program(MODEL), "-D", f"L={layers}", "--quant", "w2", "--tables", "i8,row",
                  "--machine", MACHINE, "--rows", ROWS, "--widths", WIDTHS, "--tiles", TILES, *phases, "--csv", out,
                  "--html", out.with_suffix(".html"))
        with open(out, encoding="utf-8") as stream:
            return {tuple(row.values())[:9]: row for row in csv.DictReader(stream)}


def unit(row):
    return f"M{row['unit_m']} N{row['unit_n']} K{row['unit_k']}"


def number(row, name):
    return float(row[name])


def least(rows, value, name):
    """For each value of a column, the least that a row with it has."""
    found = {}
    for row in rows:
        found[row[name]] = min(value(row), found.get(row[name], value(row)))
    return found


def compare(claim, what, rows, value, name, reference):
    """What each value of a column takes at least, of what the published one takes; and which takes least."""
    found = least(rows, value, name)
    letter = {"unit_k": "K", "unit_m": "M"}[name]
    for key, cost in found.items():
        claim.row(f"{what}: {letter} = {key} / {letter} = {reference}", "", cost / found[reference])
    best = min(found.values())
    claim.row(f"{what}: best {letter} / {letter} = {reference}", "", best / found[reference], 1)


def arrays(claim, rows):
    """Area and energy of arrays alone; of all M for each K, then of all M with K = 4."""
    of_four = [row for row in rows if row["unit_k"] == "4"]
    for what, value in (("area for a weight of a cycle", lambda row: 1 / number(row, "weights_per_cycle_mm2")),
                        ("energy of an array's weight", lambda row: number(row, "array_fj_per_weight"))):
        compare(claim, what, rows, value, "unit_k", "4")
        compare(claim, f"{what}, K = 4", of_four, value, "unit_m", "2")
    densest = max(number(row, "weights_per_cycle_mm2") for row in of_four)
    claim.row("1-bit weights, 16-bit activations, M2 N64 K4", "TOPs/mm2", 2e-12 * CLOCK * densest / PASSES_OF_16_BITS, 61.55)


def difference(three, two):
    """What one layer takes on each machine that was estimated."""
    return [row | {name: number(row, name) - number(two[key], name) for name in ("ms", "mj")}
            for key, row in three.items() if row["estimated"] == "yes"]


def machines(claim, layer):
    """A layer on whole machines: builder, registers and everything else are counted."""
    for phase in PHASES:
        rows = [row for row in layer if row["phase"] == phase]
        for what, value in (("latency x area", lambda row: row["ms"] * number(row, "machine_mm2")),
                            ("energy x area", lambda row: row["mj"] * number(row, "machine_mm2"))):
            compare(claim, f"{phase}, {what}", rows, value, "unit_k", "4")
        best = min(rows, key=lambda row: row["ms"] * number(row, "machine_mm2"))
        claim.lines.append([f"{phase}: least latency x area", "", f"{unit(best)}, tile m{best['tile_m']} n{best['tile_n']}", *[""] * 6])


def main():
    claim = claims.Claim("shape", "The shape of the array", "LUT Tensor Core: K = 4 is best for integers, M2 N64 K4 of M N K = 512")
    three, two = sweep(3), sweep(2)
    arrays(claim, list(three.values()))
    machines(claim, difference(three, two))
    claim.show(
        "The paper synthesizes circuits; ours are counted in published cells and operators (docs/explore.md). The model was "
        "committed before the first sweep and is not changed for what a sweep says. N is the power of two nearest to "
        "512 / (M K), so that arrays of K = 3, 5 and 6 do 384, 640 and 384 weights a cycle; areas and energies are of a weight.",
        "Arrays alone have no table builder, as in the paper, whose tables come from another kernel. Whole machines count it, "
        "4 groups of K activations in a cycle in f32, and everything else; there a layer of LLaMA-2 7B in 2 bits is compiled "
        "and estimated for each machine. Units of K other than 4, and of eight rows, have no encoding in Xlut: they are estimates only.")


if __name__ == "__main__":
    main()
