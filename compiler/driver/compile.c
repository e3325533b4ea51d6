// lutc FILE: the way from text to a program, as far as --emit says. Also opt
// and pack, which are parts of it.
#include "compiler/driver/driver.h"

#include "support/clock.h"
#include "support/reader.h"

#include "compiler/codegen/codegen.h"
#include "compiler/frontend/frontend.h"
#include "compiler/quant/columns.h"

#include <stdlib.h>
#include <string.h>

typedef enum stage { AST, GRAPH, KERNEL, TILE, LLVM, ASM, OBJECT, PROGRAM, LIBRARY } stage;

static const struct {
    const char *name, *extension; // NULL: text, to stdout when no --output is given
} stages[] = {
    [AST] = {"ast", NULL},    [GRAPH] = {"graph", NULL},   [KERNEL] = {"kernel", NULL},
    [TILE] = {"tile", NULL},  [LLVM] = {"llvm", NULL},     [ASM] = {"asm", NULL},
    [OBJECT] = {"obj", ".o"}, [PROGRAM] = {"elf", ".elf"}, [LIBRARY] = {"lib", ".so"},
};
enum { STAGES = sizeof stages / sizeof *stages };

// Programs are for the emulator, libraries for CPUs.
static int fits_target(const driver *d, stage s)
{
    if ((s != PROGRAM || !d->target->native) && (s != LIBRARY || d->target->native))
        return EXIT_OK;
    fprintf(stderr, "lutc: error: --emit=%s is not for --target=%s; it has %s\n", stages[s].name,
            d->target->name, d->target->native ? "lib and obj" : "elf and obj");
    return EXIT_USAGE;
}

static int find_stage(driver *d, stage *out)
{
    const char *usual = d->target->native ? "lib" : "elf";
    const char *names[STAGES], *wanted = d->emit ? d->emit : usual;
    for (size_t i = 0; i < STAGES; i++) {
        names[i] = stages[i].name;
        if (strcmp(wanted, names[i]) == 0) {
            *out = (stage)i;
            return fits_target(d, (stage)i);
        }
    }
    const char *nearest = text_nearest(wanted, names, STAGES);
    fprintf(stderr, "lutc: error: --emit: unknown stage '%s'%s%s%s\n", wanted,
            nearest ? "; did you mean '" : "", nearest ? nearest : "",
            nearest ? "'?" : ": ast, graph, kernel, tile, llvm, asm, obj, elf, lib");
    return EXIT_USAGE;
}

static const char *output_name(driver *d, const char *extension)
{
    if (d->output)
        return d->output;
    return extension ? derived_name(d, d->files.items[0], extension) : "-";
}

static bool write_module(driver *d)
{
    text printed = {0};
    ir_print_module(&printed, d->module);
    bool ok = write_output(d, output_name(d, NULL), &printed);
    text_free(&printed);
    return ok;
}

static bool write_tree(driver *d)
{
    text printed = {0};
    const source *s = load_program(d);
    if (s && d->is_module)
        diagnostic_error(d->diagnostics, (location){.source = s},
                         "--emit=ast shows programs; this is a module of the IR");
    bool ok = s && !d->is_module && frontend_print_ast(d->arena, d->diagnostics, s, &printed) &&
              write_output(d, output_name(d, NULL), &printed);
    text_free(&printed);
    return ok;
}

// ------------------------------------------------------------------ weights

static pack_shape shape_of(const driver *d)
{
    if (d->target && d->target->native)
        return (pack_shape){0, COLUMN_BLOCK};
    return (pack_shape){d->machine.tile_m, d->machine.tile_n};
}

// A program may be compiled without the weights' values, for its code.
static bool has_weight_values(driver *d)
{
    bool some = false;
    for (const ir_global *g = d->module->globals; g; g = g->next)
        some = some || (g->kind == IR_GLOBAL_WEIGHT && g->packed);
    if (some && weights_kind_of(d->weights) == WEIGHTS_NONE) {
        diagnostic_warning(d->diagnostics, NOWHERE,
                           "the program has no weights (--weights none): it cannot be run");
        return false;
    }
    return some;
}

