// link: lutra_codegen lutra_host lutra_ir lutra_isa lutra_support
// Tile-level operations, compiled and executed on the emulator, against the
// definitions in ops.def.
#include "tests/unit/codegen_program.h"

#include <math.h>

enum { N = 100, LIMIT = 300 };

static const char *name_of(scalar_type t)
{
    return scalar_rows[t].name;
}

// The strip width that fits elements of both types.
static const char *width_of(scalar_type a, scalar_type b)
{
    unsigned bits =
        scalar_rows[a].bits > scalar_rows[b].bits ? scalar_rows[a].bits : scalar_rows[b].bits;
    // Floats below 32 bits and integers are computed wider.
    return bits == 64 ? "f64" : "f32";
}

static array vector(arena *a, scalar_type t, int64_t n)
{
    return array_create(a, t, 1, &n);
}

static double at(const array *x, int64_t i)
{
    return scalar_load(x->type, (const char *)x->data + (size_t)i * scalar_size(x->type));
}

static void set(array *x, int64_t i, double value)
{
    scalar_store(x->type, (char *)x->data + (size_t)i * scalar_size(x->type), value);
}

// Values at which rounding, saturation and signs can go wrong, then random ones.
static array sample(arena *a, scalar_type t, uint64_t seed)
{
    static const double special[] = {
        0,       -0.0,     1,           -1,          0.5,          -0.5,  1.5,   2.5,   -2.5,
        126.5,   127.5,    127.49,      -127.5,      -128.5,       -129,  254.5, 255.5, 256,
        32767.5, 32766.5,  -32768.5,    65504,       65520,        70000, 1e-8,  6e-8,  2.9e-8,
        1e5,     -1e5,     2147483647., 2147483648., -2147483649., 1e10,  -1e10, 1e19,  -1e19,
        1e30,    INFINITY, -INFINITY,   NAN,         3.3e38,       1e-40};
    enum { SPECIAL = sizeof special / sizeof *special };
    array x = vector(a, t, N);
    random_stream r = random_seed(seed);
    for (int64_t i = 0; i < N; i++)
        set(&x, i, i < SPECIAL ? special[i] : random_normal(&r) * exp2((double)(i % 12)));
    return x;
}

static bool same(double got, double want)
{
    return got == want ? signbit(got) == signbit(want) : isnan(got) && isnan(want);
}

static void check_element(const char *what, scalar_type t, int64_t i, double got, double want)
{
    if (!same(got, want) && !(got == 0 && want == 0 && !scalar_is_float(t)))
        fail_msg("%s to %s, element %lld: got %.17g, want %.17g", what, name_of(t), (long long)i,
                 got, want);
}

// ------------------------------------------------------------------------ casts

static const scalar_type cast_types[] = {SCALAR_F64, SCALAR_F32,  SCALAR_F16, SCALAR_BF16,
                                         SCALAR_I64, SCALAR_I32,  SCALAR_I16, SCALAR_I8,
                                         SCALAR_U8,  SCALAR_E4M3, SCALAR_E5M2};
enum { CAST_TYPES = sizeof cast_types / sizeof *cast_types };

// One entry that casts x to every type, in strips or element by element.
static void cast_program(text *out, scalar_type from, bool strips)
{
    text_printf(out, "module \"casts\"\nentry func @main(%%x: buffer<%s>[%d]", name_of(from), N);
    for (int i = 0; i < CAST_TYPES; i++)
        text_printf(out, ", %%result%d: buffer<%s>[%d]", i, name_of(cast_types[i]), N);
    text_printf(out,
                ") -> () {\n  %%n = constant %d : index\n  %%zero = constant 0 : index\n"
                "  %%one = constant 1 : index\n",
                N);
    for (int i = 0; i < CAST_TYPES; i++) {
        const char *to = name_of(cast_types[i]);
        if (strips)
            text_printf(out,
                        "  strip %%p%d, %%l%d in %%n {width = %s} {\n"
                        "    %%v%d = vload %%x, %%p%d : vec<%s>\n"
                        "    %%c%d = cast %%v%d : vec<%s>\n"
                        "    vstore %%c%d, %%result%d, %%p%d\n    yield\n  }\n",
                        i, i, width_of(from, cast_types[i]), i, i, name_of(from), i, i, to, i, i,
                        i);
        else
            text_printf(out,
                        "  for %%p%d = %%zero to %%n step %%one {\n"
                        "    %%v%d = load %%x, %%p%d : %s\n    %%c%d = cast %%v%d : %s\n"
                        "    store %%c%d, %%result%d, %%p%d\n    yield\n  }\n",
                        i, i, i, name_of(from), i, i, to, i, i, i);
    }
    text_append(out, "  return\n}\n");
}

