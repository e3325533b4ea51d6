"""The list of weight formats and what they are multiplied with, as `lutc list formats` prints it.

What the sweep tests, the benchmark measures, and docs/weights.md shows.
"""
import lutra

FLOATS = ["f32", "f16", "bf16", "e4m3", "e5m2"]


def lines():
    return lutra.run("lutc", "list", "formats").stdout.splitlines()


def in_planes():
    """(base, bits, {activation: entries of its tables, "-" for none}) of each."""
    rows = []
    for line in lines():
        words = line.split()
        if len(words) > 4 and words[1].isdigit():
            tables = {a: words[2] for a in FLOATS} | {"i8": words[3], "i16": words[4]}
            rows.append((words[0], int(words[1]), tables))
    return rows


def for_matrix_units():
    """The bases between the two headings."""
    listed = lines()
    first = next(i for i, line in enumerate(listed) if "for matrix units" in line)
    return [line.split()[0] for line in listed[first + 1:listed.index("in planes:")]]


def products(tables):
    """(activation, entries) of each kind of table; floats are read alike once they are tables."""
    kinds = [("f16", entry) for entry in tables["f16"].split(",")]
    return kinds + [(a, tables[a]) for a in ("i8", "i16") if tables[a] != "-"]
