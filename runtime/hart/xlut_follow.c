// What a round of a loop does: whether it advances evenly through memory, and the strips that it
// makes for the LUT unit.

#include "runtime/hart/xlut_run.h"

#include <string.h>

// What a register holds: the sum of two at the start of the round, and so much more.
typedef struct term {
    run_pair at;
    int32_t offset;
} term;

typedef struct round_state {
    const lut_unit *u;
    run_loop *loop;
    term x[33];
    uint64_t written;                   // integer registers
    uint32_t changed, read;             // tiles, but for what lmma reads
    uint32_t filled, wide;              // by lut.lda; with f32
    lut_place tile[ISA_TILE_REGISTERS]; // where they were loaded from
    strip_draft draft;
    bool understood;
} round_state;

static run_span *span_of(run_loop *loop, term x)
{
    for (unsigned i = 0; i < loop->spans; i++)
        if (memcmp(&loop->span[i].at, &x.at, sizeof x.at) == 0)
            return &loop->span[i];
    if (loop->spans == LUT_MOST_SPANS)
        return NULL;
    run_span *s = &loop->span[loop->spans++];
    *s = (run_span){.at = x.at, .alignment = 1, .low = INT32_MAX, .high = INT32_MIN};
    return s;
}

// Notes that `alignment` is asked for at `offset`. False: not together with what else is.
static bool align(run_span *s, int32_t offset, uint32_t alignment)
{
    const uint32_t least = alignment < s->alignment ? alignment : s->alignment;
    if (((uint32_t)(offset - s->aligned) & (least - 1)) != 0)
        return false;
    if (alignment > s->alignment) {
        s->alignment = alignment;
        s->aligned = offset;
    }
    return true;
}

// The place of a memory operand behind a register.
static lut_place place(round_state *r, unsigned reg, int32_t immediate, uint32_t bytes,
                       uint32_t alignment)
{
    const int32_t offset = r->x[reg].offset + immediate;
    run_span *s = span_of(r->loop, r->x[reg]);
    if (!s || !align(s, offset, alignment)) {
        r->understood = false;
        return (lut_place){.span = 0};
    }
    s->low = offset < s->low ? offset : s->low;
    s->high = offset + (int32_t)bytes > s->high ? offset + (int32_t)bytes : s->high;
    r->loop->work.bytes_read += bytes;
    return (lut_place){.span = (uint8_t)(s - r->loop->span), .offset = offset};
}

static void follow_load(round_state *r, run_op *op)
{
    run_loop *loop = r->loop;
    const uint32_t tile = 1u << op->rd;
    op->place[0] = place(r, op->rs1, op->value, op->half ? r->u->half_bytes : r->u->tile_bytes,
                         LUT_TILE_ALIGNMENT);
    r->tile[op->rd] = op->place[0];
    for (unsigned i = 0; i < loop->spans; i++)
        loop->span[i].tiles &= ~tile;
    loop->span[op->place[0].span].tiles |= tile;
    loop->loaded |= tile;
    loop->halves = (loop->halves & ~tile) | (op->half ? tile : 0);
}

// A lut.lda of numbers for all rows of a tile: all that are `stride` apart by the same register.
static void follow_get(round_state *r, const run_op *op)
{
    const isa_instruction *in = op->in;
    const uint32_t tile = 1u << op->rd, size = in->type == XLUT_DATA_F16 ? 2 : 4;
    if (in->opcode != ISA_LUT_LDA || (in->type != XLUT_DATA_F16 && in->type != XLUT_DATA_F32) ||
        op->rs2 == 0 || op->rs3 != 0 || (r->loop->stride && r->loop->stride != op->rs2)) {
        r->understood = false;
        return;
    }
    r->tile[op->rd] = place(r, op->rs1, 0, size * r->u->n, size);
    r->loop->span[r->tile[op->rd].span].has_rows = true;
    r->loop->work.bytes_read += (uint64_t)size * r->u->n * (r->u->m - 1);
    r->loop->stride = op->rs2;
    r->filled |= tile;
    r->wide = (r->wide & ~tile) | (size == 4 ? tile : 0);
}

static lut_place behind(lut_place p, uint32_t bytes)
{
    p.offset += (int32_t)bytes;
    return p;
}

// An lmma as a step of a strip, which only knows tiles that the round has loaded.
static void draft_lmma(round_state *r, const run_op *op)
{
    const isa_instruction *in = op->in;
    const bool narrow = in->table == XLUT_TABLE_I8;
    const unsigned planes = xlut_form_planes(in->form);
    const uint32_t table = 1u << in->rs1, all = ((1u << planes) - 1) << in->rs2;
    lut_step *step = hart_xlut_draft_lmma(&r->draft, op);
    if (!step || (~r->loop->loaded & (table | all)) ||
        (r->loop->halves & (all | (narrow ? 0 : table)))) {
        r->draft.failed = true;
        return;
    }
    step->table = behind(r->tile[in->rs1], (narrow ? 32 : 64) * op->choice->first);
    for (unsigned p = 0; p < planes; p++)
        step->plane[p] = behind(r->tile[in->rs2 + p], 2 * r->u->n * op->choice->first);
}

