// link: lutra_driver
#include "compiler/driver/driver.h"
#include "tests/fuzz/nowhere.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    driver d = {.arena = arena_create(), .diagnostics = diagnostics_create(nowhere())};
    mapped_file f = {.data = data, .size = size, .descriptor = -1};
    text out = {0};
    if (!inspect_file(&d, "fuzz", &f, &out) && !diagnostics_errors(d.diagnostics))
        __builtin_trap(); // refused without a word
    text_free(&out);
    diagnostics_destroy(d.diagnostics);
    arena_destroy(d.arena);
    return 0;
}
