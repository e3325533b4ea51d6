// link: lutra_lut lutra_isa lutra_support
//
// Every Xlut instruction on every tile shape against computations that know weights and
// activations, not tables and planes: w[j][k] = sum over planes p of weight(p) * s_p[j][k].
#include "lut_helpers.h"

// ------------------------------------------------------------------ weights

static int8_t sign[4][MAX_N][MAX_DEPTH]; // +1 or -1

static void random_signs(void)
{
    for (int p = 0; p < 4; p++)
        for (int j = 0; j < MAX_N; j++)
            for (int k = 0; k < MAX_DEPTH; k++)
                sign[p][j][k] = random_bits(&stream) & 1 ? 1 : -1;
}

static void put_nibble(lut_unit *u, unsigned tile, uint32_t j, uint32_t g, unsigned nibble)
{
    uint32_t line = g / 4 * (u->n / 32) + j / 32;
    uint8_t *byte = lut_tile(u, tile) + 64 * line + 4 * (j % 16) + g % 4;
    *byte =
        j % 32 < 16 ? (uint8_t)((*byte & 0xf0) | nibble) : (uint8_t)((*byte & 0x0f) | nibble << 4);
}

// The index of four signs: b2 b1 b0 where s3 is +1, else 8 + the complement of b2 b1 b0.
static unsigned index_of(const int8_t s[4])
{
    unsigned b = (s[0] > 0) | (s[1] > 0) << 1 | (s[2] > 0) << 2;
    return s[3] > 0 ? b : 8 + (7 - b);
}

static void load_planes(lut_unit *u, unsigned first_tile)
{
    for (unsigned p = 0; p < 4; p++)
        for (uint32_t j = 0; j < u->n; j++)
            for (uint32_t g = 0; g < u->lookups; g++)
                put_nibble(u, first_tile + p, j, g, index_of(&sign[p][j][4 * g]));
}

static int weight_at(unsigned form, uint32_t j, uint32_t k)
{
    int sum = 0;
    for (unsigned p = 0; p < xlut_form_planes(form); p++)
        sum += sign[p][j][k] * (form == XLUT_FORM_TERNARY ? 1 : 1 << p);
    return sum;
}

// The weights [first, end) of a slice, from the text of the manual.
static void slice_bounds(const lut_unit *u, unsigned slice, uint32_t *first, uint32_t *end)
{
    uint32_t depth = 32 * u->m;
    unsigned parts = slice >= XLUT_SLICE_QUARTER0 ? 4 : slice >= XLUT_SLICE_HALF0 ? 2 : 1;
    unsigned part = slice & (parts - 1);
    *first = depth / parts * part;
    *end = depth / parts * (part + 1);
}

// ------------------------------------------------------------- exact products

// Integers small enough that tables of every type hold their sums exactly.
static float activations[MAX_M][MAX_DEPTH];

static void random_activations(int low, int high)
{
    for (int r = 0; r < MAX_M; r++)
        for (int k = 0; k < MAX_DEPTH; k++)
            activations[r][k] = (float)random_between(low, high);
}

static const uint8_t table_types[] = {XLUT_TABLE_I8, XLUT_TABLE_I16, XLUT_TABLE_F16};
static const uint8_t forms[] = {XLUT_FORM_PLANES1, XLUT_FORM_PLANES2, XLUT_FORM_PLANES3,
                                XLUT_FORM_PLANES4, XLUT_FORM_TERNARY};
static const uint8_t slices[] = {XLUT_SLICE_ALL,      XLUT_SLICE_HALF0,    XLUT_SLICE_HALF1,
                                 XLUT_SLICE_QUARTER0, XLUT_SLICE_QUARTER1, XLUT_SLICE_QUARTER2,
                                 XLUT_SLICE_QUARTER3};

static int product(const lut_unit *u, const isa_instruction *in, uint32_t row, uint32_t j)
{
    uint32_t first, end;
    slice_bounds(u, in->slice, &first, &end);
    double sum = 0;
    for (uint32_t k = first; k < end; k++)
        sum += activations[row][k] * weight_at(in->form, j, k);
    return (int)sum;
}

