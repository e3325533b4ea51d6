#!/usr/bin/env python3
"""Published models at full size, compiled without their weights: time and memory of lutc."""
import pathlib
import tempfile

import report
import shapes

LIMITS = {"llama-2-7b": 2}  # seconds
LIMIT = 5  # of the others
MEMORY = 1024  # MiB
REPETITIONS = 3


def main():
    out = report.Report()
    with tempfile.TemporaryDirectory() as folder:
        output = pathlib.Path(folder) / "program.elf"
        for name in shapes.names():
            runs = [shapes.compile(name, "-o", output) for _ in range(REPETITIONS)]
            out.add(f"sizes/{name}/processor time", "s", [r.seconds for r in runs], "limit", LIMITS.get(name, LIMIT), larger=False, goal=1)
            out.add(f"sizes/{name}/peak memory", "MiB", [r.peak / (1 << 20) for r in runs], "limit", MEMORY, larger=False,
                    goal=1)
    out.show()


if __name__ == "__main__":
    main()
