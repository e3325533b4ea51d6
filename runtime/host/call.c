// Calling an entry: arguments in guest memory, registers, results (docs/program.md).
#include "runtime/host/internal.h"

#include <inttypes.h>
#include <string.h>

enum { RA = 1, SP = 2, GP = 3, INTEGER_REGISTERS = 32 };
enum { A0 = 10, A1, A2, A3, A4, A5 };

// An array's place in guest memory: `size` bytes at most, which end where the region ends.
typedef struct placed {
    uint64_t address; // of the array that is there; 0: a scalar
    uint64_t end;
    uint64_t size;
    uint64_t filled; // bytes of an output that have been
} placed;

struct host_call {
    host_program *program;
    const program_entry *entry;
    uint64_t symbol;               // address of the code
    uint64_t arguments, workspace; // guest addresses
    uint64_t *scratch;             // by rank
    uint64_t *words;               // what is written at `arguments`
    size_t word_count;
    placed *inputs, *outputs;
    array *output_shapes; // without data
};

// A scalar's bits: zero- or sign-extended as its type says; floats as they are.
static uint64_t scalar_word(scalar_type type, const void *data)
{
    uint64_t word = 0;
    memcpy(&word, data, scalar_size(type));
    unsigned shift = 64 - scalar_rows[type].bits;
    return scalar_rows[type].class == 'i' ? (uint64_t)((int64_t)(word << shift) >> shift) : word;
}

static uint64_t aligned(uint64_t bytes)
{
    return (bytes + 63) & -UINT64_C(64);
}

static bool reserve(host_program *p, const char *kind, const program_value *v, uint64_t bytes,
                    unsigned access, placed *out)
{
    const char *name = arena_format(p->arena, "%s '%s'", kind, v->name);
    uint64_t address = host_add_region(p, name, bytes, access);
    if (address)
        p->regions.items[p->regions.count - 1].given = access == HART_READ;
    *out = (placed){address, address + aligned(bytes), bytes, 0};
    return address != 0;
}

static bool shape_of(host_program *p, const program_value *v, const int64_t *dims, array *out)
{
    *out = (array){.type = v->type, .rank = v->rank};
    for (unsigned i = 0; i < v->rank; i++)
        out->shape[i] = description_extent(&v->shape[i], dims);
    if (array_bytes(out) >= 0)
        return true;
    diagnostic_error(p->diagnostics, host_where(p), "'%s' is too large", v->name);
    return false;
}

// All are tried, so that every one that does not fit is reported.
static bool reserve_arrays(host_call *c, const int64_t *dims)
{
    host_program *p = c->program;
    const program_entry *e = c->entry;
    bool ok = true;
    array shape;
    for (size_t i = 0; i < e->inputs.count; i++) {
        const program_value *v = &e->inputs.items[i];
        if (v->rank == 0)
            continue;
        ok &= shape_of(p, v, dims, &shape) &&
              reserve(p, "input", v, (uint64_t)array_bytes(&shape), HART_READ, &c->inputs[i]);
    }
    for (size_t i = 0; i < e->outputs.count; i++) {
        const program_value *v = &e->outputs.items[i];
        ok &= shape_of(p, v, dims, &shape) && reserve(p, "output", v, (uint64_t)array_bytes(&shape),
                                                      HART_READ | HART_WRITE, &c->outputs[i]);
    }
    return ok;
}

// Memory whose contents are undefined; 0: reported. Sizes are those of the largest call there can
// be: what lies behind the first part stays without pages of the host until it is written.
static uint64_t reserve_undefined(host_program *p, const char *name, uint64_t size)
{
    uint64_t address = host_add_region(p, name, size, HART_READ | HART_WRITE);
    void *memory = address ? hart_memory_range(p->memory, address, size, HART_WRITE) : NULL;
    const uint64_t filled = UINT64_C(1) << 28;
    if (memory && size)
        memset(memory, 0xff, size < filled ? size : filled);
    return address;
}

static bool reserve_rest(host_call *c)
{
    host_program *p = c->program;
    c->arguments = host_add_region(p, "arguments", 8 * c->word_count, HART_READ);
    c->workspace = reserve_undefined(p, "workspace", p->description.workspace_size);
    c->scratch = ARENA_ARRAY(p->arena, uint64_t, p->hart_count);
    bool ok = c->arguments && c->workspace;
    for (unsigned i = 0; i < p->hart_count && ok; i++) {
        c->scratch[i] = reserve_undefined(p, "scratch memory", p->description.scratch_size);
        ok = c->scratch[i] != 0;
    }
    return ok;
}

