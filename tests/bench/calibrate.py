#!/usr/bin/env python3
"""What the quantizers make of few bits: perplexity of the real models, on the emulator with f16 tables, by method.

Calibrated on one text, measured on another, as tests/bench/perplexity.py measures. Tables of docs/models.md.
"""
import pathlib
import sys
import tempfile

import report
import lutra
from perplexity import BOS, VOCAB, WINDOW
from session import PROGRAMS, Program, perplexity, tokens_of

FORMATS = ["w4g32", "w3g64", "w2g64", "w1"]
# Blocks of 64 rows with more bits; the first model's matrices have one or, in front of the gate, three.
MIXES = ["w2g64", "w2g64_34%_w3g64", "w2g64_34%_w4g64", "w2g64_67%_w4g64", "w3g64", "w3g64_67%_w4g64", "w4g64"]
MODELS = [
    ("stories260K", "llama.lut", "stories260k/stories260K-F32.gguf", 6.8981),
    ("bit3M", "bitnet.lut", "bitnet-3m/bit3M-bitnet-F16.gguf", 5.2546),
]
HELD_OUT = pathlib.Path(__file__).resolve().parents[2] / "examples" / "tiny-lm" / "heldout.txt"


def methods(data):
    """The rows: a name, and the options."""
    return [("--plain", ["--plain"]), ("clipped, the default", []), ("--refine", ["--refine"]),
            ("--calibrate, Shakespeare", ["--calibrate", data / "text" / "tinyshakespeare.txt"]),
            ("--calibrate, stories", ["--calibrate", HELD_OUT])]


def measure(folder, data, program, file, quant, options):
    text = tokens_of(data / file, data / "text" / "tinystories_sample.txt")
    model = Program(folder, PROGRAMS / program, data / file, "--quant", quant, "--tables", "f16", *options,
                    emulated=True)
    return perplexity(model, text, BOS, WINDOW, VOCAB)[0]


def table(out, data, folder, model, formats, rows):
    name, program, file, full = model
    print(f"\n| {name} | " + " | ".join(formats) + " |\n|---|" + "---:|" * len(formats), flush=True)
    for method, options in rows:
        cells = []
        for quant in formats:
            value = measure(folder, data, program, file, quant, options)
            out.add(f"{name}, {quant}, {method}", "perplexity", [value], "full precision", full, larger=False)
            cells.append(f"{value:.2f}" if value < 100 else f"{value:.0f}")
        print(f"| {method} | " + " | ".join(cells) + " |", flush=True)


def main():
    data, out = lutra.models(), report.Report()
    if not data:
        sys.exit("bench: error: no real models here ($LUTRA_TEST_DATA or ../shared/data)")
    with tempfile.TemporaryDirectory() as folder:
        for model in MODELS:
            table(out, data, pathlib.Path(folder), model, FORMATS, methods(data))
        table(out, data, pathlib.Path(folder), MODELS[0], MIXES, [methods(data)[1], methods(data)[4]])
    out.save()


if __name__ == "__main__":
    main()
