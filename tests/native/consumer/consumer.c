/* Two programs in one, both in C and in C++: consumer FIRST.lutw SECOND.lutw THREADS prints the
 * results of second(first(x)) for x[i] = (i % 17 - 8) / 8, one a line. */
#include "first.h"
#include "second.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 3, WIDTH = 64, MIDDLE = 96, RESULTS = 32 };

static void check(lutra_status status, const char *what)
{
    if (status == LUTRA_OK)
        return;
    fprintf(stderr, "consumer: %s: status %d\n", what, (int)status);
    exit(1);
}

/* One call in a context of its own. */
static void run(const lutra_program *program, unsigned entry, const char *file, unsigned threads,
                const float *x, float *y)
{
    size_t size = lutra_context_size(program, threads);
    void *memory = aligned_alloc(LUTRA_ALIGNMENT, (size + 63) / 64 * 64);
    lutra_context *context;
    lutra_weights weights;
    int64_t dims[1] = {ROWS};
    uint64_t inputs[1], outputs[1];
    inputs[0] = (uint64_t)(uintptr_t)x;
    outputs[0] = (uint64_t)(uintptr_t)y;
    check(lutra_map_weights(&weights, program, file), file);
    check(lutra_start(&context, program, threads, LUTRA_ALL_FEATURES, memory, size), "start");
    check(lutra_call(context, entry, weights.data, NULL, dims, inputs, outputs), "call");
    lutra_stop(context);
    lutra_unmap_weights(&weights);
    free(memory);
}

int main(int argc, char **argv)
{
    float x[ROWS * WIDTH], middle[ROWS * MIDDLE], y[ROWS * RESULTS];
    if (argc != 4)
        return 2;
    for (int i = 0; i < ROWS * WIDTH; i++)
        x[i] = (float)(i % 17 - 8) / 8;
    run(&first_program, first_main, argv[1], (unsigned)atoi(argv[3]), x, middle);
    run(&second_program, second_main, argv[2], (unsigned)atoi(argv[3]), middle, y);
    for (int i = 0; i < ROWS * RESULTS; i++)
        printf("%.9g\n", (double)y[i]);
    return 0;
}
