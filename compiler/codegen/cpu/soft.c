// Float operations that the oldest CPUs lack, exact to the last bit.
#include "compiler/codegen/cpu/native.h"

#include <math.h>

// x + y = *sum + the result, exactly.
static LLVMValueRef two_sum(emitter *e, LLVMValueRef x, LLVMValueRef y, LLVMValueRef *sum)
{
    *sum = float_add(e, x, y);
    LLVMValueRef of_y = float_sub(e, *sum, x), of_x = float_sub(e, *sum, of_y);
    return float_add(e, float_sub(e, x, of_x), float_sub(e, y, of_y));
}

// x + y of f64 rounded to odd: rounding that again to fewer bits is as if there had been one
// rounding. An inexact sum with an even last bit becomes its neighbour on the exact one's side.
static LLVMValueRef odd_sum(emitter *e, LLVMValueRef x, LLVMValueRef y)
{
    LLVMValueRef sum, error = two_sum(e, x, y, &sum);
    LLVMValueRef bits = reinterpret(e, sum, int_type(e, 64)), one = bits_like(bits, 1);
    LLVMValueRef zero = constant_like(sum, 0);
    LLVMValueRef inexact = compare_float(e, LLVMRealONE, error, zero);
    LLVMValueRef even =
        compare_int(e, LLVMIntEQ, primitive2(e, P_AND, bits, one), bits_like(bits, 0));
    LLVMValueRef outwards = compare_float(
        e, LLVMRealOGT, float_mul(e, primitive2(e, P_COPYSIGN, constant_like(sum, 1), sum), error),
        zero);
    LLVMValueRef step = choose(e, outwards, one, bits_like(bits, -1));
    LLVMValueRef odd = primitive2(e, P_ADD, bits, step);
    LLVMValueRef wanted = primitive2(e, P_AND, inexact, even);
    return reinterpret(e, choose(e, wanted, odd, bits), element_of(sum));
}

// The upper 26 bits of an f64.
static LLVMValueRef upper_half(emitter *e, LLVMValueRef x)
{
    LLVMValueRef bits = reinterpret(e, x, int_type(e, 64));
    bits = primitive2(e, P_AND, bits, bits_like(bits, -(INT64_C(1) << 27)));
    return reinterpret(e, bits, element_of(x));
}

// What x * y rounded to `product` leaves.
static LLVMValueRef product_error(emitter *e, LLVMValueRef x, LLVMValueRef y, LLVMValueRef product)
{
    LLVMValueRef xh = upper_half(e, x), xl = float_sub(e, x, xh);
    LLVMValueRef yh = upper_half(e, y), yl = float_sub(e, y, yh);
    LLVMValueRef rest = float_sub(e, float_mul(e, xh, yh), product);
    rest = float_add(e, float_add(e, rest, float_mul(e, xh, yl)), float_mul(e, xl, yh));
    return float_add(e, rest, float_mul(e, xl, yl));
}

// Of f64: the sum of three parts, of which only the last addition rounds to nearest (Boldo and
// Melquiond). Products that leave the range of f64 are not met where it is used, in sin and cos.
static LLVMValueRef soft_fma64(emitter *e, LLVMValueRef x, LLVMValueRef y, LLVMValueRef z)
{
    LLVMValueRef product = float_mul(e, x, y), error = product_error(e, x, y, product);
    LLVMValueRef low, low_error = two_sum(e, z, error, &low);
    LLVMValueRef high, high_error = two_sum(e, product, low, &high);
    return float_add(e, high, odd_sum(e, low_error, high_error));
}

// The product of two f32 is exact in f64.
static LLVMValueRef build_fma(emitter *e, LLVMValueRef x, LLVMValueRef y, LLVMValueRef z)
{
    LLVMTypeRef f64 = LLVMDoubleTypeInContext(e->context), type = element_of(x);
    if (type == f64)
        return soft_fma64(e, x, y, z);
    LLVMValueRef product = float_mul(e, convert(e, C_FPEXT, x, f64), convert(e, C_FPEXT, y, f64));
    return convert(e, C_FPTRUNC, odd_sum(e, product, convert(e, C_FPEXT, z, f64)), type);
}

static void define_fma(emitter *e, LLVMValueRef f)
{
    LLVMBasicBlockRef here = LLVMGetInsertBlock(e->builder);
    LLVMValueRef function = e->llvm_function;
    e->llvm_function = f;
    LLVMSetCurrentDebugLocation2(e->builder, NULL);
    LLVMPositionBuilderAtEnd(e->builder, new_block(e, "entry"));
    LLVMBuildRet(e->builder,
                 build_fma(e, LLVMGetParam(f, 0), LLVMGetParam(f, 1), LLVMGetParam(f, 2)));
    e->llvm_function = function;
    LLVMPositionBuilderAtEnd(e->builder, here);
    debug_location(e, e->where);
}

