// link: lutra_hart lutra_lut
//
// Machine code for vectors against the handlers: every vector instruction, with random operands, in
// every shape, must leave the same registers, flags, memory and faults. All of it once more without
// AVX-512, where the host has it.
#include "hart_helpers.h"

#include <math.h>

enum { LOWEST_LMUL = -3, HIGHEST_LMUL = 3, ROUNDS = 4, MOST_BYTES = 1024, PAGE = 4096 };

static uint64_t seed = 99;

static uint64_t random_bits(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return seed >> 11 ^ seed << 40;
}

static uint64_t below(uint64_t n)
{
    return (random_bits() >> 8) % n;
}

static float special(void)
{
    static const float values[] = {0,
                                   -0.0f,
                                   1,
                                   INFINITY,
                                   -INFINITY,
                                   NAN,
                                   0x1p-149f,
                                   0x1p-126f,
                                   0x1.8p-126f,
                                   0x1.fffffep127f,
                                   -0x1p31f,
                                   0x1p-14f,
                                   0x1.ffap-15f,
                                   0x1.ffcp15f,
                                   0x1.ffep15f};
    return values[below(sizeof values / sizeof *values)];
}

typedef enum contents { BITS, NUMBERS, SMALL_NUMBERS, HALVES, CONTENTS } contents;

static uint32_t ordinary_half(void)
{
    return (uint32_t)(below(2) << 15 | below(0x7c00));
}

// Four bytes: numbers are ordinary ones and, now and then, one that is not.
static uint32_t random_word(contents c, bool wild)
{
    uint32_t bits = (uint32_t)random_bits();
    float value = (float)(int32_t)bits * 0x1p-28f;
    if (c == BITS)
        return bits;
    if (c == HALVES)
        return ordinary_half() | ordinary_half() << 16;
    if (c == SMALL_NUMBERS)
        value *= ldexpf(1, -(int)below(bits % 8 ? 30 : 150));
    if (wild && bits % 64 == 0)
        value = special();
    memcpy(&bits, &value, 4);
    return bits;
}

static void fill_random(void *to, size_t bytes, contents c, bool wild)
{
    for (size_t i = 0; i < bytes; i += 4) {
        const uint32_t word = random_word(c, wild);
        memcpy((uint8_t *)to + i, &word, 4);
    }
}

// The same code and state twice: one hart may use machine code.
typedef struct pair {
    fixture quick, steps;
} pair;

static pair pair_create(uint32_t vlen, bool avx512)
{
    lut_unit *a = lut_unit_create(2, 64), *b = lut_unit_create(2, 64);
    pair p = {fixture_create(vlen, a), fixture_create(vlen, b)};
    hart_use_avx512(p.quick.h, avx512);
    hart_use_native(p.steps.h, false);
    return p;
}

static void pair_destroy(pair *p)
{
    lut_unit *a = p->quick.h->lut, *b = p->steps.h->lut;
    fixture_destroy(&p->quick);
    fixture_destroy(&p->steps);
    lut_unit_destroy(a);
    lut_unit_destroy(b);
}

static size_t bytes_of_tiles(const hart *h)
{
    return (size_t)32 * h->lut->tile_bytes;
}

static uint8_t *data_of(const fixture *f)
{
    return hart_memory_range(f->memory, DATA, DATA_BYTES, HART_WRITE);
}

// What the other hart has differently.
static void copy_state(pair *p)
{
    const hart *a = p->quick.h;
    hart *b = p->steps.h;
    memcpy(b->x, a->x, sizeof a->x);
    memcpy(b->f, a->f, sizeof a->f);
    memcpy(b->v, a->v, 32 * a->vlenb);
    memcpy(data_of(&p->steps), data_of(&p->quick), DATA_BYTES);
    memcpy(b->lut->tiles, a->lut->tiles, bytes_of_tiles(a));
    b->shape = a->shape, b->vl = a->vl, b->vstart = a->vstart;
    b->fflags = a->fflags, b->frm = a->frm;
}

