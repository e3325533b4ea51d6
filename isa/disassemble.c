// Instructions as text: the row's mnemonic and operands with their variable parts filled in.
#include "isa/layout.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

const char *const isa_x_names[32] = {"zero", "ra", "sp",  "gp",  "tp", "t0", "t1", "t2",
                                     "s0",   "s1", "a0",  "a1",  "a2", "a3", "a4", "a5",
                                     "a6",   "a7", "s2",  "s3",  "s4", "s5", "s6", "s7",
                                     "s8",   "s9", "s10", "s11", "t3", "t4", "t5", "t6"};

const char *const isa_f_names[32] = {"ft0", "ft1", "ft2",  "ft3",  "ft4", "ft5", "ft6",  "ft7",
                                     "fs0", "fs1", "fa0",  "fa1",  "fa2", "fa3", "fa4",  "fa5",
                                     "fa6", "fa7", "fs2",  "fs3",  "fs4", "fs5", "fs6",  "fs7",
                                     "fs8", "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11"};

static const struct {
    unsigned number;
    const char *name;
} csr_names[] = {
    {0x001, "fflags"}, {0x002, "frm"},   {0x003, "fcsr"},  {0x008, "vstart"},   {0x009, "vxsat"},
    {0x00a, "vxrm"},   {0x00f, "vcsr"},  {0xc00, "cycle"}, {0xc01, "time"},     {0xc02, "instret"},
    {0xc20, "vl"},     {0xc21, "vtype"}, {0xc22, "vlenb"}, {0xcc0, "lutshape"},
};

const char *isa_csr_name(unsigned number)
{
    for (size_t i = 0; i < sizeof csr_names / sizeof *csr_names; i++)
        if (csr_names[i].number == number)
            return csr_names[i].name;
    return NULL;
}

// What a variable part is printed from.
typedef struct context {
    text *out;
    const isa_instruction *in;
    uint64_t pc;
} context;
typedef void part_function(const context *c);

// ---------------------------------------------------------------- registers

#define REGISTER(function, format, ...)                                                            \
    static void function(const context *c)                                                         \
    {                                                                                              \
        text_printf(c->out, format, __VA_ARGS__);                                                  \
    }
REGISTER(x_rd, "%s", isa_x_names[c->in->rd & 31])
REGISTER(x_rs1, "%s", isa_x_names[c->in->rs1 & 31])
REGISTER(x_rs2, "%s", isa_x_names[c->in->rs2 & 31])
REGISTER(x_rs3, "%s", isa_x_names[c->in->rs3 & 31])
REGISTER(f_rd, "%s", isa_f_names[c->in->rd & 31])
REGISTER(f_rs1, "%s", isa_f_names[c->in->rs1 & 31])
REGISTER(f_rs2, "%s", isa_f_names[c->in->rs2 & 31])
REGISTER(f_rs3, "%s", isa_f_names[c->in->rs3 & 31])
REGISTER(v_rd, "v%u", c->in->rd)
REGISTER(v_rs1, "v%u", c->in->rs1)
REGISTER(v_rs2, "v%u", c->in->rs2)
REGISTER(v_rs3, "v%u", c->in->rs3)
REGISTER(lt_rd, "lt%u", c->in->rd)
REGISTER(lt_rs1, "lt%u", c->in->rs1)
REGISTER(lt_rs2, "lt%u", c->in->rs2)
REGISTER(lt_rs3, "lt%u", c->in->rs3)
REGISTER(zimm, "%u", c->in->rs1)
REGISTER(imm, "%" PRId32, c->in->imm)
REGISTER(upper, "%" PRIu32, (uint32_t)c->in->imm >> 12)
#undef REGISTER

// --------------------------------------------------------- other operands

static void nonzero(const context *c)
{
    if (c->in->imm)
        imm(c);
}

