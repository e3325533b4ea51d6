#include "compiler/codegen/program.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

// ------------------------------------------------------------------ collecting

static const char *type_name(const ir_type *t)
{
    return t->kind == IR_INDEX ? "index" : scalar_rows[t->scalar].name;
}

static bool is_scalar(const ir_type *t)
{
    return t->kind == IR_INDEX || t->kind == IR_SCALAR;
}

// A value of type `t`; false, reported, when its size cannot be known.
static bool describe_value(diagnostics *d, location where, const char *name, const ir_type *t,
                           program_value *out)
{
    *out = (program_value){.name = name, .type = type_name(t)};
    if (is_scalar(t))
        return true;
    if (t->kind != IR_TENSOR && t->kind != IR_BUFFER) {
        text found = {0};
        ir_type_print(&found, t);
        diagnostic_error(d, where, "an entry takes and gives tensors and scalars, but '%s' is %s",
                         name, text_string(&found));
        text_free(&found);
        return false;
    }
    out->rank = t->rank;
    memcpy(out->shape, t->dims, sizeof out->shape);
    for (unsigned i = 0; i < t->rank; i++)
        if (ir_dim_is_constant(t->dims[i]) && t->dims[i].value < 0) {
            diagnostic_error(d, where, "the shape of '%s' must be known where it is described",
                             name);
            return false;
        }
    return true;
}

static bool is_output_name(const char *name)
{
    return name && text_starts_with(name, "result");
}

static bool describe_arguments(arena *a, diagnostics *d, const ir_function *f, program_entry *entry)
{
    bool ok = true;
    for (size_t i = 0; i < f->body->arguments.count; i++) {
        const ir_value *v = f->body->arguments.items[i];
        const char *name = v->name ? v->name : arena_format(a, "x%zu", i);
        program_value value;
        if (!describe_value(d, f->where, name, v->type, &value))
            ok = false;
        else if (v->type->kind == IR_BUFFER && is_output_name(v->name))
            ARRAY_PUSH(a, &entry->outputs, value);
        else if (!entry->outputs.count)
            ARRAY_PUSH(a, &entry->inputs, value);
        else {
            diagnostic_error(d, f->where,
                             "input '%s' of '%s' stands behind an output; outputs, "
                             "named result..., come last",
                             name, f->name);
            ok = false;
        }
    }
    return ok;
}

static bool describe_results(arena *a, diagnostics *d, const ir_function *f, program_entry *entry)
{
    bool ok = true;
    for (size_t i = 0; i < f->results.count; i++) {
        const char *name = f->results.count == 1 ? "result" : arena_format(a, "result%zu", i);
        program_value value;
        if (describe_value(d, f->where, name, f->results.items[i], &value))
            ARRAY_PUSH(a, &entry->outputs, value);
        else
            ok = false;
    }
    return ok;
}

static bool describe_entry(arena *a, diagnostics *d, const ir_function *f, program_description *p)
{
    program_entry entry = {.name = f->name, .symbol = f->name};
    bool arguments = describe_arguments(a, d, f, &entry);
    bool results = describe_results(a, d, f, &entry);
    ARRAY_PUSH(a, &p->entries, entry);
    return arguments && results;
}

// Bytes of a value with every dimension at its maximum; -1 when that overflows.
static int64_t program_value_bytes(const program_value *v)
{
    scalar_type type;
    int64_t bytes = scalar_by_name(v->type, &type) ? (int64_t)scalar_size(type) : 8;
    for (unsigned i = 0; i < v->rank; i++)
        if (__builtin_mul_overflow(bytes, ir_dim_maximum(v->shape[i]), &bytes))
            return -1;
    return bytes;
}

// Places the next `bytes` of a memory of *size bytes; false when it overflows.
static bool place(uint64_t *size, int64_t bytes, uint64_t *offset)
{
    uint64_t mask = PROGRAM_ALIGNMENT - 1;
    *offset = *size;
    return bytes >= 0 && !__builtin_add_overflow(*size, ((uint64_t)bytes + mask) & ~mask, size) &&
           *size <= INT64_MAX;
}

