// Times an entry of a library that lutc --target=native wrote: what `./dev bench native` runs.
//
//     time_kernel LIBRARY PROGRAM WEIGHTS [--entry NAME] [--rows M] [--threads N] [--cold]
//                 [--features MASK] [--integers V] [--seconds S] [--beside PEAK] [--twice ENTRY]
//
// Every dimension of the program is M, or the most it may be; elements of i32 inputs are V. Cold:
// the weights of each call lie in another copy, so many of them that none is still in a cache. One
// line of JSON: microseconds per call; with --beside, whose loop (peaks.h) runs between the calls,
// how many operations one core would do at that peak in the time of a call: the median of both
// taken together; with --twice, what twice the other entry takes more than this one, likewise.
#include "runtime/native/lutra.h"
#include "tests/bench/native/peaks.h"

#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { MOST_SAMPLES = 20000, COPIES_BYTES = 400 << 20, MOST_COPIES = 400 };

typedef struct settings {
    const char *library, *program, *weights, *entry, *twice;
    const peak *beside;
    int64_t rows;
    unsigned threads;
    bool cold;
    uint64_t features;
    int32_t integers;
    double seconds;
} settings;

typedef struct entry_call {
    unsigned entry;
    uint64_t inputs[16], outputs[16];
} entry_call;

