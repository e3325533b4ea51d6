// Loading: file, description, machine, memory, weights, hart.
#include "runtime/host/internal.h"

#include "runtime/host/refuse.h"
#include "runtime/host/team.h"
#include "support/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char default_machine[] = "m2n64k4";
static const uint64_t region_alignment = 64, first_gap = 1 << 20;

#define FAIL(p, ...) refuse((p)->diagnostics, host_where(p), __VA_ARGS__)

// ---------------------------------------------------------------------- regions

static void name_region(host_program *p, const char *name, uint64_t address, uint64_t size)
{
    ARRAY_PUSH(p->arena, &p->regions, (host_region){name, address, size});
    uint64_t page = hart_memory_page(), end = (address + size + page - 1) & -page;
    if (end > p->next_address)
        p->next_address = end;
}

uint64_t host_add_region(host_program *p, const char *name, uint64_t size, unsigned access)
{
    uint64_t page = hart_memory_page(), limit = hart_memory_limit(p->memory);
    uint64_t base = p->next_address + page;
    if (size > limit || base + page > limit || size > limit - base - page) {
        FAIL(p, "%s needs %" PRIu64 " bytes; the guest's memory has %" PRIu64 " left", name, size,
             base + page < limit ? limit - base - page : 0);
        return 0;
    }
    uint64_t used = (size + region_alignment - 1) & -region_alignment;
    uint64_t pages = (used + page - 1) & -page;
    if (pages > 0 && !hart_memory_map(p->memory, base, pages, access)) {
        FAIL(p, "cannot get %" PRIu64 " bytes of memory for %s: %s", pages, name, strerror(errno));
        return 0;
    }
    uint64_t address = base + pages - used;
    name_region(p, name, address, size);
    p->next_address = base + pages;
    return address;
}

static void name_segments(host_program *p)
{
    for (size_t i = 0; i < p->image.segment_count; i++) {
        const elf_segment *s = &p->image.segments[i];
        const char *name = s->access & HART_EXECUTE ? "code"
                           : s->access & HART_WRITE ? "data"
                                                    : "constants";
        if (p->is_model && p->description.weights.size > 0 &&
            s->address == p->description.weights.address)
            name = "weights";
        name_region(p, name, s->address, s->memory_size);
    }
}

// ---------------------------------------------------------------------- machine

static void print_machine(text *out, const machine *m, uint64_t hash)
{
    text_printf(out, "'%s' (vlen %" PRIu32 ", ", m->name, m->vlen);
    if (m->tile_m)
        text_printf(out, "tile m%" PRIu32 " n%" PRIu32, m->tile_m, m->tile_n);
    else
        text_append(out, "no LUT unit");
    text_printf(out, ", hash %016" PRIx64 ")", hash);
}

static machine built_for(const host_program *p)
{
    return (machine){.name = p->description.machine.name,
                     .vlen = p->description.machine.vlen,
                     .tile_m = p->description.machine.tile_m,
                     .tile_n = p->description.machine.tile_n};
}

static bool check_architecture(host_program *p, const host_options *options)
{
    const machine built = built_for(p);
    uint64_t wanted = p->description.machine.hash, have = machine_hash(&p->machine);
    if (wanted == have)
        return true;
    text for_text = {0}, on_text = {0};
    print_machine(&for_text, &built, wanted);
    print_machine(&on_text, &p->machine, have);
    text option = {0};
    if (options->vlen && options->vlen != built.vlen) {
        text_append(&option, "leave --vlen out");
    } else {
        text_printf(&option, "give --machine %s", built.name);
        if (strcmp(built.name, p->machine.name) == 0)
            machine_print_difference(&option, &p->machine, &built);
    }
    FAIL(p,
         "compiled for machine %s, which differs in architecture from %s; %s, or compile it for "
         "that machine",
         text_string(&for_text), text_string(&on_text), text_string(&option));
    text_free(&option);
    text_free(&for_text);
    text_free(&on_text);
    return false;
}

static bool is_builtin(const char *name)
{
    for (const char *const *n = machine_builtin_names; *n; n++)
        if (strcmp(*n, name) == 0)
            return true;
    return false;
}

// A program names its machine, and says what architecture it has; one that is not built in is known
// by that alone.
static bool choose_machine(host_program *p, const host_options *options)
{
    const machine made = built_for(p);
    const char *own = p->is_model ? made.name : default_machine;
    const char *name = options->machine ? options->machine : own;
    if (options->machine || !p->is_model) {
        if (!machine_load(p->arena, p->diagnostics, name, &p->machine))
            return false;
    } else if (!is_builtin(name)) {
        p->machine = made;
    } else if (!machine_load_for(p->arena, p->diagnostics, name, made.vlen, made.tile_m,
                                 made.tile_n, &p->machine)) {
        return false;
    }
    if (options->vlen)
        p->machine.vlen = options->vlen;
    return !p->is_model || check_architecture(p, options);
}

