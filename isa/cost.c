// What instructions cost: a row per class.
#include "isa/cost.h"

#include <string.h>

const char *const isa_unit_names[ISA_UNIT_COUNT] = {
#define ISA_UNIT(E, name, doc) [ISA_UNIT_##E] = name,
    ISA_UNITS(ISA_UNIT)
#undef ISA_UNIT
};

bool machine_has(const machine *m, isa_unit unit)
{
    static const unsigned parts[ISA_UNIT_COUNT] = {
        [ISA_UNIT_TILE_LOAD] = MACHINE_TILES, [ISA_UNIT_TILE_STORE] = MACHINE_TILES,
        [ISA_UNIT_TABLE] = MACHINE_LUT,       [ISA_UNIT_LUT] = MACHINE_LUT,
        [ISA_UNIT_DEQUANTIZE] = MACHINE_LUT,  [ISA_UNIT_MATRIX] = MACHINE_MATRIX,
    };
    return (m->parts & parts[unit]) == parts[unit];
}

static uint64_t ceiling(uint64_t dividend, uint64_t divisor)
{
    uint64_t quotient = dividend / divisor + (dividend % divisor != 0);
    return quotient ? quotient : 1;
}

static void set_pipelined(isa_cost *c, uint64_t busy, uint32_t latency)
{
    c->busy = (uint32_t)busy;
    c->latency = c->busy - 1 + latency;
}

static bool is_named(const isa_instruction *in, const char *prefix)
{
    return strncmp(isa_rows[in->opcode].mnemonic, prefix, strlen(prefix)) == 0;
}

// What computes a cost: `c` has its unit, and everything else is 0.
#define COST(name)                                                                                 \
    static void name(const machine *m, const isa_instruction *in, const isa_shape *s, isa_cost *c)
#define UNUSED (void)m, (void)in, (void)s

// ------------------------------------------------------------------------ scalar

COST(cost_integer)
{
    UNUSED;
    set_pipelined(c, 1, 1);
    c->energy = m->energy_scalar;
}

COST(cost_multiply)
{
    UNUSED;
    set_pipelined(c, 1, m->scalar_multiply);
    c->energy = m->energy_scalar;
}

COST(cost_divide)
{
    UNUSED;
    set_pipelined(c, m->scalar_divide, 1);
    c->energy = m->energy_scalar * m->scalar_divide;
}

COST(cost_float)
{
    UNUSED;
    set_pipelined(c, 1, m->scalar_float);
    c->energy = m->energy_vector_float;
}

COST(cost_float_divide)
{
    UNUSED;
    set_pipelined(c, m->scalar_float_divide, 1);
    c->energy = m->energy_vector_float * m->scalar_float_divide;
}

// Bytes by the last letters of the mnemonic: lbu, flh, sw, amoadd.d{order}.
static uint64_t scalar_bytes(const isa_instruction *in)
{
    const char *name = isa_rows[in->opcode].mnemonic;
    size_t length = strcspn(name, "{");
    char last = name[length - 1] == 'u' ? name[length - 2] : name[length - 1];
    return last == 'b' ? 1 : last == 'h' ? 2 : last == 'w' ? 4 : 8;
}

COST(cost_load)
{
    UNUSED;
    set_pipelined(c, 1, m->scalar_load);
    c->read = is_named(in, "prefetch") ? 0 : scalar_bytes(in);
}

COST(cost_store)
{
    UNUSED;
    set_pipelined(c, 1, 1);
    c->written = scalar_bytes(in);
}

COST(cost_atomic)
{
    UNUSED;
    set_pipelined(c, m->scalar_load, 1);
    c->energy = m->energy_scalar;
    c->read = is_named(in, "sc") ? 0 : scalar_bytes(in);
    c->written = is_named(in, "lr") ? 0 : scalar_bytes(in);
}

// ----------------------------------------------------------------------- vectors

// Bits of the widest operand. Only the elements that are asked for are done.
static uint64_t vector_bits(const machine *m, const isa_instruction *in, const isa_shape *s)
{
    static const char *const wide[] = {"vw", "vfw", "vnsr", "vnclip", "vfncvt"};
    static const char *const one[] = {"vmv.x", "vmv.s", "vfmv.f", "vfmv.s"};
    const char *name = isa_rows[in->opcode].mnemonic;
    if (strncmp(name, "vmv", 3) == 0 && name[4] == 'r') // vmv4r.v
        return (uint64_t)(name[3] - '0') * m->vlen;
    for (size_t i = 0; i < sizeof one / sizeof *one; i++)
        if (is_named(in, one[i]))
            return s->sew;
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        if (is_named(in, wide[i]))
            return 2 * s->vl * s->sew;
    return s->vl * s->sew;
}

