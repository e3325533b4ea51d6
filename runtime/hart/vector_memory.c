// Vector loads and stores. Element by element in order, vstart showing the element in progress, so
// that a fault is precise; unmasked unit-stride accesses go by whole runs within a page.

#include "runtime/hart/vector.h"

enum { RUN_BYTES = 4096 }; // no host page is smaller

// One access: which elements, where, in which registers.
typedef struct vector_access {
    bool store;
    unsigned eew;       // log2 of the element's bytes
    unsigned fields;    // of a segment
    unsigned group;     // registers per field
    unsigned registers; // the first: vd or vs3
    bool unmasked;
    uint64_t base;
} vector_access;

static void move_element(hart *h, const vector_access *a, uint64_t address, unsigned field,
                         uint64_t i)
{
    uint8_t *at = vector_register(h, a->registers + field * a->group) + (i << a->eew);
    uint8_t *host = hart_host(h, address);
    h->vector_bytes[a->store] += 1u << a->eew;
    switch (a->eew << 1 | a->store) {
#define WIDTH(eew, bits)                                                                           \
    case eew << 1: *(uint##bits##_t *)at = GUEST(bits, host); break;                               \
    case eew << 1 | 1: GUEST(bits, host) = *(uint##bits##_t *)at; break;
        WIDTH(0, 8)
        WIDTH(1, 16)
        WIDTH(2, 32)
        WIDTH(3, 64)
#undef WIDTH
    default: UNREACHABLE();
    }
}

static void move_segment(hart *h, const vector_access *a, uint64_t address, uint64_t i)
{
    h->vstart = i;
    for (unsigned field = 0; field < a->fields; field++)
        move_element(h, a, address + ((uint64_t)field << a->eew), field, i);
}

// Of up to a page: where it cannot be accessed, the fault is that of the first byte, whatever order
// the host moves bytes in.
static inline __attribute__((always_inline)) void move_page(hart *h, bool store, void *host,
                                                            uint8_t *registers, size_t bytes)
{
    if (store) {
        GUEST(8, host) = *registers;
        vector_move(host, registers, bytes);
    } else {
        (void)GUEST(8, host);
        vector_move(registers, host, bytes);
    }
    h->vector_bytes[store] += bytes;
}

// Elements from vstart to `end` of an unmasked contiguous access.
static void move_runs(hart *h, const vector_access *a, uint64_t end)
{
    uint64_t i = h->vstart;
    while (i < end) {
        uint64_t address = a->base + (i << a->eew);
        uint64_t in_page = (RUN_BYTES - address % RUN_BYTES) >> a->eew;
        uint64_t count = in_page == 0 ? 1 : in_page < end - i ? in_page : end - i;
        uint8_t *at = vector_register(h, a->registers) + (i << a->eew);
        h->vstart = i;
        if (in_page == 0) {
            move_element(h, a, address, 0, i);
        } else {
            move_page(h, a->store, hart_host(h, address), at, count << a->eew);
        }
        i += count;
    }
    h->vstart = 0;
}

static bool active(const hart *h, const vector_access *a, uint64_t i)
{
    return a->unmasked || vector_mask_bit(h->v, i);
}

// Elements from vstart to `end`, of which none lies behind the memory's limit. A fault finds vstart
// and the bytes moved as they are at its element.
#define DEFINE_STRIDED(bits)                                                                       \
    static void strided_##bits(hart *h, bool store, uint##bits##_t *registers, uint8_t *host,      \
                               uint64_t stride, uint64_t end)                                      \
    {                                                                                              \
        volatile uint64_t *const vstart = &h->vstart, *const moved = &h->vector_bytes[store];      \
        uint64_t bytes = *moved;                                                                   \
        for (uint64_t i = *vstart; i < end; i++, host += stride) {                                 \
            *vstart = i;                                                                           \
            if (store)                                                                             \
                GUEST(bits, host) = registers[i];                                                  \
            else                                                                                   \
                registers[i] = GUEST(bits, host);                                                  \
            *moved = bytes += (bits) / 8;                                                          \
        }                                                                                          \
        *vstart = 0;                                                                               \
    }
DEFINE_STRIDED(8)
DEFINE_STRIDED(16)
DEFINE_STRIDED(32)
DEFINE_STRIDED(64)

// Elements of 32 bits within a page, so that a fault is that of the first one: nothing has to be
// noted in between. Loaded ones are collected: they are read as vectors next.
static void strided_in_page(bool store, uint32_t *registers, uint8_t *host, uint64_t stride,
                            uint64_t count)
{
    enum { COLLECTED = 8 };
    typedef uint32_t collected __attribute__((vector_size(4 * COLLECTED)));
    uint64_t i = 0;
#define AT(k) GUEST(32, host + (k) * stride)
    for (; !store && i + COLLECTED <= count; i += COLLECTED, host += COLLECTED * stride) {
        const collected x = {AT(0), AT(1), AT(2), AT(3), AT(4), AT(5), AT(6), AT(7)};
        memcpy(registers + i, &x, sizeof x);
    }
#undef AT
    for (; i < count; i++, host += stride) {
        if (store)
            GUEST(32, host) = registers[i];
        else
            registers[i] = GUEST(32, host);
    }
}

// Unmasked, without segments, and all elements below the limit. False: nothing was done.
static bool move_strided_quick(hart *h, const vector_access *a, uint64_t stride, uint64_t end)
{
    enum { MOST_STRIDE = 1 << 30 };
    const int64_t by = (int64_t)stride;
    if (!a->unmasked || a->fields > 1 || by > MOST_STRIDE || by < -MOST_STRIDE || h->vstart >= end)
        return false;
    const uint64_t first = a->base + h->vstart * stride, last = a->base + (end - 1) * stride;
    if (first >= h->memory_limit || last >= h->memory_limit)
        return false;
    void *const registers = vector_register(h, a->registers);
    uint8_t *const host = h->memory_base + first;
    const uint64_t count = end - h->vstart, low = by < 0 ? last : first,
                   high = by < 0 ? first : last;
    if (a->eew == 2 && low % RUN_BYTES + (high - low) + 4 <= RUN_BYTES) {
        strided_in_page(a->store, (uint32_t *)registers + h->vstart, host, stride, count);
        h->vector_bytes[a->store] += 4 * count;
        h->vstart = 0;
        return true;
    }
    switch (a->eew) {
    case 0: strided_8(h, a->store, registers, host, stride, end); break;
    case 1: strided_16(h, a->store, registers, host, stride, end); break;
    case 2: strided_32(h, a->store, registers, host, stride, end); break;
    default: strided_64(h, a->store, registers, host, stride, end); break;
    }
    return true;
}

static void move_strided(hart *h, const vector_access *a, uint64_t stride, uint64_t end)
{
    if (move_strided_quick(h, a, stride, end))
        return;
    for (uint64_t i = h->vstart; i < end; i++)
        if (active(h, a, i))
            move_segment(h, a, a->base + i * stride, i);
    h->vstart = 0;
}

static vector_access begin(hart *h, const isa_instruction *in, bool store, unsigned eew, int emul)
{
    vector_access a = {.store = store,
                       .eew = eew,
                       .fields = in->nf + 1u,
                       .registers = store ? in->rs3 : in->rd,
                       .unmasked = in->vm,
                       .base = h->x[in->rs1]};
    require_vtype(h);
    require_group(h, a.registers, emul);
    a.group = vector_group(emul);
    hart_require(h, a.fields * a.group <= 8 && a.registers + a.fields * a.group <= 32);
    return a;
}

static int emul_of(const hart *h, unsigned eew)
{
    return h->lmul + (int)eew - h->sew;
}

static void move_unit_stride(hart *h, const isa_instruction *in, bool store, unsigned eew)
{
    vector_access a = begin(h, in, store, eew, emul_of(h, eew));
    vector_is_legal(h);
    if (a.unmasked && a.fields == 1)
        move_runs(h, &a, h->vl);
    else
        move_strided(h, &a, (uint64_t)a.fields << eew, h->vl);
}

#define INLINE static inline __attribute__((always_inline))

// All at once, where it lies in one page: then a fault is that of the first element.
INLINE bool move_whole(hart *h, const isa_instruction *in, bool store, size_t bytes)
{
    const uint64_t address = h->x[in->rs1];
    if (bytes == 0 || h->vstart || address >= h->memory_limit ||
        address % RUN_BYTES + bytes > RUN_BYTES)
        return false;
    uint8_t *at = vector_register(h, store ? in->rs3 : in->rd);
    move_page(h, store, h->memory_base + address, at, bytes);
    return true;
}

INLINE void unit_stride(hart *h, const isa_instruction *in, bool store, unsigned eew)
{
    if (vector_was_legal(h) && in->vm && in->nf == 0 && move_whole(h, in, store, h->vl << eew))
        return;
    move_unit_stride(h, in, store, eew);
}

// A fault behind element 0 shortens vl instead.
static void fault_only_first(hart *h, const isa_instruction *in, unsigned eew)
{
    vector_access a = begin(h, in, false, eew, emul_of(h, eew));
    uint64_t size = (uint64_t)a.fields << eew;
    uint64_t known = hart_memory_extent(h->memory, a.base, HART_READ) / size;
    for (uint64_t i = h->vstart; i < h->vl; i++) {
        if (!active(h, &a, i))
            continue;
        uint64_t address = a.base + i * size;
        if (i > 0 && i >= known && hart_memory_extent(h->memory, address, HART_READ) < size) {
            h->vl = i;
            break;
        }
        move_segment(h, &a, address, i);
    }
    h->vstart = 0;
    hart_update_full(h);
}

static void strided(hart *h, const isa_instruction *in, bool store, unsigned eew)
{
    vector_access a = begin(h, in, store, eew, emul_of(h, eew));
    move_strided(h, &a, h->x[in->rs2], h->vl);
}

static void indexed(hart *h, const isa_instruction *in, bool store, unsigned index_eew)
{
    int index_emul = emul_of(h, index_eew);
    vector_access a = begin(h, in, store, h->sew, h->lmul);
    require_group(h, in->rs2, index_emul);
    if (!store && a.fields > 1)
        require_apart(h, in->rd, a.fields * a.group, in->rs2, vector_group(index_emul));
    else if (!store)
        require_overlap(h, in->rd, h->lmul, h->sew, in->rs2, index_emul, (int)index_eew);
    // The load may write where its indices are.
    vector_buffer indices;
    memcpy(indices.bytes, vector_register(h, in->rs2), h->vl << index_eew);
    for (uint64_t i = h->vstart; i < h->vl; i++)
        if (active(h, &a, i))
            move_segment(h, &a, a.base + vector_load_element(indices.bytes, index_eew, i), i);
    h->vstart = 0;
}

// Bytes, whatever SEW and LMUL.
static void mask_register(hart *h, const isa_instruction *in, bool store)
{
    vector_access a = begin(h, in, store, 0, 0);
    move_runs(h, &a, (h->vl + 7) / 8);
}

// Needs no valid vtype.
INLINE void whole_registers(hart *h, const isa_instruction *in, bool store, unsigned eew,
                            unsigned count)
{
    if (move_whole(h, in, store, (size_t)count * h->vlenb))
        return;
    vector_access a = {.store = store,
                       .eew = eew,
                       .fields = 1,
                       .group = count,
                       .registers = store ? in->rs3 : in->rd,
                       .unmasked = true,
                       .base = h->x[in->rs1]};
    move_runs(h, &a, (uint64_t)count * h->vlenb >> eew);
}

//   ROW(name with the element width, log2 of bytes)
#define WIDTH_ROWS(ROW, prefix, suffix, ...)                                                       \
    ROW(prefix##8##suffix, 0, __VA_ARGS__)                                                         \
    ROW(prefix##16##suffix, 1, __VA_ARGS__)                                                        \
    ROW(prefix##32##suffix, 2, __VA_ARGS__)                                                        \
    ROW(prefix##64##suffix, 3, __VA_ARGS__)
#define ACCESS_ROWS(ROW)                                                                           \
    WIDTH_ROWS(ROW, VLE, _V, unit_stride, false)                                                   \
    WIDTH_ROWS(ROW, VSE, _V, unit_stride, true)                                                    \
    WIDTH_ROWS(ROW, VLSE, _V, strided, false)                                                      \
    WIDTH_ROWS(ROW, VSSE, _V, strided, true)                                                       \
    WIDTH_ROWS(ROW, VLUXEI, _V, indexed, false)                                                    \
    WIDTH_ROWS(ROW, VLOXEI, _V, indexed, false)                                                    \
    WIDTH_ROWS(ROW, VSUXEI, _V, indexed, true)                                                     \
    WIDTH_ROWS(ROW, VSOXEI, _V, indexed, true)
#define FIRST_ROWS(ROW)                                                                            \
    ROW(VLE8FF_V, 0)                                                                               \
    ROW(VLE16FF_V, 1)                                                                              \
    ROW(VLE32FF_V, 2)                                                                              \
    ROW(VLE64FF_V, 3)
#define WHOLE_ROWS(ROW)                                                                            \
    WIDTH_ROWS(ROW, VL1RE, _V, false, 1)                                                           \
    WIDTH_ROWS(ROW, VL2RE, _V, false, 2)                                                           \
    WIDTH_ROWS(ROW, VL4RE, _V, false, 4)                                                           \
    WIDTH_ROWS(ROW, VL8RE, _V, false, 8)                                                           \
    ROW(VS1R_V, 0, true, 1)                                                                        \
    ROW(VS2R_V, 0, true, 2)                                                                        \
    ROW(VS4R_V, 0, true, 4)                                                                        \
    ROW(VS8R_V, 0, true, 8)

#define DEFINE_ACCESS(E, eew, run, store)                                                          \
    static void execute_##E(hart *h, const isa_instruction *in)                                    \
    {                                                                                              \
        run(h, in, store, eew);                                                                    \
    }
#define DEFINE_FIRST(E, eew)                                                                       \
    static void execute_##E(hart *h, const isa_instruction *in)                                    \
    {                                                                                              \
        fault_only_first(h, in, eew);                                                              \
    }
#define DEFINE_WHOLE(E, eew, store, count)                                                         \
    static void execute_##E(hart *h, const isa_instruction *in)                                    \
    {                                                                                              \
        whole_registers(h, in, store, eew, count);                                                 \
    }
ACCESS_ROWS(DEFINE_ACCESS)
FIRST_ROWS(DEFINE_FIRST)
WHOLE_ROWS(DEFINE_WHOLE)
static void execute_VLM_V(hart *h, const isa_instruction *in)
{
    mask_register(h, in, false);
}
static void execute_VSM_V(hart *h, const isa_instruction *in)
{
    mask_register(h, in, true);
}

const hart_handler_row hart_vector_memory_rows[] = {
#define ROW(E, ...) {ISA_##E, execute_##E},
    ACCESS_ROWS(ROW) FIRST_ROWS(ROW) WHOLE_ROWS(ROW) ROW(VLM_V) ROW(VSM_V){ISA_ILLEGAL, NULL},
#undef ROW
};
