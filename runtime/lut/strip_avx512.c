// Loops over the depth with AVX-512: sums of 64 columns, and the results that they are scaled into,
// stay in registers. What is exceptional is found out in the end, before anything is stored.
#if defined(__AVX512VBMI__) && defined(__AVX512VNNI__)

#include "runtime/lut/lookup_whole_avx512.h"

enum { COLUMNS = 64, VECTORS = COLUMNS / 16, PITCH = 2 * COLUMNS };

// One of a loop's rounds.
typedef struct loop_round {
    const lut_strip_loop *loop;
    uint64_t number;
} loop_round;

INLINE const uint8_t *at(loop_round r, lut_place p)
{
    return r.loop->span[p.span] + (int64_t)r.number * r.loop->advance[p.span] + p.offset;
}

INLINE __m512 number_at(const uint8_t *from)
{
    float number;
    memcpy(&number, from, 4);
    return _mm512_set1_ps(number);
}

INLINE void load_columns(const uint8_t *from, bool wide, __m512 *to)
{
    if (wide)
        UNROLL for (unsigned i = 0; i < VECTORS; i++) to[i] = _mm512_loadu_ps(from + 64 * i);
    else
        UNROLL for (unsigned i = 0; i < VECTORS; i++) to[i] =
            _mm512_cvtph_ps(_mm256_loadu_si256((const void *)(from + 32 * i)));
}

// The bits of the numbers of rows that are not computed.
INLINE uint32_t other_rows(const lut_unit *u, const uint8_t *numbers, unsigned rows)
{
    uint32_t all = 0;
    for (unsigned row = rows; row < u->m; row++) {
        uint32_t bits;
        memcpy(&bits, numbers + 4 * row, 4);
        all |= bits;
    }
    return all;
}

// lut.deq of as many rows as there are factors (NULL: all 1)
INLINE void scale_by(shape k, const uint8_t *scales, bool wide, const uint8_t *factors,
                     const __m512i *sum, __m512 *result)
{
    const unsigned parts = parts_of(k);
    __m512 scale[VECTORS];
    load_columns(scales, wide, scale);
    UNROLL for (unsigned row = 0; row < k.rows; row++)
    {
        const __m512 factor = factors ? number_at(factors + 4 * row) : _mm512_set1_ps(1);
        UNROLL for (unsigned i = 0; i < VECTORS; i++)
        {
            const __m512 total = _mm512_cvtepi32_ps(total_of(k, sum + (i * k.rows + row) * parts));
            __m512 *to = &result[i * k.rows + row];
            *to = _mm512_fmadd_ps(total, _mm512_mul_ps(scale[i], factor), *to);
        }
    }
}

// lut.deq of rows from `first` on
INLINE void scale_sums(shape k, const lut_step *step, loop_round r, unsigned first,
                       const __m512i *sum, __m512 *result)
{
    scale_by(k, at(r, step->scales), step->wide_scales,
             step->has_factors ? at(r, step->factors) + 4 * first : NULL, sum, result);
}

// lut.off, likewise
INLINE void add_offsets(shape k, const lut_step *step, loop_round r, unsigned first, __m512 *result)
{
    __m512 column[VECTORS];
    load_columns(at(r, step->column), step->wide_offsets, column);
    UNROLL for (unsigned row = 0; row < k.rows; row++)
    {
        const __m512 number = number_at(at(r, step->row) + 4 * (first + row));
        UNROLL for (unsigned i = 0; i < VECTORS; i++)
        {
            __m512 *to = &result[i * k.rows + row];
            *to = _mm512_fmadd_ps(number, column[i], *to);
        }
    }
}

INLINE void load_results(shape k, const uint8_t *from, __m512 *result)
{
    UNROLL for (unsigned i = 0; i < VECTORS; i++) UNROLL for (unsigned row = 0; row < k.rows; row++)
        result[i * k.rows + row] = _mm512_load_ps(from + PITCH * 2 * row + 64 * i);
}

INLINE void store_results(shape k, const __m512 *result, uint8_t *to)
{
    UNROLL for (unsigned i = 0; i < VECTORS; i++) UNROLL for (unsigned row = 0; row < k.rows; row++)
        _mm512_store_ps(to + PITCH * 2 * row + 64 * i, result[i * k.rows + row]);
}

// Whether a tile's rows from `row` on are +0.
INLINE bool is_zero_from(const lut_unit *u, const uint8_t *tile, unsigned row)
{
    __m512i any = _mm512_setzero_si512();
    for (uint32_t i = 4 * COLUMNS * row; i < u->tile_bytes; i += 64)
        any = _mm512_or_si512(any, _mm512_load_si512(tile + i));
    return _mm512_test_epi32_mask(any, any) == 0;
}

