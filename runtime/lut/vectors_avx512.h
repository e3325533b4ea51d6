// What the AVX-512 files share.
#pragma once

#include "runtime/lut/variants.h"

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

INLINE __m512 canonical(__m512 x)
{
    __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    return _mm512_mask_mov_ps(x, nan, _mm512_set1_ps(__builtin_nanf("")));
}

// What is behind a tile's half becomes 0.
INLINE void clear_half(lut_unit *u, unsigned tile)
{
    uint8_t *to = lut_tile(u, tile);
    if (u->half_zero >> tile & 1)
        return;
    for (uint32_t i = u->half_bytes; i < u->tile_bytes; i += 64)
        _mm512_store_si512(to + i, _mm512_setzero_si512());
    u->half_zero |= 1u << tile;
}
