// Reading machine, weights and program.
#include "compiler/driver/driver.h"

#include "support/clock.h"
#include "support/content.h"

#include "compiler/frontend/frontend.h"

#include <stdio.h>
#include <string.h>

// The machine that a module was made for, as its head says: docs/ir.md.
static bool load_own_machine(driver *d)
{
    const char *made = d->module->architecture;
    unsigned vlen = 0, m = 0, n = 0;
    if (made && sscanf(made, "vlen %u, tile %u x %u", &vlen, &m, &n) >= 1)
        return machine_load_for(d->arena, d->diagnostics, d->module->machine, vlen, m, n,
                                &d->machine);
    return machine_load(d->arena, d->diagnostics, d->module->machine, &d->machine);
}

bool load_machine(driver *d)
{
    const char *name = d->machine_name ? d->machine_name : "m2n64k4";
    if (d->target && d->target->native) {
        if (d->machine_name)
            diagnostic_warning(d->diagnostics, NOWHERE,
                               "--machine %s decides nothing: --target=%s is for CPUs",
                               d->machine_name, d->target->name);
        name = "m1n64k4"; // whose tiles are what native kernels take at a time
    } else if (!d->machine_name && d->module && d->module->machine) {
        return load_own_machine(d);
    }
    return machine_load(d->arena, d->diagnostics, name, &d->machine);
}

static bool check_absent_tensors(driver *d)
{
    const meta_value *absent = weights_meta(d->weights, "lutra.absent_tensors");
    bool texts =
        absent && absent->kind == META_ARRAY && (absent->element == META_TEXT || !absent->count);
    if (absent && !texts)
        diagnostic_error(
            d->diagnostics, NOWHERE,
            "metadata 'lutra.absent_tensors' must be an array of the names of tensors, "
            "[\"output.weight\"]");
    return !absent || texts;
}

static bool load_metadata(driver *d)
{
    const source *json = content_load(d->diagnostics, d->metadata);
    return json && content_expect(d->diagnostics, json, CONTENT_JSON, "a JSON object") &&
           weights_override_metadata(d->weights, d->diagnostics, json);
}

bool load_weights(driver *d)
{
    d->weights = weights_open(d->arena, d->diagnostics, d->weights_spec ? d->weights_spec : "none");
    if (d->refine && d->plain) {
        diagnostic_error(d->diagnostics, NOWHERE, "--refine and --plain: choose one of them");
        return false;
    }
    if (d->weights && (d->refine || d->plain))
        weights_quantize_by(d->weights, d->refine ? QUANT_REFINED : QUANT_NEAREST);
    return d->weights && (!d->metadata || load_metadata(d)) && check_absent_tensors(d);
}

const source *load_program(driver *d)
{
    const source *s = content_load(d->diagnostics, d->files.items[0]);
    const content_kind *kind = s ? content_of((const uint8_t *)s->text, s->length) : NULL;
    d->is_module = kind ? kind->form == CONTENT_MODULE : s && text_ends_with(s->name, ".lir");
    if (!kind || d->is_module || kind->form == CONTENT_PROGRAM)
        return s;
    diagnostic_error(d->diagnostics, (location){.source = s},
                     "this is %s: expected a program in the tensor language, or a module of the "
                     "IR (a .lir)%s%s",
                     kind->name, kind->use ? "; " : "", kind->use ? kind->use : "");
    return NULL;
}

const char *derived_name(driver *d, const char *path, const char *extension)
{
    path = strcmp(path, "-") ? path : "stdin";
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    int length = dot && dot != name ? (int)(dot - name) : (int)strlen(name);
    return arena_format(d->arena, "%.*s%s", length, name, extension);
}

// ------------------------------------------------------------------ what the front end asks

