// What `lutc inspect` shows of a source.
#include "compiler/import/source.h"

static void print_item(text *out, const meta_value *v, uint64_t i)
{
    if (v->element == META_TEXT) {
        meta_text t = meta_text_at(v, i);
        text_quoted(out, t.data, t.length);
    } else if (v->element == META_NUMBER) {
        text_double(out, meta_number_at(v, i));
    } else {
        text_printf(out, "%lld", (long long)meta_integer_at(v, i));
    }
}

static void print_array(text *out, const meta_value *v)
{
    enum { SHOWN = 6 };
    text_printf(out, "%llu: [", (unsigned long long)v->count);
    for (uint64_t i = 0; i < v->count && i < SHOWN; i++) {
        text_append(out, i ? ", " : "");
        print_item(out, v, i);
    }
    text_append(out, v->count > SHOWN ? ", ...]" : "]");
}

static void print_value(text *out, const meta_value *v)
{
    switch (v->kind) {
    case META_INTEGER: text_printf(out, "%lld", (long long)v->integer); break;
    case META_NUMBER: text_double(out, v->number); break;
    case META_BOOLEAN: text_append(out, v->integer ? "true" : "false"); break;
    case META_TEXT: text_quoted(out, v->text.data, v->text.length); break;
    case META_ARRAY: print_array(out, v); break;
    }
}

static void print_tensor(text *out, const weights_tensor *t)
{
    text_printf(out, "  %-8s %-32s ", t->type && !t->hash ? t->type->name : t->format.name,
                t->name);
    shape_print(out, t->rank, t->shape);
    text_printf(out, "  %llu bytes", (unsigned long long)t->size);
    if (t->origin != t->name)
        text_printf(out, "  from %s", t->origin);
    text_char(out, '\n');
}

void weights_print(text *out, const weights *w)
{
    static const char *const kinds[] = {"no weights", "random weights", "GGUF", "packed weights"};
    text_printf(out, "%s: %s", w->name, kinds[w->kind]);
    if (w->kind == WEIGHTS_PACKED)
        text_printf(out, " for tiles of m%u n%u", w->shape.tile_m, w->shape.tile_n);
    text_printf(out, "\nmetadata: %zu\n", w->meta.values.count);
    for (size_t i = 0; i < w->meta.values.count; i++) {
        const meta_value *v = &w->meta.values.items[i];
        text_printf(out, "  %-16s %s = ", v->type, v->key);
        print_value(out, v);
        text_char(out, '\n');
    }
    text_printf(out, "tensors: %zu\n", w->tensors.count);
    for (size_t i = 0; i < w->tensors.count; i++)
        print_tensor(out, &w->tensors.items[i]);
}
