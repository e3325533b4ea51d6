// The area model as it is: constants with their sources, steps of an array's design, machines.
#include "compiler/explore/explore.h"

static const struct {
    unsigned lacking;
    const char *name;
} steps[] = {
    {AREA_FULL_TABLES | AREA_INDEX_NEGATION | AREA_OWN_TABLES, "full tables"},
    {AREA_INDEX_NEGATION | AREA_OWN_TABLES, "half tables"},
    {AREA_OWN_TABLES, "indices complemented offline"},
    {0, "tables made elsewhere"},
};

static void print_constants(text *out)
{
    text_printf(out, "%-22s %14s  %-14s %s\n", "constant", "value", "unit", "source");
    for (const area_constant *c = area_constants; c->name; c++)
        text_printf(out, "%-22s %14.8g  %-14s %s\n", c->name, c->value, c->unit, c->source);
}

// Power goes with area.
static void print_steps(text *out)
{
    const area_unit u = {2, 64, 4};
    double last = area_array_counted(u, 0);
    text_printf(out, "\n%-30s %12s %12s %10s\n", "array of M2 N64 K4", "um2 counted", "um2", "mW");
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        double counted = area_array_counted(u, steps[i].lacking), factor = counted / last;
        text_printf(out, "%-30s %12.2f %12.2f %10.2f\n", steps[i].name, counted,
                    area_array(u) * factor, 1e3 * area_array_power(u) * factor);
    }
}

static void print_machine(text *out, const machine *m)
{
    machine_area x = area_of_machine(m);
    text_printf(out, "%-16s", m->name);
    for (unsigned i = 0; i < AREA_PART_COUNT; i++)
        text_printf(out, " %14.4f", x.parts[i] * 1e-6);
    text_printf(out, " %10.4f %10.2f\n", x.hart * 1e-6, x.total * 1e-6);
}

static void print_machines(text *out)
{
    text_printf(out, "\n%-16s", "mm2 of a hart");
    for (unsigned i = 0; i < AREA_PART_COUNT; i++)
        text_printf(out, " %14s", area_part_names[i]);
    text_printf(out, " %10s %10s\n", "hart", "machine");
    for (const char *const *name = machine_builtin_names; *name; name++) {
        arena *a = arena_create();
        diagnostics *d = diagnostics_create(stderr);
        machine m;
        if (machine_load(a, d, *name, &m))
            print_machine(out, &m);
        diagnostics_destroy(d);
        arena_destroy(a);
    }
}

void explore_print_model(text *out)
{
    print_constants(out);
    print_steps(out);
    print_machines(out);
}
