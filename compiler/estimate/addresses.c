// Scalar instructions that addresses take, as LLVM makes them: in a loop that counts, one pointer
// for all accesses that differ by constants, moved once a round; in a strip, whose step is only
// known when it runs, a sum for each. What does not vary with a loop stands outside of it, in a
// register or, where there are too many, on the stack.
#include "compiler/estimate/analyze.h"

// Constants of 12 bits are part of instructions.
enum { SHORT = 2048, MOST_HELD = 18, MOST_LARGE = 8 };

static loop_state *loop_of(analysis *s, uint64_t varies)
{
    for (unsigned d = s->depth; d-- > 0;)
        if (varies >> d & 1)
            return &s->loops[d];
    return &s->outside;
}

static bool is_around(const analysis *s, const loop_state *l)
{
    return s->depth ? l == &s->loops[s->depth - 1] : l == &s->outside;
}

// In front of the operation that wants them, if its loop is the one around.
static void charge_integers(analysis *s, loop_state *l, unsigned n)
{
    if (is_around(s, l))
        s->out->ops.items[s->op].integers += n;
    else
        l->info->integers += n;
}

void charge(analysis *s, uint64_t varies, unsigned integers, unsigned multiplies, unsigned divides)
{
    loop_state *l = loop_of(s, varies);
    charge_integers(s, l, integers);
    l->info->multiplies += multiplies;
    l->info->divides += divides;
}

// ---------------------------------------------------------------------------- accesses

// Constants that an instruction adds to its address: multiples of `step` up to `limit`.
typedef struct reach {
    int64_t step, limit;
} reach;

static reach reach_of(const ir_op *op)
{
    switch (op->code) {
    case IR_LOAD:
    case IR_STORE: return (reach){1, SHORT};
    case IR_PREFETCH: return (reach){32, SHORT};
    case IR_XLUT_LD:
    case IR_XLUT_ST:
    case IR_XLUT_PF: return (reach){LINE, 1 << 16};
    default: return (reach){1, 0};
    }
}

static bool fits(reach r, int64_t constant)
{
    return constant % r.step == 0 && constant >= -r.limit && constant < r.limit;
}

static pointer_group *group_of(analysis *s, loop_state *l, uint64_t hash)
{
    for (size_t i = 0; i < l->groups.count; i++)
        if (l->groups.items[i].hash == hash)
            return &l->groups.items[i];
    pointer_group g = {.hash = hash};
    ARRAY_PUSH(s->arena, &l->groups, g);
    if (l->op && l->op->code == IR_STRIP)
        charge_integers(s, l, 1);
    else if (l->op)
        l->info->integers++;
    l->info->pointers++;
    return &l->groups.items[l->groups.count - 1];
}

// Two additions of constants make this much, the second one by the access itself.
static bool is_large(int64_t constant)
{
    return constant < -2 * SHORT || constant >= 2 * SHORT - 32;
}

// Of a constant that does not fit, the part that stands in a register, which others may share.
static int64_t high_part(reach r, int64_t constant)
{
    bool splits = r.limit == SHORT && constant % r.step == 0 && is_large(constant);
    return splits ? (constant + SHORT) & -(int64_t)(2 * SHORT) : constant;
}

static void note_address(analysis *s, linear_form address, reach r)
{
    loop_state *l = loop_of(s, address.varies);
    pointer_group *g = group_of(s, l, address.hash);
    bool hoisted = !is_around(s, l);
    if (fits(r, address.constant)) {
        g->has_immediate = true;
        return;
    }
    int64_t constant = high_part(r, address.constant);
    for (size_t i = 0; i < g->takers.count; i++)
        if (g->takers.items[i].constant == constant)
            return;
    address_taker t = {constant, s->op, hoisted};
    ARRAY_PUSH(s->arena, &g->takers, t);
}

// In a strip the index of an element is a sum of its own, unless it is the strip's counter.
static void note_index(analysis *s, linear_form index)
{
    loop_state *l = loop_of(s, index.varies);
    if (!l->op || l->op->code != IR_STRIP || index.hash == l->counter)
        return;
    for (size_t i = 0; i < l->indices.count; i++)
        if (l->indices.items[i] == index.hash)
            return;
    ARRAY_PUSH(s->arena, &l->indices, index.hash);
    charge_integers(s, l, 1);
}

static void note_element(analysis *s, const ir_op *op, unsigned buffer)
{
    const ir_value *v = ir_operand(op, buffer);
    linear_form index = index_form(s, op, v->type, buffer + 1);
    linear_form bytes = form_scaled(index, (int64_t)scalar_size(v->type->scalar));
    note_index(s, index);
    note_address(s, form_sum(form_of(s, v), bytes), reach_of(op));
}

void note_access(analysis *s, const ir_op *op)
{
    switch (op->code) {
    case IR_LOAD:
    case IR_VLOAD:
    case IR_VLOAD_PAIRS: note_element(s, op, 0); break;
    case IR_STORE:
    case IR_VSTORE: note_element(s, op, 1); break;
    case IR_VSTORE_PAIRS: note_element(s, op, 2); break;
    case IR_VIEW:
    case IR_CALL: break;
    default:
        for (unsigned i = 0; i < op->n_operands; i++) {
            const ir_value *v = ir_operand(op, i);
            if (v && v->type->kind == IR_BUFFER)
                note_address(s, form_of(s, v), reach_of(op));
        }
    }
}

// ------------------------------------------------------------------------------- loops

static bool has_tiles(const ir_block *b)
{
    IR_FOR_OPS(op, b)
    {
        if (op->code >= IR_XLUT_LD && op->code <= IR_XLUT_MAC)
            return true;
    }
    return false;
}

// The constants of a group that need an instruction each: all but the one that the pointer has.
// Large ones are made in two, and kept in a register if there are few.
static void finish_group(analysis *s, loop_state *l, const pointer_group *g, unsigned *held,
                         unsigned *large)
{
    bool spared = false;
    for (size_t i = 0; i < g->takers.count; i++) {
        const address_taker *t = &g->takers.items[i];
        bool spare = g->has_immediate || !l->op ? t->constant == 0 : i == 0;
        if (spare && !spared) {
            spared = true;
            continue;
        }
        unsigned *here = &s->out->ops.items[t->op].integers;
        unsigned n = 1 + (is_large(t->constant) && ++*large > MOST_LARGE);
        if (t->hoisted)
            l->info->integers += n;
        else
            *here += n;
        if (t->hoisted && ++*held > MOST_HELD) {
            l->info->integers++;
            ++*here;
        }
    }
}

void finish_pointers(analysis *s, loop_state *l)
{
    unsigned held = 0, large = 0;
    for (size_t i = 0; i < l->groups.count; i++)
        finish_group(s, l, &l->groups.items[i], &held, &large);
    // The counter: a pointer can take its place, but not where inline assembly uses it.
    if (l->op && l->op->code == IR_FOR && (!l->groups.count || has_tiles(l->op->regions[0])))
        l->info->integers++;
}
