#!/usr/bin/env python3
"""Entries on two harts against the same on one: seconds of the emulator, on as many processors."""
import json
import os
import pathlib
import tempfile

import report
import lutra

BLOCK = lutra.SOURCE / "examples" / "blocks" / "llama_block.lut"
MODEL = lutra.SOURCE / "examples" / "models" / "llama.lut"
SHAPE = {f"llama.{key}": value for key, value in {
    "embedding_length": 768, "feed_forward_length": 2048, "block_count": 2, "attention.head_count": 12,
    "attention.head_count_kv": 4, "vocab_size": 4096, "context_length": 512}.items()}
HARTS = 2
REPETITIONS = 5


def seconds(program, options, harts):
    """Of the fastest call."""
    result = lutra.run("lutrun", program, *options, "--harts", harts, "--stats=json")
    return lutra.statistics(result.stderr)["host"]["fastest_seconds"]


def measure(out, name, program, options, goal):
    one, two = report.repeat(lambda: seconds(program, options, 1), lambda: seconds(program, options, HARTS),
                             times=REPETITIONS)
    out.add(f"{name}, {HARTS} harts", "s", two, "1 hart", one, larger=False, goal=goal)


def main():
    if len(os.sched_getaffinity(0)) < HARTS:
        raise SystemExit(f"bench: this machine has fewer than {HARTS} processors")
    out = report.Report()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        block, model, shape = folder / "block.elf", folder / "model.elf", folder / "shape.json"
        lutra.run("lutc", BLOCK, "--weights", "random:1", "--quant", "w2g64", "-D", "D=1024", "-D", "F=2816", "-D", "L=1",
                  "-D", "H=16", "-o", block)
        shape.write_text(json.dumps(SHAPE))
        lutra.run("lutc", MODEL, "--weights", "random:1", "--quant", "w2g64", "--metadata", shape, "-o", model)
        prompt, token = folder / "prompt.npy", folder / "token.npy"
        lutra.write_npy(prompt, lutra.Array("i32", (1, 256), list(range(256))))
        lutra.write_npy(token, lutra.Array("i32", (1, 1), [1]))
        measure(out, "feed-forward, 256 rows", block, ["-e", "ffn", "-i", "x=random:1", "-d", "T=256", "--repeat", 3], 1.7)
        forward = ["-e", "forward", "-i", "pos=zeros", "--repeat", 3]
        measure(out, "prompt of 256 tokens", model, [*forward, "-i", f"tokens=@{prompt}"], 1.7)
        measure(out, "one token", model, [*forward, "-i", f"tokens=@{token}"], None)
    out.show()


if __name__ == "__main__":
    main()
