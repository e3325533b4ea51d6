// Xlut: resolves and probes every memory operand, then lets the LUT unit execute.

#include "runtime/hart/internal.h"

enum { CONSTANT, VARIABLE }; // of hart.operands: memory that the guest only reads, and other

static inline bool lies_in(const hart_segment *s, uint64_t address, uint32_t bytes)
{
    uint64_t offset = address - s->address;
    return offset < s->size && bytes <= s->size - offset;
}

_Noreturn static void raise_fault(hart *h, uint64_t address, unsigned access)
{
    uint64_t faulting = address + hart_memory_extent(h->memory, address, access);
    hart_raise(h, access == HART_WRITE ? HART_STORE_FAULT : HART_LOAD_FAULT, faulting);
}

// Remembers the segment of this address until hart_run ends: mappings do not change before. An
// observer may do what it likes in between.
static void remember(hart *h, uint64_t address)
{
    size_t count;
    const hart_segment *s = hart_memory_segments(h->memory, &count);
    for (size_t i = 0; i < count && !h->observer; i++) {
        bool writable = (s[i].access & HART_WRITE) != 0;
        if (lies_in(&s[i], address, 1) && s[i].access & HART_READ)
            h->operands[writable ? VARIABLE : CONSTANT] = s[i];
    }
}

// Looks where no segment helped that is remembered: the range may span several.
__attribute__((noinline)) static uint8_t *search(hart *h, uint64_t address, uint32_t bytes,
                                                 unsigned access)
{
    uint8_t *host = hart_memory_range(h->memory, address, bytes, access);
    if (!host)
        raise_fault(h, address, access);
    remember(h, address);
    return host;
}

static inline uint8_t *find(hart *h, uint64_t address, uint32_t bytes, unsigned access)
{
    if (lies_in(&h->operands[VARIABLE], address, bytes) ||
        (access == HART_READ && lies_in(&h->operands[CONSTANT], address, bytes)))
        return h->memory_base + address;
    return search(h, address, bytes, access);
}

static inline void check_alignment(hart *h, uint64_t address, uint32_t alignment, bool write)
{
    if (__builtin_expect((address & (alignment - 1)) != 0, 0))
        hart_raise(h, write ? HART_STORE_MISALIGNED : HART_LOAD_MISALIGNED, address);
}

static inline void resolve_row(hart *h, lut_operand *operand, unsigned row)
{
    uint64_t address = operand->address + row * operand->stride;
    check_alignment(h, address, operand->alignment, operand->write);
    operand->host[row] = find(h, address, operand->bytes, operand->write ? HART_WRITE : HART_READ);
}

static void execute(hart *h, const isa_instruction *in)
{
    lut_operands operands;
    hart_require(h, h->lut && lut_operands_of(h->lut, in, h->x, &operands));
    for (unsigned i = 0; i < operands.count; i++)
        for (unsigned row = 0; row < operands.item[i].rows; row++)
            resolve_row(h, &operands.item[i], row);
    lut_execute(h->lut, in, &operands);
}

// ------------------------------------------- the frequent ones, without detours

// Tiles are not copied. Memory that nobody writes, as that of weights, may be referred to for long;
// other references are added to `passing`, to be settled before somebody may write memory.
static inline void load(hart *h, lut_unit *u, unsigned rd, bool half, uint64_t address,
                        uint32_t *passing)
{
    const uint32_t bytes = u->tile_bytes >> half;
    check_alignment(h, address, LUT_TILE_ALIGNMENT, false);
    const bool lasting = lies_in(&h->operands[CONSTANT], address, bytes);
    const uint8_t *host = lasting ? h->memory_base + address : find(h, address, bytes, HART_READ);
    lut_refer(u, rd, half, host);
    *passing = (*passing & ~(1u << rd)) | (uint32_t)!lasting << rd;
    u->counters.bytes_read += bytes;
}

static inline void look_up(lut_unit *u, const isa_instruction *in, const lut_lmma *choice)
{
    const uint32_t narrow = in->table == XLUT_TABLE_I8 ? 1u << in->rs1 : 0;
    if (__builtin_expect(u->half_references & ~narrow, 0))
        lut_settle(u, u->half_references & ~narrow);
    lut_own(u, 1u << in->rd);
    choice->execute(u, in, choice->first);
    u->counters.lookups += choice->lookups;
    u->counters.multiply_accumulates += choice->multiply_accumulates;
}

