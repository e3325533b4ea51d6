// One command from a model file to a running program: the architecture of a GGUF file is found
// among the models that lutc comes with, and compiled.
#pragma once

#include "support/file.h"
#include "support/options.h"

// Whether the file begins as GGUF files do.
bool model_file_is(const char *path);

typedef struct model_file_options {
    const char *quant, *calibrate, *tables, *machine; // as lutc takes them; NULL: its default
    const char *save;                                 // where the program is kept; NULL: nowhere
    const option_values *defines;                     // NAME=VALUE
} model_file_options;

// Runs the lutc beside this executable. NULL: reported. *program is the path of the result, which
// is there until *file is abandoned (NULL: it was kept).
bool model_file_compile(arena *a, diagnostics *d, const char *path, const model_file_options *o,
                        const char **program, output_file **file);
