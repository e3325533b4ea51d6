// Integer: sums of entries that indices select from a table of 64 KiB.
#include "start.h"

enum { ENTRIES = 1 << 14, INDICES = 1 << 12 };
static uint32_t table[ENTRIES];
static uint16_t index_of[INDICES];

static uint64_t gather(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < INDICES; i++)
        sum += table[index_of[i]];
    return sum;
}

static uint64_t kernel(uint64_t rounds)
{
    uint32_t state = 1;
    for (int i = 0; i < ENTRIES; i++)
        table[i] = next_random(&state);
    for (int i = 0; i < INDICES; i++)
        index_of[i] = (uint16_t)(next_random(&state) % ENTRIES);
    uint64_t sum = 0;
    while (rounds--) {
        sum = sum * 31 + gather();
        table[sum % ENTRIES] ^= (uint32_t)sum;
    }
    return sum;
}
