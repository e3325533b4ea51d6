// link: lutra_hart lutra_lut lutra_isa lutra_support
//
// Runs of Xlut instructions against the same code under an observer, which sees one instruction at
// a time: registers, tiles, memory, counters and faults are the same, wherever execution is cut.
#include "hart_helpers.h"

enum { WEIGHTS = CONSTANTS, TABLES = DATA, SCALES = DATA + 0x2000, OUT = DATA + 0x3000 };
enum { ROUNDS = 5, ROUND_BYTES = 512 + 512 };

typedef struct loop_machine {
    lut_unit *lut;
    fixture f;
} loop_machine;

static bool look(void *context, hart *h, const isa_instruction *in)
{
    (void)context, (void)h, (void)in;
    return true;
}

static void fill_memory(hart_memory *m, uint64_t address, uint32_t seed)
{
    uint8_t bytes[0x2000];
    for (uint32_t i = 0; i < sizeof bytes; i++) {
        seed = seed * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(seed >> 24);
        bytes[i] = bytes[i] == 0x80 ? 0 : bytes[i]; // has no negative
    }
    assert_true(hart_memory_write(m, address, bytes, sizeof bytes));
}

static loop_machine loop_machine_create(void)
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

static void loop_machine_destroy(loop_machine *m)
{
    fixture_destroy(&m->f);
    lut_unit_destroy(m->lut);
}

typedef struct loop_case {
    uint64_t weights, table, rounds;
    uint8_t slice, entries, planes, rows;
    bool plain;           // nothing but loads and lmma
    bool writable_planes; // not of constant memory
} loop_case;

// A layer's loop: x8 weights, x9 table, x10 rounds left, x11 scales, x12 row scales.
static void put_loop(fixture *f, const loop_case *c)
{
    PUT(f, .opcode = ISA_LUT_ZERO, .rd = 0);
    PUT(f, .opcode = ISA_LUT_ZERO, .rd = 1);
    uint64_t start = f->end;
    for (uint8_t p = 0; p < c->planes; p++)
        PUT(f, .opcode = ISA_LUT_LD, .rd = 8 + p, .rs1 = c->writable_planes && p == 0 ? 9 : 8,
            .imm = 512 * p);
    PUT(f, .opcode = ISA_LUT_LD, .rd = 4, .rs1 = 9, .half = c->entries == XLUT_TABLE_I8);
    PUT(f, .opcode = ISA_LMMA, .rd = 1, .rs1 = 4, .rs2 = 8, .form = c->planes - 1,
        .table = c->entries, .slice = c->slice, .rows = c->rows,
        .start = c->slice != XLUT_SLICE_ALL);
    if (!c->plain) {
        PUT(f, .opcode = ISA_ADDI, .rd = 13, .rs1 = 12, .imm = 8);
        PUT(f, .opcode = ISA_LUT_DEQ, .rd = 0, .rs3 = 1, .rs1 = 11, .rs2 = 13, .type = XLUT_SUM_I32,
            .scale_type = XLUT_SCALE_F32);
    }
    PUT(f, .opcode = ISA_ADDI, .rd = 8, .rs1 = 8, .imm = ROUND_BYTES);
    PUT(f, .opcode = ISA_ADDI, .rd = 9, .rs1 = 9, .imm = 256);
    PUT(f, .opcode = ISA_ADDI, .rd = 12, .rs1 = 12, .imm = 4);
    PUT(f, .opcode = ISA_ADDI, .rd = 10, .rs1 = 10, .imm = -1);
    PUT(f, .opcode = ISA_BNE, .rs1 = 10, .rs2 = 0, .imm = (int32_t)(start - f->end));
    PUT(f, .opcode = ISA_LUT_STA, .rd = 0, .rs1 = 14, .rs2 = 15, .type = XLUT_DATA_F32);
    PUT(f, .opcode = ISA_LUT_ST, .rs2 = 8, .rs1 = 9);
}

static void set_registers(hart *h, uint64_t weights, uint64_t table, uint64_t rounds)
{
    h->pc = CODE;
    h->x[8] = weights;
    h->x[9] = table;
    h->x[10] = rounds;
    h->x[11] = h->x[12] = SCALES;
    h->x[14] = OUT;
    h->x[15] = 256;
}

static void assert_equal(const loop_machine *a, const loop_machine *b)
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
static hart_stop compare(loop_machine *runs, loop_machine *steps, uint64_t limit)
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

static const loop_case cases[] = {
    {WEIGHTS, TABLES, ROUNDS, ALL, I8, 2, BOTH, false, false},
    {WEIGHTS, TABLES, ROUNDS, XLUT_SLICE_QUARTER2, I8, 2, ONE, false, false},
    {WEIGHTS, TABLES, 1, ALL, I8, 2, BOTH, false, false},
    {WEIGHTS, TABLES, ROUNDS, XLUT_SLICE_HALF1, I16, 1, BOTH, false, true},
    {WEIGHTS, TABLES, ROUNDS, ALL, I8, 2, ONE, true, false},
    {WEIGHTS, TABLES, ROUNDS, ALL, I8, 3, BOTH, true, false},
    {WEIGHTS, TABLES, ROUNDS, ALL, I16, 4, ONE, true, true},
    {WEIGHTS, TABLES, ROUNDS, ALL, I16, 1, BOTH, true, false},
    {WEIGHTS, TABLES, ROUNDS, ALL, XLUT_TABLE_F16, 2, BOTH, true, false},
    {WEIGHTS + 0x2000 - 2 * ROUND_BYTES, TABLES, ROUNDS, ALL, I8, 2, BOTH, true, false}, // leaves
    {WEIGHTS, DATA + DATA_BYTES - 512, ROUNDS, ALL, I8, 2, BOTH, false, false},
    {WEIGHTS + 32, TABLES, ROUNDS, ALL, I8, 2, BOTH, false, false}, // misaligned
};

