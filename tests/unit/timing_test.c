// link: lutra_timing lutra_observe lutra_host lutra_hart lutra_lut lutra_isa lutra_support
// The timing model against cycles counted by hand, on m2n64k4: one instruction in a cycle; products
// after 3 cycles, loads that hit after 3; lines of memory in 3.525 cycles each, 141 cycles later.
#include "tests/unit/hart_helpers.h"

#include "runtime/timing/model.h"

enum { VLEN = 256, LT = 96, LINES = DATA_BYTES / TIMING_LINE };

typedef struct model {
    fixture f;
    lut_unit *lut;
    machine machine;
    timing_memory *memory;
    timing_hart *t;
} model;

static arena *shared;

static machine default_machine(void)
{
    machine m;
    diagnostics *d = diagnostics_create(stderr);
    assert_true(machine_load(shared, d, "m2n64k4", &m));
    diagnostics_destroy(d);
    return m;
}

static model create(machine m)
{
    model s = {.lut = lut_unit_create(2, 64), .machine = m};
    s.f = fixture_create(VLEN, s.lut);
    s.f.h->x[10] = DATA;
    return s;
}

// Runs what was put since, timed from cycle 0 with nothing in scratch.
static void simulate(model *s)
{
    timing_hart_destroy(s->t);
    timing_memory_destroy(s->memory);
    s->memory = timing_memory_create(&s->machine, 1);
    s->t = timing_hart_create(&s->machine, s->f.h, s->memory);
    hart_watch(s->f.h, timing_watch, s->t);
    assert_int_equal(run(&s->f), HART_STOP_RETURN);
    hart_watch(s->f.h, NULL, NULL);
    s->f.end = CODE;
}

static void destroy(model *s)
{
    timing_hart_destroy(s->t);
    timing_memory_destroy(s->memory);
    fixture_destroy(&s->f);
    lut_unit_destroy(s->lut);
}

static void add_stalls(void *context, const timing_op *op)
{
    timing_counts_add(context, &op->counts);
}

static timing_counts counts_of(const model *s)
{
    timing_counts sum = {0};
    timing_each(s->t, add_stalls, &sum);
    return sum;
}

#define ADD(s, to, from) PUT(&(s)->f, .opcode = ISA_ADDI, .rd = to, .rs1 = from, .imm = 1)
#define LOAD(s, to, offset) PUT(&(s)->f, .opcode = ISA_LW, .rd = to, .rs1 = 10, .imm = offset)

static void test_scalar_chains(void **state)
{
    (void)state;
    model s = create(default_machine());
    for (int i = 0; i < 10; i++)
        ADD(&s, 5, 5);
    simulate(&s);
    assert_int_equal(s.t->now, 10);
    for (int i = 0; i < 5; i++) // at 0, 3, 6, 9, 12
        PUT(&s.f, .opcode = ISA_MUL, .rd = 5, .rs1 = 5, .rs2 = 6);
    simulate(&s);
    assert_int_equal(s.t->now, 13);
    assert_int_equal(counts_of(&s).stalls[TIMING_RESULT + ISA_UNIT_SCALAR], 4 * 2);
    for (int i = 0; i < 5; i++) // independent
        PUT(&s.f, .opcode = ISA_MUL, .rd = 11 + i, .rs1 = 5, .rs2 = 6);
    simulate(&s);
    assert_int_equal(s.t->now, 5);
    PUT(&s.f, .opcode = ISA_DIV, .rd = 5, .rs1 = 6, .rs2 = 7); // not pipelined
    PUT(&s.f, .opcode = ISA_DIV, .rd = 6, .rs1 = 7, .rs2 = 7);
    simulate(&s);
    assert_int_equal(s.t->now, 21);
    assert_int_equal(counts_of(&s).stalls[TIMING_BUSY + ISA_UNIT_SCALAR], 19);
    assert_int_equal(timing_end(s.t), 40);
    destroy(&s);
}

