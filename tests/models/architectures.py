#!/usr/bin/env python3
"""Every architecture of examples/models on tiny random models.

Without quantization the oracle must agree with a plain Python implementation of the architecture (reference.py), and
must not when the program is changed where a mistake would be likely. With it, the emulator must agree with the
oracle on the same weights. A prompt read at once, in pieces and token by token, alone and in a batch beside
others, must give the same logits, bit for bit.
"""
import argparse
import pathlib
import random
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import gguf
import lutra
import reference
from session import PROGRAMS, Program, Report, difference, flat

PROMPT = [7, 1, 49, 0, 23, 8, 8, 31, 2, 17, 44, 5]
CALLS = [7, 1, 1, 1, 2]  # tokens of each call: a prompt, single tokens, two more

SHORT = [1.0 + p / 4 for p in range(3)]
LONG = [2.0 + p for p in range(3)]
LLAMA3 = reference.llama3_factors(500000.0, 3, 8.0, 1.0, 4.0, 32)
MODELS = {
    "llama": reference.Llama(),
    "llama heads of 8, tied, biases": reference.Llama(head_dim=8, tied=True, bias=True, kv_heads=6),
    "llama linear scaling": reference.Llama(linear=4.0, kv_heads=1),
    "llama yarn": reference.Llama(head_dim=16, yarn=(4.0, 32)),
    "llama 3.1": reference.Llama(factors=LLAMA3, base=500000.0, kv_heads=3),
    "qwen2": reference.Qwen2(tied=True, eps=1e-6, base=1e6),
    "qwen2 untied": reference.Qwen2(kv_heads=3),
    "bitnet": reference.Bitnet(tied=True, eps=1e-12),
    "bitnet scales": reference.Bitnet(tied=True, scales=True),
    "bitnet-b1.58": reference.BitnetB158(tied=True, base=500000.0),
    "phi3": reference.Phi3(window=5),
    "phi3 long context, short": reference.Phi3(short=SHORT, long=LONG, original=64, magnitude=1.19, kv_heads=6),
    "phi3 partly rotated": reference.Phi3(head_dim=6, rotated=4),
    "opt": reference.Opt(),
    "bloom": reference.Bloom(),
    "bloom 5 heads": reference.Bloom(dim=40, heads=5),
}
# Formats and table types; the tables of integer activations are exact.
FORMATS = [("none", "none"), ("w4g32", "f16"), ("w2g16z", "i8"), ("w1", "f16")]
TERNARY = [("keep", "none")]
QUICK_MODELS = ["llama", "bitnet scales", "bloom 5 heads"]

# Of the logits, emulator against oracle: what f32 arithmetic (with an f16 key or value that it rounds to the other
# side), f16 and i8 table entries bring. Normalized mean square errors.
BOUNDS = {"none": 1e-8, "f16": 2e-6, "i8": 1e-3}
REFERENCE_BOUND = 1e-10  # 1e-5 of the logits

# What a mistake in a program or in a file would look like: each must be seen.
MUTATIONS = {
    "llama": [("layout = interleaved", "layout = half"), ("head        : dense[V, D] = \"output.weight\" or embed",
                                                         "head        : dense[V, D] = \"token_embd.weight\""),
              ("silu(", "sigmoid("), ("pairs = ROT / 2", "pairs = 2"), ("attn_{k,v}", "attn_{v,k}")],
    "llama 3.1": [("\"rope_freqs.weight\"", "\"rope_freqs\"")],
    "llama yarn": [("scaling = SCALING", "scaling = linear")],
    "qwen2": [("layout = half", "layout = interleaved"), (", bias = b.bk", "")],
    "bitnet": [("layout = half", "layout = interleaved"), ("== \"bitnet\" { return silu", "== \"\" { return silu"),
               ("rms_norm(g * u, b.ffn_sub_norm, eps = EPS)", "g * u * b.ffn_sub_norm")],
    "phi3": [("window = WINDOW", "window = 4"), ("silu(h[:, :, 0 : F]) * h[:, :, F : 2 * F]",
                                                 "silu(h[:, :, F : 2 * F]) * h[:, :, 0 : F]")],
    "phi3 long context, short": [("factors = short", "factors = long")],
    "opt": [("+ OFFSET;", "+ 1;"), ("attn_{q,k,v,output}.bias", "attn_{k,q,v,output}.bias")],
    "bloom": [(", alibi = 8", ""), ("alibi = 8", "alibi = 4")],
    "bloom 5 heads": [("form = tanh", "form = erf")],
}


def pieces(tokens):
    """The prompt in calls: position and tokens of each."""
    at = 0
    for count in CALLS:
        yield at, tokens[at:at + count]
        at += count


def check_calls(report, what, program, vocab):
    """All ways of reading a prompt agree; returns its logits."""
    score, = program.session([("score", [0], [PROMPT])], vocab)
    split = program.session([("score", [p], [t]) for p, t in pieces(PROMPT)], vocab)
    report.check(f"{what}: in pieces", flat(split) == score)
    single = program.session([("forward", [i], [[t]]) for i, t in enumerate(PROMPT)], vocab)
    report.check(f"{what}: token by token", flat(single) == score)
    prefill = program.session([("forward", [p], [t]) for p, t in pieces(PROMPT)], vocab)
    ends = [sum(CALLS[:i + 1]) - 1 for i in range(len(CALLS))]
    report.check(f"{what}: last logits", flat(prefill) == [score[e] for e in ends])
    again = program.session([("score", [0], [PROMPT[::-1]]), ("score", [0], [PROMPT[:4]]),
                             ("score", [4], [PROMPT[4:]])], vocab)
    report.check(f"{what}: a new text over an old one", again[1] + again[2] == score)
    return score


