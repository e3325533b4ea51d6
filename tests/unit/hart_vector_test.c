// link: lutra_hart
//
// V where the differential fuzzer does not look: faults in the middle of memory instructions,
// configuration, undisturbed tails, illegal uses, truncating and bf16 conversions.
#include "hart_helpers.h"

enum { END = DATA + DATA_BYTES };

static uint8_t *data_at(fixture *f, uint64_t address)
{
    return hart_memory_range(f->memory, address, 1, HART_READ);
}

static uint32_t *words_of(fixture *f, unsigned r)
{
    return (uint32_t *)(f->h->v + r * f->h->vlenb);
}

static void fill_words(uint32_t *to, unsigned n, uint32_t first)
{
    for (unsigned i = 0; i < n; i++)
        to[i] = first + i;
}

static void expect_vector_fault(fixture *f, hart_cause cause, uint64_t address, uint64_t vstart)
{
    assert_int_equal(run(f), HART_STOP_FAULT);
    assert_int_equal(f->h->cause, cause);
    assert_int_equal(f->h->pc, CODE);
    assert_int_equal(f->h->fault_address, address);
    assert_int_equal(f->h->vstart, vstart);
}

// --------------------------------------------------------------- memory faults

static void loads_fault_at_their_element(void **state)
{
    (void)state;
    fixture f = fixture_create(256, NULL);
    set_vtype(&f, 2, 0, 8);
    fill_words((uint32_t *)data_at(&f, END - 16), 4, 100);
    fill_words(words_of(&f, 4), 8, 7);
    f.h->x[8] = END - 12;
    f.end = CODE;
    PUT(&f, .opcode = ISA_VLE32_V, .rd = 4, .rs1 = 8, .vm = 1);
    expect_vector_fault(&f, HART_LOAD_FAULT, END, 3);
    assert_int_equal(words_of(&f, 4)[2], 103);
    assert_int_equal(words_of(&f, 4)[3], 10);
    // Once the page is there, the instruction goes on where it stopped.
    assert_true(hart_memory_map(f.memory, END, 4096, HART_READ | HART_WRITE));
    fill_words((uint32_t *)data_at(&f, END), 8, 200);
    words_of(&f, 4)[0] = 1; // must not be loaded again
    assert_int_equal(hart_run(f.h, 10), HART_STOP_RETURN);
    assert_int_equal(words_of(&f, 4)[0], 1);
    assert_int_equal(words_of(&f, 4)[3], 200);
    assert_int_equal(words_of(&f, 4)[7], 204);
    assert_int_equal(f.h->vstart, 0);
    fixture_destroy(&f);
}

