// What the vector files share: register groups, legality, operands, kernels, masks.
//
// Most instructions are a kernel: a loop over whole chunks of 16 bytes that the compiler turns into
// host vectors. A chunk is read before it is written and chunks go in ascending order, so whatever
// overlap the specification allows, the result can be computed where it belongs. Only where a mask
// or vstart leaves elements alone does it go to a buffer, and `vector_commit` puts the active
// elements in place.
#pragma once

#include "runtime/hart/internal.h"
#include "support/clones.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "register groups are read in place");

enum { VECTOR_BYTES = HART_MAX_VLEN }; // the largest group: 8 registers of HART_MAX_VLEN bits

// Room for a register group, or for one byte per element.
typedef struct vector_buffer {
    _Alignas(64) uint8_t bytes[VECTOR_BYTES];
} vector_buffer;

static inline uint8_t *vector_register(const hart *h, unsigned r)
{
    return h->v + (size_t)r * h->vlenb;
}

// memcpy for what are mostly a few whole registers: without a call.
static inline void vector_move(void *to, const void *from, size_t bytes)
{
    if (bytes % 16 != 0 || bytes > 256) {
        memcpy(to, from, bytes);
        return;
    }
    for (size_t i = 0; i < bytes; i += 16) {
        memcpy((uint8_t *)to + i, (const uint8_t *)from + i, 16);
        __asm__ volatile(""); // or else gcc makes it a call again
    }
}

static inline bool vector_mask_bit(const uint8_t *mask, uint64_t i)
{
    return mask[i >> 3] >> (i & 7) & 1;
}

static inline bool vector_active(const hart *h, const isa_instruction *in, uint64_t i)
{
    return in->vm || vector_mask_bit(h->v, i);
}

// Element i of 2^sew bytes, zero-extended.
static inline uint64_t vector_load_element(const void *from, unsigned sew, uint64_t i)
{
    uint64_t value = 0;
    memcpy(&value, (const uint8_t *)from + (i << sew), (size_t)1 << sew);
    return value;
}
static inline void vector_store_element(void *to, unsigned sew, uint64_t i, uint64_t value)
{
    memcpy((uint8_t *)to + (i << sew), &value, (size_t)1 << sew);
}

// Registers of a group; fractional groups take one.
static inline unsigned vector_group(int emul)
{
    return emul > 0 ? 1u << emul : 1;
}

static inline uint64_t vector_length_maximum(const hart *h)
{
    return (uint64_t)h->vlenb << 3 >> (h->sew + 3 - h->lmul);
}

// The bits of a register number that are 0 where a group of this emul begins.
static inline unsigned vector_alignment(int emul)
{
    static const uint8_t bits[] = {0, 0, 0, 0, 1, 3, 7};
    return emul >= -3 && emul <= 3 ? bits[emul + 3] : 32;
}

// Whether every element of the body is computed.
static inline bool vector_is_whole(const hart *h, const isa_instruction *in)
{
    return in->vm && h->vstart == 0;
}

// A record remembers SEW and LMUL that its instruction was found legal with, inverted: none are 0.
static inline bool vector_was_legal(const hart *h)
{
    return h->shape == (uint32_t)(uint16_t)~h->op->illegal << 8;
}
static inline void vector_is_legal(const hart *h)
{
    ((hart_op *)(uintptr_t)h->op)->illegal = (uint16_t)~(h->shape >> 8);
}

static inline void require_vtype(hart *h)
{
    hart_require(h, !h->vill);
}

static inline void require_group(hart *h, unsigned r, int emul)
{
    const unsigned bits = vector_alignment(emul);
    hart_require(h, bits < 32 && (r & bits) == 0);
}

// A destination may overlap a source of the same element width; of a wider one at its lowest
// registers; of a narrower one at its own highest registers, when the source fills registers.
static inline void require_overlap(hart *h, unsigned rd, int emul_d, int eew_d, unsigned rs,
                                   int emul_s, int eew_s)
{
    unsigned size_d = vector_group(emul_d), size_s = vector_group(emul_s);
    bool apart = rd + size_d <= rs || rs + size_s <= rd;
    if (apart || eew_d == eew_s)
        return;
    if (eew_d < eew_s)
        hart_require(h, rd == rs);
    else
        hart_require(h, emul_s >= 0 && rs == rd + size_d - size_s);
}

static inline void require_apart(hart *h, unsigned rd, unsigned size_d, unsigned rs,
                                 unsigned size_s)
{
    hart_require(h, rd + size_d <= rs || rs + size_s <= rd);
}

// The second operand of an instruction.
typedef enum vector_second { SECOND_V, SECOND_X, SECOND_I } vector_second;

// Where a kernel finds it: elements one behind the other, or copies of one.
typedef struct vector_operand {
    const void *at;
    size_t advance; // mask: all ones, or 0 for copies, which serve everywhere
} vector_operand;

enum { VECTOR_CHUNK = 16 }; // bytes; registers consist of whole chunks

