// Runs of Xlut instructions: decoded once, executed as a whole, branches back among them included.

#include "runtime/hart/xlut_run.h"
#include "runtime/hart/step.h"

// --------------------------------------------------------------------- decoding

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
    case ISA_LUT_OFF: return RUN_OFFSET;
    case ISA_LUT_ZERO: return RUN_ZERO;
    case ISA_LUT_PF: return RUN_IDLE;
    case ISA_PREFETCH_R: return RUN_PREFETCH;
    case ISA_LUT_STA:
    case ISA_LUT_ST:
    case ISA_LUT_STM:
    case ISA_LUT_TBL: return RUN_WHOLE;
    case ISA_LUT_LDA:
    case ISA_LUT_LDM:
    case ISA_LUT_LDT: return RUN_FILL;
    case ISA_MMA: return RUN_MMA;
#define REGISTER(E, result)                                                                        \
    case ISA_##E: return RUN_##E;
#define IMMEDIATE(E, result) REGISTER(E, result)
#include "runtime/hart/integer.def"
    case ISA_PREFETCH_I:
    case ISA_PREFETCH_W: return RUN_IDLE;
    case ISA_BNE: return RUN_BRANCH;
    case ISA_BLT: return RUN_LESS;
    default: return is_xlut(opcode) ? RUN_OTHER : RUN_NOTHING;
    }
}

static bool is_branch(unsigned opcode)
{
    return opcode == ISA_BNE || opcode == ISA_BLT;
}

// How many records a branch goes back, to one of the same block; 0: it is none.
static unsigned distance_back(const hart_op *op)
{
    const hart_op_detail *d = hart_op_details(op), *to = d;
    if (!is_branch(d->in.opcode) || d->in.imm >= 0)
        return 0;
    const int64_t offset = (int64_t)d->offset + d->in.imm;
    while (to > d - op->index && (int64_t)to->offset > offset)
        to--;
    return (int64_t)to->offset == offset ? (unsigned)(d - to) : 0;
}

// Where several together need less than each of them alone: tiles are loaded without a copy.
static bool gains(unsigned opcode)
{
    return opcode == ISA_LUT_LD || opcode == ISA_LMMA;
}

// A run begins with an Xlut instruction, or with what is repeated together with one. It ends with
// the last Xlut instruction, or the branch that repeats the last one.
unsigned hart_xlut_run_length(const hart_op *op)
{
    const uint32_t count = hart_op_block(op)->count;
    bool begins = op->index < count && is_xlut(hart_op_details(op)->in.opcode), worth = false;
    unsigned length = 0, last = 0; // behind the last Xlut instruction
    for (unsigned i = 0; op->index + i < count; i++) {
        const unsigned opcode = hart_op_details(op + i)->in.opcode, back = distance_back(op + i);
        if (back > 0 && back <= i && i - back < last) {
            begins |= back == i;
            worth = true;
            length = i + 1;
        } else if (is_branch(opcode) || kind_of(opcode) == RUN_NOTHING) {
            break;
        } else if (is_xlut(opcode)) {
            worth |= gains(opcode);
            length = last = i + 1;
        }
    }
    return begins && worth && length > 1 ? length : 0;
}

static unsigned count_loops(const hart_op *op, unsigned length)
{
    unsigned loops = 0;
    for (unsigned i = 0; i < length; i++)
        loops += is_branch(hart_op_details(op + i)->in.opcode);
    return loops < NO_LOOP ? loops : NO_LOOP;
}

size_t hart_xlut_run_bytes(const hart_op *op, unsigned length)
{
    return sizeof(hart_xlut_run) + (length + 1) * sizeof(run_op) +
           count_loops(op, length) * sizeof(run_loop);
}

