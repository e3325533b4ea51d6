"""What the scripts of this folder share: a claim's table, its rows for --json, and estimates by lutc.

A row is a case with the published value, ours, and ours / published. Values without a published one
stand alone. What differs in method is printed behind the table.
"""
import functools
import json
import pathlib
import re
import sys
import tempfile
import textwrap

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "bench"), str(ROOT / "tests" / "tools")]
import lutra
import report
import shapes

QUICK = lutra.QUICK
WIDTH = 150
ROW_BLOCKS = (0, 8)  # schedules that are tried: the compiler's choice, and 8 row tiles at most


class Claim:
    COLUMNS = ["case", "unit", "ours", "beside it", "its value", "ours / it", "goal", "held"]

    def __init__(self, name, title, source, variant=None):
        """variant: what the values of a column of their own are, beside ours."""
        self.name, self.report, self.lines, self.variant = name, report.Report(), [], variant
        print(f"\n{title}\n{source}\n", flush=True)

    def row(self, case, unit, ours, published=None, versus="published", variant=None):
        """A value beside what it is compared with, which is the published one unless `versus` names it."""
        self.report.add(f"papers/{self.name}/{case}", unit, [ours], None if published is None else versus, published)
        ratio = None if published is None else ours / published
        self.lines.append([case, unit, report.number(ours), "" if published is None else versus, report.number(published),
                           report.number(ratio), "", "", report.number(variant)])
        if variant is not None:
            self.report.add(f"papers/{self.name}/{case}, {self.variant}", unit, [variant])

    def goal(self, case, unit, ours, most):
        """A value that the project wants to be at most `most`."""
        self.report.add(f"papers/{self.name}/{case}", unit, [ours], "goal", most, larger=False, goal=1)
        held = "yes" if ours <= most else "no"
        self.lines.append([case, unit, report.number(ours), "", "", "", f"<= {report.number(most)}", held, ""])

    def missing(self, case, why):
        """What cannot be had yet: said, and no row of its own in JSON."""
        self.lines.append([case, "", f"not available: {why}", "", "", "", "", "", ""])

    def show(self, *differs):
        table = [self.COLUMNS + [self.variant or ""]] + self.lines
        used = [any(line[i] for line in self.lines) for i in range(len(table[0]))]
        table = [[cell for cell, keep in zip(line, used) if keep] for line in table]
        widths = [max(len(cell) for cell in column if not cell.startswith("not ")) for column in zip(*table)]
        left = [name in ("case", "unit", "beside it") for name in table[0]]
        for line in table:
            print("  ".join(c.ljust(w) if l else c.rjust(w) for c, w, l in zip(line, widths, left)).rstrip())
        print("\nWhat differs in method:")
        for text in differs:
            print(textwrap.fill(text, WIDTH, initial_indent="* ", subsequent_indent="  "))
        self.report.save()


@functools.cache
def pipeline(**arguments):
    """The usual passes up to lowering, with arguments for some: pipeline(choose_tiles="row_block=8")."""
    (order,) = re.findall(r"^in order: (\S+)", lutra.run("lutc", "list", "passes").stdout, re.M)
    names = order.split(",")
    steps = names[:names.index("lower-to-tile") + 1]
    given = {name.replace("_", "-"): text for name, text in arguments.items()}
    assert not set(given) - set(steps), f"no such pass: {set(given) - set(steps)}"
    return ",".join(f"{step}({given[step]})" if step in given else step for step in steps)


@functools.cache
def estimate(*words):
    """What `lutc estimate` says, as its JSON; the same question is asked once."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "estimate.json"
        lutra.run("lutc", "estimate", *words, "--json", out)
        return json.loads(out.read_text(encoding="utf-8"))


def forward(model, machine, *words, batch, tokens, layers=None, row_block=0, tables="type=i8,scale=row"):
    """A call of `forward` of a published model, or of a program and its metadata: `tokens` new ones of each of `batch`
    sequences, nothing before them. 16-bit attention takes the matrix unit, as on a GPU, also beside lookups."""
    passes = pipeline(quantize_tables=tables, use_matrix="precision=rounded", choose_tiles=f"row_block={row_block},rows={batch * tokens}")
    sizes = {"BATCH": batch, "TOKENS": tokens, "S": tokens, "CONTEXT": tokens, **({"L": layers} if layers else {})}
    defines = [word for name, value in sizes.items() for word in ("-D", f"{name}={value}")]
    program = shapes.program(model) if isinstance(model, str) else model
    return estimate(*program, "--machine", machine, "--passes", passes, "--batch", batch, "--prefill", tokens,
                    *defines, *words)


def one_layer(value, model, machine, *words, **options):
    """value(estimate) of one layer: what the third layer adds to two."""
    three, two = (forward(model, machine, *words, layers=n, **options) for n in (3, 2))
    return value(three) - value(two)


def seconds(answer):
    return answer["total"]["seconds"]


def fastest_block(model, machine, *words, **options):
    """The row block of ROW_BLOCKS that makes a layer fastest, as a GPU's kernels would be tuned."""
    return min(ROW_BLOCKS, key=lambda b: one_layer(seconds, model, machine, *words, row_block=b, **options))
