// link: lutra_lut lutra_isa lutra_support
//
// Every choice of host.h that this processor has against the defining C: the same random state and
// instruction leave the same tiles and the same memory, bit for bit.
#include "lut_helpers.h"
#include "runtime/lut/host.h"

enum { SOURCE = 4, TILES = 32 };

static unsigned rounds = 3;

typedef struct pair {
    lut_unit *reference, *variant;
} pair;

// ------------------------------------------------------------------- random state

static uint16_t random_half(void)
{
    static const uint16_t special[] = {0x0000, 0x8000, 0x0001, 0x83ff, 0x7c00, 0xfc00,
                                       0x7e00, 0xfd01, 0x7bff, 0xfbff, 0x3c00};
    unsigned pick = (unsigned)random_between(0, 63);
    return pick < 11 ? special[pick] : (uint16_t)random_bits(&stream);
}

static uint32_t random_float(void)
{
    static const uint32_t special[] = {0,          0x80000000, 1,          0x807fffff, 0x7f800000,
                                       0xff800000, 0x7fc00000, 0xffa00001, 0x7f7fffff, 0x3f800000};
    unsigned pick = (unsigned)random_between(0, 63);
    if (pick < 10)
        return special[pick];
    return pick < 32 ? bits_of((float)random_normal(&stream) * 50) : (uint32_t)random_bits(&stream);
}

// Contents of the table's tiles: any bytes, no least integer, moderate or arbitrary floats.
static void fill_table(lut_unit *u, unsigned kind)
{
    uint8_t *tile = lut_tile(u, SOURCE);
    for (uint32_t i = 0; i < 2 * u->tile_bytes; i += 2) {
        uint16_t half = (uint16_t)random_bits(&stream);
        if (kind == 1) { // bytes of -127 .. 127, words that are not the least one
            uint8_t bytes[] = {(uint8_t)random_between(-127, 127),
                               (uint8_t)random_between(-127, 127)};
            memcpy(&half, bytes, 2);
        } else if (kind == 2) {
            half = random_bits(&stream) & 1 ? 0x7f7f : 0x8181; // the ends of i8
        } else if (kind == 3) {
            half = random_bits(&stream) & 1 ? 0x7fff : 0x8001; // the ends of i16
        } else if (kind == 4) {
            half = f16_from_double(random_normal(&stream));
        } else if (kind == 5) {
            half = random_half();
        } else if (kind == 6) {
            half = (uint16_t)random_between(-1020, 1020);
        } else if (kind == 7) { // at, and now and then beyond, what two parts of 7 bits hold
            int value = 16319 + (random_bits(&stream) % 256 == 0) * random_between(1, 70);
            half = (uint16_t)(random_bits(&stream) & 1 ? value : -value);
        }
        memcpy(tile + i, &half, 2);
    }
}
enum { TABLE_KINDS = 8 };

static void fill_accumulators(lut_unit *u, unsigned tile, bool wild)
{
    for (uint32_t i = 0; i < u->m * u->n; i++) {
        uint32_t bits = wild ? random_float() : bits_of((float)random_normal(&stream));
        memcpy(lut_tile(u, tile) + 4 * i, &bits, 4);
    }
}

static void copy_state(pair p)
{
    memcpy(p.variant->tiles, p.reference->tiles, TILES * (size_t)p.reference->tile_bytes);
}

static void assert_same_tiles(pair p, const isa_instruction *in)
{
    if (memcmp(p.variant->tiles, p.reference->tiles, TILES * (size_t)p.reference->tile_bytes) == 0)
        return;
    for (unsigned tile = 0; tile < TILES; tile++)
        for (uint32_t i = 0; i < p.reference->tile_bytes; i++)
            if (lut_tile(p.reference, tile)[i] != lut_tile(p.variant, tile)[i])
                fail_msg("m%u n%u opcode %u table %u form %u slice %u rows %u start %u type %u/%u "
                         "activation %u: byte %u of lt%u",
                         p.reference->m, p.reference->n, in->opcode, in->table, in->form, in->slice,
                         in->rows, in->start, in->type, in->scale_type, in->activation, i, tile);
}