static void check_casts(scalar_type from, bool strips)
{
    text lir = {0};
    cast_program(&lir, from, strips);
    compiled p = compile(lir.data);
    array x = sample(p.arena, from, from);
    char what[40];
    snprintf(what, sizeof what, "%s cast of %s", strips ? "vector" : "scalar", name_of(from));
    run(&p, NULL, &x);
    for (int t = 0; t < CAST_TYPES; t++) {
        array y = output(&p, (size_t)t);
        for (int64_t i = 0; i < N; i++)
            check_element(what, cast_types[t], i, at(&y, i),
                          scalar_round(cast_types[t], at(&x, i)));
    }
    release(&p);
    text_free(&lir);
}

static void casts_round_once_and_saturate(void **state)
{
    (void)state;
    for (int i = 0; i < CAST_TYPES; i++) {
        check_casts(cast_types[i], true);
        check_casts(cast_types[i], false);
    }
}

// All 256 bit patterns of the 8-bit floats.
static void small_floats_are_read_exactly(void **state)
{
    (void)state;
    static const scalar_type types[] = {SCALAR_E4M3, SCALAR_E5M2};
    for (int t = 0; t < 2; t++) {
        char lir[1000];
        snprintf(
            lir, sizeof lir,
            "module \"m\"\nentry func @main(%%x: buffer<%s>[256], %%result: buffer<f32>[256]) -> "
            "() {\n  %%n = constant 256 : index\n  strip %%i, %%l in %%n {\n"
            "    %%v = vload %%x, %%i : vec<%s>\n    %%c = cast %%v : vec<f32>\n"
            "    vstore %%c, %%result, %%i\n    yield\n  }\n  return\n}\n",
            name_of(types[t]), name_of(types[t]));
        compiled p = compile(lir);
        array x = vector(p.arena, types[t], 256);
        for (int i = 0; i < 256; i++)
            ((uint8_t *)x.data)[i] = (uint8_t)i;
        run(&p, NULL, &x);
        array y = output(&p, 0);
        for (int64_t i = 0; i < 256; i++)
            check_element(name_of(types[t]), SCALAR_F32, i, at(&y, i), at(&x, i));
        release(&p);
    }
}

// f32 of every sign, exponent and leading mantissa, exact and just beside it.
static void every_exponent_narrows_right(void **state)
{
    (void)state;
    static const scalar_type types[] = {SCALAR_F16,  SCALAR_BF16, SCALAR_E4M3,
                                        SCALAR_E5M2, SCALAR_I8,   SCALAR_I16};
    enum { COUNT = 3 << 16, TYPES = sizeof types / sizeof *types };
    text lir = {0};
    text_printf(&lir, "module \"m\"\nentry func @main(%%x: buffer<f32>[%d]", COUNT);
    for (int t = 0; t < TYPES; t++)
        text_printf(&lir, ", %%result%d: buffer<%s>[%d]", t, name_of(types[t]), COUNT);
    text_printf(&lir,
                ") -> () {\n  %%n = constant %d : index\n  strip %%i, %%l in %%n {\n"
                "    %%v = vload %%x, %%i : vec<f32>\n",
                COUNT);
    for (int t = 0; t < TYPES; t++)
        text_printf(&lir, "    %%c%d = cast %%v : vec<%s>\n    vstore %%c%d, %%result%d, %%i\n", t,
                    name_of(types[t]), t, t);
    text_append(&lir, "    yield\n  }\n  return\n}\n");
    compiled p = compile(lir.data);
    array x = vector(p.arena, SCALAR_F32, COUNT);
    for (uint32_t i = 0; i < COUNT; i++)
        ((uint32_t *)x.data)[i] = (i / 3 << 16) + (i % 3) - (i % 3 == 2) * 3;
    run(&p, NULL, &x);
    for (int t = 0; t < TYPES; t++) {
        array y = output(&p, (size_t)t);
        for (int64_t i = 0; i < COUNT; i++)
            check_element("vector cast of f32", types[t], i, at(&y, i),
                          scalar_round(types[t], at(&x, i)));
    }
    release(&p);
    text_free(&lir);
}

