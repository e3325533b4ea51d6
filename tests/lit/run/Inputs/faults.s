# Ends as the first letter of its first argument says.
    .globl _start
_start:
    ld a0, 0(sp)
    li a1, 2
    bltu a0, a1, exit
    ld a0, 16(sp)
    lbu a0, 0(a0)
    li t0, 'i'
    beq a0, t0, illegal
    li t0, 'l'
    beq a0, t0, load
    li t0, 's'
    beq a0, t0, store
    li t0, 'j'
    beq a0, t0, jump
    li t0, 'b'
    beq a0, t0, break
    li t0, 'o'
    beq a0, t0, overflow
    li t0, 'r'
    beq a0, t0, loop
    li t0, 'n'
    beq a0, t0, null
    li t0, 'm'
    beq a0, t0, misaligned
    li t0, 't'
    beq a0, t0, tile
    li t0, 'e'
    beq a0, t0, enosys
exit:                       # with 40 + argc
    ld a0, 0(sp)
    addi a0, a0, 40
    li a7, 93
    ecall
illegal:
    .word 0xffffffff
load:
    li a1, 0x7000000000
    ld a0, 0(a1)
store:
    lla a1, _start
    sd a1, 8(a1)
jump:
    li a1, 0x123456
    jr a1
null:
    ld a1, 24(zero)
break:
    ebreak
misaligned:
    lla a1, data+1
    lr.d a0, (a1)
tile:
    lla a1, data+1
    .insn i 0x7b, 4, x3, 0(a1)
overflow:
    addi sp, sp, -64
    sd ra, 0(sp)
    jal overflow
loop:
    j loop
enosys:
    li a7, 1234
    ecall
    neg a0, a0              # ENOSYS, 38
    li a7, 94
    ecall
    .data
    .balign 64
data:
    .zero 1024
