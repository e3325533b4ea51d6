// Runs of Xlut instructions: executed as a whole, and loops of them round by round.

#include "runtime/hart/xlut.h"

#include <string.h>

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
    const bool begins = op->index < count && is_xlut(hart_op_details(op)->in.opcode);
    unsigned length = 0; // to the last Xlut instruction
    for (unsigned i = 0; op->index + i < count; i++) {
        const unsigned opcode = hart_op_details(op + i)->in.opcode;
        if (length > 1 && is_back_branch(op + i, op))
            return i;
        if (kind_of(opcode) == RUN_NOTHING)
            break;
        if (is_xlut(opcode))
            length = i + 1;
    }
    return begins && length > 1 ? length : 0;
}

size_t hart_xlut_run_bytes(unsigned length)
{
    return sizeof(hart_xlut_run) + length * sizeof(hart_xlut_op);
}

// ----------------------------------------------------- rounds that advance evenly

// What a register holds in terms of one at the start of the round.
typedef struct term {
    uint8_t base;
    int32_t offset;
} term;

typedef struct round_state {
    term x[33];
    uint64_t written;               // integer registers
    uint32_t loaded, changed, read; // tiles, but for what lmma reads
} round_state;

static hart_xlut_operand operand_of(const round_state *r, unsigned reg, int32_t offset)
{
    return (hart_xlut_operand){.base = r->x[reg].base, .offset = r->x[reg].offset + offset};
}

// Follows one instruction; false: this is not understood.
static bool follow(round_state *r, hart_xlut_op *op)
{
    switch ((run_kind)op->kind) {
    case RUN_LOAD:
        op->operand[0] = operand_of(r, op->rs1, op->value);
        r->loaded |= 1u << op->rd;
        return true;
    case RUN_LMMA: r->changed |= 1u << op->rd; return true;
    case RUN_DEQUANTIZE:
        op->operand[0] = operand_of(r, op->rs1, 0);
        op->operand[1] = operand_of(r, op->rs2, 0);
        r->changed |= 1u << op->rd;
        r->read |= 1u << op->in->rs3;
        return true;
    case RUN_ADDI:
        op->operand[0] = operand_of(r, op->rs1, op->value);
        r->x[op->rd] = (term){op->operand[0].base, op->operand[0].offset};
        r->written |= 1ull << op->rd;
        return true;
    default: return false;
    }
}

// Whether the register advances by the same in each round, or not at all.
static bool advance_of(const round_state *r, unsigned reg, int32_t *advance)
{
    *advance = r->x[reg].offset;
    return r->x[reg].base == reg;
}

static bool is_even(hart_xlut_run *run)
{
    round_state r = {.written = 0};
    for (uint8_t i = 0; i < 33; i++)
        r.x[i].base = i;
    for (uint32_t i = 0; i < run->length; i++)
        if (!follow(&r, &run->ops[i]))
            return false;
    bool even = (r.loaded & (r.changed | r.read)) == 0;
    for (uint32_t i = 0; i < run->length; i++)
        for (unsigned k = 0; k < 2; k++) {
            hart_xlut_operand *o = &run->ops[i].operand[k];
            even &= advance_of(&r, o->base, &o->advance);
        }
    const hart_op *branch = run->first + run->length;
    even &= advance_of(&r, branch->rs1, &run->advance) && run->advance != 0;
    return even && !(r.written >> branch->rs2 & 1);
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
    run->is_even = run->loops && is_even(run);
}

// Where an operand is in each round.
typedef struct track {
    const uint8_t *host;
    int64_t advance;
    bool lasting;
} track;

// False: not in one of the segments that are remembered, or misaligned.
static inline bool find_track(const hart *h, const hart_xlut_operand *o, uint64_t rounds,
                              uint32_t bytes, uint32_t alignment, track *out)
{
    const uint64_t first = h->x[o->base] + (uint64_t)(int64_t)o->offset;
    const uint64_t last = first + (rounds - 1) * (uint64_t)(int64_t)o->advance;
    if (((first | last | (uint64_t)(int64_t)o->advance) & (alignment - 1)) != 0)
        return false;
    out->host = h->memory_base + first;
    out->advance = o->advance;
    for (unsigned i = 0; i < SEGMENTS; i++) {
        const hart_segment *s = &h->operands[i];
        out->lasting = i == CONSTANT;
        if (lies_in(s, first, bytes) && lies_in(s, last, bytes))
            return true;
    }
    return false;
}

