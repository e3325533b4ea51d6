// link: lutra_hart lutra_support
//
// Vectors computed with host arithmetic: as far as they are accepted, the bits are softfloat's, and
// softfloat raises no flag but inexact; the rest is left alone. Ordinary numbers must be accepted.
#include "tests/unit/unit.h"

#include "runtime/hart/softfloat.h"
#include "runtime/hart/vector_float_quick.h"

#include <string.h>

enum { N = 37, CHUNKS = 40, ROUNDS = 20000 };

static const size_t EACH = ~(size_t)0; // a vector as second operand

static uint64_t seed = 1;

static uint32_t random_bits(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 32);
}

// Mostly numbers near 1, some of every kind when `wild`.
static uint32_t random_f32(bool wild)
{
    static const uint32_t special[] = {0,          0x80000000, 1,          0x007fffff, 0x00800000,
                                       0x00800001, 0x7f7fffff, 0x7f800000, 0xff800000, 0x7fc00000,
                                       0x7f800001, 0x34000000, 0x0d800000, 0x80000001, 0x3f800000};
    uint32_t bits = random_bits(), kind = random_bits() % (wild ? 40 : 1);
    if (kind == 1)
        return bits; // any exponent
    if (kind == 2)
        return special[bits % (sizeof special / sizeof *special)];
    return (bits & 0x80ffffff) + 0x3f000000;
}

static void fill(uint32_t x[CHUNKS], bool wild)
{
    for (int i = 0; i < CHUNKS; i++)
        x[i] = random_f32(wild && i < N);
}

// f32 arithmetic in softfloat: x[0] = d, x[1] = a, x[2] = b.
typedef uint64_t soft(const uint32_t *x, float_env *env);
#define SIGN 0x80000000
#define SOFT(E, expression)                                                                        \
    static uint64_t soft_##E(const uint32_t *x, float_env *env)                                    \
    {                                                                                              \
        uint32_t d = x[0], a = x[1], b = x[2];                                                     \
        (void)d, (void)b, (void)env;                                                               \
        return expression;                                                                         \
    }
#define SOFT_FMA(E, x, y, z) SOFT(E, soft_fma(FLOAT_F32, x, y, z, env))
SOFT(VFADD, soft_add(FLOAT_F32, a, b, env))
SOFT(VFSUB, soft_sub(FLOAT_F32, a, b, env))
SOFT(VFRSUB, soft_sub(FLOAT_F32, b, a, env))
SOFT(VFMUL, soft_mul(FLOAT_F32, a, b, env))
SOFT(VFMIN, soft_minimum(FLOAT_F32, a, b, env))
SOFT(VFMAX, soft_maximum(FLOAT_F32, a, b, env))
SOFT(VFDIV, soft_div(FLOAT_F32, a, b, env))
SOFT(VFRDIV, soft_div(FLOAT_F32, b, a, env))
SOFT(VFSGNJ, (a & ~SIGN) | (b & SIGN))
SOFT(VFSGNJN, (a & ~SIGN) | (~b & SIGN))
SOFT(VFSGNJX, a ^ (b & SIGN))
SOFT(VFSQRT_V, soft_sqrt(FLOAT_F32, a, env))
SOFT(f32_from_s32, soft_from_signed(FLOAT_F32, (int32_t)a, env))
SOFT(f32_from_u32, soft_from_unsigned(FLOAT_F32, a, env))
SOFT(s32_from_f32, (uint32_t)soft_to_signed(FLOAT_F32, a, 32, env))
static uint64_t soft_s32_toward_zero(const uint32_t *x, float_env *env)
{
    env->rounding = ROUND_TOWARD_ZERO;
    return (uint32_t)soft_to_signed(FLOAT_F32, x[1], 32, env);
}
SOFT_FMA(VFMACC, a, b, d)
SOFT_FMA(VFNMACC, a ^ SIGN, b, d ^ SIGN)
SOFT_FMA(VFMSAC, a, b, d ^ SIGN)
SOFT_FMA(VFNMSAC, a ^ SIGN, b, d)
SOFT_FMA(VFMADD, d, b, a)
SOFT_FMA(VFNMADD, d ^ SIGN, b, a ^ SIGN)
SOFT_FMA(VFMSUB, d, b, a ^ SIGN)
SOFT_FMA(VFNMSUB, d ^ SIGN, b, a)

