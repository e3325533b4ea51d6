// Running: from slow paths into the loop of steps, and back.
//
// Counts are settled at transfers: one that is taken takes off the budget what was executed since
// the block's record 0 and gives back what its target has in front of it, so that at any record
// the instructions left follow from the budget and the record's index. The loop is entered with at
// least as many instructions left as there are up to the end of the block; whoever jumps checks
// that enough are left for any block, or comes back here. Without enough of them, and when an
// observer looks on, one instruction is executed at a time, by the step of its own and with a pause
// behind it. Normal execution pays for neither.

#include "runtime/hart/native.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

static uint64_t remaining_at(const hart *h, const hart_op *op)
{
    return (uint64_t)(h->budget + HART_LONGEST_BLOCK - op->index);
}

uint64_t hart_retired_now(const hart *h)
{
    uint64_t remaining = h->op ? remaining_at(h, h->op) : h->remaining;
    return h->run_start - remaining - h->withheld;
}

// A transfer to a target that is not known.
static void leave_by_stub(hart *h, hart_op *from)
{
    const hart_op_detail *detail = hart_op_details(from);
    uint64_t pc = hart_op_pc(from);
    h->pc = from->step == hart_step_end ? pc : pc + (uint64_t)(int64_t)detail->in.imm;
    h->unlinked = from;
    from->taken--; // counted here, as long as it is not known where that is an entry
    hart_op_entries(from)[1]--;
}

void hart_leave(hart *h, const hart_op *op)
{
    h->remaining = remaining_at(h, op);
    h->op = NULL;
    if (op->step == hart_step_stub) {
        leave_by_stub(h, op->target);
    } else {
        h->pc = hart_op_pc(op);
        --*hart_op_entries(op);
    }
}

static void enter(hart *h, hart_op *op)
{
    h->budget = (int64_t)h->remaining - HART_LONGEST_BLOCK + op->index;
    h->op = op;
    ++*hart_op_entries(op);
}

__attribute__((noinline)) static void dispatch(hart *h, hart_op *op, hart_step *step)
{
    op = step(op, h, h->memory_base, step, h->memory_limit, h->budget);
    while (op) // only without tail calls
        op = op->step(op, h, h->memory_base, op->step, h->memory_limit, h->budget);
}

// Takes the pause behind the instruction away again.
static void restore(hart *h)
{
    if (h->paused)
        h->paused->step = h->paused_step;
    h->paused = NULL;
}

static void step_once(hart *h, hart_op *op)
{
    h->paused = op + 1;
    h->paused_step = op[1].step;
    op[1].step = hart_step_pause;
    const unsigned opcode = hart_op_details(op)->in.opcode;
    dispatch(h, op, h->watcher ? hart_step_watched : hart_step_of(opcode));
    restore(h);
}

// Gives out some of what is withheld: at most what the budget can hold.
static void refill(hart *h)
{
    uint64_t most = h->observer ? 1 : 1ull << 62;
    uint64_t now = h->withheld < most ? h->withheld : most;
    h->remaining += now;
    h->withheld -= now;
}

// Whether the limit is so near that the instructions of this block would be executed singly.
static bool is_near_limit(const hart *h, const hart_op *op)
{
    return h->remaining < hart_op_block(op)->count - op->index;
}

static hart_stop drive(hart *h)
{
    while (h->stop < 0) {
        hart_op *op = hart_cache_find(h);
        if (op->step == hart_step_returned)
            return HART_STOP_RETURN;
        if (h->remaining == 0 && h->withheld == 0)
            return HART_STOP_LIMIT;
        if (h->observer) {
            if (!h->observer(h->observer_context, h, &hart_op_details(op)->in))
                return HART_STOP_OBSERVER;
            op = hart_cache_find(h); // observers may change what they like
            hart_update_full(h);
        }
        if (h->remaining == 0)
            refill(h);
        const bool singly = h->observer || is_near_limit(h, op);
        if (singly && h->early && hart_retired_now(h) > h->retired)
            return HART_STOP_LIMIT;
        enter(h, op);
        if (singly)
            step_once(h, op);
        else
            dispatch(h, op, op->step);
    }
    return (hart_stop)h->stop;
}

static hart_stop run(hart *h, uint64_t limit, bool early)
{
    sigjmp_buf recovery;
    hart *const outer = hart_running();
    hart_stop why;
    h->recovery = &recovery;
    h->op = NULL;
    h->unlinked = NULL;
    h->stop = -1;
    h->early = early && !h->observer;
    h->remaining = 0;
    h->withheld = limit;
    h->run_start = h->retired + limit;
    hart_update_full(h); // callers may have changed what they like
    if (!h->catches)
        hart_catch_host_faults();
    h->catches = true;
    hart_set_running(h);
    if (sigsetjmp(recovery, 0) == 0) {
        why = drive(h);
    } else {
        why = HART_STOP_FAULT;
        restore(h);
        if (h->op)
            hart_leave(h, h->op);
    }
    hart_set_running(outer);
    hart_settle_tiles(h);
    h->retired = hart_retired_now(h);
    h->recovery = NULL;
    return why;
}

hart_stop hart_run(hart *h, uint64_t limit)
{
    return run(h, limit, false);
}

hart_stop hart_run_about(hart *h, uint64_t limit)
{
    return run(h, limit, true);
}

void hart_finish_ecall(hart *h)
{
    hart_cache_count(h, ISA_ECALL, 1);
    h->retired++;
    h->pc += 4;
}

void hart_observe(hart *h, hart_observer *observer, void *context)
{
    h->observer = observer;
    h->observer_context = context;
}

void hart_serve(hart *h, hart_service *service, void *context)
{
    h->service = service;
    h->service_context = context;
}

void hart_watch(hart *h, hart_watcher *watcher, void *context)
{
    hart_flush_code(h);
    h->watcher = watcher;
    h->watcher_context = context;
}

void hart_use_native(hart *h, bool use)
{
    hart_flush_code(h);
    if (!use)
        hart_native_destroy(h);
    else if (!h->native)
        hart_native_create(h);
}

void hart_use_avx512(hart *h, bool use)
{
    hart_flush_code(h);
    hart_native_use_avx512(h, use);
}

hart *hart_create(hart_memory *memory, uint32_t vlen, lut_unit *lut)
{
    if (vlen < 128 || vlen > HART_MAX_VLEN || (vlen & (vlen - 1)) != 0)
        return NULL;
    // Vector registers lie behind the hart, where machine code finds them from its address.
    const size_t own = (sizeof(hart) + 63) / 64 * 64, registers = (size_t)32 * vlen / 8;
    const size_t behind = 64; // which vector kernels read
    hart *h = aligned_alloc(64, own + registers + behind);
    if (!h)
        INTERNAL_ERROR("out of memory");
    memset(h, 0, own + registers + behind);
    h->v = (uint8_t *)h + own;
    h->memory = memory;
    h->memory_base = hart_memory_base(memory);
    h->memory_limit = hart_memory_limit(memory);
    h->lut = lut;
    h->vlenb = vlen / 8;
    h->vill = true;
    h->return_address = 1;
    h->reservation = 1;
    if (!hart_cache_create(h))
        INTERNAL_ERROR("out of memory");
    hart_native_create(h);
    return h;
}

void hart_destroy(hart *h)
{
    if (!h)
        return;
    hart_cache_destroy(h);
    hart_native_destroy(h);
    free(h);
}
