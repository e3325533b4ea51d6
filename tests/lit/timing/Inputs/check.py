"""What holds of every report of --time=json."""
import json
import sys

report = json.load(open(sys.argv[1], encoding="utf-8"))
calls = int(sys.argv[3]) if len(sys.argv) > 2 else 1
assert report["schema"] == "lutrun-time" and report["version"] == 1 and report["calls"] == calls
waits = sum(report["stalls"].values())
for group in ("functions", "lines", "places", "opcodes"):
    rows = report[group]
    assert sum(row["instructions"] for row in rows) == report["instructions"], group
    # the front issues one instruction in a cycle, or waits
    assert sum(row["cycles"] for row in rows) == report["instructions"] + waits <= report["cycles"] * report["harts"], group
    assert all(sum(row["busy"].get(unit, 0) for row in rows) == busy for unit, busy in report["busy"].items()), group
    joules = sum(row["joules"] for row in rows)
    rest = sum(value for name, value in report["energy"].items() if name != "static")
    assert abs(joules - rest) <= 1e-9 * rest, (group, joules, rest)
