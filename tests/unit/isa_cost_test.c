// link: lutra_isa lutra_support
// What instructions cost, against figures worked out by hand for m2n64k4 and its relatives.
#include "tests/unit/unit.h"

#include "isa/cost.h"
#include "support/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static arena *memory;

static machine load(const char *name)
{
    machine m;
    diagnostics *d = diagnostics_create(stderr);
    assert_true(machine_load(memory, d, name, &m));
    diagnostics_destroy(d);
    return m;
}

#define IN(E, ...)                                                                                 \
    &(isa_instruction)                                                                             \
    {                                                                                              \
        .opcode = ISA_##E, __VA_ARGS__                                                             \
    }

// An instruction of docs/timing.md, by its words there, on m2n64k4 with 32 elements of 32 bits.
typedef struct expectation {
    const char *text;
    isa_unit unit;
    uint32_t busy, latency;
    uint64_t read, written, work; // work: lookups, multiply-accumulates
    const isa_instruction *in;
} expectation;

#define ALL .rows = XLUT_ROWS_ALL
static const expectation expectations[] = {
    {"add", ISA_UNIT_SCALAR, 1, 1, 0, 0, 0, IN(ADD)},
    {"bne", ISA_UNIT_SCALAR, 1, 1, 0, 0, 0, IN(BNE)},
    {"jalr", ISA_UNIT_SCALAR, 1, 1, 0, 0, 0, IN(JALR)},
    {"csrrs", ISA_UNIT_SCALAR, 1, 1, 0, 0, 0, IN(CSRRS)},
    {"mul", ISA_UNIT_SCALAR, 1, 3, 0, 0, 0, IN(MUL)},
    {"div", ISA_UNIT_SCALAR, 20, 20, 0, 0, 0, IN(DIV)},
    {"fmadd.s", ISA_UNIT_SCALAR, 1, 4, 0, 0, 0, IN(FMADD_S)},
    {"fsqrt.s", ISA_UNIT_SCALAR, 16, 16, 0, 0, 0, IN(FSQRT_S)},
    {"lbu", ISA_UNIT_MEMORY, 1, 3, 1, 0, 0, IN(LBU)},
    {"flw", ISA_UNIT_MEMORY, 1, 3, 4, 0, 0, IN(FLW)},
    {"ld", ISA_UNIT_MEMORY, 1, 3, 8, 0, 0, IN(LD)},
    {"sh", ISA_UNIT_MEMORY, 1, 1, 0, 2, 0, IN(SH)},
    {"amoadd.w", ISA_UNIT_MEMORY, 3, 3, 4, 4, 0, IN(AMOADD_W)},
    {"prefetch.r", ISA_UNIT_MEMORY, 1, 3, 0, 0, 0, IN(PREFETCH_R)},
    {"vsetvli", ISA_UNIT_SCALAR, 1, 1, 0, 0, 0, IN(VSETVLI)},
    {"vadd.vv", ISA_UNIT_VECTOR, 4, 7, 0, 0, 0, IN(VADD_VV)},
    {"vfmacc.vv", ISA_UNIT_VECTOR, 4, 7, 0, 0, 0, IN(VFMACC_VV)},
    {"vwmul.vv", ISA_UNIT_VECTOR, 8, 11, 0, 0, 0, IN(VWMUL_VV)},
    {"vfncvt.f.f.w", ISA_UNIT_VECTOR, 8, 11, 0, 0, 0, IN(VFNCVT_F_F_W)},
    {"vfdiv.vv", ISA_UNIT_VECTOR, 32, 35, 0, 0, 0, IN(VFDIV_VV)},
    {"vfrsqrt7.v", ISA_UNIT_VECTOR, 4, 7, 0, 0, 0, IN(VFRSQRT7_V)},
    {"vrgather.vv", ISA_UNIT_VECTOR, 8, 11, 0, 0, 0, IN(VRGATHER_VV)},
    {"vmv.x.s", ISA_UNIT_VECTOR, 2, 5, 0, 0, 0, IN(VMV_X_S)},
    {"vmv4r.v", ISA_UNIT_VECTOR, 8, 11, 0, 0, 0, IN(VMV4R_V)},
    {"vfredusum.vs", ISA_UNIT_VECTOR, 12, 15, 0, 0, 0, IN(VFREDUSUM_VS)},
    {"vfredosum.vs", ISA_UNIT_VECTOR, 128, 131, 0, 0, 0, IN(VFREDOSUM_VS)},
    {"vle32.v", ISA_UNIT_MEMORY, 4, 6, 128, 0, 0, IN(VLE32_V)},
    {"vle8.v", ISA_UNIT_MEMORY, 1, 3, 32, 0, 0, IN(VLE8_V)},
    {"vlseg2e32.v", ISA_UNIT_MEMORY, 32, 34, 256, 0, 0, IN(VLE32_V, .nf = 1)},
    {"vlse32.v", ISA_UNIT_MEMORY, 32, 34, 128, 0, 0, IN(VLSE32_V)},
    {"vluxei16.v", ISA_UNIT_MEMORY, 32, 34, 128, 0, 0, IN(VLUXEI16_V)},
    {"vl2re32.v", ISA_UNIT_MEMORY, 2, 4, 64, 0, 0, IN(VL2RE32_V)},
    {"vsm.v", ISA_UNIT_MEMORY, 1, 1, 0, 4, 0, IN(VSM_V)},
    {"vse32.v", ISA_UNIT_MEMORY, 4, 4, 0, 128, 0, IN(VSE32_V)},
    {"lut.ld", ISA_UNIT_TILE_LOAD, 8, 12, 512, 0, 0, IN(LUT_LD)},
    {"lut.ldh", ISA_UNIT_TILE_LOAD, 4, 8, 256, 0, 0, IN(LUT_LD, .half = 1)},
    {"lut.lda.f16", ISA_UNIT_TILE_LOAD, 4, 8, 256, 0, 0,
     IN(LUT_LDA, .rs2 = 5, .type = XLUT_DATA_F16)},
    {"lut.ldm.a", ISA_UNIT_TILE_LOAD, 16, 20, 512, 0, 0, IN(LUT_LDM, .rs2 = 5)},
    {"lut.ldt", ISA_UNIT_TILE_LOAD, 16, 20, 256, 0, 0, IN(LUT_LDT, .rs2 = 5)},
    {"lut.pf", ISA_UNIT_TILE_LOAD, 8, 8, 0, 0, 0, IN(LUT_PF)},
    {"lut.st", ISA_UNIT_TILE_STORE, 8, 12, 0, 512, 0, IN(LUT_ST)},
    {"lut.sta.f32", ISA_UNIT_TILE_STORE, 8, 12, 0, 512, 0, IN(LUT_STA, .rs2 = 5)},
    {"lut.stm", ISA_UNIT_TILE_STORE, 16, 20, 0, 512, 0, IN(LUT_STM, .rs2 = 5)},
    {"lut.tbl.f32.i8", ISA_UNIT_TABLE, 8, 16, 520, 0, 0,
     IN(LUT_TBL, .rs2 = 5, .rs3 = 6, .activation = XLUT_ACTIVATION_F32, .table = XLUT_TABLE_I8)},
    {"lut.tbl.f16.i8dynamic", ISA_UNIT_TABLE, 8, 24, 256, 32, 0,
     IN(LUT_TBL, .rs2 = 5, .rs3 = 6, .activation = XLUT_ACTIVATION_F16,
        .table = XLUT_TABLE_I8_DYNAMIC)},
    {"lmma.i8.w1", ISA_UNIT_LUT, 16, 20, 0, 0, 2048, IN(LMMA, ALL)},
    {"lmma.i8.w4", ISA_UNIT_LUT, 64, 68, 0, 0, 8192, IN(LMMA, ALL, .form = XLUT_FORM_PLANES4)},
    {"lmma.i8.w2.one", ISA_UNIT_LUT, 32, 36, 0, 0, 2048, IN(LMMA, .form = XLUT_FORM_PLANES2)},
    {"lmma.i8.ternary", ISA_UNIT_LUT, 32, 36, 0, 0, 4096, IN(LMMA, ALL, .form = XLUT_FORM_TERNARY)},
    {"lmma.i16.w2", ISA_UNIT_LUT, 64, 68, 0, 0, 4096,
     IN(LMMA, ALL, .form = XLUT_FORM_PLANES2, .table = XLUT_TABLE_I16)},
    {"lmma.f16.full", ISA_UNIT_LUT, 32, 36, 0, 0, 2048,
     IN(LMMA, ALL, .form = XLUT_FORM_FULL, .table = XLUT_TABLE_F16)},
    {"lmma.i8.w2.quarter1", ISA_UNIT_LUT, 8, 12, 0, 0, 1024,
     IN(LMMA, ALL, .form = XLUT_FORM_PLANES2, .slice = XLUT_SLICE_QUARTER1)},
    {"lut.deq.i32.f16", ISA_UNIT_DEQUANTIZE, 4, 10, 136, 0, 0, IN(LUT_DEQ, .rs2 = 5)},
    {"lut.off.f32", ISA_UNIT_DEQUANTIZE, 4, 10, 264, 0, 0,
     IN(LUT_OFF, .rs2 = 5, .scale_type = XLUT_SCALE_F32)},
    {"lut.zero", ISA_UNIT_DEQUANTIZE, 1, 1, 0, 0, 0, IN(LUT_ZERO)},
    {"mma.f16", ISA_UNIT_MATRIX, 32, 40, 0, 0, 2048, IN(MMA)},
    {"mma.i8", ISA_UNIT_MATRIX, 32, 40, 0, 0, 4096, IN(MMA, .type = XLUT_MMA_I8)},
};
enum { EXPECTATIONS = sizeof expectations / sizeof *expectations };
static const isa_shape shape = {.vl = 32, .sew = 32};

