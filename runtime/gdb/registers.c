#include "runtime/gdb/registers.h"

#include "runtime/gdb/connection.h"

#include <string.h>

// Control and status registers; counters are not restored after gdb has called a function.
static const struct {
    unsigned number;
    bool counts;
} csrs[] = {
    {HART_CSR_FFLAGS, false}, {HART_CSR_FRM, false},      {HART_CSR_FCSR, false},
    {HART_CSR_VSTART, false}, {HART_CSR_VXSAT, false},    {HART_CSR_VXRM, false},
    {HART_CSR_VCSR, false},   {HART_CSR_VTYPE, false},    {HART_CSR_VL, false},
    {HART_CSR_VLENB, false},  {HART_CSR_CYCLE, true},     {HART_CSR_TIME, true},
    {HART_CSR_INSTRET, true}, {HART_CSR_LUTSHAPE, false},
};
enum {
    CSRS = sizeof csrs / sizeof *csrs,
    FIRST_FLOAT = GDB_REGISTER_PC + 1,
    FIRST_CSR = GDB_GENERAL_REGISTERS,
    FIRST_VECTOR = FIRST_CSR + CSRS,
    FIRST_TILE = FIRST_VECTOR + 32,
    REGISTERS = FIRST_TILE + 32,
    WORD = 8,
};

// Where the register lies; NULL: nowhere, as CSRs.
static uint8_t *place_of(const hart *h, uint64_t number)
{
    if (number < GDB_REGISTER_PC)
        return (uint8_t *)&h->x[number];
    if (number == GDB_REGISTER_PC)
        return (uint8_t *)&h->pc;
    if (number < FIRST_CSR)
        return (uint8_t *)&h->f[number - FIRST_FLOAT];
    if (number >= FIRST_TILE && number < REGISTERS && h->lut)
        return lut_tile(h->lut, (unsigned)(number - FIRST_TILE));
    if (number >= FIRST_VECTOR && number < FIRST_TILE)
        return h->v + (number - FIRST_VECTOR) * h->vlenb;
    return NULL;
}

size_t gdb_register_size(const hart *h, uint64_t number)
{
    if (number < FIRST_VECTOR)
        return WORD;
    if (number < FIRST_TILE)
        return h->vlenb;
    return number < REGISTERS && h->lut ? h->lut->tile_bytes : 0;
}

bool gdb_read_register(hart *h, uint64_t number, text *out)
{
    size_t size = gdb_register_size(h, number);
    const uint8_t *place = place_of(h, number);
    uint64_t csr;
    if (place)
        gdb_put_hex(out, place, size);
    else if (size == WORD && hart_read_csr(h, csrs[number - FIRST_CSR].number, &csr))
        gdb_put_hex(out, &csr, WORD);
    else
        return false;
    return true;
}

// ----------------------------------------------------------------------- writing

static bool write_vtype(hart *h, uint64_t value)
{
    unsigned sew = value >> 3 & 7;
    int lmul = (int)(value & 7) - (value & 4 ? 8 : 0);
    bool illegal = value == UINT64_C(1) << 63;
    if (!illegal && (value >> 8 || !hart_vlmax(h->vlenb, sew, lmul)))
        return false;
    h->vill = illegal;
    h->sew = illegal ? 0 : (uint8_t)sew;
    h->lmul = illegal ? 0 : (int8_t)lmul;
    h->vta = !illegal && (value >> 6 & 1);
    h->vma = !illegal && (value >> 7 & 1);
    uint64_t most = illegal ? 0 : hart_vlmax(h->vlenb, sew, lmul);
    h->vl = h->vl < most ? h->vl : most;
    return true;
}

static bool write_csr(hart *h, unsigned number, uint64_t value)
{
    uint64_t old;
    if (number == HART_CSR_VTYPE)
        return write_vtype(h, value);
    if (number == HART_CSR_VL && value <= (h->vill ? 0 : hart_vlmax(h->vlenb, h->sew, h->lmul)))
        return h->vl = value, true;
    return hart_write_csr(h, number, value) || (hart_read_csr(h, number, &old) && old == value);
}

