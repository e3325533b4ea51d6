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

typedef struct kernel_use {
    ir_function *function;
    argument_use *arguments;
    bool shared; // it has loops to divide
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
    ARRAY_OF(const ir_op *) calls;
    ARRAY_OF(const ir_op *) allocations; // of which every rank has a copy then
    int64_t count;                       // ranks that memory has room for
    // Indices: what calls that every rank makes for itself get for rank and ranks; 0 where they are
    // made so, 1 where there are several rows, or too many ranks; the latter as a condition.
    ir_value *rank, *ranks, *several, *several_rows;
} row_copies;

row_copies partition_find_copies(const partitioning *p, const ir_function *entry);
bool partition_is_copied(const row_copies *c, const ir_op *call);
bool partition_has_copies(const row_copies *c, const ir_value *buffer);
// At the head of the entry, behind its rank: computes what calls get, and lets views of memory that
// is copied begin at a rank's own.
void partition_make_copies(const partitioning *p, ir_function *entry, ir_value *rank,
                           ir_value *ranks, row_copies *c);
