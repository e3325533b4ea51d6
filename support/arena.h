// Region memory and growable arrays.
//
// One arena lives as long as one job (a compilation, a load); nothing in it is
// freed one by one. Running out of host memory ends the process with exit code
// 3: no caller has to check for NULL. Sizes that come from a file must be
// checked against that file's size before they reach an allocation.
#pragma once

#include <stdarg.h>
#include <stddef.h>

typedef struct arena arena;

arena *arena_create(void);
void arena_destroy(arena *a); // NULL is fine

// Zeroed, aligned to 16 bytes, valid until the arena (or the mark below it) goes.
void *arena_alloc(arena *a, size_t size);
void *arena_copy(arena *a, const void *data, size_t size);
char *arena_string(arena *a, const char *text, size_t length); // NUL-terminated copy
char *arena_format(arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define ARENA_NEW(a, type) ((type *)arena_alloc((a), sizeof(type)))
#define ARENA_ARRAY(a, type, count) ((type *)arena_alloc_array((a), (count), sizeof(type)))
void *arena_alloc_array(arena *a, size_t count, size_t size); // overflow-checked

// Scratch use: everything allocated after the mark is released by the reset.
typedef struct arena_mark {
    void *block;
    size_t used;
} arena_mark;
arena_mark arena_save(arena *a);
void arena_restore(arena *a, arena_mark mark);

// Interned strings: equal texts give equal pointers for the life of the arena.
const char *arena_intern(arena *a, const char *text);
const char *arena_intern_n(arena *a, const char *text, size_t length);

// A growable array of T in an arena:   struct { T *items; size_t count, capacity; }
#define ARRAY_OF(T)                                                                                \
    struct {                                                                                       \
        T *items;                                                                                  \
        size_t count, capacity;                                                                    \
    }
#define ARRAY_PUSH(a, array, ...)                                                                  \
    ((array)->items = arena_grow((a), (array)->items, (array)->count, &(array)->capacity,          \
                                 sizeof *(array)->items),                                          \
     (array)->items[(array)->count++] = (__VA_ARGS__))
void *arena_grow(arena *a, void *items, size_t count, size_t *capacity, size_t size);
