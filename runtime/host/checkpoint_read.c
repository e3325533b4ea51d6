#include "runtime/host/checkpoint_format.h"

#include "runtime/host/refuse.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

typedef struct input {
    diagnostics *diagnostics;
    location where;
    const uint8_t *data;
    size_t size, at; // both multiples of 8
} input;

#define REFUSE(i, ...) refuse((i)->diagnostics, (i)->where, __VA_ARGS__)

// The next `size` bytes, a multiple of 8; NULL: there are not so many, which is reported.
static const void *take(input *i, uint64_t size)
{
    if (size > i->size - i->at) {
        REFUSE(i, "the checkpoint ends too early");
        return NULL;
    }
    const void *start = i->data + i->at;
    i->at += size;
    return start;
}

static bool take_word(input *i, uint64_t *out)
{
    const uint64_t *word = take(i, sizeof *word);
    if (word)
        *out = *word;
    return word != NULL;
}

static bool check_frame(input *i, size_t size)
{
    const uint64_t *words = (const uint64_t *)i->data;
    if (size < 4 * sizeof *words || size % sizeof *words != 0 || words[0] != CHECKPOINT_MAGIC)
        return REFUSE(i, "this is no checkpoint");
    if (words[1] != CHECKPOINT_VERSION)
        return REFUSE(i, "a checkpoint of version %" PRIu64 "; this lutrun reads version %d",
                      words[1], CHECKPOINT_VERSION);
    i->size = size - sizeof *words;
    if (checkpoint_hash(CHECKPOINT_SEED, i->data, i->size) != words[i->size / sizeof *words])
        return REFUSE(i, "the checkpoint is damaged: its checksum is wrong");
    i->at = 2 * sizeof *words;
    return true;
}

// --------------------------------------------------------------------- registers

static uint64_t field(const checkpoint *c, size_t offset)
{
    size_t i = 0;
    while (checkpoint_fields[i].offset != offset)
        i++;
    return c->fields[i];
}
#define FIELD_OF(c, member) field((c), offsetof(hart, member))

static bool check_fields(input *i, const checkpoint *c)
{
    for (size_t j = 0; j < checkpoint_field_count; j++)
        if (c->fields[j] > checkpoint_fields[j].largest)
            return REFUSE(i, "the checkpoint has a register that cannot be %" PRIu64, c->fields[j]);
    uint64_t most = FIELD_OF(c, vill) ? 0
                                      : hart_vlmax(c->vlenb, (unsigned)FIELD_OF(c, sew),
                                                   (int8_t)FIELD_OF(c, lmul));
    if (FIELD_OF(c, pc) % 2 != 0 || FIELD_OF(c, vl) > most || FIELD_OF(c, vstart) >= 8 * c->vlenb ||
        (!FIELD_OF(c, vill) && most == 0) || c->x[0] != 0)
        return REFUSE(i, "the checkpoint has registers that no program can have");
    return true;
}

static bool take_machine(input *i, checkpoint *c)
{
    const checkpoint_origin *origin = take(i, sizeof *origin);
    if (!origin || !take_word(i, &c->vlenb) || !take_word(i, &c->tile_m) ||
        !take_word(i, &c->tile_n))
        return false;
    c->origin = *origin;
    uint64_t vlen = c->vlenb <= HART_MAX_VLEN ? 8 * c->vlenb : 0;
    bool lut = c->tile_m || c->tile_n;
    if (vlen < 128 || vlen > HART_MAX_VLEN || (vlen & (vlen - 1)) != 0 ||
        (lut && (c->tile_m > 4 || c->tile_n > 256 ||
                 !lut_shape_valid((uint32_t)c->tile_m, (uint32_t)c->tile_n))))
        return REFUSE(i, "the checkpoint is of a machine that does not exist");
    return true;
}

static bool take_registers(input *i, checkpoint *c)
{
    uint64_t tiles = 4 * c->tile_m * c->tile_n * ISA_TILE_REGISTERS;
    return (c->extra = take(i, sizeof *c->extra)) &&
           (c->fields = take(i, checkpoint_field_count * sizeof *c->fields)) &&
           (c->x = take(i, 32 * sizeof *c->x)) && (c->f = take(i, 32 * sizeof *c->f)) &&
           (c->v = take(i, 32 * c->vlenb)) && (c->tiles = take(i, tiles)) &&
           (c->lut_counters = take(i, CHECKPOINT_LUT_COUNTERS * sizeof *c->lut_counters)) &&
           (c->opcodes = take(i, ISA_OPCODE_COUNT * sizeof *c->opcodes)) && check_fields(i, c);
}

// ------------------------------------------------------------------------ memory

static bool is_range(uint64_t address, uint64_t size)
{
    return address % CHECKPOINT_PAGE == 0 && size % CHECKPOINT_PAGE == 0 && size > 0 &&
           size <= UINT64_MAX - address;
}

static bool overlaps_kept(const checkpoint_origin *o, const checkpoint_segment *s)
{
    return o->kept_size && s->address < o->kept_address + o->kept_size &&
           o->kept_address < s->address + s->size;
}

