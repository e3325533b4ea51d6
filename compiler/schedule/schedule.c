#include "compiler/schedule/internal.h"

#include "compiler/quant/mix.h"

#include <math.h>

enum { LINE = 64, MAX_ROW_BLOCK = 16, MAX_PARTS = 8, SAMPLES = 64 };

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

// Every lookup gives the sum of a whole group, or of what a table's scale stands for: it is scaled
// before the one behind the next lookup is made.
static bool scales_each(const machine *target, const pack_geometry *g, const ir_type *table)
{
    bool part = table->scale == TABLE_SCALE_GROUP && table->group <= machine_tile_depth(target);
    return g->groups_per_tile > 1 || (g->tiles_per_group == 1 && g->depth_tiles > 1) || part ||
           table->scale == TABLE_SCALE_SLICE;
}

// For the rows of one format.
static unsigned part_registers(const machine *target, const ir_op *op, const quant_format *f,
                               const pack_geometry *g, unsigned rows, unsigned columns,
                               bool sums_wait)
{
    const ir_type *table = ir_operand(op, 0)->type;
    unsigned sums = quant_accumulators(f) * table->parts, results = rows * columns;
    bool sliced = g->groups_per_tile > 1 || table->scale == TABLE_SCALE_SLICE;
    if (f->codebook) // loaded for each lmma; a pair of tiles may leave one out
        return results * (1 + sums) + columns * f->planes + 3;
    unsigned tables = (sliced ? rows : 1) * table->parts, combined = sums > f->terms;
    bool once = columns > 1 && !sums_wait && scales_once(f, ir_operand(op, 1)->type, table);
    bool each = sums == 1 && results > 2 && !sums_wait && scales_each(target, g, table);
    unsigned open = each ? 2 : results;
    // Planes of a column tile twice, and a table more: the next lookup's are loaded in the
    // meantime.
    return open * sums + (once ? 1 : results) + (columns + 1) * f->planes + tables + table->parts +
           combined;
}

unsigned schedule_registers(const machine *target, const ir_op *kernel, int64_t row_block,
                            int64_t column_block, bool sums_wait)
{
    unsigned most = 0;
    IR_FOR_OPS(op, kernel->regions[0])
    {
        pack_mix p;
        if (op->code != IR_LUT_MPGEMM || !product_parts(target, op, &p))
            continue;
        for (unsigned i = 0; i < p.mix.n_parts; i++) {
            unsigned n = part_registers(target, op, &p.mix.parts[i].format, &p.parts[i].geometry,
                                        (unsigned)row_block, (unsigned)column_block, sums_wait);
            most = n > most ? n : most;
        }
    }
    return most;
}

int64_t least_multiple(int64_t x, int64_t y)
{
    int64_t a = x, b = y;
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return x / a * y;
}

// Within a group of weights a part may end where a scale of the table does.
static int64_t product_depth_step(const machine *target, const ir_op *op, const pack_geometry *g)
{
    const ir_type *table = ir_operand(op, 0)->type;
    int64_t depth = machine_tile_depth(target);
    if (g->tiles_per_group < g->depth_tiles || g->groups_per_tile > 1)
        return g->tiles_per_group > 1 ? g->tiles_per_group : 1;
    bool grouped = table->scale == TABLE_SCALE_GROUP && table->group > depth;
    return grouped && table->group < g->depth_tiles * depth ? table->group / depth : 1;
}

int64_t schedule_depth_step(const machine *target, const ir_op *kernel)
{
    int64_t step = 1;
    IR_FOR_OPS(op, kernel->regions[0])
    {
        pack_mix p;
        if (op->code != IR_LUT_MPGEMM)
            continue;
        if (ir_operand_named(op, "signs") || !product_parts(target, op, &p) || p.mix.n_parts > 1 ||
            p.mix.parts[0].format.codebook)
            return 0;
        step = least_multiple(step, product_depth_step(target, op, &p.parts[0].geometry));
    }
    return step;
}

int64_t schedule_rows(const ir_type *t, bool smallest)
{
    int64_t rows = 1;
    for (unsigned i = 0; i + 1 < t->rank; i++) {
        ir_dim d = t->dims[i];
        int64_t size = d.symbol && smallest ? d.symbol->minimum * d.value : ir_dim_maximum(d);
        if (__builtin_mul_overflow(rows, size, &rows) || rows > INT32_MAX)
            rows = INT32_MAX;
    }
    return rows;
}

static int64_t row_tiles(const machine *target, const ir_type *t, bool smallest)
{
    return (schedule_rows(t, smallest) + target->tile_m - 1) / target->tile_m;
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
    bool half = table->scalar == SCALAR_I8 && table->parts == 1;
    double bytes = half ? machine_table_bytes(target) : machine_tile_bytes(target) * table->parts;
    return bytes * table_share(target);
}

