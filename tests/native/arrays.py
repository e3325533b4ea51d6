#!/usr/bin/env python3
"""examples/native: the ctypes module with arrays of its own, against the oracle, and its errors; with NumPy, where that is installed."""
import importlib.util
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import lutra as tools

EXAMPLES = tools.SOURCE / "examples"
PROGRAM = """model arrays;
dim T in 1..8;
weights { w: w[96, 64] = "w"; }
entry fn main(x: f32[T, 64]) -> f32[T, 96] { return linear(x, w, type = f32); }
entry fn scaled(x: f16[T, 4], s: f32) -> f32[T, 4] { return f32(x) * s; }
entry fn narrow(x: bf16[T, 4], y: e4m3[T, 4]) -> e5m2[T, 4] { return e5m2(f32(x) + f32(y)); }
"""


def load_module():
    found = importlib.util.spec_from_file_location("native_arrays", EXAMPLES / "native" / "lutra.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def floats(data):
    return list(struct.unpack(f"<{len(data) // 4}f", data))


def refused(module, what, call):
    try:
        call()
    except module.Error as e:
        assert what in str(e), f"'{e}' does not say '{what}'"
        return
    assert False, f"not refused: {what}"


def oracle(work, options, x):
    tools.write_npy(work / "x.npy", x)
    tools.run("lutc", "eval", work / "arrays.lut", *options, "--entry", "main", "--input", f"x=@{work}/x.npy", "--output",
              f"result=@{work}/y.npy")
    return tools.read_npy(work / "y.npy")


def check_calls(module, program, want, x):
    given = module.Array("f32", x.shape, struct.pack(f"<{len(x.values)}f", *x.values))
    y = program.main(x=given)["result"]
    interface = y.__array_interface__
    assert interface["shape"] == want.shape and interface["typestr"] == "<f4" and interface["data"][0] % 64 == 0
    error = tools.nmse(tools.Array("f32", want.shape, floats(bytes(y))), want)
    assert error < 1e-11, error
    halves = module.Array("f16", (2, 4), struct.pack("<8e", *range(8)))
    assert floats(bytes(program.scaled(x=halves, s=0.5)["result"])) == [i / 2 for i in range(8)]
    ones = module.Array("bf16", (1, 4), struct.pack("<4H", *[0x3f80] * 4))
    sums = program.narrow(x=ones, y=module.Array("e4m3", (1, 4), bytes([0x38] * 4)))["result"]
    assert bytes(sums) == bytes([0x40] * 4) and sums.__array_interface__["typestr"] == "|u1"


def check_errors(module, program, work):
    class Strided:
        def __init__(self, array, **more):
            self.__array_interface__ = {**array.__array_interface__, **more}
    x = module.Array("f32", (3, 64))
    refused(module, "expected x; given y", lambda: program.main(y=x))
    refused(module, "expected x; given x, y", lambda: program.main(x=x, y=x))
    refused(module, "expected <f4 (3, 64), found <f2 (3, 64)", lambda: program.main(x=module.Array("f16", (3, 64))))
    refused(module, "expected <f4 (3, 64), found <f4 (3, 65)", lambda: program.main(x=module.Array("f32", (3, 65))))
    refused(module, "not contiguous", lambda: program.main(x=Strided(x, strides=(4, 12))))
    refused(module, "not contiguous and aligned", lambda: program.main(
        x=Strided(x, data=(x.memory.address + 2, False))))
    refused(module, "a dimension is out of its range", lambda: program.main(x=module.Array("f32", (9, 64))))
    refused(module, "bad weights", lambda: module.Program(work / "arrays.so", weights=work / "arrays.lut"))
    refused(module, "0 threads of 256 at most: bad threads", lambda: module.Program(work / "arrays.so", threads=0))
    refused(module, "x: expected an array of <f4, found list", lambda: program.main(x=[1.0]))
    assert not hasattr(program, "other")


def check_numpy(work):
    try:
        import numpy  # noqa: F401
    except ImportError:
        print("no NumPy: examples/native/ffn.py is skipped")
        return
    done = subprocess.run([sys.executable, EXAMPLES / "native" / "ffn.py", work], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout, end="")


def main():
    module = load_module()
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        (work / "arrays.lut").write_text(PROGRAM)
        options = ["--weights", "random:1", "--quant", "w4g32"]
        tools.run("lutc", work / "arrays.lut", *options, "--tables", "f16", "--target=native", "-o", work / "arrays.so")
        r = random.Random(1)
        x = tools.Array("f32", (3, 64), [r.gauss(0, 1) for _ in range(192)])
        want = oracle(work, options, x)
        x = tools.read_npy(work / "x.npy")
        for threads in (1, 2):
            with module.Program(work / "arrays.so", threads=threads) as program:
                check_calls(module, program, want, x)
                check_errors(module, program, work)
            program.close()
            refused(module, "main: the program is closed", lambda p=program: p.main(x=x))
        print("arrays in and out, and errors")
        check_numpy(work)


if __name__ == "__main__":
    main()
