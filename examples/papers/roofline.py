#!/usr/bin/env python3
"""LUT Tensor Core, roofline of one kernel: lookups move it to more work for a byte, and to a higher peak."""
import pathlib
import tempfile

import claims

M, N, K = 2048, 27648, 5120
PROGRAM = f"""dim T in 1..{M};
weights {{ w : w[{N}, {K}]; }}
entry fn main(x: f16[T, {K}]) -> f16[T, {N}] {{ return linear(x, w, type = f16); }}
"""
CASES = [  # name, machine, weights, published TFLOPs and FLOP/B
    ("16 bits, matrix unit", "a100-fp16", "f16", 288.9, 225),
    ("1 bit, 4 LUT units", "a100-lut4x", "w1", 1104, 736),
    ("1 bit, 8 LUT units", "a100-lut8x", "w1", None, None),
    ("1 bit, 8 LUT units, doubled registers", "a100-lut8x-2r", "w1", None, None),
]


def estimate(source, machine, weights, row_block):
    passes = claims.pipeline(quantize_tables="type=i8,scale=row", choose_tiles=f"row_block={row_block},rows={M}")
    return claims.estimate(source, "--machine", machine, "--quant", weights, "--dim", f"T={M}", "--passes", passes)["total"]


def main():
    claim = claims.Claim("roofline", "Roofline of one kernel", f"LUT Tensor Core, kernel study: {M} x {N} x {K}")
    rates, onchip, limits = {}, {}, []
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "kernel.lut"
        source.write_text(PROGRAM, encoding="utf-8")
        for name, machine, weights, rate, intensity in CASES[:2] if claims.QUICK else CASES:
            total = min((estimate(source, machine, weights, block) for block in claims.ROW_BLOCKS), key=lambda t: t["seconds"])
            work = 2 * M * N * K
            rates[machine], onchip[machine] = work / total["seconds"] / 1e12, work / total["l2_bytes"]
            limits.append(f"{total['bound']} ({name})")
            claim.row(f"{name}: rate", "TFLOPs", rates[machine], rate)
            claim.row(f"{name}: work for a byte from l2", "FLOP/B", onchip[machine], intensity)
            claim.row(f"{name}: work for a byte of memory", "FLOP/B", work / (total["memory_read"] + total["memory_written"]))
            claim.row(f"{name}: LUT array or matrix unit busy", "%",
                      100 * max(total["busy"].get(unit, 0) for unit in ("LUT array", "matrix")) / total["cycles"])
    claim.row("rate, 1 bit / 16 bits", "", rates["a100-lut4x"] / rates["a100-fp16"], 1104 / 288.9)
    claim.row("work for a byte from l2, 1 bit / 16 bits", "", onchip["a100-lut4x"] / onchip["a100-fp16"], 736 / 225)
    claim.show(
        "Ours are estimates of compiled kernels; building the tables is part of them. The paper's 16-bit figure is CUTLASS on "
        "an A100, its other one of an A100 with LUT units, which does not exist.",
        "The paper does not say at which level its bytes are counted. Ours are those that cross from l2 to the "
        "multiprocessors, and those of memory; the published ones stand beside the former.",
        "The paper's thread blocks are 128 x 512, staged in shared memory. Row and column tiles of a block of our lookup "
        "kernels are as many as tile registers can hold sums for, chosen by the compiler's model. "
        f"What limits ours: {', '.join(limits)}.")


if __name__ == "__main__":
    main()
