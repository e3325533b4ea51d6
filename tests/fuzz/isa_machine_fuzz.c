// link: lutra_isa lutra_support
// Machine descriptions: refused with a message, or printed as a text that reads back the same.
#include "isa/isa.h"
#include "tests/fuzz/nowhere.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool parse(arena *a, diagnostics *d, const char *data, size_t size, machine *m)
{
    return machine_parse(a, d, diagnostics_source(d, "fuzz.machine", data, size), m);
}

static void round_trip(arena *a, diagnostics *d, const machine *m)
{
    text first = {0}, second = {0};
    machine again;
    machine_print(&first, m);
    if (!parse(a, d, text_string(&first), first.length, &again))
        __builtin_trap();
    machine_print(&second, &again);
    if (strcmp(text_string(&first), text_string(&second)) ||
        machine_hash(m) != machine_hash(&again))
        __builtin_trap();
    text_free(&first);
    text_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena *a = arena_create();
    diagnostics *d = diagnostics_create(nowhere());
    machine m;
    if (parse(a, d, (const char *)data, size, &m))
        round_trip(a, d, &m);
    else if (!diagnostics_errors(d))
        __builtin_trap(); // refused without a word
    diagnostics_destroy(d);
    arena_destroy(a);
    return 0;
}
