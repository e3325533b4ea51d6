"""usage: faster.py BEST.json (FACTOR OTHER.json)...: the others take at least so many times the cycles."""
import json
import sys


def cycles(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)["cycles"]


best = cycles(sys.argv[1])
slow = [(p, cycles(p) / best, float(f)) for f, p in zip(sys.argv[2::2], sys.argv[3::2])]
print("\n".join(f"{p}: {ratio:.2f} times {best} cycles" for p, ratio, _ in slow))
sys.exit(any(ratio < least for _, ratio, least in slow))
