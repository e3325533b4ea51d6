#include "support/tokenizer/internal.h"

// Of a lead byte; 0: none. C0, C1 and F5 up never occur.
static int sequence_length(uint8_t lead)
{
    return lead < 0x80                   ? 1
           : lead >= 0xc2 && lead < 0xe0 ? 2
           : lead >= 0xe0 && lead < 0xf0 ? 3
           : lead >= 0xf0 && lead < 0xf5 ? 4
                                         : 0;
}

// The second byte excludes overlong forms, surrogates and what is beyond U+10FFFF.
static bool continues(uint8_t lead, int at, uint8_t byte)
{
    uint8_t low = 0x80, high = 0xbf;
    if (at == 1) {
        low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : low;
        high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : high;
    }
    return byte >= low && byte <= high;
}

int utf8_sequence(const char *s, size_t length)
{
    const uint8_t *bytes = (const uint8_t *)s;
    int expected = length ? sequence_length(bytes[0]) : 0;
    for (int i = 1; i < expected; i++) {
        if ((size_t)i == length)
            return -1;
        if (!continues(bytes[0], i, bytes[i]))
            return 0;
    }
    return expected;
}

size_t utf8_encode(uint32_t c, char out[4])
{
    static const uint8_t lead[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
    size_t length = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = length - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(lead[length] | c);
    return length;
}

uint32_t utf8_decode(const char *s, int length)
{
    static const uint8_t mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t c = (uint8_t)s[0] & mask[length];
    for (int i = 1; i < length; i++)
        c = c << 6 | ((uint8_t)s[i] & 0x3f);
    return c;
}
