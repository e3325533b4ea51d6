// The .insn directives that make stock assemblers write Xlut instructions.
#include "isa/layout.h"

#include <string.h>

// The row's general register at a position: as given, or by number.
static const char *position(const isa_row *row, const char *name, const char *given,
                            unsigned number, char buffer[8])
{
    if (given && strstr(row->operands, name))
        return given;
    snprintf(buffer, 8, "x%u", number & 31);
    return buffer;
}

// `in` as far as it is known: a given register may be any but x0.
static bool encode_with_given(const isa_instruction *in, bool rs2, bool rs3, uint32_t *word)
{
    if (in->opcode >= ISA_OPCODE_COUNT || strcmp(isa_rows[in->opcode].extension, "Xlut"))
        return false;
    isa_instruction checked = *in;
    const char *operands = isa_rows[in->opcode].operands;
    if (rs2 && strstr(operands, "rs2") && !in->rs2)
        checked.rs2 = 1;
    if (rs3 && strstr(operands, "rs3") && !in->rs3)
        checked.rs3 = 1;
    return isa_encode(&checked, word);
}

bool isa_insn_directive(text *out, const isa_instruction *in, const char *rd, const char *rs1,
                        const char *rs2, const char *rs3)
{
    uint32_t word;
    if (!encode_with_given(in, rs2, rs3, &word))
        return false;
    char buffer[4][8];
    const isa_row *row = &isa_rows[in->opcode];
    unsigned funct3 = word >> 12 & 7, custom = word >> 5 & 3;
    rd = position(row, " rd", rd, word >> 7, buffer[0]);
    rs1 = position(row, "rs1", rs1, word >> 15, buffer[1]);
    rs2 = position(row, "rs2", rs2, word >> 20, buffer[2]);
    rs3 = position(row, "rs3", rs3, word >> 27, buffer[3]);
    switch (in->opcode) {
    case ISA_LMMA:
    case ISA_MMA:
        text_printf(out, ".insn r CUSTOM_%u, %u, %u, %s, %s, %s", custom, funct3, word >> 25, rd,
                    rs1, rs2);
        break;
    case ISA_LUT_LD:
    case ISA_LUT_PF:
        text_printf(out, ".insn i CUSTOM_%u, %u, %s, %s, %d", custom, funct3, rd, rs1,
                    (int32_t)word >> 20);
        break;
    case ISA_LUT_ST:
        text_printf(out, ".insn s CUSTOM_%u, %u, %s, %d(%s)", custom, funct3, rs2,
                    ((int32_t)word >> 25) * 32 + (int32_t)(word >> 7 & 31), rs1);
        break;
    default:
        text_printf(out, ".insn r4 CUSTOM_%u, %u, %u, %s, %s, %s, %s", custom, funct3,
                    word >> 25 & 3, rd, rs1, rs2, rs3);
    }
    return true;
}
