// Full tables: codebook numbers times activations, 16 entries for each lookup, by vector code.
// A plane of a codebook looks up a quarter of the tile depth, one weight at a time, or, with codes
// of 2 bits, a half, two weights at a time. Quarters of the depth are numbered through all tiles.
#include "compiler/passes/lower/contract.h"
#include "compiler/quant/mix.h"

const quant_codebook *low_codebook(const ir_type *t)
{
    quant_mix m; // whose parts share their codebook
    return t->format && quant_mix_parse(t->format, &m) ? m.parts[0].format.codebook : NULL;
}

void low_book(lowering *l, const quant_codebook *book, const place *weight,
              ir_value *numbers[QUANT_BOOK])
{
    ir_dim dims[1] = {ir_dim_constant(QUANT_BOOK)};
    ir_value *zero = low_index(l, 0), *memory = NULL;
    if (book->learned)
        memory =
            low_view(l, weight->buffer, zero, zero, ir_type_buffer(l->module, SCALAR_F32, 1, dims));
    for (int i = 0; i < QUANT_BOOK; i++)
        numbers[i] = memory ? low_load(l, memory, zero, low_index(l, i))
                            : low_number(l, SCALAR_F32, (double)book->levels[i]);
}

int64_t book_table_bytes(const lowering *l, const ir_type *table)
{
    return table->scalar == SCALAR_I8 ? l->tile_bytes : 2 * l->tile_bytes;
}

// The table that is being built.
typedef struct book_table {
    const place *table;
    const table_source *source;
    const quant_codebook *book;
    ir_value *row_tile;
    ir_value *numbers[QUANT_BOOK], *most; // the largest magnitude among them
    int64_t per_lookup;                   // weights: 1 or 2
    int64_t quarters;                     // of all tiles
} book_table;

static ir_value *largest_number(lowering *l, const book_table *b)
{
    ir_value *most = low_unary(l, IR_ABS, b->numbers[0]);
    for (unsigned i = 1; i < 1u << b->book->bits; i++)
        most = low_binary(l, IR_MAX, most, low_unary(l, IR_ABS, b->numbers[i]));
    return most;
}

// The activations of a strip of lookups, in f32.
static ir_value *activations(lowering *l, const book_table *b, ir_value *row, ir_value *column,
                             int64_t which)
{
    ir_value *at = low_add(l, column, low_index(l, which));
    return low_cast(l, low_vload(l, b->source->activations, row, at, b->per_lookup), SCALAR_F32);
}

// ---------------------------------------------------------------------- scales

// What no entry of `count` weights from `column` on exceeds: the largest number times the largest
// activation, or sum of two.
static ir_value *largest_entry(lowering *l, const book_table *b, ir_value *row, ir_value *column,
                               ir_value *count)
{
    ir_value *initial = low_broadcast(l, low_number(l, SCALAR_F32, 0)), *sum = NULL;
    ir_value *step = low_index(l, b->per_lookup);
    low_loop strip;
    low_strip_begin(l, &strip, low_div(l, count, step), "f32", 1, &initial);
    ir_value *at = low_add(l, column, low_mul(l, strip.counter, step));
    for (int64_t i = 0; i < b->per_lookup; i++) {
        ir_value *x = low_unary(l, IR_ABS, activations(l, b, row, at, i));
        sum = sum ? low_binary(l, IR_ADD, sum, x) : x;
    }
    ir_value *next = low_binary(l, IR_MAX, strip.carried[0], sum);
    low_loop_end(l, &strip, &next);
    return low_binary(l, IR_MUL, low_reduce(l, ir_result(strip.op, 0), "max"), b->most);
}

// Stores the scale of a span for row `r` of the tile and gives its inverse.
static ir_value *span_scale(lowering *l, const book_table *b, ir_value *most, ir_value *r,
                            ir_value *span)
{
    ir_value *full = low_number(l, SCALAR_F32, 127), *zero = low_number(l, SCALAR_F32, 0);
    ir_value *at = low_add(l, low_mul(l, span, low_index(l, l->m)), r);
    low_store(l, low_binary(l, IR_DIV, most, full), b->table->scales, b->row_tile, at);
    ir_value *none = low_compare(l, "eq", most, zero);
    ir_value *quotient = low_binary(l, IR_DIV, full, most);
    return ir_build1(&l->at, IR_SELECT, most->type, none, zero, quotient);
}

// ---------------------------------------------------------------------- entries

static ir_value *entry(lowering *l, const book_table *b, unsigned index, ir_value *const *x,
                       ir_value *inverse)
{
    unsigned codes = 1u << b->book->bits;
    ir_value *sum = low_binary(l, IR_MUL, x[0], low_broadcast(l, b->numbers[index % codes]));
    if (b->per_lookup > 1) {
        ir_value *second = low_broadcast(l, b->numbers[index / codes]);
        sum = low_binary(l, IR_ADD, sum, low_binary(l, IR_MUL, x[1], second));
    }
    if (inverse)
        sum = low_binary(l, IR_MUL, sum, low_broadcast(l, inverse));
    return low_cast(l, sum, b->table->type->scalar);
}

