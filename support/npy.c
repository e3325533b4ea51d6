// The npy format, versions 1.0 to 3.0: magic, version, header length, a Python
// dictionary literal, then the elements.
#include "support/array.h"
#include "support/content.h"
#include "support/file.h"

#include <string.h>

enum { NPY_ALIGNMENT = 64, MOST_DIGITS = 18 };

static const char npy_magic[6] = {'\x93', 'N', 'U', 'M', 'P', 'Y'};

// A cursor over the header's text.
typedef struct npy_header {
    diagnostics *d;
    const source *file;
    const char *start, *at, *end;
    unsigned seen; // bits of the keys that have been read
    array *out;
} npy_header;

static bool refuse(npy_header *h, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool refuse(npy_header *h, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    diagnostic_vreport(h->d, SEVERITY_ERROR, (location){.source = h->file}, format, args);
    va_end(args);
    return false;
}

static void skip_blanks(npy_header *h)
{
    while (h->at < h->end && strchr(" \t\r\n", *h->at) && *h->at)
        h->at++;
}

static bool accept(npy_header *h, char c)
{
    skip_blanks(h);
    if (h->at >= h->end || *h->at != c)
        return false;
    h->at++;
    return true;
}

static bool expect(npy_header *h, char c)
{
    return accept(h, c) ||
           refuse(h, "npy header: expected '%c' at byte %td of it", c, h->at - h->start);
}

// A quoted text of at most size - 1 characters.
static bool read_text(npy_header *h, char *out, size_t size)
{
    size_t n = 0;
    char quote = accept(h, '\'') ? '\'' : accept(h, '"') ? '"' : 0;
    if (!quote)
        return refuse(h, "npy header: expected a quoted text");
    while (h->at < h->end && *h->at != quote) {
        if (n + 1 >= size)
            return refuse(h, "npy header: a text is too long");
        out[n++] = *h->at++;
    }
    out[n] = '\0';
    return expect(h, quote);
}

static bool accept_word(npy_header *h, const char *word)
{
    size_t n = strlen(word);
    skip_blanks(h);
    if ((size_t)(h->end - h->at) < n || memcmp(h->at, word, n) != 0)
        return false;
    h->at += n;
    return true;
}

// bf16 has no npy type: its bits travel as 16-bit unsigned integers.
static const struct {
    const char *descr;
    scalar_type type;
} more_types[] = {{"<u2", SCALAR_BF16}, {"<i1", SCALAR_I8}, {"<u1", SCALAR_U8}, {"<b1", SCALAR_I1}};

static bool find_type(const char *descr, scalar_type *out)
{
    for (unsigned t = 0; t < SCALAR_COUNT; t++) {
        if (scalar_rows[t].npy && strcmp(scalar_rows[t].npy, descr) == 0) {
            *out = (scalar_type)t;
            return true;
        }
    }
    for (size_t i = 0; i < sizeof more_types / sizeof *more_types; i++) {
        if (strcmp(more_types[i].descr, descr) == 0) {
            *out = more_types[i].type;
            return true;
        }
    }
    return false;
}

static bool read_descr(npy_header *h)
{
    char descr[16];
    if (accept(h, '['))
        return refuse(h, "npy: structured arrays are not supported");
    if (!read_text(h, descr, sizeof descr))
        return false;
    if (find_type(descr, &h->out->type))
        return true;
    if (descr[0] == '>')
        return refuse(h, "npy: big-endian arrays ('%s') are not supported", descr);
    if (strchr(descr, 'O'))
        return refuse(h, "npy: object arrays are not supported");
    return refuse(h,
                  "npy: element type '%s' is not supported; supported are <f8, <f4, <f2, <i8, "
                  "<i4, <i2, |i1, |u1, |b1, and <u2 for bf16",
                  descr);
}

static bool read_order(npy_header *h)
{
    if (accept_word(h, "False"))
        return true;
    if (accept_word(h, "True"))
        return refuse(h, "npy: Fortran order is not supported; save it with order='C'");
    return refuse(h, "npy header: 'fortran_order' must be True or False");
}

static bool read_dimension(npy_header *h, int64_t *out)
{
    int64_t value = 0;
    int digits = 0;
    skip_blanks(h);
    for (; h->at < h->end && *h->at >= '0' && *h->at <= '9'; h->at++) {
        if (++digits > MOST_DIGITS)
            return refuse(h, "npy: a dimension is too large");
        value = value * 10 + (*h->at - '0');
    }
    if (!digits)
        return refuse(h, "npy header: expected a dimension, a number without sign");
    *out = value;
    return true;
}

static bool read_shape(npy_header *h)
{
    if (!expect(h, '('))
        return false;
    while (!accept(h, ')')) {
        if (h->out->rank == ARRAY_MAX_RANK)
            return refuse(h, "npy: more than %d dimensions", ARRAY_MAX_RANK);
        if (!read_dimension(h, &h->out->shape[h->out->rank++]))
            return false;
        if (accept(h, ','))
            continue;
        if (!expect(h, ')'))
            return false;
        break;
    }
    if (array_bytes(h->out) < 0)
        return refuse(h, "npy: the shape's size overflows");
    return true;
}

static const struct {
    const char *name;
    bool (*read)(npy_header *h);
} keys[] = {{"descr", read_descr}, {"fortran_order", read_order}, {"shape", read_shape}};
enum { KEYS = sizeof keys / sizeof *keys };

static bool read_entry(npy_header *h)
{
    char name[32];
    if (!read_text(h, name, sizeof name) || !expect(h, ':'))
        return false;
    for (unsigned i = 0; i < KEYS; i++) {
        if (strcmp(name, keys[i].name) != 0)
            continue;
        if (h->seen & 1u << i)
            return refuse(h, "npy header: '%s' stands twice", name);
        h->seen |= 1u << i;
        return keys[i].read(h);
    }
    return refuse(h, "npy header: unknown key '%s'", name);
}

static bool read_dictionary(npy_header *h)
{
    if (!expect(h, '{'))
        return false;
    while (!accept(h, '}')) {
        if (!read_entry(h))
            return false;
        if (accept(h, ','))
            continue;
        if (!expect(h, '}'))
            return false;
        break;
    }
    for (unsigned i = 0; i < KEYS; i++)
        if (!(h->seen & 1u << i))
            return refuse(h, "npy header: '%s' is missing", keys[i].name);
    return true;
}

// Offset and length of the dictionary, from the fixed part before it.
static bool locate_header(npy_header *h, const uint8_t *p, size_t size, size_t *start,
                          size_t *length)
{
    char remark[CONTENT_REMARK];
    if (size < 10 || memcmp(p, npy_magic, sizeof npy_magic) != 0)
        return refuse(h, "not an npy file%s", content_remark(p, size, remark));
    if (p[6] < 1 || p[6] > 3 || p[7] != 0)
        return refuse(h, "npy version %u.%u is not supported", p[6], p[7]);
    *start = p[6] == 1 ? 10 : 12;
    if (size < *start)
        return refuse(h, "npy: the file ends within its header");
    *length = p[8] | (size_t)p[9] << 8;
    if (p[6] > 1)
        *length |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
    if (*length > size - *start)
        return refuse(h, "npy: the header claims %zu bytes, the file has %zu", *length,
                      size - *start);
    return true;
}

bool array_parse_npy(arena *a, diagnostics *d, const char *name, const void *data, size_t size,
                     array *out)
{
    array x = {0};
    npy_header h = {.d = d, .file = diagnostics_source(d, name, NULL, 0), .out = &x};
    size_t start = 0, length = 0;
    if (!locate_header(&h, data, size, &start, &length))
        return false;
    h.start = h.at = (const char *)data + start;
    h.end = h.at + length;
    if (!read_dictionary(&h))
        return false;
    size_t present = size - start - length;
    if ((uint64_t)array_bytes(&x) != present)
        return refuse(&h, "npy: shape and type need %lld bytes of data, the file has %zu",
                      (long long)array_bytes(&x), present);
    x.data = arena_copy(a, (const char *)data + start + length, present);
    *out = x;
    return true;
}

bool array_read_npy(arena *a, diagnostics *d, const char *path, array *out)
{
    mapped_file file;
    if (!file_map(d, path, &file))
        return false;
    bool ok = array_parse_npy(a, d, path, file.data, file.size, out);
    file_unmap(&file);
    return ok;
}

static const char *npy_descr(scalar_type t)
{
    if (scalar_rows[t].npy)
        return scalar_rows[t].npy;
    return scalar_size(t) == 2 ? "<u2" : "|u1";
}

static void header_text(text *out, const array *x)
{
    text_printf(out, "{'descr': '%s', 'fortran_order': False, 'shape': (", npy_descr(x->type));
    for (unsigned i = 0; i < x->rank; i++)
        text_printf(out, "%lld,%s", (long long)x->shape[i], i + 1 < x->rank ? " " : "");
    text_append(out, "), }");
    while ((10 + out->length + 1) % NPY_ALIGNMENT)
        text_char(out, ' ');
    text_char(out, '\n');
}

bool array_write_npy(diagnostics *d, const char *path, const array *x)
{
    output_file *f = output_open(d, path);
    if (!f)
        return false;
    text header = {0};
    header_text(&header, x);
    const uint8_t lead[4] = {1, 0, (uint8_t)header.length, (uint8_t)(header.length >> 8)};
    FILE *stream = output_stream(f);
    fwrite(npy_magic, 1, sizeof npy_magic, stream);
    fwrite(lead, 1, sizeof lead, stream);
    fwrite(header.data, 1, header.length, stream);
    if (array_bytes(x))
        fwrite(x->data, 1, (size_t)array_bytes(x), stream);
    text_free(&header);
    return output_commit(d, f);
}
