// lower-to-tile: every entry becomes a sequence of calls of its kernels' functions
// (kernel.c). Kernels that are equal, or come out equal, share one function.
#include "compiler/passes/lower/kernel.h"

// ------------------------------------------------------------------- entries

// A kernel whose function is there: equal kernels are called like it.
typedef struct lowered_kernel {
    const ir_op *kernel;
    ir_function *function;
    uint64_t hash, function_hash;
    const argument_source *arguments;
    size_t n_arguments;
} lowered_kernel;
typedef ARRAY_OF(lowered_kernel) kernel_list;

typedef struct entry_symbol {
    const ir_symbol *symbol;
    ir_value *value;
} entry_symbol;

typedef struct entry_lowering {
    ir_module *module;
    pass_context *context;
    arena *arena;
    ir_function *old, *new;
    ir_builder at;
    ir_value *zero;
    lowering shape; // tile shape only, for parts_of
    ARRAY_OF(place) places;
    ARRAY_OF(entry_symbol) symbols;
    kernel_list *kernels; // of the whole module
} entry_lowering;

static place *place_of(entry_lowering *e, ir_value *v)
{
    if (v->mark == 0) {
        ARRAY_PUSH(e->arena, &e->places, (place){.type = v->type});
        v->mark = (int64_t)e->places.count;
    }
    return &e->places.items[v->mark - 1];
}

// What every call needs stands once at the entry's head.
static ir_builder at_head(entry_lowering *e)
{
    ir_block *body = e->new->body;
    ir_builder b = body->first ? ir_builder_before(body->first) : ir_builder_at_end(body);
    b.where = e->old->where;
    return b;
}

static ir_value *entry_zero(entry_lowering *e)
{
    if (!e->zero) {
        ir_builder head = at_head(e);
        e->zero = ir_build1(&head, IR_CONSTANT, ir_type_index(e->module), NULL, NULL, NULL);
        ir_set_number(e->zero->op, "value", 0);
        e->zero->name = ir_intern(e->module, "c0");
    }
    return e->zero;
}

static ir_value *as_type(entry_lowering *e, ir_value *buffer, const ir_type *type)
{
    if (buffer->type == type || type->kind != IR_BUFFER)
        return buffer;
    ir_value *operands[1 + IR_MAX_RANK] = {buffer};
    ir_value *zero = entry_zero(e);
    for (unsigned i = 0; i < buffer->type->rank; i++)
        operands[1 + i] = zero;
    return ir_result(ir_build(&e->at, IR_VIEW, 1 + buffer->type->rank, operands, 1, &type), 0);
}

static ir_value *allocate(entry_lowering *e, const ir_type *type, const char *name)
{
    ir_value *v = ir_build1(&e->at, IR_ALLOC, type, NULL, NULL, NULL);
    v->name = name;
    return v;
}

// Tables are kept by row tile.
static int64_t buffer_rows(const entry_lowering *e, const ir_type *t, int64_t rows)
{
    return t->kind == IR_TABLE ? rows / e->shape.m + (rows % e->shape.m != 0) : rows;
}

// Rows where all dimensions are 1; 0: there are always as many.
static int64_t least_rows(const ir_type *t)
{
    int64_t rows = 1;
    bool varies = false;
    for (unsigned i = 0; i + 1 < t->rank; i++) {
        varies |= !ir_dim_is_constant(t->dims[i]);
        if (__builtin_mul_overflow(rows, t->dims[i].value, &rows))
            return 0;
    }
    return varies && ir_dim_is_constant(low_columns(t)) ? rows : 0;
}

static ir_value *allocate_part(entry_lowering *e, const ir_type *graph, const ir_type *part,
                               const char *name)
{
    int64_t rows = buffer_rows(e, graph, graph_rows(graph));
    int64_t least = buffer_rows(e, graph, least_rows(graph));
    const int64_t columns = ir_dim_maximum(low_columns(graph));
    ir_dim dims[2] = {ir_dim_constant(rows), part->dims[part->rank - 1]};
    int64_t elements;
    if (__builtin_mul_overflow(rows, columns, &elements))
        elements = INT64_MAX; // which plan-memory refuses
    if (part->rank == 1) {
        dims[0] = ir_dim_constant(elements);
        least = elements < INT64_MAX ? least * columns : 0;
    }
    ir_value *v = allocate(e, ir_type_buffer(e->module, part->scalar, part->rank, dims), name);
    if (least)
        ir_set_integer(v->op, "least", least);
    return as_type(e, v, part);
}

