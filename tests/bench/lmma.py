#!/usr/bin/env python3
"""The LUT unit in compiled programs: lmma and weights per second, against a plain native loop; a small language model
decoded, against the bandwidth of reading memory."""
import json
import pathlib
import tempfile

import report
import lutra

SIDE = 1024  # N and K: the weights lie in the cache
PROGRAM = """model bench;
dim T in 1..16;
weight w: {weight}[{n}, {k}];
entry fn main(x: {x}[T, {k}]) -> {y}[T, {n}] {{ return linear(x, w); }}
"""
PASSES = ("fold,quantize-weights,split-precompute,quantize-tables(type={}),pack-weights,fuse,choose-tiles,"
          "lower-to-tile,assign-tile-registers,plan-memory")
TABLES = {  # entries of the tables: activations, result, quantize-tables, activations of the native loop
    "i8": ("f16", "f16", "i8", "i8"),
    "i8 row": ("f16", "f16", "i8,scale=row", "i8"),
    "i16": ("i8", "f32", "i8", "i8"),
    "f16": ("f16", "f16", "f16", "f32"),
}
CASES = [  # weights, tables, 1e9 weights per second that are wanted of one row on AVX-512
    ("w1", "i8", None), ("w2", "i8", None), ("w3", "i8", None), ("w4", "i8", None), ("w2g64", "i8", None),
    ("w2", "i8 row", 150), ("w2g64", "i8 row", 120), ("w2", "i16", 75), ("w2", "f16", None),
]
ROWS = (1, 16)
SHAPES = [  # of real layers, whose weights lie in outer caches: one row, tables scaled by rows
    ("w2", 4096, 4096), ("w2g64", 4096, 4096), ("w2", 11008, 4096), ("w2g64", 2560, 6912),
]
MODEL = {  # 1.1e8 parameters that a token reads, and an embedding
    "general.architecture": "llama", "general.name": "decode",
    "llama.context_length": 1024, "llama.embedding_length": 768, "llama.feed_forward_length": 2048,
    "llama.block_count": 12, "llama.attention.head_count": 12, "llama.attention.head_count_kv": 4,
    "llama.attention.layer_norm_rms_epsilon": 1e-5, "llama.rope.dimension_count": 64,
    "llama.rope.freq_base": 10000.0, "llama.vocab_size": 32000,
}
DECODED = [("w2,head=w2", "i8,row"), ("w2g64,head=w2g64", "i8,row"), ("w2,head=w2", "i8")]  # weights, tables
POSITION, TOKENS = 63, 24
READ = 1 << 28  # bytes
SECONDS = 0.2  # of one measurement
REPETITIONS = 5


def avx512():
    info = pathlib.Path("/proc/cpuinfo")
    return info.exists() and "avx512bw" in info.read_text(encoding="utf-8").split()


def build(weight, tables, folder, n=SIDE, k=SIDE):
    x, y, kind, _ = TABLES[tables]
    source, program = folder / "bench.lut", folder / f"{weight}-{tables.replace(' ', '-')}-{n}-{k}.elf"
    source.write_text(PROGRAM.format(weight=weight, x=x, y=y, n=n, k=k), encoding="utf-8")
    lutra.run("lutc", source, "--weights", "random:1", "--passes", PASSES.format(kind), "-o", program)
    return program


def run(program, rows, calls):
    """Processor seconds, and the counts of all calls."""
    result = report.timed(lambda: lutra.run("lutrun", program, "--input", "x=random:1", "--dim", f"T={rows}",
                                            "--repeat", calls, "--stats=json"))
    return result[1], lutra.statistics(result[2].stderr)["work"]


def emulate(program, rows, calls):
    """Processor seconds per call without those of loading, and lmma per call."""
    load = run(program, rows, 1)[0]
    seconds, work = run(program, rows, calls + 1)
    return (seconds - load) / calls, work["lmma"] / (calls + 1)


def calls_that_last(program, rows, seconds):
    calls = 1
    while (elapsed := emulate(program, rows, calls)[0] * calls) < seconds / 4:
        calls *= 2
    return max(1, round(calls * seconds / elapsed))


