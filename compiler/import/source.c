// Opening a source, and finding tensors in it.
#include "compiler/import/source.h"

#include "support/content.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static weights *weights_create(arena *a, diagnostics *d, const char *name, weights_kind kind)
{
    weights *w = ARENA_NEW(a, weights);
    w->kind = kind;
    w->method = QUANT_CLIPPED;
    w->books = ARENA_NEW(a, learned_books);
    w->arena = a;
    w->name = arena_string(a, name, strlen(name));
    w->where = (location){.source = diagnostics_source(d, name, NULL, 0)};
    return w;
}

weights *weights_parse(arena *a, diagnostics *d, const char *name, const void *data, size_t size)
{
    weights *w = weights_create(a, d, name, WEIGHTS_GGUF);
    const uint8_t *bytes = data;
    if (size >= 8 && memcmp(bytes, PACK_MAGIC, 8) == 0) {
        w->kind = WEIGHTS_PACKED;
        return packed_parse(w, d, bytes, size) ? w : NULL;
    }
    if (size >= 4 && memcmp(bytes, "GGUF", 4) == 0)
        return gguf_parse(w, d, bytes, size) ? w : NULL;
    char remark[CONTENT_REMARK];
    diagnostic_error(d, w->where, "neither a GGUF file nor a file of packed weights%s",
                     content_remark(data, size, remark));
    return NULL;
}

static weights *open_random(arena *a, diagnostics *d, const char *spec)
{
    const char *seed = spec + strlen("random");
    long long value = 0;
    weights *w = weights_create(a, d, spec, WEIGHTS_RANDOM);
    if (*seed && !text_to_int64(seed + 1, &value)) {
        diagnostic_error(d, NOWHERE, "weights '%s': expected random:SEED with a whole number",
                         spec);
        return NULL;
    }
    w->seed = (uint64_t)value;
    return w;
}

static weights *open_file(arena *a, diagnostics *d, const char *path)
{
    mapped_file file;
    if (!file_map(d, path, &file))
        return NULL;
    weights *w = weights_parse(a, d, path, file.data, file.size);
    if (!w) {
        file_unmap(&file);
        return NULL;
    }
    w->file = file;
    w->mapped = true;
    return w;
}

weights *weights_open(arena *a, diagnostics *d, const char *spec)
{
    if (strcmp(spec, "none") == 0)
        return weights_create(a, d, spec, WEIGHTS_NONE);
    if (strcmp(spec, "random") == 0 || text_starts_with(spec, "random:"))
        return open_random(a, d, spec);
    return open_file(a, d, spec);
}

void weights_close(weights *w)
{
    if (w && w->mapped)
        file_unmap(&w->file);
}

void bytes_release(const weights *w, const uint8_t *data, uint64_t size)
{
    if (!w->mapped || w->file.descriptor < 0)
        return;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = ((uintptr_t)data + page - 1) / page * page;
    uintptr_t until = ((uintptr_t)data + size) / page * page;
    if (from < until)
        madvise((void *)from, until - from, MADV_DONTNEED);
}

// Packed rows lie in column tiles, of which whole ones are released, those beside each other
// together.
void tensor_release(const weights *w, const weights_tensor *t, int64_t first, int64_t count)
{
    pack_geometry g;
    uint64_t row = t->rows ? t->size / (uint64_t)t->rows : 0;
    if (t->type) {
        bytes_release(w, t->data + (uint64_t)first * row, (uint64_t)count * row);
    } else if (t->data && pack_geometry_of(&t->format, t->rows, t->columns, w->shape, &g)) {
        const int64_t rows = w->shape.tile_n * g.beside;
        int64_t tile = first / rows * g.beside, end = (first + count) / rows * g.beside;
        bytes_release(w, t->data + tile * g.column_tile_bytes,
                      (uint64_t)((end - tile) * g.column_tile_bytes));
    }
}

void weights_quantize_by(weights *w, quant_method method)
{
    w->method = method;
}

weights_kind weights_kind_of(const weights *w)
{
    return w->kind;
}
const char *weights_name(const weights *w)
{
    return w->name;
}

// ----------------------------------------------------------------------- finding

