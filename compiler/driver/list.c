// lutc list: the compiler's tables, as they are.
#include "compiler/driver/driver.h"

#include "compiler/explore/explore.h"
#include "compiler/frontend/frontend.h"

#include <stdio.h>
#include <string.h>

static void list_ops(text *out)
{
    for (unsigned i = 0; i < IR_OPCODE_COUNT; i++) {
        const ir_op_row *r = &ir_op_rows[i];
        const char *level =
            r->traits & IR_GRAPH ? r->traits & IR_TILE_LEVEL ? "both" : "graph" : "tile";
        text_printf(out, "%-16s %-6s (%s) -> (%s)", r->name, level, r->operands, r->results);
        if (*r->attributes)
            text_printf(out, " {%s}", r->attributes);
        text_printf(out, "\n    %s\n", r->doc);
    }
}

static void list_passes(text *out)
{
    for (const pass_row *r = pass_rows; r->name; r++) {
        text_append(out, r->name);
        if (*r->parameters)
            text_printf(out, "(%s)", r->parameters);
        text_printf(out, "%s\n    %s\n", r->without ? " optional" : "", r->doc);
        if (r->without && *r->without)
            text_printf(out, "    disabled: %s\n", r->without);
    }
    text_printf(out, "\nin order: %s\n", pipeline_default);
}

static void list_insns(text *out)
{
    for (unsigned i = 1; i < ISA_OPCODE_COUNT; i++) {
        const isa_row *r = &isa_rows[i];
        text_printf(out, "%-18s %-8s %-15s %s\n", r->mnemonic, r->extension,
                    isa_class_names[r->class], r->meaning ? r->meaning : "");
    }
}

static void list_machines(text *out)
{
    for (const char *const *name = machine_builtin_names; *name; name++) {
        arena *a = arena_create();
        diagnostics *d = diagnostics_create(stderr);
        machine m;
        if (machine_load(a, d, *name, &m)) {
            machine_print(out, &m);
            text_char(out, '\n');
        }
        diagnostics_destroy(d);
        arena_destroy(a);
    }
}

static void list_targets(text *out)
{
    const code_target *native = target_find("native");
    for (size_t i = 0; target_at(i); i++)
        text_printf(out, "%-10s %s%s\n", target_at(i)->name, target_at(i)->doc,
                    target_at(i) == native ? " (native)" : "");
}

static const struct {
    const char *name;
    void (*print)(text *out);
} lists[] = {
    {"ops", list_ops},
    {"passes", list_passes},
    {"functions", frontend_list_functions},
    {"insns", list_insns},
    {"machines", list_machines},
    {"formats", quant_format_list},
    {"targets", list_targets},
    {"areas", explore_print_model},
};
enum { LISTS = sizeof lists / sizeof *lists };

int command_list(driver *d)
{
    const char *wanted = d->files.items[0], *names[LISTS];
    for (size_t i = 0; i < LISTS; i++) {
        names[i] = lists[i].name;
        if (strcmp(wanted, names[i]) == 0) {
            text out = {0};
            lists[i].print(&out);
            fputs(text_string(&out), stdout);
            if (out.length && out.data[out.length - 1] != '\n')
                putchar('\n');
            text_free(&out);
            return EXIT_OK;
        }
    }
    const char *nearest = text_nearest(wanted, names, LISTS);
    fprintf(stderr, "lutc list: error: there is no list '%s'%s%s%s\n", wanted,
            nearest ? "; did you mean '" : "", nearest ? nearest : "",
            nearest ? "'?" : ": ops, passes, functions, insns, machines, formats, targets, areas");
    return EXIT_USAGE;
}
