"""Writes GGUF v3 files of any size, a tensor at a time: weights for tests, made up on the way."""
import struct

TYPES = {"F32": (0, 1, 4), "F16": (1, 1, 2), "Q4_0": (2, 32, 18), "Q8_0": (8, 32, 34), "TQ2_0": (35, 256, 66)}
ALIGNMENT = 32


def text(s):
    data = s.encode()
    return struct.pack("<Q", len(data)) + data


def value(v):
    """A metadata value with its type."""
    if isinstance(v, bool):
        return struct.pack("<I?", 7, v)
    if isinstance(v, int):
        return struct.pack("<II", 4, v)
    if isinstance(v, float):
        return struct.pack("<If", 6, v)
    if isinstance(v, list):  # of one type
        items = [value(x) for x in v]
        return struct.pack("<I", 9) + items[0][:4] + struct.pack("<Q", len(v)) + b"".join(x[4:] for x in items)
    return struct.pack("<I", 8) + text(v)


def size_of(kind, shape):
    _, block, size = TYPES[kind]
    count = 1
    for n in shape:
        count *= n
    return count // block * size


def aligned(size):
    return (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


def write(path, metadata, tensors, data):
    """tensors: (name, type, shape), shapes outermost first; data(name, type, shape) yields the bytes of one."""
    with open(path, "wb") as out:
        out.write(struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(metadata)))
        for key, v in metadata.items():
            out.write(text(key) + value(v))
        offset = 0
        for name, kind, shape in tensors:
            out.write(text(name) + struct.pack("<I", len(shape)))
            out.write(b"".join(struct.pack("<Q", n) for n in reversed(shape)))
            out.write(struct.pack("<IQ", TYPES[kind][0], offset))
            offset += aligned(size_of(kind, shape))
        out.write(bytes(-out.tell() % ALIGNMENT))
        for name, kind, shape in tensors:
            for part in data(name, kind, shape):
                out.write(part)
            out.write(bytes(-out.tell() % ALIGNMENT))


def write_f32(path, metadata, tensors):
    """tensors: name to a list of numbers, or a list of rows of them; all in F32."""
    rows = {name: x if isinstance(x[0], list) else [x] for name, x in tensors.items()}
    shapes = [(name, "F32", ([len(x)] if isinstance(x[0], list) else []) + [len(rows[name][0])])
              for name, x in tensors.items()]
    write(path, metadata, shapes, lambda name, kind, shape: (struct.pack(f"<{len(r)}f", *r) for r in rows[name]))
