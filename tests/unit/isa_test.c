// link: lutra_isa lutra_support
// Instruction rows, decoder and encoder among themselves; LLVM as oracle: isa_llvm_test.c.
#include "tests/unit/unit.h"

#include "isa/isa.h"

#include <string.h>

static uint32_t random_word(void)
{
    static uint64_t state = 0x2545f4914f6cdd1d;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16);
}

static bool same(isa_instruction a, isa_instruction b)
{
    return a.opcode == b.opcode && a.rd == b.rd && a.rs1 == b.rs1 && a.rs2 == b.rs2 &&
           a.rs3 == b.rs3 && a.rm == b.rm && a.vm == b.vm && a.nf == b.nf && a.aq == b.aq &&
           a.rl == b.rl && a.imm == b.imm && a.table == b.table && a.form == b.form &&
           a.slice == b.slice && a.rows == b.rows && a.start == b.start &&
           a.activation == b.activation && a.scale_type == b.scale_type && a.type == b.type &&
           a.half == b.half;
}

// Every legal word of every row comes back from encode, and no other row takes it.
static void test_encode_inverts_decode(void **state)
{
    (void)state;
    for (unsigned opcode = 1; opcode < ISA_OPCODE_COUNT; opcode++) {
        unsigned seen = 0;
        for (unsigned n = 0; n < 4000; n++) {
            uint32_t word = (random_word() & ~isa_rows[opcode].mask) | isa_rows[opcode].match, back;
            isa_instruction in, again;
            isa_decode(word, &in);
            if (in.opcode == ISA_ILLEGAL)
                continue;
            seen += in.opcode == opcode;
            assert_true(isa_encode(&in, &back));
            assert_int_equal(back, word);
            isa_decode(back, &again);
            assert_true(same(in, again));
        }
        if (!seen)
            fail_msg("no word of '%s' is decoded as it", isa_rows[opcode].mnemonic);
    }
}

// Words that two rows share belong to rows of which one is a declared part of the other.
static void test_no_two_rows_overlap(void **state)
{
    (void)state;
    static const unsigned parts[][2] = {{ISA_FENCE_TSO, ISA_FENCE},
                                        {ISA_PREFETCH_I, ISA_ORI},
                                        {ISA_PREFETCH_R, ISA_ORI},
                                        {ISA_PREFETCH_W, ISA_ORI},
                                        {ISA_MMA, ISA_LMMA}};
    unsigned shared = 0;
    for (unsigned a = 1; a < ISA_OPCODE_COUNT; a++)
        for (unsigned b = 1; b < a; b++) {
            if ((isa_rows[a].match ^ isa_rows[b].match) & isa_rows[a].mask & isa_rows[b].mask)
                continue;
            bool declared = false;
            for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
                declared |= (parts[i][0] == a && parts[i][1] == b) ||
                            (parts[i][0] == b && parts[i][1] == a);
            if (!declared)
                fail_msg("'%s' and '%s' overlap", isa_rows[a].mnemonic, isa_rows[b].mnemonic);
            shared++;
        }
    assert_int_equal(shared, sizeof parts / sizeof *parts);
}

// A bit that the mask leaves free is one of a field: flipping it gives other fields, or, where a
// constraint wants it so, another instruction or none.
static void test_every_bit_is_accounted_for(void **state)
{
    (void)state;
    for (unsigned opcode = 1; opcode < ISA_OPCODE_COUNT; opcode++) {
        uint32_t free_bits = ~isa_rows[opcode].mask, changed = 0;
        for (unsigned n = 0; n < 100000 && changed != free_bits; n++) {
            uint32_t word = (random_word() & free_bits) | isa_rows[opcode].match;
            uint32_t bit = 1u << (random_word() & 31);
            isa_instruction a, b;
            isa_decode(word, &a);
            isa_decode(word ^ bit, &b);
            if (a.opcode != opcode || b.length != 4 || !(bit & free_bits))
                continue;
            assert_false(same(a, b));
            changed |= bit;
        }
        if (changed != free_bits)
            fail_msg("'%s': bits %08x of its fields never mattered", isa_rows[opcode].mnemonic,
                     free_bits & ~changed);
    }
}

static void test_custom_1_is_left_alone(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 100000; n++) {
        isa_instruction in;
        isa_decode((random_word() & ~0x7fu) | 0x2b, &in);
        assert_int_equal(in.opcode, ISA_ILLEGAL);
    }
}