static void runs_do_what_single_instructions_do(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (uint64_t limit = 1; limit < 400; limit += limit < 60 ? 1 : 37) {
            loop_machine m[2] = {loop_machine_create(), loop_machine_create()};
            for (unsigned k = 0; k < 2; k++) {
                put_loop(&m[k].f, &cases[i]);
                hart_set_return(m[k].f.h, m[k].f.end);
                set_registers(m[k].f.h, cases[i].weights, cases[i].table, cases[i].rounds);
            }
            compare(&m[0], &m[1], limit);
            loop_machine_destroy(&m[0]);
            loop_machine_destroy(&m[1]);
        }
}

// An entry without a negative makes the quick lookups give up in the middle of a loop.
static void entries_without_negatives_are_looked_up(void **state)
{
    (void)state;
    for (unsigned plain = 0; plain < 2; plain++) {
        const loop_case c = {WEIGHTS, TABLES, ROUNDS, ALL, I8, 2, ONE, plain, false};
        loop_machine m[2] = {loop_machine_create(), loop_machine_create()};
        for (unsigned k = 0; k < 2; k++) {
            const uint8_t least = 0x80;
            assert_true(hart_memory_write(m[k].f.memory, TABLES + 2 * 256 + 5, &least, 1));
            put_loop(&m[k].f, &c);
            hart_set_return(m[k].f.h, m[k].f.end);
            set_registers(m[k].f.h, c.weights, c.table, c.rounds);
        }
        compare(&m[0], &m[1], 1000);
        loop_machine_destroy(&m[0]);
        loop_machine_destroy(&m[1]);
    }
}

// A layer: loops over the depth within a loop over column tiles.
typedef struct layer_case {
    bool quarters, offsets, wide_scales;
    bool plain;         // sums are scaled behind the loop
    bool infinite;      // a column's scale is
    bool other_factors; // of the row that is not computed
    uint8_t planes, entries;
    uint64_t rounds;
    uint8_t more_tiles; // column tiles whose weights, or tables, lie behind all memory
    uint8_t skew;       // of the table, from tile to tile
} layer_case;

enum { FACTORS = SCALES + 0x400, TILES = 2 };

static void put_scaling(fixture *f, const layer_case *c, int32_t behind)
{
    PUT(f, .opcode = ISA_ADD, .rd = 13, .rs1 = 12, .rs2 = 19);
    PUT(f, .opcode = ISA_ADDI, .rd = 13, .rs1 = 13, .imm = behind);
    PUT(f, .opcode = ISA_LUT_DEQ, .rd = 0, .rs3 = 1, .rs1 = 11, .rs2 = 13, .type = XLUT_SUM_I32,
        .scale_type = c->wide_scales ? XLUT_SCALE_F32 : XLUT_SCALE_F16);
    if (c->offsets)
        PUT(f, .opcode = ISA_LUT_OFF, .rd = 0, .rs1 = 13, .rs2 = 11,
            .scale_type = c->wide_scales ? XLUT_SCALE_F32 : XLUT_SCALE_F16);
}

// x8 weights, x17 table, x18 rounds, x11 scales, x12 factors, x14 results, x16 column tiles left.
static void put_layer(fixture *f, const layer_case *c)
{
    const uint64_t outer = f->end;
    PUT(f, .opcode = ISA_ADDI, .rd = 9, .rs1 = 17);
    PUT(f, .opcode = ISA_LUT_ZERO, .rd = 0);
    PUT(f, .opcode = ISA_LUT_ZERO, .rd = 1);
    PUT(f, .opcode = ISA_ADDI, .rd = 10, .rs1 = 18);
    PUT(f, .opcode = ISA_ADDI, .rd = 19, .rs1 = 0);
    const uint64_t inner = f->end;
    for (uint8_t p = 0; p < c->planes; p++)
        PUT(f, .opcode = ISA_LUT_LD, .rd = 8 + p, .rs1 = 8, .imm = 512 * p);
    PUT(f, .opcode = ISA_LUT_LD, .rd = 4, .rs1 = 9, .half = c->entries == XLUT_TABLE_I8);
    for (uint8_t q = 0; q < (c->quarters ? 4 : 1); q++) {
        PUT(f, .opcode = ISA_LMMA, .rd = 1, .rs1 = 4, .rs2 = 8, .form = c->planes - 1,
            .table = c->entries, .slice = c->quarters ? XLUT_SLICE_QUARTER0 + q : XLUT_SLICE_ALL,
            .rows = XLUT_ROWS_ONE, .start = !c->plain);
        if (!c->plain)
            put_scaling(f, c, 8 * q);
    }
    PUT(f, .opcode = ISA_ADDI, .rd = 8, .rs1 = 8, .imm = ROUND_BYTES);
    PUT(f, .opcode = ISA_ADDI, .rd = 9, .rs1 = 9, .imm = 512);
    PUT(f, .opcode = ISA_ADDI, .rd = 19, .rs1 = 19, .imm = 32);
    PUT(f, .opcode = ISA_ADDI, .rd = 10, .rs1 = 10, .imm = -1);
    PUT(f, .opcode = ISA_BNE, .rs1 = 10, .rs2 = 0, .imm = (int32_t)(inner - f->end));
    if (c->plain)
        put_scaling(f, c, 0);
    PUT(f, .opcode = ISA_LUT_STA, .rd = 0, .rs1 = 14, .rs2 = 15, .type = XLUT_DATA_F32);
    PUT(f, .opcode = ISA_ADDI, .rd = 14, .rs1 = 14, .imm = 512);
    PUT(f, .opcode = ISA_ADDI, .rd = 17, .rs1 = 17, .imm = c->skew);
    PUT(f, .opcode = ISA_ADDI, .rd = 16, .rs1 = 16, .imm = -1);
    PUT(f, .opcode = ISA_BNE, .rs1 = 16, .rs2 = 0, .imm = (int32_t)(outer - f->end));
    PUT(f, .opcode = ISA_LUT_ST, .rs2 = 8, .rs1 = 9);
}

