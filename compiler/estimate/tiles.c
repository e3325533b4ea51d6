// Operations on tiles, and prefetches.
#include "compiler/estimate/walk.h"

#include "isa/options.h"

static access tile_access(walker *w, const ir_op *op, const char *operand, int64_t bytes,
                          unsigned rows, bool write)
{
    const ir_value *v = ir_operand_named(op, operand);
    const ir_value *stride =
        ir_operand_slot(op->code, "stride") >= 0 ? ir_operand_named(op, "stride") : NULL;
    return walk_span(w, v, rows > 1 && stride ? info(w, stride)->value : 0, bytes, rows, write);
}

// With general registers that are 1 where memory has a stride, or scales.
static bool instruction_of(const ir_op *op, isa_instruction *out)
{
    if (!tile_instruction(op, out))
        return false;
    bool strided = ir_operand_slot(op->code, "stride") >= 0 && ir_operand_named(op, "stride");
    out->rs2 = strided || (op->code == IR_XLUT_DEQ && ir_operand_named(op, "table_scale"));
    out->rs3 = op->code == IR_XLUT_TBL && ir_operand_named(op, "scales");
    return true;
}

// What an instruction touches, as docs/xlut.md says. Returns how many pieces.
static unsigned tile_accesses(walker *w, const ir_op *op, const isa_instruction *in, access *out)
{
    const machine *m = w->frame->options->machine;
    isa_cost c = isa_cost_of(m, in, &w->shape);
    unsigned rows = in->rs2 ? m->tile_m : 1;
    int64_t scale = xlut_scale_bytes(in->scale_type), n = m->tile_n;
    switch (op->code) {
    case IR_XLUT_LD: out[0] = tile_access(w, op, "from", (int64_t)c.read, 1, false); return 1;
    case IR_XLUT_ST: out[0] = tile_access(w, op, "to", (int64_t)c.written, 1, true); return 1;
    case IR_XLUT_PF: out[0] = tile_access(w, op, "from", machine_tile_bytes(m), 1, false); return 1;
    case IR_XLUT_TBL: {
        bool dynamic = c.written > 0;
        int64_t activations = (int64_t)c.read - (!dynamic && in->rs3 ? 4 * rows : 0);
        out[0] = tile_access(w, op, "from", activations / rows, rows, false);
        if (in->rs3)
            out[1] =
                tile_access(w, op, "scales", dynamic ? (int64_t)c.written : 4 * rows, 1, dynamic);
        return 1 + (in->rs3 != 0);
    }
    case IR_XLUT_DEQ:
        out[0] = tile_access(w, op, "weight_scale", n * scale, 1, false);
        if (in->rs2)
            out[1] = tile_access(w, op, "table_scale", 4 * m->tile_m, 1, false);
        return 1 + (in->rs2 != 0);
    case IR_XLUT_OFF:
        out[0] = tile_access(w, op, "u", 4 * m->tile_m, 1, false);
        out[1] = tile_access(w, op, "v", n * scale, 1, false);
        return 2;
    case IR_XLUT_LDM:
    case IR_XLUT_STM: {
        bool store = op->code == IR_XLUT_STM;
        int64_t each = (int64_t)(c.read + c.written) / (int64_t)w->shape.tile_rows;
        out[0] =
            tile_access(w, op, store ? "to" : "from", each, (unsigned)w->shape.tile_rows, store);
        return 1;
    }
    case IR_XLUT_LDA:
        out[0] = tile_access(w, op, "from", (int64_t)c.read / rows, rows, false);
        return 1;
    case IR_XLUT_STA:
        out[0] = tile_access(w, op, "to", (int64_t)c.written / rows, rows, true);
        return 1;
    default: return 0;
    }
}

static uint8_t tile_register(const ir_op *op)
{
    const ir_attribute *a =
        op->n_results && op->results[0].type->kind == IR_TILE ? ir_find(op, "register") : NULL;
    return a && a->integer >= 0 && a->integer < ISA_TILE_REGISTERS ? (uint8_t)(a->integer + 1) : 0;
}

// The LUT array and the matrix unit add to sums that they made themselves without waiting.
static operands tile_operands(const walker *w, const ir_op *op)
{
    const ir_value *sums = op->code == IR_XLUT_MMA   ? ir_operand_named(op, "accumulator")
                           : op->code == IR_XLUT_MAC ? ir_operand_named(op, "c")
                                                     : NULL;
    isa_unit unit = op->code == IR_XLUT_MAC ? ISA_UNIT_MATRIX : ISA_UNIT_LUT;
    operands x = {.writes = tile_register(op)};
    for (unsigned i = 0; i < op->n_operands && x.n < MOST_OPERANDS; i++) {
        const ir_value *v = ir_operand(op, i);
        bool own = v && v == sums && info(w, v)->at.unit == unit;
        x.adds = x.adds || own;
        if (v && v->type->kind == IR_TILE && !own)
            x.items[x.n++] = info(w, v)->at;
    }
    return x;
}

// Bytes of a table that is loaded or stored, for units of another width than the encoding has; 0:
// those of the encoding.
static uint64_t table_bytes(const machine *m, const ir_op *op, const isa_instruction *in)
{
    bool load = op->code == IR_XLUT_LD;
    const ir_type *t = load ? op->results[0].type : ir_operand(op, 0)->type;
    if (t->tile != TILE_TABLE || !machine_has(m, ISA_UNIT_LUT) || m->unit_k == ISA_TABLE_WIDTH)
        return 0;
    uint64_t depth = machine_tile_depth(m), lookups = (depth + m->unit_k - 1) / m->unit_k;
    uint64_t encoded = machine_tile_lookups(m) << (ISA_TABLE_WIDTH - 1);
    uint64_t bytes = (in->half ? machine_table_bytes(m) : machine_tile_bytes(m)) *
                     (lookups << (m->unit_k - 1)) / encoded;
    return (bytes + LINE - 1) / LINE * LINE;
}

