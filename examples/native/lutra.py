"""Programs that lutc --target wrote for CPUs, from Python: NumPy arrays in and out, with ctypes alone.

    program = lutra.Program("ffn.so", threads=2)
    y = numpy.asarray(program.main(x=x)["result"])

Arrays are whatever has an __array_interface__, as NumPy's have: what goes in is read where it lies, and numpy.asarray of
what comes out is a view. Nothing is copied, and NumPy is not imported here. docs/native.md says what the calls do.
"""
import ctypes
import math
import pathlib
import struct

ALIGNMENT, ABI, ALL_FEATURES = 64, 2, 2 ** 64 - 1
STATUS = ("ok", "bad program", "bad memory", "bad threads", "bad call", "bad weights", "stopped")
# type: what array interfaces call it, and struct (of scalars). Floats that NumPy does not have are their bits.
TYPES = {"f64": ("<f8", "d"), "f32": ("<f4", "f"), "f16": ("<f2", "e"), "bf16": ("<u2", "H"), "e4m3": ("|u1", "B"),
         "e5m2": ("|u1", "B"), "i64": ("<i8", "q"), "i32": ("<i4", "i"), "i16": ("<i2", "h"), "i8": ("|i1", "b"),
         "u8": ("|u1", "B"), "i1": ("|b1", "?"), "index": ("<i8", "q")}
u64, i64, text, pointer = ctypes.c_uint64, ctypes.c_int64, ctypes.c_char_p, ctypes.c_void_p


def structure(name, *fields):
    return type(name, (ctypes.Structure,), {"_fields_": fields})


def listed(name, kind):
    return (f"{name}_count", u64), (name, ctypes.POINTER(kind))


# Of lutra.h.
Extent = structure("Extent", ("dim", i64), ("value", i64))
Value = structure("Value", ("name", text), ("type", text), ("rank", u64), ("shape", Extent * 6))
Dim = structure("Dim", ("name", text), ("minimum", i64), ("maximum", i64))
State = structure("State", ("value", Value), ("offset", u64))
Level = structure("Level", ("name", text), ("requires", u64))
Entry = structure("Entry", ("name", text), *listed("inputs", Value), *listed("outputs", Value), ("code", pointer))
Description = structure("Description", ("abi", u64), ("name", text), ("target", text), *listed("levels", Level),
                        *listed("dims", Dim), *listed("entries", Entry), *listed("states", State), ("state_size", u64),
                        ("workspace_size", u64), ("scratch_size", u64), ("most_threads", u64), ("weights_size", u64),
                        ("weights_layout", u64))
Weights = structure("Weights", ("data", pointer), ("size", ctypes.c_size_t))
FUNCTIONS = {  # name: result, arguments
    "context_size": (ctypes.c_size_t, [pointer, ctypes.c_uint]),
    "start": (ctypes.c_int, [pointer, pointer, ctypes.c_uint, u64, pointer, ctypes.c_size_t]),
    "stop": (None, [pointer]),
    "level_of": (ctypes.POINTER(Level), [pointer]),
    "message": (text, [pointer]),
    "call": (ctypes.c_int, [pointer, ctypes.c_uint, pointer, pointer, pointer, pointer, pointer]),
    "map_weights": (ctypes.c_int, [pointer, pointer, text]),
    "unmap_weights": (None, [pointer]),
}


class Error(Exception):
    pass


class Memory:
    """Zeros at a multiple of 64."""

    def __init__(self, size):
        self.bytes = ctypes.create_string_buffer(max(size, 1) + ALIGNMENT)
        self.address = (ctypes.addressof(self.bytes) + ALIGNMENT - 1) & -ALIGNMENT


class Array:
    """An array of a program's type; numpy.asarray(array) shows it, without a copy."""

    def __init__(self, kind, shape, data=None):
        self.kind, self.shape = kind, tuple(shape)
        self.size = math.prod(self.shape) * struct.calcsize("=" + TYPES[kind][1])
        self.memory = Memory(self.size)
        if data is not None:
            ctypes.memmove(self.memory.address, bytes(data), self.size)

    @property
    def __array_interface__(self):
        return {"version": 3, "shape": self.shape, "typestr": TYPES[self.kind][0], "data": (self.memory.address, False)}

    def __bytes__(self):
        return ctypes.string_at(self.memory.address, self.size)


def shape_of(value, sizes):
    return tuple(e.value * (sizes[e.dim] if e.dim >= 0 else 1) for e in value.shape[:value.rank])


def scalar_bits(value, given):
    code = TYPES[value.type.decode()][1]
    return int.from_bytes(struct.pack("<" + code, given).ljust(8, b"\0"), "little")