static void set_up_layer(loop_machine *m, const layer_case *c)
{
    for (uint32_t i = 0; i < 64; i++) {
        const float pair[2] = {0.5f + (float)i, c->other_factors ? 2 : 0};
        assert_true(hart_memory_write(m->f.memory, FACTORS + 8 * i, pair, sizeof pair));
        const uint16_t scale = (uint16_t)(0x2c00 + 7 * i), infinite = 0x7c00;
        if (!c->wide_scales)
            assert_true(hart_memory_write(m->f.memory, SCALES + 2 * i,
                                          c->infinite && i == 5 ? &infinite : &scale, 2));
    }
    put_layer(&m->f, c);
    hart_set_return(m->f.h, m->f.end);
    set_registers(m->f.h, WEIGHTS, TABLES, 0);
    m->f.h->x[12] = FACTORS;
    m->f.h->x[16] = TILES + c->more_tiles;
    m->f.h->x[17] = TABLES;
    m->f.h->x[18] = c->rounds;
}

static const layer_case layers[] = {
    {.planes = 2, .entries = I8, .rounds = 3},
    {.planes = 2, .entries = I8, .rounds = 3, .quarters = true},
    {.planes = 1, .entries = I8, .rounds = 4, .quarters = true, .offsets = true},
    {.planes = 2, .entries = I8, .rounds = 3, .offsets = true, .wide_scales = true},
    {.planes = 2, .entries = I16, .rounds = 3, .quarters = true, .wide_scales = true},
    {.planes = 2, .entries = I8, .rounds = 3, .plain = true},
    {.planes = 2, .entries = I16, .rounds = 3, .plain = true, .wide_scales = true},
    {.planes = 2, .entries = I8, .rounds = 3, .quarters = true, .infinite = true},
    {.planes = 2, .entries = I8, .rounds = 3, .other_factors = true},
    {.planes = 2, .entries = I8, .rounds = 3, .plain = true, .infinite = true},
    {.planes = 2, .entries = I8, .rounds = 3, .plain = true, .other_factors = true},
    {.planes = 2, .entries = I8, .rounds = 3, .plain = true, .offsets = true},
    {.planes = 2, .entries = I8, .rounds = 3, .plain = true, .more_tiles = 2},
    {.planes = 2, .entries = I8, .rounds = 3, .quarters = true, .more_tiles = 2},
    {.planes = 2, .entries = I8, .rounds = 3, .plain = true, .skew = 32},
    {.planes = 2, .entries = I8, .rounds = 3, .offsets = true, .other_factors = true},
};

static void layers_do_what_single_instructions_do(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
        for (uint64_t limit = 1; limit < 400; limit += limit < 70 ? 1 : 37) {
            loop_machine m[2] = {loop_machine_create(), loop_machine_create()};
            for (unsigned k = 0; k < 2; k++)
                set_up_layer(&m[k], &layers[i]);
            compare(&m[0], &m[1], limit);
            loop_machine_destroy(&m[0]);
            loop_machine_destroy(&m[1]);
        }
}

// Rounds of random loads, lookups and scalings: sums in turns of tiles, scaled late or in the next
// round, several results, and much that no strip can do.
typedef struct random_loop {
    uint32_t state;
    uint8_t planes, entries, rows;
    uint8_t sums, results; // how many tiles take turns: from 16 on, and from 0 on
    bool unruly;           // registers are drawn, not taken in turns
} random_loop;

static uint32_t draw(random_loop *r, uint32_t below)
{
    r->state = r->state * 1664525 + 1013904223;
    return (r->state >> 16) % below;
}

static random_loop draw_loop(uint32_t seed)
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

static void put_random_scaling(fixture *f, random_loop *r, uint8_t sums, uint8_t result)
{
    PUT(f, .opcode = ISA_LUT_DEQ, .rd = result, .rs3 = sums, .rs1 = 11,
        .rs2 = draw(r, 3) || r->rows == ONE ? 12 : 0,
        .type = draw(r, 16) ? XLUT_SUM_I32 : XLUT_SUM_F32, .scale_type = XLUT_SCALE_F32);
    if (draw(r, 4) == 0)
        PUT(f, .opcode = ISA_LUT_OFF, .rd = result, .rs1 = 12, .rs2 = 11,
            .scale_type = XLUT_SCALE_F32);
}

static void put_random_step(fixture *f, random_loop *r, unsigned i, bool late)
{
    const uint8_t sums = (uint8_t)(16 + (r->unruly ? draw(r, r->sums) : i % r->sums));
    const uint8_t result = (uint8_t)(r->unruly ? draw(r, r->results) : i % r->results);
    if (late)
        put_random_scaling(f, r, sums, result);
    for (uint8_t p = 0; p < r->planes && (i == 0 || draw(r, 2)); p++)
        PUT(f, .opcode = ISA_LUT_LD, .rd = 8 + p, .rs1 = 8, .imm = (int32_t)(256 * draw(r, 4)));
    if (i == 0 || draw(r, 2))
        PUT(f, .opcode = ISA_LUT_LD, .rd = 4, .rs1 = 9, .half = r->entries == XLUT_TABLE_I8,
            .imm = (int32_t)(64 * draw(r, 4)));
    const bool whole = draw(r, 2);
    PUT(f, .opcode = ISA_LMMA, .rd = sums, .rs1 = 4, .rs2 = 8, .form = r->planes - 1,
        .table = r->entries, .slice = whole ? ALL : XLUT_SLICE_QUARTER0 + draw(r, 4),
        .rows = r->rows, .start = draw(r, 5) != 0);
    if (!late && draw(r, 5))
        put_random_scaling(f, r, sums, result);
}

