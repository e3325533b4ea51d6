// Blocks of many sizes come, grow, shrink and go; their contents stay.
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { BLOCKS = 200, STEPS = 6000 };

static uint64_t state = 88172645463325252u;
static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static size_t some_size(void)
{
    static const size_t largest[] = {16, 64, 500, 4000, 30000, 400000};
    return 1 + next() % largest[next() % 6];
}

static struct block {
    unsigned char *bytes;
    size_t size;
    unsigned char fill;
} blocks[BLOCKS];

static unsigned long damaged;

static void check(const struct block *b, size_t size)
{
    for (size_t i = 0; i < size; i += 1 + size / 64)
        damaged += b->bytes[i] != b->fill;
    damaged += size && b->bytes[size - 1] != b->fill;
}

static void step(struct block *b)
{
    size_t size = some_size();
    if (!b->bytes) {
        b->bytes = next() % 4 ? malloc(size) : calloc(size, 1);
    } else if (next() % 2) {
        check(b, b->size);
        free(b->bytes);
        b->bytes = NULL;
        return;
    } else {
        b->bytes = realloc(b->bytes, size);
        check(b, size < b->size ? size : b->size);
    }
    b->size = size;
    b->fill = (unsigned char)next();
    memset(b->bytes, b->fill, size);
}

static void large(void)
{
    size_t size = 1 << 20;
    unsigned char *p = malloc(size);
    for (size_t i = 0; i < size; i += 4096)
        p[i] = (unsigned char)(i >> 12);
    for (int round = 0; round < 4; round++) {
        p = realloc(p, size *= 2);
        p[size - 1] = 1;
    }
    unsigned long wrong = 0;
    for (size_t i = 0; i < 1 << 20; i += 4096)
        wrong += p[i] != (unsigned char)(i >> 12);
    p = realloc(p, 5000);
    printf("large: %lu wrong, %d\n", wrong, p[4096]);
    free(p);
}

static void zeroed(void)
{
    unsigned long sum = 0;
    for (int i = 0; i < 50; i++) {
        unsigned char *p = calloc(1000, 300);
        for (size_t j = 0; j < 300000; j += 37)
            sum += p[j];
        memset(p, 255, 300000);
        free(p);
    }
    printf("zeroed: %lu\n", sum);
}

static void mappings(void)
{
    size_t page = 4096;
    char *p = mmap(NULL, 8 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    strcpy(p + 5 * page, "kept");
    printf("protect %d\n", mprotect(p + 4 * page, 2 * page, PROT_NONE));
    printf("again %d\n", mprotect(p + 4 * page, 2 * page, PROT_READ));
    printf("%s\n", p + 5 * page);
    printf("unmap %d\n", munmap(p + page, page));
    char *q = mmap(p + page, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    printf("fixed %d %d\n", q == p + page, q[0]);
    void *bad = mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("bad %d %d\n", bad == MAP_FAILED, errno == EINVAL);
    p = mremap(p + 2 * page, 2 * page, page, 0);
    printf("shrunk %d\n", p == q + page);
    void *volatile most = malloc((size_t)1 << 60);
    printf("too much %d\n", most == NULL);
}

int main(void)
{
    for (int i = 0; i < STEPS; i++)
        step(&blocks[next() % BLOCKS]);
    for (int i = 0; i < BLOCKS; i++) {
        if (blocks[i].bytes)
            check(&blocks[i], blocks[i].size);
        free(blocks[i].bytes);
    }
    printf("damaged: %lu\n", damaged);
    void *aligned = NULL;
    int error = posix_memalign(&aligned, 4096, 10000);
    printf("aligned: %d %d\n", error, (int)((uintptr_t)aligned % 4096));
    free(aligned);
    large();
    zeroed();
    mappings();
    return damaged != 0;
}