static bool write_weights(void *context, diagnostics *messages, FILE *stream)
{
    driver *d = context;
    return pack_file_write(stream, messages, d->weights, d->module, shape_of(d));
}

// `path` with another extension.
static const char *beside(driver *d, const char *path, const char *extension)
{
    const char *slash = strrchr(path, '/');
    const char *name = derived_name(d, path, extension);
    return slash ? arena_format(d->arena, "%.*s%s", (int)(slash - path) + 1, path, name) : name;
}

// How the program names its weight file: relative to its own folder.
static const char *name_beside(driver *d, const char *program, const char *file)
{
    const char *slash = strrchr(program, '/');
    size_t folder = slash ? (size_t)(slash - program) + 1 : 0;
    if (strncmp(program, file, folder) == 0 && !strchr(file + folder, '/'))
        return file + folder;
    const char *last = strrchr(file, '/');
    char *absolute =
        realpath(last ? arena_string(d->arena, file, (size_t)(last - file + 1)) : ".", NULL);
    if (!absolute)
        return file;
    const char *name = arena_format(d->arena, "%s/%s", absolute, last ? last + 1 : file);
    free(absolute);
    return name;
}

static bool stage_packed(driver *d, const char *path)
{
    double start = clock_seconds();
    output_file *f = output_open(d->diagnostics, path);
    if (!f)
        return false;
    stage_output(d, f);
    bool ok = write_weights(d, d->diagnostics, output_stream(f));
    add_time(d, "write weights", start);
    return ok;
}

// ------------------------------------------------------------------ programs

typedef struct build {
    driver *d;
    stage stage;
    program_description *program;
    codegen_unit *unit;
    bool with_weights; // their values are written
} build;

static bool describe(build *b)
{
    b->program = program_describe(b->d->arena, b->d->diagnostics, b->d->module);
    return b->program;
}

static bool generate(build *b)
{
    driver *d = b->d;
    double start = clock_seconds();
    b->with_weights = (b->stage == PROGRAM || d->target->native) && has_weight_values(d);
    if (b->with_weights && !pack_file_check(d->module, d->diagnostics, shape_of(d)))
        return false;
    if (b->with_weights) {
        b->program->weights_size = pack_file_size(d->weights, d->module, shape_of(d));
        b->program->weights_layout = pack_file_layout(d->module, shape_of(d));
    }
    if (b->with_weights && d->packed)
        b->program->weights_file = name_beside(d, output_name(d, ".elf"), d->packed);
    if (!program_plan_workspace(b->program, d->diagnostics, d->module))
        return false;
    codegen_options options = {.target = d->target,
                               .machine = &d->machine,
                               .program = b->program,
                               .no_debug = d->no_debug};
    b->unit = codegen_build(d->diagnostics, d->module, &options);
    add_time(d, "LLVM", start);
    return b->unit;
}

static void emit(build *b, codegen_stage what, text *out)
{
    double start = clock_seconds();
    codegen_emit(b->unit, what, out);
    add_time(b->d, what == CODEGEN_OBJECT ? "object" : "listing", start);
}

static bool dump_listings(build *b)
{
    static const struct {
        codegen_stage stage;
        const char *name, *extension;
    } listings[] = {{CODEGEN_LLVM, "llvm", ".ll"}, {CODEGEN_ASSEMBLY, "xlut", ".s"}};
    for (size_t i = 0; b->d->dump_dir && i < 2; i++) {
        text listing = {0};
        emit(b, listings[i].stage, &listing);
        bool ok = dump_text(b->d, listings[i].name, listings[i].extension, &listing);
        text_free(&listing);
        if (!ok)
            return false;
    }
    return true;
}

static uint64_t position(output_file *f)
{
    long at = ftell(output_stream(f));
    return at > 0 ? (uint64_t)at : 0;
}

