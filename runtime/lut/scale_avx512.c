// lut.ld, lut.lda, lut.ldm, lut.ldt, lut.deq, lut.off and lut.sta with AVX-512: the defining
// operations on 16 columns at once.
#if defined(__AVX512VBMI__) && defined(__AVX512VNNI__)

#include "runtime/lut/vectors_avx512.h"

// 16 columns of an operand of type f16 or f32.
INLINE __m512 columns_at(unsigned type, const uint8_t *from, uint32_t j)
{
    if (type == XLUT_SCALE_F32)
        return _mm512_loadu_ps(from + 4 * j);
    return _mm512_cvtph_ps(_mm256_loadu_si256((const void *)(from + 2 * j)));
}

INLINE __m512 row_factor(const uint8_t *factors, uint32_t row)
{
    float factor;
    memcpy(&factor, factors + 4 * row, 4);
    return _mm512_set1_ps(factor);
}

// NaN results become the canonical one; there are hardly ever any.
__attribute__((noinline)) static void canonicalize(tile_f32 *d, uint32_t count)
{
    for (uint32_t i = 0; i < count; i += 16)
        _mm512_store_ps(d + i, canonical(_mm512_load_ps(d + i)));
}

// 64 columns of all rows: what is loaded first waits for no store. Nonzero: there are NaN among the
// results.
INLINE __mmask16 deq_columns(const uint8_t *s, tile_f32 *d, const uint8_t *scales,
                             unsigned scale_type, const __m512 *factor, unsigned m, size_t n,
                             bool real)
{
    enum { VECTORS = 4 };
    __m512 result[LUT_MAX_ROWS][VECTORS];
    __mmask16 nan = 0;
    UNROLL for (unsigned i = 0; i < VECTORS; i++)
    {
        const __m512 scale = columns_at(scale_type, scales, 16 * i);
        UNROLL for (unsigned row = 0; row < m; row++)
        {
            const uint8_t *at = s + 4 * (row * n + 16 * i);
            __m512 sum = real ? _mm512_load_ps(at) : _mm512_cvtepi32_ps(_mm512_load_si512(at));
            result[row][i] = _mm512_fmadd_ps(sum, _mm512_mul_ps(scale, factor[row]),
                                             _mm512_load_ps(d + row * n + 16 * i));
        }
    }
    UNROLL for (unsigned row = 0; row < m; row++)
    {
        UNROLL for (unsigned i = 0; i < VECTORS; i++)
            _mm512_store_ps(d + row * n + 16 * i, result[row][i]);
    }
    UNROLL for (unsigned row = 0; row < (m + 1) / 2; row++)
    {
        const __m512 *const other = result[row + m / 2];
        UNROLL for (unsigned i = 0; i < VECTORS; i++) nan =
            _kor_mask16(nan, _mm512_cmp_ps_mask(result[row][i], other[i], _CMP_UNORD_Q));
    }
    return nan;
}

// Whether the second of two rows stays 0: its sums and results are, and so is its factor, or it is
// 1, unless a column's scale is not finite.
INLINE bool has_empty_row(const lut_unit *u, unsigned rd, unsigned rs3, const uint8_t *factors)
{
    const uint32_t tiles = 1u << rd | 1u << rs3;
    uint32_t factor = 0;
    if (factors)
        memcpy(&factor, factors + 4, 4);
    return 4 * u->n == u->half_bytes && (u->half_zero & tiles) == tiles && factor << 1 == 0;
}

// The first row of 64 columns. False: a result is not finite, as it is where a scale is not;
// nothing was done.
INLINE bool deq_first_row(lut_unit *u, unsigned rd, unsigned rs3, const uint8_t *scales,
                          const uint8_t *factors, unsigned scale_type)
{
    enum { VECTORS = 4, NOT_FINITE = 0x99 };
    const uint8_t *s = lut_tile(u, rs3);
    tile_f32 *const d = lut_tile_f32(u, rd);
    const __m512 factor = factors ? row_factor(factors, 0) : _mm512_set1_ps(1);
    __m512 result[VECTORS];
    __mmask16 bad = 0;
    UNROLL for (unsigned i = 0; i < VECTORS; i++)
    {
        const __m512 sum = _mm512_cvtepi32_ps(_mm512_load_si512(s + 64 * i));
        const __m512 scale = columns_at(scale_type, scales, 16 * i);
        result[i] = _mm512_fmadd_ps(sum, _mm512_mul_ps(scale, factor), _mm512_load_ps(d + 16 * i));
        bad = _kor_mask16(bad, _mm512_fpclass_ps_mask(result[i], NOT_FINITE));
    }
    if (!_kortestz_mask16_u8(bad, bad))
        return false;
    UNROLL for (unsigned i = 0; i < VECTORS; i++) _mm512_store_ps(d + 16 * i, result[i]);
    return true;
}

