// One call of a kernel: its loops are executed, round by round, until rounds repeat themselves; the
// rest is counted. Rounds that differ, because something inside depends on the counter, are
// executed at some counters and taken for linear in between.
#include "compiler/estimate/walk.h"

#include <math.h>
#include <string.h>

static bool value_of(walker *w, const ir_op *op, const ir_value *v, int64_t *out)
{
    const value_info *i = info(w, v);
    if (!i->known)
        walk_fail(w, op, "a size is not known before the program runs");
    *out = i->value;
    return i->known;
}

// ------------------------------------------------------------------------------- loops

static void walk_op(walker *w, ir_op *op);

typedef struct rounds {
    ir_op *op;
    loop_info *info;
    int64_t lower, step; // of the counter; of a strip: lanes
    int64_t count;       // rounds of this hart
    int64_t total;       // of a strip: elements
    unsigned first_initial, first_argument;
} rounds;

static void begin_round(walker *w, const rounds *r, int64_t index)
{
    const ir_block *body = r->op->regions[0];
    value_info *counter = info(w, body->arguments.items[0]);
    counter->known = true;
    counter->value = r->lower + index * r->step;
    if (r->op->code != IR_STRIP)
        return;
    int64_t left = r->total - counter->value;
    w->lanes = (uint64_t)(left < r->step ? left : r->step);
    w->shape.vl = w->lanes;
    value_info *lanes = info(w, body->arguments.items[1]);
    lanes->known = true;
    lanes->value = (int64_t)w->lanes;
    walk_plain(w, ISA_SUB, 1);
    walk_plain(w, ISA_VSETVLI, 1);
    scalar_type t = SCALAR_F32;
    scalar_by_name(ir_name(r->op, "width"), &t);
    w->sew = scalar_rows[t].bits;
    w->policy = 0;
}

// Whether there is more, of a constant power of two that no comparison takes as it is.
static bool compares_by_shift(const walker *w, const ir_op *strip)
{
    const ir_value *n = ir_operand(strip, 0);
    const int64_t total = info(w, n)->value;
    bool constant = n->kind == IR_VALUE_RESULT && n->op->code == IR_CONSTANT;
    return constant && total >= 2048 && !(total & (total - 1));
}

// What moves counters and pointers to the next round.
static void move_on(walker *w, const ir_op *loop)
{
    const loop_info *l = w->info->ops.items[loop->mark].loop;
    walk_plain(w, ISA_ADD, l->integers);
    if (loop->code == IR_STRIP)
        walk_plain(w, ISA_ADD, 1 + compares_by_shift(w, loop));
    walk_plain(w, ISA_MUL, l->multiplies);
    walk_plain(w, ISA_DIV, l->divides);
}

// A strip's last store waits for what it stores: LLVM moves on in front of it.
static bool moves_on_early(const ir_op *op)
{
    return (op->code == IR_VSTORE || op->code == IR_VSTORE_PAIRS) && op->next &&
           op->next->code == IR_YIELD;
}

static void end_round(walker *w, const rounds *r)
{
    const ir_op *yield = r->op->regions[0]->last;
    for (unsigned i = 0; i < r->op->n_results; i++)
        take(w, r->op->regions[0]->arguments.items[r->first_argument + i], ir_operand(yield, i));
    if (r->op->code != IR_STRIP || !yield->previous || !moves_on_early(yield->previous))
        move_on(w, r->op);
    walk_plain(w, ISA_BNE, 1);
}

static void run_round(walker *w, const rounds *r, int64_t index)
{
    begin_round(w, r, index);
    walk_block(w, r->op->regions[0]);
    end_round(w, r);
}

static void add_weighted(counts *to, const counts *delta, double weight)
{
    double *t = (double *)to;
    const double *d = (const double *)delta;
    for (unsigned i = 0; i < COUNTS; i++)
        t[i] += weight * d[i];
}

static counts difference(const counts *now, const counts *before)
{
    counts d = *now;
    add_weighted(&d, before, -1);
    return d;
}

