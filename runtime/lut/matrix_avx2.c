// mma with AVX2: lanes are columns of C, so that every column adds in the defined order. 32-bit
// words of B (two halves, four bytes) are transposed in blocks of 8 x 8; elements of A are
// broadcast.
#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include "runtime/lut/variants.h"
#include "support/scalar.h"

#include <immintrin.h>

enum { LANES = 8, MAX_WORDS = LUT_MAX_COLUMNS / 8, MAX_DEPTH = LUT_MAX_COLUMNS / 2 };
// Rows of C at once: as many sums as leave registers for the operands.
enum { ROWS = 8 };

typedef float columns_f32[MAX_DEPTH][MAX_WORDS];
typedef uint32_t columns_words[MAX_WORDS][MAX_WORDS];

static void transpose_block(const uint8_t *rows, uint32_t row_bytes, uint32_t *to, size_t stride)
{
    __m256i r[8], t[8];
    for (int i = 0; i < 8; i++)
        r[i] = _mm256_loadu_si256((const void *)(rows + (size_t)i * row_bytes));
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; j++) {
            r[i + 2 * j] = _mm256_unpacklo_epi64(t[i + j], t[i + j + 2]);
            r[i + 2 * j + 1] = _mm256_unpackhi_epi64(t[i + j], t[i + j + 2]);
        }
    for (int i = 0; i < 4; i++) {
        __m256i low = _mm256_permute2x128_si256(r[i], r[i + 4], 0x20);
        __m256i high = _mm256_permute2x128_si256(r[i], r[i + 4], 0x31);
        _mm256_storeu_si256((void *)(to + (size_t)i * stride), low);
        _mm256_storeu_si256((void *)(to + (size_t)(i + 4) * stride), high);
    }
}

// to[w][j] = word w of row j.
static void transpose(const lut_unit *u, const uint8_t *b, columns_words to)
{
    uint32_t words = u->n / 8, row_bytes = u->n / 2;
    for (uint32_t j = 0; j < words; j += 8)
        for (uint32_t w = 0; w < words; w += 8)
            transpose_block(b + j * row_bytes + 4 * w, row_bytes, &to[w][j], MAX_WORDS);
}

// The low 16 bits of 8 words.
static __m128i low_halves(__m256i words)
{
    const __m256i pick = _mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, -1, -1, -1, -1, -1, -1, -1, -1,
                                          0, 1, 4, 5, 8, 9, 12, 13, -1, -1, -1, -1, -1, -1, -1, -1);
    __m256i picked = _mm256_shuffle_epi8(words, pick);
    return _mm256_castsi256_si128(_mm256_permute4x64_epi64(picked, 0x08));
}

static void widen_halves(const columns_words from, uint32_t words, bool brain, columns_f32 to)
{
    for (uint32_t w = 0; w < words; w++)
        for (uint32_t j = 0; j < words; j += LANES) {
            __m256i x = _mm256_loadu_si256((const void *)&from[w][j]);
            __m256i high = _mm256_srli_epi32(x, 16);
            __m256 even = brain ? _mm256_castsi256_ps(_mm256_slli_epi32(x, 16))
                                : _mm256_cvtph_ps(low_halves(x));
            __m256 odd = brain ? _mm256_castsi256_ps(_mm256_slli_epi32(high, 16))
                               : _mm256_cvtph_ps(low_halves(high));
            _mm256_storeu_ps(&to[2 * w][j], even);
            _mm256_storeu_ps(&to[2 * w + 1][j], odd);
        }
}

static void widen_bytes(unsigned type, const uint8_t *b, uint32_t row_bytes, uint32_t columns,
                        columns_f32 to)
{
    for (uint32_t j = 0; j < columns; j++)
        for (uint32_t k = 0; k < row_bytes; k++)
            to[k][j] = lut_mma_element(type, b + j * row_bytes, k);
}

static void widen_row(unsigned type, const uint8_t *row, uint32_t depth, float *to)
{
    if (type != XLUT_MMA_F16) {
        for (uint32_t k = 0; k < depth; k++)
            to[k] = lut_mma_element(type, row, k);
        return;
    }
    for (uint32_t k = 0; k < depth; k += LANES)
        _mm256_storeu_ps(to + k, _mm256_cvtph_ps(_mm_loadu_si128((const void *)(row + 2 * k))));
}

