// Matrix products: linear, and the same through tables.
#include "compiler/eval/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_ROWS = 64 };
#define MOST_KEPT (INT64_C(1) << 30) // bytes of weights kept between calls

// One product y = x w^T; rows of w come in blocks.
typedef struct product {
    evaluator *e;
    const ir_op *op;
    const tensor *x, *scale; // scale: one number per row, or NULL
    tensor *y;
    const ir_type *table; // the left operand is a table of x with rounded entries
    const ir_global *weight;
    eval_global *content; // the weight's
    quant_mix mix;
    quant_format format;         // of the rows that are multiplied: all, or of a block
    int64_t first;               // the first of them
    int64_t n, k, rows, columns; // n of them, of `columns` in all
    double *entries;             // rows * lookups * 8 (of a codebook QUANT_BOOK), with `table`
    double *signs;               // of a codebook and a plane: rows * lookups * 8
    double levels[QUANT_TERMS][QUANT_CODES]; // of formats whose levels are known, by terms
} product;

typedef struct weight_block {
    int64_t first, count;
    quant_rows rows;      // plane formats
    const double *values; // count * k: levels of the first term for integer x, otherwise what the
                          // weights stand for
} weight_block;

static void find_levels(product *p)
{
    const quant_codebook *book = p->format.codebook;
    for (unsigned t = 0; t < p->format.terms && !(book && book->learned); t++)
        quant_levels(&p->format, book ? book->levels : NULL, t, p->levels[t]);
}

// ------------------------------------------------------------------ weights

static bool read_planes(product *p, arena *a, weight_block *b)
{
    const eval_weights *w = p->e->options.weights;
    b->rows = quant_rows_create(a, &p->format, b->count, p->k);
    return w->canonical(w->context, p->e->diagnostics, p->weight, p->first + b->first, b->count,
                        &b->rows);
}

static bool read_dense(product *p, weight_block *b, double *out)
{
    const eval_weights *w = p->e->options.weights;
    return w->values(w->context, p->e->diagnostics, p->weight, b->first, b->count, out);
}

static bool is_exact(const product *p)
{
    const quant_codebook *book = p->format.codebook;
    return p->format.planes && scalar_is_integer(p->x->type) && (!book || book->whole);
}

static bool find_values(product *p, weight_block *b, double *out)
{
    if (!p->format.planes)
        return read_dense(p, b, out);
    if (is_exact(p))
        for (int64_t i = 0; i < b->count * p->k; i++)
            out[i] = p->levels[0][b->rows.codes[i]];
    else
        quant_dequantize(&b->rows, out);
    return true;
}

static bool budget(product *p, int64_t bytes)
{
    if (bytes > MOST_KEPT - p->e->kept)
        return false;
    p->e->kept += bytes;
    return true;
}

// The whole matrix is kept from the first use on, where it fits the budget.
static bool keep_weight(product *p)
{
    eval_global *g = p->content;
    double **kept = is_exact(p) ? &g->levels : &g->values;
    weight_block all = {.first = 0, .count = p->n};
    if (p->format.planes && !g->rows && budget(p, p->n * p->k)) {
        if (!read_planes(p, p->e->arena, &all))
            return false;
        g->rows = ARENA_NEW(p->e->arena, quant_rows);
        *g->rows = all.rows;
    }
    if (*kept || (p->format.planes && !g->rows) ||
        !budget(p, p->n * p->k * (int64_t)sizeof(double)))
        return true;
    if (g->rows)
        all.rows = *g->rows;
    *kept = arena_alloc_array(p->e->arena, (size_t)p->n, (size_t)p->k * sizeof(double));
    return find_values(p, &all, *kept);
}

