// What gdb may send: bytes as they come over the wire (first byte '$', '+', '-' or 3), or lines,
// each of which is made a packet with its checksum; and a machine with a small program.
#pragma once

#include "runtime/gdb/connection.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    CODE = 0x10000,
    DATA = 0x20000,
    BYTES = 0x1000,
    VLEN = 128,
};

static inline void check(bool condition)
{
    if (!condition)
        abort();
}

// --------------------------------------------------------------------- transport

typedef struct stream {
    text bytes;
    size_t at;
} stream;

static inline size_t read_some(void *context, void *data, size_t size)
{
    stream *s = context;
    size_t left = s->bytes.length - s->at, count = left < size ? left : size;
    count = count < 7 ? count : 7; // in small pieces
    if (count > 0)
        memcpy(data, s->bytes.data + s->at, count);
    s->at += count;
    return count;
}

static inline bool is_ready(void *context)
{
    (void)context;
    return true;
}

// An acknowledgement, or a packet with a right checksum and of a size that gdb can take.
static inline bool write_all(void *context, const void *data, size_t size)
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

static inline void frame_lines(text *out, const uint8_t *data, size_t size)
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

static inline bool is_raw(const uint8_t *data, size_t size)
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

static inline void create(machine_parts *m)
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

static inline void reset_registers(hart *h)
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
static inline void reset(machine_parts *m)
{
    memset(hart_memory_range(m->memory, DATA, BYTES, HART_WRITE), 0, BYTES);
    if (memcmp(hart_memory_range(m->memory, CODE, BYTES, HART_EXECUTE), m->code, BYTES) != 0) {
        check(hart_memory_write(m->memory, CODE, m->code, BYTES));
        hart_flush_code(m->h);
    }
    reset_registers(m->h);
}

// More than one packet takes, with every character that is special in some of them.
static inline void print_something(void *context, FILE *out)
{
    enum { LINES = GDB_LARGEST_PACKET / 16 };
    static text printed;
    (void)context;
    while (printed.length < LINES * 9)
        text_append(&printed, "0123#$}*\n");
    fwrite(printed.data, 1, printed.length, out);
}

// What is sent: as it is, or in frames.
static inline stream stream_of(const uint8_t *data, size_t size)
{
    stream s = {0};
    if (is_raw(data, size))
        text_append_n(&s.bytes, (const char *)data, size);
    else
        frame_lines(&s.bytes, data, size);
    return s;
}

// The machine as an input finds it.
static inline machine_parts *fresh_machine(void)
{
    static machine_parts m;
    if (!m.h)
        create(&m);
    reset(&m);
    return &m;
}

static const gdb_command commands[] = {{"stats", "much", print_something}};

static inline gdb_target target_of(hart *h)
{
    return (gdb_target){h, "/somewhere/program#1.elf", commands, 1, NULL};
}

static inline gdb_transport transport_of(stream *s)
{
    return (gdb_transport){.context = s, .read = read_some, .ready = is_ready, .write = write_all};
}