static void test_issue_width(void **state)
{
    (void)state;
    model s = create(default_machine());
    s.machine.issue_width = 2;
    for (int i = 0; i < 6; i++)
        ADD(&s, 5 + i % 2, 0);
    simulate(&s); // one scalar unit: one addition in a cycle, the last at 5
    assert_int_equal(s.t->now, 5);
    for (int i = 0; i < 3; i++) {
        ADD(&s, 5, 0);
        PUT(&s.f, .opcode = ISA_SW, .rs1 = 10, .rs2 = 0);
    }
    simulate(&s);
    assert_int_equal(s.t->now, 3);
    for (int i = 0; i < 2; i++) // at 0 and 3
        PUT(&s.f, .opcode = ISA_MUL, .rd = 5, .rs1 = 5, .rs2 = 6);
    simulate(&s);
    assert_int_equal(s.t->now, 3);
    assert_int_equal(counts_of(&s).stalls[TIMING_RESULT + ISA_UNIT_SCALAR], 2);
    destroy(&s);
}

// A result is written behind a slower one of the same register.
static void test_results_in_order(void **state)
{
    (void)state;
    model s = create(default_machine());
    PUT(&s.f, .opcode = ISA_MUL, .rd = 5, .rs1 = 6, .rs2 = 6);
    ADD(&s, 5, 0); // at 2
    simulate(&s);
    assert_int_equal(s.t->now, 3);
    destroy(&s);
}

static void test_loads(void **state)
{
    (void)state;
    model s = create(default_machine());
    LOAD(&s, 5, 0); // there at 145: 141 + 3.525
    ADD(&s, 6, 5);
    simulate(&s);
    assert_int_equal(s.t->now, 145 + 3 + 1);
    assert_int_equal(counts_of(&s).stalls[TIMING_DATA], 147);
    LOAD(&s, 5, 0);
    ADD(&s, 6, 5);
    LOAD(&s, 5, 8); // the same line: hits
    ADD(&s, 6, 5);
    simulate(&s);
    assert_int_equal(s.t->now, 149 + 4);
    for (int i = 0; i < 4; i++) // one behind the other on the bus: the last is there at 156
        LOAD(&s, 11 + i, 64 * i);
    ADD(&s, 5, 14);
    simulate(&s);
    assert_int_equal(s.t->now, 156 + 3 + 1);
    destroy(&s);
}

static void test_stores(void **state)
{
    (void)state;
    model s = create(default_machine());
    PUT(&s.f, .opcode = ISA_SD, .rs1 = 10, .rs2 = 0); // fetches the rest of its line
    LOAD(&s, 5, 0);
    ADD(&s, 6, 5);
    simulate(&s);
    assert_int_equal(s.t->now, 145 + 3 + 1);
    assert_int_equal(timing_memory_traffic(s.memory)->lines_read, 1);
    PUT(&s.f, .opcode = ISA_LUT_ST, .rs1 = 10); // whole lines are not fetched
    LOAD(&s, 5, 0);                             // and there when they are stored
    ADD(&s, 6, 5);
    simulate(&s);
    assert_int_equal(timing_memory_traffic(s.memory)->lines_read, 0);
    assert_int_equal(s.t->now, 12 + 3 + 1);
    destroy(&s);
}

static void test_write_back(void **state)
{
    (void)state;
    model s = create(default_machine());
    s.machine.scratch_size = 1024; // 16 lines
    s.machine.scratch_ways = 1;
    PUT(&s.f, .opcode = ISA_SD, .rs1 = 10, .rs2 = 0);
    LOAD(&s, 5, 1024); // in its place
    LOAD(&s, 6, 1024 + 64);
    simulate(&s);
    const timing_traffic *t = timing_memory_traffic(s.memory);
    assert_int_equal(t->lines_read, 3);
    assert_int_equal(t->lines_written, 1);
    assert_int_equal(t->misses, 3);
    destroy(&s);
}

static void test_second_level(void **state)
{
    (void)state;
    model s = create(default_machine());
    s.machine.scratch_size = 1024;
    s.machine.scratch_ways = 1;
    s.machine.parts |= MACHINE_L2;
    s.machine.l2_size = 65536;
    s.machine.l2_ways = 4;
    s.machine.l2_bandwidth = 64 * s.machine.clock; // a line in a cycle
    s.machine.l2_latency = 20 / s.machine.clock;
    LOAD(&s, 5, 0);    // looks into l2 for 21 cycles, is there 144.525 cycles later
    LOAD(&s, 6, 1024); // evicts it
    ADD(&s, 7, 6);     // at 1 + 21 + 144.525 (+ 3.525 - 1 for the bus) = 170, + 3
    LOAD(&s, 5, 0);    // from l2
    ADD(&s, 7, 5);
    simulate(&s);
    const timing_traffic *t = timing_memory_traffic(s.memory);
    assert_int_equal(t->l2_hits, 1);
    assert_int_equal(t->l2_misses, 2);
    assert_int_equal(t->lines_read, 2);
    assert_int_equal(s.t->now, (170 + 3 + 1) + (21 + 3 + 1));
    destroy(&s);
}

