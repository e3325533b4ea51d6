"""Calling a library that lutc --target=native wrote, with ctypes alone: the structures of runtime/native/lutra.h.

    program = native.Program("model.so", "model", threads=2)
    outputs = program.call("main", {"x": array})      # arrays of lutra.py, or numbers for scalars

Standard library only; NumPy arrays go in as addresses (array.ctypes.data) just the same.
"""
import ctypes
import math
import pathlib
import struct

import lutra

ALL_FEATURES = 2 ** 64 - 1
AVX2, AVX512_VNNI, DOTPROD = 1, 2, 4
STATUS = ["ok", "bad program", "bad memory", "bad threads", "bad call", "bad weights", "stopped"]
SIZES = {"f64": 8, "f32": 4, "f16": 2, "i64": 8, "i32": 4, "i16": 2, "i8": 1, "u8": 1, "index": 8}
u64, i64, text, pointer = ctypes.c_uint64, ctypes.c_int64, ctypes.c_char_p, ctypes.c_void_p


class Extent(ctypes.Structure):
    _fields_ = [("dim", i64), ("value", i64)]


class Value(ctypes.Structure):
    _fields_ = [("name", text), ("type", text), ("rank", u64), ("shape", Extent * 6)]


class Dim(ctypes.Structure):
    _fields_ = [("name", text), ("minimum", i64), ("maximum", i64)]


class State(ctypes.Structure):
    _fields_ = [("value", Value), ("offset", u64)]


class Level(ctypes.Structure):
    _fields_ = [("name", text), ("requires", u64)]


class Entry(ctypes.Structure):
    _fields_ = [("name", text), ("input_count", u64), ("inputs", ctypes.POINTER(Value)), ("output_count", u64),
                ("outputs", ctypes.POINTER(Value)), ("code", pointer)]


class Description(ctypes.Structure):
    _fields_ = [("abi", u64), ("name", text), ("target", text), ("level_count", u64), ("levels", ctypes.POINTER(Level)),
                ("dim_count", u64), ("dims", ctypes.POINTER(Dim)), ("entry_count", u64),
                ("entries", ctypes.POINTER(Entry)), ("state_count", u64), ("states", ctypes.POINTER(State)),
                ("state_size", u64), ("workspace_size", u64), ("scratch_size", u64), ("most_threads", u64),
                ("weights_size", u64), ("weights_layout", u64)]


class Weights(ctypes.Structure):
    _fields_ = [("data", pointer), ("size", ctypes.c_size_t)]


class Stopped(Exception):
    pass


def aligned(size):
    """Zeroed memory of that size at a multiple of 64; keep the first result as long as the address is used."""
    memory = ctypes.create_string_buffer(size + 64)
    return memory, (ctypes.addressof(memory) + 63) & ~63


def bits_of(kind, value):
    """A scalar's bits as a word."""
    code = lutra.CODES[lutra.DESCR.get(kind, "<i8")]
    return int.from_bytes(struct.pack("<" + code, value).ljust(8, b"\0"), "little")


class Program:
    def __init__(self, library, name, weights=None, threads=1, features=ALL_FEATURES):
        self.lib = ctypes.CDLL(str(pathlib.Path(library).resolve()))
        self.lib.lutra_context_size.restype = ctypes.c_size_t
        self.lib.lutra_message.restype = text
        self.lib.lutra_level_of.restype = ctypes.POINTER(Level)
        self.description = Description.in_dll(self.lib, f"{name}_program")
        weights = weights or pathlib.Path(library).with_suffix(".lutw")
        self.weights = Weights()
        if self.description.weights_size:
            status = self.lib.lutra_map_weights(ctypes.byref(self.weights), ctypes.byref(self.description),
                                                str(weights).encode())
            if status:
                raise Stopped(STATUS[status])
        self.states, self.state_address = aligned(self.description.state_size)
        size = self.lib.lutra_context_size(ctypes.byref(self.description), threads)
        self.memory, address = aligned(size)
        self.context = pointer()
        status = self.lib.lutra_start(ctypes.byref(self.context), ctypes.byref(self.description), threads, u64(features),
                                      pointer(address), ctypes.c_size_t(size))
        if status:
            raise Stopped(STATUS[status])
        self.level = self.lib.lutra_level_of(self.context).contents.name.decode()

    def close(self):
        self.lib.lutra_stop(self.context)
        self.lib.lutra_unmap_weights(ctypes.byref(self.weights))

    def sizes(self, entry, arrays, dims):
        """The value of every dimension: given, or read off the arrays."""
        d = self.description
        found = [dims.get(d.dims[i].name.decode(), d.dims[i].minimum) for i in range(d.dim_count)]
        for i in range(entry.input_count):
            value = entry.inputs[i]
            array = arrays[value.name.decode()]
            for k in range(value.rank):
                extent = value.shape[k]
                if extent.dim >= 0:
                    found[extent.dim] = array.shape[k] // extent.value
        return found

    def call(self, name, arrays, dims={}):
        d = self.description
        index = self.lib.lutra_find_entry(ctypes.byref(d), name.encode())
        entry = d.entries[index]
        sizes = self.sizes(entry, arrays, dims)
        kept, inputs, outputs = [], (u64 * max(entry.input_count, 1))(), (u64 * max(entry.output_count, 1))()
        for i in range(entry.input_count):
            value, kind = entry.inputs[i], entry.inputs[i].type.decode()
            given = arrays[value.name.decode()]
            if value.rank:
                code = lutra.CODES[lutra.DESCR[kind]]
                data = struct.pack(f"<{len(given.values)}{code}", *given.values)
                memory, address = aligned(len(data))
                ctypes.memmove(address, data, len(data))
                kept.append(memory)
                inputs[i] = address
            else:
                inputs[i] = bits_of(kind, given.values[0] if isinstance(given, lutra.Array) else given)
        results = {}
        for i in range(entry.output_count):
            value, kind = entry.outputs[i], entry.outputs[i].type.decode()
            shape = tuple(e.value * (sizes[e.dim] if e.dim >= 0 else 1) for e in value.shape[:value.rank])
            memory, outputs[i] = aligned(math.prod(shape) * SIZES[kind])
            results[value.name.decode()] = (memory, outputs[i], kind, shape)
        status = self.lib.lutra_call(self.context, index, pointer(self.weights.data), pointer(self.state_address),
                                     (i64 * max(len(sizes), 1))(*sizes), inputs, outputs)
        if status:
            raise Stopped(f"{STATUS[status]}: {self.lib.lutra_message(self.context).decode()}")
        arrays = {}
        for key, (memory, address, kind, shape) in results.items():
            count, code = math.prod(shape), lutra.CODES[lutra.DESCR[kind]]
            values = struct.unpack(f"<{count}{code}", ctypes.string_at(address, count * SIZES[kind]))
            arrays[key] = lutra.Array(kind, shape, list(values))
        return arrays
