#!/usr/bin/env python3
"""Speed of the emulator on compiled programs: instructions, lmma and weights per second."""
import pathlib
import tempfile

import table
import lutra

CASES = [("decode", 1, 20), ("prefill", 64, 2)]  # name, rows, calls


def run_once(program, rows, calls):
    result = lutra.run("lutrun", program, "--input", "x=random:1", "--dim", f"T={rows}",
                       "--repeat", calls, "--stats=json")
    s = lutra.statistics(result.stderr)
    seconds = s["host"]["seconds"]
    return {"instructions": s["instructions"] / seconds / 1e6, "lmma": s["work"]["lmma"] / seconds / 1e6,
            "multiply-accumulates": s["work"]["lut_multiply_accumulates"] / seconds / 1e9}


UNITS = {"instructions": "1e6/s", "lmma": "1e6/s", "multiply-accumulates": "1e9/s"}


def main():
    out = table.Table()
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder) / "p.elf"
        lutra.run("lutc", lutra.SOURCE / "examples/linear/linear.lut", "--weights", "random:1", "-o", program)
        for name, rows, calls in CASES:
            runs = table.repeat(lambda r=rows, c=calls: run_once(program, r, c), times=5)
            for what, unit in UNITS.items():
                out.add(f"emulator/linear 4096 x 4096 w2g128/{name}/{what}", [r[what] for r in runs], unit)
    out.show()


if __name__ == "__main__":
    main()
