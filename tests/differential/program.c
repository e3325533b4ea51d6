#include "tests/differential/program.h"

#include "runtime/hart/hart.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

// Registers with a fixed meaning, never a destination.
enum { STACK = 2, BASE_2 = 8, COUNTER = 28, STRIDE = 29, BASE = 30, SCRATCH = 31, SCRATCH_2 = 27 };

typedef struct generator {
    const program_options *options;
    program *p;
    random_stream random;
    hart_memory *memory;
    hart *h; // executes along, so that only legal instructions are taken
    uint32_t pc;
} generator;

static uint32_t below(generator *g, uint32_t n)
{
    return (uint32_t)(random_bits(&g->random) >> 33) % n;
}

static void put_word(generator *g, uint32_t word, unsigned length)
{
    memcpy(g->p->image + g->pc - IMAGE_START, &word, length);
    hart_memory_write(g->memory, g->pc, &word, length);
    hart_flush_code(g->h);
}

// Places an instruction and executes it. False: it faulted, and the next one takes its place.
static bool place(generator *g, uint32_t word, unsigned length)
{
    put_word(g, word, length);
    g->h->pc = g->pc;
    if (hart_run(g->h, 1) != HART_STOP_LIMIT) {
        g->h->vstart = 0;
        return false;
    }
    g->pc += length;
    return true;
}

static bool emit(generator *g, isa_instruction in)
{
    uint32_t word;
    if (!isa_encode(&in, &word))
        INTERNAL_ERROR("%s cannot be encoded", isa_rows[in.opcode].mnemonic);
    return place(g, word, 4);
}

static void emit_immediate(generator *g, unsigned rd, uint32_t value)
{
    uint32_t upper = (value + 0x800) & 0xfffff000;
    int32_t lower = (int32_t)(value - upper);
    emit(g, (isa_instruction){.opcode = ISA_LUI, .rd = (uint8_t)rd, .imm = (int32_t)upper});
    emit(g, (isa_instruction){
                .opcode = ISA_ADDI, .rd = (uint8_t)rd, .rs1 = (uint8_t)rd, .imm = lower});
}

// ------------------------------------------------------------- interesting data

static uint64_t interesting(generator *g, unsigned bits)
{
    static const uint64_t f16[] = {0,      0x8000, 0x3c00, 0xbc00, 0x0001, 0x03ff, 0x0400,
                                   0x7bff, 0x7c00, 0xfc00, 0x7e00, 0x7d01, 0x3555, 0x4248};
    static const uint64_t f32[] = {0,          0x80000000, 0x3f800000, 0xbf800000, 0x00000001,
                                   0x007fffff, 0x00800000, 0x7f7fffff, 0x7f800000, 0xff800000,
                                   0x7fc00000, 0x7fa00001, 0x3eaaaaab, 0x40490fdb, 0x4f000000};
    static const uint64_t f64[] = {0,
                                   0x8000000000000000,
                                   0x3ff0000000000000,
                                   0xbff0000000000000,
                                   1,
                                   0x000fffffffffffff,
                                   0x0010000000000000,
                                   0x7fefffffffffffff,
                                   0x7ff0000000000000,
                                   0xfff0000000000000,
                                   0x7ff8000000000000,
                                   0x7ff4000000000001,
                                   0x400921fb54442d18,
                                   0x43e0000000000000};
#define PICK(table) table[below(g, sizeof table / sizeof *table)]
    uint64_t value;
    switch (below(g, 5)) {
    case 0: value = bits == 16 ? PICK(f16) : bits == 32 ? PICK(f32) : PICK(f64); break;
    case 1: value = below(g, 256) - 128ull; break;
    case 2: // a number of moderate size
        value = bits == 16   ? f16_from_double(random_normal(&g->random) * 8)
                : bits == 32 ? (uint64_t)(bf16_from_double(random_normal(&g->random) * 99)) << 16 |
                                   below(g, 65536)
                             : random_bits(&g->random) >> 12 | (1020ull + below(g, 8)) << 52;
        break;
    default: value = random_bits(&g->random); break;
    }
    return bits == 64 ? value : value & ((1ull << bits) - 1);
#undef PICK
}

