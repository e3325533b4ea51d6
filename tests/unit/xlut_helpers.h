// What tests of runs of Xlut instructions share: machines that execute them as runs, and one by
// one.
#pragma once

#include "hart_helpers.h"

enum { WEIGHTS = CONSTANTS, TABLES = DATA, SCALES = DATA + 0x2000, OUT = DATA + 0x3000 };
enum { FACTORS = SCALES + 0x400 };
enum { ROUNDS = 5, ROUND_BYTES = 512 + 512 };

typedef struct loop_machine {
    lut_unit *lut;
    fixture f;
} loop_machine;

static inline bool look(void *context, hart *h, const isa_instruction *in)
{
    (void)context, (void)h, (void)in;
    return true;
}

static inline void fill_memory(hart_memory *m, uint64_t address, uint32_t seed)
{
    uint8_t bytes[0x2000];
    for (uint32_t i = 0; i < sizeof bytes; i++) {
        seed = seed * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(seed >> 24);
        bytes[i] = bytes[i] == 0x80 ? 0 : bytes[i]; // has no negative
    }
    assert_true(hart_memory_write(m, address, bytes, sizeof bytes));
}

static inline loop_machine loop_machine_create(void)
{
    loop_machine m = {.lut = lut_unit_create(2, 64)};
    m.f = fixture_create(256, m.lut);
    assert_true(hart_memory_map(m.f.memory, WEIGHTS, 0x2000, HART_READ));
    fill_memory(m.f.memory, WEIGHTS, 1);
    fill_memory(m.f.memory, TABLES, 2);
    for (uint32_t i = 0; i < 64; i++) {
        float scale = 0.25f + (float)i;
        assert_true(hart_memory_write(m.f.memory, SCALES + 4 * i, &scale, 4));
    }
    return m;
}

static inline void loop_machine_destroy(loop_machine *m)
{
    fixture_destroy(&m->f);
    lut_unit_destroy(m->lut);
}

static inline void set_registers(hart *h, uint64_t weights, uint64_t table, uint64_t rounds)
{
    h->pc = CODE;
    h->x[8] = weights;
    h->x[9] = table;
    h->x[10] = rounds;
    h->x[11] = h->x[12] = SCALES;
    h->x[14] = OUT;
    h->x[15] = 256;
}

static inline void assert_equal(const loop_machine *a, const loop_machine *b)
{
    const hart *x = a->f.h, *y = b->f.h;
    assert_int_equal(x->pc, y->pc);
    assert_int_equal(x->retired, y->retired);
    assert_memory_equal(x->x, y->x, 32 * sizeof *x->x);
    assert_memory_equal(x->v, y->v, 32 * x->vlenb);
    assert_memory_equal(a->lut->tiles, b->lut->tiles, (size_t)32 * a->lut->tile_bytes);
    assert_memory_equal(&a->lut->counters, &b->lut->counters, sizeof a->lut->counters);
    assert_memory_equal(hart_memory_range(a->f.memory, DATA, DATA_BYTES, HART_READ),
                        hart_memory_range(b->f.memory, DATA, DATA_BYTES, HART_READ), DATA_BYTES);
    uint64_t counts[2][ISA_OPCODE_COUNT];
    hart_opcode_counts(x, counts[0]);
    hart_opcode_counts(y, counts[1]);
    assert_memory_equal(counts[0], counts[1], sizeof counts[0]);
    assert_int_equal(a->lut->lmma_count, counts[0][ISA_LMMA]);
    assert_int_equal(b->lut->lmma_count, counts[0][ISA_LMMA]);
}

// Executes in pieces of `limit` instructions; both see the same.
static inline hart_stop compare(loop_machine *runs, loop_machine *steps, uint64_t limit)
{
    hart_stop why, other;
    hart_observe(steps->f.h, look, NULL);
    do {
        why = hart_run(runs->f.h, limit);
        other = hart_run(steps->f.h, limit);
        assert_int_equal(why, other);
        assert_int_equal(runs->f.h->cause, steps->f.h->cause);
        assert_int_equal(runs->f.h->fault_address, steps->f.h->fault_address);
        assert_equal(runs, steps);
    } while (why == HART_STOP_LIMIT);
    return why;
}

enum { ALL = XLUT_SLICE_ALL, I8 = XLUT_TABLE_I8, I16 = XLUT_TABLE_I16 };
enum { ONE = XLUT_ROWS_ONE, BOTH = XLUT_ROWS_ALL };

// What programs of a seed are drawn with.
typedef struct random_loop {
    uint32_t state;
    uint8_t planes, entries, rows;
    uint8_t sums, results; // how many tiles take turns: from 16 on, and from 0 on
    bool unruly;           // registers are drawn, not taken in turns
} random_loop;

static inline uint32_t draw(random_loop *r, uint32_t below)
{
    r->state = r->state * 1664525 + 1013904223;
    return (r->state >> 16) % below;
}

static inline random_loop draw_loop(uint32_t seed)
{
    random_loop r = {.state = seed * 2654435761u};
    r.planes = (uint8_t)(1 + draw(&r, 3));
    r.entries = draw(&r, 4) ? I8 : I16;
    r.rows = draw(&r, 2) ? ONE : BOTH;
    r.sums = (uint8_t)(1 + draw(&r, 4));
    r.results = (uint8_t)(1 + draw(&r, 3));
    r.unruly = draw(&r, 4) == 0;
    return r;
}
