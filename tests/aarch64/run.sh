#!/bin/sh
# run.sh FOLDER: cross-compiles the machine for AArch64 into the folder and runs its tests there.
set -eu
source=$(cd "$(dirname "$0")" && pwd)
for tool in aarch64-linux-gnu-gcc qemu-aarch64; do
    command -v $tool >/dev/null || { echo "skipped: no $tool"; exit 77; }
done
echo 'int main(void) { return 0; }' | aarch64-linux-gnu-gcc -static -x c -o /dev/null - ||
    { echo "skipped: aarch64-linux-gnu-gcc has no C library (libc6-dev-arm64-cross)"; exit 77; }
cmake -G Ninja -S "$source" -B "$1" --toolchain "$source/toolchain.cmake" >/dev/null
cmake --build "$1"
LUTRA_TEST_QUICK=1 ctest --test-dir "$1" --output-on-failure -j "$(nproc)"