// As if what happened since were done `more` times again.
static void repeat(walker *w, const counts *before, double time_before, double more)
{
    counts *now = hart_counts(w->hart);
    double cycles = hart_time(w->hart) - time_before;
    counts d = difference(now, before);
    d.skipped = cycles;
    add_weighted(now, &d, more);
}

// Rounds after which accesses begin new lines again.
static void note_steps(walker *w, ir_block *b, bool first, int64_t *previous, size_t *n,
                       int64_t *period)
{
    enum { MOST = 64 };
    IR_FOR_OPS(op, b)
    {
        for (unsigned i = 0; i < op->n_regions; i++)
            note_steps(w, op->regions[i], first, previous, n, period);
        int64_t at = w->info->ops.items[op->mark].last_address;
        if (*n == MOST)
            return;
        if (!first) {
            int64_t step = at > previous[*n] ? at - previous[*n] : previous[*n] - at;
            while (step > 0 && step * *period < LINE)
                *period *= 2;
        }
        previous[(*n)++] = at;
    }
}

// The last rounds before `end`, which were counted only, prefetched what the next ones read.
static void note_prefetched(walker *w, const rounds *r, int64_t end, int64_t counted)
{
    enum { MOST = 32 };
    value_info *counter = info(w, r->op->regions[0]->arguments.items[0]);
    if (!r->info->innermost || r->op->code != IR_FOR)
        return;
    for (int64_t i = end - (counted < MOST ? counted : MOST); i < end; i++) {
        counter->known = true;
        counter->value = r->lower + i * r->step;
        walk_prefetched(w, r->op->regions[0]);
    }
}

static bool prefetches(const ir_block *b)
{
    IR_FOR_OPS(op, b)
    {
        if (op->code == IR_XLUT_PF)
            return true;
    }
    return false;
}

// Until what the loop prefetches itself arrives, it reads what was prefetched before, and what was
// not.
static int64_t warm_rounds(const rounds *r)
{
    if (!r->info->innermost)
        return 1;
    return prefetches(r->op->regions[0]) ? 16 : 4;
}

static void run_equal(walker *w, const rounds *r)
{
    int64_t warm = warm_rounds(r), period = r->info->innermost ? 4 : 2;
    int64_t addresses[64], tail = r->op->code == IR_STRIP && r->total % r->step ? 1 : 0, i = 0;
    size_t n = 0;
    counts before = {0};
    double time = 0;
    for (; i < r->count && i < warm; i++) {
        run_round(w, r, i);
        n = 0;
        if (r->info->innermost && i < 2)
            note_steps(w, r->op->regions[0], i == 0, addresses, &n, &period);
    }
    before = *hart_counts(w->hart);
    time = hart_time(w->hart);
    for (; i < r->count && i < warm + period; i++)
        run_round(w, r, i);
    int64_t left = r->count - i - tail;
    if (left > 0) {
        repeat(w, &before, time, (double)left / (double)period);
        i += left;
        note_prefetched(w, r, i, left);
    }
    for (; i < r->count; i++)
        run_round(w, r, i);
}

// At every counter if there are few; else at the first, the last, and some in between.
static void run_different(walker *w, const rounds *r)
{
    enum { FEW = 12, INNER = 7 };
    int64_t at[FEW], n = 0;
    if (r->count <= FEW) {
        for (int64_t i = 0; i < r->count; i++)
            run_round(w, r, i);
        return;
    }
    at[n++] = 0;
    for (int64_t i = 0; i <= INNER; i++)
        at[n++] = 1 + i * (r->count - 3) / INNER;
    at[n++] = r->count - 1;
    for (int64_t i = 0; i < n; i++) {
        double weight = 1;
        weight += i ? (double)(at[i] - at[i - 1] - 1) / 2 : 0;
        weight += i + 1 < n ? (double)(at[i + 1] - at[i] - 1) / 2 : 0;
        if (i && at[i] > at[i - 1] + 1) { // what the round before leaves in scratch
            counts skipped = *hart_counts(w->hart);
            double from = hart_time(w->hart);
            run_round(w, r, at[i] - 1);
            repeat(w, &skipped, from, -1);
        }
        counts before = *hart_counts(w->hart);
        double time = hart_time(w->hart);
        run_round(w, r, at[i]);
        repeat(w, &before, time, weight - 1);
    }
}

