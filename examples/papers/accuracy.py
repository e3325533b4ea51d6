#!/usr/bin/env python3
"""What 8-bit tables cost a language model in perplexity, on real models and real text."""
import pathlib
import re
import sys
import tempfile

import claims
import lutra

MODELS = claims.ROOT / "examples" / "models"
TEXT = "text/tinystories_sample.txt"
STORIES = ("llama.lut", "stories260k/stories260K-F32.gguf")
BITNET = ("bitnet.lut", "bitnet-3m/bit3M-bitnet-TQ2_0.gguf")
CASES = [  # name, model, weights, tables, windows of the text (0: all),
    # published perplexity with 16-bit and with 8-bit tables, of which paper
    ("stories260K w2g32z", STORIES, "w2g32z", "i8", 0, (7.68, 7.69), "LUT Tensor Core"),
    ("stories260K w2g32z, a scale per row", STORIES, "w2g32z", "i8,row", 0, (7.68, 7.69), "LUT Tensor Core"),
    ("stories260K w4g32", STORIES, "w4g32", "i8", 0, (5.96, 5.96), "T-MAC"),
    ("stories260K w4g32, a scale per row", STORIES, "w4g32", "i8,row", 0, (5.96, 5.96), "T-MAC"),
    ("bit3M, ternary, 8-bit activations", BITNET, "keep", "i8", 2, None, None),
]
SKIP = 77


def perplexity(data, folder, model, quant, tables, windows):
    program, file = model
    elf = folder / "model.elf"
    lutra.run("lutc", MODELS / program, "--weights", data / file, "--quant", quant, "--tables", tables, "-o", elf)
    out = lutra.run("lutrun", elf, "--perplexity", data / TEXT, "--context", "256", *(["--windows", windows] if windows else []))
    return float(re.search(r"perplexity (\d+\.\d+)", out.stdout)[1])


def main():
    data = lutra.models()
    if not data or not (data / TEXT).exists():
        print("accuracy: skipped: no real models here ($LUTRA_TEST_DATA or ../shared/data)")
        sys.exit(SKIP)
    claim = claims.Claim("accuracy", "What 8-bit tables cost in perplexity",
                         "LUT Tensor Core: LLaMA2-7B in 2 bits, 7.68 to 7.69; T-MAC: LLaMA-2-7B in 4 bits, 5.96 to 5.96")
    with tempfile.TemporaryDirectory() as name:
        for case, model, quant, tables, windows, published, paper in CASES[:1] if claims.QUICK else CASES:
            windows = 1 if claims.QUICK else windows
            wide, narrow = (perplexity(data, pathlib.Path(name), model, quant, t, windows) for t in ("f16", tables))
            claim.row(f"{case}: perplexity, 16-bit tables", "", wide)
            claim.row(f"{case}: perplexity, 8-bit tables", "", narrow)
            claim.row(f"{case}: 8-bit / 16-bit tables", "", narrow / wide, published and published[1] / published[0], paper)
    claim.show(
        "Ours: models that fit here, of 260 thousand and 3 million parameters, on a page of stories, windows of 256 tokens of "
        "which the second half counts, run on the emulator. Theirs: LLaMA-2-7B on WikiText-2. "
        "Perplexities themselves do not compare; what 8-bit tables change does.",
        "The paper's tables have a scale each (8 entries), T-MAC's one for 64 activations; ours as the compiler chooses for "
        "groups of weights, or one for each row.",
        "Activations that are 8-bit integers have exact tables: for bit3M nothing may change, and BitNet was published so.",
        "The paper's zero-shot tasks and MMLU are not available here.")


if __name__ == "__main__":
    main()
