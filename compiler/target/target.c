#include "compiler/target/target.h"

#include <string.h>

static const target_level sse2 = {.name = "sse2",
                                  .cpu = "x86-64",
                                  .features = "",
                                  .vector_bits = 128,
                                  .registers = 16,
                                  .dot = DOT_GENERIC};

static const target_level avx2 = {.name = "avx2",
                                  .cpu = "x86-64-v3",
                                  .tune = "znver3",
                                  .features = "",
                                  .requires = FEATURE_AVX2,
                                  .vector_bits = 256,
                                  .registers = 16,
                                  .dot = DOT_MADD,
                                  .lookup = LOOKUP_LANES,
                                  .fma = true,
                                  .half = true,
                                  .rounding = true};

static const target_level avx512 = {.name = "avx512",
                                    .cpu = "x86-64-v4",
                                    .tune = "znver4",
                                    .features = "+avx512vbmi,+avx512vnni,+prfchw,-prefer-256-bit",
                                    .requires = FEATURE_AVX2 | FEATURE_AVX512_VNNI,
                                    .vector_bits = 512,
                                    .registers = 32,
                                    .dot = DOT_VNNI,
                                    .lookup = LOOKUP_VBMI,
                                    .fma = true,
                                    .half = true,
                                    .rounding = true};

static const target_level neon = {.name = "neon",
                                  .cpu = "generic",
                                  .features = "+neon",
                                  .vector_bits = 128,
                                  .registers = 32,
                                  .dot = DOT_GENERIC,
                                  .lookup = LOOKUP_NEON,
                                  .fma = true,
                                  .half = true,
                                  .rounding = true};

static const target_level dotprod = {.name = "dotprod",
                                     .cpu = "generic",
                                     .features = "+neon,+dotprod",
                                     .requires = FEATURE_DOTPROD,
                                     .vector_bits = 128,
                                     .registers = 32,
                                     .dot = DOT_NEON,
                                     .lookup = LOOKUP_NEON,
                                     .fma = true,
                                     .half = true,
                                     .rounding = true};

static const target_level *const x86_64[] = {&sse2, NULL};
static const target_level *const x86_64_v3[] = {&sse2, &avx2, NULL};
static const target_level *const x86_64_v4[] = {&sse2, &avx2, &avx512, NULL};
static const target_level *const aarch64[] = {&neon, &dotprod, NULL};

static const code_target targets[] = {
    {"riscv64", "riscv64", false, NULL, "RISC-V with vectors and Xlut, for the emulator"},
    {"x86-64", "x86_64-unknown-linux-gnu", true, x86_64, "SSE2"},
    {"x86-64-v3", "x86_64-unknown-linux-gnu", true, x86_64_v3, "SSE2, AVX2"},
    {"x86-64-v4", "x86_64-unknown-linux-gnu", true, x86_64_v4,
     "SSE2, AVX2, AVX-512 with VNNI and VBMI"},
    {"aarch64", "aarch64-unknown-linux-gnu", true, aarch64, "NEON, NEON with dot products"},
};
enum { TARGETS = sizeof targets / sizeof *targets };

#ifdef __aarch64__
static const char this_machine[] = "aarch64";
#else
static const char this_machine[] = "x86-64-v4";
#endif

const code_target *target_at(size_t index)
{
    return index < TARGETS ? &targets[index] : NULL;
}

// All levels of the architecture: the program still runs where it is copied to.
const code_target *target_find(const char *name)
{
    if (strcmp(name, "native") == 0)
        name = this_machine;
    for (size_t i = 0; i < TARGETS; i++)
        if (strcmp(targets[i].name, name) == 0)
            return &targets[i];
    return NULL;
}