// x8 weights, x9 table, x10 rounds left, x11 scales, x12 factors, x13 and x15 what x8 advances by.
static void put_random_loop(fixture *f, random_loop r)
{
    const uint64_t start = f->end;
    const unsigned steps = 1 + draw(&r, 8);
    const bool late = draw(&r, 3) == 0;
    for (unsigned i = 0; i < steps; i++)
        put_random_step(f, &r, i, late);
    if (draw(&r, 2))
        PUT(f, .opcode = ISA_SH2ADD, .rd = 8, .rs1 = 13, .rs2 = 8);
    else
        PUT(f, .opcode = ISA_ADD, .rd = 8, .rs1 = draw(&r, 8) ? 8 : 15, .rs2 = 15);
    PUT(f, .opcode = ISA_ADDI, .rd = 9, .rs1 = 9, .imm = 256);
    PUT(f, .opcode = ISA_ADDI, .rd = 10, .rs1 = 10, .imm = -1);
    PUT(f, .opcode = ISA_BNE, .rs1 = 10, .rs2 = 0, .imm = (int32_t)(start - f->end));
    PUT(f, .opcode = ISA_LUT_STA, .rd = 0, .rs1 = 14, .rs2 = 15, .type = XLUT_DATA_F32);
}

static void set_up_random_loop(loop_machine *m, uint32_t seed)
{
    random_loop r = draw_loop(seed);
    const uint8_t least = 0x80;
    const float factors[2] = {0.5f, draw(&r, 8) ? 0 : 2};
    assert_true(hart_memory_write(m->f.memory, FACTORS, factors, sizeof factors));
    if (draw(&r, 4) == 0)
        assert_true(hart_memory_write(m->f.memory, TABLES + draw(&r, 1024), &least, 1));
    put_random_loop(&m->f, r);
    hart_set_return(m->f.h, m->f.end);
    set_registers(m->f.h, WEIGHTS, TABLES, ROUNDS);
    m->f.h->x[12] = FACTORS;
    m->f.h->x[15] = 512;
    m->f.h->x[13] = 512 / 4;
    for (unsigned tile = 16; tile < 20; tile++) // sums that have begun
        for (uint32_t i = 0; i < m->lut->tile_bytes / 4; i++) {
            const int32_t sum = (int32_t)(tile * i % 1000);
            memcpy(lut_tile(m->lut, tile) + 4 * i, &sum, 4);
        }
}

static void random_loops_do_what_single_instructions_do(void **state)
{
    (void)state;
    static const uint64_t limits[] = {100000, 37, 150};
    const uint32_t loops = getenv("LUTRA_TEST_QUICK") ? 300 : 3000;
    for (uint32_t seed = 1; seed <= loops; seed++) {
        loop_machine m[2] = {loop_machine_create(), loop_machine_create()};
        for (unsigned k = 0; k < 2; k++)
            set_up_random_loop(&m[k], seed);
        compare(&m[0], &m[1], limits[seed % 3]);
        loop_machine_destroy(&m[0]);
        loop_machine_destroy(&m[1]);
    }
}

// Rows of numbers in memory, each scaled into several results: x20 numbers, x24 and x25 strides,
// x11 scales, x12 factors, x21 a small number, x10 rounds done, up to x19.
static void put_random_row(fixture *f, random_loop *r, unsigned i)
{
    const uint8_t tile = (uint8_t)(16 + i % 4), type = draw(r, 12) ? XLUT_DATA_F16 : XLUT_DATA_F32;
    PUT(f, .opcode = ISA_ADDI, .rd = 5, .rs1 = 20, .imm = (int32_t)(128 * draw(r, 4)));
    PUT(f, .opcode = ISA_LUT_LDA, .rd = tile, .rs1 = 5, .rs2 = draw(r, 20) ? 24 : 25 * draw(r, 2),
        .rs3 = draw(r, 20) ? 0 : 31, .type = type);
    for (unsigned k = 0; k < r->results; k++) {
        PUT(f, .opcode = draw(r, 4) ? ISA_ADDI : ISA_ADDIW, .rd = 6, .rs1 = draw(r, 30) ? 21 : 6,
            .imm = (int32_t)(8 * draw(r, 16)));
        PUT(f, .opcode = ISA_ADD, .rd = 6, .rs1 = 6, .rs2 = 12);
        PUT(f, .opcode = ISA_LUT_DEQ, .rd = (uint8_t)k, .rs3 = draw(r, 30) ? tile : 16, .rs1 = 11,
            .rs2 = draw(r, 8) ? 6 : 0, .scale_type = draw(r, 4) ? XLUT_SCALE_F16 : 1,
            .type = draw(r, 60) ? XLUT_SUM_F32 : XLUT_SUM_I32);
        if (draw(r, 16) == 0)
            PUT(f, .opcode = ISA_LUT_OFF, .rd = (uint8_t)k, .rs1 = 12, .rs2 = 11,
                .scale_type = XLUT_SCALE_F32);
    }
}

static void put_random_rows(fixture *f, random_loop r)
{
    const uint64_t start = f->end;
    for (unsigned i = 1 + draw(&r, 6); i > 0; i--)
        put_random_row(f, &r, i);
    PUT(f, .opcode = ISA_ADDI, .rd = 20, .rs1 = 20, .imm = 512);
    PUT(f, .opcode = ISA_ADDI, .rd = 12, .rs1 = 12, .imm = 8);
    PUT(f, .opcode = ISA_ADDI, .rd = 10, .rs1 = 10, .imm = 4);
    PUT(f, .opcode = r.unruly ? ISA_BNE : ISA_BLT, .rs1 = 10, .rs2 = 19,
        .imm = (int32_t)(start - f->end));
    PUT(f, .opcode = ISA_LUT_STA, .rd = 0, .rs1 = 14, .rs2 = 15, .type = XLUT_DATA_F32);
}

