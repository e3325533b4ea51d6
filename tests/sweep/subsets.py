#!/usr/bin/env python3
"""Random graphs through random subsets of the optional passes, on the emulator against the oracle.

usage: subsets.py [--seed S] [--programs N]

Every program is a random graph of floats and one of integers, compiled for a random machine with some
passes disabled and the parameters of the others drawn by chance, as `lutc list passes` describes them.
Integers must agree with the oracle bit for bit, floats within the bounds of their types and tables.
Passes that are not in NUMERIC must not change a bit, and the same subset gives the same program twice.
Without split-precompute, products of weights in planes are unpacked for the matrix unit, or refused.
"""
import dataclasses
import pathlib
import random
import re
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import lutra  # noqa: E402

# Passes that choose how numbers are rounded; all others keep every bit.
NUMERIC = {"split-precompute", "quantize-tables", "use-matrix", "stream-softmax"}
# Machines, and the groups of weights that their tiles take.
MACHINES = {"m2n64k4": [0, 16, 32, 64], "m1n64k4": [0, 32, 64], "m2n128k4": [0, 16, 32, 64], "m4n128k4": [0, 32, 64],
            "m4n256k4": [0, 32, 64], "a100-lut4x": [0, 32, 64], "a100-fp16": [0, 32, 64]}
NO_LOOKUPS = {"a100-fp16"}
DENSE = ["f16", "f32", "bf16"]
SIGNS = ["w1", "w2", "w3", "w4", "w5", "w8", "ternary", "bcq2"]
BOOKS = ["nf4", "fp4", "cb2", "cb4", "bitmod3"]
UNARY = ["silu", "tanh", "neg", "relu", "sigmoid", "gelu", "abs"]
BINARY = ["add", "mul", "sub", "max", "min"]
EXACT = ["neg", "relu", "abs"]
# What roundings to 16 bits, and tables, may add up to over a whole graph.
BOUND = {"f16": 1e-4, "i8": 5e-3}
HEADS, DEPTH, CONTEXT = 4, 16, 40


