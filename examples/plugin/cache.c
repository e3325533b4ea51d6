// A plugin for lutrun: how a data cache would do. Set-associative, least recently used, writes
// allocate; misses are counted by function.
//
//     cc -O2 -shared -fPIC -I PREFIX/include cache.c -o cache.so
//     lutrun --plugin cache.so:size=32768,ways=8,line=64 program.elf
#include <lutra/observe.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_FUNCTIONS = 4096, MOST_WAYS = 64, ROWS_SHOWN = 10 };

typedef struct function {
    const char *name;
    uint64_t accesses, misses;
} function;

typedef struct cache {
    const observe_services *services;
    uint64_t size, ways, line, sets;
    uint64_t *tags; // `ways` per set, the most recently used first; a line's address, plus 1
    function functions[MOST_FUNCTIONS], *current;
    size_t count;
} cache;

// ------------------------------------------------------------------------ the cache

// Moves the line to the front of its set; false: it was not there.
static bool touch(cache *c, uint64_t line)
{
    uint64_t *set = c->tags + line / c->line % c->sets * c->ways;
    uint64_t way = 0;
    while (way + 1 < c->ways && set[way] != line + 1)
        way++;
    bool hit = set[way] == line + 1;
    memmove(set + 1, set, way * sizeof *set);
    set[0] = line + 1;
    return hit;
}

static void visit(void *context, const observe_access *access)
{
    cache *c = context;
    uint64_t last = (access->address + access->size - 1) / c->line;
    for (uint64_t line = access->address / c->line; line <= last; line++) {
        c->current->accesses++;
        c->current->misses += !touch(c, line * c->line);
    }
}

// -------------------------------------------------------------------------- observer

static function *find(cache *c, const char *name)
{
    if (c->current && c->current->name == name)
        return c->current;
    for (size_t i = 0; i < c->count; i++)
        if (c->functions[i].name == name)
            return &c->functions[i];
    if (c->count == MOST_FUNCTIONS)
        return c->functions;
    c->functions[c->count].name = name;
    return &c->functions[c->count++];
}

static void instruction(void *context, struct hart *h, const struct isa_instruction *in)
{
    cache *c = context;
    const observe_services *s = c->services;
    size_t size;
    uint64_t pc, offset;
    memcpy(&pc, s->read_register(h, OBSERVE_PC, 0, &size), sizeof pc);
    const char *name = s->symbol(s, pc, &offset);
    c->current = find(c, name ? name : "(no symbol)");
    s->accesses(h, in, visit, c);
}

static int order(const void *left, const void *right)
{
    const function *a = left, *b = right;
    if (a->misses != b->misses)
        return a->misses > b->misses ? -1 : 1;
    return strcmp(a->name, b->name);
}

static void finish(void *context, int exit_code)
{
    cache *c = context;
    (void)exit_code;
    qsort(c->functions, c->count, sizeof *c->functions, order);
    fprintf(stderr, "%" PRIu64 " bytes, %" PRIu64 " ways of %" PRIu64 "-byte lines\n", c->size,
            c->ways, c->line);
    fprintf(stderr, "%14s %14s  function\n", "lines touched", "misses");
    for (size_t i = 0; i < c->count && i < ROWS_SHOWN; i++)
        fprintf(stderr, "%14" PRIu64 " %14" PRIu64 "  %s\n", c->functions[i].accesses,
                c->functions[i].misses, c->functions[i].name);
    free(c->tags);
    free(c);
}

// ------------------------------------------------------------------------- arguments

// NAME=NUMBER, separated by commas.
static bool read_arguments(cache *c, const char *arguments)
{
    struct {
        const char *name;
        uint64_t *value;
    } rows[] = {{"size=", &c->size}, {"ways=", &c->ways}, {"line=", &c->line}};
    while (*arguments) {
        size_t i = 0;
        while (i < 3 && strncmp(arguments, rows[i].name, 5) != 0)
            i++;
        if (i == 3)
            return false;
        char *end;
        *rows[i].value = strtoull(arguments + 5, &end, 0);
        arguments = *end == ',' ? end + 1 : end;
        if (*end && *end != ',')
            return false;
    }
    return true;
}

static bool is_power_of_two(uint64_t n)
{
    return n > 0 && (n & (n - 1)) == 0;
}

static bool is_valid(const cache *c)
{
    return is_power_of_two(c->size) && is_power_of_two(c->line) && is_power_of_two(c->ways) &&
           c->size <= UINT64_C(1) << 30 && c->line <= 4096 && c->ways <= MOST_WAYS &&
           c->size >= c->line * c->ways;
}

static bool open_cache(const char *arguments, const observe_services *services, observer *out)
{
    cache *c = calloc(1, sizeof *c);
    if (!c)
        return false;
    *c = (cache){.services = services, .size = 32768, .ways = 8, .line = 64};
    if (!read_arguments(c, arguments) || !is_valid(c)) {
        fprintf(stderr, "cache: expected size=BYTES,ways=N,line=BYTES, powers of two: '%s'\n",
                arguments);
        free(c);
        return false;
    }
    c->sets = c->size / (c->line * c->ways);
    c->tags = calloc(c->sets * c->ways, sizeof *c->tags);
    *out = (observer){.context = c, .instruction = instruction, .finish = finish};
    return c->tags != NULL;
}

const observe_plugin lutra_plugin = {OBSERVE_PLUGIN_VERSION, "cache", open_cache};
