// link: lutra_lut lutra_isa lutra_support
//
// Tiles in and out of memory, scaling of accumulators, the conventional matrix instruction, memory
// footprints and counters, on every tile shape.
#include "lut_helpers.h"

// ------------------------------------------------------------------ accumulators

static void check_scaling(lut_unit *u)
{
    float ws[MAX_N], ts[MAX_M], d[MAX_M * MAX_N];
    uint16_t half[MAX_N];
    for (uint32_t j = 0; j < u->n; j++) {
        half[j] = f16_from_double(random_normal(&stream));
        ws[j] = f16_to_float(half[j]);
    }
    for (uint32_t row = 0; row < u->m; row++)
        ts[row] = (float)random_normal(&stream);
    for (unsigned variant = 0; variant < 8; variant++) {
        bool real = variant & 1, wide = variant & 2, scaled = variant & 4;
        for (uint32_t i = 0; i < u->m * u->n; i++) {
            d[i] = (float)random_normal(&stream);
            float f = (float)random_normal(&stream);
            int32_t s = (int32_t)random_bits(&stream);
            memcpy(lut_tile(u, C) + 4 * i, real ? (void *)&f : (void *)&s, 4);
        }
        memcpy(lut_tile(u, D), d, u->tile_bytes);
        execute(u,
                (isa_instruction){.opcode = ISA_LUT_DEQ,
                                  .rd = D,
                                  .rs3 = C,
                                  .rs2 = scaled ? 7 : 0,
                                  .type = real ? XLUT_SUM_F32 : XLUT_SUM_I32,
                                  .scale_type = wide ? XLUT_SCALE_F32 : XLUT_SCALE_F16},
                wide ? (void *)ws : (void *)half, ts, 0);
        for (uint32_t i = 0; i < u->m * u->n; i++) {
            float s = real ? f32_at(u, C, i) : (float)i32_at(u, C, i);
            float factor = ws[i % u->n] * (scaled ? ts[i / u->n] : 1);
            assert_int_equal(bits_of(f32_at(u, D, i)), bits_of(fmaf(s, factor, d[i])));
        }
        memcpy(lut_tile(u, D), d, u->tile_bytes);
        execute(u,
                (isa_instruction){.opcode = ISA_LUT_OFF,
                                  .rd = D,
                                  .scale_type = wide ? XLUT_SCALE_F32 : XLUT_SCALE_F16},
                ts, wide ? (void *)ws : (void *)half, 0);
        for (uint32_t i = 0; i < u->m * u->n; i++)
            assert_int_equal(bits_of(f32_at(u, D, i)),
                             bits_of(fmaf(ts[i / u->n], ws[i % u->n], d[i])));
    }
}

static void deq_and_off_are_fused_multiply_adds(void **state)
{
    (void)state;
    for_each_shape(check_scaling);
}

static void nan_results_are_canonical(void **state)
{
    (void)state;
    lut_unit *u = lut_unit_create(1, 64);
    float ws[64], one = 1;
    uint32_t odd = 0xffc12345;
    for (int j = 0; j < 64; j++)
        memcpy(&ws[j], &odd, 4);
    execute(
        u,
        (isa_instruction){.opcode = ISA_LUT_DEQ, .rd = D, .rs3 = C, .scale_type = XLUT_SCALE_F32},
        ws, NULL, 0);
    assert_int_equal(i32_at(u, D, 3), 0x7fc00000);
    execute(u, (isa_instruction){.opcode = ISA_LUT_ZERO, .rd = D}, NULL, NULL, 0);
    execute(u, (isa_instruction){.opcode = ISA_LUT_OFF, .rd = D, .scale_type = XLUT_SCALE_F32},
            &one, ws, 0);
    assert_int_equal(i32_at(u, D, 63), 0x7fc00000);
    lut_unit_destroy(u);
}