static void test_each_class(void **state)
{
    (void)state;
    machine m = load("m2n64k4");
    bool seen[ISA_CLASS_COUNT] = {false};
    for (size_t i = 0; i < EXPECTATIONS; i++) {
        const expectation *e = &expectations[i];
        isa_cost c = isa_cost_of(&m, e->in, &shape);
        if (c.unit != e->unit || c.busy != e->busy || c.latency != e->latency ||
            c.read != e->read || c.written != e->written || c.lookups + c.multiplies != e->work)
            fail_msg("%s: %s, busy %u, latency %u, read %u, written %u, work %u", e->text,
                     isa_unit_names[c.unit], c.busy, c.latency, (unsigned)c.read,
                     (unsigned)c.written, (unsigned)(c.lookups + c.multiplies));
        seen[isa_rows[e->in->opcode].class] = true;
    }
    for (unsigned class = 0; class < ISA_CLASS_COUNT; class ++)
        if (!seen[class])
            fail_msg("no expectation for class '%s'", isa_class_names[class]);
}

// docs/timing.md has a row for each of them.
static void test_documented(void **state)
{
    (void)state;
    char path[4096];
    mapped_file file;
    diagnostics *d = diagnostics_create(stderr);
    snprintf(path, sizeof path, "%s/docs/timing.md", getenv("LUTRA_SOURCE"));
    assert_true(file_map(d, path, &file));
    for (size_t i = 0; i < EXPECTATIONS; i++) {
        const expectation *e = &expectations[i];
        char row[256];
        int length = snprintf(row, sizeof row, "| `%s` | %s | %u | %u |", e->text,
                              isa_unit_names[e->unit], e->busy, e->latency);
        if (!memmem(file.data, file.size, row, (size_t)length))
            fail_msg("docs/timing.md lacks\n%s", row);
    }
    file_unmap(&file);
    diagnostics_destroy(d);
}