static bool load_block(product *p, arena *scratch, weight_block *b)
{
    const eval_global *g = p->content;
    const double *kept = is_exact(p) ? g->levels : g->values;
    if (g->rows)
        b->rows = quant_rows_slice(g->rows, b->first, b->count);
    else if (p->format.planes && !read_planes(p, scratch, b))
        return false;
    if (kept) {
        b->values = kept + b->first * p->k;
        return true;
    }
    double *values = arena_alloc_array(scratch, (size_t)b->count, (size_t)p->k * sizeof(double));
    b->values = values;
    return find_values(p, b, values);
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

static double row_scale(const product *p, int64_t m)
{
    return p->scale ? p->scale->data[m] : 1;
}

static double ideal(const product *p, const weight_block *b, int64_t m, int64_t n)
{
    double sum = dot(p->x->data + m * p->k, b->values + n * p->k, p->k);
    return p->scale ? sum * row_scale(p, m) : sum;
}

static double dot_codes(const double *x, const uint8_t *codes, const double *levels, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * levels[codes[i]];
    return sum;
}

// Adds terms first_term .. last_term - 1 of all groups to y, with the last term the offsets.
static float add_groups(const product *p, const weight_block *b, int64_t m, int64_t n,
                        int64_t first_term, int64_t last_term, float y)
{
    const double *x = p->x->data + m * p->k, *levels = b->values + n * p->k;
    const uint8_t *codes = b->rows.codes + n * p->k;
    int64_t groups = quant_groups(&p->format, p->k), terms = p->format.terms,
            size = p->format.group ? p->format.group : p->k;
    float scale = (float)row_scale(p, m);
    for (int64_t g = 0; g < groups; g++) {
        int64_t first = g * size, count = p->k - first < size ? p->k - first : size;
        const float *ws = b->rows.scale + (n * groups + g) * terms;
        double sum = 0;
        for (int64_t t = first_term; t < last_term; t++) {
            double c = t ? dot_codes(x + first, codes + first, p->levels[t], count)
                         : dot(x + first, levels + first, count);
            y = fmaf((float)c, ws[t] * scale, y);
        }
        if (last_term < terms)
            continue;
        for (int64_t k = first; b->rows.offset && k < first + count; k++)
            sum += x[k];
        if (b->rows.offset)
            y = fmaf((float)sum * scale, b->rows.offset[n * groups + g], y);
    }
    return y;
}

// Integer activations, exactly as `linear` in ops.def says: the group sums are
// integers (exact in double), the rest is f32.
static double integer_exact(const product *p, const weight_block *b, int64_t m, int64_t n)
{
    if (p->format.kind != QUANT_SPECIAL)
        return (double)add_groups(p, b, m, n, 0, p->format.terms, 0);
    float y = add_groups(p, b, m, n, 0, 1, 0);
    return (double)add_groups(p, b, m, n, 1, p->format.terms, y);
}

static unsigned plane_bits(const product *p, const uint8_t *codes, int64_t lookup, unsigned plane)
{
    unsigned bits = 0;
    for (int64_t j = 0; j < 4 && 4 * lookup + j < p->k; j++)
        bits |= (codes[4 * lookup + j] >> plane & 1u) << j;
    return bits;
}

// What a term's planes pick for one lookup.
static double term_entry(const product *p, quant_term t, const uint8_t *codes, int64_t lookup,
                         const double *entries)
{
    double sum = 0;
    for (unsigned i = 0; i < t.planes; i++) {
        int weight = t.form == QUANT_EQUAL ? 1 : 1 << i;
        sum += weight * eval_table_lookup(entries, plane_bits(p, codes, lookup, t.first + i));
    }
    return sum;
}

// The plane of a codebook and its offset.
static double signs_beside_book(const product *p, const weight_block *b, int64_t m, int64_t n)
{
    int64_t lookups = (p->k + 3) / 4, groups = quant_groups(&p->format, p->k);
    int64_t per_group = p->format.group ? p->format.group / 4 : lookups;
    const double *entries = p->signs + m * lookups * 8;
    double y = 0;
    for (int64_t lookup = 0; lookup < lookups; lookup++, entries += 8) {
        int64_t group = n * groups + lookup / per_group;
        y +=
            term_entry(p, quant_term_of(&p->format, 1), b->rows.codes + n * p->k, lookup, entries) *
            (double)b->rows.scale[group * p->format.terms + 1];
        y += eval_table_lookup(entries, 15) * (double)b->rows.offset[group];
    }
    return y;
}

// What the codes of a codebook's lookups pick.
static double through_book(const product *p, const weight_block *b, int64_t m, int64_t n)
{
    const quant_codebook *book = p->format.codebook;
    int64_t per_lookup = 4 / book->bits, lookups = (p->k + per_lookup - 1) / per_lookup;
    int64_t groups = quant_groups(&p->format, p->k);
    int64_t per_group = p->format.group ? p->format.group / per_lookup : lookups;
    const double *entries = p->entries + m * lookups * QUANT_BOOK;
    const uint8_t *codes = b->rows.codes + n * p->k;
    double y = 0;
    for (int64_t at = 0; at < lookups; at++, entries += QUANT_BOOK) {
        unsigned index = 0;
        for (int64_t j = 0; j < per_lookup && at * per_lookup + j < p->k; j++)
            index |= (codes[at * per_lookup + j] & ((1u << book->bits) - 1)) << j * book->bits;
        y +=
            entries[index] * (double)b->rows.scale[(n * groups + at / per_group) * p->format.terms];
    }
    if (p->signs)
        y += signs_beside_book(p, b, m, n);
    return p->scale ? y * row_scale(p, m) : y;
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
        const float *scale = b->rows.scale + group * p->format.terms;
        for (unsigned t = 0; t < p->format.terms; t++)
            y += term_entry(p, quant_term_of(&p->format, t), codes, lookup, entries) *
                 (double)scale[t];
        if (b->rows.offset)
            y += eval_table_lookup(entries, 15) * (double)b->rows.offset[group];
    }
    return p->scale ? y * row_scale(p, m) : y;
}

// ------------------------------------------------------------------ the product

