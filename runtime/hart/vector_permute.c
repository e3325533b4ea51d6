// Moves between elements and registers: scalar moves, slides, gathers, compress, whole registers.

#include "runtime/hart/float_registers.h"
#include "runtime/hart/vector.h"

static void execute_VMV_X_S(hart *h, const isa_instruction *in)
{
    require_vtype(h);
    unsigned unused = 64 - (8u << h->sew);
    uint64_t value = vector_load_element(vector_register(h, in->rs2), h->sew, 0);
    hart_write_x(h, in->rd, (uint64_t)((int64_t)(value << unused) >> unused));
    h->vstart = 0;
}

static void set_first(hart *h, const isa_instruction *in, uint64_t value)
{
    if (h->vstart < h->vl)
        vector_store_element(vector_register(h, in->rd), h->sew, 0, value);
    h->vstart = 0;
}

static void execute_VMV_S_X(hart *h, const isa_instruction *in)
{
    require_vtype(h);
    set_first(h, in, h->x[in->rs1]);
}

// Elements are floating-point numbers: of 16, 32 or 64 bits, and frm is a rounding mode.
static void require_float(hart *h)
{
    require_vtype(h);
    hart_require(h, h->sew > 0);
    hart_rounding(h, ROUND_DYNAMIC);
}

static uint64_t read_scalar(const hart *h, unsigned r)
{
    return h->sew == 1 ? read_f16(h, r) : h->sew == 2 ? read_f32(h, r) : read_f64(h, r);
}

static void execute_VFMV_F_S(hart *h, const isa_instruction *in)
{
    require_float(h);
    uint64_t box = h->sew == 3 ? 0 : ~0ull << (8u << h->sew);
    h->f[in->rd] = box | vector_load_element(vector_register(h, in->rs2), h->sew, 0);
    h->vstart = 0;
}

static void execute_VFMV_S_F(hart *h, const isa_instruction *in)
{
    require_float(h);
    set_first(h, in, read_scalar(h, in->rs1));
}

static void require_groups(hart *h, const isa_instruction *in)
{
    require_vtype(h);
    require_group(h, in->rd, h->lmul);
    require_group(h, in->rs2, h->lmul);
}

static void require_groups_apart(hart *h, const isa_instruction *in)
{
    require_groups(h, in);
    unsigned size = vector_group(h->lmul);
    require_apart(h, in->rd, size, in->rs2, size);
}

// Elements below the offset keep their values.
static void slide_up(hart *h, const isa_instruction *in, uint64_t offset)
{
    require_groups_apart(h, in);
    if (h->vstart < offset)
        h->vstart = offset;
    if (h->vstart >= h->vl) {
        h->vstart = 0;
        return;
    }
    vector_buffer result;
    memcpy(result.bytes + (offset << h->sew), vector_register(h, in->rs2),
           (h->vl - offset) << h->sew);
    vector_commit(h, in, result.bytes, h->sew);
}

// Elements from beyond the group are 0.
static void slide_down(hart *h, const isa_instruction *in, uint64_t offset)
{
    require_groups(h, in);
    uint64_t maximum = vector_length_maximum(h);
    vector_buffer result;
    uint64_t there = offset < maximum ? maximum - offset : 0;
    uint64_t copied = there < h->vl ? there : h->vl;
    if (copied)
        memcpy(result.bytes, vector_register(h, in->rs2) + (offset << h->sew), copied << h->sew);
    memset(result.bytes + (copied << h->sew), 0, (h->vl - copied) << h->sew);
    vector_commit(h, in, result.bytes, h->sew);
}

static void slide_one_up(hart *h, const isa_instruction *in, uint64_t value)
{
    require_groups_apart(h, in);
    vector_buffer result;
    if (h->vl) {
        vector_store_element(result.bytes, h->sew, 0, value);
        memcpy(result.bytes + (1u << h->sew), vector_register(h, in->rs2), (h->vl - 1) << h->sew);
    }
    vector_commit(h, in, result.bytes, h->sew);
}

static void slide_one_down(hart *h, const isa_instruction *in, uint64_t value)
{
    require_groups(h, in);
    vector_buffer result;
    if (h->vl) {
        memcpy(result.bytes, vector_register(h, in->rs2) + (1u << h->sew), (h->vl - 1) << h->sew);
        vector_store_element(result.bytes, h->sew, h->vl - 1, value);
    }
    vector_commit(h, in, result.bytes, h->sew);
}