static void set_up_random_rows(loop_machine *m, uint32_t seed)
{
    random_loop r = draw_loop(seed);
    hart *h = m->f.h;
    for (uint32_t i = 0; i < 0x1800; i += 2) {
        const uint16_t number = (uint16_t)(0x3400 | (seed * i * 40503u >> 9 & 0x83ff));
        assert_true(hart_memory_write(m->f.memory, DATA + i, &number, sizeof number));
    }
    const uint16_t infinite = 0x7c00;
    if (draw(&r, 6) == 0)
        assert_true(hart_memory_write(m->f.memory, DATA + 2 * draw(&r, 0x800), &infinite, 2));
    put_random_rows(&m->f, r);
    hart_set_return(h, m->f.end);
    set_registers(h, WEIGHTS, TABLES, 0);
    h->x[12] = SCALES + 16;
    h->x[15] = 256;
    h->x[19] = 4 * (1 + draw(&r, 8)) + (r.unruly ? 0 : draw(&r, 4)); // that bne meets
    h->x[20] = DATA;
    h->x[21] = draw(&r, 8) ? 0 : 0x7ffffff8;
    h->x[24] = draw(&r, 8) ? 128 * draw(&r, 5) : (uint64_t)-64;
    h->x[25] = 64;
    h->x[31] = 64;
}

static void random_rows_do_what_single_instructions_do(void **state)
{
    (void)state;
    static const uint64_t limits[] = {3000, 37, 150};
    const uint32_t loops = getenv("LUTRA_TEST_QUICK") ? 300 : 3000;
    for (uint32_t seed = 1; seed <= loops; seed++) {
        loop_machine m[2] = {loop_machine_create(), loop_machine_create()};
        for (unsigned k = 0; k < 2; k++)
            set_up_random_rows(&m[k], seed);
        compare(&m[0], &m[1], limits[seed % 3]);
        loop_machine_destroy(&m[0]);
        loop_machine_destroy(&m[1]);
    }
}

// Tables of rows of activations that find their scales, round after round: x20 activations, x12
// scales, x10 rounds left, x24 a stride.
static void put_random_tables(fixture *f, random_loop r)
{
    PUT(f, .opcode = ISA_LUT_LD, .rd = 8, .rs1 = 9); // is written by the loop
    const uint64_t start = f->end;
    for (unsigned i = 1 + draw(&r, 3); i > 0; i--) {
        const bool finds = draw(&r, 10) != 0;
        PUT(f, .opcode = ISA_LUT_TBL, .rd = (uint8_t)draw(&r, 3), .rs1 = 20,
            .rs2 = draw(&r, 20) ? 0 : 24, .rs3 = 12, .activation = (uint8_t)draw(&r, 3),
            .table = finds ? XLUT_TABLE_I8_DYNAMIC : XLUT_TABLE_I8);
        PUT(f, .opcode = ISA_ADDI, .rd = 20, .rs1 = 20, .imm = (int32_t)(64 * draw(&r, 5)));
        if (draw(&r, 12) == 0)
            PUT(f, .opcode = ISA_LUT_STA, .rd = (uint8_t)draw(&r, 3), .rs1 = 14,
                .type = XLUT_DATA_F32);
        PUT(f, .opcode = ISA_ADDI, .rd = 12, .rs1 = 12, .imm = draw(&r, 30) ? 32 : 2);
    }
    PUT(f, .opcode = ISA_ADDI, .rd = 10, .rs1 = 10, .imm = -1);
    PUT(f, .opcode = ISA_BNE, .rs1 = 10, .rs2 = 0, .imm = (int32_t)(start - f->end));
    PUT(f, .opcode = ISA_LUT_STA, .rd = (uint8_t)draw(&r, 3), .rs1 = 14, .type = XLUT_DATA_F32);
}

static void set_up_random_tables(loop_machine *m, uint32_t seed)
{
    random_loop r = draw_loop(seed);
    hart *h = m->f.h;
    for (uint32_t i = 0; i < DATA_BYTES; i += 4) {
        const float number = ldexpf((float)(int32_t)(seed * i * 2654435761u), -40);
        assert_true(hart_memory_write(m->f.memory, DATA + i, &number, sizeof number));
    }
    const float infinite = INFINITY;
    if (draw(&r, 4) == 0)
        assert_true(hart_memory_write(m->f.memory, DATA + 4 * draw(&r, 0x400), &infinite, 4));
    put_random_tables(&m->f, r);
    hart_set_return(h, m->f.end);
    set_registers(h, WEIGHTS, SCALES, 1 + draw(&r, 8));
    h->x[20] = draw(&r, 8) ? DATA + 256 * draw(&r, 16) : DATA + DATA_BYTES - 64 * draw(&r, 64);
    h->x[12] = draw(&r, 8) ? SCALES : DATA + 64 * draw(&r, 64);
    h->x[24] = 256;
}

static void random_tables_do_what_single_instructions_do(void **state)
{
    (void)state;
    static const uint64_t limits[] = {3000, 7, 31};
    const uint32_t loops = getenv("LUTRA_TEST_QUICK") ? 300 : 3000;
    unsigned ends[HART_STOP_OBSERVER + 1] = {0};
    for (uint32_t seed = 1; seed <= loops; seed++) {
        loop_machine m[2] = {loop_machine_create(), loop_machine_create()};
        for (unsigned k = 0; k < 2; k++)
            set_up_random_tables(&m[k], seed);
        ends[compare(&m[0], &m[1], limits[seed % 3])]++;
        loop_machine_destroy(&m[0]);
        loop_machine_destroy(&m[1]);
    }
    assert_true(ends[HART_STOP_RETURN] > loops / 4);
    assert_true(ends[HART_STOP_FAULT] > loops / 16);
}

// Sums of a column tile that begin with 0, are scaled behind their loop and stored, with arithmetic
// in between; or nearly so.
static void put_some_arithmetic(fixture *f, random_loop *r)
{
    static const uint16_t some[] = {ISA_ADD,    ISA_MUL, ISA_SH2ADD,     ISA_ADDI,
                                    ISA_LUT_PF, ISA_DIV, ISA_PREFETCH_R, ISA_SLLI};
    for (unsigned i = draw(r, 5); i > 0; i--) {
        isa_instruction in = {.opcode = some[draw(r, sizeof some / sizeof *some)]};
        const bool hint = in.opcode == ISA_LUT_PF || in.opcode == ISA_PREFETCH_R;
        in.rd = hint ? 0 : (uint8_t)(20 + draw(r, 4));
        in.rs1 = (uint8_t)(20 + draw(r, 4));
        if (in.opcode == ISA_ADDI || in.opcode == ISA_SLLI)
            in.imm = (int32_t)draw(r, 32);
        else if (!hint)
            in.rs2 = (uint8_t)(20 + draw(r, 4));
        uint32_t word;
        assert_true(isa_encode(&in, &word));
        put_word(f, word);
    }
}