// What a kernel reads of b at once, at most.
typedef struct vector_copy {
    _Alignas(VECTOR_CHUNK) uint64_t words[4];
} vector_copy;

// Computes n elements: d from a (vs2) and b (vs1, x or the immediate), reading whole chunks.
// Sources are d itself, apart from it, or overlap as require_overlap allows.
typedef void vector_kernel(void *d, const void *a, vector_operand b, size_t n);

// An element of 2^sew bytes, over and over.
static inline vector_operand vector_copies(vector_copy *to, uint64_t value, unsigned sew)
{
    static const uint64_t ones[] = {0x0101010101010101, 0x0001000100010001, 0x0000000100000001, 1};
    const uint64_t copies = (value & ~0ull >> (64 - (8u << sew))) * ones[sew];
    for (size_t i = 0; i < 4; i++)
        to->words[i] = copies;
    return (vector_operand){to, 0};
}

// vs1, or x or the immediate in `copy`.
static inline vector_operand vector_second_of(const hart *h, const isa_instruction *in,
                                              vector_second second, vector_copy *copy)
{
    if (second == SECOND_V)
        return (vector_operand){vector_register(h, in->rs1), ~(size_t)0};
    const uint64_t value = second == SECOND_X ? h->x[in->rs1] : (uint64_t)(int64_t)in->imm;
    return vector_copies(copy, value, h->sew);
}

// ---- vector_config.c
// hart.shape, and how far VLEN is shifted for the number of elements, by vtype. Shape 1: not valid.
typedef struct vector_shape {
    uint32_t shape;
    uint32_t shift;
} vector_shape;
vector_shape vector_shape_of(uint64_t vtype);

// ---- vector_common.c
// n copies of an element of 2^sew bytes.
void vector_splat(void *to, uint64_t value, unsigned sew, size_t n);
// vs1, or n copies of x or the immediate in `buffer`.
const void *vector_second_operand(hart *h, const isa_instruction *in, vector_second second,
                                  unsigned sew, size_t n, vector_buffer *buffer);
// Writes the active elements vstart .. vl - 1 and clears vstart.
void vector_commit(hart *h, const isa_instruction *in, const void *result, unsigned eew);
// All of vstart .. vl - 1, whatever the mask says.
void vector_commit_all(hart *h, unsigned rd, const void *result, unsigned eew);
// One byte, 0 or 1, per element becomes one bit of the active elements of the mask register rd.
void vector_commit_mask(hart *h, unsigned rd, bool all, const uint8_t *result);
// The first n bits of v0, and what fills their last byte, as elements 0 or 1 of 2^sew bytes.
void vector_expand_mask(const hart *h, vector_buffer *to, unsigned sew, size_t n);

// Kernels of one operation by element width (log2 of bytes); NULL: not for this width.
typedef struct vector_kernels {
    vector_kernel *of[4];
} vector_kernels;

// Elementwise, checked: computes and commits; elements of the result have 2^eew bytes.
void vector_compute_some(hart *h, const isa_instruction *in, vector_kernel *kernel,
                         vector_operand b, unsigned eew, bool reads_destination);
static inline void vector_compute(hart *h, const isa_instruction *in, vector_kernel *kernel,
                                  vector_operand b, unsigned eew, bool reads_destination)
{
    if (__builtin_expect(vector_is_whole(h, in), 1))
        kernel(vector_register(h, in->rd), vector_register(h, in->rs2), b, h->vl);
    else
        vector_compute_some(h, in, kernel, b, eew, reads_destination);
}

// Elementwise, single width: checks, computes, commits.
void vector_require_binary(hart *h, const isa_instruction *in, vector_second second);
static inline void vector_binary(hart *h, const isa_instruction *in, const vector_kernels *kernels,
                                 vector_second second, bool reads_destination)
{
    if (__builtin_expect(!vector_was_legal(h), 0))
        vector_require_binary(h, in, second);
    vector_copy copy;
    const vector_operand b = vector_second_of(h, in, second, &copy);
    vector_compute(h, in, kernels->of[h->sew], b, h->sew, reads_destination);
}
// Elementwise with a mask as result; v0 is a carry-in unless `in->vm`, or a mask.
void vector_compare(hart *h, const isa_instruction *in, const vector_kernels *kernels,
                    vector_second second, bool carry);

// Elements of a chunk; it takes two where one would leave the narrow side too little.
#define VECTOR_COUNT(D, A)                                                                         \
    (sizeof(D) == sizeof(A)  ? VECTOR_CHUNK / sizeof(D)                                            \
     : sizeof(D) > sizeof(A) ? 2 * VECTOR_CHUNK / sizeof(D)                                        \
                             : 2 * VECTOR_CHUNK / sizeof(A))

