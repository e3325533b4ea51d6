// Plain ELF programs: the initial stack of a Linux process (argc, argv, environment, auxiliary
// vector), then the entry point.
#include "runtime/host/internal.h"

#include <elf.h>
#include <string.h>

enum { SP = 2, STACK_SIZE = 8 << 20, MAX_ARGUMENT_BYTES = STACK_SIZE / 4, RANDOM_BYTES = 16 };

// The stack grows downwards from `top`; `at` is the lowest byte used so far.
typedef struct stack {
    host_program *program;
    uint64_t at, lowest; // argument bytes end at `lowest`
} stack;

static bool push(stack *s, const void *data, uint64_t size)
{
    if (size > s->at - s->lowest)
        return false;
    s->at -= size;
    return hart_memory_write(s->program->memory, s->at, data, size);
}

static size_t list_length(const char *const *list)
{
    size_t n = 0;
    while (list[n])
        n++;
    return n;
}

// Pushes the strings; their addresses, and the 0 that ends them, go to `words`.
static bool push_strings(stack *s, const char *const *list, uint64_t *words)
{
    for (size_t i = 0; list[i]; i++) {
        if (!push(s, list[i], strlen(list[i]) + 1))
            return false;
        words[i] = s->at;
    }
    return true;
}

// What a C library's start-up looks for. The "random" bytes are the same in every run.
static size_t auxiliary_vector(const host_program *p, uint64_t random, uint64_t program_name,
                               uint64_t *out)
{
    // IMAFDC and V, as AT_HWCAP has them: bit (letter - 'A').
    uint64_t letters = 0;
    for (const char *c = "IMAFDCV"; *c; c++)
        letters |= UINT64_C(1) << (*c - 'A');
    const uint64_t rows[][2] = {
        {AT_PHDR, p->image.header_address},
        {AT_PHENT, sizeof(Elf64_Phdr)},
        {AT_PHNUM, p->image.header_address ? p->image.header_count : 0},
        {AT_PAGESZ, hart_memory_page()},
        {AT_ENTRY, p->image.entry},
        {AT_UID, 1000},
        {AT_EUID, 1000},
        {AT_GID, 1000},
        {AT_EGID, 1000},
        {AT_SECURE, 0},
        {AT_CLKTCK, 100},
        {AT_HWCAP, letters},
        {AT_RANDOM, random},
        {AT_EXECFN, program_name},
        {AT_NULL, 0},
    };
    memcpy(out, rows, sizeof rows);
    return sizeof rows / sizeof(uint64_t);
}

enum { MAX_AUXILIARY_WORDS = 64 };

static bool build_stack(stack *s, const char *const *argv, const char *const *environment)
{
    static const uint8_t random[RANDOM_BYTES] = "lutra-emulator!";
    size_t argc = list_length(argv), variables = list_length(environment);
    uint64_t *words = ARENA_ARRAY(s->program->arena, uint64_t,
                                  1 + argc + 1 + variables + 1 + MAX_AUXILIARY_WORDS);
    size_t count = 0;
    words[count++] = argc;
    if (!push_strings(s, argv, words + count) ||
        !push_strings(s, environment, words + count + argc + 1))
        return false;
    uint64_t name = argc ? words[count] : 0;
    count += argc + 1 + variables + 1;
    if (!push(s, random, sizeof random))
        return false;
    count += auxiliary_vector(s->program, s->at, name, words + count);
    s->at = (s->at - 8 * count) & -UINT64_C(16); // where argc goes: 16-byte aligned
    s->at += 8 * count;
    return push(s, words, 8 * count);
}

static bool is_executable(const host_program *p, uint64_t address)
{
    return address % 2 == 0 && hart_memory_range(p->memory, address, 2, HART_EXECUTE) != NULL;
}

host_outcome host_run_process(host_program *p, const char *const *argv,
                              const char *const *environment, const host_limits *limits, bool *ok)
{
    *ok = false;
    if (!is_executable(p, p->image.entry)) {
        diagnostic_error(p->diagnostics, host_where(p),
                         "the entry point 0x%llx is not in executable memory",
                         (unsigned long long)p->image.entry);
        return (host_outcome){0};
    }
    uint64_t base = host_add_region(p, "stack", STACK_SIZE, HART_READ | HART_WRITE);
    if (!base)
        return (host_outcome){0};
    stack s = {p, base + STACK_SIZE, base + STACK_SIZE - MAX_ARGUMENT_BYTES};
    if (!build_stack(&s, argv, environment)) {
        diagnostic_error(p->diagnostics, host_where(p), "arguments and environment exceed %d bytes",
                         MAX_ARGUMENT_BYTES);
        return (host_outcome){0};
    }
    linux_start(p, argv);
    if (!checkpoint_resume(p, p->path))
        return (host_outcome){0};
    *ok = true;
    if (!checkpoint_take_resumed(p)) {
        p->hart->x[SP] = s.at;
        p->hart->pc = p->image.entry;
    }
    return host_run(p, p->path, limits);
}
