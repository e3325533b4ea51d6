#!/usr/bin/env python3
"""LUT Tensor Core: K = 4 and M2 N64 K4 as the best array. What can be counted; the optimum itself needs a model of area."""
import claims

PRODUCTS = 512  # M N K of the arrays that the paper sweeps
ENTRY = 8  # bits
NO_AREA = "no model of area and energy has been frozen before a sweep"


def depth(claim, k):
    """What a depth of k activations takes: larger tables, fewer lookups."""
    entries = 2 ** (k - 1)
    claim.row(f"K = {k}: lookups for a weight and bit", "", 1 / k)
    claim.row(f"K = {k}: entries of half a table for an activation", "", entries / k)
    claim.row(f"K = {k}: two-way selections of a lookup for a weight and bit", "", (entries - 1) / k)


def array(claim, m, n, k):
    """Bits that an array takes in for one plane: tables for its rows, and a bit of each weight."""
    claim.row(f"M{m} N{n} K{k}: bits of tables and of a plane", "bit", m * 2 ** (k - 1) * ENTRY + n * k)


def main():
    claim = claims.Claim("shape", "The shape of the array", "LUT Tensor Core: K = 4 is best for integers, M2 N64 K4 of M N K = 512")
    for k in range(2, 4 if claims.QUICK else 7):
        depth(claim, k)
    for k in (2, 4):
        for m in (1, 2, 4, 8):
            array(claim, m, PRODUCTS // (m * k), k)
    claim.missing("K = 4 is best", NO_AREA)
    claim.missing("M2 N64 K4 is best", NO_AREA)
    claim.show(
        f"Counted, not measured: half tables of {ENTRY}-bit entries, one plane of weights at a time. Each activation more "
        "doubles a table.",
        "The paper synthesizes circuits and compares area and power. Counts alone do not say which shape is best, and none is "
        "called so here.")


if __name__ == "__main__":
    main()