static void test_lookups(void **state)
{
    (void)state;
    model s = create(default_machine());
    PUT(&s.f, .opcode = ISA_LUT_ZERO, .rd = 8);
    for (int i = 0; i < 3; i++) // at 1, 33, 65: sums stay in the array
        PUT(&s.f, .opcode = ISA_LMMA, .rd = 8, .rs1 = 0, .rs2 = 2, .rows = XLUT_ROWS_ALL,
            .form = XLUT_FORM_PLANES2);
    PUT(&s.f, .opcode = ISA_LUT_STA, .rd = 8, .rs1 = 10); // when they have left it, at 101
    simulate(&s);
    assert_int_equal(s.t->now, 65 + 36 + 1);
    timing_counts c = counts_of(&s);
    assert_int_equal(c.busy[ISA_UNIT_LUT], 96);
    assert_int_equal(c.lookups, 3 * 4096);
    assert_int_equal(c.stalls[TIMING_BUSY + ISA_UNIT_LUT], 62);
    assert_int_equal(c.stalls[TIMING_RESULT + ISA_UNIT_LUT], 35);
    destroy(&s);
}

// A tile is not overwritten while it is read.
static void test_tiles_being_read(void **state)
{
    (void)state;
    model s = create(default_machine());
    for (int i = 0; i < 4; i++)
        PUT(&s.f, .opcode = ISA_LW, .rd = 0, .rs1 = 10, .imm = 128 * i);
    PUT(&s.f, .opcode = ISA_LMMA, .rd = 8, .rs1 = 0, .rs2 = 2, .rows = XLUT_ROWS_ALL, .start = 1,
        .form = XLUT_FORM_PLANES4);                      // from 4 to 68
    PUT(&s.f, .opcode = ISA_LUT_LD, .rd = 2, .rs1 = 10); // writes 12 cycles after its issue
    simulate(&s);
    assert_int_equal(s.t->now, 68 - 12 + 1);
    assert_int_equal(counts_of(&s).stalls[TIMING_REGISTER], 68 - 12 - 5);
    destroy(&s);
}

// An address leaves with its instruction: its register can be written in the next cycle.
static void test_addresses_leave(void **state)
{
    (void)state;
    model s = create(default_machine());
    PUT(&s.f, .opcode = ISA_LUT_ST, .rs1 = 10); // until 8
    ADD(&s, 10, 10);
    simulate(&s);
    assert_int_equal(counts_of(&s).stalls[TIMING_REGISTER], 0);
    assert_int_equal(counts_of(&s).cycles, 2);
    destroy(&s);
}

// Tiles one behind the other come as fast as the bus carries them.
static void test_stream(void **state)
{
    (void)state;
    model s = create(default_machine());
    for (int i = 0; i < DATA_BYTES / 512; i++)
        PUT(&s.f, .opcode = ISA_LUT_LD, .rd = i, .rs1 = 10, .imm = 512 * i);
    simulate(&s);
    assert_int_equal(s.t->ready[LT + 31], 1044 + 5); // 256 lines in 902.4 cycles, + 141
    assert_int_equal(counts_of(&s).memory_lines, LINES);
    s.machine.memory_outstanding = 8; // eight lines in 145 cycles
    for (int i = 0; i < DATA_BYTES / 512; i++)
        PUT(&s.f, .opcode = ISA_LUT_LD, .rd = i, .rs1 = 10, .imm = 512 * i);
    simulate(&s);
    assert_in_range(s.t->ready[LT + 31], 145 * LINES / 8, 150 * LINES / 8);
    destroy(&s);
}

