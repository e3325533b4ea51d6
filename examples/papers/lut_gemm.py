#!/usr/bin/env python3
"""LUT-GEMM: work is m n q / mu; what smaller groups cost in bits and time and give in accuracy; OPT-175B's token."""
import pathlib
import tempfile

import claims
import lutra

MU = 4  # activations of a lookup; LUT-GEMM has 8
PROGRAM = """dim T in 1..16;
weights {{ w : w[{m}, {n}]; }}
entry fn main(x: f32[T, {n}]) -> f32[T, {m}] {{ return linear(x, w, type = f32); }}
"""
SIZES = [(512, 512), (1024, 512), (512, 2048)]
GROUPS = [32, 64, 128, 256]
SIDE, PLANES = 2048, 3


def source(folder, m, n):
    path = folder / f"linear{m}x{n}.lut"
    path.write_text(PROGRAM.format(m=m, n=n), encoding="utf-8")
    return path


def compile(path, folder, quant):
    """The program, and what lutc says of it."""
    elf = folder / "linear.elf"
    words = ["lutc", path, "--weights", "random:1", "--quant", quant, "--tables", "f16", "--stats=json", "-o", elf]
    return elf, lutra.statistics(lutra.run(*words).stdout)


def lookups(folder, m, n, quant):
    elf, _ = compile(source(folder, m, n), folder, quant)
    out = folder / "stats.json"
    lutra.run("lutrun", elf, "--input", "x=random:1", "--dim", "T=1", f"--stats=json:{out}")
    return lutra.statistics(out.read_text())["work"]["lookups"]


def count(claim, folder):
    for m, n in SIZES[:1] if claims.QUICK else SIZES:
        for q in (1, 2, 3, 4):
            claim.row(f"lookups of {m} x {n}, bcq{q}", "", lookups(folder, m, n, f"bcq{q}"), m * n * q / MU, f"m n q / {MU}")


def ideal(path, folder, quant):
    out = folder / f"{quant}.npy"
    lutra.run("lutc", "eval", path, "--weights", "random:1", "--quant", quant, "--input", "x=random:1", "--dim", "T=4",
              "--output", f"result=@{out}")
    return lutra.read_npy(out)


def trade(claim, folder):
    path = source(folder, SIDE, SIDE)
    exact = ideal(path, folder, "f32")
    for group in GROUPS[-1:] if claims.QUICK else GROUPS:
        quant = f"bcq{PLANES}g{group}"
        _, packed = compile(path, folder, quant)
        total = claims.estimate(path, "--machine", "m2n64k4", "--quant", quant, "--tables", "f16", "--dim", "T=1")["total"]
        bits = 8 * packed["weight_bytes"] / SIDE ** 2
        claim.row(f"{quant}: bits of a weight", "bit", bits, PLANES * (1 + 16 / group), "q (1 + 16 / g)")
        claim.row(f"{quant}: NMSE of products", "", lutra.nmse(ideal(path, folder, quant), exact))
        claim.row(f"{quant}: time of a row, m2n64k4", "ms", 1e3 * total["seconds"])


def main():
    claim = claims.Claim("lut-gemm", "Work, groups, and a token of OPT-175B", "LUT-GEMM (arXiv 2206.09557)")
    with tempfile.TemporaryDirectory() as folder:
        count(claim, pathlib.Path(folder))
        trade(claim, pathlib.Path(folder))
    if not claims.QUICK:
        for machine in ("a100-lut4x", "a100-lut8x"):
            token = claims.forward("opt-175b", machine, "--quant", "bcq3g128", batch=1, tokens=1, tables="type=f16")
            claim.row(f"a token of OPT-175B, 3 bits, {machine}", "ms", 1e3 * token["total"]["seconds"], 51.6)
            read = sum(token["total"][way] for way in ("memory_read", "memory_written"))
            claim.row(f"a token of OPT-175B, 3 bits, {machine}, beside its traffic", "ms", 1e3 * token["total"]["seconds"],
                      1e3 * read / 1.935e12, "bound of traffic")
    claim.show(
        f"Lookups are counted by the emulator, for one row; a lookup is of {MU} weights and one bit of each, LUT-GEMM's of 8. "
        "What building tables costs is not in m n q / mu, neither theirs nor ours.",
        "Weights are random (seed 1), fitted greedily to binary codes; NMSE is that of the oracle's products against those of "
        "the unquantized weights, without rounding of tables. Times are estimates of the default edge machine, with 16-bit "
        "tables.",
        "A token: LUT-GEMM ran CUDA kernels on one A100, the whole model included; ours is an estimate of an A100 with LUT "
        "units, groups of 128, nothing before the token.")


if __name__ == "__main__":
    main()
