#ifdef __x86_64__
#include "runtime/hart/native_x86.h"
bool hart_native_write_vector(translation *t, hart_op *op)
{
    (void)t;
    (void)op;
    return false;
}
#endif
