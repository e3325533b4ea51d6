// xlut.h: intrinsics for kernels written by hand with stock clang or gcc, whose assemblers see
// nothing but .insn directives.
#include "isa/publish.h"

#include "isa/layout.h"

#include <string.h>

// One way to use an instruction from C. Register positions: "lt" and the like are tile numbers,
// "*x" a value in a general register, NULL the number 0.
typedef struct intrinsic {
    isa_opcode opcode;
    const char *name, *parameters;
    const char *rd, *rs1, *rs2, *rs3;
    bool half;
    const char *check; // a constant condition on the parameters, NULL: none
    const char *meaning;
} intrinsic;

#define LMMA_CHECK                                                                                 \
    "(table) <= XLUT_TABLE_F16 && XLUT_PLANES(form) && (slice) != 1 && (slice) <= 7 && "           \
    "(ltw) + XLUT_PLANES(form) <= 32 && (ltc) != (ltt) && "                                        \
    "((ltc) < (ltw) || (ltc) >= (ltw) + XLUT_PLANES(form)) && "                                    \
    "((form) != XLUT_FORM_FULL || (table) == XLUT_TABLE_I8 || "                                    \
    "((ltt) % 2 == 0 && (ltc) != (ltt) + 1))"
#define TABLE_CHECK                                                                                \
    "((activation) < XLUT_ACTIVATION_I8 ? (table) != XLUT_TABLE_I16 : (activation) == "            \
    "XLUT_ACTIVATION_I8 ? (table) != XLUT_TABLE_F16 : (table) == XLUT_TABLE_I16)"
#define UNSCALED TABLE_CHECK " && (table) != XLUT_TABLE_I8_DYNAMIC"
#define SCALED TABLE_CHECK " && ((table) == XLUT_TABLE_I8 || (table) == XLUT_TABLE_I8_DYNAMIC)"
#define MATRIX_CHECK "(operand) <= XLUT_OPERAND_B"
#define OFFSET_CHECK "(offset) % 64 == 0 && (offset) >= -65536 && (offset) < 65536"

