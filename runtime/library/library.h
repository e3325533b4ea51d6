// Libraries that lutc --target writes for CPUs (docs/native.md), loaded and run as language models.
// Their code runs in this process: a library is trusted as a program is, its weight file is not.
#pragma once

#include "runtime/native/lutra.h"
#include "support/arena.h"
#include "support/diagnostic.h"
#include "support/generation/text_run.h"

typedef struct library_options {
    const char *weights; // NULL: beside the library, FILE.lutw
    unsigned threads;
} library_options;

typedef struct library library;

// Loads the library, maps its weights and starts its threads. NULL: reported. `a` and `d` must
// outlive it.
library *library_open(arena *a, diagnostics *d, const char *path, const library_options *options);
void library_close(library *l); // NULL is fine
const lutra_program *library_program(const library *l);
// Entry `entry` with these inputs and outputs, as lutra_call takes them. False: reported.
bool library_call(library *l, size_t entry, const int64_t *dims, const uint64_t *inputs,
                  const uint64_t *outputs);
void library_reset(library *l); // all states are zeros again
// The vocabulary that the weights came with. NULL: reported.
tokenizer *library_tokenizer(library *l);

// The library as a language model, which lives as long as it. False: reported.
bool library_language(arena *a, diagnostics *d, library *l, language_model *out);

// lutrun --native: the arguments behind these two words. Returns an exit code.
int library_command(int argc, char **argv);
