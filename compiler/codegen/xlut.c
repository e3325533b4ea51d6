// Tile operations become .insn statements: tile registers are literal numbers,
// general registers are operands. Each is volatile with a memory clobber, which
// keeps them in order, and carries its mnemonic as a comment.
#include "compiler/codegen/emit.h"

#include "compiler/target/instruction.h"
#include "isa/options.h"

#include <ctype.h>
#include <string.h>

// An instruction and the values of its general registers; a NULL value leaves
// the field as it is (x0, or a tile register).
typedef struct xlut_statement {
    isa_instruction instruction;
    LLVMValueRef rs1, rs2, rs3;
} xlut_statement;

// -------------------------------------------------------------- tile registers

// The register that holds a tile value; loops and branches keep it in place.
static int tile_register(const ir_value *v)
{
    while (v->kind == IR_VALUE_ARGUMENT || v->op->n_regions) {
        const ir_op *op = v->kind == IR_VALUE_ARGUMENT ? v->block->parent : v->op;
        if (!op || (op->code != IR_FOR && v->kind == IR_VALUE_ARGUMENT))
            return -1;
        if (op->code == IR_IF)
            v = ir_operand(op->regions[0]->last, v->index);
        else if (op->code == IR_FOR)
            v = ir_operand(op, v->kind == IR_VALUE_ARGUMENT ? v->index + 2 : v->index + 3);
        else
            return -1;
    }
    const ir_attribute *a = ir_find(v->op, "register");
    return a ? (int)a->integer : -1;
}

static uint8_t tile(emitter *e, const ir_op *op, const char *operand)
{
    const ir_value *v = operand ? ir_operand_named(op, operand) : &op->results[0];
    int number = tile_register(v);
    if (number < 0 || number >= ISA_TILE_REGISTERS) {
        emit_error(e, "a tile of '%s' has no register yet; assign-tile-registers sets it",
                   ir_op_rows[op->code].name);
        return 0;
    }
    return (uint8_t)number;
}

// An instruction that updates a tile in place has its operand and its result in
// one register.
static uint8_t updated_tile(emitter *e, const ir_op *op, const char *operand)
{
    uint8_t number = tile(e, op, operand);
    if (number != tile(e, op, NULL))
        emit_error(e,
                   "'%s' updates a tile in place, but its operand is in lt%u and its result in "
                   "lt%u",
                   ir_op_rows[op->code].name, number, tile(e, op, NULL));
    return number;
}

// The register of the first index plane; the others must follow it.
static uint8_t plane_tiles(emitter *e, const ir_op *op)
{
    int first = tile_register(ir_operand(op, tile_first_plane()));
    for (unsigned i = tile_first_plane(); i < op->n_operands; i++)
        if (first < 0 ||
            tile_register(ir_operand(op, i)) != first + (int)(i - tile_first_plane())) {
            emit_error(e, "the planes of an xlut.mma must stand in consecutive tile registers");
            return 0;
        }
    return (uint8_t)first;
}

static void check_planes(emitter *e, const ir_op *op, unsigned form)
{
    unsigned planes = op->n_operands - tile_first_plane();
    if (!planes || planes > 4 || xlut_form_planes(form) != planes)
        emit_error(e, "an xlut.mma of this form cannot have %u planes", planes);
}

// -------------------------------------------------------------- the statements

static LLVMValueRef register_operand(emitter *e, const ir_op *op, const char *name)
{
    const ir_value *v = ir_operand_named(op, name);
    return v ? value_of(e, v) : NULL;
}