static void begin_carried(walker *w, const rounds *r)
{
    for (unsigned i = 0; i < r->op->n_results; i++) {
        const ir_value *initial = ir_operand(r->op, r->first_initial + i);
        const ir_value *argument = r->op->regions[0]->arguments.items[r->first_argument + i];
        take(w, argument, initial);
        if (argument->type->kind != IR_VECTOR)
            continue;
        operands x = walk_operand(w, initial);
        info(w, argument)->at = hart_issue_plain(w->hart, ISA_VMV4R_V, &w->shape, &x);
    }
}

static void run_rounds(walker *w, const rounds *r)
{
    begin_carried(w, r);
    walk_plain(w, ISA_ADDI, r->op->code == IR_FOR ? r->info->pointers : 1);
    if (r->count <= 0)
        walk_plain(w, ISA_BNE, 1);
    else if (r->info->dependent)
        run_different(w, r);
    else
        run_equal(w, r);
    hart_wait(w->hart, w->frame->options->machine->issue_mispredict); // where the loop ends
    for (unsigned i = 0; i < r->op->n_results; i++)
        take(w, &r->op->results[i], r->op->regions[0]->arguments.items[r->first_argument + i]);
}

// Cycles of the array in front of a strip that stands beside its lookups.
static double lookups_before(const walker *w, const ir_op *strip)
{
    double cycles = 0;
    isa_instruction in;
    for (const ir_op *op = strip->previous; op && op->code != IR_STRIP; op = op->previous)
        if (op->code == IR_XLUT_MMA && tile_instruction(op, &in))
            cycles += isa_cost_of(w->frame->options->machine, &in, &w->shape).busy;
    return cycles;
}

// Its instructions issue while the array works, as long as that does.
static void run_beside(walker *w, ir_op *op, const rounds *r)
{
    double before = hart_time(w->hart);
    begin_round(w, r, 0);
    walk_block(w, op->regions[0]);
    w->lanes = 0;
    double hidden = fmin(hart_time(w->hart) - before, lookups_before(w, op));
    hart_counts(w->hart)->skipped -= hidden;
}

static void run_strip(walker *w, ir_op *op)
{
    scalar_type t = SCALAR_F32;
    scalar_by_name(ir_name(op, "width"), &t);
    rounds r = {.op = op, .info = w->info->ops.items[op->mark].loop};
    r.first_initial = 1;
    r.first_argument = 2;
    r.step = 4 * w->frame->options->machine->vlen / scalar_rows[t].bits;
    if (!value_of(w, op, ir_operand(op, 0), &r.total))
        return;
    r.count = r.total > 0 ? (r.total + r.step - 1) / r.step : 0;
    if (ir_boolean(op, "beside")) {
        run_beside(w, op, &r);
        return;
    }
    run_rounds(w, &r);
    w->lanes = 0;
}

static int64_t ceiling(int64_t x, int64_t y)
{
    return x / y + (x % y > 0);
}

// How many harts take turns at the rounds of a loop, given those at work outside and the rounds of
// the loop inside that is divided as well.
static int64_t harts_for(const walker *w, int64_t count, int64_t inner)
{
    int64_t free = w->frame->options->machine->harts / w->harts, best = 1;
    double least = INFINITY;
    for (int64_t p = 1; p <= free && p <= count; p++) {
        int64_t q = free / p < inner ? free / p : inner;
        double longest = (double)ceiling(count, p) * (double)ceiling(inner, q);
        if (longest < least) {
            least = longest;
            best = p;
        }
    }
    return best;
}

