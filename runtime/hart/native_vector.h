// Native code for vector instructions, for whole groups of few chunks, in host vectors as wide as
// host and group are: of 16 or 32 bytes (AVX2, in VEX encoding), or up to 64 (AVX-512, in EVEX
// encoding). What comparisons find are vectors of ones there, and bits of mask registers here.
//
// Such code is made for one SEW and LMUL. It begins by comparing them with hart.full, which also
// says that vl is the longest and vstart is 0; what differs is left to the handler. So is, already
// when code is made, whatever is not surely legal: masks, misaligned groups, overlaps of different
// element widths.
#pragma once

#include "runtime/hart/native_x86.h"
#include "runtime/hart/vector.h"

typedef struct vector_row vector_row;
// False: nothing has been written.
typedef bool vector_form(translation *t, hart_op *op, const vector_row *row);

// The second operand.
typedef enum vector_source { SOURCE_NONE, SOURCE_V, SOURCE_X, SOURCE_I, SOURCE_F } vector_source;

struct vector_row {
    vector_form *write;
    uint8_t source;
    uint8_t option;   // of the form
    uint16_t code[4]; // host instruction by SEW; 0: none
};

// ---- native_vector_move.c, native_vector_integer.c, native_vector_float.c
vector_form hart_native_vector_configuration, hart_native_vector_unit_stride,
    hart_native_vector_strided, hart_native_vector_whole_transfer, hart_native_vector_whole_move,
    hart_native_vector_copies, hart_native_vector_first_to_integer,
    hart_native_vector_first_to_float, hart_native_vector_binary, hart_native_vector_shift,
    hart_native_vector_fused, hart_native_vector_widening, hart_native_vector_extension,
    hart_native_vector_compare, hart_native_vector_merge, hart_native_vector_gather,
    hart_native_vector_sum, hart_native_vector_product, hart_native_vector_multiply_add,
    hart_native_vector_extreme, hart_native_vector_float_compare, hart_native_vector_to_integer,
    hart_native_vector_from_integer, hart_native_vector_from_half, hart_native_vector_to_half,
    hart_native_vector_half_sum, hart_native_vector_sign, hart_native_vector_extreme_of_all;

// Their options.
enum { STORES = 8 }; // option of memory forms, beside the element's width or the registers
enum { TO_PRODUCT = 1, SUBTRACTED = 2 }; // options: d is a factor, and a added; the product is not
enum { SIGNED = 1, ACCUMULATES = 2 };    // options of what widens
enum { SWAPPED = 1, INVERTED = 2 };      // options of comparisons
enum { SIGN_PLAIN, SIGN_INVERTED, SIGN_XOR }; // options of sign injections

enum { MOST_CHUNKS = 16, MOST_RESULTS = 8 }; // of a group; that are computed before one is stored

// Host registers: of checks, and of a second operand that is one for all elements.
enum { CHECK = 8, NEXT = 9, SCALAR = 15 };
// Host mask registers: one has a bit for each element of its host vector behind vl, in code for any
// vl; the others are free.
enum { REST_MASK = 1, MASK = 5, OTHER_MASK = 6, THIRD_MASK = 7 };

// Host instructions: prefix, map, opcode; EVEX_W1 is W where the encoding is EVEX alone.
enum {
    P66 = 1 << 8,
    PF3 = 2 << 8,
    PF2 = 3 << 8,
    M0F = 1 << 10,
    M0F38 = 2 << 10,
    M0F3A = 3 << 10,
    W1 = 1 << 12,
    EVEX_W1 = 1 << 13,
};
#define UNDER(mask) ((mask) << 16) // only elements whose bit is set are written
#define INTEGER_OP(code) (P66 | M0F | (code))
#define INTEGER_OP38(code) (P66 | M0F38 | (code))
enum {
    LOAD = PF3 | M0F | 0x6f, // vmovdqu
    STORE = PF3 | M0F | 0x7f,
    MOVE_FROM_RAX = P66 | M0F | 0x6e, // vmovd
    VECTOR_AND = INTEGER_OP(0xdb),
    VECTOR_AND_NOT = INTEGER_OP(0xdf), // of the first operand's inverse
    VECTOR_OR = INTEGER_OP(0xeb),
    VECTOR_XOR = INTEGER_OP(0xef),
    COMPARE_EQUAL_32 = INTEGER_OP(0x76),
    COMPARE_FLOATS = M0F | 0xc2, // a predicate follows
    BLEND = P66 | M0F3A | 0x4c,  // by a register of ones and zeros
    MASK_AND = M0F | W1 | 0x41,
    MASK_AND_NOT = M0F | W1 | 0x42,
    MASK_NOT = M0F | W1 | 0x44,
    MASK_OR = M0F | W1 | 0x45,
    MASK_TEST = M0F | W1 | 0x98,
    MASK_FROM_RAX = PF2 | M0F | W1 | 0x92,
    MASK_SHIFT_RIGHT = P66 | M0F3A | W1 | 0x31,
};
// Predicates of COMPARE_FLOATS, and of comparisons of integers.
enum {
    IS_EQUAL,
    IS_LESS,
    IS_AT_MOST,
    IS_UNORDERED,
    IS_NOT_EQUAL,
    IS_NOT_LESS,
    IS_NOT_AT_MOST,
    IS_NOT_MORE = 10, // of floats alone
};

