// Arithmetic of compile-time values: whole numbers (64 bits, checked), numbers
// (doubles), truth values, texts, and sizes.
#include "compiler/frontend/elaborate.h"

#include <math.h>
#include <string.h>

value value_integer(int64_t x)
{
    return (value){.kind = VALUE_INTEGER, .integer = x};
}
value value_number(double x)
{
    return (value){.kind = VALUE_NUMBER, .number = x};
}
value value_boolean(bool x)
{
    return (value){.kind = VALUE_BOOLEAN, .integer = x};
}
value value_text(const char *x)
{
    return (value){.kind = VALUE_TEXT, .text = x};
}

value value_dim(ir_dim d)
{
    if (!d.symbol || d.value == 0)
        return value_integer(d.value);
    return (value){.kind = VALUE_DIMENSION, .dim = d};
}

double value_as_double(value v)
{
    return v.kind == VALUE_INTEGER ? (double)v.integer : v.number;
}

bool is_compile_time(value v)
{
    return v.kind >= VALUE_INTEGER && v.kind <= VALUE_DIMENSION;
}

value fold_unary(frontend *f, location where, const char *op, value x)
{
    if (!strcmp(op, "!")) {
        if (x.kind != VALUE_BOOLEAN)
            return fail(f, where, "'!' needs true or false, this is %s", describe(f, x));
        return value_boolean(!x.integer);
    }
    if (x.kind == VALUE_NUMBER)
        return value_number(-x.number);
    if (x.kind == VALUE_INTEGER && x.integer != INT64_MIN)
        return value_integer(-x.integer);
    return fail(f, where, "'-' needs a number, this is %s", describe(f, x));
}

// ------------------------------------------------------------------- integers

static value overflow(frontend *f, location where, const char *op, int64_t x, int64_t y)
{
    return fail(f, where, "%lld %s %lld does not fit a whole number of 64 bits", (long long)x, op,
                (long long)y);
}

static value divide_integers(frontend *f, location where, const char *op, int64_t x, int64_t y)
{
    if (y == 0)
        return fail(f, where, "division by zero: %lld %s 0", (long long)x, op);
    if (x == INT64_MIN && y == -1)
        return overflow(f, where, op, x, y);
    if (*op == '%')
        return value_integer(x % y);
    if (x % y == 0)
        return value_integer(x / y);
    return fail(f, where,
                "%lld / %lld leaves a remainder of %lld; for a fraction divide by %lld.0, to round "
                "down subtract the remainder (%%) first",
                (long long)x, (long long)y, (long long)(x % y), (long long)y);
}

static value integer_arithmetic(frontend *f, location where, const char *op, int64_t x, int64_t y)
{
    int64_t z;
    bool over;
    switch (*op) {
    case '+': over = __builtin_add_overflow(x, y, &z); break;
    case '-': over = __builtin_sub_overflow(x, y, &z); break;
    case '*': over = __builtin_mul_overflow(x, y, &z); break;
    default: return divide_integers(f, where, op, x, y);
    }
    return over ? overflow(f, where, op, x, y) : value_integer(z);
}

static value number_arithmetic(frontend *f, location where, const char *op, double x, double y)
{
    if ((*op == '/' || *op == '%') && y == 0)
        return fail(f, where, "division by zero");
    double z = *op == '+'   ? x + y
               : *op == '-' ? x - y
               : *op == '*' ? x * y
               : *op == '/' ? x / y
                            : fmod(x, y);
    if (!isfinite(z))
        return fail(f, where, "the result is too large for a number");
    return value_number(z);
}

// ----------------------------------------------------------------------- sizes

static ir_dim as_dim(value v)
{
    return v.kind == VALUE_INTEGER ? ir_dim_constant(v.integer) : v.dim;
}

