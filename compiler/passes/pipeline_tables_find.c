// pipeline-tables: which kernels build tables in two ways, and which have rounds for them.
#include "compiler/passes/pipeline_tables.h"

enum { LEAST_LOOKUPS = 8 }; // of a round that takes rounds of a kernel's tables

// --------------------------------------------------------------------------- what fits

static bool is_index(const ir_value *v, int64_t number)
{
    int64_t value;
    return low_is_constant(v, &value) && value == number;
}

// v = result / *divisor.
static const ir_value *quotient(const ir_value *v, int64_t *divisor)
{
    bool is = v->kind == IR_VALUE_RESULT && v->op->code == IR_DIV &&
              low_is_constant(ir_operand(v->op, 1), divisor);
    return is ? ir_operand(v->op, 0) : NULL;
}

static ir_op *first_loop(const ir_block *b)
{
    ir_op *op = b->first;
    while (op && op->code != IR_FOR)
        op = op->next;
    return op;
}

// A few strips that are done at once, and tile operations.
static bool is_way(const machine *m, const ir_op *loop, ir_opcode does, int64_t *tiles)
{
    bool good = low_counts_from_zero(loop, tiles), found = false;
    IR_FOR_OPS(op, loop->regions[0])
    {
        int64_t lanes;
        found |= op->code == does;
        good &= op->code != IR_FOR && op->code != IR_IF;
        if (op->code == IR_STRIP)
            good &= !op->n_results && low_is_constant(ir_operand(op, 0), &lanes) &&
                    lanes <= low_lanes(m, op);
    }
    return good && found && !loop->n_results;
}

bool describe_builder(ir_function *f, const machine *m, builder_kernel *k)
{
    int64_t behind;
    *k = (builder_kernel){.function = f, .tiles = first_loop(f->body)};
    if (!k->tiles || k->tiles->n_results)
        return false;
    k->rows = quotient(ir_operand(k->tiles, 1), &k->m);
    k->find = first_loop(k->tiles->regions[0]);
    for (ir_op *op = k->find ? k->find->next : NULL; op; op = op->next) {
        if (op->code == IR_FOR && k->build)
            return false;
        k->build = op->code == IR_FOR ? op : k->build;
    }
    return k->rows && k->rows->kind == IR_VALUE_ARGUMENT && k->build &&
           is_way(m, k->find, IR_XLUT_TBL, &k->rounds) &&
           is_way(m, k->build, IR_XLUT_ST, &behind) && behind == k->rounds;
}

// Lookups of one plane, and nothing that has strips.
static bool takes_rounds(const ir_op *loop)
{
    bool good = lookups_of_rows(loop) >= LEAST_LOOKUPS && loop->n_results <= LOW_MOST_CARRIED;
    IR_FOR_OPS(op, loop->regions[0])
    good &= !op->n_regions && !(op->code == IR_XLUT_MMA && op->n_operands > 4);
    return good;
}

// The least number of rounds: the lower bound may be the lesser of something and a constant.
static int64_t least_rounds(const ir_op *loop)
{
    int64_t lower = 0, upper;
    const ir_value *from = ir_operand(loop, 0);
    bool known = low_is_constant(from, &lower) ||
                 (is_op(from, IR_MIN) && low_is_constant(ir_operand(from->op, 1), &lower));
    return known && low_is_constant(ir_operand(loop, 1), &upper) && loop_step(loop) == 1
               ? upper - lower
               : 0;
}

// The last loop of a column tile that looks up and does nothing else. Lookups of one plane: others
// take so long that tables are a small part of it, and what is brought to scratch for them costs as
// much.
static ir_op *find_rounds(const ir_op *columns, int64_t *places)
{
    ir_op *found = NULL;
    IR_FOR_OPS(op, columns->regions[0])
    {
        if (op->code != IR_FOR || least_rounds(op) < 1 || !takes_rounds(op))
            continue;
        found = op;
        *places = least_rounds(op);
    }
    return found;
}

static bool has_rounds(ir_function *f, reader_kernel *k)
{
    *k = (reader_kernel){.function = f, .blocks = first_loop(f->body)};
    if (!k->blocks || k->blocks->n_results || !is_index(ir_operand(k->blocks, 0), 0) ||
        !is_index(ir_operand(k->blocks, 2), 1))
        return false;
    const ir_value *tiles = quotient(ir_operand(k->blocks, 1), &k->block);
    k->rows = tiles ? quotient(tiles, &k->m) : NULL;
    k->columns = first_loop(k->blocks->regions[0]);
    if (!k->rows || k->rows->kind != IR_VALUE_ARGUMENT || !k->columns || k->columns->n_results)
        return false;
    k->rounds = find_rounds(k->columns, &k->places);
    return k->rounds != NULL;
}

// What an argument of the called function is for a single rank; -1: that is not known here.
static int64_t given_to_one_rank(const ir_value *argument, const void *call)
{
    const ir_value *given = ir_operand(call, argument->index);
    if (given->kind != IR_VALUE_RESULT)
        return -1;
    return given->op->code == IR_RANK ? 0 : given->op->code == IR_RANKS ? 1 : -1;
}