static void randomize(pair *p, unsigned sew, int lmul)
{
    hart *a = p->quick.h;
    const bool wild = random_bits() % 2;
    const contents floats = (contents)below(CONTENTS);
    const uint64_t most = hart_vlmax(a->vlenb, sew, lmul);
    a->vill = false;
    a->sew = (uint8_t)sew;
    a->lmul = (int8_t)lmul;
    a->vl = random_bits() % 2 ? most : random_bits() % 8 ? below(most + 1) : 0;
    a->vstart = random_bits() % 16 ? 0 : below(most);
    a->fflags = (uint8_t[]){0, 1, 1, 3}[below(4)];
    a->frm = random_bits() % 8 ? 0 : (uint8_t)below(6);
    fill_random(a->v, 32 * a->vlenb, floats, wild);
    if (random_bits() % 2) // small indices
        for (unsigned i = 0; i < 32 * a->vlenb; i++)
            a->v[i] &= 31;
    a->x[5] = DATA + (uint64_t[]){64, PAGE, DATA_BYTES}[below(3)] + below(128) - 64;
    if (random_bits() % 32 == 0)
        a->x[5] = random_bits() >> below(64);
    a->x[6] = random_bits() % 2 ? below(40) : random_bits();
    a->f[7] = random_bits();
    fill_random(&a->f[7], 4, floats == BITS ? NUMBERS : floats, wild);
    if (random_bits() % 8)
        a->f[7] |= 0xffffffff00000000;
    fill_random(data_of(&p->quick), MOST_BYTES, floats, wild);
    fill_random(data_of(&p->quick) + PAGE - 64, MOST_BYTES, floats, wild);
    fill_random(data_of(&p->quick) + DATA_BYTES - 64, 64, floats, wild);
    copy_state(p);
}

static unsigned random_register(int lmul)
{
    const unsigned aligned = ~0u << (lmul > 0 && random_bits() % 8 ? lmul : 0);
    return (unsigned)below(32) & aligned;
}

// Fields that the instruction has not are 0.
static isa_instruction random_instruction(unsigned opcode, int lmul)
{
    const char *operands = isa_rows[opcode].operands;
    isa_instruction in = {.opcode = (uint16_t)opcode, .vm = strstr(operands, "v0") == NULL};
    if (strstr(operands, "vm"))
        in.vm = random_bits() % 8 != 0;
    if (strstr(operands, "vd") || strstr(operands, "rd") || strstr(operands, "fd"))
        in.rd = (uint8_t)random_register(lmul);
    if (strstr(operands, "vs3"))
        in.rs3 = (uint8_t)random_register(lmul);
    if (strstr(operands, "vs2"))
        in.rs2 = (uint8_t)random_register(lmul);
    else if (strstr(operands, "rs2"))
        in.rs2 = 6;
    if (strstr(operands, "(rs1)"))
        in.rs1 = 5;
    else if (strstr(operands, "rs1"))
        in.rs1 = 6;
    else if (strstr(operands, "fs1"))
        in.rs1 = 7;
    else if (strstr(operands, "vs1") || strstr(operands, "zimm"))
        in.rs1 = (uint8_t)random_register(lmul);
    if (strstr(operands, "uimm"))
        in.imm = (int32_t)below(32);
    else if (strstr(operands, "vtype"))
        in.imm = (int32_t)below(256);
    else if (strstr(operands, ", imm"))
        in.imm = (int32_t)below(32) - 16;
    return in;
}

// Of what is different; NULL: nothing.
static const char *difference(const pair *p)
{
    const hart *a = p->quick.h, *b = p->steps.h;
    const struct {
        const char *name;
        bool differs;
    } rows[] = {
        {"x", memcmp(a->x, b->x, 32 * sizeof *a->x) != 0},
        {"f", memcmp(a->f, b->f, sizeof a->f) != 0},
        {"v", memcmp(a->v, b->v, 32 * a->vlenb) != 0},
        {"fflags", a->fflags != b->fflags},
        {"pc", a->pc != b->pc},
        {"vtype", a->shape != b->shape || a->vma != b->vma || a->vta != b->vta},
        {"vl", a->vl != b->vl},
        {"vstart", a->vstart != b->vstart},
        {"instructions", a->retired != b->retired},
        {"bytes", memcmp(a->vector_bytes, b->vector_bytes, sizeof a->vector_bytes) != 0},
        {"memory", memcmp(data_of(&p->quick), data_of(&p->steps), DATA_BYTES) != 0},
        {"tiles", memcmp(a->lut->tiles, b->lut->tiles, bytes_of_tiles(a)) != 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].differs)
            return rows[i].name;
    return NULL;
}

