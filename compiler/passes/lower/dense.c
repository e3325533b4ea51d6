// Matrix products that stay off the LUT path: dense weights times activations, by the matrix unit
// (dense_matrix.c), through tiles (dense_tiles.c), or as vector dot products, a block of columns of
// one row at a time, a few columns side by side.
#include "compiler/passes/lower/dense_tiles.h"
#include "compiler/passes/lower/matrix.h"
#include "compiler/passes/lower/native.h"
#include "compiler/quant/mix.h"

#include <string.h>

enum { COLUMN_BLOCK = 64, COLUMNS = 4 };

typedef struct dense {
    lowering *l;
    product *products;
    unsigned n_products;
    dense_tiles **tiles; // by product; NULL: by vectors
} dense;

// Row `row` of x times `count` neighbouring columns of w, which share its loads.
static void dots(lowering *l, ir_op *op, ir_value *row, ir_value *column, unsigned count,
                 ir_value **sums)
{
    ir_value *x = low_input(l, ir_operand(op, 0))->buffer;
    ir_value *w = low_input(l, ir_operand(op, 1))->buffer;
    ir_value *zero = low_index(l, 0), *initial[COLUMNS], *next[COLUMNS];
    int64_t depth = ir_operand(op, 1)->type->dims[1].value;
    for (unsigned i = 0; i < count; i++)
        initial[i] = low_broadcast(l, low_number(l, SCALAR_F32, 0));
    low_loop strip;
    low_strip_begin(l, &strip, low_index(l, depth), "f32", count, initial);
    ir_value *a = low_cast(l, low_vload(l, x, row, strip.counter, 1), SCALAR_F32);
    ir_value *at = low_add(l, low_mul(l, column, low_index(l, depth)), strip.counter);
    for (unsigned i = 0; i < count; i++) {
        ir_value *b = low_vload(l, w, zero, low_add(l, at, low_index(l, i * depth)), 1);
        b = low_cast(l, b, SCALAR_F32);
        next[i] = ir_build1(&l->at, IR_FMA, a->type, a, b, strip.carried[i]);
    }
    low_loop_end(l, &strip, next);
    for (unsigned i = 0; i < count; i++)
        sums[i] = low_reduce(l, ir_result(strip.op, i), "add");
}

// Columns from .. to of the block that starts at column `first`, `count` at once.
static void build_columns(lowering *l, const product *p, ir_value *row, ir_value *first,
                          ir_value *from, ir_value *to, unsigned count)
{
    ir_value *scale = ir_operand_named(p->op, "scale"), *zero = low_index(l, 0), *y[COLUMNS];
    low_loop columns;
    low_for_begin(l, &columns, from, to, low_index(l, count), 0, NULL);
    dots(l, p->op, row, low_add(l, first, columns.counter), count, y);
    for (unsigned i = 0; i < count; i++) {
        if (scale)
            y[i] = low_binary(l, IR_MUL, y[i], low_load(l, low_input(l, scale)->buffer, zero, row));
        low_store(l, low_cast(l, y[i], p->op->results[0].type->scalar), p->block, zero,
                  low_add(l, columns.counter, low_index(l, i)));
    }
    low_loop_end(l, &columns, NULL);
}

static void build_product(dense *k, unsigned i, ir_value *row, ir_value *first, ir_value *width)
{
    lowering *l = k->l;
    const product *p = &k->products[i];
    ir_value *whole = low_sub(l, width, low_rem(l, width, low_index(l, COLUMNS)));
    if (ir_operand(p->op, 1)->type->dims[0].value % COLUMNS == 0)
        whole = width;
    build_columns(l, p, row, first, low_index(l, 0), whole, COLUMNS);
    if (whole != width)
        build_columns(l, p, row, first, whole, width, 1);
}

static bool all_on_matrix(const dense *k)
{
    for (unsigned i = 0; i < k->n_products; i++) {
        if (!ir_name_is(k->products[i].op, "unit", "matrix"))
            return false;
    }
    return true;
}

#define OTHER_FORMAT "use another format: by --quant, or where the program declares it"

// What a pass has said it did not do; `where` NULL: as a whole. NULL: it said nothing.
static const remark *find_missed(const lowering *l, const char *pass, const location *where)
{
    for (size_t i = 0; i < l->context->remarks.count; i++) {
        const remark *r = &l->context->remarks.items[i];
        bool here = where ? r->where.source == where->source && r->where.line == where->line &&
                                r->where.column == where->column
                          : !r->where.source;
        if (here && r->kind == REMARK_MISSED && !strcmp(r->pass, pass))
            return r;
    }
    return NULL;
}

// There are lookups for these weights, and the pass that makes them has not.
static void refuse_without_lookups(lowering *l, const ir_op *op, const char *format)
{
    const remark *missed = find_missed(l, "lut", &op->where);
    if (find_missed(l, "split-precompute", NULL)) {
        diagnostic_error(l->context->diagnostics, op->where,
                         "weights of format %s need lookups, which pass split-precompute makes: do "
                         "not disable it",
                         format);
        return;
    }
    diagnostic_error(l->context->diagnostics, op->where,
                     "weights of format %s need lookups, which pass split-precompute %s; %s",
                     format, missed ? "could not make" : "makes, and it did not run or could not",
                     OTHER_FORMAT);
    if (missed)
        diagnostic_note(l->context->diagnostics, NOWHERE, "%s", missed->message);
}

