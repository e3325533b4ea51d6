#!/usr/bin/env python3
"""Products on this CPU: decode from memory and from cache, and prefill, against what was measured of the machine in the
same rounds: read bandwidth, and the peaks of multiplying and of looking up. Times are of whole calls: activations are
prepared, products scaled. Of one thread it is processor time. Calls and the peak take turns, and the ratio is the median of
what neighbours give. Prefills are measured with a scale for 256 activations, the default, and with one for each row (i8,row),
which is what their limit counts. Then whole language models with random weights: decoding, against read bandwidth, and prefill.

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
TABLES_PROGRAM = """model kernel;
dim T in 1..512;
weights {{ v: w[64, {k}] = "v"; w: w[128, {k}] = "w"; }}
entry fn one(x: f32[T, {k}]) -> f32[T, 64] {{ return linear(x, v, type = f32); }}
entry fn two(x: f32[T, {k}]) -> f32[T, 128] {{ return linear(x, w, type = f32); }}
"""
PEERS = {  # what peers.c prints: name, unit, Debian package
    "plain_gops": ("plain C w4g32", "GOP/s", None), "openblas_gflops": ("OpenBLAS f32", "GFLOP/s", "libopenblas0"),
    "onednn_s8_gops": ("oneDNN s8", "GOP/s", "libdnnl2"),
}


class Library:
    """A program, compiled into a folder of its own."""

    def __init__(self, folder, tools, name, program, *arguments):
        self.program, self.tools, self.folder = program, tools, folder / name
        self.folder.mkdir()
        self.source, self.library = self.folder / "program.lut", self.folder / "program.so"
        self.arguments = arguments

    def build(self, source, form):
        lutra.run("lutc", source, *self.arguments, "--weights", "random:1", "--quant", form, "--target=native", "-o",
                  self.library)

    def time(self, rows, threads, *more, seconds=None):
        return json.loads(report.execute(self.tools["time_kernel"], self.library, self.program,
                                         self.library.with_suffix(".lutw"), "--rows", rows, "--threads", threads,
                                         "--seconds", seconds or SECONDS, *more))


class Kernel(Library):
    """A product of one shape and format; activations have a scale for each row, or for 256."""

    def __init__(self, folder, tools, n, k, form, row_scales=False):
        arguments = ("--tables", "i8,row") if row_scales else ()
        super().__init__(folder, tools, f"{n}x{k}-{form}{'-row' if row_scales else ''}", "kernel", *arguments)
        self.n, self.k, self.form = n, k, form
        self.source.write_text(PROGRAM.format(n=n, k=k))
        self.build(self.source, form)

    def rate(self, rows, threads):
        """GOP/s, and how much the peak would have done meanwhile: None where the CPU has no such instructions."""
        operations = 2 * rows * self.n * self.k
        peak = "lookup" if self.form.startswith("w1") else "multiply"
        found = self.time(rows, threads, *(["--beside", peak] if self.tools["peaks"] else []))
        rate = 1e-3 * operations / found["median_us"]
        return rate, rate * threads * found["operations_beside"] / operations if self.tools["peaks"] else None

    def bandwidth(self, threads):
        found = self.time(1, threads, "--cold")
        return 1e-3 * found["weight_bytes"] / found["median_us"]


def build(folder):
    tools = {}
    for name, libraries in {"time_kernel": ["-ldl"], "limits": ["-pthread"], "peers": ["-ldl", "-lm"]}.items():
        tools[name] = folder / name
        report.execute("cc", "-O3", "-march=native", "-ffast-math", f"-I{lutra.SOURCE}", "-D_GNU_SOURCE",
                       report.FOLDER / "native" / f"{name}.c", "-o", tools[name], *libraries)
    tools["peaks"] = limits_of(tools, 1)["multiply_gops"] > 0
    return tools


def group_of(form):
    return int("".join(c for c in form.split("g")[1] if c.isdigit())) if "g" in form else 0


def add_rate(out, name, form, rates, goal):
    """Beside what the format does: the lookup peak, or the multiply peak less the scaling of groups."""
    lookups = form.startswith("w1")
    share = 1 / (1 + 4 / group_of(form)) if group_of(form) and not lookups else 1
    limit = (f"peak of {'lookups' if lookups else 'multiplies'}", [share * peak for _, peak in rates]) if rates[0][1] else ()
    out.add(name, "GOP/s", [rate for rate, _ in rates], *limit, goal=goal)


def limits_of(tools, threads):
    return json.loads(report.execute(tools["limits"], "--threads", threads))


def measure(out, folder, tools, n, k, form):
    kernel, lookups = Kernel(folder, tools, n, k, form), form.startswith("w1")
    prefills = [("", kernel)] if lookups else [("", kernel), (", i8,row", Kernel(folder, tools, n, k, form, True))]
    prefills = [(f"prefill of {rows}{tables}", of, rows) for rows in ROWS for tables, of in prefills]
    for threads in THREADS:
        measures = [lambda: limits_of(tools, threads), lambda: kernel.bandwidth(threads), lambda: kernel.rate(1, threads)]
        measures += [lambda of=of, m=rows: of.rate(m, threads) for _, of, rows in prefills]
        limits, cold, hot, *rates = report.repeat(*measures, times=ROUNDS)
        at = f"{form} {n}x{k}, {threads} thread{'s' if threads > 1 else ''}"
        out.add(f"native/decode from memory/{at}", "GB/s", cold, "memory read", [l["read_gbs"] for l in limits], goal=0.9)
        add_rate(out, f"native/decode from cache/{at}", form, hot, None)
        for (name, _, _), rate in zip(prefills, rates):
            add_rate(out, f"native/{name}/{at}", form, rate, None if lookups else 0.97)


def measure_tables(out, folder, tools, k):
    """What a row takes to prepare: two blocks of columns take twice the products, and prepare it once, too. Calls of both
    take turns."""
    for form, what in ("w1", "tables"), ("w2", "bytes"):
        library = Library(folder, tools, f"tables-{form}", "kernel")
        library.source.write_text(TABLES_PROGRAM.format(k=k))
        library.build(library.source, form)
        measure_one = lambda: library.time(1, 1, "--entry", "two", "--twice", "one")["twice_more_us"]
        out.add(f"native/preparing a row as {what}/K = {k}", "us", report.repeat(measure_one, times=ROUNDS)[0], "wanted",
                TABLES_WANTED, larger=False, goal=1)


class Model(Library):
    """A language model with random weights, that decodes."""

    def __init__(self, folder, tools, size, form):
        super().__init__(folder, tools, f"model-{size}-{form}", "llama")
        self.size = size
        width, hidden, layers, heads, keys = SIZES[size]
        shape = self.folder / "shape.json"
        shape.write_text(json.dumps({
            "general.architecture": "llama", "general.name": "bench", "llama.context_length": 1024,
            "llama.embedding_length": width, "llama.feed_forward_length": hidden, "llama.block_count": layers,
            "llama.attention.head_count": heads, "llama.attention.head_count_kv": keys,
            "llama.attention.layer_norm_rms_epsilon": 1e-5, "llama.rope.dimension_count": width // heads,
            "llama.rope.freq_base": 10000.0, "llama.vocab_size": VOCABULARY,
        }))
        self.arguments = "--metadata", shape
        self.build(lutra.SOURCE / "examples" / "models" / "llama.lut", f"{form},head={form}")

    def matrices(self):
        width, hidden, layers, heads, keys = SIZES[self.size]
        layer = [(width, width), (width * keys // heads, width), (width * keys // heads, width), (width, width),
                 (hidden, width), (hidden, width), (width, hidden)]
        return layers * layer + [(VOCABULARY, width)]

    def microseconds(self, rows, threads):
        return self.time(rows, threads, "--entry", "forward", "--integers", POSITION, "--cold",
                         seconds=3 * SECONDS)["median_us"]

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
    """What is installed; gives the packages that are not."""
    missing = set()
    for threads in THREADS:
        for rows in (1, 128):
            got = report.repeat(lambda: json.loads(report.execute(tools["peers"], n, k, rows, threads)), times=ROUNDS)[0]
            at = f"{n}x{k}, {rows} row{'s' if rows > 1 else ''}, {threads} thread{'s' if threads > 1 else ''}"
            for key, (name, unit, package) in PEERS.items():
                if got[0][key] is None:
                    missing.add(package)
                elif package or threads == 1:
                    out.add(f"native/{name}/{at}", unit, [g[key] for g in got])
    return missing


def main():
    out, missing = report.Report(), set()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        tools = build(folder)
        for shape in SHAPES:
            n, k = map(int, shape.split("x"))
            for form in FORMATS:
                measure(out, folder, tools, n, k, form)
            missing |= peers(out, tools, n, k)
        if SHAPES:
            measure_tables(out, folder, tools, 4096)
        for size in MODELS:
            measure_model(out, folder, tools, size)
    out.show()
    if missing:
        print(f"not measured, as they are not installed: apt install {' '.join(sorted(missing))}")


if __name__ == "__main__":
    main()