// Constant multiples of a line go into the immediate. What is beyond its reach shares a pointer
// with what lies near: the fewer pointers a loop has, the more of them stand in registers.
static void set_address(emitter *e, xlut_statement *s, const ir_value *buffer)
{
    enum { LINE = 64, REACH = 1 << 16 };
    int64_t constant;
    LLVMValueRef base = split_address(e, buffer, &constant);
    bool fits = constant % LINE == 0;
    int64_t high = fits ? (constant + REACH) & -(int64_t)(2 * REACH) : constant;
    LLVMValueRef bytes = int_constant(e, 64, high);
    s->rs1 = high ? LLVMBuildGEP2(e->builder, int_type(e, 8), base, &bytes, 1, "") : base;
    s->instruction.imm = (int32_t)(constant - high);
}

static void move_tile(emitter *e, const ir_op *op, xlut_statement *s)
{
    bool load = op->code == IR_XLUT_LD;
    *(load ? &s->instruction.rd : &s->instruction.rs2) = tile(e, op, load ? NULL : "t");
    set_address(e, s, ir_operand_named(op, load ? "from" : "to"));
}

static void prefetch(emitter *e, const ir_op *op, xlut_statement *s)
{
    set_address(e, s, ir_operand_named(op, "from"));
}

static void zero(emitter *e, const ir_op *op, xlut_statement *s)
{
    s->instruction.rd = tile(e, op, NULL);
}

static void table(emitter *e, const ir_op *op, xlut_statement *s)
{
    s->instruction.rd = tile(e, op, NULL);
    s->rs1 = register_operand(e, op, "from");
    s->rs2 = register_operand(e, op, "stride");
    s->rs3 = register_operand(e, op, "scales");
}

static void multiply(emitter *e, const ir_op *op, xlut_statement *s)
{
    isa_instruction *i = &s->instruction;
    i->rd = i->start ? tile(e, op, NULL) : updated_tile(e, op, "accumulator");
    i->rs1 = tile(e, op, "table");
    i->rs2 = plane_tiles(e, op);
    if (ir_operand_named(op, "high") && (i->rs1 % 2 || tile(e, op, "high") != i->rs1 + 1))
        emit_error(e, "a table of two tiles must stand in an even register and the next one");
    check_planes(e, op, i->form);
}

static void dequantize(emitter *e, const ir_op *op, xlut_statement *s)
{
    s->instruction.rd = updated_tile(e, op, "d");
    s->instruction.rs3 = tile(e, op, "c");
    s->rs1 = register_operand(e, op, "weight_scale");
    s->rs2 = register_operand(e, op, "table_scale");
}

static void offset(emitter *e, const ir_op *op, xlut_statement *s)
{
    s->instruction.rd = updated_tile(e, op, "d");
    s->rs1 = register_operand(e, op, "u");
    s->rs2 = register_operand(e, op, "v");
}

// Rows, of fewer columns than a tile's too, or an operand of the matrix unit, which may be a part.
static void move_rows(emitter *e, const ir_op *op, xlut_statement *s)
{
    bool load = op->code == IR_XLUT_LDA || op->code == IR_XLUT_LDM;
    bool matrix = op->code == IR_XLUT_LDM || op->code == IR_XLUT_STM;
    s->instruction.rd = tile(e, op, load ? NULL : "c");
    s->rs1 = register_operand(e, op, load ? "from" : "to");
    s->rs2 = register_operand(e, op, "stride");
    s->rs3 = register_operand(e, op, matrix ? "part" : "columns");
}

static void multiply_matrix(emitter *e, const ir_op *op, xlut_statement *s)
{
    s->instruction.rd = updated_tile(e, op, "c");
    s->instruction.rs1 = tile(e, op, "a");
    s->instruction.rs2 = tile(e, op, "b");
}

static const struct xlut_row {
    ir_opcode code;
    void (*place)(emitter *e, const ir_op *op, xlut_statement *s); // sets registers and addresses
} xlut_rows_of_ops[] = {
    {IR_XLUT_LD, move_tile},        {IR_XLUT_ST, move_tile},  {IR_XLUT_PF, prefetch},
    {IR_XLUT_ZERO, zero},           {IR_XLUT_TBL, table},     {IR_XLUT_MMA, multiply},
    {IR_XLUT_DEQ, dequantize},      {IR_XLUT_OFF, offset},    {IR_XLUT_LDA, move_rows},
    {IR_XLUT_STA, move_rows},       {IR_XLUT_LDM, move_rows}, {IR_XLUT_STM, move_rows},
    {IR_XLUT_MAC, multiply_matrix},
};

