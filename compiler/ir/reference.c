// The reference of operations, generated from their rows.
#include "compiler/ir/signature.h"

#include <string.h>

static void print_slots(text *out, const char *what, const ir_slot *slots, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        text_printf(out, "%s`%s`: ", i ? "; " : what, slots[i].name);
        ir_kinds_print(out, slots[i].kinds);
        if (slots[i].optional)
            text_append(out, ", optional");
        if (slots[i].variadic)
            text_append(out, ", any number");
    }
    if (n)
        text_append(out, ".\n");
}

static void print_attribute(text *out, const ir_attribute_row *row)
{
    static const char *const kinds[] = {"integer", "number", "true or false",
                                        "",        "text",   "list of integers"};
    text_printf(out, "`%s`: ", row->name);
    if (row->kind == IR_ATTR_NAME)
        text_printf(out, "one of %.*s", (int)strcspn(row->words, "}"), row->words);
    else
        text_append(out, kinds[row->kind]);
    if (row->has_default)
        text_printf(out, " (%s)", row->word);
}

static void print_traits(text *out, unsigned traits)
{
    static const struct {
        unsigned bits;
        const char *name;
    } names[] = {{IR_PURE, "pure"},
                 {IR_ELEMENTWISE, "elementwise"},
                 {IR_COMMUTATIVE, "commutative"},
                 {IR_ROWWISE, "row-wise"},
                 {IR_TERMINATOR, "ends a region"},
                 {IR_KERNEL_BODY, "may stand in a kernel"}};
    const char *separator = "Traits: ";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!(traits & names[i].bits))
            continue;
        text_printf(out, "%s%s", separator, names[i].name);
        separator = ", ";
    }
    text_append(out, *separator == ',' ? ".\n" : "");
}

static void print_op(text *out, ir_opcode code)
{
    const ir_op_row *row = &ir_op_rows[code];
    const ir_signature *s = ir_signature_of(code);
    text_printf(out, "\n### %s\n\n%s.\n\n", row->name, row->doc);
    print_slots(out, "Operands: ", s->operands, s->n_operands);
    print_slots(out, "Results: ", s->results, s->n_results);
    for (unsigned i = 0; i < s->n_attributes; i++) {
        text_append(out, i ? "; " : "Attributes: ");
        print_attribute(out, &s->attributes[i]);
    }
    text_append(out, s->n_attributes ? ".\n" : "");
    if (row->n_regions)
        text_printf(out, "Regions: %u.\n", row->n_regions);
    print_traits(out, row->traits);
}

void ir_print_reference(text *out)
{
    static const struct {
        unsigned level;
        const char *title;
    } levels[] = {{IR_GRAPH | IR_TILE_LEVEL, "Both levels"},
                  {IR_GRAPH, "Graph level"},
                  {IR_TILE_LEVEL, "Tile level"}};
    text_append(out,
                "# Operations\n\nGenerated from compiler/ir/ops.def: run the ir_test unit test "
                "with LUTRA_BLESS=1 to write it anew.\nThe text form and the types are in "
                "[ir.md](ir.md).\n");
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        text_printf(out, "\n## %s\n", levels[i].title);
        for (unsigned code = 0; code < IR_OPCODE_COUNT; code++)
            if ((ir_op_rows[code].traits & (IR_GRAPH | IR_TILE_LEVEL)) == levels[i].level)
                print_op(out, (ir_opcode)code);
    }
}
