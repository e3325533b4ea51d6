// Subscripts of tensors and states: x[:, T - 1], qkv[:, :, 0 : D], k[i][:, pos : pos + T].
#include "compiler/frontend/elaborate.h"

#include <string.h>

// What a subscript says about one dimension.
typedef struct span {
    bool whole;         // all of it
    bool removed;       // an index: the dimension goes
    const ast_node *at; // the subscript, and its start
    const ast_node *first;
    value start;
    ir_dim length; // -1: to the end
} span;

// --------------------------------------------------------------------- reading it

// start : start + length. The length must be known when the program is compiled; it is left as -1
// where the slice has no end.
static bool slice_length(frontend *f, ast_node *slice, value start, ir_dim *length)
{
    ast_node *first = ast_child(slice, 0), *end = ast_child(slice, 1);
    *length = ir_dim_constant(-1);
    if (ast_is_empty(end))
        return true;
    if (ast_is_empty(first))
        return type_dim(f, end, length);
    bool sum = end->kind == AST_BINARY && *end->name == '+';
    if (sum && ast_equal(ast_child(end, 0), first))
        return type_dim(f, ast_child(end, 1), length);
    if (sum && ast_equal(ast_child(end, 1), first))
        return type_dim(f, ast_child(end, 0), length);
    value stop = is_size(start) ? evaluate(f, end) : poison();
    bool done = false;
    value count = is_size(stop) ? fold_binary(f, slice->where, "-", stop, start, &done) : poison();
    if (done && count.kind == VALUE_INTEGER && count.integer >= 0)
        *length = ir_dim_constant(count.integer);
    else if (done && count.kind == VALUE_DIMENSION)
        *length = count.dim;
    else
        fail(f, slice->where,
             "the end must be written as '%s + count', the count being known at compile time",
             describe_syntax(f, first));
    return length->value >= 0;
}

static bool read_span(frontend *f, ast_node *n, span *out)
{
    bool slice = n->kind == AST_SLICE;
    ast_node *first = slice ? ast_child(n, 0) : n;
    *out = (span){.at = n, .first = first, .removed = !slice, .start = value_integer(0)};
    out->length = ir_dim_constant(1);
    if (slice && ast_is_empty(first) && ast_is_empty(ast_child(n, 1))) {
        out->whole = true;
        return true;
    }
    if (!ast_is_empty(first))
        out->start = evaluate(f, first);
    if (is_poison(out->start) || (slice && !slice_length(f, n, out->start, &out->length)))
        return false;
    if (is_size(out->start) || out->start.kind == VALUE_RUNTIME)
        return true;
    fail(f, first->where, "a position is a whole number, '%s' is %s", describe_syntax(f, first),
         describe(f, out->start));
    return false;
}

// One span for each dimension of `t`; returns false after a report.
static bool read_spans(frontend *f, ast_node *n, const ir_type *t, span *out)
{
    size_t count = n->children.count - 1;
    bool good = true;
    if (count > t->rank) {
        fail(f, ast_child(n, t->rank + 1)->where, "%zu subscripts for the %u dimension%s of %s",
             count, t->rank, t->rank == 1 ? "" : "s", describe_type(f, t));
        return false;
    }
    for (unsigned i = 0; i < t->rank; i++) {
        out[i] = (span){.whole = true};
        if (i < count)
            good &= read_span(f, ast_child(n, i + 1), &out[i]);
    }
    return good;
}

// ----------------------------------------------------------------------- limits

// The least value that start + length - size can have, whatever the dimensions are.
static int64_t least_excess(value start, ir_dim length, ir_dim size)
{
    ir_dim terms[3] = {length, size, ir_dim_constant(0)};
    int64_t factors[3] = {1, -1, 1}, sum = 0;
    if (is_size(start))
        terms[2] = start.kind == VALUE_INTEGER ? ir_dim_constant(start.integer) : start.dim;
    for (unsigned i = 0; i < 3; i++) {
        int64_t coefficient = factors[i] * terms[i].value;
        bool counted = false;
        for (unsigned j = 0; j < 3 && terms[i].symbol; j++)
            if (j != i && terms[j].symbol == terms[i].symbol) {
                counted |= j < i;
                coefficient += factors[j] * terms[j].value;
            }
        if (!terms[i].symbol)
            sum += coefficient;
        else if (!counted)
            sum += coefficient *
                   (coefficient > 0 ? terms[i].symbol->minimum : terms[i].symbol->maximum);
    }
    return sum;
}

// "1024", "T (at most 512)".
static const char *describe_limit(frontend *f, ir_dim d)
{
    if (!d.symbol)
        return describe_dim(f, d);
    return arena_format(f->arena, "%s (at most %lld)", describe_dim(f, d),
                        (long long)ir_dim_maximum(d));
}