static void prepare_loops(hart_xlut_run *run, const lut_unit *u)
{
    run_loop *loop = run_loops(run);
    for (uint32_t i = 0; i < run->length; i++) {
        run_op *op = &run->ops[i];
        if (!is_branch(op->in->opcode))
            continue;
        *loop = (run_loop){.first = i - distance_back(run->first + i), .branch = i};
        op->loop = (uint8_t)(loop - run_loops(run));
        hart_xlut_prepare_loop(run, loop, u);
        if (loop->is_even) {
            run->ops[loop->first].loop = op->loop;
            run->ops[loop->first].dispatch = RUN_LOOP;
        }
        loop++;
    }
    for (loop = run_loops(run); loop < run_loops(run) + run->loops; loop++)
        hart_xlut_prepare_deferral(run, loop, u);
}

static run_table table_of(const lut_unit *u, const isa_instruction *in)
{
    static const uint64_t none[32];
    lut_operands o;
    lut_operands_of(u, in, none, &o);
    const bool scaled = o.count > 1;
    return (run_table){.bytes = (uint16_t)o.item[0].bytes,
                       .alignment = (uint8_t)o.item[0].alignment,
                       .scale_bytes = scaled ? (uint8_t)o.item[1].bytes : 0};
}

// Where the unit has a way for what the instruction does, that is prepared.
static void choose_way(run_op *op, const lut_unit *u)
{
    const isa_instruction *in = op->in;
    lut_extent rows;
    switch ((run_kind)op->kind) {
    case RUN_LMMA: op->choice = lut_lmma_of(u, in); break;
    case RUN_MMA: op->value = (int32_t)lut_mma_multiply_accumulates(u, in); break;
    case RUN_DEQUANTIZE:
        op->scale = lut_scale_of(u, in);
        op->reads = (run_scale){.bytes = (uint16_t)(u->n * scale_size(in)),
                                .factor_bytes = in->rs2 ? (uint8_t)(4 * u->m) : 0,
                                .alignment = (uint8_t)scale_size(in)};
        break;
    case RUN_WHOLE:
    case RUN_FILL:
        rows = lut_extent_of(u, in);
        if (in->opcode == ISA_LUT_TBL && in->rs2 == 0) {
            op->kind = RUN_TABLE;
            op->table = table_of(u, in);
            op->build = lut_build_of(u, in);
        }
        if (!rows.move)
            break;
        op->kind = op->kind == RUN_FILL ? RUN_GET : RUN_PUT;
        op->rows = rows;
        if (in->opcode == ISA_LUT_ST)
            op->rd = in->rs2, op->rs2 = op->rs3 = 0;
        break;
    default: break;
    }
}

static run_op prepare_op(const hart_op *op, const lut_unit *u)
{
    const isa_instruction *in = &hart_op_details(op)->in;
    run_op prepared = {.in = in,
                       .kind = (uint8_t)kind_of(in->opcode),
                       .rd = op->rd,
                       .rs1 = in->rs1,
                       .rs2 = in->rs2,
                       .rs3 = in->rs3,
                       .half = in->half,
                       .value = in->imm,
                       .loop = NO_LOOP};
    choose_way(&prepared, u);
    prepared.dispatch = prepared.kind;
    return prepared;
}

void hart_xlut_prepare_run(hart_xlut_run *run, hart_op *op, unsigned length, const lut_unit *u)
{
    run->first = op;
    run->length = length;
    run->loops = count_loops(op, length);
    for (unsigned i = 0; i < length; i++)
        run->ops[i] = prepare_op(op + i, u);
    run->ops[length] = (run_op){.dispatch = RUN_END};
    prepare_loops(run, u);
}

unsigned hart_xlut_run_arithmetic(const hart_xlut_run *run, unsigned at)
{
    unsigned end = at;
    while (is_arithmetic(&run->ops[end]))
        end++;
    return end - at;
}

// Branches to the middle of them find each as it was.
void hart_xlut_run_use(hart_xlut_run *run, unsigned at, unsigned count, hart_run_code *code)
{
    run_op *op = run->ops + at;
    op->dispatch = RUN_ARITHMETIC;
    op->code = code;
    op->value = (int32_t)count;
}

// -------------------------------------------------------------------- execution

