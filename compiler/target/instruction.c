#include "compiler/target/instruction.h"

#include "isa/options.h"

#include <stddef.h>
#include <string.h>

// An attribute whose words are the values of an option field.
typedef struct option {
    const char *attribute, *const *names;
    size_t n, field;
} option;
#define OPTION(attribute, names, field)                                                            \
    {attribute, names, sizeof(names) / sizeof *(names), offsetof(isa_instruction, field)}

static const struct instruction_row {
    ir_opcode code;
    isa_opcode opcode;
    option options[3]; // ended by a NULL attribute, if they are fewer
} instruction_rows[] = {
    {IR_XLUT_LD, ISA_LUT_LD, {{0}}},
    {IR_XLUT_ST, ISA_LUT_ST, {{0}}},
    {IR_XLUT_PF, ISA_LUT_PF, {{0}}},
    {IR_XLUT_ZERO, ISA_LUT_ZERO, {{0}}},
    {IR_XLUT_TBL,
     ISA_LUT_TBL,
     {OPTION("activation", xlut_activation_names, activation),
      OPTION("table", xlut_table_names, table)}},
    {IR_XLUT_MMA,
     ISA_LMMA,
     {OPTION("entry", xlut_table_names, table), OPTION("rows", xlut_rows_names, rows),
      OPTION("slice", xlut_slice_names, slice)}},
    {IR_XLUT_DEQ, ISA_LUT_DEQ, {OPTION("scale", xlut_scale_names, scale_type)}},
    {IR_XLUT_OFF, ISA_LUT_OFF, {OPTION("offset", xlut_scale_names, scale_type)}},
    {IR_XLUT_LDA, ISA_LUT_LDA, {OPTION("type", xlut_data_names, type)}},
    {IR_XLUT_STA, ISA_LUT_STA, {OPTION("type", xlut_data_names, type)}},
    {IR_XLUT_LDM, ISA_LUT_LDM, {OPTION("operand", xlut_operand_names, type)}},
    {IR_XLUT_STM, ISA_LUT_STM, {{0}}},
    {IR_XLUT_MAC, ISA_MMA, {OPTION("type", xlut_mma_names, type)}},
};

static void set_option(isa_instruction *i, const ir_op *op, const option *o)
{
    const char *word = ir_name(op, o->attribute);
    for (size_t value = 0; value < o->n; value++) {
        if (!o->names[value] || strcmp(o->names[value], word) != 0)
            continue;
        *((uint8_t *)i + o->field) = (uint8_t)value;
        return;
    }
    INTERNAL_ERROR("no %s '%s' of %s", o->attribute, word, ir_op_rows[op->code].name);
}

unsigned tile_first_plane(void)
{
    return (unsigned)ir_operand_slot(IR_XLUT_MMA, "planes");
}

static uint8_t form_of(const ir_op *op)
{
    unsigned planes = op->n_operands - tile_first_plane();
    return (uint8_t)(ir_name_is(op, "form", "ternary") ? XLUT_FORM_TERNARY
                     : ir_name_is(op, "form", "full")  ? XLUT_FORM_FULL
                                                       : XLUT_FORM_PLANES1 + planes - 1);
}

// What is no attribute's word.
static void set_others(isa_instruction *i, const ir_op *op)
{
    switch (op->code) {
    case IR_XLUT_LD:
    case IR_XLUT_ST: i->half = ir_boolean(op, "half"); return;
    case IR_XLUT_MMA:
        i->start = !ir_operand_named(op, "accumulator");
        i->form = form_of(op);
        return;
    case IR_XLUT_DEQ: {
        bool floats = ir_operand_named(op, "c")->type->tile == TILE_F32;
        i->type = floats ? XLUT_SUM_F32 : XLUT_SUM_I32;
        return;
    }
    default: return;
    }
}

bool tile_instruction(const ir_op *op, isa_instruction *out)
{
    const size_t n_rows = sizeof instruction_rows / sizeof *instruction_rows;
    const struct instruction_row *row = instruction_rows;
    while (row < instruction_rows + n_rows && row->code != op->code)
        row++;
    if (row == instruction_rows + n_rows)
        return false;
    *out = (isa_instruction){.opcode = row->opcode};
    if (op->code == IR_XLUT_LDM && ir_name_is(op, "operand", "bt")) {
        out->opcode = ISA_LUT_LDT; // an instruction of its own, without options
        return true;
    }
    for (size_t k = 0; k < sizeof row->options / sizeof *row->options; k++) {
        if (row->options[k].attribute)
            set_option(out, op, &row->options[k]);
    }
    set_others(out, op);
    return true;
}