static const char *describe_part(frontend *f, const span *s)
{
    if (s->removed && s->start.kind == VALUE_INTEGER)
        return arena_format(f->arena, "index %lld is", (long long)s->start.integer);
    if (s->removed)
        return arena_format(f->arena, "index %s is", describe_syntax(f, s->first));
    bool one = !s->length.symbol && s->length.value == 1;
    return arena_format(f->arena, "%s element%s from %s on %s", describe_limit(f, s->length),
                        one ? "" : "s", ast_is_empty(s->first) ? "0" : describe_syntax(f, s->first),
                        one ? "is" : "are");
}

static bool check_span(frontend *f, const span *s, const ir_type *t, unsigned dimension)
{
    ir_dim size = t->dims[dimension];
    bool negative = s->start.kind == VALUE_INTEGER && s->start.integer < 0;
    // Far beyond every size, where sums could overflow.
    bool far = (s->start.kind == VALUE_INTEGER && s->start.integer > (int64_t)1 << 41) ||
               (s->start.kind == VALUE_DIMENSION && s->start.dim.value > (int64_t)1 << 31);
    if (!negative && !far && least_excess(s->start, s->length, size) <= 0 &&
        ir_dim_maximum(s->length) <= ir_dim_maximum(size))
        return true;
    fail(f, s->at->where, "%s outside dimension %u of %s, which has %s", describe_part(f, s),
         dimension + 1, describe_type(f, t), describe_limit(f, size));
    return false;
}

ir_value *runtime_position(frontend *f, const ast_node *n, value start)
{
    const ir_type *index = ir_type_index(f->module);
    ir_value *v = runtime(f, n, start, index);
    if (!v || v->type == index)
        return v;
    if (v->type->kind == IR_SCALAR && scalar_is_integer(v->type->scalar))
        return emit(f, n->where, IR_CAST, index, v, NULL, NULL);
    fail(f, n->where, "a position is a whole number, '%s' is %s", describe_syntax(f, n),
         describe_type(f, v->type));
    return NULL;
}

// ---------------------------------------------------------------------- reading

static bool open_end(frontend *f, span *s, ir_dim size)
{
    bool done = false;
    if (s->whole || s->length.value >= 0)
        return true;
    value rest = is_size(s->start)
                     ? fold_binary(f, s->at->where, "-", value_dim(size), s->start, &done)
                     : poison();
    if (done && is_size(rest)) {
        s->length = rest.kind == VALUE_INTEGER ? ir_dim_constant(rest.integer) : rest.dim;
        if (s->length.value >= 0)
            return true;
    }
    fail(f, s->at->where,
         "how many elements follow '%s' of %s is not known at compile time; write "
         "'%s : %s + count'",
         describe_syntax(f, s->first), describe_dim(f, size), describe_syntax(f, s->first),
         describe_syntax(f, s->first));
    return false;
}

// The part of x that one span leaves, the dimension still there.
static ir_value *cut(frontend *f, const ast_node *n, ir_value *x, const span *s, unsigned dimension)
{
    ir_dim dims[IR_MAX_RANK];
    if (s->whole || (ir_dim_equal(s->length, x->type->dims[dimension]) &&
                     s->start.kind == VALUE_INTEGER && !s->removed))
        return x;
    ir_value *start = runtime_position(f, ast_is_empty(s->first) ? s->at : s->first, s->start);
    if (!start)
        return NULL;
    memcpy(dims, x->type->dims, sizeof dims);
    dims[dimension] = s->length;
    ir_value *y =
        emit(f, n->where, IR_SLICE, ir_type_tensor(f->module, x->type->scalar, x->type->rank, dims),
             x, start, NULL);
    ir_set_integer(y->op, "dimension", dimension);
    return y;
}

static ir_value *remove_indexed(frontend *f, const ast_node *n, ir_value *x, const span *spans)
{
    ir_dim dims[IR_MAX_RANK];
    unsigned rank = 0;
    for (unsigned i = 0; i < x->type->rank; i++)
        if (!spans[i].removed)
            dims[rank++] = x->type->dims[i];
    if (rank == x->type->rank)
        return x;
    return emit(f, n->where, IR_RESHAPE, ir_type_tensor(f->module, x->type->scalar, rank, dims), x,
                NULL, NULL);
}

value subscript_read(frontend *f, ast_node *n, value base)
{
    span spans[IR_MAX_RANK];
    if (!f->builder)
        return fail(f, n->where, "tensors exist only inside functions");
    ir_value *x = runtime(f, ast_child(n, 0), base, NULL);
    if (!x || !read_spans(f, n, x->type, spans))
        return poison();
    const ir_type *t = x->type;
    for (unsigned i = 0; i < t->rank; i++)
        if (!open_end(f, &spans[i], t->dims[i]) ||
            (!spans[i].whole && !check_span(f, &spans[i], t, i)))
            return poison();
    for (unsigned i = 0; x && i < t->rank; i++)
        x = cut(f, n, x, &spans[i], i);
    return x ? runtime_value(remove_indexed(f, n, x, spans)) : poison();
}

