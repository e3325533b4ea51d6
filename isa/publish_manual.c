// The generated part of docs/xlut.md.
#include "isa/layout.h"
#include "isa/publish.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const char begin_line[] = "<!-- generated -->\n", end_line[] = "<!-- end of generated -->\n";

static unsigned field_width(const char *name, size_t length)
{
    static const struct {
        const char *name;
        unsigned width;
    } fields[] = {
#define FIELD(name, member, width, bias) {name, width},
#include "isa/fields.def"
#undef FIELD
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (strlen(fields[i].name) == length && !memcmp(fields[i].name, name, length))
            return fields[i].width;
    return 0;
}

// Bits that a token of a pattern stands for: "0101", "ltw", "imm[16:10]".
static unsigned token_width(const char *token, size_t length)
{
    if (isdigit((unsigned char)*token))
        return (unsigned)length;
    const char *bracket = memchr(token, '[', length);
    if (!bracket)
        return field_width(token, length);
    char *end;
    unsigned long high = strtoul(bracket + 1, &end, 10);
    unsigned long low = *end == ':' ? strtoul(end + 1, NULL, 10) : high;
    return (unsigned)(high - low + 1);
}

static void put_bits(text *out, const char *bits)
{
    text numbers = {0}, rule = {0}, names = {0};
    unsigned at = 32;
    while (*bits && *bits != ';') {
        size_t length = strcspn(bits, " ");
        unsigned width = token_width(bits, length);
        at -= width;
        text_printf(&numbers, width > 1 ? "| %u:%u " : "| %u ", at + width - 1, at);
        text_append(&rule, "|---");
        text_printf(&names, "| %.*s ", (int)length, bits);
        bits += length;
        bits += strspn(bits, " ");
    }
    text_printf(out, "%s|\n%s|\n%s|\n\n", text_string(&numbers), text_string(&rule),
                text_string(&names));
    text_free(&numbers);
    text_free(&rule);
    text_free(&names);
}

static void put_constraints(text *out, uint64_t constraints)
{
    static const char *const words[] = {
#define CONSTRAINT(E, name, condition, words) words,
#include "isa/constraints.def"
#undef CONSTRAINT
    };
    if (!constraints)
        return;
    text_append(out, "Illegal unless: ");
    for (bool first = true; constraints; constraints &= constraints - 1, first = false)
        text_printf(out, "%s%s", first ? "" : "; ", words[__builtin_ctzll(constraints)]);
    text_append(out, ".\n\n");
}

static void put_row(text *out, unsigned opcode)
{
    const isa_row *row = &isa_rows[opcode];
    text_printf(out, "`%s %s` (%s)\n\n", row->syntax, row->operands, isa_class_names[row->class]);
    put_bits(out, row->bits);
    text_printf(out, "%s%c%s.\n\n", "", toupper((unsigned char)row->meaning[0]), row->meaning + 1);
    put_constraints(out, isa_layouts[opcode].constraints);
}

static void put_values(text *out, const char *field, const char *const *names, unsigned count)
{
    text_printf(out, "| %s | ", field);
    for (unsigned v = 0, printed = 0; v < count; v++)
        if (names[v])
            text_printf(out, "%s%u `%s`", printed++ ? ", " : "", v, names[v]);
    text_append(out, " |\n");
}

static void put_options(text *out)
{
    text_append(out, "Option fields and their values (all others are illegal):\n\n"
                     "| field | values |\n|---|---|\n");
    put_values(out, "table", xlut_table_names, 4);
    put_values(out, "form", xlut_form_names, 8);
    put_values(out, "slice", xlut_slice_names, 8);
    put_values(out, "rows", xlut_rows_names, 2);
    put_values(out, "activation", xlut_activation_names, 8);
    put_values(out, "sum", xlut_sum_names, 2);
    put_values(out, "scale", xlut_scale_names, 2);
    put_values(out, "data", xlut_data_names, 4);
    put_values(out, "mma", xlut_mma_names, 8);
    put_values(out, "operand", xlut_operand_names, 2);
    text_append(out, "\n");
}

static void put_generated(text *out)
{
    put_options(out);
    for (unsigned opcode = 1; opcode < ISA_OPCODE_COUNT; opcode++)
        if (!strcmp(isa_rows[opcode].extension, "Xlut"))
            put_row(out, opcode);
}

bool isa_publish_manual(text *out, const char *manual)
{
    const char *begin = strstr(manual, begin_line);
    const char *end = begin ? strstr(begin, end_line) : NULL;
    if (!end)
        return false;
    text_append_n(out, manual, (size_t)(begin - manual) + strlen(begin_line));
    text_append(out, "\n");
    put_generated(out);
    text_append(out, end);
    return true;
}