// x8 weights, x17 table, x18 rounds, x15 stride.
static void put_sums(fixture *f, random_loop *r)
{
    PUT(f, .opcode = ISA_ADDI, .rd = 9, .rs1 = 17);
    PUT(f, .opcode = ISA_ADDI, .rd = 10, .rs1 = 18);
    put_some_arithmetic(f, r);
    const uint64_t start = f->end;
    for (unsigned i = 2 * draw(r, 2); i > 0; i--)
        PUT(f, .opcode = ISA_ADDI, .rd = (uint8_t)(18 + i), .rs1 = 8);
    for (unsigned steps = 1 + draw(r, 2); steps > 0; steps--) {
        for (uint8_t p = 0; p < r->planes; p++)
            PUT(f, .opcode = ISA_LUT_LD, .rd = 8 + p, .rs1 = r->unruly ? 9 : 8, .imm = 512 * p);
        PUT(f, .opcode = ISA_LUT_LD, .rd = 4, .rs1 = 9, .half = r->entries == XLUT_TABLE_I8);
        PUT(f, .opcode = ISA_LMMA, .rd = draw(r, 30) ? 1 : 2, .rs1 = 4, .rs2 = 8,
            .form = r->planes - 1, .table = r->entries, .slice = ALL, .rows = r->rows);
        PUT(f, .opcode = ISA_ADDI, .rd = 9, .rs1 = 9, .imm = 256);
    }
    PUT(f, .opcode = ISA_ADDI, .rd = 8, .rs1 = 8, .imm = 256);
    PUT(f, .opcode = ISA_ADDI, .rd = 10, .rs1 = 10, .imm = -1);
    PUT(f, .opcode = ISA_BNE, .rs1 = 10, .rs2 = 0, .imm = (int32_t)(start - f->end));
}

// x11 scales, x12 factors, x25 other scales, x14 results, x16 column tiles left, x31 columns.
static void put_random_tiles(fixture *f, random_loop r)
{
    const uint8_t result = draw(&r, 10) ? 0 : 8;
    const unsigned cleared = draw(&r, 10); // at the first place, the second, the third, or none
    uint64_t outer = f->end;
    if (cleared < 3)
        PUT(f, .opcode = ISA_LUT_ZERO, .rd = result);
    put_some_arithmetic(f, &r);
    if (draw(&r, 4) == 0)
        outer = f->end;
    if (draw(&r, 16))
        PUT(f, .opcode = ISA_LUT_ZERO, .rd = 1);
    put_some_arithmetic(f, &r);
    if (cleared == 3)
        PUT(f, .opcode = ISA_LUT_ZERO, .rd = result);
    put_sums(f, &r);
    put_some_arithmetic(f, &r);
    if (cleared > 3 && cleared < 9)
        PUT(f, .opcode = ISA_LUT_ZERO, .rd = result);
    PUT(f, .opcode = ISA_LUT_DEQ, .rd = result, .rs3 = draw(&r, 30) ? 1 : 3,
        .rs1 = draw(&r, 12) ? 11 : 25, .rs2 = draw(&r, 3) ? 12 : 0,
        .type = draw(&r, 20) ? XLUT_SUM_I32 : XLUT_SUM_F32,
        .scale_type = draw(&r, 3) ? XLUT_SCALE_F32 : XLUT_SCALE_F16);
    put_some_arithmetic(f, &r);
    if (draw(&r, 8) == 0)
        PUT(f, .opcode = ISA_LUT_LD, .rd = 5, .rs1 = 14);
    PUT(f, .opcode = ISA_LUT_STA, .rd = result, .rs1 = 14, .rs2 = draw(&r, 4) ? 0 : 15,
        .rs3 = draw(&r, 6) ? 0 : 31, .type = draw(&r, 6) ? XLUT_DATA_F32 : XLUT_DATA_F16);
    if (draw(&r, 3) == 0) // leaves other rows that are not 0
        PUT(f, .opcode = ISA_LMMA, .rd = (uint8_t)draw(&r, 2), .rs1 = 4, .rs2 = 8,
            .form = r.planes - 1, .table = r.entries, .slice = ALL, .rows = BOTH);
    PUT(f, .opcode = ISA_ADDI, .rd = 14, .rs1 = 14, .imm = 256);
    PUT(f, .opcode = ISA_ADDI, .rd = 16, .rs1 = 16, .imm = -1);
    PUT(f, .opcode = ISA_BNE, .rs1 = 16, .rs2 = 0, .imm = (int32_t)(outer - f->end));
    PUT(f, .opcode = ISA_LUT_ST, .rs2 = 4, .rs1 = 17, .half = r.entries == XLUT_TABLE_I8);
}

