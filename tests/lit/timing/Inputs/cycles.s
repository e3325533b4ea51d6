# Exits with the cycles between two readings of `cycle`: three dependent products between them.
    .option norelax
    .globl _start
    .type _start, @function
_start:
    rdcycle t0
    mul t1, t1, t1
    mul t1, t1, t1
    mul t1, t1, t1
    addi t2, t1, 0
    rdcycle t1
    sub a0, t1, t0
    li a7, 93
    ecall
    .size _start, . - _start
