// Times an entry of a library that lutc --target=native wrote: what `./dev bench native` runs.
//
//     time_kernel LIBRARY PROGRAM WEIGHTS [--entry NAME] [--rows M] [--threads N] [--cold]
//                 [--features MASK] [--integers V] [--seconds S]
//
// Every dimension of the program is M, or the most it may be; elements of i32 inputs are V. Cold:
// the weights of each call lie in another copy, so many of them that none is still in a cache. One
// line of JSON: microseconds per call.
#include "runtime/native/lutra.h"

#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { MOST_SAMPLES = 20000, COPIES_BYTES = 400 << 20, MOST_COPIES = 400 };

typedef struct settings {
    const char *library, *program, *weights, *entry;
    int64_t rows;
    unsigned threads;
    bool cold;
    uint64_t features;
    int32_t integers;
    double seconds;
} settings;

typedef struct session {
    settings s;
    void *handle;
    const lutra_program *program;
    lutra_context *context;
    unsigned entry;
    uint8_t *copies;
    size_t copy_bytes, copy_count;
    void *states;
    int64_t dims[16];
    uint64_t inputs[16], outputs[16];
} session;

// Of one thread its processor time: what else runs on the machine does not count.
static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *find(session *b, const char *name)
{
    void *found = dlsym(b->handle, name);
    if (!found) {
        fprintf(stderr, "time_kernel: error: %s has no '%s'\n", b->s.library, name);
        exit(1);
    }
    return found;
}
#define CALL(b, name) (*(__typeof__(&name))find((b), #name))

static void *memory(size_t size)
{
    void *p = mmap(NULL, size + 64, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        fprintf(stderr, "time_kernel: error: %s\n", strerror(errno));
        exit(1);
    }
    madvise(p, size, MADV_HUGEPAGE);
    return p;
}

// ------------------------------------------------------------------------ set up

static void load(session *b)
{
    b->handle = dlopen(b->s.library, RTLD_NOW);
    if (!b->handle) {
        fprintf(stderr, "time_kernel: error: %s\n", dlerror());
        exit(1);
    }
    char name[200];
    snprintf(name, sizeof name, "%s_program", b->s.program);
    b->program = find(b, name);
    int entry = CALL(b, lutra_find_entry)(b->program, b->s.entry);
    if (entry < 0) {
        fprintf(stderr, "time_kernel: error: there is no entry '%s'\n", b->s.entry);
        exit(1);
    }
    b->entry = (unsigned)entry;
    size_t size = CALL(b, lutra_context_size)(b->program, b->s.threads);
    lutra_status status = CALL(b, lutra_start)(&b->context, b->program, b->s.threads, b->s.features,
                                               memory(size), size);
    if (status) {
        fprintf(stderr, "time_kernel: error: lutra_start gives %d\n", status);
        exit(1);
    }
}

static void copy_weights(session *b)
{
    lutra_weights w = {0};
    lutra_status status = CALL(b, lutra_map_weights)(&w, b->program, b->s.weights);
    if (status) {
        fprintf(stderr, "time_kernel: error: '%s' are not its weights\n", b->s.weights);
        exit(1);
    }
    b->copy_bytes = (w.size + 4095) / 4096 * 4096;
    b->copy_count = b->s.cold ? COPIES_BYTES / b->copy_bytes + 2 : 1;
    if (b->copy_count > MOST_COPIES)
        b->copy_count = MOST_COPIES;
    b->copies = memory(b->copy_bytes * b->copy_count);
    for (size_t i = 0; i < b->copy_count; i++)
        memcpy(b->copies + i * b->copy_bytes, w.data, w.size);
}