static void test_prefetch(void **state)
{
    (void)state;
    model s = create(default_machine());
    PUT(&s.f, .opcode = ISA_PREFETCH_R, .rs1 = 10);
    for (int i = 0; i < 200; i++)
        ADD(&s, 6, 6);
    LOAD(&s, 5, 0);
    ADD(&s, 6, 5);
    simulate(&s);
    assert_int_equal(s.t->now, 1 + 200 + 3 + 1);
    assert_int_equal(timing_memory_traffic(s.memory)->prefetched, 1);
    s.machine.memory_outstanding = 5;
    PUT(&s.f, .opcode = ISA_LUT_PF, .rs1 = 10); // eight lines: three too many
    simulate(&s);
    assert_int_equal(timing_memory_traffic(s.memory)->prefetched, 5);
    assert_int_equal(timing_memory_traffic(s.memory)->dropped, 3);
    assert_int_equal(timing_end(s.t), 8);
    destroy(&s);
}

// The dequantizer waits for its scales, and who needs it, for the dequantizer.
static void test_scales(void **state)
{
    (void)state;
    model s = create(default_machine());
    for (int i = 0; i < 2; i++) // 128 bytes each: two lines, there at 149
        PUT(&s.f, .opcode = ISA_LUT_DEQ, .rd = 8 + i, .rs3 = 4, .rs1 = 10);
    PUT(&s.f, .opcode = ISA_LUT_STA, .rd = 9, .rs1 = 10);
    simulate(&s);
    // begins at 149, the second at 153, which is there 10 cycles later
    assert_int_equal(s.t->now, 153 + 10 + 1);
    assert_int_equal(counts_of(&s).stalls[TIMING_DATA], 152);
    destroy(&s);
}

static void test_branches(void **state)
{
    (void)state;
    model s = create(default_machine());
    PUT(&s.f, .opcode = ISA_ADDI, .rd = 5, .imm = 3);
    ADD(&s, 6, 0);
    PUT(&s.f, .opcode = ISA_ADDI, .rd = 5, .rs1 = 5, .imm = -1); // at 2, 4, 6
    PUT(&s.f, .opcode = ISA_BNE, .rs1 = 5, .imm = -4);           // at 3, 5, 7: falls through
    ADD(&s, 6, 0);                                               // at 8 + 3
    simulate(&s);
    assert_int_equal(s.t->now, 12);
    assert_int_equal(counts_of(&s).stalls[TIMING_BRANCH], 3);
    PUT(&s.f, .opcode = ISA_BEQ, .imm = 8); // forward, taken
    ADD(&s, 6, 0);
    ADD(&s, 6, 0);
    simulate(&s);
    assert_int_equal(s.t->now, 1 + 3 + 1);
    assert_int_equal(counts_of(&s).instructions, 2);
    destroy(&s);
}

static void test_vectors(void **state)
{
    (void)state;
    model s = create(default_machine());
    s.f.h->x[5] = 32;
    PUT(&s.f, .opcode = ISA_VSETVLI, .rd = 6, .rs1 = 5, .imm = 2 << 3 | 2);    // e32, m4
    PUT(&s.f, .opcode = ISA_VADD_VV, .rd = 8, .rs1 = 4, .rs2 = 4, .vm = 1);    // at 1, 4 cycles
    PUT(&s.f, .opcode = ISA_VADD_VV, .rd = 12, .rs1 = 8, .rs2 = 8, .vm = 1);   // at 5: chained
    PUT(&s.f, .opcode = ISA_VDIV_VV, .rd = 16, .rs1 = 12, .rs2 = 12, .vm = 1); // at 9, 32 cycles
    PUT(&s.f, .opcode = ISA_VADD_VV, .rd = 20, .rs1 = 16, .rs2 = 16, .vm = 1); // at 41
    PUT(&s.f, .opcode = ISA_VMV_X_S, .rd = 6, .rs2 = 20, .vm = 1); // 7 cycles later, less 1
    ADD(&s, 6, 6);                                                 // 5 cycles later
    simulate(&s);
    assert_int_equal(s.t->now, 41 + 6 + 5 + 1);
    assert_int_equal(counts_of(&s).busy[ISA_UNIT_VECTOR], 4 + 4 + 32 + 4 + 2);
    destroy(&s);
}

