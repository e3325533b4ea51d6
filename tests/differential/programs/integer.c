// Integer arithmetic of every width, sorting, searching, bit tricks, recursion.
#include "guest.h"

#define N 512
static int64_t values[N];
static uint8_t bytes[4096];

static void sort(int64_t *v, int n)
{
    if (n < 2)
        return;
    int64_t pivot = v[n / 2];
    int i = 0, j = n - 1;
    while (i <= j) {
        while (v[i] < pivot)
            i++;
        while (v[j] > pivot)
            j--;
        if (i <= j) {
            int64_t t = v[i];
            v[i++] = v[j];
            v[j--] = t;
        }
    }
    sort(v, j + 1);
    sort(v + i, n - i);
}

static unsigned sieve(void)
{
    unsigned count = 0;
    for (unsigned i = 2; i < sizeof bytes; i++) {
        if (bytes[i])
            continue;
        count++;
        for (unsigned j = 2 * i; j < sizeof bytes; j += i)
            bytes[j] = 1;
    }
    return count;
}

static uint64_t ackermann(uint64_t m, uint64_t n)
{
    return m == 0 ? n + 1 : n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1));
}

static uint64_t widths(uint64_t a, uint64_t b)
{
    uint64_t h = 0;
    h = mix(h, (uint64_t)((int8_t)a * (int8_t)b) ^ (uint16_t)a % ((uint16_t)b | 1));
    h = mix(h, (uint64_t)((int32_t)a / ((int32_t)b | 1)) + (uint32_t)a / ((uint32_t)b | 1));
    h = mix(h, (uint64_t)((int64_t)a % ((int64_t)b | 1)) ^
                   (uint64_t)(((__int128)(int64_t)a * (int64_t)b) >> 64));
    h = mix(h, (uint64_t)(((unsigned __int128)a * b) >> 64));
    h = mix(h, (uint64_t)__builtin_popcountll(a) + (uint64_t)__builtin_clzll(b | 1) * 64 +
                   (uint64_t)__builtin_ctzll(a | 1ull << 63));
    h = mix(h, (a >> (b & 63) | a << (-b & 63)) ^ __builtin_bswap64(b));
    h = mix(h, (uint64_t)((int32_t)a >> (b & 31)) + ((uint32_t)a << (b & 31)));
    return mix(h, (a > b ? a : b) + (uint64_t)((int64_t)a < (int64_t)b ? (int64_t)a : (int64_t)b) +
                      (a & ~b));
}

int main(void)
{
    uint64_t h = 0;
    for (int i = 0; i < N; i++)
        values[i] = (int64_t)random_next() >> (i % 60);
    sort(values, N);
    for (int i = 0; i < N; i++)
        h = mix(h, (uint64_t)values[i]);
    print("sort", h);
    print("sieve", sieve());
    print("ackermann", ackermann(2, 9));
    for (int i = 0; i < 2000; i++)
        h = mix(h, widths(random_next(), random_next() >> (i % 64)));
    print("widths", h);
    return (int)(h & 63);
}
