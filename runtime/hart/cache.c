// Decoded code: blocks of records, found by pc. Dropped as a whole when code changes (fence.i) or
// when it has grown too large.

#include "runtime/hart/native.h"

#include <stdlib.h>
#include <string.h>

enum {
    BUCKETS = 1 << 10, // of the hash table of pages
    PAGE_BYTES = 1 << 12,
    MOST_OPS = 1 << 20, // decoded in all, before everything is dropped
    CHUNK_BYTES = 1 << 18,
};

// Where the instructions are that start in one page of the guest.
typedef struct code_page {
    uint64_t number;
    struct code_page *next; // in the hash chain
    hart_op *at[PAGE_BYTES / 2];
} code_page;

typedef struct chunk {
    struct chunk *next;
    size_t used;
    _Alignas(64) uint8_t data[CHUNK_BYTES];
} chunk;

struct hart_cache {
    hart_jump jumps[HART_JUMPS];
    code_page *pages[BUCKETS];
    hart_block *blocks;
    chunk *chunks;
    size_t ops;
    uint64_t counts[ISA_OPCODE_COUNT]; // executions outside live blocks
};

static void forget_jumps(hart_cache *cache)
{
    for (size_t i = 0; i < HART_JUMPS; i++)
        cache->jumps[i] = (hart_jump){.pc = 1};
}

bool hart_cache_create(hart *h)
{
    h->cache = calloc(1, sizeof *h->cache);
    if (!h->cache)
        return false;
    h->jumps = h->cache->jumps;
    forget_jumps(h->cache);
    return true;
}

void hart_cache_destroy(hart *h)
{
    if (!h->cache)
        return;
    hart_flush_code(h);
    free(h->cache);
}

// --------------------------------------------------------------------- counts

void hart_cache_count(hart *h, unsigned opcode, uint64_t times)
{
    h->cache->counts[opcode] += times;
}

// A transfer that was taken left its block behind itself and entered another one.
static void settle_transfer(hart_op *op)
{
    if (op->taken == 0)
        return;
    *hart_op_entries(op->target) += op->taken;
    hart_op_entries(op)[1] -= op->taken;
    op->taken = 0;
}

// What the end of a block leaves is behind all that is counted there.
static void settle_transfers(hart_block *b)
{
    for (uint32_t i = 0; i < b->direct_count; i++)
        settle_transfer(&b->ops[b->direct[i]]);
    if (b->ops[b->count].step == hart_step_end)
        settle_transfer(&b->ops[b->count]);
}

static void count_block(const hart_block *b, uint64_t *counts)
{
    uint64_t executions = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        executions += b->entries[i];
        counts[b->opcodes[i]] += executions;
    }
}

static void count_blocks(hart_cache *cache, uint64_t *counts)
{
    for (hart_block *b = cache->blocks; b; b = b->next)
        settle_transfers(b);
    for (const hart_block *b = cache->blocks; b; b = b->next)
        count_block(b, counts);
}

void hart_opcode_counts(const hart *h, uint64_t counts[ISA_OPCODE_COUNT])
{
    memcpy(counts, h->cache->counts, sizeof h->cache->counts);
    count_blocks(h->cache, counts);
}

static void free_pages(hart_cache *cache)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        for (code_page *p = cache->pages[i], *next; p; p = next) {
            next = p->next;
            free(p);
        }
        cache->pages[i] = NULL;
    }
}