static void fill(generator *g, uint8_t *at, size_t bytes)
{
    for (size_t i = 0; i + 8 <= bytes; i += 8) {
        unsigned bits = 16u << below(g, 3);
        for (size_t j = 0; j < 64; j += bits) {
            uint64_t value = interesting(g, bits);
            memcpy(at + i + j / 8, &value, bits / 8);
        }
    }
}

static uint64_t random_float_register(generator *g)
{
    switch (below(g, 4)) {
    case 0: return interesting(g, 16) | ~0xffffull;
    case 1: return interesting(g, 32) | ~0xffffffffull;
    case 2: return interesting(g, 64);
    default: return random_bits(&g->random);
    }
}

static void fill_initial(generator *g)
{
    uint8_t *initial = g->p->image + INITIAL_AT - IMAGE_START;
    for (unsigned r = 0; r < 32; r++) {
        uint64_t x = interesting(g, 64), f = random_float_register(g);
        memcpy(initial + 8 * r, &x, 8);
        memcpy(initial + 256 + 8 * r, &f, 8);
    }
    fill(g, initial + 512, 4096);
    fill(g, g->p->image + BUFFER_START - IMAGE_START, BUFFER_END - BUFFER_START);
}

// -------------------------------------------------------------------- the frame

static void emit_vector_registers(generator *g, unsigned opcode)
{
    for (unsigned r = 0; r < 32; r += 8) {
        isa_instruction in = {.opcode = (uint16_t)opcode, .rs1 = SCRATCH, .vm = 1};
        *(opcode == ISA_VS8R_V ? &in.rs3 : &in.rd) = (uint8_t)r;
        emit(g, in);
        emit_immediate(g, SCRATCH_2, g->options->vlen);
        emit(g,
             (isa_instruction){.opcode = ISA_ADD, .rd = SCRATCH, .rs1 = SCRATCH, .rs2 = SCRATCH_2});
    }
}

static void emit_prologue(generator *g)
{
    emit_immediate(g, SCRATCH, INITIAL_AT);
    for (unsigned r = 0; r < 32; r++)
        emit(g, (isa_instruction){.opcode = ISA_FLD,
                                  .rd = (uint8_t)r,
                                  .rs1 = SCRATCH,
                                  .imm = (int32_t)(256 + 8 * r)});
    emit(g, (isa_instruction){.opcode = ISA_ADDI, .rd = SCRATCH, .rs1 = SCRATCH, .imm = 512});
    emit_vector_registers(g, ISA_VL8RE8_V);
    emit_immediate(g, SCRATCH, INITIAL_AT);
    for (unsigned r = 1; r < 31; r++)
        emit(g, (isa_instruction){
                    .opcode = ISA_LD, .rd = (uint8_t)r, .rs1 = SCRATCH, .imm = (int32_t)(8 * r)});
    emit_immediate(g, STACK, BUFFER_AT);
    emit_immediate(g, BASE_2, BUFFER_AT);
    emit_immediate(g, BASE, BUFFER_AT);
    emit_immediate(g, STRIDE, (uint32_t)((int32_t)below(g, 129) - 40));
    emit_immediate(g, COUNTER, g->options->iterations);
}

