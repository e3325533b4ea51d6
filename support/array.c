#include "support/array.h"

#include <math.h>
#include <string.h>

int64_t array_count(const array *x)
{
    int64_t count = 1;
    bool empty = false; // an empty array is empty whatever its other dimensions are
    for (unsigned i = 0; i < x->rank; i++) {
        if (x->shape[i] < 0)
            return -1;
        empty |= x->shape[i] == 0;
    }
    for (unsigned i = 0; i < x->rank && !empty; i++)
        if (__builtin_mul_overflow(count, x->shape[i], &count))
            return -1;
    return empty ? 0 : count;
}

int64_t array_bytes(const array *x)
{
    int64_t bytes, count = array_count(x);
    if (count < 0 || __builtin_mul_overflow(count, (int64_t)scalar_size(x->type), &bytes))
        return -1;
    return bytes;
}

array array_create(arena *a, scalar_type type, unsigned rank, const int64_t *shape)
{
    array x = {.type = type, .rank = rank};
    if (rank > ARRAY_MAX_RANK)
        INTERNAL_ERROR("array of rank %u", rank);
    for (unsigned i = 0; i < rank; i++)
        x.shape[i] = shape[i];
    int64_t bytes = array_bytes(&x);
    if (bytes < 0)
        INTERNAL_ERROR("array size overflows");
    x.data = arena_alloc(a, (size_t)bytes);
    return x;
}

bool array_cast_bits(array *x, scalar_type to)
{
    if (scalar_size(x->type) != scalar_size(to))
        return false;
    x->type = to;
    return true;
}

double array_get(const array *x, int64_t index)
{
    return scalar_load(x->type, (const char *)x->data + (size_t)index * scalar_size(x->type));
}

void array_set(array *x, int64_t index, double value)
{
    scalar_store(x->type, (char *)x->data + (size_t)index * scalar_size(x->type), value);
}

bool array_same_shape(const array *x, unsigned rank, const int64_t *shape)
{
    return x->rank == rank && (rank == 0 || memcmp(x->shape, shape, rank * sizeof *shape) == 0);
}

void array_print_shape(text *out, unsigned rank, const int64_t *shape)
{
    text_char(out, '[');
    for (unsigned i = 0; i < rank; i++)
        text_printf(out, "%s%lld", i ? ", " : "", (long long)shape[i]);
    text_char(out, ']');
}

// ------------------------------------------------------------------ random numbers
//
// The stream is splitmix64; uniforms are its upper 53 bits; normals come from
// Marsaglia's polar method with a logarithm of our own. Only +, -, *, / and
// square roots are used, which IEEE 754 rounds alike everywhere.

random_stream random_seed(uint64_t seed)
{
    return (random_stream){seed};
}

uint64_t random_bits(random_stream *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

double random_uniform(random_stream *r)
{
    return (double)(random_bits(r) >> 11) * 0x1p-53;
}

// ln x for x in (0, 1]: x = m 2^e with m in [sqrt(1/2), sqrt(2)), ln m by the series
// of 2 artanh((m - 1) / (m + 1)), whose argument is at most 0.172.
static double portable_log(double x)
{
    int e;
    double m = frexp(x, &e);
    if (m < 0.70710678118654752) {
        m *= 2;
        e--;
    }
    double t = (m - 1) / (m + 1), square = t * t, sum = 0;
    for (int k = 23; k >= 1; k -= 2)
        sum = sum * square + 1.0 / k;
    return 2 * t * sum + e * 0.69314718055994531;
}

double random_normal(random_stream *r)
{
    double u, v, s;
    do {
        u = 2 * random_uniform(r) - 1;
        v = 2 * random_uniform(r) - 1;
        s = u * u + v * v;
    } while (s >= 1 || s == 0);
    return u * sqrt(-2 * portable_log(s) / s);
}

// ------------------------------------------------------------------ comparison

static bool same_bits(double x, double y)
{
    if (isnan(x) || isnan(y))
        return isnan(x) && isnan(y);
    return x == y && signbit(x) == signbit(y);
}

static bool is_close(double got, double want, double rtol, double atol)
{
    if (isnan(got) || isnan(want))
        return isnan(got) && isnan(want);
    if (isinf(got) || isinf(want))
        return got == want;
    return fabs(got - want) <= atol + rtol * fabs(want);
}

array_difference array_compare(const array *got, const array *want, double rtol, double atol)
{
    array_difference r = {.count = array_count(want), .first_mismatch = -1, .identical = true};
    double error = 0, power = 0;
    if (got->type == SCALAR_I64 && want->type == SCALAR_I64 && r.count)
        r.identical = memcmp(got->data, want->data, (size_t)array_bytes(want)) == 0;
    for (int64_t i = 0; i < r.count; i++) {
        double x = array_get(got, i), y = array_get(want, i);
        r.identical = r.identical && same_bits(x, y);
        if (!is_close(x, y, rtol, atol) && r.mismatches++ == 0)
            r.first_mismatch = i;
        if (same_bits(x, y) && !isfinite(x))
            continue; // the same infinity or NaN: no error
        double off = isnan(x - y) ? INFINITY : fabs(x - y);
        r.max_absolute = fmax(r.max_absolute, off);
        if (off > 0)
            r.max_relative = fmax(r.max_relative, y != 0 ? off / fabs(y) : INFINITY);
        error += off * off;
        power += isfinite(y) ? y * y : 0;
    }
    r.nmse = error == 0 ? 0 : error / power;
    return r;
}
