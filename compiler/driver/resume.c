// Going on from a .lir: whether what it was compiled for is what is asked for now, which passes it
// is behind, and which options come too late for it.
#include "compiler/driver/driver.h"

#include <string.h>

static location whole_file(const driver *d)
{
    return (location){.source = d->module->text};
}

// ------------------------------------------------------------------ the target

static const code_target *asked_target(const driver *d)
{
    return d->target ? d->target : target_find("riscv64");
}

static void find_unit(ir_op *op, void *context)
{
    const char **found = context, *name = ir_op_rows[op->code].name;
    if (text_starts_with(name, "native."))
        *found = "a CPU";
    else if (text_starts_with(name, "xlut.") && !*found)
        *found = "riscv64";
}

// As its head says; without, as its operations do. NULL: it may be for any.
static const char *made_for(const driver *d)
{
    const char *found = NULL;
    for (ir_function *f = d->module->functions; f && !d->module->target; f = f->next)
        ir_walk(f->body, find_unit, &found);
    return d->module->target ? d->module->target : found;
}

static bool is_same_target(const char *made, const code_target *asked)
{
    return !made || !strcmp(made, asked->name) || (!strcmp(made, "a CPU") && asked->native);
}

static bool refuse_target(driver *d, const char *made, const pass_row *behind)
{
    const char *asked = asked_target(d)->name;
    const char *way = !d->target ? "" // the command has no other
                                 : arena_format(d->arena, "give --target=%s, or ",
                                                strcmp(made, "a CPU") ? made : "native");
    diagnostic_error(d->diagnostics, whole_file(d),
                     "this module was compiled for %s up to pass '%s', and cannot go on for %s: "
                     "%sbegin with the program or a module in front of pass 'split-precompute'",
                     made, behind->name, asked, way);
    return false;
}

// From split-precompute on passes work for a target; a module in front of it may change to another.
static bool settle_target(driver *d)
{
    ir_module *m = d->module;
    const char *made = made_for(d);
    const pass_row *behind = pipeline_behind(m);
    if (m->target && !target_find(m->target)) {
        diagnostic_error(d->diagnostics, whole_file(d),
                         "the module's head says target = \"%s\", which is no target", m->target);
        return false;
    }
    if (d->adopts_target && m->target)
        d->target = target_find(m->target);
    if (is_same_target(made, asked_target(d)))
        return true;
    if (behind && behind >= pass_find("split-precompute"))
        return refuse_target(d, made, behind);
    m->machine = m->architecture = NULL;
    return true;
}

// ------------------------------------------------------------------ the machine

// What code at tile level was made for; NULL: not known.
static const char *made_architecture(const driver *d)
{
    const ir_module *m = d->module;
    machine named;
    if (m->architecture || !m->machine)
        return m->architecture;
    for (const char *const *name = machine_builtin_names; *name; name++)
        if (!strcmp(*name, m->machine) &&
            machine_load(d->arena, d->diagnostics, m->machine, &named))
            return pipeline_architecture(d->arena, &named);
    return NULL;
}

static bool load_named(driver *d)
{
    if (load_machine(d))
        return true;
    if (!d->machine_name && d->module->machine)
        diagnostic_note(d->diagnostics, whole_file(d),
                        "the module was compiled for it; give its description, --machine FILE");
    return false;
}

static bool check_architecture(driver *d)
{
    const char *made = made_architecture(d);
    const char *now = pipeline_architecture(d->arena, &d->machine);
    if (!pipeline_is_lowered(d->module) || asked_target(d)->native || !made || !strcmp(made, now))
        return true;
    diagnostic_error(d->diagnostics, whole_file(d),
                     "this module was lowered to tiles for machine %s (%s), and is no code for %s "
                     "(%s): %s, or begin with a module in front of pass 'lower-to-tile'",
                     d->module->machine ? d->module->machine : "", made, d->machine.name, now,
                     d->machine_name && d->module->machine ? "leave --machine out"
                                                           : "give the --machine it was made with");
    return false;
}