// Scales and sums that stand for parts of a row: those of whole rows stay near.
static double table_scale_bytes(const machine *target, const ir_type *table, int64_t tiles)
{
    double depth = (double)(tiles * machine_tile_depth(target));
    double each = (double)target->tile_m * (double)sizeof(float), count = 0;
    if (table->scale == TABLE_SCALE_SLICE)
        count = 4 * (double)tiles;
    else if (table->scale == TABLE_SCALE_GROUP)
        count = depth / (double)table->group;
    if (table->sums)
        count += depth / (double)table->sums;
    return count > 1 ? count * each : 0;
}

// Lookups hide loads, but for a share of one plane's.
#define SHOWN 0.8
static void add_part(sweep *s, const machine *target, const quant_format *f, const pack_part *p)
{
    double bytes = (double)p->geometry.column_tile_bytes;
    double tiles = (double)p->tiles * (double)p->geometry.depth_tiles;
    s->stream += (double)p->tiles * bytes / target->memory_bandwidth;
    s->compute += tiles * f->planes * plane_cycles(target) / target->clock;
    s->loads += SHOWN * tiles * machine_tile_bytes(target) / target->tiles_load / target->clock;
}

// Once for every depth tile whose sums are scaled there and then.
static double rescale_bytes(const machine *target, const ir_type *table, const quant_format *f,
                            const pack_geometry *g)
{
    double times = scales_each(target, g, table) ? (double)g->depth_tiles : 1;
    return times * (double)target->tile_n * (double)scalar_size(f->scale);
}

// Strips of a row tile's results that the epilogue reads when products behind are done.
static double waiting_strips(const machine *target, const ir_op *product)
{
    const ir_use *use = product->results[0].uses;
    const ir_op *next = product->next;
    while (next && next->code != IR_LUT_MPGEMM)
        next = next->next;
    bool waits = next && use && (use->next || use->op != product->block->last);
    double strip = 4 * (double)target->vlen / 8;
    return waits ? ceil((double)machine_tile_bytes(target) / strip) : 0;
}

static sweep describe(const machine *target, const ir_op *kernel)
{
    sweep s = {.bandwidth = target->memory_bandwidth,
               .latency = target->memory_latency,
               .scratch = (double)target->scratch_size,
               .tile_bytes = (double)machine_tile_bytes(target),
               .move = (double)machine_tile_bytes(target) / target->tiles_load / target->clock,
               .step = schedule_depth_step(target, kernel)};
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
        s.depth = p.parts[0].geometry.depth_tiles;
        s.column_bytes += (double)widest;
        s.table_bytes = table_bytes(target, table) * (double)p.parts[0].geometry.depth_tiles;
        s.scale_bytes = table_scale_bytes(target, table, s.depth);
        s.epilogue_bytes += (double)machine_tile_bytes(target);
        s.rescale_bytes +=
            rescale_bytes(target, table, &p.mix.parts[0].format, &p.parts[0].geometry);
        s.products += 1;
        s.early_strips += waiting_strips(target, op);
        s.mixed = s.mixed || p.map_bytes;
        s.minimum = row_tiles(target, table, true);
        s.maximum = row_tiles(target, table, false);
    }
    return s;
}

// Rows of tiles that are computed together, and the depth tiles that they take at a time.
typedef struct block_shape {
    int64_t rows, depth;
} block_shape;

// Tables and planes that are read for a column tile.
static double near_bytes(const sweep *s, block_shape b)
{
    double tables = (double)b.rows * (s->table_bytes + s->scale_bytes);
    return (tables + s->column_bytes) * (double)b.depth / (double)s->depth;
}

// What scratch keeps from column tile to column tile. Rows of parts of tables lie apart, so that
// some of them meet in its sets.
static double room(const sweep *s, block_shape b)
{
    return (b.depth < s->depth ? 0.8 : 0.9) * s->scratch;
}

// Memory's latencies that a column tile waits for where what it reads once has left scratch:
// scales, constants, addresses, and results of its first products.
static double waits_once(const sweep *s, block_shape b)
{
    const double few = 8;
    bool left = near_bytes(s, b) > s->scratch;
    return few + (left ? (double)b.rows * s->early_strips : 0);
}

