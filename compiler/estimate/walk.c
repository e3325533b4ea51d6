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
void walk_move_on(walker *w, const ir_op *loop)
{
    const loop_info *l = w->info->ops.items[loop->mark].loop;
    walk_plain(w, ISA_ADD, l->integers);
    if (loop->code == IR_STRIP)
        walk_plain(w, ISA_ADD, 1 + compares_by_shift(w, loop));
    walk_plain(w, ISA_MUL, l->multiplies);
    walk_plain(w, ISA_DIV, l->divides);
}

static void end_round(walker *w, const rounds *r)
{
    const ir_op *yield = r->op->regions[0]->last;
    for (unsigned i = 0; i < r->op->n_results; i++)
        take(w, r->op->regions[0]->arguments.items[r->first_argument + i], ir_operand(yield, i));
    if (r->op->code != IR_STRIP || !yield->previous || !walk_moves_on_early(yield->previous))
        walk_move_on(w, r->op);
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

// What happened since, all of its cycles taken for skipped ones.
static counts counted_since(walker *w, const counts *before, double time_before)
{
    counts d = difference(hart_counts(w->hart), before);
    d.skipped = hart_time(w->hart) - time_before;
    return d;
}

// As if that were done `more` times again.
static void repeat(walker *w, const counts *before, double time_before, double more)
{
    const counts d = counted_since(w, before, time_before);
    add_weighted(hart_counts(w->hart), &d, more);
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
    enum { FEW = 12, INNER = 7, WARM = 4 };
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
        counts before = *hart_counts(w->hart), extra = {0};
        double time = hart_time(w->hart);
        // What the rounds before leave in scratch, and have asked for.
        const int64_t free = i ? at[i] - at[i - 1] - 1 : 0, warm = free < WARM ? free : WARM;
        for (int64_t k = at[i] - warm; k < at[i]; k++)
            run_round(w, r, k);
        extra = counted_since(w, &before, time);
        before = *hart_counts(w->hart);
        time = hart_time(w->hart);
        run_round(w, r, at[i]);
        repeat(w, &before, time, weight - 1);
        add_weighted(hart_counts(w->hart), &extra, -1);
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

// Its instructions issue while units work: what they wait for, and they themselves, take what the
// front had to spare since the strip before.
static void run_beside(walker *w, ir_op *op, const rounds *r)
{
    const double time = hart_time(w->hart);
    const double issued = hart_counts(w->hart)->work.issued - w->beside_issued;
    const double spare = fmax(0, time - w->beside_time - issued);
    begin_round(w, r, 0);
    walk_block(w, op->regions[0]);
    w->lanes = 0;
    hart_counts(w->hart)->skipped -= fmin(spare, hart_time(w->hart) - time);
    w->beside_time = hart_time(w->hart);
    w->beside_issued = hart_counts(w->hart)->work.issued;
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

// Every loop is walked a bounded number of times, but loops inside one another multiply.
static bool takes_too_long(walker *w, const ir_op *op)
{
    if (*w->frame->steps_left) {
        --*w->frame->steps_left;
        return false;
    }
    walk_fail(w, op->block->parent ? op->block->parent : op,
              "the loops inside one another have too many different rounds");
    return true;
}

void walk_op(walker *w, ir_op *op)
{
    if (takes_too_long(w, op))
        return;
    walk_plain(w, ISA_ADDI, w->info->ops.items[op->mark].integers);
    switch (op->code) {
    case IR_FOR: run_for(w, op); return;
    case IR_STRIP: run_strip(w, op); return;
    case IR_IF: run_if(w, op); return;
    default: walk_operation(w, op);
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
