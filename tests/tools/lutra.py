"""Running the tools from tests and benchmarks: npy files, processes, comparison.

Standard library only. Arrays are Array(type, shape, values) with Python numbers.
"""
import argparse
import ast
import json
import math
import os
import pathlib
import shutil
import struct
import subprocess
from dataclasses import dataclass, field

SOURCE = pathlib.Path(__file__).resolve().parents[2]
CODES = {"<f8": "d", "<f4": "f", "<f2": "e", "<i8": "q", "<i4": "i", "<i2": "h", "|i1": "b", "|u1": "B"}
DESCR = {"f64": "<f8", "f32": "<f4", "f16": "<f2", "i64": "<i8", "i32": "<i4", "i16": "<i2", "i8": "|i1", "u8": "|u1"}


# Set for runs under the sanitizers: fewer cases of the same kind.
QUICK = bool(os.environ.get("LUTRA_TEST_QUICK"))


def seeds(quick, usual):
    """The seeds of a sweep's programs, by its options --seed and --programs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--programs", type=int, default=quick if QUICK else usual)
    given = parser.parse_args()
    return range(given.seed, given.seed + given.programs)


def models():
    """The folder of real models and texts, or None."""
    for place in (os.environ.get("LUTRA_TEST_DATA"), SOURCE.parent / "shared" / "data"):
        if place and pathlib.Path(place).is_dir():
            return pathlib.Path(place)
    return None


@dataclass
class Array:
    type: str
    shape: tuple
    values: list = field(default_factory=list)


def read_npy(path):
    data = pathlib.Path(path).read_bytes()
    assert data[:6] == b"\x93NUMPY", path
    wide = data[6] > 1
    (length,) = struct.unpack_from("<I" if wide else "<H", data, 8)
    start = 12 if wide else 10
    header = ast.literal_eval(data[start:start + length].decode())
    code, body = CODES[header["descr"]], data[start + length:]
    count = math.prod(header["shape"])
    values = list(struct.unpack(f"<{count}{code}", body[:count * struct.calcsize(code)]))
    name = next(n for n, d in DESCR.items() if d == header["descr"])
    return Array(name, tuple(header["shape"]), values)


def write_npy(path, array):
    shape = "(" + "".join(f"{n}, " for n in array.shape) + ")"
    header = f"{{'descr': '{DESCR[array.type]}', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    code = CODES[DESCR[array.type]]
    body = struct.pack(f"<{len(array.values)}{code}", *array.values)
    pathlib.Path(path).write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + body)


def nmse(got, want):
    error = sum((g - w) ** 2 for g, w in zip(got.values, want.values))
    power = sum(w * w for w in want.values)
    return error / power if power else (0.0 if error == 0 else math.inf)


class ToolError(Exception):
    def __init__(self, command, result):
        super().__init__(f"{' '.join(map(str, command))}\nexit {result.returncode}\n{result.stderr}")
        self.status, self.stderr = result.returncode, result.stderr


def run(*command, check=True):
    """A tool of this project (found on PATH or in build/bin), its stdout and stderr as text: what a model with random
    weights writes need not be any."""
    tool = shutil.which(command[0]) or str(SOURCE / "build" / "bin" / command[0])
    command = [tool, *map(str, command[1:])]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace")
    if check and result.returncode:
        raise ToolError(command, result)
    return result


def inputs(pairs):
    """--input options: {"x": "random:1"} or {"x": path}."""
    options = []
    for name, value in pairs.items():
        file = isinstance(value, pathlib.Path)
        options += ["--input", f"{name}={'@' if file else ''}{value}"]
    return options


def statistics(text):
    """The JSON object that a tool printed, alone or behind other lines."""
    return json.loads(text[text.index("{"):])