static void bind_global(entry_lowering *e, place *p, ir_value *v)
{
    const ir_type *parts[PLACE_MAX_PARTS];
    parts_of(&e->shape, v->type, parts);
    ir_value *address = ir_build1(&e->at, IR_ADDRESS, parts[0], v, NULL, NULL);
    p->buffer = address;
}

static place *operand_place(entry_lowering *e, ir_value *v)
{
    bool fresh = v->mark == 0;
    place *p = place_of(e, v);
    if (fresh && v->kind == IR_VALUE_GLOBAL)
        bind_global(e, p, v);
    return p;
}

static void bind_result(entry_lowering *e, ir_value *v)
{
    const ir_type *parts[PLACE_MAX_PARTS];
    unsigned n = parts_of(&e->shape, v->type, parts);
    for (unsigned i = 0; i < n; i++) {
        ir_value *part = *part_slot(place_of(e, v), i); // already a function result?
        if (!part)
            part = allocate_part(e, v->type, parts[i], v->name);
        *part_slot(place_of(e, v), i) = part;
    }
}

static ir_value *symbol_of(entry_lowering *e, const ir_symbol *symbol)
{
    for (size_t i = 0; i < e->symbols.count; i++) {
        if (e->symbols.items[i].symbol == symbol)
            return e->symbols.items[i].value;
    }
    ir_builder head = at_head(e);
    ir_value *v = ir_build1(&head, IR_DIMENSION, ir_type_index(e->module), NULL, NULL, NULL);
    ir_set_text(v->op, "symbol", symbol->name);
    v->name = symbol->name;
    ARRAY_PUSH(e->arena, &e->symbols, (entry_symbol){symbol, v});
    return v;
}

static ir_value *argument_value(entry_lowering *e, const ir_op *kernel, const argument_source *s)
{
    switch (s->kind) {
    case ARGUMENT_INPUT: return *part_slot(operand_place(e, ir_operand(kernel, s->index)), s->part);
    case ARGUMENT_OUTPUT: return *part_slot(place_of(e, &kernel->results[s->index]), s->part);
    case ARGUMENT_SCRATCH: return allocate(e, s->type, "scratch");
    case ARGUMENT_SYMBOL: return symbol_of(e, s->symbol);
    }
    UNREACHABLE();
}

static const lowered_kernel *find_kernel(const entry_lowering *e, const ir_op *op, uint64_t hash)
{
    for (size_t i = 0; i < e->kernels->count; i++) {
        const lowered_kernel *k = &e->kernels->items[i];
        if (k->hash == hash && ir_same_attributes(k->kernel, op) &&
            ir_block_equal(k->kernel->regions[0], op->regions[0]))
            return k;
    }
    return NULL;
}

// Kernels that differ may still come out as equal functions.
static ir_function *shared_function(const entry_lowering *e, ir_function *f, uint64_t hash)
{
    for (size_t i = 0; i < e->kernels->count; i++) {
        ir_function *other = e->kernels->items[i].function;
        if (e->kernels->items[i].function_hash == hash && ir_function_equal(other, f)) {
            ir_function_remove(f);
            return other;
        }
    }
    return f;
}

// NULL: reported.
static const lowered_kernel *kernel_for(entry_lowering *e, ir_op *op)
{
    uint64_t hash = ir_block_hash(op->regions[0]);
    const lowered_kernel *known = find_kernel(e, op, hash);
    if (known)
        return known;
    lowering l = e->shape;
    l.kernel = op;
    l.region = op->regions[0];
    if (!lower_kernel(&l))
        return NULL;
    lowered_kernel k = {.kernel = op,
                        .hash = hash,
                        .function_hash = ir_function_hash(l.function),
                        .arguments = l.arguments.items,
                        .n_arguments = l.arguments.count};
    k.function = shared_function(e, l.function, k.function_hash);
    ARRAY_PUSH(e->arena, e->kernels, k);
    return &e->kernels->items[e->kernels->count - 1];
}

