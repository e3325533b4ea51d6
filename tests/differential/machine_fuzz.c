// Differential fuzzer of the hart: random programs run here and on qemu-riscv64; everything they
// write must be equal. A difference is reduced to the shortest beginning of the body that shows it.
//
//   machine_fuzz [--seed N] [--count N] [--length N] [--iterations N] [--vlen N] [--only NAME]
#include "runtime/hart/hart.h"
#include "support/clock.h"
#include "support/options.h"
#include "tests/differential/program.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OUTPUT_BYTES = IMAGE_END - IMAGE_START, SKIPPED = 77 };

typedef struct output {
    uint8_t data[OUTPUT_BYTES];
    size_t size;
    int status; // exit code, or 128 + signal
} output;

// ------------------------------------------------------------------ our machine

static bool serve(hart *h, const hart_memory *memory, output *out)
{
    if (h->x[17] == 93) {
        out->status = (int)h->x[10];
        return false;
    }
    const void *data = hart_memory_range(memory, h->x[11], h->x[12], HART_READ);
    if (h->x[17] != 64 || !data || h->x[12] > OUTPUT_BYTES - out->size)
        return false;
    memcpy(out->data + out->size, data, h->x[12]);
    out->size += h->x[12];
    h->x[10] = h->x[12];
    hart_finish_ecall(h);
    return true;
}

typedef struct totals {
    uint64_t instructions;
    uint64_t by_opcode[ISA_OPCODE_COUNT];
} totals;

static void count(const hart *h, totals *t)
{
    uint64_t counts[ISA_OPCODE_COUNT];
    hart_opcode_counts(h, counts);
    for (unsigned i = 0; i < ISA_OPCODE_COUNT; i++)
        t->by_opcode[i] += counts[i];
    t->instructions += h->retired;
}

typedef enum way { STEPS, WITHOUT_AVX512, NATIVE, WAYS } way; // of execution

static void run_here(const program *p, uint32_t vlen, way w, output *out, totals *t)
{
    memset(out, 0, sizeof *out);
    hart_memory *memory = hart_memory_create();
    hart_memory_map(memory, IMAGE_START, sizeof p->image, HART_READ | HART_WRITE | HART_EXECUTE);
    hart_memory_write(memory, IMAGE_START, p->image, sizeof p->image);
    hart *h = hart_create(memory, vlen, NULL);
    hart_use_native(h, w != STEPS);
    hart_use_avx512(h, w == NATIVE);
    h->pc = IMAGE_START;
    hart_stop why;
    do {
        why = hart_run(h, 1ull << 40);
    } while (why == HART_STOP_ECALL && serve(h, memory, out));
    if (why != HART_STOP_ECALL)
        out->status =
            128 + (why == HART_STOP_FAULT && h->cause == HART_ILLEGAL_INSTRUCTION ? 4 : 11);
    count(h, t);
    hart_destroy(h);
    hart_memory_destroy(memory);
}

// --------------------------------------------------------------- second opinion