// Constants of 8 bytes, so often that any host vector can be one, in front of all code.
enum { CONSTANT_BYTES = 64 };
typedef enum native_constant {
    CONSTANT_ZERO,
    CONSTANT_FINITE,      // twice the largest finite f32
    CONSTANT_SMALLEST,    // twice the smallest f32 that needs no care
    CONSTANT_NORMAL,      // the former less the latter
    CONSTANT_LEAST,       // the smallest f32 that needs no care
    CONSTANT_INFINITE,    // f32
    CONSTANT_INCREMENT,   // of the exponent of f32
    CONSTANT_EXPONENT,    // of f32 that has become more than 3
    CONSTANT_MAGNITUDE,   // of f32: all bits but the sign
    CONSTANT_SHUFFLE_END, // indices beyond a table of 16 bytes get their upper bit by it
    CONSTANT_TABLE,       // 16 everywhere
    CONSTANT_BITS_8,      // one bit for each element
    CONSTANT_BITS_16,
    CONSTANT_BITS_32, // of the first four elements
    CONSTANT_BITS_32_WIDE,
    CONSTANT_SPREAD, // shuffles two bytes to eight times each
    CONSTANT_ONES,
    CONSTANT_LOWEST,     // integer of 32 bits
    CONSTANT_HALF_MOST,  // the largest f32 that is surely no infinite f16
    CONSTANT_HALF_LEAST, // the smallest that is a normal f16
    CONSTANT_COUNT
} native_constant;
extern const uint64_t hart_native_constants[CONSTANT_COUNT][CONSTANT_BYTES / 8];

// ------------------------------------------------------------------- encoding

static inline void vex(translation *t, unsigned code, unsigned reg, unsigned first, bool far_index,
                       unsigned rm, unsigned width)
{
    byte(t, 0xc4);
    byte(t, (reg < 8) << 7 | !far_index << 6 | (rm < 8) << 5 | (code >> 10 & 3));
    byte(t, (code >> 12 & 1) << 7 | (~first & 15) << 3 | width << 2 | (code >> 8 & 3));
    byte(t, code & 0xff);
}

static inline void evex(translation *t, unsigned code, unsigned reg, unsigned first, bool far_index,
                        unsigned rm, unsigned width)
{
    const unsigned w = code >> 12 & 3 ? 1 : 0;
    byte(t, 0x62);
    byte(t, (reg < 8) << 7 | !far_index << 6 | (rm < 8) << 5 | 1 << 4 | (code >> 10 & 3));
    byte(t, w << 7 | (~first & 15) << 3 | 1 << 2 | (code >> 8 & 3));
    byte(t, width << 5 | 1 << 3 | (code >> 16 & 7));
    byte(t, code & 0xff);
}

static inline void begin_vector(translation *t, unsigned code, unsigned reg, unsigned first,
                                bool far_index, unsigned rm)
{
    (t->n->avx512 ? evex : vex)(t, code, reg, first, far_index, rm, t->width);
}

