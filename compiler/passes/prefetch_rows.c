// Rows of matrices that tiles are loaded from, keys and values of attention, and long rows that
// strips of lanes read.
//
// Each load takes a piece of several rows, which lie far apart, so that lut.pf would bring mostly
// what nobody asks for. Lines are prefetched one by one, in the order in which they are needed,
// spread over the work of a round. The first lines are asked for in front of the loop, and in front
// of what stands before it if that reads nothing from afar.
#include "compiler/passes/prefetch_rows.h"

#include <math.h>

// ------------------------------------------------------------------------ distance

// A row that goes on where the round before ended has no lines that two rounds share.
static int64_t pieces_of_row(const span *s)
{
    bool goes_on = s->rows == 1 && s->advance == s->bytes;
    return (s->bytes + (goes_on ? 0 : LINE - s->apart) + s->piece - 1) / s->piece;
}

int64_t pieces_of_round(const row_reads *r)
{
    int64_t pieces = 0;
    for (unsigned i = 0; i < r->count; i++)
        pieces += r->spans[i].rows * pieces_of_row(&r->spans[i]);
    return pieces;
}

static int64_t lines_of_round(const row_reads *r)
{
    int64_t lines = 0;
    for (unsigned i = 0; i < r->count; i++)
        lines += r->spans[i].rows * pieces_of_row(&r->spans[i]) * r->spans[i].piece / LINE;
    return lines;
}

// Lines that are asked for while the table builder, which has no buffers, waits for as many.
static int64_t lines_beside_wait(const row_reads *r)
{
    bool builds = false;
    for (unsigned i = 0; i < r->work_count; i++)
        builds |= r->work[i]->code == IR_XLUT_TBL;
    return builds ? 2 * lines_of_round(r) / r->work_count : 0;
}

static int64_t lines_in_latency(const machine *m)
{
    return (int64_t)ceil(m->memory_latency * m->memory_bandwidth / LINE);
}

enum { SPARE = 8 }; // lines: what others have under way, and a tile that is asked for at once

// Twice the latency, as long as no more lines are under way than the machine follows.
static int64_t lines_ahead(const row_reads *r)
{
    int64_t wanted = 2 * lines_in_latency(r->machine);
    int64_t most = (int64_t)r->machine->memory_outstanding - SPARE - lines_beside_wait(r);
    int64_t lines = wanted < most ? wanted : most;
    return lines > 0 ? lines : 1;
}

// Rounds of strips take longer than their lines, and as long as others: the latency and a round.
static int64_t rounds_ahead(const row_reads *r)
{
    const int64_t lines = lines_of_round(r);
    int64_t wanted = (lines_in_latency(r->machine) + lines - 1) / lines + 1;
    int64_t most = lines_ahead(r) / lines;
    return wanted < most ? wanted : most;
}

static int64_t pieces_ahead(const row_reads *r)
{
    const int64_t rounds = strip_of_rows(r) ? rounds_ahead(r) : 0;
    int64_t pieces = rounds ? rounds * pieces_of_round(r)
                            : lines_ahead(r) * pieces_of_round(r) / lines_of_round(r);
    return pieces > 0 ? pieces : 1;
}

// The first span whose place differs by a constant only.
static const span *leader_of(const row_reads *r, const span *s)
{
    const span *leader = r->spans;
    while (leader->root != s->root || !address_same_terms(&leader->at, &s->at))
        leader++;
    return leader;
}

// Pieces that lie one behind the other, behind the beginning of the leader of `span`.
typedef struct run {
    const span *span;
    int64_t at, bytes;
    bool further;  // it may belong to the next round of the loop around
    ir_op *before; // in front of which they are asked for
} run;

// Piece `k` of those that the rounds read, in the order in which they are needed.
static run piece_at(const row_reads *r, int64_t k)
{
    int64_t all = pieces_of_round(r), round = k / all;
    const span *s = r->spans;
    for (k %= all; k >= s->rows * pieces_of_row(s); s++)
        k -= s->rows * pieces_of_row(s);
    int64_t piece = k / s->rows, row = k % s->rows;
    int64_t at = s->at.constant - leader_of(r, s)->at.constant + round * s->advance +
                 row * s->stride + piece * s->piece;
    return (run){s, at, s->piece, false, NULL};
}

// ---------------------------------------------------------------------------- code

ir_value *constant_index(ir_module *m, ir_builder *b, int64_t value)
{
    ir_value *x = ir_build1(b, IR_CONSTANT, ir_type_index(m), NULL, NULL, NULL);
    ir_set_number(x->op, "value", (double)value);
    return x;
}

bool is_sum(const ir_op *op)
{
    return op->code == IR_ADD || op->code == IR_MUL || op->code == IR_SUB || op->code == IR_DIV ||
           op->code == IR_REM;
}

// Bytes from where a span ends to where it begins in the next round of the loop around.
static int64_t gap_behind(const row_reads *r, const span *s)
{
    const ir_value *counter = r->around->regions[0]->arguments.items[0];
    return address_factor(&s->at, counter) * loop_step(r->around) -
           (int64_t)rounds_of(r->loop) * s->advance;
}

