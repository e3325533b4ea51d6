// What lutc writes for CPUs: a C header beside an object, and libraries.
#include "compiler/driver/driver.h"

#include "compiler/codegen/codegen.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool choose_target(driver *d)
{
    d->target = target_find(d->target_name ? d->target_name : "riscv64");
    if (d->target)
        return true;
    const char *names[16] = {"native"};
    size_t n = 1;
    for (const code_target *t; n < 16 && (t = target_at(n - 1)); n++)
        names[n] = t->name;
    const char *nearest = text_nearest(d->target_name, names, n);
    text all = {0};
    for (size_t i = 0; i < n; i++)
        text_printf(&all, "%s%s", i ? ", " : "", names[i]);
    diagnostic_error(d->diagnostics, NOWHERE, "--target: there is no target '%s'%s%s%s: %s",
                     d->target_name, nearest ? "; did you mean '" : "", nearest ? nearest : "",
                     nearest ? "'?" : "", text_string(&all));
    text_free(&all);
    return false;
}

// -------------------------------------------------------------------- libraries

// The runtime lies beside lutc: in a build folder as in an installation.
static const char *find_runtime(driver *d)
{
    static const char file[] = "liblutra_native.a";
    const char *wish = getenv("LUTRA_RUNTIME");
    char self[4096];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    self[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(self, '/');
    if (slash)
        *slash = '\0';
    if (!wish && strcmp(d->target->triple, target_find("native")->triple) != 0) {
        diagnostic_error(d->diagnostics, NOWHERE,
                         "shared libraries need the runtime for %s, and this one is for %s: write "
                         "a static library (-o NAME.a) or an object (--emit=obj), or name a %s "
                         "made for it by LUTRA_RUNTIME",
                         d->target->name, target_find("native")->triple, file);
        return NULL;
    }
    const char *path = wish ? wish : arena_format(d->arena, "%s/../lib/%s", self, file);
    if (access(path, R_OK) == 0)
        return path;
    diagnostic_error(d->diagnostics, NOWHERE,
                     "the runtime of libraries, %s, is not at '%s'; LUTRA_RUNTIME can name it",
                     file, path);
    return NULL;
}

// A static library takes its runtime from liblutra_native.a where it is linked, so that several
// programs share one.
bool write_library(driver *d, const char *path, const text *object)
{
    bool is_static = text_ends_with(path, ".a");
    const char *symbol = program_symbol(d->arena, d->module->name);
    const char *runtime = is_static ? NULL : find_runtime(d);
    output_file *f = is_static || runtime ? output_open(d->diagnostics, path) : NULL;
    if (!f)
        return false;
    bool ok = is_static
                  ? codegen_write_archive(d->diagnostics, object, symbol, f)
                  : codegen_link_library(d->diagnostics, object, symbol, d->target, runtime, f);
    stage_output(d, f);
    return ok;
}

// ----------------------------------------------------------------------- header

static void print_shape(text *out, const program_value *v)
{
    text_printf(out, "%s", v->type);
    for (unsigned i = 0; i < v->rank; i++) {
        text_append(out, i ? ", " : "[");
        ir_dim_print(out, v->shape[i]);
    }
    text_append(out, v->rank ? "]" : "");
}

static void print_values(text *out, const program_value *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        text_printf(out, "%s%s: ", i ? ", " : "", values[i].name);
        print_shape(out, &values[i]);
    }
}

static void print_entries(text *out, const program_description *p, const char *symbol)
{
    size_t length = strlen(symbol) - strlen("_program");
    for (size_t i = 0; i < p->entries.count; i++) {
        const program_entry *e = &p->entries.items[i];
        text_printf(out, "\n/* %s(", e->name);
        print_values(out, e->inputs.items, e->inputs.count);
        text_append(out, ") -> (");
        print_values(out, e->outputs.items, e->outputs.count);
        text_printf(out, ") */\n#define %.*s_%s %zu\n", (int)length, symbol, e->name, i);
    }
}

static void print_sizes(text *out, const program_description *p, const char *symbol)
{
    size_t length = strlen(symbol) - strlen("_program");
    for (size_t i = 0; i < p->dims.count; i++)
        text_printf(out, "/* dims[%zu]: %s, %lld to %lld */\n", i, p->dims.items[i]->name,
                    (long long)p->dims.items[i]->minimum, (long long)p->dims.items[i]->maximum);
    text_printf(out, "#define %.*s_state_size %llu\n", (int)length, symbol,
                (unsigned long long)p->state_size);
    text_printf(out, "#define %.*s_weights_size %llu\n", (int)length, symbol,
                (unsigned long long)p->weights_size);
}

bool write_header(driver *d, const program_description *p, const char *path)
{
    const char *symbol = program_symbol(d->arena, d->module->name);
    text out = {0};
    text_printf(&out,
                "/* Of program '%s', by lutc --target=%s. */\n#pragma once\n"
                "#include <lutra.h>\n\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n"
                "extern const lutra_program %s;\n#ifdef __cplusplus\n}\n#endif\n\n",
                d->module->name, d->target->name, symbol);
    print_sizes(&out, p, symbol);
    print_entries(&out, p, symbol);
    bool ok = stage_text(d, path, &out);
    text_free(&out);
    return ok;
}
