// Integer: a 64-bit multiply and rotate hash over 4 KiB, in four lanes.
#include "start.h"

enum { LANES = 4, WORDS = 512 };
static uint64_t data[WORDS];

static uint64_t rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static uint64_t hash(uint64_t seed)
{
    uint64_t lane[LANES] = {seed, seed + 1, seed + 2, seed + 3};
    for (int i = 0; i < WORDS; i += LANES)
        for (int j = 0; j < LANES; j++)
            lane[j] = rotate(lane[j] + data[i + j] * 0xc2b2ae3d27d4eb4fu, 31) * 0x9e3779b185ebca87u;
    uint64_t sum = 0;
    for (int j = 0; j < LANES; j++)
        sum = rotate(sum, 7) ^ lane[j];
    return sum ^ sum >> 29;
}

static uint64_t kernel(uint64_t rounds)
{
    for (uint64_t i = 0; i < WORDS; i++)
        data[i] = i * i * 0x9e3779b97f4a7c15u;
    uint64_t sum = 0;
    while (rounds--)
        sum = hash(sum);
    return sum;
}