static uint32_t xlut(isa_instruction in)
{
    uint32_t word = 0;
    return isa_encode(&in, &word) ? word : 0;
}

static void test_xlut_forms(void **state)
{
    (void)state;
    unsigned legal = 0;
    for (unsigned table = 0; table < 4; table++)
        for (unsigned form = 0; form < 8; form++)
            for (unsigned slice = 0; slice < 8; slice++)
                legal += xlut((isa_instruction){.opcode = ISA_LMMA,
                                                .rd = 8,
                                                .rs2 = 4,
                                                .table = table,
                                                .form = form,
                                                .slice = slice}) != 0;
    assert_int_equal(legal, 3 * 6 * 7);
    legal = 0;
    for (unsigned table = 0; table < 4; table++)
        for (unsigned activation = 0; activation < 8; activation++)
            legal += xlut((isa_instruction){.opcode = ISA_LUT_TBL,
                                            .rs1 = 10,
                                            .rs3 = table == XLUT_TABLE_I8_DYNAMIC ? 11 : 0,
                                            .table = table,
                                            .activation = activation}) != 0;
    assert_int_equal(legal, 5 * 3 + 3 + 2);
}

static void test_undefined_corners_are_illegal(void **state)
{
    (void)state;
    isa_instruction in = {
        .opcode = ISA_LMMA, .rd = 0, .rs1 = 2, .rs2 = 28, .form = XLUT_FORM_PLANES4};
    assert_int_not_equal(xlut(in), 0);
    in.rs2 = 29; // planes lt29 to lt32
    assert_int_equal(xlut(in), 0);
    in.rs2 = 28, in.rd = 31; // accumulators on a plane
    assert_int_equal(xlut(in), 0);
    in.rd = 2; // accumulators on the table
    assert_int_equal(xlut(in), 0);
    in =
        (isa_instruction){.opcode = ISA_LMMA, .rd = 0, .rs1 = 3, .rs2 = 28, .form = XLUT_FORM_FULL};
    assert_int_not_equal(xlut(in), 0);
    in.table = XLUT_TABLE_F16; // a pair starts at an even tile
    assert_int_equal(xlut(in), 0);
    in.rs1 = 4;
    assert_int_not_equal(xlut(in), 0);
    in.rd = 5; // accumulators on the second tile of the pair
    assert_int_equal(xlut(in), 0);
    in = (isa_instruction){.opcode = ISA_LUT_LD, .rs1 = 10, .imm = 64};
    assert_int_not_equal(xlut(in), 0);
    in.imm = 32; // units of 64 bytes
    assert_int_equal(xlut(in), 0);
    in.imm = 65536; // 11 bits with sign
    assert_int_equal(xlut(in), 0);
    in.imm = -65536;
    assert_int_not_equal(xlut(in), 0);
    in.vm = 1; // a field that the row lacks
    assert_int_equal(xlut(in), 0);
    in = (isa_instruction){.opcode = ISA_LUT_TBL, .rs1 = 10, .rs3 = 11, .table = XLUT_TABLE_F16};
    assert_int_equal(xlut(in), 0);
    in = (isa_instruction){.opcode = ISA_LUT_TBL, .rs1 = 10, .table = XLUT_TABLE_I8_DYNAMIC};
    assert_int_equal(xlut(in), 0);
    in = (isa_instruction){.opcode = ISA_LUT_DEQ, .rd = 4, .rs3 = 4};
    assert_int_equal(xlut(in), 0);
    in = (isa_instruction){.opcode = ISA_MMA, .rd = 4, .rs1 = 1, .rs2 = 2, .type = 5};
    assert_int_equal(xlut(in), 0);
}

static void check_text(isa_instruction in, const char *expected)
{
    text t = {0};
    isa_disassemble(&t, &in, 0x10000);
    assert_string_equal(text_string(&t), expected);
    text_free(&t);
}