static void fail_difference(const pair *p, const char *what)
{
    char code[2000] = "";
    for (uint64_t pc = CODE; pc < p->quick.end; pc += 4) {
        isa_instruction in;
        hart_fetch(p->quick.h, pc, &in);
        size_t used = strlen(code);
        snprintf(code + used, sizeof code - used, " %s %u %u %u %d %s;",
                 isa_rows[in.opcode].mnemonic, in.rd | in.rs3, in.rs2, in.rs1, (int)in.imm,
                 in.vm ? "" : "masked");
    }
    fail_msg("%s differs, VLEN %u, shape %06x, vl %u behind%s", what, 8 * p->quick.h->vlenb,
             (unsigned)p->quick.h->shape, (unsigned)p->quick.h->vl, code);
}

// Machine code has been made by the second time.
static void expect_same_run(pair *p)
{
    hart *a = p->quick.h, *b = p->steps.h;
    a->pc = b->pc = CODE;
    const hart_stop why = hart_run(a, 100);
    assert_int_equal(why, hart_run(b, 100));
    if (why == HART_STOP_FAULT) {
        assert_int_equal(a->cause, b->cause);
        assert_int_equal(a->fault_address, b->fault_address);
    }
    const char *what = difference(p);
    if (what)
        fail_difference(p, what);
}

static void begin(pair *p)
{
    hart_flush_code(p->quick.h);
    hart_flush_code(p->steps.h);
    p->quick.end = p->steps.end = CODE;
}

static void end(pair *p)
{
    hart_set_return(p->quick.h, p->quick.end);
    hart_set_return(p->steps.h, p->steps.end);
}

static unsigned tried;

// False: it is no instruction.
static bool put_alone(pair *p, const isa_instruction *in)
{
    uint32_t word;
    if (!isa_encode(in, &word))
        return false;
    tried++;
    begin(p);
    put_word(&p->quick, word);
    put_word(&p->steps, word);
    end(p);
    return true;
}

static void try_instruction(pair *p, unsigned opcode, unsigned sew, int lmul)
{
    const isa_instruction in = random_instruction(opcode, lmul);
    if (!put_alone(p, &in))
        return;
    for (int again = 0; again < 2; again++) {
        randomize(p, sew, lmul);
        expect_same_run(p);
    }
}

static bool is_vector(unsigned opcode)
{
    return strncmp(isa_rows[opcode].extension, "V", 1) == 0 ||
           strncmp(isa_rows[opcode].extension, "Zv", 2) == 0;
}

static void try_shapes(uint32_t vlen, bool avx512)
{
    pair p = pair_create(vlen, avx512);
    for (unsigned opcode = 1; opcode < ISA_OPCODE_COUNT; opcode++)
        for (int lmul = LOWEST_LMUL; is_vector(opcode) && lmul <= HIGHEST_LMUL; lmul++)
            for (unsigned sew = 0; sew <= 3; sew++)
                for (int i = 0; hart_vlmax(vlen / 8, sew, lmul) && i < ROUNDS; i++)
                    try_instruction(&p, opcode, sew, lmul);
    pair_destroy(&p);
}

static void instructions_are_those_of_handlers(void **state)
{
    (void)state;
    for (int avx512 = 0; avx512 < 2; avx512++)
        for (uint32_t vlen = 128; vlen <= 1024; vlen *= 2)
            try_shapes(vlen, avx512);
    assert_true(tried > 100000);
}

// Every number of elements, of which those behind have anything.
static void try_lengths(pair *p, unsigned opcode, unsigned sew, int lmul)
{
    const uint64_t most = hart_vlmax(p->quick.h->vlenb, sew, lmul);
    const isa_instruction in = random_instruction(opcode, lmul);
    if (!put_alone(p, &in))
        return;
    for (uint64_t vl = 0; vl <= most; vl++) {
        randomize(p, sew, lmul);
        p->quick.h->vl = p->steps.h->vl = vl;
        p->quick.h->vstart = p->steps.h->vstart = 0;
        expect_same_run(p);
    }
}