// Registers of a group are waited for, its neighbours are not.
static void test_groups(void **state)
{
    (void)state;
    model s = create(default_machine());
    s.f.h->x[5] = 64;
    PUT(&s.f, .opcode = ISA_VSETVLI, .rd = 6, .rs1 = 5, .imm = 2 << 3 | 3);      // e32, m8
    PUT(&s.f, .opcode = ISA_VFREDOSUM_VS, .rd = 0, .rs1 = 0, .rs2 = 8, .vm = 1); // 64 x 4 cycles
    PUT(&s.f, .opcode = ISA_VSE32_V, .rs3 = 16, .rs1 = 10, .vm = 1);             // at 2
    simulate(&s);
    assert_int_equal(s.t->now, 3);
    PUT(&s.f, .opcode = ISA_VSETVLI, .rd = 6, .rs1 = 5, .imm = 2 << 3 | 3);
    PUT(&s.f, .opcode = ISA_VDIV_VV, .rd = 8, .rs1 = 16, .rs2 = 16, .vm = 1); // 64 cycles
    PUT(&s.f, .opcode = ISA_VS1R_V, .rs3 = 15, .rs1 = 10, .vm = 1);           // the last register
    simulate(&s);
    assert_int_equal(s.t->now, 1 + 64 + 3 + 1);
    destroy(&s);
}

// Shares of the cycles in which the bus of memory and the array are busy.
static double memory_share(const model *s)
{
    return (double)counts_of(s).memory_lines * timing_line_cycles(s->memory) / (double)s->t->now;
}

static double array_share(const model *s)
{
    return (double)counts_of(s).busy[ISA_UNIT_LUT] / (double)s->t->now;
}

enum { WEIGHTS = 0x1000000, WEIGHT_BYTES = 1 << 20 };

// One row against planes from memory: prefetches so far ahead that all lines under way fit, four
// tiles in two pairs, so that loads need not wait for lookups.
static void test_memory_can_be_kept_busy(void **state)
{
    (void)state;
    model s = create(default_machine());
    assert_true(hart_memory_map(s.f.memory, WEIGHTS, WEIGHT_BYTES, HART_READ));
    s.f.h->x[11] = WEIGHTS;
    s.f.h->x[12] = WEIGHTS + WEIGHT_BYTES;
    uint64_t loop = s.f.end;
    for (int pair = 0; pair < 2; pair++) {
        int first = 2 + 2 * pair;
        for (int i = 0; i < 2; i++)
            PUT(&s.f, .opcode = ISA_LUT_PF, .rs1 = 11, .imm = 3072 + 1024 * pair + 512 * i);
        for (int i = 0; i < 2; i++)
            PUT(&s.f, .opcode = ISA_LUT_LD, .rd = first + i, .rs1 = 11,
                .imm = 1024 * pair + 512 * i);
        PUT(&s.f, .opcode = ISA_LMMA, .rd = 8, .rs1 = 0, .rs2 = first, .form = XLUT_FORM_PLANES2);
    }
    PUT(&s.f, .opcode = ISA_ADDI, .rd = 11, .rs1 = 11, .imm = 2047);
    PUT(&s.f, .opcode = ISA_ADDI, .rd = 11, .rs1 = 11, .imm = 1);
    PUT(&s.f, .opcode = ISA_BLTU, .rs1 = 11, .rs2 = 12, .imm = (int32_t)(loop - s.f.end));
    simulate(&s);
    assert_int_equal(timing_memory_traffic(s.memory)->dropped, 0);
    assert_true(memory_share(&s) > 0.99);
    assert_true(array_share(&s) > 0.56 && array_share(&s) < 0.57); // 64 of 112.8 cycles
    destroy(&s);
}

// Four tiles of two rows against planes that are prefetched: two planes take turns.
static void test_array_can_be_kept_busy(void **state)
{
    (void)state;
    model s = create(default_machine());
    for (int round = 0; round < 4; round++)
        for (int plane = 0; plane < 32; plane++) {
            PUT(&s.f, .opcode = ISA_LUT_PF, .rs1 = 10, .imm = 512 * (plane + 4));
            PUT(&s.f, .opcode = ISA_LUT_LD, .rd = 4 + plane % 2, .rs1 = 10, .imm = 512 * plane);
            for (int i = 0; i < 4; i++)
                PUT(&s.f, .opcode = ISA_LMMA, .rd = 8 + i, .rs1 = i, .rs2 = 4 + (plane + 1) % 2,
                    .rows = XLUT_ROWS_ALL);
        }
    simulate(&s);
    assert_int_equal(counts_of(&s).busy[ISA_UNIT_LUT], 4 * 32 * 4 * 16);
    assert_true(array_share(&s) > 0.95); // what is missing are the first planes
    destroy(&s);
}