static void follow_lmma(round_state *r, const run_op *op)
{
    r->changed |= 1u << op->rd;
    r->loop->lmma_count++;
    r->loop->work.lookups += op->choice->lookups;
    r->loop->work.multiply_accumulates += op->choice->multiply_accumulates;
    draft_lmma(r, op);
}

static lut_step *draft_dequantize(round_state *r, const run_op *op)
{
    const uint32_t from = 1u << op->in->rs3;
    lut_step *step;
    if (op->in->type == XLUT_SUM_F32 && (r->filled & from)) {
        step = hart_xlut_draft_row(&r->draft, op, r->u->add_rows);
        if (!step)
            return NULL;
        step->values = r->tile[op->in->rs3];
        step->wide_values = (r->wide & from) != 0;
    } else {
        r->read |= from;
        step = hart_xlut_draft_dequantize(&r->draft, op);
    }
    return step;
}

static void follow_dequantize(round_state *r, run_op *op)
{
    const uint32_t size = scale_size(op->in);
    op->place[0] = place(r, op->rs1, 0, size * r->u->n, size);
    if (op->rs2)
        op->place[1] = place(r, op->rs2, 0, 4 * r->u->m, 4);
    r->changed |= 1u << op->rd;
    lut_step *step = draft_dequantize(r, op);
    if (!step)
        return;
    step->wide_scales = size == 4;
    step->has_factors = op->rs2 != 0;
    step->scales = op->place[0];
    step->factors = op->place[1];
}

static void follow_offset(round_state *r, run_op *op)
{
    const uint32_t size = scale_size(op->in);
    op->place[0] = place(r, op->rs1, 0, 4 * r->u->m, 4);
    op->place[1] = place(r, op->rs2, 0, size * r->u->n, size);
    r->changed |= 1u << op->rd;
    lut_step *step = hart_xlut_draft_offset(&r->draft, op);
    if (!step)
        return;
    step->wide_offsets = size == 4;
    step->row = op->place[0];
    step->column = op->place[1];
}

// A lut.tbl that finds its scales, of one row.
static void follow_table(round_state *r, run_op *op)
{
    run_loop *loop = r->loop;
    const uint32_t bytes = op->table.bytes, written = op->table.scale_bytes;
    if (!op->build || op->rs3 == 0 || op->in->table != XLUT_TABLE_I8_DYNAMIC) {
        r->understood = false;
        return;
    }
    op->place[0] = place(r, op->rs1, 0, bytes, op->table.alignment);
    op->place[1] = place(r, op->rs3, 0, written, 4);
    loop->span[op->place[1].span].written = true;
    loop->work.bytes_read -= written;
    loop->work.bytes_written += written;
    loop->builds = true;
}

// Adds a shifted register. False: there is no room for it.
static bool add_register(run_pair *sum, uint8_t reg, uint8_t shift)
{
    if (reg == 0)
        return true;
    if (sum->base == 0 && shift == 0) {
        sum->base = reg;
        return true;
    }
    if (sum->index || shift > 31)
        return false;
    sum->index = reg;
    sum->shift = shift;
    return true;
}

// x << shift, plus y.
static void follow_addition(round_state *r, const run_op *op, term x, uint8_t shift, term y)
{
    run_pair at = {0};
    const int64_t offset = x.offset * ((int64_t)1 << shift) + y.offset;
    r->understood &= is_moderate(offset) && add_register(&at, y.at.base, 0) &&
                     add_register(&at, y.at.index, y.at.shift) &&
                     add_register(&at, x.at.base, shift) &&
                     add_register(&at, x.at.index, x.at.shift + shift);
    r->x[op->rd] = (term){at, (int32_t)offset};
    r->written |= 1ull << op->rd;
}

// As if it added 64 bits, which is the same where the register holds no more than 30.
static void follow_narrow_addition(round_state *r, const run_op *op)
{
    const term x = r->x[op->rs1];
    r->understood &= x.at.index == 0 && x.offset == 0;
    r->loop->narrow |= 1ull << x.at.base;
    follow_addition(r, op, x, 0, (term){.offset = op->value});
}

