// split-precompute: a linear whose weight has planes becomes lookups in tables
// of its activations; the tables are built once per activation and table type.
#include "compiler/passes/graph.h"
#include "compiler/passes/lower/native.h"
#include "compiler/quant/mix.h"

#include <math.h>
#include <string.h>

// A linear on its way to the LUT path.
typedef struct candidate {
    ir_op *op;
    ir_value *x; // the activations
    quant_mix mix;
    quant_format format;  // of the first part, which decides about tables
    int64_t sums;         // activations per sum that its zero points need; 0: none
    const char *obstacle; // why it stays, or NULL
} candidate;

typedef struct split {
    ir_module *module;
    pass_context *context;
    ARRAY_OF(candidate) candidates; // of one function, in order
    double total;                   // multiply-accumulates per row of all of them
} split;

static double macs(const ir_op *op)
{
    const ir_type *w = ir_operand(op, 1)->type;
    return (double)w->dims[0].value * (double)w->dims[1].value *
           (double)graph_rows(op->results[0].type);
}

// ------------------------------------------------------------------- obstacles

static const char *weight_obstacle(split *s, const ir_op *op, const quant_mix *m)
{
    const quant_format *f = &m->parts[0].format;
    pack_mix packed;
    const machine *target = s->context->machine;
    const ir_type *w = ir_operand(op, 1)->type;
    pack_shape shape = pass_pack_shape(s->context);
    arena *a = s->context->arena;
    if (f->kind == QUANT_DENSE)
        return arena_format(a, "weights are %s (use --quant %s=w4g32)", w->format,
                            graph_value_name(ir_operand(op, 1)));
    if (f->kind == QUANT_BYTES && !is_native(s->context))
        return arena_format(a, "weights are %s, for a matrix unit", w->format);
    if (!is_native(s->context) && !(target->parts & MACHINE_LUT))
        return arena_format(a, "machine '%s' has no LUT unit", target->name);
    if (!w->dims[0].value || !w->dims[1].value)
        return "the matrix is empty";
    if (quant_is_mixed(m) && m->rows != shape.tile_n)
        return arena_format(a, "blocks of %lld rows are no column tiles of %u", (long long)m->rows,
                            shape.tile_n);
    if (quant_is_mixed(m) && !pack_mix_of(m, w->dims[0].value, w->dims[1].value, shape, &packed))
        return "there are fewer blocks of rows than have formats of their own, or groups are too "
               "small";
    if (!is_native(s->context) && !pack_size(f, w->dims[0].value, w->dims[1].value, shape))
        return arena_format(a, "groups of %lld are less than a quarter of the tile depth %u",
                            (long long)f->group, machine_tile_depth(target));
    return NULL;
}

// What the planes of one lmma add up to at most, for an activation of magnitude 1.
static double largest_level(const quant_format *f)
{
    double most = 0;
    for (int i = 0; f->codebook && i < QUANT_BOOK; i++)
        most = fmax(most, fabs((double)f->codebook->levels[i]));
    return f->codebook                ? most
           : f->kind == QUANT_CODED   ? 1
           : f->kind == QUANT_TERNARY ? 2
           : f->planes < 4            ? (1 << f->planes) - 1
                                      : 15;
}

// The largest magnitude of an integer table's entries.
static double largest_entry(scalar_type x)
{
    return x == SCALAR_I16 ? 255 * ISA_TABLE_WIDTH : 128 * ISA_TABLE_WIDTH;
}

// Sums of a group that are combined (planes 4-7, both bytes of i16) are exact below 2^24, others
// as long as they fit 32 bits.
static const char *depth_obstacle(split *s, const ir_op *op, const quant_format *f, scalar_type x)
{
    int64_t k = ir_operand(op, 1)->type->dims[1].value;
    int64_t depth = f->group && f->group < k ? f->group : k;
    bool combines = scalar_is_integer(x) && (x == SCALAR_I16 || f->planes > 4);
    double limit = combines ? 0x1p24 : 0x1p31;
    double most = largest_entry(x) / ISA_TABLE_WIDTH * largest_level(f);
    if ((double)depth * most < limit)
        return NULL;
    return arena_format(s->context->arena,
                        "the sums of %lld weights under one scale would not be exact; groups of "
                        "up to 256 are",
                        (long long)depth);
}

