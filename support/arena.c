#include "support/arena.h"

#include "support/diagnostic.h"
#include "support/hash.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 16, BLOCK_SIZE = 64 << 10, FIRST_SLOTS = 256 };

// Blocks form a stack, newest first, so that a mark is a block and its fill.
typedef struct block {
    struct block *below;
    size_t used, size;
    size_t written; // bytes from here on were never handed out and are still zero
    _Alignas(ALIGNMENT) unsigned char data[];
} block;

// Interned strings live in an arena of their own: a restore does not touch them.
typedef struct intern_table {
    arena *storage;
    const char **slots; // open addressing, power of two
    size_t count, size;
} intern_table;

struct arena {
    block *top;
    intern_table names;
};

static _Noreturn void out_of_memory(size_t size)
{
    fprintf(stderr, "error: out of memory (%zu bytes more were needed)\n", size);
    exit(EXIT_BUG);
}

static void *zeroed(size_t size)
{
    void *p = calloc(1, size);
    if (!p)
        out_of_memory(size);
    return p;
}

arena *arena_create(void)
{
    return zeroed(sizeof(arena));
}

static void release_above(arena *a, const block *keep)
{
    while (a->top && a->top != keep) {
        block *below = a->top->below;
        free(a->top);
        a->top = below;
    }
}

void arena_destroy(arena *a)
{
    if (!a)
        return;
    release_above(a, NULL);
    arena_destroy(a->names.storage);
    free(a->names.slots);
    free(a);
}

static void push_block(arena *a, size_t size)
{
    if (size < BLOCK_SIZE)
        size = BLOCK_SIZE;
    block *b = zeroed(sizeof(block) + size);
    b->below = a->top;
    b->size = size;
    a->top = b;
}

void *arena_alloc(arena *a, size_t size)
{
    if (size > SIZE_MAX / 2)
        out_of_memory(size);
    size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (!a->top || a->top->size - a->top->used < size)
        push_block(a, size);
    block *b = a->top;
    unsigned char *p = b->data + b->used;
    if (b->written > b->used) {
        size_t stale = b->written - b->used;
        memset(p, 0, stale < size ? stale : size);
    }
    b->used += size;
    if (b->written < b->used)
        b->written = b->used;
    return p;
}

void *arena_alloc_array(arena *a, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        out_of_memory(SIZE_MAX);
    return arena_alloc(a, bytes);
}

void *arena_copy(arena *a, const void *data, size_t size)
{
    void *p = arena_alloc(a, size);
    if (size)
        memcpy(p, data, size);
    return p;
}

char *arena_string(arena *a, const char *text, size_t length)
{
    char *p = arena_alloc(a, length + 1);
    if (length)
        memcpy(p, text, length);
    return p;
}

char *arena_format(arena *a, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0)
        INTERNAL_ERROR("bad format '%s'", format);
    char *p = arena_alloc(a, (size_t)length + 1);
    vsnprintf(p, (size_t)length + 1, format, again);
    va_end(again);
    return p;
}

arena_mark arena_save(arena *a)
{
    return (arena_mark){.block = a->top, .used = a->top ? a->top->used : 0};
}

void arena_restore(arena *a, arena_mark mark)
{
    release_above(a, mark.block);
    if (a->top)
        a->top->used = mark.used;
}

void *arena_grow(arena *a, void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return items;
    size_t larger = *capacity ? 2 * *capacity : 8;
    void *p = arena_alloc_array(a, larger, size);
    if (count)
        memcpy(p, items, count * size);
    *capacity = larger;
    return p;
}

// ------------------------------------------------------------------ interning

static size_t find_slot(const intern_table *t, const char *text, size_t length)
{
    uint64_t hash = hash_bytes(text, length);
    size_t i = (hash ^ hash >> 32) & (t->size - 1);
    while (t->slots[i] && (strncmp(t->slots[i], text, length) != 0 || t->slots[i][length] != '\0'))
        i = (i + 1) & (t->size - 1);
    return i;
}

static void enlarge(intern_table *t)
{
    intern_table old = *t;
    t->size = old.size ? 2 * old.size : FIRST_SLOTS;
    t->slots = zeroed(t->size * sizeof *t->slots);
    for (size_t i = 0; i < old.size; i++)
        if (old.slots[i])
            t->slots[find_slot(t, old.slots[i], strlen(old.slots[i]))] = old.slots[i];
    free(old.slots);
}

// A text with an embedded NUL is interned up to it.
const char *arena_intern_n(arena *a, const char *text, size_t length)
{
    intern_table *t = &a->names;
    length = strnlen(text, length);
    if (!t->storage)
        t->storage = arena_create();
    if (t->count * 2 >= t->size)
        enlarge(t);
    size_t i = find_slot(t, text, length);
    if (!t->slots[i]) {
        t->slots[i] = arena_string(t->storage, text, length);
        t->count++;
    }
    return t->slots[i];
}

const char *arena_intern(arena *a, const char *text)
{
    return arena_intern_n(a, text, strlen(text));
}
