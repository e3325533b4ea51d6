break mpgemm_add
continue
backtrace
monitor stats
printf "vlenb: %d, lut: %d x %d\n", $vlenb, $lutshape & 255, $lutshape >> 8
# Up to the first lut.ld, and over it.
set $tries = 0
while ((*(unsigned *)$pc & 0x707f) != 0x407b) && $tries < 2000
    stepi
    set $tries = $tries + 1
end
x/i $pc
set $word = *(unsigned *)$pc
eval "set $base = (int *)($x%d + %d)", ($word >> 15) & 31, ($word >> 21) << 6
stepi
eval "set $tile = $lt%d", ($word >> 7) & 31
printf "same words: %d %d %d\n", $tile.words[0] == $base[0], $tile.words[63] == $base[63], $tile.words[10] == $base[10]
# Values of registers are changed, looked at, and put back.
set $saved = $lt31.words[3]
set var $lt31.shorts[6] = 0xbe00
set var $lt31.halves[7] = 0.5
printf "halves: %g %g\n", $lt31.halves[6], $lt31.halves[7]
set var $lt31.words[3] = 0x12345678
printf "tile changed: 0x%x 0x%x\n", $lt31.words[3], $lt31.bytes[12]
set var $lt31.words[3] = $saved
set $old = $v31
set var $v31.words = {1, 2, 3, 4, 5, 6, 7, 8}
printf "vector: "
output $v31.words
printf "\n"
set var $v31.floats[0] = 3
set var $v31.floats[1] = 2
printf "vector as bytes: %d %d\n", $v31.bytes[3], $v31.bytes[7]
set var $v31 = $old
set $old_vtype = $vtype
set $old_vl = $vl
set var $vtype = 0xd1
set var $vl = 5
printf "vl %d, vtype %d\n", $vl, $vtype
python
for change in ("$vl = 1000", "$vlenb = 8"):
    try:
        gdb.execute("set var " + change)
    except gdb.error as error:
        print(error)
end
set var $vtype = $old_vtype
set var $vl = $old_vl
delete
continue
