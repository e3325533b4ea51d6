// Operations without regions: what is known of their values, and their instructions.
#include "compiler/estimate/walk.h"

#include "isa/options.h"

#include <math.h>
#include <string.h>

static operands operands_of(const walker *w, const ir_op *op)
{
    operands x = {0};
    for (unsigned i = 0; i < op->n_operands && x.n < MOST_OPERANDS; i++)
        if (ir_operand(op, i) && ir_operand(op, i)->type->kind != IR_BUFFER)
            x.items[x.n++] = info(w, ir_operand(op, i))->at;
    return x;
}

operands walk_operand(const walker *w, const ir_value *v)
{
    return (operands){1, {info(w, v)->at}};
}

static const result at_once = {0};

void walk_fail(walker *w, const ir_op *op, const char *what)
{
    if (!w->failed)
        diagnostic_error(w->frame->diagnostics, op->where, "estimate: %s ('%s' in '%s')", what,
                         ir_op_rows[op->code].name, w->info->function->name);
    w->failed = true;
}

void walk_plain(walker *w, isa_opcode opcode, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        hart_issue_plain(w->hart, opcode, &w->shape, NULL);
}

// ---------------------------------------------------------------------- integer values

static int64_t dimension(walker *w, const ir_op *op)
{
    const char *name = ir_find(op, "symbol")->text;
    for (size_t i = 0; i < w->frame->options->dims.count; i++)
        if (!strcmp(w->frame->options->dims.items[i].name, name))
            return w->frame->options->dims.items[i].value;
    walk_fail(w, op, "the size of a dimension is not given");
    return 1;
}

bool evaluate_integer(const ir_op *op, const int64_t *x, int64_t *out)
{
    switch (op->code) {
    case IR_CONSTANT: *out = (int64_t)ir_number(op, "value"); return true;
    case IR_ADD: return !__builtin_add_overflow(x[0], x[1], out);
    case IR_SUB: return !__builtin_sub_overflow(x[0], x[1], out);
    case IR_MUL: return !__builtin_mul_overflow(x[0], x[1], out);
    case IR_DIV: *out = x[1] && !(x[1] == -1 && x[0] == INT64_MIN) ? x[0] / x[1] : 0; return x[1];
    case IR_REM: *out = x[1] > 0 ? x[0] % x[1] : 0; return x[1] > 0;
    case IR_MIN: *out = x[0] < x[1] ? x[0] : x[1]; return true;
    case IR_MAX: *out = x[0] > x[1] ? x[0] : x[1]; return true;
    case IR_NEG: return !__builtin_sub_overflow(0, x[0], out);
    case IR_CAST: *out = x[0]; return true;
    case IR_SELECT: *out = x[0] ? x[1] : x[2]; return true;
    case IR_COMPARE: {
        static const char *const words[] = {"eq", "ne", "lt", "le", "gt", "ge"};
        bool results[] = {x[0] == x[1], x[0] != x[1], x[0]<x[1], x[0] <= x[1], x[0]> x[1],
                          x[0] >= x[1]};
        for (unsigned i = 0; i < 6; i++)
            if (ir_name_is(op, "is", words[i]))
                *out = results[i];
        return true;
    }
    default: return false;
    }
}

static void evaluate(walker *w, ir_op *op)
{
    value_info *r = info(w, &op->results[0]);
    int64_t x[3] = {0};
    r->known = op->n_operands <= 3;
    for (unsigned i = 0; i < op->n_operands && r->known; i++) {
        const value_info *v = info(w, ir_operand(op, i));
        r->known = v->known;
        x[i] = v->value;
    }
    if (op->code == IR_DIMENSION)
        r->value = dimension(w, op);
    else if (op->code == IR_RANK)
        r->value = 0;
    else if (op->code == IR_RANKS)
        r->value = w->frame->options->machine->harts;
    else
        r->known = r->known && evaluate_integer(op, x, &r->value);
    r->at = at_once;
}

// --------------------------------------------------------------------------- addresses

// Harts whose accesses are the same, because the address does not vary with what divides them.
static double share_of(const walker *w, uint64_t varies)
{
    double share = 1;
    for (unsigned d = 0; w->harts > 1 && d < MAX_DEPTH; d++)
        if (w->division[d] > 1 && !(varies >> d & 1))
            share *= w->division[d];
    return share;
}

