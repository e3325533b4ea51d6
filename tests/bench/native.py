#!/usr/bin/env python3
"""Products on this CPU: decode from memory and from cache, and prefill, against what was measured of the machine in the
same rounds: read bandwidth, and the peaks of multiplying and of looking up. Times are of whole calls: activations are
prepared, products scaled. Of one thread it is processor time. Then whole language models with random weights: decoding,
against read bandwidth, and prefill.

LUTRA_BENCH_SHAPES=4096x4096,11008x4096, LUTRA_BENCH_FORMATS=w2,w4g32, LUTRA_BENCH_THREADS=1, LUTRA_BENCH_ROWS=128,512 and
LUTRA_BENCH_MODELS=1.1e8,1.1e9 choose others; LUTRA_BENCH_ALL=1 takes everything.
"""
import json
import os
import pathlib
import tempfile

import report
import lutra



def chosen(name, few, all_of_them=None):
    usual = all_of_them or few if os.environ.get("LUTRA_BENCH_ALL") else few
    return [word for word in os.environ.get(f"LUTRA_BENCH_{name}", usual).split(",") if word]


BASES = ("w1", "w2", "w3", "w4", "ternary")
SHAPES = chosen("SHAPES", "4096x4096", "4096x4096,11008x4096,4096x11008,2560x6912")
FORMATS = chosen("FORMATS", "w1,w2,w3,w4,ternary,w1g64,w2g64,w4g32,w4g128",
                 ",".join(base + group for base in BASES for group in ("", "g32", "g64", "g128")))
THREADS = [int(t) for t in chosen("THREADS", "1,2")]
ROWS = [int(m) for m in chosen("ROWS", "128", "128,512")]  # of prefills
MODELS = chosen("MODELS", "1.1e8", "1.1e8,1.1e9")
ROUNDS, SECONDS = 3, 0.3
TABLES_WANTED = 1.5  # microseconds, at a depth of 4096
SIZES = {  # width, hidden, layers, heads, heads of keys
    "1.1e8": (768, 2048, 12, 12, 4), "1.1e9": (2048, 5632, 22, 32, 4),
}
VOCABULARY, POSITION = 32000, 63
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


def limits_of(tools, threads):
    return json.loads(report.execute(tools["limits"], "--threads", threads))


def measure(out, folder, tools, n, k, form):
    kernel = Kernel(folder, tools, n, k, form)
    for threads in THREADS:
        measures = [lambda: limits_of(tools, threads), lambda: kernel.bandwidth(threads), lambda: kernel.rate(1, threads)]
        measures += [lambda m=rows: kernel.rate(m, threads) for rows in ROWS]
        limits, cold, hot, *prefills = report.repeat(*measures, times=ROUNDS)
        at = f"{form} {n}x{k}, {threads} thread{'s' if threads > 1 else ''}"
        out.add(f"native/decode from memory/{at}", "GB/s", cold, "memory read", [l["read_gbs"] for l in limits], goal=0.9)
        what = "lookups" if form.startswith("w1") else "multiplies"
        out.add(f"native/decode from cache/{at}", "GOP/s", hot, f"peak of {what}", limit(limits, form, threads))
        for rows, prefill in zip(ROWS, prefills):
            out.add(f"native/prefill of {rows}/{at}", "GOP/s", prefill, f"peak of {what}", limit(limits, form, threads),
                    goal=None if form.startswith("w1") else 0.97)


def measure_tables(out, folder, tools, k):
    """What a row takes to prepare: two blocks of columns take twice the products, and prepare it once, too."""
    for form, what in ("w1", "tables"), ("w2", "bytes"):
        one, two = (Kernel(folder, tools, n, k, form) for n in (64, 128))
        short, long = report.repeat(lambda: one.time(1, 1, False)[0], lambda: two.time(1, 1, False)[0], times=ROUNDS)
        out.add(f"native/preparing a row as {what}/K = {k}", "us", [2 * s - l for s, l in zip(short, long)], "wanted",
                TABLES_WANTED, larger=False, goal=1)


class Model:
    """A language model with random weights, that decodes."""

    def __init__(self, folder, tools, size, form):
        self.tools, self.size, self.stem = tools, size, folder / f"model-{size}-{form}"
        width, hidden, layers, heads, keys = SIZES[size]
        shape = self.stem.with_suffix(".json")
        shape.write_text(json.dumps({
            "general.architecture": "llama", "general.name": "bench", "llama.context_length": 1024,
            "llama.embedding_length": width, "llama.feed_forward_length": hidden, "llama.block_count": layers,
            "llama.attention.head_count": heads, "llama.attention.head_count_kv": keys,
            "llama.attention.layer_norm_rms_epsilon": 1e-5, "llama.rope.dimension_count": width // heads,
            "llama.rope.freq_base": 10000.0, "llama.vocab_size": VOCABULARY,
        }))
        lutra.run("lutc", lutra.SOURCE / "examples" / "models" / "llama.lut", "--metadata", shape, "--weights", "random:1",
                  "--quant", f"{form},head={form}", "--target=native", "-o", self.stem.with_suffix(".so"))

    def matrices(self):
        width, hidden, layers, heads, keys = SIZES[self.size]
        layer = [(width, width), (width * keys // heads, width), (width * keys // heads, width), (width, width),
                 (hidden, width), (hidden, width), (width, hidden)]
        return layers * layer + [(VOCABULARY, width)]

    def microseconds(self, rows, threads):
        return json.loads(report.execute(
            self.tools["time_kernel"], self.stem.with_suffix(".so"), "llama", self.stem.with_suffix(".lutw"), "--entry",
            "forward", "--rows", rows, "--threads", threads, "--integers", POSITION, "--seconds", 3 * SECONDS, "--cold"))["median_us"]

    def bandwidth(self, threads):
        """Of two-bit weights with a scale a row."""
        return 1e-3 * sum(n * k / 4 + 4 * n for n, k in self.matrices()) / self.microseconds(1, threads)

    def tokens(self, rows, threads):
        return 1e6 * rows / self.microseconds(rows, threads)


def measure_model(out, folder, tools, size):
    model = Model(folder, tools, size, "w2")
    for threads in THREADS:
        limits, decode, prefill = report.repeat(lambda: limits_of(tools, threads), lambda: model.bandwidth(threads),
                                                lambda: model.tokens(128, threads), times=ROUNDS)
        at = f"w2, {size} parameters, {threads} thread{'s' if threads > 1 else ''}"
        out.add(f"native/decoding/{at}", "GB/s", decode, "memory read", [l["read_gbs"] for l in limits], goal=0.85)
        out.add(f"native/prefill of 128/{at}", "tokens/s", prefill)


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
        if SHAPES:
            measure_tables(out, folder, tools, 4096)
        for size in MODELS:
            measure_model(out, folder, tools, size)
    out.show()


if __name__ == "__main__":
    main()
