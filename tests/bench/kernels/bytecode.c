// Integer: an interpreter of bytecode for a stack machine, which counts Collatz steps.
#include "start.h"

enum opcode { PUSH, LOAD, STORE, ADD, MULTIPLY, HALVE, ODD, NEXT, IS_ONE, JUMP_IF, JUMP, HALT };

// Variable 0: the number; 1: its steps down to 1.
enum { LOOP = 0, EVEN = 15, ODD_ONE = 22, END = 32 };
static const uint8_t program[] = {
    /* LOOP */ LOAD,    0,    IS_ONE, JUMP_IF, END,                      //
    /* 5 */ LOAD,       1,    NEXT,   STORE,   1,                        //
    /* 10 */ LOAD,      0,    ODD,    JUMP_IF, ODD_ONE,                  //
    /* EVEN */ LOAD,    0,    HALVE,  STORE,   0,        JUMP, LOOP,     //
    /* ODD_ONE */ LOAD, 0,    PUSH,   3,       MULTIPLY, NEXT, STORE, 0, //
    /* 30 */ JUMP,      LOOP,                                            //
    /* END */ HALT,
};

static int64_t execute(const uint8_t *code, int64_t *variables)
{
    int64_t stack[16], *top = stack;
    for (const uint8_t *at = code;;)
        switch (*at++) {
        case PUSH: *top++ = *at++; break;
        case LOAD: *top++ = variables[*at++]; break;
        case STORE: variables[*at++] = *--top; break;
        case ADD:
            top--;
            top[-1] += *top;
            break;
        case MULTIPLY:
            top--;
            top[-1] *= *top;
            break;
        case HALVE: top[-1] >>= 1; break;
        case ODD: top[-1] &= 1; break;
        case NEXT: top[-1]++; break;
        case IS_ONE: top[-1] = top[-1] == 1; break;
        case JUMP_IF: at = *--top ? code + *at : at + 1; break;
        case JUMP: at = code + *at; break;
        case HALT: return variables[1];
        }
}

static uint64_t kernel(uint64_t rounds)
{
    uint64_t sum = 0;
    while (rounds--) {
        int64_t variables[2] = {27 + (int64_t)(rounds % 1000), 0};
        sum = sum * 31 + (uint64_t)execute(program, variables);
    }
    return sum;
}