static void set_share(const walker *w, access *a, uint64_t varies)
{
    const machine *m = w->frame->options->machine;
    double together = m->parts & MACHINE_CLUSTER ? m->cluster_harts : 1;
    unsigned divisions = 0;
    for (unsigned d = 0; w->harts > 1 && d < MAX_DEPTH; d++)
        divisions += w->division[d] > 1;
    a->share = a->write ? 1 : share_of(w, varies);
    // Harts that are divided in two directions stand in a square.
    a->nearby = fmin(a->share, divisions > 1 ? sqrt(together) : together);
}

static uint64_t varies_of(const walker *w, const ir_op *op, const ir_value *buffer, unsigned first)
{
    uint64_t varies = info(w, buffer)->form.varies;
    for (unsigned i = first; i < op->n_operands; i++)
        varies |= info(w, ir_operand(op, i))->form.varies;
    return varies;
}

static unsigned root_of(const walker *w, const ir_value *buffer)
{
    const ir_value *r = info(w, buffer)->root;
    return r && r->kind == IR_VALUE_ARGUMENT && !r->block->parent ? r->index : MAX_ROOTS;
}

// Bytes behind the root's start. Where an index is not known, somewhere.
static int64_t address_of(walker *w, const ir_op *op, const ir_value *buffer, unsigned first)
{
    const ir_type *t = buffer->type;
    int64_t at = 0;
    for (unsigned i = first; i < op->n_operands && i - first < t->rank; i++)
        at += info(w, ir_operand(op, i))->value * element_stride(t, i - first);
    return info(w, buffer)->value + at * (int64_t)scalar_size(t->scalar);
}

static void view(walker *w, ir_op *op)
{
    value_info *r = info(w, &op->results[0]);
    r->value = address_of(w, op, ir_operand(op, 0), 1);
    r->known = true;
    r->at = at_once;
}

// ------------------------------------------------------------------- scalars and vectors

static void set_width(walker *w, unsigned sew, unsigned policy)
{
    if (w->sew == sew && (w->policy == policy || policy == 0))
        return;
    hart_issue_plain(w->hart, ISA_VSETVLI, &w->shape, NULL);
    w->sew = sew;
    w->policy = policy;
}

static bool has_lanes(const ir_op *op)
{
    if (op->n_results && op->results[0].type->kind == IR_VECTOR)
        return true;
    const ir_value *x = ir_operand(op, 0);
    return x && x->type->kind == IR_VECTOR;
}

static bool computes(isa_opcode opcode)
{
    const isa_class class = isa_rows[opcode].class;
    return class != ISA_CLASS_INTEGER && class != ISA_CLASS_VECTOR_SETUP &&
           class != ISA_CLASS_VECTOR_LOAD && class != ISA_CLASS_VECTOR_STORE;
}

// The step that lags behind most, if each is spread evenly over `n` instructions.
static unsigned next_step(const expansion *e, const unsigned *done, unsigned n, unsigned at)
{
    unsigned best = 0;
    int64_t most = INT64_MIN;
    for (unsigned i = 0; i < EXPANSION_STEPS && e->steps[i].count; i++) {
        int64_t behind = (int64_t)e->steps[i].count * (at + 1) - (int64_t)done[i] * n;
        if (done[i] < e->steps[i].count && behind > most) {
            most = behind;
            best = i;
        }
    }
    return best;
}

// The steps of an expansion, mixed as they are scheduled: constants, spilled registers and widths
// between what computes, `chain` of which wait for the one before.
static result run_steps(walker *w, const expansion *e, const operands *x)
{
    unsigned n = 0, computing = 0, links = 0, computed = 0, done[EXPANSION_STEPS] = {0};
    operands chain = *x;
    result last = at_once;
    for (unsigned i = 0; i < EXPANSION_STEPS && e->steps[i].count; i++) {
        n += e->steps[i].count;
        computing += computes(e->steps[i].opcode) ? e->steps[i].count : 0;
    }
    for (unsigned k = 0; k < n; k++) {
        const unsigned i = next_step(e, done, n, k);
        const isa_opcode opcode = e->steps[i].opcode;
        done[i]++;
        if (!computes(opcode)) {
            hart_issue_plain(w->hart, opcode, &w->shape, NULL);
            continue;
        }
        bool linked = links * computing < e->chain * ++computed;
        result t = hart_issue_plain(w->hart, opcode, &w->shape, linked ? &chain : x);
        if (linked)
            chain = (operands){1, {t}, 0, false};
        last = t.ready > last.ready ? t : last;
        links += linked;
    }
    return last;
}

