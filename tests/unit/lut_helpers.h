// What the tests of the LUT unit share.
#pragma once

#include "runtime/lut/lut.h"
#include "support/array.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_M = 4, MAX_N = 256, MAX_DEPTH = 128, MAX_LOOKUPS = 32 };
enum { TABLE = 2, FULL_TABLE = 4, PLANES = 8, C = 20, D = 21 }; // tiles

static const struct {
    uint32_t m, n;
} shapes[] = {{1, 64}, {2, 64}, {2, 128}, {4, 128}, {4, 256}};

static inline void for_each_shape(void (*check)(lut_unit *u))
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        lut_unit *u = lut_unit_create(shapes[i].m, shapes[i].n);
        assert_non_null(u);
        check(u);
        lut_unit_destroy(u);
    }
}

static random_stream stream;

static inline int random_between(int low, int high)
{
    return low + (int)(random_bits(&stream) % (uint64_t)(high - low + 1));
}

// Runs an instruction whose memory operands are given as host pointers to their first rows.
static inline void execute(lut_unit *u, isa_instruction in, void *first, void *second,
                           uint64_t stride)
{
    uint64_t x[32] = {[30] = stride};
    lut_operands memory;
    void *bases[] = {first, second};
    if (stride)
        in.rs2 = 30;
    assert_true(lut_operands_of(u, &in, x, &memory));
    for (unsigned i = 0; i < memory.count; i++)
        for (uint32_t row = 0; row < memory.item[i].rows; row++)
            memory.item[i].host[row] = (uint8_t *)bases[i] + row * memory.item[i].stride;
    lut_execute(u, &in, &memory);
}

static inline uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}

static inline float f32_at(lut_unit *u, unsigned tile, uint32_t index)
{
    float value;
    memcpy(&value, lut_tile(u, tile) + 4 * index, 4);
    return value;
}

static inline int32_t i32_at(lut_unit *u, unsigned tile, uint32_t index)
{
    int32_t value;
    memcpy(&value, lut_tile(u, tile) + 4 * index, 4);
    return value;
}

static inline void fill_tile(lut_unit *u, unsigned tile)
{
    for (uint32_t i = 0; i < u->tile_bytes; i++)
        lut_tile(u, tile)[i] = (uint8_t)random_bits(&stream);
}
