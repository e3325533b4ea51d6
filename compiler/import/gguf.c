// GGUF files, versions 2 and 3, little-endian: header, metadata, tensor list.
#include "compiler/import/source.h"

#include <stdlib.h>
#include <string.h>

enum { GGUF_MAX_RANK = 4, GGUF_ALIGNMENT = 32 };

typedef struct header {
    gguf_header counts;
    uint64_t alignment;
} header;

static bool find_alignment(const weights *w, byte_reader *r, header *h)
{
    h->alignment = GGUF_ALIGNMENT;
    const meta_value *v = weights_meta(w, "general.alignment");
    if (!v)
        return true;
    r->what = "metadata 'general.alignment'";
    if (v->kind != META_INTEGER)
        return read_fail(r, "expected a number, found %s", v->type);
    if (v->integer < 8 || v->integer > 1 << 20 || (v->integer & (v->integer - 1)))
        return read_fail(r, "%lld is not a power of two from 8 to 1048576", (long long)v->integer);
    h->alignment = (uint64_t)v->integer;
    return true;
}

// ----------------------------------------------------------------------- tensors

typedef struct tensor_info {
    weights_tensor tensor;
    uint32_t type;
    uint64_t offset; // behind the header
} tensor_info;

// The other dimensions of an empty tensor take no bytes of the file: a bound of their own keeps
// a row's buffer small.
bool tensor_matrix(weights_tensor *t)
{
    enum { MOST_WHEN_EMPTY = 1 << 24 };
    int64_t rows = 1, all, most = 0;
    for (unsigned i = 0; i < t->rank; i++)
        most = t->shape[i] > most ? t->shape[i] : most;
    for (unsigned i = 0; i + 1 < t->rank; i++)
        if (__builtin_mul_overflow(rows, t->shape[i], &rows))
            return false;
    t->rows = rows;
    t->columns = t->rank ? t->shape[t->rank - 1] : 1;
    return !__builtin_mul_overflow(rows, t->columns, &all) && (all || most <= MOST_WHEN_EMPTY);
}

// The file counts dimensions from the fastest: ours are the other way round.
static bool read_shape(byte_reader *r, weights_tensor *t)
{
    if (!read_u32(r, &t->rank))
        return false;
    if (t->rank < 1 || t->rank > GGUF_MAX_RANK)
        return read_fail(r, "%u dimensions, expected 1 to %d", t->rank, GGUF_MAX_RANK);
    for (unsigned i = t->rank; i-- > 0;) {
        uint64_t size;
        if (!read_u64(r, &size))
            return false;
        if (size > INT64_MAX)
            return read_fail(r, "dimension %llu is too large", (unsigned long long)size);
        t->shape[i] = (int64_t)size;
    }
    return true;
}

static bool read_info(weights *w, byte_reader *r, tensor_info *out)
{
    weights_tensor *t = &out->tensor;
    if (!read_name(r, w->arena, &t->name))
        return false;
    t->origin = t->name;
    r->what = arena_format(w->arena, "tensor '%s'", t->name);
    return read_shape(r, t) && read_u32(r, &out->type) && read_u64(r, &out->offset);
}

// What is wrong with one tensor, reported; the others are still looked at.
#define BAD_TENSOR(...) (diagnostic_error(d, w->where, __VA_ARGS__), false)

static bool supported(uint32_t id)
{
    const weight_type *type = weight_type_find(id);
    return type && type->dequantize;
}

static void report_type(weights *w, diagnostics *d, const tensor_info *first, uint64_t others)
{
    const weight_type *type = weight_type_find(first->type);
    text message = {0};
    text_printf(&message, "tensor '%s'", first->tensor.name);
    if (others)
        text_printf(&message, " and %llu more", (unsigned long long)others);
    if (type)
        text_printf(&message, ": type %s is not supported", type->name);
    else
        text_printf(&message, ": unknown type %u", first->type);
    diagnostic_error(d, w->where, "%s", text_string(&message));
    text_free(&message);
}

// One message for each type that is not supported, and one list of those that are.
static bool check_types(weights *w, diagnostics *d, const tensor_info *infos, uint64_t count)
{
    enum { SHOWN = 16 };
    uint32_t seen[SHOWN];
    size_t n_seen = 0;
    for (uint64_t i = 0; i < count && n_seen < SHOWN; i++) {
        bool known = supported(infos[i].type);
        for (size_t j = 0; j < n_seen; j++)
            known |= seen[j] == infos[i].type;
        if (known)
            continue;
        uint64_t others = 0;
        for (uint64_t j = i + 1; j < count; j++)
            others += infos[j].type == infos[i].type;
        report_type(w, d, &infos[i], others);
        seen[n_seen++] = infos[i].type;
    }
    text list = {0};
    weight_types_list(&list);
    if (n_seen)
        diagnostic_note(d, NOWHERE, "supported types: %s", text_string(&list));
    text_free(&list);
    return n_seen == 0;
}

