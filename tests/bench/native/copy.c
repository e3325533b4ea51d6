// Copies memory by memcpy; prints processor seconds per copy.      copy SIZE SECONDS
#include "clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    size_t size = strtoul(argv[1], NULL, 10);
    char *from = malloc(size), *to = malloc(size);
    if (!from || !to)
        return 1;
    memset(from, 1, size);
    memset(to, 2, size);
    unsigned long calls = 0, sum = 0;
    double seconds = strtod(argv[2], NULL), start = processor_seconds(), elapsed;
    do {
        from[calls % size] = (char)calls;
        memcpy(to, from, size);
        sum += (unsigned char)to[calls++ % size];
    } while ((elapsed = processor_seconds() - start) < seconds);
    printf("%.9g %lu\n", elapsed / (double)calls, sum);
}
