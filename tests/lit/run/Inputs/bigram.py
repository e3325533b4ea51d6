"""bigram.py OUT.gguf [KEY=VALUE | KEY= | count=N]...: the weights of bigram.lut with a vocabulary; metadata changed or
left out, or only the first N tokens.

Behind <s> comes "a", then "b", "c", "é", "d", and </s> ends the text; behind any other byte the same byte again.
The token that follows has the logit 1 and all others 0.
"""
import sys

sys.path.insert(0, __file__.rsplit("/tests/", 1)[0] + "/tests/tools")
import gguf

WORDS = ["a", "b", "c", "\u00e9", "d"]
tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)] + WORDS
first = 3 + 256
follower = {1: first, first + 4: 2, 2: 1, 0: 0}
follower |= {first + i: first + i + 1 for i in range(len(WORDS) - 1)}
follower |= {3 + i: 3 + i for i in range(256)}
follower[3 + ord("!")] = 3 + 0xC3  # a character that does not come whole
follower[3 + 0xC3] = 3 + ord("?")

metadata = {
    "general.architecture": "bigram",
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": tokens,
    "tokenizer.ggml.scores": [0.0] * len(tokens),
    "tokenizer.ggml.token_type": [2, 3, 3] + [6] * 256 + [1] * len(WORDS),
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
    "tokenizer.ggml.unknown_token_id": 0,
    "tokenizer.ggml.add_space_prefix": False,
}
for change in sys.argv[2:]:
    key, value = change.split("=", 1)
    if key == "count":
        for name in ("tokens", "scores", "token_type"):
            metadata["tokenizer.ggml." + name] = metadata["tokenizer.ggml." + name][:int(value)]
    elif value:
        metadata[key] = int(value) if value.isdigit() else value
    else:
        metadata.pop(key)

rows = [[1.0 if j == follower[i] else 0.0 for j in range(len(tokens))] for i in range(len(tokens))]
gguf.write_f32(sys.argv[1], metadata, {"next.weight": rows})
