"""damage.py IN OUT: one bit is another."""
import sys

data = bytearray(open(sys.argv[1], "rb").read())
data[len(data) // 2] ^= 4
open(sys.argv[2], "wb").write(data)
