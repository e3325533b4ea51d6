// Row-wise kernels: norms, softmax, quantization and elementwise operations of
// one row after the other, with table building behind every row tile.
//
// A row is worked on in stages. Each stage is one pass over the columns that
// computes the values whose operands are available, and accumulates the
// reductions that the next stage needs. A value that a later stage needs again
// is kept in a panel: the rows of one row tile, zero-padded to the tile depth
// so that tables can be built from it.
#include "compiler/passes/lower/rows.h"
#include "compiler/passes/lower/native.h"

enum { MAX_STAGES = 64 };

// How many passes over the row a result lies behind its operand, and what each pass reduces.
typedef struct reduction_rule {
    ir_opcode code;
    int passes;
    const char *by[2];
} reduction_rule;
static const reduction_rule reduction_rules[] = {
    {IR_RMS_NORM, 1, {"add"}},
    {IR_LAYER_NORM, 2, {"add", "add"}},
    {IR_SOFTMAX, 2, {"max", "add"}},
    {IR_QUANTIZE, 1, {"max"}},
};

static const reduction_rule *rule_of(const ir_op *op)
{
    for (size_t i = 0; i < sizeof reduction_rules / sizeof *reduction_rules; i++) {
        if (reduction_rules[i].code == op->code)
            return &reduction_rules[i];
    }
    return NULL;
}

row_value *rows_find_value(rows_kernel *k, const ir_value *v)
{
    for (size_t i = 0; i < k->values.count; i++) {
        if (k->values.items[i].value == v)
            return &k->values.items[i];
    }
    return NULL;
}

row_reduction *rows_find_reduction(rows_kernel *k, const ir_op *op, int pass)
{
    for (size_t i = 0; i < k->reductions.count; i++) {
        row_reduction *r = &k->reductions.items[i];
        if (r->op == op && pass-- == 0)
            return r;
    }
    INTERNAL_ERROR("a row operation without its reduction");
}

// ------------------------------------------------------------------- planning

static void add_value(rows_kernel *k, ir_value *v, int stage)
{
    ARRAY_PUSH(k->l->arena, &k->values, (row_value){.value = v, .stage = stage, .last_use = stage});
}

static void note_use(rows_kernel *k, ir_value *v, int stage)
{
    row_value *known = rows_find_value(k, v);
    if (known && stage > known->last_use)
        known->last_use = stage;
}

static int operand_stage(rows_kernel *k, const ir_op *op)
{
    int stage = 0;
    for (unsigned i = 0; i < op->n_operands; i++) {
        ir_value *v = ir_operand(op, i);
        row_value *known = v ? rows_find_value(k, v) : NULL;
        if (known && known->stage > stage)
            stage = known->stage;
    }
    return stage;
}

static bool is_yielded(const rows_kernel *k, const ir_op *op)
{
    for (const ir_use *use = op->results[0].uses; use; use = use->next)
        if (use->op == k->l->region->last)
            return true;
    return false;
}

// A scale divides a factor of the row out of its tables again. So the tables of a norm are built
// before the factor is known, which the scales are multiplied by.
static bool gives_factor(const rows_kernel *k, const ir_op *op)
{
    if (op->code != IR_RMS_NORM || k->deferred || is_native(k->l->context) ||
        op->results[0].type->scalar != SCALAR_F32)
        return false;
    for (const ir_use *use = op->results[0].uses; use; use = use->next) {
        const ir_type *table = use->op->code == IR_LUT_PRECOMPUTE ? use->op->results[0].type : NULL;
        if (!table || table->scalar != SCALAR_I8 || table->format ||
            (table->scale != TABLE_SCALE_ROW && table->scale != TABLE_SCALE_GROUP))
            return false;
    }
    return true;
}

static void plan_op(rows_kernel *k, ir_op *op)
{
    if (op->code == IR_CONSTANT || op->code == IR_YIELD ||
        (op->code == IR_IOTA && !is_yielded(k, op))) // computed where it is needed
        return;
    if (op->code == IR_LUT_PRECOMPUTE) {
        ir_value *x = ir_operand(op, 0);
        if (!rows_find_value(k, x))
            add_value(k, x, 0); // an input of the kernel: copied, or used in place
        rows_find_value(k, x)->tabulated = true;
        k->tables = true;
        return;
    }
    const reduction_rule *rule = rule_of(op);
    bool deferred = gives_factor(k, op);
    int first = operand_stage(k, op), last = first + (rule && !deferred ? rule->passes : 0);
    if (deferred) {
        k->deferred = op;
        k->factors = low_scratch(k->l, SCALAR_F32, 1, k->l->m);
    }
    for (int i = 0; rule && i < rule->passes; i++)
        ARRAY_PUSH(k->l->arena, &k->reductions,
                   (row_reduction){.op = op, .stage = first + i, .by = rule->by[i]});
    for (unsigned i = 0; i < op->n_operands; i++) {
        if (ir_operand(op, i))
            note_use(k, ir_operand(op, i), last);
    }
    for (unsigned i = 0; i < op->n_results; i++)
        add_value(k, &op->results[i], last);
    if (last + 1 > k->stages)
        k->stages = last + 1;
}