static void check_rows_in_memory(lut_unit *u)
{
    static const scalar_type types[] = {[XLUT_DATA_F32] = SCALAR_F32,
                                        [XLUT_DATA_F16] = SCALAR_F16,
                                        [XLUT_DATA_BF16] = SCALAR_BF16,
                                        [XLUT_DATA_I32] = SCALAR_I32};
    for (unsigned data = 0; data < 4; data++) {
        uint8_t memory[MAX_M * (MAX_N + 8) * 4], result[sizeof memory];
        uint32_t size = (uint32_t)scalar_size(types[data]), columns = u->n - 5;
        uint64_t stride = (u->n + 8) * size;
        for (size_t i = 0; i < sizeof memory; i++)
            memory[i] = result[i] = 0xa5;
        for (uint32_t row = 0; row < u->m; row++)
            for (uint32_t j = 0; j < columns; j++)
                scalar_store(types[data], memory + row * stride + j * size,
                             data == XLUT_DATA_I32 ? random_between(-100000, 100000)
                                                   : random_normal(&stream));
        uint64_t x[32] = {[6] = columns, [7] = stride};
        isa_instruction in = {
            .opcode = ISA_LUT_LDA, .rd = D, .rs2 = 7, .rs3 = 6, .type = (uint8_t)data};
        fill_tile(u, D);
        for (unsigned pass = 0; pass < 2; pass++) {
            lut_operands operands;
            in.opcode = pass ? ISA_LUT_STA : ISA_LUT_LDA;
            assert_true(lut_operands_of(u, &in, x, &operands));
            assert_int_equal(operands.item[0].write, pass);
            for (uint32_t row = 0; row < u->m; row++)
                operands.item[0].host[row] = (pass ? result : memory) + row * stride;
            lut_execute(u, &in, &operands);
        }
        for (uint32_t row = 0; row < u->m; row++) {
            for (uint32_t j = 0; j < u->n; j++) {
                double want =
                    j < columns ? scalar_load(types[data], memory + row * stride + j * size) : 0;
                double got = data == XLUT_DATA_I32 ? i32_at(u, D, row * u->n + j)
                                                   : (double)f32_at(u, D, row * u->n + j);
                assert_true(got == want);
            }
            assert_memory_equal(result + row * stride, memory + row * stride, columns * size);
            assert_int_equal(result[row * stride + columns * size], 0xa5);
        }
    }
}

static void lda_and_sta_move_rows_of_columns(void **state)
{
    (void)state;
    for_each_shape(check_rows_in_memory);
}

static void sta_rounds_to_the_type_in_memory(void **state)
{
    (void)state;
    lut_unit *u = lut_unit_create(1, 64);
    float values[] = {1.00048828125f, 65520, -1e-9f, NAN};
    uint16_t out[64];
    memcpy(lut_tile(u, D), values, sizeof values);
    execute(u, (isa_instruction){.opcode = ISA_LUT_STA, .rd = D, .type = XLUT_DATA_F16}, out, NULL,
            0);
    assert_int_equal(out[0], 0x3c00); // a tie, to even
    assert_int_equal(out[1], 0x7c00);
    assert_int_equal(out[2], 0x8000);
    assert_int_equal(out[3], 0x7e00);
    execute(u, (isa_instruction){.opcode = ISA_LUT_STA, .rd = D, .type = XLUT_DATA_BF16}, out, NULL,
            0);
    assert_int_equal(out[0], 0x3f80);
    assert_int_equal(out[3], 0x7fc0);
    lut_unit_destroy(u);
}

