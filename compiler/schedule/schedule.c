#include "compiler/schedule/schedule.h"

#include "compiler/quant/mix.h"

#include <math.h>

enum { MAX_ROW_BLOCK = 16, MAX_GRID_ROWS = 32, MAX_COLUMN_BLOCK = 8, SAMPLES = 64 };

// What one sweep over the weights of a kernel costs.
typedef struct sweep {
    double stream;       // seconds to read the weights once
    double compute;      // seconds of the LUT array for one row tile
    double loads;        // seconds in which the first row tile waits for planes
    double columns;      // column tiles
    double column_bytes; // of the weights of a column tile, of all products
    double table_bytes;  // of one row tile, the whole depth
    double bandwidth, scratch;
    double epilogue_bytes;    // of one row tile's block of results in near memory
    double products;          // that read the tables
    bool mixed;               // formats by blocks of rows: column tiles go one by one
    int64_t minimum, maximum; // row tiles
} sweep;

static bool product_parts(const machine *target, const ir_op *op, pack_mix *p)
{
    const ir_type *w = ir_operand(op, 1)->type;
    pack_shape shape = {target->tile_m, target->tile_n};
    return pack_mix_named(w->format, w->dims[0].value, w->dims[1].value, shape, p);
}

// A group is as deep as the matrix, and so is a table's scale: results take registers when sums do
// not any more.
static bool scales_once(const quant_format *f, const ir_type *w, const ir_type *table)
{
    int64_t depth = w->dims[1].value;
    bool one_group = !f->group || f->group >= depth;
    bool one_scale = table->scale == TABLE_SCALE_NONE || table->scale == TABLE_SCALE_ROW ||
                     (table->scale == TABLE_SCALE_GROUP && table->group >= depth);
    return one_group && one_scale;
}

// For the rows of one format.
static unsigned part_registers(const ir_op *op, const quant_format *f, const pack_geometry *g,
                               unsigned rows, unsigned columns)
{
    const ir_type *table = ir_operand(op, 0)->type;
    unsigned sums = quant_accumulators(f) * table->parts, results = rows * columns;
    bool sliced = g->groups_per_tile > 1 || table->scale == TABLE_SCALE_SLICE;
    if (f->codebook) // loaded for each lmma; a pair of tiles may leave one out
        return results * (1 + sums) + columns * f->planes + 3;
    unsigned tables = (sliced ? rows : 1) * table->parts, combined = sums > f->terms;
    bool once = columns > 1 && scales_once(f, ir_operand(op, 1)->type, table);
    // Planes of a column tile twice, and a table more: the next lookup's are loaded in the
    // meantime.
    return results * (sums + !once) + once + (columns + 1) * f->planes + tables + table->parts +
           combined;
}

unsigned schedule_registers(const machine *target, const ir_op *kernel, int64_t row_block,
                            int64_t column_block)
{
    unsigned most = 0;
    IR_FOR_OPS(op, kernel->regions[0])
    {
        pack_mix p;
        if (op->code != IR_LUT_MPGEMM || !product_parts(target, op, &p))
            continue;
        for (unsigned i = 0; i < p.mix.n_parts; i++) {
            unsigned n = part_registers(op, &p.mix.parts[i].format, &p.parts[i].geometry,
                                        (unsigned)row_block, (unsigned)column_block);
            most = n > most ? n : most;
        }
    }
    return most;
}

static int64_t row_tiles(const machine *target, const ir_type *t, bool smallest)
{
    int64_t rows = 1;
    for (unsigned i = 0; i + 1 < t->rank; i++) {
        ir_dim d = t->dims[i];
        int64_t size = d.symbol && smallest ? d.symbol->minimum * d.value : ir_dim_maximum(d);
        if (__builtin_mul_overflow(rows, size, &rows) || rows > INT32_MAX)
            rows = INT32_MAX;
    }
    return (rows + target->tile_m - 1) / target->tile_m;
}

// One unit does unit_m x unit_n columns of one plane and one lookup deep per cycle.
static double plane_cycles(const machine *target)
{
    double m = (double)target->tile_m / target->unit_m, n = (double)target->tile_n / target->unit_n;
    return (double)machine_tile_depth(target) / target->unit_k * m * n / target->units;
}

