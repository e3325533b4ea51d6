// The frame of a freestanding RISC-V kernel: calls kernel(rounds) with the number given as the
// program's argument, prints the checksum it returns in hexadecimal, and exits.
#ifndef START_H
#define START_H

#include <stdint.h>

// The work, `rounds` times over; returns a checksum of all results.
static uint64_t kernel(uint64_t rounds);

static long service(long number, long a, long b, long c)
{
    register long a7 __asm__("a7") = number, a0 __asm__("a0") = a, a1 __asm__("a1") = b;
    register long a2 __asm__("a2") = c;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2) : "memory");
    return a0;
}

static uint64_t decimal(const char *text)
{
    uint64_t n = 0;
    while (*text >= '0' && *text <= '9')
        n = 10 * n + (uint64_t)(*text++ - '0');
    return n;
}

static inline uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    return *state ^= *state << 5;
}

// What compilers may turn loops into.
void *memset(void *to, int value, unsigned long size)
{
    for (volatile char *at = to; size; size--)
        *at++ = (char)value;
    return to;
}

// stack: argc, argv[0], argv[1], ...
__attribute__((used)) static _Noreturn void run(const char *const *stack)
{
    uint64_t sum = kernel((uintptr_t)stack[0] > 1 ? decimal(stack[2]) : 1);
    char text[17];
    for (int i = 0; i < 16; i++)
        text[i] = "0123456789abcdef"[sum >> (60 - 4 * i) & 15];
    text[16] = '\n';
    service(64, 1, (long)text, sizeof text);
    for (;;)
        service(93, 0, 0, 0);
}

// gp: linkers address small data by it.
__asm__(".globl _start\n_start:\n"
        "    .option push\n    .option norelax\n    la gp, __global_pointer$\n    .option pop\n"
        "    mv a0, sp\n    andi sp, sp, -16\n    j run\n");

#endif