static bool lower_kernel_op(entry_lowering *e, ir_op *op)
{
    const lowered_kernel *k = kernel_for(e, op);
    for (unsigned i = 0; i < op->n_results; i++) // what follows is looked at in any case
        bind_result(e, &op->results[i]);
    if (!k)
        return false;
    ir_value **arguments = ARENA_ARRAY(e->arena, ir_value *, k->n_arguments);
    for (size_t i = 0; i < k->n_arguments; i++) {
        ir_value *v = argument_value(e, op, &k->arguments[i]);
        arguments[i] = as_type(e, v, k->function->body->arguments.items[i]->type);
    }
    ir_op *call = ir_build(&e->at, IR_CALL, (unsigned)k->n_arguments, arguments, 0, NULL);
    ir_set_text(call, "callee", k->function->name);
    return true;
}

static void lower_reshape(entry_lowering *e, ir_op *op)
{
    ir_value *from = operand_place(e, ir_operand(op, 0))->buffer;
    place *to = place_of(e, &op->results[0]);
    if (!to->buffer)
        to->buffer = as_type(e, from, flat_buffer(e->module, op->results[0].type));
}

static void lower_dim(entry_lowering *e, ir_op *op)
{
    const ir_symbol *symbol = ir_symbol_find(e->module, ir_name(op, "symbol"));
    place_of(e, &op->results[0])->scalar = symbol_of(e, symbol);
}

// Index and scalar arithmetic between kernels stays as it is.
static void lower_scalar_op(entry_lowering *e, ir_op *op)
{
    ir_mapping *map = ir_mapping_create(e->arena);
    for (unsigned i = 0; i < op->n_operands; i++) {
        if (ir_operand(op, i))
            ir_mapping_set(map, ir_operand(op, i), operand_place(e, ir_operand(op, i))->scalar);
    }
    ir_op *copy = ir_clone(&e->at, op, map);
    place_of(e, &op->results[0])->scalar = &copy->results[0];
}

static bool lower_op(entry_lowering *e, ir_op *op)
{
    e->at.where = op->where;
    switch (op->code) {
    case IR_KERNEL: return lower_kernel_op(e, op);
    case IR_RESHAPE: lower_reshape(e, op); return true;
    case IR_DIMENSION: lower_dim(e, op); return true;
    case IR_RETURN: ir_build(&e->at, IR_RETURN, 0, NULL, 0, NULL); return true;
    default:
        if (op->n_results != 1 || op->results[0].type->kind == IR_TENSOR)
            INTERNAL_ERROR("'%s' outside a kernel", ir_op_rows[op->code].name);
        lower_scalar_op(e, op);
        return true;
    }
}

// ---- results. A returned value must be written by a kernel straight to its result buffer: what
// stands in another result already, is an argument, or a scalar, goes through a copying kernel
// first.

// The value whose memory `v` is.
static ir_value *origin(ir_value *v)
{
    while (v->kind == IR_VALUE_RESULT && v->op->code == IR_RESHAPE)
        v = ir_operand(v->op, 0);
    return v;
}

// A copy of `v`; of a scalar, a tensor of rank 0.
static ir_value *copied(ir_op *ret, ir_value *v)
{
    ir_builder b = ir_builder_before(ret);
    b.where = ret->where;
    const ir_type *type =
        v->type->kind == IR_SCALAR ? ir_type_tensor(b.module, v->type->scalar, 0, NULL) : v->type;
    ir_op *kernel = ir_build(&b, IR_KERNEL, 1, &v, 1, &type);
    ir_set_text(kernel, "name", "copy");
    ir_set_name(kernel, "kind", "rows");
    ir_builder inside = ir_builder_at_end(kernel->regions[0]);
    inside.where = ret->where;
    ir_value *x = ir_block_argument(kernel->regions[0], v->type, v->name);
    ir_value *y = ir_build1(&inside, IR_CAST, type, x, NULL, NULL);
    ir_build(&inside, IR_YIELD, 1, &y, 0, NULL);
    return &kernel->results[0];
}