// How often the run can be executed until its branch is not taken, or has to be looked at.
static uint64_t count_rounds(const hart *h, const hart_xlut_run *run)
{
    enum { MOST = 1 << 20 };
    const hart_op *branch = run->first + run->length;
    const int64_t distance = (int64_t)(h->x[branch->rs2] - h->x[branch->rs1]);
    if (branch->target != run->first || h->budget < branch->cost || distance % run->advance != 0)
        return 0;
    const int64_t rounds = distance / run->advance, allowed = h->budget / branch->cost + 1;
    const int64_t most = allowed < MOST ? allowed : MOST;
    return rounds < 1 ? 0 : (uint64_t)(rounds < most ? rounds : most);
}

typedef struct rounds {
    const hart_xlut_op *op[HART_LONGEST_BLOCK]; // those with work, and their operands
    track track[HART_LONGEST_BLOCK][2];
    uint32_t count;
    uint32_t loaded, halves,
        lasting;       // tiles that are loaded; half of them; from where nobody writes
    lut_counters work; // of each round
} rounds;

static bool add_load(const hart *h, const hart_xlut_op *op, uint64_t count, rounds *r)
{
    const uint32_t bytes = h->lut->tile_bytes >> op->half, tile = 1u << op->rd;
    track *t = r->track[r->count];
    if (!find_track(h, &op->operand[0], count, bytes, LUT_TILE_ALIGNMENT, t))
        return false;
    r->loaded |= tile;
    r->halves = (r->halves & ~tile) | (op->half ? tile : 0);
    r->lasting = (r->lasting & ~tile) | (t->lasting ? tile : 0);
    r->work.bytes_read += bytes;
    return true;
}

static bool add_dequantize(const hart *h, const hart_xlut_op *op, uint64_t count, rounds *r)
{
    const uint32_t size = op->in->scale_type == XLUT_SCALE_F16 ? 2 : 4, bytes = h->lut->n * size;
    track *t = r->track[r->count];
    r->work.bytes_read += bytes;
    if (!find_track(h, &op->operand[0], count, bytes, size, &t[0]))
        return false;
    if (op->rs2 == 0)
        return true;
    r->work.bytes_read += 4 * h->lut->m;
    return find_track(h, &op->operand[1], count, 4 * h->lut->m, 4, &t[1]);
}

static bool find_tracks(const hart *h, const hart_xlut_run *run, uint64_t count, rounds *r)
{
    r->count = r->loaded = r->halves = r->lasting = 0;
    r->work = (lut_counters){0};
    for (const hart_xlut_op *op = run->ops, *end = op + run->length; op < end; op++) {
        const lut_lmma *choice = &h->lut->lmma[op->choice];
        if (op->kind == RUN_ADDI)
            continue;
        if (op->kind == RUN_LOAD && !add_load(h, op, count, r))
            return false;
        if (op->kind == RUN_DEQUANTIZE && !add_dequantize(h, op, count, r))
            return false;
        if (op->kind == RUN_LMMA) {
            r->work.lookups += choice->lookups;
            r->work.multiply_accumulates += choice->multiply_accumulates;
        }
        r->op[r->count++] = op;
    }
    return true;
}

// An lmma may have settled what was loaded in the round before.
static inline void execute_round(lut_unit *u, rounds *r)
{
    u->references |= r->loaded;
    u->half_references = (u->half_references & ~r->loaded) | r->halves;
    for (uint32_t i = 0; i < r->count; i++) {
        const hart_xlut_op *op = r->op[i];
        track *t = r->track[i];
        if (op->kind == RUN_LOAD) {
            u->at[op->rd] = t->host;
            t->host += t->advance;
        } else if (op->kind == RUN_LMMA) {
            look_up(u, op->in, &u->lmma[op->choice]);
        } else {
            lut_operands operands;
            operands.count = op->rs2 ? 2 : 1;
            for (unsigned k = 0; k < operands.count; k++) {
                operands.item[k].host[0] = (uint8_t *)(uintptr_t)t[k].host;
                t[k].host += t[k].advance;
            }
            lut_own(u, 1u << op->rd);
            lut_settle(u, 1u << op->in->rs3);
            u->functions[ISA_LUT_DEQ](u, op->in, &operands);
        }
    }
}

