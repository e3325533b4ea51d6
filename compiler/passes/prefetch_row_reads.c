// Which rows, and how far apart, the rounds of a loop read: matrices that tiles are loaded from,
// keys and values of attention, and long rows that strips of lanes read.
#include "compiler/passes/prefetch_rows.h"

static bool is_work(const ir_op *op)
{
    bool lanes = op->n_results == 1 && op->results[0].type->kind == IR_VECTOR;
    return op->code == IR_XLUT_MAC || op->code == IR_XLUT_DEQ || op->code == IR_XLUT_TBL ||
           (lanes && op->code != IR_VLOAD && op->code != IR_BROADCAST);
}

static int64_t constant_operand(const ir_op *op, const char *name, int64_t without)
{
    const ir_value *v = ir_operand_named(op, name);
    return !v ? without : is_op(v, IR_CONSTANT) ? (int64_t)ir_number(v->op, "value") : 0;
}

// Rows and bytes of an operand of the matrix unit. A part that is not known when compiling ends a
// matrix whose other parts were read by the loop before.
static bool matrix_span(const machine *m, const ir_op *op, span *s)
{
    bool a = ir_name_is(op, "operand", "a"), transposed = ir_name_is(op, "operand", "bt");
    int64_t part = constant_operand(op, "part", 0), rows = part & 0xffff, bytes = part >> 16;
    const ir_value *known = ir_operand_named(op, "part");
    s->rows = rows ? rows : a ? 8 * m->tile_m : transposed ? m->tile_n / 4 : m->tile_n / 8;
    s->bytes = bytes ? bytes : m->tile_n / (transposed ? 4 : 2);
    s->stride = constant_operand(op, "stride", 0);
    return s->stride > 0 && (!known || is_op(known, IR_CONSTANT));
}

static bool accumulator_span(const machine *m, const ir_op *op, span *s)
{
    const ir_type *type = ir_operand_named(op, "from")->type;
    s->rows = ir_operand_named(op, "stride") ? m->tile_m : 1;
    s->stride = constant_operand(op, "stride", 1);
    s->bytes = constant_operand(op, "columns", m->tile_n) * (int64_t)scalar_size(type->scalar);
    return s->stride > 0 && s->bytes > 0;
}

static bool table_span(const machine *m, const ir_op *op, span *s)
{
    const ir_type *type = ir_operand_named(op, "from")->type;
    s->rows = ir_operand_named(op, "stride") ? m->tile_m : 1;
    s->stride = constant_operand(op, "stride", 1);
    s->bytes = (int64_t)machine_tile_depth(m) * (int64_t)scalar_size(type->scalar);
    return s->stride > 0;
}

bool is_written_in(const ir_value *root, const ir_block *b)
{
    bool written = false;
    IR_FOR_OPS(op, b)
    {
        for (unsigned i = 0; i < op->n_operands; i++) {
            const ir_value *to = graph_writes(op, i) ? ir_operand(op, i) : NULL;
            while (to && is_op(to, IR_VIEW))
                to = ir_operand(to->op, 0);
            written |= to == root;
        }
        for (unsigned r = 0; r < op->n_regions; r++)
            written |= is_written_in(root, op->regions[r]);
    }
    return written;
}

// Puts a read beside what is read already, or among it. False: it begins elsewhere.
static bool extend(span *s, const span *next)
{
    int64_t behind = next->at.constant - s->at.constant;
    bool among = s->rows == 1 && behind >= 0 && behind < LINE && s->bytes == next->bytes;
    if (s->root != next->root || !address_same_terms(&s->at, &next->at) || s->rows != next->rows ||
        s->stride != next->stride || (behind != s->bytes && !among))
        return false;
    s->bytes += among ? 0 : next->bytes;
    return true;
}

const ir_op *strip_of_rows(const row_reads *r)
{
    const ir_op *op = r->loop;
    while (op && op->code != IR_STRIP)
        op = op->block->parent;
    return op;
}

// Of a strip on registers in groups of four.
int64_t lanes_of_round(const row_reads *r)
{
    scalar_type width = SCALAR_F32;
    scalar_by_name(ir_name(strip_of_rows(r), "width"), &width);
    return 4 * (int64_t)r->machine->vlen / scalar_rows[width].bits;
}

// Elements from lane to lane: of pairs every lane has two.
static int64_t lanes_apart(const ir_op *op)
{
    return op->code == IR_VLOAD_PAIRS ? 2 : ir_integer(op, "stride");
}

static bool reads_lanes(const ir_op *op)
{
    return op->code == IR_VLOAD || op->code == IR_VLOAD_PAIRS;
}

static bool lanes_span(const row_reads *r, const ir_op *op, span *s)
{
    enum { DENSE = 2 }; // every second element, at least
    const int64_t apart = lanes_apart(op);
    s->place = op;
    s->rows = s->stride = 1;
    s->bytes = lanes_of_round(r) * apart * (int64_t)scalar_size(ir_operand(op, 0)->type->scalar);
    return apart > 0 && apart <= DENSE;
}