static void prepare_results(ir_op *ret)
{
    for (unsigned i = 0; i < ret->n_operands; i++) {
        ir_value *v = ir_operand(ret, i), *memory = origin(v);
        bool in_place = memory->kind == IR_VALUE_RESULT && memory->op->code == IR_KERNEL;
        for (unsigned j = 0; j < i; j++)
            in_place = in_place && origin(ir_operand(ret, j)) != memory;
        if (!in_place)
            ir_set_operand(ret, i, copied(ret, v));
    }
}

static void bind_function_result(entry_lowering *e, ir_value *v, ir_value *buffer)
{
    // Through reshapes down to the kernel's own result.
    for (;; v = ir_operand(v->op, 0)) {
        const ir_type *type = flat_buffer(e->module, v->type);
        place_of(e, v)->buffer = as_type(e, buffer, type);
        if (v->op->code != IR_RESHAPE)
            return;
    }
}

// The signature keeps the shapes of the graph, so that a program can be described from it.
static const ir_type *signature_type(entry_lowering *e, const ir_type *t)
{
    return t->kind == IR_TENSOR ? ir_type_buffer(e->module, t->scalar, t->rank, t->dims) : t;
}

static void bind_signature(entry_lowering *e, ir_op *ret)
{
    unsigned n_arguments = (unsigned)e->old->body->arguments.count, n = ret->n_operands;
    for (unsigned i = 0; i < n_arguments; i++) {
        ir_value *v = e->old->body->arguments.items[i];
        ir_block_argument(e->new->body, signature_type(e, v->type), v->name);
    }
    ir_value **buffers = ARENA_ARRAY(e->arena, ir_value *, n);
    for (unsigned i = 0; i < n; i++) {
        const char *name = n == 1 ? "result" : arena_format(e->arena, "result%u", i);
        buffers[i] = ir_block_argument(e->new->body, signature_type(e, ir_operand(ret, i)->type),
                                       ir_intern(e->module, name));
    }
    for (unsigned i = 0; i < n_arguments; i++) {
        ir_value *v = e->old->body->arguments.items[i], *given = e->new->body->arguments.items[i];
        const ir_type *parts[PLACE_MAX_PARTS];
        parts_of(&e->shape, v->type, parts);
        *part_slot(place_of(e, v), 0) = as_type(e, given, parts[0]);
    }
    for (unsigned i = 0; i < ret->n_operands; i++)
        bind_function_result(e, ir_operand(ret, i), buffers[i]);
}

static void clear_mark(ir_op *op, void *context)
{
    (void)context;
    for (unsigned i = 0; i < op->n_results; i++)
        op->results[i].mark = 0;
    for (unsigned r = 0; r < op->n_regions; r++) {
        for (size_t i = 0; i < op->regions[r]->arguments.count; i++)
            op->regions[r]->arguments.items[i]->mark = 0;
    }
}

static void clear_marks(ir_module *m, ir_function *f)
{
    for (ir_global *g = m->globals; g; g = g->next)
        g->value.mark = 0;
    for (size_t i = 0; i < f->body->arguments.count; i++)
        f->body->arguments.items[i]->mark = 0;
    ir_walk(f->body, clear_mark, NULL);
}

static bool lower_entry(entry_lowering *e)
{
    const char *name = e->old->name;
    ir_op *ret = e->old->body->last;
    prepare_results(ret);
    clear_marks(e->module, e->old);
    e->old->name = ir_intern(e->module, arena_format(e->arena, "%s.graph", name));
    e->new = ir_function_create(e->module, name, true, e->old->where);
    e->at = ir_builder_at_end(e->new->body);
    e->at.where = e->old->where;
    bind_signature(e, ret);
    bool good = true;
    IR_FOR_OPS(op, e->old->body)
    good = lower_op(e, op) && good;
    return good;
}