static size_t element_size(const char *type)
{
    static const struct {
        const char *name;
        size_t size;
    } sizes[] = {{"f64", 8}, {"f32", 4}, {"f16", 2}, {"bf16", 2},
                 {"i32", 4}, {"i16", 2}, {"i8", 1}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (!strcmp(sizes[i].name, type))
            return sizes[i].size;
    return 8;
}

static void fill(const session *b, void *data, const char *type, int64_t count)
{
    uint32_t x = 1;
    for (int64_t i = 0; i < count; i++) {
        x = x * 1664525 + 1013904223;
        if (!strcmp(type, "f32"))
            ((float *)data)[i] = (float)(int32_t)x * 0x1p-31f;
        else if (!strcmp(type, "f16")) // within 1 and 2
            ((uint16_t *)data)[i] = (uint16_t)(0x3c00 | (x >> 22) | (x & 0x8000));
        else if (!strcmp(type, "i32"))
            ((int32_t *)data)[i] = b->s.integers;
        else if (!strcmp(type, "i8"))
            ((int8_t *)data)[i] = (int8_t)(x >> 24);
    }
}

static uint64_t array_for(session *b, const lutra_value *v)
{
    int64_t count = CALL(b, lutra_count)(v, b->dims);
    void *data = memory((size_t)count * element_size(v->type) + 4096);
    fill(b, data, v->type, count);
    return (uint64_t)(uintptr_t)data;
}

static void prepare(session *b)
{
    const lutra_entry *e = &b->program->entries[b->entry];
    for (uint64_t i = 0; i < b->program->dim_count && i < 16; i++)
        b->dims[i] =
            b->s.rows < b->program->dims[i].maximum ? b->s.rows : b->program->dims[i].maximum;
    for (uint64_t i = 0; i < e->input_count && i < 16; i++)
        b->inputs[i] = e->inputs[i].rank ? array_for(b, &e->inputs[i]) : 0;
    for (uint64_t i = 0; i < e->output_count && i < 16; i++)
        b->outputs[i] = array_for(b, &e->outputs[i]);
    b->states = memory((size_t)b->program->state_size + 64);
}

// ------------------------------------------------------------------------- timing

static int compare(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

// Microseconds of a call, the mean of `calls`: reading the clock takes a good part of one.
static double time_calls(session *b, unsigned calls)
{
    static size_t copy;
    __typeof__(&lutra_call) call = find(b, "lutra_call");
    clockid_t clock = b->s.threads > 1 ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID;
    double start = now(clock);
    for (unsigned i = 0; i < calls; i++) {
        const void *weights = b->copies + copy++ % b->copy_count * b->copy_bytes;
        if (call(b->context, b->entry, weights, b->states, b->dims, b->inputs, b->outputs)) {
            fprintf(stderr, "time_kernel: error: %s\n", CALL(b, lutra_message)(b->context));
            exit(1);
        }
    }
    return 1e6 * (now(clock) - start) / calls;
}

static void measure(session *b)
{
    enum { WARM = 3, SHORT = 10, CALLS = 20 };
    static double samples[MOST_SAMPLES];
    size_t count = 0;
    double took = 0, end = now(CLOCK_MONOTONIC) + b->s.seconds;
    for (int warm = 0; warm < WARM; warm++)
        took = time_calls(b, 1);
    while (count < MOST_SAMPLES && (now(CLOCK_MONOTONIC) < end || count < 5))
        samples[count++] = time_calls(b, took < SHORT ? CALLS : 1);
    qsort(samples, count, sizeof *samples, compare);
    printf("{\"level\": \"%s\", \"calls\": %zu, \"median_us\": %.3f, \"least_us\": %.3f, "
           "\"quarter_us\": %.3f, \"three_quarters_us\": %.3f, \"weight_bytes\": %zu}\n",
           CALL(b, lutra_level_of)(b->context)->name, count, samples[count / 2], samples[0],
           samples[count / 4], samples[count * 3 / 4], (size_t)b->program->weights_size);
}

static const char *value_of(int argc, char **argv, const char *name, const char *otherwise)
{
    for (int i = 4; i + 1 < argc; i++)
        if (!strcmp(argv[i], name))
            return argv[i + 1];
    return otherwise;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: time_kernel LIBRARY PROGRAM WEIGHTS [--entry NAME] [--rows M] "
                        "[--threads N] [--cold] [--features MASK] [--integers V] [--seconds S]\n");
        return 2;
    }
    session b = {.s = {argv[1], argv[2], argv[3]}};
    b.s.entry = value_of(argc, argv, "--entry", "main");
    b.s.rows = atoll(value_of(argc, argv, "--rows", "1"));
    b.s.threads = (unsigned)atoi(value_of(argc, argv, "--threads", "1"));
    b.s.features = strtoull(value_of(argc, argv, "--features", "-1"), NULL, 0);
    b.s.integers = atoi(value_of(argc, argv, "--integers", "0"));
    b.s.seconds = atof(value_of(argc, argv, "--seconds", "0.5"));
    for (int i = 4; i < argc; i++)
        b.s.cold = b.s.cold || !strcmp(argv[i], "--cold");
    load(&b);
    prepare(&b);
    copy_weights(&b);
    measure(&b);
    CALL(&b, lutra_stop)(b.context);
    return 0;
}