INLINE bool is_finite(const __m512 *x, unsigned count)
{
    enum { NOT_FINITE = 0x99 };
    __mmask16 any = 0;
    UNROLL for (unsigned i = 0; i < count; i++) any =
        _kor_mask16(any, _mm512_fpclass_ps_mask(x[i], NOT_FINITE));
    return _kortestz_mask16_u8(any, any);
}

typedef struct strip_state {
    __m512i sum[MOST_SUMS];
    __m512 result[2 * VECTORS];
    bool exact;      // no table had an entry that a lookup cannot negate
    uint32_t others; // bits of the numbers of rows that are not computed
} strip_state;

// Planes come from memory into the outer cache, whose lines under way are enough for all of
// memory's bandwidth; those of the inner one are not, and asking it is slower than not asking at
// all. Far enough ahead for the next strip, which mostly goes on where this one ends.
enum { AHEAD = 10240 };

// Scales and offsets of columns, likewise, where rounds have others each: they lie among the
// planes.
INLINE void fetch_columns(loop_round r, lut_place p, bool wide)
{
    if (r.loop->advance[p.span] == 0)
        return;
    for (unsigned i = 0; i < COLUMNS * (wide ? 4 : 2); i += LINE_BYTES)
        _mm_prefetch((const char *)at(r, p) + AHEAD + i, _MM_HINT_T1);
}

// Where a strip ends the next one mostly goes on.
INLINE void fetch_next(lut_unit *u, const lut_strip_loop *loop, const lut_step *step)
{
    enum { MOST = 1 << 15 };
    const lut_place p = step->plane[0];
    const uintptr_t end = (uintptr_t)loop->span[p.span] + (uintptr_t)(intptr_t)p.offset +
                          loop->count * (uintptr_t)loop->advance[p.span];
    if (!step->adds)
        return;
    u->fetched = end + AHEAD;
    u->fetchable = end + AHEAD + MOST;
    lut_fetch(u);
}

// False: a table has an entry that a lookup cannot negate.
INLINE bool look_up(const lut_unit *u, const lut_step *step, loop_round r, shape k,
                    const __m512i *weight, masks m, __m512i *sum)
{
    const size_t row_bytes = 8 * (k.wide ? 2 : 1) * (size_t)u->lookups;
    const uint8_t *plane[4];
    __m512i table[MOST_TABLES];
    const bool exact = expand(k, at(r, step->table), row_bytes, table);
    UNROLL for (unsigned p = 0; p < k.planes; p++) plane[p] = at(r, step->plane[p]);
    add_lines(k, sum, plane, weight, m, PITCH, VECTORS / 2, table, AHEAD);
    return exact;
}

INLINE void add_step(const lut_unit *u, const lut_step *step, loop_round r, shape k,
                     const __m512i *weight, masks m, strip_state *t)
{
    if (step->start)
        UNROLL for (unsigned i = 0; i < VECTORS * k.rows * parts_of(k); i++) t->sum[i] =
            _mm512_setzero_si512();
    t->exact &= look_up(u, step, r, k, weight, m, t->sum);
}

INLINE void scale_step(const lut_unit *u, const lut_step *step, loop_round r, shape k,
                       strip_state *t)
{
    fetch_columns(r, step->scales, step->wide_scales);
    scale_sums(k, step, r, 0, t->sum, t->result);
    if (k.rows < u->m)
        t->others |= step->has_factors ? other_rows(u, at(r, step->factors), k.rows) : 1;
    if (!step->offset)
        return;
    fetch_columns(r, step->column, step->wide_offsets);
    add_offsets(k, step, r, 0, t->result);
    t->others |= other_rows(u, at(r, step->row), k.rows);
}

// Sums that stay in their tiles are stored in the last round.
INLINE void do_rounds(lut_unit *u, const lut_strip *s, const lut_strip_loop *loop, shape k,
                      strip_state *t)
{
    const lut_step *const end = s->step + s->steps;
    __m512i weight[4];
    const masks m = hold_masks();
    load_weights(k, s->in, weight);
    for (loop_round r = {.loop = loop}; r.number < loop->count; r.number++)
        for (const lut_step *step = s->step; step < end; step++) {
            if (step->adds)
                add_step(u, step, r, k, weight, m, t);
            if (step->scaled)
                scale_step(u, step, r, k, t);
            if (step->kept && r.number + 1 == loop->count)
                store_sums(k, t->sum, lut_tile(u, step->sums), PITCH, VECTORS);
        }
}