// Tables can be built straight from an input whose rows need no padding and always come in the
// one-row or m-row form.
static bool used_in_place(const rows_kernel *k, const row_value *v)
{
    return v->value->kind == IR_VALUE_ARGUMENT && ir_dim_is_constant(k->columns) &&
           k->columns.value % k->l->depth == 0 && k->l->m <= 2;
}

static void plan(rows_kernel *k)
{
    lowering *l = k->l;
    k->stages = 1;
    IR_FOR_OPS(op, l->region)
    plan_op(k, op);
    ir_op *yield = l->region->last;
    for (unsigned i = 0; i < yield->n_operands; i++) {
        row_value *v = rows_find_value(k, ir_operand(yield, i));
        if (v)
            v->out = &l->outputs[i];
    }
    int64_t columns = ir_dim_maximum(k->columns);
    k->padded = (columns + l->depth - 1) / l->depth * l->depth;
    for (size_t i = 0; i < k->values.count; i++) {
        row_value *v = &k->values.items[i];
        bool kept = v->last_use > v->stage && !v->out && v->value->kind == IR_VALUE_RESULT;
        if (v->tabulated ? !used_in_place(k, v) : kept)
            v->panel = low_scratch(l, v->value->type->scalar, v->tabulated ? l->m : 1, k->padded);
    }
    IR_FOR_OPS(op, l->region)
    {
        if (op->code == IR_SOFTMAX)
            k->exponentials = low_scratch(l, SCALAR_F32, 1, k->padded);
    }
}

// ------------------------------------------------------------------- building

static ir_value *panel_row(rows_kernel *k, const row_value *v)
{
    return v->tabulated ? k->tile_row : low_index(k->l, 0);
}

ir_value *rows_find_kept(lowering *l, strip_scope *s, ir_value *v)
{
    rows_kernel *k = s->context;
    row_value *known = rows_find_value(k, v);
    if (!known || known->stage >= k->stage || v->kind != IR_VALUE_RESULT)
        return NULL;
    if (known->panel)
        return low_vload(l, known->panel, panel_row(k, known), s->column, 1);
    return low_vload(l, known->out->buffer, s->row, s->column, 1);
}

static void keep(rows_kernel *k, strip_scope *s, ir_value *v, ir_value *vector)
{
    row_value *known = rows_find_value(k, v);
    ir_value *stored = low_cast(k->l, vector, v->type->scalar);
    if (known->panel)
        low_vstore(k->l, stored, known->panel, panel_row(k, known), s->column, 1);
    if (known->out)
        low_vstore(k->l, stored, known->out->buffer, s->row, s->column, 1);
}

// Norms, softmax and quantization are computed in f32 whatever they are of.
static ir_value *strip_f32(lowering *l, strip_scope *s, ir_value *v)
{
    return low_cast(l, strip_value(l, s, v), SCALAR_F32);
}

static ir_value *gain_and_bias(lowering *l, strip_scope *s, ir_op *op, ir_value *y)
{
    ir_value *gain = ir_operand_named(op, "gain");
    ir_value *bias = op->code == IR_LAYER_NORM ? ir_operand_named(op, "bias") : NULL;
    // Their one row stands beside every row of the kernel.
    strip_scope first = *s;
    first.row = low_index(l, 0);
    if (gain)
        y = low_binary(l, IR_MUL, y, strip_f32(l, &first, gain));
    if (bias)
        y = low_binary(l, IR_ADD, y, strip_f32(l, &first, bias));
    s->known = first.known;
    s->n_known = first.n_known;
    s->capacity = first.capacity;
    return y;
}