static void check_lmma(lut_unit *u, const isa_instruction *in)
{
    uint8_t before[4 * MAX_M * MAX_N];
    bool is_float = in->table == XLUT_TABLE_F16;
    for (uint32_t i = 0; i < u->m * u->n; i++) {
        int32_t value = random_between(-1000, 1000);
        float real = (float)value;
        memcpy(lut_tile(u, C) + 4 * i, is_float ? (void *)&real : (void *)&value, 4);
    }
    memcpy(before, lut_tile(u, C), u->tile_bytes);
    execute(u, *in, NULL, NULL, 0);
    for (uint32_t row = 0; row < u->m; row++)
        for (uint32_t j = 0; j < u->n; j++) {
            uint32_t at = row * u->n + j;
            if (row > 0 && in->rows == XLUT_ROWS_ONE) {
                assert_memory_equal(lut_tile(u, C) + 4 * at, before + 4 * at, 4);
                continue;
            }
            int32_t old;
            float old_real;
            memcpy(&old, before + 4 * at, 4);
            memcpy(&old_real, before + 4 * at, 4);
            int base = in->start ? 0 : is_float ? (int)old_real : old;
            int got = is_float ? (int)f32_at(u, C, at) : i32_at(u, C, at);
            assert_int_equal(got, base + product(u, in, row, j));
        }
}

static void check_every_lmma(lut_unit *u)
{
    random_signs();
    load_planes(u, PLANES);
    for (size_t t = 0; t < sizeof table_types; t++) {
        random_activations(table_types[t] == XLUT_TABLE_I8 ? -31 : -128,
                           table_types[t] == XLUT_TABLE_I8 ? 31 : 127);
        execute(u,
                (isa_instruction){.opcode = ISA_LUT_TBL,
                                  .rd = TABLE,
                                  .table = table_types[t],
                                  .activation = XLUT_ACTIVATION_F32},
                activations, NULL, sizeof activations[0]);
        for (size_t f = 0; f < sizeof forms; f++)
            for (size_t s = 0; s < sizeof slices; s++)
                for (unsigned options = 0; options < 4; options++)
                    check_lmma(u, &(isa_instruction){.opcode = ISA_LMMA,
                                                     .rd = C,
                                                     .rs1 = TABLE,
                                                     .rs2 = PLANES,
                                                     .table = table_types[t],
                                                     .form = forms[f],
                                                     .slice = slices[s],
                                                     .rows = options & 1,
                                                     .start = options >> 1});
    }
}

static void lmma_is_the_product_with_the_weights(void **state)
{
    (void)state;
    for_each_shape(check_every_lmma);
}

// -------------------------------------------------------------- full tables

static void check_full_table(lut_unit *u, unsigned table)
{
    static double entry[MAX_M][MAX_LOOKUPS][16];
    unsigned code[MAX_LOOKUPS];
    uint32_t size = table == XLUT_TABLE_I8 ? 1 : 2;
    for (uint32_t row = 0; row < u->m; row++)
        for (uint32_t g = 0; g < u->lookups; g++)
            for (unsigned e = 0; e < 16; e++) {
                int value = random_between(-128, 127);
                uint8_t *to = lut_tile(u, FULL_TABLE) + ((row * u->lookups + g) * 16 + e) * size;
                scalar_type type = table == XLUT_TABLE_I8    ? SCALAR_I8
                                   : table == XLUT_TABLE_I16 ? SCALAR_I16
                                                             : SCALAR_F16;
                scalar_store(type, to, value);
                entry[row][g][e] = value;
            }
    execute(u, (isa_instruction){.opcode = ISA_LUT_ZERO, .rd = C}, NULL, NULL, 0);
    for (uint32_t j = 0; j < u->n; j++) {
        double want[MAX_M] = {0};
        for (uint32_t g = 0; g < u->lookups; g++) {
            code[g] = (unsigned)random_between(0, 15);
            put_nibble(u, PLANES, j, g, code[g]);
            for (uint32_t row = 0; row < u->m; row++)
                want[row] += entry[row][g][code[g]];
        }
        execute(u,
                (isa_instruction){.opcode = ISA_LMMA,
                                  .rd = C,
                                  .rs1 = FULL_TABLE,
                                  .rs2 = PLANES,
                                  .table = (uint8_t)table,
                                  .form = XLUT_FORM_FULL,
                                  .rows = XLUT_ROWS_ALL,
                                  .start = 1},
                NULL, NULL, 0);
        for (uint32_t row = 0; row < u->m; row++)
            assert_int_equal(table == XLUT_TABLE_F16 ? (int)f32_at(u, C, row * u->n + j)
                                                     : i32_at(u, C, row * u->n + j),
                             (int)want[row]);
    }
}

