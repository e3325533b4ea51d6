#!/usr/bin/env python3
"""Files that are not for a program: every mistake is named at its place, together, and nothing is written."""
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import gguf
import lutra
import reference
from session import PROGRAMS, Report


def without(*names):
    """Keys of the metadata and names of tensors."""
    def change(metadata, tensors):
        for name in names:
            (tensors if name in tensors else metadata).pop(name)
    return change


def with_metadata(**more):
    return lambda metadata, tensors: metadata.update({key.replace("__", "."): value for key, value in more.items()})


def misshaped(metadata, tensors):
    tensors["blk.0.ffn_up.weight"].pop()
    tensors["blk.1.attn_norm.weight"].pop()
    tensors["blk.2.attn_q.bias"] = [0.0] * 3


LLAMA, QWEN2, OPT, BITNET = reference.Llama, reference.Qwen2, reference.Opt, reference.Bitnet
CASES = [  # what, model of the file, program, change, the errors (the first ones, where the last is ...)
    ("another architecture", QWEN2, "llama.lut", without(),
     ["this is the architecture 'qwen2', not llama: see examples/models"]),
    ("another architecture", OPT, "bitnet.lut", without(),
     ["this is the architecture 'opt', not bitnet or bitnet-b1.58: see examples/models"]),
    ("missing tensors", LLAMA, "llama.lut",
     without("output_norm.weight", "blk.2.ffn_norm.weight", "blk.1.attn_q.weight"),
     ["weight 'output_norm': FILE has no tensor 'output_norm.weight'; did you mean 'output.weight'?",
      "weight 'blk[2].ffn_norm': FILE has no tensor 'blk.2.ffn_norm.weight'; did you mean 'blk.0.ffn_norm.weight'?",
      "weight 'blk[1].wq': FILE has no tensor 'blk.1.attn_q.weight'; did you mean 'blk.0.attn_q.weight'?"]),
    ("a missing bias", QWEN2, "qwen2.lut", without("blk.1.attn_k.bias"),
     ["weight 'blk[1].bk': FILE has no tensor 'blk.1.attn_k.bias'; did you mean 'blk.0.attn_k.bias'?"]),
    ("missing norms", BITNET, "bitnet.lut", without("blk.0.attn_sub_norm.weight"),
     ["weight 'blk[0].attn_sub_norm': FILE has no tensor 'blk.0.attn_sub_norm.weight'; "
      "did you mean 'blk.1.attn_sub_norm.weight'?"]),
    ("misshaped tensors", LLAMA, "llama.lut", misshaped,
     ["weight 'blk[1].attn_norm' is f32[36], but 'blk.1.attn_norm.weight' in FILE is F32 [35]",
      "weight 'blk[0].up' is w[52, 36], but 'blk.0.ffn_up.weight' in FILE is F32 [51, 36]",
      "weight 'blk[2].bq' is f32[36], but 'blk.2.attn_q.bias' in FILE is F32 [3]"]),
    ("absent metadata", LLAMA, "llama.lut", without("llama.block_count", "llama.context_length"),
     ["FILE has no metadata 'llama.block_count'", "FILE has no metadata 'llama.context_length'", ...]),
    ("no vocabulary", LLAMA, "llama.lut", without("tokenizer.ggml.tokens"),
     ["FILE has no metadata 'tokenizer.ggml.tokens'", ...]),
    ("heads that do not divide", LLAMA, "llama.lut", with_metadata(llama__attention__head_count=5),
     ["36 / 5 leaves a remainder of 1; for a fraction divide by 5.0, to round down subtract the remainder (%) first",
      ...]),
    ("a rotary scaling of another kind", LLAMA, "llama.lut", with_metadata(llama__rope__scaling__type="dynamic"),
     ["'scaling' is one of: none linear yarn; this is the text \"dynamic\""]),
]


def errors_of(stderr, path, file):
    """What is said behind 'error:', each at a place in the program."""
    found = [line for line in stderr.splitlines() if " error: " in line]
    assert all(line.startswith(f"{path}:") for line in found), stderr
    return [line.split(" error: ", 1)[1].replace(str(file), "FILE") for line in found]


def main():
    report = Report()
    with tempfile.TemporaryDirectory() as name:
        file, elf = pathlib.Path(name) / "model.gguf", pathlib.Path(name) / "model.elf"
        for what, model, program, change, want in CASES:
            metadata, tensors = model().gguf()
            change(metadata, tensors)
            gguf.write_f32(file, metadata, tensors)
            result = lutra.run("lutc", PROGRAMS / program, "--weights", file, "-o", elf, check=False)
            got = errors_of(result.stderr, PROGRAMS / program, file)
            shown = got[:len(want) - 1] + [...] if want[-1] is ... else got
            good = shown == want and result.returncode == 1 and not elf.exists()
            report.check(f"{program}: {what}", good, "" if good else f"exit {result.returncode}\n{result.stderr}")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