static void check_tile_moves(lut_unit *u)
{
    uint8_t *memory = test_malloc(u->tile_bytes), *back = test_malloc(u->tile_bytes);
    for (uint32_t i = 0; i < u->tile_bytes; i++)
        memory[i] = (uint8_t)(random_bits(&stream) | 1);
    for (unsigned half = 0; half < 2; half++) {
        uint32_t bytes = half ? 64 * u->m * u->m : u->tile_bytes;
        fill_tile(u, D);
        memset(back, 0, u->tile_bytes);
        execute(u, (isa_instruction){.opcode = ISA_LUT_LD, .rd = D, .half = half & 1}, memory, NULL,
                0);
        execute(u, (isa_instruction){.opcode = ISA_LUT_ST, .rs2 = D, .half = half & 1}, back, NULL,
                0);
        assert_memory_equal(back, memory, bytes);
        for (uint32_t i = bytes; i < u->tile_bytes; i++)
            assert_int_equal(lut_tile(u, D)[i] | back[i], 0);
    }
    execute(u, (isa_instruction){.opcode = ISA_LUT_ZERO, .rd = D}, NULL, NULL, 0);
    for (uint32_t i = 0; i < u->tile_bytes; i++)
        assert_int_equal(lut_tile(u, D)[i], 0);
    test_free(memory);
    test_free(back);
}

static void tiles_move_whole_and_half(void **state)
{
    (void)state;
    for_each_shape(check_tile_moves);
}

// ---------------------------------------------------------------------------- mma

static void check_mma(lut_unit *u)
{
    static const scalar_type types[] = {[XLUT_MMA_F16] = SCALAR_F16,
                                        [XLUT_MMA_BF16] = SCALAR_BF16,
                                        [XLUT_MMA_I8] = SCALAR_I8,
                                        [XLUT_MMA_E4M3] = SCALAR_E4M3,
                                        [XLUT_MMA_E5M2] = SCALAR_E5M2};
    for (unsigned type = 0; type < 5; type++) {
        uint32_t size = (uint32_t)scalar_size(types[type]);
        uint32_t rows = 8 * u->m, columns = u->n / 8, depth = u->n / (size == 1 ? 2 : 4);
        uint8_t *a = lut_tile(u, 2), *b = lut_tile(u, 4);
        for (uint32_t i = 0; i < rows * depth; i++)
            scalar_store(types[type], a + i * size,
                         type == XLUT_MMA_I8 ? random_between(-128, 127) : random_normal(&stream));
        for (uint32_t i = 0; i < columns * depth; i++)
            scalar_store(types[type], b + i * size,
                         type == XLUT_MMA_I8 ? random_between(-128, 127) : random_normal(&stream));
        execute(u, (isa_instruction){.opcode = ISA_LUT_ZERO, .rd = C}, NULL, NULL, 0);
        for (int twice = 0; twice < 2; twice++)
            execute(u,
                    (isa_instruction){
                        .opcode = ISA_MMA, .rd = C, .rs1 = 2, .rs2 = 4, .type = (uint8_t)type},
                    NULL, NULL, 0);
        for (uint32_t i = 0; i < rows; i++)
            for (uint32_t j = 0; j < columns; j++) {
                float real = 0;
                int32_t whole = 0;
                for (uint32_t k = 0; k < 2 * depth; k++) {
                    double x = scalar_load(types[type], a + (i * depth + k % depth) * size);
                    double y = scalar_load(types[type], b + (j * depth + k % depth) * size);
                    real = fmaf((float)x, (float)y, real);
                    whole += (int32_t)(x * y);
                }
                if (type == XLUT_MMA_I8)
                    assert_int_equal(i32_at(u, C, i * columns + j), whole);
                else
                    assert_int_equal(bits_of(f32_at(u, C, i * columns + j)), bits_of(real));
            }
    }
}