bool gdb_write_register(hart *h, uint64_t number, const uint8_t *data, size_t size)
{
    uint8_t *place = place_of(h, number);
    uint64_t value;
    if (size == 0 || size != gdb_register_size(h, number))
        return false;
    if (number == GDB_REGISTER_PC && data[0] % 2 != 0)
        return false;
    if (place && number > 0) {
        memcpy(place, data, size);
    } else if (!place) {
        memcpy(&value, data, sizeof value);
        return write_csr(h, csrs[number - FIRST_CSR].number, value);
    }
    return true; // x0 stays what it is
}

// -------------------------------------------------------------------- target.xml

// The views of a register as a vector of elements.
static const struct {
    const char *name, *type;
    unsigned bytes;
} views[] = {
    {"bytes", "uint8", 1},         {"shorts", "int16", 2},     {"words", "int32", 4},
    {"longs", "int64", 8},         {"halves", "ieee_half", 2}, {"floats", "ieee_single", 4},
    {"doubles", "ieee_double", 8},
};
enum { VIEWS = sizeof views / sizeof *views };

static void describe_views(text *out, const char *name, size_t size)
{
    for (size_t i = 0; i < VIEWS; i++)
        text_printf(out, "<vector id=\"%s_%s\" type=\"%s\" count=\"%zu\"/>\n", name, views[i].name,
                    views[i].type, size / views[i].bytes);
    text_printf(out, "<union id=\"%s\">\n", name);
    for (size_t i = 0; i < VIEWS; i++)
        text_printf(out, "<field name=\"%s\" type=\"%s_%s\"/>\n", views[i].name, name,
                    views[i].name);
    text_append(out, "</union>\n");
}

static void describe_register(text *out, const char *name, size_t bytes, const char *attributes,
                              unsigned number)
{
    text_printf(out, "<reg name=\"%s\" bitsize=\"%zu\" regnum=\"%u\" %s/>\n", name, 8 * bytes,
                number, attributes);
}

static void begin_feature(text *out, const char *name)
{
    text_printf(out, "<feature name=\"%s\">\n", name);
}

static void end_feature(text *out)
{
    text_append(out, "</feature>\n");
}

static void describe_scalars(text *out)
{
    begin_feature(out, "org.gnu.gdb.riscv.cpu");
    for (unsigned i = 0; i < 32; i++)
        describe_register(out, isa_x_names[i], WORD,
                          i == 1                       ? "type=\"code_ptr\""
                          : i == 2 || i == 3 || i == 4 ? "type=\"data_ptr\""
                                                       : "type=\"int\"",
                          i);
    describe_register(out, "pc", WORD, "type=\"code_ptr\"", GDB_REGISTER_PC);
    end_feature(out);
    begin_feature(out, "org.gnu.gdb.riscv.fpu");
    for (unsigned i = 0; i < 32; i++)
        describe_register(out, isa_f_names[i], WORD, "type=\"ieee_double\"", FIRST_FLOAT + i);
    end_feature(out);
    begin_feature(out, "org.gnu.gdb.riscv.csr");
    for (unsigned i = 0; i < CSRS; i++)
        describe_register(out, isa_csr_name(csrs[i].number), WORD,
                          csrs[i].counts ? "type=\"int\" group=\"csr\" save-restore=\"no\""
                                         : "type=\"int\" group=\"csr\"",
                          FIRST_CSR + i);
    end_feature(out);
}

static void describe_wide(text *out, const char *feature, const char *type, const char *prefix,
                          size_t bytes, unsigned first)
{
    char name[16], attributes[64];
    snprintf(attributes, sizeof attributes, "type=\"%s\" group=\"vector\"", type);
    begin_feature(out, feature);
    describe_views(out, type, bytes);
    for (unsigned i = 0; i < 32; i++) {
        snprintf(name, sizeof name, "%s%u", prefix, i);
        describe_register(out, name, bytes, attributes, first + i);
    }
    end_feature(out);
}

void gdb_describe_target(const hart *h, text *out)
{
    text_append(out, "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n"
                     "<target version=\"1.0\">\n<architecture>riscv:rv64</architecture>\n");
    describe_scalars(out);
    describe_wide(out, "org.gnu.gdb.riscv.vector", "vector", "v", h->vlenb, FIRST_VECTOR);
    if (h->lut)
        describe_wide(out, "org.lutra.tiles", "tile", "lt", h->lut->tile_bytes, FIRST_TILE);
    text_append(out, "</target>\n");
}
