// link: lutra_hart lutra_lut lutra_isa lutra_support
//
// Random loops of Xlut instructions, and what is around them, as runs and one by one.
#include "xlut_helpers.h"

// Rounds of random loads, lookups and scalings: sums in turns of tiles, scaled late or in the next
// round, several results, and much that no strip can do.
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

// How both ended, which were set up alike.
static hart_stop compare_of_seed(void (*set_up)(loop_machine *m, uint32_t seed), uint32_t seed,
                                 uint64_t limit)
{
    loop_machine m[2] = {loop_machine_create(), loop_machine_create()};
    for (unsigned k = 0; k < 2; k++)
        set_up(&m[k], seed);
    const hart_stop end = compare(&m[0], &m[1], limit);
    loop_machine_destroy(&m[0]);
    loop_machine_destroy(&m[1]);
    return end;
}

static void random_loops_do_what_single_instructions_do(void **state)
{
    (void)state;
    static const uint64_t limits[] = {100000, 37, 150};
    const uint32_t loops = getenv("LUTRA_TEST_QUICK") ? 300 : 3000;
    for (uint32_t seed = 1; seed <= loops; seed++) {
        compare_of_seed(set_up_random_loop, seed, limits[seed % 3]);
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
        compare_of_seed(set_up_random_rows, seed, limits[seed % 3]);
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
        ends[compare_of_seed(set_up_random_tables, seed, limits[seed % 3])]++;
    }
    assert_true(ends[HART_STOP_RETURN] > loops / 4);
    assert_true(ends[HART_STOP_FAULT] > loops / 16);
}

// Sums of a column tile that begin with 0, are scaled behind their loop and stored, or results that
// begin with 0 and are stored, with arithmetic in between; or nearly so.
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

static void put_scaling(fixture *f, random_loop *r, uint8_t sums, uint8_t result)
{
    PUT(f, .opcode = ISA_LUT_DEQ, .rd = result, .rs3 = draw(r, 30) ? sums : 3,
        .rs1 = draw(r, 12) ? 11 : 25, .rs2 = draw(r, 3) ? 12 : 0,
        .type = draw(r, 20) ? XLUT_SUM_I32 : XLUT_SUM_F32,
        .scale_type = draw(r, 3) ? XLUT_SCALE_F32 : XLUT_SCALE_F16);
}

// x8 weights, x17 table, x18 rounds, x15 stride; `grouped`: each step's sums are scaled.
static void put_sums(fixture *f, random_loop *r, uint8_t result, bool grouped)
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
        const uint8_t sums = draw(r, 30) ? 1 : 2;
        PUT(f, .opcode = ISA_LMMA, .rd = sums, .rs1 = 4, .rs2 = 8, .form = r->planes - 1,
            .table = r->entries, .slice = ALL, .rows = r->rows, .start = grouped && draw(r, 6));
        if (grouped)
            put_scaling(f, r, sums, result);
        PUT(f, .opcode = ISA_ADDI, .rd = 9, .rs1 = 9, .imm = 256);
    }
    PUT(f, .opcode = ISA_ADDI, .rd = 8, .rs1 = 8, .imm = 256);
    PUT(f, .opcode = ISA_ADDI, .rd = 10, .rs1 = 10, .imm = -1);
    PUT(f, .opcode = ISA_BNE, .rs1 = 10, .rs2 = 0, .imm = (int32_t)(start - f->end));
}

// x11 scales, x12 factors, x25 other scales, x14 results, x31 columns. The result begins with 0 at
// some place, or at none.
static void put_random_tile(fixture *f, random_loop *r, uint8_t result, uint64_t *outer)
{
    const bool grouped = draw(r, 2);
    const unsigned cleared = grouped ? 2 + draw(r, 3) : draw(r, 10);
    if (cleared < 3)
        PUT(f, .opcode = ISA_LUT_ZERO, .rd = result);
    put_some_arithmetic(f, r);
    if (draw(r, 4) == 0)
        *outer = f->end;
    if (grouped ? draw(r, 3) == 0 : draw(r, 16))
        PUT(f, .opcode = ISA_LUT_ZERO, .rd = 1);
    else if (draw(r, 4) == 0)
        PUT(f, .opcode = ISA_LUT_LD, .rd = 1, .rs1 = 17);
    put_some_arithmetic(f, r);
    if (cleared == 3)
        PUT(f, .opcode = ISA_LUT_ZERO, .rd = result);
    put_sums(f, r, result, grouped);
    put_some_arithmetic(f, r);
    if (cleared > 3 && cleared < 9 && !grouped)
        PUT(f, .opcode = ISA_LUT_ZERO, .rd = result);
    if (!grouped)
        put_scaling(f, r, 1, result);
    put_some_arithmetic(f, r);
    if (draw(r, 8) == 0)
        PUT(f, .opcode = ISA_LUT_LD, .rd = 5, .rs1 = 14);
    PUT(f, .opcode = ISA_LUT_STA, .rd = result, .rs1 = 14, .rs2 = draw(r, 4) ? 0 : 15,
        .rs3 = draw(r, 6) ? 0 : 31, .type = draw(r, 6) ? XLUT_DATA_F32 : XLUT_DATA_F16);
}

// x16 column tiles left, of one matrix or of two in turns.
static void put_random_tiles(fixture *f, random_loop r)
{
    uint64_t outer = f->end, ignored;
    put_random_tile(f, &r, draw(&r, 10) ? 0 : 8, &outer);
    if (draw(&r, 3) == 0) {
        PUT(f, .opcode = ISA_ADDI, .rd = 14, .rs1 = 14, .imm = draw(&r, 2) ? 64 : 512);
        put_random_tile(f, &r, 6, &ignored);
    }
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
    const uint32_t loops = getenv("LUTRA_TEST_QUICK") ? 1200 : 5000;
    unsigned ends[HART_STOP_OBSERVER + 1] = {0};
    for (uint32_t seed = 1; seed <= loops; seed++) {
        ends[compare_of_seed(set_up_random_tiles, seed, limits[seed % 4])]++;
    }
    assert_true(ends[HART_STOP_RETURN] > loops / 4);
    assert_true(ends[HART_STOP_FAULT] > loops / 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_loops_do_what_single_instructions_do),
        cmocka_unit_test(random_rows_do_what_single_instructions_do),
        cmocka_unit_test(random_tables_do_what_single_instructions_do),
        cmocka_unit_test(random_tiles_do_what_single_instructions_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