// f16 and narrower floats are computed in f32.
static bool is_narrow(const ir_type *t)
{
    return ir_type_is_float(t) && scalar_rows[t->scalar].bits < 32;
}

// Carried vectors keep the lanes that the last strip does not have.
static bool is_carried(const ir_value *v)
{
    for (const ir_use *u = v->uses; u; u = u->next)
        if (u->op->code == IR_YIELD && u->op->block->parent &&
            u->op->block->parent->code == IR_STRIP)
            return true;
    return false;
}

static result run_vector(walker *w, const ir_op *op, const expansion *e)
{
    operands x = operands_of(w, op);
    bool narrow = op->code != IR_CAST && op->n_results && is_narrow(op->results[0].type);
    for (unsigned i = 0; narrow && i < x.n; i++) {
        if (!is_narrow(ir_operand(op, i)->type))
            continue;
        set_width(w, 16, 0);
        w->shape.sew = 16;
        operands single = {1, {x.items[i]}};
        x.items[i] = hart_issue_plain(w->hart, ISA_VFWCVT_F_F_V, &w->shape, &single);
    }
    set_width(w, e->sew, is_carried(&op->results[0]));
    w->shape.sew = e->sew;
    result y = run_steps(w, e, &x);
    if (narrow) {
        set_width(w, 16, 0);
        w->shape.sew = 16;
        y = hart_issue_plain(w->hart, ISA_VFNCVT_F_F_W, &w->shape, &(operands){1, {y}});
    }
    return y;
}

static const struct {
    ir_opcode code;
    isa_opcode single;
} scalar_floats[] = {
    {IR_DIV, ISA_FDIV_S},  {IR_SQRT, ISA_FSQRT_S}, {IR_RSQRT, ISA_FSQRT_S},
    {IR_FMA, ISA_FMADD_S}, {IR_MUL, ISA_FMUL_S},
};

// Functions of single floats take as many instructions as those of vectors.
static result run_scalar(walker *w, const ir_op *op, const expansion *e)
{
    operands x = operands_of(w, op);
    for (size_t i = 0; i < sizeof scalar_floats / sizeof *scalar_floats; i++)
        if (scalar_floats[i].code == op->code)
            return hart_issue_plain(w->hart, scalar_floats[i].single, &w->shape, &x);
    for (unsigned i = 0; i < e->chain; i++)
        x = (operands){1, {hart_issue_plain(w->hart, ISA_FADD_S, &w->shape, &x)}};
    return x.items[0];
}

static void elementwise(walker *w, ir_op *op)
{
    expansion e;
    value_info *r = info(w, &op->results[0]);
    if (r->is_integer && op->results[0].type->kind != IR_VECTOR) {
        evaluate(w, op);
        return;
    }
    if (!expand_elementwise(op, &e)) {
        walk_fail(w, op, "it is not known what an operation takes");
        return;
    }
    r->at = has_lanes(op) ? run_vector(w, op, &e) : run_scalar(w, op, &e);
}

static void reduce(walker *w, ir_op *op)
{
    w->shape.sew = scalar_rows[ir_operand(op, 0)->type->scalar].bits;
    if (!w->lanes) { // all lanes of a register group
        w->shape.vl = 4 * w->frame->options->machine->vlen / w->shape.sew;
        set_width(w, w->shape.sew, 2);
    }
    operands x = operands_of(w, op);
    x = (operands){1, {hart_issue_plain(w->hart, ISA_VFREDUSUM_VS, &w->shape, &x)}};
    info(w, &op->results[0])->at = hart_issue_plain(w->hart, ISA_VFMV_F_S, &w->shape, &x);
}

