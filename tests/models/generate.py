#!/usr/bin/env python3
"""Real models, whole: text in, text out, on the emulator and with the oracle.

Greedy texts are the references, token for token (with 8-bit activations up to a choice that was near), and perplexities
are within 0.5 % of the reference figures; emulator and oracle agree. A batch writes what its texts are alone, and lutrun compiles a model file by itself.
"""
import pathlib
import re
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import lutra
from blocks import Gguf

PROMPT = "Once upon a time"
# Of llama.cpp, context 256, on tinystories_sample.txt.
MODELS = [
    # folder, file, model, options, perplexity
    ("stories260k", "stories260K-F32.gguf", "llama", ["--quant", "none"], 6.8981),
    ("stories260k", "stories260K-Q8_0.gguf", "llama", ["--quant", "none"], 6.9291),
    ("bitnet-3m", "bit3M-bitnet-TQ2_0.gguf", "bitnet", [], 5.2546),
]
# With activations of 8 bits, a last bit's difference between two ways to add is now and then a code that rounds to
# the other side, and that moves logits by a tenth. Where the two best tokens are nearer than this, either may follow.
# With attention by vectors the text is equal.
NEAR = {"llama": 0, "bitnet": 0.1}


def encode(file, text):
    """Token ids of SentencePiece BPE: the best score merges first."""
    tokens, scores = file.meta["tokenizer.ggml.tokens"], file.meta["tokenizer.ggml.scores"]
    ids = {token: i for i, token in enumerate(tokens)}
    pieces = list("\u2581" + text.replace(" ", "\u2581"))
    while True:
        pairs = [(-scores[ids[a + b]], i) for i, (a, b) in enumerate(zip(pieces, pieces[1:])) if a + b in ids]
        if not pairs:
            break
        _, i = min(pairs)
        pieces[i:i + 2] = [pieces[i] + pieces[i + 1]]
    return [1] + [j for p in pieces for j in ([ids[p]] if p in ids else [ids[f"<0x{b:02X}>"] for b in p.encode()])]


def figures(text):
    found = re.search(r"perplexity ([\d.]+) \+/- [\d.]+ .*\nmean loss ([\d.]+) nats", text)
    return [float(x) for x in found.groups()]


class Model:
    def __init__(self, work, folder, name, model, options):
        self.file = lutra.models() / folder / name
        self.program = lutra.SOURCE / "examples" / "models" / f"{model}.lut"
        self.options, self.work = ["--weights", self.file, *options], work
        self.elf = self.compile(f"{name}.elf")

    def compile(self, name, *more):
        elf = self.work / name
        lutra.run("lutc", self.program, *self.options, *more, "-o", elf)
        return elf

    def emulator(self, *options):
        return lutra.run("lutrun", self.elf, *options).stdout

    def oracle(self, *options):
        return lutra.run("lutc", "eval", self.program, *self.options, *options).stdout

    def gap(self, ids, token):
        """By the oracle: how far `token` is behind the likeliest one that follows `ids`."""
        lutra.write_npy(self.work / "tokens.npy", lutra.Array("i32", (1, len(ids)), ids))
        lutra.write_npy(self.work / "pos.npy", lutra.Array("i32", (1,), [0]))
        self.oracle("--entry", "forward", "--input", f"tokens=@{self.work}/tokens.npy", "--input",
                    f"pos=@{self.work}/pos.npy", "--output", f"result=@{self.work}/logits.npy")
        logits = lutra.read_npy(self.work / "logits.npy").values
        return max(logits) - logits[token]


def check_text(model, text, expected, near):
    """Equal, or unlike from a choice on that was near; returns how many tokens are equal."""
    file = Gguf(model.file)
    want, got = encode(file, expected), encode(file, text)
    equal = next((i for i, (a, b) in enumerate(zip(want, got)) if a != b), min(len(want), len(got)))
    if text != expected:
        gaps = [model.gap(want[:equal], token) for token in (want[equal], got[equal])]
        assert max(gaps) < near, f"behind {equal} tokens, {gaps} behind the best:\n{text}"
    return f"{equal} of {len(want)}"


def check_texts(model, name, folder):
    count = 40 if lutra.QUICK else 252
    emulator = model.emulator("--prompt", PROMPT, "-n", count)
    oracle = model.oracle("--prompt", PROMPT, "-n", count)
    if lutra.QUICK:
        return check_text(model, emulator, oracle, NEAR[name])
    expected = (lutra.models() / folder / "expected-greedy-256.txt").read_text()
    by_vectors = model.compile("vectors.elf", "--disable", "use-matrix")
    vectors = lutra.run("lutrun", by_vectors, "--prompt", PROMPT, "-n", count).stdout
    texts = [(vectors, 0), (emulator, NEAR[name]), (oracle, NEAR[name])]
    return " and ".join(check_text(model, text, expected, near) for text, near in texts)


def check_perplexity(model, reference):
    options = ["--perplexity", lutra.models() / "text" / "tinystories_sample.txt", "--context", 256]
    if lutra.QUICK:
        options += ["--windows", 1]
    (perplexity, loss), (oracle, oracle_loss) = figures(model.emulator(*options)), figures(model.oracle(*options))
    near = 1e-2 if lutra.QUICK else 2e-3  # of one window, or all
    assert abs(perplexity / oracle - 1) < near, (perplexity, oracle)
    assert abs(loss / oracle_loss - 1) < near, (loss, oracle_loss)
    for value in [] if lutra.QUICK else [perplexity, oracle]:
        assert abs(value / reference - 1) < 5e-3, (value, reference)
    return perplexity, oracle


def check_batch(model):
    """Three texts in two calls' worth of a batch of two, each as it is alone."""
    elf = model.compile("batch.elf", "-D", "BATCH=2")
    prompts = [PROMPT, "Lily", "The little dog was very"]
    options = [x for p in prompts for x in ("--prompt", p)]
    together = lutra.run("lutrun", elf, *options, "-n", 20).stdout
    alone = [model.emulator("--prompt", p, "-n", 20) for p in prompts]
    assert together == "\n".join(alone), (together, alone)


def check_one_command(model, options):
    saved = model.work / "saved.elf"
    result = lutra.run("lutrun", model.file, *options, "--save", saved, "--prompt", PROMPT, "-n", 10, "--stats=json")
    assert result.stdout == model.emulator("--prompt", PROMPT, "-n", 10), result.stdout
    assert lutra.run("lutrun", saved, "--prompt", PROMPT, "-n", 10).stdout == result.stdout
    decode = lutra.statistics(result.stderr[result.stderr.index('{"schema"'):])["text"]["decode"]
    assert decode["tokens"] == 9, decode
    return decode


def main():
    if not lutra.models():
        print("skipped: no folder $LUTRA_TEST_DATA or ../shared/data with real models")
        return 77
    print(f"{'model':28} {'perplexity':>10} {'oracle':>8} {'reference':>9}  tokens as the reference: attention by vectors, by the matrix unit, oracle")
    for folder, name, program, options, reference in MODELS:
        with tempfile.TemporaryDirectory() as work:
            model = Model(pathlib.Path(work), folder, name, program, options)
            text = "" if "Q8_0" in name else check_texts(model, program, folder)
            perplexity, oracle = check_perplexity(model, reference)
            check_batch(model)
            decode = check_one_command(model, options)
            assert (decode["lmma_per_token"] > 0) == (program == "bitnet"), decode
            print(f"{name:28} {perplexity:10.4f} {oracle:8.4f} {reference:9.4f}  {text}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
