// Which registers an instruction reads and writes, as its row says.
#include "runtime/timing/model.h"

#include <string.h>

enum { X = TIMING_X, F = TIMING_F, V = TIMING_V, LT = TIMING_LT };

// Operands as rows list them, without what surrounds registers: "imm(rs1)" is rs1.
static const struct operand_row {
    const char *name;
    uint8_t file;
    uint8_t member; // of isa_instruction
    bool written;
} operand_rows[] = {
#define MEMBER(name) offsetof(isa_instruction, name)
    {"rd", X, MEMBER(rd), true},     {"rs1", X, MEMBER(rs1), false},
    {"rs2", X, MEMBER(rs2), false},  {"rs3", X, MEMBER(rs3), false},
    {"fd", F, MEMBER(rd), true},     {"fs1", F, MEMBER(rs1), false},
    {"fs2", F, MEMBER(rs2), false},  {"fs3", F, MEMBER(rs3), false},
    {"vd", V, MEMBER(rd), true},     {"vs1", V, MEMBER(rs1), false},
    {"vs2", V, MEMBER(rs2), false},  {"vs3", V, MEMBER(rs3), false},
    {"lt", LT, MEMBER(rd), true},    {"ltc", LT, MEMBER(rd), true},
    {"ltd", LT, MEMBER(rd), true},   {"ltt", LT, MEMBER(rs1), false},
    {"ltw", LT, MEMBER(rs2), false}, {"lta", LT, MEMBER(rs1), false},
    {"ltb", LT, MEMBER(rs2), false}, {"lts2", LT, MEMBER(rs2), false},
    {"lts", LT, MEMBER(rs3), false},
#undef MEMBER
};
enum { OPERAND_ROWS = sizeof operand_rows / sizeof *operand_rows };

static bool mnemonic_has(const timing_op *op, const char *part)
{
    return strstr(isa_rows[op->in.opcode].mnemonic, part) != NULL;
}

static void add_source(timing_op *op, unsigned first, unsigned count)
{
    for (unsigned r = first; r < first + count && op->source_count < TIMING_MOST_SOURCES; r++)
        if (r != X && r < TIMING_REGISTERS)
            op->sources[op->source_count++] = (uint8_t)r;
}

// --------------------------------------------------------------------------- groups

static unsigned registers(uint64_t bits, const machine *m)
{
    uint64_t count = (bits + m->vlen - 1) / m->vlen;
    return count < 1 ? 1 : count > 8 ? 8 : (unsigned)count;
}

// Element sizes of vd, vs2, vs1, in elements of SEW (0: one register).
typedef struct widths {
    uint8_t vd, vs2, vs1;
} widths;

static widths widths_of(const timing_op *op)
{
    static const struct {
        const char *prefix;
        widths widths;
    } rows[] = {{"vwred", {0, 1, 0}},  {"vfwred", {0, 1, 0}}, {"vred", {0, 1, 0}},
                {"vfred", {0, 1, 0}},  {"vm", {0, 1, 1}},     {"vw", {2, 1, 1}},
                {"vfw", {2, 1, 1}},    {"vnsr", {1, 2, 1}},   {"vnclip", {1, 2, 1}},
                {"vfncvt", {1, 2, 1}}, {"vcpop", {1, 0, 1}},  {"vfirst", {1, 0, 1}}};
    static const char *const whole[] = {"vmv.", "vmul", "vmac", "vmad", "vmer", "vmin", "vmax"};
    const char *name = isa_rows[op->in.opcode].mnemonic;
    widths w = {1, 1, 1};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (strncmp(name, whole[i], 4) == 0)
            return w;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strncmp(name, rows[i].prefix, strlen(rows[i].prefix)) == 0) {
            w = rows[i].widths;
            break;
        }
    if (mnemonic_has(op, ".w")) // vwadd.wv: vs2 is wide already
        w.vs2 = 2;
    return w;
}