INLINE void deq(lut_unit *u, unsigned rd, unsigned rs3, const uint8_t *scales,
                const uint8_t *factors, unsigned m, unsigned n, bool real, unsigned scale_type)
{
    if (m == 2 && n == 64 && !real && has_empty_row(u, rd, rs3, factors) &&
        deq_first_row(u, rd, rs3, scales, factors, scale_type))
        return;
    const uint32_t tile_bytes = 4 * m * n, scale_bytes = scale_type == XLUT_SCALE_F32 ? 4 : 2;
    const uint8_t *s = u->tiles + (size_t)rs3 * tile_bytes;
    tile_f32 *d = (tile_f32 *)(void *)(u->tiles + (size_t)rd * tile_bytes);
    __m512 factor[LUT_MAX_ROWS];
    __mmask16 nan = 0;
    u->half_zero &= ~(1u << rd);
    UNROLL for (unsigned row = 0; row < m; row++) factor[row] =
        factors ? row_factor(factors, row) : _mm512_set1_ps(1);
    for (unsigned j = 0; j < n; j += 64)
        nan = _kor_mask16(nan, deq_columns(s + 4 * j, d + j, scales + j * scale_bytes, scale_type,
                                           factor, m, n, real));
    if (__builtin_expect(!_kortestz_mask16_u8(nan, nan), 0))
        canonicalize(d, m * n);
}

#define EACH_DEQ(DO, m, n)                                                                         \
    DO(m, n, 0, 0)                                                                                 \
    DO(m, n, 0, 1)                                                                                 \
    DO(m, n, 1, 0)                                                                                 \
    DO(m, n, 1, 1)
#define DEFINE_DEQ(m, n, real, wide)                                                               \
    static void deq_##m##_##n##_##real##_##wide(lut_unit *u, unsigned rd, unsigned rs3,            \
                                                const uint8_t *scales, const uint8_t *factors)     \
    {                                                                                              \
        deq(u, rd, rs3, scales, factors, m, n, real, wide ? XLUT_SCALE_F32 : XLUT_SCALE_F16);      \
    }
#define DEQ_ENTRY(m, n, real, wide) [real][wide] = deq_##m##_##n##_##real##_##wide,

EACH_DEQ(DEFINE_DEQ, 1, 64)
EACH_DEQ(DEFINE_DEQ, 2, 64)
EACH_DEQ(DEFINE_DEQ, 2, 128)
EACH_DEQ(DEFINE_DEQ, 4, 128)
EACH_DEQ(DEFINE_DEQ, 4, 256)
static const struct {
    unsigned m, n;
    lut_scale *of[2][2];
} scales_of[] = {{1, 64, {EACH_DEQ(DEQ_ENTRY, 1, 64)}},
                 {2, 64, {EACH_DEQ(DEQ_ENTRY, 2, 64)}},
                 {2, 128, {EACH_DEQ(DEQ_ENTRY, 2, 128)}},
                 {4, 128, {EACH_DEQ(DEQ_ENTRY, 4, 128)}},
                 {4, 256, {EACH_DEQ(DEQ_ENTRY, 4, 256)}}};

lut_scale *lut_avx512_choose_scale(const lut_unit *u, const isa_instruction *in)
{
    unsigned i = 0;
    while (scales_of[i].m != u->m || scales_of[i].n != u->n)
        i++;
    return scales_of[i].of[in->type == XLUT_SUM_F32][in->scale_type == XLUT_SCALE_F32];
}

