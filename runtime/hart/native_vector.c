// Native code for vectors: which instructions, what is common to them, and constants.

#ifdef __x86_64__

#include "runtime/hart/native_vector.h"

#define SAME(value) {value, value, value, value, value, value, value, value}
#define TWICE(low, high) {low, high, low, high, low, high, low, high}
const uint64_t hart_native_constants[CONSTANT_COUNT][CONSTANT_BYTES / 8] = {
    [CONSTANT_ZERO] = SAME(0),
    [CONSTANT_FINITE] = SAME(0xfefffffefefffffe),
    [CONSTANT_SMALLEST] = SAME(0x0100000201000002),
    [CONSTANT_NORMAL] = SAME(0xfdfffffcfdfffffc),
    [CONSTANT_LEAST] = SAME(0x0080000100800001),
    [CONSTANT_INFINITE] = SAME(0x7f8000007f800000),
    [CONSTANT_INCREMENT] = SAME(0x0080000000800000),
    [CONSTANT_EXPONENT] = SAME(0x7e0000007e000000),
    [CONSTANT_MAGNITUDE] = SAME(0x7fffffff7fffffff),
    [CONSTANT_SHUFFLE_END] = SAME(0x7070707070707070),
    [CONSTANT_TABLE] = SAME(0x1010101010101010),
    [CONSTANT_BITS_8] = SAME(0x8040201008040201),
    [CONSTANT_BITS_16] = TWICE(0x0008000400020001, 0x0080004000200010),
    [CONSTANT_BITS_32] = TWICE(0x0000000200000001, 0x0000000800000004),
    [CONSTANT_BITS_32_WIDE] = {0x0000000200000001, 0x0000000800000004, 0x0000002000000010,
                               0x0000008000000040},
    [CONSTANT_SPREAD] = TWICE(0x0000000000000000, 0x0101010101010101),
    [CONSTANT_ONES] = SAME(0xffffffffffffffff),
    [CONSTANT_LOWEST] = SAME(0x8000000080000000),
    [CONSTANT_HALF_MOST] = SAME(0x477fe000477fe000),
    [CONSTANT_HALF_LEAST] = SAME(0x3880000038800000),
};

// -------------------------------------------------------------- what is common

unsigned hart_native_chunks(const translation *t, int emul)
{
    const unsigned bytes = t->shape == 1 ? 0 : vector_bytes(t, emul);
    return bytes % VECTOR_CHUNK == 0 && bytes <= MOST_CHUNKS * VECTOR_CHUNK ? bytes / VECTOR_CHUNK
                                                                            : 0;
}

unsigned hart_native_chunks_of_sources(const translation *t, const hart_op *op,
                                       const vector_row *row)
{
    const int lmul = vector_lmul(t);
    const bool are_groups =
        is_group(op->rs2, lmul) && (row->source != SOURCE_V || is_group(op->rs1, lmul));
    return are_groups ? hart_native_chunks(t, lmul) : 0;
}

unsigned hart_native_chunks_of(const translation *t, const hart_op *op, const vector_row *row)
{
    const bool usual = op->in->vm && is_group(op->rd, vector_lmul(t));
    return usual ? hart_native_chunks_of_sources(t, op, row) : 0;
}

// Notes what the check that was just written finds out.
static void note_known(translation *t, unsigned fact)
{
    t->exits[t->exit_count - 1].kind = EXIT_STEP;
    t->known |= (uint8_t)fact;
}

void hart_native_find_nearest_even(translation *t, hart_op *op)
{
    if (t->known & KNOWN_NEAREST_EVEN)
        return;
    hart_native_require_nearest_even(t, op);
    note_known(t, KNOWN_NEAREST_EVEN);
}

static void find_box(translation *t, hart_op *op, unsigned r)
{
    if (t->boxed >> r & 1)
        return;
    hart_native_require_box(t, op, r);
    note_known(t, 0);
    t->boxed |= 1u << r;
}

void hart_native_require_shape(translation *t, hart_op *op)
{
    if (!t->partial && t->known & KNOWN_ELEMENTS)
        return;
    with_memory(t, NARROW, 0x81, 7, RSI, offsetof(hart, full)); // compare
    word(t, t->shape);
    hart_native_exit_if(t, NOT_EQUAL, op, EXIT_HANDLER);
}

// ---------------------------------------------------------------- held vectors

void hart_native_forget_vectors(translation *t)
{
    memset(t->vectors.place, 0, sizeof t->vectors.place);
}