static void check_full_tables(lut_unit *u)
{
    for (size_t t = 0; t < sizeof table_types; t++)
        check_full_table(u, table_types[t]);
}

static void full_tables_select_one_of_sixteen(void **state)
{
    (void)state;
    for_each_shape(check_full_tables);
}

// ---------------------------------------------------------- order and rounding

// The f32 result, addition by addition, of tables rounded to f16.
static float ordered_sum(const lut_unit *u, unsigned form, uint32_t row, uint32_t j, float sum)
{
    for (uint32_t g = 0; g < u->lookups; g++)
        for (unsigned p = 0; p < xlut_form_planes(form); p++) {
            const int8_t *s = &sign[p][j][4 * g];
            const float *a = &activations[row][4 * g];
            float flip = s[3];
            float t = (a[0] * (s[0] * flip) + a[1] * (s[1] * flip)) + (a[2] * (s[2] * flip) + a[3]);
            float entry = f16_to_float(f16_from_double(t));
            sum += entry * flip * (float)(form == XLUT_FORM_TERNARY ? 1 : 1 << p);
        }
    return sum;
}

static void check_float_order(lut_unit *u)
{
    random_signs();
    load_planes(u, PLANES);
    for (int round = 0; round < 4; round++) {
        for (uint32_t r = 0; r < u->m; r++)
            for (uint32_t k = 0; k < 32 * u->m; k++)
                activations[r][k] = (float)(random_normal(&stream) * pow(2, 6 * round - 12));
        if (round == 3) {
            activations[0][1] = INFINITY;
            activations[u->m - 1][5] = NAN;
            activations[0][9] = 1e9f;
        }
        execute(u,
                (isa_instruction){.opcode = ISA_LUT_TBL,
                                  .rd = TABLE,
                                  .table = XLUT_TABLE_F16,
                                  .activation = XLUT_ACTIVATION_F32},
                activations, NULL, sizeof activations[0]);
        for (size_t f = 0; f < sizeof forms; f++) {
            execute(u,
                    (isa_instruction){.opcode = ISA_LMMA,
                                      .rd = C,
                                      .rs1 = TABLE,
                                      .rs2 = PLANES,
                                      .table = XLUT_TABLE_F16,
                                      .form = forms[f],
                                      .rows = XLUT_ROWS_ALL,
                                      .start = 1},
                    NULL, NULL, 0);
            for (uint32_t row = 0; row < u->m; row++)
                for (uint32_t j = 0; j < u->n; j++) {
                    float want = ordered_sum(u, forms[f], row, j, 0);
                    uint32_t bits = want == want ? bits_of(want) : 0x7fc00000;
                    assert_int_equal(bits_of(f32_at(u, C, row * u->n + j)), bits);
                }
        }
    }
}

static void f32_sums_add_in_the_defined_order(void **state)
{
    (void)state;
    for_each_shape(check_float_order);
}

static void i32_sums_wrap(void **state)
{
    (void)state;
    lut_unit *u = lut_unit_create(1, 64);
    int32_t largest = INT32_MAX;
    memcpy(lut_tile(u, C), &largest, 4);
    lut_tile(u, TABLE)[0] = 1; // T[0][0][0]; every index is 0, every other entry as well
    execute(u,
            (isa_instruction){
                .opcode = ISA_LMMA, .rd = C, .rs1 = TABLE, .rs2 = PLANES, .rows = XLUT_ROWS_ALL},
            NULL, NULL, 0);
    assert_int_equal(i32_at(u, C, 0), INT32_MIN);
    assert_int_equal(i32_at(u, C, 1), 1);
    lut_unit_destroy(u);
}

// ---------------------------------------------------------------------- tables

static void check_activation_types(lut_unit *u)
{
    static const struct {
        uint8_t activation;
        scalar_type type;
    } rows[] = {{XLUT_ACTIVATION_F32, SCALAR_F32},   {XLUT_ACTIVATION_F16, SCALAR_F16},
                {XLUT_ACTIVATION_BF16, SCALAR_BF16}, {XLUT_ACTIVATION_E4M3, SCALAR_E4M3},
                {XLUT_ACTIVATION_E5M2, SCALAR_E5M2}, {XLUT_ACTIVATION_I8, SCALAR_I8}};
    uint8_t want[4 * MAX_M * MAX_N]; // the table from f32
    random_activations(-4, 4);       // exact in every type
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t memory[MAX_M * MAX_DEPTH * 4];
        uint32_t depth = 32 * u->m, size = (uint32_t)scalar_size(rows[i].type);
        for (uint32_t row = 0; row < u->m; row++)
            for (uint32_t k = 0; k < depth; k++)
                scalar_store(rows[i].type, memory + (row * depth + k) * size, activations[row][k]);
        isa_instruction in = {.opcode = ISA_LUT_TBL,
                              .rd = TABLE,
                              .table = XLUT_TABLE_I16,
                              .activation = rows[i].activation};
        fill_tile(u, TABLE);
        execute(u, in, memory, NULL, depth * size);
        if (i == 0)
            memcpy(want, lut_tile(u, TABLE), u->tile_bytes);
        assert_memory_equal(lut_tile(u, TABLE), want, u->tile_bytes);
    }
}