static bool stands_between_kernels(const ir_op *op)
{
    if (op->code == IR_KERNEL || op->code == IR_RESHAPE || op->code == IR_RETURN)
        return true;
    ir_type_kind kind = op->n_results == 1 ? op->results[0].type->kind : IR_TENSOR;
    return kind == IR_INDEX || kind == IR_SCALAR;
}

static bool check_outside_type(pass_context *c, const ir_function *f, const ir_type *t, bool result)
{
    bool single = t->kind == IR_TENSOR && !t->rank && !result; // callers would pass its value
    if ((t->kind == IR_TENSOR && !single) || t->kind == IR_SCALAR ||
        (t->kind == IR_INDEX && !result))
        return true;
    text type = {0};
    ir_type_print(&type, t);
    diagnostic_error(c->diagnostics, f->where,
                     result ? "'%s' gives %s; what leaves a program is a tensor or a scalar"
                            : "'%s' takes %s; what enters a program is a tensor with "
                              "dimensions, a scalar or an index",
                     f->name, text_string(&type));
    text_free(&type);
    return false;
}

static bool check_signature(pass_context *c, const ir_function *f)
{
    bool good = true;
    for (size_t i = 0; i < f->body->arguments.count; i++)
        good = check_outside_type(c, f, f->body->arguments.items[i]->type, false) && good;
    for (size_t i = 0; i < f->results.count; i++)
        good = check_outside_type(c, f, f->results.items[i], true) && good;
    return good;
}

// An entry as fuse leaves it: kernels, reshapes, and arithmetic on sizes.
static bool can_lower(pass_context *c, const ir_function *f)
{
    bool good = true;
    IR_FOR_OPS(op, f->body)
    {
        const ir_op_row *row = &ir_op_rows[op->code];
        if (!(row->traits & IR_GRAPH)) {
            diagnostic_error(c->diagnostics, f->where, "'%s' is at the tile level already",
                             f->name);
            return false;
        }
        if (stands_between_kernels(op))
            continue;
        diagnostic_error(c->diagnostics, op->where,
                         "'%s' is not in a kernel: run fuse before lower-to-tile", row->name);
        good = false;
    }
    return check_signature(c, f) && good;
}

static bool check_formats(pass_context *c, const ir_module *m)
{
    bool good = true;
    for (const ir_global *g = m->globals; g; g = g->next) {
        quant_mix mix;
        const ir_type *t = g->value.type;
        if (t->kind != IR_WEIGHT || quant_mix_parse(t->format, &mix))
            continue;
        diagnostic_error(c->diagnostics, g->where,
                         "weight '%s' has the open format '%s': run quantize-weights first",
                         g->name, t->format);
        good = false;
    }
    return good;
}

static void remark_calls(const ir_module *m, pass_context *c)
{
    unsigned functions = 0;
    for (const ir_function *f = m->functions; f; f = f->next)
        functions += !f->entry;
    for (const ir_function *f = m->functions; f; f = f->next) {
        unsigned calls = 0;
        IR_FOR_OPS(op, f->body)
        calls += op->code == IR_CALL;
        if (f->entry)
            pass_remark(c, REMARK_APPLIED, f->where, "'%s': %u calls of %u functions", f->name,
                        calls, functions);
    }
}

bool pass_lower_to_tile(ir_module *m, pass_context *c)
{
    kernel_list kernels = {0};
    bool good = check_formats(c, m);
    ARRAY_OF(ir_function *) entries = {0};
    for (ir_function *f = m->functions; f; f = f->next) {
        good = can_lower(c, f) && good;
        ARRAY_PUSH(c->arena, &entries, f);
    }
    if (!good)
        return false;
    for (size_t i = 0; i < entries.count; i++) {
        entry_lowering e = {.module = m, .context = c, .arena = c->arena, .old = entries.items[i]};
        e.shape = (lowering){.module = m, .context = c, .arena = c->arena};
        e.kernels = &kernels;
        machine_shape(&e.shape);
        good = lower_entry(&e) && good;
    }
    for (size_t i = 0; i < entries.count; i++) // their kernels were compared until now
        ir_function_remove(entries.items[i]);
    remark_calls(m, c);
    return good;
}