// Rounds of the divisible loops directly inside, taken together.
static int64_t inner_rounds(walker *w, const ir_op *op)
{
    int64_t most = 1;
    IR_FOR_OPS(inner, op->regions[0])
    {
        const loop_info *i = w->info->ops.items[inner->mark].loop;
        if (inner->code != IR_FOR || !i->divisible || !ir_find(inner, "share"))
            continue;
        // Bounds inside may not be known yet: those that depend on this loop are left whole.
        const value_info *a = info(w, ir_operand(inner, 0)), *b = info(w, ir_operand(inner, 1)),
                         *c = info(w, ir_operand(inner, 2));
        if (a->known && b->known && c->known && c->value > 0 && b->value > a->value)
            most = ceiling(b->value - a->value, c->value);
    }
    return most;
}

// What one hart did, for all that took turns; but not what goes on at the same time.
static void sum_harts(walker *w, const counts *before, double more)
{
    counts d = difference(hart_counts(w->hart), before);
    memset(d.work.busy, 0, sizeof d.work.busy);
    d.work.issued = 0;
    memset(d.first, 0, sizeof d.first);
    d.skipped = d.clock = d.common = d.unique = d.unique_common = 0;
    add_weighted(hart_counts(w->hart), &d, more);
}

static void run_for(walker *w, ir_op *op)
{
    rounds r = {.op = op, .info = w->info->ops.items[op->mark].loop};
    int64_t upper, harts = 1;
    r.first_initial = 3;
    r.first_argument = 1;
    if (!value_of(w, op, ir_operand(op, 0), &r.lower) ||
        !value_of(w, op, ir_operand(op, 1), &upper) || !value_of(w, op, ir_operand(op, 2), &r.step))
        return;
    if (r.step <= 0) {
        walk_fail(w, op, "a loop does not move on");
        return;
    }
    r.count = upper > r.lower ? ceiling(upper - r.lower, r.step) : 0;
    if (r.info->divisible && w->divided < 2 && r.count)
        harts = harts_for(w, r.count, inner_rounds(w, op));
    w->divided += r.info->divisible;
    w->harts *= (uint32_t)harts;
    w->division[r.info->depth] = (uint32_t)harts;
    w->most_harts = w->harts > w->most_harts ? w->harts : w->most_harts;
    double all = (double)r.count;
    r.count = ceiling(r.count, harts);
    r.step *= harts;
    counts before = *hart_counts(w->hart);
    run_rounds(w, &r);
    if (harts > 1)
        sum_harts(w, &before, all / (double)r.count - 1);
    w->harts /= (uint32_t)harts;
    w->division[r.info->depth] = 0;
    w->divided -= r.info->divisible;
}

static bool is_trap(const ir_block *b)
{
    return b->first && b->first->code == IR_TRAP;
}

// Conditions on data: half of the time each.
static void run_if(walker *w, ir_op *op)
{
    const value_info *c = info(w, ir_operand(op, 0));
    bool known = c->known, taken = c->value != 0;
    if (is_trap(op->regions[0]) || is_trap(op->regions[1])) {
        known = true;
        taken = is_trap(op->regions[1]);
    }
    for (unsigned i = 0; i < 2; i++) {
        if (known && taken == (i == 1))
            continue;
        counts before = *hart_counts(w->hart);
        double time = hart_time(w->hart);
        walk_block(w, op->regions[i]);
        if (!known)
            repeat(w, &before, time, -0.5);
        for (unsigned k = 0; k < op->n_results; k++)
            take(w, &op->results[k], ir_operand(op->regions[i]->last, k));
    }
}

static void walk_op(walker *w, ir_op *op)
{
    walk_plain(w, ISA_ADDI, w->info->ops.items[op->mark].integers);
    switch (op->code) {
    case IR_FOR: run_for(w, op); return;
    case IR_STRIP: run_strip(w, op); return;
    case IR_IF: run_if(w, op); return;
    default: walk_operation(w, op);
    }
}

// ----------------------------------------------------------------- the order of loads

// LLVM moves the loads of a strip up, as far as registers reach, those that are converted to wider
// elements in pairs; never over stores.
enum { MOST_WIDENED = 2 };
typedef struct scheduler {
    ir_op *next;        // to be looked at
    unsigned registers; // of loads that are not used yet
    unsigned room;
    unsigned widened; // loads of narrow elements that are not converted yet
} scheduler;

