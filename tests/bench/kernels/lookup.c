// Vector: sums of table entries that 4-bit codes select, two to a byte, by vrgather.
#include "start.h"

#include <riscv_vector.h>

enum { BYTES = 4096 };
static uint8_t codes[BYTES];
static int8_t table[16];

static int64_t lookup(void)
{
    vint8m1_t entries = __riscv_vle8_v_i8m1(table, 16);
    vint16m2_t sums = __riscv_vmv_v_x_i16m2(0, __riscv_vsetvlmax_e16m2());
    unsigned long vl;
    for (unsigned long i = 0; i < BYTES; i += vl) {
        vl = __riscv_vsetvl_e8m1(BYTES - i);
        vuint8m1_t code = __riscv_vle8_v_u8m1(codes + i, vl);
        vuint8m1_t low = __riscv_vand_vx_u8m1(code, 15, vl);
        vuint8m1_t high = __riscv_vsrl_vx_u8m1(code, 4, vl);
        vint8m1_t a = __riscv_vrgather_vv_i8m1(entries, low, vl);
        vint8m1_t b = __riscv_vrgather_vv_i8m1(entries, high, vl);
        sums = __riscv_vadd_vv_i16m2(sums, __riscv_vwadd_vv_i16m2(a, b, vl), vl);
    }
    vint32m1_t zero = __riscv_vmv_v_x_i32m1(0, 1);
    unsigned long all = __riscv_vsetvlmax_e16m2();
    return __riscv_vmv_x_s_i32m1_i32(__riscv_vwredsum_vs_i16m2_i32m1(sums, zero, all));
}

static uint64_t kernel(uint64_t rounds)
{
    uint32_t state = 1;
    for (int i = 0; i < BYTES; i++)
        codes[i] = (uint8_t)next_random(&state);
    for (int i = 0; i < 16; i++)
        table[i] = (int8_t)(i * 5 - 40);
    uint64_t sum = 0;
    while (rounds--) {
        sum = sum * 31 + (uint64_t)lookup();
        codes[sum % BYTES] ^= (uint8_t)rounds;
    }
    return sum;
}