// Counters, and what is computed in front of the loop around.
static bool moves_evenly(const address *at, const ir_op *around)
{
    bool even = true;
    for (unsigned i = 0; i < at->count; i++) {
        const ir_value *v = at->terms[i].value;
        even &= v->kind == IR_VALUE_ARGUMENT || !is_inside(v->op->block, around);
    }
    return even;
}

static bool has_known_rounds(const ir_op *loop)
{
    return loop->code == IR_FOR && loop_step(loop) > 0 &&
           is_op(ir_operand_named(loop, "lower"), IR_CONSTANT) &&
           is_op(ir_operand_named(loop, "upper"), IR_CONSTANT);
}

// The loop around, if a round of it goes on where the one before ended, but for a known gap.
static ir_op *loop_that_goes_on(const row_reads *r)
{
    ir_op *around = r->loop->block->parent;
    bool known = around && around->code == IR_FOR && loop_step(around) > 0 &&
                 has_known_rounds(r->loop) && pieces_ahead(r) <= pieces_of_round(r);
    for (unsigned i = 0; i < r->count && known; i++)
        known = moves_evenly(&r->spans[i].at, around);
    return known ? around : NULL;
}

// Whether value_in_round can compute it, and it does not need what `op` gives.
static bool moves_before(const ir_op *loop, const ir_op *op, const ir_value *v)
{
    if (v->kind != IR_VALUE_RESULT)
        return v->index == 0 || !is_inside(v->block, loop);
    if (!is_inside(v->op->block, loop) || v->op->code == IR_CONSTANT)
        return v->op != op;
    return is_sum(v->op) && moves_before(loop, op, ir_operand(v->op, 0)) &&
           moves_before(loop, op, ir_operand(v->op, 1));
}

// The loop in front of which the first rows are asked for.
static ir_op *outer_of(const row_reads *r)
{
    return r->around ? r->around : r->loop;
}

// In the last round what is asked for belongs to the next round of the loop around.
static ir_value *offset_of(const row_reads *r, ir_builder *b, const run *x, int64_t size)
{
    ir_value *offset = constant_index(r->module, b, x->at / size);
    int64_t gap = x->further ? gap_behind(r, x->span) : 0;
    if (!gap)
        return offset;
    const ir_type *index = ir_type_index(r->module);
    ir_value *jump =
        ir_build1(b, IR_MUL, index, r->last, constant_index(r->module, b, gap / size), NULL);
    return ir_build1(b, IR_ADD, index, jump, offset, NULL);
}

// `first`: of the first round, or of the round `counter`.
static void prefetch_run(row_reads *r, ir_builder *b, const run *x, bool first)
{
    const ir_op *from = leader_of(r, x->span)->place;
    ir_value *operands[4];
    unsigned last = from->n_operands - 1;
    for (unsigned i = 0; i <= last; i++)
        operands[i] = first && i
                          ? value_in_round(b, outer_of(r), ir_operand(from, i), r->loop, r->counter)
                          : ir_operand(from, i);
    scalar_type scalar = operands[0]->type->scalar;
    int64_t size = (int64_t)scalar_size(scalar);
    ir_dim dims[1] = {ir_dim_constant(1)};
    const ir_type *type = ir_type_buffer(r->module, scalar, 1, dims);
    // The constant stands apart, so that all lines share what is before it.
    ir_value *parts[2] = {ir_result(ir_build(b, IR_VIEW, last + 1, operands, 1, &type), 0),
                          offset_of(r, b, x, size)};
    bool tile = x->span->piece > LINE;
    dims[0] = ir_dim_constant(tile ? x->bytes : x->bytes / size);
    type = ir_type_buffer(r->module, tile ? SCALAR_U8 : scalar, 1, dims);
    ir_value *at = ir_result(ir_build(b, IR_VIEW, 2, parts, 1, &type), 0);
    ir_build(b, tile ? IR_XLUT_PF : IR_PREFETCH, 1, &at, 0, NULL);
}

// Puts a piece behind a run, which is asked for where it begins. False: it lies elsewhere.
static bool join(run *x, const run *next)
{
    enum { FEW = 4 * LINE }; // lines of several places in a round
    bool near = x->before == next->before || x->bytes < FEW;
    if (x->span != next->span || x->further != next->further || x->span->piece != LINE ||
        x->at + x->bytes != next->at || !near)
        return false;
    x->bytes += next->bytes;
    return true;
}

// Piece `k` of a round, which belongs to a later one.
static run piece_in_round(const row_reads *r, int64_t k)
{
    run x = piece_at(r, k + pieces_ahead(r));
    x.further = r->last && k + pieces_ahead(r) >= pieces_of_round(r);
    unsigned first = leader_of(r, x.span)->first_work,
             work = (unsigned)(k * r->work_count / pieces_of_round(r));
    work = work < first ? first : work;
    x.before = work < r->work_count ? r->work[work] : r->loop->regions[0]->last;
    return x;
}

