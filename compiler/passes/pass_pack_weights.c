// pack-weights: every weight's place in the packed file (docs/program.md).
#include "compiler/import/import.h"
#include "compiler/passes/lower/native.h"

bool pass_pack_weights(ir_module *m, pass_context *c)
{
    if (!pack_file_place(m, c->diagnostics, pass_pack_shape(c)))
        return false;
    unsigned count = 0;
    uint64_t bytes = 0;
    for (const ir_global *g = m->globals; g; g = g->next) {
        count += g->packed;
        bytes += g->packed ? g->size : 0;
    }
    if (count)
        pass_remark(c, REMARK_APPLIED, NOWHERE, "%u weights of %llu bytes", count,
                    (unsigned long long)bytes);
    return true;
}
