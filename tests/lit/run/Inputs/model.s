# A program as lutc would write it, by hand: y[i] = 2 x[i] + pos, counted in the state; `crash`
# writes one element beyond its output; `spin` does not end; `leave` exits with code 9.
    .option norelax
    .globl scale, crash, spin, leave, overwrite
scale:                      # words: T, x, pos, y, calls
    ld t0, 0(a0)
    ld t1, 8(a0)
    flw fa0, 16(a0)
    ld t2, 24(a0)
    ld t3, 32(a0)
    lw t4, 0(a2)
    addi t4, t4, 1
    sw t4, 0(a2)
    sw t4, 0(t3)
    beqz t0, 2f
1:  flw fa1, 0(t1)
    fadd.s fa1, fa1, fa1
    fadd.s fa1, fa1, fa0
    fsw fa1, 0(t2)
    addi t1, t1, 4
    addi t2, t2, 4
    addi t0, t0, -1
    bnez t0, 1b
2:  ret
crash:                      # words: T, y
    ld t0, 8(a0)
    li t1, 64
1:  sw zero, 0(t0)
    addi t0, t0, 4
    addi t1, t1, -1
    bnez t1, 1b
    ret
overwrite:                  # words: T, x
    ld t0, 8(a0)
    sw zero, 0(t0)
    ret
spin:
    j spin
leave:
    li a0, 9
    li a7, 93
    ecall

    .section .note.lutra, "a", @note
    .balign 4
    .word 6, 2f - 1f, 1
    .asciz "Lutra"
    .balign 4
1:  .ascii "{\"version\": 1, \"machine\": {\"name\": \"m2n64k4\", \"vlen\": 256, \"tile_m\": 2,"
    .ascii "\"tile_n\": 64, \"hash\": \"6f1f69ed27ba47f5\"},"
    .ascii "\"dims\": [{\"name\": \"T\", \"min\": 0, \"max\": 512}],"
    .ascii "\"entries\": [{\"name\": \"scale\", \"symbol\": \"scale\", \"inputs\": ["
    .ascii "{\"name\": \"x\", \"type\": \"f32\", \"shape\": [\"T\"]},"
    .ascii "{\"name\": \"pos\", \"type\": \"f32\", \"shape\": []}],"
    .ascii "\"outputs\": [{\"name\": \"y\", \"type\": \"f32\", \"shape\": [\"T\"]},"
    .ascii "{\"name\": \"calls\", \"type\": \"i32\", \"shape\": []}]},"
    .ascii "{\"name\": \"crash\", \"symbol\": \"crash\", \"inputs\": [],"
    .ascii "\"outputs\": [{\"name\": \"y\", \"type\": \"f32\", \"shape\": [16]}]},"
    .ascii "{\"name\": \"overwrite\", \"symbol\": \"overwrite\", \"inputs\": ["
    .ascii "{\"name\": \"x\", \"type\": \"f32\", \"shape\": [\"T\"]}], \"outputs\": []},"
    .ascii "{\"name\": \"spin\", \"symbol\": \"spin\", \"inputs\": [], \"outputs\": []},"
    .ascii "{\"name\": \"leave\", \"symbol\": \"leave\", \"inputs\": [], \"outputs\": []}],"
    .ascii "\"states\": [{\"name\": \"count\", \"type\": \"i32\", \"shape\": [], \"offset\": 0}],"
    .ascii "\"state_size\": 4, \"workspace_size\": 0, \"weights\": null}"
2:  .balign 4
