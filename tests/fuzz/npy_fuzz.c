// link: lutra_support
#include "support/array.h"
#include "tests/fuzz/nowhere.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena *a = arena_create();
    diagnostics *d = diagnostics_create(nowhere());
    array x;
    if (array_parse_npy(a, d, "fuzz.npy", data, size, &x))
        array_compare(&x, &x, 0, 0);
    else if (!diagnostics_errors(d))
        __builtin_trap(); // refused without a word
    diagnostics_destroy(d);
    arena_destroy(a);
    return 0;
}
