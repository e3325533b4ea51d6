// Dense elements of 8 bits with a scale for each row: for matrix units, not for lookups. A code is
// the element's bits.
#include "compiler/quant/levels.h"
#include "support/clones.h"

void quant_fit_bytes(quant_rows *row, const float *w, int64_t count)
{
    float most = 0;
    for (int64_t i = 0; i < count; i++)
        most = fmaxf(most, fabsf(w[i]));
    row->scale[0] = most / (float)scalar_largest(row->format.element);
}

static HOST_CLONES void encode_integers(const float *restrict w, int64_t count, float scale,
                                        uint8_t *restrict codes)
{
    for (int64_t i = 0; i < count; i++) {
        float x = rintf(w[i] / scale);
        codes[i] = (uint8_t)(int8_t)(x > 127 ? 127 : x < -127 ? -127 : x);
    }
}

void quant_encode_bytes(const quant_rows *row, const float *w, int64_t count, uint8_t *codes)
{
    const scalar_type t = row->format.element;
    const double scale = (double)row->scale[0], most = scalar_largest(t);
    if (scale == 0) {
        memset(codes, 0, (size_t)count);
    } else if (t == SCALAR_I8) {
        encode_integers(w, count, row->scale[0], codes);
    } else {
        for (int64_t i = 0; i < count; i++)
            scalar_store(t, codes + i, fmin(fmax((double)w[i] / scale, -most), most));
    }
}

void quant_levels_of_bytes(const quant_format *f, double levels[QUANT_CODES])
{
    for (unsigned code = 0; code < QUANT_CODES; code++)
        levels[code] = scalar_load(f->element, &(uint8_t){(uint8_t)code});
}