static int64_t for_one_rank(const ir_value *v, const ir_op *call)
{
    return low_evaluate(v, given_to_one_rank, call);
}

// Column tiles for a row tile, as many for all and for the second way of the last one, and rounds
// in each, so that rounds for all row tiles of a block go into the column tiles of one.
static void divide(reader_kernel *r, const builder_kernel *b, int64_t stage)
{
    r->taken = (b->rounds + stage - 1) / stage;
    r->stage = (b->rounds + r->taken - 1) / r->taken;
}

// ------------------------------------------------------------------------ what is called

bool is_scratch(const ir_op *call, unsigned i)
{
    const ir_value *v = ir_operand(call, i);
    return v->kind == IR_VALUE_RESULT && v->op->code == IR_ALLOC && v->type->rank == 2;
}

// Bytes that strips load from memory that is no scratch memory.
static int64_t bytes_of_strip(const ir_op *strip, const ir_op *call)
{
    int64_t bytes = 0, lanes = 0;
    low_is_constant(ir_operand(strip, 0), &lanes);
    IR_FOR_OPS(op, strip->regions[0])
    {
        const ir_value *from = op->code == IR_VLOAD ? ir_operand(op, 0) : NULL;
        if (from && from->kind == IR_VALUE_ARGUMENT && !is_scratch(call, from->index))
            bytes += lanes * (int64_t)scalar_size(from->type->scalar);
    }
    return bytes;
}

// What a round of either way brings to scratch.
static int64_t bytes_of_round(const builder_kernel *b, const ir_op *call)
{
    int64_t bytes = 0;
    const ir_op *ways[2] = {b->find, b->build};
    for (unsigned i = 0; i < 2; i++)
        IR_FOR_OPS(op, ways[i]->regions[0])
        {
            if (op->code == IR_XLUT_TBL)
                bytes += b->m * buffer_bytes(ir_operand(op, 0)->type);
            if (op->code == IR_XLUT_ST)
                bytes += buffer_bytes(ir_operand(op, 1)->type);
            if (op->code == IR_STRIP)
                bytes += bytes_of_strip(op, call);
        }
    return bytes;
}

// The tables that all column tiles read stay in scratch, with what comes to it for a column tile.
static bool tables_stay(const reader_kernel *r, const builder_kernel *b, const machine *m)
{
    int64_t rounds = 0;
    low_is_constant(ir_operand(r->rounds, 1), &rounds);
    double bytes = (double)rounds * bytes_loaded(r->rounds->regions[0]) +
                   (double)(r->taken * bytes_of_round(b, r->first.builder));
    return bytes <= SCRATCH_KEPT * (double)m->scratch_size;
}

// Whether a kernel writes an argument's memory.
static bool writes(const ir_value *argument)
{
    for (const ir_use *u = argument->uses; u; u = u->next) {
        bool view = u->op->code == IR_VIEW;
        if (view ? writes(&u->op->results[0]) : graph_writes(u->op, u->slot))
            return true;
    }
    return false;
}

// The operand of `call` that is the same value; -1: none.
int same_operand(const ir_op *call, const ir_value *v)
{
    for (unsigned i = 0; i < call->n_operands; i++)
        if (ir_operand(call, i) == v)
            return (int)i;
    return -1;
}

// The reader gets the tables that the builder writes, of as many rows, and leaves what these are
// built from.
bool fit_together(const builder_kernel *b, const reader_kernel *r, const call_pair *p)
{
    if (ir_operand(p->builder, b->rows->index) != ir_operand(p->reader, r->rows->index))
        return false;
    bool tables = false;
    for (unsigned i = 0; i < p->builder->n_operands; i++) {
        const ir_value *v = ir_operand(p->builder, i);
        if (v->type->kind != IR_BUFFER || is_scratch(p->builder, i))
            continue;
        bool made = writes(b->function->body->arguments.items[i]);
        tables |= made;
        if (made && same_operand(p->reader, v) < 0)
            return false;
        for (unsigned k = 0; k < p->reader->n_operands; k++) {
            const ir_value *other = ir_operand(p->reader, k);
            if (other->type->kind == IR_BUFFER && graph_root(other) == graph_root(v) &&
                writes(r->function->body->arguments.items[k]))
                return false;
        }
    }
    return tables;
}

// Few column tiles: what has to be known for the rounds costs time once in each. Many, where as
// much as few would bring to scratch at once does not leave the tables there.
bool describe_reader(ir_function *f, reader_kernel *r, const builder_kernel *b,
                     const call_pair *first, const machine *m)
{
    if (!has_rounds(f, r))
        return false;
    r->first = *first;
    const int64_t begin = for_one_rank(ir_operand(r->columns, 0), first->reader);
    const int64_t columns = for_one_rank(ir_operand(r->columns, 1), first->reader) - begin;
    const int64_t least = (b->rounds + r->places - 1) / r->places, most = columns / (r->block + 1);
    if (r->m != b->m || begin != 0 || least > most)
        return false;
    divide(r, b, least);
    if (tables_stay(r, b, m))
        return true;
    divide(r, b, most);
    return tables_stay(r, b, m);
}