static void target(const context *c)
{
    if (c->pc == ISA_NO_PC)
        imm(c);
    else
        text_printf(c->out, "0x%" PRIx64, c->pc + (uint64_t)(int64_t)c->in->imm);
}

static void csr(const context *c)
{
    const char *name = isa_csr_name((unsigned)c->in->imm);
    if (name)
        text_append(c->out, name);
    else
        imm(c);
}

static void rounding(const context *c)
{
    static const char *const names[8] = {"rne", "rtz", "rdn", "rup", "rmm", "5", "6", "dyn"};
    text_append(c->out, names[c->in->rm & 7]);
}

static void exact(const context *c)
{
    if (c->in->rm)
        rounding(c);
}

static void mask(const context *c)
{
    if (!c->in->vm)
        text_append(c->out, "v0.t");
}

static void fence_set(text *out, unsigned set)
{
    static const char letters[] = "iorw";
    if (!set)
        text_char(out, '0');
    for (unsigned i = 0; i < 4; i++)
        if (set >> (3 - i) & 1)
            text_char(out, letters[i]);
}

static void fence(const context *c)
{
    fence_set(c->out, (unsigned)c->in->imm >> 4 & 15);
    text_append(c->out, ", ");
    fence_set(c->out, (unsigned)c->in->imm & 15);
}

static void vtype(const context *c)
{
    static const char *const lmul[8] = {"m1", "m2", "m4", "m8", NULL, "mf8", "mf4", "mf2"};
    unsigned v = (unsigned)c->in->imm, sew = v >> 3 & 7;
    if (v >> 8 || sew > 3 || !lmul[v & 7])
        text_printf(c->out, "%u", v);
    else
        text_printf(c->out, "e%u, %s, t%c, m%c", 8u << sew, lmul[v & 7], v & 64 ? 'a' : 'u',
                    v & 128 ? 'a' : 'u');
}

// --------------------------------------------------------- parts of mnemonics

static void order(const context *c)
{
    if (c->in->aq || c->in->rl)
        text_printf(c->out, ".%s%s", c->in->aq ? "aq" : "", c->in->rl ? "rl" : "");
}

static void segments(const context *c)
{
    if (c->in->nf)
        text_printf(c->out, "seg%u", c->in->nf + 1u);
}

static void half(const context *c)
{
    if (c->in->half)
        text_char(c->out, 'h');
}

#define OPTION_PART(function, names, member)                                                       \
    static void function(const context *c)                                                         \
    {                                                                                              \
        const char *name =                                                                         \
            c->in->member < sizeof names / sizeof *names ? names[c->in->member] : NULL;            \
        text_append(c->out, name ? name : "?");                                                    \
    }
OPTION_PART(table, xlut_table_names, table)
OPTION_PART(form, xlut_form_names, form)
OPTION_PART(activation, xlut_activation_names, activation)
OPTION_PART(sum, xlut_sum_names, type)
OPTION_PART(scale, xlut_scale_names, scale_type)
OPTION_PART(data, xlut_data_names, type)
OPTION_PART(mma, xlut_mma_names, type)
OPTION_PART(operand, xlut_operand_names, type)
OPTION_PART(slice, xlut_slice_names, slice)
#undef OPTION_PART

// The type of an lmma's accumulators follows from that of its table.
static void sums(const context *c)
{
    text_append(c->out, c->in->table == XLUT_TABLE_F16 ? ".f32" : ".i32");
}

// What differs from the plain lmma: all rows, all lookups, added to C.
static void lmma_options(const context *c)
{
    if (c->in->rows == XLUT_ROWS_ONE)
        text_append(c->out, ".one");
    if (c->in->start)
        text_append(c->out, ".start");
    if (c->in->slice != XLUT_SLICE_ALL) {
        text_char(c->out, '.');
        slice(c);
    }
}

