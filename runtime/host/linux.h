// The Linux system calls that a statically linked program needs: start-up of a C library, memory,
// files named on the command line, clock, exit. What a guest can reach through them is its own
// memory, checked for every pointer, and those files, for reading.
#pragma once

#include "runtime/host/internal.h"

#include <stdint.h>

enum {
    LINUX_ARGUMENTS = 6,
    LINUX_DESCRIPTORS = 64,
    LINUX_SIGNALS = 64,
    LINUX_MOST_SEGMENTS = 1 << 14, // pieces of guest memory; more: ENOMEM
    LINUX_LONGEST_PATH = 4096,
};
#define LINUX_HEAP_BYTES (UINT64_C(1) << 30)     // brk
#define LINUX_AREA_BYTES (UINT64_C(8) << 30)     // mmap
#define LINUX_MOST_TRANSFER UINT64_C(0x7ffff000) // of one read or write, as in Linux

typedef struct linux_action { // as rt_sigaction has it
    uint64_t handler, flags, mask;
} linux_action;

struct linux_process {
    const char *const *argv;            // NULL: a model, which has only exit and write
    int descriptors[LINUX_DESCRIPTORS]; // of the host; -1: closed
    size_t heap_region;                 // index in the program's regions
    uint64_t heap_start, heap_end, heap_limit;
    uint64_t area_start, area_limit; // where mmap finds room
    uint64_t slept;                  // nanoseconds
    random_stream random;
    uint64_t signal_mask;
    linux_action actions[LINUX_SIGNALS + 1];
};

typedef struct linux_call {
    host_program *program;
    linux_process *process;
    hart_memory *memory;
    uint64_t a[LINUX_ARGUMENTS];
    bool ended; // the program, with exit_code
    int exit_code;
} linux_call;

// A result, or a negated error number.
typedef int64_t linux_handler(linux_call *c);

// Between guest memory and the host; false: not the guest's to read or write.
bool linux_get(const linux_call *c, uint64_t address, void *data, uint64_t size);
bool linux_put(const linux_call *c, uint64_t address, const void *data, uint64_t size);

// What a checkpoint keeps of the process. False: it cannot be kept, or not be restored; reported.
enum { LINUX_CHECKPOINT_WORDS = 512 };
bool linux_save(const host_program *p, uint64_t words[LINUX_CHECKPOINT_WORDS]);
bool linux_restore(host_program *p, const uint64_t words[LINUX_CHECKPOINT_WORDS]);

// The host's descriptor, -1 when there is none.
int linux_descriptor(const linux_call *c, uint64_t number);

linux_handler linux_openat, linux_dup, linux_close, linux_lseek, linux_read, linux_write,
    linux_readv, linux_writev, linux_pread, linux_readlinkat, linux_newfstatat, linux_fstat,
    linux_ioctl, linux_fcntl;
linux_handler linux_brk, linux_mmap, linux_munmap, linux_mremap, linux_mprotect;
