"""Whole models called from tests and benchmarks: programs of examples/models on the oracle and the emulator."""
import copy
import math
import struct
import subprocess

import lutra

PROGRAMS = lutra.SOURCE / "examples" / "models"


class Report:
    def __init__(self):
        self.failures = 0

    def check(self, what, good, text=""):
        self.failures += not good
        print(f"{'ok  ' if good else 'FAIL'} {what}{': ' if text else ''}{text}", flush=True)


def flat(rows):
    return [v for row in rows for v in row]


def difference(got, want):
    """Normalized mean square error; infinite where something is no number."""
    error = sum((g - w) ** 2 for g, w in zip(got, want))
    power = sum(w * w for w in want)
    return error / power if len(got) == len(want) and error == error else math.inf


def model_session(*arguments, text=""):
    result = subprocess.run(["model_session", *map(str, arguments)], input=text.encode(), capture_output=True)
    if result.returncode:
        raise RuntimeError(result.stderr.decode())
    return result.stdout


class Program:
    """One program with one model's weights, as the oracle or the emulator runs it."""

    def __init__(self, folder, path, weights, *options, emulated=False):
        self.folder, self.weights = folder, weights
        command = ["lutc", path, "--weights", weights, *options]
        if emulated:
            self.target = ["emulator", folder / "model.elf"]
            lutra.run(*command, "--dump-dir", folder / "passes", "-o", folder / "model.elf")
        else:
            self.target = ["oracle", folder / "graph.lir", weights]
            lutra.run(*command, "--emit=graph", "-o", folder / "graph.lir")

    def rounded(self):
        """Of a program for the emulator: the oracle with table entries as the machine rounds them."""
        graph, = (self.folder / "passes").glob("*-quantize-tables.lir")
        other = copy.copy(self)
        other.target = ["rounded", graph, self.weights]
        return other

    def session(self, calls, vocab):
        """calls: (entry, positions, tokens of each sequence). Their logits, a list of rows each."""
        lines = [[entry, len(tokens), len(tokens[0]), *positions, *flat(tokens)] for entry, positions, tokens in calls]
        text = "".join(" ".join(map(str, line)) + "\n" for line in lines)
        stdout = model_session(*self.target, text=text)
        values, out, at = struct.unpack(f"<{len(stdout) // 4}f", stdout), [], 0
        for entry, _, tokens in calls:
            rows = len(tokens) * (len(tokens[0]) if entry == "score" else 1)
            out.append([values[at + i * vocab:at + (i + 1) * vocab] for i in range(rows)])
            at += rows * vocab
        return out


def tokens_of(weights, path):
    return [int(line) for line in model_session("tokens", weights, path).split()]


def loss(logits, target):
    most = max(logits)
    return math.log(math.fsum(math.exp(v - most) for v in logits)) - (logits[target] - most)


def mean_and_error(losses):
    """The mean of losses, and its standard error."""
    mean = math.fsum(losses) / len(losses)
    return mean, math.sqrt(math.fsum((x - mean) ** 2 for x in losses) / (len(losses) - 1) / len(losses))


def perplexity(program, tokens, bos, window, vocab):
    """llama.cpp's: the second half of every window, which begins with BOS. With its standard error."""
    tokens = [bos, *tokens]
    windows = [[bos, *tokens[i + 1:i + window]] for i in range(0, len(tokens) - window + 1, window)]
    losses = []
    for w, rows in zip(windows, program.session([("score", [0], [w]) for w in windows], vocab)):
        losses += [loss(rows[i], w[i + 1]) for i in range(window // 2, window - 1)]
    mean, error = mean_and_error(losses)
    return math.exp(mean), error * math.exp(mean)
