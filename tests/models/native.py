#!/usr/bin/env python3
"""Whole models as libraries for CPUs: a prompt, then token by token, every level and number of threads against the oracle."""
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import lutra
import native

TOKENS = [1, 403, 407, 261, 378, 105, 300, 31, 7, 12, 290]
PROMPT = 7
# folder, file, model, options, error of the logits
MODELS = [
    ("stories260k", "stories260K-F32.gguf", "llama", ["--quant", "none"], 1e-8),
    ("stories260k", "stories260K-F32.gguf", "llama", ["--quant", "w4g32,*token_embd*=w4g32", "--tables", "f16"], 1e-8),
    ("stories260k", "stories260K-F32.gguf", "llama", ["--quant", "w4g32"], 1e-3),
    ("bitnet-3m", "bit3M-bitnet-TQ2_0.gguf", "bitnet", [], 1e-3),
]


def tokens(values):
    return lutra.Array("i32", (1, len(values)), values)


def position(p):
    return lutra.Array("i32", (1,), [p])


def oracle(work, program, options):
    lutra.write_npy(work / "tokens.npy", tokens(TOKENS))
    lutra.write_npy(work / "pos.npy", position(0))
    ignored = [o for o in options if o != "--tables" and o != "f16"]
    lutra.run("lutc", "eval", program, *ignored, "--entry", "score", "--input", f"tokens=@{work}/tokens.npy", "--input",
              f"pos=@{work}/pos.npy", "--output", f"result=@{work}/want.npy")
    return lutra.read_npy(work / "want.npy")


def logits(library, name, threads, features):
    """Of every token: those of a prompt at once, the others one by one behind it."""
    p = native.Program(library, name, threads=threads, features=features)
    got = p.call("score", {"tokens": tokens(TOKENS[:PROMPT]), "pos": position(0)})["result"].values
    for i in range(PROMPT, len(TOKENS)):
        got += p.call("forward", {"tokens": tokens(TOKENS[i:i + 1]), "pos": position(i)})["result"].values
    try:
        p.call("forward", {"tokens": tokens([1]), "pos": position(1 << 20)})
        assert False, "a position beyond the context is not refused"
    except native.Stopped as e:
        assert "out of range" in str(e), e
    level = p.level
    p.close()
    return level, got


def check(work, number, model):
    folder, file, name, options, most = model
    program = lutra.SOURCE / "examples" / "models" / f"{name}.lut"
    options = ["--weights", lutra.models() / folder / file, *options]
    library = work / f"model{number}.so"
    lutra.run("lutc", program, *options, "--target=native", "-o", library)
    want, first = oracle(work, program, options), {}
    for features in (0, native.AVX2, native.ALL_FEATURES):
        for threads in (1, 2):
            level, got = logits(library, name, threads, features)
            error = lutra.nmse(lutra.Array("f32", want.shape, got), want)
            print(f"{file} {' '.join(map(str, options[2:]))} {level} {threads} threads: NMSE {error:.3g}")
            assert error <= most, f"more than {most}"
            assert first.setdefault(level, got) == got, "threads change the result"


def main():
    if not lutra.models():
        print("no models: set LUTRA_TEST_DATA")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        for number, model in enumerate(MODELS):
            check(pathlib.Path(folder), number, model)


if __name__ == "__main__":
    main()
