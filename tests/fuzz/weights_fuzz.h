// What both fuzzers of weight files do: open, look at everything, read every row.
#pragma once

#include "compiler/import/import.h"
#include "tests/fuzz/nowhere.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void touch_metadata(const weights *w)
{
    for (size_t i = 0; i < weights_meta_count(w); i++) {
        const meta_value *v = weights_meta_at(w, i);
        if (weights_meta(w, v->key) != v)
            __builtin_trap();
        for (uint64_t j = 0; v->kind == META_ARRAY && j < v->count; j++)
            if (v->element == META_TEXT && meta_text_at(v, j).length > 1u << 20)
                __builtin_trap();
            else if (v->element != META_TEXT && meta_number_at(v, j) != meta_number_at(v, j) &&
                     v->element != META_NUMBER)
                __builtin_trap();
    }
}

// Where `keep` finds a format, its values are those of the tensor, which may have been rounded.
static inline void check_kept(const weights *w, diagnostics *d, arena *a, const weights_tensor *t)
{
    const char *format = weights_keep_format(w, t);
    if (!format || t->rank != 2 || !t->rows || !t->columns)
        return;
    ir_module *m = ir_module_create(a, "fuzz");
    ir_dim dims[2] = {ir_dim_constant(t->rows), ir_dim_constant(t->columns)};
    const ir_type *type = ir_type_weight(m, format, 2, dims);
    ir_global *g = ir_global_create(m, IR_GLOBAL_WEIGHT, t->name, type, t->origin, NOWHERE);
    float *row = ARENA_ARRAY(a, float, (size_t)t->columns);
    double *kept = ARENA_ARRAY(a, double, (size_t)t->columns);
    for (int64_t n = 0; n < t->rows && n < 16; n++) {
        if (!weights_read_rows(w, d, t, n, 1, row))
            continue;
        if (!weights_values(w, d, g, n, 1, kept))
            __builtin_trap();
        for (int64_t k = 0; k < t->columns; k++)
            if ((float)kept[k] != row[k])
                __builtin_trap();
    }
}

static inline void touch_tensor(const weights *w, diagnostics *d, const weights_tensor *t)
{
    if (!weights_find(w, t->name) || t->rows * t->columns > 1 << 22)
        return;
    arena *a = arena_create();
    float *row = ARENA_ARRAY(a, float, (size_t)t->columns);
    for (int64_t n = 0; n < t->rows && n < 256 && t->columns; n++)
        weights_read_rows(w, d, t, n, 1, row);
    check_kept(w, d, a, t);
    weights_verify(w, d, t);
    arena_destroy(a);
}

static inline int try_weights(const char *name, const char *magic, size_t length,
                              const uint8_t *data, size_t size)
{
    if (size < length || memcmp(data, magic, length) != 0)
        return 0;
    arena *a = arena_create();
    diagnostics *d = diagnostics_create(nowhere());
    weights *w = weights_parse(a, d, name, data, size);
    text shown = {0};
    if (!w && !diagnostics_errors(d))
        __builtin_trap(); // refused without a word
    if (w) {
        touch_metadata(w);
        for (size_t i = 0; i < weights_count(w); i++)
            touch_tensor(w, d, weights_at(w, i));
        weights_print(&shown, w);
    }
    text_free(&shown);
    diagnostics_destroy(d);
    arena_destroy(a);
    return 0;
}