static unsigned group_of(const timing_op *op, const machine *m, const char *operand, uint64_t bits)
{
    const isa_class class = op->class;
    if (class == ISA_CLASS_VECTOR_LOAD || class == ISA_CLASS_VECTOR_STORE) {
        uint64_t bytes = op->cost.read + op->cost.written;
        return strcmp(operand, "vs2") == 0 ? registers(bits, m) : registers(8 * bytes, m);
    }
    const char *name = isa_rows[op->in.opcode].mnemonic;
    if (strncmp(name, "vmv", 3) == 0 && name[4] == 'r') // vmv4r.v
        return (unsigned)(name[3] - '0');
    widths w = widths_of(op);
    unsigned times = operand[1] == 'd' ? w.vd : operand[2] == '2' ? w.vs2 : w.vs1;
    return times ? registers(times * bits, m) : 1;
}

static unsigned count_of(const timing_op *op, const machine *m, const struct operand_row *row,
                         uint64_t bits)
{
    if (row->file == V)
        return group_of(op, m, row->name, bits);
    bool full = op->in.form == XLUT_FORM_FULL && op->in.table != XLUT_TABLE_I8;
    if (strcmp(row->name, "ltt") == 0)
        return full ? 2 : 1;
    return strcmp(row->name, "ltw") == 0 ? xlut_form_planes(op->in.form) : 1;
}

// --------------------------------------------------------------------------- rows

static void add_operand(timing_op *op, const machine *m, const char *name, size_t length,
                        uint64_t bits)
{
    for (size_t i = 0; i < OPERAND_ROWS; i++) {
        const struct operand_row *row = &operand_rows[i];
        if (strlen(row->name) != length || memcmp(row->name, name, length) != 0)
            continue;
        unsigned number = ((const uint8_t *)&op->in)[row->member];
        unsigned count = count_of(op, m, row, bits);
        bool stored = op->class == ISA_CLASS_TILE_STORE; // lut.sta lt
        if (!row->written || stored)
            add_source(op, row->file + number, count);
        else if (row->file != X || number != 0)
            op->result = (uint8_t)(row->file + number), op->result_count = (uint8_t)count;
        return;
    }
}

static void add_operands(timing_op *op, const machine *m, uint64_t bits)
{
    const char *at = isa_rows[op->in.opcode].operands;
    op->source_count = 0;
    op->result = op->result_count = 0;
    while (at && *at) {
        size_t length = strcspn(at, ", ");
        const char *open = memchr(at, '(', length);
        const char *name = open ? open + 1 : at;
        size_t inner = open ? strcspn(name, ")") : length;
        add_operand(op, m, name, inner, bits);
        at += length + strspn(at + length, ", ");
    }
}

// Results that are also operands.
static bool accumulates(const timing_op *op)
{
    switch (op->class) {
    case ISA_CLASS_LUT_MMA: return !op->in.start;
    case ISA_CLASS_MMA: return true;
    case ISA_CLASS_DEQUANTIZE: return op->in.opcode != ISA_LUT_ZERO;
    case ISA_CLASS_VECTOR_MULTIPLY:
    case ISA_CLASS_VECTOR_FLOAT:
        return mnemonic_has(op, "macc") || mnemonic_has(op, "msac") || mnemonic_has(op, "madd") ||
               mnemonic_has(op, "msub");
    case ISA_CLASS_VECTOR_PERMUTE: return mnemonic_has(op, "slideup");
    default: return false;
    }
}

static bool is_vector(isa_class class)
{
    return class >= ISA_CLASS_VECTOR && class <= ISA_CLASS_VECTOR_REDUCE;
}

static void set_shape(timing_op *op, const machine *m, const isa_shape *s)
{
    op->cost = isa_cost_of(m, &op->in, s);
    op->cost.energy -= m->energy_instruction; // counted apart
    op->busy = op->cost.busy;
    op->latency = op->cost.latency;
    op->unit = (uint8_t)op->cost.unit;
    add_operands(op, m, s->vl * s->sew);
    if (op->result + op->result_count > TIMING_REGISTERS)
        op->result_count = (uint8_t)(TIMING_REGISTERS - op->result);
    bool in_unit = op->class == ISA_CLASS_LUT_MMA || op->class == ISA_CLASS_MMA;
    op->sums = accumulates(op) && in_unit ? op->result : 0;
    if (accumulates(op) && !in_unit)
        add_source(op, op->result, op->result_count);
    if (is_vector(op->class) && !op->in.vm)
        add_source(op, V, 1);
}

