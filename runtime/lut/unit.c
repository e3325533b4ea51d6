// The LUT unit's state, and the dispatch of its instructions.
#include "runtime/lut/host.h"
#include "runtime/lut/variants.h"

#include <stdlib.h>

static const struct {
    uint32_t m, n;
} shapes[] = {{1, 64}, {2, 64}, {2, 128}, {4, 128}, {4, 256}};

// What executes each opcode: the defining functions, but for those that a host has variants of.
#define FUNCTIONS(ld, tbl, lmma, deq, off, sta)                                                    \
    {                                                                                              \
        [ISA_LUT_LD] = ld,                                                                         \
        [ISA_LUT_ST] = lut_reference_st,                                                           \
        [ISA_LUT_PF] = lut_reference_pf,                                                           \
        [ISA_LUT_ZERO] = lut_reference_zero,                                                       \
        [ISA_LUT_TBL] = tbl,                                                                       \
        [ISA_LMMA] = lmma,                                                                         \
        [ISA_MMA] = lut_reference_mma,                                                             \
        [ISA_LUT_DEQ] = deq,                                                                       \
        [ISA_LUT_OFF] = off,                                                                       \
        [ISA_LUT_LDA] = lut_reference_lda,                                                         \
        [ISA_LUT_STA] = sta,                                                                       \
    }

static lut_function *const functions[LUT_HOST_COUNT][ISA_OPCODE_COUNT] = {
    [LUT_HOST_REFERENCE] = FUNCTIONS(lut_reference_ld, lut_reference_tbl, lut_reference_lmma,
                                     lut_reference_deq, lut_reference_off, lut_reference_sta),
#ifdef __x86_64__
    [LUT_HOST_AVX2] = FUNCTIONS(lut_reference_ld, lut_reference_tbl, lut_avx2_lmma, lut_avx2_deq,
                                lut_avx2_off, lut_reference_sta),
    [LUT_HOST_AVX512] = FUNCTIONS(lut_avx512_ld, lut_avx512_tbl, lut_avx512_lmma, lut_avx512_deq,
                                  lut_avx512_off, lut_avx512_sta),
#endif
};

const char *const lut_host_names[LUT_HOST_COUNT] = {"reference", "avx2", "avx512"};

bool lut_host_supported(lut_host host)
{
#ifdef __x86_64__
    if (host == LUT_HOST_AVX2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
               __builtin_cpu_supports("f16c");
    if (host == LUT_HOST_AVX512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vnni");
#endif
    return host == LUT_HOST_REFERENCE;
}

bool lut_shape_valid(uint32_t m, uint32_t n)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (shapes[i].m == m && shapes[i].n == n)
            return true;
    return false;
}

lut_unit *lut_unit_create(uint32_t m, uint32_t n)
{
    lut_host host = LUT_HOST_COUNT - 1;
    while (!lut_host_supported(host))
        host--;
    return lut_unit_create_with(m, n, host);
}

lut_unit *lut_unit_create_with(uint32_t m, uint32_t n, lut_host host)
{
    if (!lut_shape_valid(m, n) || !lut_host_supported(host))
        return NULL;
    lut_unit *u = calloc(1, sizeof *u);
    size_t size = (size_t)ISA_TILE_REGISTERS * 4 * m * n;
    uint8_t *tiles = aligned_alloc(LUT_TILE_ALIGNMENT, size);
    if (!u || !tiles)
        INTERNAL_ERROR("out of memory");
    memset(tiles, 0, size);
    *u = (lut_unit){.m = m,
                    .n = n,
                    .lookups = 8 * m,
                    .tile_bytes = 4 * m * n,
                    .tiles = tiles,
                    .functions = functions[host]};
    return u;
}

void lut_unit_destroy(lut_unit *u)
{
    if (!u)
        return;
    free(u->tiles);
    free(u);
}

static void count_operands(lut_counters *c, const lut_operands *memory)
{
    for (unsigned i = 0; i < memory->count; i++) {
        const lut_operand *o = &memory->item[i];
        *(o->write ? &c->bytes_written : &c->bytes_read) += (uint64_t)o->rows * o->bytes;
    }
}

static void count_work(lut_unit *u, const isa_instruction *in)
{
    lut_counters *c = &u->counters;
    c->lookups += lut_lookups(u, in);
    c->multiply_accumulates += lut_multiply_accumulates(u, in);
    c->mma_multiply_accumulates += lut_mma_multiply_accumulates(u, in);
}

void lut_execute(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    u->functions[in->opcode](u, in, memory);
    if (in->opcode == ISA_LMMA || in->opcode == ISA_MMA)
        count_work(u, in);
    else
        count_operands(&u->counters, memory);
}

uint64_t lut_lookups(const lut_unit *u, const isa_instruction *in)
{
    if (in->opcode != ISA_LMMA)
        return 0;
    return (uint64_t)lut_rows(u, in) * u->n * lut_slice_range(u, in).count *
           xlut_form_planes(in->form);
}

uint64_t lut_multiply_accumulates(const lut_unit *u, const isa_instruction *in)
{
    if (in->opcode != ISA_LMMA)
        return 0;
    uint64_t weights = lut_table_is_full(in) ? 1 : ISA_TABLE_WIDTH;
    return lut_rows(u, in) * weights * u->n * lut_slice_range(u, in).count;
}

uint64_t lut_mma_multiply_accumulates(const lut_unit *u, const isa_instruction *in)
{
    return in->opcode == ISA_MMA ? (uint64_t)u->m * u->n * lut_mma_depth(u, in) : 0;
}
