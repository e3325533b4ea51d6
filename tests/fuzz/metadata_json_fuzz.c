// link: lutra_import lutra_ir lutra_quant lutra_support
// Metadata from JSON, over a source without any and twice over itself.
#include "compiler/import/import.h"
#include "tests/fuzz/nowhere.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void touch(const weights *w)
{
    for (size_t i = 0; i < weights_meta_count(w); i++) {
        const meta_value *v = weights_meta_at(w, i);
        if (weights_meta(w, v->key) != v)
            __builtin_trap();
        for (uint64_t j = 0; v->kind == META_ARRAY && j < v->count; j++)
            if (v->element == META_TEXT ? !meta_text_at(v, j).data
                                        : !isfinite(meta_number_at(v, j)))
                __builtin_trap();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena *a = arena_create();
    diagnostics *d = diagnostics_create(nowhere());
    weights *w = weights_open(a, d, "none");
    const source *json = diagnostics_source(d, "fuzz.json", (const char *)data, size);
    text shown = {0};
    bool good = weights_override_metadata(w, d, json);
    size_t count = weights_meta_count(w);
    if (good == (diagnostics_errors(d) > 0))
        __builtin_trap(); // refused without a word, or taken with one
    if (good && (!weights_override_metadata(w, d, json) || weights_meta_count(w) != count))
        __builtin_trap();
    touch(w);
    weights_print(&shown, w);
    text_free(&shown);
    diagnostics_destroy(d);
    arena_destroy(a);
    return 0;
}