static bool link_program(build *b, const text *object)
{
    driver *d = b->d;
    weight_source content = {b->program->weights_size, write_weights, d};
    bool inside = b->with_weights && !d->packed;
    if (!b->program->entries.count) {
        diagnostic_error(d->diagnostics, NOWHERE, "the program has no entry: write 'entry fn'");
        return false;
    }
    if (b->with_weights && d->packed && !stage_packed(d, d->packed))
        return false;
    double start = clock_seconds();
    output_file *f = output_open(d->diagnostics, output_name(d, ".elf"));
    if (!f)
        return false;
    stage_output(d, f);
    if (!codegen_link(d->diagnostics, object, b->program->entries.items[0].symbol,
                      inside ? &content : NULL, f))
        return false;
    uint64_t bytes = position(f);
    bool ok = commit_staged(d);
    add_time(d, inside ? "link, write weights" : "link", start);
    if (!ok)
        return false;
    count_module(d->module, &d->counts);
    show_stats(d, code_size(object), bytes);
    return true;
}

// What is written for CPUs.
typedef struct native_files {
    const char *code, *header, *weights;
} native_files;

static native_files native_files_of(driver *d, const char *path)
{
    return (native_files){path, beside(d, path, ".h"),
                          d->packed ? d->packed : beside(d, path, ".lutw")};
}

// For CPUs: the object or library, its header, and the weights, all of them beside each other.
static bool write_native(build *b, const text *object)
{
    driver *d = b->d;
    const native_files files = native_files_of(d, output_name(d, stages[b->stage].extension));
    const char *path = files.code;
    if (b->with_weights && !stage_packed(d, files.weights))
        return false;
    if (!write_header(d, b->program, files.header))
        return false;
    double start = clock_seconds();
    bool ok =
        (b->stage == LIBRARY ? write_library(d, path, object) : stage_text(d, path, object)) &&
        commit_staged(d);
    add_time(d, "link", start);
    return ok;
}

static bool finish(build *b)
{
    static const codegen_stage forms[] = {[LLVM] = CODEGEN_LLVM,
                                          [ASM] = CODEGEN_ASSEMBLY,
                                          [OBJECT] = CODEGEN_OBJECT,
                                          [PROGRAM] = CODEGEN_OBJECT,
                                          [LIBRARY] = CODEGEN_OBJECT};
    text result = {0};
    bool ok = dump_listings(b);
    emit(b, forms[b->stage], &result);
    if (ok && b->stage == PROGRAM)
        ok = link_program(b, &result);
    else if (ok && b->stage >= OBJECT && b->d->target->native)
        ok = write_native(b, &result);
    else if (ok)
        ok = write_output(b->d, output_name(b->d, stages[b->stage].extension), &result);
    text_free(&result);
    return ok;
}

static bool outputs_fit(driver *d, const char *program)
{
    const char *outputs[] = {program, d->packed};
    if (!d->packed || utf8_valid(d->packed, strlen(d->packed)))
        return outputs_have_places(d, outputs, 2);
    diagnostic_error(d->diagnostics, NOWHERE,
                     "--packed: the program has this name in it, which therefore must be UTF-8");
    return false;
}

static bool native_outputs_fit(driver *d, const char *path)
{
    const native_files files = native_files_of(d, path);
    const char *outputs[] = {files.code, files.header, files.weights};
    if (strcmp(path, "-") != 0)
        return outputs_have_places(d, outputs, 3);
    diagnostic_error(
        d->diagnostics, NOWHERE,
        "code for CPUs has a header and weights beside it: give -o the name of a file");
    return false;
}

