#!/usr/bin/env python3
"""One layer of LLaMA-7B on the timing model of m2n64k4: how busy the LUT array is in prefill and memory in
decoding, what the front waits for, and what it takes to find out."""
import json
import pathlib
import sys
import tempfile

import report
import lutra
import shapes

TOKENS = 512  # of a prefill; a decoding step stands behind as many
FORMATS = ("w1", "w2", "w4", "w1g64", "w2g64", "w4g64")
BUSY = {"prefill": ("LUT array", "lut_share", 0.95), "decode": ("memory", "memory_share", 0.95)}
STEP = 0.90  # memory, over a whole step of decoding
LIMITS = {"emulated": 5, "timed": 15}  # seconds of processor time, w2
REASONS = 3


def is_linear(function):
    """Kernels that multiply by weights or build their tables."""
    return "mpgemm" in function["name"] or "precompute" in function["name"]


def layer(folder):
    """Metadata of LLaMA-2 7B with one layer and next to no vocabulary."""
    metadata = json.loads((shapes.SHAPES / "llama-2-7b.json").read_text(encoding="utf-8"))
    metadata.update({"llama.block_count": 1, "llama.vocab_size": 64})
    path = folder / "layer.json"
    path.write_text(json.dumps(metadata), encoding="utf-8")
    return path


def build(folder, weights):
    program = folder / f"{weights}.elf"
    lutra.run("lutc", shapes.MODELS / "llama.lut", "--metadata", layer(folder), "--weights", "random:1", "--quant", weights,
              "--tables", "i8,row", "-o", program)
    return program


def run(program, phase, *options):
    tokens, position = (TOKENS, 0) if phase == "prefill" else (1, TOKENS)
    return report.timed(lambda: lutra.run("lutrun", program, "--entry", "forward", "--dim", "B=1", "--dim", f"T={tokens}",
                                          "--input", "tokens=zeros", "--input", f"pos={position}", *options))


def times(program, phase, folder):
    run(program, phase, f"--time=json:{folder / 'time.json'}")
    return json.loads((folder / "time.json").read_text(encoding="utf-8"))


def share(functions, key):
    cycles = sum(f["cycles"] for f in functions)
    return sum(f[key] * f["cycles"] for f in functions) / cycles


def waits(functions):
    """The longest reasons to wait, in percent of the cycles."""
    sums, cycles = {}, sum(f["cycles"] for f in functions)
    for function in functions:
        for reason, value in function["stalls"].items():
            sums[reason] = sums.get(reason, 0) + value
    longest = sorted(sums.items(), key=lambda item: -item[1])[:REASONS]
    return ", ".join(f"{reason} {100 * value / cycles:.0f} %" for reason, value in longest)


def show_kernels(weights, phase, functions, cycles):
    for f in functions[:8]:
        if f["cycles"] >= 0.005 * cycles:
            print(f"{weights:6} {phase:8} {100 * f['cycles'] / cycles:5.1f} % of cycles, LUT array {100 * f['lut_share']:5.1f} %, "
                  f"memory {100 * f['memory_share']:5.1f} %  {f['name']}: {waits([f])}")


def measure(out, weights, folder):
    program = build(folder, weights)
    for phase, (unit, key, goal) in BUSY.items():
        found = times(program, phase, folder)
        functions = found["functions"]
        show_kernels(weights, phase, functions, found["cycles"])
        linear = [f for f in functions if is_linear(f)]
        name = f"timing/{weights} {phase}"
        out.add(f"{name}/{unit} busy, linear kernels", "%", [100 * share(linear, key)], "wanted", 100 * goal, goal=1)
        wanted = ("wanted", 100 * STEP, True, 1) if phase == "decode" else ()
        out.add(f"{name}/{unit} busy, layer", "%", [100 * share(functions, key)], *wanted)
        out.add(f"{name}/time of the layer", "ms", [1000 * found["seconds"]])
        out.add(f"{name}/energy per token", "mJ", [1000 * sum(found["energy"].values()) / (TOKENS if phase == "prefill" else 1)])


def measure_speed(out, folder):
    program = build(folder, "w2")
    for name, options in (("emulated", []), ("timed", [f"--time=json:{folder / 'time.json'}"])):
        seconds = [run(program, "prefill", *options)[1] for _ in range(3)]
        out.add(f"timing/w2 prefill/processor time, {name}", "s", seconds, "limit", LIMITS[name], larger=False, goal=1)


def main():
    out = report.Report()
    with tempfile.TemporaryDirectory() as folder:
        for weights in sys.argv[1:] or FORMATS:
            measure(out, weights, pathlib.Path(folder))
        measure_speed(out, pathlib.Path(folder))
    out.show()


if __name__ == "__main__":
    main()
