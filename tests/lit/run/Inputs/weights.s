# peek: y = the weights' word number `at`; poke: writes to the weights. WEIGHTS says where they are:
# 1: in a segment of the program, 0: in the file weights.lutw beside it.
    .globl peek, poke
peek:                       # words: at, y
    ld t0, 0(a0)
    ld t1, 8(a0)
    li t2, 0x100001000
    sh2add t0, t0, t2
    lw t0, 0(t0)
    sw t0, 0(t1)
    ret
poke:
    li t2, 0x100001000
    sw zero, 0(t2)
    ret

    .section .note.lutra, "a", @note
    .balign 4
    .word 6, 2f - 1f, 1
    .asciz "Lutra"
    .balign 4
1:  .ascii "{\"version\": 1, \"machine\": {\"name\": \"m2n64k4\", \"vlen\": 256, \"tile_m\": 2,"
    .ascii "\"tile_n\": 64, \"hash\": \"6f1f69ed27ba47f5\"}, \"dims\": [],"
    .ascii "\"entries\": [{\"name\": \"peek\", \"symbol\": \"peek\", \"inputs\": ["
    .ascii "{\"name\": \"at\", \"type\": \"index\", \"shape\": []}],"
    .ascii "\"outputs\": [{\"name\": \"y\", \"type\": \"i32\", \"shape\": []}]},"
    .ascii "{\"name\": \"poke\", \"symbol\": \"poke\", \"inputs\": [], \"outputs\": []}],"
    .ascii "\"states\": [], \"state_size\": 0, \"workspace_size\": 0,"
    .ascii "\"weights\": {\"address\": 4294967296, \"size\": 4160, \"file\": "
    .if WEIGHTS
    .ascii "null}}"
    .else
    .ascii "\"weights.lutw\"}}"
    .endif
2:  .balign 4

    .if WEIGHTS
    .section .weights, "a"
    .balign 4096
    .incbin "weights.lutw"
    .endif