// Lookups have products of these weights for other activations, or other machines have them.
static void refuse_planes(lowering *l, const ir_op *op, const quant_format *f)
{
    scalar_type x = ir_operand(op, 0)->type->scalar;
    if (f->kind == QUANT_BYTES) {
        diagnostic_error(l->context->diagnostics, op->where,
                         "weights of format %s need a matrix unit, and activations that are floats "
                         "or %s; %s; " OTHER_FORMAT,
                         f->name, f->name,
                         l->context->machine->parts & MACHINE_MATRIX && !is_native(l->context)
                             ? "pass use-matrix could not or did not run (--remarks says why)"
                             : "this target has none");
        return;
    }
    const char *reason = quant_obstacle(f, x);
    bool lookups = is_native(l->context) || l->context->machine->parts & MACHINE_LUT;
    if (!reason && lookups) {
        refuse_without_lookups(l, op, f->name);
        return;
    }
    if (!reason) {
        diagnostic_error(l->context->diagnostics, op->where,
                         "weights of format %s need lookups, which machine '%s' does not have "
                         "for them; use another --machine, or " OTHER_FORMAT,
                         f->name, l->context->machine->name);
        return;
    }
    text supported = {0};
    quant_support_list(&supported);
    diagnostic_error(l->context->diagnostics, op->where,
                     "weights of format %s have no products with %s activations: %s. What goes "
                     "together:\n%s",
                     f->name, scalar_rows[x].name, reason, text_string(&supported));
    text_free(&supported);
}

// All products, or none.
static void prepare_tiles(dense *k)
{
    dense_tiles **tiles = ARENA_ARRAY(k->l->arena, dense_tiles *, k->n_products);
    k->tiles = tiles;
    for (unsigned i = 0; i < k->n_products && k->tiles; i++)
        if (!(tiles[i] = dense_tiles_of(k->l, &k->products[i])))
            k->tiles = NULL;
}

static ir_value *block_of(const dense *k, scalar_type t)
{
    return k->tiles ? dense_tiles_block(k->l, t, COLUMN_BLOCK)
                    : low_scratch(k->l, t, 1, COLUMN_BLOCK);
}

// Rows from .. to, `count` at a time, times the weights of a block of columns.
static void build_row_blocks(dense *k, ir_value *from, ir_value *to, unsigned count,
                             ir_value *first, ir_value *width)
{
    lowering *l = k->l;
    ir_value *step = low_index(l, count);
    low_loop rows;
    low_for_begin(l, &rows, from, to, step, 0, NULL);
    for (unsigned i = 0; i < k->n_products; i++) {
        l->at.where = k->products[i].op->where;
        if (k->tiles)
            lower_dense_tiles(k->tiles[i], rows.counter, count, first, width);
        else
            build_product(k, i, rows.counter, first, width);
    }
    epilogue e = {k->products, k->n_products, rows.counter, step, first, width, false};
    lower_epilogue(l, &e);
    low_loop_end(l, &rows, NULL);
}

static void build_rows(dense *k, ir_value *first, ir_value *width)
{
    lowering *l = k->l;
    ir_value *rest = low_index(l, 0);
    if (k->tiles && l->rows != low_index(l, 1)) {
        rest = low_sub(l, l->rows, low_rem(l, l->rows, low_index(l, DENSE_ROWS)));
        build_row_blocks(k, low_index(l, 0), rest, DENSE_ROWS, first, width);
    }
    if (rest != l->rows)
        build_row_blocks(k, rest, l->rows, 1, first, width);
}

bool lower_dense_kernel(lowering *l)
{
    dense k = {.l = l};
    k.n_products = kernel_products(l, IR_LINEAR, &k.products);
    int64_t n = 0;
    for (unsigned i = 0; i < k.n_products; i++) {
        ir_op *op = k.products[i].op;
        const ir_type *w = ir_operand(op, 1)->type;
        quant_format format = {0};
        quant_mix mix;
        if (quant_mix_parse(w->format, &mix))
            format = mix.parts[0].format;
        if (!quant_format_parse(w->format, &(quant_format){0}) ||
            (format.kind != QUANT_DENSE && !all_on_matrix(&k))) {
            refuse_planes(l, op, &format);
            return false;
        }
        n = w->dims[0].value;
    }
    l->rows = low_row_count(l, ir_operand(k.products[0].op, 0)->type);
    if (all_on_matrix(&k)) {
        lower_dense_matrix(l, k.products, k.n_products);
        return true;
    }
    prepare_tiles(&k);
    for (unsigned i = 0; i < k.n_products; i++)
        k.products[i].block = block_of(&k, k.products[i].op->results[0].type->scalar);
    ir_value *block = low_index(l, COLUMN_BLOCK);
    low_loop columns;
    low_for_begin(l, &columns, low_index(l, 0), low_index(l, n), block, 0, NULL);
    ir_set_name(columns.op, "share", "parts");
    ir_value *width = block;
    if (n % COLUMN_BLOCK)
        width = low_min(l, block, low_sub(l, low_index(l, n), columns.counter));
    build_rows(&k, columns.counter, width);
    low_loop_end(l, &columns, NULL);
    return true;
}