static bool describe_state(arena *a, diagnostics *d, const ir_global *g, program_description *p)
{
    program_state state;
    if (!describe_value(d, g->where, g->name, g->value.type, &state.value))
        return false;
    if (!place(&p->state_size, program_value_bytes(&state.value), &state.offset)) {
        diagnostic_error(d, g->where, "state '%s' makes the state memory too large", g->name);
        return false;
    }
    ARRAY_PUSH(a, &p->states, state);
    return true;
}

program_description *program_describe(arena *a, diagnostics *d, const ir_module *m)
{
    program_description *p = ARENA_NEW(a, program_description);
    p->harts = 1;
    bool ok = true;
    for (size_t i = 0; i < m->symbols.count; i++)
        ARRAY_PUSH(a, &p->dims, m->symbols.items[i]);
    for (const ir_function *f = m->functions; f; f = f->next)
        if (f->entry)
            ok &= describe_entry(a, d, f, p);
    for (const ir_global *g = m->globals; g; g = g->next)
        if (g->kind == IR_GLOBAL_STATE)
            ok &= describe_state(a, d, g, p);
    if (!p->entries.count && ok) {
        diagnostic_error(d, NOWHERE,
                         "'%s' has no entry function, so nothing could call it; "
                         "declare one with 'entry'",
                         m->name);
        ok = false;
    }
    return ok ? p : NULL;
}

// ------------------------------------------------------------------- workspace

typedef struct workspace_plan {
    diagnostics *diagnostics;
    uint64_t sizes[2]; // of the workspace, of private memory
    bool ranks, ok;
} workspace_plan;

static void plan_alloc(ir_op *op, void *context)
{
    workspace_plan *plan = context;
    plan->ranks = plan->ranks || op->code == IR_RANKS;
    if (op->code != IR_ALLOC)
        return;
    int64_t offset = ir_integer(op, "offset"), end;
    uint64_t *size = &plan->sizes[ir_boolean(op, "private")];
    program_value value;
    if (!describe_value(plan->diagnostics, op->where, "alloc", op->results[0].type, &value))
        plan->ok = false;
    else if (offset < 0 || offset % PROGRAM_ALIGNMENT) {
        diagnostic_error(plan->diagnostics, op->where,
                         "alloc needs a 64-byte aligned 'offset'; plan-memory sets it");
        plan->ok = false;
    } else if (__builtin_add_overflow(offset, program_value_bytes(&value), &end) || end < offset) {
        diagnostic_error(plan->diagnostics, op->where, "the workspace becomes too large");
        plan->ok = false;
    } else if ((uint64_t)end > *size)
        *size = (uint64_t)end;
}

bool program_plan_workspace(program_description *p, diagnostics *d, const ir_module *m)
{
    workspace_plan plan = {.diagnostics = d, .ok = true};
    p->harts = PROGRAM_MOST_HARTS;
    for (const ir_function *f = m->functions; f; f = f->next) {
        if (!f->entry)
            continue;
        plan.ranks = false;
        ir_walk(f->body, plan_alloc, &plan);
        p->harts = plan.ranks ? p->harts : 1;
    }
    uint64_t mask = PROGRAM_ALIGNMENT - 1;
    p->workspace_size = (plan.sizes[false] + mask) & ~mask;
    p->scratch_size = (plan.sizes[true] + mask) & ~mask;
    return plan.ok;
}

const char *program_symbol(arena *a, const char *module)
{
    char *symbol =
        arena_format(a, "%s%s_program", isdigit((unsigned char)*module) ? "_" : "", module);
    for (char *c = symbol; *c; c++)
        *c = (char)(isalnum((unsigned char)*c) ? *c : '_');
    return symbol;
}

const program_state *program_find_state(const program_description *p, const char *name)
{
    for (size_t i = 0; i < p->states.count; i++)
        if (!strcmp(p->states.items[i].value.name, name))
            return &p->states.items[i];
    return NULL;
}

// ------------------------------------------------------------------------ JSON

// JSON's escapes, not those of text_quoted: control bytes are \u00NN.
static void json_text(text *out, const char *s)
{
    text_char(out, '"');
    for (; *s; s++)
        if (*s == '"' || *s == '\\')
            text_printf(out, "\\%c", *s);
        else if ((unsigned char)*s < 0x20)
            text_printf(out, "\\u%04x", (unsigned char)*s);
        else
            text_char(out, *s);
    text_char(out, '"');
}

