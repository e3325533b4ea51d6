// From command-line words to the arguments of an entry.
#include "runtime/host/internal.h"

#include <inttypes.h>
#include <string.h>

#define REPORT(p, ...) diagnostic_error((p)->diagnostics, NOWHERE, __VA_ARGS__)

// --------------------------------------------------------------- names and lists

static const char *did_you_mean(const host_program *p, const char *name,
                                const char *const *candidates, size_t count)
{
    const char *nearest = text_nearest(name, candidates, count);
    return nearest ? arena_format(p->arena, "; did you mean '%s'?", nearest) : "";
}

static void note_values(const host_program *p, const char *what, const program_values *list)
{
    text t = {0};
    for (size_t i = 0; i < list->count; i++) {
        text_printf(&t, "%s%s: ", i ? ", " : "", list->items[i].name);
        description_print_value(&t, &p->description, &list->items[i]);
    }
    diagnostic_note(p->diagnostics, NOWHERE, "%s: %s", what,
                    list->count ? text_string(&t) : "none");
    text_free(&t);
}

static void unknown_value(const host_program *p, const program_entry *entry, const char *kind,
                          const char *name, const program_values *list)
{
    const char **names = ARENA_ARRAY(p->arena, const char *, list->count);
    for (size_t i = 0; i < list->count; i++)
        names[i] = list->items[i].name;
    REPORT(p, "entry '%s' has no %s '%s'%s", entry->name, kind, name,
           did_you_mean(p, name, names, list->count));
    note_values(p, arena_format(p->arena, "its %ss", kind), list);
}

static void note_entries(const host_program *p)
{
    text t = {0};
    for (size_t i = 0; i < p->description.entry_count; i++)
        text_printf(&t, "%s%s", i ? ", " : "", p->description.entries[i].name);
    diagnostic_note(p->diagnostics, NOWHERE, "its entries: %s", text_string(&t));
    text_free(&t);
}

static const program_entry *find_entry(const program_description *d, const char *name)
{
    for (size_t i = 0; i < d->entry_count; i++)
        if (strcmp(d->entries[i].name, name) == 0)
            return &d->entries[i];
    return NULL;
}

const program_entry *host_choose_entry(const host_program *p, const char *name)
{
    const program_description *d = &p->description;
    const program_entry *found = find_entry(d, name ? name : "main");
    const char **names = ARENA_ARRAY(p->arena, const char *, d->entry_count);
    for (size_t i = 0; i < d->entry_count; i++)
        names[i] = d->entries[i].name;
    if (found)
        return found;
    if (!name && d->entry_count == 1)
        return &d->entries[0];
    if (name)
        REPORT(p, "'%s' has no entry '%s'%s", p->path, name,
               did_you_mean(p, name, names, d->entry_count));
    else
        REPORT(p, "'%s' has several entries and none is 'main'; choose one with --entry%s", p->path,
               find_entry(d, "forward") ? ", or continue a text with --prompt" : "");
    note_entries(p);
    return NULL;
}

const program_value *host_find_output(const host_program *p, const program_entry *entry,
                                      const char *name, size_t *index)
{
    const program_value *v = description_find(&entry->outputs, name, index);
    if (!v)
        unknown_value(p, entry, "output", name, &entry->outputs);
    return v;
}

// ------------------------------------------------------------------- dimensions

typedef struct dim_setting {
    int64_t value;
    const char *origin; // NULL: not set
} dim_setting;

typedef struct binder {
    host_program *program;
    const program_entry *entry;
    dim_setting *dims;
    input_spec *specs; // one per input; name NULL: not given
    bool ok;
} binder;

static void set_dim(binder *b, size_t dim, int64_t value, const char *origin)
{
    dim_setting *s = &b->dims[dim];
    const program_dim *range = &b->program->description.dims[dim];
    if (!s->origin) {
        *s = (dim_setting){value, origin};
        if (value >= range->minimum && value <= range->maximum)
            return;
        REPORT(b->program,
               "dimension '%s' is %" PRId64 " (%s), which is not within %" PRId64 "..%" PRId64,
               range->name, value, origin, range->minimum, range->maximum);
        b->ok = false;
    } else if (s->value != value) {
        REPORT(b->program, "dimension '%s' is %" PRId64 " (%s) and %" PRId64 " (%s)", range->name,
               s->value, s->origin, value, origin);
        b->ok = false;
    }
}

static void unknown_dim(binder *b, const char *name)
{
    const program_description *d = &b->program->description;
    const char **names = ARENA_ARRAY(b->program->arena, const char *, d->dim_count);
    for (size_t i = 0; i < d->dim_count; i++)
        names[i] = d->dims[i].name;
    REPORT(b->program, "'%s' has no dimension '%s'%s", b->program->path, name,
           did_you_mean(b->program, name, names, d->dim_count));
    b->ok = false;
}

// "T=17"
static void read_dim(binder *b, const char *setting)
{
    const char *equals = strchr(setting, '=');
    long long value;
    if (!equals || equals == setting || !text_to_int64(equals + 1, &value) || value < 0) {
        REPORT(b->program, "--dim '%s': expected NAME=N", setting);
        b->ok = false;
        return;
    }
    const char *name = arena_string(b->program->arena, setting, (size_t)(equals - setting));
    for (size_t i = 0; i < b->program->description.dim_count; i++)
        if (strcmp(b->program->description.dims[i].name, name) == 0) {
            set_dim(b, i, value, "--dim");
            return;
        }
    unknown_dim(b, name);
}

static bool values_have_dim(const program_values *values, size_t dim)
{
    for (size_t i = 0; i < values->count; i++)
        for (unsigned axis = 0; axis < values->items[i].rank; axis++)
            if (values->items[i].shape[axis].dim == (int)dim)
                return true;
    return false;
}

