// Rounding one weight at a time.
#include "compiler/quant/ladder.h"

static void add_rung(quant_ladder *l, double value, uint8_t code)
{
    unsigned at = l->count++;
    for (; at && l->value[at - 1] > value; at--) {
        l->value[at] = l->value[at - 1];
        l->code[at] = l->code[at - 1];
    }
    l->value[at] = value;
    l->code[at] = code;
    l->by_code[code] = value;
}

static void add_rungs(quant_ladder *l, unsigned special)
{
    const quant_format *f = &l->row.format;
    const float *scale = l->row.scale + l->group * f->terms;
    double levels[QUANT_TERMS][QUANT_CODES];
    uint8_t codes[QUANT_RUNGS];
    unsigned count = quant_usable_codes(f, special, codes);
    for (unsigned t = 0; t < f->terms; t++)
        quant_levels(f, l->row.book, t, levels[t]);
    for (unsigned i = 0; i < count; i++) {
        double value = l->offset;
        for (unsigned t = 0; t < f->terms; t++)
            value += (double)scale[t] * levels[t][codes[i]];
        add_rung(l, value, codes[i]);
    }
}

void quant_ladder_of(const quant_rows *row, int64_t group, unsigned special, quant_ladder *out)
{
    const quant_format *f = &row->format;
    bool known =
        out->even && out->row.format.kind == f->kind && out->row.format.planes == f->planes;
    out->even = f->kind == QUANT_UNIFORM || f->kind == QUANT_TERNARY;
    out->row = *row;
    out->group = group;
    out->offset = row->offset ? (double)row->offset[group] : 0;
    out->scale = (double)row->scale[group * f->terms];
    out->count = 0;
    if (!out->even)
        add_rungs(out, special);
    else if (!known)
        quant_levels(f, NULL, 0, out->level);
}

double quant_ladder_value(const quant_ladder *l, uint8_t code)
{
    return l->even ? l->scale * l->level[code] + l->offset : l->by_code[code];
}

double quant_ladder_nearest(const quant_ladder *l, double x, uint8_t *code)
{
    if (l->even) {
        float w = (float)x;
        quant_encode(&l->row, l->group, 0, &w, 1, code);
        return l->scale * l->level[*code] + l->offset;
    }
    unsigned rung = 0;
    while (rung + 1 < l->count && x > (l->value[rung] + l->value[rung + 1]) / 2)
        rung++;
    *code = l->code[rung];
    return l->value[rung];
}
