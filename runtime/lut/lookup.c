// lmma: C[r][j] (+)= sum over lookups g and planes p of entry(T[r][g], I_p[j][g]) * weight(p).
//
// Integer sums wrap. Float sums add one entry at a time, lookups outer, planes inner, in f32.
#include "runtime/lut/reference.h"

#include "support/scalar.h"

static int32_t plane_weight(const isa_instruction *in, uint32_t plane)
{
    return in->form == XLUT_FORM_TERNARY ? 1 : 1 << plane;
}

// I[j][g] of a plane for 4 lookups g, first of them a multiple of 4, and every column j. A line of
// 64 bytes holds them for 32 columns: byte 4 (j % 16) + g % 4, the high nibble where j % 32 >= 16.
enum { LINE_LOOKUPS = 4 };
typedef uint8_t line_indices[LINE_LOOKUPS][LUT_MAX_COLUMNS];

HOST_CLONES static void read_lines(const uint8_t *plane, uint32_t g, uint32_t n, line_indices index)
{
    const uint8_t *line = plane + 2 * n * (g / LINE_LOOKUPS);
    for (uint32_t j = 0; j < n; j += 32, line += 64)
        for (uint32_t i = 0; i < LINE_LOOKUPS; i++)
            for (uint32_t k = 0; k < 16; k++) {
                index[i][j + k] = line[4 * k + i] & 15;
                index[i][j + 16 + k] = line[4 * k + i] >> 4;
            }
}

// T[row][g][e], of a tile, or a pair of tiles where that is what a full table needs.
static const uint8_t *table_at(const lut_unit *u, const isa_instruction *in, uint32_t row,
                               uint32_t g, uint32_t size)
{
    uint32_t entries = lut_table_is_full(in) ? 16 : 8;
    return lut_tile(u, in->rs1) + (row * u->lookups + g) * entries * size;
}

// The 16 values that an index selects: the entries, and for a symmetric table their negatives.
static void integer_entries(const lut_unit *u, const isa_instruction *in, uint32_t row, uint32_t g,
                            int32_t value[16])
{
    bool narrow = in->table == XLUT_TABLE_I8;
    uint32_t size = narrow ? 1 : 2;
    const uint8_t *table = table_at(u, in, row, g, size);
    for (uint32_t i = 0; i < 16; i++) {
        bool negate = !lut_table_is_full(in) && i >= 8;
        uint32_t e = negate ? i - 8 : i;
        int16_t wide = (int8_t)table[e];
        if (!narrow)
            memcpy(&wide, table + 2 * e, 2);
        value[i] = negate ? -wide : wide;
    }
}

static void float_entries(const lut_unit *u, const isa_instruction *in, uint32_t row, uint32_t g,
                          float value[16])
{
    const uint8_t *table = table_at(u, in, row, g, 2);
    for (uint32_t i = 0; i < 16; i++) {
        bool negate = !lut_table_is_full(in) && i >= 8;
        uint16_t bits;
        memcpy(&bits, table + 2 * (negate ? i - 8 : i), 2);
        value[i] = negate ? -f16_to_float(bits) : f16_to_float(bits);
    }
}

HOST_CLONES static void add_integers(tile_u32 *restrict c, const int32_t entry[16], int32_t weight,
                                     const uint8_t *restrict index, uint32_t n)
{
    uint32_t weighted[16];
    for (uint32_t i = 0; i < 16; i++)
        weighted[i] = (uint32_t)(entry[i] * weight);
    for (uint32_t j = 0; j < n; j++)
        c[j] += weighted[index[j]];
}

HOST_CLONES static void add_floats(tile_f32 *restrict c, const float entry[16], int32_t weight,
                                   const uint8_t *restrict index, uint32_t n)
{
    float weighted[16]; // exact: f16 times a power of two
    for (uint32_t i = 0; i < 16; i++)
        weighted[i] = entry[i] * (float)weight;
    for (uint32_t j = 0; j < n; j++)
        c[j] += weighted[index[j]];
}

// One lookup, all its planes, all columns of a row: columns and rows are independent.
static void add_lookup(lut_unit *u, const isa_instruction *in, uint32_t row, uint32_t g,
                       line_indices planes[])
{
    uint8_t *c = lut_tile(u, in->rd) + 4 * row * u->n;
    int32_t integers[16];
    float floats[16];
    bool is_float = in->table == XLUT_TABLE_F16;
    if (is_float)
        float_entries(u, in, row, g, floats);
    else
        integer_entries(u, in, row, g, integers);
    for (uint32_t p = 0; p < xlut_form_planes(in->form); p++) {
        const uint8_t *index = planes[p][g % LINE_LOOKUPS];
        if (is_float)
            add_floats((tile_f32 *)c, floats, plane_weight(in, p), index, u->n);
        else
            add_integers((tile_u32 *)c, integers, plane_weight(in, p), index, u->n);
    }
}

void lut_reference_lmma(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    (void)memory;
    line_indices planes[4];
    lut_range slice = lut_slice_range(u, in);
    uint32_t rows = lut_rows(u, in);
    if (in->start)
        memset(lut_tile(u, in->rd), 0, 4 * rows * u->n);
    for (uint32_t g = slice.first; g < slice.first + slice.count; g++) {
        bool next_line = g % LINE_LOOKUPS == 0 || g == slice.first;
        for (uint32_t p = 0; next_line && p < xlut_form_planes(in->form); p++)
            read_lines(lut_tile(u, in->rs2 + p), g, u->n, planes[p]);
        for (uint32_t row = 0; row < rows; row++)
            add_lookup(u, in, row, g, planes);
    }
    if (in->table == XLUT_TABLE_F16)
        lut_canonicalize(lut_tile_f32(u, in->rd), rows * u->n);
}