static void run_qemu(const char *path, uint32_t vlen, output *out)
{
    memset(out, 0, sizeof *out);
    char cpu[200];
    snprintf(cpu, sizeof cpu,
             "rv64,v=true,vext_spec=v1.0,vlen=%u,elen=64,Zfh=true,zba=true,zbb=true,zbs=true",
             vlen);
    int ends[2];
    if (pipe(ends) != 0)
        INTERNAL_ERROR("no pipe");
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDERR_FILENO);
        close(ends[0]);
        execlp("qemu-riscv64", "qemu-riscv64", "-cpu", cpu, path, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    ssize_t got;
    while (out->size < OUTPUT_BYTES &&
           (got = read(ends[0], out->data + out->size, OUTPUT_BYTES - out->size)) > 0)
        out->size += (size_t)got;
    close(ends[0]);
    int status;
    waitpid(child, &status, 0);
    out->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

// ------------------------------------------------------------------- comparison

static bool same(const output *a, const output *b)
{
    return a->status == b->status && a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

static void name_difference(size_t at, uint32_t vlen, char *name, size_t size)
{
    static const char *const csrs[] = {"fcsr", "vcsr", "vl", "vtype", "vstart", "vlenb"};
    if (at < 256)
        snprintf(name, size, "x%zu", at / 8);
    else if (at < 512)
        snprintf(name, size, "f%zu", (at - 256) / 8);
    else if (at < 560)
        snprintf(name, size, "%s", csrs[(at - 512) / 8]);
    else if (at >= 1024 && at < 1024 + 4 * vlen)
        snprintf(name, size, "v%zu byte %zu", (at - 1024) / (vlen / 8), (at - 1024) % (vlen / 8));
    else
        snprintf(name, size, "memory at 0x%zx", at - 1024 - 4 * vlen + BUFFER_START);
}

static void print_differences(const output *ours, const output *theirs, uint32_t vlen)
{
    printf("  status %d, qemu %d\n", ours->status, theirs->status);
    unsigned shown = 0;
    for (size_t i = 0; i + 8 <= ours->size && i + 8 <= theirs->size && shown < 8; i += 8) {
        if (memcmp(ours->data + i, theirs->data + i, 8) == 0)
            continue;
        uint64_t a, b;
        memcpy(&a, ours->data + i, 8);
        memcpy(&b, theirs->data + i, 8);
        char name[64];
        name_difference(i, vlen, name, sizeof name);
        printf("  %-22s %016llx, qemu %016llx\n", name, (unsigned long long)a,
               (unsigned long long)b);
        shown++;
    }
}

typedef struct session {
    const char *path; // of the ELF
    program p;
    output ours, theirs;
    totals totals;
} session;

static bool agrees(session *s, const program_options *options)
{
    program_generate(options, &s->p);
    if (!program_write_elf(&s->p, s->path))
        INTERNAL_ERROR("cannot write %s", s->path);
    run_qemu(s->path, options->vlen, &s->theirs);
    bool agree = true;
    for (way w = 0; agree && w < WAYS; w++) {
        run_here(&s->p, options->vlen, w, &s->ours, &s->totals);
        agree = same(&s->ours, &s->theirs);
    }
    return agree;
}

static void print_totals(const totals *t, bool list)
{
    unsigned executed = 0;
    for (unsigned i = 1; i < ISA_OPCODE_COUNT; i++) {
        executed += t->by_opcode[i] > 0;
        if (list && !t->by_opcode[i])
            printf("not executed: %s\n", isa_rows[i].mnemonic);
    }
    printf("%llu instructions compared, %u of %u opcodes\n", (unsigned long long)t->instructions,
           executed, ISA_OPCODE_COUNT - 1);
}

static void report(session *s, program_options options)
{
    uint32_t good = 0, bad = options.length;
    if (options.iterations > 1) {
        program_options once = options;
        once.iterations = 1;
        if (!agrees(s, &once))
            options = once;
    }
    while (bad - good > 1) {
        program_options shorter = options;
        shorter.length = (good + bad) / 2;
        *(agrees(s, &shorter) ? &good : &bad) = shorter.length;
    }
    options.length = bad;
    agrees(s, &options);
    printf("seed %llu length %u iterations %u vlen %u: different\n",
           (unsigned long long)options.seed, options.length, options.iterations, options.vlen);
    for (uint32_t i = bad > 4 ? bad - 4 : 0; i < bad; i++) {
        uint32_t at = s->p.body_at[i], end = i + 1 < bad ? s->p.body_at[i + 1] : at + 4;
        for (isa_instruction in; at < end; at += in.length) {
            uint32_t word;
            memcpy(&word, s->p.image + at - IMAGE_START, 4);
            isa_decode(word, &in);
            text line = {0};
            isa_disassemble(&line, &in, at);
            printf("  %x: %08x  %s\n", at, in.word, text_string(&line));
            text_free(&line);
        }
    }
    print_differences(&s->ours, &s->theirs, options.vlen);
}

int main(int argc, char **argv)
{
    long long seed = 1, count = 20, length = 300, iterations = 20, vlen = 0, most = 1, seconds = 0;
    const char *only = NULL;
    bool coverage = false, help = false;
    const option_row rows[] = {
        {"--seed", NULL, OPTION_INTEGER, &seed, "N", "the first program", 0, 1ll << 60},
        {"--count", NULL, OPTION_INTEGER, &count, "N", "how many programs", 1, 1ll << 40},
        {"--length", NULL, OPTION_INTEGER, &length, "N", "instructions in the body", 1, MAX_BODY},
        {"--iterations", NULL, OPTION_INTEGER, &iterations, "N", "runs of the body", 1, 1 << 30},
        {"--vlen", NULL, OPTION_INTEGER, &vlen, "N",
         "bits of a vector register; 0: all sizes in turn", 0, 1024},
        {"--only", NULL, OPTION_STRING, &only, "NAME",
         "an extension or the beginning of a mnemonic", 0, 0},
        {"--coverage", NULL, OPTION_FLAG, &coverage, NULL, "list what was not executed", 0, 0},
        {"--failures", NULL, OPTION_INTEGER, &most, "N", "stop behind so many differences", 1,
         1000},
        {"--seconds", NULL, OPTION_INTEGER, &seconds, "N", "stop after so long; 0: never", 0,
         1ll << 30},
        {"--help", "-h", OPTION_FLAG, &help, NULL, "this text", 0, 0},
        {NULL}};
    arena *a = arena_create();
    options_result result = {0};
    if (!options_parse("machine_fuzz", rows, argc, argv, false, a, &result))
        return EXIT_USAGE;
    if (help) {
        options_help("machine_fuzz", "[options]", rows);
        return EXIT_OK;
    }
    if (system("qemu-riscv64 --version >/dev/null 2>&1") != 0) {
        puts("skipped: no qemu-riscv64");
        return SKIPPED;
    }
    char path[] = "/tmp/machine_fuzz_XXXXXX";
    int descriptor = mkstemp(path);
    if (descriptor < 0)
        INTERNAL_ERROR("no temporary file");
    close(descriptor);
    session *s = calloc(1, sizeof *s);
    s->path = path;
    long long failures = 0;
    double start = clock_seconds();
    for (long long i = 0; i < count && failures < most; i++) {
        if (seconds && clock_seconds() - start > (double)seconds)
            break;
        program_options options = {.seed = (uint64_t)(seed + i),
                                   .length = (uint32_t)length,
                                   .iterations = (uint32_t)iterations,
                                   .vlen = vlen ? (uint32_t)vlen : 128u << ((seed + i) % 4),
                                   .only = only};
        if (!agrees(s, &options)) {
            failures++;
            report(s, options);
        }
    }
    print_totals(&s->totals, coverage);
    printf("%lld programs differ\n", failures);
    unlink(path);
    free(s);
    arena_destroy(a);
    return failures ? EXIT_USER_ERROR : EXIT_OK;
}
