#!/usr/bin/env python3
"""What quantizing costs: perplexity of the real models on real text, on the emulator, by format and entries of tables.

llama.cpp's rule, windows of 256 tokens; the table is that of docs/models.md. Activations of bit3M are 8-bit integers,
whose tables are exact: there the entries make no difference.
"""
import pathlib
import sys
import tempfile

import report
import lutra
from session import PROGRAMS, Program, perplexity, tokens_of

BOS, VOCAB, WINDOW = 1, 512, 256
GROUPS = ["g32z", "g32", "g64", ""]
FORMATS = ["keep", "none"] + [base + group for base in ("w4", "w3", "w2", "w1") for group in GROUPS]
FORMATS += ["ternary" + group for group in GROUPS[1:]]
STORIES = ("llama.lut", "stories260k/stories260K-F32.gguf")
BITNET = ("bitnet.lut", "bitnet-3m/bit3M-bitnet-TQ2_0.gguf")
COLUMNS = [  # name, program and file, tables, formats that would say nothing
    ("stories260K, f16 tables", STORIES, "f16", ["keep"]),
    ("stories260K, i8 tables", STORIES, "i8", ["keep", "none"]),
    ("bit3M", BITNET, "f16", []),
]
LLAMA_CPP = {("stories260K, f16 tables", "none"): 6.8981, ("bit3M", "keep"): 5.2625}  # same files, same text


def measure(folder, data, program, file, quant, tables):
    text = tokens_of(data / file, data / "text" / "tinystories_sample.txt")
    model = Program(folder, PROGRAMS / program, data / file, "--quant", quant, "--plain", "--tables", tables, emulated=True)
    return perplexity(model, text, BOS, WINDOW, VOCAB)[0]


def line(cells):
    widths = [10] + [max(len(name), 6) for name, *_ in COLUMNS]
    print("| " + " | ".join([cells[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(cells[1:], widths[1:])]) + " |",
          flush=True)


def main():
    data, out = lutra.models(), report.Report()
    if not data:
        sys.exit("bench: error: no real models here ($LUTRA_TEST_DATA or ../shared/data)")
    line(["format"] + [name for name, *_ in COLUMNS])
    line(["-" * 10] + ["-" * (max(len(name), 6) - 1) + ":" for name, *_ in COLUMNS])
    with tempfile.TemporaryDirectory() as folder:
        for quant in FORMATS:
            cells = [quant]
            for name, model, tables, empty in COLUMNS:
                value = None if quant in empty else measure(pathlib.Path(folder), data, *model, quant, tables)
                cells.append("" if value is None else f"{value:.2f}" if value < 1000 else f"{value:.0f}")
                if value is not None:
                    known = LLAMA_CPP.get((name, quant))
                    out.add(f"{name}, {quant}", "perplexity", [value], known and "llama.cpp", known, larger=False)
            line(cells)
    out.save()


if __name__ == "__main__":
    main()
