// The LUT unit's state, and the dispatch of its instructions.
#include "runtime/lut/host.h"
#include "runtime/lut/variants.h"

#include <stdlib.h>
#ifdef __aarch64__
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

static const struct {
    uint32_t m, n;
} shapes[] = {{1, 64}, {2, 64}, {2, 128}, {4, 128}, {4, 256}};

// What executes each opcode: the defining functions, but for those that a host has variants of.
#define FUNCTIONS(ld, zero, tbl, lmma, mma, deq, off, lda, ldm, ldt, sta)                          \
    {                                                                                              \
        [ISA_LUT_LD] = ld,                                                                         \
        [ISA_LUT_ST] = lut_reference_st,                                                           \
        [ISA_LUT_PF] = lut_reference_pf,                                                           \
        [ISA_LUT_ZERO] = zero,                                                                     \
        [ISA_LUT_TBL] = tbl,                                                                       \
        [ISA_LMMA] = lmma,                                                                         \
        [ISA_MMA] = mma,                                                                           \
        [ISA_LUT_DEQ] = deq,                                                                       \
        [ISA_LUT_OFF] = off,                                                                       \
        [ISA_LUT_LDA] = lda,                                                                       \
        [ISA_LUT_LDM] = ldm,                                                                       \
        [ISA_LUT_LDT] = ldt,                                                                       \
        [ISA_LUT_STM] = lut_reference_stm,                                                         \
        [ISA_LUT_STA] = sta,                                                                       \
    }

static lut_function *const functions[LUT_HOST_COUNT][ISA_OPCODE_COUNT] = {
    [LUT_HOST_REFERENCE] =
        FUNCTIONS(lut_reference_ld, lut_reference_zero, lut_reference_tbl, lut_reference_lmma,
                  lut_reference_mma, lut_reference_deq, lut_reference_off, lut_reference_lda,
                  lut_reference_ldm, lut_reference_ldt, lut_reference_sta),
#ifdef __x86_64__
    [LUT_HOST_AVX2] =
        FUNCTIONS(lut_reference_ld, lut_reference_zero, lut_reference_tbl, lut_avx2_lmma,
                  lut_avx2_mma, lut_avx2_deq, lut_avx2_off, lut_avx2_lda, lut_reference_ldm,
                  lut_reference_ldt, lut_reference_sta),
    [LUT_HOST_AVX512] = FUNCTIONS(lut_avx512_ld, lut_avx512_zero, lut_avx512_tbl, lut_avx512_lmma,
                                  lut_avx512_mma, lut_avx512_deq, lut_avx512_off, lut_avx512_lda,
                                  lut_avx512_ldm, lut_avx512_ldt, lut_avx512_sta),
#endif
#ifdef __aarch64__
    [LUT_HOST_NEON] =
        FUNCTIONS(lut_reference_ld, lut_reference_zero, lut_reference_tbl, lut_neon_lmma,
                  lut_reference_mma, lut_neon_deq, lut_neon_off, lut_reference_lda,
                  lut_reference_ldm, lut_reference_ldt, lut_reference_sta),
    [LUT_HOST_DOTPROD] =
        FUNCTIONS(lut_reference_ld, lut_reference_zero, lut_reference_tbl, lut_dotprod_lmma,
                  lut_reference_mma, lut_neon_deq, lut_neon_off, lut_reference_lda,
                  lut_reference_ldm, lut_reference_ldt, lut_reference_sta),
#endif
};

const char *const lut_host_names[LUT_HOST_COUNT] = {"reference", "avx2", "avx512", "neon",
                                                    "dotprod"};

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
#ifdef __aarch64__
    if (host == LUT_HOST_NEON)
        return true;
    if (host == LUT_HOST_DOTPROD)
        return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
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

// ltc, and whatever is read, is no reference afterwards.
void lut_settled_lmma(lut_unit *u, const isa_instruction *in, uint32_t first)
{
    (void)first;
    lut_settle(u, UINT32_MAX);
    u->functions[ISA_LMMA](u, in, NULL);
}

static lut_lmma choose_lmma(const lut_unit *u, lut_host host, const isa_instruction *in)
{
    lut_lmma choice = {.first = lut_slice_groups(u, in).first,
                       .keeps_half = 4 * u->n * lut_rows(u, in) <= u->half_bytes,
                       .lookups = lut_lookups(u, in),
                       .multiply_accumulates = lut_multiply_accumulates(u, in)};
#ifdef __x86_64__
    if (host == LUT_HOST_AVX512) {
        choice.execute = lut_avx512_lmma_kernel(u, in);
        choice.strip = lut_avx512_strip_kernel(u, in);
    }
#else
    (void)host;
#endif
    if (!choice.execute)
        choice.execute = lut_settled_lmma;
    return choice;
}

