// pack-weights: every weight's place in the packed file (docs/program.md).
#include "compiler/import/import.h"
#include "compiler/passes/native.h"

bool pass_pack_weights(ir_module *m, pass_context *c)
{
    return pack_file_place(m, c->diagnostics, pass_pack_shape(c));
}