static void test_xlut_text(void **state)
{
    (void)state;
    check_text((isa_instruction){.opcode = ISA_LMMA,
                                 .rd = 8,
                                 .rs2 = 4,
                                 .form = XLUT_FORM_PLANES2,
                                 .start = 1,
                                 .slice = XLUT_SLICE_HALF1},
               "lmma.i8.w2.i32.one.start.half1 lt8, lt0, lt4");
    check_text((isa_instruction){.opcode = ISA_LMMA,
                                 .rd = 8,
                                 .rs2 = 4,
                                 .table = XLUT_TABLE_F16,
                                 .form = XLUT_FORM_TERNARY,
                                 .rows = XLUT_ROWS_ALL},
               "lmma.f16.ternary.f32 lt8, lt0, lt4");
    check_text((isa_instruction){.opcode = ISA_LUT_LD, .rd = 5, .rs1 = 14, .imm = -128, .half = 1},
               "lut.ldh lt5, -128(a4)");
    check_text((isa_instruction){.opcode = ISA_LUT_ST, .rs2 = 5, .rs1 = 14, .imm = 64},
               "lut.st lt5, 64(a4)");
    check_text(
        (isa_instruction){
            .opcode = ISA_LUT_DEQ, .rd = 9, .rs3 = 8, .rs1 = 10, .scale_type = XLUT_SCALE_F32},
        "lut.deq.i32.f32 lt9, lt8, (a0), (zero)");
    check_text((isa_instruction){.opcode = ISA_BEQ, .rs1 = 10, .imm = -16}, "beq a0, zero, 0xfff0");
}

static void test_directives(void **state)
{
    (void)state;
    text t = {0};
    isa_instruction in = {.opcode = ISA_LUT_TBL, .rd = 3, .table = XLUT_TABLE_I8_DYNAMIC};
    assert_true(isa_insn_directive(&t, &in, NULL, "$0", NULL, "$1"));
    assert_string_equal(text_string(&t), ".insn r4 CUSTOM_2, 0, 3, x3, $0, x0, $1");
    text_clear(&t);
    assert_false(isa_insn_directive(&t, &in, NULL, "$0", NULL, NULL)); // nowhere to write scales
    in = (isa_instruction){.opcode = ISA_ADDI};
    assert_false(isa_insn_directive(&t, &in, NULL, NULL, NULL, NULL)); // LLVM knows that one
    in = (isa_instruction){.opcode = ISA_LUT_ST, .rs2 = 7, .imm = -64};
    assert_true(isa_insn_directive(&t, &in, NULL, "a0", "ignored", NULL));
    assert_string_equal(text_string(&t), ".insn s CUSTOM_3, 5, x7, -2(a0)");
    text_free(&t);
}

static void check_expansion(uint32_t word, isa_instruction expected)
{
    isa_instruction in;
    isa_decode(word | 0xabcd0000, &in); // the upper half is somebody else's
    assert_int_equal(in.length, 2);
    assert_int_equal(in.word, word);
    assert_true(same(in, expected));
}

static void test_compressed_ones_expand(void **state)
{
    (void)state;
    check_expansion(0x0505, (isa_instruction){.opcode = ISA_ADDI, .rd = 10, .rs1 = 10, .imm = 1});
    check_expansion(0x8082, (isa_instruction){.opcode = ISA_JALR, .rs1 = 1});
    check_expansion(0xe42a, (isa_instruction){.opcode = ISA_SD, .rs1 = 2, .rs2 = 10, .imm = 8});
    check_expansion(0x9002, (isa_instruction){.opcode = ISA_EBREAK});
    check_expansion(0x0000, (isa_instruction){.opcode = ISA_ILLEGAL});
}

static void test_every_option_has_a_name(void **state)
{
    (void)state;
    assert_string_equal(xlut_table_names[XLUT_TABLE_I8_DYNAMIC], "i8dynamic");
    assert_string_equal(xlut_slice_names[XLUT_SLICE_QUARTER3], "quarter3");
    assert_null(xlut_slice_names[1]);
    assert_null(xlut_form_names[6]);
    for (unsigned c = 0; c < ISA_CLASS_COUNT; c++)
        assert_non_null(isa_class_names[c]);
    for (unsigned o = 1; o < ISA_OPCODE_COUNT; o++)
        assert_true(*isa_rows[o].mnemonic && *isa_rows[o].meaning && *isa_rows[o].extension);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encode_inverts_decode),
        cmocka_unit_test(test_no_two_rows_overlap),
        cmocka_unit_test(test_every_bit_is_accounted_for),
        cmocka_unit_test(test_custom_1_is_left_alone),
        cmocka_unit_test(test_xlut_forms),
        cmocka_unit_test(test_undefined_corners_are_illegal),
        cmocka_unit_test(test_xlut_text),
        cmocka_unit_test(test_directives),
        cmocka_unit_test(test_compressed_ones_expand),
        cmocka_unit_test(test_every_option_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