// Elements of 8 bits have no tables; CPUs multiply them.
static const char *product_obstacle(const quant_format *f, scalar_type x)
{
    if (f->kind != QUANT_BYTES)
        return quant_obstacle(f, x);
    return scalar_is_float(x) || f->element == SCALAR_I8
               ? NULL
               : "products of integers with floats of 8 bits are not exact";
}

static const char *obstacle(split *s, const ir_op *op, const quant_mix *m)
{
    scalar_type x = ir_operand(op, 0)->type->scalar;
    const char *reason = weight_obstacle(s, op, m);
    for (unsigned i = 0; i < m->n_parts && !reason; i++)
        reason = product_obstacle(&m->parts[i].format, x);
    if (!reason && scalar_is_float(x) && ir_operand_named(op, "scale"))
        reason = "tables of floats take no row scales";
    for (unsigned i = 0; i < m->n_parts && !reason; i++)
        reason = depth_obstacle(s, op, &m->parts[i].format, x);
    return reason;
}

static int64_t sums_of(const ir_op *op, const quant_format *f)
{
    if (!f->offset)
        return 0;
    return f->group ? f->group : ir_operand(op, 1)->type->dims[1].value;
}

static bool collect(split *s, ir_function *f)
{
    bool good = true;
    s->candidates.count = 0;
    s->total = 0;
    graph_number_ops(f->body);
    IR_FOR_OPS(op, f->body)
    {
        candidate k = {.op = op};
        if (op->code != IR_LINEAR)
            continue;
        const char *format = ir_operand(op, 1)->type->format;
        if (!quant_mix_parse(format, &k.mix)) {
            diagnostic_error(s->context->diagnostics, op->where, "weight '%s' has %s format '%s'",
                             graph_value_name(ir_operand(op, 1)),
                             quant_format_is_open(format) ? "the open" : "the unknown", format);
            good = false;
            continue;
        }
        k.x = ir_operand(op, 0);
        k.format = k.mix.parts[0].format;
        k.sums = sums_of(op, &k.format);
        k.obstacle = obstacle(s, op, &k.mix);
        s->total += macs(op);
        ARRAY_PUSH(s->context->arena, &s->candidates, k);
    }
    return good;
}

// ---------------------------------------------------------------------- tables

// A consumer without offsets takes the table of the first one with.
static int64_t shared_sums(const split *s, const candidate *k)
{
    int64_t sums = k->sums;
    for (size_t i = 0; !sums && i < s->candidates.count; i++) {
        const candidate *other = &s->candidates.items[i];
        if (!other->obstacle && other->x == k->x)
            sums = other->sums;
    }
    return sums;
}

// The table of signs (also: of a codebook's plane), or of the codebook.
static const ir_type *table_type(const split *s, const candidate *k, const quant_codebook *book)
{
    const ir_type *x = k->x->type;
    scalar_type entry = scalar_is_integer(x->scalar) ? SCALAR_I16 : SCALAR_F16;
    int64_t sums = book && !is_native(s->context) ? 0 : shared_sums(s, k);
    const ir_type *table =
        ir_type_table(s->module, entry, TABLE_SCALE_NONE, 0, sums, x->rank, x->dims);
    table = ir_type_table_in_parts(s->module, table, x->scalar == SCALAR_I16 ? 2 : 1);
    return ir_type_table_of_codebook(s->module, table, book ? book->name : NULL);
}

// The table that exists already before `op`, or a new one there.
static ir_value *table_for(split *s, candidate *k, const quant_codebook *codebook)
{
    ir_value *x = k->x;
    const ir_type *type = table_type(s, k, codebook);
    bool learned = codebook && codebook->learned && !is_native(s->context);
    ir_value *book = learned ? ir_operand(k->op, 1) : NULL;
    for (ir_use *use = x->uses; use; use = use->next)
        if (use->op->code == IR_LUT_PRECOMPUTE && use->op->results[0].type == type &&
            ir_operand_named(use->op, "codebook") == book && use->op->block == k->op->block &&
            use->op->mark <= k->op->mark)
            return &use->op->results[0];
    ir_builder b = ir_builder_before(k->op);
    if (x->kind == IR_VALUE_RESULT)
        b.where = x->op->where;
    ir_value *t = ir_build1(&b, IR_LUT_PRECOMPUTE, type, x, book, NULL);
    t->op->mark = k->op->mark;
    if (x->name)
        t->name = ir_intern(s->module, arena_format(s->context->arena, "%s.table", x->name));
    return t;
}