static const struct {
    const char *name;
    vector_float_quick *quick;
    soft *soft;
} rows[] = {
#define ROW(E, ...) {#E, quick_##E, soft_##E},
    QUICK_SUMS(ROW) QUICK_PRODUCTS(ROW) QUICK_EXTREMES(ROW) QUICK_QUOTIENTS(ROW) QUICK_SIGNS(ROW)
        ROW(VFSQRT_V) ROW(f32_from_s32) ROW(f32_from_u32) ROW(s32_from_f32) ROW(s32_toward_zero)};

// The whole vector was accepted.
static bool try_row(size_t row, bool wild)
{
    uint32_t x[3][CHUNKS], to[CHUNKS];
    for (int i = 0; i < 3; i++)
        fill(x[i], wild);
    for (int i = 0; i < CHUNKS && rows[row].quick == quick_VFSQRT_V; i++)
        x[1][i] &= ~SIGN;
    memcpy(to, x[0], sizeof to);
    size_t done = rows[row].quick(to, x[1], (vector_operand){x[2], EACH}, N);
    assert_in_range(done, 0, N);
    for (size_t i = 0; i < done; i++) {
        uint32_t operands[] = {x[0][i], x[1][i], x[2][i]};
        float_env env = {ROUND_NEAREST_EVEN, FLAG_INEXACT};
        uint64_t want = rows[row].soft(operands, &env);
        if (to[i] != want || env.flags != FLAG_INEXACT)
            fail_msg("%s of %08x %08x %08x: %08x, flags %u, not %08x", rows[row].name, operands[0],
                     operands[1], operands[2], (unsigned)want, env.flags, to[i]);
    }
    assert_memory_equal(to + done, x[0] + done, (CHUNKS - done) * sizeof *to);
    return done == N;
}

static void arithmetic_is_that_of_softfloat(void **state)
{
    (void)state;
    for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
        unsigned taken = 0;
        for (int i = 0; i < ROUNDS; i++)
            taken += try_row(row, i % 2);
        assert_true(taken > ROUNDS / 4);
    }
}

typedef bool soft_comparison(float_format f, uint64_t a, uint64_t b, float_env *env);

static const struct {
    const char *name;
    vector_float_quick_compare *quick;
    soft_comparison *soft;
    bool swaps, negates;
} comparisons[] = {
    {"vmfeq", quick_VMFEQ, soft_equal, false, false},
    {"vmfne", quick_VMFNE, soft_equal, false, true},
    {"vmflt", quick_VMFLT, soft_less, false, false},
    {"vmfle", quick_VMFLE, soft_less_equal, false, false},
    {"vmfgt", quick_VMFGT, soft_less, true, false},
    {"vmfge", quick_VMFGE, soft_less_equal, true, false},
};

static bool try_comparison(size_t row, bool wild)
{
    uint32_t a[CHUNKS], b[CHUNKS];
    uint8_t to[CHUNKS];
    fill(a, wild);
    fill(b, wild);
    for (int i = 0; i < N; i += 3)
        b[i] = a[i];
    if (!comparisons[row].quick(to, a, (vector_operand){b, EACH}, N))
        return false;
    for (int i = 0; i < N; i++) {
        float_env env = {ROUND_NEAREST_EVEN, 0};
        uint32_t x = comparisons[row].swaps ? b[i] : a[i], y = comparisons[row].swaps ? a[i] : b[i];
        bool want = comparisons[row].soft(FLOAT_F32, x, y, &env) != comparisons[row].negates;
        if (to[i] != want || env.flags)
            fail_msg("%s of %08x %08x: not %u", comparisons[row].name, a[i], b[i], to[i]);
    }
    return true;
}