class Program:
    """A library with the weights beside it. Entries are methods; their results are arrays by name. One call at a time."""

    def __init__(self, library, threads=1, weights=None):
        library = pathlib.Path(library).resolve()
        self.context = None
        self.load(library)
        self.weights = Weights()
        if self.description.weights_size:
            path = pathlib.Path(weights or library.with_suffix(".lutw"))
            path.open("rb").close()  # says why where it cannot be read
            self.check(self.functions["map_weights"](ctypes.byref(self.weights), self.program, str(path).encode()), str(path))
        self.start_threads(threads)

    def load(self, library):
        code = ctypes.CDLL(str(library))
        self.description = Description.in_dll(code, "lutra_library")
        if self.description.abi != ABI:
            raise Error(f"{library} is of version {self.description.abi} of lutra.h, not {ABI}")
        self.program = ctypes.byref(self.description)
        self.functions = {}
        for name, (result, arguments) in FUNCTIONS.items():
            function = getattr(code, "lutra_" + name)
            function.restype, function.argtypes = result, arguments
            self.functions[name] = function
        d = self.description
        self.entries = {d.entries[i].name.decode(): (i, d.entries[i]) for i in range(d.entries_count)}
        self.dims = {d.dims[i].name.decode(): d.dims[i] for i in range(d.dims_count)}

    def start_threads(self, threads):
        size = self.functions["context_size"](self.program, threads)
        self.memory, self.states = Memory(size), Memory(self.description.state_size)
        context = pointer()
        self.check(self.functions["start"](ctypes.byref(context), self.program, threads, ALL_FEATURES, self.memory.address,
                                           size), f"{threads} threads of {self.description.most_threads} at most")
        self.context = context
        self.level = self.functions["level_of"](context).contents.name.decode()

    def close(self):
        if self.context:
            self.functions["stop"](self.context)
            self.functions["unmap_weights"](ctypes.byref(self.weights))
            self.context = None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def check(self, status, what):
        if status:
            message = self.functions["message"](self.context).decode() if self.context else ""
            raise Error(f"{what}: {STATUS[status]}{': ' if message else ''}{message}")

    def __getattr__(self, name):
        if name == "entries" or name not in self.entries:
            raise AttributeError(name)
        return lambda **arguments: self.call(name, **arguments)

    def call(self, name, **arguments):
        """Inputs by name, and sizes of dimensions that no input shows."""
        if not self.context:
            raise Error(f"{name}: the program is closed")
        index, entry = self.entries[name]
        values = {v.name.decode(): v for v in entry.inputs[:entry.inputs_count]}
        if values.keys() - arguments.keys() or arguments.keys() - values.keys() - self.dims.keys():
            raise Error(f"{name}: expected {', '.join(values)}; given {', '.join(arguments)}")
        arrays = {n: self.interface(n, v, arguments[n]) for n, v in values.items() if v.rank}
        sizes = self.sizes(values, arrays, arguments)
        inputs = [self.address(n, v, arrays[n], sizes) if v.rank else scalar_bits(v, arguments[n])
                  for n, v in values.items()]
        results = {v.name.decode(): Array(v.type.decode(), shape_of(v, sizes)) for v in entry.outputs[:entry.outputs_count]}
        outputs = [array.memory.address for array in results.values()]
        self.check(self.functions["call"](self.context, index, self.weights.data, self.states.address,
                                          (i64 * (len(sizes) + 1))(*sizes), (u64 * (len(inputs) + 1))(*inputs),
                                          (u64 * (len(outputs) + 1))(*outputs)), name)
        return results

    def interface(self, name, value, given):
        if not hasattr(given, "__array_interface__"):
            raise Error(f"{name}: expected an array of {TYPES[value.type.decode()][0]}, found {type(given).__name__}")
        return given.__array_interface__

    def sizes(self, values, arrays, arguments):
        found = [arguments.get(name, dim.minimum) for name, dim in self.dims.items()]
        for name, array in arrays.items():
            for extent, size in zip(values[name].shape[:values[name].rank], array["shape"]):
                if extent.dim >= 0 and extent.value:
                    found[extent.dim] = size // extent.value
        for name, size in zip(self.dims, found):
            if arguments.get(name, size) != size:
                raise Error(f"{name} is {arguments[name]}, but the inputs' shapes say {size}")
        return found

    def address(self, name, value, array, sizes):
        kind, shape = TYPES[value.type.decode()][0], shape_of(value, sizes)
        if array["typestr"] != kind or tuple(array["shape"]) != shape:
            raise Error(f"{name}: expected {kind} {shape}, found {array['typestr']} {tuple(array['shape'])}")
        if array.get("strides") or array["data"][0] % int(kind[2:]):
            raise Error(f"{name} is not contiguous and aligned: pass numpy.require({name}, requirements='CA')")
        return array["data"][0]