static bool is_known(const row_reads *r, const ir_op *op, span *s)
{
    const machine *m = r->machine;
    if (reads_lanes(op))
        return lanes_span(r, op, s);
    const ir_value *from = ir_operand_named(op, "from");
    s->place = from->kind == IR_VALUE_RESULT ? from->op : NULL;
    return is_op(from, IR_VIEW) && (op->code == IR_XLUT_LDM   ? matrix_span(m, op, s)
                                    : op->code == IR_XLUT_TBL ? table_span(m, op, s)
                                                              : accumulator_span(m, op, s));
}

static int64_t step_of(const row_reads *r)
{
    return r->loop->code == IR_STRIP ? lanes_of_round(r) : loop_step(r->loop);
}

static bool reads_from(const ir_block *b, const ir_value *root)
{
    bool reads = false;
    IR_FOR_OPS(op, b)
    {
        bool asks = op->code == IR_PREFETCH || op->code == IR_XLUT_PF;
        const ir_value *from = asks ? ir_operand(op, 0) : NULL;
        while (from && is_op(from, IR_VIEW))
            from = ir_operand(from->op, 0);
        reads |= from == root;
    }
    return reads;
}

// A loop before it reads the same and brought what follows.
static bool follows_another(const row_reads *r, const ir_value *root)
{
    for (const ir_op *op = r->loop->previous; op; op = op->previous)
        if (op->n_regions && reads_from(op->regions[0], root))
            return true;
    return false;
}

static int64_t common_divisor(int64_t x, int64_t y)
{
    while (y) {
        int64_t rest = x % y;
        x = y;
        y = rest;
    }
    return x < 0 ? -x : x;
}

// How far a counter moves what it is multiplied with, from round to round.
static int64_t step_of_counter(const row_reads *r, const ir_value *v)
{
    const ir_op *loop = v->kind == IR_VALUE_ARGUMENT ? v->block->parent : NULL;
    bool lanes = loop && loop->code == IR_STRIP && loop == strip_of_rows(r);
    return lanes                                             ? lanes_of_round(r)
           : loop && loop->code == IR_FOR && loop_step(loop) ? loop_step(loop)
                                                             : 1;
}

// Buffers begin with a line.
int64_t rows_apart(const row_reads *r, const span *s)
{
    int64_t apart = common_divisor(LINE, s->at.constant);
    for (unsigned i = 0; i < s->at.count; i++) {
        int64_t step = step_of_counter(r, s->at.terms[i].value);
        apart = common_divisor(apart, s->at.terms[i].factor * step);
    }
    return s->rows > 1 ? common_divisor(apart, s->stride) : apart;
}

static void add_span(row_reads *r, const ir_op *op)
{
    span s = {.first_work = r->work_count};
    if (!is_known(r, op, &s) || !address_of_place(s.place, &s.root, &s.at))
        return;
    const ir_value *counter = r->loop->regions[0]->arguments.items[0];
    s.advance = address_factor(&s.at, counter) * step_of(r);
    s.apart = rows_apart(r, &s);
    if (s.advance <= 0 || is_written_in(s.root, r->loop->block->function->body) ||
        follows_another(r, s.root))
        return; // what the kernel wrote lies near
    for (unsigned i = 0; i < r->count; i++)
        if (extend(&r->spans[i], &s))
            return;
    if (r->count < MOST_SPANS)
        r->spans[r->count++] = s;
}

static bool has_loops(const ir_op *loop)
{
    bool has = false;
    IR_FOR_OPS(op, loop->regions[0])
    has |= op->code == IR_FOR;
    return has;
}

// Accumulators that a round with loops of its own loads are few.
static bool reads_rows(const row_reads *r, const ir_op *op)
{
    return op->code == IR_XLUT_LDM || op->code == IR_XLUT_TBL ||
           (op->code == IR_XLUT_LDA && !has_loops(r->loop)) ||
           (reads_lanes(op) && strip_of_rows(r) && !has_loops(r->loop));
}

// Rows that are read as a whole are asked for by tiles, if they are long enough; those of which
// many are read side by side in steps, by lines.
static int64_t piece_of(const row_reads *r, const span *s)
{
    int64_t tile = (int64_t)machine_tile_bytes(r->machine);
    bool whole = s->rows > 1 && s->rows <= r->machine->tile_m && s->apart == LINE;
    return whole && s->bytes % tile == 0 ? tile : LINE;
}

void collect_rows(row_reads *r)
{
    IR_FOR_OPS(op, r->loop->regions[0])
    {
        if (reads_rows(r, op))
            add_span(r, op);
        if (is_work(op) && r->work_count < MOST_WORK)
            r->work[r->work_count++] = op;
    }
    if (!r->work_count) // it copies
        r->work[r->work_count++] = r->loop->regions[0]->last;
    for (unsigned i = 0; i < r->count; i++)
        r->spans[i].piece = piece_of(r, &r->spans[i]);
}