// Follows one instruction.
static void follow(round_state *r, run_op *op)
{
    switch ((run_kind)op->kind) {
    case RUN_LOAD: follow_load(r, op); break;
    case RUN_GET: follow_get(r, op); break;
    case RUN_LMMA: follow_lmma(r, op); break;
    case RUN_DEQUANTIZE: follow_dequantize(r, op); break;
    case RUN_OFFSET: follow_offset(r, op); break;
    case RUN_TABLE: follow_table(r, op); break;
    case RUN_PREFETCH:
    case RUN_IDLE: break;
    case RUN_ADDI: follow_addition(r, op, r->x[op->rs1], 0, (term){.offset = op->value}); break;
    case RUN_ADDIW: follow_narrow_addition(r, op); break;
    case RUN_ADD: follow_addition(r, op, r->x[op->rs1], 0, r->x[op->rs2]); break;
    case RUN_SH1ADD: follow_addition(r, op, r->x[op->rs1], 1, r->x[op->rs2]); break;
    case RUN_SH2ADD: follow_addition(r, op, r->x[op->rs1], 2, r->x[op->rs2]); break;
    case RUN_SH3ADD: follow_addition(r, op, r->x[op->rs1], 3, r->x[op->rs2]); break;
    default: r->understood = false;
    }
}

// Adds what the shifted register advances by in each round. False: not by the same in each.
static bool add_advance(const round_state *r, uint8_t reg, uint8_t shift, run_advance *advance)
{
    const term x = r->x[reg];
    const int64_t constant = advance->constant + x.offset * ((int64_t)1 << shift);
    if (!is_moderate(constant))
        return false;
    advance->constant = (int32_t)constant;
    if (x.at.base == reg && x.at.index == 0)
        return true;
    const bool is_base = x.at.base == reg, is_index = x.at.index == reg && x.at.shift == 0;
    const uint8_t other = is_base ? x.at.index : x.at.base;
    if (!(is_base || is_index) || advance->reg || r->written >> other & 1)
        return false;
    advance->reg = other;
    advance->shift = shift + (is_base ? x.at.shift : 0);
    return true;
}

static bool add_advances(const round_state *r, run_pair at, run_advance *advance)
{
    return add_advance(r, at.base, 0, advance) && add_advance(r, at.index, at.shift, advance);
}

static bool list_changes(const round_state *r, run_loop *loop)
{
    bool even = true;
    for (uint8_t reg = 0; reg < 33; reg++) {
        if (!(r->written >> reg & 1))
            continue;
        if (loop->changes == MOST_CHANGES)
            return false;
        run_change *c = &loop->change[loop->changes++];
        *c = (run_change){.reg = reg, .at = r->x[reg].at, .offset = r->x[reg].offset};
        even &= add_advances(r, c->at, &c->advance);
        c->steady = c->at.base == reg && c->at.index == 0 && c->advance.reg == 0;
    }
    return even;
}

static bool advances_evenly(const round_state *r, run_loop *loop, const hart_op *branch)
{
    run_advance compared = {0};
    bool even = (loop->loaded & (r->changed | r->read | r->filled)) == 0 &&
                (r->filled & (r->changed | r->read)) == 0 &&
                ((1ull << loop->stride | loop->narrow) & r->written & ~1ull) == 0 &&
                !(loop->builds && (loop->loaded | r->changed | r->filled));
    for (unsigned i = 0; i < loop->spans; i++) {
        run_span *s = &loop->span[i];
        even &= add_advances(r, s->at, &s->advance);
    }
    even &=
        add_advance(r, branch->rs1, 0, &compared) && compared.constant != 0 && compared.reg == 0;
    loop->advance = compared.constant;
    return even && !(r->written >> branch->rs2 & 1) && list_changes(r, loop);
}

static void list_loads(const round_state *r, run_loop *loop)
{
    for (uint32_t left = loop->loaded; left; left &= left - 1) {
        const uint8_t tile = (uint8_t)__builtin_ctz(left);
        loop->load[loop->loads++] = (run_load){.from = r->tile[tile], .tile = tile};
    }
}

// Its ops hold the places of the loop within.
static bool has_loop(const hart_xlut_run *run, const run_loop *loop)
{
    const run_op *op = run->ops + loop->first, *end = run->ops + loop->branch;
    while (op < end && op->kind != RUN_BRANCH && op->kind != RUN_LESS)
        op++;
    return op < end;
}

void hart_xlut_prepare_loop(hart_xlut_run *run, run_loop *loop, const lut_unit *u)
{
    round_state r = {.u = u, .loop = loop, .understood = !has_loop(run, loop)};
    hart_xlut_start_draft(&r.draft);
    for (uint8_t i = 0; i < 33; i++)
        r.x[i] = (term){.at = {.base = i}};
    for (uint32_t i = loop->first; i < loop->branch && r.understood; i++)
        follow(&r, &run->ops[i]);
    loop->is_even = r.understood && advances_evenly(&r, loop, run->first + loop->branch);
    if (loop->is_even)
        hart_xlut_finish_draft(&r.draft, loop, u);
    list_loads(&r, loop);
    loop->steady = loop->stride == 0 && loop->narrow == 0 && loop->spans <= HART_ROOM_SPANS;
    for (unsigned i = 0; i < loop->spans; i++)
        loop->steady &= loop->span[i].advance.reg == 0;
    loop->less = run->ops[loop->branch].kind == RUN_LESS;
    loop->leaves_last = r.filled != 0;
    loop->is_even &= loop->strips > 0 || !loop->leaves_last;
}
