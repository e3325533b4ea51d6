// xlut.inc: macros for the GNU and LLVM assemblers, which see nothing but .insn directives.
#include "isa/layout.h"
#include "isa/publish.h"

#include <stddef.h>
#include <string.h>

// Finds the number of a tile register's name and goes on with what takes it as \TILE.
static void put_tile_search(text *out, const char *parameter, const char *rest, unsigned depth)
{
    char n = (char)('a' + depth);
    text_printf(out, ".irp %c%c, ", n, n);
    for (unsigned i = 0; i < ISA_TILE_REGISTERS; i++)
        text_printf(out, "%s%u", i ? "," : "", i);
    text_printf(out, "\n.ifc \\%s,lt\\%c%c\n%s.endif\n.endr\n", parameter, n, n, rest);
}

static void put_helper(text *out, const char *name, const char *parameters, const char *directive,
                       const char *const *tiles, unsigned count)
{
    text body = {0}, outer = {0};
    text_printf(&body, "%s\n.set xlut.found, 1\n", directive);
    for (unsigned i = count; i-- > 0;) {
        put_tile_search(&outer, tiles[i], text_string(&body), i);
        text_clear(&body);
        text_append(&body, text_string(&outer));
        text_clear(&outer);
    }
    text_printf(out,
                ".macro %s %s\n.set xlut.found, 0\n%s.if !xlut.found\n"
                ".error \"tile operands are lt0 to lt31\"\n.endif\n.endm\n",
                name, parameters, text_string(&body));
    text_free(&body);
    text_free(&outer);
}

static void put_helpers(text *out)
{
    static const char *const three[] = {"t1", "t2", "t3"}, *const deq[] = {"t1", "t2"};
    put_helper(out, "xlut.r", "custom, f3, f7, t1, t2, t3",
               ".insn r \\custom, \\f3, \\f7, x\\aa, x\\bb, x\\cc", three, 3);
    put_helper(out, "xlut.r4", "custom, f3, f2, t1, rs1, rs2, rs3",
               ".insn r4 \\custom, \\f3, \\f2, x\\aa, \\rs1, \\rs2, \\rs3", three, 1);
    put_helper(out, "xlut.deq", "custom, f3, f2, t1, t2, rs1, rs2",
               ".insn r4 \\custom, \\f3, \\f2, x\\aa, \\rs1, \\rs2, x\\bb", deq, 2);
    put_helper(out, "xlut.i", "custom, f3, half, t1, offset, base",
               ".insn i \\custom, \\f3, x\\aa, \\base, (\\offset) / 32 + \\half", three, 1);
    put_helper(out, "xlut.s", "custom, f3, half, t1, offset, base",
               ".insn s \\custom, \\f3, x\\aa, \\half + (\\offset) / 32(\\base)", three, 1);
    put_helper(out, "xlut.pf", "custom, f3, half, offset, base",
               ".insn i \\custom, \\f3, x0, \\base, (\\offset) / 32 + \\half", NULL, 0);
}

// A mnemonic's macro calls a helper with the major opcode, funct3, a third number, and operands.
typedef enum third { FUNCT7, FUNCT2, HALF } third;
static const struct shape {
    isa_opcode opcode;
    const char *parameters, *helper;
    third third;
    const char *operands;
} shapes[] = {
    {ISA_LMMA, "c, t, w", "xlut.r", FUNCT7, "\\c, \\t, \\w"},
    {ISA_MMA, "c, a, b", "xlut.r", FUNCT7, "\\c, \\a, \\b"},
    {ISA_LUT_TBL, "t, base, stride, scales", "xlut.r4", FUNCT2, "\\t, \\base, \\stride, \\scales"},
    {ISA_LUT_LDA, "t, base, stride, columns", "xlut.r4", FUNCT2,
     "\\t, \\base, \\stride, \\columns"},
    {ISA_LUT_STA, "t, base, stride, columns", "xlut.r4", FUNCT2,
     "\\t, \\base, \\stride, \\columns"},
    {ISA_LUT_LDM, "t, base, stride, part", "xlut.r4", FUNCT2, "\\t, \\base, \\stride, \\part"},
    {ISA_LUT_LDT, "t, base, stride, part", "xlut.r4", FUNCT2, "\\t, \\base, \\stride, \\part"},
    {ISA_LUT_STM, "t, base, stride, part", "xlut.r4", FUNCT2, "\\t, \\base, \\stride, \\part"},
    {ISA_LUT_DEQ, "d, s, ws, ts", "xlut.deq", FUNCT2, "\\d, \\s, \\ws, \\ts"},
    {ISA_LUT_OFF, "d, u, v", "xlut.r4", FUNCT2, "\\d, \\u, \\v, x0"},
    {ISA_LUT_ZERO, "t", "xlut.r4", FUNCT2, "\\t, x0, x0, x0"},
    {ISA_LUT_LD, "t, offset, base", "xlut.i", HALF, "\\t, \\offset, \\base"},
    {ISA_LUT_ST, "t, offset, base", "xlut.s", HALF, "\\t, \\offset, \\base"},
    {ISA_LUT_PF, "offset, base", "xlut.pf", HALF, "\\offset, \\base"},
};

static void put_macro(text *out, const struct shape *s, const isa_instruction *in)
{
    text name = {0};
    isa_disassemble(&name, in, ISA_NO_PC);
    unsigned number = s->third == FUNCT7   ? in->word >> 25
                      : s->third == FUNCT2 ? in->word >> 25 & 3
                                           : in->half;
    text_printf(out, ".macro %.*s %s\n%s CUSTOM_%u, %u, %u, %s\n.endm\n",
                (int)strcspn(text_string(&name), " "), text_string(&name), s->parameters, s->helper,
                in->word >> 5 & 3, in->word >> 12 & 7, number, s->operands);
    text_free(&name);
}

// The bits of a row's option fields.
static uint32_t option_bits(unsigned opcode)
{
    uint32_t bits = 0;
    const isa_layout *layout = &isa_layouts[opcode];
    for (unsigned p = 0; p < layout->pieces; p++) {
        const isa_piece *piece = &isa_pieces[layout->first_piece + p];
        if (piece->member >= offsetof(isa_instruction, table))
            bits |= ((1u << piece->width) - 1) << piece->low;
    }
    return bits;
}

// A legal instruction with these options: one of the register choices is legal if any is.
static bool find_legal(unsigned opcode, uint32_t options, isa_instruction *in)
{
    static const uint32_t registers[] = {0, 1u << 27 /* rs3 */, 31u << 7 | 1u << 20 /* rd, rs2 */};
    for (size_t i = 0; i < sizeof registers / sizeof *registers; i++) {
        isa_decode(isa_layouts[opcode].match | options | registers[i], in);
        if (in->opcode == opcode)
            return true;
    }
    return false;
}

static void put_macros(text *out, const struct shape *s)
{
    uint32_t all = option_bits(s->opcode), options = 0;
    do {
        isa_instruction in;
        if (find_legal(s->opcode, options, &in))
            put_macro(out, s, &in);
        options = (options - all) & all; // the next subset of `all`
    } while (options);
}

void isa_publish_macros(text *out)
{
    text_append(
        out, "# Xlut for the GNU and LLVM assemblers (RV64). Generated from isa/xlut.isa; the\n"
             "# manual is docs/xlut.md. As in disassembly, but without parentheses:\n"
             "# lut.ld lt5, 128, a4 and lut.tbl.f16.i8 lt0, a0, x0, a1. Every mnemonic with its\n"
             "# options is a macro.\n");
    put_helpers(out);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        put_macros(out, &shapes[i]);
}
