#!/usr/bin/env python3
"""Random graphs give the same bits, however their operations are fused.

usage: fusion.py [--seed S] [--programs N]
"""
import pathlib
import random
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import lutra  # noqa: E402

UNARY = ["silu", "tanh", "neg", "relu", "sigmoid", "gelu", "square"]
BINARY = ["add", "mul", "sub", "max"]
FORMATS = ["w2g64", "w4g32", "w3", "ternary", "w2g64z", "f16"]
PLANS = ["fuse(rows=false,precompute=false,products=false,epilogue=false)", "fuse(epilogue=false)",
         "fuse(rows=false)", "fuse(precompute=false)", "fuse(products=false)"]
REST = ",choose-tiles,lower-to-tile,assign-tile-registers,plan-memory"
FIRST = "fold,split-precompute,quantize-tables,pack-weights,"


def weight_type(form, n, k):
    return f"weight<{form}>[{n}, {k}]" if form == "f16" else f"{form}[{n}, {k}]"


class Graph:
    """Values of a function over x, by number of columns; the last few are returned."""

    def __init__(self, rng):
        self.rng = rng
        self.weights, self.ops = [], []
        self.values = [("x", 64)]
        for _ in range(rng.randint(3, 12)):
            rng.choice([self.unary, self.binary, self.norm, self.linear, self.linear, self.pair])()

    def add(self, text, columns):
        name = f"v{len(self.ops)}"
        self.ops.append(f"  %{name} = {text} : f16[T, {columns}]")
        self.values.append((name, columns))
        return name

    def weight(self, kind):
        self.weights.append(f"weight @w{len(self.weights)} : {kind}")
        return f"@w{len(self.weights) - 1}"

    def pick(self, columns=None):
        return self.rng.choice([v for v in self.values if columns in (None, v[1])])

    def unary(self):
        name, columns = self.pick()
        self.add(f"{self.rng.choice(UNARY)} %{name}", columns)

    def binary(self):
        name, columns = self.pick()
        other = "%" + self.pick(columns)[0]
        if self.rng.random() < 0.2:
            other = self.weight(f"f32[{columns}]")
        self.add(f"{self.rng.choice(BINARY)} %{name}, {other}", columns)

    def norm(self):
        name, columns = self.pick()
        op = self.rng.choice(["rms_norm", "layer_norm", "softmax"])
        gain = "" if op == "softmax" else f", gain = {self.weight(f'f32[{columns}]')}"
        self.add(f"{op} %{name}{gain}", columns)

    def linear(self, name=None, n=None):
        source, k = name or self.pick()
        n = n or self.rng.choice([64, 64, 96, 10])
        w = self.weight(weight_type(self.rng.choice(FORMATS), n, k))
        return self.add(f"linear %{source}, {w}", n)

    def pair(self):
        source, n = self.pick(), self.rng.choice([64, 96])
        gate, up = self.linear(source, n), self.linear(source, n)
        gate = self.add(f"silu %{gate}", n)
        self.add(f"mul %{gate}, %{up}", n)

    def module(self):
        out = self.values[-min(3, len(self.values) - 1):]
        types = ", ".join(f"f16[T, {columns}]" for _, columns in out)
        values = ", ".join(f"%{name}" for name, _ in out)
        return "\n".join(['module "random" {machine = m2n64k4}', "dim T in 1..64", *self.weights,
                          f"entry func @main(%x: f16[T, 64]) -> ({types}) {{", *self.ops,
                          f"  return {values}", "}", ""])


def outputs(folder, plan, rows):
    """The bytes of every output of the module compiled by a fusion plan."""
    program = folder / "m.elf"
    lutra.run("lutc", folder / "m.lir", "--weights", "random:7", f"--passes={FIRST}{plan}{REST}", "-o", program)
    lutra.write_npy(folder / "x.npy", lutra.Array("f16", (rows, 64), [((i * 37) % 101 - 50) / 40 for i in range(64 * rows)]))
    listed = lutra.run("lutrun", program, "--list").stdout
    names = [line.split()[1].rstrip(":") for line in listed.splitlines() if line.split()[:1] == ["output"]]
    assert names, listed
    wanted = [o for n in names for o in ("--output", f"{n}=@{folder / (n + '.npy')}")]
    lutra.run("lutrun", program, *lutra.inputs({"x": folder / "x.npy"}), *wanted)
    return [(folder / f"{n}.npy").read_bytes() for n in names]


def check(seed):
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "m.lir").write_text(Graph(rng).module())
        rows = rng.choice([1, 2, 3, 5, 17])
        want = outputs(folder, "fuse", rows)
        for plan in PLANS:
            if outputs(folder, plan, rows) != want:
                print(f"seed {seed}, {rows} rows: '{plan}' and 'fuse' differ on\n{(folder / 'm.lir').read_text()}")
                return False
    return True


def main():
    seeds = lutra.seeds(quick=4, usual=12)
    failed = [seed for seed in seeds if not check(seed)]
    print(f"{len(seeds) - len(failed)} of {len(seeds)} graphs give the same bits under {1 + len(PLANS)} fusion plans")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