void hart_flush_code(hart *h)
{
    hart_cache *cache = h->cache;
    count_blocks(cache, cache->counts);
    for (chunk *c = cache->chunks, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    cache->chunks = NULL;
    cache->blocks = NULL;
    cache->ops = 0;
    free_pages(cache);
    forget_jumps(cache);
    hart_native_flush(h);
    h->operand_changes++;
    h->unlinked = NULL;
    h->paused = NULL;
}

void hart_set_return(hart *h, uint64_t address)
{
    if (h->return_address != address)
        hart_flush_code(h);
    h->return_address = address;
    h->catches = false;
}

// ------------------------------------------------------------------------ pages

static code_page **page_bucket(hart_cache *cache, uint64_t pc)
{
    return &cache->pages[pc / PAGE_BYTES * 0x9e3779b97f4a7c15ull >> 54];
}

static hart_op *known(hart_cache *cache, uint64_t pc)
{
    const code_page *p = *page_bucket(cache, pc);
    while (p && p->number != pc / PAGE_BYTES)
        p = p->next;
    return p ? p->at[pc % PAGE_BYTES / 2] : NULL;
}

static void make_known(hart_cache *cache, uint64_t pc, hart_op *op)
{
    code_page **bucket = page_bucket(cache, pc), *p = *bucket;
    while (p && p->number != pc / PAGE_BYTES)
        p = p->next;
    if (!p) {
        p = calloc(1, sizeof *p);
        if (!p)
            INTERNAL_ERROR("out of memory");
        p->number = pc / PAGE_BYTES;
        p->next = *bucket;
        *bucket = p;
    }
    p->at[pc % PAGE_BYTES / 2] = op;
}

// --------------------------------------------------------------------- decoding

bool hart_fetch(const hart *h, uint64_t pc, isa_instruction *out)
{
    const uint8_t *low = hart_memory_range(h->memory, pc, 2, HART_EXECUTE);
    if (!low)
        return false;
    uint32_t bits = low[0] | (uint32_t)low[1] << 8;
    if ((bits & 3) == 3) {
        const uint8_t *all = hart_memory_range(h->memory, pc, 4, HART_EXECUTE);
        if (!all)
            return false;
        bits |= (uint32_t)all[2] << 16 | (uint32_t)all[3] << 24;
    }
    isa_decode(bits, out);
    return true;
}

// What ends a block: where execution never goes on behind it, and what may drop the block.
static bool ends_block(unsigned opcode)
{
    switch (opcode) {
    case ISA_JAL:
    case ISA_JALR:
    case ISA_FENCE_I:
    case ISA_EBREAK:
    case ISA_ILLEGAL: return true;
    default: return false;
    }
}

static void *take(hart_cache *cache, size_t size)
{
    size = (size + 63) / 64 * 64;
    if (!cache->chunks || cache->chunks->used + size > CHUNK_BYTES) {
        chunk *c = malloc(sizeof *c);
        if (!c)
            INTERNAL_ERROR("out of memory");
        c->next = cache->chunks;
        c->used = 0;
        cache->chunks = c;
    }
    void *at = cache->chunks->data + cache->chunks->used;
    cache->chunks->used += size;
    return memset(at, 0, size);
}

// Fetches what goes into one block; false: nothing can be fetched at pc.
typedef struct fetched {
    hart_op_detail details[HART_LONGEST_BLOCK];
    uint32_t count, bytes;
    bool ended; // does not go on behind
} fetched;

// Loops are faster in one block, and they often begin behind branches.
static void cut_behind_branch(fetched *f)
{
    for (uint32_t i = f->count - 1; i > HART_LONGEST_BLOCK / 2; i--)
        if (hart_op_is_direct(f->details[i - 1].in.opcode)) {
            f->count = i;
            f->bytes = f->details[i].offset;
            return;
        }
}

static void fetch_block(const hart *h, uint64_t pc, fetched *f)
{
    f->count = f->bytes = 0;
    f->ended = false;
    while (!f->ended && f->count < HART_LONGEST_BLOCK && pc + f->bytes != h->return_address) {
        if (f->count > 0 && known(h->cache, pc + f->bytes))
            break;
        hart_op_detail *d = &f->details[f->count];
        if (!hart_fetch(h, pc + f->bytes, &d->in))
            break;
        d->offset = f->bytes;
        d->native = 0;
        f->bytes += d->in.length;
        f->ended = ends_block(d->in.opcode);
        f->count++;
    }
    if (f->count == HART_LONGEST_BLOCK && !f->ended)
        cut_behind_branch(f);
}

static void prepare(const hart *h, hart_op *op, const isa_instruction *in, uint64_t pc)
{
    op->step = h->watcher ? hart_step_watched : hart_step_of(in->opcode);
    op->execute = hart_handler_of(in->opcode);
    if (op->execute)
        op->in = in;
    else
        op->value = in->opcode == ISA_AUIPC ? (int64_t)(pc + (uint64_t)(int64_t)in->imm) : in->imm;
    op->rd = hart_op_writes_integer(in->opcode) && in->rd == 0 ? 32 : in->rd;
    op->rs1 = in->rs1;
    op->rs2 = in->rs2;
    op->rs3 = in->rs3;
}

// Makes the direct transfer `from` go to `to`, which starts with no entries of its.
static void link_transfer(hart_op *from, hart_op *to)
{
    int executed = from->index + (from->step != hart_step_end);
    from->target = to;
    from->cost = (int16_t)(executed - to->index);
    from->taken = 0;
}

static void add_stub(hart_op *from, hart_op *stub)
{
    *stub = (hart_op){.step = hart_step_stub, .target = from};
    link_transfer(from, stub);
}

static uint32_t count_direct(const fetched *f)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < f->count; i++)
        count += hart_op_is_direct(f->details[i].in.opcode);
    return count;
}