static void slide_float(hart *h, const isa_instruction *in,
                        void (*slide)(hart *h, const isa_instruction *in, uint64_t value))
{
    require_float(h);
    slide(h, in, read_scalar(h, in->rs1));
}

//   vd[i] = vs2[vs1[i]]; index elements of `bits`
#define GATHER(name, type, index_type)                                                             \
    static void name(void *restrict to, const void *restrict from, const void *restrict by,        \
                     uint64_t n, uint64_t maximum)                                                 \
    {                                                                                              \
        type *d = to;                                                                              \
        const type *a = from;                                                                      \
        const index_type *index = by;                                                              \
        for (uint64_t i = 0; i < n; i++)                                                           \
            d[i] = index[i] < maximum ? a[index[i]] : 0;                                           \
    }
GATHER(gather_any_8, uint8_t, uint8_t)
GATHER(gather_16, uint16_t, uint16_t)
GATHER(gather_32, uint32_t, uint32_t)
GATHER(gather_64, uint64_t, uint64_t)
GATHER(gather16_8, uint8_t, uint16_t)
GATHER(gather16_32, uint32_t, uint16_t)
GATHER(gather16_64, uint64_t, uint16_t)

enum { SHUFFLED_BYTES = 4 * VECTOR_CHUNK };

typedef uint8_t shuffle_bytes __attribute__((vector_size(VECTOR_CHUNK)));

// table[index modulo the chunk's size]
static inline shuffle_bytes shuffle(shuffle_bytes table, shuffle_bytes index)
{
#if __has_builtin(__builtin_shuffle)
    return __builtin_shuffle(table, index);
#else
    shuffle_bytes result;
    for (size_t i = 0; i < VECTOR_CHUNK; i++)
        result[i] = table[index[i] % VECTOR_CHUNK];
    return result;
#endif
}

// Tables of a few chunks, by byte shuffles where the host has them.
HOST_CLONES static void gather_few(void *restrict to, const void *restrict from,
                                   const void *restrict by, uint64_t n, uint64_t maximum)
{
    for (uint64_t i = 0; i < n; i += VECTOR_CHUNK) {
        shuffle_bytes index, table, sum = {0};
        memcpy(&index, (const uint8_t *)by + i, sizeof index);
        for (uint64_t k = 0; k < maximum; k += VECTOR_CHUNK, index -= VECTOR_CHUNK) {
            memcpy(&table, (const uint8_t *)from + k, sizeof table);
            sum |= shuffle(table, index) & (shuffle_bytes)(index < VECTOR_CHUNK);
        }
        memcpy((uint8_t *)to + i, &sum, sizeof sum);
    }
}

static void gather_8(void *restrict to, const void *restrict from, const void *restrict by,
                     uint64_t n, uint64_t maximum)
{
    if (n % VECTOR_CHUNK == 0 && maximum % VECTOR_CHUNK == 0 && maximum <= SHUFFLED_BYTES)
        gather_few(to, from, by, n, maximum);
    else
        gather_any_8(to, from, by, n, maximum);
}

typedef void gather_loop(void *to, const void *from, const void *by, uint64_t n, uint64_t maximum);

static void require_gather(hart *h, const isa_instruction *in, int index_sew)
{
    require_vtype(h);
    int index_eew = index_sew < 0 ? h->sew : index_sew;
    int index_emul = h->lmul + index_eew - h->sew;
    require_groups_apart(h, in);
    require_group(h, in->rs1, index_emul);
    require_apart(h, in->rd, vector_group(h->lmul), in->rs1, vector_group(index_emul));
    vector_is_legal(h);
}

static void gather_some(hart *h, const isa_instruction *in, gather_loop *loop)
{
    vector_buffer result;
    loop(result.bytes, vector_register(h, in->rs2), vector_register(h, in->rs1), h->vl,
         vector_length_maximum(h));
    vector_commit(h, in, result.bytes, h->sew);
}

static void gather(hart *h, const isa_instruction *in, gather_loop *const *loops, int index_sew)
{
    if (__builtin_expect(!vector_was_legal(h), 0))
        require_gather(h, in, index_sew);
    if (__builtin_expect(vector_is_whole(h, in), 1))
        loops[h->sew](vector_register(h, in->rd), vector_register(h, in->rs2),
                      vector_register(h, in->rs1), h->vl, vector_length_maximum(h));
    else
        gather_some(h, in, loops[h->sew]);
}

