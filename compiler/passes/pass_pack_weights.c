// pack-weights: every weight's place in the packed file (docs/program.md).
#include "compiler/import/import.h"
#include "compiler/passes/passes.h"

bool pass_pack_weights(ir_module *m, pass_context *c)
{
    pack_shape shape = {c->machine->tile_m, c->machine->tile_n};
    return pack_file_place(m, c->diagnostics, shape);
}
