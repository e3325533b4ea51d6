// Prefetches of rows: an instruction for each line, which add constants to one pointer. They are
// statements, since LLVM would compute their addresses far ahead and keep them on the stack.
#include "compiler/codegen/cpu/product.h"

// REACH, STEP: of the constants of prefetch.r. A loop for more lines than STRAIGHT, of ROUND each.
enum { LINE = 64, REACH = 2048, STEP = 32, STRAIGHT = 64, ROUND = 16 };

static int64_t lines_of(const ir_type *t)
{
    int64_t bytes = (int64_t)scalar_size(t->scalar);
    for (unsigned i = 0; i < t->rank; i++)
        bytes *= t->dims[i].value;
    return (bytes + LINE - 1) / LINE;
}

static bool reaches(int64_t constant, int64_t lines)
{
    return constant % STEP == 0 && constant >= -REACH && constant + LINE * (lines - 1) < REACH;
}

// One statement for lines that one pointer reaches.
static void state_lines(emitter *e, LLVMValueRef base, int64_t constant, int64_t lines)
{
    text code = {0};
    for (int64_t i = 0; i < lines; i++)
        text_printf(&code, "%sprefetch.r %lld($0)", i ? "\n\t" : "",
                    (long long)(constant + i * LINE));
    assembly(e, text_string(&code), "r", LLVMVoidTypeInContext(e->context), &base, 1);
    text_free(&code);
}

// What is added to the pointer first, so that the rest is within reach: the same for what lies
// near.
static int64_t high_part(int64_t constant, int64_t lines)
{
    int64_t high = (constant + REACH) & -(int64_t)(2 * REACH);
    if (reaches(constant, lines))
        return 0;
    if (reaches(constant - high, lines))
        return high;
    return reaches(0, lines) ? constant : constant + REACH;
}

static void emit_straight(emitter *e, LLVMValueRef base, int64_t constant, int64_t lines)
{
    int64_t high = high_part(constant, lines);
    state_lines(e, byte_at_constant(e, base, high), constant - high, lines);
}

static void emit_long(emitter *e, LLVMValueRef base, int64_t lines)
{
    const int64_t rounds = lines / ROUND, left = lines % ROUND, bytes = rounds * ROUND * LINE;
    counted_loop l =
        counted_begin(e, int_constant(e, 64, 0), int_constant(e, 64, bytes), ROUND * LINE, 0, NULL);
    state_lines(e, byte_at(e, base, l.i), 0, ROUND);
    counted_end(e, &l, NULL);
    if (left)
        state_lines(e, byte_at_constant(e, base, bytes), 0, left);
}

void emit_prefetch(emitter *e, ir_op *op)
{
    const ir_value *from = ir_operand(op, 0);
    const int64_t lines = lines_of(from->type);
    int64_t constant;
    if (e->level) {
        for (int64_t i = 0; i < lines; i++)
            prefetch(e, byte_at_constant(e, value_of(e, from), i * LINE), PREFETCH_FIRST);
        return;
    }
    LLVMValueRef base = split_address(e, from, &constant);
    if (lines <= STRAIGHT)
        emit_straight(e, base, constant, lines);
    else
        emit_long(e, byte_at_constant(e, base, constant), lines);
}
