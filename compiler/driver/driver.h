// lutc: what its commands share. A command is a row of main.c; it gets the
// parsed options, reports to the diagnostics and returns an exit code.
#pragma once

#include "compiler/eval/eval.h"
#include "compiler/import/import.h"
#include "compiler/ir/ir.h"
#include "compiler/passes/passes.h"
#include "compiler/target/target.h"
#include "isa/isa.h"
#include "support/array.h"
#include "support/file.h"
#include "support/generation/text_run.h"
#include "support/standard_options.h"

typedef struct phase_time {
    const char *name;
    double seconds;
} phase_time;

// What --stats shows of a module.
typedef struct module_counts {
    unsigned lut_linears, other_linears, kernels, weights;
    double lut_macs, other_macs; // per row of activations
    uint64_t weight_bytes;
} module_counts;

// A weight that has no tensor of its own but another one's.
typedef struct tied_weight {
    const char *name, *shared;
} tied_weight;

typedef struct driver {
    arena *arena;
    diagnostics *diagnostics;
    const char *command; // "lutc", "lutc opt"
    option_values files; // positional arguments

    // options
    const char *weights_spec, *metadata, *quant, *machine_name, *target_name, *output, *emit,
        *dump_dir, *print_before, *print_after, *passes, *disable, *remarks, *stats, *packed,
        *entry, *tables;
    option_values defines, inputs, outputs, expectations, dims;
    const char *calibrate;
    bool refine, plain, time_passes, no_debug, rounded_tables, table_noise, print_passes;
    standard_options standard;
    text_settings text; // eval
    struct estimate_settings {
        long long batch, prefill, decode, position;
        double compute, memory;
        const char *json, *precompute;
    } estimate;
    struct explore_settings {
        long long budget, limit;
        const char *area, *rows, *widths, *units, *tiles, *bandwidths, *csv, *html;
    } explore;

    // found on the way
    machine machine;
    const code_target *target; // NULL: the command knows none
    bool adopts_target;        // what a .lir says is taken
    bool is_module;            // the positional file is a .lir
    const pass_row *behind;    // that a .lir need not run again, nor those before it; NULL: none
    weights *weights;
    ir_module *module;
    pipeline pipeline;
    ARRAY_OF(tied_weight) tied;
    ARRAY_OF(const ir_global *) unplaned; // open weights that no plane format keeps: dense
    unsigned dumped;                      // number of the last file in dump_dir
    ARRAY_OF(phase_time) times;
    ARRAY_OF(output_file *) staged;
    module_counts counts;
    unsigned chosen_dense; // products
} driver;

// load.c: reads what the options name. False: reported.
bool load_machine(driver *d);
bool load_weights(driver *d);
// The positional file, a module of the IR or else in the tensor language; then the formats that
// --quant decides. Opens weights and machine first.
bool load_module(driver *d);
// The positional file's text; d->is_module: whether it is IR, by how it begins, or else by its
// name. NULL: reported, also where it is of a kind that is neither.
const source *load_program(driver *d);
// `path` without folder and extension, with another one.
const char *derived_name(driver *d, const char *path, const char *extension);

// resume.c: whether d->module, read from a .lir, can go on for the target and machine that are
// asked for, which is loaded; and where: d->behind. False: reported.
bool settle_module(driver *d);
// Whether d->module has not been lowered to tiles; `why` says why that matters. False: reported.
bool is_graph(driver *d, const char *why);
bool is_behind(const driver *d, const char *pass);
void leave_passed_out(driver *d); // of d->pipeline
void warn_of_late(driver *d, const char *option, const char *pass);
// Whether d->module becomes a program by d->pipeline. False: reported.
bool check_complete(driver *d);

// quantize.c: decides open formats; NULL spec: the default.
bool choose_formats(driver *d, const char *spec);

// pipeline.c: runs d->pipeline with everything that is shown around passes.
// `until`: stops before that pass (NULL: runs all).
bool choose_pipeline(driver *d, const char *until);
bool run_pipeline(driver *d);
bool dump_text(driver *d, const char *name, const char *extension, const text *content);
void add_time(driver *d, const char *name, double start);
void show_times(driver *d);

// Writes a text under the --output name (default: stdout), whole or not at all.
bool write_output(driver *d, const char *path, const text *content);
// Files that make one result: they appear together, by commit_staged, or, by abandon_staged, not.
void stage_output(driver *d, output_file *f);
bool stage_text(driver *d, const char *path, const text *content);
bool commit_staged(driver *d); // false: reported, none is there
void abandon_staged(driver *d);

// calibrate.c: the file of --calibrate FILE[,tokens=N], NULL without it. `tokens`: what stands
// behind "tokens=", NULL if nothing does; may be NULL.
const char *calibration_file(driver *d, const char **tokens);

// places.c: reports outputs that would take the place of an input or of another output. NULL: none.
bool outputs_have_places(driver *d, const char *const *outputs, size_t count);

// evaluate.c: d->weights, as the oracle asks for them.
eval_weights oracle_weights(const driver *d);

// evaluate_text.c: prompts and perplexities through the oracle. False: reported.
bool evaluate_text(driver *d, evaluator *e);
// What makes a language model of the program and the weights' vocabulary. NULL: reported.
tokenizer *find_language_model(driver *d, model_contract *out);
// The positions of a sequence that the program has room for; MODEL_UNLIMITED where it is no
// language model.
size_t context_length_of(driver *d);
// The inputs of one of its calls. The arrays hold `tokens` and `positions` themselves where they
// can.
void text_inputs(arena *a, const contract_entry *e, const ir_function *f, size_t batch,
                 size_t count, const int32_t *tokens, const int32_t *positions, named_array out[2]);

// calibrate.c: chooses the codes of d->module's weights by --calibrate, if it is given, before
// passes have run. False: reported.
bool calibrate_weights(driver *d);

// estimate.c: --batch, --prefill, --decode, --dim of d->module; its way down to tiles, with tables
// as --precompute says. False: reported.
struct estimate_options;
bool read_estimate_options(driver *d, struct estimate_options *o);
bool lower_for_estimate(driver *d, struct estimate_options *o);

// native.c
struct program_description;
bool choose_target(driver *d); // by --target. False: reported
// Both are staged.
bool write_library(driver *d, const char *path, const text *object);
bool write_header(driver *d, const struct program_description *p, const char *path);

// stats.c
void count_products(const ir_module *m, module_counts *out); // at graph level
// Products whose weights are dense because the program or --quant says so.
unsigned count_chosen_dense(const driver *d, const ir_module *m);
void count_module(const ir_module *m, module_counts *out); // at tile level, packed
uint64_t code_size(const text *object);                    // executable sections
void show_stats(driver *d, uint64_t code_bytes, uint64_t program_bytes);

// inspect.c: appends what a file is and holds; hostile content is safe. False: reported.
bool inspect_file(driver *d, const char *path, const mapped_file *f, text *out);

// The commands.
int command_compile(driver *d);
int command_opt(driver *d);
int command_inspect(driver *d);
int command_list(driver *d);
int command_eval(driver *d);
int command_pack(driver *d);
int command_estimate(driver *d);
int command_explore(driver *d);