// ---------------------------------------------------------------- instructions

static void check_lmma(pair p, isa_instruction in, unsigned kind)
{
    lut_unit *u = p.reference;
    fill_table(u, kind);
    for (unsigned plane = 0; plane < 4; plane++)
        fill_tile(u, PLANES + plane);
    fill_accumulators(u, C, kind == 5);
    copy_state(p);
    execute(p.reference, in, NULL, NULL, 0);
    execute(p.variant, in, NULL, NULL, 0);
    assert_same_tiles(p, &in);
}

static void check_every_lmma(pair p)
{
    for (unsigned table = XLUT_TABLE_I8; table <= XLUT_TABLE_F16; table++)
        for (unsigned form = XLUT_FORM_PLANES1; form <= XLUT_FORM_FULL; form++)
            for (unsigned slice = 0; slice <= XLUT_SLICE_QUARTER3; slice++)
                for (unsigned options = 0; slice != 1 && options < 4; options++)
                    for (unsigned kind = 0; kind < TABLE_KINDS; kind++)
                        check_lmma(p,
                                   (isa_instruction){.opcode = ISA_LMMA,
                                                     .rd = C,
                                                     .rs1 = SOURCE,
                                                     .rs2 = PLANES,
                                                     .table = (uint8_t)table,
                                                     .form = (uint8_t)form,
                                                     .slice = (uint8_t)slice,
                                                     .rows = options & 1,
                                                     .start = options >> 1},
                                   kind);
}

// Operands of both kinds of scale: f16 or f32 elements, and one f32 per row, at odd addresses.
static void fill_scales(uint8_t *columns, uint8_t *rows, unsigned type)
{
    for (uint32_t j = 0; j < MAX_N; j++) {
        uint16_t half = random_half();
        uint32_t bits = random_float();
        if (type == XLUT_SCALE_F16)
            memcpy(columns + 2 * j, &half, 2);
        else
            memcpy(columns + 4 * j, &bits, 4);
    }
    for (uint32_t row = 0; row < MAX_M; row++) {
        uint32_t bits = random_float();
        memcpy(rows + 4 * row, &bits, 4);
    }
}

static void check_scaling(pair p, isa_instruction in)
{
    uint8_t columns[4 * MAX_N + 4], rows[4 * MAX_M];
    uint8_t *at = columns + (in.scale_type == XLUT_SCALE_F16 ? 2 : 4);
    bool off = in.opcode == ISA_LUT_OFF;
    fill_scales(at, rows, in.scale_type);
    fill_accumulators(p.reference, D, true);
    fill_accumulators(p.reference, C, true);
    copy_state(p);
    execute(p.reference, in, off ? rows : at, off ? at : rows, 0);
    execute(p.variant, in, off ? rows : at, off ? at : rows, 0);
    assert_same_tiles(p, &in);
}

static void check_every_scaling(pair p)
{
    for (unsigned variant = 0; variant < 16; variant++)
        for (unsigned round = 0; round < rounds * 8; round++)
            check_scaling(p, (isa_instruction){.opcode = variant & 8 ? ISA_LUT_OFF : ISA_LUT_DEQ,
                                               .rd = D,
                                               .rs2 = variant & 4 ? 7 : 0,
                                               .rs3 = C,
                                               .type = variant & 2 ? XLUT_SUM_F32 : XLUT_SUM_I32,
                                               .scale_type = variant & 1});
}

