// link: lutra_hart
//
// The hart's contract: stops, precise faults, counts, CSRs, and the instructions that the
// differential fuzzer has no second opinion for.
#include "hart_helpers.h"

#include "runtime/hart/internal.h"

#include <pthread.h>

// ----------------------------------------------------------------------- stops

static void runs_to_the_return_address(void **state)
{
    (void)state;
    fixture f = fixture_create(256, NULL);
    PUT(&f, .opcode = ISA_ADDI, .rd = 10, .imm = 5);
    PUT(&f, .opcode = ISA_ADDI, .rd = 0, .imm = 5);
    PUT(&f, .opcode = ISA_ADD, .rd = 11, .rs1 = 10, .rs2 = 0);
    PUT(&f, .opcode = ISA_JALR, .rs1 = 1);
    f.h->x[1] = 0x123456; // not mapped
    hart_set_return(f.h, 0x123456);
    assert_int_equal(hart_run(f.h, 100), HART_STOP_RETURN);
    assert_int_equal(f.h->pc, 0x123456);
    assert_int_equal(f.h->x[11], 5);
    assert_int_equal(f.h->x[0], 0);
    assert_int_equal(f.h->retired, 4);
    fixture_destroy(&f);
}

// while (--x10) ; of `count` rounds
static void put_loop(fixture *f)
{
    PUT(f, .opcode = ISA_ADDI, .rd = 10, .rs1 = 10, .imm = -1);
    PUT(f, .opcode = ISA_BNE, .rs1 = 10, .imm = -4);
}

static void stops_exactly_at_the_limit(void **state)
{
    (void)state;
    fixture f = fixture_create(256, NULL);
    put_loop(&f);
    hart_set_return(f.h, f.end);
    f.h->x[10] = 1000;
    for (uint64_t limit = 0; limit < 20; limit++) {
        uint64_t before = f.h->retired;
        assert_int_equal(hart_run(f.h, limit), HART_STOP_LIMIT);
        assert_int_equal(f.h->retired, before + limit);
        assert_int_equal(f.h->pc, CODE + (f.h->retired % 2 ? 4 : 0));
    }
    assert_int_equal(hart_run(f.h, UINT64_MAX), HART_STOP_RETURN);
    assert_int_equal(f.h->retired, 2000);
    uint64_t counts[ISA_OPCODE_COUNT];
    hart_opcode_counts(f.h, counts);
    assert_int_equal(counts[ISA_ADDI], 1000);
    assert_int_equal(counts[ISA_BNE], 1000);
    hart_flush_code(f.h);
    hart_opcode_counts(f.h, counts);
    assert_int_equal(counts[ISA_BNE], 1000);
    fixture_destroy(&f);
}

// Slices of all lengths: what is left is counted over transfers, ends of blocks and single steps.
static void slices_add_up(void **state)
{
    (void)state;
    enum { LONG = 300, ROUNDS = 400 };
    fixture f = fixture_create(256, NULL);
    for (int i = 0; i < LONG; i++)
        PUT(&f, .opcode = ISA_ADDI, .rd = 11, .rs1 = 11, .imm = 1);
    PUT(&f, .opcode = ISA_ADDI, .rd = 10, .rs1 = 10, .imm = -1);
    PUT(&f, .opcode = ISA_ANDI, .rd = 12, .rs1 = 10, .imm = 1);
    PUT(&f, .opcode = ISA_BNE, .rs1 = 12, .imm = 8);
    PUT(&f, .opcode = ISA_MULHSU, .rd = 13, .rs1 = 11, .rs2 = 11); // every other round
    PUT(&f, .opcode = ISA_BNE, .rs1 = 10, .imm = -4 * 100);        // into the middle
    hart_set_return(f.h, f.end);
    f.h->x[10] = ROUNDS;
    uint64_t total = LONG + (ROUNDS - 1) * 96 + ROUNDS * 4 + ROUNDS / 2, limit = 0;
    for (uint64_t left = total; left > limit; left -= limit++) {
        uint64_t before = f.h->retired;
        assert_int_equal(hart_run(f.h, limit), HART_STOP_LIMIT);
        assert_int_equal(f.h->retired - before, limit);
    }
    assert_int_equal(hart_run(f.h, UINT64_MAX), HART_STOP_RETURN);
    assert_int_equal(f.h->retired, total);
    assert_int_equal(f.h->x[11], LONG + (ROUNDS - 1) * 96);
    uint64_t counts[ISA_OPCODE_COUNT];
    hart_opcode_counts(f.h, counts);
    assert_int_equal(counts[ISA_ADDI], f.h->x[11] + ROUNDS);
    assert_int_equal(counts[ISA_ANDI], ROUNDS);
    assert_int_equal(counts[ISA_BNE], 2 * ROUNDS);
    assert_int_equal(counts[ISA_MULHSU], ROUNDS / 2);
    fixture_destroy(&f);
}