// The lookups of one quarter for row `r` of the tile.
static void build_quarter(lowering *l, const book_table *b, ir_value *r, ir_value *quarter,
                          ir_value *inverse)
{
    const ir_type *type = b->table->type;
    int64_t lookups = l->depth / QUARTERS, own = lookups / b->per_lookup;
    int64_t size = book_table_bytes(l, type), entry_size = (int64_t)scalar_size(type->scalar);
    ir_value *parts = low_index(l, b->per_lookup);
    ir_value *lookup = low_mul(l, low_rem(l, quarter, parts), low_index(l, own));
    lookup = low_add(l, lookup, low_mul(l, r, low_index(l, lookups)));
    ir_value *at = low_add(l, low_mul(l, low_div(l, quarter, parts), low_index(l, size)),
                           low_mul(l, lookup, low_index(l, QUANT_BOOK * entry_size)));
    ir_dim dims[1] = {ir_dim_constant(own * QUANT_BOOK)};
    ir_value *to = low_view(l, b->table->buffer, b->row_tile, at,
                            ir_type_buffer(l->module, type->scalar, 1, dims));
    ir_value *row = low_add(l, b->source->first_row, r), *x[2] = {NULL};
    ir_value *column = low_mul(l, quarter, low_index(l, lookups));
    low_loop strip;
    low_strip_begin(l, &strip, low_index(l, own), "f32", 0, NULL);
    column = low_add(l, column, low_mul(l, strip.counter, parts));
    for (int64_t i = 0; i < b->per_lookup; i++)
        x[i] = activations(l, b, row, column, i);
    ir_value *first = low_mul(l, strip.counter, low_index(l, QUANT_BOOK));
    for (unsigned i = 0; i < QUANT_BOOK; i++)
        low_vstore(l, entry(l, b, i, x, inverse), to, low_index(l, 0),
                   low_add(l, first, low_index(l, i)), QUANT_BOOK);
    low_loop_end(l, &strip, NULL);
}

// Quarters that share a table scale.
static int64_t span_quarters(const lowering *l, const ir_type *table)
{
    return table->scale == TABLE_SCALE_SLICE ? 1 : low_scale_tiles(l, table) * QUARTERS;
}

// One row of the tile, span by span: its scale, then what is scaled by it.
static void build_row(lowering *l, const book_table *b, ir_value *r)
{
    int64_t span = span_quarters(l, b->table->type), spans = (b->quarters + span - 1) / span;
    ir_value *one = low_index(l, 1), *size = low_index(l, span);
    ir_value *quarter_size = low_index(l, l->depth / QUARTERS);
    low_loop loop, quarters;
    low_for_begin(l, &loop, low_index(l, 0), low_index(l, spans), one, 0, NULL);
    ir_value *first = low_mul(l, loop.counter, size), *inverse = NULL;
    ir_value *end = low_min(l, low_add(l, first, size), low_index(l, b->quarters));
    if (b->table->scales) {
        ir_value *row = low_add(l, b->source->first_row, r);
        ir_value *count = low_mul(l, low_sub(l, end, first), quarter_size);
        ir_value *most = largest_entry(l, b, row, low_mul(l, first, quarter_size), count);
        inverse = span_scale(l, b, most, r, loop.counter);
    }
    low_for_begin(l, &quarters, first, end, one, 0, NULL);
    build_quarter(l, b, r, quarters.counter, inverse);
    low_loop_end(l, &quarters, NULL);
    low_loop_end(l, &loop, NULL);
}

// What memory holds for rows that are not there might be NaN.
static void clear_other_scales(lowering *l, const book_table *b)
{
    int64_t count = table_scale_count(l, b->table->type) * l->m;
    low_fill(l, b->table->scales, b->row_tile, low_index(l, 0), low_index(l, count), 0);
}

void lower_book_table(lowering *l, const place *table, const table_source *from, ir_value *row_tile,
                      bool one_row)
{
    book_table b = {.table = table,
                    .source = from,
                    .book = low_codebook(table->type),
                    .row_tile = row_tile,
                    .quarters = table_depth_tiles(l, table->type) * QUARTERS};
    b.per_lookup = 4 / b.book->bits;
    low_book(l, b.book, from->book, b.numbers);
    b.most = largest_number(l, &b);
    if (table->scales && one_row)
        clear_other_scales(l, &b);
    low_loop rows;
    low_for_begin(l, &rows, low_index(l, 0), low_index(l, one_row ? 1 : l->m), low_index(l, 1), 0,
                  NULL);
    build_row(l, &b, rows.counter);
    low_loop_end(l, &rows, NULL);
}