// The rows that lmma leaves out are 0.
INLINE void note_rows(lut_unit *u, shape k, unsigned tile)
{
    if (k.rows < u->m)
        clear_half(u, tile);
    else
        u->half_zero &= ~(1u << tile);
}

// Stores what was 0 before, if numbers of the rows that are not computed leave these 0. False: not
// so, or a result is not finite; nothing was stored.
INLINE bool store_all(lut_unit *u, const lut_epilogue *e, shape k, const __m512 *result,
                      uint32_t others)
{
    if (!is_finite(result, VECTORS * k.rows) || others << 1 != 0)
        return false;
    store_results(k, result, lut_tile(u, e->result));
    note_rows(u, k, e->result);
    if (e->to)
        UNROLL for (unsigned i = 0; i < VECTORS; i++)
            _mm512_storeu_ps(e->to + 64 * i, result[i * k.rows]);
    return true;
}

INLINE bool scale_and_store(lut_unit *u, const lut_epilogue *e, shape k, const __m512i *sum)
{
    __m512 result[2 * VECTORS];
    UNROLL for (unsigned i = 0; i < VECTORS * k.rows; i++) result[i] = _mm512_setzero_ps();
    scale_by(k, e->scales, e->wide_scales, e->factors, sum, result);
    return store_all(u, e, k, result, e->factors ? other_rows(u, e->factors, k.rows) : 0);
}

// Rounds of nothing but lookups into one tile, as those of weights with row scales.
INLINE bool sum_strip(lut_unit *u, const lut_strip *s, const lut_strip_loop *loop, shape k)
{
    const lut_step *const end = s->step + s->steps;
    uint8_t *const sums = lut_tile(u, s->step->sums);
    __m512i sum[MOST_SUMS], weight[4];
    const masks m = hold_masks();
    bool exact = true;
    load_weights(k, s->in, weight);
    load_sums(k, sum, sums, PITCH, VECTORS, s->epilogue != NULL);
    for (loop_round r = {.loop = loop}; r.number < loop->count; r.number++)
        for (const lut_step *step = s->step; step < end; step++)
            exact &= look_up(u, step, r, k, weight, m, sum);
    fetch_next(u, loop, s->step);
    if (!exact || (s->epilogue && !scale_and_store(u, s->epilogue, k, sum)))
        return false;
    if (s->epilogue)
        note_rows(u, k, s->step->sums);
    store_sums(k, sum, sums, PITCH, VECTORS);
    return true;
}

// What lut.deq and lut.off make of the second row where lmma leaves it out: its sums stay. False:
// something is not finite; nothing was stored.
__attribute__((noinline)) static bool add_second_row(lut_unit *u, const lut_strip *s,
                                                     const lut_strip_loop *loop)
{
    const shape k = {.rows = 1};
    uint8_t *const row = lut_tile(u, s->result) + 2 * PITCH;
    __m512i sum[VECTORS];
    __m512 result[VECTORS];
    load_results(k, row, result);
    for (loop_round r = {.loop = loop}; r.number < loop->count; r.number++)
        for (const lut_step *step = s->step; step < s->step + s->steps; step++) {
            load_sums(k, sum, lut_tile(u, step->sums) + 2 * PITCH, PITCH, VECTORS, false);
            if (step->scaled)
                scale_sums(k, step, r, 1, sum, result);
            if (step->offset)
                add_offsets(k, step, r, 1, result);
        }
    if (!is_finite(result, VECTORS))
        return false;
    store_results(k, result, row);
    u->half_zero &= ~(1u << s->result);
    return true;
}

// A second row that lmma leaves out keeps its results where these and the row's numbers are 0 and
// column scales and offsets are finite, which follows from the results that are computed.
INLINE bool add_strip(lut_unit *u, const lut_strip *s, const lut_strip_loop *loop, shape k)
{
    uint8_t *const sums = lut_tile(u, s->step->sums), *const results = lut_tile(u, s->result);
    strip_state t = {.exact = true};
    if (s->only_sums)
        return sum_strip(u, s, loop, k);
    __m512i before[MOST_SUMS];
    load_sums(k, before, sums, PITCH, VECTORS, s->step->start);
    UNROLL for (unsigned i = 0; i < VECTORS * k.rows * parts_of(k); i++) t.sum[i] = before[i];
    if (s->epilogue)
        UNROLL for (unsigned i = 0; i < VECTORS * k.rows; i++) t.result[i] = _mm512_setzero_ps();
    else if (s->scaled)
        load_results(k, results, t.result);
    do_rounds(u, s, loop, k, &t);
    fetch_next(u, loop, s->step);
    if (s->epilogue)
        return t.exact && store_all(u, s->epilogue, k, t.result, t.others);
    bool good = t.exact && (!s->scaled || is_finite(t.result, VECTORS * k.rows));
    if (good && s->scaled && k.rows < u->m &&
        (t.others << 1 != 0 ||
         !(u->half_zero >> s->result & 1 || is_zero_from(u, results, k.rows))))
        good = add_second_row(u, s, loop);
    if (good && s->scaled)
        store_results(k, t.result, results);
    else if (!good && !s->step->start)
        store_sums(k, before, sums, PITCH, VECTORS);
    return good;
}

