"""explore.py CSV JSON: the row of m2n64k4 itself has what `lutc estimate --json` says of it."""
import csv
import json
import sys

with open(sys.argv[1], encoding="utf-8") as stream:
    rows = [r for r in csv.DictReader(stream)
            if [r[name] for name in ("unit_m", "unit_n", "unit_k", "tile_m", "tile_n")] == "2 64 4 2 64".split()]
with open(sys.argv[2], encoding="utf-8") as stream:
    total = json.load(stream)["total"]
assert len(rows) == 1, rows
for name, value in (("ms", total["seconds"]), ("mj", total["energy"])):
    assert abs(float(rows[0][name]) / (1e3 * value) - 1) < 1e-5, (name, rows[0][name], value)
