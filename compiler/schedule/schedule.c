#include "compiler/schedule/schedule.h"

#include "compiler/quant/quant.h"

enum { MAX_ROW_BLOCK = 16, SAMPLES = 64 };

// What one sweep over the weights of a kernel costs.
typedef struct sweep {
    double stream;            // seconds to read the weights once
    double compute;           // seconds of the LUT array for one row tile
    double epilogue_bytes;    // of one row tile's block of results in near memory
    int64_t minimum, maximum; // row tiles
} sweep;

static bool product_geometry(const machine *target, const ir_op *op, quant_format *f,
                             pack_geometry *g)
{
    const ir_type *w = ir_operand(op, 1)->type;
    pack_shape shape = {target->tile_m, target->tile_n};
    return quant_format_parse(w->format, f) &&
           pack_geometry_of(f, w->dims[0].value, w->dims[1].value, shape, g);
}

unsigned schedule_registers(const machine *target, const ir_op *kernel, int64_t row_block)
{
    unsigned most = 0;
    IR_FOR_OPS(op, kernel->regions[0])
    {
        quant_format f;
        pack_geometry g;
        if (op->code != IR_LUT_MPGEMM || !product_geometry(target, op, &f, &g))
            continue;
        const ir_type *table = ir_operand(op, 0)->type;
        unsigned rows = (unsigned)row_block, sums = quant_accumulators(&f) * table->parts;
        bool sliced = g.groups_per_tile > 1 || table->scale == TABLE_SCALE_SLICE;
        if (f.codebook) { // loaded for each lmma; a pair of tiles may leave one out
            most =
                rows * (1 + sums) + f.planes + 3 > most ? rows * (1 + sums) + f.planes + 3 : most;
            continue;
        }
        unsigned tables = (sliced ? rows : 1) * table->parts, combined = sums > f.terms;
        unsigned n = rows * (1 + sums) + f.planes + tables + combined;
        most = n > most ? n : most;
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
    return machine_tile_lookups(target) * m * n / target->units;
}

static sweep describe(const machine *target, const ir_op *kernel)
{
    sweep s = {0};
    IR_FOR_OPS(op, kernel->regions[0])
    {
        quant_format f;
        pack_geometry g;
        if (op->code != IR_LUT_MPGEMM || !product_geometry(target, op, &f, &g))
            continue;
        const ir_type *table = ir_operand(op, 0)->type;
        double tiles = (double)g.column_tiles * (double)g.depth_tiles;
        s.stream += (double)g.column_tiles * (double)g.column_tile_bytes / target->memory_bandwidth;
        s.compute += tiles * f.planes * plane_cycles(target) / target->clock;
        s.epilogue_bytes += (double)machine_tile_bytes(target);
        s.minimum = row_tiles(target, table, true);
        s.maximum = row_tiles(target, table, false);
    }
    return s;
}

// Whole blocks, then single row tiles, as the lowering cuts them. Reading and computing overlap.
static double seconds_for(const sweep *s, int64_t tiles, int64_t block)
{
    double busy = (double)block * s->compute;
    double whole = busy > s->stream ? busy : s->stream;
    double single = s->compute > s->stream ? s->compute : s->stream;
    return (double)(tiles / block) * whole + (double)(tiles % block) * single;
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
    return schedule_registers(target, kernel, block) <= ISA_TILE_REGISTERS &&
           (block == 1 || (double)block * s->epilogue_bytes <= (double)target->scratch_size / 2);
}

kernel_schedule schedule_mpgemm(const machine *target, const ir_op *kernel, int64_t wish)
{
    sweep s = describe(target, kernel);
    kernel_schedule best = {1, 1, schedule_registers(target, kernel, 1), mean_seconds(&s, 1)};
    for (int64_t block = 2; block <= MAX_ROW_BLOCK && block <= s.maximum; block++) {
        if (!fits(target, kernel, &s, block))
            break;
        double seconds = mean_seconds(&s, block);
        // A larger block means more code: it must be worth it.
        if (wish ? block <= wish : seconds < 0.99 * best.seconds)
            best = (kernel_schedule){block, 1, schedule_registers(target, kernel, block), seconds};
    }
    return best;
}
