// From tile level to a program: LLVM IR, RISC-V vector and Xlut assembly, an
// object, a linked ELF. This header does not include LLVM; the rest of the
// folder is the only place that does.
#pragma once

#include "compiler/codegen/program.h"
#include "compiler/target/target.h"
#include "support/file.h"

typedef enum codegen_stage {
    CODEGEN_LLVM,     // textual LLVM IR, optimized
    CODEGEN_ASSEMBLY, // Xlut lines are .insn with the mnemonic as a comment
    CODEGEN_OBJECT,
} codegen_stage;

typedef struct codegen_options {
    const code_target *target; // NULL: RISC-V
    const machine *machine;
    const program_description *program;
    bool no_optimization; // LLVM IR as emitted, for reading and for tests
    bool no_debug;        // no DWARF
} codegen_options;

// "19.1.7", of the LLVM that is there.
const char *codegen_llvm_version(void);

// A module in LLVM's hands: emitted, verified, optimized.
typedef struct codegen_unit codegen_unit;

// `m` is at tile level with registers assigned and memory planned. Its marks
// are overwritten. What this machine or this code generator cannot do is
// reported at the operation's location, all of it in one go; NULL then. The unit
// needs neither `m` nor `options` afterwards.
codegen_unit *codegen_build(diagnostics *d, ir_module *m, const codegen_options *options);
void codegen_destroy(codegen_unit *u); // NULL is fine

// Appends the stage's text or bytes; may be called for every stage in any order.
void codegen_emit(codegen_unit *u, codegen_stage stage, text *out);

// Where the weights' bytes come from: writes exactly `size` bytes to `stream`.
typedef struct weight_source {
    uint64_t size;
    bool (*write)(void *context, diagnostics *d, FILE *stream);
    void *context;
} weight_source;

// Links an object into the program and writes it to `out` (which the caller
// commits). `entry` is the symbol at which the ELF starts. With weights they
// follow the linked image, page-aligned, under a PT_LOAD of their own. Runs
// ld.lld of LLVM 19.
bool codegen_link(diagnostics *d, const text *object, const char *entry,
                  const weight_source *weights, output_file *out);
// Links an object for a CPU and the archive of its runtime into a shared library. `symbol` is the
// program's; the library calls it `lutra_library`, too, by which loaders find it.
bool codegen_link_library(diagnostics *d, const text *object, const char *symbol,
                          const code_target *t, const char *runtime, output_file *out);
// Makes a static library of an object for a CPU, without the runtime. Index as GNU's.
bool codegen_write_archive(diagnostics *d, const text *object, const char *symbol,
                           output_file *out);
