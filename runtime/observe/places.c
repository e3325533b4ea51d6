#include "runtime/observe/places.h"

#include <string.h>

static void print_function(host_program *p, uint64_t pc, text *out)
{
    const elf_symbol *s = elf_symbol_at(host_image(p), pc);
    text_append(out, s ? s->name : "(no symbol)");
}

static void print_place(host_program *p, uint64_t pc, text *out)
{
    if (!host_source_line(p, pc, out))
        text_append(out, "(no line)");
}

// A place without its column.
static void print_line(host_program *p, uint64_t pc, text *out)
{
    print_place(p, pc, out);
    char *colon = strrchr(out->data, ':');
    const char *before = colon ? memchr(out->data, ':', (size_t)(colon - out->data)) : NULL;
    if (before && strspn(colon + 1, "0123456789") == strlen(colon + 1)) {
        *colon = 0;
        out->length = (size_t)(colon - out->data);
    }
}

static void print_opcode(host_program *p, uint64_t pc, text *out)
{
    isa_instruction in;
    if (hart_fetch(host_hart(p), pc, &in) && in.opcode != ISA_ILLEGAL)
        host_print_mnemonic(in.opcode, out);
    else
        text_append(out, "(gone)");
}

const observe_grouping observe_groupings[OBSERVE_GROUPINGS] = {
    [OBSERVE_FUNCTIONS] = {"functions", "functions", print_function},
    [OBSERVE_LINES] = {"source lines", "lines", print_line},
    [OBSERVE_PLACES] = {"places in the source", "places", print_place},
    [OBSERVE_OPCODES] = {"opcodes", "opcodes", print_opcode},
};
