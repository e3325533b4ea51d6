// Conversions between scalar types, of one value or of a strip's lanes. Floats
// round to nearest even once; floats become integers by rounding to nearest even
// and saturating, NaN becoming 0; integers saturate where the target is narrower.
#include "compiler/codegen/emit.h"

#include <math.h>

static bool is_signed(scalar_type s)
{
    return scalar_rows[s].class == 'i';
}
static unsigned value_bits(scalar_type s)
{
    return s == SCALAR_I1 ? 1 : scalar_rows[s].bits;
}

// --------------------------------------------------------------- narrow floats

// bf16 is held as its bits. LLVM 19 has no predicated conversion of it, so the
// vector forms are the instructions' own intrinsics.
static LLVMTypeRef bfloat_type(emitter *e)
{
    return LLVMBFloatTypeInContext(e->context);
}

static LLVMValueRef vector_length(emitter *e)
{
    return e->vl ? e->vl : int_constant(e, 64, -1);
}

enum { ROUND_AS_FRM_SAYS = 7 }; // frm is round to nearest even everywhere

static LLVMValueRef f32_from_bf16(emitter *e, LLVMValueRef x)
{
    LLVMTypeRef f32 = scalar_llvm_type(e, SCALAR_F32);
    // A bf16 is the upper half of an f32.
    LLVMValueRef wide = convert(e, C_ZEXT, x, int_type(e, 32));
    return reinterpret(e, primitive2(e, P_SHL, wide, bits_like(wide, 16)), f32);
}

// In integers: LLVM 19 makes vectors of scalar bf16 values where it can, and cannot select them.
static LLVMValueRef scalar_bf16_from_f32(emitter *e, LLVMValueRef x)
{
    LLVMValueRef bits = reinterpret(e, x, int_type(e, 32));
    LLVMValueRef odd =
        primitive2(e, P_AND, primitive2(e, P_LSHR, bits, bits_like(bits, 16)), bits_like(bits, 1));
    LLVMValueRef up =
        primitive2(e, P_ADD, primitive2(e, P_ADD, bits, bits_like(bits, 0x7fff)), odd);
    LLVMValueRef code = primitive2(e, P_LSHR, up, bits_like(bits, 16));
    LLVMValueRef nan = compare_float(e, LLVMRealUNO, x, x);
    return convert(e, C_TRUNC, choose(e, nan, bits_like(bits, 0x7fc0), code), int_type(e, 16));
}

static LLVMValueRef bf16_from_f32(emitter *e, LLVMValueRef x)
{
    LLVMTypeRef bits = int_type(e, 16);
    if (!is_vector(x) || e->level)
        return scalar_bf16_from_f32(e, x);
    fits_registers(e, x);
    LLVMTypeRef to = like(x, bfloat_type(e));
    LLVMTypeRef overloads[] = {to, LLVMTypeOf(x), int_type(e, 64)};
    LLVMValueRef arguments[] = {LLVMGetPoison(to), x, int_constant(e, 64, ROUND_AS_FRM_SAYS),
                                vector_length(e)};
    LLVMValueRef y = call_intrinsic(e, "llvm.riscv.vfncvtbf16.f.f.w", 3, overloads, 4, arguments);
    return reinterpret(e, y, bits);
}

// f64 to f32 so that a second rounding, to half the bits or less, comes out as
// if from the f64: an inexact result gets an odd last bit (round to odd).
static LLVMValueRef f32_odd_from_f64(emitter *e, LLVMValueRef x)
{
    LLVMTypeRef f32 = scalar_llvm_type(e, SCALAR_F32), i32 = int_type(e, 32);
    LLVMTypeRef f64 = scalar_llvm_type(e, SCALAR_F64);
    LLVMValueRef near = convert(e, C_FPTRUNC, x, f32);
    LLVMValueRef back = convert(e, C_FPEXT, near, f64);
    LLVMValueRef bits = reinterpret(e, near, i32);
    LLVMValueRef inexact = compare_float(e, LLVMRealONE, back, x);
    LLVMValueRef above =
        compare_float(e, LLVMRealOGT, primitive1(e, P_FABS, back), primitive1(e, P_FABS, x));
    LLVMValueRef down = choose(e, above, bits_like(bits, 1), bits_like(bits, 0));
    LLVMValueRef toward_zero = primitive2(e, P_SUB, bits, down);
    LLVMValueRef odd = primitive2(e, P_OR, toward_zero, bits_like(bits, 1));
    return reinterpret(e, choose(e, inexact, odd, bits), f32);
}