static inline void settle_passing(lut_unit *u, uint32_t *passing)
{
    lut_settle(u, *passing);
    *passing = 0;
}

// Rows of tiles come from far away, as those of caches of keys.
static inline void prefetch(const hart *h, uint64_t address)
{
    if (address < h->memory_limit)
        __builtin_prefetch(h->memory_base + address);
}

// Takes a branch back; false: it is left to whoever executes branches.
static inline bool goes_back(hart *h, hart_op *branch, const hart_op *first)
{
    if (branch->target != first || h->budget < branch->cost)
        return false;
    branch->taken++;
    h->budget -= branch->cost;
    return true;
}

// Operands that are where others were before, and tiles that are no references. False: nothing was
// done.
static inline bool dequantize_quickly(hart *h, lut_unit *u, const run_op *op)
{
    const uint8_t *scales, *factors;
    if (!op->scale || !find_scaling(h, op, &scales, &factors) ||
        (u->references && u->references & (1u << op->rd | 1u << op->rs3)))
        return false;
    u->counters.bytes_read += op->reads.bytes + op->reads.factor_bytes;
    op->scale(u, op->rd, op->rs3, scales, factors);
    return true;
}

static inline bool put(hart *h, lut_unit *u, const run_op *op, uint32_t *passing)
{
    lut_extent r;
    uint8_t *first = find_part(h, op, true, &r);
    if (!first)
        return false;
    settle_overlapped(u, passing, first, (int64_t)h->x[op->rs2], &r);
    lut_settle(u, 1u << op->rd);
    u->counters.bytes_written += (uint32_t)r.rows * r.bytes;
    r.move(u, op->rd, first, (int64_t)h->x[op->rs2], r.rows, r.bytes);
    return true;
}

static inline bool get(hart *h, lut_unit *u, const run_op *op)
{
    lut_extent r;
    uint8_t *first = find_part(h, op, false, &r);
    if (!first)
        return false;
    lut_forget(u, op->rd);
    u->counters.bytes_read += (uint32_t)r.rows * r.bytes;
    r.move(u, op->rd, first, (int64_t)h->x[op->rs2], r.rows, r.bytes);
    return true;
}

static inline bool finds_scales(const run_op *op)
{
    return op->in->table == XLUT_TABLE_I8_DYNAMIC;
}

static __attribute__((noinline)) void build_as_defined(lut_unit *u, const isa_instruction *in,
                                                       uint8_t *row, uint8_t *scales)
{
    lut_operands o;
    o.count = in->rs3 ? 2 : 1;
    o.item[0].rows = 1;
    o.item[0].host[0] = row;
    o.item[1].host[0] = scales;
    u->functions[ISA_LUT_TBL](u, in, &o);
}

// A lut.tbl of one row. False: nothing was done.
static inline bool build_table(hart *h, lut_unit *u, const run_op *op)
{
    const run_table *table = &op->table;
    const bool writes = finds_scales(op);
    uint8_t *const row = find_extent(h, h->x[op->rs1], 0, 1, table->bytes, table->alignment, false);
    uint8_t *const scales =
        op->rs3 ? find_extent(h, h->x[op->rs3], 0, 1, table->scale_bytes, 4, writes) : NULL;
    if (!row || (op->rs3 && !scales))
        return false;
    lut_forget(u, op->rd);
    if (op->build)
        op->build(u, op->in, row, scales, false);
    else
        build_as_defined(u, op->in, row, scales);
    u->counters.bytes_read += table->bytes + (writes ? 0 : table->scale_bytes);
    u->counters.bytes_written += writes ? table->scale_bytes : 0;
    return true;
}

// Not inlined: what is quick keeps no registers, and has no room for operands.
#define SLOWLY(name, action)                                                                       \
    static __attribute__((noinline)) void name(hart *h, const isa_instruction *in)                 \
    {                                                                                              \
        action(h, h->lut, in);                                                                     \
    }
