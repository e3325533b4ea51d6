// The codebooks, one row each.
#include "compiler/quant/levels.h"

#include <string.h>

// NF4 is from QLoRA (arXiv 2305.14314), FP4 the E2M1 of the OCP microscaling formats, doubled;
// IQ4_NL's numbers are llama.cpp's over 128. BitMoD (arXiv 2411.11745) gives each group one of four
// numbers for the code that E2M1 spends on -0, and FP3 one of four others.
static const quant_codebook books[] = {
    {.name = "nf4",
     .bits = 4,
     .count = 16,
     .levels = {-1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f,
                -0.28444138169288635f, -0.18477343022823334f, -0.09105003625154495f, 0.0f,
                0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f,
                0.33791524171829224f, 0.44070982933044434f, 0.5626170039176941f,
                0.7229568362236023f, 1.0f}},
    {.name = "fp4",
     .bits = 4,
     .count = 16,
     .whole = true,
     .levels = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}},
    {.name = "iq4nl",
     .bits = 4,
     .count = 16,
     .levels = {-127 / 128.0f, -104 / 128.0f, -83 / 128.0f, -65 / 128.0f, -49 / 128.0f,
                -35 / 128.0f, -22 / 128.0f, -10 / 128.0f, 1 / 128.0f, 13 / 128.0f, 25 / 128.0f,
                38 / 128.0f, 53 / 128.0f, 69 / 128.0f, 89 / 128.0f, 113 / 128.0f}},
    {.name = "cb4", .bits = 4, .count = 16, .learned = true},
    {.name = "cb2", .bits = 2, .count = 4, .learned = true},
    {.name = "bitmod3",
     .bits = 4,
     .count = 7,
     .whole = true,
     .levels = {0, 1, 2, 4, -1, -2, -4, 3, -3, 6, -6},
     .n_specials = 4,
     .special = 7,
     .specials = {3, -3, 6, -6}},
    {.name = "bitmod4",
     .bits = 4,
     .count = 16,
     .whole = true,
     .levels = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12},
     .n_specials = 4,
     .special = 16,
     .specials = {10, -10, 16, -16}},
};

const quant_codebook *quant_codebook_find(const char *name)
{
    for (size_t i = 0; i < sizeof books / sizeof *books; i++)
        if (strcmp(books[i].name, name) == 0)
            return &books[i];
    return NULL;
}