static void tables_are_built_from_every_activation_type(void **state)
{
    (void)state;
    for_each_shape(check_activation_types);
}

// C = 256 hi + lo is the product with the int16 activations.
static void check_int16_activations(lut_unit *u)
{
    int16_t wide[MAX_M][MAX_DEPTH];
    random_signs();
    load_planes(u, PLANES);
    for (int r = 0; r < MAX_M; r++)
        for (int k = 0; k < MAX_DEPTH; k++)
            activations[r][k] = wide[r][k] = (int16_t)random_between(-32768, 32767);
    isa_instruction lmma = {.opcode = ISA_LMMA,
                            .rs1 = TABLE,
                            .rs2 = PLANES,
                            .table = XLUT_TABLE_I16,
                            .form = XLUT_FORM_PLANES2,
                            .rows = XLUT_ROWS_ALL,
                            .start = 1};
    for (unsigned part = 0; part < 2; part++) {
        execute(
            u,
            (isa_instruction){.opcode = ISA_LUT_TBL,
                              .rd = TABLE,
                              .table = XLUT_TABLE_I16,
                              .activation = part ? XLUT_ACTIVATION_I16LO : XLUT_ACTIVATION_I16HI},
            wide, NULL, sizeof wide[0]);
        lmma.rd = part ? D : C;
        execute(u, lmma, NULL, NULL, 0);
    }
    for (uint32_t row = 0; row < u->m; row++)
        for (uint32_t j = 0; j < u->n; j++)
            assert_int_equal(256 * i32_at(u, C, row * u->n + j) + i32_at(u, D, row * u->n + j),
                             product(u, &lmma, row, j));
}

static void int16_activations_are_two_exact_tables(void **state)
{
    (void)state;
    for_each_shape(check_int16_activations);
}

static int8_t i8_entry(lut_unit *u, uint32_t row, uint32_t g, unsigned e)
{
    return (int8_t)lut_tile(u, TABLE)[(row * u->lookups + g) * 8 + e];
}

static float table_value(const float a[4], unsigned e)
{
    return ((e & 1 ? a[0] : -a[0]) + (e & 2 ? a[1] : -a[1])) + ((e & 4 ? a[2] : -a[2]) + a[3]);
}

static int clamp127(double x)
{
    return x != x ? 0 : x > 127 ? 127 : x < -127 ? -127 : (int)nearbyint(x);
}

static void check_i8_tables(lut_unit *u)
{
    float inverse[MAX_M], scales[4 * MAX_M];
    isa_instruction in = {.opcode = ISA_LUT_TBL, .rd = TABLE, .rs3 = 5, .table = XLUT_TABLE_I8};
    for (uint32_t row = 0; row < u->m; row++) {
        inverse[row] = (float)(40 + row);
        for (uint32_t k = 0; k < 32 * u->m; k++)
            activations[row][k] = (float)random_normal(&stream);
    }
    activations[0][6] = NAN;
    execute(u, in, activations, inverse, sizeof activations[0]);
    int saturated = 0;
    for (uint32_t row = 0; row < u->m; row++)
        for (uint32_t g = 0; g < u->lookups; g++)
            for (unsigned e = 0; e < 8; e++) {
                float scaled = table_value(&activations[row][4 * g], e) * inverse[row];
                assert_int_equal(i8_entry(u, row, g, e), clamp127(scaled));
                saturated += fabsf(scaled) > 127;
            }
    assert_true(saturated > 0);
    activations[0][6] = 1;
    in.table = XLUT_TABLE_I8_DYNAMIC;
    execute(u, in, activations, scales, sizeof activations[0]);
    for (uint32_t row = 0; row < u->m; row++) {
        for (uint32_t q = 0; q < 4; q++) {
            uint32_t first = q * u->lookups / 4, last = (q + 1) * u->lookups / 4;
            float greatest = 0;
            for (uint32_t g = first; g < last; g++)
                for (unsigned e = 0; e < 8; e++)
                    greatest = fmaxf(greatest, fabsf(table_value(&activations[row][4 * g], e)));
            assert_int_equal(bits_of(scales[q * u->m + row]), bits_of(greatest / 127));
            for (uint32_t g = first; g < last; g++)
                for (unsigned e = 0; e < 8; e++)
                    assert_int_equal(
                        i8_entry(u, row, g, e),
                        clamp127(table_value(&activations[row][4 * g], e) * (127 / greatest)));
        }
    }
}