// Reading and computing overlap, but for the first row tile's wait for planes; where memory has
// little to spare, lookups wait for it. Scratch keeps the tables of a block from column tile to
// column tile if it has room for what is read in between: tables and planes of the whole depth, or
// of a part of it. Then sums are stored and loaded between parts. Scales of tables that left
// scratch are waited for; where it never holds all tables, these are too.
static double block_seconds(const sweep *s, block_shape b)
{
    const double reached = 0.6;
    double scales = (double)b.rows * s->scale_bytes;
    double tables = (double)b.rows * s->table_bytes + scales,
           part = (double)b.depth / (double)s->depth;
    double moved = (ceil(1 / part) - 1) * 2 * (double)b.rows * s->columns * s->products;
    const double behind = 3; // other moves, one waits for the unit
    bool keeps = near_bytes(s, b) <= room(s, b);
    double memory = s->stream + tables * (keeps ? 1 : s->columns * s->products) / s->bandwidth +
                    moved * s->tile_bytes / s->bandwidth;
    double busy = (double)b.rows * s->compute + s->loads + behind * moved * s->move;
    busy += keeps ? 0 : (scales / LINE + waits_once(s, b)) * s->latency * s->columns;
    return tables * part < s->scratch ? fmax(busy, memory / reached) : busy + memory;
}

// Whole blocks, then smaller ones, as the lowering cuts them.
static double seconds_for(const sweep *s, int64_t tiles, block_shape b)
{
    double seconds = 0;
    for (; b.rows; b = (block_shape){schedule_smaller_block(b.rows), s->depth}) {
        seconds += (double)(tiles / b.rows) * block_seconds(s, b);
        tiles %= b.rows;
    }
    return seconds;
}

// The mean over the numbers of row tiles that the kernel can meet.
static double mean_seconds(const sweep *s, block_shape b)
{
    int64_t span = s->maximum - s->minimum, n = span < SAMPLES ? span + 1 : SAMPLES;
    double total = 0;
    for (int64_t i = 0; i < n; i++)
        total += seconds_for(s, s->minimum + (n > 1 ? span * i / (n - 1) : 0), b);
    return total / (double)n;
}

// The depth in `parts` parts, as even as their boundaries allow.
static int64_t part_of_depth(const sweep *s, int64_t parts)
{
    int64_t tiles = (s->depth + parts - 1) / parts;
    return (tiles + s->step - 1) / s->step * s->step;
}

// The best depth for a block of `rows` row tiles. More parts mean more code: they must be worth it.
static block_shape choose_depth(const sweep *s, int64_t rows, int64_t wish, unsigned *considered)
{
    block_shape best = {rows, s->depth};
    bool splits = s->step && rows > 1;
    *considered += 1;
    if (wish && splits)
        return (block_shape){rows, wish < s->depth ? wish : s->depth};
    for (int64_t parts = 2; splits && parts <= MAX_PARTS; parts++) {
        block_shape b = {rows, part_of_depth(s, parts)};
        *considered += b.depth < s->depth;
        if (b.depth < s->depth && mean_seconds(s, b) < 0.99 * mean_seconds(s, best))
            best = b;
    }
    return best;
}

static bool fits(const machine *target, const ir_op *kernel, const sweep *s, int64_t block,
                 bool sums_wait)
{
    return schedule_registers(target, kernel, block, 1, sums_wait) <= ISA_TILE_REGISTERS &&
           (block == 1 || (double)block * s->epilogue_bytes <= (double)target->scratch_size / 2);
}

// Seconds to compare blocks by: a larger one means more code, and long inputs come in the largest
// pieces that a program takes, which should leave no row tiles over.
static double weighed(const sweep *s, block_shape b)
{
    double code = 1 + 0.002 * (double)b.rows;
    return mean_seconds(s, b) * (s->maximum % b.rows ? 1.02 * code : code);
}

static kernel_schedule sweep_schedule(const machine *target, const ir_op *kernel, sweep *s,
                                      const schedule_wish *wish)
{
    int64_t columns = wish->columns;
    s->epilogue_bytes *= (double)columns;
    block_shape shape = {1, s->depth};
    kernel_schedule best = {1, columns, .seconds = mean_seconds(s, shape), .considered = 1};
    double whole = best.seconds;
    for (int64_t rows = 2; rows <= MAX_ROW_BLOCK && rows <= s->maximum; rows++) {
        if (!fits(target, kernel, s, rows, wish->sums_wait))
            break;
        block_shape b = choose_depth(s, rows, wish->depth_block, &best.considered);
        whole = fmin(whole, mean_seconds(s, (block_shape){rows, s->depth}));
        if (wish->row_block ? rows > wish->row_block : weighed(s, b) >= weighed(s, shape))
            continue;
        shape = b;
        best.row_block = rows;
        best.depth_block = b.depth < s->depth ? b.depth : 0;
        best.seconds = mean_seconds(s, b);
    }
    best.registers = schedule_registers(target, kernel, best.row_block, 1, wish->sums_wait);
    best.whole_seconds = whole;
    best.near_bytes = near_bytes(s, shape);
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
