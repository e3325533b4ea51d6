// The registers as gdb numbers them: those of its own RISC-V features, then the tile registers.
#pragma once

#include "runtime/hart/hart.h"
#include "support/text.h"

enum {
    GDB_REGISTER_PC = 32,
    GDB_GENERAL_REGISTERS = 65, // x, pc, f: those that `g` and `G` carry
};

// In hexadecimal, in the order of memory. False: no such register.
bool gdb_read_register(hart *h, uint64_t number, text *out);
// False: no such register, of another size, or with a value that it cannot have.
bool gdb_write_register(hart *h, uint64_t number, const uint8_t *data, size_t size);
// Bytes; 0: no such register.
size_t gdb_register_size(const hart *h, uint64_t number);

// target.xml
void gdb_describe_target(const hart *h, text *out);