void hart_native_forget_place(translation *t, unsigned place, unsigned bytes)
{
    const unsigned held_bytes = VECTOR_CHUNK << t->vectors.width;
    for (unsigned i = 0; i < MOST_HELD; i++) {
        const unsigned held = t->vectors.place[i] - 1u;
        if (held < place + bytes && place < held + held_bytes)
            t->vectors.place[i] = 0;
    }
}

unsigned hart_native_take_registers(translation *t, unsigned count)
{
    held_vectors *v = &t->vectors;
    if (v->width != t->width)
        hart_native_forget_vectors(t);
    const unsigned first = v->next + count <= MOST_HELD ? v->next : 0;
    memset(v->place + first, 0, count * sizeof *v->place);
    v->next = (uint8_t)((first + count) % MOST_HELD);
    v->width = t->width;
    return first;
}

void hart_native_leave_vectors(translation *t)
{
    hart_native_forget_vectors(t);
    if (t->vectors.dirty)
        byte(t, 0xc5), byte(t, 0xf8), byte(t, 0x77); // vzeroupper
    t->vectors.dirty = false;
}

void hart_native_hold_again(translation *t, const held_vectors *wanted)
{
    t->width = wanted->width;
    for (unsigned i = 0; i < MOST_HELD; i++)
        if (wanted->place[i] &&
            (t->vectors.place[i] != wanted->place[i] || t->vectors.width != wanted->width))
            on_memory(t, LOAD, i, 0, at_v(t, 0, wanted->place[i] - 1u));
    t->width = 0;
    t->vectors = *wanted;
}

void hart_native_end_wide(translation *t)
{
    t->vectors.dirty |= t->width > 0;
    t->width = 0;
}

// --------------------------------------------------------------- elements behind vl

enum { MASK_BITS = 64 };

static bool can_be_partial(const translation *t)
{
    return t->n->avx512 && vector_bytes(t, vector_lmul(t)) >> vector_sew(t) <= MASK_BITS;
}

// The first mask is ones from bit vl on.
void hart_native_write_masks(translation *t)
{
    const unsigned chunks = hart_native_chunks(t, vector_lmul(t)), width = width_of(t, chunks);
    with_memory(t, WIDE, 0x8b, RCX, RSI, offsetof(hart, vl));
    constant_to_rax(t, -1);
    with_register(t, WIDE, 0xd3, 4, RAX); // shift by cl
    on_masks(t, MASK_FROM_RAX, REST_MASK, 0, RAX);
    for (unsigned c = 1; c < chunks >> width; c++) {
        on_masks(t, MASK_SHIFT_RIGHT, REST_MASK + c, 0, REST_MASK);
        byte(t, c * (VECTOR_CHUNK << width >> vector_sew(t)));
    }
}

void hart_native_require_elements(translation *t, hart_op *op)
{
    if (!(t->known & KNOWN_ELEMENTS)) {
        with_memory(t, NARROW, 0x81, 7, RSI, offsetof(hart, full)); // compare
        word(t, t->partial ? t->shape | HART_SHORT : t->shape);
        const bool otherwise = !t->partial && can_be_partial(t);
        hart_native_exit_if(t, NOT_EQUAL, op, otherwise ? EXIT_LENGTH : EXIT_STEP);
        t->known |= KNOWN_ELEMENTS;
    }
    if (t->partial && !(t->known & KNOWN_MASKS)) {
        hart_native_write_masks(t);
        t->known |= KNOWN_MASKS;
    }
}

// Moves of elements under a mask, by SEW.
static const uint16_t moves[] = {PF2 | M0F, PF2 | M0F | EVEX_W1, PF3 | M0F, PF3 | M0F | EVEX_W1};

void hart_native_keep_rest(translation *t, unsigned reg, unsigned r, unsigned chunk)
{
    if (t->partial)
        on_whole_memory(t, moves[vector_sew(t)] | 0x6f | UNDER(REST_MASK + chunk), reg, 0,
                        at_v(t, r, host_bytes(t) * chunk));
}

void hart_native_store_active(translation *t, const hart_op *op, unsigned reg, unsigned chunk)
{
    on_masks(t, MASK_NOT, MASK, 0, REST_MASK + chunk);
    hart_native_site(t, op);
    on_guest(t, moves[vector_sew(t)] | 0x7f | UNDER(MASK), reg, host_bytes(t) * chunk);
}

const uint16_t hart_native_broadcasts[] = {INTEGER_OP38(0x78), INTEGER_OP38(0x79),
                                           INTEGER_OP38(0x58), INTEGER_OP38(0x59) | EVEX_W1};

