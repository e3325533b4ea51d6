"""What benchmarks share: repeated measurement, the table, the rows for --json.

A row has the name of the measurement, its value and unit, what it is compared with and the ratio
(larger is better), the spread of the repetitions, and the ratio that is asked for, if one is.
$BENCH_JSON names the file that gets one JSON object per row.
"""
import json
import os
import statistics
import sys
import pathlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))

REPETITIONS = 7


def repeat(measure, times=REPETITIONS):
    """The values of several runs, the first (cold) one left out."""
    measure()
    return [measure() for _ in range(times)]


class Table:
    def __init__(self):
        self.rows = []

    def add(self, bench, values, unit, limit=None, target=None, goal=None):
        """limit: an upper bound for the value; target: something to reach, larger is better."""
        value = statistics.median(values)
        base = limit if limit is not None else target
        ratio = None
        if base and value:
            ratio = limit / value if limit is not None else value / target
        self.rows.append({"bench": bench, "value": value, "unit": unit,
                          "baseline": None if base is None else "limit" if limit is not None else "target",
                          "baseline_value": base, "ratio": ratio,
                          "spread": (max(values) - min(values)) / value if value else 0.0, "goal": goal})

    def show(self):
        print(f"{'benchmark':66} {'median':>12} {'unit':10} {'spread':>8} {'ratio':>8} {'goal':>6}")
        for r in self.rows:
            ratio = f"{r['ratio']:8.2f}" if r["ratio"] is not None else " " * 8
            goal = f"{r['goal']:6.2f}" if r["goal"] is not None else ""
            print(f"{r['bench']:66} {r['value']:12.3f} {r['unit']:10} {100 * r['spread']:6.1f} % {ratio} {goal}")
        if os.environ.get("BENCH_JSON"):
            with open(os.environ["BENCH_JSON"], "a", encoding="utf-8") as f:
                f.writelines(json.dumps(r) + "\n" for r in self.rows)
