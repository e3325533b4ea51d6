// choose-tiles: each mpgemm kernel's schedule (compiler/schedule). Kernels of the same shapes have
// the same, which is searched once.
#include "compiler/passes/table_blocks.h"
#include "compiler/schedule/schedule.h"

typedef struct known_kernel {
    const ir_op *kernel; // NULL: free
    uint64_t hash;
    kernel_schedule schedule;
} known_kernel;

typedef struct chooser {
    pass_context *context;
    known_kernel *known; // by hash, linear probing
    size_t capacity, count;
} chooser;

static known_kernel *slot_of(const chooser *c, const ir_op *kernel, uint64_t hash)
{
    size_t i = hash & (c->capacity - 1);
    while (c->known[i].kernel &&
           (c->known[i].hash != hash ||
            !ir_block_equal(c->known[i].kernel->regions[0], kernel->regions[0])))
        i = (i + 1) & (c->capacity - 1);
    return &c->known[i];
}

static void make_room(chooser *c)
{
    chooser old = *c;
    if (2 * c->count < c->capacity)
        return;
    c->capacity = old.capacity ? 2 * old.capacity : 64;
    c->known = ARENA_ARRAY(c->context->arena, known_kernel, c->capacity);
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.known[i].kernel)
            *slot_of(c, old.known[i].kernel, old.known[i].hash) = old.known[i];
    }
}

static bool search(const chooser *c, const ir_op *kernel, kernel_schedule *out)
{
    schedule_wish wish = {.row_block = pass_argument_integer(c->context, "row_block"),
                          .depth_block = pass_argument_integer(c->context, "depth_block"),
                          .rows = pass_argument_integer(c->context, "rows"),
                          .sums_wait = pass_is_disabled(c->context, "overlap")};
    if (!check_table_blocks(c->context, kernel, &wish.columns))
        return false;
    *out = schedule_mpgemm(c->context->machine, kernel, &wish);
    return true;
}

static const char *about_depth(const chooser *c, const kernel_schedule *s)
{
    if (!s->depth_block)
        return "";
    return arena_format(c->context->arena,
                        "; %lld depth tiles at a time, whose tables and planes (%.0f KB) stay in "
                        "scratch; best of %u, with the whole depth at once %.3g ms",
                        (long long)s->depth_block, s->near_bytes / 1024, s->considered,
                        1e3 * s->whole_seconds);
}

static bool choose(chooser *c, ir_op *kernel)
{
    make_room(c);
    uint64_t hash = ir_block_hash(kernel->regions[0]);
    known_kernel *known = slot_of(c, kernel, hash);
    if (!known->kernel) {
        *known = (known_kernel){.hash = hash};
        if (!search(c, kernel, &known->schedule))
            return false;
        known->kernel = kernel;
        c->count++;
    }
    const kernel_schedule *s = &known->schedule;
    ir_set_integer(kernel, "row_block", s->row_block);
    ir_set_integer(kernel, "column_block", s->column_block);
    if (s->depth_block)
        ir_set_integer(kernel, "depth_block", s->depth_block);
    pass_remark(c->context, REMARK_NOTE, kernel->where,
                "%s: %lld x %lld row and column tiles per step, %u of %d tile registers, about "
                "%.3g ms%s",
                ir_name(kernel, "name"), (long long)s->row_block, (long long)s->column_block,
                s->registers, ISA_TILE_REGISTERS, 1e3 * s->seconds, about_depth(c, s));
    return true;
}

static void choose_matrix(const chooser *c, ir_op *kernel)
{
    int64_t rows = pass_argument_integer(c->context, "rows");
    kernel_schedule s;
    if (!schedule_matrix(c->context->machine, kernel, rows, &s))
        return;
    ir_set_integer(kernel, "row_block", s.row_block);
    pass_remark(c->context, REMARK_NOTE, kernel->where,
                "%s: blocks of %lld x %d tiles of the matrix unit, about %.3g ms",
                ir_name(kernel, "name"), (long long)s.row_block, MATRIX_BLOCK_TILES,
                1e3 * s.seconds);
}

bool pass_choose_tiles(ir_module *m, pass_context *context)
{
    chooser c = {.context = context};
    bool good = true;
    for (ir_function *f = m->functions; f; f = f->next)
        IR_FOR_OPS(op, f->body)
        {
            if (op->code == IR_KERNEL && ir_name_is(op, "kind", "mpgemm"))
                good = choose(&c, op) && good;
            else if (op->code == IR_KERNEL && ir_name_is(op, "kind", "dense"))
                choose_matrix(&c, op);
        }
    return good;
}