// ------------------------------------------------------------------- arithmetic

static double maximum(double x, double y)
{
    return isnan(x) ? y : isnan(y) ? x : x > y ? x : y;
}
static double minimum(double x, double y)
{
    return isnan(x) ? y : isnan(y) ? x : x < y ? x : y;
}

static double evaluate(const char *op, double x, double y)
{
    switch (op[0]) {
    case 'a': return op[1] == 'd' ? x + y : fabs(x);
    case 's': return op[1] == 'u' ? x - y : op[2] == 'r' ? sqrt(x) : x * x;
    case 'm': return op[1] == 'u' ? x * y : op[1] == 'a' ? maximum(x, y) : minimum(x, y);
    case 'd': return x / y;
    case 'n': return -x;
    case 'r': return op[1] == 'e' ? maximum(x, 0) : nearbyint(x);
    default: return NAN;
    }
}

static const struct operation {
    const char *name;
    int operands;
    bool floats_only;
} operations[] = {{"add", 2, false}, {"sub", 2, false},    {"mul", 2, false},  {"div", 2, true},
                  {"max", 2, false}, {"min", 2, false},    {"neg", 1, false},  {"abs", 1, false},
                  {"sqrt", 1, true}, {"square", 1, false}, {"relu", 1, false}, {"round", 1, true}};
enum { OPERATIONS = sizeof operations / sizeof *operations };

static bool applies(const struct operation *o, scalar_type t)
{
    return scalar_is_float(t) || !o->floats_only;
}

// Every operation on x and y, in strips or element by element.
static void arithmetic_program(text *out, scalar_type t, bool strips)
{
    const char *type = name_of(t);
    char vec[16];
    snprintf(vec, sizeof vec, strips ? "vec<%s>" : "%s", type);
    text_printf(out, "module \"m\"\nentry func @main(%%x: buffer<%s>[%d], %%y: buffer<%s>[%d]",
                type, N, type, N);
    for (int i = 0; i < OPERATIONS; i++)
        if (applies(&operations[i], t))
            text_printf(out, ", %%result%d: buffer<%s>[%d]", i, type, N);
    text_printf(out,
                ") -> () {\n  %%n = constant %d : index\n  %%zero = constant 0 : index\n"
                "  %%one = constant 1 : index\n",
                N);
    if (strips)
        text_printf(out, "  strip %%i, %%l in %%n {width = %s} {\n", width_of(t, t));
    else
        text_append(out, "  for %i = %zero to %n step %one {\n");
    const char *load = strips ? "vload" : "load", *store = strips ? "vstore" : "store";
    text_printf(out, "    %%a = %s %%x, %%i : %s\n    %%b = %s %%y, %%i : %s\n", load, vec, load,
                vec);
    for (int i = 0; i < OPERATIONS; i++)
        if (applies(&operations[i], t))
            text_printf(out, "    %%c%d = %s %%a%s : %s\n    %s %%c%d, %%result%d, %%i\n", i,
                        operations[i].name, operations[i].operands == 2 ? ", %b" : "", vec, store,
                        i, i);
    text_append(out, "    yield\n  }\n  return\n}\n");
}

// What ops.def says: computed in f32 (f64 in f64), integers exactly, rounded once.
static double expected(const struct operation *o, scalar_type t, double x, double y)
{
    double exact = evaluate(o->name, x, y);
    if (t != SCALAR_F64 && scalar_is_float(t))
        exact = (float)exact;
    return scalar_round(t, exact);
}

static void check_arithmetic(scalar_type t, bool strips)
{
    text lir = {0};
    arithmetic_program(&lir, t, strips);
    compiled p = compile(lir.data);
    array inputs[] = {sample(p.arena, t, 1), sample(p.arena, t, 2)};
    for (int64_t i = 0; i < N; i++) // other pairs than equal ones; small wide integers
        set(&inputs[1], i, at(&inputs[0], (i * 37 + 11) % N));
    if (t == SCALAR_I32 || t == SCALAR_I64)
        for (int64_t i = 0; i < N; i++)
            for (int k = 0; k < 2; k++)
                set(&inputs[k], i, fmod(at(&inputs[k], i), 40000));
    run(&p, NULL, inputs);
    size_t index = 0;
    for (int o = 0; o < OPERATIONS; o++) {
        if (!applies(&operations[o], t))
            continue;
        array y = output(&p, index++);
        for (int64_t i = 0; i < N; i++) {
            double want = expected(&operations[o], t, at(&inputs[0], i), at(&inputs[1], i));
            double got = at(&y, i);
            if (got != want) // the sign of a zero among two zeros is open in max and min
                check_element(operations[o].name, t, i, got, want);
        }
    }
    release(&p);
    text_free(&lir);
}

