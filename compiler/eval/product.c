// Matrix products: linear, and the same through tables.
#include "compiler/eval/internal.h"

#include <math.h>
#include <stdlib.h>

enum { BLOCK_ROWS = 64, MOST_CODES = 16 };
#define MOST_KEPT (INT64_C(1) << 30) // bytes of weights kept between calls

// One product y = x w^T; rows of w come in blocks.
typedef struct product {
    evaluator *e;
    const ir_op *op;
    const tensor *x, *scale; // scale: one number per row, or NULL
    tensor *y;
    const ir_type *table; // the left operand is a table of x with rounded entries
    const ir_global *weight;
    quant_format format;
    int64_t n, k, rows;
    double *entries; // rows * lookups * 8, with `table`
    double levels[MOST_CODES];
} product;

typedef struct weight_block {
    int64_t first, count;
    quant_rows rows;      // plane formats
    const double *values; // count * k
} weight_block;

// ------------------------------------------------------------------ weights

static bool read_planes(product *p, arena *a, int64_t first, int64_t count, quant_rows *out)
{
    const eval_weights *w = p->e->options.weights;
    *out = quant_rows_create(a, &p->format, count, p->k);
    return w->canonical(w->context, p->e->diagnostics, p->weight, first, count, out);
}

static bool read_values(product *p, arena *a, int64_t first, int64_t count, double **out)
{
    const eval_weights *w = p->e->options.weights;
    *out = arena_alloc_array(a, (size_t)count, (size_t)p->k * sizeof(double));
    return w->values(w->context, p->e->diagnostics, p->weight, first, count, *out);
}

// Keeps the whole matrix when it still fits the budget.
static bool keep_weight(product *p, eval_global *g)
{
    bool planes = p->format.planes > 0;
    int64_t bytes = p->n * p->k * (int64_t)(planes ? 1 : sizeof(double));
    if (g->loaded || bytes > MOST_KEPT - p->e->kept)
        return true;
    p->e->kept += bytes;
    g->loaded = planes ? read_planes(p, p->e->arena, 0, p->n, &g->rows)
                       : read_values(p, p->e->arena, 0, p->n, &g->dense);
    return g->loaded;
}

static bool load_block(product *p, arena *scratch, weight_block *b)
{
    eval_global *g = &p->e->globals[p->weight->value.mark];
    double *values;
    if (!keep_weight(p, g))
        return false;
    if (!p->format.planes) {
        if (g->loaded) {
            b->values = g->dense + b->first * p->k;
            return true;
        }
        if (!read_values(p, scratch, b->first, b->count, &values))
            return false;
        b->values = values;
        return true;
    }
    if (g->loaded)
        b->rows = quant_rows_slice(&g->rows, b->first, b->count);
    else if (!read_planes(p, scratch, b->first, b->count, &b->rows))
        return false;
    values = arena_alloc_array(scratch, (size_t)b->count, (size_t)p->k * sizeof(double));
    quant_dequantize(&b->rows, values);
    b->values = values;
    return true;
}

// ------------------------------------------------------------------ dot products