void timing_settle(timing_op *op)
{
    timing_counts *c = &op->counts;
    c->instructions += op->executed;
    c->lookups += op->executed * op->cost.lookups;
    c->multiplies += op->executed * op->cost.multiplies;
    c->read += op->executed * op->cost.read;
    c->written += op->executed * op->cost.written;
    c->busy[op->unit] += op->executed * op->busy;
    c->energy += (double)op->executed * op->cost.energy;
    op->executed = 0;
}

uint64_t timing_shape(const timing_op *op, const hart *h)
{
    if (is_vector(op->class))
        return h->vl << 8 | h->sew;
    return op->in.rs3 ? h->x[op->in.rs3] : 0;
}

// The shape is legal, or the instruction will fault.
static isa_shape shape_of(const timing_op *op, const machine *m, const hart *h)
{
    if (is_vector(op->class))
        return (isa_shape){.vl = h->vl, .sew = 8u << h->sew};
    uint64_t part = op->shape, rows = 0;
    if (op->in.opcode != ISA_LUT_LDA && op->in.opcode != ISA_LUT_STA) {
        rows = part & 0xffff;
        part >>= 16;
    }
    return (isa_shape){.tile_rows = rows <= m->tile_n ? rows : 0,
                       .tile_columns = part <= m->tile_n ? part : 0};
}

void timing_reshape(timing_op *op, const machine *m, const hart *h)
{
    timing_settle(op);
    op->shape = timing_shape(op, h);
    isa_shape s = shape_of(op, m, h);
    set_shape(op, m, &s);
}

static bool has_rows(unsigned opcode)
{
    switch (opcode) {
    case ISA_LUT_LDA:
    case ISA_LUT_STA:
    case ISA_LUT_LDM:
    case ISA_LUT_LDT:
    case ISA_LUT_STM: return true;
    default: return false;
    }
}

static bool is_prefetch(unsigned opcode)
{
    return opcode == ISA_LUT_PF || opcode == ISA_PREFETCH_R || opcode == ISA_PREFETCH_W ||
           opcode == ISA_PREFETCH_I;
}

static timing_use use_of(const timing_op *op)
{
    const unsigned opcode = op->in.opcode;
    const bool vector = op->class == ISA_CLASS_VECTOR_LOAD || op->class == ISA_CLASS_VECTOR_STORE;
    if (is_prefetch(opcode))
        return TIMING_PREFETCHES;
    if (op->class == ISA_CLASS_LOAD || opcode == ISA_LUT_LD)
        return TIMING_LOADS;
    if (op->class == ISA_CLASS_STORE || opcode == ISA_LUT_ST)
        return TIMING_STORES;
    bool touches = vector || has_rows(opcode) || op->cost.read + op->cost.written > 0;
    return touches ? TIMING_MORE : TIMING_NOTHING;
}

void timing_prepare(timing_op *op, const machine *m)
{
    const isa_class class = op->class = isa_rows[op->in.opcode].class;
    op->word = op->in.word;
    op->is_transfer =
        class == ISA_CLASS_BRANCH || class == ISA_CLASS_JUMP || op->in.opcode == ISA_ECALL;
    op->is_fence = op->in.opcode == ISA_FENCE || op->in.opcode == ISA_FENCE_TSO;
    bool rows = has_rows(op->in.opcode);
    op->is_shaped = is_vector(class) || rows;
    op->shape = UINT64_MAX;
    op->chains = is_vector(class) || class == ISA_CLASS_DEQUANTIZE;
    op->needs_data = class == ISA_CLASS_TABLE_BUILD || class == ISA_CLASS_DEQUANTIZE;
    set_shape(op, m, &(isa_shape){.vl = 0, .sew = 8});
    op->access = use_of(op);
}