static void arithmetic_is_as_defined(void **state)
{
    (void)state;
    for (int i = 0; i < CAST_TYPES; i++) {
        check_arithmetic(cast_types[i], true);
        check_arithmetic(cast_types[i], false);
    }
}

// -------------------------------------------------------------------- strips

static const int64_t counts[] = {0,  1,   2,   31,  32,  33,  63,  64,
                                 65, 100, 127, 128, 129, 256, 257, 300};

// Elements behind the count keep what they had; none is left out.
static void strips_do_exactly_their_count(void **state)
{
    (void)state;
    static const char *const widths[] = {"f64", "f32", "f16", "i8"};
    for (int w = 0; w < 4; w++) {
        char lir[1000];
        snprintf(lir, sizeof lir,
                 "module \"m\"\ndim C in 0..%d\nentry func @main(%%x: buffer<i8>[%d], %%result: "
                 "buffer<i8>[%d]) -> () {\n  %%n = dim C : index\n"
                 "  strip %%i, %%l in %%n {width = %s} {\n    %%v = vload %%x, %%i : vec<i8>\n"
                 "    %%s = add %%v, %%v : vec<i8>\n    vstore %%s, %%result, %%i\n    yield\n  }\n"
                 "  return\n}\n",
                 LIMIT, LIMIT, LIMIT, widths[w]);
        compiled p = compile(lir);
        array x = vector(p.arena, SCALAR_I8, LIMIT);
        for (int64_t i = 0; i < LIMIT; i++)
            set(&x, i, (double)(i % 50));
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            run(&p, &counts[c], &x);
            array y = output(&p, 0);
            for (int64_t i = 0; i < LIMIT; i++)
                assert_int_equal((int64_t)at(&y, i), i < counts[c] ? 2 * (i % 50) : -1);
        }
        release(&p);
    }
}

// Sum, largest and smallest carried through a strip; integers exactly, so that no
// lane is lost or counted twice.
static void carried_vectors_keep_other_lanes(void **state)
{
    (void)state;
    static const char lir[] =
        "module \"m\"\ndim C in 0..300\n"
        "entry func @main(%x: buffer<i32>[300], %result0: buffer<i32>[3], %result1: "
        "buffer<f32>[3]) "
        "-> () {\n"
        "  %n = dim C : index\n  %zero = constant 0 : index\n  %one = constant 1 : index\n"
        "  %two = constant 2 : index\n  %z = constant 0 : i32\n  %low = constant -1000000 : i32\n"
        "  %high = constant 1000000 : i32\n  %zv = broadcast %z : vec<i32>\n"
        "  %lv = broadcast %low : vec<i32>\n  %hv = broadcast %high : vec<i32>\n"
        "  %zf = constant 0.0 : f32\n  %zfv = broadcast %zf : vec<f32>\n"
        "  %s, %t, %u, %f = strip %i, %l in %n carry (%a = %zv : vec<i32>, %b = %lv : vec<i32>, "
        "%c = %hv : vec<i32>, %d = %zfv : vec<f32>) {\n"
        "    %v = vload %x, %i : vec<i32>\n    %a1 = add %a, %v : vec<i32>\n"
        "    %b1 = max %b, %v : vec<i32>\n    %c1 = min %c, %v : vec<i32>\n"
        "    %vf = cast %v : vec<f32>\n    %d1 = add %d, %vf : vec<f32>\n"
        "    yield %a1, %b1, %c1, %d1\n"
        "  } : vec<i32>, vec<i32>, vec<i32>, vec<f32>\n"
        "  %rs = reduce %s {by = add} : i32\n  store %rs, %result0, %zero\n"
        "  %rt = reduce %t {by = max} : i32\n  store %rt, %result0, %one\n"
        "  %ru = reduce %u {by = min} : i32\n  store %ru, %result0, %two\n"
        "  %rf = reduce %f {by = add} : f32\n  store %rf, %result1, %zero\n"
        "  %rg = reduce %f {by = max} : f32\n  store %rg, %result1, %one\n"
        "  %rh = reduce %f {by = min} : f32\n  store %rh, %result1, %two\n"
        "  return\n}\n";
    compiled p = compile(lir);
    array x = vector(p.arena, SCALAR_I32, LIMIT);
    for (int64_t i = 0; i < LIMIT; i++)
        set(&x, i, (double)((i * 7919) % 1000 - 300));
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        double sum = 0, high = -1e6, low = 1e6;
        for (int64_t i = 0; i < counts[c]; i++) {
            sum += at(&x, i);
            high = maximum(high, at(&x, i));
            low = minimum(low, at(&x, i));
        }
        run(&p, &counts[c], &x);
        array y = output(&p, 0), f = output(&p, 1);
        assert_int_equal((int64_t)at(&y, 0), (int64_t)sum);
        assert_int_equal((int64_t)at(&y, 1), (int64_t)high);
        assert_int_equal((int64_t)at(&y, 2), (int64_t)low);
        assert_int_equal((int64_t)at(&f, 0), (int64_t)sum);
    }
    release(&p);
}