// The value of a norm, softmax or quantize behind its last reduction.
static ir_value *finished(rows_kernel *k, strip_scope *s, ir_op *op)
{
    lowering *l = k->l;
    ir_value *scalar = rows_find_reduction(k, op, 0)->scalar;
    if (op->code == IR_SOFTMAX) {
        ir_value *e = low_vload(l, k->exponentials, low_index(l, 0), s->column, 1);
        return low_binary(l, IR_MUL, e, low_broadcast(l, rows_find_reduction(k, op, 1)->scalar));
    }
    ir_value *x = strip_f32(l, s, ir_operand(op, 0));
    if (op == k->deferred)
        return gain_and_bias(l, s, op, x);
    switch (op->code) {
    case IR_RMS_NORM:
        return gain_and_bias(l, s, op, low_binary(l, IR_MUL, x, low_broadcast(l, scalar)));
    case IR_LAYER_NORM:
        x = low_binary(l, IR_SUB, x, low_broadcast(l, scalar));
        x = low_binary(l, IR_MUL, x, low_broadcast(l, rows_find_reduction(k, op, 1)->scalar));
        return gain_and_bias(l, s, op, x);
    case IR_QUANTIZE: {
        // A zero row divides by one: its scale is 0, its codes must be 0.
        ir_value *zero = low_number(l, SCALAR_F32, 0), *one = low_number(l, SCALAR_F32, 1);
        ir_value *is_zero = low_compare(l, "eq", scalar, zero);
        ir_value *divisor = ir_build1(&l->at, IR_SELECT, scalar->type, is_zero, one, scalar);
        x = low_binary(l, IR_DIV, x, low_broadcast(l, divisor));
        return scalar_is_integer(op->results[0].type->scalar) ? low_unary(l, IR_ROUND, x) : x;
    }
    default: UNREACHABLE();
    }
}

static ir_value *add_square(lowering *l, ir_value *sum, ir_value *x)
{
    return ir_build1(&l->at, IR_FMA, sum->type, x, x, sum);
}

ir_value *rows_reduced(rows_kernel *k, strip_scope *s, row_reduction *r, int pass, ir_value *sum)
{
    lowering *l = k->l;
    ir_value *x = strip_f32(l, s, ir_operand(r->op, 0));
    ir_value *scalar = pass ? rows_find_reduction(k, r->op, 0)->scalar : NULL;
    switch (r->op->code) {
    case IR_RMS_NORM: return add_square(l, sum, x);
    case IR_QUANTIZE: return low_binary(l, IR_MAX, sum, low_unary(l, IR_ABS, x));
    case IR_LAYER_NORM:
        if (pass == 0)
            return low_binary(l, IR_ADD, sum, x);
        return add_square(l, sum, low_binary(l, IR_SUB, x, low_broadcast(l, scalar)));
    case IR_SOFTMAX:
        if (pass == 0)
            return low_binary(l, IR_MAX, sum, x);
        x = low_exp_of_rest(l, x, low_broadcast(l, scalar));
        low_vstore(l, x, k->exponentials, low_index(l, 0), s->column, 1);
        return low_binary(l, IR_ADD, sum, x);
    default: UNREACHABLE();
    }
}

// The scalar that the next stage uses, from the row's sum or maximum.
static ir_value *concluded(rows_kernel *k, row_reduction *r, int pass, ir_value *total)
{
    lowering *l = k->l;
    ir_op *op = r->op;
    ir_value *columns = low_cast(l, low_dim(l, k->columns), SCALAR_F32);
    ir_value *one = low_number(l, SCALAR_F32, 1);
    switch (op->code) {
    case IR_RMS_NORM:
    case IR_LAYER_NORM: {
        ir_value *mean = low_binary(l, IR_DIV, total, columns);
        if (op->code == IR_LAYER_NORM && pass == 0)
            return mean;
        ir_value *eps = low_number(l, SCALAR_F32, ir_number(op, "eps"));
        return low_binary(l, IR_DIV, one, low_unary(l, IR_SQRT, low_binary(l, IR_ADD, mean, eps)));
    }
    case IR_SOFTMAX: return pass == 0 ? total : low_binary(l, IR_DIV, one, total);
    case IR_QUANTIZE: {
        double most = scalar_largest(op->results[0].type->scalar);
        ir_value *scale = low_binary(l, IR_DIV, total, low_number(l, SCALAR_F32, most));
        row_value *known = rows_find_value(k, &op->results[1]);
        if (known && known->out) // one number per row, rows contiguous
            low_store(l, scale, known->out->buffer, low_index(l, 0), k->row);
        return scale;
    }
    default: UNREACHABLE();
    }
}

static int pass_of(rows_kernel *k, const row_reduction *r)
{
    int pass = 0;
    for (size_t i = 0; &k->reductions.items[i] != r; i++)
        pass += k->reductions.items[i].op == r->op;
    return pass;
}

void rows_conclude(rows_kernel *k, row_reduction *r, ir_value *total)
{
    r->scalar = concluded(k, r, pass_of(k, r), total);
    if (r->op == k->deferred)
        low_store(k->l, r->scalar, k->factors, low_index(k->l, 0), k->tile_row);
}

