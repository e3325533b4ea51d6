// A hart with code at CODE, read-write memory at DATA and read-only memory at CONSTANTS.
#pragma once

#include "unit.h"

#include "runtime/hart/hart.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CODE = 0x10000, DATA = 0x20000, DATA_BYTES = 0x4000, CONSTANTS = 0x80000000 };

typedef struct fixture {
    hart_memory *memory;
    hart *h;
    uint64_t end; // where the next instruction goes
} fixture;

// Whether fixtures may execute machine code.
static bool fixtures_use_native = true;

static inline fixture fixture_create(uint32_t vlen, lut_unit *lut)
{
    fixture f = {.memory = hart_memory_create(), .end = CODE};
    assert_non_null(f.memory);
    assert_true(hart_memory_map(f.memory, CODE, 0x4000, HART_READ | HART_EXECUTE));
    assert_true(hart_memory_map(f.memory, DATA, DATA_BYTES, HART_READ | HART_WRITE));
    assert_true(hart_memory_map(f.memory, CONSTANTS, 0x1000, HART_READ));
    f.h = hart_create(f.memory, vlen, lut);
    assert_non_null(f.h);
    hart_use_native(f.h, fixtures_use_native);
    f.h->pc = CODE;
    return f;
}

static inline void fixture_destroy(fixture *f)
{
    hart_destroy(f->h);
    hart_memory_destroy(f->memory);
}

static inline void put_word(fixture *f, uint32_t word)
{
    assert_true(hart_memory_write(f->memory, f->end, &word, 4));
    f->end += 4;
}

static inline void put(fixture *f, isa_instruction in)
{
    uint32_t word;
    assert_true(isa_encode(&in, &word));
    put_word(f, word);
}
#define PUT(f, ...) put((f), (isa_instruction){__VA_ARGS__})

// Executes from the start of the code up to its end.
static inline hart_stop run(fixture *f)
{
    hart_flush_code(f->h);
    hart_set_return(f->h, f->end);
    f->h->pc = CODE;
    return hart_run(f->h, 100000);
}

// Executes this one instruction.
static inline hart_stop execute(fixture *f, isa_instruction in)
{
    f->end = CODE;
    put(f, in);
    return run(f);
}
#define EXECUTE(f, ...) execute((f), (isa_instruction){__VA_ARGS__})

static inline void set_vtype(fixture *f, unsigned sew, int lmul, unsigned vl)
{
    f->h->x[5] = vl;
    assert_int_equal(EXECUTE(f, .opcode = ISA_VSETVLI, .rd = 6, .rs1 = 5,
                             .imm = (int32_t)(sew << 3 | (unsigned)(lmul & 7))),
                     HART_STOP_RETURN);
    assert_int_equal(f->h->vl, vl);
}