static void all_lengths_are_those_of_handlers(void **state)
{
    (void)state;
    for (uint32_t vlen = 128; vlen <= 256; vlen *= 2) {
        pair p = pair_create(vlen, true);
        for (unsigned opcode = 1; opcode < ISA_OPCODE_COUNT; opcode++)
            for (int lmul = 0; is_vector(opcode) && lmul <= HIGHEST_LMUL; lmul++)
                for (unsigned sew = 0; sew <= 3; sew++)
                    try_lengths(&p, opcode, sew, lmul);
        pair_destroy(&p);
    }
}

static void put_both(pair *p, isa_instruction in)
{
    put(&p->quick, in);
    put(&p->steps, in);
}

// What follows an instruction rounds as frm says, whatever that one has looked at.
static void try_rounding(pair *p, unsigned opcode, unsigned sew, int lmul)
{
    enum { TRIES = 6 };
    hart *h = p->quick.h;
    uint32_t word;
    isa_instruction in = random_instruction(opcode, HIGHEST_LMUL);
    in.vm = strstr(isa_rows[opcode].operands, "v0") == NULL;
    if (!isa_encode(&in, &word))
        return;
    begin(p);
    put_both(p, (isa_instruction){.opcode = ISA_VOR_VV, .vm = 1}); // minds the length
    put_both(p, in);
    put_both(p, (isa_instruction){.opcode = ISA_VFADD_VV, .rd = 8, .rs1 = 16, .rs2 = 24, .vm = 1});
    end(p);
    for (unsigned i = 0; i < TRIES; i++) {
        randomize(p, sew, lmul);
        fill_random(h->v, 32 * h->vlenb, NUMBERS, false);
        h->vl = below(hart_vlmax(h->vlenb, sew, lmul) + 1);
        h->vstart = 0;
        h->frm = (uint8_t)below(5);
        h->fflags = 1;
        copy_state(p);
        expect_same_run(p);
    }
}

static void numbers_are_rounded_as_by_handlers(void **state)
{
    (void)state;
    for (int avx512 = 0; avx512 < 2; avx512++) {
        pair p = pair_create(256, avx512);
        for (unsigned opcode = 1; opcode < ISA_OPCODE_COUNT; opcode++)
            for (int lmul = 0; is_vector(opcode) && lmul <= HIGHEST_LMUL; lmul++)
                try_rounding(&p, opcode, 2, lmul);
        pair_destroy(&p);
    }
}

// One element, wherever it is, whose operands may be exceptional.
static void try_exceptions(pair *p, unsigned opcode, unsigned sew, int lmul)
{
    enum { TRIES = 60 };
    hart *h = p->quick.h;
    isa_instruction in = random_instruction(opcode, HIGHEST_LMUL);
    in.vm = strstr(isa_rows[opcode].operands, "v0") == NULL;
    if (!put_alone(p, &in))
        return;
    for (unsigned i = 0; i < TRIES; i++) {
        randomize(p, sew, lmul);
        h->vl = hart_vlmax(h->vlenb, sew, lmul) - below(2);
        h->vstart = h->frm = 0;
        h->fflags = (uint8_t)(1 + 2 * below(2));
        fill_random(h->v, 32 * h->vlenb, sew == 1 && i % 2 ? HALVES : NUMBERS, false);
        for (unsigned r = 0; r < 32 && i > 0; r += 1 << HIGHEST_LMUL) {
            const float value = special();
            memcpy(h->v + r * h->vlenb + ((i % h->vl) << sew & ~3u), &value, 4);
        }
        copy_state(p);
        expect_same_run(p);
    }
}

static void exceptions_are_those_of_handlers(void **state)
{
    (void)state;
    for (int avx512 = 0; avx512 < 2; avx512++)
        for (uint32_t vlen = 128; vlen <= 256; vlen *= 2) {
            pair p = pair_create(vlen, avx512);
            for (unsigned opcode = 1; opcode < ISA_OPCODE_COUNT; opcode++)
                for (int lmul = 0; is_vector(opcode) && lmul <= HIGHEST_LMUL; lmul++)
                    for (unsigned sew = 1; sew <= 2; sew++)
                        if (strncmp(isa_rows[opcode].mnemonic, "vf", 2) == 0 ||
                            strncmp(isa_rows[opcode].mnemonic, "vmf", 3) == 0)
                            try_exceptions(&p, opcode, sew, lmul);
            pair_destroy(&p);
        }
}