// Entries for a weight, of what the encoding has for it: 1 but for machines of sweeps.
static double table_share(const machine *target)
{
    return target->unit_k ? (double)(1u << (target->unit_k - 1)) / target->unit_k / 2 : 1;
}

static double table_bytes(const machine *target, const ir_type *table)
{
    double tile = (double)machine_tile_bytes(target) * table->parts * table_share(target);
    return table->scalar == SCALAR_I8 && table->parts == 1 ? tile / 2 : tile;
}

static void add_part(sweep *s, const machine *target, const quant_format *f, const pack_part *p)
{
    double bytes = (double)p->geometry.column_tile_bytes;
    double tiles = (double)p->tiles * (double)p->geometry.depth_tiles;
    s->stream += (double)p->tiles * bytes / target->memory_bandwidth;
    s->compute += tiles * f->planes * plane_cycles(target) / target->clock;
    s->loads += tiles * f->planes * machine_tile_bytes(target) / target->tiles_load / target->clock;
}

static sweep describe(const machine *target, const ir_op *kernel)
{
    sweep s = {.bandwidth = target->memory_bandwidth, .scratch = (double)target->scratch_size};
    IR_FOR_OPS(op, kernel->regions[0])
    {
        pack_mix p;
        int64_t widest = 0;
        if (op->code != IR_LUT_MPGEMM || !product_parts(target, op, &p))
            continue;
        const ir_type *table = ir_operand(op, 0)->type;
        for (unsigned i = 0; i < p.mix.n_parts; i++) {
            int64_t bytes = p.parts[i].geometry.column_tile_bytes;
            add_part(&s, target, &p.mix.parts[i].format, &p.parts[i]);
            widest = bytes > widest ? bytes : widest;
        }
        s.columns = (double)p.tiles;
        s.column_bytes += (double)widest;
        s.table_bytes = table_bytes(target, table) * (double)p.parts[0].geometry.depth_tiles;
        s.epilogue_bytes += (double)machine_tile_bytes(target);
        s.products += 1;
        s.mixed = s.mixed || p.map_bytes;
        s.minimum = row_tiles(target, table, true);
        s.maximum = row_tiles(target, table, false);
    }
    return s;
}

// Reading and computing overlap, but for the first row tile's wait for planes; where memory has
// little to spare, lookups wait for it. Scratch keeps the tables of a block from column tile to
// column tile if it has room for what is read in between.
static double block_seconds(const sweep *s, int64_t block)
{
    const double spare = 0.75;
    double tables = (double)block * s->table_bytes;
    bool keeps = tables + s->column_bytes <= spare * s->scratch;
    double memory = s->stream + tables * (keeps ? 1 : s->columns) / s->bandwidth;
    double busy = (double)block * s->compute + s->loads;
    return busy > memory / spare ? busy : memory / spare;
}

// Whole blocks, then single row tiles, as the lowering cuts them.
static double seconds_for(const sweep *s, int64_t tiles, int64_t block)
{
    return (double)(tiles / block) * block_seconds(s, block) +
           (double)(tiles % block) * block_seconds(s, 1);
}

// The mean over the numbers of row tiles that the kernel can meet.
static double mean_seconds(const sweep *s, int64_t block)
{
    int64_t span = s->maximum - s->minimum, n = span < SAMPLES ? span + 1 : SAMPLES;
    double total = 0;
    for (int64_t i = 0; i < n; i++)
        total += seconds_for(s, s->minimum + (n > 1 ? span * i / (n - 1) : 0), block);
    return total / (double)n;
}

static bool fits(const machine *target, const ir_op *kernel, const sweep *s, int64_t block)
{
    return schedule_registers(target, kernel, block, 1) <= ISA_TILE_REGISTERS &&
           (block == 1 || (double)block * s->epilogue_bytes <= (double)target->scratch_size / 2);
}