static bool find_meta(void *context, const char *key, frontend_meta *out)
{
    static const frontend_meta_kind kinds[] = {
        [META_INTEGER] = FRONTEND_META_INTEGER, [META_NUMBER] = FRONTEND_META_NUMBER,
        [META_BOOLEAN] = FRONTEND_META_BOOLEAN, [META_TEXT] = FRONTEND_META_TEXT,
        [META_ARRAY] = FRONTEND_META_ARRAY,
    };
    driver *d = context;
    const meta_value *v = weights_meta(d->weights, key);
    if (!v)
        return false;
    *out = (frontend_meta){.kind = kinds[v->kind],
                           .integer = v->kind == META_ARRAY ? (int64_t)v->count : v->integer,
                           .number = v->number};
    if (v->kind == META_TEXT)
        out->text = arena_string(d->arena, v->text.data, v->text.length);
    return true;
}

static bool find_tensor(void *context, const char *name, frontend_tensor *out)
{
    driver *d = context;
    const weights_tensor *t = weights_find(d->weights, name);
    if (!t)
        return false;
    *out = (frontend_tensor){.type = t->type ? t->type->name : t->format.name, .rank = t->rank};
    memcpy(out->shape, t->shape, sizeof out->shape);
    return true;
}

// Metadata without a file can say so: where the output head is the embedding, for one.
static bool lacks_tensor(void *context, const char *name)
{
    const driver *d = context;
    const meta_value *absent = weights_meta(d->weights, "lutra.absent_tensors");
    bool texts = absent && absent->kind == META_ARRAY && absent->element == META_TEXT;
    for (uint64_t i = 0; texts && i < absent->count; i++) {
        meta_text t = meta_text_at(absent, i);
        if (t.length == strlen(name) && memcmp(t.data, name, t.length) == 0)
            return true;
    }
    return false;
}

static const char *nearest_key(void *context, const char *key)
{
    return weights_meta_nearest(((driver *)context)->weights, key);
}

static const char *nearest_tensor(void *context, const char *name)
{
    return weights_nearest(((driver *)context)->weights, name);
}

static void add_tied(void *context, const char *name, const char *shared)
{
    driver *d = context;
    ARRAY_PUSH(d->arena, &d->tied, (tied_weight){name, shared});
}

static ir_module *compile_program(driver *d, const source *text_in)
{
    weights_kind kind = weights_kind_of(d->weights);
    bool has_file = kind == WEIGHTS_GGUF || kind == WEIGHTS_PACKED;
    frontend_metadata asked = {.context = d,
                               .file = has_file ? weights_name(d->weights) : d->metadata,
                               .lookup = find_meta,
                               .tensor = has_file ? find_tensor : NULL,
                               .lacks = lacks_tensor,
                               .nearest_key = nearest_key,
                               .nearest_tensor = has_file ? nearest_tensor : NULL};
    option_values defines = d->defines;
    ARRAY_PUSH(d->arena, &defines, NULL);
    frontend_options options = {.metadata = asked.file ? &asked : NULL,
                                .defines = defines.items,
                                .tied = add_tied,
                                .tied_context = d};
    return frontend_compile(d->arena, d->diagnostics, text_in, &options);
}

static bool check_defines(driver *d)
{
    if (!d->defines.count)
        return true;
    diagnostic_error(d->diagnostics, (location){.source = d->module->text},
                     "-D %s: constants of a program have their values in its .lir; define them "
                     "when the .lut is compiled",
                     d->defines.items[0]);
    return false;
}

bool load_module(driver *d)
{
    const source *s = load_program(d);
    if (!s || !load_weights(d))
        return false;
    double start = clock_seconds();
    d->module = d->is_module ? ir_parse(d->arena, d->diagnostics, s) : compile_program(d, s);
    add_time(d, d->is_module ? "parse" : "front end", start);
    if (!d->module || !(d->is_module ? settle_module(d) && check_defines(d) : load_machine(d)))
        return false;
    pass_context c = {.arena = d->arena, .machine = &d->machine, .target = d->target};
    pipeline_note_machine(d->module, &c);
    start = clock_seconds();
    bool ok = choose_formats(d, d->quant);
    add_time(d, "choose formats", start);
    return ok;
}
