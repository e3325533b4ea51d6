// The pieces of a format's terms, and the factors by which their sums are put together.
#include "compiler/passes/lower/contract_internal.h"

static void add_piece(piece_list *list, piece p, unsigned parts)
{
    for (p.part = 0; p.part < parts; p.part++, p.factor *= 256) {
        if (list->count == MOST_PIECES)
            INTERNAL_ERROR("a format needs more than %d accumulators", MOST_PIECES);
        list->items[list->count++] = p;
    }
}

piece_list pieces_of(const quant_format *f, const ir_type *table)
{
    enum { PLANES = 4 }; // of an lmma, or of all in turn with a codebook
    piece_list list = {0};
    for (unsigned i = 0; i < f->terms; i++) {
        quant_term t = quant_term_of(f, i);
        unsigned end = t.first + t.planes, factor = 1;
        for (unsigned first = t.first; first < end; first += PLANES, factor <<= PLANES) {
            unsigned planes = end - first < PLANES ? end - first : PLANES;
            piece p = {i, t.form, first, planes, 0, (int)factor};
            add_piece(&list, p, table->parts);
        }
    }
    return list;
}

piece_list pieces_of_term(const piece_list *pieces, unsigned term)
{
    piece_list own = {0};
    for (unsigned i = 0; i < pieces->count; i++)
        if (pieces->items[i].term == term)
            own.items[own.count++] = pieces->items[i];
    return own;
}

unsigned pieces_in_term(const piece_list *list, unsigned first)
{
    unsigned count = 1;
    while (first + count < list->count &&
           list->items[first + count].term == list->items[first].term)
        count++;
    return count;
}

ir_value **piece_factor(lowering *l, int factor)
{
    unsigned i = 0;
    while (l->factors[i].vector && l->factors[i].factor != factor)
        i++;
    l->factors[i].factor = factor;
    return &l->factors[i].vector;
}

static void prepare_factor(lowering *l, int factor)
{
    ir_value **vector = piece_factor(l, factor), *zero = low_index(l, 0);
    if (*vector)
        return;
    *vector = low_scratch(l, SCALAR_F16, 1, l->n);
    low_fill(l, *vector, zero, zero, low_index(l, l->n), factor);
}

void prepare_pieces(lowering *l, const piece_list *pieces)
{
    for (unsigned first = 0, count; first < pieces->count; first += count) {
        count = pieces_in_term(pieces, first);
        for (unsigned i = first; count > 1 && i < first + count; i++)
            prepare_factor(l, pieces->items[i].factor);
    }
}
