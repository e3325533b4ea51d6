#include "runtime/observe/access.h"

#include <string.h>

// Scalar accesses: bytes, and what is done with them. The address is x[rs1] + imm.
typedef struct scalar_access {
    uint8_t bytes;
    bool read, write;
} scalar_access;

#define LOAD(E, bytes) [ISA_##E] = {bytes, true, false}
#define STORE(E, bytes) [ISA_##E] = {bytes, false, true}
#define AMO(E) [ISA_##E##_W] = {4, true, true}, [ISA_##E##_D] = {8, true, true}
static const scalar_access scalar_accesses[ISA_OPCODE_COUNT] = {
    LOAD(LB, 1),   LOAD(LBU, 1),   LOAD(LH, 2),    LOAD(LHU, 2),  LOAD(LW, 4),   LOAD(LWU, 4),
    LOAD(LD, 8),   LOAD(FLH, 2),   LOAD(FLW, 4),   LOAD(FLD, 8),  STORE(SB, 1),  STORE(SH, 2),
    STORE(SW, 4),  STORE(SD, 8),   STORE(FSH, 2),  STORE(FSW, 4), STORE(FSD, 8), LOAD(LR_W, 4),
    LOAD(LR_D, 8), STORE(SC_W, 4), STORE(SC_D, 8), AMO(AMOSWAP),  AMO(AMOADD),   AMO(AMOXOR),
    AMO(AMOAND),   AMO(AMOOR),     AMO(AMOMIN),    AMO(AMOMAX),   AMO(AMOMINU),  AMO(AMOMAXU),
};
#undef LOAD
#undef STORE
#undef AMO

typedef struct visitor {
    observe_visit *visit;
    void *context;
} visitor;

static void tell(const visitor *v, uint64_t address, uint64_t size, bool write)
{
    if (size > 0)
        v->visit(v->context, &(observe_access){address, size, write});
}

static void scalar(const hart *h, const isa_instruction *in, const visitor *v)
{
    const scalar_access *a = &scalar_accesses[in->opcode];
    uint64_t address = h->x[in->rs1] + (uint64_t)(int64_t)in->imm;
    if (a->read)
        tell(v, address, a->bytes, false);
    if (a->write)
        tell(v, address, a->bytes, true);
}

// ----------------------------------------------------------------------- vectors

// The fields that all vector loads and stores have in the same place.
typedef enum addressing { UNIT, UNORDERED, STRIDED, ORDERED } addressing; // mop
typedef enum unit_form { PLAIN = 0, WHOLE = 8, MASK = 11 } unit_form;     // lumop, sumop

static addressing addressing_of(uint32_t word)
{
    return (addressing)(word >> 26 & 3);
}

// log2 of the bytes that the width field names.
static unsigned width_of(uint32_t word)
{
    unsigned width = word >> 12 & 7;
    return width < 5 ? 0 : width - 4;
}

static bool is_active(const hart *h, const isa_instruction *in, uint64_t i)
{
    return (in->word >> 25 & 1) || (h->v[i / 8] >> i % 8 & 1);
}

static uint64_t index_at(const hart *h, unsigned first, unsigned width, uint64_t i)
{
    uint64_t index = 0;
    uint64_t at = ((uint64_t)first * h->vlenb) + (i << width);
    if (at + (1u << width) <= (uint64_t)32 * h->vlenb)
        memcpy(&index, h->v + at, (size_t)1 << width);
    return index;
}

static void elements(const hart *h, const isa_instruction *in, bool write, const visitor *v)
{
    addressing mode = addressing_of(in->word);
    bool indexed = mode == UNORDERED || mode == ORDERED;
    unsigned width = width_of(in->word), fields = (in->word >> 29) + 1;
    uint64_t size = (uint64_t)fields << (indexed ? h->sew : width), base = h->x[in->rs1];
    uint64_t stride = mode == STRIDED ? h->x[in->word >> 20 & 31] : size;
    for (uint64_t i = h->vstart; i < h->vl; i++)
        if (is_active(h, in, i))
            tell(v, base + (indexed ? index_at(h, in->word >> 20 & 31, width, i) : i * stride),
                 size, write);
}

static void vector(const hart *h, const isa_instruction *in, const visitor *v)
{
    bool write = isa_rows[in->opcode].class == ISA_CLASS_VECTOR_STORE;
    bool unit = addressing_of(in->word) == UNIT, unmasked = in->word >> 25 & 1;
    unsigned form = in->word >> 20 & 31, fields = (in->word >> 29) + 1, width = width_of(in->word);
    uint64_t base = h->x[in->rs1], start = h->vstart;
    if (unit && form == WHOLE) {
        uint64_t size = (uint64_t)fields * h->vlenb, done = start << width;
        tell(v, base + done, done < size ? size - done : 0, write);
    } else if (unit && form == MASK) {
        uint64_t size = (h->vl + 7) / 8;
        tell(v, base + start, start < size ? size - start : 0, write);
    } else if (unit && form == PLAIN && unmasked && fields == 1) {
        tell(v, base + (start << width), start < h->vl ? (h->vl - start) << width : 0, write);
    } else {
        elements(h, in, write, v);
    }
}

// -------------------------------------------------------------------------- Xlut

static void tiles(const hart *h, const isa_instruction *in, const visitor *v)
{
    lut_operands operands;
    if (!h->lut || !lut_operands_of(h->lut, in, h->x, &operands))
        return;
    for (unsigned i = 0; i < operands.count; i++) {
        const lut_operand *o = &operands.item[i];
        for (uint32_t row = 0; row < o->rows; row++)
            tell(v, o->address + row * o->stride, o->bytes, o->write);
    }
}

void observe_accesses(hart *h, const isa_instruction *in, observe_visit *visit, void *context)
{
    const visitor v = {visit, context};
    switch (isa_rows[in->opcode].class) {
    case ISA_CLASS_LOAD:
    case ISA_CLASS_STORE:
    case ISA_CLASS_ATOMIC: scalar(h, in, &v); break;
    case ISA_CLASS_VECTOR_LOAD:
    case ISA_CLASS_VECTOR_STORE: vector(h, in, &v); break;
    case ISA_CLASS_TILE_LOAD:
    case ISA_CLASS_TILE_STORE:
    case ISA_CLASS_TABLE_BUILD:
    case ISA_CLASS_DEQUANTIZE: tiles(h, in, &v); break;
    default: break;
    }
}

// --------------------------------------------------------------------- registers

// What the first operand of a row says.
static const struct {
    const char *operand;
    observe_register kind;
} destinations[] = {
    {"rd", OBSERVE_X},    {"fd", OBSERVE_F},     {"vd", OBSERVE_VECTOR},
    {"lt", OBSERVE_TILE}, {"ltc", OBSERVE_TILE}, {"ltd", OBSERVE_TILE},
};

bool observe_written(const isa_instruction *in, observe_register *kind, unsigned *number)
{
    const isa_row *row = &isa_rows[in->opcode];
    size_t length = row->operands ? strcspn(row->operands, ", ") : 0;
    if (row->class == ISA_CLASS_TILE_STORE)
        return false;
    for (size_t i = 0; i < sizeof destinations / sizeof *destinations; i++) {
        const char *operand = destinations[i].operand;
        if (strlen(operand) == length && memcmp(operand, row->operands, length) == 0) {
            *kind = destinations[i].kind;
            *number = in->rd;
            return !(*kind == OBSERVE_X && in->rd == 0);
        }
    }
    return false;
}