class Graph:
    """A function over x; the last few of its values are returned."""

    def __init__(self, r, name, planes, groups, exact=False):
        self.r, self.name, self.exact = r, name, exact
        self.planes, self.groups = planes, groups
        self.globals, self.ops, self.values = [], [], []
        self.arguments = ["%p: index", "%i: i32[T]"]
        self.add_argument("x", "i8" if exact else r.choice(["f16", "f32", "bf16"]), 64)
        if exact:
            self.arguments.append("%s: f32[T]")
        self.has_planes = False
        kinds = [self.gather, self.state, self.slice, self.unary, self.binary, self.cast]
        if exact and planes:
            kinds += [self.linear] * 3
        if not exact:
            kinds += [self.linear, self.linear, self.pair, self.norm, self.norm, self.rope, self.attend, self.unary]
        (self.gather if exact else self.norm)()
        for _ in range(r.randint(3, 12)):
            r.choice(kinds)()
        if self.values[-1][1] == "bf16":  # which npy files have no type for
            self.cast_to(self.values[-1], "f32")

    # ---- values

    def add_argument(self, name, kind, columns):
        self.arguments.append(f"%{name}: {kind}[T, {columns}]")
        self.values.append((name, kind, columns))

    def line(self, text, kind=None):
        name = f"v{len(self.ops)}"
        self.ops.append(f"  %{name} = {text} : {kind}" if kind else f"  {text}")
        return name

    def add(self, text, kind, columns):
        name = self.line(text, f"{kind}[T, {columns}]")
        self.values.append((name, kind, columns))
        return self.values[-1]

    def new_global(self, kind, text):
        name = f"{self.name}{len(self.globals)}"
        self.globals.append(f"{kind} @{name} : {text}")
        return f"@{name}"

    def pick(self, kind=None, columns=None):
        found = [v for v in self.values if kind in (None, v[1]) and columns in (None, v[2]) and v[1] != "i8"]
        return self.r.choice(found) if found else None

    def cast_to(self, value, kind):
        return value if value[1] == kind else self.add(f"cast %{value[0]}", kind, value[2])

    # ---- operations

    def unary(self):
        name, kind, columns = self.pick()
        self.add(f"{self.r.choice(EXACT if self.exact else UNARY)} %{name}", kind, columns)

    def binary(self):
        x = self.pick()
        y = self.pick(x[1], x[2])
        if self.r.random() < 0.2 and not self.exact:
            self.add(f"{self.r.choice(BINARY[:2])} %{x[0]}, {self.new_global('weight', f'f32[{x[2]}]')}", x[1], x[2])
        else:
            self.add(f"{self.r.choice(['max', 'min'] if self.exact else BINARY)} %{x[0]}, %{y[0]}", x[1], x[2])

    def cast(self):
        self.cast_to(self.pick(), self.r.choice(["f32", "f16", "f32", "bf16"]))

    def norm(self):
        name, kind, columns = self.pick() or self.values[0]
        op = self.r.choice(["rms_norm", "layer_norm", "softmax"])
        gain = "" if op == "softmax" or self.r.random() < 0.3 else f", gain = {self.new_global('weight', f'f32[{columns}]')}"
        self.add(f"{op} %{name}{gain}", kind, columns)

    def weight(self, n, k, books=True):
        self.form = self.r.choice(DENSE)
        if self.planes and (self.exact or self.r.random() < 0.8):
            self.form = self.r.choice(self.r.choice([SIGNS[:4], SIGNS, BOOKS if books else SIGNS]))
            group = self.r.choice(self.groups)
            self.form += (f"g{group}" if group else "") + ("z" if self.form[0] == "w" and self.r.random() < 0.3 else "")
        plane = self.form not in DENSE
        return self.new_global("weight", f"{self.form}[{n}, {k}]" if plane else f"weight<{self.form}>[{n}, {k}]"), plane

    def linear(self, source=None, n=None):
        source = source or (self.values[0] if self.exact else self.pick())
        n = n or self.r.choice([64, 64, 96, 10, 130])
        w, plane = self.weight(n, source[2], books=not self.exact)
        self.has_planes |= plane
        scale = ", scale = %s" if self.exact else ""
        return self.add(f"linear %{source[0]}, {w}{scale}", "f32" if self.exact else self.r.choice(["f32", source[1]]), n)

    def pair(self):
        source, n = self.pick(), self.r.choice([64, 96])
        gate, up = (self.cast_to(self.linear(source, n), source[1]) for _ in range(2))
        gate = self.add(f"silu %{gate[0]}", source[1], n)
        self.add(f"mul %{gate[0]}, %{up[0]}", source[1], n)

    def gather(self):
        k = self.r.choice([64, 64, 96])
        table, _ = self.weight(self.r.choice([17, 64, 100]), k)
        once = "bcq" not in self.form  # several terms are rounded one by one
        self.add(f"gather {table}, %i", self.r.choice(["f32", "f16"]) if once and not self.exact else "f32", k)

    def slice(self):
        source = self.pick()
        n = self.r.choice([s for s in (10, 33, 64) if s <= source[2]])
        start = self.line(f"constant {self.r.randint(0, source[2] - n)}", "index")
        self.add(f"slice %{source[0]}, %{start} {{dimension = 1}}", source[1], n)

    def state(self):
        name, kind, columns = self.pick()
        state = self.new_global("state", f"{kind}[{CONTEXT}, {columns}]")
        self.line(f"state.write {state}, %{name}, position = %p")
        whole = self.line(f"state.read {state}", f"{kind}[{CONTEXT}, {columns}]")
        self.add(f"slice %{whole}, %p {{dimension = 0}}", kind, columns)

    def heads(self, source):
        return self.line(f"reshape %{source[0]}", f"{source[1]}[T, {HEADS}, {DEPTH}]")

    def flat(self, name, kind):
        self.add(f"reshape %{name}", kind, HEADS * DEPTH)

    def rope(self):
        source = self.pick(columns=64)
        if not source:
            return
        angles = self.add(f"tanh %{source[0]}", source[1], 64)
        start = self.line("constant 0", "index")
        part = self.line(f"slice %{angles[0]}, %{start} {{dimension = 1}}", f"{source[1]}[T, 8]")
        angles = self.line(f"cast %{part}", "f32[T, 8]")
        y = self.line(f"rope %{self.heads(source)}, %{angles}, %{angles} {{layout = {self.r.choice(['half', 'interleaved'])}}}",
                      f"{source[1]}[T, {HEADS}, {DEPTH}]")
        self.flat(y, source[1])

    def attend(self):
        source = self.pick(columns=64)
        if not source:
            return
        cache = self.r.choice(["f16", "f16", "bf16", "f32"])
        groups = self.r.choice([1, 2, 4])
        rows = []
        for _ in "kv":
            value = self.cast_to(self.linear(source, groups * DEPTH), cache)
            new = self.line(f"reshape %{value[0]}", f"{cache}[T, {groups}, {DEPTH}]")
            rows.append(self.new_global("state", f"{cache}[{CONTEXT}, {groups}, {DEPTH}]"))
            self.line(f"state.write {rows[-1]}, %{new}, position = %p")
        y = self.line(f"attend %{self.heads(source)}, {rows[0]}, {rows[1]}, %p {{scale = 0.25}}", f"f32[T, {HEADS}, {DEPTH}]")
        self.flat(y, "f32")

    # ---- the function

    def results(self):
        return [v for v in self.values if v[0] != "x" and v[1] != "bf16"][-3:]

    def names(self):
        n = len(self.results())
        return ["result"] if n == 1 else [f"result{i}" for i in range(n)]

    def text(self):
        types = ", ".join(f"{kind}[T, {columns}]" for _, kind, columns in self.results())
        values = ", ".join(f"%{name}" for name, _, _ in self.results())
        return "\n".join([*self.globals, f"entry func @{self.name}({', '.join(self.arguments)}) -> ({types}) {{", *self.ops,
                          f"  return {values}", "}"])


