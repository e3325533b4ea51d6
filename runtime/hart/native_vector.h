// Native code for vector instructions: host vectors of 16 bytes (AVX2), chunk after chunk as
// kernels do it, for whole groups of few chunks; floats in vectors of 32 where groups have as many.
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

// hart_native_if_zeros of results of this row.
void hart_native_vector_if_zeros(translation *t, const exit_stub *e, const vector_row *row);

// Their options.
enum { STORES = 8 }; // option of memory forms, beside the element's width or the registers
enum { TO_PRODUCT = 1, SUBTRACTED = 2 }; // options: d is a factor, and a added; the product is not
enum { SIGNED = 1, ACCUMULATES = 2 };    // options of what widens
enum { SWAPPED = 1, INVERTED = 2 };      // options of comparisons
enum { SIGN_PLAIN, SIGN_INVERTED, SIGN_XOR }; // options of sign injections

enum { MOST_CHUNKS = 16, MOST_RESULTS = 8 }; // of a group; that are computed before one is stored
enum { SCALAR = 15 }; // host register of a second operand that is one for all elements

// Host instructions in VEX encoding: prefix, map, opcode.
enum {
    P66 = 1 << 8,
    PF3 = 2 << 8,
    PF2 = 3 << 8,
    M0F = 1 << 10,
    M0F38 = 2 << 10,
    M0F3A = 3 << 10,
    W1 = 1 << 12,
};
#define INTEGER_OP(code) (P66 | M0F | (code))
#define INTEGER_OP38(code) (P66 | M0F38 | (code))
enum {
    LOAD = PF3 | M0F | 0x6f, // vmovdqu
    STORE = PF3 | M0F | 0x7f,
    MOVE_FROM_RAX = P66 | M0F | 0x6e, // vmovd
    VECTOR_AND = INTEGER_OP(0xdb),
    VECTOR_OR = INTEGER_OP(0xeb),
    VECTOR_XOR = INTEGER_OP(0xef),
    COMPARE_EQUAL_32 = INTEGER_OP(0x76),
};

// Constants of 16 bytes, twice, in front of all code.
typedef enum native_constant {
    CONSTANT_FINITE,      // twice the largest finite f32
    CONSTANT_SMALLEST,    // twice the smallest f32 that needs no care
    CONSTANT_NORMAL,      // the former less the latter
    CONSTANT_SHUFFLE_END, // indices beyond a table of 16 bytes get their upper bit by it
    CONSTANT_TABLE,       // 16 everywhere
    CONSTANT_BITS_8,      // one bit for each element
    CONSTANT_BITS_16,
    CONSTANT_BITS_32, // of the first four elements
    CONSTANT_BITS_32_WIDE,
    CONSTANT_SPREAD, // shuffles two bytes to eight times each
    CONSTANT_ONES,
    CONSTANT_TWOS,
    CONSTANT_LOWEST,     // integer of 32 bits
    CONSTANT_HALF_MOST,  // twice the largest f32 that is surely no infinite f16
    CONSTANT_HALF_LEAST, // twice the smallest that is a normal f16, less 1
    CONSTANT_ORDINARY,   // twice an f32 that is neither
    CONSTANT_INFINITE,   // twice the infinite f32
    CONSTANT_COUNT
} native_constant;
extern const uint64_t hart_native_constants[CONSTANT_COUNT][4];

// ------------------------------------------------------------------- encoding

static inline void vex(translation *t, unsigned code, unsigned reg, unsigned first, bool far_index,
                       unsigned rm)
{
    byte(t, 0xc4);
    byte(t, (reg < 8) << 7 | !far_index << 6 | (rm < 8) << 5 | (code >> 10 & 3));
    byte(t, (code >> 12 & 1) << 7 | (~first & 15) << 3 | t->wide << 2 | (code >> 8 & 3));
    byte(t, code & 0xff);
}