static void set_up_random_tiles(loop_machine *m, uint32_t seed)
{
    random_loop r = draw_loop(seed);
    hart *h = m->f.h;
    const float infinite = INFINITY, other = draw(&r, 2) ? 2 : infinite;
    const float factors[2] = {0.5f, draw(&r, 8) ? 0 : other};
    const uint8_t least = 0x80;
    assert_true(hart_memory_write(m->f.memory, FACTORS, factors, sizeof factors));
    if (draw(&r, 12) == 0)
        assert_true(hart_memory_write(m->f.memory, TABLES + draw(&r, 1024), &least, 1));
    if (draw(&r, 12) == 0)
        assert_true(hart_memory_write(m->f.memory, SCALES + 4 * draw(&r, 64), &infinite, 4));
    put_random_tiles(&m->f, r);
    hart_set_return(h, m->f.end);
    set_registers(h, WEIGHTS, TABLES, 0);
    h->x[12] = FACTORS;
    h->x[14] = draw(&r, 2) ? OUT : draw(&r, 4) ? TABLES : DATA + DATA_BYTES - 256 * draw(&r, 4);
    h->x[16] = 1 + draw(&r, 8);
    h->x[17] = TABLES;
    h->x[18] = 1 + draw(&r, 5);
    h->x[25] = draw(&r, 2) ? SCALES + 2 : DATA + DATA_BYTES - 64;
    h->x[31] = draw(&r, 65);
    for (unsigned i = 20; i < 24; i++)
        h->x[i] = draw(&r, 1000);
    for (unsigned tile = 0; tile < 12; tile++)
        for (uint32_t i = 0; i < m->lut->tile_bytes / 4; i++) {
            const int32_t sum = (int32_t)((tile + 1) * i % 1000);
            memcpy(lut_tile(m->lut, tile) + 4 * i, &sum, 4);
        }
}

static void random_tiles_do_what_single_instructions_do(void **state)
{
    (void)state;
    static const uint64_t limits[] = {3000, 150, 230, 400};
    const uint32_t loops = getenv("LUTRA_TEST_QUICK") ? 800 : 3000;
    unsigned ends[HART_STOP_OBSERVER + 1] = {0};
    for (uint32_t seed = 1; seed <= loops; seed++) {
        loop_machine m[2] = {loop_machine_create(), loop_machine_create()};
        for (unsigned k = 0; k < 2; k++)
            set_up_random_tiles(&m[k], seed);
        ends[compare(&m[0], &m[1], limits[seed % 4])]++;
        loop_machine_destroy(&m[0]);
        loop_machine_destroy(&m[1]);
    }
    assert_true(ends[HART_STOP_RETURN] > loops / 4);
    assert_true(ends[HART_STOP_FAULT] > loops / 32);
}

// x8 loads, x15 what it advances by: 0 at first, until all is decoded and remembered, then x17.
static void put_leaping_loop(fixture *f, bool shifted)
{
    const uint64_t outer = f->end;
    PUT(f, .opcode = ISA_ADDI, .rd = 8, .rs1 = 18);
    PUT(f, .opcode = ISA_ADDI, .rd = 10, .rs1 = 19);
    const uint64_t inner = f->end;
    PUT(f, .opcode = ISA_LUT_LD, .rd = 8, .rs1 = 8);
    PUT(f, .opcode = ISA_LUT_LD, .rd = 4, .rs1 = 9, .half = 1);
    PUT(f, .opcode = ISA_LMMA, .rd = 16, .rs1 = 4, .rs2 = 8, .table = I8, .rows = BOTH);
    PUT(f, .opcode = shifted ? ISA_SH2ADD : ISA_ADD, .rd = 8, .rs1 = 15, .rs2 = 8);
    PUT(f, .opcode = ISA_ADDI, .rd = 10, .rs1 = 10, .imm = -1);
    PUT(f, .opcode = ISA_BNE, .rs1 = 10, .rs2 = 0, .imm = (int32_t)(inner - f->end));
    PUT(f, .opcode = ISA_ADDI, .rd = 15, .rs1 = 17);
    PUT(f, .opcode = ISA_ADDI, .rd = 16, .rs1 = 16, .imm = -1);
    PUT(f, .opcode = ISA_BNE, .rs1 = 16, .rs2 = 0, .imm = (int32_t)(outer - f->end));
}

// The first round and the last one load from the same place, those between from beyond all memory.
static void leaps_across_all_addresses_fault(void **state)
{
    (void)state;
    for (unsigned shifted = 0; shifted < 2; shifted++) {
        loop_machine m[2] = {loop_machine_create(), loop_machine_create()};
        for (unsigned k = 0; k < 2; k++) {
            hart *h = m[k].f.h;
            put_leaping_loop(&m[k].f, shifted);
            hart_set_return(h, m[k].f.end);
            set_registers(h, WEIGHTS, TABLES, 0);
            h->x[15] = 0;
            h->x[16] = 8;
            h->x[17] = 1ull << (shifted ? 61 : 63);
            h->x[18] = WEIGHTS;
            h->x[19] = ROUNDS;
        }
        compare(&m[0], &m[1], 10000);
        assert_int_equal(m[0].f.h->cause, HART_LOAD_FAULT);
        loop_machine_destroy(&m[0]);
        loop_machine_destroy(&m[1]);
    }
}

// Stretches of single operations on tiles, many of them with rows in memory: x20 .. x23 addresses,
// x24 .. x27 strides, x28 .. x30 parts of matrix operands, x31 columns. Where none of them makes a
// run of it, others stand between.
static const uint16_t operations[] = {
    ISA_LUT_LD,  ISA_LUT_ST,   ISA_LUT_LDA, ISA_LUT_STA, ISA_LUT_LDM, ISA_LUT_LDM,   ISA_LUT_LDT,
    ISA_LUT_STM, ISA_LUT_ZERO, ISA_MMA,     ISA_LUT_TBL, ISA_LUT_DEQ, ISA_LUT_OFF,   ISA_LMMA,
    ISA_ADDI,    ISA_SH2ADD,   ISA_LUT_PF,  ISA_LUT_STM, ISA_LUT_LDA, ISA_PREFETCH_R};

static void put_between(fixture *f, random_loop *r)
{
    const uint8_t from = (uint8_t)(8 * draw(r, 4)), to = (uint8_t)(8 * draw(r, 4));
    switch (draw(r, 5)) {
    case 0: PUT(f, .opcode = ISA_SD, .rs1 = 21, .rs2 = 20, .imm = 64); break;
    case 1: PUT(f, .opcode = ISA_VLE32_V, .rd = to, .rs1 = 21, .vm = 1); break;
    case 2: PUT(f, .opcode = ISA_VSE32_V, .rs3 = from, .rs1 = 21, .vm = 1); break;
    case 3: PUT(f, .opcode = ISA_VADD_VV, .rd = to, .rs1 = from, .rs2 = to, .vm = 1); break;
    default: PUT(f, .opcode = ISA_VSETVLI, .rs1 = 31, .imm = 2 << 3 | 2); break;
    }
}