// Whether `op` computes where the loop begins, of a strip the count.
static bool begins_with(const ir_op *loop, const ir_op *op)
{
    const ir_value *lower = ir_operand(loop, 0);
    return lower->kind == IR_VALUE_RESULT && lower->op == op;
}

bool views_move_before(const row_reads *r, const ir_op *op)
{
    bool good = true;
    for (unsigned i = 0; i < r->count; i++)
        for (unsigned j = 0; j < r->spans[i].place->n_operands; j++)
            good = good && moves_before(outer_of(r), op, ir_operand(r->spans[i].place, j));
    return good && !begins_with(r->loop, op) && !begins_with(outer_of(r), op);
}

// 1 in the last round, else 0: 1 - min(rounds that are left, 1).
static ir_value *is_last_round(const row_reads *r)
{
    ir_builder b = ir_builder_before(r->loop->regions[0]->first);
    b.where = r->loop->where;
    const ir_type *index = ir_type_index(r->module);
    int64_t end = (int64_t)ir_number(ir_operand_named(r->loop, "upper")->op, "value");
    ir_value *one = constant_index(r->module, &b, 1);
    ir_value *last = constant_index(r->module, &b, end - loop_step(r->loop));
    ir_value *left = ir_build1(&b, IR_SUB, index, last, r->counter, NULL);
    return ir_build1(&b, IR_SUB, index, one, ir_build1(&b, IR_MIN, index, left, one, NULL), NULL);
}

// Strips: all of them first, since loads do not move across.
static void prefetch_in_rounds(row_reads *r)
{
    const int64_t pieces = pieces_of_round(r);
    ir_op *first = r->loop->regions[0]->first;
    bool at_once = strip_of_rows(r) && views_move_before(r, r->loop);
    r->counter = r->loop->regions[0]->arguments.items[0];
    r->last = r->around ? is_last_round(r) : NULL;
    for (int64_t k = 0; k < pieces;) {
        run x = piece_in_round(r, k++), next;
        while (k < pieces && (next = piece_in_round(r, k), join(&x, &next)))
            k++;
        ir_builder b = ir_builder_before(at_once ? first : x.before);
        b.where = r->loop->where;
        prefetch_run(r, &b, &x, at_once);
    }
    r->counter = r->last = NULL;
}

// Reads from afar, or keeps a unit busy that others would be waiting for.
static bool has_work(const ir_op *op)
{
    bool has = op->code == IR_PREFETCH || op->code == IR_XLUT_PF || op->code == IR_XLUT_MMA ||
               op->code == IR_XLUT_MAC || op->code == IR_XLUT_DEQ;
    for (unsigned i = 0; i < op->n_regions; i++)
        IR_FOR_OPS(inner, op->regions[i])
    has = has || has_work(inner);
    return has;
}

static bool has_several_rows(const row_reads *r)
{
    bool has = false;
    for (unsigned i = 0; i < r->count; i++)
        has |= r->spans[i].rows > 1;
    return has;
}

// The first pieces. Rows that are read from their beginning on are asked for one by one.
void prefetch_first_rows(row_reads *r, ir_builder *b, int64_t pieces)
{
    const bool in_turn = has_several_rows(r);
    for (unsigned i = 0; i < (in_turn ? 1 : r->count); i++) {
        run x = {0};
        for (int64_t k = 0; k < pieces; k++) {
            run next = piece_at(r, k);
            if ((!in_turn && next.span != &r->spans[i]) || (x.span && join(&x, &next)))
                continue;
            if (x.span)
                prefetch_run(r, b, &x, true);
            x = next;
        }
        if (x.span)
            prefetch_run(r, b, &x, true);
    }
}

// In front of the loop, and of what stands before it up to what has work.
static void prefetch_before(row_reads *r)
{
    ir_op *at = outer_of(r);
    if (!views_move_before(r, at))
        return;
    while (at->previous && !has_work(at->previous) && views_move_before(r, at->previous))
        at = at->previous;
    ir_builder b = ir_builder_before(at);
    b.where = r->loop->where;
    prefetch_first_rows(r, &b, pieces_ahead(r));
}

// A strip that ends before what it asks for is there.
bool is_short_strip(const row_reads *r)
{
    enum { ROUNDS = 8 };
    const ir_value *count = ir_operand(r->loop, 0);
    return r->loop->code == IR_STRIP && is_op(count, IR_CONSTANT) &&
           (int64_t)ir_number(count->op, "value") < ROUNDS * lanes_of_round(r);
}

void prefetch_rows(ir_module *m, pass_context *c, ir_op *loop)
{
    row_reads r = {.module = m, .machine = c->machine, .loop = loop};
    if (is_short_strip(&r))
        return;
    collect_rows(&r);
    if (!r.count || !r.work_count)
        return;
    r.around = loop_that_goes_on(&r);
    prefetch_in_rounds(&r);
    prefetch_before(&r);
    pass_remark(c, REMARK_APPLIED, loop->where,
                "rows: %lld lines a round, asked for %lld lines ahead",
                (long long)lines_of_round(&r),
                (long long)(pieces_ahead(&r) * lines_of_round(&r) / pieces_of_round(&r)));
}
