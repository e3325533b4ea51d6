// link: lutra_observe lutra_support
// What an instruction is said to touch is what it touches: in bytes by the counters, in places by
// what changes in memory.
#include "hart_helpers.h"

#include "runtime/observe/access.h"

enum { SEEN = 256 };

typedef struct seen {
    observe_access items[SEEN];
    size_t count;
    uint64_t bytes[2]; // read, written
} seen;

static void see(void *context, const observe_access *a)
{
    seen *s = context;
    assert_true(s->count < SEEN);
    s->items[s->count++] = *a;
    s->bytes[a->write] += a->size;
}

static bool look(void *context, hart *h, const isa_instruction *in)
{
    observe_accesses(h, in, see, context);
    return true;
}

// Executes one instruction and fills *s.
static hart_stop watch(fixture *f, seen *s, isa_instruction in)
{
    *s = (seen){0};
    hart_observe(f->h, look, s);
    hart_stop stop = execute(f, in);
    hart_observe(f->h, NULL, NULL);
    return stop;
}
#define WATCH(f, s, ...) watch((f), (s), (isa_instruction){__VA_ARGS__})

static void check_access(const observe_access *a, uint64_t address, uint64_t size, bool write)
{
    assert_int_equal(a->address, address);
    assert_int_equal(a->size, size);
    assert_int_equal(a->write, write);
}

static void scalars(void **state)
{
    (void)state;
    static const struct {
        isa_opcode opcode;
        unsigned size;
        bool read, write;
    } rows[] = {{ISA_LB, 1, true, false},      {ISA_LHU, 2, true, false},
                {ISA_LWU, 4, true, false},     {ISA_LD, 8, true, false},
                {ISA_FLH, 2, true, false},     {ISA_SB, 1, false, true},
                {ISA_SD, 8, false, true},      {ISA_FSW, 4, false, true},
                {ISA_LR_W, 4, true, false},    {ISA_SC_D, 8, false, true},
                {ISA_AMOADD_W, 4, true, true}, {ISA_AMOMAXU_D, 8, true, true},
                {ISA_ADDI, 0, false, false},   {ISA_PREFETCH_R, 0, false, false}};
    fixture f = fixture_create(128, NULL);
    seen s;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool atomic = isa_rows[rows[i].opcode].class == ISA_CLASS_ATOMIC;
        bool loads = strchr(isa_rows[rows[i].opcode].operands, 'd') != NULL;
        f.h->x[8] = DATA + 64;
        WATCH(&f, &s, .opcode = rows[i].opcode, .rs1 = 8, .rd = loads ? 9 : 0,
              .rs2 = strstr(isa_rows[rows[i].opcode].operands, "s2") ? 10 : 0,
              .imm = atomic || rows[i].size == 0 ? 0 : -16);
        assert_int_equal(s.count, rows[i].read + rows[i].write);
        for (size_t j = 0; j < s.count; j++)
            check_access(&s.items[j], DATA + 64 - (atomic ? 0 : 16), rows[i].size,
                         rows[i].write && (j == 1 || !rows[i].read));
    }
    fixture_destroy(&f);
}

// Every kind of vector access: the bytes are those that the hart counts.
static void vectors(void **state)
{
    (void)state;
    static const isa_instruction rows[] = {
        {.opcode = ISA_VLE8_V, .vm = 1},
        {.opcode = ISA_VLE32_V, .vm = 0},
        {.opcode = ISA_VLE16_V, .vm = 1, .nf = 2},
        {.opcode = ISA_VLE64FF_V, .vm = 1},
        {.opcode = ISA_VLSE16_V, .vm = 0, .rs2 = 11},
        {.opcode = ISA_VLSE8_V, .vm = 1, .rs2 = 0},
        {.opcode = ISA_VLUXEI8_V, .vm = 1, .rs2 = 24},
        {.opcode = ISA_VLOXEI16_V, .vm = 0, .rs2 = 24, .nf = 1},
        {.opcode = ISA_VLM_V, .vm = 1},
        {.opcode = ISA_VL2RE32_V, .vm = 1},
        {.opcode = ISA_VSE16_V, .vm = 1},
        {.opcode = ISA_VSE32_V, .vm = 0, .nf = 1},
        {.opcode = ISA_VSSE64_V, .vm = 0, .rs2 = 11},
        {.opcode = ISA_VSUXEI16_V, .vm = 0, .rs2 = 24},
        {.opcode = ISA_VSM_V, .vm = 1},
        {.opcode = ISA_VS4R_V, .vm = 1},
    };
    fixture f = fixture_create(256, NULL);
    seen s;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        set_vtype(&f, 1, 0, 13); // e16, m1
        isa_instruction in = rows[i];
        in.rs1 = 8;
        if (isa_rows[in.opcode].class == ISA_CLASS_VECTOR_STORE)
            in.rs3 = 16;
        else
            in.rd = 16;
        f.h->x[8] = DATA + 0x1000;
        f.h->x[11] = (uint64_t)-40;
        for (unsigned j = 0; j < f.h->vlenb; j++) {
            f.h->v[j] = (uint8_t)(0x5b * (j + 1));                      // the mask
            f.h->v[24 * f.h->vlenb + j] = j % 2 ? 0 : (uint8_t)(8 * j); // indices
        }
        uint64_t before[2] = {f.h->vector_bytes[0], f.h->vector_bytes[1]};
        assert_int_equal(watch(&f, &s, in), HART_STOP_RETURN);
        for (int write = 0; write < 2; write++)
            assert_int_equal(s.bytes[write], f.h->vector_bytes[write] - before[write]);
        assert_true(s.bytes[0] + s.bytes[1] > 0);
    }
    fixture_destroy(&f);
}

