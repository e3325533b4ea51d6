#include "compiler/ir/parser.h"

#include <string.h>

static bool parse_dim_size(parser *p, bool unknown_allowed, ir_dim *out)
{
    const char *name;
    int64_t value = 1;
    location where = p->now.where;
    if (unknown_allowed && lir_accept(p, "?")) {
        *out = ir_dim_constant(-1);
        return true;
    }
    if (p->now.kind == TOKEN_NUMBER) {
        if (!lir_integer(p, "a size", 0, INT64_C(1) << 40, &value))
            return false;
        *out = ir_dim_constant(value);
        if (!lir_accept(p, "*"))
            return true;
        if (value < 1)
            return lir_error(p, where, "expected a coefficient of at least 1");
        where = p->now.where;
    }
    if (!lir_word(p, "a size: a number, a dimension, or 8*T", &name))
        return false;
    const ir_symbol *symbol = ir_symbol_find(p->module, name);
    if (!symbol)
        return lir_error(p, where, "dimension '%s' is not declared; add 'dim %s in 1..N'", name,
                         name);
    *out = (ir_dim){symbol, value};
    return true;
}

static bool parse_dims(parser *p, bool buffer, unsigned *rank, ir_dim *dims)
{
    *rank = 0;
    if (!lir_expect(p, "["))
        return false;
    while (!lir_accept(p, "]")) {
        if (*rank && !lir_expect(p, ","))
            return false;
        if (*rank == IR_MAX_RANK)
            return lir_error(p, p->now.where, "more than %d dimensions", IR_MAX_RANK);
        if (!parse_dim_size(p, buffer && *rank == 0, &dims[*rank]))
            return false;
        ++*rank;
    }
    return true;
}

static bool parse_scalar(parser *p, scalar_type *out)
{
    const char *name;
    location where = p->now.where;
    if (!lir_word(p, "a scalar type", &name))
        return false;
    return scalar_by_name(name, out) ||
           lir_error(p, where, "expected a scalar type like f16, found '%s'", name);
}

static bool parse_scale(parser *p, ir_type *t)
{
    location where = p->now.where;
    const char *word;
    if (!lir_expect(p, "=") || !lir_word(p, "row, group(N) or slice", &word))
        return false;
    if (!strcmp(word, "row"))
        t->scale = TABLE_SCALE_ROW;
    else if (!strcmp(word, "slice"))
        t->scale = TABLE_SCALE_SLICE;
    else if (strcmp(word, "group"))
        return lir_error(p, where, "expected a scale of row, group(N) or slice");
    if (strcmp(word, "group"))
        return true;
    t->scale = TABLE_SCALE_GROUP;
    return lir_expect(p, "(") &&
           lir_integer(p, "the group's size", 1, INT64_C(1) << 40, &t->group) && lir_expect(p, ")");
}

static bool parse_table(parser *p, const ir_type **out)
{
    ir_type t = {.kind = IR_TABLE};
    int64_t parts = 1;
    if (!lir_expect(p, "<") || !parse_scalar(p, &t.scalar))
        return false;
    while (lir_accept(p, ",")) {
        if (lir_accept(p, "multiplied")) {
            t.multiplied = true;
        } else if (lir_accept(p, "scale")) {
            if (!parse_scale(p, &t))
                return false;
        } else if (lir_accept(p, "codebook")) {
            if (!lir_expect(p, "=") || !lir_word(p, "a codebook", &t.format))
                return false;
        } else if (lir_accept(p, "parts")) {
            if (!lir_expect(p, "=") || !lir_integer(p, "the table's parts", 1, 2, &parts))
                return false;
        } else if (!lir_expect(p, "sums") || !lir_expect(p, "=") ||
                   !lir_integer(p, "activations per sum", 1, INT64_C(1) << 40, &t.sums)) {
            return false;
        }
    }
    if (!lir_expect(p, ">") || !parse_dims(p, false, &t.rank, t.dims))
        return false;
    *out = ir_type_table(p->module, t.scalar, t.scale, t.group, t.sums, t.rank, t.dims);
    *out = ir_type_table_in_parts(p->module, *out, (unsigned)parts);
    *out = ir_type_table_of_codebook(p->module, *out, t.format);
    if (t.multiplied)
        *out = ir_type_table_multiplied(p->module, *out);
    return true;
}

