#!/usr/bin/env python3
"""Programs on several harts give the bytes that one gives, and the same counts run after run.

usage: harts.py [COUNT [SEED]]     tools are found on PATH or in build/bin
"""
import json
import pathlib
import random
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import lutra  # noqa: E402
from fusion import Graph  # noqa: E402

HARTS = [1, 2, 3] if lutra.QUICK else [1, 2, 3, 4, 9]
MODEL = lutra.SOURCE / "examples" / "models" / "llama.lut"
SHAPE = {f"llama.{key}": value for key, value in {
    "embedding_length": 96, "feed_forward_length": 224, "block_count": 2, "attention.head_count": 6, "vocab_size": 300,
    "attention.head_count_kv": 2, "context_length": 64}.items()}
PROMPT = "Once upon a time there was a little girl named Lily who had a red ball and"


def measured(folder, program, options, harts):
    """What a run gives: stdout, outputs, and its instructions."""
    stats = folder / "s.json"
    outputs = sorted(folder.glob("*.npy"))
    for path in outputs:
        path.unlink()
    result = lutra.run("lutrun", program, *options, "--harts", harts, f"--stats=json:{stats}")
    counts = lutra.statistics(stats.read_text())
    return ([result.stdout] + [p.read_bytes() for p in sorted(folder.glob("*.npy"))],
            [counts[key] for key in ("instructions", "classes", "opcodes", "work")])


def compare(folder, name, program, options):
    """What differs between numbers of harts, or between two runs on as many."""
    problems, alone = [], measured(folder, program, options, 1)
    for harts in HARTS:
        first, again = (measured(folder, program, options, harts) for _ in range(2))
        if first != again:
            problems.append(f"{name}: two runs on {harts} harts differ")
        if first[0] != alone[0]:
            problems.append(f"{name}: {harts} harts give other values than one")
        if first[1][3]["lmma"] != alone[1][3]["lmma"]:
            problems.append(f"{name}: {harts} harts execute other lmma than one")
    return problems


def random_graphs(folder, count, seed):
    problems = []
    for i in range(count):
        rng = random.Random(f"{seed}.{i}")
        graph = Graph(rng)
        source, program = folder / "m.lir", folder / "m.elf"
        source.write_text(graph.module())
        lutra.run("lutc", source, "--weights", "random:1", "-o", program)
        count_out = min(3, len(graph.values) - 1)
        names = ["result"] if count_out == 1 else [f"result{k}" for k in range(count_out)]
        outputs = [x for n in names for x in ("-o", f"{n}=@{folder / n}.npy")]
        rows = rng.choice([1, 2, 3, 8, 17])
        problems += compare(folder, f"graph {seed}.{i}, T={rows}", program,
                            ["-i", "x=random:3", "-d", f"T={rows}", *outputs])
    return problems


def language_model(folder):
    """Prompts and single tokens of two sequences, which use the states of the call before."""
    shape, program = folder / "shape.json", folder / "llama.elf"
    shape.write_text(json.dumps(SHAPE))
    lutra.run("lutc", MODEL, "--quant", "w2g32", "--weights", "random:1", "--metadata", shape, "-D", "BATCH=2",
              "-o", program)
    problems = []
    for tokens, calls in ((23, 1), (1, 3)):
        lutra.write_npy(folder / "t.in", lutra.Array("i32", (2, tokens), [(7 * i) % 300 for i in range(2 * tokens)]))
        options = ["--entry", "forward", "-i", f"tokens=@{folder / 't.in'}", "-i", "pos=zeros", "--repeat", calls,
                   "-o", f"result=@{folder / 'y.npy'}"]
        problems += compare(folder, f"llama, {tokens} tokens", program, options)
    return problems


SIZES = """model sizes;
dim B in 0..4;
dim T in 1..64;
weights { g: f32[96]; w, v: w2[80, 96] group(32); }
entry fn main(x: f32[T, 96], z: f32[B, 96]) -> f32[T, 80], f32[B, 80] {
    return linear(rms_norm(x, g), w), linear(rms_norm(z, g), v);
}
"""


def two_dimensions(folder):
    """One row, or many, of either: nobody may take a call of many rows for one of one."""
    problems, source, program = [], folder / "s.lut", folder / "s.elf"
    source.write_text(SIZES)
    lutra.run("lutc", source, "--weights", "random:1", "-o", program)
    for rows, others in ((1, 1), (1, 0), (64, 0), (5, 0), (1, 4), (64, 4)):
        options = ["-i", "x=random:3", "-i", "z=random:4", "-d", f"T={rows}", "-d", f"B={others}",
                   "-o", f"result0=@{folder / 'a.npy'}", "-o", f"result1=@{folder / 'b.npy'}"]
        problems += compare(folder, f"T={rows}, B={others}", program, options)
    return problems


def story(folder):
    """A text of a real model."""
    if not lutra.models():
        return []
    program = folder / "story.elf"
    lutra.run("lutc", MODEL, "--quant", "w4g32", "--weights",
              lutra.models() / "stories260k" / "stories260K-F16.gguf", "-o", program)
    return compare(folder, "stories260K", program, ["--prompt", PROMPT, "-n", 24])


def undivided(folder):
    """Without the pass, the same bytes, and one hart only."""
    source, program = folder / "m.lir", folder / "m.elf"
    source.write_text(Graph(random.Random(5)).module())
    passes = lutra.run("lutc", "list", "passes").stdout.split("in order: ")[1].strip()
    given = []
    for plan in (passes, passes.replace("partition,", "")):
        lutra.run("lutc", source, "--weights", "random:1", "--passes", plan, "-o", program)
        given.append(lutra.run("lutrun", program, "-i", "x=random:3", "-d", "T=5").stdout)
    problems = [] if given[0] == given[1] else ["without the pass partition: other values"]
    refused = lutra.run("lutrun", program, "-i", "x=random:3", "-d", "T=5", "--harts", 2, check=False)
    if refused.returncode != 1 or "runs on 1 hart at most" not in refused.stderr:
        problems.append(f"two harts of a program for one: {refused.returncode}, {refused.stderr}")
    return problems


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 3 if lutra.QUICK else 12
    seed = sys.argv[2] if len(sys.argv) > 2 else "1"
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        problems = random_graphs(folder, count, seed) + undivided(folder)
        problems += two_dimensions(folder) + language_model(folder) + story(folder)
    told = "" if lutra.models() else ", without a real model"
    print("\n".join(problems) or f"the same bytes and counts on {HARTS} harts, of {count} graphs and models{told}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
