#include "runtime/host/checkpoint_format.h"

#include "support/file.h"

#include <string.h>

#define FIELD(member, largest) {offsetof(hart, member), sizeof((hart *)0)->member, largest}
const checkpoint_field checkpoint_fields[] = {
    FIELD(pc, UINT64_MAX),
    FIELD(fflags, 31),
    FIELD(frm, 7),
    FIELD(vxrm, 3),
    FIELD(vxsat, 1),
    FIELD(vill, 1),
    FIELD(vma, 1),
    FIELD(vta, 1),
    FIELD(sew, 3),
    FIELD(lmul, UINT8_MAX),
    FIELD(vl, HART_MAX_VLEN),
    FIELD(vstart, HART_MAX_VLEN - 1),
    FIELD(retired, UINT64_MAX),
    FIELD(reservation, UINT64_MAX),
    FIELD(reserved_value, UINT64_MAX),
    FIELD(reservation_bits, 64),
    FIELD(vector_bytes[0], UINT64_MAX),
    FIELD(vector_bytes[1], UINT64_MAX),
};
const size_t checkpoint_field_count = sizeof checkpoint_fields / sizeof *checkpoint_fields;

uint64_t checkpoint_hash(uint64_t hash, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
        uint64_t word = 0;
        memcpy(&word, bytes + i, size - i < sizeof word ? size - i : sizeof word);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    return hash;
}

typedef struct writer {
    FILE *stream;
    uint64_t hash;
} writer;

// Whole words.
static void put(writer *w, const void *data, size_t size)
{
    if (!size)
        return;
    fwrite(data, 1, size, w->stream);
    w->hash = checkpoint_hash(w->hash, data, size);
}

static void put_word(writer *w, uint64_t word)
{
    put(w, &word, sizeof word);
}

static void put_registers(writer *w, const hart *h)
{
    for (size_t i = 0; i < checkpoint_field_count; i++) {
        uint64_t word = 0;
        memcpy(&word, (const uint8_t *)h + checkpoint_fields[i].offset, checkpoint_fields[i].bytes);
        put_word(w, word);
    }
    put(w, h->x, 32 * sizeof *h->x);
    put(w, h->f, sizeof h->f);
    put(w, h->v, (size_t)32 * h->vlenb);
    const uint64_t none[CHECKPOINT_LUT_COUNTERS] = {0};
    if (h->lut)
        put(w, h->lut->tiles, (size_t)ISA_TILE_REGISTERS * h->lut->tile_bytes);
    put(w, h->lut ? (const void *)&h->lut->counters : none, sizeof none);
}

// ------------------------------------------------------------------------ memory

// The parts of [address, address + size) outside what is kept: none, one or two.
static unsigned outside(const checkpoint_origin *o, const hart_segment *s,
                        checkpoint_segment parts[2])
{
    uint64_t end = s->address + s->size, kept_end = o->kept_address + o->kept_size;
    unsigned count = 0;
    if (o->kept_size == 0 || end <= o->kept_address || s->address >= kept_end) {
        parts[count++] = (checkpoint_segment){s->address, s->size, s->access};
        return count;
    }
    if (s->address < o->kept_address)
        parts[count++] = (checkpoint_segment){s->address, o->kept_address - s->address, s->access};
    if (end > kept_end)
        parts[count++] = (checkpoint_segment){kept_end, end - kept_end, s->access};
    return count;
}

static bool is_zero(const uint8_t *page)
{
    return page[0] == 0 && memcmp(page, page + 1, CHECKPOINT_PAGE - 1) == 0;
}

// Runs of pages that are not zero; without a writer, they are counted.
static uint64_t put_runs(writer *w, const hart_memory *m, const checkpoint_segment *s)
{
    const uint8_t *data = hart_memory_range(m, s->address, s->size, 0);
    uint64_t count = 0;
    for (uint64_t at = 0; at < s->size;) {
        uint64_t end = at;
        while (end < s->size && !is_zero(data + end))
            end += CHECKPOINT_PAGE;
        if (end > at)
            count++;
        if (end > at && w) {
            put_word(w, s->address + at);
            put_word(w, end - at);
            put(w, data + at, end - at);
        }
        at = end > at ? end : at + CHECKPOINT_PAGE;
    }
    return count;
}

// Nobody may touch pages of access 0, the host neither: while they are read, they may be.
static uint64_t visit_runs(writer *w, hart_memory *m, const checkpoint_segment *s)
{
    if (!s->access)
        hart_memory_protect(m, s->address, s->size, HART_READ);
    uint64_t count = put_runs(w, m, s);
    if (!s->access)
        hart_memory_protect(m, s->address, s->size, 0);
    return count;
}

static void put_memory(writer *w, hart_memory *m, const checkpoint_segment *parts, size_t count)
{
    uint64_t runs = 0;
    put_word(w, count);
    put(w, parts, count * sizeof *parts);
    for (size_t i = 0; i < count; i++)
        runs += visit_runs(NULL, m, &parts[i]);
    put_word(w, runs);
    for (size_t i = 0; i < count; i++)
        visit_runs(w, m, &parts[i]);
}

static void put_all(writer *w, const checkpoint_origin *origin, const checkpoint_extra *extra,
                    const hart *h, const uint64_t *opcodes, checkpoint_inputs inputs)
{
    arena *a = arena_create();
    size_t count, part_count = 0;
    const hart_segment *segments = hart_memory_segments(h->memory, &count);
    checkpoint_segment *parts = ARENA_ARRAY(a, checkpoint_segment, 2 * count + 1);
    for (size_t i = 0; i < count; i++)
        part_count += outside(origin, &segments[i], parts + part_count);
    put_word(w, CHECKPOINT_MAGIC);
    put_word(w, CHECKPOINT_VERSION);
    put(w, origin, sizeof *origin);
    put_word(w, h->vlenb);
    put_word(w, h->lut ? h->lut->m : 0);
    put_word(w, h->lut ? h->lut->n : 0);
    put(w, extra, sizeof *extra);
    put_registers(w, h);
    put(w, opcodes, ISA_OPCODE_COUNT * sizeof *opcodes);
    put_memory(w, h->memory, parts, part_count);
    put_word(w, inputs.count);
    put(w, inputs.items, inputs.count * sizeof *inputs.items);
    arena_destroy(a);
}

bool checkpoint_write(diagnostics *d, const char *path, const checkpoint_origin *origin,
                      const checkpoint_extra *extra, const hart *h, const uint64_t *opcodes,
                      checkpoint_inputs inputs)
{
    output_file *file = output_open(d, path);
    if (!file)
        return false;
    writer w = {output_stream(file), CHECKPOINT_SEED};
    put_all(&w, origin, extra, h, opcodes, inputs);
    uint64_t hash = w.hash;
    put_word(&w, hash);
    return output_commit(d, file);
}