#define KERNEL(name, D, A, B, expression)                                                          \
    static inline __attribute__((always_inline)) void name##_chunk(D *r, const D *pd, const A *pa, \
                                                                   const B *pb, size_t n)          \
    {                                                                                              \
        _Pragma("GCC unroll 1") for (size_t i = 0; i < n; i++)                                     \
        {                                                                                          \
            D d = pd[i];                                                                           \
            A a = pa[i];                                                                           \
            B b = pb[i];                                                                           \
            (void)a, (void)b, (void)d;                                                             \
            r[i] = (D)(expression);                                                                \
        }                                                                                          \
    }                                                                                              \
    HOST_CLONES static void name(void *to, const void *from, vector_operand second, size_t n)      \
    {                                                                                              \
        enum { COUNT = VECTOR_COUNT(D, A) };                                                       \
        D *pd = to;                                                                                \
        const A *pa = from;                                                                        \
        const B *pb = second.at;                                                                   \
        const size_t advance = COUNT & second.advance;                                             \
        for (; n >= COUNT; n -= COUNT, pd += COUNT, pa += COUNT, pb += advance) {                  \
            D r[COUNT];                                                                            \
            name##_chunk(r, pd, pa, pb, COUNT);                                                    \
            memcpy(pd, r, sizeof r);                                                               \
        }                                                                                          \
        if (__builtin_expect(n, 0)) {                                                              \
            D r[COUNT];                                                                            \
            name##_chunk(r, pd, pa, pb, COUNT);                                                    \
            memcpy(pd, r, n * sizeof *r);                                                          \
        }                                                                                          \
    }

// Shifts, the expression in a and `by`, b reduced to a's width: mostly one for all elements, which
// hosts can do for every width.
#define SHIFT_KERNEL(name, D, A, B, expression)                                                    \
    KERNEL(name##_each, D, A, B, __extension__({                                                   \
               const B by = b & (8 * sizeof a - 1);                                                \
               expression;                                                                         \
           }))                                                                                     \
    HOST_CLONES static void name##_all(void *to, const void *from, B by, size_t n)                 \
    {                                                                                              \
        enum { COUNT = VECTOR_COUNT(D, A) };                                                       \
        typedef A elements __attribute__((vector_size(COUNT * sizeof(A))));                        \
        typedef D results __attribute__((vector_size(COUNT * sizeof(D))));                         \
        D *pd = to;                                                                                \
        for (const A *pa = from; n; pd += COUNT, pa += COUNT) {                                    \
            const size_t count = __builtin_expect(n < COUNT, 0) ? n : COUNT;                       \
            elements a;                                                                            \
            memcpy(&a, pa, sizeof a);                                                              \
            const results r = __builtin_convertvector(expression, results);                        \
            if (count == COUNT)                                                                    \
                memcpy(pd, &r, sizeof r);                                                          \
            else                                                                                   \
                memcpy(pd, &r, count * sizeof(D));                                                 \
            n -= count;                                                                            \
        }                                                                                          \
    }                                                                                              \
    static void name(void *to, const void *from, vector_operand second, size_t n)                  \
    {                                                                                              \
        if (second.advance)                                                                        \
            name##_each(to, from, second, n);                                                      \
        else                                                                                       \
            name##_all(to, from, *(const B *)second.at & (8 * sizeof(A) - 1), n);                  \
    }

// Element types by signedness letter and width.
typedef uint8_t type_u8;
typedef uint16_t type_u16;
typedef uint32_t type_u32;
typedef uint64_t type_u64;
typedef int8_t type_s8;
typedef int16_t type_s16;
typedef int32_t type_s32;
typedef int64_t type_s64;

// The forms an instruction comes in: expands M(form suffix, second operand, ...).
#define FORMS_VXI(M, ...)                                                                          \
    M(VV, SECOND_V, __VA_ARGS__) M(VX, SECOND_X, __VA_ARGS__) M(VI, SECOND_I, __VA_ARGS__)
#define FORMS_VX(M, ...) M(VV, SECOND_V, __VA_ARGS__) M(VX, SECOND_X, __VA_ARGS__)
#define FORMS_XI(M, ...) M(VX, SECOND_X, __VA_ARGS__) M(VI, SECOND_I, __VA_ARGS__)
#define FORMS_X(M, ...) M(VX, SECOND_X, __VA_ARGS__)
#define FORMS_W(M, ...)                                                                            \
    M(WV, SECOND_V, __VA_ARGS__) M(WX, SECOND_X, __VA_ARGS__) M(WI, SECOND_I, __VA_ARGS__)
#define FORMS_WX(M, ...) M(WV, SECOND_V, __VA_ARGS__) M(WX, SECOND_X, __VA_ARGS__)
#define FORMS_M(M, ...)                                                                            \
    M(VVM, SECOND_V, __VA_ARGS__) M(VXM, SECOND_X, __VA_ARGS__) M(VIM, SECOND_I, __VA_ARGS__)
#define FORMS_MX(M, ...) M(VVM, SECOND_V, __VA_ARGS__) M(VXM, SECOND_X, __VA_ARGS__)
// A row of a handler table.
#define FORM_ROW(FORM, second, E, ...) {ISA_##E##_##FORM, execute_##E##_##FORM},