// Elements on both sides of the ends of pages, of which the second may be missing.
static void strided_loads_are_those_of_handlers(void **state)
{
    (void)state;
    for (int avx512 = 0; avx512 < 2; avx512++) {
        pair p = pair_create(256, avx512);
        for (int i = 0; i < 2000; i++)
            try_instruction(&p, ISA_VLSE32_V, 2, i % 4);
        pair_destroy(&p);
    }
}

// Now and then what the last one was, and what it takes its length from may have changed since; or
// one that takes its type from x28, which only handlers execute.
static isa_instruction random_configuration(pair *p, const isa_instruction *last)
{
    if (last->opcode && random_bits() % 2)
        return *last;
    const int32_t type = (int32_t)(below(4) << 3 | below(4));
    const bool by_handler = below(4) == 0;
    if (by_handler)
        put_both(p, (isa_instruction){.opcode = ISA_ADDI, .rd = 28, .imm = type});
    return (isa_instruction){.opcode = by_handler ? ISA_VSETVL : ISA_VSETVLI,
                             .rs2 = by_handler ? 28 : 0,
                             .rd = (uint8_t)(below(4)   ? 0
                                             : below(2) ? 10
                                                        : 6),
                             .rs1 = (uint8_t)below(2) * 6,
                             .imm = by_handler ? 0 : type};
}

// An Xlut instruction that machine code calls, in the midst of vectors; its host code uses what
// theirs does.
static isa_instruction random_scaling(void)
{
    return (isa_instruction){.opcode = ISA_LUT_DEQ,
                             .rd = (uint8_t)below(2),
                             .rs3 = 2,
                             .rs1 = 5,
                             .type = XLUT_SUM_I32,
                             .scale_type = XLUT_SCALE_F32};
}

static isa_instruction random_in_stretch(unsigned opcode, int lmul)
{
    if (random_bits() % 8 == 0)
        return (isa_instruction){
            .opcode = ISA_ADDI, .rd = (uint8_t)(6 + below(2)), .rs1 = 6, .imm = -1};
    return random_bits() % 8 ? random_instruction(opcode, lmul) : random_scaling();
}

static void put_stretch(pair *p, const unsigned *opcodes, unsigned count)
{
    isa_instruction in = {0}, last = {0};
    for (int i = 0; i < 12; i++) {
        uint32_t word;
        if (i % 4)
            in = random_in_stretch(opcodes[below(count)], (int)below(3));
        else
            in = last = random_configuration(p, &last);
        if (!isa_encode(&in, &word))
            continue;
        put_word(&p->quick, word);
        put_word(&p->steps, word);
        if (in.opcode == ISA_VSETVL) // code that is entered behind it expects what it finds there
            put_both(p, (isa_instruction){.opcode = ISA_JAL, .imm = 4});
    }
}

// Several instructions in one stretch of code, of a shape that it sets itself.
static void try_stretches(uint32_t vlen, bool avx512)
{
    pair p = pair_create(vlen, avx512);
    unsigned vectors[ISA_OPCODE_COUNT], count = 0;
    for (unsigned opcode = 1; opcode < ISA_OPCODE_COUNT; opcode++)
        if (is_vector(opcode))
            vectors[count++] = opcode;
    for (int round = 0; round < 4000; round++) {
        begin(&p);
        put_stretch(&p, vectors, count);
        end(&p);
        for (int again = 0; again < 4; again++) {
            randomize(&p, 2, 1);
            expect_same_run(&p);
        }
    }
    pair_destroy(&p);
}

static void stretches_are_those_of_handlers(void **state)
{
    (void)state;
    for (int avx512 = 0; avx512 < 2; avx512++)
        for (uint32_t vlen = 128; vlen <= 256; vlen *= 2)
            try_stretches(vlen, avx512);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instructions_are_those_of_handlers),
        cmocka_unit_test(all_lengths_are_those_of_handlers),
        cmocka_unit_test(numbers_are_rounded_as_by_handlers),
        cmocka_unit_test(exceptions_are_those_of_handlers),
        cmocka_unit_test(strided_loads_are_those_of_handlers),
        cmocka_unit_test(stretches_are_those_of_handlers),
    };
    return cmocka_run_group_tests_name("hart_native", tests, NULL, NULL);
}
