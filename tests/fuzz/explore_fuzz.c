// link: lutra_explore lutra_isa lutra_support
// Journals of sweeps: refused with a message, or read as rows that are written the same.
#include "compiler/explore/explore.h"
#include "tests/fuzz/nowhere.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static explore_rows rows_of(arena *a, const machine *m)
{
    explore_space s = {.machine = m, .budget = 512};
    explore_rows rows = {0};
    ARRAY_PUSH(a, &s.rows, 2);
    ARRAY_PUSH(a, &s.rows, 8);
    ARRAY_PUSH(a, &s.widths, 4);
    ARRAY_PUSH(a, &s.units, 1);
    ARRAY_PUSH(a, &s.bandwidths, 25.6e9);
    ARRAY_PUSH(a, &s.tiles, (explore_tile){2, 64});
    ARRAY_PUSH(a, &s.tiles, (explore_tile){4, 128});
    ARRAY_PUSH(a, &s.phases, "prefill 64");
    ARRAY_PUSH(a, &s.phases, "decode 64");
    explore_list(a, &s, &rows);
    return rows;
}

// The last lines of what was read are those rows, written.
static void check_rows(const explore_rows *rows, size_t done, const char *data, size_t whole)
{
    text t = {0};
    for (size_t i = 0; i < done; i++) {
        explore_print_row(&t, &rows->items[i]);
        text_char(&t, '\n');
    }
    if (t.length > whole || (t.length && memcmp(data + whole - t.length, t.data, t.length)))
        __builtin_trap();
    text_free(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena *a = arena_create();
    diagnostics *d = diagnostics_create(nowhere());
    machine m;
    size_t done, whole;
    const explore_identity id = {"fuzz", "fuzz", "fuzz"};
    if (!machine_load(a, d, "m2n64k4", &m))
        __builtin_trap();
    explore_rows rows = rows_of(a, &m);
    const source *s = diagnostics_source(d, "fuzz.journal", (const char *)data, size);
    if (explore_journal_read(a, d, s, &id, &rows, &done, &whole))
        check_rows(&rows, done, (const char *)data, whole);
    else if (!diagnostics_errors(d))
        __builtin_trap(); // refused without a word
    diagnostics_destroy(d);
    arena_destroy(a);
    return 0;
}