static bool create_hart(host_program *p)
{
    const machine *m = &p->machine;
    lut_unit *lut = NULL;
    if (m->tile_m && !(lut = lut_unit_create(m->tile_m, m->tile_n)))
        return FAIL(p, "machine '%s': no LUT unit has tiles of m%" PRIu32 " n%" PRIu32, m->name,
                    m->tile_m, m->tile_n);
    hart *h = hart_create(p->memory, m->vlen, lut);
    if (!h) {
        lut_unit_destroy(lut);
        return FAIL(p, "VLEN %" PRIu32 " is not a power of two within 128..%d", m->vlen,
                    HART_MAX_VLEN);
    }
    h->rank = p->hart_count;
    p->harts[p->hart_count++] = h;
    return true;
}

static bool create_harts(host_program *p, uint32_t count)
{
    uint32_t most = p->is_model ? p->description.harts : 1;
    if (count > 1 && !p->is_model)
        return FAIL(p, "a plain program runs on one hart; --harts is for programs with entries");
    if (count > most)
        return FAIL(p,
                    "the program runs on %" PRIu32 " hart%s at most, not on %" PRIu32
                    "; lutc's pass 'partition' makes programs for several",
                    most, most == 1 ? "" : "s", count);
    p->harts = ARENA_ARRAY(p->arena, hart *, count);
    bool ok = true;
    for (uint32_t i = 0; i < count && ok; i++)
        ok = create_hart(p);
    p->hart = p->harts[0];
    return ok;
}

// ---------------------------------------------------------------------- weights

static bool check_weights(host_program *p, const char *name)
{
    if (p->weights.tile_m != p->machine.tile_m || p->weights.tile_n != p->machine.tile_n)
        return FAIL(p,
                    "the weights in '%s' are packed for tiles of m%" PRIu32 " n%" PRIu32
                    ", not m%" PRIu32 " n%" PRIu32,
                    name, p->weights.tile_m, p->weights.tile_n, p->machine.tile_m,
                    p->machine.tile_n);
    return p->weights.layout == p->description.weights.layout ||
           FAIL(p,
                "the weights in '%s' are not those that the program was compiled for: their "
                "names, formats, shapes or places differ",
                name);
}

static bool segment_weights(host_program *p)
{
    uint64_t address = p->description.weights.address, size = p->description.weights.size;
    for (size_t i = 0; i < p->image.segment_count; i++) {
        const elf_segment *s = &p->image.segments[i];
        if (address < s->address || address - s->address > s->file_size ||
            size > s->file_size - (address - s->address))
            continue;
        uint64_t skip = address - s->address;
        p->weight_data = p->file.data + s->offset + skip;
        return packed_file_parse(p->arena, p->diagnostics, p->path, p->weight_data,
                                 s->file_size - skip, &p->weights) &&
               check_weights(p, p->path);
    }
    return FAIL(p, "no segment holds the %" PRIu64 " bytes of weights at 0x%" PRIx64, size,
                address);
}

// A path relative to the folder of the program.
static const char *beside_program(host_program *p, const char *file)
{
    const char *slash = strrchr(p->path, '/');
    if (*file == '/' || !slash)
        return file;
    return arena_format(p->arena, "%.*s%s", (int)(slash + 1 - p->path), p->path, file);
}

const char *host_weights_file(host_program *p)
{
    const bool beside = p->is_model && p->description.weights.size && p->description.weights.file;
    return beside ? beside_program(p, p->description.weights.file) : NULL;
}

static bool map_weights(host_program *p, const char *name)
{
    uint64_t address = p->description.weights.address, page = hart_memory_page();
    uint64_t size = p->weight_file.size, rounded = (size + page - 1) & -page;
    for (size_t i = 0; i < p->image.segment_count; i++) {
        const elf_segment *s = &p->image.segments[i];
        if (s->address < address + rounded && address < s->address + s->memory_size)
            return FAIL(p, "the weights at 0x%" PRIx64 " overlap the segment at 0x%" PRIx64,
                        address, s->address);
    }
    if (!hart_memory_map_file(p->memory, address, size, HART_READ, p->weight_file.descriptor, 0,
                              size))
        return FAIL(p, "cannot map '%s' at 0x%" PRIx64 ": %s", name, address, strerror(errno));
    name_region(p, "weights", address, size);
    return true;
}

static bool file_weights(host_program *p)
{
    const char *path = beside_program(p, p->description.weights.file);
    if (!file_map(p->diagnostics, path, &p->weight_file))
        return false;
    if (p->weight_file.size < p->description.weights.size)
        return FAIL(p, "'%s' has %zu bytes; the program was compiled for %" PRIu64, path,
                    p->weight_file.size, p->description.weights.size);
    p->weight_data = p->weight_file.data;
    return packed_file_parse(p->arena, p->diagnostics, path, p->weight_data, p->weight_file.size,
                             &p->weights) &&
           check_weights(p, path) && map_weights(p, path);
}