static void execute_VRGATHER_VV(hart *h, const isa_instruction *in)
{
    static gather_loop *const loops[] = {gather_8, gather_16, gather_32, gather_64};
    gather(h, in, loops, -1);
}

static void execute_VRGATHEREI16_VV(hart *h, const isa_instruction *in)
{
    static gather_loop *const loops[] = {gather16_8, gather_16, gather16_32, gather16_64};
    gather(h, in, loops, 1);
}

static void gather_one(hart *h, const isa_instruction *in, uint64_t index)
{
    require_groups_apart(h, in);
    uint64_t value = index < vector_length_maximum(h)
                         ? vector_load_element(vector_register(h, in->rs2), h->sew, index)
                         : 0;
    vector_buffer result;
    vector_splat(result.bytes, value, h->sew, h->vl);
    vector_commit(h, in, result.bytes, h->sew);
}

static void execute_VCOMPRESS_VM(hart *h, const isa_instruction *in)
{
    require_groups_apart(h, in);
    hart_require(h, h->vstart == 0);
    require_apart(h, in->rd, vector_group(h->lmul), in->rs1, 1);
    const uint8_t *mask = vector_register(h, in->rs1), *from = vector_register(h, in->rs2);
    uint8_t *to = vector_register(h, in->rd);
    uint64_t kept = 0;
    for (uint64_t i = 0; i < h->vl; i++)
        if (vector_mask_bit(mask, i))
            vector_store_element(to, h->sew, kept++, vector_load_element(from, h->sew, i));
}

static void move_registers(hart *h, const isa_instruction *in, unsigned count)
{
    require_vtype(h);
    size_t bytes = count * (size_t)h->vlenb, done = h->vstart << h->sew;
    if (done == 0) // the groups are the same or apart
        vector_move(vector_register(h, in->rd), vector_register(h, in->rs2), bytes);
    else if (done < bytes)
        memmove(vector_register(h, in->rd) + done, vector_register(h, in->rs2) + done,
                bytes - done);
    h->vstart = 0;
}

#define PERMUTE_ROWS(ROW)                                                                          \
    ROW(VSLIDEUP_VX, slide_up(h, in, h->x[in->rs1]))                                               \
    ROW(VSLIDEUP_VI, slide_up(h, in, (uint64_t)in->imm))                                           \
    ROW(VSLIDEDOWN_VX, slide_down(h, in, h->x[in->rs1]))                                           \
    ROW(VSLIDEDOWN_VI, slide_down(h, in, (uint64_t)in->imm))                                       \
    ROW(VSLIDE1UP_VX, slide_one_up(h, in, h->x[in->rs1]))                                          \
    ROW(VSLIDE1DOWN_VX, slide_one_down(h, in, h->x[in->rs1]))                                      \
    ROW(VFSLIDE1UP_VF, slide_float(h, in, slide_one_up))                                           \
    ROW(VFSLIDE1DOWN_VF, slide_float(h, in, slide_one_down))                                       \
    ROW(VRGATHER_VX, gather_one(h, in, h->x[in->rs1]))                                             \
    ROW(VRGATHER_VI, gather_one(h, in, (uint64_t)in->imm))                                         \
    ROW(VMV1R_V, move_registers(h, in, 1))                                                         \
    ROW(VMV2R_V, move_registers(h, in, 2))                                                         \
    ROW(VMV4R_V, move_registers(h, in, 4))                                                         \
    ROW(VMV8R_V, move_registers(h, in, 8))

#define DEFINE(E, statement)                                                                       \
    static void execute_##E(hart *h, const isa_instruction *in)                                    \
    {                                                                                              \
        statement;                                                                                 \
    }
PERMUTE_ROWS(DEFINE)

const hart_handler_row hart_vector_permute_rows[] = {
#define ROW(E, ...) {ISA_##E, execute_##E},
    PERMUTE_ROWS(ROW) ROW(VMV_X_S) ROW(VMV_S_X) ROW(VFMV_F_S) ROW(VFMV_S_F) ROW(VRGATHER_VV)
        ROW(VRGATHEREI16_VV) ROW(VCOMPRESS_VM){ISA_ILLEGAL, NULL},
#undef ROW
};
