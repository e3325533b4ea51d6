#!/bin/sh
# Linux programs with a C library, compiled by gcc and by clang, with and without V: what they print
# and how they exit is compared with qemu-riscv64.   linux.sh LUTRUN SOURCES WORK
set -eu
lutrun=$1 sources=$2 work=$3
for tool in riscv64-linux-gnu-gcc clang-19 ld.lld-19 qemu-riscv64; do
    command -v $tool >/dev/null || { echo "skipped: no $tool"; exit 77; }
done
[ -f /usr/riscv64-linux-gnu/lib/libc.a ] || { echo "skipped: no static C library for RISC-V"; exit 77; }
mkdir -p "$work"
seq 1 400 >"$work/numbers"
failures=0 compared=0
arguments="$work/numbers $work/absent"

# qemu PROGRAM: the outcome to compare with
qemu() {
    expected=0
    qemu-riscv64 -cpu rv64,Zfh=true "$1" $arguments >"$work/there" 2>"$work/there.errors" || expected=$?
}

# check PROGRAM VLEN
check() {
    status=0
    "$lutrun" --vlen "$2" "$1" $arguments >"$work/here" 2>"$work/here.errors" || status=$?
    compared=$((compared + 1))
    if [ $status != $expected ] || ! cmp -s "$work/here" "$work/there" ||
        ! cmp -s "$work/here.errors" "$work/there.errors"; then
        failures=$((failures + 1))
        echo "$1 at VLEN $2: exit $status, qemu $expected"
        diff "$work/here" "$work/there" | head -20
        diff "$work/here.errors" "$work/there.errors" | head -20
    fi
}

common="-static -w -ffp-contract=off -frounding-math -std=gnu17"
clang="clang-19 --target=riscv64-linux-gnu $common -fuse-ld=lld -mabi=lp64d"
scalar=-march=rv64gc vector=-march=rv64gcv_zba_zbb_zbs_zfh_zvfh

# build OUTPUT SOURCE COMPILER...
build() {
    output=$1 source=$2
    shift 2
    "$@" "$source" -o "$output" -lm
}

# Scalar code runs on both. Vector code must print what scalar code does: qemu 7.2 crashes on some.
gcc_levels="-O0 -O1 -O2 -O3" scalar_levels="-O0 -O3" vector_levels="-O1 -O2 -O3" lengths="128 256 1024"
[ -z "${LUTRA_TEST_QUICK:-}" ] || gcc_levels=-O2 scalar_levels= vector_levels=-O3 lengths="128 1024"
for program in print memory strings maths files loops; do
    binary=$work/$program source=$sources/$program.c
    for level in $gcc_levels; do
        build "$binary$level-gcc" "$source" riscv64-linux-gnu-gcc $common $level $scalar
        qemu "$binary$level-gcc"
        check "$binary$level-gcc" 128
    done
    for level in $scalar_levels; do
        build "$binary$level-clang" "$source" $clang $level $scalar
        qemu "$binary$level-clang"
        check "$binary$level-clang" 128
    done
    for level in $vector_levels; do
        build "$binary$level-vector" "$source" $clang $level $vector
        for vlen in $lengths; do
            check "$binary$level-vector" $vlen
        done
    done
done

# Half floats. The scalar program is the reference; the library's conversions are soft.
build "$work/half" "$sources/half.c" $clang -O1 -march=rv64gc_zfh
qemu "$work/half"
check "$work/half" 128
for level in $vector_levels; do
    build "$work/half$level-vector" "$sources/half.c" $clang $level $vector
    for vlen in $lengths; do
        check "$work/half$level-vector" $vlen
    done
done

echo "$compared runs compared, $failures differ"
[ $failures = 0 ]