static void cost_beats(const machine *m, const isa_instruction *in, const isa_shape *s,
                       uint64_t cycles, double energy, isa_cost *c)
{
    uint64_t bits = vector_bits(m, in, s);
    set_pipelined(c, ceiling(bits, m->vector_bits) * cycles, m->vector_latency);
    c->energy = (double)bits / 32 * energy * (double)cycles;
}

COST(cost_vector)
{
    cost_beats(m, in, s, 1, m->energy_vector, c);
}

COST(cost_vector_float)
{
    cost_beats(m, in, s, 1, m->energy_vector_float, c);
}

COST(cost_vector_divide)
{
    if (is_named(in, "vfrec7") || is_named(in, "vfrsqrt7")) // estimates from a small table
        cost_vector_float(m, in, s, c);
    else
        cost_beats(m, in, s, m->vector_divide,
                   is_named(in, "vf") ? m->energy_vector_float : m->energy_vector, c);
}

COST(cost_vector_permute)
{
    cost_beats(m, in, s, m->vector_permute, m->energy_vector, c);
}

COST(cost_vector_reduce)
{
    bool in_order = is_named(in, "vfredosum") || is_named(in, "vfwredosum");
    cost_beats(m, in, s, 1, is_named(in, "vf") ? m->energy_vector_float : m->energy_vector, c);
    uint64_t busy = in_order ? s->vl * m->vector_latency : c->busy + m->vector_reduce;
    set_pipelined(c, busy ? busy : 1, m->vector_latency);
}

// Bits of an element by the mnemonic: 32 of vl{seg}e32.v.
static unsigned element_bits(const char *name)
{
    const char *e = strrchr(name, 'e');
    unsigned bits = 0;
    for (e += e[1] == 'i' ? 2 : 1; *e >= '0' && *e <= '9'; e++)
        bits = 10 * bits + (unsigned)(*e - '0');
    return bits;
}

// Bytes of a vector load or store, and whether they are one piece.
static uint64_t vector_bytes(const machine *m, const isa_instruction *in, const isa_shape *s,
                             bool *one_piece)
{
    const char *name = isa_rows[in->opcode].mnemonic;
    const char kind = name[2];
    *one_piece = true;
    if (kind == 'm')
        return (s->vl + 7) / 8;
    if (kind >= '1' && kind <= '8')
        return (uint64_t)(kind - '0') * m->vlen / 8;
    bool indexed = kind == 'u' || kind == 'o', strided = kind == 's';
    *one_piece = !indexed && !strided && in->nf == 0;
    unsigned bits = indexed ? s->sew : element_bits(name);
    return s->vl * (in->nf + 1u) * bits / 8;
}

static uint64_t cost_elements(const machine *m, const isa_instruction *in, const isa_shape *s,
                              uint32_t latency, isa_cost *c)
{
    bool one_piece;
    uint64_t bytes = vector_bytes(m, in, s, &one_piece);
    uint64_t beats = ceiling(bytes, m->scratch_bytes);
    set_pipelined(c, one_piece || beats > s->vl ? beats : s->vl, latency);
    return bytes;
}

COST(cost_vector_load)
{
    c->read = cost_elements(m, in, s, m->scalar_load, c);
}

COST(cost_vector_store)
{
    c->written = cost_elements(m, in, s, 1, c);
}

// ------------------------------------------------------------------------- tiles

static uint64_t tile_bytes(const machine *m)
{
    return machine_tile_bytes(m);
}

// Of lut.lda and lut.sta, each of *rows.
static uint64_t accumulator_row(const machine *m, const isa_instruction *in, const isa_shape *s,
                                uint64_t *rows)
{
    uint64_t columns = s->tile_columns ? s->tile_columns : m->tile_n;
    *rows = s->tile_rows ? s->tile_rows : in->rs2 ? m->tile_m : 1;
    return columns * xlut_data_bytes(in->type);
}

// Of an operand or the sums of an mma.
static uint64_t matrix_row(const machine *m, const isa_instruction *in, const isa_shape *s,
                           uint64_t *rows)
{
    bool transposed = in->opcode == ISA_LUT_LDT;
    bool b = in->opcode == ISA_LUT_LDM && in->type == XLUT_OPERAND_B;
    uint64_t all = transposed ? m->tile_n / 4 : b ? m->tile_n / 8 : 8 * (uint64_t)m->tile_m;
    *rows = s->tile_rows ? s->tile_rows : in->rs2 ? all : 1;
    return s->tile_columns ? s->tile_columns : m->tile_n / (transposed ? 4 : 2);
}

