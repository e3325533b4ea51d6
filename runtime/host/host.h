// Running programs: load an ELF file, call its entries or run it as a process, explain faults,
// count what happened. `lutrun` is a thin main over this.
//
//   host_program *p = host_open(a, d, "model.elf");
//   host_load(p, &(host_options){0});
//   host_call *c = host_call_create(p, entry, dims, inputs);
//   host_outcome o = host_call_run(c, &limits);
//   array y = host_call_output(c, a, 0);
#pragma once

#include "isa/isa.h"
#include "runtime/hart/hart.h"
#include "runtime/host/description.h"
#include "runtime/host/elf.h"
#include "runtime/host/weights.h"
#include "runtime/observe/observe.h"
#include "support/array.h"
#include "support/generation/text_run.h"
#include "support/options.h"
#include "support/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

// ---------------------------------------------------------------------- loading

typedef struct host_options {
    const char *machine; // name or file; NULL: the program's own, or m2n64k4
    uint32_t vlen;       // 0: the machine's
    uint32_t harts;      // that run each entry together, on host threads of their own; 0: one
} host_options;

typedef struct host_program host_program;

// Reads the file, its ELF structure and its description. NULL: reported to `d`. `a` and `d` must
// outlive the program.
host_program *host_open(arena *a, diagnostics *d, const char *path);
// Machine, guest memory, weights, hart: ready to run. Once; false: reported.
bool host_load(host_program *p, const host_options *options);
void host_close(host_program *p); // NULL is fine

// NULL: a plain ELF program, without the note.
const program_description *host_description(const host_program *p);
// The packed file beside the program; NULL: there is none.
const char *host_weights_file(host_program *p);
const packed_file *host_weights(const host_program *p); // count 0: none
// The pairs of the model file that the weights came from; none without weights. False: reported.
bool host_metadata(const host_program *p, metadata *out);
const machine *host_machine(const host_program *p);
const char *host_path(const host_program *p); // as it was given to host_open
const elf_image *host_image(const host_program *p);
// The first hart, or, behind a run that ended with one, that which ended it.
hart *host_hart(const host_program *p);

// --------------------------------------------------------------------- arguments

// What an entry is called with: a value per dim, an array per input.
typedef struct host_arguments {
    const int64_t *dims;
    const array *inputs;
} host_arguments;

// By name; NULL: the only entry, or `main`. NULL result: reported, with the list of entries.
const program_entry *host_choose_entry(const host_program *p, const char *name);
// From --input specs ("x=@x.npy", "x=random:1", "pos=3") and --dim settings ("T=17"). Dims follow
// from the shapes of files and from --dim, and must agree. False: every problem is reported.
bool host_bind_arguments(host_program *p, const program_entry *entry, const option_values *inputs,
                         const option_values *dims, host_arguments *out);
// The output of that name, its position in *index; NULL: reported.
const program_value *host_find_output(const host_program *p, const program_entry *entry,
                                      const char *name, size_t *index);

// -------------------------------------------------------------------- execution

typedef struct host_limits {
    uint64_t instructions; // of each hart; 0: none
    double seconds;        // 0: none
} host_limits;

typedef enum host_end {
    HOST_RETURNED, // the entry
    HOST_EXITED,   // by a service; see exit_code
    HOST_FAULTED,  // see the hart, and host_report_fault
    HOST_INSTRUCTION_LIMIT,
    HOST_TIME_LIMIT,
    HOST_STOPPED, // by an observer
} host_end;

typedef struct host_outcome {
    host_end end;
    int exit_code;
    uint64_t instructions; // of all harts
    uint64_t longest;      // of the hart that executed most
    double seconds;        // on the host
} host_outcome;

// A call of an entry: its arguments in guest memory. Inputs have the types of the description and
// the shapes that `dims` (one value per dim, within its range) gives. Inputs are read-only for the
// guest; outputs and workspace begin as all ones (NaNs), so that what was never written shows.
// NULL: reported. One call at a time.
typedef struct host_call host_call;
host_call *host_call_create(host_program *p, const program_entry *entry, const int64_t *dims,
                            const array *inputs);
