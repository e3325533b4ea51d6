// Greedy merging of neighbours, the best pair of the whole text first, with a heap of candidates.
// A merge leaves stale candidates behind, which are recognised when they come up.
#include "support/tokenizer/internal.h"

typedef struct candidate {
    double priority;
    uint32_t left, right; // positions
    uint32_t length;      // of both together, when they became candidates
    uint32_t id;          // what they merge into
} candidate;

typedef struct merging {
    const tokenizer *tokenizer;
    arena *scratch;
    const char *text;
    symbol *symbols;
    merge_rule *rule;
    ARRAY_OF(candidate) heap;
} merging;

static bool goes_first(const candidate *x, const candidate *y)
{
    return x->priority < y->priority || (x->priority == y->priority && x->left < y->left);
}

static void heap_push(merging *m, candidate c)
{
    ARRAY_PUSH(m->scratch, &m->heap, c);
    size_t i = m->heap.count - 1;
    for (; i > 0 && goes_first(&c, &m->heap.items[(i - 1) / 2]); i = (i - 1) / 2)
        m->heap.items[i] = m->heap.items[(i - 1) / 2];
    m->heap.items[i] = c;
}

static candidate heap_pop(merging *m)
{
    candidate *heap = m->heap.items, first = heap[0], last = heap[--m->heap.count];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < m->heap.count; i = child) {
        if (child + 1 < m->heap.count && goes_first(&heap[child + 1], &heap[child]))
            child++;
        if (!goes_first(&heap[child], &last))
            break;
        heap[i] = heap[child];
    }
    heap[i] = last;
    return first;
}

static void consider(merging *m, uint32_t left)
{
    if (left == NO_TOKEN || m->symbols[left].next == NO_TOKEN)
        return;
    const symbol *l = &m->symbols[left], *r = &m->symbols[l->next];
    candidate c = {.left = left, .right = l->next, .length = l->length + r->length};
    if (m->rule(m->tokenizer, m->text, l, r, &c.priority, &c.id))
        heap_push(m, c);
}

// Symbols only grow, and only by taking in their right neighbour, which then has length 0.
static bool stale(const merging *m, const candidate *c)
{
    const symbol *l = &m->symbols[c->left], *r = &m->symbols[c->right];
    return !l->length || !r->length || l->next != c->right || l->length + r->length != c->length;
}

static void join(merging *m, const candidate *c)
{
    symbol *l = &m->symbols[c->left], *r = &m->symbols[c->right];
    l->length = c->length;
    l->id = c->id;
    l->next = r->next;
    r->length = 0;
    if (l->next != NO_TOKEN)
        m->symbols[l->next].previous = c->left;
}

void merge_symbols(const tokenizer *t, arena *scratch, const char *input, symbol *symbols,
                   size_t count, merge_rule *rule)
{
    merging m = {
        .tokenizer = t, .scratch = scratch, .text = input, .symbols = symbols, .rule = rule};
    for (size_t i = 0; i < count; i++) {
        symbols[i].previous = i ? (uint32_t)i - 1 : NO_TOKEN;
        symbols[i].next = i + 1 < count ? (uint32_t)i + 1 : NO_TOKEN;
    }
    for (size_t i = 0; i < count; i++)
        consider(&m, (uint32_t)i);
    while (m.heap.count) {
        candidate c = heap_pop(&m);
        if (stale(&m, &c))
            continue;
        join(&m, &c);
        consider(&m, symbols[c.left].previous);
        consider(&m, c.left);
    }
}