static bool is_same_machine(const driver *d)
{
    const ir_module *m = d->module;
    return m->machine && !strcmp(m->machine, d->machine.name) &&
           (!m->architecture ||
            !strcmp(m->architecture, pipeline_architecture(d->arena, &d->machine)));
}

// ------------------------------------------------------------------ passes

static bool check_pass(driver *d)
{
    const char *after = d->module->after, *names[64];
    size_t count = 0;
    if (!after || pass_find(after))
        return true;
    for (const pass_row *row = pass_rows; row->name && count < 64; row++)
        names[count++] = row->name;
    const char *nearest = text_nearest(after, names, count);
    diagnostic_error(d->diagnostics, whole_file(d),
                     "the module's head says after = \"%s\", which is no pass%s%s%s", after,
                     nearest ? "; did you mean '" : "", nearest ? nearest : "",
                     nearest ? "'?" : "");
    return false;
}

bool settle_module(driver *d)
{
    ir_module *m = d->module;
    if (!check_pass(d) || !settle_target(d) || !load_named(d) || !check_architecture(d))
        return false;
    // Graphs go to another machine through all passes again: their places and schedules change.
    d->behind = pipeline_is_lowered(m) || is_same_machine(d) ? pipeline_behind(m) : NULL;
    if (!d->behind)
        m->after = NULL;
    return true;
}

bool is_graph(driver *d, const char *why)
{
    if (!pipeline_is_lowered(d->module))
        return true;
    diagnostic_error(d->diagnostics, whole_file(d),
                     "%s, and this module is lowered to tiles: give the program, or a module in "
                     "front of pass 'lower-to-tile'",
                     why);
    return false;
}

bool is_behind(const driver *d, const char *pass)
{
    return d->behind && d->behind >= pass_find(pass);
}

void warn_of_late(driver *d, const char *option, const char *pass)
{
    diagnostic_warning(d->diagnostics, whole_file(d),
                       "%s decides nothing: the module is behind pass '%s', which would ask for it",
                       option, pass);
}

// Steps that the module is behind, and those that come too late to be left out.
void leave_passed_out(driver *d)
{
    pipeline *p = &d->pipeline;
    size_t kept = 0;
    for (size_t i = 0; i < p->steps.count; i++)
        if (!is_behind(d, p->steps.items[i].pass->name))
            p->steps.items[kept++] = p->steps.items[i];
    p->steps.count = kept;
    kept = 0;
    for (size_t i = 0; i < p->disabled.count; i++) {
        const char *pass = p->disabled.items[i]->name;
        if (is_behind(d, pass))
            warn_of_late(d, arena_format(d->arena, "--disable %s", pass), pass);
        else
            p->disabled.items[kept++] = p->disabled.items[i];
    }
    p->disabled.count = kept;
}

static bool has_step(const driver *d, const pass_row *pass)
{
    for (size_t i = 0; i < d->pipeline.steps.count; i++)
        if (d->pipeline.steps.items[i].pass == pass)
            return true;
    return false;
}

// The driver has decided all formats, so that quantize-weights need not. What lacks in tile code is
// said where it is generated.
bool check_complete(driver *d)
{
    text missing = {0};
    const pass_row *behind = pipeline_behind(d->module);
    if (pipeline_is_lowered(d->module))
        return true;
    for (const pass_row *row = pass_find("quantize-weights") + 1; row->name; row++)
        if (pipeline_requires(d->target, row) && (!behind || row > behind) && !has_step(d, row))
            text_printf(&missing, "%s%s", missing.length ? ", " : "", row->name);
    if (missing.length)
        diagnostic_error(d->diagnostics, NOWHERE,
                         "--passes: no program comes about without %s; 'lutc opt' and --emit=tile "
                         "show what passes leave",
                         text_string(&missing));
    bool complete = !missing.length;
    text_free(&missing);
    return complete;
}
