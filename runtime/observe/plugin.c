// Loads a plugin, and does for it what its services promise.
#include "runtime/observe/settings.h"

#include "runtime/host/refuse.h"
#include "runtime/host/shared_object.h"
#include "runtime/observe/access.h"

#include <dlfcn.h>
#include <string.h>

// --------------------------------------------------------------------- services

static void decode(const isa_instruction *in, observe_instruction *out)
{
    const isa_row *row = &isa_rows[in->opcode];
    *out = (observe_instruction){.word = in->word,
                                 .length = in->length,
                                 .opcode = in->opcode,
                                 .mnemonic = row->syntax ? row->syntax : "illegal",
                                 .class_name = isa_class_names[row->class]};
}

static size_t copy(text *t, char *out, size_t size)
{
    size_t length = t->length;
    if (size > 0)
        snprintf(out, size, "%s", text_string(t));
    text_free(t);
    return length;
}

static size_t disassemble(const isa_instruction *in, uint64_t pc, char *out, size_t size)
{
    text t = {0};
    isa_disassemble(&t, in, pc);
    return copy(&t, out, size);
}

static const void *read_register(hart *h, observe_register kind, unsigned number, size_t *size)
{
    static _Thread_local uint64_t csr;
    *size = 8;
    if (kind == OBSERVE_PC)
        return number == 0 ? &h->pc : NULL;
    if (kind == OBSERVE_CSR)
        return hart_read_csr(h, number, &csr) ? &csr : NULL;
    if (number >= 32)
        return NULL;
    switch (kind) {
    case OBSERVE_X: return &h->x[number];
    case OBSERVE_F: return &h->f[number];
    case OBSERVE_VECTOR: *size = h->vlenb; return h->v + (size_t)number * h->vlenb;
    case OBSERVE_TILE:
        *size = h->lut ? h->lut->tile_bytes : 0;
        return h->lut ? lut_tile(h->lut, number) : NULL;
    default: return NULL;
    }
}

static bool read_memory(hart *h, uint64_t address, void *data, size_t size)
{
    const void *memory = hart_memory_range(h->memory, address, size, HART_READ);
    if (memory && size > 0)
        memcpy(data, memory, size);
    return memory || size == 0;
}

static uint64_t lookups(const hart *h, const isa_instruction *in)
{
    return h->lut && in->opcode == ISA_LMMA ? lut_lookups(h->lut, in) : 0;
}

static const char *symbol(const observe_services *s, uint64_t address, uint64_t *offset)
{
    const elf_symbol *found = elf_symbol_at(host_image(s->program), address);
    if (!found)
        return NULL;
    *offset = address - found->address;
    return found->name;
}

static bool source_line(const observe_services *s, uint64_t address, char *out, size_t size)
{
    text t = {0};
    bool known = host_source_line(s->program, address, &t);
    copy(&t, out, size);
    return known;
}

static const observe_services services = {
    .version = OBSERVE_PLUGIN_VERSION,
    .opcodes = ISA_OPCODE_COUNT,
    .decode = decode,
    .disassemble = disassemble,
    .read_register = read_register,
    .read_memory = read_memory,
    .accesses = observe_accesses,
    .written = observe_written,
    .lookups = lookups,
    .symbol = symbol,
    .source_line = source_line,
};

// ---------------------------------------------------------------------- loading

static const observe_plugin *find_plugin(diagnostics *d, const char *path, void *object)
{
    const observe_plugin *plugin = dlsym(object, OBSERVE_PLUGIN_SYMBOL);
    if (!plugin)
        refuse(d, NOWHERE, "'%s' is no plugin: it does not define '%s' (lutra/observe.h)", path,
               OBSERVE_PLUGIN_SYMBOL);
    else if (plugin->version != OBSERVE_PLUGIN_VERSION)
        refuse(d, NOWHERE,
               "plugin '%s' has version %u, this lutrun takes %d: compile it against the "
               "lutra/observe.h of this version",
               path, plugin->version, OBSERVE_PLUGIN_VERSION);
    else if (!plugin->open)
        refuse(d, NOWHERE, "plugin '%s' has no function 'open'", path);
    else
        return plugin;
    return NULL;
}

bool observe_plugin_open(host_program *p, arena *a, diagnostics *d, const char *argument,
                         observer *out)
{
    const char *colon = strchr(argument, ':');
    size_t length = colon ? (size_t)(colon - argument) : strlen(argument);
    const char *path = arena_string(a, argument, length);
    void *object = shared_object_open(a, d, "plugin", path);
    const observe_plugin *plugin = object ? find_plugin(d, path, object) : NULL;
    observe_services *own = ARENA_NEW(a, observe_services);
    *own = services;
    own->program = p;
    *out = (observer){0};
    if (plugin && plugin->open(colon ? colon + 1 : "", own, out))
        return true;
    if (plugin)
        refuse(d, NOWHERE, "plugin '%s' refused to start", path);
    if (object)
        dlclose(object);
    return false;
}