static void every_kind_of_access_faults_precisely(void **state)
{
    (void)state;
    static const struct {
        isa_instruction in;
        uint64_t base, address, vstart;
        hart_cause cause;
    } rows[] = {
        {{.opcode = ISA_VSE32_V, .rs3 = 4, .vm = 1}, END - 8, END, 2, HART_STORE_FAULT},
        {{.opcode = ISA_VSE32_V, .rs3 = 4, .vm = 1}, CONSTANTS, CONSTANTS, 0, HART_STORE_FAULT},
        {{.opcode = ISA_VLSE32_V, .rd = 4, .rs2 = 9, .vm = 1}, END - 4096, END, 2, HART_LOAD_FAULT},
        {{.opcode = ISA_VSSE32_V, .rs3 = 4, .rs2 = 9, .vm = 1},
         END - 2048,
         END,
         1,
         HART_STORE_FAULT},
        {{.opcode = ISA_VLUXEI32_V, .rd = 4, .rs2 = 6, .vm = 1}, END - 10, END, 2, HART_LOAD_FAULT},
        {{.opcode = ISA_VSOXEI32_V, .rs3 = 4, .rs2 = 6, .vm = 1},
         END - 10,
         END,
         2,
         HART_STORE_FAULT},
        {{.opcode = ISA_VLE32_V, .rd = 8, .nf = 1, .vm = 1}, END - 20, END, 2, HART_LOAD_FAULT},
        {{.opcode = ISA_VLE32_V, .rd = 8, .vm = 1}, 1ull << 60, 1ull << 60, 0, HART_LOAD_FAULT},
        {{.opcode = ISA_VL2RE8_V, .rd = 8, .vm = 1}, END - 40, END, 40, HART_LOAD_FAULT},
        {{.opcode = ISA_VSM_V, .rs3 = 8, .vm = 1}, END, END, 0, HART_STORE_FAULT},
        {{.opcode = ISA_VLE32FF_V, .rd = 8, .vm = 1}, END, END, 0, HART_LOAD_FAULT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fixture f = fixture_create(256, NULL);
        set_vtype(&f, 2, 0, 8);
        for (unsigned j = 0; j < 8; j++)
            words_of(&f, 6)[j] = 4 * j;
        f.h->x[8] = rows[i].base;
        f.h->x[9] = 2048;
        isa_instruction in = rows[i].in;
        in.rs1 = 8;
        f.end = CODE;
        put(&f, in);
        expect_vector_fault(&f, rows[i].cause, rows[i].address, rows[i].vstart);
        fixture_destroy(&f);
    }
}

// Within a page and across pages, forwards, backwards and at one place.
static void strided_elements_are_where_they_belong(void **state)
{
    (void)state;
    static const int64_t strides[] = {4, 24, -24, 0, 3, -7, 250, -300};
    for (size_t i = 0; i < 8 * sizeof strides / sizeof *strides; i++) {
        const int64_t stride = strides[i / 8];
        const unsigned vl = 1 + (unsigned)(i * 11 % 24);
        fixture f = fixture_create(256, NULL);
        set_vtype(&f, 2, 2, vl);
        f.h->x[8] = DATA + DATA_BYTES / 2 + (i % 8 < 4 ? 40 * i : -4 * i);
        f.h->x[9] = (uint64_t)stride;
        fill_words((uint32_t *)data_at(&f, DATA), DATA_BYTES / 4, 0x12345678);
        fill_words(words_of(&f, 4), 32, 7);
        assert_int_equal(EXECUTE(&f, .opcode = ISA_VLSE32_V, .rd = 4, .rs1 = 8, .rs2 = 9, .vm = 1),
                         HART_STOP_RETURN);
        for (unsigned k = 0; k < 32; k++) {
            uint32_t want = 7 + k;
            if (k < vl)
                memcpy(&want, data_at(&f, f.h->x[8] + k * (uint64_t)stride), 4);
            assert_int_equal(words_of(&f, 4)[k], want);
        }
        fill_words(words_of(&f, 4), 32, 0x99887766);
        uint8_t want[DATA_BYTES];
        memcpy(want, data_at(&f, DATA), sizeof want);
        for (unsigned k = 0; k < vl; k++)
            memcpy(want + (f.h->x[8] - DATA) + k * (uint64_t)stride, words_of(&f, 4) + k, 4);
        assert_int_equal(EXECUTE(&f, .opcode = ISA_VSSE32_V, .rs3 = 4, .rs1 = 8, .rs2 = 9, .vm = 1),
                         HART_STOP_RETURN);
        assert_memory_equal(data_at(&f, DATA), want, sizeof want);
        assert_int_equal(f.h->vector_bytes[0], 4 * vl);
        assert_int_equal(f.h->vector_bytes[1], 4 * vl);
        fixture_destroy(&f);
    }
}

static void masked_elements_do_not_fault(void **state)
{
    (void)state;
    fixture f = fixture_create(256, NULL);
    set_vtype(&f, 2, 0, 8);
    f.h->v[0] = 0x03;
    fill_words(words_of(&f, 4), 8, 7);
    f.h->x[8] = END - 8;
    assert_int_equal(EXECUTE(&f, .opcode = ISA_VLE32_V, .rd = 4, .rs1 = 8), HART_STOP_RETURN);
    assert_int_equal(words_of(&f, 4)[1], 0);
    assert_int_equal(words_of(&f, 4)[2], 9);
    fixture_destroy(&f);
}

static void bytes_are_those_of_the_elements_moved(void **state)
{
    (void)state;
    fixture f = fixture_create(256, NULL);
    set_vtype(&f, 2, 0, 7);
    f.h->v[0] = 0x15; // three elements
    f.h->x[8] = DATA;
    EXECUTE(&f, .opcode = ISA_VLE32_V, .rd = 4, .rs1 = 8, .vm = 1);
    assert_int_equal(f.h->vector_bytes[0], 28);
    EXECUTE(&f, .opcode = ISA_VLE32_V, .rd = 4, .rs1 = 8, .nf = 1);
    assert_int_equal(f.h->vector_bytes[0], 28 + 2 * 3 * 4);
    assert_int_equal(f.h->vector_bytes[1], 0);
    EXECUTE(&f, .opcode = ISA_VSE32_V, .rs3 = 4, .rs1 = 8, .vm = 1);
    assert_int_equal(f.h->vector_bytes[1], 28);
    fixture_destroy(&f);
}

static void fault_only_first_shortens_vl(void **state)
{
    (void)state;
    fixture f = fixture_create(256, NULL);
    set_vtype(&f, 2, 0, 8);
    f.h->x[8] = END - 12;
    assert_int_equal(EXECUTE(&f, .opcode = ISA_VLE32FF_V, .rd = 4, .rs1 = 8, .vm = 1),
                     HART_STOP_RETURN);
    assert_int_equal(f.h->vl, 3);
    set_vtype(&f, 2, 0, 8);
    assert_int_equal(EXECUTE(&f, .opcode = ISA_VLE32FF_V, .rd = 4, .rs1 = 8, .nf = 1, .vm = 1),
                     HART_STOP_RETURN);
    assert_int_equal(f.h->vl, 1);
    // An inactive element beyond the end is no reason.
    set_vtype(&f, 2, 0, 4);
    f.h->v[0] = 0x07;
    assert_int_equal(EXECUTE(&f, .opcode = ISA_VLE32FF_V, .rd = 4, .rs1 = 8), HART_STOP_RETURN);
    assert_int_equal(f.h->vl, 4);
    fixture_destroy(&f);
}

// --------------------------------------------------------------- configuration

static void vtype_and_vl_are_set(void **state)
{
    (void)state;
    static const struct {
        int vtype;
        uint64_t length, vl;
        bool vill;
    } rows[] = {
        {0x00, 100, 32, false}, {0x03, 1000, 256, false}, {0x18, 3, 3, false},
        {0x05, 100, 4, false},  {0x0d, 100, 0, true}, // e16, mf8
        {0x04, 100, 0, true},   {0x20, 100, 0, true},     {0x100, 100, 0, true},
        {0xd2, 33, 32, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fixture f = fixture_create(256, NULL);
        f.h->x[8] = rows[i].length;
        f.h->vstart = 3;
        EXECUTE(&f, .opcode = ISA_VSETVLI, .rd = 9, .rs1 = 8, .imm = rows[i].vtype);
        assert_int_equal(f.h->x[9], rows[i].vl);
        assert_int_equal(f.h->vl, rows[i].vl);
        assert_int_equal(f.h->vill, rows[i].vill);
        assert_int_equal(f.h->vstart, 0);
        uint64_t vtype;
        assert_true(hart_read_csr(f.h, HART_CSR_VTYPE, &vtype));
        assert_int_equal(vtype, rows[i].vill ? 1ull << 63 : (uint64_t)rows[i].vtype);
        fixture_destroy(&f);
    }
}

static void illegal_uses_are_refused(void **state)
{
    (void)state;
    static const struct {
        unsigned sew;
        int lmul;
        isa_instruction in;
    } rows[] = {
        {0, 1, {.opcode = ISA_VADD_VV, .rd = 3, .rs2 = 4, .rs1 = 6, .vm = 1}},    // not a group
        {3, 0, {.opcode = ISA_VWADD_VV, .rd = 4, .rs2 = 8, .rs1 = 9, .vm = 1}},   // 128 bits
        {0, 3, {.opcode = ISA_VWADD_VV, .rd = 8, .rs2 = 16, .rs1 = 24, .vm = 1}}, // 16 registers
        {0, 0, {.opcode = ISA_VNSRL_WI, .rd = 5, .rs2 = 4, .imm = 1, .vm = 1}},   // high overlap
        {0, 1, {.opcode = ISA_VMSEQ_VV, .rd = 5, .rs2 = 4, .rs1 = 8, .vm = 1}},   // high overlap
        {0, 0, {.opcode = ISA_VFADD_VV, .rd = 5, .rs2 = 4, .rs1 = 8, .vm = 1}},   // 8-bit float
        {3, 0, {.opcode = ISA_VFNCVTBF16_F_F_W, .rd = 5, .rs2 = 8, .vm = 1}},     // not of f32
        {2,
         2,
         {.opcode = ISA_VLE8_V, .rd = 4, .rs1 = 8, .nf = 7, .vm = 0}}, // legal: EMUL 1, v4 .. v11
        {0, 3, {.opcode = ISA_VLE8_V, .rd = 8, .rs1 = 8, .nf = 1, .vm = 1}},       // 16 registers
        {0, -3, {.opcode = ISA_VSEXT_VF2, .rd = 8, .rs2 = 9, .vm = 1}},            // 4-bit source
        {0, 0, {.opcode = ISA_VSLIDEUP_VI, .rd = 8, .rs2 = 9, .imm = 1, .vm = 1}}, // legal
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool legal = i == 7 || i == 10;
        fixture f = fixture_create(128, NULL);
        set_vtype(&f, rows[i].sew, rows[i].lmul, 2);
        f.h->x[8] = DATA;
        hart_stop why = execute(&f, rows[i].in);
        assert_int_equal(why, legal ? HART_STOP_RETURN : HART_STOP_FAULT);
        if (!legal)
            assert_int_equal(f.h->cause, HART_ILLEGAL_INSTRUCTION);
        fixture_destroy(&f);
    }
}

static void invalid_vtype_refuses_what_depends_on_it(void **state)
{
    (void)state;
    fixture f = fixture_create(256, NULL);
    f.h->x[8] = DATA;
    assert_int_equal(EXECUTE(&f, .opcode = ISA_VL4RE16_V, .rd = 4, .rs1 = 8, .vm = 1),
                     HART_STOP_RETURN);
    assert_int_equal(EXECUTE(&f, .opcode = ISA_VS4R_V, .rs3 = 4, .rs1 = 8, .vm = 1),
                     HART_STOP_RETURN);
    assert_int_equal(EXECUTE(&f, .opcode = ISA_VMV1R_V, .rd = 4, .rs2 = 8, .vm = 1),
                     HART_STOP_FAULT);
    assert_int_equal(EXECUTE(&f, .opcode = ISA_VMV_X_S, .rd = 4, .rs2 = 8, .vm = 1),
                     HART_STOP_FAULT);
    assert_int_equal(EXECUTE(&f, .opcode = ISA_VLE8_V, .rd = 4, .rs1 = 8, .vm = 1),
                     HART_STOP_FAULT);
    set_vtype(&f, 2, 0, 4);
    f.h->vstart = 1;
    assert_int_equal(EXECUTE(&f, .opcode = ISA_VREDSUM_VS, .rd = 4, .rs2 = 5, .rs1 = 6, .vm = 1),
                     HART_STOP_FAULT);
    f.h->vstart = 0;
    f.h->frm = 5;
    assert_int_equal(EXECUTE(&f, .opcode = ISA_VFADD_VV, .rd = 4, .rs2 = 5, .rs1 = 6, .vm = 1),
                     HART_STOP_FAULT);
    fixture_destroy(&f);
}

// --------------------------------------------------------------------- results

static void tails_and_inactive_elements_stay(void **state)
{
    (void)state;
    fixture f = fixture_create(256, NULL);
    // ta, ma
    f.h->x[5] = 5;
    EXECUTE(&f, .opcode = ISA_VSETVLI, .rd = 6, .rs1 = 5, .imm = 0xd0);
    f.h->v[0] = 0x15;
    fill_words(words_of(&f, 4), 8, 1000);
    fill_words(words_of(&f, 5), 8, 1);
    f.h->vstart = 1;
    assert_int_equal(EXECUTE(&f, .opcode = ISA_VADD_VI, .rd = 4, .rs2 = 5, .imm = -1),
                     HART_STOP_RETURN);
    const uint32_t expected[] = {1000, 1001, 2, 1003, 4, 1005, 1006, 1007};
    assert_memory_equal(words_of(&f, 4), expected, sizeof expected);
    assert_int_equal(f.h->vstart, 0);
    fixture_destroy(&f);
}

static void truncating_conversions(void **state)
{
    (void)state;
    static const struct {
        uint32_t f32;
        int32_t s32;
        uint32_t u32;
        int16_t s16;
        uint8_t flags_signed;
    } rows[] = {
        {0x3fe00000, 1, 1, 1, 1},                       // 1.75
        {0xbfe00000, -1, 0, -1, 1},                     // -1.75
        {0x47c35000, 100000, 100000, 32767, 0},         // 100000
        {0x7fc00000, INT32_MAX, UINT32_MAX, 32767, 16}, // NaN
        {0xff800000, INT32_MIN, 0, -32768, 16},         // -infinity
        {0x4f000000, INT32_MAX, 0x80000000, 32767, 16}, // 2^31
        {0xcf000000, INT32_MIN, 0, -32768, 0},          // -2^31
        {0x00000001, 0, 0, 0, 1},                       // subnormal
    };
    fixture f = fixture_create(256, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        f.h->frm = 3;
        set_vtype(&f, 2, 0, 1);
        words_of(&f, 4)[0] = rows[i].f32;
        f.h->fflags = 0;
        EXECUTE(&f, .opcode = ISA_VFCVT_RTZ_X_F_V, .rd = 6, .rs2 = 4, .vm = 1);
        assert_int_equal((int32_t)words_of(&f, 6)[0], rows[i].s32);
        assert_int_equal(f.h->fflags, rows[i].flags_signed);
        EXECUTE(&f, .opcode = ISA_VFCVT_RTZ_XU_F_V, .rd = 6, .rs2 = 4, .vm = 1);
        assert_int_equal(words_of(&f, 6)[0], rows[i].u32);
        EXECUTE(&f, .opcode = ISA_VFWCVT_RTZ_X_F_V, .rd = 6, .rs2 = 4, .vm = 1);
        int64_t wide;
        memcpy(&wide, words_of(&f, 6), 8);
        if (rows[i].flags_signed < 16)
            assert_int_equal(wide, rows[i].s32);
        set_vtype(&f, 1, -1, 1);
        EXECUTE(&f, .opcode = ISA_VFNCVT_RTZ_X_F_W, .rd = 6, .rs2 = 4, .vm = 1);
        assert_int_equal((int16_t)words_of(&f, 6)[0], rows[i].s16);
    }
    fixture_destroy(&f);
}

static void brain_float_vectors(void **state)
{
    (void)state;
    fixture f = fixture_create(256, NULL);
    set_vtype(&f, 1, 0, 4);
    const uint32_t wide[] = {0x3f800000, 0x3f808000, 0x3f818001, 0xff800000};
    const uint16_t narrow[] = {0x3f80, 0x3f80, 0x3f82, 0xff80};
    memcpy(words_of(&f, 4), wide, sizeof wide);
    EXECUTE(&f, .opcode = ISA_VFNCVTBF16_F_F_W, .rd = 6, .rs2 = 4, .vm = 1);
    assert_memory_equal(words_of(&f, 6), narrow, sizeof narrow);
    assert_int_equal(f.h->fflags, 1);
    EXECUTE(&f, .opcode = ISA_VFWCVTBF16_F_F_V, .rd = 8, .rs2 = 6, .vm = 1);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(words_of(&f, 8)[i], (uint32_t)narrow[i] << 16);
    fixture_destroy(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_fault_at_their_element),
        cmocka_unit_test(every_kind_of_access_faults_precisely),
        cmocka_unit_test(strided_elements_are_where_they_belong),
        cmocka_unit_test(masked_elements_do_not_fault),
        cmocka_unit_test(bytes_are_those_of_the_elements_moved),
        cmocka_unit_test(fault_only_first_shortens_vl),
        cmocka_unit_test(vtype_and_vl_are_set),
        cmocka_unit_test(illegal_uses_are_refused),
        cmocka_unit_test(invalid_vtype_refuses_what_depends_on_it),
        cmocka_unit_test(tails_and_inactive_elements_stay),
        cmocka_unit_test(truncating_conversions),
        cmocka_unit_test(brain_float_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
