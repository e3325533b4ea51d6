// link: lutra_frontend lutra_ir lutra_quant lutra_support
// Any text: a module that verifies, prints and parses back, or errors; never neither.
#include "compiler/frontend/frontend.h"
#include "tests/fuzz/nowhere.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// A weight file in which everything exists: the paths behind it are reached too.
static bool lookup(void *context, const char *key, frontend_meta *out)
{
    (void)context;
    *out = (frontend_meta){
        .kind = (frontend_meta_kind)(strlen(key) % 5), .integer = 64, .number = 0.5, .text = "t"};
    return true;
}

static bool tensor(void *context, const char *name, frontend_tensor *out)
{
    (void)context;
    *out = (frontend_tensor){.type = "F16", .rank = 2, .shape = {4, 4}};
    return strlen(name) % 3 != 0;
}

static const char *nearest(void *context, const char *name)
{
    (void)context;
    return name;
}

// What the front end builds prints, and what prints parses to the same.
static void check_module(arena *a, diagnostics *d, const ir_module *m)
{
    text first = {0}, second = {0};
    ir_print_module(&first, m);
    const source *s = diagnostics_source(d, "fuzz.lir", text_string(&first), first.length);
    const ir_module *again = ir_parse(a, d, s);
    if (!again)
        __builtin_trap();
    ir_print_module(&second, again);
    if (strcmp(text_string(&first), text_string(&second)))
        __builtin_trap();
    text_free(&first);
    text_free(&second);
}

static void compile(const uint8_t *data, size_t size, const frontend_options *options)
{
    arena *a = arena_create();
    diagnostics *d = diagnostics_create(nowhere());
    const source *s = diagnostics_source(d, "fuzz.lut", (const char *)data, size);
    ir_module *m = frontend_compile(a, d, s, options);
    if (!m != (diagnostics_errors(d) > 0))
        __builtin_trap(); // refused without a word, or accepted with one
    if (m)
        check_module(a, d, m);
    text tree = {0};
    frontend_print_ast(a, d, s, &tree);
    text_free(&tree);
    diagnostics_destroy(d);
    arena_destroy(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const frontend_metadata metadata = {.file = "f.gguf",
                                               .lookup = lookup,
                                               .tensor = tensor,
                                               .nearest_key = nearest,
                                               .nearest_tensor = nearest};
    static const frontend_options with_file = {.metadata = &metadata};
    compile(data, size, NULL);
    compile(data, size, &with_file);
    return 0;
}
