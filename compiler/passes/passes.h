// Passes over the IR, the pipeline that orders them, and what they report.
#pragma once

#include "compiler/ir/ir.h"
#include "compiler/target/target.h"
#include "isa/isa.h"

// Why something was done or not; shown by --remarks, collected otherwise.
typedef enum remark_kind { REMARK_APPLIED, REMARK_MISSED, REMARK_NOTE } remark_kind;
typedef struct remark {
    const char *pass; // "fuse"
    remark_kind kind;
    location where;
    const char *message;
} remark;

// A pass's arguments in a pipeline text: 'quantize-tables(type=i8,scale=group)'.
typedef struct pass_argument {
    const char *name, *value;
} pass_argument;

typedef struct pass_context {
    arena *arena;
    diagnostics *diagnostics;
    const machine *machine;
    const code_target *target; // NULL: the machine
    ARRAY_OF(remark) remarks;
    ARRAY_OF(pass_argument) arguments; // of the running pass
    const char *running;               // the running pass's name
    const struct pipeline *pipeline;   // that it runs in
} pass_context;

void pass_remark(pass_context *c, remark_kind kind, location where, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
// The same under another name than the running pass's: "lut" for what stays off the LUT path.
void pass_remark_as(pass_context *c, const char *name, remark_kind kind, location where,
                    const char *format, ...) __attribute__((format(printf, 5, 6)));
// The argument's value, or the default in the pass's row.
const char *pass_argument_text(const pass_context *c, const char *name);
long long pass_argument_integer(const pass_context *c, const char *name);
bool pass_argument_boolean(const pass_context *c, const char *name);

// Whether a program comes about without the pass: it is disabled, or not among passes that lower to
// tiles.
bool pass_is_disabled(const pass_context *c, const char *name);

// Changes the module in place. False: errors were reported to c->diagnostics.
typedef bool pass_function(ir_module *m, pass_context *c);

typedef struct pass_row {
    const char *name; // "split-precompute"
    pass_function *run;
    const char *without;    // in its place when it is disabled, "" for nothing; NULL: required
    const char *parameters; // as passes.def describes; "" for none
    const char *doc;
} pass_row;
extern const pass_row pass_rows[]; // passes.def; ended by a NULL name
#define PASS(name, function, ...) pass_function function;
#include "compiler/passes/passes.def"
const pass_row *pass_find(const char *name);

// One step of a pipeline.
typedef struct pipeline_step {
    const pass_row *pass;
    ARRAY_OF(pass_argument) arguments;
} pipeline_step;
typedef struct pipeline {
    ARRAY_OF(pipeline_step) steps;
    ARRAY_OF(const pass_row *) disabled; // that had steps
} pipeline;

// 'a,b(c=1),d(e="x;y")'. Unknown passes, parameters and values are reported, with a did-you-mean.
bool pipeline_parse(arena *a, diagnostics *d, const char *text, pipeline *out);
void pipeline_print(text *out, const pipeline *p);
// Takes the passes of a list 'a,b' out of a pipeline: their steps become what their rows say.
// Unknown and required ones are reported, with what there is to choose from.
bool pipeline_disable(arena *a, diagnostics *d, const char *names, pipeline *p);
// The whole way from the graph to tiles with registers and a memory plan.
extern const char pipeline_default[];
extern const char pipeline_native[]; // of CPUs

// ---- how far a module is (progress.c), which its head says: see docs/ir.md
bool pipeline_is_lowered(const ir_module *m); // to the tile level
// The furthest pass of the usual pipeline that need not run again, nor those before it. NULL: none.
const pass_row *pipeline_behind(const ir_module *m);
// Whether the target's programs do not come about without the pass.
bool pipeline_requires(const code_target *target, const pass_row *pass);
// "vlen 512, tile 2 x 64": equal where machine_hash is.
const char *pipeline_architecture(arena *a, const machine *m);
// Notes in the head what passes work for. pipeline_run does so, if there are passes.
void pipeline_note_machine(ir_module *m, const pass_context *c);
// Notes that the pass has run, if none that is required was left out before it.
void pipeline_note_pass(ir_module *m, const pass_context *c, const pass_row *pass);

// What happens around each pass.
typedef struct pipeline_observer {
    void *context;
    // index counts from 1; 0 is the input, called "input". Called after each pass, when the module
    // has been verified, with the pass's wall seconds.
    void (*after)(void *context, unsigned index, const char *pass, const ir_module *m,
                  double seconds);
} pipeline_observer;
// Runs the passes in order until one reports errors (then false). Verifies after every pass; an
// invalid module is an internal error naming the pass.
bool pipeline_run(const pipeline *p, ir_module *m, pass_context *c, const pipeline_observer *o);