static bool is_vector_load(const ir_op *op)
{
    return op->code == IR_VLOAD || op->code == IR_VLOAD_PAIRS;
}

static unsigned registers_of(const walker *w, const ir_op *op)
{
    if (!is_vector_load(op))
        return 0;
    unsigned bits = op->n_results * scalar_rows[ir_operand(op, 0)->type->scalar].bits;
    return (unsigned)((w->lanes * bits + w->frame->options->machine->vlen - 1) /
                      w->frame->options->machine->vlen);
}

static bool is_widened(const ir_op *op)
{
    const ir_use *use = is_vector_load(op) ? op->results[0].uses : NULL;
    return use && use->op->code == IR_CAST &&
           scalar_rows[use->op->results[0].type->scalar].bits >
               scalar_rows[op->results[0].type->scalar].bits;
}

static unsigned room_for_loads(const ir_block *b)
{
    enum { REGISTERS = 32, GROUP = 4 };
    unsigned carried = 0;
    for (const ir_op *op = b->parent; op; op = op->block->parent)
        for (unsigned i = 0; i < op->n_results; i++)
            carried += op->results[i].type->kind == IR_VECTOR ? GROUP : 0;
    return carried < REGISTERS ? (REGISTERS - carried) / 2 : 0;
}

static bool may_pass(const ir_op *op)
{
    return op->code == IR_VIEW || op->code == IR_BROADCAST || op->code == IR_LANE ||
           op->code == IR_COMPARE || op->code == IR_SELECT ||
           (ir_op_rows[op->code].traits & IR_ELEMENTWISE) || op->code == IR_CONSTANT;
}

static void look_ahead(walker *w, scheduler *s)
{
    for (; s->next && !w->failed; s->next = s->next->next) {
        ir_op *op = s->next;
        if (is_vector_load(op) || op->code == IR_LOAD) {
            unsigned n = registers_of(w, op);
            if (s->registers + n > s->room || (is_widened(op) && s->widened == MOST_WIDENED))
                return;
            walk_op(w, op);
            w->info->ops.items[op->mark].done = true;
            s->registers += n;
            s->widened += is_widened(op);
        } else if (op->code == IR_VIEW ||
                   (op->n_results == 1 && may_pass(op) && info(w, &op->results[0])->is_integer)) {
            walk_op(w, op);
        } else if (!may_pass(op)) {
            return;
        }
    }
}

// Registers of loads that nothing behind `op` uses.
static unsigned registers_freed(const walker *w, const ir_op *op)
{
    unsigned n = 0;
    for (unsigned i = 0; i < op->n_operands; i++) {
        const ir_value *v = ir_operand(op, i);
        bool last = v && v->kind == IR_VALUE_RESULT && is_vector_load(v->op);
        for (const ir_use *u = last ? v->uses : NULL; u; u = u->next)
            last = last && u->op->mark <= op->mark && (u->op != op || u->slot <= i);
        n += last ? registers_of(w, v->op) : 0;
    }
    return n;
}

static void walk_strip_block(walker *w, ir_block *b)
{
    scheduler s = {.next = b->first, .room = room_for_loads(b)};
    for (ir_op *op = b->first; op && !w->failed; op = op->next) {
        look_ahead(w, &s);
        bool *done = &w->info->ops.items[op->mark].done;
        unsigned freed = registers_freed(w, op);
        if (moves_on_early(op))
            move_on(w, b->parent);
        if (!*done)
            walk_op(w, op);
        *done = false;
        s.registers -= freed < s.registers ? freed : s.registers;
        const ir_value *x = op->code == IR_CAST ? ir_operand(op, 0) : NULL;
        if (x && x->kind == IR_VALUE_RESULT && is_widened(x->op) && s.widened)
            s.widened--;
        if (s.next == op)
            s.next = op->next;
    }
}