// A loop of stores runs out of its memory, which the host notices, or out of the address space.
// Slices that may end early: never too late, and never without any progress.
static void early_slices_add_up(void **state)
{
    (void)state;
    enum { ROUNDS = 2000 };
    fixture f = fixture_create(256, NULL);
    for (int i = 0; i < 30; i++)
        PUT(&f, .opcode = ISA_ADDI, .rd = 11, .rs1 = 11, .imm = 1);
    PUT(&f, .opcode = ISA_ADDI, .rd = 10, .rs1 = 10, .imm = -1);
    PUT(&f, .opcode = ISA_BNE, .rs1 = 10, .imm = -4 * 31);
    hart_set_return(f.h, f.end);
    f.h->x[10] = ROUNDS;
    assert_int_equal(hart_run_about(f.h, 0), HART_STOP_LIMIT);
    assert_int_equal(f.h->retired, 0);
    hart_stop why = HART_STOP_LIMIT;
    for (uint64_t limit = 1; why == HART_STOP_LIMIT; limit++) {
        const uint64_t before = f.h->retired;
        why = hart_run_about(f.h, limit);
        const uint64_t done = f.h->retired - before;
        assert_true(done > 0 && done <= limit);
        assert_true(why == HART_STOP_RETURN || done + 32 >= limit);
    }
    assert_int_equal(why, HART_STOP_RETURN);
    assert_int_equal(f.h->retired, 32 * ROUNDS);
    assert_int_equal(f.h->x[11], 30 * ROUNDS);
    uint64_t counts[ISA_OPCODE_COUNT];
    hart_opcode_counts(f.h, counts);
    assert_int_equal(counts[ISA_BNE], ROUNDS);
    fixture_destroy(&f);
}

// Two functions are called in turns, through the register that takes the return address.
static void indirect_jumps_are_counted(void **state)
{
    (void)state;
    enum { ROUNDS = 1000 };
    fixture f = fixture_create(256, NULL);
    PUT(&f, .opcode = ISA_XOR, .rd = 5, .rs1 = 5, .rs2 = 6);
    PUT(&f, .opcode = ISA_ADDI, .rd = 1, .rs1 = 5, .imm = 1); // odd: the bit is dropped
    PUT(&f, .opcode = ISA_JALR, .rd = 1, .rs1 = 1);
    PUT(&f, .opcode = ISA_ADDI, .rd = 10, .rs1 = 10, .imm = -1);
    PUT(&f, .opcode = ISA_BNE, .rs1 = 10, .imm = -16);
    PUT(&f, .opcode = ISA_JAL, .imm = 20);
    const uint64_t first = f.end;
    PUT(&f, .opcode = ISA_ADDI, .rd = 11, .rs1 = 11, .imm = 1);
    PUT(&f, .opcode = ISA_JALR, .rs1 = 1);
    PUT(&f, .opcode = ISA_ADDI, .rd = 12, .rs1 = 12, .imm = 1);
    PUT(&f, .opcode = ISA_JALR, .rs1 = 1);
    hart_set_return(f.h, f.end);
    f.h->x[5] = first;
    f.h->x[6] = first ^ (first + 8);
    f.h->x[10] = ROUNDS;
    for (uint64_t limit = 1; limit < 40; limit++)
        assert_int_equal(hart_run(f.h, limit), HART_STOP_LIMIT);
    assert_int_equal(hart_run(f.h, UINT64_MAX), HART_STOP_RETURN);
    assert_int_equal(f.h->retired, 7 * ROUNDS + 1);
    assert_int_equal(f.h->x[11], ROUNDS / 2);
    assert_int_equal(f.h->x[12], ROUNDS / 2);
    uint64_t counts[ISA_OPCODE_COUNT];
    hart_opcode_counts(f.h, counts);
    assert_int_equal(counts[ISA_JALR], 2 * ROUNDS);
    assert_int_equal(counts[ISA_ADDI], 3 * ROUNDS);
    fixture_destroy(&f);
}

