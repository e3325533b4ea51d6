// What the tests of weight formats share.
#pragma once

#include "tests/unit/unit.h"

#include "compiler/quant/quant.h"

static const pack_shape shapes[] = {{1, 64}, {2, 64}, {2, 128}, {4, 128}, {4, 256}};
enum { N_SHAPES = sizeof shapes / sizeof shapes[0] };

static quant_format format_of(const char *name)
{
    quant_format f;
    if (!quant_format_parse(name, &f))
        fail_msg("'%s' is not a format", name);
    return f;
}

// A small generator of our own: tests must not move when the library's does.
static uint64_t next_bits(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static int setup(void **state)
{
    *state = arena_create();
    return 0;
}

static int teardown(void **state)
{
    arena_destroy(*state);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
