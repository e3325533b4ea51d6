#!/usr/bin/env python3
"""A feed-forward network in low-bit weights, called with NumPy arrays, beside the oracle and NumPy's own products.

    python3 examples/native/ffn.py [FOLDER]         keeps what it compiles in FOLDER; lutc is found on PATH or in build/bin
"""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

try:
    import numpy
except ModuleNotFoundError:
    sys.exit("ffn.py: this example needs NumPy: apt-get install python3-numpy")

import lutra

EXAMPLES = pathlib.Path(__file__).resolve().parents[1]
PROGRAM, WEIGHTS = EXAMPLES / "ffn" / "ffn.lut", EXAMPLES / "ffn" / "ffn.gguf"
FORMAT, TOKENS, MOST_ERROR = "w4g32", 3, 1e-3


def lutc(*words):
    tool = shutil.which("lutc") or EXAMPLES.parent / "build" / "bin" / "lutc"
    subprocess.run([tool, *map(str, words)], check=True)


def oracle(folder, x):
    numpy.save(folder / "x.npy", x)
    lutc("eval", PROGRAM, "--weights", WEIGHTS, "--quant", FORMAT, "--entry", "main", "--input", f"x=@{folder}/x.npy",
         "--output", f"result=@{folder}/y.npy")
    return numpy.load(folder / "y.npy").astype(numpy.float64)


def seconds(work, repeats=50):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return numpy.median(times)


def run(folder):
    lutc(PROGRAM, "--weights", WEIGHTS, "--quant", FORMAT, "--target=native", "-o", folder / "ffn.so")
    with lutra.Program(folder / "ffn.so") as program:
        d = program.entries["main"][1].inputs[0].shape[1].value
        x = numpy.random.default_rng(1).standard_normal((TOKENS, d)).astype(numpy.float16)
        y = numpy.asarray(program.main(x=x)["result"])
        want = oracle(folder, x)
        error = numpy.sum((y - want) ** 2) / numpy.sum(want ** 2)
        print(f"main{x.shape} at {program.level}: {y.dtype}{y.shape}, error of {error:.2g} of the result's energy")
        gate = numpy.asarray(program.layer_gate(x=x)["result"])
        dense, wide = numpy.zeros((gate.shape[1], d), numpy.float32), x.astype(numpy.float32)
        print(f"one layer: {1e6 * seconds(lambda: program.layer_gate(x=x)):.1f} us in {FORMAT}, called from Python; "
              f"{1e6 * seconds(lambda: wide @ dense.T):.1f} us in f32 by NumPy")
    assert error < MOST_ERROR, f"more than {MOST_ERROR}"


def main():
    if len(sys.argv) > 1:
        run(pathlib.Path(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        run(pathlib.Path(folder))


if __name__ == "__main__":
    main()