// Inside a strip, reduce is over the strip's lanes, and a loop carries vectors of that many lanes.
static void strips_reduce_their_lanes(void **state)
{
    (void)state;
    static const char lir[] =
        "module \"m\"\ndim C in 0..300\n"
        "entry func @main(%x: buffer<f16>[3, 300], %result: buffer<f32>[3]) -> () {\n"
        "  %n = dim C : index\n  %zero = constant 0 : index\n  %one = constant 1 : index\n"
        "  %two = constant 2 : index\n  %three = constant 3 : index\n"
        "  %z = constant 0.0 : f32\n  store %z, %result, %zero\n"
        "  store %z, %result, %one\n  store %z, %result, %two\n"
        "  strip %i, %l in %n {width = f16} {\n"
        "    %zv = broadcast %z : vec<f32>\n"
        "    %all = for %r = %zero to %three step %one carry (%a = %zv : vec<f32>) {\n"
        "      %h = vload %x, %r, %i : vec<f16>\n      %v = cast %h : vec<f32>\n"
        "      %b = add %a, %v : vec<f32>\n      yield %b\n    } : vec<f32>\n"
        "    %sum = reduce %all {by = add} : f32\n    %old = load %result, %zero : f32\n"
        "    %new = add %sum, %old : f32\n    store %new, %result, %zero\n"
        "    %max = reduce %all {by = max} : f32\n    %old1 = load %result, %one : f32\n"
        "    %new1 = max %max, %old1 : f32\n    store %new1, %result, %one\n"
        "    %w = cast %all : vec<i32>\n    %min = reduce %w {by = min} : i32\n"
        "    %minf = cast %min : f32\n    %old2 = load %result, %two : f32\n"
        "    %new2 = min %minf, %old2 : f32\n    store %new2, %result, %two\n"
        "    yield\n  }\n  return\n}\n";
    compiled p = compile(lir);
    int64_t shape[] = {3, LIMIT};
    array x = array_create(p.arena, SCALAR_F16, 2, shape);
    for (int64_t i = 0; i < 3 * LIMIT; i++)
        set(&x, i, (double)(i * 7919 % 31) - 15);
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        double sum = 0, high = 0, low = 0;
        for (int64_t i = 0; i < counts[c]; i++) {
            double v = at(&x, i) + at(&x, LIMIT + i) + at(&x, 2 * LIMIT + i);
            sum += v;
            high = maximum(high, v);
            low = v < low ? v : low;
        }
        run(&p, &counts[c], &x);
        array y = output(&p, 0);
        assert_true(at(&y, 0) == sum && at(&y, 1) == high && at(&y, 2) == low);
    }
    release(&p);
}

