# assemble.sh IN.s OUT.elf: a static RISC-V program with line information.
set -e
llvm-mc -triple=riscv64 -mattr=+m,+a,+f,+d,+c,+v -target-abi=lp64d -filetype=obj -g -o "$2.o" "$1"
ld.lld -static --no-warnings -o "$2" "$2.o"