static void test_other_units(void **state)
{
    (void)state;
    const isa_instruction *lmma = IN(LMMA, ALL, .form = XLUT_FORM_PLANES2);
    machine m = load("m4n128k4"); // 32 deep, two passes over rows, two over columns, 8 units
    assert_int_equal(isa_cost_of(&m, lmma, &shape).busy, 2 * 32 * 2 * 2 / 8);
    assert_int_equal(isa_cost_of(&m, IN(LMMA, .form = 1), &shape).busy, 2 * 32 * 2 / 8);
    assert_int_equal(isa_cost_of(&m, IN(LUT_LD), &shape).busy, 2048 / 256);
    m = load("m1n64k4"); // a unit of one row
    assert_int_equal(isa_cost_of(&m, lmma, &shape).busy, 2 * 8);
    m.units = 3; // that do not divide the work
    assert_int_equal(isa_cost_of(&m, lmma, &shape).busy, 6);
}

static void test_shapes(void **state)
{
    (void)state;
    machine m = load("m2n64k4");
    isa_shape s = {.vl = 5, .sew = 64, .tile_rows = 1, .tile_columns = 20};
    assert_int_equal(isa_cost_of(&m, IN(VADD_VV), &s).busy, 2);
    assert_int_equal(isa_cost_of(&m, IN(LUT_STA, .rs2 = 5), &s).busy, 2);
    assert_int_equal(isa_cost_of(&m, IN(LUT_STA, .rs2 = 5), &s).written, 80);
    s = (isa_shape){.sew = 8, .tile_rows = 3, .tile_columns = 20};
    assert_int_equal(isa_cost_of(&m, IN(LUT_LDM, .rs2 = 5), &s).read, 60);
    assert_int_equal(isa_cost_of(&m, IN(LUT_LDM, .rs2 = 5), &s).busy, 3);
    s = (isa_shape){.vl = 0, .sew = 8}; // nothing to do takes a cycle
    assert_int_equal(isa_cost_of(&m, IN(VADD_VV), &s).busy, 1);
    assert_int_equal(isa_cost_of(&m, IN(VFREDOSUM_VS), &s).busy, 1);
    assert_int_equal(isa_cost_of(&m, IN(VLE8_V), &s).busy, 1);
}

