// The LUT unit's state, and the dispatch of its instructions.
#include "runtime/lut/reference.h"

#include <stdlib.h>

static const struct {
    uint32_t m, n;
} shapes[] = {{1, 64}, {2, 64}, {2, 128}, {4, 128}, {4, 256}};

static lut_function *const reference[ISA_OPCODE_COUNT] = {
    [ISA_LUT_LD] = lut_reference_ld,   [ISA_LUT_ST] = lut_reference_st,
    [ISA_LUT_PF] = lut_reference_pf,   [ISA_LUT_ZERO] = lut_reference_zero,
    [ISA_LUT_TBL] = lut_reference_tbl, [ISA_LMMA] = lut_reference_lmma,
    [ISA_MMA] = lut_reference_mma,     [ISA_LUT_DEQ] = lut_reference_deq,
    [ISA_LUT_OFF] = lut_reference_off, [ISA_LUT_LDA] = lut_reference_lda,
    [ISA_LUT_STA] = lut_reference_sta,
};

bool lut_shape_valid(uint32_t m, uint32_t n)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (shapes[i].m == m && shapes[i].n == n)
            return true;
    return false;
}

lut_unit *lut_unit_create(uint32_t m, uint32_t n)
{
    if (!lut_shape_valid(m, n))
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
                    .functions = reference};
    return u;
}

void lut_unit_destroy(lut_unit *u)
{
    if (!u)
        return;
    free(u->tiles);
    free(u);
}

static void count(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    lut_counters *c = &u->counters;
    c->lookups += lut_lookups(u, in);
    c->multiply_accumulates += lut_multiply_accumulates(u, in);
    c->mma_multiply_accumulates += lut_mma_multiply_accumulates(u, in);
    for (unsigned i = 0; i < memory->count; i++) {
        const lut_operand *o = &memory->item[i];
        *(o->write ? &c->bytes_written : &c->bytes_read) += (uint64_t)o->rows * o->bytes;
    }
}

void lut_execute(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    u->functions[in->opcode](u, in, memory);
    count(u, in, memory);
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