// A vector carried by a loop around strips, of values the strips leave alone.
static void loops_carry_vectors_around_strips(void **state)
{
    (void)state;
    static const char lir[] =
        "module \"m\"\ndim C in 0..100\n"
        "entry func @main(%x: buffer<f16>[7, 100], %result: buffer<f32>[2]) -> () {\n"
        "  %n = dim C : index\n  %zero = constant 0 : index\n  %one = constant 1 : index\n"
        "  %seven = constant 7 : index\n  %z = constant 0.0 : f32\n"
        "  %zv = broadcast %z : vec<f32>\n"
        "  %all = for %r = %zero to %seven step %one carry (%a = %zv : vec<f32>) {\n"
        "    %row = strip %i, %l in %n carry (%b = %a : vec<f32>) {\n"
        "      %h = vload %x, %r, %i : vec<f16>\n      %v = cast %h : vec<f32>\n"
        "      %c = add %b, %v : vec<f32>\n      yield %c\n    } : vec<f32>\n"
        "    yield %row\n  } : vec<f32>\n"
        "  %sum = reduce %all {by = add} : f32\n  store %sum, %result, %zero\n"
        "  %double = add %all, %all : vec<f32>\n"
        "  %sum2 = reduce %double {by = add} : f32\n  store %sum2, %result, %one\n"
        "  return\n}\n";
    compiled p = compile(lir);
    int64_t shape[] = {7, 100};
    array x = array_create(p.arena, SCALAR_F16, 2, shape);
    for (int64_t i = 0; i < 700; i++)
        set(&x, i, (double)(i % 13) - 5);
    for (int64_t n = 0; n <= 100; n += 25) {
        double sum = 0;
        for (int64_t r = 0; r < 7; r++)
            for (int64_t i = 0; i < n; i++)
                sum += at(&x, r * 100 + i);
        run(&p, &n, &x);
        array y = output(&p, 0);
        assert_true(at(&y, 0) == sum && at(&y, 1) == 2 * sum);
    }
    release(&p);
}

static void strides_compare_and_select(void **state)
{
    (void)state;
    static const char lir[] =
        "module \"m\"\n"
        "entry func @main(%x: buffer<f32>[200], %result0: buffer<f32>[300], "
        "%result1: buffer<i1>[100], %result2: buffer<i32>[100]) -> () {\n"
        "  %n = constant 100 : index\n  %two = constant 2 : index\n  %three = constant 3 : index\n"
        "  %half = constant 0.5 : f32\n  %limit = broadcast %half : vec<f32>\n"
        "  strip %i, %l in %n {\n"
        "    %i2 = mul %i, %two : index\n    %i3 = mul %i, %three : index\n"
        "    %v = vload %x, %i2 {stride = 2} : vec<f32>\n"
        "    %c = compare %v, %limit {is = gt} : vec<i1>\n"
        "    %s = select %c, %v, %limit : vec<f32>\n"
        "    vstore %s, %result0, %i3 {stride = 3}\n    vstore %c, %result1, %i\n"
        "    %k = cast %c : vec<i32>\n    vstore %k, %result2, %i\n"
        "    yield\n  }\n  return\n}\n";
    compiled p = compile(lir);
    array x = vector(p.arena, SCALAR_F32, 200);
    for (int64_t i = 0; i < 200; i++)
        set(&x, i, i == 40 ? NAN : (double)(i % 7) / 4);
    run(&p, NULL, &x);
    array y = output(&p, 0), c = output(&p, 1), k = output(&p, 2);
    for (int64_t i = 0; i < 100; i++) {
        double v = at(&x, 2 * i);
        assert_true(at(&y, 3 * i) == (v > 0.5 ? v : 0.5));
        assert_true(isnan(at(&y, 3 * i + 1)) && isnan(at(&y, 3 * i + 2))); // untouched
        assert_int_equal((int64_t)at(&c, i), v > 0.5);
        assert_int_equal((int64_t)at(&k, i), v > 0.5);
    }
    release(&p);
}