// code reg, first, rm: registers xmm0 .. xmm15
static inline void on_registers(translation *t, unsigned code, unsigned reg, unsigned first,
                                unsigned rm)
{
    vex(t, code, reg, first, false, rm);
    byte(t, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

// code reg, first, [rsi + offset]
static inline void on_memory(translation *t, unsigned code, unsigned reg, unsigned first,
                             int32_t offset)
{
    vex(t, code, reg, first, false, 0);
    byte(t, 0x80 | (reg & 7) << 3 | RSI);
    word(t, (uint32_t)offset);
}

// code reg, first, constant
static inline void on_constant(translation *t, unsigned code, unsigned reg, unsigned first,
                               native_constant constant)
{
    vex(t, code, reg, first, false, 0);
    byte(t, 5 | (reg & 7) << 3);
    word(t, t->n->constants + 32 * (uint32_t)constant - (t->n->used + 4));
}

// code reg, [rdx + r10 + offset]
static inline void on_guest(translation *t, unsigned code, unsigned reg, uint32_t offset)
{
    vex(t, code, reg, 0, true, 0);
    byte(t, (offset < 128 ? 0x40 : 0x80) | (reg & 7) << 3 | 4);
    byte(t, (R10 & 7) << 3 | RDX);
    if (offset < 128)
        byte(t, offset);
    else
        word(t, offset);
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
    return VECTOR_CHUNK << t->wide;
}

// Elements behind vl become those of vector register r: for code that does not compute all.
void hart_native_keep_rest(translation *t, unsigned reg, unsigned r, unsigned chunk);

// Elements behind vl become those of the constant, likewise: no check minds them.
void hart_native_ignore_rest(translation *t, unsigned reg, unsigned chunk,
                             native_constant constant);

// ---- held vectors
// Of a host vector of vector register r and those behind it.
static inline unsigned place_of(const translation *t, unsigned r, unsigned chunk)
{
    return r * t->n->hart->vlenb + host_bytes(t) * chunk;
}

// The host register that holds it; NO_REGISTER: none.
static inline unsigned held_vector(const translation *t, unsigned place)
{
    for (unsigned i = 0; i < MOST_HELD && t->vectors.wide == t->wide; i++)
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
        on_memory(t, code, reg, first, at_v(t, r, host_bytes(t) * chunk));
}

// xmm[reg] or ymm[reg] = that host vector, and back.
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
    on_memory(t, STORE, reg, 0, at_v(t, r, host_bytes(t) * chunk));
    hart_native_forget_place(t, place_of(t, r, chunk), host_bytes(t));
}

// The same, and the register, one of those that were taken, holds it.
static inline void store_held(translation *t, unsigned reg, unsigned r, unsigned chunk)
{
    store(t, reg, r, chunk);
    t->vectors.place[reg] = (uint16_t)(place_of(t, r, chunk) + 1);
}

// Groups of several chunks are host vectors of 32 bytes, whatever is done with them: loads of 32
// bytes wait for stores of 16 to leave for the cache.
static inline bool is_wide(unsigned chunks)
{
    return chunks > 1; // they are powers of two
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
// Nearest-even, for all of the straight vector code.
void hart_native_find_nearest_even(translation *t, hart_op *op);
// k[to] has a bit for each element of host vector number `chunk`: 0 below vl, or 1 below vl.
unsigned hart_native_rest_mask(translation *t, unsigned chunk);
unsigned hart_native_active_mask(translation *t, unsigned chunk);
// Guest memory = elements below vl of reg.
void hart_native_store_active(translation *t, unsigned reg, unsigned chunk);
// Host instructions that copy an element all over, by SEW.
extern const uint16_t hart_native_broadcasts[];
void hart_native_broadcast_rax(translation *t, unsigned reg, unsigned sew);
// The second operand goes to a host register if it is one for all elements.
void hart_native_broadcast(translation *t, hart_op *op, const vector_row *row);
// code reg, first, host vector number `chunk` of the second operand
void hart_native_with_second(translation *t, const hart_op *op, const vector_row *row,
                             unsigned code, unsigned reg, unsigned first, unsigned chunk);
// Chunks of comparisons (all ones, or zeros) in xmm0 and so on become the bits of mask register r,
// if there are as many as fit. Those of SEW 32, two or more, can be in wide host vectors from
// `first` on.
bool hart_native_mask_fits(const translation *t, unsigned chunks);
void hart_native_store_mask(translation *t, unsigned r, unsigned chunks);
void hart_native_store_wide_mask(translation *t, unsigned r, unsigned first, unsigned vectors);
// Ends code with wide host vectors, whose upper halves are left as they are.
void hart_native_end_wide(translation *t);
