// link: lutra_host
// Checkpoints. An input is a list of changes to one that is right, 12 bytes each: the number of a
// word (from the end, if negative) and what it becomes; a word -1 cuts the file to so many words.
// The checksum is made right. An input that begins with 'L' is a file as it is.
#include "runtime/host/checkpoint.h"

#include "support/file.h"
#include "tests/fuzz/nowhere.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CODE = 0x10000, DATA = 0x20000, BYTES = 0x2000, VLEN = 128, CHANGE = 12, STEPS = 50 };

static void check(bool condition)
{
    if (!condition)
        abort();
}

typedef struct machine_parts {
    hart_memory *memory;
    lut_unit *lut;
    hart *h;
} machine_parts;

static machine_parts create(void)
{
    machine_parts m = {.memory = hart_memory_create(), .lut = lut_unit_create(1, 64)};
    m.h = hart_create(m.memory, VLEN, m.lut);
    check(m.h && hart_memory_map(m.memory, CODE, BYTES, HART_READ | HART_EXECUTE) &&
          hart_memory_map(m.memory, DATA, BYTES, HART_READ | HART_WRITE));
    return m;
}

static void destroy(machine_parts *m)
{
    hart_destroy(m->h);
    lut_unit_destroy(m->lut);
    hart_memory_destroy(m->memory);
}

// addi, sw, j back
static void load(const machine_parts *m)
{
    static const isa_instruction program[] = {
        {.opcode = ISA_ADDI, .rd = 9, .rs1 = 9, .imm = 1},
        {.opcode = ISA_SW, .rs1 = 8, .rs2 = 9, .imm = 16},
        {.opcode = ISA_JAL, .imm = -8},
    };
    for (size_t i = 0; i < sizeof program / sizeof *program; i++) {
        uint32_t word;
        check(isa_encode(&program[i], &word) &&
              hart_memory_write(m->memory, CODE + 4 * i, &word, 4));
    }
    m->h->pc = CODE;
    m->h->x[8] = DATA;
}

// The checkpoint that is changed.
static mapped_file make_original(diagnostics *d)
{
    static const checkpoint_origin origin = {.identity = 1, .layout = 2};
    static const checkpoint_extra extra = {.calls = 3};
    static const checkpoint_input inputs[] = {{0, 0}, {5, 7}};
    static uint64_t opcodes[ISA_OPCODE_COUNT];
    char path[] = "/tmp/checkpoint-fuzz-XXXXXX";
    mapped_file file = {0};
    machine_parts m = create();
    load(&m);
    check(hart_run(m.h, STEPS) == HART_STOP_LIMIT);
    int descriptor = mkstemp(path);
    check(
        descriptor >= 0 &&
        checkpoint_write(d, path, &origin, &extra, m.h, opcodes, (checkpoint_inputs){inputs, 2}) &&
        file_map(d, path, &file));
    close(descriptor);
    unlink(path);
    destroy(&m);
    return file;
}

static void try_checkpoint(diagnostics *d, const uint8_t *data, size_t size)
{
    checkpoint c;
    if (!checkpoint_parse(d, "fuzz", data, size, &c))
        return;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < c.inputs.count; i++)
        sum += c.inputs.items[i].size;
    (void)*(volatile uint64_t *)&sum;
    machine_parts m = create();
    if (checkpoint_apply(d, "fuzz", &c, m.h)) {
        uint64_t before = m.h->retired;
        hart_run(m.h, STEPS);
        check(m.h->retired - before <= STEPS);
    }
    destroy(&m);
}

static size_t change(uint64_t *words, size_t count, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i + CHANGE <= size; i += CHANGE) {
        int32_t where;
        uint64_t value;
        memcpy(&where, data + i, sizeof where);
        memcpy(&value, data + i + sizeof where, sizeof value);
        if (where == -1)
            count = value < count ? (size_t)value : count;
        else if (count > 0)
            words[where < 0 ? count - 1 - ((size_t)-(int64_t)where) % count
                            : (size_t)where % count] = value;
    }
    if (count > 0)
        words[count - 1] = checkpoint_hash(CHECKPOINT_SEED, words, 8 * (count - 1));
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static mapped_file original;
    diagnostics *d = diagnostics_create(nowhere());
    if (!original.data)
        original = make_original(d);
    bool raw = size > 0 && data[0] == 'L';
    size_t bytes = raw ? size : original.size;
    uint64_t *words = malloc(bytes + 1);
    check(words != NULL);
    memcpy(words, raw ? data : original.data, bytes);
    if (!raw)
        bytes = 8 * change(words, bytes / 8, data, size);
    try_checkpoint(d, (const uint8_t *)words, bytes);
    free(words);
    diagnostics_destroy(d);
    return 0;
}