static void count_work(lut_counters *c, const lut_counters *work, uint64_t count)
{
    c->lookups += count * work->lookups;
    c->multiply_accumulates += count * work->multiply_accumulates;
    c->bytes_read += count * work->bytes_read;
}

// Planes and a table are loaded, and one lmma adds: the round as part of a strip.
static bool is_strip(const lut_unit *u, const rounds *r, lut_strip *s)
{
    const hart_xlut_op *last = r->op[r->count - 1];
    const unsigned planes = xlut_form_planes(last->in->form);
    const bool narrow = last->in->table == XLUT_TABLE_I8;
    if (last->kind != RUN_LMMA || last->in->start || !u->lmma[last->choice].strip)
        return false;
    const uint32_t table = 1u << last->rs1, all = ((1u << planes) - 1) << last->rs2;
    if (r->count != planes + 2 || (table & all) != 0 || r->loaded != (table | all) ||
        (r->halves & ~(narrow ? table : 0)) != 0)
        return false;
    for (unsigned i = 0; i <= planes; i++) {
        const track *t = &r->track[i][0];
        const unsigned tile = r->op[i]->rd, p = tile - last->rs2;
        *(tile == last->rs1 ? &s->table : &s->plane[p]) = t->host;
        *(tile == last->rs1 ? &s->table_advance : &s->plane_advance[p]) = t->advance;
    }
    return true;
}

// Executes rounds as a strip, but for the last one, after which tiles are as they should be.
static uint64_t execute_strip(lut_unit *u, rounds *r, uint64_t count)
{
    lut_strip s = {.count = count - 1};
    if (!is_strip(u, r, &s))
        return 0;
    const hart_xlut_op *lmma = r->op[r->count - 1];
    lut_own(u, 1u << lmma->rd);
    const uint64_t done = u->lmma[lmma->choice].strip(u, lmma->in, &s);
    for (uint32_t i = 0; i + 1 < r->count; i++)
        r->track[i][0].host += (int64_t)done * r->track[i][0].advance;
    return done;
}

// The integer registers as `count` rounds leave them.
static void advance_registers(hart *h, const hart_xlut_run *run, uint64_t count)
{
    uint64_t before[33];
    memcpy(before, h->x, sizeof before);
    for (const hart_xlut_op *op = run->ops, *end = op + run->length; op < end; op++) {
        const hart_xlut_operand *o = &op->operand[0];
        if (op->kind == RUN_ADDI)
            h->x[op->rd] = before[o->base] + (uint64_t)(int64_t)o->offset +
                           (count - 1) * (uint64_t)(int64_t)o->advance;
    }
}

// Many rounds at once, none of which can fault. False: nothing was done.
static bool execute_rounds(hart *h, const hart_xlut_run *run, uint32_t *passing)
{
    const uint64_t count = count_rounds(h, run);
    rounds r;
    if (count < 2 || !find_tracks(h, run, count, &r))
        return false;
    for (uint64_t k = execute_strip(h->lut, &r, count); k < count; k++)
        execute_round(h->lut, &r);
    *passing = (*passing & ~r.loaded) | (r.loaded & ~r.lasting);
    advance_registers(h, run, count);
    hart_op *branch = run->first + run->length;
    branch->taken += count - 1;
    h->budget -= (int64_t)(count - 1) * branch->cost;
    count_work(&h->lut->counters, &r.work, count);
    return true;
}

// -------------------------------------------------------------------- execution

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
        case RUN_LMMA: look_up_and_count(u, op->in, &u->lmma[op->choice]); break;
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
    h->op = run->first;
    do {
        if (!run->is_even || !execute_rounds(h, run, &passing))
            execute_run(h, h->lut, run, &passing);
    } while (goes_round(h, run));
    lut_settle(h->lut, passing);
}