static void put_random_operation(fixture *f, random_loop *r)
{
    isa_instruction in = {.opcode = operations[draw(r, sizeof operations / sizeof *operations)]};
    if (r->unruly && (draw(r, 3) == 0 || in.opcode == ISA_LUT_LD || in.opcode == ISA_LMMA)) {
        put_between(f, r);
        return;
    }
    const bool matrix =
        in.opcode == ISA_LUT_LDM || in.opcode == ISA_LUT_LDT || in.opcode == ISA_LUT_STM;
    in.rd = (uint8_t)draw(r, 6);
    const bool stores =
        in.opcode == ISA_LUT_ST || in.opcode == ISA_LUT_STA || in.opcode == ISA_LUT_STM;
    in.rs1 = (uint8_t)(draw(r, 8) ? 20 + stores + draw(r, 2) : 20 + draw(r, 4));
    in.rs2 = draw(r, 6) ? (uint8_t)(24 + draw(r, 4)) : 0;
    in.rs3 = draw(r, 3) ? 0 : (uint8_t)(matrix ? 28 + draw(r, 3) : 31);
    in.type = (uint8_t)draw(r, matrix ? 2 : 4);
    switch (in.opcode) {
    case ISA_LUT_LD: in.half = (uint8_t)draw(r, 2); break;
    case ISA_LUT_ST: in.rs2 = (uint8_t)draw(r, 6), in.rd = in.half = 0; break;
    case ISA_LUT_TBL: in.table = XLUT_TABLE_F16, in.rs3 = in.type = 0; break;
    case ISA_LUT_DEQ:
        in.rs3 = (uint8_t)(in.rd + 1), in.rs1 = 11, in.rs2 = 12, in.type = XLUT_SUM_F32;
        break;
    case ISA_LUT_OFF: in.rs1 = in.rs2 = 11, in.rs3 = in.type = 0; break;
    case ISA_MMA: in.rs1 = 6, in.rs2 = (uint8_t)(7 + draw(r, 2)), in.rs3 = 0; break;
    case ISA_LMMA: in.rs1 = 6, in.rs2 = 8, in.rs3 = 0, in.rows = BOTH; break;
    case ISA_ADDI: in.rd = in.rs1 = (uint8_t)(20 + draw(r, 4)), in.imm = 64; break;
    case ISA_SH2ADD: in.rd = 19, in.rs1 = 20, in.rs2 = 21; break;
    default: break;
    }
    uint32_t word;
    if (isa_encode(&in, &word))
        put_word(f, word);
}

static void set_up_operations(loop_machine *m, uint32_t seed)
{
    random_loop r = {.state = seed * 2654435761u, .unruly = seed % 2};
    hart *h = m->f.h;
    h->vill = false, h->sew = 2, h->vl = 8;
    for (unsigned i = 3 + draw(&r, 20); i > 0; i--)
        put_random_operation(&m->f, &r);
    hart_set_return(h, m->f.end);
    set_registers(h, WEIGHTS, TABLES, ROUNDS);
    h->x[20] = WEIGHTS + 64 * draw(&r, 64);
    h->x[21] = DATA + 64 * draw(&r, 64);
    h->x[22] = OUT + 4 * draw(&r, 3);
    h->x[23] = DATA + (draw(&r, 8) ? 0x1000 : DATA_BYTES - 64 * draw(&r, 16)) + draw(&r, 8) / 7;
    h->x[24] = 4 * draw(&r, 128);
    h->x[25] = (uint64_t)-4 * draw(&r, 64);
    h->x[26] = 32;
    h->x[27] = draw(&r, 4) ? 256 : 1ull << (20 + draw(&r, 44));
    h->x[28] = 1 + draw(&r, 8);
    h->x[29] = 4 * draw(&r, 9) << 16;
    h->x[30] = (2 + draw(&r, 20)) | 8 << 16;
    h->x[31] = draw(&r, 66);
    for (unsigned tile = 0; tile < 9; tile++)
        for (uint32_t i = 0; i < m->lut->tile_bytes / 4; i++) {
            const float value = (float)(tile * i % 1000) - 300;
            memcpy(lut_tile(m->lut, tile) + 4 * i, &value, 4);
        }
}

static void random_operations_do_what_single_instructions_do(void **state)
{
    (void)state;
    static const uint64_t limits[] = {1000, 3, 17};
    const uint32_t stretches = getenv("LUTRA_TEST_QUICK") ? 500 : 4000;
    unsigned ends[HART_STOP_OBSERVER + 1] = {0};
    for (uint32_t seed = 1; seed <= stretches; seed++) {
        loop_machine m[2] = {loop_machine_create(), loop_machine_create()};
        for (unsigned k = 0; k < 2; k++)
            set_up_operations(&m[k], seed);
        ends[compare(&m[0], &m[1], limits[seed % 3])]++;
        loop_machine_destroy(&m[0]);
        loop_machine_destroy(&m[1]);
    }
    assert_true(ends[HART_STOP_RETURN] > stretches / 8);
    assert_true(ends[HART_STOP_FAULT] > stretches / 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_do_what_single_instructions_do),
        cmocka_unit_test(entries_without_negatives_are_looked_up),
        cmocka_unit_test(layers_do_what_single_instructions_do),
        cmocka_unit_test(random_loops_do_what_single_instructions_do),
        cmocka_unit_test(random_rows_do_what_single_instructions_do),
        cmocka_unit_test(random_tables_do_what_single_instructions_do),
        cmocka_unit_test(random_tiles_do_what_single_instructions_do),
        cmocka_unit_test(random_operations_do_what_single_instructions_do),
        cmocka_unit_test(leaps_across_all_addresses_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