// Every comparison with ordered, equal and unordered operands.
static void comparisons_of_nan_are_false_except_ne(void **state)
{
    (void)state;
    static const char *const words[] = {"eq", "ne", "lt", "le", "gt", "ge"};
    text lir = {0};
    text_append(&lir, "module \"m\"\nentry func @main(%x: buffer<f32>[4], %y: buffer<f32>[4]");
    for (int i = 0; i < 6; i++)
        text_printf(&lir, ", %%result%d: buffer<i1>[4], %%results%d: buffer<i1>[4]", i, i);
    text_append(&lir, ") -> () {\n  %n = constant 4 : index\n  %zero = constant 0 : index\n"
                      "  %one = constant 1 : index\n");
    for (int i = 0; i < 6; i++)
        text_printf(&lir,
                    "  strip %%i%d, %%l%d in %%n {\n    %%v%d = vload %%x, %%i%d : vec<f32>\n"
                    "    %%u%d = vload %%y, %%i%d : vec<f32>\n"
                    "    %%c%d = compare %%v%d, %%u%d {is = %s} : vec<i1>\n"
                    "    vstore %%c%d, %%result%d, %%i%d\n    yield\n  }\n"
                    "  for %%j%d = %%zero to %%n step %%one {\n    %%a%d = load %%x, %%j%d : f32\n"
                    "    %%b%d = load %%y, %%j%d : f32\n"
                    "    %%d%d = compare %%a%d, %%b%d {is = %s} : i1\n"
                    "    store %%d%d, %%results%d, %%j%d\n    yield\n  }\n",
                    i, i, i, i, i, i, i, i, i, words[i], i, i, i, i, i, i, i, i, i, i, i, words[i],
                    i, i, i);
    text_append(&lir, "  return\n}\n");
    compiled p = compile(lir.data);
    array inputs[] = {vector(p.arena, SCALAR_F32, 4), vector(p.arena, SCALAR_F32, 4)};
    static const double x[] = {1, 2, 3, NAN}, y[] = {2, 2, 2, 1};
    static const char *const want[] = {"0100", "1011", "1000", "1100", "0010", "0110"};
    for (int i = 0; i < 4; i++) {
        set(&inputs[0], i, x[i]);
        set(&inputs[1], i, y[i]);
    }
    run(&p, NULL, inputs);
    for (size_t o = 0; o < 12; o++) {
        array got = output(&p, o);
        for (int i = 0; i < 4; i++)
            assert_int_equal((int64_t)at(&got, i), (i == 3 ? o / 2 == 1 : want[o / 2][i] == '1'));
    }
    release(&p);
    text_free(&lir);
}

// ------------------------------------------------------------- scalars, control

// ---------------------------------------------------------------- constants, lanes

static const char *const constants[] = {"0, -1.5, 2.25", "7, -8, 9"};

// A constant of every type is copied to a result, and read by a kernel through its address.
static void constants_have_their_elements(void **state)
{
    (void)state;
    text lir = {0};
    text_append(&lir, "module \"m\"\n");
    for (int i = 0; i < CAST_TYPES; i++)
        text_printf(&lir, "constant @\"c %d\" : %s[3] = [%s]\n", i, name_of(cast_types[i]),
                    constants[!scalar_is_float(cast_types[i])]);
    text_append(&lir, "constant @unused : f64[2] = [1, 2]\nentry func @main(");
    for (int i = 0; i < CAST_TYPES; i++)
        text_printf(&lir, "%s%%result%d: buffer<%s>[3]", i ? ", " : "", i, name_of(cast_types[i]));
    text_append(&lir, ") -> () {\n  %n = constant 3 : index\n");
    for (int i = 0; i < CAST_TYPES; i++)
        text_printf(&lir,
                    "  %%a%d = address @\"c %d\" : buffer<%s>[3]\n"
                    "  strip %%i%d, %%l%d in %%n {width = f64} {\n"
                    "    %%v%d = vload %%a%d, %%i%d : vec<%s>\n"
                    "    vstore %%v%d, %%result%d, %%i%d\n    yield\n  }\n",
                    i, i, name_of(cast_types[i]), i, i, i, i, i, name_of(cast_types[i]), i, i, i);
    text_append(&lir, "  return\n}\n");
    compiled p = compile(lir.data);
    run(&p, NULL, NULL);
    static const double floats[] = {0, -1.5, 2.25}, integers[] = {7, -8, 9};
    for (int i = 0; i < CAST_TYPES; i++) {
        array y = output(&p, (size_t)i);
        for (int k = 0; k < 3; k++) {
            double want = scalar_is_float(cast_types[i]) ? floats[k] : integers[k];
            check_element("constant", cast_types[i], k, at(&y, k),
                          scalar_round(cast_types[i], want));
        }
    }
    release(&p);
    text_free(&lir);
}

static void lanes_are_numbered(void **state)
{
    (void)state;
    compiled p = compile("module \"m\"\ndim C in 0..100\n"
                         "entry func @main(%result: buffer<i32>[100]) -> () {\n"
                         "  %n = dim C : index\n  %c = constant 10 : i32\n"
                         "  strip %i, %l in %n {\n    %v = lane : vec<i32>\n"
                         "    %first = cast %i : i32\n    %b = broadcast %first : vec<i32>\n"
                         "    %w = add %v, %b : vec<i32>\n    vstore %w, %result, %i\n    yield\n"
                         "  }\n  return\n}\n");
    int64_t count = 77;
    run(&p, &count, NULL);
    array y = output(&p, 0);
    for (int i = 0; i < 77; i++)
        assert_true(at(&y, i) == i);
    release(&p);
}