SLOWLY(dequantize_slowly, dequantize)
SLOWLY(fill_slowly, fill)
SLOWLY(execute_slowly, execute_whole)

// Each operation jumps to the next one, as steps do.
hart_op *hart_xlut_execute_run(hart *h, const hart_xlut_run *run)
{
    static const void *const labels[] = {
        [RUN_LOAD] = &&load,
        [RUN_LMMA] = &&look_up,
        [RUN_DEQUANTIZE] = &&dequantize,
        [RUN_OFFSET] = &&other,
        [RUN_ZERO] = &&zero,
        [RUN_WHOLE] = &&whole,
        [RUN_PUT] = &&put,
        [RUN_GET] = &&get,
        [RUN_TABLE] = &&table,
        [RUN_FILL] = &&fill,
        [RUN_MMA] = &&mma,
        [RUN_PREFETCH] = &&prefetch,
        [RUN_IDLE] = &&idle,
        [RUN_OTHER] = &&other,
        [RUN_BRANCH] = &&branch,
        [RUN_LESS] = &&less,
        [RUN_LOOP] = &&loop,
        [RUN_END] = &&end,
        [RUN_DEFER_ZERO] = &&defer_zero,
        [RUN_DEFER_SCALE] = &&defer_scale,
        [RUN_DEFER_STORE] = &&defer_store,
        [RUN_ARITHMETIC] = &&arithmetic,
#define REGISTER(E, result) [RUN_##E] = &&do_##E,
#define IMMEDIATE(E, result) REGISTER(E, result)
#include "runtime/hart/integer.def"
    };
    lut_unit *const u = h->lut;
    const run_loop *const loops = run_loops(run);
    uint32_t passing = 0;
    run_deferred deferred;
    deferred.loop = NULL;
    hart_op *at = run->first;
    const run_op *op = run->ops;
    goto *labels[op->dispatch];
#define HERE (*(const hart_op *volatile *)&h->op = at) // what may fault
#define NEXT                                                                                       \
    at++, op++;                                                                                    \
    goto *labels[op->dispatch]
load:
    HERE;
    load(h, u, op->rd, op->half, h->x[op->rs1] + (uint64_t)(int64_t)op->value, &passing);
    NEXT;
look_up:
    HERE;
    look_up_and_count(u, op->in, op->choice);
    NEXT;
dequantize:
    HERE;
    if (!dequantize_quickly(h, u, op))
        dequantize_slowly(h, op->in);
    lut_fetch(u);
    NEXT;
zero:
    clear(u, op->in);
    NEXT;
whole:
    HERE;
    settle_passing(u, &passing);
    execute_slowly(h, op->in);
    NEXT;
fill:
    HERE;
    fill_slowly(h, op->in);
    NEXT;
put:
    HERE;
    if (!put(h, u, op, &passing))
        goto whole;
    lut_fetch(u);
    NEXT;
table:
    HERE;
    if (finds_scales(op))
        settle_passing(u, &passing);
    if (!build_table(h, u, op))
        goto whole;
    lut_fetch(u);
    NEXT;
get:
    HERE;
    if (!get(h, u, op))
        fill_slowly(h, op->in);
    NEXT;
mma:
    multiply(u, op->in, (uint64_t)(uint32_t)op->value);
    lut_fetch(u);
    NEXT;
prefetch:
    prefetch(h, h->x[op->rs1] + (uint64_t)(int64_t)op->value);
    NEXT;
idle:
    NEXT;
loop:
    HERE;
    if (deferred.loop && hart_xlut_defer_loop(h, run, &deferred, &passing)) {
        at = run->first + deferred.loop->branch;
        op = run->ops + deferred.loop->branch;
        NEXT;
    }
    if (!hart_xlut_execute_loop(h, run, &loops[op->loop], &passing) || loops[op->loop].leaves_last)
        goto *labels[op->kind];
    at = run->first + loops[op->loop].branch;
    op = run->ops + loops[op->loop].branch;
    goto *labels[op->dispatch];
arithmetic:
    op->code(at, h);
    at += op->value, op += op->value;
    goto *labels[op->dispatch];
defer_zero:
    lut_forget(u, op->rd);
    defer_zero(&deferred, &loops[op->loop], op->rd);
    NEXT;
defer_scale:
    HERE;
    if (!deferred.loop || !hart_xlut_defer_scaling(h, run, &deferred, op, &passing))
        goto dequantize;
    NEXT;
defer_store:
    HERE;
    if (!deferred.loop || !hart_xlut_finish_with_store(h, run, &deferred, op, &passing))
        goto put;
    NEXT;
branch:
    if (h->x[op->rs1] == h->x[op->rs2]) {
        NEXT;
    }
    goto back;
less:
    if ((int64_t)h->x[op->rs1] >= (int64_t)h->x[op->rs2]) {
        NEXT;
    }
back:
    if (!goes_back(h, at, run->first + loops[op->loop].first)) {
        lut_settle(u, passing);
        return at;
    }
    at = run->first + loops[op->loop].first;
    op = run->ops + loops[op->loop].first;
    goto *labels[op->dispatch];
other:
    HERE;
    settle_passing(u, &passing);
    at->execute(h, op->in);
    NEXT;
#define REGISTER(E, result)                                                                        \
    do_##E : do_##E(at, h, NULL, 0, h->x[op->rs1], NULL);                                          \
    NEXT;
#define IMMEDIATE(E, result) REGISTER(E, result)
#include "runtime/hart/integer.def"
end:
    lut_settle(u, passing);
    lut_fetch(u);
    return NULL;
}

