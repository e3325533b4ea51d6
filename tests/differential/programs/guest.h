// What the test programs have instead of a library.
#pragma once

#include <stddef.h>
#include <stdint.h>

__asm__(".globl _start\n"
        ".option push\n.option norelax\n"
        "_start: andi sp, sp, -16\n"
        "call main\n"
        "li a7, 93\n"
        "ecall\n"
        ".option pop\n");

static inline long write_bytes(const void *data, size_t size)
{
    register long a0 __asm__("a0") = 1;
    register const void *a1 __asm__("a1") = data;
    register size_t a2 __asm__("a2") = size;
    register long a7 __asm__("a7") = 64;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a7) : "memory");
    return a0;
}

static void print(const char *label, uint64_t value)
{
    char line[64];
    size_t n = 0;
    while (label[n] && n < 40) {
        line[n] = label[n];
        n++;
    }
    line[n++] = ' ';
    for (int shift = 60; shift >= 0; shift -= 4)
        line[n++] = "0123456789abcdef"[value >> shift & 15];
    line[n++] = '\n';
    write_bytes(line, n);
}

static uint64_t random_state = 88172645463325252ull;
static inline uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static inline uint64_t mix(uint64_t hash, uint64_t value)
{
    return (hash ^ value) * 0x9e3779b97f4a7c15ull + (hash >> 29);
}

// The compilers call these.
__attribute__((used)) void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ((char *)to)[i] = ((const char *)from)[i];
        __asm__ volatile("");
    }
    return to;
}
__attribute__((used)) void *memset(void *to, int value, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ((char *)to)[i] = (char)value;
        __asm__ volatile("");
    }
    return to;
}