// e5m2 is the upper half of an f16.
static LLVMValueRef f32_from_e5m2(emitter *e, LLVMValueRef x)
{
    LLVMValueRef wide = convert(e, C_ZEXT, x, int_type(e, 16));
    LLVMValueRef half = reinterpret(e, primitive2(e, P_SHL, wide, bits_like(wide, 8)),
                                    scalar_llvm_type(e, SCALAR_F16));
    return convert(e, C_FPEXT, half, scalar_llvm_type(e, SCALAR_F32));
}

// Exponent and mantissa shifted into an f32's place are too small by 2^120,
// subnormals included; 0x7f is NaN.
static LLVMValueRef f32_from_e4m3(emitter *e, LLVMValueRef x)
{
    LLVMTypeRef f32 = scalar_llvm_type(e, SCALAR_F32);
    LLVMValueRef wide = convert(e, C_ZEXT, x, int_type(e, 32));
    LLVMValueRef low = primitive2(e, P_AND, wide, bits_like(wide, 0x7f));
    LLVMValueRef sign = primitive2(e, P_SHL, primitive2(e, P_AND, wide, bits_like(wide, 0x80)),
                                   bits_like(wide, 24));
    LLVMValueRef small = reinterpret(e, primitive2(e, P_SHL, low, bits_like(low, 20)), f32);
    LLVMValueRef size = primitive2(e, P_FMUL, small, constant_like(small, 0x1p120));
    LLVMValueRef nan = compare_int(e, LLVMIntEQ, low, bits_like(low, 0x7f));
    size = choose(e, nan, constant_like(size, NAN), size);
    LLVMValueRef bits = primitive2(e, P_OR, reinterpret(e, size, int_type(e, 32)), sign);
    return reinterpret(e, bits, f32);
}

// An 8-bit float of 1 sign bit and IEEE bias; `largest` is the code that too large
// values get, `nan` that of NaN.
typedef struct small_float {
    unsigned mantissa, bias;
    int64_t largest, nan;
} small_float;

static const small_float e4m3 = {3, 7, 0x7e, 0x7f}, e5m2 = {2, 15, 0x7c, 0x7e};

// The code of a normal result: half a step less one and the last kept bit are
// added, which carries when nearest-even says so, and the exponent is rebased.
static LLVMValueRef normal_code(emitter *e, LLVMValueRef size, const small_float *f)
{
    unsigned dropped = 23 - f->mantissa;
    LLVMValueRef kept = primitive2(e, P_LSHR, size, bits_like(size, dropped));
    LLVMValueRef even = primitive2(e, P_AND, kept, bits_like(size, 1));
    LLVMValueRef up = primitive2(e, P_ADD, size, bits_like(size, (1 << (dropped - 1)) - 1));
    up = primitive2(e, P_LSHR, primitive2(e, P_ADD, up, even), bits_like(size, dropped));
    return primitive2(e, P_SUB, up, bits_like(size, (int64_t)(127 - f->bias) << f->mantissa));
}

// Of a subnormal one: adding a power of two whose last bit is worth one step
// rounds to steps.
static LLVMValueRef subnormal_code(emitter *e, LLVMValueRef size, const small_float *f)
{
    int64_t exponent = 127 + 1 - (int64_t)f->bias - f->mantissa + 23;
    LLVMValueRef magic = bits_like(size, exponent << 23);
    LLVMTypeRef f32 = scalar_llvm_type(e, SCALAR_F32);
    LLVMValueRef sum =
        primitive2(e, P_FADD, reinterpret(e, size, f32), LLVMConstBitCast(magic, f32));
    return primitive2(e, P_SUB, reinterpret(e, sum, int_type(e, 32)), magic);
}