static void list_opcodes(hart_block *b)
{
    for (uint32_t i = 0; i < b->count; i++) {
        b->opcodes[i] = b->details[i].in.opcode;
        if (hart_op_is_direct(b->opcodes[i]))
            b->direct[b->direct_count++] = (uint8_t)i;
    }
}

// Room for a block: records, the end, stubs; then the details, and what is counted.
static hart_block *take_block(hart_cache *cache, const fetched *f)
{
    const uint32_t direct = count_direct(f), stubs = direct + 1, places = f->count + 2;
    const size_t head = sizeof(hart_block) + (f->count + 1 + stubs) * sizeof(hart_op);
    const size_t counted = places * (sizeof(uint64_t) + sizeof(uint16_t)) + direct;
    hart_block *b = take(cache, head + places * sizeof(hart_op_detail) + counted);
    b->details = (hart_op_detail *)((uint8_t *)b + head);
    b->entries = (uint64_t *)(b->details + places);
    b->opcodes = (uint16_t *)(b->entries + places);
    b->direct = (uint8_t *)(b->opcodes + places);
    b->count = f->count;
    memcpy(b->details, f->details, f->count * sizeof *f->details);
    list_opcodes(b);
    b->details[f->count].offset = f->bytes;
    b->next = cache->blocks;
    cache->blocks = b;
    cache->ops += f->count + 1;
    return b;
}

// The record behind the instructions.
static void end_block(hart *h, hart_block *b, bool ended, hart_op *stub)
{
    hart_op *end = &b->ops[b->count], *next;
    uint64_t pc = b->pc + b->details[b->count].offset;
    end->index = (uint16_t)b->count;
    end->step = hart_step_returned;
    if (ended) {
        end->step = hart_step_pause; // never executed
        end->value = (int64_t)pc;
    } else if (b->count > 0) {
        end->step = hart_step_end;
        next = known(h->cache, pc);
        if (next)
            link_transfer(end, next);
        else
            add_stub(end, stub);
    }
}

// A transfer back within the block is linked from the beginning, which code for loops needs.
static void link_back(hart_cache *cache, hart_block *b, hart_op *op, hart_op *stub)
{
    const hart_op_detail *d = &b->details[op->index];
    const int64_t to = (int64_t)d->offset + d->in.imm;
    hart_op *target = to >= 0 && to < d->offset ? known(cache, b->pc + (uint64_t)to) : NULL;
    if (target)
        link_transfer(op, target);
    else
        add_stub(op, stub);
}

static hart_op *insert(hart *h, uint64_t pc, const fetched *f)
{
    hart_block *b = take_block(h->cache, f);
    hart_op *stub = &b->ops[f->count + 1];
    b->pc = pc;
    for (uint32_t i = 0; i < f->count; i++) {
        hart_op *op = &b->ops[i];
        op->index = (uint16_t)i;
        prepare(h, op, &b->details[i].in, pc + b->details[i].offset);
        make_known(h->cache, pc + b->details[i].offset, op);
        if (hart_op_is_direct(b->details[i].in.opcode))
            link_back(h->cache, b, op, stub++);
    }
    end_block(h, b, f->ended, stub);
    if (f->count == 0)
        make_known(h->cache, pc, b->ops);
    return b->ops;
}

static hart_op *decode(hart *h, uint64_t pc)
{
    fetched f;
    fetch_block(h, pc, &f);
    if (f.count == 0 && pc != h->return_address) {
        bool cut = hart_memory_range(h->memory, pc, 2, HART_EXECUTE) != NULL;
        hart_raise(h, HART_FETCH_FAULT, pc + (cut ? 2 : 0));
    }
    return insert(h, pc, &f);
}

static void remember_jump(hart *h, uint64_t pc, hart_op *op)
{
    *hart_jump_slot(h, pc) =
        (hart_jump){pc, op, op->index, hart_native_entry(h, op), hart_op_entries(op)};
}

hart_op *hart_cache_find(hart *h)
{
    uint64_t pc = h->pc;
    if (pc & 1)
        hart_raise(h, HART_FETCH_MISALIGNED, pc);
    hart_op *op = known(h->cache, pc);
    if (!op) {
        if (h->cache->ops > MOST_OPS || hart_native_is_full(h))
            hart_flush_code(h);
        op = decode(h, pc);
    }
    if (h->unlinked)
        link_transfer(h->unlinked, op);
    h->unlinked = NULL;
    if (!h->observer && !h->watcher)
        hart_native_translate(h, op);
    remember_jump(h, pc, op);
    return op;
}
