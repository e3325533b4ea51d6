// link: lutra_hart lutra_lut lutra_isa lutra_support
//
// Runs of Xlut instructions against the same code under an observer, which sees one instruction at
// a time: registers, tiles, memory, counters and faults are the same, wherever execution is cut.
#include "xlut_helpers.h"

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

enum { TILES = 2 };

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
        cmocka_unit_test(random_operations_do_what_single_instructions_do),
        cmocka_unit_test(leaps_across_all_addresses_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
