"""What benchmarks share: repeated measurement beside a baseline, the table, the rows for --json.

A row has the name of the measurement, its median and unit, what it is compared with, the ratio (better
when larger), the spread of the repetitions ((largest - smallest) / median), and the ratio that is asked
for, if one is. $BENCH_JSON names the file that gets one JSON object per row.
"""
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))

FOLDER = pathlib.Path(__file__).resolve().parent
REPETITIONS = 7


def repeat(*measures, times=REPETITIONS):
    """What each closure returns in `times` rounds. In a round they follow one another, so that a slow
    moment of the machine meets all of them; a cold round before is not counted."""
    for measure in measures:
        measure()
    rounds = [[measure() for measure in measures] for _ in range(times)]
    return [list(values) for values in zip(*rounds)]


def timed(closure):
    """Seconds of wall clock and of processor time (of child processes) it took, and its result."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    result = closure()
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, processor, result


def execute(*command):
    """A program that must be there and succeed; its stdout."""
    command = [str(word) for word in command]
    if not shutil.which(command[0]):
        sys.exit(f"bench: error: {command[0]} is not installed")
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"bench: error: {' '.join(command)}: exit {result.returncode}\n{result.stderr}")
    return result.stdout


def native(source, folder):
    """Compiles native/SOURCE.c for this machine and returns the program."""
    program = pathlib.Path(folder) / source
    execute("cc", "-O3", "-march=native", "-fopenmp-simd", "-o", program, FOLDER / "native" / f"{source}.c")
    return program


def relative(values, bases, larger):
    """The median over rounds of how much better a value is than its baseline."""
    return statistics.median(v / b if larger else b / v for v, b in zip(values, bases))


def number(x):
    return "" if x is None else f"{x:.0f}" if abs(x) >= 1000 else f"{x:.4g}"


class Report:
    COLUMNS = ["benchmark", "median", "unit", "spread", "baseline", "its value", "ratio", "goal"]

    def __init__(self):
        self.rows = []

    def add(self, bench, unit, values, versus=None, baseline=None, larger=True, goal=None):
        """versus: names the baseline, which is a number (a limit or target) or the values measured in
        the same rounds. larger: whether larger values are better."""
        bases = None if versus is None else baseline if isinstance(baseline, list) else [baseline] * len(values)
        value = statistics.median(values)
        self.rows.append({
            "bench": bench, "value": value, "unit": unit, "baseline": versus,
            "baseline_value": bases and statistics.median(bases),
            "ratio": bases and relative(values, bases, larger),
            "spread": (max(values) - min(values)) / value if value else 0.0, "goal": goal})

    def cells(self, r):
        return [r["bench"], number(r["value"]), r["unit"], f"{100 * r['spread']:.0f} %", r["baseline"] or "",
                number(r["baseline_value"]), number(r["ratio"]), number(r["goal"])]

    def show(self):
        """Prints the table, and saves its rows."""
        lines = [self.COLUMNS] + [self.cells(r) for r in self.rows]
        widths = [max(map(len, column)) for column in zip(*lines)]
        left = [not any(c.strip()[:1].isdigit() for c in column[1:]) for column in zip(*lines)]
        lines.insert(1, ["-" * w if l else "-" * (w - 1) + ":" for w, l in zip(widths, left)])
        for line in lines:
            print("| " + " | ".join(c.ljust(w) if l else c.rjust(w) for c, w, l in zip(line, widths, left)) + " |")
        self.save()

    def save(self):
        """Appends the rows to the file that $BENCH_JSON names."""
        if os.environ.get("BENCH_JSON"):
            with open(os.environ["BENCH_JSON"], "a", encoding="utf-8") as f:
                f.writelines(json.dumps(r) + "\n" for r in self.rows)