// One row of the table: instruction, whole rows and bytes of a row in memory.
static void check_matrix_move(lut_unit *u, const isa_instruction *base, uint32_t all_rows,
                              uint32_t all_bytes, uint32_t some_rows, uint32_t some_bytes)
{
    enum { GAP = 20 };
    uint8_t memory[LUT_MAX_MEMORY_ROWS * (MAX_N / 2 + GAP)], before[sizeof memory];
    uint32_t stride = all_bytes + GAP, rows = some_rows ? some_rows : all_rows;
    uint32_t bytes = some_bytes ? some_bytes : all_bytes;
    uint64_t x[32] = {[6] = stride, [7] = (uint64_t)some_bytes << 16 | some_rows};
    isa_instruction in = *base;
    lut_operands operands;
    in.rd = C, in.rs2 = 6, in.rs3 = 7;
    for (size_t i = 0; i < sizeof memory; i++)
        before[i] = memory[i] = (uint8_t)random_bits(&stream);
    fill_tile(u, C);
    assert_true(lut_operands_of(u, &in, x, &operands));
    assert_int_equal(operands.item[0].rows, rows);
    assert_int_equal(operands.item[0].bytes, bytes);
    for (uint32_t r = 0; r < rows; r++)
        operands.item[0].host[r] = memory + r * stride;
    lut_execute(u, &in, &operands);
    const uint8_t *tile = lut_tile(u, C);
    for (uint32_t r = 0; r < all_rows; r++)
        for (uint32_t i = 0; i < all_bytes; i++) {
            uint32_t at =
                in.opcode == ISA_LUT_LDT ? i / 2 * (u->n / 2) + 2 * r + i % 2 : r * (u->n / 2) + i;
            bool moved = r < rows && i < bytes, store = in.opcode == ISA_LUT_STM;
            if (moved)
                assert_int_equal(memory[r * stride + i], tile[at]);
            else if (store)
                assert_int_equal(memory[r * stride + i], before[r * stride + i]);
            else
                assert_int_equal(tile[at], 0);
        }
    x[7] = all_rows + 1;
    assert_false(lut_operands_of(u, &in, x, &operands));
    x[7] = (uint64_t)(all_bytes + 4) << 16;
    assert_false(lut_operands_of(u, &in, x, &operands));
    x[7] = UINT64_C(1) << 32;
    assert_false(lut_operands_of(u, &in, x, &operands));
    in.rs2 = in.rs3 = 0;
    assert_true(lut_operands_of(u, &in, x, &operands));
    assert_int_equal(operands.item[0].rows, 1);
}

static void check_matrix_moves(lut_unit *u)
{
    const struct {
        isa_instruction in;
        uint32_t rows, bytes;
    } moves[] = {
        {{.opcode = ISA_LUT_LDM, .type = XLUT_OPERAND_A}, 8 * u->m, u->n / 2},
        {{.opcode = ISA_LUT_LDM, .type = XLUT_OPERAND_B}, u->n / 8, u->n / 2},
        {{.opcode = ISA_LUT_LDT}, u->n / 4, u->n / 4},
        {{.opcode = ISA_LUT_STM}, 8 * u->m, u->n / 2},
    };
    for (size_t i = 0; i < sizeof moves / sizeof *moves; i++) {
        check_matrix_move(u, &moves[i].in, moves[i].rows, moves[i].bytes, 0, 0);
        check_matrix_move(u, &moves[i].in, moves[i].rows, moves[i].bytes, moves[i].rows - 1, 4);
        check_matrix_move(u, &moves[i].in, moves[i].rows, moves[i].bytes, 1, moves[i].bytes - 4);
    }
}

static void parts_of_matrices_move(void **state)
{
    (void)state;
    for_each_shape(check_matrix_moves);
}

static void mma_multiplies_rows_by_rows(void **state)
{
    (void)state;
    for_each_shape(check_mma);
}

// ----------------------------------------------------------------------- operands