void lut_avx512_deq(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    lut_avx512_choose_scale(u, in)(u, in->rd, in->rs3, memory->item[0].host[0],
                                   memory->count > 1 ? memory->item[1].host[0] : NULL);
}

void lut_avx512_off(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    const uint8_t *factors = memory->item[0].host[0], *v = memory->item[1].host[0];
    for (uint32_t row = 0; row < u->m; row++) {
        const __m512 factor = row_factor(factors, row);
        tile_f32 *d = lut_tile_f32(u, in->rd) + row * u->n;
        for (uint32_t j = 0; j < u->n; j += 16) {
            __m512 column = columns_at(in->scale_type, v, j);
            __m512 result = _mm512_fmadd_ps(factor, column, _mm512_load_ps(d + j));
            _mm512_store_ps(d + j, canonical(result));
        }
    }
}

INLINE void copy_lines(uint8_t *to, const uint8_t *from, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i += 64)
        _mm512_store_si512(to + i, _mm512_loadu_si512(from + i));
}

INLINE void load_place(lut_unit *u, unsigned tile, const uint8_t *from, bool half)
{
    uint8_t *to = lut_tile(u, tile);
    copy_lines(to, from, u->half_bytes);
    if (half) {
        clear_half(u, tile);
    } else {
        copy_lines(to + u->half_bytes, from + u->half_bytes, u->tile_bytes - u->half_bytes);
        u->half_zero &= ~(1u << tile);
    }
}

void lut_avx512_ld(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    load_place(u, in->rd, memory->item[0].host[0], in->half);
}

void lut_avx512_copy_references(lut_unit *u, uint32_t tiles)
{
    for (uint32_t left = tiles; left; left &= left - 1) {
        const unsigned tile = (unsigned)__builtin_ctz(left);
        load_place(u, tile, u->at[tile], u->half_references >> tile & 1);
        u->at[tile] = lut_tile(u, tile);
    }
    u->references &= ~tiles;
    u->half_references &= ~tiles;
}

void lut_avx512_zero(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    (void)memory;
    uint8_t *to = lut_tile(u, in->rd);
    for (uint32_t i = 0; i < u->half_bytes; i += 64)
        _mm512_store_si512(to + i, _mm512_setzero_si512());
    clear_half(u, in->rd);
}

// Rows of an operand, or those that lie `stride` apart.
typedef struct row_places {
    uint8_t *const *host; // NULL: the latter
    uint8_t *first;
    int64_t stride;
} row_places;

INLINE uint8_t *row_at(row_places p, uint32_t row)
{
    return p.host ? p.host[row] : p.first + row * p.stride;
}

INLINE row_places places_of(const lut_operand *rows)
{
    return (row_places){.host = rows->host};
}

INLINE row_places places_from(uint8_t *first, int64_t stride)
{
    return (row_places){.first = first, .stride = stride};
}

INLINE void clear_from(lut_unit *u, unsigned tile, uint32_t bytes)
{
    for (uint32_t i = bytes; i < u->tile_bytes; i += 64)
        _mm512_store_si512(lut_tile(u, tile) + i, _mm512_setzero_si512());
    u->half_zero &= ~(1u << tile);
}

// Masked loads touch nothing behind a row's end.
INLINE __m512 loaded_columns(unsigned type, const uint8_t *from, uint32_t j, uint32_t columns)
{
    if (j >= columns)
        return _mm512_setzero_ps();
    const __mmask16 mask = columns - j >= 16 ? 0xffff : (__mmask16)((1u << (columns - j)) - 1);
    if (type == XLUT_DATA_F16)
        return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, from + 2 * j));
    return _mm512_maskz_loadu_ps(mask, from + 4 * j);
}

INLINE void load_rows(unsigned type, row_places p, uint32_t rows, uint32_t columns, uint32_t n,
                      tile_f32 *to)
{
    __mmask16 nan = 0;
    for (uint32_t row = 0; row < rows; row++)
        for (uint32_t j = 0; j < n; j += 32) {
            const __m512 x = loaded_columns(type, row_at(p, row), j, columns),
                         y = loaded_columns(type, row_at(p, row), j + 16, columns);
            nan = _kor_mask16(nan, _mm512_cmp_ps_mask(x, y, _CMP_UNORD_Q));
            _mm512_store_ps(to + row * n + j, x);
            _mm512_store_ps(to + row * n + j + 16, y);
        }
    if (type == XLUT_DATA_F16 && __builtin_expect(!_kortestz_mask16_u8(nan, nan), 0))
        canonicalize(to, rows * n);
}

