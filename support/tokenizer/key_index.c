#include "support/tokenizer/internal.h"

#include <string.h>
#include <xxhash.h>

key_index key_index_create(arena *a, const token_bytes *keys, size_t count)
{
    size_t slots = 16;
    while (slots < 2 * count)
        slots *= 2;
    return (key_index){.keys = keys, .slots = ARENA_ARRAY(a, uint32_t, slots), .mask = slots - 1};
}

// The slot with that key, or the empty one where it belongs.
static uint32_t *slot_of(const key_index *x, const char *data, size_t length)
{
    for (size_t i = XXH3_64bits(data, length);; i++) {
        uint32_t *slot = &x->slots[i & x->mask];
        if (!*slot)
            return slot;
        token_bytes key = x->keys[*slot - 1];
        if (key.length == length && memcmp(key.data, data, length) == 0)
            return slot;
    }
}

uint32_t key_index_add(key_index *x, uint32_t position)
{
    uint32_t *slot = slot_of(x, x->keys[position].data, x->keys[position].length);
    if (*slot)
        return *slot - 1;
    *slot = position + 1;
    return NO_TOKEN;
}

uint32_t key_index_find(const key_index *x, const char *data, size_t length)
{
    uint32_t slot = *slot_of(x, data, length);
    return slot ? slot - 1 : NO_TOKEN;
}
