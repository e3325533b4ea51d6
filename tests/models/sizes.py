#!/usr/bin/env python3
"""Published models at full size, without weights: they have as many parameters as was published, and compile to programs
whose products, but for the output heads, are lookups; in little memory."""
import math
import pathlib
import re
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import lutra
import shapes

MOST = 200 << 20  # bytes resident at once; a third are LLVM's pages
ENTRIES = 2  # forward and score, each with the output head
# Parameters; of OPT 175B, whose checkpoint is not public, those that its paper's shape gives.
PUBLISHED = {
    "bitnet-2b-4t": 2_412_820_480,
    "bitnet-3b": 3_324_387_840,
    "bitnet-large": 728_842_752,
    "bloom-176b": 176_247_271_424,
    "bloom-560m": 559_214_592,
    "llama-2-13b": 13_015_864_320,
    "llama-2-70b": 68_976_648_192,
    "llama-2-7b": 6_738_415_616,
    "llama-3-8b": 8_030_261_248,
    "mistral-7b": 7_241_732_096,
    "opt-125m": 125_239_296,
    "opt-175b": 174_604_468_224,
    "phi-3-mini": 3_821_079_552,
    "qwen2.5-0.5b": 494_032_768,
    "qwen2.5-1.5b": 1_543_714_304,
    "qwen2.5-7b": 7_615_616_512,
    "smollm-135m": 134_515_008,
    "tinyllama-1.1b": 1_100_048_384,
}
QUICK = ("bitnet-2b-4t", "bloom-560m", "opt-125m", "qwen2.5-0.5b", "tinyllama-1.1b")


def parameters(name):
    graph = shapes.compile(name, "--emit=graph").out
    weights = re.findall(r"^weight @\S+ : [^\s\[]+\[([\d, ]+)\]", graph, re.M)
    return sum(math.prod(map(int, sizes.split(", "))) for sizes in weights)


def check(name, output):
    count = parameters(name)
    if count != PUBLISHED[name]:
        sys.exit(f"{name}: {count} parameters, published are {PUBLISHED[name]}")
    run = shapes.compile(name, "--stats=json", "-o", output)
    stats = lutra.statistics(run.out)
    print(f"{name:15} {count / 1e9:7.2f} G parameters: {run.seconds:5.2f} s, {run.peak / (1 << 20):4.0f} MiB, "
          f"{stats['lut_products']:5} products by lookup, {stats['kernels']:3} kernels, {stats['code_bytes']:6} bytes of code", flush=True)
    if stats["other_products"] > ENTRIES:
        sys.exit(f"{name}: {stats['other_products']} products stay off the LUT path, expected only {ENTRIES}, the heads")
    if run.peak > MOST and not lutra.QUICK:
        sys.exit(f"{name}: more than {MOST >> 20} MiB")


def main():
    if set(shapes.names()) != set(PUBLISHED):
        sys.exit(f"examples/models/shapes and this test differ: {sorted(set(shapes.names()) ^ set(PUBLISHED))}")
    with tempfile.TemporaryDirectory() as folder:
        for name in QUICK if lutra.QUICK else PUBLISHED:
            check(name, pathlib.Path(folder) / "program.elf")


main()