static void check_table(pair p, isa_instruction in, unsigned kind, bool all_rows)
{
    uint8_t memory[4 * MAX_M * MAX_DEPTH + 4], scales[2][16 * MAX_M];
    for (uint32_t i = 0; i < MAX_M * MAX_DEPTH; i++) {
        uint32_t bits = kind == 0   ? (uint32_t)random_bits(&stream)
                        : kind == 4 ? random_float()
                        : kind == 1 ? bits_of((float)random_normal(&stream))
                        : kind == 2 ? bits_of((float)random_between(-40, 40) / 4)
                                    : (random_bits(&stream) & 1 ? 0 : 0x80000000);
        uint16_t half = f16_from_float((float)random_normal(&stream) * (kind == 2 ? 100.0f : 1.0f));
        if (kind >= 1 && in.activation == XLUT_ACTIVATION_F16)
            bits = half * 0x10001u;
        memcpy(memory + 4 * i, &bits, 4);
    }
    for (uint32_t i = 0; i < 4 * MAX_M; i++) {
        uint32_t bits = kind ? bits_of((float)random_normal(&stream) * 30) : random_float();
        memcpy(scales[0] + 4 * i, &bits, 4);
        memcpy(scales[1] + 4 * i, &bits, 4);
    }
    fill_tile(p.reference, TABLE);
    copy_state(p);
    uint64_t stride = all_rows ? 4 * MAX_DEPTH : 0;
    execute(p.reference, in, memory, scales[0], stride);
    execute(p.variant, in, memory, scales[1], stride);
    assert_same_tiles(p, &in);
    assert_memory_equal(scales[0], scales[1], sizeof scales[0]);
}

static void check_every_table(pair p)
{
    for (unsigned activation = 0; activation <= XLUT_ACTIVATION_I16LO; activation++)
        for (unsigned table = 0; table <= XLUT_TABLE_I8_DYNAMIC; table++)
            for (unsigned options = 0; options < 4 * rounds; options++)
                for (unsigned kind = 0; kind < 5; kind++) {
                    bool scaled =
                        table == XLUT_TABLE_I8_DYNAMIC || (table == XLUT_TABLE_I8 && (options & 2));
                    check_table(p,
                                (isa_instruction){.opcode = ISA_LUT_TBL,
                                                  .rd = TABLE,
                                                  .rs3 = scaled ? 5 : 0,
                                                  .table = (uint8_t)table,
                                                  .activation = (uint8_t)activation},
                                kind, options & 1);
                }
}

// Loads and stores of accumulators of every type and any number of columns; whole and half tiles.
static void check_every_move(pair p)
{
    static const uint16_t opcodes[] = {ISA_LUT_STA, ISA_LUT_LDA, ISA_LUT_LD, ISA_LUT_ST};
    uint8_t memory[2][4 * MAX_M * MAX_N + 64];
    for (unsigned variant = 0; variant < 64; variant++) {
        isa_instruction in = {.opcode = opcodes[variant % 4], .rd = C, .type = variant / 4 % 4};
        if (variant % 4 == 3)
            in.rs2 = C;
        in.half = variant >= 32;
        uint64_t x[32] = {
            [30] = MAX_N * 4, [31] = (uint64_t)random_between(0, (int)p.reference->n)};
        if (variant % 4 < 2) {
            in.rs2 = variant & 16 ? 30 : 0;
            in.rs3 = in.half ? 0 : 31;
        }
        for (size_t i = 0; i < sizeof memory[0]; i++)
            memory[0][i] = memory[1][i] = (uint8_t)random_bits(&stream);
        fill_accumulators(p.reference, C, true);
        copy_state(p);
        for (unsigned side = 0; side < 2; side++) {
            lut_operands operands;
            lut_unit *u = side ? p.variant : p.reference;
            assert_true(lut_operands_of(u, &in, x, &operands));
            for (uint32_t row = 0; row < operands.item[0].rows; row++)
                operands.item[0].host[row] = memory[side] + 4 + row * operands.item[0].stride;
            lut_execute(u, &in, &operands);
        }
        assert_same_tiles(p, &in);
        assert_memory_equal(memory[0], memory[1], sizeof memory[0]);
    }
}

