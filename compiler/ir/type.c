#include "compiler/ir/module.h"

#include <string.h>

int64_t ir_dim_maximum(ir_dim d)
{
    int64_t product;
    if (!d.symbol)
        return d.value;
    return __builtin_mul_overflow(d.symbol->maximum, d.value, &product) ? INT64_MAX : product;
}

uint64_t ir_type_hash(uint64_t hash, const ir_type *t)
{
    const uint64_t fields[] = {t->kind, t->scalar,         t->scale, (uint64_t)t->group,
                               t->tile, (uint64_t)t->sums, t->parts, (uint64_t)t->rank};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        hash = ir_hash_combine(hash, fields[i]);
    hash = ir_hash_combine(hash, t->multiplied);
    hash = ir_hash_text(hash, t->format);
    for (unsigned i = 0; i < t->rank; i++) {
        hash = ir_hash_combine(hash, (uint64_t)t->dims[i].value);
        hash = ir_hash_text(hash, t->dims[i].symbol ? t->dims[i].symbol->name : NULL);
    }
    return hash;
}

static bool type_equal(const ir_type *a, const ir_type *b)
{
    if (a->kind != b->kind || a->scalar != b->scalar || a->format != b->format ||
        a->scale != b->scale || a->group != b->group || a->sums != b->sums ||
        a->parts != b->parts || a->tile != b->tile || a->rank != b->rank)
        return false;
    if (a->multiplied != b->multiplied)
        return false;
    for (unsigned i = 0; i < a->rank; i++)
        if (!ir_dim_equal(a->dims[i], b->dims[i]))
            return false;
    return true;
}

static const ir_type **type_slot(const ir_intern_tables *tables, const ir_type *t)
{
    size_t mask = tables->type_capacity - 1;
    size_t at = (size_t)ir_type_hash(0, t) & mask;
    while (tables->types[at] && !type_equal(tables->types[at], t))
        at = (at + 1) & mask;
    return &tables->types[at];
}

static void grow_types(ir_module *m, ir_intern_tables *tables)
{
    const ir_type **old = tables->types;
    size_t n = tables->type_capacity;
    tables->type_capacity = n ? 2 * n : 64;
    tables->types = ARENA_ARRAY(m->arena, const ir_type *, tables->type_capacity);
    for (size_t i = 0; i < n; i++)
        if (old[i])
            *type_slot(tables, old[i]) = old[i];
}

static const ir_type *intern_type(ir_module *m, const ir_type *t)
{
    ir_intern_tables *tables = m->intern;
    if (2 * (tables->n_types + 1) > tables->type_capacity)
        grow_types(m, tables);
    const ir_type **slot = type_slot(tables, t);
    if (!*slot) {
        *slot = arena_copy(m->arena, t, sizeof *t);
        tables->n_types++;
    }
    return *slot;
}

static const ir_type *intern_with_dims(ir_module *m, ir_type t, unsigned rank, const ir_dim *dims)
{
    if (rank > IR_MAX_RANK)
        INTERNAL_ERROR("rank %u is beyond the limit of %d", rank, IR_MAX_RANK);
    t.rank = rank;
    for (unsigned i = 0; i < IR_MAX_RANK; i++)
        t.dims[i] = i < rank ? dims[i] : ir_dim_constant(0);
    return intern_type(m, &t);
}

const ir_type *ir_type_index(ir_module *m)
{
    return intern_type(m, &(ir_type){.kind = IR_INDEX});
}

const ir_type *ir_type_scalar(ir_module *m, scalar_type s)
{
    return intern_type(m, &(ir_type){.kind = IR_SCALAR, .scalar = s});
}

const ir_type *ir_type_tensor(ir_module *m, scalar_type s, unsigned rank, const ir_dim *dims)
{
    return intern_with_dims(m, (ir_type){.kind = IR_TENSOR, .scalar = s}, rank, dims);
}

const ir_type *ir_type_weight(ir_module *m, const char *format, unsigned rank, const ir_dim *dims)
{
    return intern_with_dims(m, (ir_type){.kind = IR_WEIGHT, .format = ir_intern(m, format)}, rank,
                            dims);
}

const ir_type *ir_type_table(ir_module *m, scalar_type entry, table_scale scale, int64_t group,
                             int64_t sums, unsigned rank, const ir_dim *dims)
{
    ir_type t = {.kind = IR_TABLE,
                 .scalar = entry,
                 .scale = scale,
                 .group = group,
                 .sums = sums,
                 .parts = 1};
    return intern_with_dims(m, t, rank, dims);
}

const ir_type *ir_type_table_of_codebook(ir_module *m, const ir_type *table, const char *name)
{
    ir_type t = *table;
    t.format = name ? ir_intern(m, name) : NULL;
    return intern_type(m, &t);
}