static void emit_dump(generator *g)
{
    emit_immediate(g, SCRATCH, DUMP_AT);
    for (unsigned r = 1; r < 31; r++)
        emit(g, (isa_instruction){
                    .opcode = ISA_SD, .rs2 = (uint8_t)r, .rs1 = SCRATCH, .imm = (int32_t)(8 * r)});
    for (unsigned r = 0; r < 32; r++)
        emit(g, (isa_instruction){.opcode = ISA_FSD,
                                  .rs2 = (uint8_t)r,
                                  .rs1 = SCRATCH,
                                  .imm = (int32_t)(256 + 8 * r)});
    static const uint16_t csrs[] = {HART_CSR_FCSR,  HART_CSR_VCSR,   HART_CSR_VL,
                                    HART_CSR_VTYPE, HART_CSR_VSTART, HART_CSR_VLENB};
    for (unsigned i = 0; i < sizeof csrs / sizeof *csrs; i++) {
        emit(g, (isa_instruction){.opcode = ISA_CSRRS, .rd = 5, .imm = csrs[i]});
        emit(g, (isa_instruction){
                    .opcode = ISA_SD, .rs2 = 5, .rs1 = SCRATCH, .imm = (int32_t)(512 + 8 * i)});
    }
    emit(g, (isa_instruction){.opcode = ISA_ADDI, .rd = SCRATCH, .rs1 = SCRATCH, .imm = 1024});
    emit_vector_registers(g, ISA_VS8R_V);
}

// write(1, from, to - from)
static void emit_write(generator *g, uint32_t from, uint32_t to)
{
    emit_immediate(g, 10, 1);
    emit_immediate(g, 11, from);
    emit_immediate(g, 12, to - from);
    emit_immediate(g, 17, 64);
    put_word(g, 0x73, 4);
    g->pc += 4;
}

// ---------------------------------------------------------------- the body

// What the second opinion does not have or gets wrong (qemu 7.2: ctzw looks at the upper half, the
// truncating vector conversions crash it), or what a random program cannot do.
static bool excluded(unsigned opcode)
{
    static const char *const extensions[] = {"Zicond", "Zfbfmin", "Zvfbfmin", "Xlut"};
    const isa_row *row = &isa_rows[opcode];
    for (unsigned i = 0; i < sizeof extensions / sizeof *extensions; i++)
        if (!strcmp(row->extension, extensions[i]))
            return true;
    switch (opcode) {
    case ISA_ILLEGAL:
    case ISA_JALR:
    case ISA_ECALL:
    case ISA_EBREAK:
    case ISA_FENCE_I:
    case ISA_CTZW:
    case ISA_SC_W:
    case ISA_SC_D: return true;
    default: return false;
    }
}

static bool selected(const generator *g, unsigned opcode)
{
    const char *only = g->options->only;
    const isa_row *row = &isa_rows[opcode];
    return !only || !strcmp(row->extension, only) || !strncmp(row->mnemonic, only, strlen(only)) ||
           row->class == ISA_CLASS_VECTOR_SETUP;
}

static bool is_memory(isa_class class)
{
    return class == ISA_CLASS_LOAD || class == ISA_CLASS_STORE || class == ISA_CLASS_ATOMIC ||
           class == ISA_CLASS_VECTOR_LOAD || class == ISA_CLASS_VECTOR_STORE;
}

static bool has_operand(const isa_instruction *in, const char *name)
{
    return strstr(isa_rows[in->opcode].operands, name) != NULL;
}

static bool is_fixed(unsigned r)
{
    return r == STACK || r == BASE_2 || r >= SCRATCH_2;
}

static bool names_index(const isa_row *row)
{
    return strstr(row->mnemonic, "ei") != NULL;
}

// Vector CSRs are written within their fields: qemu 7.2 keeps more bits than vxrm and vxsat have.
static bool writes_csr_safely(generator *g, isa_instruction *in)
{
    static const struct {
        uint16_t csr;
        uint8_t values;
    } immediate[] = {
        {HART_CSR_FRM, 5}, {HART_CSR_VXSAT, 2}, {HART_CSR_VXRM, 4}, {HART_CSR_VCSR, 8}};
    static const uint16_t readable[] = {HART_CSR_FFLAGS, HART_CSR_FRM,   HART_CSR_FCSR, HART_CSR_VL,
                                        HART_CSR_VTYPE,  HART_CSR_VLENB, HART_CSR_VCSR};
    if (in->opcode == ISA_CSRRWI) {
        unsigned i = below(g, 4);
        in->imm = immediate[i].csr;
        in->rs1 = (uint8_t)below(g, immediate[i].values);
    } else if (below(g, 2)) {
        in->imm = HART_CSR_FFLAGS;
    } else {
        in->opcode = ISA_CSRRS;
        in->rs1 = 0;
        in->imm = readable[below(g, 7)];
    }
    return true;
}

