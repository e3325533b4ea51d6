// Short rows, a few lines of each round: those that an epilogue reads, whose places are known long
// before, are asked for in front of the products, others some rounds before they are read.
#include "compiler/passes/prefetch_rows.h"

static int64_t constant_of(const ir_value *v, int64_t without)
{
    return is_op(v, IR_CONSTANT) ? (int64_t)ir_number(v->op, "value") : without;
}

// The counter, or what is computed of it in the loop.
static bool moves_with(const address *at, const ir_op *loop)
{
    bool moves = false;
    for (unsigned i = 0; i < at->count; i++) {
        const ir_value *v = at->terms[i].value;
        moves |= v->kind == IR_VALUE_RESULT ? v->op->block == loop->regions[0]
                                            : v == loop->regions[0]->arguments.items[0];
    }
    return moves;
}

// Rows that short strips in the loop read, a row of each in a round.
static void collect_short(row_reads *r)
{
    IR_FOR_OPS(strip, r->loop->regions[0])
    {
        const row_reads inner = {.machine = r->machine, .loop = strip};
        if (strip->code != IR_STRIP || !is_short_strip(&inner))
            continue;
        IR_FOR_OPS(op, strip->regions[0])
        {
            span s = {.place = op, .rows = 1, .stride = 1, .piece = LINE};
            if (op->code != IR_VLOAD || ir_integer(op, "stride") != 1 ||
                !address_of_place(op, &s.root, &s.at) ||
                is_written_in(s.root, r->loop->block->function->body))
                continue;
            s.bytes = constant_of(ir_operand(strip, 0), 0) *
                      (int64_t)scalar_size(ir_operand(op, 0)->type->scalar);
            s.advance = address_factor(&s.at, r->loop->regions[0]->arguments.items[0]);
            s.apart = rows_apart(&inner, &s);
            if (s.advance >= 0 && moves_with(&s.at, r->loop) && r->count < MOST_SPANS)
                r->spans[r->count++] = s;
        }
    }
}

// Rows lie so far apart that they share few sets of scratch: only a few at once.
enum { ROWS_AHEAD = 2, LINES_AHEAD = 16 };

// Those behind the last row are not asked for.
static void prefetch_next_rows(row_reads *r, int64_t ahead)
{
    ir_op *first = r->loop->regions[0]->first;
    ir_builder b = ir_builder_before(first);
    b.where = r->loop->where;
    const ir_type *index = ir_type_index(r->module);
    ir_value *next = ir_build1(&b, IR_ADD, index, r->loop->regions[0]->arguments.items[0],
                               constant_index(r->module, &b, ahead), NULL);
    ir_value *last = ir_build1(&b, IR_SUB, index, ir_operand_named(r->loop, "upper"),
                               constant_index(r->module, &b, 1), NULL);
    r->counter = ir_build1(&b, IR_MIN, index, next, last, NULL);
    prefetch_first_rows(r, &b, pieces_of_round(r));
    r->counter = NULL;
}

static bool is_made_behind(const ir_value *v, const ir_op *op)
{
    if (v->kind != IR_VALUE_RESULT || v->op->block != op->block)
        return false;
    while (op && op != v->op)
        op = op->next;
    return op;
}

// Indices that are computed between products and their epilogue go in front of the products.
static void move_indices_up(const ir_op *loop)
{
    ir_op *first = loop->block->first;
    for (ir_op *op = first, *next; op != loop; op = next) {
        next = op->next;
        bool moves = op->code == IR_CONSTANT || is_sum(op);
        for (unsigned i = 0; i < op->n_operands && moves; i++)
            moves = !is_made_behind(ir_operand(op, i), first);
        if (moves && op != first)
            ir_op_move_before(op, first);
        else if (moves)
            first = next;
    }
}

// In front of as many of the products before a loop as leave scratch what is brought there.
static ir_op *in_front_of_products(const row_reads *r)
{
    double bytes = 0;
    ir_op *at = r->loop;
    while (at->previous && views_move_before(r, at->previous)) {
        const ir_op *op = at->previous;
        bytes += op->code == IR_FOR ? rounds_of(op) * bytes_loaded(op->regions[0]) : 0;
        if (bytes > SCRATCH_KEPT * (double)r->machine->scratch_size)
            break;
        at = at->previous;
    }
    return at;
}

// Of as many rows as are asked for at once.
static int64_t first_lines(const row_reads *r)
{
    int64_t rows = constant_of(ir_operand(r->loop, 1), 1);
    return (rows < ROWS_AHEAD ? rows : ROWS_AHEAD) * pieces_of_round(r);
}

// Rounds of a row each. Where several harts take turns, the next row is somebody else's.
static void prefetch_rounds(pass_context *c, row_reads *r)
{
    const int64_t lines = pieces_of_round(r), enough = (LINES_AHEAD + lines - 1) / lines;
    const int64_t ahead = enough > ROWS_AHEAD ? enough : ROWS_AHEAD;
    const ir_type *index = ir_type_index(r->module);
    ir_builder b = ir_builder_before(r->loop);
    b.where = r->loop->where;
    if (loop_step(r->loop) != 1 || (!ir_name_is(r->loop, "share", "none") && c->machine->harts > 1))
        return;
    for (int64_t i = 0; i < ahead; i++) {
        r->counter = ir_build1(&b, IR_ADD, index, ir_operand_named(r->loop, "lower"),
                               constant_index(r->module, &b, i), NULL);
        prefetch_first_rows(r, &b, lines);
    }
    prefetch_next_rows(r, ahead);
    pass_remark(c, REMARK_APPLIED, r->loop->where,
                "short rows: %lld lines a round, asked for %lld rounds ahead", (long long)lines,
                (long long)ahead);
}

// Behind products their epilogue reads few rows, whose place is known long before.
void prefetch_short_rows(ir_module *m, pass_context *c, ir_op *loop)
{
    row_reads r = {.module = m, .machine = c->machine, .loop = loop};
    const ir_op *product = loop->previous;
    while (product && !looks_up(product))
        product = product->previous;
    collect_short(&r);
    if (!r.count || !views_move_before(&r, loop))
        return;
    if (!product) {
        prefetch_rounds(c, &r);
        return;
    }
    int64_t rows = constant_of(ir_operand(loop, 1), 1);
    move_indices_up(loop);
    ir_builder b = ir_builder_before(in_front_of_products(&r));
    b.where = loop->where;
    prefetch_first_rows(&r, &b, first_lines(&r));
    if (rows > ROWS_AHEAD)
        prefetch_next_rows(&r, ROWS_AHEAD);
    pass_remark(c, REMARK_APPLIED, loop->where,
                "rows of an epilogue: %lld lines are asked for in front of its products",
                (long long)first_lines(&r));
}
