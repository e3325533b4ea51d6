// Integer: calls and returns, Ackermann's function and a doubly recursive Fibonacci.
#include "start.h"

static __attribute__((noinline)) uint32_t ackermann(uint32_t m, uint32_t n)
{
    if (m == 0)
        return n + 1;
    return ackermann(m - 1, n == 0 ? 1 : ackermann(m, n - 1));
}

// Without this attribute gcc unrolls the recursion into one big function.
static __attribute__((noinline, optimize("no-inline", "no-optimize-sibling-calls"))) uint32_t
fibonacci(uint32_t n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

static uint64_t kernel(uint64_t rounds)
{
    uint64_t sum = 0;
    while (rounds--)
        sum = sum * 31 + ackermann(2, 5 + (uint32_t)(sum & 1)) + fibonacci(15);
    return sum;
}
