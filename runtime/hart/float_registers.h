// The scalar floating-point registers: NaN-boxing, and the environment of one operation.
#pragma once

#include "runtime/hart/fast_float.h"
#include "runtime/hart/internal.h"

// A value that is not boxed reads as the canonical NaN of its format.
static inline uint64_t read_f16(const hart *h, unsigned r)
{
    return h->f[r] >> 16 == 0xffffffffffff ? h->f[r] & 0xffff : 0x7e00;
}
static inline uint64_t read_bf16(const hart *h, unsigned r)
{
    return h->f[r] >> 16 == 0xffffffffffff ? h->f[r] & 0xffff : 0x7fc0;
}
static inline uint64_t read_f32(const hart *h, unsigned r)
{
    return h->f[r] >> 32 == 0xffffffff ? h->f[r] & 0xffffffff : 0x7fc00000;
}
static inline uint64_t read_f64(const hart *h, unsigned r)
{
    return h->f[r];
}

static inline void write_f16(hart *h, unsigned r, uint64_t bits)
{
    h->f[r] = bits | ~0xffffull;
}
static inline void write_bf16(hart *h, unsigned r, uint64_t bits)
{
    write_f16(h, r, bits);
}
static inline void write_f32(hart *h, unsigned r, uint64_t bits)
{
    h->f[r] = bits | ~0xffffffffull;
}
static inline void write_f64(hart *h, unsigned r, uint64_t bits)
{
    h->f[r] = bits;
}

static inline float_env begin_float(hart *h, const isa_instruction *in)
{
    return (float_env){hart_rounding(h, in->rm), h->fflags};
}
static inline void end_float(hart *h, float_env env)
{
    h->fflags = env.flags;
}
