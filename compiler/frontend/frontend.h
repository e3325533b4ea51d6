// The .lut language (docs/language.md): text -> syntax tree -> graph IR.
#pragma once

#include "compiler/ir/ir.h"

// A metadata value of the weight file, as meta("key") and count("key") see it.
typedef enum frontend_meta_kind {
    FRONTEND_META_INTEGER,
    FRONTEND_META_NUMBER,
    FRONTEND_META_BOOLEAN,
    FRONTEND_META_TEXT,
    FRONTEND_META_ARRAY,
} frontend_meta_kind;

typedef struct frontend_meta {
    frontend_meta_kind kind;
    int64_t integer; // INTEGER, BOOLEAN; ARRAY: number of elements
    double number;
    const char *text; // NUL-terminated
} frontend_meta;

// A tensor of the weight file. Outermost dimension first: [N, K] for a matrix.
typedef struct frontend_tensor {
    const char *type; // the file's own name for it: "F16", "TQ2_0"
    unsigned rank;
    int64_t shape[IR_MAX_RANK];
} frontend_tensor;

// What the front end asks about the weight file. Where there is metadata and no file, `tensor` and
// `nearest_tensor` are NULL, `lacks` is asked instead, and weights are not checked.
typedef struct frontend_metadata {
    void *context;
    const char *file; // the file's name, for messages
    bool (*lookup)(void *context, const char *key, frontend_meta *out);
    bool (*tensor)(void *context, const char *name, frontend_tensor *out);
    // Whether no file of the model has this tensor. NULL: it has all.
    bool (*lacks)(void *context, const char *name);
    // The name nearest by spelling, for did-you-mean, or NULL.
    const char *(*nearest_key)(void *context, const char *key);
    const char *(*nearest_tensor)(void *context, const char *name);
} frontend_metadata;

typedef struct frontend_options {
    const frontend_metadata *metadata; // NULL: no file (--weights=none, random)
    const char *const *defines; // "NAME=VALUE": values of constants; NULL-terminated, or NULL
    // Decides the format of a weight that the program leaves open as 'w': a name of quant.h, or
    // NULL to leave it open. `file` is NULL without a file. May be NULL itself.
    const char *(*weight_format)(void *context, const char *name, const frontend_tensor *file,
                                 int64_t n, int64_t k);
    void *weight_format_context;
    // Told of each weight that is another one (tied weights) where it is used: both names, as in
    // the module. May be NULL.
    void (*tied)(void *context, const char *name, const char *shared);
    void *tied_context;
} frontend_options;

// Compiles a program. The module is verified; it holds the entries and the weights and states
// they use. NULL: errors were reported to `d`, all that could be found. Hostile input is safe.
// `options` may be NULL.
ir_module *frontend_compile(arena *a, diagnostics *d, const source *text,
                            const frontend_options *options);

// The syntax tree as text, one node per line. False: errors were reported.
bool frontend_print_ast(arena *a, diagnostics *d, const source *text_in, text *out);

// The built-in functions with their parameters, one per line, for `lutc list functions`.
void frontend_list_functions(text *out);