# ------------------------------------------------------------------ passes

@dataclasses.dataclass
class Pass:
    name: str
    optional: bool
    parameters: list  # (name, choices)


def choices(kind):
    if kind.startswith("{"):
        return kind.strip("{}").split()
    return {"boolean": ["true", "false"], "integer": ["0", "1", "2"]}.get(kind, [])


def listed_passes():
    """The usual passes, in order."""
    text = lutra.run("lutc", "list", "passes").stdout
    found = {}
    for name, parameters, optional in re.findall(r"^([a-z-]+)(?:\((.*)\))?( optional)?$", text, re.M):
        rows = re.findall(r"(\w+):(\{[^}]*\}|\w+) = ", parameters)
        found[name] = Pass(name, bool(optional), [(n, choices(k)) for n, k in rows if choices(k)])
    return [found[name] for name in text.split("in order: ")[1].strip().split(",")]


class Plan:
    """What is disabled, and the parameters of what is not."""

    def __init__(self, r, passes):
        share = r.choice([0.2, 0.5, 0.5, 0.8])
        self.passes = passes
        self.disabled = {p.name for p in passes if p.optional and r.random() < share}
        self.parameters = {p.name: [f"{n}={r.choice(c)}" for n, c in p.parameters if r.random() < 0.5] for p in passes}

    def options(self, numeric_only=False):
        """numeric_only: passes that do not change numbers all run, as they usually do."""
        kept = [p.name for p in self.passes if not numeric_only or p.name in NUMERIC]
        steps = [p.name + (f"({','.join(self.parameters[p.name])})" if self.parameters[p.name] and p.name in kept else "")
                 for p in self.passes]
        disabled = [p for p in kept if p in self.disabled]
        return ["--passes", ",".join(steps), *(["--disable", ",".join(disabled)] if disabled else [])]

    def tables(self):
        """i8 or f16."""
        exact = "quantize-tables" in self.disabled or "type=f16" in self.parameters["quantize-tables"]
        return "f16" if exact else "i8"

    def __str__(self):
        return " ".join(self.options())


# ------------------------------------------------------------------ one program

class Case:
    def __init__(self, seed, passes):
        r = self.r = random.Random(seed)
        self.seed = seed
        self.machine = r.choice(list(MACHINES))
        self.plan = Plan(r, passes)
        groups = MACHINES[self.machine]
        lookups = self.machine not in NO_LOOKUPS and "split-precompute" not in self.plan.disabled
        planes = lookups or r.random() < 0.5
        self.graphs = [Graph(r, "floats", planes, groups), Graph(r, "exact", lookups, groups, exact=True)]
        self.may_be_refused = not lookups and any(g.has_planes for g in self.graphs)
        self.refused = False
        self.rows, self.position = r.choice([1, 2, 3, 5, 9, 17, 32]), r.choice([0, 0, 3, 7])
        self.weights = ["--weights", f"random:{seed}", "--machine", self.machine]

    def text(self):
        return "\n".join(['module "subsets"', "dim T in 1..32", *(g.text() for g in self.graphs)]) + "\n"

    def inputs(self, folder):
        r, rows = self.r, self.rows
        indices = [r.randrange(17) for _ in range(rows)]
        lutra.write_npy(folder / "i.npy", lutra.Array("i32", (rows,), indices))
        lutra.write_npy(folder / "s.npy", lutra.Array("f32", (rows,), [r.choice([0.5, 0.03, 1.7]) for _ in range(rows)]))
        common = {"i": folder / "i.npy", "p": self.position, "x": f"random:{self.seed}"}
        return {"floats": common, "exact": common | {"s": folder / "s.npy"}}