void hart_native_broadcast_rax(translation *t, unsigned reg, unsigned sew)
{
    const uint8_t width = t->width;
    t->width = 0;
    on_registers(t, MOVE_FROM_RAX | W1, reg, 0, RAX);
    t->width = width;
    on_registers(t, hart_native_broadcasts[sew], reg, 0, reg);
}

void hart_native_broadcast(translation *t, hart_op *op, const vector_row *row)
{
    const unsigned sew = vector_sew(t);
    switch (row->source) {
    case SOURCE_X: on_memory(t, hart_native_broadcasts[sew], SCALAR, 0, at_x(op->rs1)); return;
    case SOURCE_F:
        find_box(t, op, op->rs1);
        on_memory(t, hart_native_broadcasts[sew], SCALAR, 0, at_f(op->rs1));
        return;
    case SOURCE_I:
        constant_to_rax(t, op->in->imm);
        hart_native_broadcast_rax(t, SCALAR, sew);
        return;
    default: return;
    }
}

void hart_native_with_second(translation *t, const hart_op *op, const vector_row *row,
                             unsigned code, unsigned reg, unsigned first, unsigned chunk)
{
    if (row->source == SOURCE_V)
        on_vector(t, code, reg, first, op->rs1, chunk);
    else
        on_registers(t, code, reg, first, SCALAR);
}

// ------------------------------------------------------------------------ rows

#define OP(code) INTEGER_OP(code)
#define OP38(code) INTEGER_OP38(code)
// Codes by SEW.
#define SUMS {OP(0xfc), OP(0xfd), OP(0xfe), OP(0xd4) | EVEX_W1}
#define DIFFERENCES {OP(0xf8), OP(0xf9), OP(0xfa), OP(0xfb) | EVEX_W1}
#define PRODUCTS {0, OP(0xd5), OP38(0x40), 0}
#define WIDE_SUMS {OP(0xfd), OP(0xfe), OP(0xd4) | EVEX_W1, 0}
#define WIDE_DIFFERENCES {OP(0xf9), OP(0xfa), OP(0xfb) | EVEX_W1, 0}
#define WIDE_PRODUCTS {OP(0xd5), OP38(0x40), 0, 0}
#define EQUALS {OP(0x74), OP(0x75), OP(0x76), 0}
#define GREATERS {OP(0x64), OP(0x65), OP(0x66), 0}
#define BITS(code) {OP(code), OP(code), OP(code), OP(code)}
#define F32(code) {0, 0, code, 0}