// coefficient * symbol stays a size under + and - of the same symbol and * and / of whole numbers.
static value size_arithmetic(frontend *f, location where, const char *op, ir_dim x, ir_dim y,
                             bool *done)
{
    if ((*op == '/' || *op == '%') && !y.symbol && !y.value)
        return fail(f, where, "division by zero: %s %s 0", describe_dim(f, x), op);
    bool same = x.symbol == y.symbol;
    const ir_symbol *symbol = x.symbol ? x.symbol : y.symbol;
    bool linear = (*op == '+' || *op == '-') && (same || !(x.symbol ? y.value : x.value));
    bool scaled = *op == '*' && !(x.symbol && y.symbol);
    bool divided = *op == '/' && (same || !y.symbol) && y.value && x.value % y.value == 0;
    *done = linear || scaled || divided;
    if (!*done)
        return poison();
    value v = integer_arithmetic(f, where, op, x.value, y.value);
    if (is_poison(v))
        return v;
    if (v.integer < 0 && !(divided && same)) {
        *done = false; // a negative multiple exists only as a number at run time
        return poison();
    }
    return value_dim((ir_dim){divided && same ? NULL : symbol, v.integer});
}

// ----------------------------------------------------------------- comparisons

static int compare_doubles(double x, double y)
{
    return (x > y) - (x < y);
}

static bool ordering(const char *op, int order)
{
    if (!strcmp(op, "=="))
        return order == 0;
    if (!strcmp(op, "!="))
        return order != 0;
    bool equal = op[1] == '=';
    return (equal && !order) || (*op == '<' ? order < 0 : order > 0);
}

static value compare(frontend *f, location where, const char *op, value x, value y)
{
    bool equality = *op == '=' || *op == '!';
    if (x.kind == VALUE_INTEGER && y.kind == VALUE_INTEGER)
        return value_boolean(ordering(op, (x.integer > y.integer) - (x.integer < y.integer)));
    if (is_number(x) && is_number(y))
        return value_boolean(ordering(op, compare_doubles(value_as_double(x), value_as_double(y))));
    if (equality && x.kind == VALUE_BOOLEAN && y.kind == VALUE_BOOLEAN)
        return value_boolean(ordering(op, x.integer != y.integer));
    if (equality && x.kind == VALUE_TEXT && y.kind == VALUE_TEXT)
        return value_boolean(ordering(op, strcmp(x.text, y.text)));
    if (equality && is_size(x) && is_size(y) && ir_dim_equal(as_dim(x), as_dim(y)))
        return value_boolean(*op == '=');
    if (is_size(x) && is_size(y))
        return fail(f, where, "whether %s %s %s is known only at run time",
                    describe_dim(f, as_dim(x)), op, describe_dim(f, as_dim(y)));
    return fail(f, where, "'%s' cannot compare %s with %s", op, describe(f, x), describe(f, y));
}

static bool is_comparison(const char *op)
{
    return strchr("=!<>", *op) != NULL;
}

value fold_binary(frontend *f, location where, const char *op, value x, value y, bool *done)
{
    *done = true;
    if (is_comparison(op))
        return compare(f, where, op, x, y);
    if (x.kind == VALUE_INTEGER && y.kind == VALUE_INTEGER)
        return integer_arithmetic(f, where, op, x.integer, y.integer);
    if (is_number(x) && is_number(y))
        return number_arithmetic(f, where, op, value_as_double(x), value_as_double(y));
    if (is_size(x) && is_size(y))
        return size_arithmetic(f, where, op, as_dim(x), as_dim(y), done);
    if (*op == '+' && x.kind == VALUE_TEXT && y.kind == VALUE_TEXT) {
        if (strlen(x.text) + strlen(y.text) > 4096)
            return fail(f, where, "the text is longer than 4096 bytes");
        return value_text(arena_intern(f->arena, arena_format(f->arena, "%s%s", x.text, y.text)));
    }
    return fail(f, where, "'%s' cannot be applied to %s and %s", op, describe(f, x),
                describe(f, y));
}

value fold_cast(frontend *f, location where, scalar_type t, value x)
{
    if (!is_number(x))
        return fail(f, where, "%s cannot be converted to %s", describe(f, x), scalar_rows[t].name);
    if (x.kind == VALUE_INTEGER && t == SCALAR_I64)
        return x;
    double rounded = scalar_round(t, value_as_double(x));
    if (scalar_is_float(t))
        return isfinite(rounded)
                   ? value_number(rounded)
                   : fail(f, where, "%s does not fit %s", describe(f, x), scalar_rows[t].name);
    return value_integer(rounded >= 0x1p63 ? INT64_MAX : (int64_t)rounded);
}