static bool check_size(weights *w, diagnostics *d, weights_tensor *t)
{
    if (!tensor_matrix(t))
        return BAD_TENSOR("tensor '%s': its dimensions are too large", t->name);
    if (t->columns % t->type->block)
        return BAD_TENSOR(
            "tensor '%s': rows of %lld weights are not a multiple of %s's block of %u", t->name,
            (long long)t->columns, t->type->name, t->type->block);
    int64_t blocks = t->rows * (t->columns / t->type->block), bytes;
    if (__builtin_mul_overflow(blocks, (int64_t)t->type->bytes, &bytes))
        return BAD_TENSOR("tensor '%s': its size in bytes overflows", t->name);
    t->size = (uint64_t)bytes;
    return true;
}

// Where the tensors' data begins, and how much there is.
typedef struct tensor_data {
    const uint8_t *start;
    uint64_t size;
} tensor_data;

static bool reaches_beyond(const tensor_info *info, const tensor_data *data)
{
    return info->offset > data->size || info->tensor.size > data->size - info->offset;
}

static bool check_alignment(weights *w, diagnostics *d, const tensor_info *info, const header *h)
{
    if (info->offset % h->alignment)
        return BAD_TENSOR("tensor '%s': offset %llu is not a multiple of the alignment %llu",
                          info->tensor.name, (unsigned long long)info->offset,
                          (unsigned long long)h->alignment);
    return true;
}

// Of a truncated file one tensor is named, the one that begins first.
static bool report_beyond(weights *w, diagnostics *d, const tensor_info *first, uint64_t count,
                          uint64_t size)
{
    text others = {0};
    if (count > 1)
        text_printf(&others, ", as %llu other%s", (unsigned long long)(count - 1),
                    count > 2 ? "s do" : " does");
    diagnostic_error(d, w->where,
                     "tensor '%s': %llu bytes at offset %llu reach beyond the file's %llu bytes of "
                     "data%s; the file is truncated or its header is wrong",
                     first->tensor.name, (unsigned long long)first->tensor.size,
                     (unsigned long long)first->offset, (unsigned long long)size,
                     text_string(&others));
    text_free(&others);
    return false;
}

static bool place_tensors(weights *w, diagnostics *d, byte_reader *r, const header *h,
                          tensor_info *infos)
{
    uint64_t start = (r->at + h->alignment - 1) / h->alignment * h->alignment, beyond = 0;
    tensor_data data = {r->data, 0};
    if (start < r->size)
        data = (tensor_data){r->data + start, r->size - start};
    const tensor_info *first = NULL;
    bool good = check_types(w, d, infos, h->counts.tensors);
    for (uint64_t i = 0; i < h->counts.tensors; i++) {
        weights_tensor *t = &infos[i].tensor;
        t->type = weight_type_find(infos[i].type);
        if (!supported(infos[i].type))
            continue;
        quant_format_parse(t->type->dense, &t->format);
        bool sound = check_size(w, d, t) && check_alignment(w, d, &infos[i], h);
        if (sound && reaches_beyond(&infos[i], &data)) {
            first = first && first->offset <= infos[i].offset ? first : &infos[i];
            beyond++;
        } else if (sound) {
            t->data = data.start + infos[i].offset;
        }
        good &= sound;
        ARRAY_PUSH(w->arena, &w->tensors, *t);
    }
    return (!beyond || report_beyond(w, d, first, beyond, data.size)) && good;
}

bool gguf_parse(weights *w, diagnostics *d, const uint8_t *data, size_t size)
{
    enum { LEAST = 8 + 1 + 4 + 8 + 4 + 8 }; // a name of one byte, one dimension
    byte_reader r = {.data = data, .size = size, .diagnostics = d, .where = w->where};
    header h;
    if (!gguf_metadata_read(w->arena, &r, &h.counts, &w->meta) || !find_alignment(w, &r, &h))
        return false;
    r.what = "header";
    if (h.counts.tensors > read_left(&r) / LEAST)
        return read_fail(&r, "%llu tensors cannot fit in the %llu bytes left",
                         (unsigned long long)h.counts.tensors, (unsigned long long)read_left(&r));
    tensor_info *infos = ARENA_ARRAY(w->arena, tensor_info, (size_t)h.counts.tensors);
    for (uint64_t i = 0; i < h.counts.tensors; i++) {
        r.what = arena_format(w->arena, "tensor %llu of %llu", (unsigned long long)i + 1,
                              (unsigned long long)h.counts.tensors);
        if (!read_info(w, &r, &infos[i]))
            return false;
    }
    bool placed = place_tensors(w, d, &r, &h, infos);
    return tensors_index(w, d) && placed;
}
