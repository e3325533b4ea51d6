// Control and status registers, and what executes by reading and writing them.

#include "runtime/hart/internal.h"

static uint64_t read_vtype(const hart *h)
{
    if (h->vill)
        return 1ull << 63;
    return (uint64_t)(h->lmul & 7) | (uint64_t)h->sew << 3 | (uint64_t)h->vta << 6 |
           (uint64_t)h->vma << 7;
}

static uint64_t read_time(hart *h)
{
    return h->clock ? h->clock(h->clock_context) : hart_retired_now(h);
}

bool hart_read_csr(hart *h, unsigned number, uint64_t *value)
{
    uint64_t retired = h->recovery ? hart_retired_now(h) : h->retired;
    switch (number) {
    case HART_CSR_FFLAGS: *value = h->fflags; return true;
    case HART_CSR_FRM: *value = h->frm; return true;
    case HART_CSR_FCSR: *value = h->fflags | (uint64_t)h->frm << 5; return true;
    case HART_CSR_VSTART: *value = h->vstart; return true;
    case HART_CSR_VXSAT: *value = h->vxsat; return true;
    case HART_CSR_VXRM: *value = h->vxrm; return true;
    case HART_CSR_VCSR: *value = h->vxsat | (uint64_t)h->vxrm << 1; return true;
    case HART_CSR_INSTRET: *value = retired; return true;
    case HART_CSR_CYCLE: *value = h->cycles ? h->cycles(h->clock_context) : retired; return true;
    case HART_CSR_TIME: *value = h->recovery ? read_time(h) : retired; return true;
    case HART_CSR_VL: *value = h->vl; return true;
    case HART_CSR_VTYPE: *value = read_vtype(h); return true;
    case HART_CSR_VLENB: *value = h->vlenb; return true;
    case HART_CSR_LUTSHAPE: *value = h->lut ? h->lut->m | (uint64_t)h->lut->n << 8 : 0; return true;
    default: return false;
    }
}

bool hart_write_csr(hart *h, unsigned number, uint64_t value)
{
    switch (number) {
    case HART_CSR_FFLAGS: h->fflags = value & 31; return true;
    case HART_CSR_FRM: h->frm = value & 7; return true;
    case HART_CSR_FCSR:
        h->fflags = value & 31;
        h->frm = value >> 5 & 7;
        return true;
    case HART_CSR_VSTART:
        h->vstart = value & (h->vlenb * 8 - 1);
        hart_update_full(h);
        return true;
    case HART_CSR_VXSAT: h->vxsat = value & 1; return true;
    case HART_CSR_VXRM: h->vxrm = value & 3; return true;
    case HART_CSR_VCSR:
        h->vxsat = value & 1;
        h->vxrm = value >> 1 & 3;
        return true;
    default: return false;
    }
}

typedef enum csr_update { UPDATE_WRITE, UPDATE_SET, UPDATE_CLEAR } csr_update;

// Set and clear do not write when their rs1 field, register or immediate, is 0.
static void update_csr(hart *h, const isa_instruction *in, csr_update update, uint64_t operand)
{
    unsigned number = (unsigned)in->imm & 0xfff;
    uint64_t old;
    hart_require(h, hart_read_csr(h, number, &old));
    uint64_t new = update == UPDATE_WRITE ? operand
                   : update == UPDATE_SET ? old | operand
                                          : old & ~operand;
    if (update == UPDATE_WRITE || in->rs1 != 0)
        hart_require(h, hart_write_csr(h, number, new));
    hart_write_x(h, in->rd, old);
}

#define CSR_ROWS(ROW)                                                                              \
    ROW(CSRRW, UPDATE_WRITE, h->x[in->rs1])                                                        \
    ROW(CSRRS, UPDATE_SET, h->x[in->rs1])                                                          \
    ROW(CSRRC, UPDATE_CLEAR, h->x[in->rs1])                                                        \
    ROW(CSRRWI, UPDATE_WRITE, in->rs1)                                                             \
    ROW(CSRRSI, UPDATE_SET, in->rs1)                                                               \
    ROW(CSRRCI, UPDATE_CLEAR, in->rs1)

#define DEFINE(E, update, operand)                                                                 \
    static void execute_##E(hart *h, const isa_instruction *in)                                    \
    {                                                                                              \
        update_csr(h, in, update, operand);                                                        \
    }
CSR_ROWS(DEFINE)

const hart_handler_row hart_system_rows[] = {
#define ROW(E, update, operand) {ISA_##E, execute_##E},
    CSR_ROWS(ROW)
#undef ROW
        {ISA_ILLEGAL, NULL},
};
