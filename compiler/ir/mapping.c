#include "compiler/ir/module.h"

typedef struct mapping_entry {
    const void *key;
    void *value;
} mapping_entry;

struct ir_mapping {
    arena *arena;
    mapping_entry *entries; // open addressing
    size_t count, capacity; // capacity: 0 or a power of two
};

ir_mapping *ir_mapping_create(arena *a)
{
    ir_mapping *map = ARENA_NEW(a, ir_mapping);
    map->arena = a;
    return map;
}

static mapping_entry *find_entry(const ir_mapping *map, const void *key)
{
    size_t mask = map->capacity - 1;
    size_t at = (size_t)ir_hash_combine(0, (uint64_t)(uintptr_t)key) & mask;
    while (map->entries[at].key && map->entries[at].key != key)
        at = (at + 1) & mask;
    return &map->entries[at];
}

static void grow(ir_mapping *map)
{
    mapping_entry *old = map->entries;
    size_t n = map->capacity;
    map->capacity = n ? 2 * n : 16;
    map->entries = ARENA_ARRAY(map->arena, mapping_entry, map->capacity);
    for (size_t i = 0; i < n; i++)
        if (old[i].key)
            *find_entry(map, old[i].key) = old[i];
}

void ir_mapping_put(ir_mapping *map, const void *key, void *value)
{
    if (4 * (map->count + 1) > 3 * map->capacity)
        grow(map);
    mapping_entry *entry = find_entry(map, key);
    map->count += !entry->key;
    *entry = (mapping_entry){key, value};
}

void *ir_mapping_find(const ir_mapping *map, const void *key)
{
    return map->capacity ? find_entry(map, key)->value : NULL;
}

void ir_mapping_set(ir_mapping *map, const ir_value *from, ir_value *to)
{
    ir_mapping_put(map, from, to);
}

ir_value *ir_mapping_get(const ir_mapping *map, ir_value *from)
{
    ir_value *to = from ? ir_mapping_find(map, from) : NULL;
    return to ? to : from;
}

uint64_t ir_hash_combine(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

uint64_t ir_hash_text(uint64_t hash, const char *s)
{
    for (; s && *s; s++)
        hash = ir_hash_combine(hash, (unsigned char)*s);
    return ir_hash_combine(hash, 0x100);
}
