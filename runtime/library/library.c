#include "runtime/library/library.h"

#include "runtime/host/refuse.h"
#include "runtime/host/shared_object.h"
#include "runtime/host/weights.h"
#include "support/text.h"

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// What a library brings with it: its own runtime, which its code was linked with.
#define FUNCTIONS(F)                                                                               \
    F(context_size)                                                                                \
    F(start)                                                                                       \
    F(stop)                                                                                        \
    F(message)                                                                                     \
    F(call)                                                                                        \
    F(map_weights)                                                                                 \
    F(unmap_weights)

struct library {
    arena *arena;
    diagnostics *diagnostics;
    const char *path, *weights_path;
    void *handle;
    const lutra_program *program;
#define MEMBER(name) __typeof__(&lutra_##name) name;
    FUNCTIONS(MEMBER)
#undef MEMBER
    lutra_weights weights;
    void *states, *memory; // pages of their own
    size_t memory_size;
    lutra_context *context;
};

#define REPORT(l, ...) refuse((l)->diagnostics, NOWHERE, __VA_ARGS__)

// --------------------------------------------------------------------------- loading

static bool find_symbol(library *l, const char *name, void *out)
{
    void *address = dlsym(l->handle, name);
    memcpy(out, &address, sizeof address);
    return address || REPORT(l,
                             "'%s' is not a library that lutc --target wrote, or an old one: it "
                             "has no '%s'",
                             l->path, name);
}

static bool find_symbols(library *l)
{
    if (!find_symbol(l, "lutra_library", &l->program))
        return false;
    if (l->program->abi != LUTRA_ABI)
        return REPORT(l, "'%s' is of version %" PRIu64 " of lutra.h, not %d: compile it again",
                      l->path, l->program->abi, LUTRA_ABI);
#define FIND(name)                                                                                 \
    if (!find_symbol(l, "lutra_" #name, &l->name))                                                 \
        return false;
    FUNCTIONS(FIND)
#undef FIND
    return true;
}

static bool load(library *l)
{
    l->handle = shared_object_open(l->arena, l->diagnostics, "library", l->path);
    return l->handle && find_symbols(l);
}

static const char *weights_beside(const library *l)
{
    const char *slash = strrchr(l->path, '/'), *dot = strrchr(l->path, '.');
    size_t length = dot && (!slash || dot > slash) ? (size_t)(dot - l->path) : strlen(l->path);
    return arena_format(l->arena, "%.*s.lutw", (int)length, l->path);
}

static bool map_weights(library *l)
{
    if (!l->program->weights_size)
        return true;
    if (l->map_weights(&l->weights, l->program, l->weights_path) == LUTRA_OK)
        return true;
    if (access(l->weights_path, R_OK) < 0)
        return REPORT(l, "cannot read the weights of '%s', '%s': %s; --weights names them", l->path,
                      l->weights_path, strerror(errno));
    return REPORT(l,
                  "'%s' does not hold the weights of '%s', %" PRIu64
                  " bytes that lutc wrote beside it; --weights names them",
                  l->weights_path, l->path, l->program->weights_size);
}

// Zeros, at the beginning of a page; NULL for no bytes.
static bool get_pages(library *l, size_t size, void **out)
{
    if (!size)
        return true;
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED)
        return REPORT(l, "'%s' needs %zu bytes of memory, which there are not", l->path, size);
    *out = pages;
    return true;
}

static bool start(library *l, unsigned threads)
{
    l->memory_size = l->context_size(l->program, threads);
    if (!l->memory_size)
        return REPORT(l, "--threads %u: '%s' runs on %" PRIu64 " threads at most", threads, l->path,
                      l->program->most_threads);
    if (!get_pages(l, l->program->state_size, &l->states) ||
        !get_pages(l, l->memory_size, &l->memory))
        return false;
    lutra_status status =
        l->start(&l->context, l->program, threads, LUTRA_ALL_FEATURES, l->memory, l->memory_size);
    if (status == LUTRA_OK)
        return true;
    l->context = NULL;
    return REPORT(l, "'%s' cannot be started on %u threads (status %d)", l->path, threads,
                  (int)status);
}

library *library_open(arena *a, diagnostics *d, const char *path, const library_options *options)
{
    library *l = ARENA_NEW(a, library);
    *l = (library){.arena = a, .diagnostics = d, .path = path, .weights_path = options->weights};
    if (!l->weights_path)
        l->weights_path = weights_beside(l);
    if (load(l) && map_weights(l) && start(l, options->threads))
        return l;
    library_close(l);
    return NULL;
}

void library_close(library *l)
{
    if (!l)
        return;
    if (l->context)
        l->stop(l->context);
    if (l->weights.size)
        l->unmap_weights(&l->weights);
    if (l->memory)
        munmap(l->memory, l->memory_size);
    if (l->states)
        munmap(l->states, l->program->state_size);
    if (l->handle)
        dlclose(l->handle);
}

// --------------------------------------------------------------------------- running

const lutra_program *library_program(const library *l)
{
    return l->program;
}

bool library_call(library *l, size_t entry, const int64_t *dims, const uint64_t *inputs,
                  const uint64_t *outputs)
{
    lutra_status status =
        l->call(l->context, (unsigned)entry, l->weights.data, l->states, dims, inputs, outputs);
    return status == LUTRA_OK || REPORT(l, "'%s' of '%s': %s", l->program->entries[entry].name,
                                        l->path, l->message(l->context));
}

void library_reset(library *l)
{
    if (l->states && madvise(l->states, l->program->state_size, MADV_DONTNEED) != 0)
        memset(l->states, 0, l->program->state_size);
}

tokenizer *library_tokenizer(library *l)
{
    packed_file file;
    metadata m = {0};
    const char *name = l->weights_path;
    if (l->weights.size &&
        (!packed_file_parse(l->arena, l->diagnostics, name, l->weights.data, l->weights.size,
                            &file) ||
         !packed_file_metadata(l->arena, l->diagnostics, name, &file, l->weights.data, &m)))
        return NULL;
    if (m.values.count)
        return tokenizer_from_metadata(l->arena, l->diagnostics, name, &m);
    REPORT(l,
           "the weights of '%s' have no vocabulary: it was compiled without a model file; compile "
           "it with --weights FILE.gguf",
           l->path);
    return NULL;
}
