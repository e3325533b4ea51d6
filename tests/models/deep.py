#!/usr/bin/env python3
"""A model of so many layers that its entry becomes several functions, on the emulator and as a library for CPUs."""
import pathlib
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import lutra
import native

LAYERS, WIDTH, ROWS = 300, 64, 3
MOST_ERROR = 1e-6
# Values of the first part are used in the last one: a tensor, a size, a state.
PROGRAM = f"""model deep;
dim T in 1..4;
weights {{ norm[{LAYERS}] : f32[{WIDTH}]; layer[{LAYERS}] : w[{WIDTH}, {WIDTH}]; }}
state seen : f32[4, {WIDTH}];
entry fn main(x: f32[T, {WIDTH}]) -> f32[T, {WIDTH}] {{
    first = linear(x, layer[0]);
    seen[0 : T] = first;
    for i in 0..{LAYERS} {{
        x = 0.9 * x + 0.1 * linear(rms_norm(x, norm[i], eps = 1e-5), layer[i]);
    }}
    return x + first + seen[0 : T];
}}
"""


def parts(elf):
    symbols = subprocess.run(["llvm-nm-19", elf], capture_output=True, text=True, check=True).stdout
    return symbols.count(" t main.part")


def emulated(work, options, given):
    """What one hart gives, and three."""
    elf = work / "deep.elf"
    lutra.run("lutc", *options, "-o", elf)
    if parts(elf) < 2:
        sys.exit("the entry is still one function")
    for harts in (1, 3):
        lutra.run("lutrun", elf, "--harts", harts, *given, "--output", f"result=@{work}/got.npy")
        yield lutra.read_npy(work / "got.npy")


def on_this_cpu(work, options, x):
    """What one thread gives, and three."""
    lutra.run("lutc", *options, "--target=native", "-o", work / "deep.so")
    for threads in (1, 3):
        program = native.Program(work / "deep.so", "deep", threads=threads)
        yield program.call("main", {"x": x})["result"]
        program.close()


def check(name, outputs, want):
    first, *others = outputs
    error = lutra.nmse(first, want)
    print(f"{name}: NMSE {error:.3g}")
    if error > MOST_ERROR:
        sys.exit(f"more than {MOST_ERROR}")
    if any(other != first for other in others):
        sys.exit("the number of harts or threads changes the result")


def main():
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        program, x = work / "deep.lut", work / "x.npy"
        program.write_text(PROGRAM)
        normal = random.Random(1).gauss
        lutra.write_npy(x, lutra.Array("f32", (ROWS, WIDTH), [normal(0, 1) for _ in range(ROWS * WIDTH)]))
        options, given = [program, "--weights", "random:3", "--quant", "w4g32"], lutra.inputs({"x": x})
        lutra.run("lutc", "eval", *options, *given, "--output", f"result=@{work}/want.npy")
        want = lutra.read_npy(work / "want.npy")
        options += ["--tables", "f16"]
        check("emulator", emulated(work, options, given), want)
        check("this CPU", on_this_cpu(work, options, lutra.read_npy(x)), want)


if __name__ == "__main__":
    main()
