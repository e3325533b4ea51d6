"""slices.py TRACE.json NAME@START...: the trace has exactly these slices, properly nested."""
import json, sys

with open(sys.argv[1]) as f:
    trace = json.load(f)
events = trace["traceEvents"]
found = sorted(f"{e['name']}@{e['ts']}" for e in events)
assert found == sorted(sys.argv[2:]), found
total = int(trace["otherData"]["instructions"])
for a in events:
    assert a["ph"] == "X" and a["ts"] + a["dur"] <= total, a
    for b in events:
        overlap = a["ts"] < b["ts"] < a["ts"] + a["dur"]
        assert not overlap or b["ts"] + b["dur"] <= a["ts"] + a["dur"], (a, b)
