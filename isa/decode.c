// Words to instructions and back, by the tables that isa_generate makes from the rows.
#include "isa/layout.h"

#include <stddef.h>
#include <string.h>

const char *const isa_class_names[ISA_CLASS_COUNT] = {
#define ISA_CLASS(E, name) name,
    ISA_CLASSES(ISA_CLASS)
#undef ISA_CLASS
};

#include "isa/tables.inc"

// ------------------------------------------------------------------ constraints

// The accumulators of an lmma are none of the tiles that it reads: 1 or 2 of the table, then the
// planes.
static bool isa_accumulators_apart(const isa_instruction *i)
{
    bool pair = i->form == XLUT_FORM_FULL && i->table != XLUT_TABLE_I8;
    return i->rd != i->rs1 && !(pair && i->rd == i->rs1 + 1) &&
           (i->rd < i->rs2 || i->rd >= i->rs2 + xlut_form_planes(i->form));
}

// Float activations have no exact i16 table; i8 ones have one, so an f16 table would only be
// slower; the halves of i16 ones are there to be exact.
static bool isa_table_of_activation(unsigned activation, unsigned table)
{
    switch (activation) {
    case XLUT_ACTIVATION_I8: return table != XLUT_TABLE_F16;
    case XLUT_ACTIVATION_I16HI:
    case XLUT_ACTIVATION_I16LO: return table == XLUT_TABLE_I16;
    default: return table != XLUT_TABLE_I16;
    }
}

static bool isa_table_scales(const isa_instruction *i)
{
    if (i->table == XLUT_TABLE_I8_DYNAMIC)
        return i->rs3 != 0;
    return i->table == XLUT_TABLE_I8 || i->rs3 == 0;
}

#define CONSTRAINT(E, name, condition, words) CONSTRAINT_##E,
enum {
#include "isa/constraints.def"
};
#undef CONSTRAINT

static bool constraint_holds(unsigned constraint, const isa_instruction *i)
{
    switch (constraint) {
#define CONSTRAINT(E, name, condition, words)                                                      \
    case CONSTRAINT_##E: return condition;
#include "isa/constraints.def"
#undef CONSTRAINT
    default: return false;
    }
}

static bool constraints_hold(uint64_t constraints, const isa_instruction *i)
{
    for (; constraints; constraints &= constraints - 1)
        if (!constraint_holds((unsigned)__builtin_ctzll(constraints), i))
            return false;
    return true;
}

// --------------------------------------------------------------------- decoding

static void extract(const isa_layout *layout, uint32_t word, isa_instruction *out)
{
    uint32_t imm = 0;
    for (unsigned p = 0; p < layout->pieces; p++) {
        const isa_piece *piece = &isa_pieces[layout->first_piece + p];
        uint32_t bits = (word >> piece->low & ((1u << piece->width) - 1)) << piece->shift;
        if (piece->member == offsetof(isa_instruction, imm))
            imm |= bits;
        else
            ((uint8_t *)out)[piece->member] |= (uint8_t)(bits + piece->bias);
    }
    if (layout->sign && layout->sign < 32 && imm >> (layout->sign - 1))
        imm |= ~0u << layout->sign;
    out->imm = (int32_t)imm;
}

// The first of the candidates, a 0-terminated list of indexes plus 1 into `layouts`, that the word
// matches; its fields. 0: none.
static unsigned decode_one_of(const isa_layout *layouts, const uint16_t *candidates, uint32_t word,
                              unsigned length, isa_instruction *out)
{
    for (; *candidates; candidates++) {
        const isa_layout *layout = &layouts[*candidates - 1];
        if ((word ^ layout->match) & layout->mask)
            continue;
        *out = (isa_instruction){.word = word, .length = (uint8_t)length};
        extract(layout, word, out);
        if (constraints_hold(layout->constraints, out))
            return *candidates;
    }
    *out = (isa_instruction){.word = word, .length = (uint8_t)length};
    return 0;
}

int isa_decode_compressed(uint32_t word, isa_instruction *fields)
{
    word &= 0xffff;
    const uint16_t *candidates = compressed_candidates + compressed_first[isa_compressed_key(word)];
    return (int)decode_one_of(isa_compressed_layouts, candidates, word, 2, fields) - 1;
}

static void expand(const isa_expansion *expansion, const isa_instruction *fields,
                   isa_instruction *out)
{
    out->opcode = expansion->opcode;
    for (unsigned f = 0; f < expansion->count; f++) {
        const isa_assignment *a = &expansion->fields[f];
        if (a->to == offsetof(isa_instruction, imm))
            out->imm = a->from == ISA_CONSTANT ? a->constant : fields->imm;
        else
            ((uint8_t *)out)[a->to] =
                a->from == ISA_CONSTANT ? (uint8_t)a->constant : ((const uint8_t *)fields)[a->from];
    }
}

void isa_decode(uint32_t bits, isa_instruction *out)
{
    if ((bits & 3) == 3) {
        const uint16_t *candidates = word_candidates + word_first[isa_key(bits)];
        out->opcode = (uint16_t)decode_one_of(isa_layouts + 1, candidates, bits, 4, out);
        return;
    }
    isa_instruction fields;
    int row = isa_decode_compressed(bits, &fields);
    *out = (isa_instruction){.word = bits & 0xffff, .length = 2};
    if (row >= 0)
        expand(&expansions[row], &fields, out);
}

// --------------------------------------------------------------------- encoding

static bool same_fields(const isa_instruction *a, const isa_instruction *b)
{
    if (a->opcode != b->opcode)
        return false;
#define FIELD(name, member, width, bias)                                                           \
    if (a->member != b->member)                                                                    \
        return false;
#include "isa/fields.def"
#undef FIELD
    return true;
}

bool isa_encode(const isa_instruction *in, uint32_t *word)
{
    if (in->opcode == ISA_ILLEGAL || in->opcode >= ISA_OPCODE_COUNT)
        return false;
    const isa_layout *layout = &isa_layouts[in->opcode];
    uint32_t bits = layout->match;
    for (unsigned p = 0; p < layout->pieces; p++) {
        const isa_piece *piece = &isa_pieces[layout->first_piece + p];
        uint32_t value = piece->member == offsetof(isa_instruction, imm)
                             ? (uint32_t)in->imm
                             : ((const uint8_t *)in)[piece->member];
        value = (value - piece->bias) >> piece->shift & ((1u << piece->width) - 1);
        bits |= value << piece->low;
    }
    // Ranges, constraints and fields that the row lacks: what does not come back was not legal.
    isa_instruction back;
    isa_decode(bits, &back);
    *word = bits;
    return same_fields(in, &back);
}
