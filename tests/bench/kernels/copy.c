// Integer: memcpy of 16 KiB by words, and of short odd pieces, as a C library does it.
#include "start.h"

enum { BYTES = 1 << 14 };
static uint64_t from[BYTES / 8], to[BYTES / 8 + 2];

static __attribute__((noinline)) void copy(void *target, const void *source, uint64_t size)
{
    uint8_t *t = target;
    const uint8_t *s = source;
    if ((((uintptr_t)t ^ (uintptr_t)s) & 7) == 0) {
        for (; size && ((uintptr_t)t & 7); size--)
            *t++ = *s++;
        uint64_t *wide = (uint64_t *)t;
        const uint64_t *words = (const uint64_t *)s;
        for (; size >= 32; size -= 32, wide += 4, words += 4) {
            uint64_t w0 = words[0], w1 = words[1], w2 = words[2], w3 = words[3];
            wide[0] = w0, wide[1] = w1, wide[2] = w2, wide[3] = w3;
        }
        for (; size >= 8; size -= 8)
            *wide++ = *words++;
        t = (uint8_t *)wide;
        s = (const uint8_t *)words;
    }
    for (; size; size--)
        *t++ = *s++;
}

static uint64_t kernel(uint64_t rounds)
{
    for (uint64_t i = 0; i < BYTES / 8; i++)
        from[i] = i * 0x9e3779b97f4a7c15u;
    uint64_t sum = 0;
    while (rounds--) {
        copy(to, from, BYTES);
        copy((char *)to + (rounds & 7), (char *)from + 256, 61);
        sum = sum * 31 + to[rounds % (BYTES / 8)];
        from[sum % (BYTES / 8)] += sum;
    }
    return sum;
}
