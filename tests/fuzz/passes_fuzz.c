// link: lutra_passes lutra_support
// The passes take every graph that verifies, and leave a module that verifies (the pass manager
// checks that) or an error. Kernels written by hand are not lowered: the graph's passes make them.
#include "compiler/passes/passes.h"
#include "tests/fuzz/nowhere.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void find_kernel(ir_op *op, void *found)
{
    *(bool *)found |= op->code == IR_KERNEL;
}

static const char *passes_for(const ir_module *m)
{
    bool kernels = false;
    for (ir_function *f = m->functions; f; f = f->next)
        ir_walk(f->body, find_kernel, &kernels);
#define GRAPH "fold,quantize-weights,split-precompute,quantize-tables,fuse,choose-tiles"
    return kernels ? GRAPH : GRAPH ",lower-to-tile,assign-tile-registers,plan-memory";
}

static void run_passes(arena *a, diagnostics *d, ir_module *m)
{
    machine target;
    pipeline p;
    pass_context c = {.arena = a, .diagnostics = d, .machine = &target};
    if (!machine_load(a, d, "m2n64k4", &target) || !pipeline_parse(a, d, passes_for(m), &p))
        __builtin_trap();
    if (!pipeline_run(&p, m, &c, NULL) && !diagnostics_errors(d))
        __builtin_trap(); // refused without a word
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena *a = arena_create();
    diagnostics *d = diagnostics_create(nowhere());
    ir_module *m = ir_parse(a, d, diagnostics_source(d, "fuzz.lir", (const char *)data, size));
    if (m)
        run_passes(a, d, m);
    diagnostics_destroy(d);
    arena_destroy(a);
    return 0;
}