def check_batch(report, what, program, alone, vocab):
    """Sequences at positions of their own, in a batch whose size changes, against each of them alone."""
    r = random.Random(what)
    texts = [[r.randrange(vocab) for _ in range(14)] for _ in range(3)]
    starts = [9, 0, 4]
    calls = [("score", [0], [texts[0][:9]]), ("score", [0, 0, 0], [t[:4] for t in texts])]
    calls += [("score", starts, [t[s:s + 3] for t, s in zip(texts, starts)]),
              ("forward", [12, 3], [texts[0][12:13], texts[1][3:4]]), ("forward", [7, 4, 7], [[t[9]] for t in texts])]
    calls[1] = ("score", [0, 0, 0], [texts[0][:4], texts[1][5:9], texts[2][:4]])
    got = program.session(calls, vocab)
    for b in range(3):
        mine, want = [], []
        for (entry, positions, tokens), rows in zip(calls, got):
            if b < len(tokens):
                count = len(rows) // len(tokens)
                mine.append((entry, [positions[b]], [tokens[b]]))
                want.append(rows[b * count:(b + 1) * count])
        report.check(f"{what}: sequence {b} of a batch", alone.session(mine, vocab) == want)


def mutated(folder, path, change):
    text = path.read_text()
    assert change[0] in text, f"{path.name} has no '{change[0]}'"
    out = folder / path.name
    out.write_text(text.replace(*change))
    return out


def check_reference(report, folder, name, model, weights):
    path, plain = PROGRAMS / model.program, "keep" if model.program == "bitnet.lut" else "none"
    want = flat(model.forward(PROMPT))
    program = Program(folder, path, weights, "--quant", plain)
    error = difference(flat(check_calls(report, f"{name} oracle", program, model.vocab)), want)
    report.check(f"{name}: as in Python", error <= REFERENCE_BOUND, f"nmse {error:.2g}")
    for change in MUTATIONS.get(name, []):
        program = Program(folder, mutated(folder, path, change), weights, "--quant", plain)
        error = difference(flat(program.session([("score", [0], [PROMPT])], model.vocab)[0]), want)
        report.check(f"{name}: {change[0]} -> {change[1]} is seen", error > 100 * REFERENCE_BOUND, f"nmse {error:.2g}")
    batch = Program(folder, path, weights, "--quant", plain, "-D", "BATCH=3")
    check_batch(report, f"{name} oracle", batch, batch, model.vocab)


def vector_passes(tables):
    """The usual passes, but for the matrix unit: it rounds blocks of queries otherwise than single ones."""
    quantize = f"quantize-tables(type={tables})" if tables != "none" else "quantize-tables"
    return ["--passes", f"fold,quantize-weights,split-precompute,{quantize},pack-weights,fuse,choose-tiles,"
            "lower-to-tile,partition,assign-tile-registers,plan-memory"]


def check_matrix(report, folder, what, path, weights, options, tables, want, vocab):
    """With the matrix unit: a prompt at once, and in pieces."""
    program = Program(folder, path, weights, *options, emulated=True)
    score, = program.session([("score", [0], [PROMPT])], vocab)
    split = program.session([("score", [p], [t]) for p, t in pieces(PROMPT)], vocab)
    error = max(difference(flat(got), flat(want)) for got in (score, flat(split)))
    report.check(f"{what}: on the matrix unit", error <= BOUNDS[tables], f"nmse {error:.2g}")


def check_emulator(report, folder, name, model, weights, quant, tables):
    path, what = PROGRAMS / model.program, f"{name} {quant} {tables}"
    options = ["--quant", quant] + ([] if tables == "none" else ["--tables", tables])
    oracle = Program(folder, path, weights, *options)
    want, = oracle.session([("score", [0], [PROMPT])], model.vocab)
    check_matrix(report, folder, what, path, weights, options, tables, want, model.vocab)
    options = ["--quant", quant] + vector_passes(tables)
    emulated = Program(folder, path, weights, *options, emulated=True)
    error = difference(flat(check_calls(report, what, emulated, model.vocab)), flat(want))
    report.check(f"{what}: as the oracle", error <= BOUNDS[tables], f"nmse {error:.2g}")
    folder = folder / "batch"
    folder.mkdir(exist_ok=True)
    batch = Program(folder, path, weights, *options, "-D", "BATCH=3", emulated=True)
    check_batch(report, what, batch, emulated, model.vocab)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--oracle", action="store_true", help="without the emulator")
    options.add_argument("models", nargs="*", help="names of cases; all")
    arguments = options.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for case in arguments.models or (QUICK_MODELS if lutra.QUICK else MODELS):
            model, weights = MODELS[case], folder / "model.gguf"
            gguf.write_f32(weights, *model.gguf())
            check_reference(report, folder, case, model, weights)
            formats = TERNARY if model.program == "bitnet.lut" else FORMATS
            for quant, tables in [] if arguments.oracle else formats:
                check_emulator(report, folder, case, model, weights, quant, tables)
    print(f"{report.failures} failures" if report.failures else "all architectures are what they should be")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