static const intrinsic intrinsics[] = {
    {ISA_LMMA, "xlut_lmma", "table, form, ltc, ltt, ltw, rows, start, slice", "ltc", "ltt", "ltw",
     NULL, false, LMMA_CHECK, "C (+)= lookups of the planes from ltw on in the table ltt"},
    {ISA_MMA, "xlut_mma", "mma, ltc, lta, ltb", "ltc", "lta", "ltb", NULL, false,
     "(mma) <= XLUT_MMA_E5M2 && (ltc) != (lta) && (ltc) != (ltb)", "C += A B, conventionally"},
    {ISA_LUT_TBL, "xlut_tbl", "activation, table, lt, base", "lt", "*base", NULL, NULL, false,
     UNSCALED, "table of the row at base"},
    {ISA_LUT_TBL, "xlut_tbl_scaled", "activation, table, lt, base, scales", "lt", "*base", NULL,
     "*scales", false, SCALED, "the same with scales: i8 reads f32[m], i8dynamic writes f32[4][m]"},
    {ISA_LUT_TBL, "xlut_tbl_rows", "activation, table, lt, base, stride", "lt", "*base", "*stride",
     NULL, false, UNSCALED, "tables of m rows, stride bytes apart"},
    {ISA_LUT_TBL, "xlut_tbl_rows_scaled", "activation, table, lt, base, stride, scales", "lt",
     "*base", "*stride", "*scales", false, SCALED, "the same with scales"},
    {ISA_LUT_LD, "xlut_ld", "lt, base, offset", "lt", "*base", NULL, NULL, false, OFFSET_CHECK,
     "a tile from base + offset, a constant multiple of 64"},
    {ISA_LUT_LD, "xlut_ldh", "lt, base, offset", "lt", "*base", NULL, NULL, true, OFFSET_CHECK,
     "a table of i8, 64 m^2 bytes; the rest becomes 0"},
    {ISA_LUT_ST, "xlut_st", "lt, base, offset", NULL, "*base", "lt", NULL, false, OFFSET_CHECK,
     "a tile to base + offset"},
    {ISA_LUT_ST, "xlut_sth", "lt, base, offset", NULL, "*base", "lt", NULL, true, OFFSET_CHECK,
     "a table of i8, 64 m^2 bytes"},
    {ISA_LUT_PF, "xlut_pf", "base, offset", NULL, "*base", NULL, NULL, false, OFFSET_CHECK,
     "prefetch a tile's footprint"},
    {ISA_LUT_ZERO, "xlut_zero", "lt", "lt", NULL, NULL, NULL, false, NULL, "all bytes 0"},
    {ISA_LUT_LDA, "xlut_lda", "data, lt, base", "lt", "*base", NULL, NULL, false, NULL,
     "accumulators from one row of n columns"},
    {ISA_LUT_LDA, "xlut_lda_columns", "data, lt, base, columns", "lt", "*base", NULL, "*columns",
     false, NULL, "one row of fewer columns"},
    {ISA_LUT_LDA, "xlut_lda_rows", "data, lt, base, stride", "lt", "*base", "*stride", NULL, false,
     NULL, "m rows, stride bytes apart"},
    {ISA_LUT_LDA, "xlut_lda_rows_columns", "data, lt, base, stride, columns", "lt", "*base",
     "*stride", "*columns", false, NULL, "m rows of fewer columns"},
    {ISA_LUT_STA, "xlut_sta", "data, lt, base", "lt", "*base", NULL, NULL, false, NULL,
     "accumulators to memory, likewise"},
    {ISA_LUT_STA, "xlut_sta_columns", "data, lt, base, columns", "lt", "*base", NULL, "*columns",
     false, NULL, NULL},
    {ISA_LUT_STA, "xlut_sta_rows", "data, lt, base, stride", "lt", "*base", "*stride", NULL, false,
     NULL, NULL},
    {ISA_LUT_STA, "xlut_sta_rows_columns", "data, lt, base, stride, columns", "lt", "*base",
     "*stride", "*columns", false, NULL, NULL},
    {ISA_LUT_LDM, "xlut_ldm", "operand, lt, base, stride", "lt", "*base", "*stride", NULL, false,
     MATRIX_CHECK, "operand of an mma from whole rows, stride bytes apart"},
    {ISA_LUT_LDM, "xlut_ldm_part", "operand, lt, base, stride, part", "lt", "*base", "*stride",
     "*part", false, MATRIX_CHECK, "from part rows of part >> 16 bytes (0: all)"},
    {ISA_LUT_LDT, "xlut_ldt", "lt, base, stride", "lt", "*base", "*stride", NULL, false, NULL,
     "operand b of an mma of 16-bit types, transposed"},
    {ISA_LUT_LDT, "xlut_ldt_part", "lt, base, stride, part", "lt", "*base", "*stride", "*part",
     false, NULL, "from part rows of part >> 16 bytes (0: all)"},
    {ISA_LUT_STM, "xlut_stm", "lt, base, stride", "lt", "*base", "*stride", NULL, false, NULL,
     "accumulators of an mma to memory, likewise"},
    {ISA_LUT_STM, "xlut_stm_part", "lt, base, stride, part", "lt", "*base", "*stride", "*part",
     false, NULL, NULL},
    {ISA_LUT_DEQ, "xlut_deq", "sum, scale, ltd, lts, ws", "ltd", "*ws", NULL, "lts", false,
     "(ltd) != (lts)", "D += S ws[n]"},
    {ISA_LUT_DEQ, "xlut_deq_rows", "sum, scale, ltd, lts, ws, ts", "ltd", "*ws", "*ts", "lts",
     false, "(ltd) != (lts)", "D += S ws[n] ts[m]"},
    {ISA_LUT_OFF, "xlut_off", "scale, ltd, u, v", "ltd", "*u", "*v", NULL, false, NULL,
     "D += u[m] v[n]"},
};
enum { INTRINSICS = sizeof intrinsics / sizeof *intrinsics };

// The name that a field of the word has among the parameters.
static const char *parameter_of(unsigned opcode, size_t member)
{
    static const struct {
        size_t member;
        const char *name;
    } names[] = {
        {offsetof(isa_instruction, table), "table"},
        {offsetof(isa_instruction, form), "form"},
        {offsetof(isa_instruction, slice), "slice"},
        {offsetof(isa_instruction, rows), "rows"},
        {offsetof(isa_instruction, start), "start"},
        {offsetof(isa_instruction, imm), "offset"},
        {offsetof(isa_instruction, activation), "activation"},
        {offsetof(isa_instruction, scale_type), "scale"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].member == member)
            return names[i].name;
    if (member == offsetof(isa_instruction, type))
        return opcode == ISA_MMA       ? "mma"
               : opcode == ISA_LUT_DEQ ? "sum"
               : opcode == ISA_LUT_LDM ? "operand"
                                       : "data";
    return NULL;
}

// A C expression for bits [low, low + width) of the word in terms of the parameters.
static void put_function(text *out, const intrinsic *in, unsigned low, unsigned width)
{
    const isa_layout *layout = &isa_layouts[in->opcode];
    text_printf(out, "%u", layout->match >> low & ((1u << width) - 1));
    for (unsigned p = 0; p < layout->pieces; p++) {
        const isa_piece *piece = &isa_pieces[layout->first_piece + p];
        const char *name = parameter_of(in->opcode, piece->member);
        if (name && piece->low >= low && piece->low < low + width)
            text_printf(out, " | (%s) << %u", name, piece->low - low);
    }
}

// ---------------------------------------------------------------- intrinsics

// The asm template's and the operand list's part of a register position.
static void put_position(text *template, text *inputs, unsigned *count, const char *position)
{
    bool general = position && *position == '*';
    if (!position)
        text_append(template, "x0");
    else
        text_printf(template, general ? "%%%u" : "x%%%u", (*count)++);
    if (position)
        text_printf(inputs, general ? ", \"r\"(%s)" : ", \"i\"(%s)", position + general);
}