// ---------------------------------------------------------------------- scalar accesses

static void move_scalar(walker *w, ir_op *op, bool write)
{
    const ir_value *buffer = ir_operand(op, write);
    unsigned bytes = (unsigned)scalar_size(buffer->type->scalar);
    bool floating = ir_type_is_float(buffer->type);
    access a = {.root = root_of(w, buffer),
                .offset = address_of(w, op, buffer, write + 1),
                .bytes = bytes,
                .rows = 1,
                .write = write};
    set_share(w, &a, varies_of(w, op, buffer, 1));
    isa_instruction in = {.opcode = write ? (floating ? ISA_FSW : ISA_SW)
                                          : (floating ? ISA_FLW : ISA_LW)};
    operands x = {0};
    if (write)
        x = walk_operand(w, ir_operand(op, 0));
    result y = hart_issue(w->hart, &in, &w->shape, &x, 1, &a);
    w->info->ops.items[op->mark].last_address = a.offset;
    if (write)
        return;
    value_info *r = info(w, &op->results[0]);
    r->at = y;
    r->known = r->is_integer;
    bool row = w->info->gathers && buffer->kind == IR_VALUE_ARGUMENT;
    r->value = row ? w->gathered++ : w->frame->options->position;
}

static isa_opcode vector_access(unsigned bits, bool strided, bool write)
{
    static const isa_opcode opcodes[2][2][4] = {
        {{ISA_VLE8_V, ISA_VLE16_V, ISA_VLE32_V, ISA_VLE64_V},
         {ISA_VSE8_V, ISA_VSE16_V, ISA_VSE32_V, ISA_VSE64_V}},
        {{ISA_VLSE8_V, ISA_VLSE16_V, ISA_VLSE32_V, ISA_VLSE64_V},
         {ISA_VSSE8_V, ISA_VSSE16_V, ISA_VSSE32_V, ISA_VSSE64_V}}};
    unsigned size = bits <= 8 ? 0 : bits == 16 ? 1 : bits == 32 ? 2 : 3;
    return opcodes[strided][write][size];
}

static void move_vector(walker *w, ir_op *op, bool write)
{
    const ir_value *buffer = ir_operand(op, write);
    int64_t size = (int64_t)scalar_size(buffer->type->scalar), step = ir_integer(op, "stride");
    bool strided = step != 1;
    access a = {.root = root_of(w, buffer),
                .offset = address_of(w, op, buffer, write + 1),
                .stride = step * size,
                .bytes = strided ? size : size * (int64_t)w->lanes,
                .rows = strided ? (unsigned)w->lanes : 1,
                .write = write};
    set_share(w, &a, varies_of(w, op, buffer, 1));
    isa_instruction in = {.opcode = (uint16_t)vector_access((unsigned)(8 * size), strided, write)};
    operands x = {0};
    if (write)
        x = walk_operand(w, ir_operand(op, 0));
    result y = hart_issue(w->hart, &in, &w->shape, &x, 1, &a);
    w->info->ops.items[op->mark].last_address = a.offset;
    if (!write)
        info(w, &op->results[0])->at = y;
}

// Neighbours move as lanes of twice the number.
static result move_pairs(walker *w, ir_op *op, unsigned slot, const operands *x)
{
    const ir_value *buffer = ir_operand(op, slot);
    int64_t size = (int64_t)scalar_size(buffer->type->scalar);
    access a = {.root = root_of(w, buffer),
                .offset = address_of(w, op, buffer, slot + 1),
                .bytes = 2 * size * (int64_t)w->lanes,
                .rows = 1,
                .write = slot > 0};
    set_share(w, &a, varies_of(w, op, buffer, 1));
    isa_instruction in = {.opcode = (uint16_t)vector_access((unsigned)(8 * size), false, slot > 0)};
    isa_shape shape = {.vl = 2 * w->lanes, .sew = (unsigned)(8 * size)};
    result y = hart_issue(w->hart, &in, &shape, x, 1, &a);
    w->info->ops.items[op->mark].last_address = a.offset;
    return y;
}