static void i8_tables_scale_round_and_saturate(void **state)
{
    (void)state;
    for_each_shape(check_i8_tables);
}

static void check_one_row(lut_unit *u)
{
    float scales[4 * MAX_M];
    for (unsigned i = 0; i < 4 * MAX_M; i++)
        scales[i] = 9;
    random_activations(-9, 9);
    fill_tile(u, TABLE);
    execute(u,
            (isa_instruction){
                .opcode = ISA_LUT_TBL, .rd = TABLE, .rs3 = 5, .table = XLUT_TABLE_I8_DYNAMIC},
            activations, scales, 0);
    for (uint32_t q = 0; q < 4; q++) {
        assert_true(scales[q * u->m] > 0 && scales[q * u->m] <= 36);
        for (uint32_t row = 1; row < u->m; row++)
            assert_true(scales[q * u->m + row] == 0);
    }
    for (uint32_t i = u->lookups * 8; i < u->tile_bytes; i++)
        assert_int_equal(lut_tile(u, TABLE)[i], 0);
}

static void one_row_tables_zero_the_other_rows(void **state)
{
    (void)state;
    for_each_shape(check_one_row);
}

static void extreme_activations_give_defined_tables(void **state)
{
    (void)state;
    lut_unit *u = lut_unit_create(1, 64);
    float a[32] = {[0] = INFINITY, [4] = 1e30f, [8] = 3e-45f}, scale[4];
    isa_instruction in = {
        .opcode = ISA_LUT_TBL, .rd = TABLE, .rs3 = 5, .table = XLUT_TABLE_I8_DYNAMIC};
    execute(u, in, a, scale, 0);
    assert_true(isinf(scale[0]));
    assert_int_equal(i8_entry(u, 0, 0, 0), 0); // infinity * 0
    a[0] = -NAN;
    execute(u, in, a, scale, 0);
    assert_int_equal(bits_of(scale[0]), 0x7fc00000);
    memset(a, 0, sizeof a);
    execute(u, in, a, scale, 0);
    assert_int_equal(bits_of(scale[0]), 0);
    assert_int_equal(i8_entry(u, 0, 0, 3), 0);

    float large[32] = {60000, 60000, 0, 0, 20000, -NAN};
    in.rs3 = 0;
    in.table = XLUT_TABLE_I16;
    execute(u, in, large, NULL, 0);
    int16_t t16[64];
    memcpy(t16, lut_tile(u, TABLE), sizeof t16);
    assert_int_equal(t16[3], 32767);
    assert_int_equal(t16[0], -32767);
    assert_int_equal(t16[8], 0); // NaN
    in.table = XLUT_TABLE_F16;
    execute(u, in, large, NULL, 0);
    memcpy(t16, lut_tile(u, TABLE), sizeof t16);
    assert_int_equal((uint16_t)t16[3], 0x7c00); // overflow to infinity
    assert_int_equal((uint16_t)t16[0], 0xfc00);
    assert_int_equal((uint16_t)t16[8], 0x7e00); // the canonical NaN
    lut_unit_destroy(u);
}

int main(void)
{
    stream = random_seed(1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lmma_is_the_product_with_the_weights),
        cmocka_unit_test(full_tables_select_one_of_sixteen),
        cmocka_unit_test(f32_sums_add_in_the_defined_order),
        cmocka_unit_test(i32_sums_wrap),
        cmocka_unit_test(tables_are_built_from_every_activation_type),
        cmocka_unit_test(int16_activations_are_two_exact_tables),
        cmocka_unit_test(i8_tables_scale_round_and_saturate),
        cmocka_unit_test(one_row_tables_zero_the_other_rows),
        cmocka_unit_test(extreme_activations_give_defined_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
