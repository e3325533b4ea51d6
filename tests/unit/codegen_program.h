// Compiles tile-level text and runs it on the emulator, within one process.
#pragma once

#include "tests/unit/unit.h"

#include "compiler/codegen/codegen.h"

// Compiler and emulator each have their own view of a program's description.
#define program_description host_program_description
#define program_entry host_program_entry
#define program_value host_program_value
#define program_state host_program_state
#include "runtime/host/host.h"
#undef program_description
#undef program_entry
#undef program_value
#undef program_state

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct compiled {
    arena *arena;
    diagnostics *diagnostics;
    char path[64];
    host_program *host;
    host_call *call;
} compiled;

static inline void fail_with_diagnostics(diagnostics *d, const char *lir)
{
    diagnostics_flush(d);
    fail_msg("this does not compile or run:\n%s", lir);
}

// Writes the program that `lir` describes to p->path.
static inline bool compile_to_file(compiled *p, const char *lir)
{
    diagnostics *d = p->diagnostics;
    ir_module *m = ir_parse(p->arena, d, diagnostics_source(d, "test.lir", lir, strlen(lir)));
    program_description *description = m ? program_describe(p->arena, d, m) : NULL;
    machine target;
    if (!description || !program_plan_workspace(description, d, m) ||
        !machine_load(p->arena, d, "m2n64k4", &target))
        return false;
    codegen_options options = {.machine = &target, .program = description};
    codegen_unit *unit = codegen_build(d, m, &options);
    if (!unit)
        return false;
    text object = {0};
    codegen_emit(unit, CODEGEN_OBJECT, &object);
    codegen_destroy(unit);
    output_file *out = output_open(d, p->path);
    bool ok = out && codegen_link(d, &object, description->entries.items[0].symbol, NULL, out) &&
              output_commit(d, out);
    text_free(&object);
    return ok;
}

static inline compiled compile(const char *lir)
{
    compiled p = {.arena = arena_create(), .diagnostics = diagnostics_create(stderr)};
    strcpy(p.path, "/tmp/lutra-codegen-XXXXXX");
    close(mkstemp(p.path));
    if (!compile_to_file(&p, lir))
        fail_with_diagnostics(p.diagnostics, lir);
    p.host = host_open(p.arena, p.diagnostics, p.path);
    if (!p.host || !host_load(p.host, &(host_options){0}))
        fail_with_diagnostics(p.diagnostics, lir);
    return p;
}

// Runs entry main with the values of its dims and its inputs.
static inline void run(compiled *p, const int64_t *dims, const array *inputs)
{
    p->call = host_call_create(p->host, host_choose_entry(p->host, "main"), dims, inputs);
    if (!p->call)
        fail_with_diagnostics(p->diagnostics, "");
    host_outcome outcome = host_call_run(p->call, &(host_limits){.seconds = 100});
    if (outcome.end != HOST_RETURNED) {
        host_report_stop(p->host, &outcome, stderr);
        fail_msg("the program stopped");
    }
}

static inline array output(compiled *p, size_t index)
{
    return host_call_output(p->call, p->arena, index);
}

static inline void release(compiled *p)
{
    host_close(p->host);
    unlink(p->path);
    diagnostics_destroy(p->diagnostics);
    arena_destroy(p->arena);
}
