# Entries for several harts, by hand. a3: rank, a4: how many; words: the output.
    .option norelax
    .globl count, order, ring, speak, crash, leave, lonely, spin, flood, meet
    .macro barrier
    li a7, 4096
    ecall
    .endm
    .macro say text, size
    li a0, 1
    lla a1, \text
    li a2, \size
    li a7, 64
    ecall
    .endm

# y[0], y[1], y[2] += 5000 by each hart: amoadd, lr and sc, a lock around a load and a store.
count:
    ld t0, 0(a0)
    bnez a3, 1f
    sd zero, 0(t0)
    sd zero, 8(t0)
    sd zero, 16(t0)
    sd zero, 24(t0)
1:  barrier
    li t1, 5000
    li t2, 1
    addi t3, t0, 8
    addi t4, t0, 24
2:  amoadd.d zero, t2, (t0)
3:  lr.d t5, (t3)
    addi t5, t5, 1
    sc.d t6, t5, (t3)
    bnez t6, 3b
4:  amoswap.w.aq t5, t2, (t4)
    bnez t5, 4b
    ld t5, 16(t0)
    addi t5, t5, 1
    sd t5, 16(t0)
    amoswap.w.rl zero, zero, (t4)
    addi t1, t1, -1
    bnez t1, 2b
    ret

# Harts 0 and 1: each sets its own word and reads the other's. With fences between, one at least
# sees a 1; y[0] counts the rounds of 500 in which none did.
order:
    ld t0, 0(a0)
    slli t1, a3, 7
    add t1, t0, t1          # own word, on a line of its own
    xori t2, a3, 1
    slli t2, t2, 7
    add t2, t0, t2          # the other's
    sd zero, 64(t1)         # what was read
    li t3, 500
    li t4, 1
    li s2, 0
1:  amoswap.d zero, zero, (t1)
    barrier
    amoswap.d zero, t4, (t1)
    fence rw, rw
    lr.d t5, (t2)
    sd t5, 64(t1)
    barrier
    bnez a3, 2f
    ld t5, 64(t0)
    ld t6, 192(t0)
    or t5, t5, t6
    seqz t5, t5
    add s2, s2, t5
2:  barrier
    addi t3, t3, -1
    bnez t3, 1b
    bnez a3, 3f
    sd s2, 0(t0)
3:  ret

# Each hart in turn adds its rank + 1 to y[0], when y[1] says it is its turn.
ring:
    ld t0, 0(a0)
    bnez a3, 1f
    sd zero, 0(t0)
    sd zero, 8(t0)
1:  barrier
    addi t1, t0, 8
2:  lr.d t2, (t1)
    bne t2, a3, 2b
    fence r, rw
    ld t3, 0(t0)
    addi t4, a3, 1
    add t3, t3, t4
    sd t3, 0(t0)
    fence rw, w
    amoswap.d zero, t4, (t1)
    ret

# The higher the rank, the sooner.
speak:
    mv s2, ra
    mv s3, a3
    sub t0, a4, a3
    slli t0, t0, 12
1:  addi t0, t0, -1
    bnez t0, 1b
    lla t1, name
    addi t2, s3, 48
    addi sp, sp, -16
    li t3, 0x0a
    slli t3, t3, 8
    or t2, t2, t3
    sd t2, 0(sp)
    li a0, 1
    mv a1, sp
    li a2, 2
    li a7, 64
    ecall
    barrier
    say name, 7
    addi sp, sp, 16
    mv ra, s2
    ret

# Hart 2 ends the program, hart 1 has no memory at 0, hart 3 is not told in time.
crash:
    mv s3, a3
    li t0, 2
    beq a3, t0, bye
    li t0, 1
    bne a3, t0, 1f
    sd zero, 0(zero)
1:  barrier
    say name, 7
    ret
leave:
    mv s3, a3
    say name, 7
    beqz s3, 1f
bye:
    addi a0, s3, 7
    li a7, 93
    ecall
1:  barrier
    say name, 7
    ret

# Hart 0 waits for what hart 1 will not do.
lonely:
    bnez a3, 2f
1:  j 1b
2:  ebreak

spin:
    beqz a3, 2f
1:  j 1b
2:  ret

# Harts that only ever meet.
meet:
1:  barrier
    j 1b

# More than is kept of what a hart writes, and streams that are none: what write says.
flood:
    ld t0, 0(a0)
    slli t1, a3, 5
    add t0, t0, t1
    li a0, 1
    lla a1, lines
    li a2, 600000
    li a7, 64
    ecall
    sd a0, 0(t0)
    li a0, 2
    lla a1, lines
    ecall
    sd a0, 8(t0)
    li a0, 2
    ecall
    sd a0, 16(t0)
    li a0, 5
    ecall
    sd a0, 24(t0)
    li a7, 77
    ecall
    ret

    .section .rodata
name:
    .ascii "a hart\n"
lines:
    .fill 600000, 1, 10

    .section .note.lutra, "a", @note
    .balign 4
    .word 6, 2f - 1f, 1
    .asciz "Lutra"
    .balign 4
1:  .ascii "{\"version\": 1, \"machine\": {\"name\": \"m2n64k4\", \"vlen\": 256, \"tile_m\": 2,"
    .ascii "\"tile_n\": 64, \"hash\": \"6f1f69ed27ba47f5\"}, \"dims\": [], \"entries\": ["
    .macro entry name
    .ascii "{\"name\": \"\name\", \"symbol\": \"\name\", \"inputs\": [], \"outputs\": ["
    .ascii "{\"name\": \"y\", \"type\": \"i64\", \"shape\": [48]}]},"
    .endm
    entry count
    entry order
    entry ring
    entry speak
    entry crash
    entry leave
    entry lonely
    entry flood
    entry meet
    .ascii "{\"name\": \"spin\", \"symbol\": \"spin\", \"inputs\": [], \"outputs\": []}],"
    .ascii "\"states\": [], \"state_size\": 0, \"workspace_size\": 0, \"harts\": 4, \"weights\": null}"
2:  .balign 4