static uint64_t cycles(void *context)
{
    return ((timing_hart *)context)->now;
}

static void test_cycle_counter(void **state)
{
    (void)state;
    model s = create(default_machine());
    PUT(&s.f, .opcode = ISA_DIV, .rd = 5, .rs1 = 6, .rs2 = 7);
    ADD(&s, 5, 5); // at 20
    PUT(&s.f, .opcode = ISA_CSRRS, .rd = 7, .imm = HART_CSR_CYCLE);
    PUT(&s.f, .opcode = ISA_CSRRS, .rd = 8, .imm = HART_CSR_INSTRET);
    timing_memory *memory = timing_memory_create(&s.machine, 1);
    timing_hart *t = timing_hart_create(&s.machine, s.f.h, memory);
    s.f.h->cycles = cycles;
    s.f.h->clock_context = t;
    hart_watch(s.f.h, timing_watch, t);
    assert_int_equal(run(&s.f), HART_STOP_RETURN);
    assert_int_equal(s.f.h->x[7], 22);
    assert_int_equal(s.f.h->x[8], 3);
    timing_hart_destroy(t);
    timing_memory_destroy(memory);
    destroy(&s);
}

// What faults is seen, and nothing else happens.
static void test_faults(void **state)
{
    (void)state;
    model s = create(default_machine());
    s.machine.parts &= ~(unsigned)MACHINE_LUT;
    s.t = timing_hart_create(&s.machine, s.f.h, s.memory = timing_memory_create(&s.machine, 1));
    hart_watch(s.f.h, timing_watch, s.t);
    PUT(&s.f, .opcode = ISA_LMMA, .rd = 8, .rs1 = 0, .rs2 = 2);
    assert_int_equal(run(&s.f), HART_STOP_RETURN); // the hart has one
    assert_int_equal(s.t->now, 0);
    s.f.end = CODE;
    PUT(&s.f, .opcode = ISA_LD, .rd = 5, .rs1 = 0, .imm = -4); // the last bytes and the first
    assert_int_equal(run(&s.f), HART_STOP_FAULT);
    assert_int_equal(s.f.h->pc, CODE);
    destroy(&s);
}

// The same counts whether the limit cuts runs into pieces or not.
static void test_pieces(void **state)
{
    (void)state;
    model s = create(default_machine());
    for (int i = 0; i < 40; i++) {
        LOAD(&s, 5, 48 * i);
        PUT(&s.f, .opcode = ISA_MUL, .rd = 6, .rs1 = 5, .rs2 = 6);
    }
    uint64_t end = s.f.end;
    simulate(&s);
    uint64_t whole = s.t->now;
    timing_hart *t = timing_hart_create(
        &s.machine, s.f.h,
        (timing_memory_destroy(s.memory), s.memory = timing_memory_create(&s.machine, 1)));
    timing_hart_destroy(s.t);
    s.t = t;
    hart_watch(s.f.h, timing_watch, t);
    hart_set_return(s.f.h, end);
    s.f.h->pc = CODE;
    while (hart_run(s.f.h, 7) == HART_STOP_LIMIT)
        ;
    assert_int_equal(t->now, whole);
    assert_int_equal(counts_of(&s).instructions, 80);
    destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalar_chains),
        cmocka_unit_test(test_issue_width),
        cmocka_unit_test(test_results_in_order),
        cmocka_unit_test(test_loads),
        cmocka_unit_test(test_stores),
        cmocka_unit_test(test_write_back),
        cmocka_unit_test(test_second_level),
        cmocka_unit_test(test_lookups),
        cmocka_unit_test(test_tiles_being_read),
        cmocka_unit_test(test_addresses_leave),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_prefetch),
        cmocka_unit_test(test_scales),
        cmocka_unit_test(test_branches),
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_cycle_counter),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_memory_can_be_kept_busy),
        cmocka_unit_test(test_array_can_be_kept_busy),
    };
    shared = arena_create();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_destroy(shared);
    return failed;
}