INLINE void load_tile(lut_unit *u, unsigned tile, unsigned type, row_places p, uint32_t rows,
                      uint32_t bytes)
{
    const uint32_t columns = type == XLUT_DATA_F16 ? bytes / 2 : bytes / 4;
    load_rows(type, p, rows, columns, u->n, lut_tile_f32(u, tile));
    clear_from(u, tile, 4 * rows * u->n);
}

// From bf16 as defined.
void lut_avx512_lda(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    const lut_operand *rows = &memory->item[0];
    if (in->type == XLUT_DATA_BF16)
        lut_reference_lda(u, in, memory);
    else if (in->type == XLUT_DATA_F16)
        load_tile(u, in->rd, XLUT_DATA_F16, places_of(rows), rows->rows, rows->bytes);
    else
        load_tile(u, in->rd, XLUT_DATA_F32, places_of(rows), rows->rows, rows->bytes);
}

// The first `bytes` of 32, the rest 0. Nothing behind them is touched.
INLINE __m256i first_of_32(const uint8_t *from, uint32_t bytes)
{
    if (bytes >= 32)
        return _mm256_loadu_si256((const void *)from);
    return _mm256_maskz_loadu_epi8((1u << bytes) - 1, from);
}

INLINE void load_matrix_rows(row_places p, uint32_t rows, uint32_t bytes, uint32_t row_bytes,
                             uint8_t *to)
{
    uint32_t row = 0;
    if (row_bytes == 32) // two at once, as mma reads them
        for (; row + 2 <= rows; row += 2, to += 64)
            _mm512_store_si512(
                to, _mm512_inserti64x4(_mm512_castsi256_si512(first_of_32(row_at(p, row), bytes)),
                                       first_of_32(row_at(p, row + 1), bytes), 1));
    for (; row < rows; row++)
        for (uint32_t i = 0; i < row_bytes; i += 32, to += 32)
            _mm256_store_si256((void *)to,
                               first_of_32(row_at(p, row) + i, bytes > i ? bytes - i : 0));
}

INLINE void load_matrix(lut_unit *u, unsigned tile, row_places p, uint32_t rows, uint32_t bytes,
                        uint32_t n)
{
    const uint32_t row_bytes = n / 2;
    uint8_t *to = lut_tile(u, tile);
    load_matrix_rows(p, rows, bytes, row_bytes, to);
    for (uint32_t i = rows * row_bytes; i < u->tile_bytes; i += 32)
        _mm256_store_si256((void *)(to + i), _mm256_setzero_si256());
    u->half_zero &= ~(1u << tile);
}

void lut_avx512_ldm(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    const lut_operand *rows = &memory->item[0];
    load_matrix(u, in->rd, places_of(rows), rows->rows, rows->bytes, u->n);
}

// The first `bytes` of 16, the rest 0. Nothing behind them is touched.
INLINE __m128i first_of_16(const uint8_t *from, uint32_t bytes)
{
    if (bytes >= 16)
        return _mm_loadu_si128((const void *)from);
    return _mm_maskz_loadu_epi8((__mmask16)((1u << bytes) - 1), from);
}

