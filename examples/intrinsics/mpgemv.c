// A kernel written by hand with Xlut intrinsics: y = W a with 2-bit weights and i8 activations.
//
//    isa_publish header xlut.h
//    clang-19 --target=riscv64 -march=rv64gcv -mabi=lp64d -O2 -ffreestanding -nostdlib -static \
//        -fuse-ld=lld -I. mpgemv.c -o mpgemv.elf
//    lutrun mpgemv.elf && echo right
//
// (riscv64-linux-gnu-gcc builds it as well, with -Wl,--no-relax: nothing here sets gp.)
//
// Weights are w[n][k] = scale[n][k / 64] * (s0 + 2 s1), s = +1 or -1, packed as docs/program.md
// says for format w2g64 on tiles of m = 2, n = 64. Neither N nor K is a multiple of the tile. The
// program packs a small matrix, multiplies, and compares with a plain loop.
#include <xlut.h>

#include <stdint.h>

enum { M = 2, TILE_N = 64, DEPTH = 32 * M, TILE = 4 * M * TILE_N, PLANES = 2, GROUP = DEPTH };
enum { N = 100, K = 200 };
enum { COLUMN_TILES = (N + TILE_N - 1) / TILE_N, DEPTH_TILES = (K + DEPTH - 1) / DEPTH };
enum { SCALES = 2 * TILE_N, STEP = PLANES * TILE + SCALES };

static _Alignas(64) uint8_t packed[COLUMN_TILES * DEPTH_TILES * STEP];
static _Alignas(64) uint8_t tables[DEPTH_TILES * TILE];
static _Alignas(64) int8_t activations[DEPTH_TILES * DEPTH]; // zero beyond K
static _Alignas(64) float y[N];

// What clang may turn loops into.
void *memset(void *to, int value, unsigned long size)
{
    for (volatile uint8_t *at = to; size; size--)
        *at++ = (uint8_t)value;
    return to;
}

// ------------------------------------------------------------------ the matrix

static unsigned code(int n, int k) // bit p is 1 where s_p = +1
{
    unsigned x = (unsigned)(n * 7919 + k * 104729);
    return (x ^ x >> 7) & 3;
}

static int weight(int n, int k)
{
    return 2 * (int)code(n, k) - 3;
}

static int exponent(int n, int group)
{
    return (n + group) % 4;
}

// 2^-exponent as f16 and as f32.
static uint16_t scale_f16(int n, int group)
{
    return (uint16_t)((15 - exponent(n, group)) << 10);
}

static float scale_f32(int n, int group)
{
    return 1.0f / (float)(1 << exponent(n, group));
}

// ---------------------------------------------------------------------- packing

// The index of four weights of a plane: three address bits, and 8 + their complement where the
// fourth sign is -1.
static unsigned nibble(int n, int k, int plane)
{
    unsigned bits = 0;
    for (int j = 0; j < 4; j++)
        bits |= (k + j < K ? code(n, k + j) >> plane & 1 : 0) << j;
    return bits & 8 ? bits & 7 : 8 | (~bits & 7);
}

// Lines of 64 bytes, one for each 4 lookups and each 32 columns.
static void pack_nibble(uint8_t *plane, int column, int lookup, unsigned index)
{
    int line = lookup / 4 * (TILE_N / 32) + column / 32;
    uint8_t *at = plane + 64 * line + 4 * (column % 16) + lookup % 4;
    *at |= (uint8_t)(index << (column % 32 < 16 ? 0 : 4));
}

static void pack(void)
{
    for (int n = 0; n < N; n++)
        for (int step = 0; step < DEPTH_TILES; step++) {
            uint8_t *at = packed + (n / TILE_N * DEPTH_TILES + step) * STEP;
            for (int g = 0; g < DEPTH / 4 && DEPTH * step + 4 * g < K; g++)
                for (int p = 0; p < PLANES; p++)
                    pack_nibble(at + p * TILE, n % TILE_N, g, nibble(n, DEPTH * step + 4 * g, p));
            ((uint16_t *)(at + PLANES * TILE))[n % TILE_N] = scale_f16(n, step);
        }
}

// --------------------------------------------------------------------- the kernel

// Tile registers: lt0 table, lt4 and lt5 planes, lt8 sums of a group, lt9 sums of everything.
static void build_tables(void)
{
    for (int step = 0; step < DEPTH_TILES; step++) {
        xlut_tbl(XLUT_ACTIVATION_I8, XLUT_TABLE_I16, 0, activations + step * DEPTH);
        xlut_st(0, tables + step * TILE, 0);
    }
}

static void multiply(void)
{
    const uint8_t *at = packed;
    for (int first = 0; first < N; first += TILE_N) {
        unsigned long columns = N - first < TILE_N ? N - first : TILE_N;
        xlut_zero(9);
        for (int step = 0; step < DEPTH_TILES; step++, at += STEP) {
            xlut_ld(0, tables + step * TILE, 0);
            xlut_ld(4, at, 0);
            xlut_ld(5, at, TILE);
            xlut_lmma(XLUT_TABLE_I16, XLUT_FORM_PLANES2, 8, 0, 4, XLUT_ROWS_ONE, 1, XLUT_SLICE_ALL);
            xlut_deq(XLUT_SUM_I32, XLUT_SCALE_F16, 9, 8, at + PLANES * TILE);
        }
        xlut_sta_columns(XLUT_DATA_F32, 9, y + first, columns);
    }
}

// Integers times powers of two, all small: every order of summation gives these bits.
static float expected(int n)
{
    float sum = 0;
    for (int group = 0; group < DEPTH_TILES; group++) {
        int dot = 0;
        for (int k = group * GROUP; k < K && k < (group + 1) * GROUP; k++)
            dot += weight(n, k) * activations[k];
        sum += scale_f32(n, group) * (float)dot;
    }
    return sum;
}

// 0: right. 1: wrong. 2: a machine of another tile shape.
static int run(void)
{
    if (xlut_shape() != (M | TILE_N << 8))
        return 2;
    for (int k = 0; k < K; k++)
        activations[k] = (int8_t)(k * 37 % 255 - 127);
    pack();
    build_tables();
    multiply();
    for (int n = 0; n < N; n++)
        if (y[n] != expected(n))
            return 1;
    return 0;
}

_Noreturn void _start(void);
_Noreturn void _start(void)
{
    register long code __asm__("a0") = run();
    register long service __asm__("a7") = 93;
    __asm__ volatile("ecall" : : "r"(code), "r"(service));
    __builtin_unreachable();
}
