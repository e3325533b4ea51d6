// What a program is compiled for: RISC-V with Xlut, or the vector units of a CPU. A native target
// has levels, best last: each is a set of CPU features for which all code is generated, and the
// runtime takes the best one that the CPU has (docs/native.md).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Features that the runtime looks for; the bits are those of runtime/native/lutra.h.
typedef enum target_feature {
    FEATURE_AVX2 = 1 << 0,        // and FMA, F16C, BMI
    FEATURE_AVX512_VNNI = 1 << 1, // F, BW, DQ, VL, VNNI, VBMI
    FEATURE_DOTPROD = 1 << 2,
} target_feature;

// How bytes are multiplied and added in fours.
typedef enum target_dot {
    DOT_GENERIC, // in 32-bit lanes
    DOT_MADD,    // vpmaddubsw, vpmaddwd
    DOT_VNNI,    // vpdpbusd
    DOT_NEON,    // sdot
} target_dot;

// How bytes are looked up in tables of 16.
typedef enum target_lookup {
    LOOKUP_NONE,
    LOOKUP_LANES, // vpshufb: every 16 bytes of a vector ask one table
    LOOKUP_VBMI,  // vpermb: four tables in a register, byte i asks table i % 4 of them
    LOOKUP_NEON,  // tbl: the same, in four registers
} target_lookup;

// A strip's lanes together, of its widest element, at every level of a native target.
enum { NATIVE_STRIP_BITS = 512 };

typedef struct target_level {
    const char *name;     // "avx2": suffix of its functions
    const char *cpu;      // LLVM's
    const char *tune;     // LLVM's: whose times of instructions order them; NULL: nobody's
    const char *features; // LLVM's
    unsigned
        requires; // target_feature bits
    unsigned vector_bits;
    unsigned registers; // vector registers
    target_dot dot;
    target_lookup lookup;
    bool fma, half, rounding; // of f32: fma; to and from f16; rint
} target_level;

typedef struct code_target {
    const char *name; // "x86-64-v4"
    const char *triple;
    bool native;
    const target_level *const *levels; // ended by NULL; none: not native
    const char *doc;
} code_target;

// NULL: there is none of that name. "native" is what this machine is.
const code_target *target_find(const char *name);
const code_target *target_at(size_t index); // NULL behind the last