// Bends a random instruction into one that stays inside the program. False: hopeless.
static bool tame(generator *g, isa_instruction *in)
{
    const isa_row *row = &isa_rows[in->opcode];
    if (has_operand(in, "rd") && is_fixed(in->rd))
        in->rd = 9;
    if (row->class == ISA_CLASS_SYSTEM && has_operand(in, "csr"))
        return writes_csr_safely(g, in);
    if (row->class == ISA_CLASS_VECTOR_SETUP) {
        static const uint8_t lmuls[] = {0, 1, 2, 3, 5, 6, 7};
        in->imm = (int32_t)(lmuls[below(g, 7)] | below(g, 4) << 3 | below(g, 4) << 6);
        if (in->opcode == ISA_VSETVL) {
            emit_immediate(g, SCRATCH, (uint32_t)in->imm);
            in->rs2 = SCRATCH;
            in->imm = 0;
            in->rd = in->rd ? in->rd : 9;
        }
        if (in->opcode == ISA_VSETVLI && below(g, 2))
            in->rs1 = 0, in->rd = 9;
        if (in->opcode == ISA_VSETVLI && in->rs1 == 0 && in->rd == 0)
            in->rd = 9;
        return true;
    }
    if (is_memory(row->class)) {
        in->rs1 = BASE;
        if (!strncmp(row->mnemonic, "vls", 3) || !strncmp(row->mnemonic, "vss", 3))
            in->rs2 = has_operand(in, "rs2") ? STRIDE : in->rs2;
        return true;
    }
    return strstr(row->mnemonic, ".rtz.") == NULL;
}

// Makes the indices of an indexed access small: shifts them right at their own width.
static void limit_indices(generator *g, const isa_instruction *in)
{
    const char *mnemonic = isa_rows[in->opcode].mnemonic;
    unsigned width = !strcmp(strstr(mnemonic, "ei"), "ei32.v")   ? 2
                     : !strcmp(strstr(mnemonic, "ei"), "ei64.v") ? 3
                                                                 : 0;
    if (width == 0 || g->h->vill)
        return;
    int emul = g->h->lmul + (int)width - g->h->sew;
    if (emul < -3 || emul > 3 || in->rs2 % (emul > 0 ? 1 << emul : 1) != 0)
        return;
    uint32_t length = (uint32_t)g->h->vl;
    uint32_t vtype = (uint32_t)(g->h->lmul & 7) | (uint32_t)g->h->sew << 3;
    if (length == 0)
        return;
    if (emul < (int)width - 3)
        return;
    emit(g, (isa_instruction){.opcode = ISA_VSETVLI,
                              .rd = SCRATCH,
                              .imm = (int32_t)((uint32_t)(emul & 7) | width << 3)});
    emit_immediate(g, SCRATCH, width == 2 ? 18 : 50);
    emit(g, (isa_instruction){
                .opcode = ISA_VSRL_VX, .rd = in->rs2, .rs2 = in->rs2, .rs1 = SCRATCH, .vm = 1});
    emit_immediate(g, SCRATCH, length);
    emit(g, (isa_instruction){
                .opcode = ISA_VSETVLI, .rd = SCRATCH_2, .rs1 = SCRATCH, .imm = (int32_t)vtype});
}