//   instruction, form, second operand, option, codes
#define ROW(E, form, source, option, ...)                                                          \
    [ISA_##E] = {hart_native_vector_##form, SOURCE_##source, option, __VA_ARGS__}
#define PLAIN(E, form, source, option) ROW(E, form, source, option, {0})
#define ROWS_VX(E, form, ...) ROW(E##_VV, form, V, __VA_ARGS__), ROW(E##_VX, form, X, __VA_ARGS__)
#define ROWS_XI(E, form, ...) ROW(E##_VX, form, X, __VA_ARGS__), ROW(E##_VI, form, I, __VA_ARGS__)
#define ROWS_VXI(E, form, ...) ROWS_VX(E, form, __VA_ARGS__), ROW(E##_VI, form, I, __VA_ARGS__)
#define ROWS_VF(E, form, ...) ROW(E##_VV, form, V, __VA_ARGS__), ROW(E##_VF, form, F, __VA_ARGS__)
#define ROWS_MEMORY(E, option)                                                                     \
    PLAIN(E##8_V, unit_stride, NONE, (option) | 0),                                                \
        PLAIN(E##16_V, unit_stride, NONE, (option) | 1),                                           \
        PLAIN(E##32_V, unit_stride, NONE, (option) | 2),                                           \
        PLAIN(E##64_V, unit_stride, NONE, (option) | 3)
#define ROWS_WHOLE(count)                                                                          \
    PLAIN(VL##count##RE8_V, whole_transfer, NONE, count),                                          \
        PLAIN(VL##count##RE16_V, whole_transfer, NONE, count),                                     \
        PLAIN(VL##count##RE32_V, whole_transfer, NONE, count),                                     \
        PLAIN(VL##count##RE64_V, whole_transfer, NONE, count),                                     \
        PLAIN(VS##count##R_V, whole_transfer, NONE, STORES | count),                               \
        PLAIN(VMV##count##R_V, whole_move, NONE, count)

static const vector_row rows[ISA_OPCODE_COUNT] = {
    PLAIN(VSETVLI, configuration, NONE, 0),
    PLAIN(VSETIVLI, configuration, NONE, 0),
    ROWS_MEMORY(VLE, 0),
    ROWS_MEMORY(VSE, STORES),
    PLAIN(VLSE32_V, strided, NONE, 0),
    ROWS_WHOLE(1),
    ROWS_WHOLE(2),
    ROWS_WHOLE(4),
    PLAIN(VMV_V_V, copies, V, 0),
    PLAIN(VMV_V_X, copies, X, 0),
    PLAIN(VMV_V_I, copies, I, 0),
    PLAIN(VFMV_V_F, copies, F, 0),
    PLAIN(VMV_X_S, first_to_integer, NONE, 0),
    PLAIN(VFMV_F_S, first_to_float, NONE, 0),

    ROWS_VXI(VADD, binary, 0, SUMS),
    ROWS_VX(VSUB, binary, 0, DIFFERENCES),
    ROWS_XI(VRSUB, binary, 1, DIFFERENCES),
    ROWS_VXI(VAND, binary, 0, BITS(0xdb)),
    ROWS_VXI(VOR, binary, 0, BITS(0xeb)),
    ROWS_VXI(VXOR, binary, 0, BITS(0xef)),
    ROWS_VX(VMINU, binary, 0, {OP(0xda), OP38(0x3a), OP38(0x3b), 0}),
    ROWS_VX(VMIN, binary, 0, {OP38(0x38), OP(0xea), OP38(0x39), 0}),
    ROWS_VX(VMAXU, binary, 0, {OP(0xde), OP38(0x3e), OP38(0x3f), 0}),
    ROWS_VX(VMAX, binary, 0, {OP38(0x3c), OP(0xee), OP38(0x3d), 0}),
    ROWS_VX(VMUL, binary, 0, PRODUCTS),
    ROWS_XI(VSLL, shift, 0, {OP(0xf1), OP(0xf1), OP(0xf2), OP(0xf3) | EVEX_W1}),
    ROWS_XI(VSRL, shift, 1, {OP(0xd1), OP(0xd1), OP(0xd2), OP(0xd3) | EVEX_W1}),
    ROWS_XI(VSRA, shift, 0, {0, OP(0xe1), OP(0xe2), 0}),
    ROWS_VX(VMACC, fused, 0, PRODUCTS),
    ROWS_VX(VNMSAC, fused, SUBTRACTED, PRODUCTS),
    ROWS_VX(VMADD, fused, TO_PRODUCT, PRODUCTS),
    ROWS_VX(VNMSUB, fused, TO_PRODUCT | SUBTRACTED, PRODUCTS),
    ROW(VWADDU_VV, widening, V, 0, WIDE_SUMS),
    ROW(VWADD_VV, widening, V, SIGNED, WIDE_SUMS),
    ROW(VWSUBU_VV, widening, V, 0, WIDE_DIFFERENCES),
    ROW(VWSUB_VV, widening, V, SIGNED, WIDE_DIFFERENCES),
    ROW(VWMULU_VV, widening, V, 0, WIDE_PRODUCTS),
    ROW(VWMUL_VV, widening, V, SIGNED, WIDE_PRODUCTS),
    ROW(VWMACCU_VV, widening, V, ACCUMULATES, WIDE_PRODUCTS),
    ROW(VWMACC_VV, widening, V, SIGNED | ACCUMULATES, WIDE_PRODUCTS),
    ROW(VZEXT_VF2, extension, NONE, 1, {0, OP38(0x30), OP38(0x33), OP38(0x35)}),
    ROW(VZEXT_VF4, extension, NONE, 2, {0, 0, OP38(0x31), OP38(0x34)}),
    ROW(VZEXT_VF8, extension, NONE, 3, {0, 0, 0, OP38(0x32)}),
    ROW(VSEXT_VF2, extension, NONE, 1, {0, OP38(0x20), OP38(0x23), OP38(0x25)}),
    ROW(VSEXT_VF4, extension, NONE, 2, {0, 0, OP38(0x21), OP38(0x24)}),
    ROW(VSEXT_VF8, extension, NONE, 3, {0, 0, 0, OP38(0x22)}),
    ROWS_VXI(VMSEQ, compare, 0, EQUALS),
    ROWS_VXI(VMSNE, compare, INVERTED, EQUALS),
    ROWS_VX(VMSLT, compare, SWAPPED, GREATERS),
    ROWS_VXI(VMSLE, compare, INVERTED, GREATERS),
    ROWS_XI(VMSGT, compare, 0, GREATERS),
    PLAIN(VMERGE_VVM, merge, V, 0),
    PLAIN(VMERGE_VXM, merge, X, 0),
    PLAIN(VMERGE_VIM, merge, I, 0),
    PLAIN(VFMERGE_VFM, merge, F, 0),
    PLAIN(VRGATHER_VV, gather, V, 0),

    ROWS_VF(VFADD, sum, 0, F32(M0F | 0x58)),
    ROWS_VF(VFSUB, sum, 0, F32(M0F | 0x5c)),
    ROW(VFRSUB_VF, sum, F, 1, F32(M0F | 0x5c)),
    ROWS_VF(VFMUL, product, 0, F32(M0F | 0x59)),
    ROWS_VF(VFDIV, product, 0, F32(M0F | 0x5e)),
    ROW(VFRDIV_VF, product, F, 1, F32(M0F | 0x5e)),
    ROW(VFSQRT_V, product, NONE, 0, F32(M0F | 0x51)),
    ROWS_VF(VFMIN, extreme, 0, F32(M0F | 0x5d)),
    ROWS_VF(VFMAX, extreme, 0, F32(M0F | 0x5f)),
    ROW(VFREDMIN_VS, extreme_of_all, V, 0, F32(OP38(0x39))),
    ROW(VFREDMAX_VS, extreme_of_all, V, 0, F32(OP38(0x3d))),
    ROWS_VF(VFMACC, multiply_add, 0, F32(OP38(0xb8))),
    ROWS_VF(VFMSAC, multiply_add, 0, F32(OP38(0xba))),
    ROWS_VF(VFNMSAC, multiply_add, 0, F32(OP38(0xbc))),
    ROWS_VF(VFNMACC, multiply_add, 0, F32(OP38(0xbe))),
    ROWS_VF(VFMADD, multiply_add, 1, F32(OP38(0xa8))),
    ROWS_VF(VFMSUB, multiply_add, 1, F32(OP38(0xaa))),
    ROWS_VF(VFNMSUB, multiply_add, 1, F32(OP38(0xac))),
    ROWS_VF(VFNMADD, multiply_add, 1, F32(OP38(0xae))),
    ROW(VFWCVT_F_F_V, from_half, NONE, 0, {0, OP38(0x13), 0, 0}),
    ROW(VFNCVT_F_F_W, to_half, NONE, 0, {0, P66 | M0F3A | 0x1d, 0, 0}),
    ROW(VFWADD_WV, half_sum, V, 0, {0, M0F | 0x58, 0, 0}),
    ROW(VFWSUB_WV, half_sum, V, 0, {0, M0F | 0x5c, 0, 0}),
    ROWS_VF(VFSGNJ, sign, SIGN_PLAIN, F32(OP(0xdb))),
    ROWS_VF(VFSGNJN, sign, SIGN_INVERTED, F32(OP(0xdf))),
    ROWS_VF(VFSGNJX, sign, SIGN_XOR, F32(OP(0xdb))),
    ROW(VFCVT_F_X_V, from_integer, NONE, 0, F32(M0F | 0x5b)),
    ROW(VFCVT_X_F_V, to_integer, NONE, 0, F32(P66 | M0F | 0x5b)),
    ROW(VFCVT_RTZ_X_F_V, to_integer, NONE, 0, F32(PF3 | M0F | 0x5b)),
    ROWS_VF(VMFEQ, float_compare, 0, F32(M0F | 0xc2)),
    ROWS_VF(VMFLT, float_compare, 1, F32(M0F | 0xc2)),
    ROWS_VF(VMFLE, float_compare, 2, F32(M0F | 0xc2)),
    ROWS_VF(VMFNE, float_compare, 4, F32(M0F | 0xc2)),
    ROW(VMFGE_VF, float_compare, F, 13, F32(M0F | 0xc2)),
    ROW(VMFGT_VF, float_compare, F, 14, F32(M0F | 0xc2)),
};

bool hart_native_is_vector(unsigned opcode)
{
    return rows[opcode].write != NULL;
}

void hart_native_if_small(translation *t, const exit_stub *e)
{
    t->shape = e->shape;
    t->partial = e->masked;
    hart_native_vector_if_small(t, e, &rows[e->op->in->opcode]);
    t->partial = false;
}

bool hart_native_write_vector(translation *t, hart_op *op)
{
    if (op->in->opcode == ISA_VSETVL)
        t->shape = 1;
    const vector_row *row = &rows[op->in->opcode];
    return row->write && __builtin_cpu_supports("avx2") && row->write(t, op, row);
}

#endif
