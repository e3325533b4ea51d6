import itertools

import report

out = report.Report()
out.add("speed", "GB/s", [10, 20, 20], "copy", [5, 10, 10])
out.add("time", "ms", [250], "limit", 1000, larger=False, goal=1)
out.add("alone", "ms", [12345.6])
out.show()
first, second = itertools.count(), itertools.count(0, 10)
print("rounds", *report.repeat(lambda: next(first), lambda: next(second), times=3))
