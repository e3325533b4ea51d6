// Files: mapped for reading, written whole or not at all.
#pragma once

#include "support/diagnostic.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct mapped_file {
    const uint8_t *data; // read-only; NULL when empty
    size_t size;
    int descriptor; // stays open until file_unmap; -1 when read from a pipe
} mapped_file;

// "-" and pipes are read into memory, up to 1 GiB. Directories, devices and what cannot be read are
// reported.
bool file_map(diagnostics *d, const char *path, mapped_file *out);
void file_unmap(mapped_file *f);

// Whether each output is a file of its own, none of the inputs nor another output; otherwise
// reported. NULL and "-" are no files.
bool outputs_apart(diagnostics *d, const char *const *outputs, size_t n_outputs,
                   const char *const *inputs, size_t n_inputs);

// An output file that appears under its name only when committed: written to a
// temporary beside it, then renamed. "-" is stdout. Abandoning removes it; so does leaving the
// process by exit() or by a signal that a user, a terminal or a pipe sends.
typedef struct output_file output_file;
output_file *output_open(diagnostics *d, const char *path); // NULL: reported
FILE *output_stream(output_file *f);
const char *output_path(const output_file *f);      // the temporary's path, for tools that write it
bool output_commit(diagnostics *d, output_file *f); // frees f; false: reported, nothing left
void output_abandon(output_file *f);                // frees f; NULL is fine
// Whether there can be one now, for those who write it much later. False: reported.
bool output_possible(diagnostics *d, const char *path);
// Of files that belong together: none of them appears where one cannot be written. Frees all.
bool outputs_commit(diagnostics *d, output_file *const *files, size_t count);
const char *output_target(const output_file *f); // where the result goes
void output_make_executable(output_file *f);

// A progress line on a terminal ("packing 37 % 1.2 GB/s"), nothing elsewhere.
typedef struct progress {
    const char *what;
    double last;
    bool shown;
} progress;
void progress_update(progress *p, double fraction, const char *detail);
void progress_end(progress *p);
