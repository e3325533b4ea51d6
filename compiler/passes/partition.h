// What partition knows of kernels, and which calls every rank makes for itself; private to the
// pass.
#pragma once

#include "compiler/passes/lower/lower.h"
#include "compiler/passes/prefetch_streams.h"

// What a kernel does with the memory behind an argument.
typedef struct argument_use {
    bool read, written;
    bool written_by_all; // outside of the loops that are shared
} argument_use;

typedef struct loop_list {
    arena *arena;
    ARRAY_OF(ir_op *) items;
} loop_list;

typedef struct kernel_use {
    ir_function *function;
    argument_use *arguments;
    loop_list loops; // that are shared, also those inside of others
    bool shared;     // it has loops to divide
    ir_value *rank, *ranks;
} kernel_use;

typedef struct partitioning {
    ir_module *module;
    pass_context *context;
    ARRAY_OF(kernel_use) kernels;
} partitioning;

// The outermost shared loop is what is divided; NULL: there is none around it.
const ir_op *partition_shared_around(const ir_op *op);
kernel_use *partition_kernel(const partitioning *p, const ir_op *call);
bool partition_is_private(const ir_value *root);

// ---- copies (partition_copies.c)
// What every rank computes for itself where the call of an entry is for one row.
typedef struct row_copies {
    unsigned calls; // of the entry
    int64_t count;  // ranks that memory has room for
    // Indices: what these calls get for rank and ranks. In calls of one row, if there are copies
    // for all, they are 0 and 1, in others those of the entry; ranks_of_one is 1 in others only.
    ir_value *rank, *ranks, *ranks_of_one;
} row_copies;

// Which calls these are, and of which memory ranks have copies, is in the marks of the entry's
// operations.
row_copies partition_find_copies(const partitioning *p, const ir_function *entry);
bool partition_is_copied(const ir_op *call);
bool partition_has_copies(const ir_value *buffer);
// Behind the head of the entry: computes what calls get, and lets views of memory that is copied
// begin at a rank's own.
void partition_make_copies(const partitioning *p, ir_function *entry, ir_value *rank,
                           ir_value *ranks, row_copies *c);