// A store changes exactly the bytes it is said to write.
static void places(void **state)
{
    (void)state;
    fixture f = fixture_create(128, NULL);
    uint8_t *data = hart_memory_range(f.memory, DATA, DATA_BYTES, HART_WRITE);
    seen s;
    memset(data, 0xaa, DATA_BYTES);
    set_vtype(&f, 2, 1, 7); // e32, m2
    memset(f.h->v + 8 * f.h->vlenb, 0x11, 2 * f.h->vlenb);
    f.h->v[0] = 0x55;
    f.h->x[8] = DATA + 0x200;
    f.h->x[9] = 24;
    assert_int_equal(WATCH(&f, &s, .opcode = ISA_VSSE32_V, .rs1 = 8, .rs2 = 9, .rs3 = 8),
                     HART_STOP_RETURN);
    assert_int_equal(s.count, 4);
    for (size_t i = 0; i < s.count; i++) {
        check_access(&s.items[i], DATA + 0x200 + 48 * i, 4, true);
        memset(data + 0x200 + 48 * i, 0xaa, 4);
    }
    for (size_t i = 0; i < DATA_BYTES; i++)
        assert_int_equal(data[i], 0xaa);
    fixture_destroy(&f);
}

static void tiles(void **state)
{
    (void)state;
    lut_unit *lut = lut_unit_create(2, 64);
    fixture f = fixture_create(256, lut);
    seen s;
    f.h->x[8] = DATA + 0x400;
    assert_int_equal(WATCH(&f, &s, .opcode = ISA_LUT_LD, .rd = 3, .rs1 = 8, .imm = 512),
                     HART_STOP_RETURN);
    assert_int_equal(s.count, 1);
    check_access(&s.items[0], DATA + 0x600, 512, false);
    assert_int_equal(WATCH(&f, &s, .opcode = ISA_LUT_ST, .rs1 = 8, .rs2 = 3), HART_STOP_RETURN);
    check_access(&s.items[0], DATA + 0x400, 512, true);
    assert_int_equal(WATCH(&f, &s, .opcode = ISA_LUT_PF, .rs1 = 8), HART_STOP_RETURN);
    assert_int_equal(s.count, 0);
    fixture_destroy(&f);
    lut_unit_destroy(lut);
}

static void check_written(isa_instruction in, bool any, observe_register kind, unsigned number)
{
    observe_register found = OBSERVE_PC;
    unsigned at = 99;
    assert_int_equal(observe_written(&in, &found, &at), any);
    if (any) {
        assert_int_equal(found, kind);
        assert_int_equal(at, number);
    }
}

static void registers(void **state)
{
    (void)state;
    check_written((isa_instruction){.opcode = ISA_ADDI, .rd = 7}, true, OBSERVE_X, 7);
    check_written((isa_instruction){.opcode = ISA_ADDI, .rd = 0}, false, OBSERVE_X, 0);
    check_written((isa_instruction){.opcode = ISA_FADD_S, .rd = 0}, true, OBSERVE_F, 0);
    check_written((isa_instruction){.opcode = ISA_FEQ_S, .rd = 4}, true, OBSERVE_X, 4);
    check_written((isa_instruction){.opcode = ISA_VADD_VV, .rd = 9}, true, OBSERVE_VECTOR, 9);
    check_written((isa_instruction){.opcode = ISA_LMMA, .rd = 2}, true, OBSERVE_TILE, 2);
    check_written((isa_instruction){.opcode = ISA_LUT_LD, .rd = 1}, true, OBSERVE_TILE, 1);
    check_written((isa_instruction){.opcode = ISA_LUT_STA, .rd = 1}, false, OBSERVE_TILE, 1);
    check_written((isa_instruction){.opcode = ISA_SD, .rs2 = 3}, false, OBSERVE_X, 0);
    check_written((isa_instruction){.opcode = ISA_VSE8_V, .rs3 = 3}, false, OBSERVE_X, 0);
    check_written((isa_instruction){.opcode = ISA_BEQ, .rs1 = 3}, false, OBSERVE_X, 0);
    check_written((isa_instruction){.opcode = ISA_ILLEGAL}, false, OBSERVE_X, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars), cmocka_unit_test(vectors),   cmocka_unit_test(places),
        cmocka_unit_test(tiles),   cmocka_unit_test(registers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
