#!/usr/bin/env python3
"""The claims of the papers, each a script of examples/papers, one after the other.

usage: papers.py            all of them
       papers.py --check    a test: few cases of each; every script must give rows, and what must be exact is
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "examples" / "papers"
NOT_HERE = 77  # a script skips, and says so, where real models are missing


def scripts():
    return sorted(path for path in FOLDER.iterdir() if os.access(path, os.X_OK) and path.is_file())


def execute(script, **environment):
    status = subprocess.run([sys.executable, str(script)], env=os.environ | environment).returncode
    if status not in (0, NOT_HERE):
        sys.exit(f"bench: error: {script.name}: exit {status}")
    return status


def wrong(row):
    """Why a row cannot be right, or None."""
    versus, ratio = row["baseline"] or "", row["ratio"]
    if not row["bench"].startswith("papers/") or row["value"] is None:
        return "not a row of a claim"
    if versus == "bound of traffic" and ratio < 1:
        return "less time than its traffic takes"
    if versus == "m n q / 4" and ratio != 1:
        return "not as many lookups as planes have groups of four"
    if versus == "q (1 + 16 / g)" and abs(ratio - 1) > 0.01:
        return "not as many bits as planes and their scales have"
    return None


def check():
    for script in scripts():
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "rows.json"
            status = execute(script, BENCH_JSON=str(out), LUTRA_TEST_QUICK="1")
            rows = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
        if status == 0 and not rows:
            sys.exit(f"{script.name}: no rows")
        for row in rows:
            if wrong(row):
                sys.exit(f"{script.name}: {wrong(row)}: {row}")


def main():
    if sys.argv[1:] == ["--check"]:
        return check()
    for script in scripts():
        execute(script)


if __name__ == "__main__":
    main()
