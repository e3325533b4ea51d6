// When a run writes checkpoints, and how it goes on from one.
#include "runtime/host/internal.h"

#include "runtime/host/checkpoint.h"
#include "runtime/host/linux.h"
#include "runtime/host/refuse.h"

#include <string.h>

// ----------------------------------------------------------------------- identity

// Of the file without the weights, the weights' directory, which has their hashes, and the
// instructions that this lutrun knows.
static uint64_t identity_of(const host_program *p)
{
    enum { DIRECTORY_OFFSET = 24, DIRECTORY_SIZE = 32 };
    uint64_t hash = CHECKPOINT_SEED, size = p->file.size, offset, length;
    for (unsigned i = 1; i < ISA_OPCODE_COUNT; i++)
        hash = checkpoint_hash(hash, isa_rows[i].mnemonic, strlen(isa_rows[i].mnemonic));
    if (!p->weight_data)
        return checkpoint_hash(hash, p->file.data, size);
    memcpy(&offset, p->weight_data + DIRECTORY_OFFSET, sizeof offset);
    memcpy(&length, p->weight_data + DIRECTORY_SIZE, sizeof length);
    hash = checkpoint_hash(hash, p->weight_data + offset, length);
    if (p->weight_data < p->file.data || p->weight_data >= p->file.data + size)
        return checkpoint_hash(hash, p->file.data, size);
    size_t before = (size_t)(p->weight_data - p->file.data),
           behind = before + p->description.weights.size;
    hash = checkpoint_hash(hash, p->file.data, before);
    return behind < size ? checkpoint_hash(hash, p->file.data + behind, size - behind) : hash;
}

// Regions whose sizes change while a program runs count by their places.
static uint64_t layout_of(const host_program *p, const char *what)
{
    uint64_t hash = checkpoint_hash(CHECKPOINT_SEED, what, strlen(what));
    const char *const *argv = p->is_model ? NULL : p->process->argv;
    for (size_t i = 0; argv && argv[i]; i++)
        hash = checkpoint_hash(hash, argv[i], strlen(argv[i]) + 1);
    for (size_t i = 0; i < p->regions.count; i++) {
        const host_region *r = &p->regions.items[i];
        hash = checkpoint_hash(hash, r->name, strlen(r->name));
        hash = checkpoint_hash(hash, &r->address, sizeof r->address);
        if (p->is_model)
            hash = checkpoint_hash(hash, &r->size, sizeof r->size);
    }
    return hash;
}

static checkpoint_origin origin_of(host_program *p, const char *what)
{
    uint64_t page = hart_memory_page(), size = p->weight_data ? p->description.weights.size : 0;
    if (p->weight_file.size > size && p->weight_data)
        size = p->weight_file.size;
    if (!p->checkpoint.identity)
        p->checkpoint.identity = identity_of(p);
    return (checkpoint_origin){p->checkpoint.identity, layout_of(p, what),
                               size ? p->description.weights.address : 0,
                               (size + page - 1) & -page};
}

// ------------------------------------------------------------------------- writing

void host_checkpoint(host_program *p, const char *path, uint64_t every)
{
    p->checkpoint.path = path;
    p->checkpoint.every = every;
}

uint64_t checkpoint_distance(const host_program *p)
{
    const host_checkpoints *c = &p->checkpoint;
    return c->path ? c->every - p->hart->retired % c->every : UINT64_MAX;
}

void checkpoint_if_due(host_program *p, const char *name)
{
    const host_checkpoints *c = &p->checkpoint;
    if (!c->path || p->hart->retired % c->every != 0)
        return;
    host_statistics statistics;
    checkpoint_extra extra = {.calls = p->runs};
    checkpoint_origin origin = origin_of(p, name);
    fflush(stdout); // what the program has written before is not written again
    host_statistics_get(p, &statistics);
    if (!linux_save(p, extra.words) ||
        !checkpoint_write(p->diagnostics, c->path, &origin, &extra, p->hart, statistics.by_opcode,
                          checkpoint_given(p)))
        p->checkpoint.path = NULL; // reported once
    p->checkpoint.written = true;
}

void host_checkpoint_finish(host_program *p)
{
    const host_checkpoints *c = &p->checkpoint;
    if (c->path && !c->written)
        diagnostic_warning(p->diagnostics, NOWHERE,
                           "no checkpoint was written to '%s': the run ended after %llu "
                           "instructions, before a multiple of --every %llu",
                           c->path, (unsigned long long)p->hart->retired,
                           (unsigned long long)c->every);
}

// ------------------------------------------------------------------------ resuming

void host_resume(host_program *p, const char *path)
{
    p->checkpoint.resume = path;
}

static bool apply(host_program *p, const char *what, const checkpoint *c)
{
    const char *path = p->checkpoint.resume;
    location where = {.source = diagnostics_source(p->diagnostics, path, NULL, 0)};
    checkpoint_origin origin = origin_of(p, what);
    if (c->origin.identity != origin.identity)
        return refuse(p->diagnostics, where,
                      "the checkpoint is of another program, or of another version of lutrun");
    if (memcmp(&c->origin, &origin, sizeof origin) != 0 || c->extra->calls > INT32_MAX)
        return refuse(p->diagnostics, where,
                      "the checkpoint is of a run with other arguments; give those of that run");
    if (!checkpoint_has_inputs(p, c) || !checkpoint_apply(p->diagnostics, path, c, p->hart) ||
        !linux_restore(p, c->extra->words))
        return false;
    uint64_t counted[ISA_OPCODE_COUNT];
    hart_opcode_counts(p->hart, counted);
    for (unsigned i = 0; i < ISA_OPCODE_COUNT; i++)
        p->checkpoint.opcodes[i] = c->opcodes[i] - counted[i];
    p->runs = c->extra->calls;
    p->checkpoint.resumed = true;
    return true;
}

bool checkpoint_resume(host_program *p, const char *what)
{
    mapped_file file;
    checkpoint c;
    if (!p->checkpoint.resume)
        return true;
    if (!file_map(p->diagnostics, p->checkpoint.resume, &file))
        return false;
    bool ok = checkpoint_parse(p->diagnostics, p->checkpoint.resume, file.data, file.size, &c) &&
              apply(p, what, &c);
    file_unmap(&file);
    p->checkpoint.resume = NULL;
    return ok;
}

bool checkpoint_take_resumed(host_program *p)
{
    bool resumed = p->checkpoint.resumed;
    p->checkpoint.resumed = false;
    return resumed;
}
