// What the vector files share: register groups, legality, operands, kernels, masks.
//
// Most instructions compute their whole body into a buffer with a plain loop that the compiler
// turns into host vectors (a kernel), and then `vector_commit` puts the active elements in place.
// So overlap of sources and destination never matters, nor does the mask inside the loop.
#pragma once

#include "runtime/hart/internal.h"

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
    uint64_t per_register = h->vlenb >> h->sew;
    return h->lmul >= 0 ? per_register << h->lmul : per_register >> -h->lmul;
}

static inline void require_vtype(hart *h)
{
    hart_require(h, !h->vill);
}

static inline void require_group(hart *h, unsigned r, int emul)
{
    hart_require(h, emul >= -3 && emul <= 3 && r % vector_group(emul) == 0);
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

// Whether the result may be computed where it belongs: every element, and no source in its place.
// Sizes are those of the groups of rd, rs2 and rs1; 0: not a group.
static inline bool vector_in_place(const hart *h, const isa_instruction *in, unsigned size_d,
                                   unsigned size_a, unsigned size_b)
{
    unsigned rd = in->rd;
    return in->vm && h->vstart == 0 && (rd + size_d <= in->rs2 || in->rs2 + size_a <= rd) &&
           (!size_b || rd + size_d <= in->rs1 || in->rs1 + size_b <= rd);
}

// The second operand of an instruction.
typedef enum vector_second { SECOND_V, SECOND_X, SECOND_I } vector_second;

// Computes n elements: d from a (vs2) and b (vs1, x or the immediate). d may hold an input too.
typedef void vector_kernel(void *d, const void *a, const void *b, size_t n);

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
// The first n bits of v0, as elements 0 or 1 of 2^sew bytes.
void vector_expand_mask(const hart *h, void *to, unsigned sew, size_t n);

// Kernels of one operation by element width (log2 of bytes); NULL: not for this width.
typedef struct vector_kernels {
    vector_kernel *of[4];
} vector_kernels;

// Elementwise, single width: checks, computes, commits.
void vector_binary(hart *h, const isa_instruction *in, const vector_kernels *kernels,
                   vector_second second, bool reads_destination);
// Elementwise with a mask as result; v0 is a carry-in unless `in->vm`, or a mask.
void vector_compare(hart *h, const isa_instruction *in, const vector_kernels *kernels,
                    vector_second second, bool carry);

#define KERNEL(name, D, A, B, expression)                                                          \
    static void name(void *restrict to, const void *restrict from_a, const void *restrict from_b,  \
                     size_t n)                                                                     \
    {                                                                                              \
        D *restrict pd = to;                                                                       \
        const A *restrict pa = from_a;                                                             \
        const B *restrict pb = from_b;                                                             \
        for (size_t i = 0; i < n; i++) {                                                           \
            D d = pd[i];                                                                           \
            A a = pa[i];                                                                           \
            B b = pb[i];                                                                           \
            (void)a, (void)b, (void)d;                                                             \
            pd[i] = (D)(expression);                                                               \
        }                                                                                          \
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
