// link: lutra_dump lutra_isa lutra_support
// lutdump on any bytes: a disassembly or a message, and nothing else.
#include "isa/dump/dump.h"
#include "tests/fuzz/nowhere.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void dump(const uint8_t *data, size_t size, bool notes)
{
    arena *a = arena_create();
    diagnostics *d = diagnostics_create(nowhere());
    dump_file f = {.arena = a, .diagnostics = d, .out = nowhere()};
    bool good = dump_open(&f, "fuzz.elf", data, size) &&
                (notes ? dump_notes(&f) : dump_disassembly(&f, NULL, 0, true));
    if (good != (diagnostics_errors(d) == 0))
        __builtin_trap();
    dump_close(&f);
    diagnostics_destroy(d);
    arena_destroy(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dump(data, size, false);
    dump(data, size, true);
    return 0;
}
