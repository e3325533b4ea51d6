// Reads memory that no cache holds; prints bytes per processor second.      read SIZE SECONDS
#include "clock.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

// Plain loads of whole lines, with several sums that need not wait for one another.
static uint64_t sum_of(const uint64_t *words, size_t count)
{
    uint64_t sums[32] = {0}, all = 0;
    for (size_t i = 0; i + 32 <= count; i += 32)
        for (unsigned k = 0; k < 32; k++)
            sums[k] += words[i + k];
    for (unsigned k = 0; k < 32; k++)
        all += sums[k];
    return all;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    const size_t size = strtoul(argv[1], NULL, 10) & ~(((size_t)1 << 21) - 1);
    uint64_t *words = aligned_alloc((size_t)1 << 21, size);
    if (!words)
        return 1;
    madvise(words, size, MADV_HUGEPAGE);
    memset(words, 1, size);
    unsigned long calls = 0;
    uint64_t all = 0;
    double seconds = strtod(argv[2], NULL), start = processor_seconds(), elapsed;
    do {
        words[calls++ % (size / 8)]++;
        all += sum_of(words, size / 8);
    } while ((elapsed = processor_seconds() - start) < seconds);
    printf("%.9g %lu\n", (double)size * (double)calls / elapsed, (unsigned long)all);
}
