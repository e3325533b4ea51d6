#!/usr/bin/env python3
"""Products on this CPU: decode from memory and from cache, and prefill, against what was measured of the machine in the
same rounds: read bandwidth, and the peaks of multiplying and of looking up. Times are of whole calls: activations are
prepared, products scaled. Of one thread it is processor time.

LUTRA_BENCH_SHAPES=4096x4096,11008x4096, LUTRA_BENCH_FORMATS=w2,w4g32 and LUTRA_BENCH_THREADS=1 choose others.
"""
import json
import os
import pathlib
import tempfile

import report
import lutra

SHAPES = os.environ.get("LUTRA_BENCH_SHAPES", "4096x4096").split(",")
FORMATS = os.environ.get("LUTRA_BENCH_FORMATS", "w1,w2,w3,w4,ternary,w1g64,w2g64,w4g32,w4g128").split(",")
THREADS = [int(t) for t in os.environ.get("LUTRA_BENCH_THREADS", "1,2").split(",")]
ROUNDS, SECONDS = 3, 0.3
PROGRAM = """model kernel;
dim T in 1..512;
weights {{ w: w[{n}, {k}] = "w"; }}
entry fn main(x: f32[T, {k}]) -> f32[T, {n}] {{ return linear(x, w, type = f32); }}
"""


class Kernel:
    """A product of one shape and format, compiled; times in microseconds."""

    def __init__(self, folder, tools, n, k, form):
        self.n, self.k, self.tools, self.stem = n, k, tools, folder / f"{n}x{k}-{form}"
        source = self.stem.with_suffix(".lut")
        source.write_text(PROGRAM.format(n=n, k=k))
        lutra.run("lutc", source, "--weights", "random:1", "--quant", form, "--target=native", "-o",
                  self.stem.with_suffix(".so"))

    def time(self, rows, threads, cold):
        command = [self.tools["time_kernel"], self.stem.with_suffix(".so"), "kernel", self.stem.with_suffix(".lutw"), "--rows",
                   rows, "--threads", threads, "--seconds", SECONDS, *(["--cold"] if cold else [])]
        found = json.loads(report.execute(*command))
        return found["median_us"], found["weight_bytes"]

    def rate(self, rows, threads):
        return 2e-3 * rows * self.n * self.k / self.time(rows, threads, False)[0]

    def bandwidth(self, threads):
        microseconds, size = self.time(1, threads, True)
        return 1e-3 * size / microseconds


def build(folder):
    tools = {}
    for name, libraries in {"time_kernel": ["-ldl"], "limits": ["-pthread"], "peers": ["-ldl", "-lm"]}.items():
        tools[name] = folder / name
        report.execute("cc", "-O3", "-march=native", "-ffast-math", f"-I{lutra.SOURCE}", "-D_GNU_SOURCE",
                       report.FOLDER / "native" / f"{name}.c", "-o", tools[name], *libraries)
    return tools


def group_of(form):
    return int("".join(c for c in form.split("g")[1] if c.isdigit())) if "g" in form else 0


def limit(limits, form, threads):
    """Of what the format does: the lookup peak, or the multiply peak less the scaling of groups."""
    if form.startswith("w1"):
        return [threads * l["lookup_gops"] for l in limits]
    share = 1 / (1 + 4 / group_of(form)) if group_of(form) else 1
    return [threads * share * l["multiply_gops"] for l in limits]


def measure(out, folder, tools, n, k, form):
    kernel = Kernel(folder, tools, n, k, form)
    for threads in THREADS:
        measures = [lambda: kernel.bandwidth(threads), lambda: kernel.rate(1, threads), lambda: kernel.rate(128, threads),
                    lambda: json.loads(report.execute(tools["limits"], "--threads", threads))]
        cold, hot, prefill, limits = report.repeat(*measures, times=ROUNDS)
        at = f"{form} {n}x{k}, {threads} thread{'s' if threads > 1 else ''}"
        out.add(f"native/decode from memory/{at}", "GB/s", cold, "memory read", [l["read_gbs"] for l in limits], goal=0.9)
        what = "lookups" if form.startswith("w1") else "multiplies"
        out.add(f"native/decode from cache/{at}", "GOP/s", hot, f"peak of {what}", limit(limits, form, threads))
        out.add(f"native/prefill of 128/{at}", "GOP/s", prefill, f"peak of {what}", limit(limits, form, threads),
                goal=None if form.startswith("w1") else 0.97)


def peers(out, tools, n, k):
    for threads in THREADS:
        for rows in (1, 128):
            got = report.repeat(lambda: json.loads(report.execute(tools["peers"], n, k, rows, threads)), times=ROUNDS)[0]
            at = f"{n}x{k}, {rows} row{'s' if rows > 1 else ''}, {threads} thread{'s' if threads > 1 else ''}"
            if threads == 1:
                out.add(f"native/plain C w4g32/{at}", "GOP/s", [g["plain_gops"] for g in got])
            out.add(f"native/OpenBLAS f32/{at}", "GFLOP/s", [g["openblas_gflops"] for g in got])
            out.add(f"native/oneDNN s8/{at}", "GOP/s", [g["onednn_s8_gops"] for g in got])


def main():
    out = report.Report()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        tools = build(folder)
        for shape in SHAPES:
            n, k = map(int, shape.split("x"))
            for form in FORMATS:
                measure(out, folder, tools, n, k, form)
            peers(out, tools, n, k)
    out.show()


if __name__ == "__main__":
    main()
