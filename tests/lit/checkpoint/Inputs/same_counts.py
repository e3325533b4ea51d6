"""same_counts.py ONE.json CUT.json: statistics that differ in nothing but host time."""
import json, sys

one, cut = (json.load(open(name)) for name in sys.argv[1:])
for s in (one, cut):
    for key in ("seconds", "fastest_seconds", "million_instructions_per_second"):
        del s["host"][key]
assert one == cut, (one, cut)
