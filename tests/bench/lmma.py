#!/usr/bin/env python3
"""The LUT unit in compiled programs: lmma and weights per second, against a plain native loop; a small language model
decoded, against the bandwidth of reading memory."""
import json
import os
import pathlib
import tempfile

import native
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
CASES = [  # weights, tables
    ("w1", "i8"), ("w2", "i8"), ("w3", "i8"), ("w4", "i8"), ("w2g64", "i8"), ("w2", "i8 row"), ("w2g64", "i8 row"),
    ("w2", "i16"), ("w2", "f16"),
]
ROWS = (1, 16)
SHAPES = [  # of real layers, whose weights lie in outer caches, one row; 1e9 weights per second wanted on AVX-512
    ("w2", "i8 row", 4096, 4096, 150), ("w2g64", "i8 row", 4096, 4096, 120), ("w2", "i16", 4096, 4096, 75),
    ("w2g64", "i16", 4096, 4096, 60), ("w2", "i8", 4096, 4096, None), ("w2", "i8 row", 11008, 4096, None),
    ("w2g64", "i8 row", 2560, 6912, None),
]
MODEL = {  # 1.1e8 parameters that a token reads, and an embedding
    "general.architecture": "llama", "general.name": "decode",
    "llama.context_length": 1024, "llama.embedding_length": 768, "llama.feed_forward_length": 2048,
    "llama.block_count": 12, "llama.attention.head_count": 12, "llama.attention.head_count_kv": 4,
    "llama.attention.layer_norm_rms_epsilon": 1e-5, "llama.rope.dimension_count": 64,
    "llama.rope.freq_base": 10000.0, "llama.vocab_size": 32000,
    "tokenizer.ggml.model": "llama", "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2,
    "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)] +
                             [f"w{number}" for number in range(259, 32000)],
    "tokenizer.ggml.scores": [0.0] * 32000,
    "tokenizer.ggml.token_type": [2, 3, 3] + [6] * 256 + [1] * 31741,
}
DECODED = [("w2,head=w2", "i8,row"), ("w2g64,head=w2g64", "i8,row"), ("w2,head=w2", "i8")]  # weights, tables
HARTS = (1, 2)
WARM, TOKENS = 8, 128
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


def measure(out, gemv, program, case, rows):
    weight, tables = case
    calls = calls_that_last(program, rows, SECONDS)
    runs, loops = report.repeat(
        lambda: emulate(program, rows, calls),
        lambda: float(report.execute(gemv, TABLES[tables][3], rows, SIDE, SIDE, SECONDS).split()[0]),
        times=REPETITIONS)
    name = f"lmma/{weight}/{tables} tables/T = {rows}"
    out.add(f"{name}/lmma", "1e6/s", [lmma / seconds / 1e6 for seconds, lmma in runs])
    work = rows * SIDE * SIDE / 1e9
    out.add(f"{name}/weights", "1e9/s", [work / seconds for seconds, _ in runs],
            f"native {TABLES[tables][3]} loop, 8-bit weights", [work / seconds for seconds in loops])


def measure_shape(out, folder, weight, tables, n, k, target):
    program = build(weight, tables, folder, n, k)
    calls = calls_that_last(program, 1, SECONDS)
    runs, = report.repeat(lambda: emulate(program, 1, calls), times=REPETITIONS)
    weights = [n * k / seconds / 1e9 for seconds, _ in runs]
    baseline = ("target", target) if target and avx512() else ()
    out.add(f"lmma/{weight}/{tables} tables/{n} x {k}/weights", "1e9/s", weights, *baseline, goal=1 if baseline else None)


def decode(program, tokens, harts):
    """Seconds behind the prompt."""
    result = lutra.run("lutrun", program, "-p", "a", "-n", tokens, "--ignore-eos", "--harts", harts, "--stats=json")
    return lutra.statistics(result.stderr)["text"]["decode"]["seconds"]


def decode_token(program, harts):
    """Seconds of a token, without those in which machine code is made."""
    return (decode(program, WARM + TOKENS, harts) - decode(program, WARM, harts)) / TOKENS


def weight_bytes(quant):
    """Of the weights that a token reads: two bits each, and a scale for each row (f32) or 64 columns (f16)."""
    width, hidden = MODEL["llama.embedding_length"], MODEL["llama.feed_forward_length"]
    keys = width * MODEL["llama.attention.head_count_kv"] // MODEL["llama.attention.head_count"]
    layer = [(width, width), (keys, width), (keys, width), (width, width), (hidden, width), (hidden, width), (width, hidden)]
    matrices = MODEL["llama.block_count"] * layer + [(MODEL["llama.vocab_size"], width)]
    grouped = "g64" in quant
    return sum(n * k / 4 + (n * k / 32 if grouped else 4 * n) for n, k in matrices)


def measure_decoding(out, folder):
    shape, read, tools = folder / "model.json", report.native("read", folder), native.build(folder)
    shape.write_text(json.dumps(MODEL), encoding="utf-8")
    bandwidths = {1: lambda: float(report.execute(read, READ, SECONDS).split()[0]) / 1e9,
                  2: lambda: native.limits_of(tools, 2)["read_gbs"]}
    for quant, tables in DECODED:
        program = folder / "model.elf"
        lutra.run("lutc", lutra.SOURCE / "examples" / "models" / "llama.lut", "--metadata", shape, "--weights", "random:1",
                  "--quant", quant, "--tables", tables, "-o", program)
        for harts in HARTS:
            if len(os.sched_getaffinity(0)) < harts:
                continue
            tokens, reads = report.repeat(lambda p=program, h=harts: decode_token(p, h), bandwidths[harts],
                                          times=REPETITIONS)
            name = f"lmma/decode {quant}/{tables} tables{'' if harts == 1 else f', {harts} harts'}"
            out.add(f"{name}/tokens", "1/s", [1 / seconds for seconds in tokens])
            out.add(f"{name}/weights", "GB/s", [weight_bytes(quant) / seconds / 1e9 for seconds in tokens],
                    "reading memory", reads, goal=0.7)


def main():
    out = report.Report()
    with tempfile.TemporaryDirectory() as folder:
        gemv = report.native("gemv", folder)
        for shape in SHAPES:
            measure_shape(out, pathlib.Path(folder), *shape)
        measure_decoding(out, pathlib.Path(folder))
        for case in CASES:
            program = build(case[0], case[1], pathlib.Path(folder))
            for rows in ROWS:
                measure(out, gemv, program, case, rows)
    out.show()


if __name__ == "__main__":
    main()