static void put_tile_checks(text *out, const intrinsic *in)
{
    const char *const positions[] = {in->rd, in->rs1, in->rs2, in->rs3};
    const char *separator = "";
    for (unsigned i = 0; i < 4; i++)
        if (positions[i] && *positions[i] != '*') {
            text_printf(out, "%s(%s) >= 0 && (%s) < 32", separator, positions[i], positions[i]);
            separator = " && ";
        }
    if (in->check)
        text_printf(out, "%s%s", separator, in->check);
}

// ".insn r CUSTOM_0, f3, f7, rd, rs1, rs2" and its siblings.
static void put_template(text *template, text *inputs, const intrinsic *in)
{
    unsigned count = 1, custom = isa_rows[in->opcode].match >> 5 & 3;
    bool load = in->opcode == ISA_LUT_LD || in->opcode == ISA_LUT_PF;
    bool store = in->opcode == ISA_LUT_ST;
    bool three = in->opcode == ISA_LMMA || in->opcode == ISA_MMA;
    const char *format = load ? "i" : store ? "s" : three ? "r" : "r4";
    text_printf(template, ".insn %s CUSTOM_%u, %%0, ", format, custom);
    text_append(inputs, "\"i\"(");
    put_function(inputs, in, 12, 3);
    text_append(inputs, ")");
    if (load || store) {
        put_position(template, inputs, &count, load ? in->rd : in->rs2);
        text_printf(template, ", %%%u(", count++);
        text_printf(inputs, ", \"i\"((offset) / 32 + %d)", in->half);
        put_position(template, inputs, &count, in->rs1);
        text_append(template, ")");
        return;
    }
    text_printf(template, "%%%u, ", count++);
    text_append(inputs, ", \"i\"(");
    put_function(inputs, in, 25, three ? 7 : 2);
    text_append(inputs, ")");
    const char *const positions[] = {in->rd, in->rs1, in->rs2, in->rs3};
    for (unsigned i = 0; i < (three ? 3 : 4); i++) {
        text_append(template, i ? ", " : "");
        put_position(template, inputs, &count, positions[i]);
    }
}

static void put_intrinsic(text *out, const intrinsic *in)
{
    text template = {0}, inputs = {0};
    put_template(&template, &inputs, in);
    if (in->meaning)
        text_printf(out, "// %s\n", in->meaning);
    text_printf(out, "#define %s(%s) \\\n    do { \\\n        _Static_assert(", in->name,
                in->parameters);
    size_t before = out->length;
    put_tile_checks(out, in);
    text_append(out, out->length == before ? "1" : "");
    text_printf(out, ", \"%s: illegal operands\"); \\\n", in->name);
    text_printf(out, "        __asm__ volatile(\"%s\" : : %s : \"memory\"); \\\n    } while (0)\n",
                text_string(&template), text_string(&inputs));
    text_free(&template);
    text_free(&inputs);
}

#define PUT_VALUE(E, value, name) text_printf(out, "#define %s %d\n", #E, value);
static void put_values(text *out)
{
    XLUT_TABLES(PUT_VALUE)
    XLUT_FORMS(PUT_VALUE)
    XLUT_SLICES(PUT_VALUE)
    XLUT_ROWS(PUT_VALUE)
    XLUT_ACTIVATIONS(PUT_VALUE)
    XLUT_SUMS(PUT_VALUE)
    XLUT_SCALES(PUT_VALUE)
    XLUT_DATA(PUT_VALUE)
    XLUT_MMAS(PUT_VALUE)
    XLUT_OPERANDS(PUT_VALUE)
}

void isa_publish_header(text *out)
{
    text_append(out, "// Xlut intrinsics for clang and gcc (RV64GCV). Generated from isa/xlut.isa; "
                     "the manual is\n"
                     "// docs/xlut.md. Tile numbers and options are integer constants; they are "
                     "checked when the\n"
                     "// program is compiled. Calls of functions may change every tile register.\n"
                     "#ifndef XLUT_H\n#define XLUT_H\n\n");
    put_values(out);
    text_append(
        out, "\n// Index planes that a form reads; 0: not a form.\n"
             "#define XLUT_PLANES(form) \\\n"
             "    ((form) == XLUT_FORM_FULL ? 1 : (form) == XLUT_FORM_TERNARY ? 2 \\\n"
             "     : (form) >= 0 && (form) <= XLUT_FORM_PLANES4 ? (form) + 1 : 0)\n\n"
             "// The tile shape of this machine: m in bits 7:0, n in bits 23:8; 0: no LUT unit.\n"
             "static inline unsigned long xlut_shape(void)\n{\n    unsigned long shape;\n"
             "    __asm__(\"csrr %0, 0xcc0\" : \"=r\"(shape));\n    return shape;\n}\n\n");
    for (unsigned i = 0; i < INTRINSICS; i++)
        put_intrinsic(out, &intrinsics[i]);
    text_append(out, "\n#endif\n");
}