static void operands_cover_the_footprint(void **state)
{
    (void)state;
    lut_unit *u = lut_unit_create(2, 64);
    uint64_t x[32] = {[5] = 0x1000, [6] = 96, [7] = 0x2000, [8] = 65, [9] = 0};
    lut_operands o;
    isa_instruction in = {.opcode = ISA_LUT_ST, .rs1 = 5, .imm = -128, .half = 1};
    assert_true(lut_operands_of(u, &in, x, &o));
    assert_int_equal(o.count, 1);
    assert_int_equal(o.item[0].address, 0x1000 - 128);
    assert_int_equal(o.item[0].bytes, 256);
    assert_int_equal(o.item[0].alignment, 64);
    assert_true(o.item[0].write);

    in = (isa_instruction){.opcode = ISA_LUT_TBL,
                           .rs1 = 5,
                           .rs2 = 6,
                           .rs3 = 7,
                           .activation = XLUT_ACTIVATION_F16,
                           .table = XLUT_TABLE_I8_DYNAMIC};
    assert_true(lut_operands_of(u, &in, x, &o));
    assert_int_equal(o.count, 2);
    assert_int_equal(o.item[0].rows, 2);
    assert_int_equal(o.item[0].stride, 96);
    assert_int_equal(o.item[0].bytes, 128);
    assert_int_equal(o.item[0].alignment, 2);
    assert_int_equal(o.item[1].bytes, 32); // four quarters, two rows
    assert_true(o.item[1].write);

    in = (isa_instruction){.opcode = ISA_LUT_STA, .rs1 = 5, .rs3 = 8, .type = XLUT_DATA_F16};
    assert_false(lut_operands_of(u, &in, x, &o)); // 65 columns of 64
    in.rs3 = 9;
    assert_true(lut_operands_of(u, &in, x, &o));
    assert_int_equal(o.item[0].bytes, 0);
    in.rs3 = 0;
    assert_true(lut_operands_of(u, &in, x, &o));
    assert_int_equal(o.item[0].bytes, 128);
    assert_int_equal(o.item[0].rows, 1);

    in = (isa_instruction){.opcode = ISA_LUT_PF, .rs1 = 5};
    assert_true(lut_operands_of(u, &in, x, &o));
    assert_int_equal(o.count, 0);
    lut_unit_destroy(u);
}

static void counters_count_work(void **state)
{
    (void)state;
    lut_unit *u = lut_unit_create(2, 64);
    isa_instruction in = {.opcode = ISA_LMMA,
                          .rd = C,
                          .rs1 = TABLE,
                          .rs2 = PLANES,
                          .form = XLUT_FORM_PLANES2,
                          .rows = XLUT_ROWS_ALL};
    execute(u, in, NULL, NULL, 0);
    assert_int_equal(u->counters.lookups, 2 * 64 * 16 * 2);
    assert_int_equal(u->counters.multiply_accumulates, 2 * 64 * 64);
    in.rows = XLUT_ROWS_ONE;
    in.slice = XLUT_SLICE_QUARTER3;
    in.form = XLUT_FORM_FULL;
    assert_int_equal(lut_lookups(u, &in), 64 * 4);
    assert_int_equal(lut_multiply_accumulates(u, &in), 64 * 4);
    uint8_t tile[512];
    execute(u, (isa_instruction){.opcode = ISA_LUT_ST}, tile, NULL, 0);
    assert_int_equal(u->counters.bytes_written, 512);
    in = (isa_instruction){.opcode = ISA_MMA, .rd = C, .rs1 = 2, .rs2 = 4, .type = XLUT_MMA_F16};
    assert_int_equal(lut_mma_multiply_accumulates(u, &in), 16 * 8 * 16);
    lut_unit_destroy(u);
}

static void only_the_five_shapes_exist(void **state)
{
    (void)state;
    assert_null(lut_unit_create(2, 32));
    assert_null(lut_unit_create(0, 0));
    assert_null(lut_unit_create(4, 64));
    assert_false(lut_shape_valid(8, 256));
    lut_unit_destroy(NULL);
}

int main(void)
{
    stream = random_seed(1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deq_and_off_are_fused_multiply_adds),
        cmocka_unit_test(nan_results_are_canonical),
        cmocka_unit_test(lda_and_sta_move_rows_of_columns),
        cmocka_unit_test(sta_rounds_to_the_type_in_memory),
        cmocka_unit_test(tiles_move_whole_and_half),
        cmocka_unit_test(mma_multiplies_rows_by_rows),
        cmocka_unit_test(parts_of_matrices_move),
        cmocka_unit_test(operands_cover_the_footprint),
        cmocka_unit_test(counters_count_work),
        cmocka_unit_test(only_the_five_shapes_exist),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