static bool indices_are_small(const generator *g, const isa_instruction *in)
{
    const char *width = strstr(isa_rows[in->opcode].mnemonic, "ei");
    unsigned bytes = !strcmp(width, "ei32.v") ? 4 : !strcmp(width, "ei64.v") ? 8 : 0;
    for (uint64_t i = 0; bytes && i < g->h->vl; i++) {
        uint64_t index = 0;
        size_t at = in->rs2 * (size_t)g->h->vlenb + i * bytes;
        if (at + bytes > 32 * (size_t)g->h->vlenb)
            return false;
        memcpy(&index, g->h->v + at, bytes);
        if (index >= 0x10000)
            return false;
    }
    return true;
}

// A random word that decodes to `opcode`.
static bool random_instruction(generator *g, unsigned opcode, isa_instruction *in)
{
    const isa_row *row = &isa_rows[opcode];
    for (int attempt = 0; attempt < 20; attempt++) {
        uint32_t word = ((uint32_t)random_bits(&g->random) & ~row->mask) | row->match;
        isa_decode(word, in);
        if (in->opcode == opcode)
            return true;
    }
    return false;
}

static bool emit_compressed(generator *g)
{
    uint16_t half = (uint16_t)random_bits(&g->random);
    isa_instruction in;
    isa_decode(half, &in);
    isa_class class = isa_rows[in.opcode].class;
    bool uses_fixed = has_operand(&in, "rd") && is_fixed(in.rd);
    if (in.length != 2 || excluded(in.opcode) || uses_fixed || class == ISA_CLASS_BRANCH ||
        class == ISA_CLASS_JUMP || (is_memory(class) && in.rs1 != STACK && in.rs1 != BASE_2))
        return false;
    return place(g, half, 2);
}

// Skips the next instruction, or not; what is skipped does not change what is legal behind it.
static void emit_branch(generator *g, isa_instruction in)
{
    in.imm = 8;
    uint32_t word;
    if (!isa_encode(&in, &word))
        return;
    uint32_t at = g->pc;
    put_word(g, word, 4);
    g->h->pc = at;
    hart_run(g->h, 1);
    bool taken = g->h->pc == at + 8;
    g->pc = at + 4;
    isa_instruction skipped = {.opcode = ISA_XORI, .rd = 7, .rs1 = 7, .imm = 1};
    isa_encode(&skipped, &word);
    if (taken) {
        put_word(g, word, 4);
        g->pc += 4;
    } else {
        place(g, word, 4);
    }
}

// One that succeeds and one that fails. Where address or size differ from those of the load, qemu
// 7.2 may store and still report failure.
static void emit_conditional_stores(generator *g, const isa_instruction *load)
{
    isa_instruction in = *load;
    in.opcode = load->opcode == ISA_LR_W ? ISA_SC_W : ISA_SC_D;
    in.rs2 = (uint8_t)below(g, 32);
    emit(g, in);
    emit(g, in);
}

static void emit_one(generator *g)
{
    if (!g->options->only && below(g, 6) == 0 && emit_compressed(g))
        return;
    unsigned opcode = below(g, ISA_OPCODE_COUNT);
    isa_instruction in;
    if (excluded(opcode) || !selected(g, opcode) || !random_instruction(g, opcode, &in) ||
        !tame(g, &in))
        return;
    isa_class class = isa_rows[opcode].class;
    if (class == ISA_CLASS_BRANCH || class == ISA_CLASS_JUMP) {
        emit_branch(g, in);
        return;
    }
    uint32_t word;
    if (!isa_encode(&in, &word))
        return;
    bool vector_memory = class == ISA_CLASS_VECTOR_LOAD || class == ISA_CLASS_VECTOR_STORE;
    if (vector_memory && names_index(&isa_rows[opcode])) {
        limit_indices(g, &in);
        if (!indices_are_small(g, &in))
            return;
    }
    if (place(g, word, 4) && (opcode == ISA_LR_W || opcode == ISA_LR_D))
        emit_conditional_stores(g, &in);
}