void rows_build_values(rows_kernel *k, strip_scope *s)
{
    lowering *l = k->l;
    for (size_t i = 0; i < k->values.count; i++) {
        row_value *v = &k->values.items[i];
        if (v->stage != k->stage || (v->value->kind == IR_VALUE_RESULT && v->value->index > 0))
            continue; // second results (the scale of quantize) are scalars
        if (v->value->kind == IR_VALUE_ARGUMENT) {
            if (v->panel)
                keep(k, s, v->value, strip_value(l, s, v->value));
            continue;
        }
        ir_op *op = v->value->op;
        l->at.where = op->where;
        ir_value *y;
        if (rule_of(op)) {
            y = finished(k, s, op);
            y = op->code == IR_QUANTIZE ? low_cast(l, y, v->value->type->scalar)
                                        : low_round_to(l, y, v->value->type->scalar);
            strip_remember(l, s, v->value, y);
        } else {
            y = op->code == IR_IOTA ? strip_value(l, s, v->value) : strip_elementwise(l, s, op);
        }
        keep(k, s, v->value, y);
    }
}

static void build_stage(rows_kernel *k, int stage)
{
    lowering *l = k->l;
    row_reduction *active[16];
    ir_value *initial[16], *next[16];
    unsigned n = 0;
    bool sums = false;
    for (size_t i = 0; i < k->reductions.count; i++) {
        row_reduction *r = &k->reductions.items[i];
        if (r->stage != stage)
            continue;
        if (n == 16)
            INTERNAL_ERROR("a kernel with more than 16 reductions in a stage");
        double identity = r->by[0] == 'a' || r->op->code == IR_QUANTIZE ? 0 : -__builtin_inf();
        initial[n] = low_broadcast(l, low_number(l, SCALAR_F32, identity));
        active[n++] = r;
    }
    k->stage = stage;
    low_loop strip;
    low_strip_begin(l, &strip, low_dim(l, k->columns), k->width, n, initial);
    strip_scope scope = {
        .row = k->row, .column = strip.counter, .find = rows_find_kept, .context = k};
    rows_build_values(k, &scope);
    for (unsigned i = 0; i < n; i++) {
        l->at.where = active[i]->op->where;
        next[i] = rows_reduced(k, &scope, active[i], pass_of(k, active[i]), strip.carried[i]);
        sums |= active[i]->by[0] == 'a';
    }
    low_loop_end(l, &strip, next);
    if (!sums || k->deferred) // sums' order is that of lanes, whatever else is in the strip
        low_widen_groups(l, strip.op);
    for (unsigned i = 0; i < n; i++) {
        l->at.where = active[i]->op->where;
        rows_conclude(k, active[i], low_reduce(l, ir_result(strip.op, i), active[i]->by));
    }
}

static void build_row(rows_kernel *k)
{
    bool nothing = k->reductions.count == 0;
    for (size_t i = 0; i < k->values.count; i++)
        nothing = nothing && k->values.items[i].value->kind == IR_VALUE_ARGUMENT &&
                  !k->values.items[i].panel;
    for (int stage = 0; stage < k->stages && !nothing; stage++)
        build_stage(k, stage);
}

// ---------------------------------------------------------------------- tables

table_source rows_table_source(rows_kernel *k, const ir_op *precompute, ir_value *row_tile)
{
    lowering *l = k->l;
    row_value *x = rows_find_value(k, ir_operand(precompute, 0));
    ir_value *book = ir_operand_named(precompute, "codebook");
    table_source from = {.scalar = x->value->type->scalar, .columns = k->columns.value};
    from.activations = x->panel ? x->panel : l->inputs[x->value->index].buffer;
    from.book = book ? &l->inputs[book->index] : NULL;
    from.first_row = x->panel ? low_index(l, 0) : low_mul(l, row_tile, low_index(l, l->m));
    from.factors = k->deferred && x->value->op == k->deferred ? k->factors : NULL;
    return from;
}

static bool build_tables(rows_kernel *k, ir_value *row_tile, bool one_row)
{
    lowering *l = k->l;
    ir_op *yield = l->region->last;
    IR_FOR_OPS(op, l->region)
    {
        if (op->code != IR_LUT_PRECOMPUTE)
            continue;
        table_source from = rows_table_source(k, op, row_tile);
        l->at.where = op->where;
        for (unsigned i = 0; i < yield->n_operands; i++) {
            if (ir_operand(yield, i) == &op->results[0] &&
                !lower_table(l, &l->outputs[i], &from, row_tile, one_row))
                return false;
        }
    }
    return true;
}

