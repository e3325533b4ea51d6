# pack.py OUT [TILE_N]: a packed weight file (docs/program.md) of one weight `w`, i32[4] = 5, 6, 7, 8.
import json
import struct
import sys

tile_n = int(sys.argv[2]) if len(sys.argv) > 2 else 64
directory = json.dumps([{"name": "w", "source": None, "format": "f32", "shape": [4],
                         "offset": 4096, "size": 16, "hash": "0" * 16}]).encode()
header = b"LUTWPACK" + struct.pack("<IIIIQQ", 1, 2, tile_n, 0, 4160, len(directory))
with open(sys.argv[1], "wb") as out:
    out.write(header.ljust(4096, b"\0") + struct.pack("<4i", 5, 6, 7, 8).ljust(64, b"\0") + directory)
