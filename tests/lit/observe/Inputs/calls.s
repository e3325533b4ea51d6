# A plain program of nested calls: _start calls outer twice; outer calls inner and leaves to last,
# which returns to _start.
    .option norelax
    .globl _start
    .type _start, @function
_start:
    call outer
    call outer
    li a0, 7
    li a7, 93
    ecall
    .size _start, . - _start
    .type outer, @function
outer:
    mv s0, ra
    call inner
    mv ra, s0
    j last
    .size outer, . - outer
    .type inner, @function
inner:
    li t0, 3
1:  addi t0, t0, -1
    bnez t0, 1b
    ret
    .size inner, . - inner
    .type last, @function
last:
    la t1, word
    sw a0, 0(t1)
    ret
    .size last, . - last
    .data
word:
    .word 0