// Any part of a matrix operand, of any rows apart, whose last byte is the last that may be read.
static void check_matrix_move(pair p, unsigned opcode)
{
    enum { MOST = 64 * 256 };
    static uint8_t memory[2][MOST];
    const uint32_t alignment = opcode == ISA_LUT_STM ? 4 : opcode == ISA_LUT_LDT ? 2 : 1;
    isa_instruction in = {.opcode = (uint16_t)opcode, .rd = C, .rs1 = 5, .rs2 = 6, .rs3 = 7};
    in.type = opcode == ISA_LUT_LDM && random_bits(&stream) % 2 ? XLUT_OPERAND_B : XLUT_OPERAND_A;
    const uint32_t most = opcode == ISA_LUT_LDT ? p.reference->n / 4 : p.reference->n / 2;
    const uint32_t bytes = random_bits(&stream) % 2 ? most : random_bits(&stream) % (most + 1);
    uint64_t x[32] = {[6] = 4 * (random_bits(&stream) % 64)};
    x[7] = (random_bits(&stream) % (p.reference->n / 8) + 1) | bytes / alignment * alignment << 16;
    for (size_t i = 0; i < MOST; i++)
        memory[0][i] = memory[1][i] = (uint8_t)random_bits(&stream);
    fill_accumulators(p.reference, C, true);
    copy_state(p);
    for (unsigned side = 0; side < 2; side++) {
        lut_operands operands;
        lut_unit *u = side ? p.variant : p.reference;
        assert_true(lut_operands_of(u, &in, x, &operands));
        const lut_operand *o = &operands.item[0];
        for (uint32_t row = 0; row < o->rows; row++)
            operands.item[0].host[row] =
                memory[side] + MOST - o->bytes - (o->rows - 1 - row) * o->stride;
        lut_execute(u, &in, &operands);
    }
    assert_same_tiles(p, &in);
    assert_memory_equal(memory[0], memory[1], MOST);
}

static void check_every_matrix_move(pair p)
{
    static const uint16_t opcodes[] = {ISA_LUT_LDM, ISA_LUT_LDT, ISA_LUT_STM};
    for (unsigned i = 0; i < 60; i++)
        check_matrix_move(p, opcodes[i % 3]);
}

// Some rows are 0, as those behind what is loaded, in A, and in C or a part of it.
static void clear_rows(lut_unit *u)
{
    const uint32_t first = u->tile_bytes / 2, changed = first + random_bits(&stream) % first;
    memset(lut_tile(u, TABLE) + first, 0, first);
    memset(lut_tile(u, C) + first, 0, first);
    lut_tile(u, random_bits(&stream) % 2 ? TABLE : C)[changed] =
        random_bits(&stream) % 2 ? 0x80 : 0;
}

static void put_half(lut_unit *u, unsigned tile, uint32_t bytes, uint16_t half)
{
    memcpy(lut_tile(u, tile) + random_bits(&stream) % (bytes / 2) * 2, &half, 2);
}

// Columns from some one on are 0, as where a part of B was loaded, but for one element now and
// then; or else an element of A is special.
static void clear_columns(lut_unit *u)
{
    static const uint16_t halves[] = {0x8000, 0x0001, 0x7c00, 0x7f80}; // infinite f16, bf16
    static const uint32_t words[] = {0x80000000, 1, 0x7fa00001, 0xff800000, 0x3f800000};
    const uint32_t columns = u->n / 8, row_bytes = u->n / 2, first = random_bits(&stream) % columns;
    const uint32_t at = 4 * (random_bits(&stream) % 8 * columns + columns - 1);
    memset(lut_tile(u, PLANES) + first * row_bytes, 0, (columns - first) * row_bytes);
    for (uint32_t i = 0; i < 8 * u->m; i++)
        memset(lut_tile(u, C) + 4 * (i * columns + first), 0, 4 * (columns - first));
    switch (random_bits(&stream) % 4) {
    case 0: memcpy(lut_tile(u, C) + at, &words[random_bits(&stream) % 5], 4); break;
    case 1: put_half(u, PLANES, columns * row_bytes, halves[random_bits(&stream) % 4]); break;
    case 2: put_half(u, TABLE, u->tile_bytes, halves[random_bits(&stream) % 4]); break;
    default: break;
    }
}

