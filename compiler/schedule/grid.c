// Harts with an l2 in front of memory: each takes blocks of row tiles and column tiles whose sums
// stand in registers, and reads what a block needs from l2.
#include "compiler/schedule/internal.h"

#include "isa/cost.h"

#include <math.h>

enum { MAX_GRID_ROWS = 32, MAX_COLUMN_BLOCK = 8, SAMPLES = 8 };

static const double REACHED = 0.7; // of the units' peak, by kernels of GPUs

static double ceiling(double x, double y)
{
    return ceil(x / y);
}

// The blocks of the hart that has most of them, dealt out by rows and by columns.
static double longest_share(double rows, double columns, double harts)
{
    double best = rows * columns;
    for (double p = 1; p <= harts && p <= rows; p++) {
        double q = fmin(floor(harts / p), columns);
        best = fmin(best, ceiling(rows, p) * ceiling(columns, q));
    }
    return best;
}

// The array looks up while tables, planes and scales are loaded.
static double tile_block_seconds(const machine *target, const sweep *s, double rows, double columns)
{
    double loaded = rows * s->products * s->table_bytes + columns * s->column_bytes +
                    rows * columns * s->rescale_bytes;
    double loads = loaded / target->tiles_load / target->clock;
    return fmax(rows * columns * s->compute / s->columns / REACHED, loads);
}

// Harts that share scratch read what they have in common once, in two directions.
static double shared_reads(const machine *target)
{
    return target->cluster_harts > 1 ? sqrt(target->cluster_harts) : 1;
}

static double grid_seconds(const machine *target, const sweep *s, double tiles, double rows,
                           double columns)
{
    double column_blocks = ceiling(s->columns, columns), harts = target->harts;
    double planes = columns * s->column_bytes, tables = s->products * s->table_bytes;
    double results = 2 * columns * s->epilogue_bytes; // written, and read by the epilogue
    double bytes = 0, busy = 0, left = tiles;
    for (; rows >= 1; rows = (double)schedule_smaller_block((int64_t)rows)) {
        double blocks = floor(left / rows);
        bytes += blocks * (rows * tables + planes);
        busy += longest_share(blocks, column_blocks, harts) *
                tile_block_seconds(target, s, rows, columns);
        left -= blocks * rows;
    }
    double l2 =
        column_blocks * (bytes / shared_reads(target) + tiles * results) / target->l2_bandwidth;
    return fmax(fmax(l2, busy), s->stream);
}

static double mean_grid_seconds(const machine *target, const sweep *s, int64_t rows,
                                int64_t columns)
{
    int64_t span = s->maximum - s->minimum, n = span < SAMPLES ? span + 1 : SAMPLES;
    double total = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t tiles = s->minimum + (n > 1 ? span * i / (n - 1) : 0);
        total += grid_seconds(target, s, (double)tiles, (double)rows, (double)columns);
    }
    return total / (double)n;
}

kernel_schedule grid_schedule(const machine *target, const ir_op *kernel, const sweep *s,
                              const schedule_wish *wish)
{
    int64_t least = wish->columns;
    unsigned one = schedule_registers(target, kernel, 1, 1, wish->sums_wait);
    kernel_schedule best = {1, least, .registers = one,
                            .seconds = mean_grid_seconds(target, s, 1, least)};
    int64_t most = s->mixed ? least : MAX_COLUMN_BLOCK;
    for (int64_t columns = least; columns <= most; columns += least) {
        for (int64_t rows = 1; rows <= MAX_GRID_ROWS && rows <= s->maximum; rows++) {
            // Column tiles that tables need may be taken one after the other.
            int64_t beside = columns > least ? columns : 1;
            unsigned n = schedule_registers(target, kernel, rows, beside, wish->sums_wait);
            if (n > ISA_TILE_REGISTERS || (wish->row_block && rows > wish->row_block))
                break;
            if (columns > (int64_t)s->columns)
                break;
            double seconds = mean_grid_seconds(target, s, rows, columns);
            if (seconds < 0.99 * best.seconds)
                best = (kernel_schedule){rows, columns, .registers = n, .seconds = seconds};
        }
    }
    return best;
}