static double dot(const double *x, const double *y, int64_t n)
{
    double sum[4] = {0}; // four chains run in parallel
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (int j = 0; j < 4; j++)
            sum[j] += x[i + j] * y[i + j];
    for (; i < n; i++)
        sum[0] += x[i] * y[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static int plane_weight(const product *p, unsigned plane)
{
    return p->format.kind == QUANT_UNIFORM ? 1 << plane : 1;
}

static double row_scale(const product *p, int64_t m)
{
    return p->scale ? p->scale->data[m] : 1;
}

static double ideal(const product *p, const weight_block *b, int64_t m, int64_t n)
{
    double sum = dot(p->x->data + m * p->k, b->values + n * p->k, p->k);
    return p->scale ? sum * row_scale(p, m) : sum;
}

// What each code stands for before scaling: the sum of its planes' weights and signs.
static void find_levels(product *p)
{
    for (unsigned code = 0; code < 1u << p->format.planes; code++) {
        int sum = 0;
        for (unsigned plane = 0; plane < p->format.planes; plane++)
            sum += code >> plane & 1 ? plane_weight(p, plane) : -plane_weight(p, plane);
        p->levels[code] = sum;
    }
}

// Integer activations, exactly as `linear` in ops.def says: the group sums are
// integers (exact in double), the rest is f32.
static double integer_exact(const product *p, const weight_block *b, int64_t m, int64_t n)
{
    const double *x = p->x->data + m * p->k;
    const uint8_t *codes = b->rows.codes + n * p->k;
    int64_t groups = quant_groups(&p->format, p->k),
            size = p->format.group ? p->format.group : p->k;
    float scale = (float)row_scale(p, m), y = 0;
    for (int64_t g = 0; g < groups; g++) {
        double c = 0, sum = 0;
        for (int64_t k = g * size; k < (g + 1) * size && k < p->k; k++) {
            c += x[k] * p->levels[codes[k]];
            sum += x[k];
        }
        y = fmaf((float)c, b->rows.scale[n * groups + g] * scale, y);
        if (b->rows.offset)
            y = fmaf((float)sum * scale, b->rows.offset[n * groups + g], y);
    }
    return (double)y;
}

// Rounded table entries, otherwise ideal: every plane looks up, offsets take the
// entry of four +1.
static double through_table(const product *p, const weight_block *b, int64_t m, int64_t n)
{
    int64_t lookups = (p->k + 3) / 4, groups = quant_groups(&p->format, p->k);
    int64_t per_group = p->format.group ? p->format.group / 4 : lookups;
    const double *entries = p->entries + m * lookups * 8;
    const uint8_t *codes = b->rows.codes + n * p->k;
    double y = 0;
    for (int64_t lookup = 0; lookup < lookups; lookup++, entries += 8) {
        int64_t group = n * groups + lookup / per_group;
        double sum = 0;
        for (unsigned plane = 0; plane < p->format.planes; plane++) {
            unsigned bits = 0;
            for (int64_t j = 0; j < 4 && 4 * lookup + j < p->k; j++)
                bits |= (codes[4 * lookup + j] >> plane & 1u) << j;
            sum += plane_weight(p, plane) * eval_table_lookup(entries, bits);
        }
        y += sum * (double)b->rows.scale[group];
        if (b->rows.offset)
            y += eval_table_lookup(entries, 15) * (double)b->rows.offset[group];
    }
    return p->scale ? y * row_scale(p, m) : y;
}

// ------------------------------------------------------------------ the product

static bool multiply(product *p)
{
    bool exact = p->format.planes && scalar_is_integer(p->x->type);
    for (int64_t first = 0; first < p->n; first += BLOCK_ROWS) {
        int64_t left = p->n - first;
        weight_block b = {.first = first, .count = left < BLOCK_ROWS ? left : BLOCK_ROWS};
        arena *scratch = arena_create();
        bool ok = load_block(p, scratch, &b);
        for (int64_t m = 0; m < p->rows && ok; m++) {
            for (int64_t n = 0; n < b.count; n++) {
                double y = p->entries ? through_table(p, &b, m, n)
                           : exact    ? integer_exact(p, &b, m, n)
                                      : ideal(p, &b, m, n);
                p->y->data[m * p->n + first + n] = scalar_round(p->y->type, y);
            }
        }
        arena_destroy(scratch);
        if (!ok)
            return false;
    }
    return true;
}

static void build_entries(product *p)
{
    int64_t lookups = (p->k + 3) / 4;
    p->entries = calloc((size_t)(p->rows * lookups + 1), 8 * sizeof(double));
    if (!p->entries)
        INTERNAL_ERROR("out of memory");
    for (int64_t m = 0; m < p->rows; m++)
        eval_table_entries(p->table, p->e->options.tile_depth, p->x->data + m * p->k, p->k,
                           p->entries + m * lookups * 8);
}

static bool find_weight(product *p)
{
    const ir_value *w = ir_operand(p->op, 1);
    p->weight = eval_global_of(p->e, w);
    if (!p->weight)
        return eval_error(p->e, p->op, "the matrix must be a weight of the module");
    p->n = w->type->dims[0].value;
    p->k = w->type->dims[1].value;
    if (!quant_format_parse(w->type->format, &p->format))
        return eval_error(p->e, p->op,
                          "weight '%s' has no format yet ('%s'); run quantize-weights first",
                          p->weight->name, w->type->format);
    if (eval_columns(p->x) != p->k)
        return eval_error(p->e, p->op, "x has %lld columns, weight '%s' %lld",
                          (long long)eval_columns(p->x), p->weight->name, (long long)p->k);
    return true;
}

static bool eval_product(evaluator *e, const ir_op *op, bool with_table)
{
    product p = {.e = e, .op = op, .x = eval_operand(e, op, 0), .y = eval_result(e, op, 0)};
    if (!p.x || !p.y || !find_weight(&p))
        return false;
    p.rows = eval_rows(p.x);
    find_levels(&p);
    if (ir_operand_named(op, "scale")) {
        p.scale = eval_operand_named(e, op, "scale");
        if (!p.scale)
            return false;
        if (p.scale->count != p.rows)
            return eval_error(e, op, "%lld scales for %lld rows", (long long)p.scale->count,
                              (long long)p.rows);
    }
    if (with_table)
        p.table = ir_operand(op, 0)->type;
    // Tables of integers are exact.
    if (p.table && e->options.quantize_tables && p.format.planes && !scalar_is_integer(p.x->type))
        build_entries(&p);
    bool ok = multiply(&p);
    free(p.entries);
    return ok;
}

bool eval_linear(evaluator *e, const ir_op *op)
{
    return eval_product(e, op, false);
}
bool eval_mpgemm(evaluator *e, const ir_op *op)
{
    return eval_product(e, op, true);
}