static void test_missing_units(void **state)
{
    (void)state;
    machine m = load("m2n64k4");
    m.parts &= ~(unsigned)MACHINE_LUT;
    assert_int_equal(isa_cost_of(&m, IN(LMMA, ALL), &shape).busy, 0);
    assert_int_equal(isa_cost_of(&m, IN(LUT_TBL), &shape).latency, 0);
    assert_int_equal(isa_cost_of(&m, IN(LUT_LD), &shape).busy, 8);
    m.parts = 0;
    assert_false(machine_has(&m, ISA_UNIT_MATRIX));
    assert_false(machine_has(&m, ISA_UNIT_TILE_STORE));
    assert_true(machine_has(&m, ISA_UNIT_VECTOR));
}

// Figures that make every term of an lmma visible.
static void test_energy(void **state)
{
    (void)state;
    machine m = load("m2n64k4");
    m.energy_instruction = 1e-9, m.energy_lookup = 1e-12, m.energy_tile = 1e-15;
    // 2 planes of 512 bytes, 2 rows of 16 tables of 8 entries, 512 bytes of sums read and written
    double expected = 1e-9 + 4096 * 1e-12 + (1024 + 256 + 1024) * 1e-15;
    double found = isa_cost_of(&m, IN(LMMA, ALL, .form = XLUT_FORM_PLANES2), &shape).energy;
    assert_true(found > expected * 0.999999 && found < expected * 1.000001);
}

// Units of other widths, as the explorer has them: 64 weights are 13 lookups of 5, or 22 of 3, and
// tables have 16 or 4 entries.
static void test_widths(void **state)
{
    (void)state;
    static const struct {
        uint32_t k, lookup_cycles, table_cycles;
        uint64_t lookups, table_bytes;
    } rows[] = {{5, 13, 7, 13 * 128, 448}, {3, 22, 11, 22 * 128, 192}, {4, 16, 8, 16 * 128, 256}};
    const isa_shape whole = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        machine m = load("m2n64k4");
        m.unit_k = rows[i].k;
        isa_cost c = isa_cost_of(&m, IN(LMMA, ALL, .form = XLUT_FORM_PLANES1), &whole);
        assert_int_equal(c.busy, rows[i].lookup_cycles);
        assert_int_equal(c.lookups, rows[i].lookups);
        c = isa_cost_of(&m, IN(LUT_TBL, .table = XLUT_TABLE_I8, .rs2 = 1), &whole);
        assert_int_equal(c.busy, rows[i].table_cycles);
        const isa_shape part = {.tile_columns = rows[i].table_bytes};
        c = isa_cost_of(&m, IN(LUT_LD, .half = 1), &part);
        assert_int_equal(c.read, rows[i].table_bytes);
        assert_int_equal(c.busy, rows[i].table_bytes / 64);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_class), cmocka_unit_test(test_documented),
        cmocka_unit_test(test_widths),     cmocka_unit_test(test_other_units),
        cmocka_unit_test(test_shapes),     cmocka_unit_test(test_missing_units),
        cmocka_unit_test(test_energy),
    };
    memory = arena_create();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_destroy(memory);
    return failed;
}
