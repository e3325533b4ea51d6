// Steps that execute two instructions, for all combinations of common simple ones: FIRST(E) makes
// those that begin with E, and its row of the table.
#pragma once

#include "runtime/hart/step.h"

// What may come second, by what the step does behind it.
#define SECOND_INTEGER(ROW, ...)                                                                   \
    ROW(ADD, __VA_ARGS__)                                                                          \
    ROW(SUB, __VA_ARGS__)                                                                          \
    ROW(AND, __VA_ARGS__)                                                                          \
    ROW(OR, __VA_ARGS__)                                                                           \
    ROW(XOR, __VA_ARGS__)                                                                          \
    ROW(SLTU, __VA_ARGS__)                                                                         \
    ROW(ADDW, __VA_ARGS__)                                                                         \
    ROW(SUBW, __VA_ARGS__)                                                                         \
    ROW(MUL, __VA_ARGS__)                                                                          \
    ROW(MULW, __VA_ARGS__)                                                                         \
    ROW(SH1ADD, __VA_ARGS__)                                                                       \
    ROW(SH2ADD, __VA_ARGS__)                                                                       \
    ROW(SH3ADD, __VA_ARGS__)                                                                       \
    ROW(ADDI, __VA_ARGS__)                                                                         \
    ROW(ADDIW, __VA_ARGS__)                                                                        \
    ROW(ANDI, __VA_ARGS__)                                                                         \
    ROW(XORI, __VA_ARGS__)                                                                         \
    ROW(SLTIU, __VA_ARGS__)                                                                        \
    ROW(SLLI, __VA_ARGS__)                                                                         \
    ROW(SRLI, __VA_ARGS__)                                                                         \
    ROW(SRAI, __VA_ARGS__)                                                                         \
    ROW(SLLIW, __VA_ARGS__)                                                                        \
    ROW(SRLIW, __VA_ARGS__)                                                                        \
    ROW(SRAIW, __VA_ARGS__)                                                                        \
    ROW(LUI, __VA_ARGS__)
#define SECOND_MEMORY(ROW, ...)                                                                    \
    ROW(LB, __VA_ARGS__)                                                                           \
    ROW(LBU, __VA_ARGS__)                                                                          \
    ROW(LH, __VA_ARGS__)                                                                           \
    ROW(LHU, __VA_ARGS__)                                                                          \
    ROW(LW, __VA_ARGS__)                                                                           \
    ROW(LWU, __VA_ARGS__)                                                                          \
    ROW(LD, __VA_ARGS__)                                                                           \
    ROW(SB, __VA_ARGS__)                                                                           \
    ROW(SH, __VA_ARGS__)                                                                           \
    ROW(SW, __VA_ARGS__)                                                                           \
    ROW(SD, __VA_ARGS__)                                                                           \
    ROW(FLW, __VA_ARGS__)                                                                          \
    ROW(FLD, __VA_ARGS__)                                                                          \
    ROW(FSW, __VA_ARGS__)                                                                          \
    ROW(FSD, __VA_ARGS__)
#define SECOND_BRANCH(ROW, ...)                                                                    \
    ROW(BEQ, __VA_ARGS__)                                                                          \
    ROW(BNE, __VA_ARGS__)                                                                          \
    ROW(BLT, __VA_ARGS__)                                                                          \
    ROW(BGE, __VA_ARGS__)                                                                          \
    ROW(BLTU, __VA_ARGS__)                                                                         \
    ROW(BGEU, __VA_ARGS__)
#define SECOND_JUMP(ROW, ...)                                                                      \
    ROW(JAL, __VA_ARGS__)                                                                          \
    ROW(JALR, __VA_ARGS__)
#define SECONDS(ROW, ...)                                                                          \
    SECOND_INTEGER(ROW, __VA_ARGS__)                                                               \
    SECOND_MEMORY(ROW, __VA_ARGS__)                                                                \
    SECOND_BRANCH(ROW, __VA_ARGS__)                                                                \
    SECOND_JUMP(ROW, __VA_ARGS__)

typedef enum pair_second {
#define ROW(E, ignored) SECOND_##E,
    SECONDS(ROW, )
#undef ROW
        SECOND_COUNT
} pair_second;

typedef struct pair_row {
    uint16_t first;
    hart_step *const (*seconds)[2]; // [pair_second][whether rs1 is what the first one wrote]
} pair_row;
// A row of opcode ISA_ILLEGAL ends each.
extern const pair_row hart_pair_integer_rows[], hart_pair_memory_rows[];

#define DEFINE_PAIR(name, A, ending)                                                               \
    static hart_op *name(STEP_PARAMETERS)                                                          \
    {                                                                                              \
        uint64_t result;                                                                           \
        DO(A, op, h->x[op->rs1], result);                                                          \
        ending;                                                                                    \
        (void)result;                                                                              \
        GO(op + 2);                                                                                \
    }
// ENDING_kind(E, a): executes E at op + 1 with x[rs1] = a.
#define ENDING_PLAIN(E, a) DO(E, op + 1, a, result)
#define ENDING_BRANCH(E, a)                                                                        \
    if (test_##E(op + 1, h, a))                                                                    \
    FOLLOW(op + 1)
#define ENDING_JAL(E, a)                                                                           \
    h->x[op[1].rd] = (uint64_t)op[2].value;                                                        \
    FOLLOW(op + 1)
#define ENDING_JALR(E, a) FOLLOW_INDIRECT(op + 1, a)

#define PAIR(kind, A, B) DEFINE_PAIR(A##_and_##B, A, ENDING_##kind(B, h->x[op[1].rs1]))
#define PAIR_FORWARD(kind, A, B) DEFINE_PAIR(A##_into_##B, A, ENDING_##kind(B, result))

#define PAIRS(form, A)                                                                             \
    SECOND_INTEGER(form##_PLAIN, A)                                                                \
    SECOND_MEMORY(form##_PLAIN, A)                                                                 \
    SECOND_BRANCH(form##_BRANCH, A)                                                                \
    form##_JAL(JAL, A) form##_JALR(JALR, A)
#define PAIR_PLAIN(B, A) PAIR(PLAIN, A, B)
#define PAIR_BRANCH(B, A) PAIR(BRANCH, A, B)
#define PAIR_JAL(B, A) PAIR(JAL, A, B)
#define PAIR_JALR(B, A) PAIR(JALR, A, B)
#define PAIR_FORWARD_PLAIN(B, A) PAIR_FORWARD(PLAIN, A, B)
#define PAIR_FORWARD_BRANCH(B, A) PAIR_FORWARD(BRANCH, A, B)
#define PAIR_FORWARD_JAL(B, A)
#define PAIR_FORWARD_JALR(B, A) PAIR_FORWARD(JALR, A, B)

#define BOTH(B, A) [SECOND_##B] = {A##_and_##B, A##_into_##B},
#define ALONE(B, A) [SECOND_##B] = {A##_and_##B, NULL},

// A first instruction that writes an integer register.
#define FIRST(A)                                                                                   \
    PAIRS(PAIR, A)                                                                                 \
    PAIRS(PAIR_FORWARD, A)                                                                         \
    static hart_step *const from_##A[SECOND_COUNT][2] = {SECOND_INTEGER(BOTH, A) SECOND_MEMORY(    \
        BOTH, A) SECOND_BRANCH(BOTH, A) ALONE(JAL, A) BOTH(JALR, A)};
// One that does not.
#define FIRST_WITHOUT_RESULT(A)                                                                    \
    PAIRS(PAIR, A)                                                                                 \
    static hart_step *const from_##A[SECOND_COUNT][2] = {SECONDS(ALONE, A)};