static bool parse_buffer(parser *p, const ir_type **out)
{
    ir_type t = {.kind = IR_BUFFER};
    if (!lir_expect(p, "<") || !parse_scalar(p, &t.scalar) || !lir_expect(p, ">") ||
        !parse_dims(p, true, &t.rank, t.dims))
        return false;
    *out = ir_type_buffer(p->module, t.scalar, t.rank, t.dims);
    return true;
}

static bool parse_vector(parser *p, const ir_type **out)
{
    scalar_type s;
    if (!lir_expect(p, "<") || !parse_scalar(p, &s) || !lir_expect(p, ">"))
        return false;
    *out = ir_type_vector(p->module, s);
    return true;
}

static bool parse_tile(parser *p, const ir_type **out)
{
    const char *word;
    location where;
    if (!lir_expect(p, "<"))
        return false;
    where = p->now.where;
    if (!lir_word(p, "plane, table, i32 or f32", &word))
        return false;
    for (unsigned i = 0; i < TILE_KINDS; i++) {
        if (!strcmp(word, ir_tile_kind_words[i])) {
            *out = ir_type_tile(p->module, (tile_kind)i);
            return lir_expect(p, ">");
        }
    }
    return lir_error(p, where, "expected a tile of plane, table, i32 or f32, found '%s'", word);
}

static bool parse_weight(parser *p, const char *format, const ir_type **out)
{
    unsigned rank;
    ir_dim dims[IR_MAX_RANK];
    if (!parse_dims(p, false, &rank, dims))
        return false;
    *out = ir_type_weight(p->module, format, rank, dims);
    return true;
}

static bool parse_explicit_weight(parser *p, const ir_type **out)
{
    const char *format;
    return lir_expect(p, "<") && lir_word(p, "a weight format", &format) && lir_expect(p, ">") &&
           parse_weight(p, format, out);
}

static bool parse_index(parser *p, const ir_type **out)
{
    *out = ir_type_index(p->module);
    return true;
}

static const struct type_form {
    const char *word;
    bool (*parse)(parser *p, const ir_type **out);
} type_forms[] = {
    {"index", parse_index}, {"table", parse_table}, {"buffer", parse_buffer},
    {"vec", parse_vector},  {"tile", parse_tile},   {"weight", parse_explicit_weight},
};

static bool unknown_type(parser *p, location where, const char *word)
{
    const char *names[SCALAR_COUNT + 8];
    size_t n = 0;
    for (unsigned i = 0; i < SCALAR_COUNT; i++)
        names[n++] = scalar_rows[i].name;
    for (size_t i = 0; i < sizeof type_forms / sizeof *type_forms; i++)
        names[n++] = type_forms[i].word;
    const char *near = text_nearest(word, names, n);
    return lir_error(p, where, "unknown type '%s'%s%s%s", word, near ? "; did you mean '" : "",
                     near ? near : "", near ? "'?" : "");
}

bool lir_type(parser *p, const ir_type **out)
{
    const char *word;
    scalar_type s;
    unsigned rank;
    ir_dim dims[IR_MAX_RANK];
    location where = p->now.where;
    if (!lir_word(p, "a type", &word))
        return false;
    for (size_t i = 0; i < sizeof type_forms / sizeof *type_forms; i++)
        if (!strcmp(word, type_forms[i].word))
            return type_forms[i].parse(p, out);
    if (scalar_by_name(word, &s)) {
        *out = ir_type_scalar(p->module, s);
        if (!token_is(&p->now, "["))
            return true;
        if (!parse_dims(p, false, &rank, dims))
            return false;
        *out = ir_type_tensor(p->module, s, rank, dims);
        return true;
    }
    if (ir_weight_format_is_bare(word) && token_is(&p->now, "["))
        return parse_weight(p, word, out);
    return unknown_type(p, where, word);
}