host_outcome host_call_run(host_call *c, const host_limits *limits); // may be repeated
array host_call_output(const host_call *c, arena *a, size_t index);
const void *host_call_result(const host_call *c, size_t index); // its elements, where they are
// The same in two steps, for runs with arguments of several sizes: room for those that `dims`
// gives, then before each run what it gets, with dims that need no more.
host_call *host_call_reserve(host_program *p, const program_entry *entry, const int64_t *dims);
bool host_call_set(host_call *c, const int64_t *dims, const array *inputs);
// All states are zero again.
void host_reset_states(host_program *p);

// A plain program from its entry point, with a stack in the Linux manner. argv ends with NULL, as
// does `environment`. Called once. False in *ok: reported, nothing has run.
host_outcome host_run_process(host_program *p, const char *const *argv,
                              const char *const *environment, const host_limits *limits, bool *ok);

// A program that keeps the contract of language models (docs/program.md), to be called as one. The
// limits hold for all calls together.
typedef struct host_language {
    language_model model;
    // How the last call ended, and what all took; anything but HOST_RETURNED fails it unreported.
    host_outcome outcome;
} host_language;
// NULL: what it lacks is reported.
host_language *host_language_create(host_program *p, const host_limits *limits);
// Does what the settings ask for, with the vocabulary that the program's weights brought along.
// False: reported, or the outcome says what happened. *report is what was done until then.
bool host_run_text(host_program *p, const text_settings *settings, const host_limits *limits,
                   text_report *report, host_outcome *outcome);

// A checkpoint (docs/debugging.md) every so many instructions, each in place of the one before it.
// Problems are reported.
void host_checkpoint(host_program *p, const char *path, uint64_t every);
// Behind the last run: warns if checkpoints were wanted and no run was long enough for one.
void host_checkpoint_finish(host_program *p);
// The process, or the call that is created next, goes on from this checkpoint.
void host_resume(host_program *p, const char *path);
// How many calls of the entry had returned before.
uint64_t host_finished_calls(const host_program *p);

// Attaches a copy of `o`, to be told of everything from now on, after those that are attached
// already. Programs that are observed run one instruction at a time.
void host_observe(host_program *p, const observer *o);
// Tells the observers the exit code and detaches them. They release what they hold only here.
void host_finish(host_program *p, int exit_code);

// --------------------------------------------------------------------- reporting

// What went wrong at the end of a run that faulted or ran into a limit: cause, pc, symbol, source
// line, instructions around it, and what lies at the address.
void host_report_stop(host_program *p, const host_outcome *outcome, FILE *stream);
// The exit code of the process for an outcome: 0, the guest's, or 128 + signal (SIGILL 4, SIGTRAP
// 5, SIGBUS 7, SIGSEGV 11; SIGXCPU 24 for limits, SIGKILL 9 where an observer ended the run).
int host_exit_code(const host_program *p, const host_outcome *outcome);

// All counts since loading, of all harts together. Units: docs/stats.md.
typedef struct host_statistics {
    unsigned harts;
    uint64_t instructions;
    uint64_t resumed; // of these: executed before the checkpoint that the run went on from
    uint64_t by_class[ISA_CLASS_COUNT];
    uint64_t by_opcode[ISA_OPCODE_COUNT];
    lut_counters lut;
    uint64_t scalar_bytes_loaded, scalar_bytes_stored;
    uint64_t vector_bytes_loaded, vector_bytes_stored;
    uint64_t runs;           // that have ended
    double seconds;          // of all runs, and of what has passed of one that has not ended
    double under_way;        // the latter alone
    double fastest;          // run
    const text_report *text; // NULL: no text was asked for
} host_statistics;
void host_statistics_get(const host_program *p, host_statistics *out);
void host_statistics_print(const host_program *p, const host_statistics *s, FILE *stream);
// One JSON object, schema version 1, and a newline.
void host_statistics_print_json(const host_program *p, const host_statistics *s, bool in_one_line,
                                FILE *stream);

// The name of an instruction without its option fields: "lmma" of "lmma.{table}.{form}".
void host_print_mnemonic(unsigned opcode, text *out);

// Machine, dims, entries with inputs and outputs, states, weights.
void host_print_list(const host_program *p, FILE *stream);
// What is mapped where, with the names that the host gave.
void host_print_memory(const host_program *p, FILE *stream);
// "main+0x38", "0x10458" where no symbol covers it.
void host_print_place(const host_program *p, uint64_t address, text *out);
// "ffn.lut:14:5"; false: no line information.
bool host_source_line(host_program *p, uint64_t address, text *out);