static void clear_panels(rows_kernel *k, ir_value *from_row, ir_value *to_row,
                         ir_value *from_column)
{
    lowering *l = k->l;
    for (size_t i = 0; i < k->values.count; i++) {
        row_value *v = &k->values.items[i];
        if (!v->panel || !v->tabulated)
            continue;
        low_loop rows;
        low_for_begin(l, &rows, from_row, to_row, low_index(l, 1), 0, NULL);
        low_fill(l, v->panel, rows.counter, from_column, low_index(l, k->padded), 0);
        low_loop_end(l, &rows, NULL);
    }
}

// The rows of one row tile, then its tables. `count`: valid rows.
static bool build_row_tile(rows_kernel *k, ir_value *row_tile, ir_value *count, bool one_row)
{
    lowering *l = k->l;
    ir_value *first = low_mul(l, row_tile, low_index(l, l->m));
    low_loop rows;
    low_for_begin(l, &rows, low_index(l, 0), count, low_index(l, 1), 0, NULL);
    k->tile_row = rows.counter;
    k->row = low_add(l, first, rows.counter);
    build_row(k);
    low_loop_end(l, &rows, NULL);
    return build_tables(k, row_tile, one_row);
}

// The columns that the kernel's strips run over: those of its widest value.
static ir_dim kernel_columns(ir_block *region)
{
    ir_dim columns = ir_dim_constant(1);
    IR_FOR_OPS(op, region)
    {
        for (unsigned i = 0; i < op->n_results; i++) {
            const ir_type *t = op->results[i].type;
            if (op->code == IR_CONSTANT || (op->code == IR_QUANTIZE && i == 1))
                continue;
            if (!(ir_dim_is_constant(low_columns(t)) && low_columns(t).value == 1))
                columns = low_columns(t);
        }
    }
    return columns;
}

// The type whose leading dimensions are the kernel's rows. A table's rows are those of its
// activations; a row's scale alone would hide them in its last dimension.
static const ir_type *row_space(ir_block *region)
{
    const ir_type *first = NULL;
    bool found = false; // what has all rows: constants and iotas stand beside every one
    IR_FOR_OPS(op, region)
    {
        if (op->code == IR_LUT_PRECOMPUTE)
            return op->results[0].type;
        bool leaf = op->code == IR_CONSTANT || op->code == IR_IOTA;
        if (op->n_results > 0 && (!first || !(leaf || found))) {
            first = op->results[0].type;
            found = !leaf;
        }
    }
    return first;
}

static bool build_by_tiles(rows_kernel *k)
{
    lowering *l = k->l;
    ir_value *m = low_index(l, l->m), *zero = low_index(l, 0);
    IR_FOR_OPS(op, l->region)
    {
        if (op->code == IR_LUT_PRECOMPUTE)
            prepare_table(l, op->results[0].type);
    }
    bool sliced = rows_are_sliced(k);
    if (sliced)
        rows_prepare_slices(k);
    if (k->columns.value != k->padded)
        clear_panels(k, zero, m, low_dim(l, k->columns));
    ir_value *full = low_div(l, l->rows, m);
    bool good = true;
    if (graph_rows(row_space(l->region)) >= l->m || l->m == 1) {
        low_loop tiles;
        low_shared_begin(l, &tiles, full, "turns");
        if (sliced)
            rows_build_sliced_tile(k, tiles.counter);
        else
            good = build_row_tile(k, tiles.counter, m, l->m == 1);
        low_loop_end(l, &tiles, NULL);
    }
    if (l->m == 1 || !good)
        return good;
    ir_value *rest = low_rem(l, l->rows, m);
    int64_t known;
    if (low_is_constant(rest, &known) && known == 0)
        return good;
    low_loop last;
    low_shared_begin(l, &last, low_min(l, rest, low_index(l, 1)), "turns");
    if (l->m > 2)
        clear_panels(k, rest, m, zero);
    good = build_row_tile(k, full, rest, l->m == 2);
    low_loop_end(l, &last, NULL);
    return good;
}

// ---------------------------------------------------------------------- kernel

bool lower_rows_kernel(lowering *l)
{
    rows_kernel k = {
        .l = l, .columns = kernel_columns(l->region), .width = low_region_width(l->region)};
    const ir_type *space = row_space(l->region);
    l->rows = low_row_count(l, space);
    plan(&k);
    if (k.tables)
        return build_by_tiles(&k);
    low_loop rows;
    low_shared_begin(l, &rows, l->rows, "turns");
    k.row = rows.counter;
    k.tile_row = low_index(l, 0);
    build_row(&k);
    low_loop_end(l, &rows, NULL);
    return true;
}