// Random bits: every NaN, infinity and subnormal occurs in the float types. Or moderate numbers.
static void fill_operands(lut_unit *u, bool wild)
{
    for (unsigned t = 0; t < 2; t++) {
        uint8_t *tile = lut_tile(u, t ? TABLE : PLANES);
        for (uint32_t i = 0; i < u->tile_bytes; i++) {
            const uint8_t bits = (uint8_t)random_bits(&stream);
            tile[i] = wild ? bits : (uint8_t)((bits & 0x80) | (0x34 + bits % 8));
        }
    }
}

static void check_every_mma(pair p)
{
    enum { WILD = 1, FEW_ROWS = 2, FEW_COLUMNS = 4, WILD_SUMS = 8, NO_SUMS = 16, KINDS = 32 };
    for (unsigned type = 0; type <= XLUT_MMA_E5M2; type++)
        for (unsigned kind = 0; kind < KINDS; kind++) {
            isa_instruction in = {
                .opcode = ISA_MMA, .rd = C, .rs1 = TABLE, .rs2 = PLANES, .type = (uint8_t)type};
            fill_operands(p.reference, kind & WILD);
            fill_accumulators(p.reference, C, type != XLUT_MMA_I8 && kind & WILD_SUMS);
            if (kind & NO_SUMS)
                memset(lut_tile(p.reference, C), 0, p.reference->tile_bytes);
            if (kind & FEW_ROWS)
                clear_rows(p.reference);
            if (kind & FEW_COLUMNS)
                clear_columns(p.reference);
            copy_state(p);
            execute(p.reference, in, NULL, NULL, 0);
            execute(p.variant, in, NULL, NULL, 0);
            assert_same_tiles(p, &in);
        }
}

static void with_every_host(void (*check)(pair p))
{
    for (lut_host host = LUT_HOST_REFERENCE + 1; host < LUT_HOST_COUNT; host++) {
        print_message("%s: %s\n", lut_host_names[host],
                      lut_host_supported(host) ? "checked" : "not on this processor");
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            pair p = {lut_unit_create_with(shapes[i].m, shapes[i].n, LUT_HOST_REFERENCE),
                      lut_unit_create_with(shapes[i].m, shapes[i].n, host)};
            assert_non_null(p.reference);
            assert_int_equal(p.variant != NULL, lut_host_supported(host));
            for (unsigned round = 0; p.variant && round < rounds; round++)
                check(p);
            lut_unit_destroy(p.reference);
            lut_unit_destroy(p.variant);
        }
    }
}

static void mma_gives_the_same_bits(void **state)
{
    (void)state;
    with_every_host(check_every_mma);
}

static void lmma_gives_the_same_bits(void **state)
{
    (void)state;
    with_every_host(check_every_lmma);
}

static void deq_and_off_give_the_same_bits(void **state)
{
    (void)state;
    with_every_host(check_every_scaling);
}

static void tables_have_the_same_bits(void **state)
{
    (void)state;
    with_every_host(check_every_table);
}

static void moves_have_the_same_bits(void **state)
{
    (void)state;
    with_every_host(check_every_move);
    with_every_host(check_every_matrix_move);
}

static void a_unit_takes_the_best_choice(void **state)
{
    (void)state;
    lut_host best = LUT_HOST_REFERENCE;
    for (lut_host host = 0; host < LUT_HOST_COUNT; host++)
        if (lut_host_supported(host))
            best = host;
    lut_unit *u = lut_unit_create(2, 64), *same = lut_unit_create_with(2, 64, best);
    assert_ptr_equal(u->functions, same->functions);
    assert_null(lut_unit_create_with(3, 64, best));
    lut_unit_destroy(u);
    lut_unit_destroy(same);
}

int main(void)
{
    if (getenv("LUTRA_TEST_QUICK"))
        rounds = 1;
    stream = random_seed(7);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lmma_gives_the_same_bits),
        cmocka_unit_test(mma_gives_the_same_bits),
        cmocka_unit_test(deq_and_off_give_the_same_bits),
        cmocka_unit_test(tables_have_the_same_bits),
        cmocka_unit_test(moves_have_the_same_bits),
        cmocka_unit_test(a_unit_takes_the_best_choice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
