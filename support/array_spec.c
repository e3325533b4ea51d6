// The --input and --expect arguments: parsing and what they mean.
#include "support/array.h"
#include "support/text.h"

#include <math.h>
#include <string.h>

static bool refuse(diagnostics *d, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool refuse(diagnostics *d, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    diagnostic_vreport(d, SEVERITY_ERROR, NOWHERE, format, args);
    va_end(args);
    return false;
}

// ------------------------------------------------------------------ inputs

static const struct {
    const char *word;
    input_kind kind;
} input_words[] = {{"zeros", INPUT_ZEROS}, {"ones", INPUT_ONES}, {"iota", INPUT_IOTA}};

// random[:SEED[:SCALE]]
static bool parse_random(diagnostics *d, const char *spec, char *value, input_spec *out)
{
    char *seed = strchr(value, ':');
    char *scale = seed ? strchr(seed + 1, ':') : NULL;
    long long number = 0;
    if (scale)
        *scale++ = '\0';
    if (seed && (!text_to_int64(seed + 1, &number) || number < 0))
        return refuse(d, "input '%s': the seed must be a whole number, not '%s'", spec, seed + 1);
    if (scale && (!text_to_double(scale, &out->scale) || !isfinite(out->scale)))
        return refuse(d, "input '%s': the scale must be a number, not '%s'", spec, scale);
    out->kind = INPUT_RANDOM;
    out->seed = (uint64_t)number;
    return true;
}

static bool parse_input_value(arena *a, diagnostics *d, const char *spec, const char *value,
                              input_spec *out)
{
    if (*value == '@') {
        out->kind = INPUT_FILE;
        out->path = arena_string(a, value + 1, strlen(value + 1));
        return value[1] || refuse(d, "input '%s': a file name must follow '@'", spec);
    }
    for (size_t i = 0; i < sizeof input_words / sizeof *input_words; i++) {
        if (strcmp(value, input_words[i].word) == 0) {
            out->kind = input_words[i].kind;
            return true;
        }
    }
    if (strcmp(value, "random") == 0 || text_starts_with(value, "random:"))
        return parse_random(d, spec, arena_string(a, value, strlen(value)), out);
    out->kind = INPUT_VALUE;
    return text_to_double(value, &out->value) ||
           refuse(d,
                  "input '%s': expected @FILE.npy, zeros, ones, iota, random[:SEED[:SCALE]] or a "
                  "number, found '%s'",
                  spec, value);
}

bool input_spec_parse(arena *a, diagnostics *d, const char *spec, input_spec *out)
{
    const char *equals = strchr(spec, '=');
    *out = (input_spec){.scale = 1};
    if (!equals || equals == spec)
        return refuse(d, "input '%s': expected NAME=@FILE.npy or NAME=VALUE", spec);
    out->name = arena_intern_n(a, spec, (size_t)(equals - spec));
    return parse_input_value(a, d, spec, equals + 1, out);
}

// i64 elements beyond 2^53 are not doubles: copied as they are, never converted.
static bool convert_exactly(diagnostics *d, const char *path, const array *from, array *to)
{
    int64_t count = array_count(from);
    if (from->type == to->type) {
        if (count)
            memcpy(to->data, from->data, (size_t)array_bytes(from));
        return true;
    }
    for (int64_t i = 0; i < count; i++) {
        double value = array_get(from, i);
        array_set(to, i, value);
        bool exact = array_get(to, i) == value || isnan(value);
        if (from->type == SCALAR_I64)
            exact = exact && fabs(value) <= 0x1p53;
        if (!exact)
            return refuse(d, "%s: element %lld, %.17g, is not a value of type %s", path,
                          (long long)i, value, scalar_rows[to->type].name);
    }
    return true;
}

static void describe(text *out, scalar_type type, unsigned rank, const int64_t *shape)
{
    text_append(out, scalar_rows[type].name);
    array_print_shape(out, rank, shape);
}

static bool check_shape(diagnostics *d, const char *name, const char *path, const array *x,
                        scalar_type type, unsigned rank, const int64_t *shape)
{
    if (array_same_shape(x, rank, shape))
        return true;
    text want = {0}, found = {0};
    describe(&want, type, rank, shape);
    describe(&found, x->type, x->rank, x->shape);
    refuse(d, "'%s' is %s, but %s holds %s", name, text_string(&want), path, text_string(&found));
    text_free(&want);
    text_free(&found);
    return false;
}

// 8-bit floats travel as bytes.
static void restore_bits(array *x, scalar_type type)
{
    if (x->type == SCALAR_U8 && (type == SCALAR_E4M3 || type == SCALAR_E5M2))
        array_cast_bits(x, type);
}

bool input_read(arena *a, diagnostics *d, input_spec *spec)
{
    return array_read_npy(a, d, spec->path, &spec->file);
}

static bool fill_from_file(arena *a, diagnostics *d, const input_spec *s, array *out)
{
    array file = s->file;
    if (!file.data && !array_read_npy(a, d, s->path, &file))
        return false;
    restore_bits(&file, out->type);
    return check_shape(d, s->name, s->path, &file, out->type, out->rank, out->shape) &&
           convert_exactly(d, s->path, &file, out);
}

static void fill_random(const input_spec *s, array *out)
{
    random_stream r = random_seed(s->seed);
    double low = fmax(scalar_round(out->type, -INFINITY), -128);
    double high = fmin(scalar_round(out->type, INFINITY), 127);
    bool is_float = scalar_is_float(out->type);
    for (int64_t i = 0, n = array_count(out); i < n; i++)
        array_set(out, i,
                  is_float ? s->scale * random_normal(&r)
                           : low + floor(random_uniform(&r) * (high - low + 1)));
}

static bool fill_value(diagnostics *d, const input_spec *s, array *out)
{
    if (!scalar_is_float(out->type) && scalar_round(out->type, s->value) != s->value)
        return refuse(d, "input '%s': %.17g is not a value of type %s", s->name, s->value,
                      scalar_rows[out->type].name);
    for (int64_t i = 0, n = array_count(out); i < n; i++)
        array_set(out, i, s->value);
    return true;
}

bool input_make(arena *a, diagnostics *d, const input_spec *spec, scalar_type type, unsigned rank,
                const int64_t *shape, array *out)
{
    array probe = {.type = type, .rank = rank};
    if (rank)
        memcpy(probe.shape, shape, rank * sizeof *shape);
    if (array_bytes(&probe) < 0)
        return refuse(d, "input '%s': its size overflows", spec->name);
    *out = array_create(a, type, rank, shape);
    switch (spec->kind) {
    case INPUT_FILE: return fill_from_file(a, d, spec, out);
    case INPUT_ZEROS: return true;
    case INPUT_RANDOM: fill_random(spec, out); return true;
    case INPUT_VALUE: return fill_value(d, spec, out);
    case INPUT_ONES:
    case INPUT_IOTA: break;
    }
    for (int64_t i = 0, n = array_count(out); i < n; i++)
        array_set(out, i, spec->kind == INPUT_ONES ? 1 : (double)i);
    return true;
}

// ------------------------------------------------------------------ expectations

static bool parse_tolerance(diagnostics *d, const char *spec, const char *item, expect_spec *out)
{
    static const char *const names[] = {"rtol=", "atol=", "nmse="};
    double *const targets[] = {&out->rtol, &out->atol, &out->nmse};
    if (strcmp(item, "exact") == 0) {
        out->exact = true;
        return true;
    }
    for (size_t i = 0; i < 3; i++) {
        if (!text_starts_with(item, names[i]))
            continue;
        const char *value = item + strlen(names[i]);
        if (text_to_double(value, targets[i]) && *targets[i] >= 0 && isfinite(*targets[i]))
            return true;
        return refuse(d, "expectation '%s': '%s' needs a number >= 0", spec, item);
    }
    return refuse(d, "expectation '%s': unknown '%s'; known are rtol=X, atol=X, nmse=X and exact",
                  spec, item);
}

bool expect_spec_parse(arena *a, diagnostics *d, const char *spec, expect_spec *out)
{
    const char *equals = strchr(spec, '=');
    *out = (expect_spec){.nmse = -1};
    if (!equals || equals == spec || equals[1] != '@' || !equals[2] || equals[2] == ',')
        return refuse(d,
                      "expectation '%s': expected NAME=@FILE.npy[,rtol=X][,atol=X][,nmse=X]"
                      "[,exact]",
                      spec);
    out->name = arena_intern_n(a, spec, (size_t)(equals - spec));
    char *rest = arena_string(a, equals + 2, strlen(equals + 2));
    out->path = rest;
    for (char *comma = strchr(rest, ','); comma; comma = strchr(comma, ',')) {
        *comma++ = '\0';
        size_t n = strcspn(comma, ",");
        if (!parse_tolerance(d, spec, arena_string(a, comma, n), out))
            return false;
    }
    return array_read_npy(a, d, out->path, &out->file);
}

static void print_index(text *out, const array *x, int64_t flat)
{
    int64_t index[ARRAY_MAX_RANK];
    for (unsigned i = x->rank; i-- > 0; flat /= x->shape[i])
        index[i] = flat % x->shape[i];
    array_print_shape(out, x->rank, index);
}

static bool report_difference(diagnostics *d, const expect_spec *s, const array *got,
                              const array *want, const array_difference *r)
{
    text index = {0};
    int64_t at = r->first_mismatch < 0 ? 0 : r->first_mismatch;
    print_index(&index, got, at);
    refuse(d,
           "'%s' differs from %s: %lld of %lld elements, first at %s: got %.9g, want %.9g; nmse "
           "%.3g, largest difference %.3g",
           s->name, s->path, (long long)r->mismatches, (long long)r->count, text_string(&index),
           array_get(got, at), array_get(want, at), r->nmse, r->max_absolute);
    text_free(&index);
    return false;
}

// Element by element unless only an nmse is asked for; without any tolerance
// the values must be equal.
bool expect_check(diagnostics *d, const expect_spec *spec, const array *got,
                  array_difference *difference)
{
    array want = spec->file;
    restore_bits(&want, got->type);
    if (!check_shape(d, spec->name, spec->path, &want, got->type, got->rank, got->shape))
        return false;
    *difference = array_compare(got, &want, spec->rtol, spec->atol);
    bool elementwise = spec->nmse < 0 || spec->rtol > 0 || spec->atol > 0;
    bool ok = !(elementwise && difference->mismatches) &&
              !(spec->exact && !difference->identical) &&
              !(spec->nmse >= 0 && !(difference->nmse <= spec->nmse));
    return ok || report_difference(d, spec, got, &want, difference);
}
