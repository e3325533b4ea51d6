// Tables whose scales and sums belong to groups of activations can be built group by group.
#include "compiler/passes/table_blocks.h"
#include "compiler/schedule/schedule.h"

static int64_t whole(int64_t x, int64_t of)
{
    return (x + of - 1) / of * of;
}

// Why the table that `precompute` builds cannot be built from blocks of its columns; NULL: it can,
// and *columns is what a block has a multiple of.
static const char *table_block_obstacle(pass_context *c, const ir_op *precompute, int64_t *columns)
{
    const ir_type *t = precompute->results[0].type;
    int64_t depth = machine_tile_depth(c->machine);
    if (!t->rank || !ir_dim_is_constant(t->dims[t->rank - 1]))
        return "its columns are counted when the program runs";
    if (t->format)
        return "tables of codebooks are built of whole rows";
    if (t->scale == TABLE_SCALE_ROW)
        return "a scale per row needs the whole row; one per slice, tile or group would not";
    *columns = depth;
    if (t->scale == TABLE_SCALE_GROUP)
        *columns = least_multiple(*columns, t->group);
    if (t->sums)
        *columns = least_multiple(*columns, whole(t->sums, depth));
    return NULL;
}

const char *product_table_obstacle(pass_context *c, const ir_op *precompute, int64_t *tiles)
{
    int64_t columns, n = c->machine->tile_n;
    const char *reason = table_block_obstacle(c, precompute, &columns);
    if (reason)
        return reason;
    columns = least_multiple(columns, n);
    *tiles = columns / n;
    if (*tiles > MOST_COLUMN_TILES)
        return arena_format(c->arena, "it needs blocks of %lld columns, %d at most are built",
                            (long long)columns, MOST_COLUMN_TILES * (int)n);
    return NULL;
}

// Blocks of rows: a block of 8m queries on the matrix unit, or the rows of a row tile one by one.
static const char *rows_obstacle(pass_context *c, const ir_op *attend, int64_t share)
{
    const ir_type *q = ir_operand_named(attend, "q")->type;
    int64_t rows = ir_dim_maximum(q->dims[q->rank - 3]);
    int64_t batch = q->rank == 4 ? ir_dim_maximum(q->dims[0]) : 1;
    bool matrix = ir_name_is(attend, "unit", "matrix");
    if (rows == 1)
        return matrix && share >= 4 * (int64_t)c->machine->tile_m
                   ? "the heads of one row fill the matrix unit"
                   : NULL;
    if (batch > 1)
        return "a row tile may have rows of two sequences";
    if (!matrix)
        return "the vector unit takes rows together that read the same keys";
    if (8 % share)
        return arena_format(c->arena, "%lld heads that share keys do not divide a block of queries",
                            (long long)share);
    return NULL;
}

const char *attend_table_obstacle(pass_context *c, const ir_op *attend, const ir_op *precompute)
{
    const ir_type *y = attend->results[0].type, *t = precompute->results[0].type;
    const ir_type *k = ir_operand_named(attend, "k")->type;
    int64_t columns, width = ir_dim_maximum(y->dims[y->rank - 1]);
    int64_t heads = ir_dim_maximum(y->dims[y->rank - 2]);
    int64_t share = heads / ir_dim_maximum(k->dims[k->rank - 2]);
    const char *reason = table_block_obstacle(c, precompute, &columns);
    if (reason)
        return reason;
    if (t->dims[t->rank - 1].value != heads * width || t->rank + 1 != y->rank)
        return "its rows are not those of attention";
    if (share * width % columns)
        return arena_format(c->arena,
                            "%lld columns of the heads that share keys are no multiple of the "
                            "%lld that it needs",
                            (long long)(share * width), (long long)columns);
    return rows_obstacle(c, attend, share);
}

static bool check_table(pass_context *c, const ir_op *precompute, int64_t *tiles)
{
    int64_t own = 1;
    const char *reason = product_table_obstacle(c, precompute, &own);
    if (reason)
        diagnostic_error(c->diagnostics, precompute->where,
                         "a product's kernel cannot build this table: %s", reason);
    else
        *tiles = least_multiple(*tiles, own);
    return !reason;
}

bool check_table_blocks(pass_context *c, const ir_op *kernel, int64_t *tiles)
{
    bool good = true;
    *tiles = 1;
    IR_FOR_OPS(op, kernel->regions[0])
    {
        if (op->code == IR_LUT_PRECOMPUTE)
            good = check_table(c, op, tiles) && good;
    }
    if (!good || *tiles <= MOST_COLUMN_TILES)
        return good;
    diagnostic_error(c->diagnostics, kernel->where,
                     "a product's kernel cannot build all of its tables: they need blocks of %lld "
                     "column tiles, %d at most are built",
                     (long long)*tiles, MOST_COLUMN_TILES);
    return false;
}