static kernel_schedule sweep_schedule(const machine *target, const ir_op *kernel, sweep *s,
                                      const schedule_wish *wish)
{
    int64_t columns = wish->columns;
    s->epilogue_bytes *= (double)columns;
    kernel_schedule best = {1, columns, schedule_registers(target, kernel, 1, 1),
                            mean_seconds(s, 1)};
    for (int64_t block = 2; block <= MAX_ROW_BLOCK && block <= s->maximum; block++) {
        if (!fits(target, kernel, s, block))
            break;
        double seconds = mean_seconds(s, block);
        // A larger block means more code: it must be worth it.
        if (wish->row_block ? block <= wish->row_block : seconds < 0.99 * best.seconds)
            best = (kernel_schedule){block, columns, schedule_registers(target, kernel, block, 1),
                                     seconds};
    }
    return best;
}

// ------------------------------------------------------------------------------- many harts

// Harts with an l2 in front of memory: each takes blocks of row tiles and column tiles whose sums
// stand in registers, and reads the block's tables and planes from l2.
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

static double grid_seconds(const machine *target, const sweep *s, double tiles, double rows,
                           double columns)
{
    double column_blocks = ceiling(s->columns, columns), full = floor(tiles / rows);
    double rest = tiles - full * rows, harts = target->harts;
    // Harts that share scratch read what they have in common once, in two directions.
    double shared = target->cluster_harts > 1 ? sqrt(target->cluster_harts) : 1;
    double planes = columns * s->column_bytes, tables = s->products * s->table_bytes;
    double results = 2 * columns * s->epilogue_bytes; // written, and read by the epilogue
    double bytes = full * (rows * tables + planes) + rest * (tables + planes);
    double l2 = column_blocks * (bytes / shared + tiles * results) / target->l2_bandwidth;
    const double reached = 0.7; // of the arrays' peak, by kernels of GPUs
    double unit = s->compute / s->columns / reached;
    double busy = longest_share(full, column_blocks, harts) * rows * columns * unit;
    busy += longest_share(rest, column_blocks, harts) * columns * unit;
    return fmax(fmax(l2, busy), s->stream);
}

static double mean_grid_seconds(const machine *target, const sweep *s, int64_t rows,
                                int64_t columns)
{
    enum { GRID_SAMPLES = 8 };
    int64_t span = s->maximum - s->minimum, n = span < GRID_SAMPLES ? span + 1 : GRID_SAMPLES;
    double total = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t tiles = s->minimum + (n > 1 ? span * i / (n - 1) : 0);
        total += grid_seconds(target, s, (double)tiles, (double)rows, (double)columns);
    }
    return total / (double)n;
}

static kernel_schedule grid_schedule(const machine *target, const ir_op *kernel, const sweep *s,
                                     const schedule_wish *wish)
{
    int64_t least = wish->columns;
    unsigned one = schedule_registers(target, kernel, 1, 1);
    kernel_schedule best = {1, least, one, mean_grid_seconds(target, s, 1, least)};
    int64_t most = s->mixed ? least : MAX_COLUMN_BLOCK;
    for (int64_t columns = least; columns <= most; columns += least) {
        for (int64_t rows = 1; rows <= MAX_GRID_ROWS && rows <= s->maximum; rows++) {
            // Column tiles that tables need may be taken one after the other.
            int64_t beside = columns > least ? columns : 1;
            unsigned n = schedule_registers(target, kernel, rows, beside);
            if (n > ISA_TILE_REGISTERS || (wish->row_block && rows > wish->row_block))
                break;
            if (columns > (int64_t)s->columns)
                break;
            double seconds = mean_grid_seconds(target, s, rows, columns);
            if (seconds < 0.99 * best.seconds)
                best = (kernel_schedule){rows, columns, n, seconds};
        }
    }
    return best;
}

kernel_schedule schedule_mpgemm(const machine *target, const ir_op *kernel,
                                const schedule_wish *wish)
{
    sweep s = describe(target, kernel);
    if (wish->rows)
        s.minimum = s.maximum = (wish->rows + target->tile_m - 1) / target->tile_m;
    return target->parts & MACHINE_L2 ? grid_schedule(target, kernel, &s, wish)
                                      : sweep_schedule(target, kernel, &s, wish);
}
