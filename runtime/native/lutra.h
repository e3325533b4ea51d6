/* Programs compiled for CPUs: lutc --target=native (docs/native.md). C11, C++ and ctypes.
 *
 * An object or library holds one lutra_program, constant data: what the program's entries take and
 * give, how much memory it needs, and its code for each level of the CPU. Nothing is allocated that
 * the caller does not see, and there is no global state: all of a run's state lies in memory that
 * the caller provides. Several contexts may run at the same time. */
#ifndef LUTRA_H
#define LUTRA_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LUTRA_ABI 2
#define LUTRA_ALIGNMENT 64
#define LUTRA_MAX_RANK 6

typedef struct lutra_run lutra_run;

/* A size of a shape: a number (dim is -1), or value times dimension `dim` of the program. */
typedef struct lutra_extent {
    int64_t dim, value;
} lutra_extent;

typedef struct lutra_value {
    const char *name, *type; /* "f32", "f16", "i32", ..., "index" */
    uint64_t rank;           /* 0: a scalar */
    lutra_extent shape[LUTRA_MAX_RANK];
} lutra_value;

typedef struct lutra_dim {
    const char *name;
    int64_t minimum, maximum;
} lutra_dim;

typedef struct lutra_state {
    lutra_value value;
    uint64_t offset; /* in the state memory */
} lutra_state;

typedef struct lutra_level {
    const char *name;
    uint64_t
        requires; /* LUTRA_AVX2 ... */
} lutra_level;

typedef struct lutra_entry {
    const char *name;
    uint64_t input_count;
    const lutra_value *inputs;
    uint64_t output_count;
    const lutra_value *outputs;
    void (*const *code)(lutra_run *run); /* by level */
} lutra_entry;

typedef struct lutra_program {
    uint64_t abi; /* LUTRA_ABI */
    const char *name, *target;
    uint64_t level_count;
    const lutra_level *levels; /* the best one last */
    uint64_t dim_count;
    const lutra_dim *dims;
    uint64_t entry_count;
    const lutra_entry *entries;
    uint64_t state_count;
    const lutra_state *states;
    uint64_t state_size;     /* bytes; zero before the first call */
    uint64_t workspace_size; /* of a context, part of lutra_context_size */
    uint64_t scratch_size;   /* of each thread, also part of it */
    uint64_t most_threads;
    uint64_t weights_size;   /* bytes of the packed file; 0: the program has none */
    uint64_t weights_layout; /* which the file must have */
} lutra_program;

/* Features of CPUs. */
#define LUTRA_AVX2 1u        /* and FMA, F16C, BMI: x86-64-v3 */
#define LUTRA_AVX512_VNNI 2u /* x86-64-v4 with VNNI and VBMI */
#define LUTRA_DOTPROD 4u
#define LUTRA_ALL_FEATURES (~(uint64_t)0)
uint64_t lutra_cpu_features(void); /* of this CPU, as far as the system lets us use them */

/* What can go wrong. */
typedef enum lutra_status {
    LUTRA_OK,
    LUTRA_BAD_PROGRAM, /* of another ABI */
    LUTRA_BAD_MEMORY,  /* too small or not aligned to LUTRA_ALIGNMENT */
    LUTRA_BAD_THREADS, /* none, more than most_threads, or one could not be started */
    LUTRA_BAD_CALL,    /* no such entry, or a dimension out of its range */
    LUTRA_BAD_WEIGHTS, /* the file is not a packed file of this program */
    LUTRA_STOPPED,     /* the program found a position or an index out of range */
} lutra_status;

typedef struct lutra_context lutra_context;

/* Bytes of a context: its bookkeeping, the workspace, and scratch memory of each thread. 0: the
 * program cannot have that many threads. */
size_t lutra_context_size(const lutra_program *program, unsigned threads);

/* Makes a context in `memory` (aligned to 64) and starts threads - 1 threads, which sleep between
 * calls. Of the CPU's features those in `features` are used. */
lutra_status lutra_start(lutra_context **out, const lutra_program *program, unsigned threads,
                         uint64_t features, void *memory, size_t size);
void lutra_stop(lutra_context *context); /* ends its threads; the memory is the caller's again */

const lutra_level *lutra_level_of(const lutra_context *context);
const char *lutra_message(const lutra_context *context); /* why the last call went wrong */

/* Index of an entry; -1: there is none of that name. */
int lutra_find_entry(const lutra_program *program, const char *name);

/* Calls an entry; `weights` is the packed file in memory, aligned to 64, and `states` state_size
 * bytes. dims: the value of each dimension of the program. inputs: an address for an array, which
 * is aligned to its elements and row-major, or the bits of a scalar. outputs: addresses. Results
 * are the same for any number of threads. */
lutra_status lutra_call(lutra_context *context, unsigned entry, const void *weights, void *states,
                        const int64_t *dims, const uint64_t *inputs, const uint64_t *outputs);

/* Elements of a value for given dimensions; -1: too many. */
int64_t lutra_count(const lutra_value *value, const int64_t *dims);

/* A packed file mapped into memory, read-only, its frame checked against the program. */
typedef struct lutra_weights {
    const void *data;
    size_t size;
} lutra_weights;
lutra_status lutra_map_weights(lutra_weights *out, const lutra_program *program, const char *path);
void lutra_unmap_weights(lutra_weights *weights);

#ifdef __cplusplus
}
#endif
#endif
