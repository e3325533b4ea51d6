// The instructions that are executed by call, gathered from the files that define them.

#include "runtime/hart/internal.h"

#include <pthread.h>

static const hart_handler_row *const tables[] = {
    hart_system_rows,
    hart_atomic_rows,
    hart_float_rows,
    hart_float_convert_rows,
    hart_vector_config_rows,
    hart_vector_integer_rows,
    hart_vector_widen_rows,
    hart_vector_fixed_rows,
    hart_vector_mask_rows,
    hart_vector_reduce_rows,
    hart_vector_permute_rows,
    hart_vector_memory_rows,
    hart_vector_float_rows,
    hart_vector_float_fused_rows,
    hart_vector_float_convert_rows,
    hart_xlut_rows,
};

static hart_handler *handlers[ISA_OPCODE_COUNT];

static void gather(void)
{
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const hart_handler_row *row = tables[t]; row->opcode != ISA_ILLEGAL; row++)
            handlers[row->opcode] = row->execute;
}

hart_handler *hart_handler_of(unsigned opcode)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, gather);
    return handlers[opcode];
}
