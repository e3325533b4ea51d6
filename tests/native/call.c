// Calls an entry of a program for CPUs that is linked in: -DPROGRAM=NAME_program. For machines that
// have no Python: emulated ones, cross-compiled.
//
//     call WEIGHTS ENTRY THREADS FEATURES DIM... -- INPUT... -- OUTPUT...
//
// A file for each array, its bytes and nothing else. Prints the level that ran.
#include <lutra.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const lutra_program PROGRAM;

static void stop(const char *what)
{
    fprintf(stderr, "call: %s\n", what);
    exit(1);
}

static void *aligned(size_t size)
{
    void *p = aligned_alloc(LUTRA_ALIGNMENT,
                            (size + LUTRA_ALIGNMENT) / LUTRA_ALIGNMENT * LUTRA_ALIGNMENT);
    if (!p)
        stop("out of memory");
    memset(p, 0, size);
    return p;
}

static size_t bytes_of(const lutra_value *v, const int64_t *dims)
{
    const char *digits = strpbrk(v->type, "0123456789");
    size_t size = digits ? (size_t)atoi(digits) / 8 : 8;
    return (size_t)lutra_count(v, dims) * size;
}

static uint64_t move(const char *path, const lutra_value *v, const int64_t *dims, const void *out)
{
    size_t size = bytes_of(v, dims);
    void *data = out ? (void *)(uintptr_t)out : aligned(size);
    FILE *f = fopen(path, out ? "wb" : "rb");
    if (!f || (out ? fwrite(data, 1, size, f) : fread(data, 1, size, f)) != size || fclose(f))
        stop(path);
    return (uint64_t)(uintptr_t)data;
}

int main(int argc, char **argv)
{
    const lutra_program *p = &PROGRAM;
    int64_t dims[8] = {0};
    uint64_t inputs[16], outputs[16];
    if (argc < 6)
        stop("usage: call WEIGHTS ENTRY THREADS FEATURES DIM... -- INPUT... -- OUTPUT...");
    int entry = lutra_find_entry(p, argv[2]), at = 5;
    unsigned threads = (unsigned)atoi(argv[3]);
    if (entry < 0)
        stop("no such entry");
    const lutra_entry *e = &p->entries[entry];
    for (int i = 0; at < argc && strcmp(argv[at], "--"); at++)
        dims[i++] = atoll(argv[at]);
    at++;
    for (uint64_t i = 0; i < e->input_count; i++)
        inputs[i] = move(argv[at++], &e->inputs[i], dims, NULL);
    at++;
    for (uint64_t i = 0; i < e->output_count; i++)
        outputs[i] = (uint64_t)(uintptr_t)aligned(bytes_of(&e->outputs[i], dims));
    lutra_weights weights = {0};
    if (p->weights_size && lutra_map_weights(&weights, p, argv[1]))
        stop("these are not its weights");
    size_t size = lutra_context_size(p, threads);
    lutra_context *c;
    if (lutra_start(&c, p, threads, strtoull(argv[4], NULL, 0), aligned(size), size))
        stop("cannot start");
    if (lutra_call(c, (unsigned)entry, weights.data, aligned(p->state_size), dims, inputs, outputs))
        stop(lutra_message(c));
    for (uint64_t i = 0; i < e->output_count; i++)
        move(argv[at++], &e->outputs[i], dims, (const void *)(uintptr_t)outputs[i]);
    printf("%s\n", lutra_level_of(c)->name);
    lutra_stop(c);
    lutra_unmap_weights(&weights);
    return 0;
}
