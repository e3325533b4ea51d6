// What went wrong, where, and what lies around it.
#include "runtime/host/internal.h"

#include "support/text.h"

#include <inttypes.h>
#include <string.h>

enum {
    SIGNAL_ILL = 4,
    SIGNAL_TRAP = 5,
    SIGNAL_BUS = 7,
    SIGNAL_KILL = 9,
    SIGNAL_SEGV = 11,
    SIGNAL_XCPU = 24,
    SIGNAL_BASE = 128,
    CONTEXT = 2,        // instructions before and after
    FARTHEST = 1 << 20, // a region this near to an address is mentioned
    LONGEST_SWEEP = 1 << 16,
};

static const struct {
    int signal;
    const char *name;
} signals[] = {
    [HART_FETCH_MISALIGNED] = {SIGNAL_BUS, "SIGBUS"},
    [HART_FETCH_FAULT] = {SIGNAL_SEGV, "SIGSEGV"},
    [HART_ILLEGAL_INSTRUCTION] = {SIGNAL_ILL, "SIGILL"},
    [HART_BREAKPOINT] = {SIGNAL_TRAP, "SIGTRAP"},
    [HART_LOAD_MISALIGNED] = {SIGNAL_BUS, "SIGBUS"},
    [HART_LOAD_FAULT] = {SIGNAL_SEGV, "SIGSEGV"},
    [HART_STORE_MISALIGNED] = {SIGNAL_BUS, "SIGBUS"},
    [HART_STORE_FAULT] = {SIGNAL_SEGV, "SIGSEGV"},
};

int host_exit_code(const host_program *p, const host_outcome *outcome)
{
    switch (outcome->end) {
    case HOST_RETURNED: return 0;
    case HOST_EXITED: return outcome->exit_code;
    case HOST_FAULTED: return SIGNAL_BASE + signals[p->hart->cause].signal;
    case HOST_STOPPED: return SIGNAL_BASE + SIGNAL_KILL;
    default: return SIGNAL_BASE + SIGNAL_XCPU;
    }
}

void host_print_place(const host_program *p, uint64_t address, text *out)
{
    const elf_symbol *s = elf_symbol_at(&p->image, address);
    if (!s)
        text_printf(out, "0x%" PRIx64, address);
    else if (s->address == address)
        text_append(out, s->name);
    else
        text_printf(out, "%s+0x%" PRIx64, s->name, address - s->address);
}

// ---------------------------------------------------------------- instructions

static void print_instruction(const host_program *p, uint64_t address, const char *mark,
                              FILE *stream)
{
    isa_instruction in;
    if (!hart_fetch(p->hart, address, &in))
        return;
    text t = {0};
    if (in.opcode == ISA_ILLEGAL)
        text_append(&t, "<not an instruction>");
    else
        isa_disassemble(&t, &in, address);
    fprintf(stream, "  %s %8" PRIx64 ":  %0*" PRIx32 "%*s  %s\n", mark, address,
            in.length == 2 ? 4 : 8, in.word, in.length == 2 ? 4 : 0, "", text_string(&t));
    text_free(&t);
}

// Instructions have two lengths: those before pc are found by walking from the function's start.
static size_t preceding(const host_program *p, uint64_t pc, uint64_t before[CONTEXT])
{
    const elf_symbol *s = elf_symbol_at(&p->image, pc);
    size_t count = 0;
    isa_instruction in;
    if (!s || pc - s->address > LONGEST_SWEEP)
        return 0;
    for (uint64_t at = s->address; at < pc && hart_fetch(p->hart, at, &in); at += in.length) {
        if (count == CONTEXT)
            memmove(before, before + 1, (CONTEXT - 1) * sizeof *before);
        before[count < CONTEXT ? count++ : CONTEXT - 1] = at;
    }
    return count;
}

static void print_code(const host_program *p, uint64_t pc, FILE *stream)
{
    uint64_t before[CONTEXT];
    size_t count = preceding(p, pc, before);
    for (size_t i = 0; i < count; i++)
        print_instruction(p, before[i], " ", stream);
    print_instruction(p, pc, ">", stream);
    isa_instruction in;
    for (int i = 0; i < CONTEXT && hart_fetch(p->hart, pc, &in); i++) {
        pc += in.length;
        print_instruction(p, pc, " ", stream);
    }
}

static void print_register(const host_program *p, unsigned number, FILE *stream)
{
    fprintf(stream, "  %s = 0x%" PRIx64, isa_x_names[number], p->hart->x[number]);
}

static void print_registers(const host_program *p, FILE *stream)
{
    static const uint8_t numbers[] = {1, 2, 10, 11, 12, 13, 14, 15, 16, 17};
    for (size_t i = 0; i < sizeof numbers; i++) {
        print_register(p, numbers[i], stream);
        if (i % 5 == 4 || i + 1 == sizeof numbers)
            fputc('\n', stream);
    }
}

// --------------------------------------------------------------------- address

static const char *access_words(unsigned access)
{
    static const char *const words[] = {"nothing", "reading", "writing",    "reading and writing",
                                        "running", "running", "everything", "everything"};
    return words[access & 7];
}

static unsigned access_at(const host_program *p, uint64_t address)
{
    unsigned access = 0;
    for (unsigned bit = HART_READ; bit <= HART_EXECUTE; bit <<= 1)
        if (hart_memory_range(p->memory, address, 1, bit))
            access |= bit;
    return access;
}

static void print_region(const host_region *r, FILE *stream)
{
    fprintf(stream, "%s (0x%" PRIx64 "..0x%" PRIx64 ", %" PRIu64 " bytes)", r->name, r->address,
            r->address + r->size, r->size);
}

