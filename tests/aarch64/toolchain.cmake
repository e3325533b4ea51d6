# Debian's cross compiler; static programs, which qemu runs without a file system of their own.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
# An address space for one guest memory of the smallest size: qemu 7.2 keeps a record for each page.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -R 20G)
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