// Options of stages that --emit does not come to, or of other results than it asks for.
static void warn_of_idle(const build *b)
{
    const driver *d = b->d;
    const bool links = b->stage == PROGRAM,
               packs = links || (d->target->native && b->stage >= OBJECT);
    const struct {
        const char *name;
        bool given, used;
    } rows[] = {{"--weights", d->weights_spec, b->stage > AST},
                {"--metadata", d->metadata, b->stage > AST},
                {"--quant", d->quant, b->stage > AST},
                {"--machine", d->machine_name, b->stage > AST},
                {"--define", d->defines.count, b->stage > AST},
                {"--calibrate", d->calibrate, packs},
                {"--passes", d->passes, b->stage > GRAPH},
                {"--disable", d->disable, b->stage > GRAPH},
                {"--tables", d->tables, b->stage > GRAPH},
                {"--print-passes", d->print_passes, b->stage > GRAPH},
                {"--print-before", d->print_before, b->stage > GRAPH},
                {"--print-after", d->print_after, b->stage > GRAPH},
                {"--dump-dir", d->dump_dir, b->stage > GRAPH},
                {"--remarks", d->remarks, b->stage > GRAPH},
                {"--no-debug", d->no_debug, b->stage > TILE},
                {"--packed", d->packed, packs},
                {"--stats", d->stats, links}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].given && !rows[i].used)
            diagnostic_warning(d->diagnostics, NOWHERE, "%s decides nothing with --emit=%s",
                               rows[i].name, stages[b->stage].name);
}

static bool compile(build *b)
{
    driver *d = b->d;
    const bool native = d->target->native && b->stage >= OBJECT;
    const char *path = output_name(d, stages[b->stage].extension);
    if (!(native ? native_outputs_fit(d, path) : outputs_fit(d, path)))
        return false;
    if (b->stage == AST)
        return write_tree(d);
    if (!load_module(d))
        return false;
    if (b->stage == GRAPH)
        return write_module(d);
    bool values = b->stage == PROGRAM || native;
    if (values && !calibrate_weights(d))
        return false;
    if (!choose_pipeline(d, b->stage == KERNEL ? "lower-to-tile" : NULL))
        return false;
    if (b->stage <= TILE)
        return run_pipeline(d) && write_module(d);
    return check_complete(d) && describe(b) && run_pipeline(d) && generate(b) && finish(b);
}

int command_compile(driver *d)
{
    build b = {.d = d};
    if (!choose_target(d))
        return EXIT_USER_ERROR;
    int code = find_stage(d, &b.stage);
    if (code != EXIT_OK)
        return code;
    warn_of_idle(&b);
    if (d->stats && *d->stats && strcmp(d->stats, "json") != 0) {
        fprintf(stderr, "lutc: error: --stats is text, or --stats=json\n");
        return EXIT_USAGE;
    }
    bool ok = compile(&b);
    abandon_staged(d); // what is there if it is not
    codegen_destroy(b.unit);
    show_times(d);
    return ok ? EXIT_OK : EXIT_USER_ERROR;
}

int command_opt(driver *d)
{
    const source *s = load_program(d);
    if (s && !d->is_module)
        diagnostic_error(d->diagnostics, (location){.source = s},
                         "opt takes modules of the IR; 'lutc %s --emit=graph' makes one of a "
                         "program",
                         d->files.items[0]);
    d->adopts_target = true;
    d->module = s && d->is_module && outputs_have_places(d, &d->output, 1)
                    ? ir_parse(d->arena, d->diagnostics, s)
                    : NULL;
    bool ok = d->module && settle_module(d) && choose_pipeline(d, NULL) && run_pipeline(d) &&
              write_module(d);
    show_times(d);
    return ok ? EXIT_OK : EXIT_USER_ERROR;
}

int command_pack(driver *d)
{
    if (!choose_target(d))
        return EXIT_USER_ERROR;
    bool ok = outputs_fit(d, output_name(d, ".lutw")) && load_module(d);
    if (ok && weights_kind_of(d->weights) == WEIGHTS_NONE) {
        diagnostic_error(d->diagnostics, NOWHERE, "nothing to pack: give --weights");
        ok = false;
    }
    ok = ok && calibrate_weights(d) && pack_file_place(d->module, d->diagnostics, shape_of(d)) &&
         stage_packed(d, output_name(d, ".lutw")) && commit_staged(d);
    abandon_staged(d);
    return ok ? EXIT_OK : EXIT_USER_ERROR;
}
