#!/usr/bin/env python3
"""Texts by libraries for CPUs: lutrun --native writes what the oracle writes, and says what keeps it from writing."""
import pathlib
import re
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import lutra

EXAMPLES = lutra.SOURCE / "examples"
PROMPT = "Once upon a time"
COUNT = 40 if lutra.QUICK else 250


class Model:
    def __init__(self, work, name, program, *options):
        self.program, self.options = EXAMPLES / "models" / f"{program}.lut", options
        self.library = self.compile(work / f"{name}.so")

    def compile(self, library, *more):
        lutra.run("lutc", self.program, *self.options, *more, "--target=native", "-o", library)
        return library

    def text(self, *options, library=None):
        return lutra.run("lutrun", "--native", library or self.library, *options).stdout

    def oracle(self, *options):
        return lutra.run("lutc", "eval", self.program, *self.options, *options).stdout


def figures(text):
    return [float(x) for x in re.search(r"perplexity ([\d.]+) .*\nmean loss ([\d.]+) nats", text).groups()]


def check_tiny(work):
    """Integer activations: token for token, on any number of threads and in any batch."""
    model = Model(work, "tiny", "bitnet", "--weights", EXAMPLES / "tiny-lm" / "tiny-lm.gguf")
    want = model.oracle("--prompt", PROMPT, "-n", COUNT)
    for threads in (1, 2):
        assert model.text("--prompt", PROMPT, "-n", COUNT, "--threads", threads) == want, f"{threads} threads"
    prompts = [PROMPT, "Rusty was a", "One day"]
    batch = model.compile(work / "batch.so", "-D", "BATCH=2")
    together = model.text(*[x for p in prompts for x in ("--prompt", p)], "-n", 30, library=batch)
    assert together == "\n".join(model.text("--prompt", p, "-n", 30) for p in prompts), together
    heldout = ["--perplexity", EXAMPLES / "tiny-lm" / "heldout.txt", "--context", 256, "--windows", 2]
    for got, expected in zip(figures(model.text(*heldout)), figures(model.oracle(*heldout))):
        assert abs(got / expected - 1) < 1e-3, (got, expected)
    print("tiny-lm: the oracle's text")
    return model


def check_stories(work):
    folder = lutra.models() / "stories260k"
    model = Model(work, "stories", "llama", "--weights", folder / "stories260K-F32.gguf", "--quant", "none")
    want = (folder / "expected-greedy-256.txt").read_text()
    assert model.text("--prompt", PROMPT, "-n", 252) == want
    print("stories260K: the reference's text")


def refused(what, *words, code=1):
    done = lutra.run("lutrun", "--native", *words, check=False)
    assert done.returncode == code, f"exit code {done.returncode}: {done.stderr}"
    assert what in done.stderr and not done.stdout, f"'{done.stderr}' does not say '{what}'"


def check_refusals(work, tiny):
    ask = ("--prompt", "x")
    refused("none.so: error: cannot open it", work / "none.so", *ask)
    (work / "text.so").write_text("no library")
    refused("cannot load library '%s': it is not an ELF file" % (work / "text.so"), work / "text.so", *ask)
    c_library = next((p for p in ("libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6") if pathlib.Path(p).exists()), None)
    if c_library:
        refused("it has no 'lutra_library'", c_library, *ask)
    packed = tiny.library.with_suffix(".lutw").read_bytes()
    for name, data in {"short": packed[:-1], "magic": b"X" + packed[1:], "other": packed + packed}.items():
        (work / f"{name}.lutw").write_bytes(data)
        refused("does not hold the weights of", tiny.library, "--weights", work / f"{name}.lutw", *ask)
    for at in (24, 32, 40, 48):  # offsets and sizes of directory and metadata
        (work / "torn.lutw").write_bytes(packed[:at] + b"\xff" * 8 + packed[at + 8:])
        refused("packed weights", tiny.library, "--weights", work / "torn.lutw", *ask)
    refused("threads at most", tiny.library, "--threads", 1000, *ask)
    refused("expected a library and what to write", tiny.library, code=2)
    refused("unknown option", tiny.library, "--input", "x=1", *ask, code=2)
    (work / "sum.lut").write_text("model sum;\nentry fn main(x: f32[4]) -> f32[4] { return x + x; }\n")
    lutra.run("lutc", work / "sum.lut", "--target=native", "-o", work / "sum.so")
    refused("it has no entry 'forward(", work / "sum.so", *ask)
    print("refused what writes no text")


def main():
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        tiny = check_tiny(work)
        check_refusals(work, tiny)
        if lutra.models():
            check_stories(work)
        else:
            print("stories260K: skipped, no models: set LUTRA_TEST_DATA")


if __name__ == "__main__":
    main()