// Other entries may have dimensions of their own.
static bool matters(const binder *b, size_t dim)
{
    return values_have_dim(&b->entry->inputs, dim) || values_have_dim(&b->entry->outputs, dim) ||
           values_have_dim(&b->program->description.states, dim);
}

// A dimension of one possible value, or that the entry does not have, needs no setting. All others
// that are missing are reported.
static void complete_dims(binder *b)
{
    for (size_t i = 0; i < b->program->description.dim_count; i++) {
        const program_dim *d = &b->program->description.dims[i];
        if (b->dims[i].origin)
            continue;
        if (d->minimum == d->maximum || !matters(b, i)) {
            b->dims[i].value = d->minimum;
            continue;
        }
        REPORT(b->program,
               "dimension '%s' has no value; give --dim %s=N (%" PRId64 "..%" PRId64
               ") or an input file that has it in its shape",
               d->name, d->name, d->minimum, d->maximum);
        b->ok = false;
    }
}

// ----------------------------------------------------------------------- inputs

static void read_input(binder *b, const char *argument)
{
    host_program *p = b->program;
    input_spec spec;
    size_t index;
    if (!input_spec_parse(p->arena, p->diagnostics, argument, &spec)) {
        b->ok = false;
    } else if (!description_find(&b->entry->inputs, spec.name, &index)) {
        unknown_value(p, b->entry, "input", spec.name, &b->entry->inputs);
        b->ok = false;
    } else if (b->specs[index].name) {
        REPORT(p, "input '%s' is given twice", spec.name);
        b->ok = false;
    } else {
        b->specs[index] = spec;
    }
}

static void require_inputs(binder *b)
{
    bool missing = false;
    for (size_t i = 0; i < b->entry->inputs.count; i++)
        if (!b->specs[i].name) {
            const char *name = b->entry->inputs.items[i].name;
            REPORT(b->program, "input '%s' is missing; give --input %s=@FILE.npy, %s=random:1, ...",
                   name, name, name);
            missing = true;
        }
    if (missing) {
        note_values(b->program, "inputs", &b->entry->inputs);
        b->ok = false;
    }
}

// A file's shape against the declared one; what it says about dims.
static void match_shape(binder *b, const program_value *v, const input_spec *spec)
{
    const array *x = &spec->file;
    const char *origin = arena_format(b->program->arena, "input '%s', %s", v->name, spec->path);
    bool fits = x->rank == v->rank;
    for (unsigned i = 0; fits && i < v->rank; i++) {
        const program_extent *e = &v->shape[i];
        if (e->dim < 0)
            fits = x->shape[i] == e->factor;
        else if (x->shape[i] % e->factor != 0)
            fits = false;
        else
            set_dim(b, (size_t)e->dim, x->shape[i] / e->factor, origin);
    }
    if (fits)
        return;
    text want = {0}, found = {0};
    description_print_value(&want, &b->program->description, v);
    text_append(&found, scalar_rows[x->type].name);
    array_print_shape(&found, x->rank, x->shape);
    REPORT(b->program, "'%s' is %s, but %s holds %s", v->name, text_string(&want), spec->path,
           text_string(&found));
    text_free(&want);
    text_free(&found);
    b->ok = false;
}

static void learn_dims(binder *b)
{
    for (size_t i = 0; i < b->entry->inputs.count; i++) {
        input_spec *spec = &b->specs[i];
        if (!spec->name || spec->kind != INPUT_FILE)
            continue;
        if (input_read(b->program->arena, b->program->diagnostics, spec))
            match_shape(b, &b->entry->inputs.items[i], spec);
        else
            b->ok = false;
    }
}

static bool make_input(binder *b, size_t index, const int64_t *dims, array *out)
{
    const program_value *v = &b->entry->inputs.items[index];
    host_program *p = b->program;
    array probe = {.type = v->type, .rank = v->rank};
    for (unsigned i = 0; i < v->rank; i++)
        probe.shape[i] = description_extent(&v->shape[i], dims);
    int64_t bytes = array_bytes(&probe);
    if (bytes < 0 || (uint64_t)bytes > hart_memory_limit(p->memory)) {
        REPORT(p, "input '%s' would exceed the guest's memory", v->name);
        return false;
    }
    return input_make(p->arena, p->diagnostics, &b->specs[index], v->type, v->rank, probe.shape,
                      out);
}

bool host_bind_arguments(host_program *p, const program_entry *entry, const option_values *inputs,
                         const option_values *dims, host_arguments *out)
{
    size_t dim_count = p->description.dim_count;
    binder b = {p, entry, ARENA_ARRAY(p->arena, dim_setting, dim_count),
                ARENA_ARRAY(p->arena, input_spec, entry->inputs.count), true};
    for (size_t i = 0; i < inputs->count; i++)
        read_input(&b, inputs->items[i]);
    if (b.ok) // otherwise one may be what is meant
        require_inputs(&b);
    for (size_t i = 0; i < dims->count; i++)
        read_dim(&b, dims->items[i]);
    learn_dims(&b);
    if (b.ok)
        complete_dims(&b);
    if (!b.ok)
        return false;
    int64_t *values = ARENA_ARRAY(p->arena, int64_t, dim_count);
    array *arrays = ARENA_ARRAY(p->arena, array, entry->inputs.count);
    for (size_t i = 0; i < dim_count; i++)
        values[i] = b.dims[i].value;
    for (size_t i = 0; i < entry->inputs.count; i++)
        b.ok &= make_input(&b, i, values, &arrays[i]);
    *out = (host_arguments){values, arrays};
    return b.ok;
}