def measure(out, native, program, case, rows):
    weight, tables, target = case
    calls = calls_that_last(program, rows, SECONDS)
    runs, loops = report.repeat(
        lambda: emulate(program, rows, calls),
        lambda: float(report.execute(native, TABLES[tables][3], rows, SIDE, SIDE, SECONDS).split()[0]),
        times=REPETITIONS)
    name = f"lmma/{weight}/{tables} tables/T = {rows}"
    weights = [rows * SIDE * SIDE / seconds / 1e9 for seconds, _ in runs]
    out.add(f"{name}/lmma", "1e6/s", [lmma / seconds / 1e6 for seconds, lmma in runs])
    out.add(f"{name}/weights", "1e9/s", weights, f"native {TABLES[tables][3]} loop, 8-bit weights",
            [rows * SIDE * SIDE / seconds / 1e9 for seconds in loops])
    if target and rows == 1 and avx512():
        out.add(f"{name}/weights on AVX-512", "1e9/s", weights, "target", target, goal=1)


def measure_shape(out, folder, weight, n, k):
    program = build(weight, "i8 row", folder, n, k)
    calls = calls_that_last(program, 1, SECONDS)
    runs, = report.repeat(lambda: emulate(program, 1, calls), times=REPETITIONS)
    out.add(f"lmma/{weight}/i8 row tables/{n} x {k}/weights", "1e9/s", [n * k / seconds / 1e9 for seconds, _ in runs])


def decode(program, tokens):
    """Processor seconds."""
    return report.timed(lambda: lutra.run(
        "lutrun", program, "--entry", "forward", "--input", "tokens=ones", "--input", f"pos={POSITION}",
        "--dim", "B=1", "--dim", "T=1", "--repeat", tokens))[1]


def decode_token(program):
    """Processor seconds of a token."""
    return (decode(program, 1 + TOKENS) - decode(program, 1)) / TOKENS


def weight_bytes(quant):
    """Of the weights that a token reads: two bits each, and a scale for each row (f32) or 64 columns (f16)."""
    width, hidden = MODEL["llama.embedding_length"], MODEL["llama.feed_forward_length"]
    keys = width * MODEL["llama.attention.head_count_kv"] // MODEL["llama.attention.head_count"]
    layer = [(width, width), (keys, width), (keys, width), (width, width), (hidden, width), (hidden, width), (width, hidden)]
    matrices = MODEL["llama.block_count"] * layer + [(MODEL["llama.vocab_size"], width)]
    grouped = "g64" in quant
    return sum(n * k / 4 + (n * k / 32 if grouped else 4 * n) for n, k in matrices)


def measure_decoding(out, folder):
    shape, read = folder / "model.json", report.native("read", folder)
    shape.write_text(json.dumps(MODEL), encoding="utf-8")
    for quant, tables in DECODED:
        program = folder / "model.elf"
        lutra.run("lutc", lutra.SOURCE / "examples" / "models" / "llama.lut", "--metadata", shape, "--weights", "random:1",
                  "--quant", quant, "--tables", tables, "-o", program)
        tokens, reads = report.repeat(lambda p=program: decode_token(p),
                                      lambda: float(report.execute(read, READ, SECONDS).split()[0]), times=REPETITIONS)
        name = f"lmma/decode {quant}/{tables} tables"
        out.add(f"{name}/tokens", "1/s", [1 / seconds for seconds in tokens])
        out.add(f"{name}/weights", "GB/s", [weight_bytes(quant) / seconds / 1e9 for seconds in tokens],
                "reading memory", [speed / 1e9 for speed in reads], goal=0.7)


def main():
    out = report.Report()
    with tempfile.TemporaryDirectory() as folder:
        native = report.native("gemv", folder)
        for weight, n, k in SHAPES:
            measure_shape(out, pathlib.Path(folder), weight, n, k)
        measure_decoding(out, pathlib.Path(folder))
        for case in CASES:
            program = build(case[0], case[1], pathlib.Path(folder))
            for rows in ROWS:
                measure(out, native, program, case, rows)
    out.show()


if __name__ == "__main__":
    main()