// It takes some thirty instructions: a function, which is called.
LLVMValueRef fused_by_integers(emitter *e, LLVMValueRef x, LLVMValueRef y, LLVMValueRef z)
{
    LLVMTypeRef t = LLVMTypeOf(x), type = LLVMFunctionType(t, (LLVMTypeRef[]){t, t, t}, 3, false);
    bool wide = LLVMGetTypeKind(element_of(x)) == LLVMDoubleTypeKind;
    const char *name =
        arena_format(e->arena, "fma.%s.%u.%s", wide ? "f64" : "f32", lanes_of(x), e->level->name);
    LLVMValueRef f = LLVMGetNamedFunction(e->llvm, name);
    if (!f) {
        f = internal_function(e, name, type);
        define_fma(e, f);
    }
    return LLVMBuildCall2(e->builder, type, f, (LLVMValueRef[]){x, y, z}, 3, "");
}

// Adding 2^(mantissa bits) to a smaller number rounds it to an integer.
LLVMValueRef soft_rint(emitter *e, LLVMValueRef x)
{
    bool wide = LLVMGetTypeKind(element_of(x)) == LLVMDoubleTypeKind;
    LLVMValueRef magic = constant_like(x, wide ? 0x1p52 : 0x1p23);
    LLVMValueRef size = primitive1(e, P_FABS, x);
    LLVMValueRef rounded = float_sub(e, float_add(e, size, magic), magic);
    LLVMValueRef small = compare_float(e, LLVMRealOLT, size, magic);
    return choose(e, small, primitive2(e, P_COPYSIGN, rounded, x), x);
}

// Exponent and mantissa shifted into an f32's place are too small by 2^112, subnormals included.
LLVMValueRef soft_f32_from_f16(emitter *e, LLVMValueRef x)
{
    LLVMTypeRef f32 = LLVMFloatTypeInContext(e->context), i32 = int_type(e, 32);
    LLVMValueRef wide = convert(e, C_ZEXT, reinterpret(e, x, int_type(e, 16)), i32);
    LLVMValueRef low = primitive2(e, P_AND, wide, bits_like(wide, 0x7fff));
    LLVMValueRef sign = primitive2(e, P_SHL, primitive2(e, P_AND, wide, bits_like(wide, 0x8000)),
                                   bits_like(wide, 16));
    LLVMValueRef moved = primitive2(e, P_SHL, low, bits_like(low, 13));
    LLVMValueRef size = float_mul(e, reinterpret(e, moved, f32), LLVMConstReal(f32, 0x1p112));
    LLVMValueRef bits = reinterpret(e, size, i32);
    LLVMValueRef special = compare_int(e, LLVMIntSGE, low, bits_like(low, 0x7c00));
    bits = choose(e, special, primitive2(e, P_OR, moved, bits_like(moved, 0x7f800000)), bits);
    return reinterpret(e, primitive2(e, P_OR, bits, sign), f32);
}

// Normal results: rounded to nearest even at bit 13, the exponent moved by 112. Subnormal ones:
// 0.5 has the same last place, so that the addition rounds.
LLVMValueRef soft_f16_from_f32(emitter *e, LLVMValueRef x)
{
    LLVMTypeRef f32 = LLVMFloatTypeInContext(e->context), i32 = int_type(e, 32);
    LLVMValueRef bits = reinterpret(e, x, i32);
    LLVMValueRef size = primitive2(e, P_AND, bits, bits_like(bits, 0x7fffffff));
    LLVMValueRef odd =
        primitive2(e, P_AND, primitive2(e, P_LSHR, size, bits_like(size, 13)), bits_like(size, 1));
    LLVMValueRef up = primitive2(e, P_ADD, primitive2(e, P_ADD, size, bits_like(size, 0xfff)), odd);
    LLVMValueRef half = primitive2(e, P_SUB, primitive2(e, P_LSHR, up, bits_like(up, 13)),
                                   bits_like(up, 112 << 10));
    LLVMValueRef sum = float_add(e, reinterpret(e, size, f32), LLVMConstReal(f32, 0.5));
    LLVMValueRef small =
        primitive2(e, P_SUB, reinterpret(e, sum, i32), bits_like(bits, 0x3f000000));
    half = choose(e, compare_int(e, LLVMIntSLT, size, bits_like(size, 0x38800000)), small, half);
    half = primitive2(e, P_SMIN, half, bits_like(half, 0x7c00));
    LLVMValueRef nan = compare_int(e, LLVMIntSGT, size, bits_like(size, 0x7f800000));
    half = choose(e, nan, bits_like(half, 0x7e00), half);
    LLVMValueRef sign = primitive2(e, P_AND, primitive2(e, P_LSHR, bits, bits_like(bits, 16)),
                                   bits_like(bits, 0x8000));
    LLVMValueRef code = convert(e, C_TRUNC, primitive2(e, P_OR, half, sign), int_type(e, 16));
    return reinterpret(e, code, LLVMHalfTypeInContext(e->context));
}