static void emit_loop_end(generator *g, uint32_t start)
{
    emit(g, (isa_instruction){.opcode = ISA_ADDI, .rd = COUNTER, .rs1 = COUNTER, .imm = -1});
    // Backward: beq over a jump, so that any distance is reached.
    uint32_t word;
    isa_instruction out = {.opcode = ISA_BEQ, .rs1 = COUNTER, .imm = 8};
    isa_encode(&out, &word);
    put_word(g, word, 4);
    g->pc += 4;
    isa_instruction back = {.opcode = ISA_JAL, .imm = (int32_t)(start - g->pc)};
    isa_encode(&back, &word);
    put_word(g, word, 4);
    g->pc += 4;
}

static void emit_body(generator *g)
{
    uint32_t start = g->pc;
    // The same vtype and rounding mode in every iteration, so that what is legal once stays so.
    emit(g,
         (isa_instruction){.opcode = ISA_CSRRWI, .imm = HART_CSR_FRM, .rs1 = (uint8_t)below(g, 5)});
    emit(g, (isa_instruction){
                .opcode = ISA_VSETVLI, .rd = 9, .imm = (int32_t)(below(g, 4) | below(g, 4) << 3)});
    while (g->p->body_count < g->options->length) {
        g->p->body_at[g->p->body_count] = g->pc;
        emit_one(g);
        g->p->body_count += g->pc != g->p->body_at[g->p->body_count];
    }
    emit_loop_end(g, start);
}

void program_generate(const program_options *options, program *out)
{
    memset(out, 0, sizeof *out);
    generator g = {
        .options = options, .p = out, .random = random_seed(options->seed), .pc = IMAGE_START};
    g.memory = hart_memory_create();
    if (!g.memory || !hart_memory_map(g.memory, IMAGE_START, IMAGE_END - IMAGE_START,
                                      HART_READ | HART_WRITE | HART_EXECUTE))
        INTERNAL_ERROR("no guest memory");
    g.h = hart_create(g.memory, options->vlen, NULL);
    fill_initial(&g);
    hart_memory_write(g.memory, IMAGE_START, out->image, sizeof out->image);
    emit_prologue(&g);
    emit_body(&g);
    emit_dump(&g);
    emit_write(&g, DUMP_AT, DUMP_AT + 1024 + 4 * options->vlen);
    emit_write(&g, BUFFER_START, BUFFER_END);
    emit_immediate(&g, 10, 0);
    emit_immediate(&g, 17, 93);
    put_word(&g, 0x73, 4);
    hart_destroy(g.h);
    hart_memory_destroy(g.memory);
}

bool program_write_elf(const program *p, const char *path)
{
    Elf64_Ehdr header = {
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_EXEC,
        .e_machine = EM_RISCV,
        .e_version = EV_CURRENT,
        .e_entry = IMAGE_START,
        .e_phoff = sizeof header,
        .e_flags = 5, // compressed, double float
        .e_ehsize = sizeof header,
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = 1};
    Elf64_Phdr segment = {.p_type = PT_LOAD,
                          .p_flags = PF_R | PF_W | PF_X,
                          .p_offset = 4096,
                          .p_vaddr = IMAGE_START,
                          .p_paddr = IMAGE_START,
                          .p_filesz = sizeof p->image,
                          .p_memsz = sizeof p->image,
                          .p_align = 4096};
    FILE *f = fopen(path, "wb");
    if (!f)
        return false;
    bool ok = fwrite(&header, sizeof header, 1, f) == 1 &&
              fwrite(&segment, sizeof segment, 1, f) == 1 && fseek(f, 4096, SEEK_SET) == 0 &&
              fwrite(p->image, sizeof p->image, 1, f) == 1;
    ok = fclose(f) == 0 && ok;
    return ok && chmod(path, 0755) == 0;
}