// 16 rows of 8 halves from there on, those that there are, to 8 rows of 16, `row_bytes` apart.
INLINE void transpose_block(row_places p, uint32_t row, uint32_t rows, uint32_t at, uint32_t bytes,
                            uint32_t row_bytes, uint8_t *to)
{
    const __m128i none = _mm_setzero_si128();
    const uint32_t left = bytes > at ? bytes - at : 0;
    __m256i x[8], y[8];
    UNROLL for (uint32_t i = 0; i < 8; i++) x[i] =
        _mm256_set_m128i(row + i + 8 < rows ? first_of_16(row_at(p, row + i + 8) + at, left) : none,
                         row + i < rows ? first_of_16(row_at(p, row + i) + at, left) : none);
    UNROLL for (unsigned i = 0; i < 8; i += 2)
    {
        y[i] = _mm256_unpacklo_epi16(x[i], x[i + 1]);
        y[i + 1] = _mm256_unpackhi_epi16(x[i], x[i + 1]);
    }
    UNROLL for (unsigned i = 0; i < 8; i += 4) UNROLL for (unsigned j = 0; j < 2; j++)
    {
        x[i + 2 * j] = _mm256_unpacklo_epi32(y[i + j], y[i + j + 2]);
        x[i + 2 * j + 1] = _mm256_unpackhi_epi32(y[i + j], y[i + j + 2]);
    }
    UNROLL for (unsigned i = 0; i < 4; i++, to += 2 * row_bytes)
    {
        _mm256_store_si256((void *)to, _mm256_unpacklo_epi64(x[i], x[i + 4]));
        _mm256_store_si256((void *)(to + row_bytes), _mm256_unpackhi_epi64(x[i], x[i + 4]));
    }
}

INLINE void load_transposed(lut_unit *u, unsigned tile, row_places p, uint32_t rows, uint32_t bytes)
{
    const uint32_t row_bytes = u->n / 2, most = u->n / 4;
    uint8_t *const to = lut_tile(u, tile);
    for (uint32_t at = 0; at < most; at += 16)
        for (uint32_t row = 0; row < most; row += 16)
            transpose_block(p, row, rows, at, bytes, row_bytes, to + at / 2 * row_bytes + 2 * row);
    clear_from(u, tile, u->n / 8 * row_bytes);
}

void lut_avx512_ldt(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    const lut_operand *rows = &memory->item[0];
    load_transposed(u, in->rd, places_of(rows), rows->rows, rows->bytes);
}

