# assemble.sh IN.s OUT.elf [LLVM-MC OPTIONS]: a static RISC-V program with line information. A
# section .weights goes where weights are (program.ld).
set -e
in=$1 out=$2
shift 2
llvm-mc -triple=riscv64 -mattr=+m,+a,+f,+d,+c,+v,+zba -target-abi=lp64d -filetype=obj -g "$@" -o "$out.o" "$in"
ld.lld -static --no-warnings -T "${0%/*}/program.ld" -o "$out" "$out.o"