static __m256 canonical_columns(__m256 x)
{
    __m256 nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
    return _mm256_blendv_ps(x, _mm256_set1_ps(__builtin_nanf("")), nan);
}

// ROWS rows of 8 columns of C.
static void multiply_floats(const float *a, const float *b, uint32_t depth, tile_f32 *c,
                            uint32_t columns)
{
    __m256 sum[ROWS];
    for (int i = 0; i < ROWS; i++)
        sum[i] = _mm256_loadu_ps(c + (size_t)i * columns);
    for (uint32_t k = 0; k < depth; k++) {
        __m256 column = _mm256_loadu_ps(b + (size_t)k * MAX_WORDS);
        for (int i = 0; i < ROWS; i++)
            sum[i] = _mm256_fmadd_ps(_mm256_broadcast_ss(a + i * MAX_DEPTH + k), column, sum[i]);
    }
    for (int i = 0; i < ROWS; i++)
        _mm256_storeu_ps(c + (size_t)i * columns, canonical_columns(sum[i]));
}

static void mma_floats(lut_unit *u, const isa_instruction *in)
{
    columns_f32 b;
    columns_words words;
    float a[ROWS][MAX_DEPTH];
    uint32_t depth = lut_mma_depth(u, in), columns = u->n / 8, row_bytes = u->n / 2;
    bool halves = in->type == XLUT_MMA_F16 || in->type == XLUT_MMA_BF16;
    if (halves) {
        transpose(u, lut_tile(u, in->rs2), words);
        widen_halves(words, columns, in->type == XLUT_MMA_BF16, b);
    } else {
        widen_bytes(in->type, lut_tile(u, in->rs2), row_bytes, columns, b);
    }
    for (uint32_t i = 0; i < 8 * u->m; i += ROWS) {
        for (uint32_t r = 0; r < ROWS; r++)
            widen_row(in->type, lut_tile(u, in->rs1) + (i + r) * row_bytes, depth, a[r]);
        for (uint32_t j = 0; j < columns; j += LANES)
            multiply_floats(a[0], &b[0][j], depth, lut_tile_f32(u, in->rd) + i * columns + j,
                            columns);
    }
}

// Bytes 0 and 2, or 1 and 3, of each word as two 16-bit integers.
static __m256i even_bytes(__m256i words)
{
    return _mm256_srai_epi16(_mm256_slli_epi16(words, 8), 8);
}

static __m256i odd_bytes(__m256i words)
{
    return _mm256_srai_epi16(words, 8);
}

static void multiply_bytes(const uint8_t *a, uint32_t row_bytes, const uint32_t *b, tile_i32 *c,
                           uint32_t columns)
{
    __m256i sum[ROWS];
    for (int i = 0; i < ROWS; i++)
        sum[i] = _mm256_loadu_si256((const void *)(c + (size_t)i * columns));
    for (uint32_t w = 0; w < columns; w++) {
        __m256i words = _mm256_loadu_si256((const void *)(b + (size_t)w * MAX_WORDS));
        __m256i even = even_bytes(words), odd = odd_bytes(words);
        for (int i = 0; i < ROWS; i++) {
            int32_t four;
            memcpy(&four, a + (size_t)i * row_bytes + 4 * w, 4);
            __m256i x = _mm256_set1_epi32(four);
            __m256i products = _mm256_add_epi32(_mm256_madd_epi16(even_bytes(x), even),
                                                _mm256_madd_epi16(odd_bytes(x), odd));
            sum[i] = _mm256_add_epi32(sum[i], products);
        }
    }
    for (int i = 0; i < ROWS; i++)
        _mm256_storeu_si256((void *)(c + (size_t)i * columns), sum[i]);
}

static void mma_bytes(lut_unit *u, const isa_instruction *in)
{
    columns_words words;
    uint32_t columns = u->n / 8, row_bytes = u->n / 2;
    transpose(u, lut_tile(u, in->rs2), words);
    for (uint32_t i = 0; i < 8 * u->m; i += ROWS)
        for (uint32_t j = 0; j < columns; j += LANES)
            multiply_bytes(lut_tile(u, in->rs1) + i * row_bytes, row_bytes, &words[0][j],
                           lut_tile_i32(u, in->rd) + i * columns + j, columns);
}

void lut_avx2_mma(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    (void)memory;
    if (in->type == XLUT_MMA_I8)
        mma_bytes(u, in);
    else
        mma_floats(u, in);
}

#endif