// The distance from an address outside a region to it.
static uint64_t distance(const host_region *r, uint64_t address)
{
    return address < r->address ? r->address - address : address - (r->address + r->size);
}

static const host_region *nearest_region(const host_program *p, uint64_t address, bool *inside)
{
    const host_region *nearest = NULL;
    for (size_t i = 0; i < p->regions.count; i++) {
        const host_region *r = &p->regions.items[i];
        *inside = address >= r->address && address - r->address < r->size;
        if (*inside)
            return r;
        if (!nearest || distance(r, address) < distance(nearest, address))
            nearest = r;
    }
    return nearest && distance(nearest, address) <= FARTHEST ? nearest : NULL;
}

static bool lacks_weights(const host_program *p, uint64_t address)
{
    return p->is_model && p->description.weights.size == 0 && p->description.weights.address > 0 &&
           address >= p->description.weights.address;
}

static void print_surroundings(const host_program *p, uint64_t address, FILE *stream)
{
    bool inside = false;
    const host_region *r = nearest_region(p, address, &inside);
    fprintf(stream, "  address 0x%" PRIx64 ": ", address);
    if (!inside && address < hart_memory_page()) {
        fprintf(stream, "a null pointer");
    } else if (lacks_weights(p, address)) {
        fprintf(stream, "a weight, and the program was compiled without them (--weights none)");
    } else if (!r) {
        fprintf(stream, "nothing is mapped near it");
    } else if (inside) {
        fprintf(stream, "%" PRIu64 " bytes into ", address - r->address);
        print_region(r, stream);
        fprintf(stream, ", which allows %s", access_words(access_at(p, address)));
    } else {
        fprintf(stream, "%" PRIu64 " bytes %s ", distance(r, address),
                address < r->address ? "before" : "past the end of");
        print_region(r, stream);
        if (strcmp(r->name, "stack") == 0 && address < r->address)
            fprintf(stream, ": stack overflow");
    }
    fputc('\n', stream);
}

void host_print_memory(const host_program *p, FILE *stream)
{
    size_t count;
    const hart_segment *segments = hart_memory_segments(p->memory, &count);
    for (size_t i = 0; i < count; i++) {
        const hart_segment *s = &segments[i];
        fprintf(stream, "0x%" PRIx64 "..0x%" PRIx64 "  %s", s->address, s->address + s->size,
                access_words(s->access));
        for (size_t j = 0; j < p->regions.count; j++)
            if (p->regions.items[j].address - s->address < s->size)
                fprintf(stream, ", %s", p->regions.items[j].name);
        fputc('\n', stream);
    }
}

// ---------------------------------------------------------------------- report

static void print_headline(host_program *p, const char *what, FILE *stream)
{
    text t = {0};
    uint64_t pc = p->hart->pc;
    host_print_place(p, pc, &t);
    text line = {0};
    bool known = host_source_line(p, pc, &line);
    fprintf(stream, "%s: error: ", p->path);
    if (p->hart_count > 1)
        fprintf(stream, "hart %u of %u: ", p->hart->rank, p->hart_count);
    fprintf(stream, "%s at %s (pc 0x%" PRIx64 ")%s%s\n", what, text_string(&t), pc,
            known ? ", " : "", known ? text_string(&line) : "");
    text_free(&t);
    text_free(&line);
}

static bool has_address(hart_cause cause)
{
    return cause != HART_ILLEGAL_INSTRUCTION && cause != HART_BREAKPOINT;
}

// What a model program says when it gives up (docs/program.md), if it does so at pc.
static bool find_reason(const host_program *p, text *reason)
{
    enum { UNIMP = 0xc0001073, COMPRESSED_UNIMP = 0, LONGEST_REASON = 200 };
    const hart *h = p->hart;
    const uint64_t length = h->x[11];
    if (!p->is_model || h->cause != HART_ILLEGAL_INSTRUCTION || length == 0 ||
        length > LONGEST_REASON ||
        (h->fault_address != UNIMP && h->fault_address != COMPRESSED_UNIMP))
        return false;
    const char *at = hart_memory_range(p->memory, h->x[10], length, HART_READ);
    for (uint64_t i = 0; at && i < length; i++)
        if (at[i] < ' ' || at[i] > '~')
            return false;
    if (at)
        text_append_n(reason, at, length);
    return at != NULL;
}

static void report_fault(host_program *p, FILE *stream)
{
    hart_cause cause = p->hart->cause;
    text reason = {0};
    if (find_reason(p, &reason)) {
        print_headline(p, text_string(&reason), stream);
        text_free(&reason);
        return;
    }
    text what = {0};
    text_printf(&what, "%s, %s,", signals[cause].name, hart_cause_name(cause));
    print_headline(p, text_string(&what), stream);
    print_code(p, p->hart->pc, stream);
    if (has_address(cause))
        print_surroundings(p, p->hart->fault_address, stream);
    print_registers(p, stream);
    text_free(&what);
}

void host_report_stop(host_program *p, const host_outcome *outcome, FILE *stream)
{
    text what = {0};
    switch (outcome->end) {
    case HOST_FAULTED: report_fault(p, stream); break;
    case HOST_STOPPED: print_headline(p, "ended by an observer (--gdb, --plugin)", stream); break;
    case HOST_INSTRUCTION_LIMIT:
    case HOST_TIME_LIMIT:
        text_printf(&what, "stopped after %" PRIu64 " instructions, %.1f s (%s)", outcome->longest,
                    outcome->seconds,
                    outcome->end == HOST_TIME_LIMIT ? "--timeout" : "--max-instructions");
        print_headline(p, text_string(&what), stream);
        print_code(p, p->hart->pc, stream);
        break;
    default: break;
    }
    text_free(&what);
}
