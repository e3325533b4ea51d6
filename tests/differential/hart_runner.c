// Runs a static freestanding program on the hart: write (64) and exit (93) are its only services.
//
//   hart_runner [--vlen N] [--speed] PROGRAM
#include "runtime/hart/hart.h"
#include "support/file.h"
#include "support/options.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { STACK_TOP = 0x70000000, STACK_BYTES = 1 << 20 };

static bool load_segment(hart_memory *memory, const mapped_file *file, const Elf64_Phdr *s)
{
    if (s->p_filesz > file->size || s->p_offset > file->size - s->p_filesz ||
        s->p_filesz > s->p_memsz)
        return false;
    uint64_t page = hart_memory_page(), start = s->p_vaddr / page * page;
    unsigned access = (s->p_flags & PF_R ? HART_READ : 0) | (s->p_flags & PF_W ? HART_WRITE : 0) |
                      (s->p_flags & PF_X ? HART_READ | HART_EXECUTE : 0);
    return hart_memory_map(memory, start, s->p_memsz + (s->p_vaddr - start), access) &&
           hart_memory_write(memory, s->p_vaddr, file->data + s->p_offset, s->p_filesz);
}

static bool load(hart_memory *memory, const mapped_file *file, uint64_t *entry)
{
    Elf64_Ehdr header;
    if (file->size < sizeof header)
        return false;
    memcpy(&header, file->data, sizeof header);
    uint64_t table = (uint64_t)header.e_phnum * sizeof(Elf64_Phdr);
    if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_machine != EM_RISCV ||
        header.e_phoff > file->size || table > file->size - header.e_phoff)
        return false;
    for (unsigned i = 0; i < header.e_phnum; i++) {
        Elf64_Phdr segment;
        memcpy(&segment, file->data + header.e_phoff + i * sizeof segment, sizeof segment);
        if (segment.p_type == PT_LOAD && segment.p_memsz && !load_segment(memory, file, &segment))
            return false;
    }
    *entry = header.e_entry;
    return hart_memory_map(memory, STACK_TOP - STACK_BYTES, STACK_BYTES, HART_READ | HART_WRITE);
}

// False: the program ends, with this exit code.
static bool serve(hart *h, hart_memory *memory, int *code)
{
    *code = (int)h->x[10] & 255;
    if (h->x[17] == 93)
        return false;
    const void *data = hart_memory_range(memory, h->x[11], h->x[12], HART_READ);
    if (h->x[17] != 64 || !data)
        INTERNAL_ERROR("service %llu is not provided", (unsigned long long)h->x[17]);
    h->x[10] = fwrite(data, 1, h->x[12], h->x[10] == 2 ? stderr : stdout);
    hart_finish_ecall(h);
    return true;
}

static int execute(hart *h, hart_memory *memory)
{
    int code = 0;
    hart_stop why;
    do {
        why = hart_run(h, UINT64_MAX >> 1);
    } while (why == HART_STOP_ECALL && serve(h, memory, &code));
    if (why != HART_STOP_FAULT)
        return code;
    fflush(stdout);
    fprintf(stderr, "%s at pc 0x%llx, address 0x%llx\n", hart_cause_name(h->cause),
            (unsigned long long)h->pc, (unsigned long long)h->fault_address);
    return 128 + (h->cause == HART_ILLEGAL_INSTRUCTION ? 4 : h->cause == HART_BREAKPOINT ? 5 : 11);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
    long long vlen = 256;
    bool speed = false;
    const option_row rows[] = {
        {"--vlen", NULL, OPTION_INTEGER, &vlen, "N", "bits of a vector register", 128, 1024},
        {"--speed", NULL, OPTION_FLAG, &speed, NULL, "print instructions per second", 0, 0},
        {NULL}};
    arena *a = arena_create();
    options_result result = {0};
    if (!options_parse("hart_runner", rows, argc, argv, true, a, &result) ||
        result.positional.count != 1)
        return EXIT_USAGE;
    diagnostics *d = diagnostics_create(stderr);
    mapped_file file;
    hart_memory *memory = hart_memory_create();
    hart *h = hart_create(memory, (uint32_t)vlen, NULL);
    if (!h || !file_map(d, result.positional.items[0], &file) || !load(memory, &file, &h->pc)) {
        diagnostic_error(d, NOWHERE, "%s: not a static RISC-V program", result.positional.items[0]);
        diagnostics_destroy(d);
        return EXIT_USER_ERROR;
    }
    h->x[2] = STACK_TOP;
    double start = seconds();
    int code = execute(h, memory);
    double took = seconds() - start;
    if (speed)
        fprintf(stderr, "%llu instructions, %.0f million per second\n",
                (unsigned long long)h->retired, (double)h->retired / took * 1e-6);
    fflush(stdout);
    hart_destroy(h);
    hart_memory_destroy(memory);
    file_unmap(&file);
    diagnostics_destroy(d);
    arena_destroy(a);
    return code;
}