const ir_type *ir_type_table_in_parts(ir_module *m, const ir_type *table, unsigned parts)
{
    ir_type t = *table;
    t.parts = parts;
    return intern_type(m, &t);
}

const ir_type *ir_type_table_multiplied(ir_module *m, const ir_type *table)
{
    ir_type t = *table;
    t.multiplied = true;
    return intern_type(m, &t);
}

const ir_type *ir_type_buffer(ir_module *m, scalar_type s, unsigned rank, const ir_dim *dims)
{
    return intern_with_dims(m, (ir_type){.kind = IR_BUFFER, .scalar = s}, rank, dims);
}

const ir_type *ir_type_vector(ir_module *m, scalar_type s)
{
    return intern_type(m, &(ir_type){.kind = IR_VECTOR, .scalar = s});
}

const ir_type *ir_type_tile(ir_module *m, tile_kind kind)
{
    return intern_type(m, &(ir_type){.kind = IR_TILE, .tile = kind});
}

const ir_type *ir_type_with_scalar(ir_module *m, const ir_type *t, scalar_type s)
{
    ir_type other = *t;
    other.scalar = s;
    return intern_type(m, &other);
}

// ------------------------------------------------------------------- printing

static void print_dims(text *out, const ir_type *t)
{
    text_char(out, '[');
    for (unsigned i = 0; i < t->rank; i++) {
        if (i)
            text_append(out, ", ");
        ir_dim_print(out, t->dims[i]);
    }
    text_char(out, ']');
}

void ir_dim_print(text *out, ir_dim d)
{
    if (d.symbol && d.value == 1)
        text_append(out, d.symbol->name);
    else if (d.symbol)
        text_printf(out, "%lld*%s", (long long)d.value, d.symbol->name);
    else if (d.value == -1)
        text_char(out, '?');
    else
        text_printf(out, "%lld", (long long)d.value);
}

static void print_table(text *out, const ir_type *t)
{
    text_printf(out, "table<%s%s", scalar_rows[t->scalar].name,
                t->multiplied ? ", multiplied" : "");
    if (t->format)
        text_printf(out, ", codebook = %s", t->format);
    if (t->scale == TABLE_SCALE_GROUP)
        text_printf(out, ", scale = group(%lld)", (long long)t->group);
    else if (t->scale != TABLE_SCALE_NONE)
        text_printf(out, ", scale = %s", t->scale == TABLE_SCALE_ROW ? "row" : "slice");
    if (t->sums)
        text_printf(out, ", sums = %lld", (long long)t->sums);
    if (t->parts > 1)
        text_printf(out, ", parts = %u", t->parts);
    text_char(out, '>');
}

const char *const ir_tile_kind_words[] = {"plane", "table", "i32", "f32", "matrix"};

// Weight formats print bare ("w2g64[..]") where that cannot be taken for a tensor.
bool ir_weight_format_is_bare(const char *format)
{
    static const char *const bases[] = {"ternary", "bcq", "nf4", "fp4",
                                        "iq4nl",   "cb4", "cb2", "bitmod"};
    for (size_t i = 0; i < sizeof bases / sizeof *bases; i++)
        if (text_starts_with(format, bases[i]))
            return true;
    return (format[0] == 'w' && (!format[1] || (format[1] >= '0' && format[1] <= '9'))) ||
           !strcmp(format, "dense");
}

void ir_type_print(text *out, const ir_type *t)
{
    switch (t->kind) {
    case IR_INDEX: text_append(out, "index"); return;
    case IR_SCALAR: text_append(out, scalar_rows[t->scalar].name); return;
    case IR_VECTOR: text_printf(out, "vec<%s>", scalar_rows[t->scalar].name); return;
    case IR_TILE: text_printf(out, "tile<%s>", ir_tile_kind_words[t->tile]); return;
    case IR_TENSOR: text_append(out, scalar_rows[t->scalar].name); break;
    case IR_BUFFER: text_printf(out, "buffer<%s>", scalar_rows[t->scalar].name); break;
    case IR_TABLE: print_table(out, t); break;
    case IR_WEIGHT:
        if (ir_weight_format_is_bare(t->format))
            text_append(out, t->format);
        else
            text_printf(out, "weight<%s>", t->format);
        break;
    }
    print_dims(out, t);
}

bool ir_type_same_dims(const ir_type *a, const ir_type *b)
{
    if (a->rank != b->rank)
        return false;
    for (unsigned i = 0; i < a->rank; i++)
        if (!ir_dim_equal(a->dims[i], b->dims[i]))
            return false;
    return true;
}