// --------------------------------------------------------------- inline assembly

// The disassembly with "a0", "a1", "a2" replaced by operands $0, $1, $2.
static void append_mnemonic(text *out, const char *line)
{
    for (const char *p = line; *p; p++) {
        bool name = p[0] == 'a' && p[1] >= '0' && p[1] <= '2' && !isalnum((unsigned char)p[2]) &&
                    (p == line || (!isalnum((unsigned char)p[-1]) && p[-1] != '.'));
        text_char(out, name ? '$' : *p);
    }
}

// Fields of general registers get a0, a1, ... in the order of the operands.
static unsigned place_operands(xlut_statement *s, LLVMValueRef *operands, const char **templates)
{
    static const char *const names[] = {"$0", "$1", "$2"};
    enum { A0 = 10 };
    LLVMValueRef values[] = {s->rs1, s->rs2, s->rs3};
    uint8_t *fields[] = {&s->instruction.rs1, &s->instruction.rs2, &s->instruction.rs3};
    unsigned n = 0;
    for (unsigned i = 0; i < 3; i++) {
        if (!values[i])
            continue;
        operands[n] = values[i];
        templates[i] = names[n];
        *fields[i] = (uint8_t)(A0 + n++);
    }
    return n;
}

static bool is_legal(const isa_instruction *i)
{
    isa_instruction decoded;
    uint32_t word;
    if (!isa_encode(i, &word))
        return false;
    isa_decode(word, &decoded);
    return decoded.opcode == i->opcode;
}

static void emit_statement(emitter *e, const ir_op *op, xlut_statement s)
{
    static const char *const constraints[] = {"~{memory}", "r,~{memory}", "r,r,~{memory}",
                                              "r,r,r,~{memory}"};
    LLVMValueRef operands[3];
    const char *templates[3] = {0};
    unsigned n = place_operands(&s, operands, templates);
    text statement = {0}, line = {0};
    if (!is_legal(&s.instruction) ||
        !isa_insn_directive(&statement, &s.instruction, NULL, templates[0], templates[1],
                            templates[2])) {
        isa_disassemble(&line, &s.instruction, 0);
        emit_error(e, "'%s' asks for an instruction that the machine does not have: %s",
                   ir_op_rows[op->code].name, text_string(&line));
    } else {
        isa_disassemble(&line, &s.instruction, 0);
        text_append(&statement, "\t# ");
        append_mnemonic(&statement, text_string(&line));
        LLVMValueRef call = assembly(e, text_string(&statement), constraints[n],
                                     LLVMVoidTypeInContext(e->context), operands, n);
        if (op->code == IR_XLUT_MMA || op->code == IR_XLUT_MAC)
            note_product(e, call, false);
        if (op->code == IR_XLUT_DEQ)
            note_product(e, call, true);
        if (op->code == IR_XLUT_STM)
            e->products.count = 0; // strips read what it stores
    }
    text_free(&statement);
    text_free(&line);
}

void emit_xlut(emitter *e, ir_op *op)
{
    size_t before = diagnostics_errors(e->diagnostics);
    for (size_t i = 0; i < sizeof xlut_rows_of_ops / sizeof *xlut_rows_of_ops; i++) {
        if (xlut_rows_of_ops[i].code != op->code)
            continue;
        xlut_statement s = {0};
        tile_instruction(op, &s.instruction);
        xlut_rows_of_ops[i].place(e, op, &s);
        if (diagnostics_errors(e->diagnostics) == before)
            emit_statement(e, op, s);
    }
}