static int compare_names(const void *a, const void *b)
{
    const weights_tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

// Packed weights of one tensor stay in file order.
static int compare_origins(const void *a, const void *b)
{
    const weights_tensor *const *x = a, *const *y = b;
    int order = strcmp((*x)->origin, (*y)->origin);
    return order ? order : (*x > *y) - (*x < *y);
}

static const weights_tensor **sorted(weights *w, int (*compare)(const void *, const void *))
{
    size_t count = w->tensors.count;
    const weights_tensor **index = ARENA_ARRAY(w->arena, const weights_tensor *, count);
    for (size_t i = 0; i < count; i++)
        index[i] = &w->tensors.items[i];
    if (count)
        qsort(index, count, sizeof *index, compare);
    return index;
}

bool tensors_index(weights *w, diagnostics *d)
{
    w->by_name = sorted(w, compare_names);
    w->by_origin = sorted(w, compare_origins);
    bool good = true;
    for (size_t i = 1; i < w->tensors.count; i++)
        if (compare_names(&w->by_name[i - 1], &w->by_name[i]) == 0) {
            diagnostic_error(d, w->where, "tensor '%s' appears twice", w->by_name[i]->name);
            good = false;
        }
    return good;
}

static const weights_tensor *find_name(const weights *w, const char *name)
{
    const weights_tensor wanted = {.name = name}, *pointer = &wanted;
    const weights_tensor **found =
        w->tensors.count
            ? bsearch(&pointer, w->by_name, w->tensors.count, sizeof *w->by_name, compare_names)
            : NULL;
    return found ? *found : NULL;
}

static const weights_tensor *find_origin(const weights *w, const char *name)
{
    size_t low = 0, high = w->tensors.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(w->by_origin[middle]->origin, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < w->tensors.count && strcmp(w->by_origin[low]->origin, name) == 0;
    return found ? w->by_origin[low] : NULL;
}

const metadata *weights_metadata(const weights *w)
{
    return &w->meta;
}
const meta_value *weights_meta(const weights *w, const char *key)
{
    return metadata_find(&w->meta, key);
}
size_t weights_meta_count(const weights *w)
{
    return w->meta.values.count;
}
const meta_value *weights_meta_at(const weights *w, size_t index)
{
    return &w->meta.values.items[index];
}
const char *weights_meta_nearest(const weights *w, const char *key)
{
    return metadata_nearest(&w->meta, w->arena, key);
}

size_t weights_count(const weights *w)
{
    return w->tensors.count;
}
const weights_tensor *weights_at(const weights *w, size_t index)
{
    return &w->tensors.items[index];
}

const weights_tensor *weights_find(const weights *w, const char *name)
{
    const weights_tensor *t = find_origin(w, name);
    return t ? t : find_name(w, name);
}

const char *weights_nearest(const weights *w, const char *name)
{
    const char **names = ARENA_ARRAY(w->arena, const char *, w->tensors.count);
    for (size_t i = 0; i < w->tensors.count; i++)
        names[i] = w->tensors.items[i].origin;
    return text_nearest(name, names, w->tensors.count);
}

// --------------------------------------------------------- a program's weights

bool weights_global_format(const ir_global *g, quant_format *out)
{
    const ir_type *t = g->value.type;
    if (t->kind == IR_WEIGHT)
        return quant_format_parse(t->format, out);
    return quant_format_parse(scalar_rows[t->scalar].name, out) && out->kind == QUANT_DENSE;
}

void shape_print(text *out, unsigned rank, const int64_t *shape)
{
    text_char(out, '[');
    for (unsigned i = 0; i < rank; i++)
        text_printf(out, "%s%lld", i ? ", " : "", (long long)shape[i]);
    text_char(out, ']');
}

static void declared_shape(const ir_global *g, weights_tensor *out)
{
    const ir_type *t = g->value.type;
    static_assert((int)WEIGHTS_MAX_RANK >= (int)IR_MAX_RANK,
                  "a tensor holds every shape of the language");
    out->rank = t->rank;
    for (unsigned i = 0; i < t->rank; i++) {
        if (!ir_dim_is_constant(t->dims[i]))
            INTERNAL_ERROR("weight '%s' has a symbolic dimension", g->name);
        out->shape[i] = t->dims[i].value;
    }
}

// Leading dimensions of 1 say nothing about the layout.
static bool same_shape(const weights_tensor *a, const weights_tensor *b)
{
    unsigned i = 0, j = 0;
    while (i + 1 < a->rank && a->shape[i] == 1)
        i++;
    while (j + 1 < b->rank && b->shape[j] == 1)
        j++;
    if (!a->rank || !b->rank) // a scalar is one element
        return (a->rank - i == 0 || (a->rank - i == 1 && a->shape[i] == 1)) &&
               (b->rank - j == 0 || (b->rank - j == 1 && b->shape[j] == 1));
    return a->rank - i == b->rank - j &&
           memcmp(a->shape + i, b->shape + j, (a->rank - i) * sizeof *a->shape) == 0;
}

static bool report_missing(const weights *w, diagnostics *d, const ir_global *g, const char *name)
{
    diagnostic_error(d, g->where, "weight '%s': %s has no tensor '%s'", g->name, w->name, name);
    const char *nearest = weights_nearest(w, name);
    if (nearest)
        diagnostic_note(d, NOWHERE, "did you mean '%s'?", nearest);
    return false;
}

static bool report_shape(const weights *w, diagnostics *d, const ir_global *g,
                         const weights_tensor *file, const weights_tensor *declared)
{
    text found = {0}, expected = {0};
    shape_print(&found, file->rank, file->shape);
    shape_print(&expected, declared->rank, declared->shape);
    diagnostic_error(d, g->where, "weight '%s' is declared %s, but tensor '%s' of %s is %s",
                     g->name, text_string(&expected), file->name, w->name, text_string(&found));
    text_free(&found);
    text_free(&expected);
    return false;
}

// A packed file may hold one tensor in several formats: the weight's name decides.
static const weights_tensor *find_for(const weights *w, const ir_global *g, const char *name)
{
    const weights_tensor *t = w->kind == WEIGHTS_PACKED ? find_name(w, g->name) : NULL;
    return t && strcmp(t->origin, name) == 0 ? t : weights_find(w, name);
}

bool weights_resolve(const weights *w, diagnostics *d, const ir_global *g, weights_tensor *out)
{
    const char *name = g->source ? g->source : g->name;
    weights_tensor declared = {.name = name, .origin = name};
    declared_shape(g, &declared);
    if (!tensor_matrix(&declared)) {
        diagnostic_error(d, g->where, "weight '%s' is too large", g->name);
        return false;
    }
    if (w->kind == WEIGHTS_NONE || w->kind == WEIGHTS_RANDOM) {
        quant_format_parse("f32", &declared.format);
        *out = declared;
        return true;
    }
    const weights_tensor *t = find_for(w, g, name);
    if (!t)
        return report_missing(w, d, g, name);
    if (!same_shape(t, &declared))
        return report_shape(w, d, g, t, &declared);
    *out = *t;
    return true;
}