static bool multiply(product *p)
{
    bool exact = is_exact(p);
    if (!keep_weight(p))
        return false;
    for (int64_t first = 0; first < p->n; first += BLOCK_ROWS) {
        int64_t left = p->n - first;
        weight_block b = {.first = first, .count = left < BLOCK_ROWS ? left : BLOCK_ROWS};
        arena *scratch = arena_create();
        bool ok = load_block(p, scratch, &b);
        for (int64_t m = 0; m < p->rows && ok; m++) {
            for (int64_t n = 0; n < b.count; n++) {
                double y = p->entries
                               ? (p->format.codebook ? through_book : through_table)(p, &b, m, n)
                           : exact ? integer_exact(p, &b, m, n)
                                   : ideal(p, &b, m, n);
                p->y->data[m * p->columns + p->first + first + n] = scalar_round(p->y->type, y);
            }
        }
        arena_destroy(scratch);
        if (!ok)
            return false;
    }
    return true;
}

static double *entries_of_rows(const product *p, int64_t lookups, int64_t each)
{
    double *entries = calloc((size_t)(p->rows * lookups + 1), (size_t)each * sizeof(double));
    if (!entries)
        INTERNAL_ERROR("out of memory");
    return entries;
}

static double *sign_entries(const product *p, const ir_type *table)
{
    int64_t lookups = (p->k + 3) / 4;
    double *entries = entries_of_rows(p, lookups, 8);
    for (int64_t m = 0; m < p->rows; m++)
        eval_table_entries(table, p->e->options.tile_depth, p->x->data + m * p->k, p->k,
                           entries + m * lookups * 8);
    return entries;
}

static double *book_entries(const product *p, const float *numbers)
{
    const quant_codebook *book = p->format.codebook;
    int64_t per_lookup = 4 / book->bits, lookups = (p->k + per_lookup - 1) / per_lookup;
    double *entries = entries_of_rows(p, lookups, QUANT_BOOK);
    for (int64_t m = 0; m < p->rows; m++)
        eval_book_entries(p->table, p->e->options.tile_depth, book, numbers, p->x->data + m * p->k,
                          p->k, entries + m * lookups * QUANT_BOOK);
    return entries;
}

// `numbers`: of a codebook.
static void build_entries(product *p, const float *numbers)
{
    const ir_value *signs = ir_operand_named(p->op, "signs");
    p->entries = p->format.codebook ? book_entries(p, numbers) : sign_entries(p, p->table);
    p->signs = signs ? sign_entries(p, signs->type) : NULL;
}

// A learned codebook is known with any row of the weight.
static bool with_entries(product *p)
{
    const quant_codebook *book = p->format.codebook;
    arena *scratch = arena_create();
    weight_block first = {.count = p->n > 0}; // of one format
    bool ok = !book || !book->learned || read_planes(p, scratch, &first);
    if (ok)
        build_entries(p, !book ? NULL : book->learned ? first.rows.book : book->levels);
    arena_destroy(scratch);
    return ok;
}

// A matrix in several formats is one for each of its blocks.
static bool multiply_blocks(product *p)
{
    evaluator *e = p->e;
    eval_global *g = p->content;
    const eval_weights *w = e->options.weights;
    int64_t blocks = quant_mix_blocks(&p->mix, p->n);
    if (!w->parts)
        return eval_error(e, p->op, "weight '%s' has several formats", p->weight->name);
    if (!g->blocks) {
        g->part_of_block = arena_alloc(e->arena, (size_t)blocks);
        if (!w->parts(w->context, e->diagnostics, p->weight, g->part_of_block))
            return false;
        g->blocks = ARENA_ARRAY(e->arena, eval_global, (size_t)blocks);
        memset(g->blocks, 0, (size_t)blocks * sizeof *g->blocks);
    }
    bool ok = true;
    for (int64_t i = 0; i < blocks && ok; i++) {
        product part = *p;
        part.format = p->mix.parts[g->part_of_block[i]].format;
        part.content = &g->blocks[i];
        part.first = i * p->mix.rows;
        part.n = quant_mix_block_rows(&p->mix, p->n, i);
        find_levels(&part);
        ok = multiply(&part);
    }
    return ok;
}

static bool find_weight(product *p)
{
    p->weight = eval_weight_of(p->e, p->op, 1, &p->mix);
    if (!p->weight)
        return false;
    p->format = p->mix.parts[0].format;
    p->content = &p->e->globals[p->weight->value.mark];
    p->n = p->columns = p->weight->value.type->dims[0].value;
    p->k = p->weight->value.type->dims[1].value;
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
    if (!eval_optional(e, op, "scale", &p.scale))
        return false;
    if (p.scale && p.scale->count != p.rows)
        return eval_error(e, op, "%lld scales for %lld rows", (long long)p.scale->count,
                          (long long)p.rows);
    if (with_table)
        p.table = ir_operand(op, 0)->type;
    // Tables of integers are exact.
    bool rounds =
        p.table && e->options.quantize_tables && p.format.planes && !scalar_is_integer(p.x->type);
    bool ok = !rounds || with_entries(&p);
    ok = ok && (quant_is_mixed(&p.mix) ? multiply_blocks(&p) : multiply(&p));
    free(p.entries);
    free(p.signs);
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
