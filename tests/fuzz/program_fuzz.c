// link: lutra_host
// What lutrun reads beside ELF files: packed weight files, which begin with 'L', and program
// descriptions.
#include "runtime/host/description.h"
#include "runtime/host/weights.h"
#include "tests/fuzz/nowhere.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool condition)
{
    if (!condition)
        abort();
}

// What was accepted can be used without a further look.
static void use_description(const program_description *p)
{
    text t = {0};
    for (size_t i = 0; i < p->entry_count; i++) {
        const program_values *inputs = &p->entries[i].inputs;
        for (size_t j = 0; j < inputs->count; j++)
            description_print_value(&t, p, &inputs->items[j]);
    }
    for (size_t i = 0; i < p->states.count; i++)
        check(p->states.items[i].offset <= p->state_size);
    text_free(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena *a = arena_create();
    diagnostics *d = diagnostics_create(nowhere());
    program_description description;
    packed_file packed;
    if (size > 0 && data[0] == 'L') {
        metadata pairs;
        if (packed_file_parse(a, d, "fuzz", data, size, &packed))
            packed_file_metadata(a, d, "fuzz", &packed, data, &pairs);
    } else if (description_parse(a, d, "fuzz", (const char *)data, size, &description)) {
        use_description(&description);
    }
    diagnostics_destroy(d);
    arena_destroy(a);
    return 0;
}
