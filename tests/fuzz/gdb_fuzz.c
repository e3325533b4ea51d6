// link: lutra_gdb lutra_hart lutra_support
// What gdb may send: bytes as they come over the wire (first byte '$', '+', '-' or 3), or lines,
// each of which is made a packet with its checksum. A small program runs when gdb lets it.
#include "runtime/gdb/connection.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    CODE = 0x10000,
    DATA = 0x20000,
    BYTES = 0x1000,
    MOST_STOPS = 200,
    MOST_INSTRUCTIONS = 5000, // more than the stub executes between looks at its input
    VLEN = 128,
};

static void check(bool condition)
{
    if (!condition)
        abort();
}

// --------------------------------------------------------------------- transport

typedef struct stream {
    text bytes;
    size_t at;
} stream;

static size_t read_some(void *context, void *data, size_t size)
{
    stream *s = context;
    size_t left = s->bytes.length - s->at, count = left < size ? left : size;
    count = count < 7 ? count : 7; // in small pieces
    if (count > 0)
        memcpy(data, s->bytes.data + s->at, count);
    s->at += count;
    return count;
}

static bool is_ready(void *context)
{
    (void)context;
    return true;
}

// An acknowledgement, or a packet with a right checksum and of a size that gdb can take.
static bool write_all(void *context, const void *data, size_t size)
{
    (void)context;
    const uint8_t *bytes = data;
    uint8_t sum = 0;
    char end[4];
    if (size == 1) {
        check(*bytes == '+' || *bytes == '-');
        return true;
    }
    if (size == 0) // sent again before anything was sent
        return true;
    check(size >= 4 && size <= GDB_LARGEST_PACKET + 4 && bytes[0] == '$');
    check(!memchr(bytes + 1, '$', size - 4) && !memchr(bytes + 1, '#', size - 4));
    for (size_t i = 1; i < size - 3; i++)
        sum += bytes[i];
    snprintf(end, sizeof end, "#%02x", sum);
    check(memcmp(end, bytes + size - 3, 3) == 0);
    return true;
}

static void frame_lines(text *out, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        uint8_t sum = 0;
        text_char(out, '$');
        for (; i < size && data[i] != '\n'; i++) {
            sum += data[i];
            text_char(out, (char)data[i]);
        }
        text_printf(out, "#%02x", sum);
    }
}

static bool is_raw(const uint8_t *data, size_t size)
{
    return size > 0 && data[0] && strchr("$+-\3", data[0]);
}

// ----------------------------------------------------------------------- program

// Stores and loads in a loop, scalars, vectors and tiles; ecall at its end.
static const isa_instruction program[] = {
    {.opcode = ISA_LUI, .rd = 8, .imm = DATA},
    {.opcode = ISA_ADDI, .rd = 9, .imm = 40},
    {.opcode = ISA_VSETVLI, .rd = 5, .rs1 = 9, .imm = 0x10},
    {.opcode = ISA_SD, .rs1 = 8, .rs2 = 9, .imm = 64},
    {.opcode = ISA_VLE32_V, .rd = 8, .rs1 = 8, .vm = 1},
    {.opcode = ISA_VSE32_V, .rs3 = 8, .rs1 = 8, .vm = 1},
    {.opcode = ISA_LUT_LD, .rd = 1, .rs1 = 8, .imm = 0},
    {.opcode = ISA_FLD, .rd = 3, .rs1 = 8, .imm = 8},
    {.opcode = ISA_ADDI, .rd = 9, .rs1 = 9, .imm = -1},
    {.opcode = ISA_BNE, .rs1 = 9, .rs2 = 0, .imm = -24},
    {.opcode = ISA_ECALL},
};

enum { WORDS = sizeof program / sizeof *program };

typedef struct machine_parts {
    hart_memory *memory;
    lut_unit *lut;
    hart *h;
    uint8_t code[BYTES];
} machine_parts;

static void create(machine_parts *m)
{
    *m = (machine_parts){.memory = hart_memory_create(), .lut = lut_unit_create(1, 64)};
    check(m->memory && m->lut);
    m->h = hart_create(m->memory, VLEN, m->lut);
    check(m->h && hart_memory_map(m->memory, CODE, BYTES, HART_READ | HART_EXECUTE) &&
          hart_memory_map(m->memory, DATA, BYTES, HART_READ | HART_WRITE));
    for (size_t i = 0; i < WORDS; i++) {
        uint32_t word;
        check(isa_encode(&program[i], &word));
        memcpy(m->code + 4 * i, &word, 4);
    }
}

static void reset_registers(hart *h)
{
    h->pc = CODE;
    memset(h->x, 0, sizeof h->x);
    memset(h->f, 0, sizeof h->f);
    memset(h->v, 0, 32 * h->vlenb);
    memset(h->lut->tiles, 0, ISA_TILE_REGISTERS * h->lut->tile_bytes);
    h->fflags = h->frm = h->vxrm = h->vxsat = h->vma = h->vta = 0;
    h->vl = h->vstart = h->shape = 0;
    h->vill = true;
}

// As if it were new: inputs depend on nothing before them, and making one takes milliseconds.
static void reset(machine_parts *m)
{
    memset(hart_memory_range(m->memory, DATA, BYTES, HART_WRITE), 0, BYTES);
    if (memcmp(hart_memory_range(m->memory, CODE, BYTES, HART_EXECUTE), m->code, BYTES) != 0) {
        check(hart_memory_write(m->memory, CODE, m->code, BYTES));
        hart_flush_code(m->h);
    }
    reset_registers(m->h);
}

// More than one packet takes, with every character that is special in some of them.
static void print_something(void *context, FILE *out)
{
    enum { LINES = GDB_LARGEST_PACKET / 16 };
    static text printed;
    (void)context;
    while (printed.length < LINES * 9)
        text_append(&printed, "0123#$}*\n");
    fwrite(printed.data, 1, printed.length, out);
}

// As runtime/host does it.
static void run(hart *h, const observer *o)
{
    bool goes_on = true;
    uint64_t end = h->retired + MOST_INSTRUCTIONS;
    o->begin(o->context, h, "fuzz");
    for (int i = 0; i < MOST_STOPS && goes_on && h->retired < end; i++) {
        switch (hart_run(h, end - h->retired)) {
        case HART_STOP_OBSERVER: goes_on = o->stopped(o->context, h); break;
        case HART_STOP_FAULT: goes_on = o->fault(o->context, h); break;
        case HART_STOP_ECALL: goes_on = false; break;
        default: break;
        }
    }
    o->finish(o->context, 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const gdb_command commands[] = {{"stats", "much", print_something}};
    static machine_parts m;
    stream s = {0};
    observer o;
    if (!m.h)
        create(&m);
    reset(&m);
    if (is_raw(data, size))
        text_append_n(&s.bytes, (const char *)data, size);
    else
        frame_lines(&s.bytes, data, size);
    gdb_target target = {m.h, "/somewhere/program#1.elf", commands, 1, NULL};
    gdb_transport transport = {
        .context = &s, .read = read_some, .ready = is_ready, .write = write_all};
    gdb_observer(&target, &transport, &o);
    hart_observe(m.h, o.gate, o.context);
    run(m.h, &o);
    hart_observe(m.h, NULL, NULL);
    text_free(&s.bytes);
    return 0;
}