static void json_dim(text *out, ir_dim dim)
{
    if (ir_dim_is_constant(dim))
        text_printf(out, "%" PRId64, dim.value);
    else if (dim.value == 1)
        json_text(out, dim.symbol->name);
    else
        text_printf(out, "\"%" PRId64 "*%s\"", dim.value, dim.symbol->name);
}

static void json_value(text *out, const program_value *v)
{
    text_append(out, "\"name\": ");
    json_text(out, v->name);
    text_printf(out, ", \"type\": \"%s\", \"shape\": [", v->type);
    for (unsigned i = 0; i < v->rank; i++) {
        text_append(out, i ? ", " : "");
        json_dim(out, v->shape[i]);
    }
    text_char(out, ']');
}

static void json_values(text *out, const char *key, const program_value *values, size_t count)
{
    text_printf(out, ", \"%s\": [", key);
    for (size_t i = 0; i < count; i++) {
        text_append(out, i ? ", {" : "{");
        json_value(out, &values[i]);
        text_char(out, '}');
    }
    text_char(out, ']');
}

static void json_machine(text *out, const machine *m)
{
    text_append(out, ", \"machine\": {\"name\": ");
    json_text(out, m->name);
    text_printf(out,
                ", \"vlen\": %u, \"tile_m\": %u, \"tile_n\": %u, \"hash\": \"%016" PRIx64 "\"}",
                m->vlen, m->tile_m, m->tile_n, machine_hash(m));
}

static void json_dims(text *out, const program_description *p)
{
    text_append(out, ", \"dims\": [");
    for (size_t i = 0; i < p->dims.count; i++) {
        text_append(out, i ? ", {\"name\": " : "{\"name\": ");
        json_text(out, p->dims.items[i]->name);
        text_printf(out, ", \"min\": %" PRId64 ", \"max\": %" PRId64 "}", p->dims.items[i]->minimum,
                    p->dims.items[i]->maximum);
    }
    text_char(out, ']');
}

static void json_entries(text *out, const program_description *p)
{
    text_append(out, ", \"entries\": [");
    for (size_t i = 0; i < p->entries.count; i++) {
        const program_entry *e = &p->entries.items[i];
        text_append(out, i ? ", {\"name\": " : "{\"name\": ");
        json_text(out, e->name);
        text_append(out, ", \"symbol\": ");
        json_text(out, e->symbol);
        json_values(out, "inputs", e->inputs.items, e->inputs.count);
        json_values(out, "outputs", e->outputs.items, e->outputs.count);
        text_char(out, '}');
    }
    text_char(out, ']');
}

static void json_states(text *out, const program_description *p)
{
    text_append(out, ", \"states\": [");
    for (size_t i = 0; i < p->states.count; i++) {
        text_append(out, i ? ", {" : "{");
        json_value(out, &p->states.items[i].value);
        text_printf(out, ", \"offset\": %" PRIu64 "}", p->states.items[i].offset);
    }
    text_char(out, ']');
}

void program_print_json(text *out, const program_description *p, const machine *target)
{
    text_append(out, "{\"version\": 1");
    json_machine(out, target);
    json_dims(out, p);
    json_entries(out, p);
    json_states(out, p);
    text_printf(out, ", \"state_size\": %" PRIu64 ", \"workspace_size\": %" PRIu64, p->state_size,
                p->workspace_size);
    text_printf(out, ", \"harts\": %" PRId64 ", \"scratch_size\": %" PRIu64, p->harts,
                p->scratch_size);
    text_printf(out,
                ", \"weights\": {\"address\": %" PRIu64 ", \"size\": %" PRIu64
                ", \"layout\": \"%016" PRIx64 "\", \"file\": ",
                PROGRAM_WEIGHTS_ADDRESS, p->weights_size, p->weights_layout);
    if (p->weights_file)
        json_text(out, p->weights_file);
    else
        text_append(out, "null");
    text_append(out, "}}");
}
