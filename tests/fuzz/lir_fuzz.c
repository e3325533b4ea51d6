// link: lutra_ir lutra_support
// What parses prints, and what was printed parses and prints the same.
#include "compiler/ir/ir.h"
#include "tests/fuzz/nowhere.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(arena *a, diagnostics *d, const ir_module *m)
{
    text first = {0}, second = {0};
    ir_print_module(&first, m);
    ir_module *again = ir_parse(a, d, diagnostics_source(d, "again", first.data, first.length));
    if (!again)
        __builtin_trap(); // printed what does not parse
    ir_print_module(&second, again);
    if (strcmp(text_string(&first), text_string(&second)))
        __builtin_trap(); // printed something else
    text_free(&first);
    text_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena *a = arena_create();
    diagnostics *d = diagnostics_create(nowhere());
    ir_module *m = ir_parse(a, d, diagnostics_source(d, "fuzz.lir", (const char *)data, size));
    if (m)
        check_round_trip(a, d, m);
    else if (!diagnostics_errors(d))
        __builtin_trap(); // refused without a word
    diagnostics_destroy(d);
    arena_destroy(a);
    return 0;
}