// Lanes are narrowed: from wide ones of two neighbours each.
static void load_pairs(walker *w, ir_op *op)
{
    unsigned bits = scalar_rows[ir_operand(op, 0)->type->scalar].bits;
    isa_shape narrow = {.vl = w->lanes, .sew = bits};
    operands x = {.n = 1, .items = {move_pairs(w, op, 0, &(operands){0})}};
    for (unsigned i = 0; i < 2; i++)
        info(w, &op->results[i])->at = hart_issue_plain(w->hart, ISA_VNSRL_WI, &narrow, &x);
}

// Two neighbours become a wide lane by a widening sum and product.
static void store_pairs(walker *w, ir_op *op)
{
    unsigned bits = scalar_rows[ir_operand(op, 2)->type->scalar].bits;
    isa_shape wide = {.vl = w->lanes, .sew = bits};
    operands x = walk_operand(w, ir_operand(op, 0)), y = walk_operand(w, ir_operand(op, 1));
    operands both = {.n = 2, .items = {x.items[0], y.items[0]}};
    both.items[0] = hart_issue_plain(w->hart, ISA_VWADDU_VV, &wide, &both);
    both.items[0] = hart_issue_plain(w->hart, ISA_VWMACCU_VX, &wide, &both);
    both.n = 1;
    move_pairs(w, op, 2, &both);
}

// ------------------------------------------------------------------------------- tiles

static access tile_access(walker *w, const ir_op *op, const char *operand, int64_t bytes,
                          unsigned rows, bool write)
{
    const ir_value *v = ir_operand_named(op, operand);
    const ir_value *stride =
        ir_operand_slot(op->code, "stride") >= 0 ? ir_operand_named(op, "stride") : NULL;
    access a = {.root = root_of(w, v),
                .offset = info(w, v)->value,
                .stride = rows > 1 && stride ? info(w, stride)->value : 0,
                .bytes = bytes,
                .rows = rows,
                .write = write};
    set_share(w, &a, info(w, v)->form.varies);
    return a;
}

// What an instruction touches, as docs/xlut.md says. Returns how many pieces.
static unsigned tile_accesses(walker *w, const ir_op *op, const isa_instruction *in, access *out)
{
    const machine *m = w->frame->options->machine;
    isa_cost c = isa_cost_of(m, in, &w->shape);
    unsigned rows = in->rs2 ? m->tile_m : 1;
    int64_t scale = in->scale_type == 0 ? 2 : 4, n = m->tile_n;
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

static bool run_tile(walker *w, ir_op *op)
{
    isa_instruction in;
    access accesses[2];
    if (run_table(w, op))
        return true;
    if (!tile_instruction(op, &in))
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
static void prefetch(walker *w, const ir_op *op)
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

// -------------------------------------------------------------------------- operations

void walk_operation(walker *w, ir_op *op)
{
    switch (op->code) {
    case IR_VIEW: view(w, op); return;
    case IR_LOAD:
    case IR_STORE: move_scalar(w, op, op->code == IR_STORE); return;
    case IR_VLOAD:
    case IR_VSTORE: move_vector(w, op, op->code == IR_VSTORE); return;
    case IR_VLOAD_PAIRS: load_pairs(w, op); return;
    case IR_VSTORE_PAIRS: store_pairs(w, op); return;
    case IR_REDUCE: reduce(w, op); return;
    case IR_PREFETCH: prefetch(w, op); return;
    case IR_BROADCAST: take(w, &op->results[0], ir_operand(op, 0)); return;
    case IR_LANE: info(w, &op->results[0])->at = at_once; return;
    case IR_YIELD:
    case IR_RETURN:
    case IR_TRAP: return;
    case IR_DIMENSION: evaluate(w, op); return;
    case IR_CONSTANT:
        if (info(w, &op->results[0])->is_integer)
            evaluate(w, op);
        return;
    default:
        if (op->code == IR_RANK || op->code == IR_RANKS)
            evaluate(w, op);
        else if (ir_op_rows[op->code].traits & IR_ELEMENTWISE || op->code == IR_COMPARE ||
                 op->code == IR_SELECT)
            elementwise(w, op);
        else if (!run_tile(w, op))
            walk_fail(w, op, "it is not known what an operation takes");
    }
}
