// What a run is given besides its program: files that its arguments name, input arrays. A
// checkpoint remembers their sizes and hashes, since it goes on with those of the command line.
#include "runtime/host/checkpoint.h"
#include "runtime/host/linux.h"
#include "runtime/host/refuse.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// ------------------------------------------------------------------------- files

static hashed_file state_of(const struct stat *s)
{
    return (hashed_file){
        .device = s->st_dev,
        .inode = s->st_ino,
        .size = (uint64_t)s->st_size,
        .changed = {s->st_mtim.tv_sec, s->st_mtim.tv_nsec, s->st_ctim.tv_sec, s->st_ctim.tv_nsec}};
}

static bool is_unchanged(const hashed_file *x, const hashed_file *y)
{
    bool same = x->device == y->device && x->inode == y->inode && x->size == y->size;
    for (unsigned i = 0; i < 4; i++)
        same = same && x->changed[i] == y->changed[i];
    return same;
}

// As much of a file as fits, until its end.
static size_t fill(int descriptor, uint8_t *buffer, size_t size)
{
    size_t filled = 0;
    ssize_t n;
    while (filled < size && (n = read(descriptor, buffer + filled, size - filled)) > 0)
        filled += (size_t)n;
    return filled;
}

static uint64_t hash_of(int descriptor)
{
    static uint8_t buffer[1 << 16];
    uint64_t hash = CHECKPOINT_SEED;
    size_t n;
    do {
        n = fill(descriptor, buffer, sizeof buffer);
        hash = checkpoint_hash(hash, buffer, n);
    } while (n == sizeof buffer);
    return hash;
}

// Read again only if it has been changed since.
static checkpoint_input file_input(host_program *p, const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode))
        return (checkpoint_input){0};
    hashed_file now = state_of(&status);
    for (size_t i = 0; i < p->checkpoint.hashed.count; i++) {
        const hashed_file *f = &p->checkpoint.hashed.items[i];
        if (is_unchanged(f, &now))
            return (checkpoint_input){f->size, f->hash};
    }
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (descriptor < 0)
        return (checkpoint_input){0};
    now.hash = hash_of(descriptor);
    close(descriptor);
    ARRAY_PUSH(p->arena, &p->checkpoint.hashed, now);
    return (checkpoint_input){now.size, now.hash};
}

// -------------------------------------------------------------------------- all

typedef ARRAY_OF(checkpoint_input) input_list;
typedef ARRAY_OF(const char *) name_list;

static void add_files(host_program *p, input_list *inputs, name_list *names)
{
    const char *const *argv = p->process->argv;
    for (size_t i = 0; argv && argv[i]; i++) {
        ARRAY_PUSH(p->arena, inputs, file_input(p, argv[i]));
        ARRAY_PUSH(p->arena, names, arena_format(p->arena, "'%s'", argv[i]));
    }
}

// Whole regions: what is not input in them is zero.
static void add_arrays(host_program *p, input_list *inputs, name_list *names)
{
    for (size_t i = 0; i < p->regions.count; i++) {
        const host_region *r = &p->regions.items[i];
        const void *data = r->given ? hart_memory_range(p->memory, r->address, r->size, 0) : NULL;
        if (!data)
            continue;
        checkpoint_input input = {r->size, checkpoint_hash(CHECKPOINT_SEED, data, r->size)};
        ARRAY_PUSH(p->arena, inputs, input);
        ARRAY_PUSH(p->arena, names, r->name);
    }
}

static void collect(host_program *p, input_list *inputs, name_list *names)
{
    if (p->is_model)
        add_arrays(p, inputs, names);
    else
        add_files(p, inputs, names);
}

checkpoint_inputs checkpoint_given(host_program *p)
{
    input_list inputs = {0};
    name_list names = {0};
    collect(p, &inputs, &names);
    return (checkpoint_inputs){inputs.items, inputs.count};
}

// Of one that file_input found nothing of.
static const char *why_absent(const char *path)
{
    return access(path, R_OK) == 0 ? "it is no regular file" : strerror(errno);
}

// Arguments of plain programs that are no files have size and hash 0.
static bool is_same(host_program *p, location where, size_t i, const char *name,
                    const checkpoint_input *now, const checkpoint_input *then)
{
    diagnostics *d = p->diagnostics;
    if (now->size == then->size && now->hash == then->hash)
        return true;
    if (!now->hash && !p->is_model)
        return refuse(d, where, "%s, which the checkpoint was written with, cannot be opened: %s",
                      name, why_absent(p->process->argv[i]));
    if (!then->hash && !p->is_model)
        return refuse(d, where, "%s was not there when the checkpoint was written", name);
    if (now->size == then->size)
        return refuse(d, where, "%s has changed since the checkpoint", name);
    return refuse(d, where, "%s has changed since the checkpoint: %" PRIu64 " bytes, not %" PRIu64,
                  name, now->size, then->size);
}

bool checkpoint_has_inputs(host_program *p, const checkpoint *c)
{
    input_list now = {0};
    name_list names = {0};
    location where = {.source = diagnostics_source(p->diagnostics, p->checkpoint.resume, NULL, 0)};
    bool ok = true;
    collect(p, &now, &names);
    if (now.count != c->inputs.count)
        return refuse(p->diagnostics, where, "the checkpoint is of a run with other arguments");
    for (size_t i = 0; i < now.count; i++)
        ok &= is_same(p, where, i, names.items[i], &now.items[i], &c->inputs.items[i]);
    return ok;
}