static void faults_in_loops_are_precise(void **state)
{
    (void)state;
    static const struct {
        uint64_t start, end, step;
    } rows[] = {{DATA, DATA + DATA_BYTES, 8}, {DATA, 1ull << 62, 1ull << 62}};
    for (size_t i = 0; i < 2; i++) {
        fixture f = fixture_create(256, NULL);
        PUT(&f, .opcode = ISA_ADDI, .rd = 12, .rs1 = 12, .imm = 1);
        PUT(&f, .opcode = ISA_SD, .rs1 = 10, .rs2 = 12);
        PUT(&f, .opcode = ISA_ADD, .rd = 10, .rs1 = 10, .rs2 = 11);
        PUT(&f, .opcode = ISA_JAL, .imm = -12);
        f.h->x[10] = rows[i].start;
        f.h->x[11] = rows[i].step;
        uint64_t stored = i ? 1 : DATA_BYTES / 8;
        assert_int_equal(hart_run(f.h, 1000000), HART_STOP_FAULT);
        assert_int_equal(f.h->cause, HART_STORE_FAULT);
        assert_int_equal(f.h->fault_address, i ? DATA + rows[i].step : rows[i].end);
        assert_int_equal(f.h->pc, CODE + 4);
        assert_int_equal(f.h->x[12], stored + 1);
        assert_int_equal(f.h->retired, 4 * stored + 1);
        uint64_t counts[ISA_OPCODE_COUNT];
        hart_opcode_counts(f.h, counts);
        assert_int_equal(counts[ISA_ADDI], stored + 1);
        assert_int_equal(counts[ISA_SD], stored);
        assert_int_equal(counts[ISA_JAL], stored);
        fixture_destroy(&f);
    }
}

typedef struct watcher {
    uint64_t seen, stop_at;
    uint64_t last_pc;
} watcher;

static bool watch(void *context, hart *h, const isa_instruction *in)
{
    watcher *w = context;
    assert_true(in->opcode == ISA_ADDI || in->opcode == ISA_BNE);
    w->last_pc = h->pc;
    return w->seen++ != w->stop_at;
}

static void observers_see_every_instruction(void **state)
{
    (void)state;
    fixture f = fixture_create(256, NULL);
    put_loop(&f);
    hart_set_return(f.h, f.end);
    f.h->x[10] = 50;
    watcher w = {.stop_at = 31};
    hart_observe(f.h, watch, &w);
    assert_int_equal(hart_run(f.h, 1000), HART_STOP_OBSERVER);
    assert_int_equal(f.h->retired, 31);
    assert_int_equal(f.h->pc, CODE + 4);
    assert_int_equal(w.last_pc, CODE + 4);
    w.stop_at = UINT64_MAX;
    assert_int_equal(hart_run(f.h, 1000), HART_STOP_RETURN);
    assert_int_equal(w.seen, 101); // the stopped one twice
    assert_int_equal(f.h->retired, 100);
    uint64_t counts[ISA_OPCODE_COUNT];
    hart_opcode_counts(f.h, counts);
    assert_int_equal(counts[ISA_ADDI] + counts[ISA_BNE], 100);
    fixture_destroy(&f);
}

static void ecall_does_not_retire_by_itself(void **state)
{
    (void)state;
    fixture f = fixture_create(256, NULL);
    PUT(&f, .opcode = ISA_ADDI, .rd = 17, .imm = 93);
    PUT(&f, .opcode = ISA_ECALL);
    PUT(&f, .opcode = ISA_ADDI, .rd = 17, .imm = 1);
    assert_int_equal(run(&f), HART_STOP_ECALL);
    assert_int_equal(f.h->pc, CODE + 4);
    assert_int_equal(f.h->retired, 1);
    hart_finish_ecall(f.h);
    assert_int_equal(f.h->retired, 2);
    assert_int_equal(hart_run(f.h, 10), HART_STOP_RETURN);
    assert_int_equal(f.h->x[17], 1);
    uint64_t counts[ISA_OPCODE_COUNT];
    hart_opcode_counts(f.h, counts);
    assert_int_equal(counts[ISA_ECALL], 1);
    fixture_destroy(&f);
}

// Serves ecalls whose a7 is below 50: a0 adds up a7.
static bool serve(void *context, hart *h)
{
    ++*(unsigned *)context;
    h->x[10] += h->x[17];
    return h->x[17] < 50;
}

static void ecalls_are_served_in_place(void **state)
{
    (void)state;
    enum { ROUNDS = 60, BODY = 5 };
    for (uint64_t limit = 1; limit < 400; limit += 57) {
        fixture f = fixture_create(256, NULL);
        unsigned asked = 0;
        PUT(&f, .opcode = ISA_ADDI, .rd = 5, .imm = ROUNDS);
        PUT(&f, .opcode = ISA_ADDI, .rd = 17, .rs1 = 17, .imm = 1);
        PUT(&f, .opcode = ISA_ECALL);
        PUT(&f, .opcode = ISA_ADDI, .rd = 6, .rs1 = 10);
        PUT(&f, .opcode = ISA_ADDI, .rd = 5, .rs1 = 5, .imm = -1);
        PUT(&f, .opcode = ISA_BNE, .rs1 = 5, .imm = -4 * (BODY - 1));
        hart_serve(f.h, serve, &asked);
        hart_set_return(f.h, f.end);
        hart_stop stop;
        while ((stop = hart_run(f.h, limit)) == HART_STOP_LIMIT)
            assert_int_equal(f.h->retired % limit, 0);
        assert_int_equal(stop, HART_STOP_ECALL);
        assert_int_equal(f.h->pc, CODE + 8);
        assert_int_equal(asked, 50);
        assert_int_equal(f.h->retired, 1 + 49 * BODY + 1);
        assert_int_equal(f.h->x[6], 49 * 50 / 2);
        uint64_t counts[ISA_OPCODE_COUNT];
        hart_opcode_counts(f.h, counts);
        assert_int_equal(counts[ISA_ECALL], 49);
        hart_serve(f.h, NULL, NULL);
        assert_int_equal(hart_run(f.h, limit), HART_STOP_ECALL);
        assert_int_equal(asked, 50);
        fixture_destroy(&f);
    }
}