static bool load_weights(host_program *p)
{
    if (!p->is_model || p->description.weights.size == 0)
        return true;
    return p->description.weights.file ? file_weights(p) : segment_weights(p);
}

// ------------------------------------------------------------------------- load

static bool check_entries(host_program *p)
{
    bool ok = true;
    for (size_t i = 0; i < p->description.entry_count; i++) {
        const program_entry *e = &p->description.entries[i];
        if (!elf_find_symbol(&p->image, e->symbol))
            ok = FAIL(p, "entry '%s': the program has no symbol '%s' (stripped?)", e->name,
                      e->symbol);
    }
    return ok;
}

static bool read_program(host_program *p)
{
    if (!file_map(p->diagnostics, p->path, &p->file) ||
        !elf_parse(p->arena, p->diagnostics, p->path, p->file.data, p->file.size, &p->image))
        return false;
    p->is_model = p->image.description != NULL;
    return !p->is_model ||
           (description_parse(p->arena, p->diagnostics, p->path, p->image.description,
                              p->image.description_length, &p->description) &&
            check_entries(p));
}

static bool prepare_entries(host_program *p)
{
    enum { STACK = 1 << 20 };
    bool ok = true;
    if (!p->is_model)
        return true;
    const uint64_t record = 16; // a frame pointer and a return address of 0: backtraces end there
    p->stack_tops = ARENA_ARRAY(p->arena, uint64_t, p->hart_count);
    for (unsigned i = 0; i < p->hart_count && ok; i++) {
        uint64_t stack = host_add_region(p, "stack", STACK, HART_READ | HART_WRITE);
        p->stack_tops[i] = stack + STACK - record;
        ok = stack != 0;
    }
    p->state_address =
        ok ? host_add_region(p, "state", p->description.state_size, HART_READ | HART_WRITE) : 0;
    p->return_address = p->next_address; // in the guard page behind the state
    return p->state_address != 0;
}

host_program *host_open(arena *a, diagnostics *d, const char *path)
{
    host_program *p = ARENA_NEW(a, host_program);
    p->arena = a;
    p->diagnostics = d;
    p->path = arena_string(a, path, strlen(path));
    p->file.descriptor = p->weight_file.descriptor = -1;
    if (read_program(p))
        return p;
    host_close(p);
    return NULL;
}

bool host_load(host_program *p, const host_options *options)
{
    if (!choose_machine(p, options))
        return false;
    p->memory = hart_memory_create();
    if (!p->memory)
        return FAIL(p, "cannot reserve address space for the guest: %s", strerror(errno));
    if (!elf_map(p->diagnostics, p->path, &p->image, p->file.data, p->file.descriptor, p->memory))
        return false;
    name_segments(p);
    if (!load_weights(p) || !create_harts(p, options->harts ? options->harts : 1))
        return false;
    p->next_address += first_gap;
    p->process = linux_create(p->arena);
    return prepare_entries(p);
}

void host_close(host_program *p)
{
    if (!p)
        return;
    source_lines_close(p->lines);
    linux_destroy(p->process);
    team_destroy(p->team);
    for (unsigned i = 0; i < p->hart_count; i++) {
        lut_unit *lut = p->harts[i]->lut;
        hart_destroy(p->harts[i]);
        lut_unit_destroy(lut);
    }
    hart_memory_destroy(p->memory);
    file_unmap(&p->weight_file);
    file_unmap(&p->file);
    *p = (host_program){0};
}

const program_description *host_description(const host_program *p)
{
    return p->is_model ? &p->description : NULL;
}

const packed_file *host_weights(const host_program *p)
{
    return &p->weights;
}

bool host_metadata(const host_program *p, metadata *out)
{
    *out = (metadata){0};
    return !p->weight_data || packed_file_metadata(p->arena, p->diagnostics, p->path, &p->weights,
                                                   p->weight_data, out);
}

void host_reset_states(host_program *p)
{
    uint64_t size = p->description.state_size;
    if (p->runs == p->runs_at_reset) // untouched: large states cost no memory
        return;
    p->runs_at_reset = p->runs;
    void *states = hart_memory_range(p->memory, p->state_address, size, HART_WRITE);
    if (states && size)
        memset(states, 0, size);
}

uint64_t host_finished_calls(const host_program *p)
{
    return p->runs;
}

const machine *host_machine(const host_program *p)
{
    return &p->machine;
}

const char *host_path(const host_program *p)
{
    return p->path;
}

const elf_image *host_image(const host_program *p)
{
    return &p->image;
}

hart *host_hart(const host_program *p)
{
    return p->hart;
}
