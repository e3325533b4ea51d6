// Finds the step of a pair.

#include "runtime/hart/pairs.h"

#include <pthread.h>

static const pair_row *const tables[] = {hart_pair_integer_rows, hart_pair_memory_rows};

static hart_step *const (*rows[ISA_OPCODE_COUNT])[2]; // by the first opcode
static uint8_t seconds[ISA_OPCODE_COUNT];             // pair_second of an opcode, plus 1

static void gather(void)
{
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const pair_row *row = tables[t]; row->first != ISA_ILLEGAL; row++)
            rows[row->first] = row->seconds;
#define ROW(E, ignored) seconds[ISA_##E] = SECOND_##E + 1;
    SECONDS(ROW, )
#undef ROW
}

hart_step *hart_pair(unsigned first, unsigned second, bool forward)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, gather);
    return rows[first] && seconds[second] ? rows[first][seconds[second] - 1][forward] : NULL;
}
