// Integer: the primes below 32768 by Eratosthenes' sieve, a byte each.
#include "start.h"

enum { LIMIT = 1 << 15 };
static uint8_t composite[LIMIT];

static uint32_t sieve(uint32_t from)
{
    uint32_t primes = 0;
    for (uint32_t i = 0; i < LIMIT; i++)
        composite[i] = 0;
    for (uint32_t i = from; i < LIMIT; i++)
        if (!composite[i]) {
            primes++;
            for (uint32_t multiple = 2 * i; multiple < LIMIT; multiple += i)
                composite[multiple] = 1;
        }
    return primes;
}

static uint64_t kernel(uint64_t rounds)
{
    uint64_t sum = 0;
    while (rounds--)
        sum = sum * 31 + sieve(2 + (sum & 1));
    return sum;
}