// Combinations of options that isa_decode refuses have rows that nobody asks for.
static void choose_all_lmma(lut_unit *u, lut_host host)
{
    isa_instruction in = {.opcode = ISA_LMMA};
    for (in.form = XLUT_FORM_PLANES1; in.form <= XLUT_FORM_FULL; in.form++)
        for (in.slice = XLUT_SLICE_ALL; in.slice <= XLUT_SLICE_QUARTER3; in.slice++)
            for (in.table = XLUT_TABLE_I8; in.table <= XLUT_TABLE_F16; in.table++)
                for (in.rows = XLUT_ROWS_ONE; in.rows <= XLUT_ROWS_ALL; in.rows++)
                    u->lmma[lut_lmma_index(&in)] = choose_lmma(u, host, &in);
}

lut_unit *lut_unit_create_with(uint32_t m, uint32_t n, lut_host host)
{
    if (!lut_shape_valid(m, n) || !lut_host_supported(host))
        return NULL;
    lut_unit *u = calloc(1, sizeof *u);
    size_t size = (size_t)ISA_TILE_REGISTERS * 4 * m * n;
    uint8_t *tiles = aligned_alloc(LUT_TILE_ALIGNMENT, 2 * size);
    lut_lmma *lmma = calloc(LUT_LMMA_CHOICES, sizeof *lmma);
    if (!u || !tiles || !lmma)
        INTERNAL_ERROR("out of memory");
    memset(tiles, 0, size);
    *u = (lut_unit){.m = m,
                    .n = n,
                    .lookups = 8 * m,
                    .tile_bytes = 4 * m * n,
                    .half_bytes = 64 * m * m,
                    .tiles = tiles,
                    .functions = functions[host],
                    .lmma = lmma};
    for (unsigned i = 0; i < ISA_TILE_REGISTERS; i++)
        u->at[i] = lut_tile(u, i);
    choose_all_lmma(u, host);
#ifdef __x86_64__
    if (host == LUT_HOST_AVX512) {
        u->choose_move = lut_avx512_choose_move;
        u->choose_scale = lut_avx512_choose_scale;
        u->choose_build = lut_avx512_choose_build;
        u->copy_references = lut_avx512_copy_references;
        u->add_rows = lut_avx512_rows_kernel(u);
    }
#endif
    return u;
}

void lut_unit_destroy(lut_unit *u)
{
    if (!u)
        return;
    free(u->tiles);
    free(u->lmma);
    free(u);
}

void lut_settle_references(lut_unit *u, uint32_t tiles)
{
    if (u->copy_references) {
        u->copy_references(u, u->references & tiles);
        return;
    }
    for (uint32_t left = u->references & tiles; left; left &= left - 1) {
        isa_instruction ld = {.opcode = ISA_LUT_LD, .rd = (uint8_t)__builtin_ctz(left)};
        lut_operands memory;
        ld.half = u->half_references >> ld.rd & 1;
        memory.item[0].host[0] = (uint8_t *)(uintptr_t)u->at[ld.rd];
        lut_forget(u, ld.rd);
        u->functions[ISA_LUT_LD](u, &ld, &memory);
    }
}

// Makes way for an instruction other than lmma: the tiles that it writes as a whole, and those that
// it reads or changes, are no references any more.
static void settle_for(lut_unit *u, const isa_instruction *in)
{
    const uint32_t rd = 1u << in->rd;
    switch (in->opcode) {
    case ISA_LUT_LD:
    case ISA_LUT_ZERO:
    case ISA_LUT_TBL:
    case ISA_LUT_LDM:
    case ISA_LUT_LDT:
    case ISA_LUT_LDA: lut_forget(u, in->rd); break;
    case ISA_LUT_DEQ: lut_settle(u, rd | 1u << in->rs3); break;
    case ISA_LUT_ST: lut_settle(u, 1u << in->rs2); break;
    case ISA_MMA: lut_settle(u, rd | 1u << in->rs1 | 1u << in->rs2); break;
    default: lut_settle(u, rd); break;
    }
}

static void count_operands(lut_counters *c, const lut_operands *memory)
{
    for (unsigned i = 0; i < memory->count; i++) {
        const lut_operand *o = &memory->item[i];
        *(o->write ? &c->bytes_written : &c->bytes_read) += (uint64_t)o->rows * o->bytes;
    }
}

static void execute_lmma(lut_unit *u, const isa_instruction *in)
{
    const lut_lmma *choice = lut_lmma_of(u, in);
    lut_settle(u, 1u << in->rd);
    choice->execute(u, in, choice->first);
    u->lmma_count++;
    u->counters.lookups += choice->lookups;
    u->counters.multiply_accumulates += choice->multiply_accumulates;
}

void lut_execute(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    u->half_zero = 0; // callers may have written tiles
    if (in->opcode == ISA_LMMA) {
        execute_lmma(u, in);
        return;
    }
    if (u->references)
        settle_for(u, in);
    u->functions[in->opcode](u, in, memory);
    u->half_zero = 0;
    u->counters.mma_multiply_accumulates += lut_mma_multiply_accumulates(u, in);
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