static const struct {
    const char *name;
    part_function *print;
} parts[] = {
    {"rd", x_rd},           {"rs1", x_rs1},       {"rs2", x_rs2},
    {"rs3", x_rs3},         {"rd'", x_rd},        {"rs1'", x_rs1},
    {"rs2'", x_rs2},        {"fd", f_rd},         {"fs1", f_rs1},
    {"fs2", f_rs2},         {"fs3", f_rs3},       {"fd'", f_rd},
    {"fs2'", f_rs2},        {"vd", v_rd},         {"vs1", v_rs1},
    {"vs2", v_rs2},         {"vs3", v_rs3},       {"lt", lt_rd},
    {"ltd", lt_rd},         {"ltc", lt_rd},       {"ltt", lt_rs1},
    {"lta", lt_rs1},        {"ltw", lt_rs2},      {"ltb", lt_rs2},
    {"lts2", lt_rs2},       {"lts", lt_rs3},      {"zimm", zimm},
    {"imm", imm},           {"uimm", imm},        {"tile", imm},
    {"upper", upper},       {"nonzero", nonzero}, {"target", target},
    {"csr", csr},           {"rm", rounding},     {"exact", exact},
    {"vm", mask},           {"fence", fence},     {"vtype", vtype},
    {"{order}", order},     {"{seg}", segments},  {"{half}", half},
    {"{table}", table},     {"{form}", form},     {"{activation}", activation},
    {"{sum}", sum},         {"{scale}", scale},   {"{data}", data},
    {"{mma}", mma},         {"{sums}", sums},     {"{options}", lmma_options},
    {"{operand}", operand},
};

static part_function *part_by_name(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strlen(parts[i].name) == length && !memcmp(parts[i].name, name, length))
            return parts[i].print;
    return NULL;
}

static size_t word_length(const char *s)
{
    if (*s == '{')
        return strcspn(s, "}") + 1;
    size_t n = 0;
    while (isalnum((unsigned char)s[n]) || s[n] == '\'')
        n++;
    return n;
}

// "x2" of compressed rows, and "v0".
static void print_literal(text *out, const char *word, size_t length)
{
    if (*word == 'x' && length == 2)
        text_append(out, isa_x_names[word[1] - '0']);
    else
        text_append_n(out, word, length);
}

static void print_mnemonic(const context *c, const char *syntax)
{
    while (*syntax) {
        size_t plain = strcspn(syntax, "{");
        text_append_n(c->out, syntax, plain);
        syntax += plain;
        if (*syntax) {
            size_t length = word_length(syntax);
            part_by_name(syntax, length)(c);
            syntax += length;
        }
    }
}

static void print_operand(const context *c, const char *word, size_t length)
{
    part_function *print = part_by_name(word, length);
    if (print)
        print(c);
    else
        print_literal(c->out, word, length);
}

// An operand that prints nothing takes the comma before it along.
static void print_operands(const context *c, const char *operands)
{
    for (bool first = true; *operands; first = false) {
        size_t separator = strcspn(operands, "abcdefghijklmnopqrstuvwxyz");
        size_t comma = c->out->length + (first ? 0 : strcspn(operands, ","));
        text_append(c->out, first ? " " : "");
        text_append_n(c->out, operands, separator);
        operands += separator;
        size_t start = c->out->length, length = word_length(operands);
        print_operand(c, operands, length);
        operands += length;
        if (length && c->out->length == start) {
            c->out->length = comma;
            c->out->data[comma] = '\0';
        }
    }
}

void isa_disassemble(text *out, const isa_instruction *in, uint64_t pc)
{
    isa_instruction fields;
    const isa_layout *layout =
        &isa_layouts[in->opcode < ISA_OPCODE_COUNT ? in->opcode : ISA_ILLEGAL];
    int row = in->length == 2 ? isa_decode_compressed(in->word, &fields) : -1;
    if (row >= 0) {
        layout = &isa_compressed_layouts[row];
        in = &fields;
    }
    context c = {out, in, pc};
    print_mnemonic(&c, layout->syntax);
    print_operands(&c, layout->operands);
}