static void scalars_and_control(void **state)
{
    (void)state;
    static const char lir[] =
        "module \"m\"\ndim C in 0..100\nstate @counter : i32[4]\n"
        "func @twice(%x: buffer<i32>[?], %k: index, %f: f16, %b: bf16, %y: buffer<f32>[?]) -> () "
        "{\n"
        "  %zero = constant 0 : index\n  %one = constant 1 : index\n"
        "  %a = load %x, %k : i32\n  %two = constant 2 : i32\n  %c = mul %a, %two : i32\n"
        "  store %c, %x, %k\n  %ff = cast %f : f32\n  %bf = cast %b : f32\n"
        "  store %ff, %y, %zero\n  store %bf, %y, %one\n  return\n}\n"
        "entry func @main(%h: f16, %g: bf16, %k: index, %big: i8, %result0: buffer<i32>[4], "
        "%result1: buffer<f32>[2]) -> () {\n"
        "  %n = dim C : index\n  %zero = constant 0 : index\n  %one = constant 1 : index\n"
        "  %three = constant 3 : index\n"
        "  %state = address @counter : buffer<i32>[4]\n"
        "  %old = load %state, %zero : i32\n  %one32 = constant 1 : i32\n"
        "  %new = add %old, %one32 : i32\n  store %new, %state, %zero\n"
        "  %sum = for %i = %zero to %n step %three carry (%s = %zero : index) {\n"
        "    %t = add %s, %i : index\n    yield %t\n  } : index\n"
        "  %odd = rem %k, %three : index\n  %is = compare %odd, %zero {is = eq} : i1\n"
        "  %picked = if %is {\n    %p = sub %sum, %k : index\n    yield %p\n  } else {\n"
        "    %q = div %sum, %k : index\n    yield %q\n  } : index\n"
        "  %w = cast %picked : i32\n  %at = alloc {offset = 64} : buffer<i32>[16]\n"
        "  store %w, %at, %three\n"
        "  %view = view %at, %one : buffer<i32>[?]\n  %two = sub %three, %one : index\n"
        "  %y = view %result1 : buffer<f32>[?]\n"
        "  call @twice(%view, %two, %h, %g, %y)\n  %d = load %at, %three : i32\n"
        "  store %d, %result0, %zero\n  store %new, %result0, %one\n"
        "  %wide = cast %big : i32\n  store %wide, %result0, %two\n"
        "  store %wide, %result0, %three\n  return\n}\n";
    compiled p = compile(lir);
    array inputs[] = {
        {.type = SCALAR_F16}, {.type = SCALAR_BF16}, {.type = SCALAR_I64}, {.type = SCALAR_I8}};
    for (int i = 0; i < 4; i++)
        inputs[i].data = arena_alloc(p.arena, 8);
    set(&inputs[0], 0, 1.5);
    set(&inputs[1], 0, -2.5);
    set(&inputs[3], 0, -7);
    for (int64_t call = 1; call <= 4; call++) {
        int64_t n = 10 * call, sum = 0;
        for (int64_t i = 0; i < n; i += 3)
            sum += i;
        set(&inputs[2], 0, (double)call);
        run(&p, &n, inputs);
        array y = output(&p, 0), f = output(&p, 1);
        assert_int_equal((int64_t)at(&y, 0), 2 * (call % 3 == 0 ? sum - call : sum / call));
        assert_int_equal((int64_t)at(&y, 1), call); // the state is kept
        assert_int_equal((int64_t)at(&y, 2), -7);
        assert_true(at(&f, 0) == 1.5 && at(&f, 1) == -2.5);
    }
    release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(casts_round_once_and_saturate),
        cmocka_unit_test(small_floats_are_read_exactly),
        cmocka_unit_test(every_exponent_narrows_right),
        cmocka_unit_test(arithmetic_is_as_defined),
        cmocka_unit_test(strips_do_exactly_their_count),
        cmocka_unit_test(carried_vectors_keep_other_lanes),
        cmocka_unit_test(strips_reduce_their_lanes),
        cmocka_unit_test(loops_carry_vectors_around_strips),
        cmocka_unit_test(strides_compare_and_select),
        cmocka_unit_test(comparisons_of_nan_are_false_except_ne),
        cmocka_unit_test(constants_have_their_elements),
        cmocka_unit_test(lanes_are_numbered),
        cmocka_unit_test(scalars_and_control),
    };
    return cmocka_run_group_tests_name("codegen_run", tests, NULL, NULL);
}