// How much of a tile is moved: columns of accumulators, rows and bytes of a matrix.
static void set_part(walker *w, const ir_op *op, const isa_instruction *in)
{
    const machine *m = w->frame->options->machine;
    const char *name = op->code == IR_XLUT_LDA || op->code == IR_XLUT_STA   ? "columns"
                       : op->code == IR_XLUT_LDM || op->code == IR_XLUT_STM ? "part"
                                                                            : NULL;
    const ir_value *v = name ? ir_operand_named(op, name) : NULL;
    int64_t part = v ? info(w, v)->value : 0;
    w->shape.tile_rows = 0;
    w->shape.tile_columns = part > 0 && part <= m->tile_n ? (uint64_t)part : 0;
    if (op->code == IR_XLUT_LD || op->code == IR_XLUT_ST)
        w->shape.tile_columns = table_bytes(m, op, in);
    if (op->code != IR_XLUT_LDM && op->code != IR_XLUT_STM)
        return;
    bool b = in->opcode == ISA_LUT_LDM && in->type == XLUT_OPERAND_B;
    uint64_t all = in->opcode == ISA_LUT_LDT ? m->tile_n / 4 : b ? m->tile_n / 8 : 8 * m->tile_m;
    uint64_t rows = (uint64_t)part & 0xffff, bytes = (uint64_t)part >> 16 & 0xffff;
    w->shape.tile_rows = rows && rows < all ? rows : all;
    w->shape.tile_columns = bytes;
}

// Table of m rows of f32 activations, as dynamic as they come.
static const isa_instruction table_built = {.opcode = ISA_LUT_TBL,
                                            .activation = XLUT_ACTIVATION_F32,
                                            .table = XLUT_TABLE_I8_DYNAMIC,
                                            .rs2 = 1,
                                            .rs3 = 1};

// The activations are taken to lie where their table would, which is of much the same size.
static void build_again(walker *w, ir_op *op)
{
    isa_cost c = isa_cost_of(w->frame->options->machine, &table_built, &w->shape);
    access a = tile_access(w, op, "from", (int64_t)c.read, 1, false);
    info(w, &op->results[0])->at = hart_issue(w->hart, &table_built, &w->shape, NULL, 1, &a);
}

// Whether the options change what an operation on tables does; then it is done.
static bool run_table(walker *w, ir_op *op)
{
    estimate_tables tables = w->frame->options->tables;
    const ir_value *stored = op->code == IR_XLUT_ST ? ir_operand(op, 0) : NULL;
    if (tables == ESTIMATE_TABLES_COMPILED)
        return false;
    if (op->code == IR_XLUT_TBL || (stored && stored->type->tile == TILE_TABLE)) {
        if (op->n_results)
            info(w, &op->results[0])->at = at_once;
        return true;
    }
    if (op->code != IR_XLUT_LD || op->results[0].type->tile != TILE_TABLE ||
        tables != ESTIMATE_TABLES_REPEATED)
        return false;
    build_again(w, op);
    return true;
}

bool walk_tile(walker *w, ir_op *op)
{
    isa_instruction in;
    access accesses[2];
    if (run_table(w, op))
        return true;
    if (!instruction_of(op, &in))
        return false;
    const machine *m = w->frame->options->machine;
    bool full = in.opcode == ISA_LMMA && in.form == XLUT_FORM_FULL;
    const char *lacks =
        !machine_has(m, isa_cost_of(m, &in, &w->shape).unit) ? "the machine lacks the unit"
        : full && m->unit_k != ISA_TABLE_WIDTH               ? "full tables are for units of k = 4"
                                                             : NULL;
    if (lacks) {
        walk_fail(w, op, lacks);
        return true;
    }
    set_part(w, op, &in);
    unsigned n = tile_accesses(w, op, &in, accesses);
    operands x = tile_operands(w, op);
    result y = hart_issue(w->hart, &in, &w->shape, &x, n, accesses);
    if (n)
        w->info->ops.items[op->mark].last_address = accesses[0].offset;
    if (op->n_results)
        info(w, &op->results[0])->at = y;
    return true;
}

// An instruction for each line.
void walk_prefetch(walker *w, const ir_op *op)
{
    const isa_instruction in = {.opcode = ISA_PREFETCH_R};
    const ir_type *t = ir_operand(op, 0)->type;
    int64_t bytes = (int64_t)scalar_size(t->scalar);
    for (unsigned i = 0; i < t->rank; i++)
        bytes *= t->dims[i].value;
    access a = tile_access(w, op, "from", LINE, 1, false);
    operands none = {0};
    w->info->ops.items[op->mark].last_address = a.offset;
    for (int64_t i = 0; i < bytes; i += LINE, a.offset += LINE)
        hart_issue(w->hart, &in, &w->shape, &none, 1, &a);
}

void walk_prefetched(walker *w, ir_block *b)
{
    IR_FOR_OPS(op, b)
    {
        bool address = op->n_results == 1 && (op->results[0].type->kind == IR_INDEX ||
                                              op->results[0].type->kind == IR_BUFFER);
        if (address && (ir_op_rows[op->code].traits & IR_PURE))
            walk_operation(w, op);
        if (op->code != IR_XLUT_PF)
            continue;
        int64_t bytes = machine_tile_bytes(w->frame->options->machine);
        access a = tile_access(w, op, "from", bytes, 1, false);
        hart_have(w->hart, &a);
    }
}