void walk_block(walker *w, ir_block *b)
{
    if (w->lanes) {
        walk_strip_block(w, b);
        return;
    }
    for (ir_op *op = b->first; op && !w->failed; op = op->next)
        walk_op(w, op);
}

// What the caller does, the registers that are saved and restored, and where they are.
static void enter(walker *w)
{
    enum { SAVED = 12, SCALARS = 16 };
    walk_plain(w, ISA_ADD, SCALARS + w->info->outside.integers);
    walk_plain(w, ISA_MUL, w->info->outside.multiplies);
    walk_plain(w, ISA_DIV, w->info->outside.divides);
    walk_plain(w, ISA_JAL, 2);
    for (unsigned i = 0; i < 2 * SAVED; i++) {
        access a = {.root = MAX_ROOTS,
                    .offset = 8 * (i % SAVED),
                    .bytes = 8,
                    .rows = 1,
                    .share = 1,
                    .write = i < SAVED,
                    .nearby = 1};
        isa_instruction in = {.opcode = i < SAVED ? ISA_SD : ISA_LD};
        hart_issue(w->hart, &in, &w->shape, NULL, 1, &a);
    }
}

// `active`: harts that share what is behind scratch.
static bool walk_once(function_info *f, const call_frame *frame, const root *roots, uint32_t active,
                      write_backs back, call_result *out)
{
    const machine *m = frame->options->machine;
    const ir_block *body = f->function->body;
    double memory = frame->options->memory > 0 ? frame->options->memory : 1;
    walker w = {.frame = frame, .info = f, .harts = 1, .most_harts = 1};
    w.hart = hart_create(m, active, memory, back);
    for (size_t i = 0; i < f->values.count; i++)
        f->values.items[i].at = (result){0};
    for (size_t i = 0; i < body->arguments.count; i++) {
        value_info *v = info(&w, body->arguments.items[i]);
        v->known = true;
        v->value = frame->values[i];
        if (i < MAX_ROOTS)
            *hart_root(w.hart, (unsigned)i) = roots[i];
    }
    enter(&w);
    walk_block(&w, f->function->body);
    out->counts = *hart_counts(w.hart);
    out->counts.work.cycles = hart_end(w.hart);
    out->harts = w.most_harts;
    hart_destroy(w.hart);
    return !w.failed;
}

// The part of what is written that leaves a memory of `room` bytes.
static double part_evicted(double unique, double room)
{
    return unique > room ? (unique - room) / unique : 0;
}

// Where several harts take turns and threads cover latencies: nothing is faster than what is busy.
static void cover_latency(const machine *m, estimate_work *w)
{
    if (!(m->parts & MACHINE_CLUSTER))
        return;
    double least = w->issued / m->issue_width;
    for (unsigned i = 0; i < ISA_UNIT_COUNT; i++)
        least = fmax(least, w->busy[i]);
    double ramp = (m->memory_latency + m->l2_latency) * m->clock; // the first data
    w->cycles = fmin(w->cycles, fmax(least, w->cycles / m->cluster_threads) + ramp);
}

// Twice where the first walk shows how many harts share memory, and how much is written back.
bool walk_call(function_info *f, const call_frame *frame, call_result *out)
{
    const machine *m = frame->options->machine;
    root roots[MAX_ROOTS];
    memcpy(roots, frame->roots, sizeof roots);
    if (!walk_once(f, frame, roots, m->harts, (write_backs){0}, out))
        return false;
    const counts *c = &out->counts;
    write_backs back = {part_evicted(c->unique, (double)m->scratch_size),
                        part_evicted(c->unique_common, (double)m->l2_size)};
    if (c->dirtied > 0)
        back.near += frame->evicted / c->dirtied;
    for (unsigned i = 0; i < MAX_ROOTS; i++)
        if (roots[i].extent > 0)
            roots[i].share = c->first[i] * out->harts / roots[i].extent;
    if ((m->harts > 1 || back.near > 0.01) && !walk_once(f, frame, roots, out->harts, back, out))
        return false;
    cover_latency(m, &out->counts.work);
    return true;
}
