// Entries of deep models are thousands of calls one behind the other, and what LLVM does with a
// function takes more than linear time. So long entries become several internal functions with
// the same parameters, which the entry calls one after the other. What an earlier part has defined
// is defined anew where a later one needs it: addresses, sizes and the like.
#include "compiler/codegen/cpu/native.h"

enum {
    MOST_OPERATIONS = 4096, // of a part, regions included; if there is a place to cut
    MOST_DEFINITIONS = 16,  // that one value takes; what takes more is not defined anew
};

// Where to cut. Positions of operations of the body are their marks.
typedef struct plan {
    const ir_function *f;
    uint8_t *definitions; // that it takes to define an operation's results anew; 0: impossible
    int64_t needed;       // position of the last use of what cannot be
} plan;

static bool has_plain_results(const ir_op *op)
{
    for (unsigned i = 0; i < op->n_results; i++) {
        const ir_type_kind kind = op->results[i].type->kind;
        if (kind != IR_INDEX && kind != IR_SCALAR && kind != IR_BUFFER)
            return false;
    }
    return op->n_results > 0;
}

static bool is_definition(const ir_op *op)
{
    const bool pure = ir_op_rows[op->code].traits & IR_PURE || op->code == IR_ALLOC;
    return pure && op->n_regions == 0 && has_plain_results(op);
}

// Of the function's body; NULL: arguments, globals, values inside of a region.
static ir_op *defining(const ir_function *f, const ir_value *v)
{
    return v && v->kind == IR_VALUE_RESULT && v->op->block == f->body ? v->op : NULL;
}

static unsigned count_definitions(const plan *p, const ir_op *op)
{
    if (!is_definition(op))
        return 0;
    unsigned sum = 1;
    for (unsigned i = 0; i < op->n_operands; i++) {
        const ir_op *from = defining(p->f, ir_operand(op, i));
        if (from && !p->definitions[from->mark])
            return 0;
        sum += from ? p->definitions[from->mark] : 0;
    }
    return sum <= MOST_DEFINITIONS ? sum : 0;
}

static int64_t position_of_use(const plan *p, const ir_use *u)
{
    const ir_op *op = u->op;
    while (op->block != p->f->body)
        op = op->block->parent;
    return op->mark;
}

static void plan_operation(plan *p, ir_op *op)
{
    p->definitions[op->mark] = (uint8_t)count_definitions(p, op);
    if (p->definitions[op->mark])
        return;
    for (unsigned i = 0; i < op->n_results; i++)
        for (const ir_use *u = op->results[i].uses; u; u = u->next)
            if (position_of_use(p, u) > p->needed)
                p->needed = position_of_use(p, u);
}

static void count_one(ir_op *op, void *count)
{
    (void)op;
    ++*(size_t *)count;
}

static size_t count_operations(const ir_op *op)
{
    size_t count = 1;
    for (unsigned i = 0; i < op->n_regions; i++)
        ir_walk(op->regions[i], count_one, &count);
    return count;
}

static size_t number_operations(const ir_function *f)
{
    size_t count = 0;
    IR_FOR_OPS(op, f->body)
    op->mark = (int64_t)count++;
    return count;
}

// The operations that parts begin with, but for the first part.
typedef ARRAY_OF(const ir_op *) cuts;

static cuts find_cuts(emitter *e, const ir_function *f)
{
    cuts found = {0};
    plan p = {.f = f, .needed = -1};
    p.definitions = ARENA_ARRAY(e->arena, uint8_t, number_operations(f) + 1);
    size_t length = 0;
    IR_FOR_OPS(op, f->body)
    {
        if (ir_op_rows[op->code].traits & IR_TERMINATOR)
            break;
        const size_t more = count_operations(op);
        if (length && length + more > MOST_OPERATIONS && p.needed < op->mark) {
            ARRAY_PUSH(e->arena, &found, op);
            length = 0;
        }
        plan_operation(&p, op);
        length += more;
    }
    return found;
}

// ----------------------------------------------------------------------- parts

static void define_operands(emitter *e, const ir_op *op);

// Behind an error nothing is kept of what is emitted, and it need not be reported twice.
static void define(emitter *e, const ir_value *v)
{
    ir_op *op = defining(e->function, v);
    if (!op || !is_definition(op) || v->mark >= e->first_value ||
        diagnostics_errors(e->diagnostics))
        return;
    define_operands(e, op);
    emit_operation(e, op);
}

static void define_operands(emitter *e, const ir_op *op)
{
    for (unsigned i = 0; i < op->n_operands; i++)
        define(e, ir_operand(op, i));
}

static void define_inside(ir_op *op, void *context)
{
    define_operands(context, op);
}

static void define_needed(emitter *e, const ir_op *op)
{
    define_operands(e, op);
    for (unsigned i = 0; i < op->n_regions; i++)
        ir_walk(op->regions[i], define_inside, e);
}

typedef ARRAY_OF(LLVMValueRef) functions;

static void begin_part(emitter *e, const ir_function *f, LLVMValueRef entry, functions *parts)
{
    const char *name = arena_format(e->arena, "%s.part%zu", symbol_of(e, f), parts->count + 1);
    LLVMValueRef part = LLVMAddFunction(e->llvm, name, LLVMGlobalGetValueType(entry));
    LLVMSetLinkage(part, LLVMInternalLinkage);
    add_attributes(e, part, false);
    begin_function(e, f, part);
    ARRAY_PUSH(e->arena, parts, part);
}

static void call_part(emitter *e, LLVMValueRef part)
{
    const unsigned n = LLVMCountParams(e->llvm_function);
    LLVMValueRef *parameters = ARENA_ARRAY(e->arena, LLVMValueRef, n);
    LLVMGetParams(e->llvm_function, parameters);
    LLVMBuildCall2(e->builder, LLVMGlobalGetValueType(part), part, parameters, n, "");
}

bool emit_in_parts(emitter *e, const ir_function *f, LLVMValueRef entry)
{
    const cuts found = find_cuts(e, f);
    if (!found.count)
        return false;
    functions parts = {0};
    begin_part(e, f, entry, &parts);
    IR_FOR_OPS(op, f->body)
    {
        if (parts.count <= found.count && found.items[parts.count - 1] == op) {
            end_function(e, op->where);
            begin_part(e, f, entry, &parts);
        }
        if (ir_op_rows[op->code].traits & IR_TERMINATOR)
            break;
        define_needed(e, op);
        emit_operation(e, op);
    }
    end_function(e, f->where);
    begin_function(e, f, entry);
    for (size_t i = 0; i < parts.count; i++)
        call_part(e, parts.items[i]);
    end_function(e, f->where);
    return true;
}