typedef struct session {
    settings s;
    void *handle;
    const lutra_program *program;
    lutra_context *context;
    entry_call call, twice; // of --twice
    uint8_t *copies;
    size_t copy_bytes, copy_count;
    void *states;
    int64_t dims[16];
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

// Huge pages from its beginning: how many small ones there are would be chance.
static void *memory(size_t size)
{
    const size_t page = 2 << 20, all = (size + 64 + page - 1) / page * page;
    void *p = mmap(NULL, all + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        fprintf(stderr, "time_kernel: error: %s\n", strerror(errno));
        exit(1);
    }
    p = (void *)(((uintptr_t)p + page - 1) / page * page);
    madvise(p, all, MADV_HUGEPAGE);
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

static entry_call prepare_entry(session *b, const char *name)
{
    int entry = CALL(b, lutra_find_entry)(b->program, name);
    if (entry < 0) {
        fprintf(stderr, "time_kernel: error: there is no entry '%s'\n", name);
        exit(1);
    }
    entry_call call = {.entry = (unsigned)entry};
    const lutra_entry *e = &b->program->entries[entry];
    for (uint64_t i = 0; i < e->input_count && i < 16; i++)
        call.inputs[i] = e->inputs[i].rank ? array_for(b, &e->inputs[i]) : 0;
    for (uint64_t i = 0; i < e->output_count && i < 16; i++)
        call.outputs[i] = array_for(b, &e->outputs[i]);
    return call;
}

static void prepare(session *b)
{
    for (uint64_t i = 0; i < b->program->dim_count && i < 16; i++)
        b->dims[i] =
            b->s.rows < b->program->dims[i].maximum ? b->s.rows : b->program->dims[i].maximum;
    b->call = prepare_entry(b, b->s.entry);
    if (b->s.twice)
        b->twice = prepare_entry(b, b->s.twice);
    b->states = memory((size_t)b->program->state_size + 64);
}

// ------------------------------------------------------------------------- timing

static int compare(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static double median(double *samples, size_t count)
{
    qsort(samples, count, sizeof *samples, compare);
    return samples[count / 2];
}

// Microseconds of a call, the mean of `calls`: reading the clock takes a good part of one.
static double time_calls(session *b, const entry_call *c, unsigned calls)
{
    static size_t copy;
    __typeof__(&lutra_call) call = find(b, "lutra_call");
    clockid_t clock = b->s.threads > 1 ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID;
    double start = now(clock);
    for (unsigned i = 0; i < calls; i++) {
        const void *weights = b->copies + copy++ % b->copy_count * b->copy_bytes;
        if (call(b->context, c->entry, weights, b->states, b->dims, c->inputs, c->outputs)) {
            fprintf(stderr, "time_kernel: error: %s\n", CALL(b, lutra_message)(b->context));
            exit(1);
        }
    }
    return 1e6 * (now(clock) - start) / calls;
}

static double samples[MOST_SAMPLES], beside[MOST_SAMPLES], more[MOST_SAMPLES];

// G operations a second, for about a quarter of what the calls between two such moments take.
static double rate_beside(const peak *p, double microseconds)
{
    enum { LEAST = 50, MOST = 2000, TYPICAL = 400 }; // microseconds, G operations a second
    double each = microseconds / 4 < LEAST  ? LEAST
                  : microseconds / 4 > MOST ? MOST
                                            : microseconds / 4;
    return peak_rate(p, (long)(1e3 * each * TYPICAL / p->operations));
}

static size_t take_samples(session *b, unsigned calls, double took)
{
    const peak *p = b->s.beside;
    size_t count = 0;
    double end = now(CLOCK_MONOTONIC) + b->s.seconds, rate = p ? rate_beside(p, calls * took) : 0;
    for (; count < MOST_SAMPLES && (now(CLOCK_MONOTONIC) < end || count < 5); count++) {
        double before = rate, us = samples[count] = time_calls(b, &b->call, calls);
        if (p)
            beside[count] = 1e3 * us * (before + (rate = rate_beside(p, calls * us))) / 2;
        if (b->s.twice)
            more[count] = 2 * time_calls(b, &b->twice, calls) - us;
    }
    return count;
}

static void measure(session *b)
{
    enum { WARM = 3, SHORT = 10, CALLS = 20 };
    double took = 0;
    for (int warm = 0; warm < WARM; warm++)
        took = time_calls(b, &b->call, 1);
    size_t count = take_samples(b, took < SHORT ? CALLS : 1, took);
    double middle = median(samples, count);
    printf("{\"level\": \"%s\", \"calls\": %zu, \"median_us\": %.3f, \"least_us\": %.3f, "
           "\"quarter_us\": %.3f, \"three_quarters_us\": %.3f, \"weight_bytes\": %zu",
           CALL(b, lutra_level_of)(b->context)->name, count, middle, samples[0], samples[count / 4],
           samples[count * 3 / 4], (size_t)b->program->weights_size);
    if (b->s.beside)
        printf(", \"operations_beside\": %.0f", median(beside, count));
    if (b->s.twice)
        printf(", \"twice_more_us\": %.3f", median(more, count));
    printf("}\n");
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
                        "[--threads N] [--cold] [--features MASK] [--integers V] [--seconds S] "
                        "[--beside PEAK] [--twice ENTRY]\n");
        return 2;
    }
    session b = {.s = {argv[1], argv[2], argv[3]}};
    b.s.entry = value_of(argc, argv, "--entry", "main");
    b.s.rows = atoll(value_of(argc, argv, "--rows", "1"));
    b.s.threads = (unsigned)atoi(value_of(argc, argv, "--threads", "1"));
    b.s.features = strtoull(value_of(argc, argv, "--features", "-1"), NULL, 0);
    b.s.integers = atoi(value_of(argc, argv, "--integers", "0"));
    b.s.seconds = atof(value_of(argc, argv, "--seconds", "0.5"));
    b.s.twice = value_of(argc, argv, "--twice", NULL);
    const char *beside_name = value_of(argc, argv, "--beside", NULL);
    b.s.beside = beside_name ? peak_named(beside_name) : NULL;
    if (beside_name && !b.s.beside) {
        fprintf(stderr, "time_kernel: error: this CPU has no peak '%s'\n", beside_name);
        return 1;
    }
    for (int i = 4; i < argc; i++)
        b.s.cold = b.s.cold || !strcmp(argv[i], "--cold");
    load(&b);
    prepare(&b);
    copy_weights(&b);
    measure(&b);
    CALL(&b, lutra_stop)(b.context);
    return 0;
}
