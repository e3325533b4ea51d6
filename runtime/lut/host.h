// The choices of code that execute the LUT unit's instructions on a host. All give the same bits.
#pragma once

#include "runtime/lut/lut.h"

typedef enum lut_host {
    LUT_HOST_REFERENCE, // the defining C: runs everywhere
    LUT_HOST_AVX2,      // AVX2, FMA, F16C
    LUT_HOST_AVX512,    // AVX-512 F, BW, DQ, VL, VBMI, VNNI
    LUT_HOST_NEON,      // AArch64
    LUT_HOST_DOTPROD,   // and its SDOT
    LUT_HOST_COUNT
} lut_host;

extern const char *const lut_host_names[LUT_HOST_COUNT];

// Whether this processor has what the choice needs.
bool lut_host_supported(lut_host host);
// As lut_unit_create, which takes the last choice that is supported. NULL: no valid shape, or not
// supported.
lut_unit *lut_unit_create_with(uint32_t m, uint32_t n, lut_host host);