// ---------------------------------------------------------------------- faults

static void expect_fault(fixture *f, hart_cause cause, uint64_t pc, uint64_t address)
{
    assert_int_equal(run(f), HART_STOP_FAULT);
    assert_int_equal(f->h->cause, cause);
    assert_int_equal(f->h->pc, pc);
    assert_int_equal(f->h->fault_address, address);
}

static void memory_faults_are_precise(void **state)
{
    (void)state;
    static const struct {
        uint16_t opcode;
        uint64_t address;
        hart_cause cause;
    } rows[] = {
        {ISA_LD, 0, HART_LOAD_FAULT},
        {ISA_LBU, UINT64_MAX, HART_LOAD_FAULT},
        {ISA_LD, 1ull << 62, HART_LOAD_FAULT},
        {ISA_SD, CONSTANTS, HART_STORE_FAULT},
        {ISA_SW, CODE, HART_STORE_FAULT},
        {ISA_SB, DATA + DATA_BYTES, HART_STORE_FAULT},
        {ISA_FLW, 8, HART_LOAD_FAULT},
        {ISA_FSD, 1ull << 50, HART_STORE_FAULT},
        {ISA_AMOADD_W, CONSTANTS, HART_STORE_FAULT},
        {ISA_AMOADD_D, DATA + 4, HART_STORE_MISALIGNED},
        {ISA_LR_W, DATA + 2, HART_LOAD_MISALIGNED},
        {ISA_LR_W, 4, HART_LOAD_FAULT},
        {ISA_SC_D, DATA + 1, HART_STORE_MISALIGNED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fixture f = fixture_create(256, NULL);
        f.h->x[8] = rows[i].address;
        f.h->x[9] = 77;
        PUT(&f, .opcode = ISA_ADDI, .rd = 20, .rs1 = 20, .imm = 1);
        isa_instruction in = {.opcode = rows[i].opcode, .rs1 = 8};
        *(strchr(isa_rows[in.opcode].operands, 'd') ? &in.rd : &in.rs2) = 9;
        put(&f, in);
        PUT(&f, .opcode = ISA_ADDI, .rd = 20, .rs1 = 20, .imm = 1);
        expect_fault(&f, rows[i].cause, CODE + 4, rows[i].address);
        assert_int_equal(f.h->x[20], 1);
        assert_int_equal(f.h->x[9], 77);
        assert_int_equal(f.h->retired, 1);
        uint64_t counts[ISA_OPCODE_COUNT];
        hart_opcode_counts(f.h, counts);
        assert_int_equal(counts[ISA_ADDI], 1);
        assert_int_equal(counts[rows[i].opcode], 0);
        fixture_destroy(&f);
    }
}

static void other_faults_are_precise(void **state)
{
    (void)state;
    fixture f = fixture_create(256, NULL);
    PUT(&f, .opcode = ISA_EBREAK);
    expect_fault(&f, HART_BREAKPOINT, CODE, CODE);
    f.end = CODE;
    put_word(&f, 0xffffffff);
    expect_fault(&f, HART_ILLEGAL_INSTRUCTION, CODE, 0xffffffff);
    f.end = CODE;
    PUT(&f, .opcode = ISA_JALR, .rs1 = 9);
    f.h->x[9] = DATA; // not executable
    expect_fault(&f, HART_FETCH_FAULT, DATA, DATA);
    f.h->pc = CODE + 1;
    assert_int_equal(hart_run(f.h, 1), HART_STOP_FAULT);
    assert_int_equal(f.h->cause, HART_FETCH_MISALIGNED);
    // An instruction whose second half is missing.
    uint16_t half = 0x0003;
    assert_true(hart_memory_write(f.memory, CODE + 0x4000 - 2, &half, 2));
    f.h->pc = CODE + 0x4000 - 2;
    assert_int_equal(hart_run(f.h, 1), HART_STOP_FAULT);
    assert_int_equal(f.h->cause, HART_FETCH_FAULT);
    assert_int_equal(f.h->pc, CODE + 0x4000 - 2);
    assert_int_equal(f.h->fault_address, CODE + 0x4000);
    fixture_destroy(&f);
}

static void misaligned_accesses_work(void **state)
{
    (void)state;
    fixture f = fixture_create(256, NULL);
    f.h->x[8] = DATA + 4093;
    f.h->x[9] = 0x0123456789abcdef;
    PUT(&f, .opcode = ISA_SD, .rs1 = 8, .rs2 = 9);
    PUT(&f, .opcode = ISA_LD, .rs1 = 8, .rd = 10);
    PUT(&f, .opcode = ISA_LH, .rs1 = 8, .rd = 11, .imm = 1);
    assert_int_equal(run(&f), HART_STOP_RETURN);
    assert_int_equal(f.h->x[10], 0x0123456789abcdef);
    assert_int_equal(f.h->x[11], (uint64_t)(int16_t)0xabcd);
    fixture_destroy(&f);
}

static void code_changes_show_after_fence_i(void **state)
{
    (void)state;
    fixture f = fixture_create(256, NULL);
    assert_true(hart_memory_protect(f.memory, CODE, 0x4000, HART_READ | HART_WRITE | HART_EXECUTE));
    isa_instruction patched = {.opcode = ISA_ADDI, .rd = 10, .imm = 2};
    uint32_t word;
    assert_true(isa_encode(&patched, &word));
    f.h->x[8] = CODE;
    f.h->x[9] = word;
    PUT(&f, .opcode = ISA_ADDI, .rd = 10, .imm = 1);
    PUT(&f, .opcode = ISA_BNE, .rs1 = 11, .imm = 20);
    PUT(&f, .opcode = ISA_ADDI, .rd = 11, .imm = 1);
    PUT(&f, .opcode = ISA_SW, .rs1 = 8, .rs2 = 9);
    PUT(&f, .opcode = ISA_FENCE_I);
    PUT(&f, .opcode = ISA_JALR, .rs1 = 8);
    PUT(&f, .opcode = ISA_ADDI, .rd = 12, .rs1 = 10);
    assert_int_equal(run(&f), HART_STOP_RETURN);
    assert_int_equal(f.h->x[12], 2);
    assert_int_equal(f.h->retired, 9);
    fixture_destroy(&f);
}

// ------------------------------------------------------------------------ CSRs

static void csrs_read_and_write(void **state)
{
    (void)state;
    fixture f = fixture_create(512, NULL);
    f.h->x[8] = 0xff;
    PUT(&f, .opcode = ISA_CSRRW, .rd = 9, .rs1 = 8, .imm = HART_CSR_FCSR);
    PUT(&f, .opcode = ISA_CSRRS, .rd = 10, .imm = HART_CSR_FRM);
    PUT(&f, .opcode = ISA_CSRRCI, .rd = 11, .rs1 = 3, .imm = HART_CSR_FFLAGS);
    PUT(&f, .opcode = ISA_CSRRS, .rd = 12, .imm = HART_CSR_FCSR);
    PUT(&f, .opcode = ISA_CSRRS, .rd = 13, .imm = HART_CSR_VLENB);
    PUT(&f, .opcode = ISA_CSRRS, .rd = 14, .imm = HART_CSR_INSTRET);
    PUT(&f, .opcode = ISA_CSRRS, .rd = 15, .imm = HART_CSR_VTYPE);
    PUT(&f, .opcode = ISA_CSRRS, .rd = 16, .imm = HART_CSR_LUTSHAPE);
    PUT(&f, .opcode = ISA_CSRRW, .rd = 17, .rs1 = 8, .imm = HART_CSR_VXRM);
    PUT(&f, .opcode = ISA_CSRRS, .rd = 18, .imm = HART_CSR_VCSR);
    assert_int_equal(run(&f), HART_STOP_RETURN);
    const uint64_t expected[] = {0, 7, 31, 0xfc, 64, 5, 1ull << 63, 0, 0, 6};
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(f.h->x[9 + i], expected[i]);
    assert_int_equal(EXECUTE(&f, .opcode = ISA_CSRRW, .rs1 = 8, .imm = HART_CSR_VL),
                     HART_STOP_FAULT);
    assert_int_equal(EXECUTE(&f, .opcode = ISA_CSRRS, .rd = 8, .imm = 0x300), HART_STOP_FAULT);
    // frm is 7: dynamic rounding is illegal, static rounding is not.
    assert_int_equal(EXECUTE(&f, .opcode = ISA_FADD_S, .rm = 7), HART_STOP_FAULT);
    assert_int_equal(f.h->cause, HART_ILLEGAL_INSTRUCTION);
    assert_int_equal(EXECUTE(&f, .opcode = ISA_FADD_S, .rm = 0), HART_STOP_RETURN);
    fixture_destroy(&f);
}

// ---------------------------------- without a second opinion (see tests/differential)

static void conditional_zero_and_count(void **state)
{
    (void)state;
    static const struct {
        uint16_t opcode;
        uint64_t a, b, result;
    } rows[] = {
        {ISA_CZERO_EQZ, 7, 0, 0},
        {ISA_CZERO_EQZ, 7, 1ull << 40, 7},
        {ISA_CZERO_NEZ, 7, 0, 7},
        {ISA_CZERO_NEZ, 7, 3, 0},
        {ISA_CTZW, 0xffffffff00000000, 0, 32},
        {ISA_CTZW, 0xffffffff00000100, 0, 8},
        {ISA_CLZW, 0xffffffff00000100, 0, 23},
        {ISA_ORC_B, 0x0100000080000201, 0, 0xff000000ff00ffff},
    };
    fixture f = fixture_create(256, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        isa_instruction in = {.opcode = rows[i].opcode, .rd = 10, .rs1 = 8};
        if (strstr(isa_rows[in.opcode].operands, "rs2"))
            in.rs2 = 9;
        f.h->x[8] = rows[i].a;
        f.h->x[9] = rows[i].b;
        assert_int_equal(execute(&f, in), HART_STOP_RETURN);
        assert_int_equal(f.h->x[10], rows[i].result);
    }
    fixture_destroy(&f);
}

static void store_conditional_needs_its_reservation(void **state)
{
    (void)state;
    fixture f = fixture_create(256, NULL);
    f.h->x[8] = DATA;
    f.h->x[9] = 5;
    EXECUTE(&f, .opcode = ISA_SC_W, .rd = 10, .rs1 = 8, .rs2 = 9);
    assert_int_equal(f.h->x[10], 1);
    EXECUTE(&f, .opcode = ISA_LR_W, .rd = 10, .rs1 = 8);
    EXECUTE(&f, .opcode = ISA_SC_D, .rd = 10, .rs1 = 8, .rs2 = 9);
    assert_int_equal(f.h->x[10], 1);
    EXECUTE(&f, .opcode = ISA_LR_D, .rd = 10, .rs1 = 8);
    EXECUTE(&f, .opcode = ISA_SC_D, .rd = 10, .rs1 = 8, .rs2 = 9);
    assert_int_equal(f.h->x[10], 0);
    EXECUTE(&f, .opcode = ISA_LR_D, .rd = 11, .rs1 = 8);
    assert_int_equal(f.h->x[11], 5);
    fixture_destroy(&f);
}

static void brain_floats_convert(void **state)
{
    (void)state;
    static const struct {
        uint32_t single;
        uint16_t brain;
        uint8_t rm, flags;
    } rows[] = {
        {0x3f800000, 0x3f80, 0, 0},    {0x3f808000, 0x3f80, 0, 1}, {0x3f818000, 0x3f82, 0, 1},
        {0x3f808000, 0x3f81, 3, 1},    {0x7f7fffff, 0x7f80, 0, 5}, {0x7f7fffff, 0x7f7f, 1, 1},
        {0x7fa00000, 0x7fc0, 0, 0x10}, {0x00000001, 0x0000, 0, 3}, {0x80400000, 0x8040, 0, 0},
    };
    fixture f = fixture_create(256, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        f.h->f[8] = 0xffffffff00000000 | rows[i].single;
        f.h->fflags = 0;
        EXECUTE(&f, .opcode = ISA_FCVT_BF16_S, .rd = 9, .rs1 = 8, .rm = rows[i].rm);
        assert_int_equal(f.h->f[9], 0xffffffffffff0000 | rows[i].brain);
        assert_int_equal(f.h->fflags, rows[i].flags);
        EXECUTE(&f, .opcode = ISA_FCVT_S_BF16, .rd = 10, .rs1 = 9);
        assert_int_equal(f.h->f[10], 0xffffffff00000000 | (uint32_t)rows[i].brain << 16);
    }
    fixture_destroy(&f);
}

// ----------------------------------------------------------------- float shortcuts

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

// A register with few significant bits (sums and products of such are often exact), with random
// ones, or special.
static uint64_t random_float(uint64_t *state, bool wide)
{
    static const float special[] = {0,   -0.0f,     1,         INFINITY,        -INFINITY,
                                    NAN, 0x1p-149f, 0x1p-126f, 0x1.fffffep127f, 0x1p-64f};
    uint64_t random = next_random(state), kind = next_random(state) % 16;
    double value = (double)((int64_t)(random >> 32) % 2048 - 1024) / (double)(1 << random % 16);
    if (kind == 0)
        value = (double)special[random % (sizeof special / sizeof *special)];
    if (kind == 1)
        return random; // not boxed
    float narrow = (float)value;
    uint64_t bits = 0;
    memcpy(&bits, wide ? (void *)&value : (void *)&narrow, wide ? 8 : 4);
    if (kind < 6)
        bits ^= random & (wide ? 0x800fffffffffffff : 0x807fffff);
    return wide ? bits : bits | ~0xffffffffull;
}

// An instruction with a shortcut, on a machine that may use it and on one that may not.
typedef struct shortcut {
    fixture quick, steps;
    uint64_t random;
} shortcut;

static shortcut shortcut_create(isa_instruction in)
{
    shortcut s = {fixture_create(128, NULL), fixture_create(128, NULL), 12345};
    hart_use_native(s.steps.h, false);
    put(&s.quick, in);
    put(&s.steps, in);
    hart_set_return(s.quick.h, s.quick.end);
    hart_set_return(s.steps.h, s.steps.end);
    return s;
}

static void shortcut_destroy(shortcut *s)
{
    fixture_destroy(&s->quick);
    fixture_destroy(&s->steps);
}

static uint64_t random_integer(uint64_t *state)
{
    const unsigned bits = (unsigned)(next_random(state) % 64);
    return (uint64_t)((int64_t)next_random(state) >> bits);
}

static void try_shortcut(shortcut *s, bool wide, int round)
{
    hart *a = s->quick.h, *b = s->steps.h;
    for (int r = 2; r < 5; r++)
        a->f[r] = b->f[r] = random_float(&s->random, wide);
    a->x[2] = b->x[2] = random_integer(&s->random);
    a->fflags = b->fflags = round % 3 ? 0 : 1;
    a->frm = b->frm = round % 8 ? 0 : round / 8 % 5;
    a->pc = b->pc = CODE;
    assert_int_equal(hart_run(a, 10), HART_STOP_RETURN);
    assert_int_equal(hart_run(b, 10), HART_STOP_RETURN);
    assert_int_equal(a->f[1], b->f[1]);
    assert_int_equal(a->x[1], b->x[1]);
    assert_int_equal(a->fflags, b->fflags);
}

// Whatever way floats are executed in, results and flags are those of the handlers.
static void shortcuts_of_floats_are_right(void **state)
{
    (void)state;
    for (unsigned opcode = 1; opcode < ISA_OPCODE_COUNT; opcode++) {
        const isa_row *row = &isa_rows[opcode];
        const bool wide = row->mnemonic[strlen(row->mnemonic) - 1] == 'd';
        const bool computes = row->class == ISA_CLASS_FLOAT || row->class == ISA_CLASS_FLOAT_DIVIDE;
        if (!computes || (strcmp(row->extension, "F") != 0 && strcmp(row->extension, "D") != 0))
            continue;
        for (uint8_t rm = 0; rm < 8; rm += rm == 1 ? 6 : 1) {
            isa_instruction in = {
                .opcode = (uint16_t)opcode, .rd = 1, .rs1 = 2, .rs2 = 3, .rm = rm};
            uint32_t word;
            if (strstr(row->operands, "fs3"))
                in.rs3 = 4;
            if (!strstr(row->operands, "fs2"))
                in.rs2 = 0;
            if (!isa_encode(&in, &word))
                continue;
            shortcut s = shortcut_create(in);
            for (int round = 0; round < 3000; round++)
                try_shortcut(&s, wide, round);
            shortcut_destroy(&s);
        }
    }
}

// fmv, fneg and fabs: both operands are one register.
static void signs_change_in_one_register(void **state)
{
    (void)state;
    static const uint16_t opcodes[] = {ISA_FSGNJ_S, ISA_FSGNJN_S, ISA_FSGNJX_S,
                                       ISA_FSGNJ_D, ISA_FSGNJN_D, ISA_FSGNJX_D};
    for (unsigned i = 0; i < sizeof opcodes / sizeof *opcodes; i++) {
        shortcut s =
            shortcut_create((isa_instruction){.opcode = opcodes[i], .rd = 1, .rs1 = 2, .rs2 = 2});
        for (int round = 0; round < 1000; round++)
            try_shortcut(&s, i >= 3, round);
        shortcut_destroy(&s);
    }
}

// -------------------------------------------------------------------- completeness

static void every_opcode_executes(void **state)
{
    (void)state;
    unsigned missing = 0;
    for (unsigned opcode = 1; opcode < ISA_OPCODE_COUNT; opcode++) {
        if (hart_step_of(opcode))
            continue;
        print_message("nothing executes %s\n", isa_rows[opcode].mnemonic);
        missing++;
    }
    assert_int_equal(missing, 0);
}

static void tile_operands_are_probed_first(void **state)
{
    (void)state;
    lut_unit *lut = lut_unit_create(2, 64);
    fixture f = fixture_create(256, lut);
    uint8_t *data = hart_memory_range(f.memory, DATA, DATA_BYTES, HART_WRITE);
    memset(data, 9, DATA_BYTES);
    f.h->x[8] = DATA + DATA_BYTES - 256;
    memset(lut_tile(lut, 3), 1, 512);
    f.end = CODE;
    PUT(&f, .opcode = ISA_LUT_LD, .rd = 3, .rs1 = 8);
    expect_fault(&f, HART_LOAD_FAULT, CODE, DATA + DATA_BYTES);
    assert_int_equal(lut_tile(lut, 3)[0], 1);
    f.end = CODE;
    PUT(&f, .opcode = ISA_LUT_ST, .rs2 = 3, .rs1 = 8);
    expect_fault(&f, HART_STORE_FAULT, CODE, DATA + DATA_BYTES);
    assert_int_equal(data[DATA_BYTES - 1], 9);
    f.h->x[8] = DATA + 32;
    f.end = CODE;
    PUT(&f, .opcode = ISA_LUT_LD, .rd = 3, .rs1 = 8);
    expect_fault(&f, HART_LOAD_MISALIGNED, CODE, DATA + 32);
    f.h->x[8] = DATA;
    EXECUTE(&f, .opcode = ISA_LUT_LD, .rd = 3, .rs1 = 8);
    assert_int_equal(lut_tile(lut, 3)[511], 9);
    EXECUTE(&f, .opcode = ISA_CSRRS, .rd = 10, .imm = HART_CSR_LUTSHAPE);
    assert_int_equal(f.h->x[10], 2 | 64 << 8);
    fixture_destroy(&f);
    lut_unit_destroy(lut);
}

// ---------------------------------------------------------------------- threads

static void *add_many(void *argument)
{
    hart *h = argument;
    return (void *)(intptr_t)hart_run(h, UINT64_MAX);
}

static void harts_share_memory(void **state)
{
    (void)state;
    fixture f = fixture_create(256, NULL);
    PUT(&f, .opcode = ISA_AMOADD_D, .rs1 = 8, .rs2 = 9);
    PUT(&f, .opcode = ISA_ADDI, .rd = 10, .rs1 = 10, .imm = -1);
    PUT(&f, .opcode = ISA_BNE, .rs1 = 10, .imm = -8);
    PUT(&f, .opcode = ISA_LD, .rs1 = 0, .rd = 11); // faults
    pthread_t threads[2];
    hart *harts[2];
    for (unsigned i = 0; i < 2; i++) {
        harts[i] = hart_create(f.memory, 128, NULL);
        harts[i]->pc = CODE;
        harts[i]->x[8] = DATA;
        harts[i]->x[9] = 1;
        harts[i]->x[10] = 100000;
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, harts[i]), 0);
    }
    for (unsigned i = 0; i < 2; i++) {
        void *why;
        pthread_join(threads[i], &why);
        assert_int_equal((intptr_t)why, HART_STOP_FAULT);
        assert_int_equal(harts[i]->pc, CODE + 12);
        hart_destroy(harts[i]);
    }
    uint64_t sum;
    memcpy(&sum, hart_memory_range(f.memory, DATA, 8, HART_READ), 8);
    assert_int_equal(sum, 200000);
    fixture_destroy(&f);
}

