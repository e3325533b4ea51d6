#!/usr/bin/env python3
"""What a library for CPUs refuses, and that it goes on afterwards: weights, memory, threads, dimensions, indices."""
import ctypes
import pathlib
import struct
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import lutra
import native

PROGRAM = """model refusals;
dim T in 1..8;
weights { e: w[16, 64] = "e"; w: w[32, 64] = "w"; }
entry fn main(tokens: i32[T]) -> f32[T, 32] { return linear(embedding(e, tokens, type = f32), w, type = f32); }
"""


def refused(what, call):
    try:
        call()
    except native.Stopped as e:
        assert what in str(e), f"'{e}' does not say '{what}'"
        return
    assert False, f"not refused: {what}"


def compile_as(work, name, *options):
    lutra.run("lutc", work / "refusals.lut", "--weights", "random:1", *options, "--target=native", "-o", work / f"{name}.so")
    return work / f"{name}.so"


def check_weights(work, library):
    packed = library.with_suffix(".lutw").read_bytes()
    for name, data in {"short": packed[:-1], "magic": b"X" + packed[1:], "tiles": packed[:12] + b"\1" + packed[13:],
                       "layout": packed[:56] + bytes([packed[56] ^ 1]) + packed[57:],
                       "empty": b""}.items():
        (work / f"{name}.lutw").write_bytes(data)
        refused("bad weights", lambda: native.Program(library, "refusals", weights=work / f"{name}.lutw"))
    refused("bad weights", lambda: native.Program(library, "refusals", weights=work / "none.lutw"))


def check_start(library):
    p = native.Program(library, "refusals")
    d, context = p.description, ctypes.c_void_p()
    assert p.lib.lutra_context_size(ctypes.byref(d), 0) == 0
    assert p.lib.lutra_context_size(ctypes.byref(d), 100000) == 0
    size = p.lib.lutra_context_size(ctypes.byref(d), 1)
    memory, address = native.aligned(size + 64)

    def start(threads, where, bytes_there):
        return native.STATUS[p.lib.lutra_start(ctypes.byref(context), ctypes.byref(d), threads, native.u64(native.ALL_FEATURES),
                                               native.pointer(where), ctypes.c_size_t(bytes_there))]
    assert start(0, address, size) == "bad threads"
    assert start(1, address + 8, size) == "bad memory"
    assert start(1, address, size - 1) == "bad memory"
    assert start(1, None, size) == "bad memory"
    p.close()


def check_mixed(work):
    """What stands in front of weights in several formats leads nowhere else."""
    program = work / "mixed.lut"
    program.write_text('model mixed;\nweights { w: w[256, 64] = "w"; }\n'
                       "entry fn main(x: f32[1, 64]) -> f32[1, 256] { return linear(x, w, type = f32); }\n")
    library = work / "mixed.so"
    lutra.run("lutc", program, "--weights", "random:1", "--quant", "w2g64_2x64_w4g64", "--target=native", "-o", library)
    packed, at = bytearray(library.with_suffix(".lutw").read_bytes()), 4096
    assert sorted(struct.unpack_from("<4i", packed, at)) == [0, 1, 2, 3]
    x = {"x": lutra.Array("f32", (1, 64), [1.0] * 64)}
    for number in (4, -1, 2 ** 31 - 1, -2 ** 31):
        struct.pack_into("<i", packed, at + 8, number)
        (work / "damaged.lutw").write_bytes(packed)
        p = native.Program(library, "mixed", weights=work / "damaged.lutw")
        refused("stopped: a block of weights beyond the matrix", lambda: p.call("main", x))
        p.close()


def check_calls(library):
    for threads in (1, 3):
        p = native.Program(library, "refusals", threads=threads)
        tokens = lambda values: {"tokens": lutra.Array("i32", (len(values),), values)}
        good = p.call("main", tokens([0, 15, 3]))["result"].values
        refused("stopped: index beyond the table's rows", lambda: p.call("main", tokens([0, 16, 3])))
        refused("stopped", lambda: p.call("main", tokens([-1] * 8)))
        refused("bad call: a dimension is out of its range", lambda: p.call("main", tokens([1] * 9)))
        refused("bad call: a dimension is out of its range", lambda: p.call("main", tokens([])))
        assert p.call("main", tokens([0, 15, 3]))["result"].values == good, "a refused call changes later ones"
        p.close()


def main():
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        (work / "refusals.lut").write_text(PROGRAM)
        library = compile_as(work, "refusals", "--quant", "w4g32")
        check_weights(work, library)
        check_start(library)
        check_calls(library)
        check_mixed(work)
        again = work / "again.so"  # weights of this layout are a source as any other
        lutra.run("lutc", work / "refusals.lut", "--weights", library.with_suffix(".lutw"), "--target=native", "-o", again)
        assert again.with_suffix(".lutw").read_bytes()[4096:8192] == library.with_suffix(".lutw").read_bytes()[4096:8192]
        lutra.run("lutc", work / "refusals.lut", "--weights", library.with_suffix(".lutw"), "-o", work / "emulated.elf")
    print("refused what was wrong, and went on")


if __name__ == "__main__":
    main()