static void replace(split *s, candidate *k)
{
    ir_op *op = k->op;
    ir_value *table = table_for(s, k, k->format.codebook);
    bool plane = k->format.kind == QUANT_SPECIAL && !is_native(s->context);
    ir_value *signs = plane ? table_for(s, k, NULL) : NULL;
    ir_builder b = ir_builder_before(op);
    ir_value *y = ir_build1(&b, IR_LUT_MPGEMM, op->results[0].type, table, ir_operand(op, 1),
                            ir_operand_named(op, "scale"));
    y->name = op->results[0].name;
    if (signs)
        ir_set_operand(y->op, (unsigned)ir_operand_slot(IR_LUT_MPGEMM, "signs"), signs);
    ir_replace_uses(&op->results[0], y);
    for (size_t i = 0; i < s->candidates.count; i++) // products of this product
        if (s->candidates.items[i].x == &op->results[0])
            s->candidates.items[i].x = y;
    ir_op_remove(op);
}

// --------------------------------------------------------------------- remarks

static void remark_missed(split *s, const candidate *k)
{
    pass_remark_as(s->context, "lut", REMARK_MISSED, k->op->where,
                   "'%s' not on the LUT path: %s; %.1f %% of multiply-accumulates",
                   graph_value_name(ir_operand(k->op, 1)), k->obstacle,
                   s->total > 0 ? 100 * macs(k->op) / s->total : 0);
}

static void remark_table(split *s, const ir_op *precompute)
{
    const ir_value *x = ir_operand(precompute, 0);
    const char *name = graph_describe_value(s->context->arena, x);
    text consumers = {0};
    unsigned tables = 0;
    const ir_op *told = NULL; // the one table of these for which it is said
    graph_print_consumers(&consumers, arena_format(s->context->arena, "1 table of %s", name),
                          precompute);
    pass_remark_as(s->context, "lut", REMARK_APPLIED, precompute->where, "%s",
                   text_string(&consumers));
    text_free(&consumers);
    for (const ir_use *use = x->uses; use; use = use->next) {
        if (use->op->code != IR_LUT_PRECOMPUTE)
            continue;
        tables++;
        told = told ? told : use->op;
    }
    if (tables > 1 && told == precompute)
        pass_remark_as(s->context, "lut", REMARK_NOTE, precompute->where,
                       "%s needs %u tables: of signs, of a codebook, or for other zero points",
                       name, tables);
}

static void remark_tables(split *s, const ir_function *f, unsigned products)
{
    unsigned tables = 0;
    IR_FOR_OPS(op, f->body)
    {
        if (op->code != IR_LUT_PRECOMPUTE)
            continue;
        remark_table(s, op);
        tables++;
    }
    if (s->candidates.count)
        pass_remark(s->context, REMARK_APPLIED, f->where,
                    "'%s': %u of %zu products look up, in %u tables", f->name, products,
                    s->candidates.count, tables);
}

bool pass_split_precompute(ir_module *m, pass_context *c)
{
    split s = {.module = m, .context = c};
    bool good = true;
    for (ir_function *f = m->functions; f; f = f->next) {
        good &= collect(&s, f);
        unsigned products = 0;
        for (size_t i = 0; i < s.candidates.count; i++)
            if (s.candidates.items[i].obstacle)
                remark_missed(&s, &s.candidates.items[i]);
        for (size_t i = 0; i < s.candidates.count; i++) {
            if (s.candidates.items[i].obstacle)
                continue;
            replace(&s, &s.candidates.items[i]);
            products++;
        }
        remark_tables(&s, f, products);
    }
    return good;
}
