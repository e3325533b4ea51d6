// Decoded code: blocks of records, found by pc. Dropped as a whole when code changes (fence.i) or
// when it has grown too large.

#include "runtime/hart/internal.h"

#include <stdlib.h>
#include <string.h>

enum {
    LONGEST_BLOCK = 64,     // instructions
    BUCKETS = 1 << 14,      // of the hash table
    JUMP_ENTRIES = 1 << 12, // of the direct-mapped table in front of it
    MOST_OPS = 1 << 20,     // decoded in all, before everything is dropped
    CHUNK_BYTES = 1 << 18,
};

typedef struct chunk {
    struct chunk *next;
    size_t used;
    _Alignas(16) uint8_t data[CHUNK_BYTES];
} chunk;

struct hart_cache {
    hart_block *jump[JUMP_ENTRIES];
    hart_block *buckets[BUCKETS];
    chunk *chunks;
    size_t ops;
    uint64_t counts[ISA_OPCODE_COUNT]; // executions outside live blocks
    hart_block *single;                // room for one instruction
};

static size_t block_size(size_t ops)
{
    return sizeof(hart_block) + ops * sizeof(hart_op);
}

bool hart_cache_create(hart *h)
{
    h->cache = calloc(1, sizeof *h->cache);
    if (!h->cache)
        return false;
    h->cache->single = calloc(1, block_size(2));
    return h->cache->single != NULL;
}

void hart_cache_destroy(hart *h)
{
    if (!h->cache)
        return;
    hart_flush_code(h);
    free(h->cache->single);
    free(h->cache);
}

void hart_cache_count(hart *h, unsigned opcode, uint64_t times)
{
    h->cache->counts[opcode] += times;
}

static void count_block(uint64_t *counts, const hart_block *b)
{
    for (uint32_t i = 0; i < b->count; i++)
        counts[b->ops[i].in.opcode] += b->executions;
}

static void count_blocks(const hart_cache *cache, uint64_t *counts)
{
    for (size_t i = 0; i < BUCKETS; i++)
        for (const hart_block *b = cache->buckets[i]; b; b = b->collision)
            count_block(counts, b);
}

void hart_opcode_counts(const hart *h, uint64_t counts[ISA_OPCODE_COUNT])
{
    memcpy(counts, h->cache->counts, sizeof h->cache->counts);
    count_blocks(h->cache, counts);
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
    cache->ops = 0;
    memset(cache->jump, 0, sizeof cache->jump);
    memset(cache->buckets, 0, sizeof cache->buckets);
}

void hart_set_return(hart *h, uint64_t address)
{
    if (h->return_address != address)
        hart_flush_code(h);
    h->return_address = address;
}

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

// What ends a block: control transfers, and what reads counts or changes code.
static bool ends_block(unsigned opcode)
{
    switch (isa_rows[opcode].class) {
    case ISA_CLASS_BRANCH:
    case ISA_CLASS_JUMP: return true;
    case ISA_CLASS_SYSTEM: return opcode != ISA_FENCE;
    default: return opcode == ISA_ILLEGAL;
    }
}

static bool is_pc_relative(unsigned opcode)
{
    return isa_rows[opcode].class == ISA_CLASS_BRANCH || opcode == ISA_JAL || opcode == ISA_AUIPC;
}

static void prepare(hart_op *op, uint64_t block_pc)
{
    const hart_labels *labels = hart_run_labels();
    const isa_instruction *in = &op->in;
    uint64_t pc = block_pc + op->offset;
    op->label = labels->opcode[in->opcode];
    op->execute = hart_handler_of(in->opcode);
    if (!op->label)
        op->label = labels->call;
    op->value = is_pc_relative(in->opcode) ? (int64_t)(pc + (uint64_t)(int64_t)in->imm) : in->imm;
    op->rd = hart_op_writes_integer(in->opcode) && in->rd == 0 ? 32 : in->rd;
    op->rs1 = in->rs1;
    op->rs2 = in->rs2;
}

static void *take(hart_cache *cache, size_t size)
{
    size = (size + 15) / 16 * 16;
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

static size_t bucket_of(uint64_t pc)
{
    return (pc >> 1) * 0x9e3779b97f4a7c15ull >> 50;
}

// `ops`: the instructions and the end marker.
static hart_block *insert(hart *h, const hart_op *ops, uint32_t count, uint64_t pc, uint32_t bytes)
{
    hart_cache *cache = h->cache;
    hart_block *b = take(cache, block_size(count + 1));
    b->pc = pc;
    b->count = count;
    b->bytes = bytes;
    memcpy(b->ops, ops, (count + 1) * sizeof *ops);
    hart_block **bucket = &cache->buckets[bucket_of(pc)];
    b->collision = *bucket;
    *bucket = b;
    cache->ops += count + 1;
    return b;
}

static hart_block *decode(hart *h, uint64_t pc)
{
    hart_op ops[LONGEST_BLOCK + 1];
    uint32_t count = 0, bytes = 0;
    memset(ops, 0, sizeof ops);
    bool ended = false;
    while (!ended && count < LONGEST_BLOCK && pc + bytes != h->return_address) {
        hart_op *op = &ops[count];
        if (!hart_fetch(h, pc + bytes, &op->in))
            break;
        op->offset = bytes;
        prepare(op, pc);
        bytes += op->in.length;
        ended = ends_block(op->in.opcode);
        count++;
    }
    if (count == 0 && pc != h->return_address) {
        bool cut = hart_memory_range(h->memory, pc, 2, HART_EXECUTE) != NULL;
        hart_raise(h, HART_FETCH_FAULT, pc + (cut ? 2 : 0));
    }
    ops[count].label = count ? hart_run_labels()->end : hart_run_labels()->returned;
    ops[count].offset = bytes;
    return insert(h, ops, count, pc, bytes);
}

hart_block *hart_cache_jump(hart *h, uint64_t pc)
{
    hart_block *b = h->cache->jump[(pc >> 1) % JUMP_ENTRIES];
    return b && b->pc == pc ? b : NULL;
}

hart_block *hart_cache_find(hart *h, uint64_t pc, bool *dropped)
{
    hart_cache *cache = h->cache;
    *dropped = false;
    hart_block *b = cache->buckets[bucket_of(pc)];
    while (b && b->pc != pc)
        b = b->collision;
    if (!b) {
        h->pc = pc;
        h->block = NULL;
        if (pc & 1)
            hart_raise(h, HART_FETCH_MISALIGNED, pc);
        *dropped = cache->ops > MOST_OPS;
        if (*dropped)
            hart_flush_code(h);
        b = decode(h, pc);
    }
    cache->jump[(pc >> 1) % JUMP_ENTRIES] = b;
    return b;
}

hart_block *hart_cache_single(hart *h, const hart_block *block)
{
    hart_block *b = h->cache->single;
    *b = (hart_block){.pc = block->pc, .count = 1, .bytes = block->ops[0].in.length};
    b->ops[0] = block->ops[0];
    b->ops[1] = (hart_op){.label = hart_run_labels()->end, .offset = b->bytes};
    return b;
}

bool hart_cache_is_single(const hart *h, const hart_block *block)
{
    return block == h->cache->single;
}