static inline void dequantize(hart *h, lut_unit *u, const isa_instruction *in)
{
    const uint32_t size = in->scale_type == XLUT_SCALE_F16 ? 2 : 4;
    uint32_t bytes = u->n * size;
    lut_operands operands;
    check_alignment(h, h->x[in->rs1], size, false);
    operands.item[0].host[0] = find(h, h->x[in->rs1], bytes, HART_READ);
    operands.count = 1;
    if (in->rs2) {
        check_alignment(h, h->x[in->rs2], 4, false);
        operands.item[1].host[0] = find(h, h->x[in->rs2], 4 * u->m, HART_READ);
        operands.count = 2;
        bytes += 4 * u->m;
    }
    lut_own(u, 1u << in->rd);
    lut_settle(u, 1u << in->rs3);
    u->functions[ISA_LUT_DEQ](u, in, &operands);
    u->counters.bytes_read += bytes;
}

static inline void clear(lut_unit *u, const isa_instruction *in)
{
    lut_forget(u, in->rd);
    u->functions[ISA_LUT_ZERO](u, in, NULL);
}

static inline void store(hart *h, lut_unit *u, const isa_instruction *in)
{
    lut_operands operands;
    operands.count = 0;
    hart_require(h, lut_operands_of(u, in, h->x, &operands));
    lut_operand *o = &operands.item[0];
    for (unsigned row = 0; row < o->rows; row++)
        resolve_row(h, o, row);
    lut_settle(u, 1u << in->rd);
    u->functions[ISA_LUT_STA](u, in, &operands);
    u->counters.bytes_written += (uint64_t)o->rows * o->bytes;
}

// ------------------------------------------------------------------------- runs

// What a run consists of: these, and the arithmetic that stands between them.
#define EACH_ARITHMETIC(DO)                                                                        \
    DO(ADDI, a + (uint64_t)op->value)                                                              \
    DO(ADD, a + b)                                                                                 \
    DO(MUL, a *b)                                                                                  \
    DO(SLLI, a << op->value)                                                                       \
    DO(SRLI, a >> op->value)                                                                       \
    DO(SH1ADD, (a << 1) + b)                                                                       \
    DO(SH2ADD, (a << 2) + b)                                                                       \
    DO(SH3ADD, (a << 3) + b)

typedef enum run_kind {
    RUN_NOTHING, // of these
    RUN_LOAD,
    RUN_LMMA,
    RUN_DEQUANTIZE,
    RUN_ZERO,
    RUN_STORE,
    RUN_OTHER, // Xlut
#define KIND(E, result) RUN_##E,
    EACH_ARITHMETIC(KIND)
#undef KIND
} run_kind;

static bool is_xlut(unsigned opcode)
{
    const hart_handler_row *row = hart_xlut_rows;
    while (row->opcode != ISA_ILLEGAL && row->opcode != opcode)
        row++;
    return row->opcode != ISA_ILLEGAL;
}

static run_kind kind_of(unsigned opcode)
{
    switch (opcode) {
    case ISA_LUT_LD: return RUN_LOAD;
    case ISA_LMMA: return RUN_LMMA;
    case ISA_LUT_DEQ: return RUN_DEQUANTIZE;
    case ISA_LUT_ZERO: return RUN_ZERO;
    case ISA_LUT_STA: return RUN_STORE;
#define CASE(E, result)                                                                            \
    case ISA_##E: return RUN_##E;
        EACH_ARITHMETIC(CASE)
#undef CASE
    default: return is_xlut(opcode) ? RUN_OTHER : RUN_NOTHING;
    }
}

static bool is_back_branch(const hart_op *op, const hart_op *to)
{
    const isa_instruction *in = &hart_op_details(op)->in;
    return in->opcode == ISA_BNE && hart_op_pc(op) + (uint64_t)(int64_t)in->imm == hart_op_pc(to);
}

unsigned hart_xlut_run_length(const hart_op *op)
{
    const uint32_t count = hart_op_block(op)->count;
    unsigned length = 0;
    for (unsigned i = 0; op->index + i < count; i++) {
        const unsigned opcode = hart_op_details(op + i)->in.opcode;
        if (length > 1 && is_back_branch(op + i, op))
            return i;
        if (is_xlut(opcode))
            length = i + 1;
        else if (length == 0 || kind_of(opcode) == RUN_NOTHING)
            break;
    }
    return length > 1 ? length : 0;
}

size_t hart_xlut_run_bytes(unsigned length)
{
    return sizeof(hart_xlut_run) + length * sizeof(hart_xlut_op);
}