static LLVMValueRef small_float_from_f32(emitter *e, LLVMValueRef x, const small_float *f)
{
    LLVMValueRef bits = reinterpret(e, x, int_type(e, 32));
    LLVMValueRef size = primitive2(e, P_AND, bits, bits_like(bits, 0x7fffffff));
    LLVMValueRef smallest_normal = bits_like(bits, (int64_t)(128 - f->bias) << 23);
    LLVMValueRef subnormal = compare_int(e, LLVMIntSLT, size, smallest_normal);
    LLVMValueRef code = choose(e, subnormal, subnormal_code(e, size, f), normal_code(e, size, f));
    code = primitive2(e, P_SMIN, code, bits_like(code, f->largest));
    LLVMValueRef nan = compare_float(e, LLVMRealUNO, x, x);
    code = choose(e, nan, bits_like(code, f->nan), code);
    LLVMValueRef sign = primitive2(e, P_LSHR, bits, bits_like(bits, 24));
    sign = primitive2(e, P_AND, sign, bits_like(sign, 0x80));
    return convert(e, C_TRUNC, primitive2(e, P_OR, code, sign), int_type(e, 8));
}

// ------------------------------------------------------------- between floats

// The value as f32 or f64, exactly.
static LLVMValueRef widen_float(emitter *e, LLVMValueRef x, scalar_type from)
{
    switch (from) {
    case SCALAR_F16: return convert(e, C_FPEXT, x, scalar_llvm_type(e, SCALAR_F32));
    case SCALAR_BF16: return f32_from_bf16(e, x);
    case SCALAR_E5M2: return f32_from_e5m2(e, x);
    case SCALAR_E4M3: return f32_from_e4m3(e, x);
    default: return x;
    }
}

static LLVMValueRef narrow_float(emitter *e, LLVMValueRef x, scalar_type to)
{
    bool wide = LLVMGetTypeKind(element_of(x)) == LLVMDoubleTypeKind;
    switch (to) {
    case SCALAR_F64: return convert(e, C_FPEXT, x, scalar_llvm_type(e, SCALAR_F64));
    case SCALAR_F32: return convert(e, C_FPTRUNC, x, scalar_llvm_type(e, SCALAR_F32));
    case SCALAR_F16:
        if (wide && (is_vector(x) || e->level))
            x = f32_odd_from_f64(e, x);
        return convert(e, C_FPTRUNC, x, scalar_llvm_type(e, SCALAR_F16));
    case SCALAR_BF16: return bf16_from_f32(e, wide ? f32_odd_from_f64(e, x) : x);
    case SCALAR_E4M3: return small_float_from_f32(e, wide ? f32_odd_from_f64(e, x) : x, &e4m3);
    case SCALAR_E5M2: return small_float_from_f32(e, wide ? f32_odd_from_f64(e, x) : x, &e5m2);
    default: UNREACHABLE();
    }
}

// ----------------------------------------------------------- floats to integers

// The integer that one conversion instruction of a vector gives: half as wide as
// the float, as wide, or twice as wide, saturating by itself.
static LLVMValueRef convert_vector_to_int(emitter *e, LLVMValueRef x, unsigned bits, bool sign)
{
    static const char *const names[2][3] = {
        {"llvm.riscv.vfncvt.xu.f.w", "llvm.riscv.vfcvt.xu.f.v", "llvm.riscv.vfwcvt.xu.f.v"},
        {"llvm.riscv.vfncvt.x.f.w", "llvm.riscv.vfcvt.x.f.v", "llvm.riscv.vfwcvt.x.f.v"}};
    unsigned from = LLVMGetTypeKind(element_of(x)) == LLVMDoubleTypeKind ? 64 : 32;
    fits_registers(e, x);
    LLVMTypeRef to = like(x, int_type(e, bits));
    LLVMTypeRef overloads[] = {to, LLVMTypeOf(x), int_type(e, 64)};
    LLVMValueRef arguments[] = {LLVMGetPoison(to), x, int_constant(e, 64, ROUND_AS_FRM_SAYS),
                                vector_length(e)};
    unsigned which = bits < from ? 0 : bits == from ? 1 : 2;
    LLVMValueRef y = call_intrinsic(e, names[sign][which], 3, overloads, 4, arguments);
    LLVMValueRef ordered = compare_float(e, LLVMRealORD, x, x);
    return choose(e, ordered, y, bits_like(y, 0));
}

static LLVMValueRef clamp_int(emitter *e, LLVMValueRef x, bool x_signed, unsigned bits, bool sign)
{
    int64_t high = (int64_t)(UINT64_MAX >> (64 - (sign ? bits - 1 : bits)));
    if (!x_signed)
        return primitive2(e, P_UMIN, x, bits_like(x, high));
    x = primitive2(e, P_SMAX, x, bits_like(x, sign ? -high - 1 : 0));
    bool reaches = LLVMGetIntTypeWidth(element_of(x)) > bits; // otherwise nothing is too large
    return reaches ? primitive2(e, P_SMIN, x, bits_like(x, high)) : x;
}