// ------------------------------------------------------------------- the matrix unit

// Products of a kernel that the matrix unit takes: blocks of tiles of 8m rows and n/8 columns.
typedef struct matrix_products {
    double columns, depth, size; // of an element in bytes
    double rate;                 // multiplications in a second
    double count;                // products
    int64_t minimum, maximum;    // rows
} matrix_products;

static bool describe_matrix(const machine *target, const ir_op *kernel, matrix_products *p)
{
    *p = (matrix_products){0};
    IR_FOR_OPS(op, kernel->regions[0])
    {
        if (op->code != IR_LINEAR)
            continue;
        if (!ir_name_is(op, "unit", "matrix"))
            return false;
        const ir_type *x = ir_operand(op, 0)->type, *w = ir_operand(op, 1)->type;
        p->columns = (double)w->dims[0].value;
        p->depth = (double)w->dims[1].value;
        p->size = (double)scalar_size(x->scalar);
        p->rate = (p->size > 1 ? target->matrix_f16 : target->matrix_i8) * target->clock * REACHED;
        p->count += 1;
        p->minimum = schedule_rows(x, true);
        p->maximum = schedule_rows(x, false);
    }
    return p->count > 0;
}

static double matrix_block_seconds(const machine *target, const matrix_products *p, double rows,
                                   double columns)
{
    double loads = (rows + columns) * p->depth * p->size / target->tiles_load / target->clock;
    return p->count * fmax(rows * columns * p->depth / p->rate, loads);
}

// Blocks of `tiles` row tiles, then single ones, as the lowering cuts them.
static double matrix_seconds(const machine *target, const matrix_products *p, double rows,
                             double tiles)
{
    double tile = 8.0 * target->tile_m, height = tiles * tile,
           width = MATRIX_BLOCK_TILES / 8.0 * target->tile_n;
    double full = floor(rows / height), rest = ceiling(rows - full * height, tile);
    double columns = ceiling(p->columns, width), harts = target->harts;
    double bytes = full * (height + width) + rest * (tile + width);
    double l2 = columns * bytes * p->depth * p->size * p->count / shared_reads(target);
    double busy =
        longest_share(full, columns, harts) * matrix_block_seconds(target, p, height, width);
    busy += longest_share(rest, columns, harts) * matrix_block_seconds(target, p, tile, width);
    return fmax(l2 / target->l2_bandwidth, busy);
}

static double mean_matrix_seconds(const machine *target, const matrix_products *p, int64_t tiles)
{
    int64_t span = p->maximum - p->minimum, n = span < SAMPLES ? span + 1 : SAMPLES;
    double total = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t rows = p->minimum + (n > 1 ? span * i / (n - 1) : 0);
        total += matrix_seconds(target, p, (double)rows, (double)tiles);
    }
    return total / (double)n;
}

bool schedule_matrix(const machine *target, const ir_op *kernel, int64_t rows, kernel_schedule *out)
{
    matrix_products p;
    if (!(target->parts & MACHINE_L2) || !describe_matrix(target, kernel, &p))
        return false;
    if (rows)
        p.minimum = p.maximum = rows;
    *out = (kernel_schedule){0};
    for (int64_t tiles = MATRIX_BLOCK_TILES; tiles; tiles /= 2) {
        double seconds = mean_matrix_seconds(target, &p, tiles);
        if (!out->row_block || seconds < 0.99 * out->seconds)
            *out = (kernel_schedule){tiles, 0, .seconds = seconds};
    }
    return true;
}

// By weight: the tile load unit brings it, and the dequantizer multiplies it; a vector unit
// converts and multiplies it.
bool schedule_dense_tiles(const machine *target, size_t bytes)
{
    const double lanes = target->vector_bits / 8.0 / sizeof(float);
    return machine_has(target, ISA_UNIT_DEQUANTIZE) &&
           fmax(1.0 / target->dequantize_lanes, (double)bytes / target->tiles_load) < 2 / lanes;
}