// Bytes between tiles and memory, and the cycles they take: rows do not share one.
static uint64_t tile_traffic(const machine *m, const isa_instruction *in, const isa_shape *s,
                             uint32_t rate, uint64_t *cycles)
{
    uint64_t rows = 1, bytes;
    switch (in->opcode) {
    case ISA_LUT_LDA:
    case ISA_LUT_STA: bytes = accumulator_row(m, in, s, &rows); break;
    case ISA_LUT_LDM:
    case ISA_LUT_LDT:
    case ISA_LUT_STM: bytes = matrix_row(m, in, s, &rows); break;
    default:
        bytes = s->tile_columns ? s->tile_columns
                : in->half      ? machine_table_bytes(m)
                                : tile_bytes(m);
        break;
    }
    *cycles = rows * ceiling(bytes, rate);
    return rows * bytes;
}

COST(cost_tile_load)
{
    uint64_t cycles;
    c->read = tile_traffic(m, in, s, m->tiles_load, &cycles);
    c->energy = (double)c->read * m->energy_tile;
    set_pipelined(c, cycles, m->tiles_latency + 1);
}

COST(cost_tile_store)
{
    uint64_t cycles;
    c->written = tile_traffic(m, in, s, m->tiles_store, &cycles);
    c->energy = (double)c->written * m->energy_tile;
    set_pipelined(c, cycles, m->tiles_latency + 1);
}

COST(cost_prefetch)
{
    UNUSED;
    set_pipelined(c, ceiling(tile_bytes(m), m->tiles_load), 1);
}

static bool is_wide(unsigned table)
{
    return table == XLUT_TABLE_I16 || table == XLUT_TABLE_F16;
}

// Lookups that stand for so many weights, and the entries of half a table. The encoding has units
// of k = 4; machines of other ones are made by the explorer.
static uint64_t lookups_of(const machine *m, uint64_t weights)
{
    return ceiling(weights, m->unit_k);
}

static uint64_t half_table(const machine *m)
{
    return (uint64_t)1 << (m->unit_k - 1);
}

COST(cost_table)
{
    UNUSED;
    uint64_t rows = in->rs2 ? m->tile_m : 1, weights = rows * machine_tile_depth(m);
    uint64_t groups = rows * lookups_of(m, machine_tile_depth(m));
    bool dynamic = in->table == XLUT_TABLE_I8_DYNAMIC;
    set_pipelined(c, ceiling(groups, m->table_groups), m->table_latency + 1);
    c->latency += dynamic ? c->busy : 0; // the scale is known when all entries are
    c->read =
        weights * xlut_activation_bytes(in->activation) + (!dynamic && in->rs3 ? 4 * rows : 0);
    c->written = dynamic ? 4 * 4 * (uint64_t)m->tile_m : 0;
    c->energy = (double)groups * m->energy_group +
                (double)(groups * half_table(m) * (is_wide(in->table) ? 2 : 1)) * m->energy_tile;
}

// Of the weights of a tile, those of an lmma.
static uint64_t slice_depth(const machine *m, unsigned slice)
{
    unsigned parts = slice < XLUT_SLICE_HALF0 ? 1 : slice < XLUT_SLICE_QUARTER0 ? 2 : 4;
    return machine_tile_depth(m) / parts;
}

COST(cost_lut)
{
    UNUSED;
    uint64_t planes = xlut_form_planes(in->form), weights = slice_depth(m, in->slice);
    uint64_t depth = lookups_of(m, weights);
    uint64_t rows = in->rows == XLUT_ROWS_ALL ? m->tile_m : 1;
    uint64_t passes = ceiling(rows, m->unit_m) * ceiling(m->tile_n, m->unit_n);
    bool wide = is_wide(in->table);
    set_pipelined(c, ceiling(planes * depth * passes * (wide ? m->unit_wide : 1), m->units),
                  m->unit_latency + 1);
    c->lookups = planes * depth * rows * m->tile_n;
    uint64_t entries = half_table(m) * (in->form == XLUT_FORM_FULL ? 2 : 1);
    uint64_t touched = planes * weights * m->tile_n / 8 + rows * depth * entries * (wide ? 2 : 1) +
                       rows * m->tile_n * (in->start ? 4 : 8);
    c->energy = (double)c->lookups * (wide ? m->energy_lookup_wide : m->energy_lookup) +
                (double)touched * m->energy_tile;
}

