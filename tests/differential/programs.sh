#!/bin/sh
# Compiles the programs with gcc and clang, with and without V, and compares what they print here
# with qemu-riscv64.   programs.sh HART_RUNNER SOURCES WORK
set -eu
runner=$1 sources=$2 work=$3
for tool in riscv64-linux-gnu-gcc clang-19 ld.lld-19 qemu-riscv64; do
    command -v $tool >/dev/null || { echo "skipped: no $tool"; exit 77; }
done
mkdir -p "$work"
failures=0 compared=0

check() { # program vlen
    status=0
    "$runner" --vlen "$2" "$1" >"$work/here" 2>"$work/errors" || status=$?
    compared=$((compared + 1))
    if [ $status != $expected ] || ! cmp -s "$work/here" "$work/there"; then
        failures=$((failures + 1))
        echo "$1 at VLEN $2: exit $status, qemu $expected"
        cat "$work/errors"
        diff "$work/here" "$work/there" || true
    fi
}

common="-static -nostdlib -ffreestanding -fno-stack-protector -ffp-contract=off -fno-math-errno -w"
clang="clang-19 --target=riscv64-linux-gnu $common -fuse-ld=lld -mabi=lp64d"
vector=-march=rv64gcv_zba_zbb_zbs_zfh_zvfh
for program in integer float vector; do
    source=$sources/$program.c
    # The second opinion: scalar code on qemu (7.2 crashes on vector conversions that truncate).
    $clang -O0 -march=rv64gc_zfh "$source" -o "$work/$program"
    expected=0
    qemu-riscv64 -cpu rv64,Zfh=true "$work/$program" >"$work/there" || expected=$?
    check "$work/$program" 128
    for level in -O0 -O1 -O2 -O3; do
        for vlen in 128 256 1024; do
            $clang $level $vector "$source" -o "$work/$program$level"
            check "$work/$program$level" $vlen
        done
        # gcc 12 has no half precision.
        if [ $program = integer ]; then
            riscv64-linux-gnu-gcc $common $level -no-pie -mabi=lp64d -march=rv64gc -Wl,--no-relax \
                "$source" -lgcc -o "$work/$program$level-gcc"
            check "$work/$program$level-gcc" 128
        fi
    done
done
echo "$compared runs compared, $failures differ"
[ $failures = 0 ]
