// Runs a fuzz target over every file of a folder, and over prefixes of each:
// what a fuzzer found once stays tested without the fuzzer.
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PREFIXES = 512, LARGEST_FILE = 1 << 24 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// An exact copy on the heap, so that a sanitizer sees a read beyond the end.
static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        abort();
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static int replay(const char *path)
{
    static uint8_t data[LARGEST_FILE];
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        return 1;
    }
    size_t size = fread(data, 1, sizeof data, f);
    fclose(f);
    size_t step = size / MOST_PREFIXES + 1;
    for (size_t prefix = 0; prefix < size; prefix += step)
        run(data, prefix);
    run(data, size);
    return 0;
}

int main(int argc, char **argv)
{
    int failed = argc != 2, count = 0;
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    if (!folder) {
        fprintf(stderr, "usage: %s CORPUS_FOLDER (which must exist)\n", argv[0]);
        return 2;
    }
    for (struct dirent *e; (e = readdir(folder));) {
        char path[4096];
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", argv[1], e->d_name);
        failed |= replay(path);
        count++;
    }
    closedir(folder);
    printf("%d inputs replayed\n", count);
    return failed || !count;
}