INLINE __m256i halves_of(const tile_f32 *from)
{
    return _mm512_cvtps_ph(canonical(_mm512_load_ps(from)),
                           _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

// Masked stores are slow on some hosts, so they are kept for the rest of a row.
INLINE void store_halves(uint8_t *to, const tile_f32 *from, uint32_t columns)
{
    const uint32_t whole = columns & ~15u, rest = columns & 15;
    for (uint32_t j = 0; j < whole; j += 16)
        _mm256_storeu_si256((void *)(to + 2 * j), halves_of(from + j));
    if (rest)
        _mm256_mask_storeu_epi16(to + 2 * whole, (__mmask16)((1u << rest) - 1),
                                 halves_of(from + whole));
}

INLINE void store_words(uint8_t *to, const tile_f32 *from, uint32_t columns)
{
    const uint32_t whole = columns & ~15u, rest = columns & 15;
    for (uint32_t j = 0; j < whole; j += 16)
        _mm512_storeu_si512(to + 4 * j, _mm512_load_si512(from + j));
    if (rest)
        _mm512_mask_storeu_epi32(to + 4 * whole, (__mmask16)((1u << rest) - 1),
                                 _mm512_load_si512(from + whole));
}

INLINE void store_tile(lut_unit *u, unsigned tile, unsigned type, row_places p, uint32_t rows,
                       uint32_t bytes)
{
    for (uint32_t row = 0; row < rows; row++) {
        const tile_f32 *from = lut_tile_f32(u, tile) + (size_t)row * u->n;
        if (type == XLUT_DATA_F16)
            store_halves(row_at(p, row), from, bytes / 2);
        else
            store_words(row_at(p, row), from, bytes / 4);
    }
}

// To bf16 as defined.
void lut_avx512_sta(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    const lut_operand *rows = &memory->item[0];
    if (in->type == XLUT_DATA_BF16)
        lut_reference_sta(u, in, memory);
    else if (in->type == XLUT_DATA_F16)
        store_tile(u, in->rd, XLUT_DATA_F16, places_of(rows), rows->rows, rows->bytes);
    else
        store_tile(u, in->rd, XLUT_DATA_F32, places_of(rows), rows->rows, rows->bytes);
}

// ------------------------------------------------------------- the same, rows a stride apart

#define MOVE(name, form, type)                                                                     \
    static __attribute__((noinline)) void name(lut_unit *u, unsigned tile, uint8_t *first,         \
                                               int64_t stride, uint32_t rows, uint32_t bytes)      \
    {                                                                                              \
        form(u, tile, type, places_from(first, stride), rows, bytes);                              \
    }
MOVE(load_part_f16, load_tile, XLUT_DATA_F16)
MOVE(load_part_f32, load_tile, XLUT_DATA_F32)
MOVE(store_f16, store_tile, XLUT_DATA_F16)
MOVE(store_f32, store_tile, XLUT_DATA_F32)

// Whole rows of n = 64 are what most programs load.
#define LOAD(name, part, type, row_bytes)                                                          \
    static void name(lut_unit *u, unsigned tile, uint8_t *first, int64_t stride, uint32_t rows,    \
                     uint32_t bytes)                                                               \
    {                                                                                              \
        if (u->n != 64 || bytes != (row_bytes)) {                                                  \
            part(u, tile, first, stride, rows, bytes);                                             \
            return;                                                                                \
        }                                                                                          \
        load_rows(type, places_from(first, stride), rows, 64, 64, lut_tile_f32(u, tile));          \
        clear_from(u, tile, 256 * rows);                                                           \
    }
LOAD(load_f16, load_part_f16, XLUT_DATA_F16, 128)
LOAD(load_f32, load_part_f32, XLUT_DATA_F32, 256)

static __attribute__((noinline)) void load_part_operand(lut_unit *u, unsigned tile, uint8_t *first,
                                                        int64_t stride, uint32_t rows,
                                                        uint32_t bytes)
{
    load_matrix(u, tile, places_from(first, stride), rows, bytes, u->n);
}

static void load_operand(lut_unit *u, unsigned tile, uint8_t *first, int64_t stride, uint32_t rows,
                         uint32_t bytes)
{
    if (u->n == 64 && bytes == 32)
        load_matrix(u, tile, places_from(first, stride), rows, 32, 64);
    else
        load_part_operand(u, tile, first, stride, rows, bytes);
}

static void load_columns(lut_unit *u, unsigned tile, uint8_t *first, int64_t stride, uint32_t rows,
                         uint32_t bytes)
{
    load_transposed(u, tile, places_from(first, stride), rows, bytes);
}

// Words of 4 bytes.
static void store_operand(lut_unit *u, unsigned tile, uint8_t *first, int64_t stride, uint32_t rows,
                          uint32_t bytes)
{
    const uint8_t *from = lut_tile(u, tile);
    for (uint32_t row = 0; row < rows; row++, first += stride, from += u->n / 2)
        for (uint32_t i = 0; i < bytes; i += 32) {
            const __m256i x = _mm256_load_si256((const void *)(from + i));
            if (bytes - i >= 32)
                _mm256_storeu_si256((void *)(first + i), x);
            else
                _mm256_mask_storeu_epi32(first + i, (__mmask8)((1u << (bytes - i) / 4) - 1), x);
        }
}

static void store_bytes(lut_unit *u, unsigned tile, uint8_t *first, int64_t stride, uint32_t rows,
                        uint32_t bytes)
{
    (void)stride, (void)rows;
    copy_lines(first, lut_tile(u, tile), bytes);
}

lut_move *lut_avx512_choose_move(const isa_instruction *in)
{
    static lut_move *const loads[] = {
        [XLUT_DATA_F32] = load_f32, [XLUT_DATA_F16] = load_f16, [XLUT_DATA_I32] = load_f32};
    static lut_move *const stores[] = {
        [XLUT_DATA_F32] = store_f32, [XLUT_DATA_F16] = store_f16, [XLUT_DATA_I32] = store_f32};
    switch (in->opcode) {
    case ISA_LUT_LDA: return loads[in->type];
    case ISA_LUT_STA: return stores[in->type];
    case ISA_LUT_LDM: return load_operand;
    case ISA_LUT_LDT: return load_columns;
    case ISA_LUT_STM: return store_operand;
    case ISA_LUT_ST: return store_bytes;
    default: return NULL;
    }
}

#else
typedef int lut_no_avx512; // a translation unit is not empty
#endif
