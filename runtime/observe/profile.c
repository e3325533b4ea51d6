// Counts instructions by address, and at the end by function, by source line, by operation (a
// place in the source) and by opcode.
#include "runtime/observe/settings.h"

#include "runtime/observe/places.h"
#include "support/file.h"
#include "support/json_name.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAGE_BITS = 12,
    PAGE_SLOTS = 1 << (PAGE_BITS - 1), // instructions begin at even addresses
    FIRST_CAPACITY = 64,
    ROWS_SHOWN = 32,
    SCHEMA_VERSION = 1,
};

// The counts of 4 KiB of code.
typedef struct page {
    uint64_t number; // address >> PAGE_BITS
    uint64_t counts[PAGE_SLOTS], lookups[PAGE_SLOTS];
} page;

typedef struct profile {
    host_program *program;
    diagnostics *diagnostics;
    bool json;
    output_file *file; // NULL: stderr
    uint64_t calls, instructions, lookups;
    page **pages; // a hash table by number, at most half full
    size_t page_count, capacity;
    page *last;
} profile;

// ---------------------------------------------------------------------- counting

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (!memory)
        INTERNAL_ERROR("out of memory");
    return memory;
}

static page **slot_of(page **pages, size_t capacity, uint64_t number)
{
    size_t i = (size_t)(number * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (capacity - 1);
    while (pages[i] && pages[i]->number != number)
        i = (i + 1) & (capacity - 1);
    return &pages[i];
}

static void grow(profile *f)
{
    size_t capacity = f->capacity ? 2 * f->capacity : FIRST_CAPACITY;
    page **pages = allocate(capacity, sizeof *pages);
    for (size_t i = 0; i < f->capacity; i++)
        if (f->pages[i])
            *slot_of(pages, capacity, f->pages[i]->number) = f->pages[i];
    free(f->pages);
    f->pages = pages;
    f->capacity = capacity;
}

static page *find_page(profile *f, uint64_t number)
{
    if (2 * f->page_count >= f->capacity)
        grow(f);
    page **slot = slot_of(f->pages, f->capacity, number);
    if (!*slot) {
        *slot = allocate(1, sizeof **slot);
        (*slot)->number = number;
        f->page_count++;
    }
    return f->last = *slot;
}

static void count_instruction(void *context, hart *h, const isa_instruction *in)
{
    profile *f = context;
    uint64_t number = h->pc >> PAGE_BITS;
    page *p = f->last && f->last->number == number ? f->last : find_page(f, number);
    size_t slot = (h->pc & ((1u << PAGE_BITS) - 1)) / 2;
    p->counts[slot]++;
    if (in->opcode == ISA_LMMA && h->lut)
        p->lookups[slot] += lut_lookups(h->lut, in);
}

static void count_call(void *context, hart *h, const char *name)
{
    (void)name;
    ((profile *)context)->calls += h->rank == 0;
}

// ---------------------------------------------------------------------- grouping

typedef struct row {
    const char *name;
    uint64_t instructions, lookups;
} row;

typedef ARRAY_OF(row) row_list;

static int name_order(const void *left, const void *right)
{
    return strcmp(((const row *)left)->name, ((const row *)right)->name);
}

static int count_order(const void *left, const void *right)
{
    const row *a = left, *b = right;
    if (a->instructions != b->instructions)
        return a->instructions > b->instructions ? -1 : 1;
    return name_order(left, right);
}

// Joins rows of one name; the most frequent come first.
static void group(row_list *l)
{
    size_t kept = 0;
    if (l->count == 0)
        return;
    qsort(l->items, l->count, sizeof *l->items, name_order);
    for (size_t i = 1; i < l->count; i++) {
        if (strcmp(l->items[kept].name, l->items[i].name) != 0) {
            l->items[++kept] = l->items[i];
            continue;
        }
        l->items[kept].instructions += l->items[i].instructions;
        l->items[kept].lookups += l->items[i].lookups;
    }
    l->count = kept + 1;
    qsort(l->items, l->count, sizeof *l->items, count_order);
}

static void add_page(profile *f, arena *a, const page *p, const observe_grouping *g, row_list *out)
{
    for (size_t i = 0; i < PAGE_SLOTS; i++) {
        text name = {0};
        if (!p->counts[i])
            continue;
        g->print(f->program, (p->number << PAGE_BITS) + 2 * i, &name);
        ARRAY_PUSH(a, out,
                   (row){arena_string(a, name.data, name.length), p->counts[i], p->lookups[i]});
        text_free(&name);
    }
}

static row_list rows_of(profile *f, arena *a, const observe_grouping *g)
{
    row_list rows = {0};
    for (size_t i = 0; i < f->capacity; i++)
        if (f->pages[i])
            add_page(f, a, f->pages[i], g, &rows);
    group(&rows);
    return rows;
}

// ------------------------------------------------------------------------ output

static double percent(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void print_row(const profile *f, const row *r, FILE *stream)
{
    fprintf(stream, "%16" PRIu64 "  %5.1f", r->instructions,
            percent(r->instructions, f->instructions));
    if (f->lookups && r->lookups)
        fprintf(stream, "  %16" PRIu64 "  %5.1f", r->lookups, percent(r->lookups, f->lookups));
    else if (f->lookups)
        fprintf(stream, "  %16s  %5s", "-", "-");
    fprintf(stream, "  %s\n", r->name);
}

static void print_group(const profile *f, const observe_grouping *g, const row_list *rows,
                        FILE *stream)
{
    row rest = {.name = ""};
    fprintf(stream, "\n%16s  %5s", "instructions", "%");
    if (f->lookups)
        fprintf(stream, "  %16s  %5s", "lookups", "%");
    fprintf(stream, "  %s\n", g->title);
    for (size_t i = 0; i < rows->count && i < ROWS_SHOWN; i++)
        print_row(f, &rows->items[i], stream);
    for (size_t i = ROWS_SHOWN; i < rows->count; i++) {
        rest.instructions += rows->items[i].instructions;
        rest.lookups += rows->items[i].lookups;
    }
    char name[64];
    snprintf(name, sizeof name, "(%zu more)", rows->count - ROWS_SHOWN);
    rest.name = name;
    if (rows->count > ROWS_SHOWN)
        print_row(f, &rest, stream);
}

static void print_text(profile *f, const row_list rows[OBSERVE_GROUPINGS], FILE *stream)
{
    fprintf(stream,
            "profile of %s: %" PRIu64 " instructions, %" PRIu64 " lookups in %" PRIu64 " calls\n",
            host_path(f->program), f->instructions, f->lookups, f->calls);
    for (size_t i = 0; i < OBSERVE_GROUPINGS; i++)
        if (i != OBSERVE_PLACES ||
            rows[OBSERVE_PLACES].count > rows[OBSERVE_LINES].count) // else they have no columns
            print_group(f, &observe_groupings[i], &rows[i], stream);
}

static json_t *row_json(const profile *f, const row *r)
{
    return json_pack("{s:o, s:I, s:f, s:I}", "name", json_name(r->name), "instructions",
                     (json_int_t)r->instructions, "percent",
                     percent(r->instructions, f->instructions), "lookups", (json_int_t)r->lookups);
}

static void print_json(profile *f, const row_list rows[OBSERVE_GROUPINGS], FILE *stream)
{
    json_t *root = json_pack("{s:s, s:i, s:o, s:I, s:I, s:I}", "schema", "lutrun-profile",
                             "version", SCHEMA_VERSION, "program", json_name(host_path(f->program)),
                             "calls", (json_int_t)f->calls, "instructions",
                             (json_int_t)f->instructions, "lookups", (json_int_t)f->lookups);
    for (size_t i = 0; i < OBSERVE_GROUPINGS; i++) {
        json_t *list = json_array();
        for (size_t j = 0; j < rows[i].count; j++)
            json_array_append_new(list, row_json(f, &rows[i].items[j]));
        json_object_set_new(root, observe_groupings[i].key, list);
    }
    json_dumpf(root, stream, JSON_INDENT(2));
    fputc('\n', stream);
    json_decref(root);
}

static void add_totals(profile *f)
{
    for (size_t i = 0; i < f->capacity; i++)
        for (size_t j = 0; f->pages[i] && j < PAGE_SLOTS; j++) {
            f->instructions += f->pages[i]->counts[j];
            f->lookups += f->pages[i]->lookups[j];
        }
}

static void release(profile *f)
{
    for (size_t i = 0; i < f->capacity; i++)
        free(f->pages[i]);
    free(f->pages);
    free(f);
}

static void write_profile(profile *f)
{
    arena *a = arena_create();
    row_list rows[OBSERVE_GROUPINGS];
    add_totals(f);
    for (size_t i = 0; i < OBSERVE_GROUPINGS; i++)
        rows[i] = rows_of(f, a, &observe_groupings[i]);
    if (f->json)
        print_json(f, rows, output_stream(f->file));
    else
        print_text(f, rows, f->file ? output_stream(f->file) : stderr);
    if (f->file)
        output_commit(f->diagnostics, f->file);
    arena_destroy(a);
}

static void finish(void *context, int exit_code)
{
    (void)exit_code;
    profile *f = context;
    if (f->calls)
        write_profile(f);
    else // the run never began
        output_abandon(f->file);
    release(f);
}

bool observe_profile_open(host_program *p, diagnostics *d, const char *path, observer *out)
{
    output_file *file = *path ? output_open(d, path) : NULL;
    if (*path && !file)
        return false;
    profile *f = allocate(1, sizeof *f);
    *f = (profile){
        .program = p, .diagnostics = d, .json = text_ends_with(path, ".json"), .file = file};
    *out = (observer){
        .context = f, .begin = count_call, .instruction = count_instruction, .finish = finish};
    return true;
}