// lut.deq of rows of numbers. They come from far away, as those of caches of values.
INLINE void scale_values(shape k, const lut_step *step, loop_round r, __m512 *result)
{
    enum { ROUNDS_AHEAD = 6 };
    const uint8_t *from = at(r, step->values);
    const int64_t ahead = ROUNDS_AHEAD * r.loop->advance[step->values.span];
    __m512 value[VECTORS], scale[VECTORS];
    load_columns(at(r, step->scales), step->wide_scales, scale);
    UNROLL for (unsigned row = 0; row < k.rows; row++, from += r.loop->stride)
    {
        _mm_prefetch((const char *)from + ahead, _MM_HINT_T0);
        _mm_prefetch((const char *)from + ahead + LINE_BYTES, _MM_HINT_T0);
        load_columns(from, step->wide_values, value);
        const __m512 factor =
            step->has_factors ? number_at(at(r, step->factors) + 4 * row) : _mm512_set1_ps(1);
        UNROLL for (unsigned i = 0; i < VECTORS; i++)
        {
            __m512 *to = &result[i * k.rows + row];
            *to = _mm512_fmadd_ps(value[i], _mm512_mul_ps(scale[i], factor), *to);
        }
    }
}

static bool add_rows_2(lut_unit *u, const lut_strip *s, const lut_strip_loop *loop)
{
    const shape k = {.rows = 2};
    uint8_t *const results = lut_tile(u, s->result);
    __m512 result[2 * VECTORS];
    load_results(k, results, result);
    for (loop_round r = {.loop = loop}; r.number < loop->count; r.number++)
        for (const lut_step *step = s->step; step < s->step + s->steps; step++) {
            scale_values(k, step, r, result);
            if (step->offset)
                add_offsets(k, step, r, 0, result);
        }
    if (!is_finite(result, 2 * VECTORS))
        return false;
    store_results(k, result, results);
    return true;
}

lut_strip_kernel *lut_avx512_rows_kernel(const lut_unit *u)
{
    return u->n == COLUMNS && u->m == 2 ? add_rows_2 : NULL;
}

#define EACH_SHAPE(DO)                                                                             \
    EACH_PLANES(DO, 1, 0, 1)                                                                       \
    EACH_PLANES(DO, 1, 0, 2)                                                                       \
    EACH_PLANES(DO, 1, 0, 4)                                                                       \
    EACH_PLANES(DO, 1, 1, 1)                                                                       \
    EACH_PLANES(DO, 1, 1, 2)                                                                       \
    EACH_PLANES(DO, 1, 1, 4)                                                                       \
    EACH_PLANES(DO, 2, 0, 1)                                                                       \
    EACH_PLANES(DO, 2, 0, 2)                                                                       \
    EACH_PLANES(DO, 2, 0, 4)
#define DEFINE(rows, wide, groups, planes)                                                         \
    static bool strip_##rows##_##wide##_##groups##_##planes(lut_unit *u, const lut_strip *s,       \
                                                            const lut_strip_loop *loop)            \
    {                                                                                              \
        return add_strip(u, s, loop, (shape){rows, planes, groups, wide});                         \
    }
#define ENTRY(rows, wide, groups, planes)                                                          \
    [rows][wide][groups][planes] = strip_##rows##_##wide##_##groups##_##planes,

EACH_SHAPE(DEFINE)

static lut_strip_kernel *const strips[LUT_MAX_ROWS + 1][2][LUT_MAX_GROUPS + 1][5] = {
    EACH_SHAPE(ENTRY)};

lut_strip_kernel *lut_avx512_strip_kernel(const lut_unit *u, const isa_instruction *in)
{
    lut_groups g = lut_slice_groups(u, in);
    if (lut_table_is_full(in) || in->table == XLUT_TABLE_F16 || !g.lower || !g.upper ||
        u->n != COLUMNS)
        return NULL;
    return strips[lut_rows(u, in)][in->table == XLUT_TABLE_I16][g.count]
                 [xlut_form_planes(in->form)];
}

#else
typedef int lut_no_avx512; // a translation unit is not empty
#endif