host_call *host_call_reserve(host_program *p, const program_entry *entry, const int64_t *dims)
{
    host_call *c = ARENA_NEW(p->arena, host_call);
    c->program = p;
    c->entry = entry;
    c->symbol = elf_find_symbol(&p->image, entry->symbol)->address;
    c->word_count = p->description.dim_count + entry->inputs.count + entry->outputs.count;
    c->words = ARENA_ARRAY(p->arena, uint64_t, c->word_count);
    c->inputs = ARENA_ARRAY(p->arena, placed, entry->inputs.count);
    c->outputs = ARENA_ARRAY(p->arena, placed, entry->outputs.count);
    c->output_shapes = ARENA_ARRAY(p->arena, array, entry->outputs.count);
    return reserve_arrays(c, dims) && reserve_rest(c) ? c : NULL;
}

host_call *host_call_create(host_program *p, const program_entry *entry, const int64_t *dims,
                            const array *inputs)
{
    host_call *c = host_call_reserve(p, entry, dims);
    return c && host_call_set(c, dims, inputs) && checkpoint_resume(p, entry->name) ? c : NULL;
}

static uint64_t place(placed *x, const array *value)
{
    uint64_t bytes = (uint64_t)array_bytes(value);
    if (bytes > x->size)
        INTERNAL_ERROR("an array of %llu bytes, room for %llu", (unsigned long long)bytes,
                       (unsigned long long)x->size);
    return x->address = x->end - aligned(bytes);
}

// What is never written is no number. Calls of the same size do not pay for it again.
static void fill(const host_program *p, placed *x, uint64_t bytes)
{
    void *memory = bytes && x->filled != bytes
                       ? hart_memory_range(p->memory, x->address, bytes, HART_WRITE)
                       : NULL;
    x->filled = bytes;
    if (memory)
        memset(memory, 0xff, bytes);
}

bool host_call_set(host_call *c, const int64_t *dims, const array *inputs)
{
    host_program *p = c->program;
    uint64_t *word = c->words;
    for (size_t i = 0; i < p->description.dim_count; i++)
        *word++ = (uint64_t)dims[i];
    for (size_t i = 0; i < c->entry->inputs.count; i++) {
        const array *x = &inputs[i];
        *word++ = x->rank == 0 ? scalar_word(x->type, x->data) : place(&c->inputs[i], x);
        if (x->rank > 0)
            hart_memory_write(p->memory, c->inputs[i].address, x->data, (uint64_t)array_bytes(x));
    }
    for (size_t i = 0; i < c->entry->outputs.count; i++) {
        array *x = &c->output_shapes[i];
        if (!shape_of(p, &c->entry->outputs.items[i], dims, x))
            return false;
        *word++ = place(&c->outputs[i], x);
        fill(p, &c->outputs[i], (uint64_t)array_bytes(x));
    }
    hart_memory_write(p->memory, c->arguments, c->words, 8 * c->word_count);
    return true;
}

static void set_registers(const host_call *c, hart *h)
{
    const host_program *p = c->program;
    const elf_symbol *global_pointer = elf_find_symbol(&p->image, "__global_pointer$");
    memset(h->x, 0, INTEGER_REGISTERS * sizeof *h->x);
    h->x[RA] = p->return_address;
    h->x[SP] = p->stack_tops[h->rank];
    h->x[GP] = global_pointer ? global_pointer->address : 0;
    h->x[A0] = c->arguments;
    h->x[A1] = c->workspace;
    h->x[A2] = p->state_address;
    h->x[A3] = h->rank;
    h->x[A4] = p->hart_count;
    h->x[A5] = c->scratch[h->rank];
    h->pc = c->symbol;
}

host_outcome host_call_run(host_call *c, const host_limits *limits)
{
    host_program *p = c->program;
    bool resumed = checkpoint_take_resumed(p);
    for (unsigned i = 0; i < p->hart_count; i++) {
        if (!resumed)
            set_registers(c, p->harts[i]);
        hart_set_return(p->harts[i], p->return_address);
    }
    return host_run(p, c->entry->name, limits);
}

const void *host_call_result(const host_call *c, size_t index)
{
    uint64_t bytes = (uint64_t)array_bytes(&c->output_shapes[index]);
    return hart_memory_range(c->program->memory, c->outputs[index].address, bytes, HART_READ);
}

array host_call_output(const host_call *c, arena *a, size_t index)
{
    const array *shape = &c->output_shapes[index];
    array out = array_create(a, shape->type, shape->rank, shape->shape);
    uint64_t bytes = (uint64_t)array_bytes(&out);
    if (bytes > 0)
        memcpy(out.data, host_call_result(c, index), bytes);
    return out;
}