static bool check_segments(input *i, const checkpoint *c)
{
    const checkpoint_origin *o = &c->origin;
    if (o->kept_size && !is_range(o->kept_address, o->kept_size))
        return REFUSE(i, "the checkpoint has weights at an impossible place");
    for (uint64_t j = 0; j < c->segment_count; j++) {
        const checkpoint_segment *s = &c->segments[j];
        bool sorted = j == 0 || s[-1].address + s[-1].size <= s->address;
        if (!is_range(s->address, s->size) || !sorted || s->access > 7 || overlaps_kept(o, s))
            return REFUSE(i, "piece %" PRIu64 " of the checkpoint's memory is not valid", j);
    }
    return true;
}

// Whether [address, address + size) lies in one of the segments.
static bool is_mapped(const checkpoint *c, uint64_t address, uint64_t size)
{
    uint64_t low = 0, high = c->segment_count;
    while (low < high) {
        uint64_t middle = (low + high) / 2;
        if (c->segments[middle].address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    const checkpoint_segment *s = low ? &c->segments[low - 1] : NULL;
    return s && address - s->address < s->size && size <= s->size - (address - s->address);
}

static bool take_runs(input *i, checkpoint *c)
{
    c->runs = (const uint64_t *)(i->data + i->at);
    for (uint64_t j = 0; j < c->run_count; j++) {
        uint64_t address, size;
        if (!take_word(i, &address) || !take_word(i, &size))
            return false;
        if (!is_range(address, size) || !is_mapped(c, address, size))
            return REFUSE(i, "the checkpoint has data for 0x%" PRIx64 ", where it has no memory",
                          address);
        if (!take(i, size))
            return false;
    }
    return true;
}

static bool take_memory(input *i, checkpoint *c)
{
    if (!take_word(i, &c->segment_count))
        return false;
    if (c->segment_count > CHECKPOINT_MOST_SEGMENTS)
        return REFUSE(i, "the checkpoint has %" PRIu64 " pieces of memory; there can be %d",
                      c->segment_count, CHECKPOINT_MOST_SEGMENTS);
    return (c->segments = take(i, c->segment_count * sizeof *c->segments)) &&
           check_segments(i, c) && take_word(i, &c->run_count) && take_runs(i, c);
}

static bool take_inputs(input *i, checkpoint *c)
{
    checkpoint_inputs *n = &c->inputs;
    if (!take_word(i, &n->count))
        return false;
    if (n->count > i->size / sizeof *n->items)
        return REFUSE(i, "the checkpoint ends too early");
    return (n->items = take(i, n->count * sizeof *n->items)) &&
           (i->at == i->size || REFUSE(i, "the checkpoint has something behind its end"));
}

bool checkpoint_parse(diagnostics *d, const char *name, const uint8_t *data, size_t size,
                      checkpoint *out)
{
    input i = {.diagnostics = d, .data = data};
    i.where.source = diagnostics_source(d, name, NULL, 0);
    *out = (checkpoint){0};
    return check_frame(&i, size) && take_machine(&i, out) && take_registers(&i, out) &&
           take_memory(&i, out) && take_inputs(&i, out);
}

// ---------------------------------------------------------------------- applying

static bool has_shape(const checkpoint *c, const hart *h)
{
    return c->vlenb == h->vlenb && c->tile_m == (h->lut ? h->lut->m : 0) &&
           c->tile_n == (h->lut ? h->lut->n : 0);
}

// Everything but what is kept.
static bool unmap_all(const checkpoint *c, hart_memory *m)
{
    uint64_t kept = c->origin.kept_address, size = c->origin.kept_size;
    uint64_t limit = hart_memory_limit(m);
    if (!size)
        return hart_memory_unmap(m, 0, limit);
    return kept + size <= limit && hart_memory_unmap(m, 0, kept) &&
           hart_memory_unmap(m, kept + size, limit - (kept + size));
}

static bool map_all(const checkpoint *c, hart_memory *m)
{
    const uint64_t *run = c->runs;
    for (uint64_t i = 0; i < c->segment_count; i++) {
        const checkpoint_segment *s = &c->segments[i];
        if (!hart_memory_map(m, s->address, s->size, (unsigned)s->access))
            return false;
    }
    for (uint64_t i = 0; i < c->run_count; i++) {
        if (!hart_memory_write(m, run[0], run + 2, run[1]))
            return false;
        run += 2 + run[1] / sizeof *run;
    }
    return true;
}

bool checkpoint_apply(diagnostics *d, const char *name, const checkpoint *c, hart *h)
{
    location where = {.source = diagnostics_source(d, name, NULL, 0)};
    if (!has_shape(c, h))
        return refuse(d, where,
                      "the checkpoint is of another machine: VLEN %" PRIu64 ", tiles m%" PRIu64
                      " n%" PRIu64,
                      8 * c->vlenb, c->tile_m, c->tile_n);
    if (!unmap_all(c, h->memory) || !map_all(c, h->memory))
        return refuse(d, where, "cannot map the checkpoint's memory: %s", strerror(errno));
    for (size_t i = 0; i < checkpoint_field_count; i++)
        memcpy((uint8_t *)h + checkpoint_fields[i].offset, &c->fields[i],
               checkpoint_fields[i].bytes);
    memcpy(h->x, c->x, 32 * sizeof *h->x);
    memcpy(h->f, c->f, sizeof h->f);
    memcpy(h->v, c->v, (size_t)32 * h->vlenb);
    if (h->lut) {
        memcpy(h->lut->tiles, c->tiles, (size_t)ISA_TILE_REGISTERS * h->lut->tile_bytes);
        memcpy(&h->lut->counters, c->lut_counters, sizeof h->lut->counters);
    }
    hart_flush_code(h);
    return true;
}
