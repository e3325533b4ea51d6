#!/usr/bin/env python3
"""Real models with quantized weights, teacher-forced on real text: the emulator against the oracle.

Both have the same weights, so what differs is arithmetic: f32 and, where activations are floats, the rounding of
table entries, of which the perplexity must show next to nothing. With the same rounding in the oracle, the likeliest
token must be the same wherever the oracle prefers it clearly.
"""
import math
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import lutra
from session import PROGRAMS, Program, Report, loss, tokens_of

BOS, VOCAB = 1, 512  # of both models
COUNT = 512          # tokens, the context of both
# Of a change of the perplexity, by activations and tables. Among 512 tokens the steps of 8-bit activations do not
# average out: those of bit3M change it by 0.02 to 0.1 %, this way or that.
MOST = {("floats", "f16"): 0.001, ("floats", "i8"): 0.006, ("integers", "f16"): 0.002}
# Name, program, file, what its activations are, the margin of logits beyond which the first place must be the same,
# formats. Rounding to 8 bits makes steps: now and then the last bit of an f32 decides about a whole one, and that moves
# logits by some hundredths where activations are rounded so, by a tenth where table entries are; halves make smaller
# steps, which move logits by up to three hundredths.
MODELS = [
    ("stories260K", "llama.lut", "stories260k/stories260K-F32.gguf", "floats", 0.04,
     ["w4g32", "none", "w4g128", "w3g32", "w3g64z", "w2g64z", "ternary", "w1g32"]),
    ("bit3M", "bitnet.lut", "bitnet-3m/bit3M-bitnet-TQ2_0.gguf", "integers", 0.12, ["keep", "w4g32", "w2g64"]),
]


def best(row):
    return max(range(len(row)), key=row.__getitem__)


def second(row, first):
    return max(v for i, v in enumerate(row) if i != first)


def top_tokens(report, what, got, want, margin):
    """The likeliest token of every row that prefers one clearly; how clearly the others that differ preferred one."""
    margins = [(w[best(w)] - second(w, best(w)), best(g) == best(w)) for g, w in zip(got, want)]
    clear, widest = sum(m > margin for m, _ in margins), max((m for m, same in margins if not same), default=0)
    report.check(f"{what}: top tokens", widest <= margin, f"{clear} clear ones; margins where they differ: at most {widest:.3f}")


def perplexities(report, what, got, want, tokens, most):
    a, b = (math.fsum(loss(row, t) for row, t in zip(rows, tokens[1:])) / (len(tokens) - 1) for rows in (got, want))
    change = math.exp(a - b) - 1
    report.check(f"{what}: perplexity", abs(change) <= most, f"{math.exp(a):.4f}, {100 * change:+.3f} %")


def check_model(report, folder, data, name, program, file, activations, margin, formats):
    path, weights = PROGRAMS / program, data / file
    tokens = [BOS, *tokens_of(weights, data / "text" / "tinystories_sample.txt")][:128 if lutra.QUICK else COUNT]
    calls = [("score", [0], [tokens])]
    for quant in formats[:1] if lutra.QUICK else formats:
        ideal, = Program(folder, path, weights, "--quant", quant).session(calls, VOCAB)
        for tables in ["f16", "i8"] if activations == "floats" and quant != "none" else ["f16"]:
            what = f"{name} {quant} {tables}"
            emulated = Program(folder, path, weights, "--quant", quant, "--tables", tables, emulated=True)
            got, = emulated.session(calls, VOCAB)
            perplexities(report, what, got, ideal, tokens, MOST[activations, tables])
            if tables == "f16":
                rounded, = emulated.rounded().session(calls, VOCAB)
                top_tokens(report, what, got, rounded, margin)


def main():
    data = lutra.models()
    if not data:
        print("skipped: no real models here (LUTRA_TEST_DATA or ../shared/data)")
        return 77
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        for model in MODELS:
            check_model(report, pathlib.Path(folder), data, *model)
    print(f"{report.failures} failures" if report.failures else "quantized models are as the oracle has them")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
