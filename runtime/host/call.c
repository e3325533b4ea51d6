// Calling an entry: arguments in guest memory, registers, results (docs/program.md).
#include "runtime/host/internal.h"

#include <inttypes.h>
#include <string.h>

enum { RA = 1, SP = 2, GP = 3, A0 = 10, A1 = 11, A2 = 12, INTEGER_REGISTERS = 32 };

struct host_call {
    host_program *program;
    const program_entry *entry;
    uint64_t symbol;               // address of the code
    uint64_t arguments, workspace; // guest addresses
    uint64_t *outputs;             // guest addresses
    array *output_shapes;          // without data
};

// A scalar's bits: zero- or sign-extended as its type says; floats as they are.
static uint64_t scalar_word(scalar_type type, const void *data)
{
    uint64_t word = 0;
    memcpy(&word, data, scalar_size(type));
    unsigned shift = 64 - scalar_rows[type].bits;
    return scalar_rows[type].class == 'i' ? (uint64_t)((int64_t)(word << shift) >> shift) : word;
}

static uint64_t place_input(host_program *p, const program_value *v, const array *value)
{
    if (v->rank == 0)
        return scalar_word(v->type, value->data);
    uint64_t bytes = (uint64_t)array_bytes(value);
    uint64_t address =
        host_add_region(p, arena_format(p->arena, "input '%s'", v->name), bytes, HART_READ);
    if (address)
        hart_memory_write(p->memory, address, value->data, bytes);
    return address;
}

static uint64_t place_poisoned(host_program *p, const char *name, uint64_t bytes)
{
    uint64_t address = host_add_region(p, name, bytes, HART_READ | HART_WRITE);
    void *memory = address ? hart_memory_range(p->memory, address, bytes, HART_WRITE) : NULL;
    if (memory && bytes > 0)
        memset(memory, 0xff, bytes);
    return address;
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

// All arguments are tried, so that every one that does not fit is reported.
static bool place_arguments(host_call *c, const int64_t *dims, const array *inputs, uint64_t *words)
{
    host_program *p = c->program;
    const program_entry *e = c->entry;
    bool ok = true;
    for (size_t i = 0; i < p->description.dim_count; i++)
        *words++ = (uint64_t)dims[i];
    for (size_t i = 0; i < e->inputs.count; i++) {
        const program_value *v = &e->inputs.items[i];
        *words = place_input(p, v, &inputs[i]);
        ok &= v->rank == 0 || *words != 0;
        words++;
    }
    for (size_t i = 0; i < e->outputs.count; i++) {
        const program_value *v = &e->outputs.items[i];
        if (!shape_of(p, v, dims, &c->output_shapes[i]))
            return false;
        c->outputs[i] = place_poisoned(p, arena_format(p->arena, "output '%s'", v->name),
                                       (uint64_t)array_bytes(&c->output_shapes[i]));
        ok &= (*words++ = c->outputs[i]) != 0;
    }
    return ok;
}

host_call *host_call_create(host_program *p, const program_entry *entry, const int64_t *dims,
                            const array *inputs)
{
    host_call *c = ARENA_NEW(p->arena, host_call);
    size_t count = p->description.dim_count + entry->inputs.count + entry->outputs.count;
    uint64_t *words = ARENA_ARRAY(p->arena, uint64_t, count);
    c->program = p;
    c->entry = entry;
    c->symbol = elf_find_symbol(&p->image, entry->symbol)->address;
    c->outputs = ARENA_ARRAY(p->arena, uint64_t, entry->outputs.count);
    c->output_shapes = ARENA_ARRAY(p->arena, array, entry->outputs.count);
    if (!place_arguments(c, dims, inputs, words))
        return NULL;
    c->arguments = host_add_region(p, "arguments", 8 * count, HART_READ);
    c->workspace = place_poisoned(p, "workspace", p->description.workspace_size);
    if (!c->arguments || !c->workspace)
        return NULL;
    hart_memory_write(p->memory, c->arguments, words, 8 * count);
    return c;
}

host_outcome host_call_run(host_call *c, const host_limits *limits)
{
    host_program *p = c->program;
    hart *h = p->hart;
    const elf_symbol *global_pointer = elf_find_symbol(&p->image, "__global_pointer$");
    memset(h->x, 0, INTEGER_REGISTERS * sizeof *h->x);
    h->x[RA] = p->return_address;
    h->x[SP] = p->stack_top;
    h->x[GP] = global_pointer ? global_pointer->address : 0;
    h->x[A0] = c->arguments;
    h->x[A1] = c->workspace;
    h->x[A2] = p->state_address;
    h->pc = c->symbol;
    hart_set_return(h, p->return_address);
    return host_run(p, limits);
}

array host_call_output(const host_call *c, arena *a, size_t index)
{
    const array *shape = &c->output_shapes[index];
    array out = array_create(a, shape->type, shape->rank, shape->shape);
    uint64_t bytes = (uint64_t)array_bytes(&out);
    const void *data = hart_memory_range(c->program->memory, c->outputs[index], bytes, HART_READ);
    if (bytes > 0)
        memcpy(out.data, data, bytes);
    return out;
}