static void rejects_bad_vector_lengths(void **state)
{
    (void)state;
    hart_memory *m = hart_memory_create();
    static const uint32_t bad[] = {0, 64, 192, 2048};
    for (unsigned i = 0; i < 4; i++)
        assert_null(hart_create(m, bad[i], NULL));
    hart_memory_destroy(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_to_the_return_address),
        cmocka_unit_test(stops_exactly_at_the_limit),
        cmocka_unit_test(slices_add_up),
        cmocka_unit_test(early_slices_add_up),
        cmocka_unit_test(indirect_jumps_are_counted),
        cmocka_unit_test(faults_in_loops_are_precise),
        cmocka_unit_test(observers_see_every_instruction),
        cmocka_unit_test(ecall_does_not_retire_by_itself),
        cmocka_unit_test(ecalls_are_served_in_place),
        cmocka_unit_test(memory_faults_are_precise),
        cmocka_unit_test(other_faults_are_precise),
        cmocka_unit_test(misaligned_accesses_work),
        cmocka_unit_test(code_changes_show_after_fence_i),
        cmocka_unit_test(csrs_read_and_write),
        cmocka_unit_test(conditional_zero_and_count),
        cmocka_unit_test(store_conditional_needs_its_reservation),
        cmocka_unit_test(brain_floats_convert),
        cmocka_unit_test(shortcuts_of_floats_are_right),
        cmocka_unit_test(signs_change_in_one_register),
        cmocka_unit_test(every_opcode_executes),
        cmocka_unit_test(tile_operands_are_probed_first),
        cmocka_unit_test(harts_share_memory),
        cmocka_unit_test(rejects_bad_vector_lengths),
    };
    int failed = cmocka_run_group_tests_name("machine code", tests, NULL, NULL);
    fixtures_use_native = false;
    return failed + cmocka_run_group_tests_name("steps", tests, NULL, NULL);
}