static void comparisons_are_those_of_softfloat(void **state)
{
    (void)state;
    for (size_t row = 0; row < sizeof comparisons / sizeof *comparisons; row++) {
        unsigned taken = 0;
        for (int i = 0; i < ROUNDS; i++)
            taken += try_comparison(row, i % 2);
        assert_true(taken > ROUNDS / 4);
    }
}

// Every half, alone and beside an ordinary one.
static void halves_widen_exactly(void **state)
{
    (void)state;
    unsigned taken = 0;
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        uint16_t from[4] = {(uint16_t)bits, 0x3c00};
        uint32_t to[4] = {0};
        if (!quick_f32_from_f16(to, from, (vector_operand){from, 0}, 2))
            continue;
        float_env env = {ROUND_NEAREST_EVEN, 0};
        assert_int_equal(to[0], soft_convert(FLOAT_F16, FLOAT_F32, bits, &env));
        assert_int_equal(env.flags, 0);
        assert_int_equal(to[1], 0x3f800000);
        taken++;
    }
    assert_int_equal(taken, 2 + 2 * 30 * 1024); // zeros and normal numbers
}

static void floats_narrow_to_halves(void **state)
{
    (void)state;
    unsigned taken = 0;
    for (uint64_t bits = 0; bits < 1ull << 32; bits += 997) {
        uint32_t from[4] = {(uint32_t)bits};
        uint16_t to[4] = {0};
        if (!quick_f16_from_f32(to, from, (vector_operand){from, 0}, 1))
            continue;
        float_env env = {ROUND_NEAREST_EVEN, FLAG_INEXACT};
        assert_int_equal(to[0], soft_convert(FLOAT_F32, FLOAT_F16, from[0], &env));
        assert_int_equal(env.flags, FLAG_INEXACT);
        taken++;
    }
    assert_true(taken > 500000);
}

static void sums_are_in_order(void **state)
{
    (void)state;
    unsigned taken = 0;
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t bits[N + 1];
        float x[N + 1], sum;
        for (int i = 0; i <= N; i++)
            bits[i] = random_f32(round % 2);
        memcpy(x, bits, sizeof x);
        sum = x[N];
        if (!quick_ordered_sum(&sum, x, N))
            continue;
        float_env env = {ROUND_NEAREST_EVEN, FLAG_INEXACT};
        uint64_t want = bits[N];
        for (int i = 0; i < N; i++)
            want = soft_add(FLOAT_F32, want, bits[i], &env);
        memcpy(bits, &sum, sizeof sum);
        assert_int_equal(bits[0], want);
        assert_int_equal(env.flags, FLAG_INEXACT);
        taken++;
    }
    assert_true(taken > ROUNDS / 4);
}

static void extremes_are_those_of_softfloat(void **state)
{
    (void)state;
    unsigned taken = 0;
    for (int round = 0; round < ROUNDS; round++) {
        const bool least = round % 2;
        const size_t n = random_bits() % (N + 1);
        uint32_t bits[N + 1], got;
        float x[N + 1], result;
        for (int i = 0; i <= N; i++)
            bits[i] = round % 4 < 2 ? random_f32(true) : random_bits() & 0x80000001;
        memcpy(x, bits, sizeof x);
        result = x[N];
        if (!(least ? quick_minimum : quick_maximum)(&result, x, n))
            continue;
        float_env env = {ROUND_NEAREST_EVEN, 0};
        uint64_t want = bits[N];
        for (size_t i = 0; i < n; i++)
            want = (least ? soft_minimum : soft_maximum)(FLOAT_F32, want, bits[i], &env);
        memcpy(&got, &result, sizeof got);
        assert_int_equal(got, want);
        assert_int_equal(env.flags, 0);
        taken++;
    }
    assert_true(taken > ROUNDS / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arithmetic_is_that_of_softfloat),
        cmocka_unit_test(comparisons_are_those_of_softfloat),
        cmocka_unit_test(halves_widen_exactly),
        cmocka_unit_test(floats_narrow_to_halves),
        cmocka_unit_test(sums_are_in_order),
        cmocka_unit_test(extremes_are_those_of_softfloat),
    };
    return cmocka_run_group_tests_name("hart_quick", tests, NULL, NULL);
}