COST(cost_dequantize)
{
    UNUSED;
    uint64_t count = (uint64_t)m->tile_m * m->tile_n;
    if (in->opcode == ISA_LUT_ZERO) { // marks the tile
        set_pipelined(c, 1, 1);
        return;
    }
    bool scales = in->opcode == ISA_LUT_DEQ;
    set_pipelined(c, ceiling(count, m->dequantize_lanes), m->dequantize_latency + 1);
    c->read = (uint64_t)m->tile_n * xlut_scale_bytes(in->scale_type) +
              (!scales || in->rs2 ? 4 * (uint64_t)m->tile_m : 0);
    c->energy = (double)count * (m->energy_dequantize + (scales ? 12 : 8) * m->energy_tile);
}

COST(cost_mma)
{
    UNUSED;
    bool bytes = in->type != XLUT_MMA_F16 && in->type != XLUT_MMA_BF16;
    uint64_t rows = 8 * (uint64_t)m->tile_m, columns = m->tile_n / 8;
    c->multiplies = rows * columns * (m->tile_n / (bytes ? 2 : 4));
    set_pipelined(c, ceiling(c->multiplies, bytes ? m->matrix_i8 : m->matrix_f16),
                  m->matrix_latency + 1);
    c->energy = (double)c->multiplies * (bytes ? m->energy_matrix_i8 : m->energy_matrix_f16) +
                (double)(4 * tile_bytes(m)) * m->energy_tile;
}

// ------------------------------------------------------------------------- table

typedef void cost_function(const machine *m, const isa_instruction *in, const isa_shape *s,
                           isa_cost *c);

#define COSTS(ROW)                                                                                 \
    ROW(INTEGER, SCALAR, cost_integer)                                                             \
    ROW(MULTIPLY, SCALAR, cost_multiply)                                                           \
    ROW(DIVIDE, SCALAR, cost_divide)                                                               \
    ROW(LOAD, MEMORY, cost_load)                                                                   \
    ROW(STORE, MEMORY, cost_store)                                                                 \
    ROW(ATOMIC, MEMORY, cost_atomic)                                                               \
    ROW(BRANCH, SCALAR, cost_integer)                                                              \
    ROW(JUMP, SCALAR, cost_integer)                                                                \
    ROW(FLOAT, SCALAR, cost_float)                                                                 \
    ROW(FLOAT_DIVIDE, SCALAR, cost_float_divide)                                                   \
    ROW(SYSTEM, SCALAR, cost_integer)                                                              \
    ROW(VECTOR_SETUP, SCALAR, cost_integer)                                                        \
    ROW(VECTOR, VECTOR, cost_vector)                                                               \
    ROW(VECTOR_MULTIPLY, VECTOR, cost_vector)                                                      \
    ROW(VECTOR_DIVIDE, VECTOR, cost_vector_divide)                                                 \
    ROW(VECTOR_FLOAT, VECTOR, cost_vector_float)                                                   \
    ROW(VECTOR_LOAD, MEMORY, cost_vector_load)                                                     \
    ROW(VECTOR_STORE, MEMORY, cost_vector_store)                                                   \
    ROW(VECTOR_PERMUTE, VECTOR, cost_vector_permute)                                               \
    ROW(VECTOR_REDUCE, VECTOR, cost_vector_reduce)                                                 \
    ROW(TILE_LOAD, TILE_LOAD, cost_tile_load)                                                      \
    ROW(TILE_STORE, TILE_STORE, cost_tile_store)                                                   \
    ROW(TILE_PREFETCH, TILE_LOAD, cost_prefetch)                                                   \
    ROW(TABLE_BUILD, TABLE, cost_table)                                                            \
    ROW(LUT_MMA, LUT, cost_lut)                                                                    \
    ROW(DEQUANTIZE, DEQUANTIZE, cost_dequantize)                                                   \
    ROW(MMA, MATRIX, cost_mma)

static const isa_unit isa_class_units[ISA_CLASS_COUNT] = {
#define ROW(class, unit, function) [ISA_CLASS_##class] = ISA_UNIT_##unit,
    COSTS(ROW)
#undef ROW
};

static cost_function *const functions[ISA_CLASS_COUNT] = {
#define ROW(class, unit, function) [ISA_CLASS_##class] = function,
    COSTS(ROW)
#undef ROW
};

isa_cost isa_cost_of(const machine *m, const isa_instruction *in, const isa_shape *shape)
{
    isa_class class = isa_rows[in->opcode].class;
    isa_cost c = {.unit = isa_class_units[class]};
    if (in->opcode == ISA_LUT_ZERO && !machine_has(m, c.unit))
        c.unit = ISA_UNIT_MATRIX; // it has accumulators as well
    if (!machine_has(m, c.unit))
        return c;
    functions[class](m, in, shape, &c);
    c.energy += m->energy_instruction;
    return c;
}