def call(case, folder, graph, prefix):
    """Options of a call that writes its results to prefix-NAME.npy."""
    outputs = [o for n in graph.names() for o in ("--output", f"{n}=@{folder}/{prefix}-{n}.npy")]
    return ["--entry", graph.name, *lutra.inputs(case.inputs_of[graph.name]), "--dim", f"T={case.rows}", *outputs]


def results(folder, graph, prefix):
    return [lutra.read_npy(folder / f"{prefix}-{n}.npy") for n in graph.names()]


def error_of(got, want):
    if got.shape != want.shape:
        return float("inf")
    return lutra.nmse(got, want)


def compare(case, folder, graph):
    """What is wrong with the results of one entry."""
    lutra.run("lutc", "eval", folder / "m.lir", *case.weights, *call(case, folder, graph, "want"))
    harts = 1 if "partition" in case.plan.disabled else case.r.choice([1, 2, 3])
    lutra.run("lutrun", folder / "some.elf", "--harts", harts, *call(case, folder, graph, "got"))
    lutra.run("lutrun", folder / "all.elf", *call(case, folder, graph, "all"))
    got, want, usual = (results(folder, graph, p) for p in ("got", "want", "all"))
    for name, a, b, c in zip(graph.names(), got, want, usual):
        error = error_of(a, b)
        if (folder / f"got-{name}.npy").read_bytes() != (folder / f"all-{name}.npy").read_bytes():
            return f"{graph.name}, {name}: other bits than with all passes that keep them, nmse {error_of(a, c):.3g}"
        if graph.exact and error:
            return f"{graph.name}, {name}: not the oracle's integers, nmse {error:.3g}"
        if not error <= BOUND[case.plan.tables()]:  # nor for NaN
            return f"{graph.name}, {name}: nmse {error:.3g} > {BOUND[case.plan.tables()]}"
    return None


def is_refused(case, folder):
    result = lutra.run("lutc", folder / "m.lir", *case.weights, *case.plan.options(), "-o", folder / "some.elf", check=False)
    return result.returncode == 1 and "need lookups" in result.stderr


def check_program(case, folder):
    source = folder / "m.lir"
    source.write_text(case.text())
    if case.may_be_refused and is_refused(case, folder):
        case.refused = True
        return None
    for name, numeric_only in (("some", False), ("again", False), ("all", True)):
        lutra.run("lutc", source, *case.weights, *case.plan.options(numeric_only), "-o", folder / f"{name}.elf")
    if (folder / "some.elf").read_bytes() != (folder / "again.elf").read_bytes():
        return "two compilations differ"
    case.inputs_of = case.inputs(folder)
    return next(filter(None, (compare(case, folder, g) for g in case.graphs)), None)


def check(case):
    with tempfile.TemporaryDirectory() as name:
        try:
            problem = check_program(case, pathlib.Path(name))
        except lutra.ToolError as e:
            problem = str(e)
    if problem:
        print(f"{case.text()}\n{case.machine}, {case.rows} rows, {case.plan}:\n{problem}\n"
              f"repeat: subsets.py --seed {case.seed} --programs 1", flush=True)
    return not problem


def main():
    passes = listed_passes()
    assert sum(p.optional for p in passes) >= 6, "lutc list passes has changed"
    seeds = lutra.seeds(quick=6, usual=16)
    cases = [Case(seed, passes) for seed in seeds]
    failed = [case.seed for case in cases if not check(case)]
    refused = sum(case.refused for case in cases)
    print(f"{len(seeds) - len(failed)} of {len(seeds)} programs agree with the oracle, {refused} of them refused as they must be "
          f"(seeds {seeds[0]} to {seeds[-1]})" + (f"; not {failed}" if failed else ""))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