// ---------------------------------------------------------- instructions by themselves

static void single_dequantize(hart *h, const hart_xlut_single *s)
{
    lut_fetch(h->lut);
    if (!dequantize_quickly(h, h->lut, &s->op))
        dequantize_slowly(h, s->op.in);
}

static void single_clear(hart *h, const hart_xlut_single *s)
{
    clear(h->lut, s->op.in);
}

static void single_put(hart *h, const hart_xlut_single *s)
{
    uint32_t passing = 0;
    lut_fetch(h->lut);
    if (!put(h, h->lut, &s->op, &passing))
        execute_slowly(h, s->op.in);
}

static void single_get(hart *h, const hart_xlut_single *s)
{
    if (!get(h, h->lut, &s->op))
        fill_slowly(h, s->op.in);
}

static void single_table(hart *h, const hart_xlut_single *s)
{
    lut_fetch(h->lut);
    if (!build_table(h, h->lut, &s->op))
        execute_slowly(h, s->op.in);
}

static void single_multiply(hart *h, const hart_xlut_single *s)
{
    lut_fetch(h->lut);
    multiply(h->lut, s->op.in, (uint64_t)(uint32_t)s->op.value);
}

size_t hart_xlut_single_bytes(void)
{
    return sizeof(hart_xlut_single);
}

bool hart_xlut_prepare_single(hart_xlut_single *s, const hart_op *op, const lut_unit *u)
{
    static void (*const ways[])(hart *,
                                const hart_xlut_single *) = {[RUN_DEQUANTIZE] = single_dequantize,
                                                             [RUN_ZERO] = single_clear,
                                                             [RUN_PUT] = single_put,
                                                             [RUN_GET] = single_get,
                                                             [RUN_TABLE] = single_table,
                                                             [RUN_MMA] = single_multiply,
                                                             [RUN_END] = NULL};
    _Static_assert(offsetof(hart_xlut_single, record) == HART_SINGLE_RECORD &&
                       offsetof(hart_xlut_single, execute) == HART_SINGLE_EXECUTE,
                   "machine code uses them");
    if (!is_xlut(hart_op_details(op)->in.opcode))
        return false;
    *s = (hart_xlut_single){.record = op, .op = prepare_op(op, u)};
    s->execute = s->op.kind < RUN_END ? ways[s->op.kind] : NULL;
    return s->execute != NULL;
}