static LLVMValueRef vector_float_to_int(emitter *e, LLVMValueRef x, scalar_type to)
{
    unsigned from = LLVMGetTypeKind(element_of(x)) == LLVMDoubleTypeKind ? 64 : 32;
    unsigned bits = value_bits(to);
    unsigned step = bits < from / 2 ? from / 2 : bits;
    LLVMValueRef y = convert_vector_to_int(e, x, step, is_signed(to));
    if (step > bits)
        y = clamp_int(e, y, is_signed(to), bits, is_signed(to));
    return convert(e, C_TRUNC, y, int_type(e, bits));
}

static LLVMValueRef scalar_float_to_int(emitter *e, LLVMValueRef x, scalar_type to)
{
    LLVMValueRef rounded = primitive1(e, P_RINT, x);
    LLVMTypeRef overloads[] = {like(x, int_type(e, value_bits(to))), LLVMTypeOf(x)};
    const char *name = is_signed(to) ? "llvm.fptosi.sat" : "llvm.fptoui.sat";
    return call_intrinsic(e, name, 2, overloads, 1, &rounded);
}

static LLVMValueRef float_to_int(emitter *e, LLVMValueRef x, scalar_type from, scalar_type to)
{
    x = widen_float(e, x, from);
    bool vector = is_vector(x) && !e->level;
    return vector ? vector_float_to_int(e, x, to) : scalar_float_to_int(e, x, to);
}

// ----------------------------------------------------------- integers to floats

// Integers of more than 53 bits with every bit below the 54 highest folded into
// one, so that passing through f64 does not round twice.
static LLVMValueRef sticky(emitter *e, LLVMValueRef x)
{
    enum { LOW = 10 };
    LLVMValueRef low = primitive2(e, P_AND, x, bits_like(x, (1 << LOW) - 1));
    LLVMValueRef any = compare_int(e, LLVMIntNE, low, bits_like(x, 0));
    LLVMValueRef high = primitive2(e, P_SUB, x, low);
    LLVMValueRef mark = primitive2(e, P_OR, high, bits_like(x, 1 << LOW));
    LLVMValueRef size = primitive2(e, P_SMAX, x, primitive2(e, P_SUB, bits_like(x, 0), x));
    LLVMValueRef large = compare_int(e, LLVMIntSGT, size, bits_like(x, INT64_C(1) << 53));
    LLVMValueRef both = primitive2(e, P_AND, any, large);
    return choose(e, both, mark, x);
}

static LLVMValueRef int_to_float(emitter *e, LLVMValueRef x, scalar_type from, scalar_type to)
{
    conversion c = is_signed(from) ? C_SITOFP : C_UITOFP;
    if (to == SCALAR_F32 || to == SCALAR_F64)
        return convert(e, c, x, scalar_llvm_type(e, to));
    bool exact = value_bits(from) <= 16; // in f32; 32 bits in f64
    if (from == SCALAR_I64)
        x = sticky(e, x);
    LLVMTypeRef step = scalar_llvm_type(e, exact ? SCALAR_F32 : SCALAR_F64);
    return narrow_float(e, convert(e, c, x, step), to);
}

// ------------------------------------------------------------ between integers

static LLVMValueRef int_to_int(emitter *e, LLVMValueRef x, scalar_type from, scalar_type to)
{
    unsigned bits = value_bits(to), had = value_bits(from);
    bool fits = is_signed(from) ? is_signed(to) && bits >= had
                                : bits > had || (bits == had && !is_signed(to));
    if (!fits)
        x = clamp_int(e, x, is_signed(from), bits, is_signed(to));
    if (bits < had)
        return convert(e, C_TRUNC, x, int_type(e, bits));
    return convert(e, is_signed(from) ? C_SEXT : C_ZEXT, x, int_type(e, bits));
}

LLVMValueRef cast_scalar_type(emitter *e, LLVMValueRef x, scalar_type from, scalar_type to)
{
    if (from == to)
        return x;
    if (scalar_is_float(from) && scalar_is_float(to))
        return narrow_float(e, widen_float(e, x, from), to);
    if (scalar_is_float(from))
        return float_to_int(e, x, from, to);
    if (scalar_is_float(to))
        return int_to_float(e, x, from, to);
    return int_to_int(e, x, from, to);
}