void hart_xlut_prepare_run(hart_xlut_run *run, hart_op *op, unsigned length)
{
    run->first = op;
    run->length = length;
    run->loops = op->index + length < hart_op_block(op)->count && is_back_branch(op + length, op);
    for (unsigned i = 0; i < length; i++) {
        const isa_instruction *in = &hart_op_details(op + i)->in;
        run->ops[i] = (hart_xlut_op){.in = in,
                                     .kind = (uint8_t)kind_of(in->opcode),
                                     .rd = op[i].rd,
                                     .rs1 = in->rs1,
                                     .rs2 = in->rs2,
                                     .half = in->half,
                                     .choice = (uint16_t)lut_lmma_index(in),
                                     .value = in->imm};
    }
}

static inline void settle_passing(lut_unit *u, uint32_t *passing)
{
    lut_settle(u, *passing);
    *passing = 0;
}

static inline void execute_run(hart *h, lut_unit *u, const hart_xlut_run *run, uint32_t *passing)
{
    const hart_op *at = run->first;
    for (const hart_xlut_op *op = run->ops, *end = op + run->length; op < end; op++) {
        const uint64_t a = h->x[op->rs1], b = h->x[op->rs2];
        h->op = at++;
        switch ((run_kind)op->kind) {
        case RUN_LOAD: load(h, u, op->rd, op->half, a + (uint64_t)op->value, passing); break;
        case RUN_LMMA: look_up(u, op->in, &u->lmma[op->choice]); break;
        case RUN_DEQUANTIZE: dequantize(h, u, op->in); break;
        case RUN_ZERO: clear(u, op->in); break;
        case RUN_STORE:
            settle_passing(u, passing);
            store(h, u, op->in);
            break;
#define CASE(E, result)                                                                            \
    case RUN_##E: h->x[op->rd] = result; break;
            EACH_ARITHMETIC(CASE)
#undef CASE
        default: settle_passing(u, passing); at[-1].execute(h, op->in);
        }
    }
}

// Takes the branch behind the run to its start; false: it is left to whoever executes branches.
static inline bool goes_round(hart *h, const hart_xlut_run *run)
{
    hart_op *branch = run->first + run->length;
    if (!run->loops || branch->target != run->first || h->budget < branch->cost ||
        h->x[branch->rs1] == h->x[branch->rs2])
        return false;
    branch->taken++;
    h->budget -= branch->cost;
    return true;
}

void hart_xlut_execute_run(hart *h, const hart_xlut_run *run)
{
    uint32_t passing = 0;
    do {
        execute_run(h, h->lut, run, &passing);
    } while (goes_round(h, run));
    lut_settle(h->lut, passing);
}

static void execute_load(hart *h, const isa_instruction *in)
{
    uint32_t passing = 0;
    hart_require(h, h->lut != NULL);
    load(h, h->lut, in->rd, in->half, h->x[in->rs1] + (uint64_t)(int64_t)in->imm, &passing);
    lut_settle(h->lut, passing);
}

static void execute_lmma(hart *h, const isa_instruction *in)
{
    hart_require(h, h->lut != NULL);
    look_up(h->lut, in, lut_lmma_of(h->lut, in));
}

static void execute_dequantize(hart *h, const isa_instruction *in)
{
    hart_require(h, h->lut != NULL);
    dequantize(h, h->lut, in);
}

// Of instructions without memory operands.
static void execute_tiles(hart *h, const isa_instruction *in)
{
    lut_operands none;
    none.count = 0;
    hart_require(h, h->lut != NULL);
    lut_execute(h->lut, in, &none);
}

void hart_settle_tiles(hart *h)
{
    if (h->lut)
        lut_own(h->lut, UINT32_MAX);
    h->operands[CONSTANT] = h->operands[VARIABLE] = (hart_segment){0};
}

const hart_handler_row hart_xlut_rows[] = {
    {ISA_LMMA, execute_lmma}, {ISA_MMA, execute_tiles},      {ISA_LUT_TBL, execute},
    {ISA_LUT_LDA, execute},   {ISA_LUT_STA, execute},        {ISA_LUT_LD, execute_load},
    {ISA_LUT_ST, execute},    {ISA_LUT_PF, execute_tiles},   {ISA_LUT_DEQ, execute_dequantize},
    {ISA_LUT_OFF, execute},   {ISA_LUT_ZERO, execute_tiles}, {ISA_ILLEGAL, NULL},
};