// code reg, first, rm: registers xmm0 .. xmm15, or wider
static inline void on_registers(translation *t, unsigned code, unsigned reg, unsigned first,
                                unsigned rm)
{
    begin_vector(t, code, reg, first, false, rm);
    byte(t, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

// code reg, first, [rsi + offset]
static inline void on_memory(translation *t, unsigned code, unsigned reg, unsigned first,
                             int32_t offset)
{
    begin_vector(t, code, reg, first, false, 0);
    byte(t, 0x80 | (reg & 7) << 3 | RSI);
    word(t, (uint32_t)offset);
}

// The same of a host vector, whose distance is one byte where it is counted in host vectors.
static inline void on_whole_memory(translation *t, unsigned code, unsigned reg, unsigned first,
                                   int32_t offset)
{
    const int32_t bytes = VECTOR_CHUNK << t->width;
    if (!t->n->avx512 || offset % bytes != 0 || offset / bytes >= 128) {
        on_memory(t, code, reg, first, offset);
        return;
    }
    begin_vector(t, code, reg, first, false, 0);
    byte(t, 0x40 | (reg & 7) << 3 | RSI);
    byte(t, (unsigned)(offset / bytes));
}

static inline void refer_to_constant(translation *t, unsigned reg, native_constant constant,
                                     unsigned bytes_behind)
{
    byte(t, 5 | (reg & 7) << 3);
    word(t,
         t->n->constants + CONSTANT_BYTES * (uint32_t)constant - (t->n->used + 4 + bytes_behind));
}

// code reg, first, constant
static inline void on_constant(translation *t, unsigned code, unsigned reg, unsigned first,
                               native_constant constant)
{
    begin_vector(t, code, reg, first, false, 0);
    refer_to_constant(t, reg, constant, 0);
}

// The register, of a mask or a vector, gets those elements of f32.
static inline void compare_with_constant(translation *t, unsigned reg, unsigned first,
                                         native_constant constant, unsigned predicate)
{
    begin_vector(t, COMPARE_FLOATS, reg, first, false, 0);
    refer_to_constant(t, reg, constant, 1);
    byte(t, predicate);
}

// code reg, [rdx + r10 + offset]; the offset is that of a host vector among others
static inline void on_guest(translation *t, unsigned code, unsigned reg, uint32_t offset)
{
    const uint32_t distance = t->n->avx512 ? offset / (VECTOR_CHUNK << t->width) : offset;
    begin_vector(t, code, reg, 0, true, 0);
    byte(t, (distance < 128 ? 0x40 : 0x80) | (reg & 7) << 3 | 4);
    byte(t, (R10 & 7) << 3 | RDX);
    if (distance < 128)
        byte(t, distance);
    else
        word(t, offset);
}

// code reg, first, rm: mask registers, or a general one
static inline void on_masks(translation *t, unsigned code, unsigned reg, unsigned first,
                            unsigned rm)
{
    const bool of_three = code == MASK_AND || code == MASK_AND_NOT || code == MASK_OR;
    vex(t, code, reg, first, false, rm, of_three);
    byte(t, 0xc0 | reg << 3 | rm);
}

// Of byte `offset` of vector register r, from rsi.
static inline int32_t at_v(const translation *t, unsigned r, unsigned offset)
{
    const hart *h = t->n->hart;
    return (int32_t)(h->v - (const uint8_t *)h + (ptrdiff_t)r * h->vlenb + offset);
}

// ----------------------------------------------------------------- operands

static inline unsigned vector_sew(const translation *t)
{
    return t->shape >> 8 & 0xff;
}
static inline int vector_lmul(const translation *t)
{
    return (int8_t)(t->shape >> 16);
}

// Of a group.
static inline unsigned vector_bytes(const translation *t, int emul)
{
    const unsigned vlenb = t->n->hart->vlenb;
    return emul < 0 ? vlenb >> -emul : vlenb << emul;
}

static inline bool is_group(unsigned r, int emul)
{
    return emul >= -3 && emul <= 3 && (r & vector_alignment(emul)) == 0;
}

static inline bool are_apart(unsigned r, int emul_r, unsigned s, int emul_s)
{
    return r + vector_group(emul_r) <= s || s + vector_group(emul_s) <= r;
}

// Of a host vector.
static inline unsigned host_bytes(const translation *t)
{
    return VECTOR_CHUNK << t->width;
}

// Of the host vectors of a group, whatever is done with it: loads wait for narrower stores to leave
// for the cache.
static inline unsigned width_of(const translation *t, unsigned chunks)
{
    return chunks >= 4 && t->n->avx512 ? 2 : chunks >= 2; // chunks are powers of two
}

// Elements behind vl become those of vector register r: for code that does not compute all.
void hart_native_keep_rest(translation *t, unsigned reg, unsigned r, unsigned chunk);

// ---- held vectors
// Of a host vector of vector register r and those behind it.
static inline unsigned place_of(const translation *t, unsigned r, unsigned chunk)
{
    return r * t->n->hart->vlenb + host_bytes(t) * chunk;
}

// The host register that holds it; NO_REGISTER: none.
static inline unsigned held_vector(const translation *t, unsigned place)
{
    for (unsigned i = 0; i < MOST_HELD && t->vectors.width == t->width; i++)
        if (t->vectors.place[i] == place + 1)
            return i;
    return NO_REGISTER;
}

// Host registers for this many results: the first of them. Others than these, and those of held
// vectors, are free at any time.
unsigned hart_native_take_registers(translation *t, unsigned count);
// For what uses all host registers.
void hart_native_forget_vectors(translation *t);
// These bytes of the vector registers have been written.
void hart_native_forget_place(translation *t, unsigned place, unsigned bytes);

// code reg, first, host vector number `chunk` of vector register r and those behind it
static inline void on_vector(translation *t, unsigned code, unsigned reg, unsigned first,
                             unsigned r, unsigned chunk)
{
    const unsigned held = held_vector(t, place_of(t, r, chunk));
    if (held != NO_REGISTER)
        on_registers(t, code, reg, first, held);
    else
        on_whole_memory(t, code, reg, first, at_v(t, r, host_bytes(t) * chunk));
}

// reg = that host vector, and back.
static inline void load(translation *t, unsigned reg, unsigned r, unsigned chunk)
{
    on_vector(t, LOAD, reg, 0, r, chunk);
}

// A register that holds it: reg, unless there is one already.
static inline unsigned in_register(translation *t, unsigned reg, unsigned r, unsigned chunk)
{
    const unsigned held = held_vector(t, place_of(t, r, chunk));
    if (held != NO_REGISTER)
        return held;
    load(t, reg, r, chunk);
    return reg;
}

static inline void store(translation *t, unsigned reg, unsigned r, unsigned chunk)
{
    hart_native_keep_rest(t, reg, r, chunk);
    on_whole_memory(t, STORE, reg, 0, at_v(t, r, host_bytes(t) * chunk));
    hart_native_forget_place(t, place_of(t, r, chunk), host_bytes(t));
}

// The same, and the register, one of those that were taken, holds it.
static inline void store_held(translation *t, unsigned reg, unsigned r, unsigned chunk)
{
    store(t, reg, r, chunk);
    t->vectors.place[reg] = (uint16_t)(place_of(t, r, chunk) + 1);
}

// ---- native_vector.c
// Chunks of a group; 0: they are not for native code.
unsigned hart_native_chunks(const translation *t, int emul);
// The same, if the sources, of one width, are groups; and if the destination is one as well, and
// nothing masked.
unsigned hart_native_chunks_of_sources(const translation *t, const hart_op *op,
                                       const vector_row *row);
unsigned hart_native_chunks_of(const translation *t, const hart_op *op, const vector_row *row);
// SEW and LMUL are as expected, all elements are computed, or the handler is called.
void hart_native_require_shape(translation *t, hart_op *op);
// The same, but elements behind vl are left alone, if vl is less.
void hart_native_require_elements(translation *t, hart_op *op);
// Nearest-even, for all of the straight vector code: in front of checks that come back behind the
// instruction, and would pass this one by.
void hart_native_find_nearest_even(translation *t, hart_op *op);
// Guest memory = elements below vl of reg.
void hart_native_store_active(translation *t, const hart_op *op, unsigned reg, unsigned chunk);
// Host instructions that copy an element all over, by SEW.
extern const uint16_t hart_native_broadcasts[];
void hart_native_broadcast_rax(translation *t, unsigned reg, unsigned sew);
// The second operand goes to a host register if it is one for all elements.
void hart_native_broadcast(translation *t, hart_op *op, const vector_row *row);
// code reg, first, host vector number `chunk` of the second operand
void hart_native_with_second(translation *t, const hart_op *op, const vector_row *row,
                             unsigned code, unsigned reg, unsigned first, unsigned chunk);
// Ends code with wide host vectors, whose upper halves are left as they are.
void hart_native_end_wide(translation *t);

// ---- native_vector_mask.c
// A mask register has the bits of elements of host vector number `chunk` in vector register r, and
// back, where they are whole bytes; and elements behind vl keep their bits.
void hart_native_load_mask(translation *t, unsigned mask, unsigned r, unsigned chunk);
void hart_native_store_mask(translation *t, unsigned mask, unsigned r, unsigned chunk);
// Without AVX-512: chunks of comparisons (all ones, or zeros) in xmm0 and so on become the bits of
// vector register r, if there are as many as fit. Those of SEW 32, two or more, can be in host
// vectors of 32 bytes from `first` on.
bool hart_native_bits_fit(const translation *t, unsigned chunks);
void hart_native_store_bits(translation *t, unsigned r, unsigned chunks);
void hart_native_store_wide_bits(translation *t, unsigned r, unsigned first, unsigned vectors);

// ---- native_vector_check.c
// Host registers of results, which are not stored yet.
typedef struct results {
    unsigned first, count;
} results;

// What decides whether the host's results are those of softfloat. A host vector's elements that
// need care are collected in the register that this gives for it, one of masks where the host has
// any; those of host vector c are noted before the next one. If any are, the handler is called.
unsigned hart_native_care(translation *t, unsigned c);
void hart_native_note_care(translation *t, unsigned c);
void hart_native_require_no_care(translation *t, hart_op *op, unsigned count);
// Results of f32 are finite; and normal, unless underflow is raised already, or zero for a factor
// 0. Inexact is raised already.
void hart_native_require_range(translation *t, hart_op *op, results r, bool normal);
// hart_native_if_small of results of this row.
void hart_native_vector_if_small(translation *t, const exit_stub *e, const vector_row *row);
// f32 as f16: zero or normal, or may be less as underflow is raised already.
void hart_native_require_half_range(translation *t, hart_op *op, results r);