// ---------------------------------------------------------------------- writing

enum { ALL_ROWS = IR_MAX_RANK };

// The one dimension that the subscripts restrict, ALL_ROWS without one. False: reported.
static bool written_dimension(frontend *f, const ast_node *target, const span *spans,
                              const ir_type *t, unsigned *out)
{
    *out = ALL_ROWS;
    for (unsigned i = 0; i < t->rank; i++) {
        if (spans[i].whole)
            continue;
        if (*out != ALL_ROWS) {
            fail(f, target->where,
                 "a state is written in rows of one dimension; '%s' restricts two",
                 describe_syntax(f, target));
            return false;
        }
        *out = i;
    }
    return true;
}

// x must be what the subscripts leave of the state.
static bool check_written(frontend *f, const ast_node *from, const state_node *state,
                          const ir_type *x, const span *s, unsigned at)
{
    ir_type want = *state->type;
    if (at != ALL_ROWS && s->removed) {
        memmove(want.dims + at, want.dims + at + 1, (want.rank - at - 1) * sizeof *want.dims);
        want.rank--;
    } else if (at != ALL_ROWS && s->length.value >= 0) {
        want.dims[at] = s->length;
    } else if (at != ALL_ROWS && at < x->rank) {
        want.dims[at] = x->dims[at];
    }
    if (x->kind == IR_TENSOR && x->scalar == want.scalar && ir_type_same_dims(x, &want))
        return true;
    fail(f, from->where, "%s assigned to state '%s' must be %s, %s",
         at == ALL_ROWS ? "what is" : "the rows", state->name, describe_type(f, &want),
         arena_format(f->arena, at == ALL_ROWS ? "this is %s" : "these are %s",
                      describe_type(f, x)));
    note(f, state->where, "'%s' is declared here", state->name);
    return false;
}

static ir_value *write_position(frontend *f, const state_node *state, const span *s, unsigned at)
{
    const ir_type *t = s->start.kind == VALUE_RUNTIME ? s->start.runtime->type : NULL;
    bool tensor = t && t->kind == IR_TENSOR;
    if (at == 0 && !tensor)
        return runtime_position(f, ast_is_empty(s->first) ? s->at : s->first, s->start);
    if (at == 1 && tensor && t->rank == 1 && t->scalar == SCALAR_I32 &&
        ir_dim_equal(t->dims[0], state->type->dims[0]))
        return s->start.runtime;
    fail(f, s->at->where,
         "rows of a state are written at a position in the first dimension, or at positions in "
         "the second, one i32 for each element of the first; this is %s in dimension %u of %s",
         describe(f, s->start), at + 1, describe_type(f, state->type));
    note(f, state->where, "'%s' is declared here", state->name);
    return NULL;
}

static void emit_write(frontend *f, const ast_node *target, value state, ir_value *x,
                       ir_value *position)
{
    ir_value *operands[3] = {state_global(f, state.state, state.integer), x, position};
    f->builder->where = target->where;
    ir_build(f->builder, IR_STATE_WRITE, position ? 3 : 2, operands, 0, NULL);
}

static ir_value *with_indexed(frontend *f, const ast_node *target, ir_value *x, const ir_type *t,
                              unsigned at)
{
    ir_dim dims[IR_MAX_RANK];
    memcpy(dims, t->dims, sizeof dims);
    dims[at] = ir_dim_constant(1);
    return emit(f, target->where, IR_RESHAPE,
                ir_type_tensor(f->module, x->type->scalar, t->rank, dims), x, NULL, NULL);
}

void subscript_write(frontend *f, ast_node *target, value state, bool part, const ast_node *from,
                     ir_value *x)
{
    span spans[IR_MAX_RANK] = {{.whole = true}};
    unsigned at = ALL_ROWS;
    const ir_type *t = state.state->type;
    if (part && !(read_spans(f, target, t, spans) && written_dimension(f, target, spans, t, &at)))
        return;
    span *s = at == ALL_ROWS ? NULL : &spans[at];
    if (!check_written(f, from, state.state, x->type, s, at))
        return;
    if (!s) {
        emit_write(f, target, state, x, NULL);
        return;
    }
    if (s->length.value < 0)
        s->length = x->type->dims[at];
    if (!check_span(f, s, t, at))
        return;
    ir_value *position = write_position(f, state.state, s, at);
    if (position && s->removed)
        x = with_indexed(f, target, x, t, at);
    if (position)
        emit_write(f, target, state, x, position);
}
