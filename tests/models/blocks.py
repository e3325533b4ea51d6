#!/usr/bin/env python3
"""The linear layers and the feed-forward network of real models' blocks, on the emulator against the oracle.

Real weights, real activations: embeddings of a real text go through the block's norms and linears.
The ternary model must agree bit for bit; float models within 1e-7 (f16 tables) and 1e-4 (i8 tables), and with
i8 tables within twice the noise that uniform rounding of the entries predicts for the layer.
"""
import math
import pathlib
import random
import struct
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import lutra

BLOCKS = lutra.SOURCE / "examples" / "blocks"
FORMATS = ["w4g32", "w4g32z", "w2g64", "w2g16", "w3g64z", "w1g32", "w4g128z", "w2", "w3z", "ternaryg16", "ternary"]


class Gguf:
    """Metadata and F32 tensors of a GGUF file."""
    SIZES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}

    def __init__(self, path):
        self.data, self.at = path.read_bytes(), 8
        tensors, pairs = self.take("Q"), self.take("Q")
        self.meta = {}
        for _ in range(pairs):
            key = self.text()
            self.meta[key] = self.value(self.take("I"))
        self.tensors = {}
        for _ in range(tensors):
            name = self.text()
            shape = [self.take("Q") for _ in range(self.take("I"))][::-1]
            self.tensors[name] = (shape, self.take("I"), self.take("Q"))
        self.start = -(-self.at // 32) * 32

    def take(self, code):
        (value,) = struct.unpack_from("<" + code, self.data, self.at)
        self.at += struct.calcsize(code)
        return value

    def text(self):
        length = self.take("Q")
        self.at += length
        return self.data[self.at - length:self.at].decode()

    def value(self, kind):
        if kind == 8:
            return self.text()
        if kind == 9:
            inner, count = self.take("I"), self.take("Q")
            return [self.value(inner) for _ in range(count)]
        return self.take(self.SIZES[kind])

    def floats(self, name):
        shape, kind, offset = self.tensors[name]
        assert kind == 0, name
        return shape, struct.unpack_from(f"<{math.prod(shape)}f", self.data, self.start + offset)


def tokens_of(text, vocabulary, count):
    """Longest pieces of the vocabulary first: near enough to the tokenizer to be real activations."""
    pieces = {piece: i for i, piece in enumerate(vocabulary)}
    text, out, at = text.replace(" ", "\u2581"), [], 0
    while len(out) < count:
        length = next(n for n in range(12, -1, -1) if n == 0 or text[at:at + n] in pieces)
        if length:
            out.append(pieces[text[at:at + length]])
        at += max(length, 1)
    return out


def embeddings(model, text, count):
    (_, width), table = model.floats("token_embd.weight")
    rows = [table[t * width:(t + 1) * width] for t in tokens_of(text, model.meta["tokenizer.ggml.tokens"], count)]
    return lutra.Array("f32", (count, width), [x for row in rows for x in row])


def rms_norm(x, gain, eps):
    rows, width = x.shape
    out = []
    for r in range(rows):
        row = x.values[r * width:(r + 1) * width]
        scale = 1 / math.sqrt(sum(v * v for v in row) / width + eps)
        out += [v * scale * g for v, g in zip(row, gain)]
    return lutra.Array("f32", x.shape, out)


class Block:
    """One block of one model in one format: the oracle's and the emulator's results of its entries."""

    def __init__(self, folder, program, weights, block, quant=None, tables="i8"):
        self.folder = folder
        self.options = [BLOCKS / program, "--weights", weights, "-D", f"BLOCK={block}"]
        if quant:
            self.options += ["--quant", quant]
        self.elf = folder / "block.elf"
        self.options += ["--tables", tables]
        lutra.run("lutc", *self.options, "-o", self.elf)

    def common(self, entry, x):
        lutra.write_npy(self.folder / "x.npy", x)
        return ["--entry", entry, "--input", f"x=@{self.folder / 'x.npy'}"]

    def oracle(self, entry, x, *more):
        out = self.folder / "want.npy"
        lutra.run("lutc", "eval", *self.options, *more, *self.common(entry, x), "--output", f"result=@{out}")
        return lutra.read_npy(out)

    def emulated(self, entry, x):
        out = self.folder / "got.npy"
        lutra.run("lutrun", self.elf, *self.common(entry, x), "--output", f"result=@{out}")
        return lutra.read_npy(out)

    def predicted(self, entry, x):
        result = lutra.run("lutc", "eval", *self.options, "--table-noise", *self.common(entry, x))
        return float(result.stdout.split()[-1])


def product(a, b, f=lambda v: v):
    return lutra.Array("f32", a.shape, [f(x) * y for x, y in zip(a.values, b.values)])


def silu(x):
    return x / (1 + math.exp(-x))


def layer_inputs(model, arch, block, oracle, x):
    """What each linear of the block sees. The first token attends to itself alone: its attention output is v."""
    name = f"blk.{block}."
    eps = model.meta[f"{arch}.attention.layer_norm_rms_epsilon"]
    heads, kv_heads = model.meta[f"{arch}.attention.head_count"], model.meta[f"{arch}.attention.head_count_kv"]
    norm = lambda v, which: rms_norm(v, model.floats(f"{name}{which}.weight")[1], eps)
    h, f = norm(x, "attn_norm"), norm(x, "ffn_norm")
    v = oracle("v", h)
    depth = v.shape[1] // kv_heads
    repeated = [v.values[r * v.shape[1] + g // (heads // kv_heads) * depth + i]
                for r in range(v.shape[0]) for g in range(heads) for i in range(depth)]
    attended = lutra.Array("f32", (v.shape[0], heads * depth), repeated)
    gated = product(oracle("gate", f), oracle("up", f), silu)
    if arch == "bitnet":
        attended, gated = norm(attended, "attn_sub_norm"), norm(gated, "ffn_sub_norm")
    return {"q": h, "k": h, "v": h, "o": attended, "gate": f, "up": f, "down": gated}


class Report:
    def __init__(self):
        self.failures = 0

    def check(self, what, good, text):
        self.failures += not good
        print(f"{'ok  ' if good else 'FAIL'} {what}: {text}")


def check_bitnet(report, data, folder, text):
    path = data / "bitnet-3m" / "bit3M-bitnet-TQ2_0.gguf"
    model = Gguf(path)
    x = embeddings(model, text, 17)
    for block in (0, 5):
        b = Block(folder, "bitnet_block.lut", path, block)
        for entry, given in layer_inputs(model, "bitnet", block, b.oracle, x).items():
            want, got = b.oracle(entry, given), b.emulated(entry, given)
            report.check(f"bit3M block {block} {entry}", want.values == got.values, "bit for bit")
        error = lutra.nmse(b.emulated("ffn", x), b.oracle("ffn", x))
        report.check(f"bit3M block {block} ffn", error <= 1e-12, f"nmse {error:.2g}")


def check_float(report, data, folder, text, quant, block):
    path = data / "stories260k" / "stories260K-F32.gguf"
    model = Gguf(path)
    x = embeddings(model, text, 17)
    for tables, bound in (("f16", 1e-7), ("i8", 1e-4)):
        b = Block(folder, "llama_block.lut", path, block, quant, tables)
        what = f"stories260K block {block} {quant} {tables} tables"
        for entry, given in layer_inputs(model, "llama", block, b.oracle, x).items():
            want = b.oracle(entry, given)
            error = lutra.nmse(b.emulated(entry, given), want)
            expected = b.predicted(entry, given) if tables == "i8" else math.inf
            report.check(f"{what} {entry}", error <= bound and error <= 2 * expected,
                         f"nmse {error:.2g}" + (f", predicted {expected:.2g}" if tables == "i8" else ""))
        error = lutra.nmse(b.emulated("ffn", x), b.oracle("ffn", x))
        report.check(f"{what} ffn", error <= 10 * bound, f"nmse {error:.2g}")


def main():
    data = lutra.models()
    if not data:
        print("skipped: no real models here (LUTRA_TEST_DATA or ../shared/data)")
        return 77
    text = (data / "text" / "tinystories_sample.txt").read_text()
    report = Report()
    with tempfile.TemporaryDirectory() as name:
        check_bitnet(report, data, pathlib.Path(name), text)
        for quant in FORMATS[:3] if lutra.QUICK else FORMATS:
            check_float(report, data, pathlib.Path(name), text, quant, random.Random(quant).randrange(5))
    print(f"{report.failures} failures" if report.failures else "all layers agree with the oracle")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
