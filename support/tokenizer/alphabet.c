// The byte alphabet of GPT-2: printable bytes are the character of their number, the others
// follow from U+0100 on.
#include "support/tokenizer/internal.h"

static const struct {
    uint32_t first, last, character; // bytes, and the character of the first
} ranges[] = {
    {0, 32, 256}, {33, 126, 33}, {127, 160, 289}, {161, 172, 161}, {173, 173, 323}, {174, 255, 174},
};
enum { RANGE_COUNT = sizeof ranges / sizeof *ranges };

uint32_t alphabet_character(uint8_t byte)
{
    size_t i = 0;
    while (byte > ranges[i].last)
        i++;
    return ranges[i].character + byte - ranges[i].first;
}

bool alphabet_byte(uint32_t character, uint8_t *byte)
{
    for (size_t i = 0; i < RANGE_COUNT; i++) {
        uint32_t offset = character - ranges[i].character;
        if (character < ranges[i].character || offset > ranges[i].last - ranges[i].first)
            continue;
        *byte = (uint8_t)(ranges[i].first + offset);
        return true;
    }
    return false;
}
