// Which memory an Xlut instruction touches. isa_decode has refused what its fields alone make
// illegal.
#include "runtime/lut/reference.h"

static lut_operand *add_operand(lut_operands *out, uint64_t address, uint32_t bytes,
                                uint32_t alignment)
{
    lut_operand *o = &out->item[out->count++];
    o->address = address;
    o->stride = 0;
    o->rows = 1;
    o->bytes = bytes;
    o->alignment = alignment;
    o->write = false;
    return o;
}

// Register 0 as stride: one row; any other: m rows, that register's value apart.
static void set_rows(const lut_unit *u, lut_operand *o, unsigned stride, const uint64_t x[32])
{
    if (!stride)
        return;
    o->rows = u->m;
    o->stride = x[stride];
}

static void tile_operand(const lut_unit *u, const isa_instruction *in, const uint64_t x[32],
                         lut_operands *out)
{
    uint64_t address = x[in->rs1] + (uint64_t)(int64_t)in->imm;
    add_operand(out, address, in->half ? u->half_bytes : u->tile_bytes, LUT_TILE_ALIGNMENT)->write =
        in->opcode == ISA_LUT_ST;
}

static void table_operands(const lut_unit *u, const isa_instruction *in, const uint64_t x[32],
                           lut_operands *out)
{
    uint32_t size = xlut_activation_bytes(in->activation);
    set_rows(u, add_operand(out, x[in->rs1], 4 * u->lookups * size, size), in->rs2, x);
    if (!in->rs3)
        return;
    bool dynamic = in->table == XLUT_TABLE_I8_DYNAMIC;
    add_operand(out, x[in->rs3], 4 * u->m * (dynamic ? LUT_QUARTERS : 1), 4)->write = dynamic;
}

// ws[n], and ts[m] unless x0.
static void scale_operands(const lut_unit *u, const isa_instruction *in, const uint64_t x[32],
                           lut_operands *out)
{
    uint32_t size = xlut_scale_bytes(in->scale_type);
    add_operand(out, x[in->rs1], u->n * size, size);
    if (in->rs2)
        add_operand(out, x[in->rs2], 4 * u->m, 4);
}

// u[m] and v[n].
static void offset_operands(const lut_unit *u, const isa_instruction *in, const uint64_t x[32],
                            lut_operands *out)
{
    uint32_t size = xlut_scale_bytes(in->scale_type);
    add_operand(out, x[in->rs1], 4 * u->m, 4);
    add_operand(out, x[in->rs2], u->n * size, size);
}

// Register 0 as column count: all n.
static bool row_operands(const lut_unit *u, const isa_instruction *in, const uint64_t x[32],
                         lut_operands *out)
{
    uint64_t columns = in->rs3 ? x[in->rs3] : u->n;
    if (columns > u->n)
        return false;
    uint32_t size = xlut_data_bytes(in->type);
    lut_operand *o = add_operand(out, x[in->rs1], (uint32_t)columns * size, size);
    set_rows(u, o, in->rs2, x);
    o->write = in->opcode == ISA_LUT_STA;
    return true;
}

// Rows and bytes of a row that the instruction moves between a matrix operand and memory.
static void matrix_extent(const lut_unit *u, const isa_instruction *in, uint64_t *rows,
                          uint64_t *bytes)
{
    bool transposed = in->opcode == ISA_LUT_LDT;
    bool b = in->opcode == ISA_LUT_LDM && in->type == XLUT_OPERAND_B;
    *rows = transposed ? u->n / 4 : b ? u->n / 8 : 8 * u->m;
    *bytes = transposed ? u->n / 4 : u->n / 2;
}

static uint32_t matrix_alignment(const isa_instruction *in)
{
    return in->opcode == ISA_LUT_STM ? 4 : in->opcode == ISA_LUT_LDT ? 2 : 1;
}

// X(rs3): rows in the low 16 bits, bytes of a row in the next; 0: all of them.
static bool matrix_operands(const lut_unit *u, const isa_instruction *in, const uint64_t x[32],
                            lut_operands *out)
{
    uint64_t part = in->rs3 ? x[in->rs3] : 0, rows, bytes;
    uint64_t some_rows = part & 0xffff, some_bytes = part >> 16;
    uint32_t alignment = matrix_alignment(in);
    matrix_extent(u, in, &rows, &bytes);
    if (some_rows > rows || some_bytes > bytes || some_bytes % alignment)
        return false;
    rows = some_rows ? some_rows : rows;
    bytes = some_bytes ? some_bytes : bytes;
    lut_operand *o = add_operand(out, x[in->rs1], (uint32_t)bytes, alignment);
    o->rows = in->rs2 ? (uint32_t)rows : 1;
    o->stride = in->rs2 ? x[in->rs2] : 0;
    o->write = in->opcode == ISA_LUT_STM;
    return true;
}

lut_extent lut_extent_of(const lut_unit *u, const isa_instruction *in)
{
    static const uint64_t none[32];
    const bool matrix =
        in->opcode == ISA_LUT_LDM || in->opcode == ISA_LUT_LDT || in->opcode == ISA_LUT_STM;
    isa_instruction whole = *in;
    lut_operands all;
    lut_extent r = {.move = u->choose_move ? u->choose_move(in) : NULL};
    if (!r.move)
        return r;
    if (in->opcode != ISA_LUT_ST)
        whole.rs3 = 0;
    lut_operands_of(u, &whole, none, &all);
    r.rows = (uint16_t)all.item[0].rows;
    r.bytes = (uint16_t)all.item[0].bytes;
    r.alignment = (uint8_t)all.item[0].alignment;
    r.element = matrix ? 0 : r.alignment;
    return r;
}

bool lut_operands_of(const lut_unit *u, const isa_instruction *in, const uint64_t x[32],
                     lut_operands *out)
{
    out->count = 0;
    switch (in->opcode) {
    case ISA_LUT_LD:
    case ISA_LUT_ST: tile_operand(u, in, x, out); break;
    case ISA_LUT_TBL: table_operands(u, in, x, out); break;
    case ISA_LUT_DEQ: scale_operands(u, in, x, out); break;
    case ISA_LUT_OFF: offset_operands(u, in, x, out); break;
    case ISA_LUT_LDA:
    case ISA_LUT_STA: return row_operands(u, in, x, out);
    case ISA_LUT_LDM:
    case ISA_LUT_LDT:
    case ISA_LUT_STM: return matrix_operands(u, in, x, out);
    default: break;
    }
    return true;
}
