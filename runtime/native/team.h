// The threads of a context. Private to runtime/native.
#pragma once

#include "runtime/native/lutra.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdbool.h>

// What generated code reads: these words, in this order (compiler/codegen/cpu/native.c).
struct lutra_run {
    const uint64_t *words;
    void *workspace;
    void *states;
    const void *weights;
    int64_t rank, ranks;
    void *scratch;
    void (*barrier)(lutra_run *run);
    void (*fail)(lutra_run *run, const char *reason); // does not come back
    // ours
    struct lutra_context *context;
    jmp_buf escape;
    pthread_t thread;
};

struct lutra_context {
    const lutra_program *program;
    const lutra_level *level;
    unsigned level_index, threads;
    lutra_run *runs;
    uint64_t *words;
    void (*code)(lutra_run *run);
    const char *message;
    _Atomic unsigned call;           // counts up when a call begins; workers sleep on it
    _Atomic unsigned running;        // workers that have not ended the call
    _Atomic unsigned arrived, phase; // of the barrier
    _Atomic unsigned sleepers;       // threads that sleep on any of these, or are about to
    _Atomic bool stop;
    _Atomic(const char *) reason; // why the program stopped; NULL: it has not
};

bool team_start(lutra_context *c);
void team_stop(lutra_context *c);
void team_run(lutra_context *c); // the context's code on all threads
