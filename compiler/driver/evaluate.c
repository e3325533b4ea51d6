// lutc eval: an entry evaluated by the oracle, with the inputs, outputs and
// expectations that lutrun takes.
#include "compiler/driver/driver.h"

#include "compiler/eval/eval.h"

#include <string.h>

enum { MOST_VALUES = 64, SHOWN = 8 };

// A result that is written, or compared.
typedef struct result_request {
    size_t index;
    const char *path;
    expect_spec spec;
} result_request;

typedef struct evaluation {
    driver *d;
    evaluator *e;
    const ir_function *entry;
    named_array inputs[MOST_VALUES], outputs[MOST_VALUES];
    size_t n_inputs, n_outputs;
    ARRAY_OF(result_request) written, compared;
} evaluation;

static bool refuse(evaluation *v, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool refuse(evaluation *v, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    diagnostic_vreport(v->d->diagnostics, SEVERITY_ERROR, NOWHERE, format, args);
    va_end(args);
    return false;
}

// ------------------------------------------------------------------ weights

static bool read_values(void *context, diagnostics *d, const ir_global *g, int64_t first,
                        int64_t count, double *out)
{
    return weights_values(context, d, g, first, count, out);
}

static bool read_canonical(void *context, diagnostics *d, const ir_global *g, int64_t first,
                           int64_t count, quant_rows *out)
{
    return weights_canonical(context, d, g, first, count, out);
}

static bool read_parts(void *context, diagnostics *d, const ir_global *g, uint8_t *part_of_block)
{
    return weights_parts(context, d, g, part_of_block);
}

eval_weights oracle_weights(const driver *d)
{
    return (eval_weights){d->weights, read_values, read_canonical, read_parts};
}

// ------------------------------------------------------------------ entry and dimensions

static bool choose_entry(evaluation *v)
{
    const char *names[MOST_VALUES], *wanted = v->d->entry;
    size_t count = 0;
    for (const ir_function *f = v->d->module->functions; f; f = f->next) {
        bool main = !strcmp(f->name, "main");
        if (wanted ? !strcmp(f->name, wanted) : f->entry && (!v->entry || main))
            v->entry = f;
        if (f->entry && count < MOST_VALUES)
            names[count++] = f->name;
    }
    if (v->entry && (wanted || count == 1 || !strcmp(v->entry->name, "main")))
        return true;
    const char *nearest = wanted ? text_nearest(wanted, names, count) : NULL;
    if (!wanted && count > 1)
        return refuse(v, "the program has %zu entries; choose one with --entry", count);
    if (nearest)
        return refuse(v, "there is no entry '%s'; did you mean '%s'?", wanted, nearest);
    return wanted ? refuse(v, "there is no entry '%s'", wanted)
                  : refuse(v, "the program has no entry");
}

static bool set_dimension(evaluation *v, const char *spec)
{
    const char *equals = strchr(spec, '=');
    long long value;
    if (!equals || !text_to_int64(equals + 1, &value))
        return refuse(v, "--dim '%s': expected NAME=N", spec);
    const char *name = arena_string(v->d->arena, spec, (size_t)(equals - spec));
    for (size_t i = 0; v->d->dims.items[i] != spec; i++)
        if (!strncmp(v->d->dims.items[i], spec, (size_t)(equals - spec) + 1))
            return refuse(v, "the size of '%s' is given twice", name);
    return eval_set_dim(v->e, name, value);
}

// ------------------------------------------------------------------ inputs

static const ir_value *find_argument(const evaluation *v, const char *name)
{
    for (size_t i = 0; i < v->entry->body->arguments.count; i++) {
        const ir_value *a = v->entry->body->arguments.items[i];
        if (a->name && strcmp(a->name, name) == 0)
            return a;
    }
    return NULL;
}

static bool unknown_input(evaluation *v, const char *name)
{
    const char *names[MOST_VALUES];
    size_t count = 0;
    for (size_t i = 0; i < v->entry->body->arguments.count && count < MOST_VALUES; i++)
        if (v->entry->body->arguments.items[i]->name)
            names[count++] = v->entry->body->arguments.items[i]->name;
    const char *nearest = text_nearest(name, names, count);
    if (nearest)
        return refuse(v, "entry '%s' has no input '%s'; did you mean '%s'?", v->entry->name, name,
                      nearest);
    text list = {0};
    for (size_t i = 0; i < count; i++)
        text_printf(&list, "%s%s", i ? ", " : "", names[i]);
    refuse(v, "entry '%s' has no input '%s'; its inputs are %s", v->entry->name, name,
           count ? text_string(&list) : "none");
    text_free(&list);
    return false;
}

static bool match_file(evaluation *v, const ir_value *argument, input_spec *s)
{
    return s->kind != INPUT_FILE ||
           (input_read(v->d->arena, v->d->diagnostics, s) &&
            eval_match_shape(v->e, s->name, argument->type, s->file.rank, s->file.shape));
}

static bool make_input(evaluation *v, const ir_value *argument, const input_spec *s)
{
    int64_t shape[IR_MAX_RANK];
    named_array *x = &v->inputs[v->n_inputs];
    x->name = s->name;
    if (!eval_shape_of(v->e, s->name, argument->type, shape) ||
        !input_make(v->d->arena, v->d->diagnostics, s, eval_scalar_of(argument->type),
                    argument->type->rank, shape, &x->value))
        return false;
    v->n_inputs++;
    return true;
}

// Files first: their shapes say what the dimensions of generated inputs are.
static bool make_inputs(evaluation *v)
{
    input_spec specs[MOST_VALUES];
    const ir_value *arguments[MOST_VALUES];
    size_t count = v->d->inputs.count;
    bool ok = count <= MOST_VALUES || refuse(v, "more than %d inputs", MOST_VALUES);
    for (size_t i = 0; ok && i < count; i++) {
        ok = input_spec_parse(v->d->arena, v->d->diagnostics, v->d->inputs.items[i], &specs[i]);
        for (size_t j = 0; ok && j < i; j++)
            if (!strcmp(specs[i].name, specs[j].name))
                ok = refuse(v, "input '%s' is given twice", specs[i].name);
        arguments[i] = ok ? find_argument(v, specs[i].name) : NULL;
        ok = ok && (arguments[i] || unknown_input(v, specs[i].name)) &&
             match_file(v, arguments[i], &specs[i]);
    }
    for (size_t i = 0; ok && i < count; i++)
        ok = make_input(v, arguments[i], &specs[i]);
    return ok;
}

// ------------------------------------------------------------------ outputs

static bool find_result(evaluation *v, const char *name, size_t *index)
{
    const char *first = eval_result_name(v->d->arena, v->entry, 0);
    for (*index = 0; *index < v->n_outputs; ++*index)
        if (strcmp(eval_result_name(v->d->arena, v->entry, *index), name) == 0)
            return true;
    return refuse(v, "there is no result '%s'; results are called %s%s", name, first,
                  v->n_outputs > 1 ? ", result1..." : "");
}

static bool read_output(evaluation *v, const char *spec)
{
    const char *equals = strchr(spec, '=');
    if (!equals || equals[1] != '@' || !equals[2])
        return refuse(v, "--output '%s': expected NAME=@FILE.npy", spec);
    result_request r = {.path = equals + 2};
    if (!find_result(v, arena_string(v->d->arena, spec, (size_t)(equals - spec)), &r.index))
        return false;
    ARRAY_PUSH(v->d->arena, &v->written, r);
    return true;
}

static bool read_expectation(evaluation *v, const char *spec)
{
    result_request r = {0};
    if (!expect_spec_parse(v->d->arena, v->d->diagnostics, spec, &r.spec) ||
        !find_result(v, r.spec.name, &r.index))
        return false;
    ARRAY_PUSH(v->d->arena, &v->compared, r);
    return true;
}

static bool read_requests(evaluation *v)
{
    bool ok = true;
    for (size_t i = 0; i < v->d->outputs.count; i++)
        ok &= read_output(v, v->d->outputs.items[i]);
    for (size_t i = 0; i < v->d->expectations.count; i++)
        ok &= read_expectation(v, v->d->expectations.items[i]);
    return ok;
}

static bool check_result(evaluation *v, const result_request *r)
{
    array_difference difference;
    if (!expect_check(v->d->diagnostics, &r->spec, &v->outputs[r->index].value, &difference))
        return false;
    fprintf(stderr, "%s: as expected, nmse %.3g\n", r->spec.name, difference.nmse);
    return true;
}

static void show_result(const named_array *x)
{
    text line = {0};
    int64_t count = array_count(&x->value);
    text_printf(&line, "%s: %s", x->name, scalar_rows[x->value.type].name);
    array_print_shape(&line, x->value.rank, x->value.shape);
    for (int64_t i = 0; i < count && i < SHOWN; i++)
        text_printf(&line, " %.9g", array_get(&x->value, i));
    puts(text_string(&line));
    text_free(&line);
}

static bool give_results(evaluation *v)
{
    bool ok = true;
    for (const result_request *r = v->written.items; r < v->written.items + v->written.count; r++)
        ok &= array_write_npy(v->d->diagnostics, r->path, &v->outputs[r->index].value);
    for (const result_request *r = v->compared.items; r < v->compared.items + v->compared.count;
         r++)
        ok &= check_result(v, r);
    for (size_t i = 0; !v->written.count && !v->compared.count && i < v->n_outputs; i++)
        show_result(&v->outputs[i]);
    return ok;
}

// ------------------------------------------------------------------ expected rounding noise

// The input whose i8 tables a product looks up; NULL: another operation, or other tables.
static const named_array *input_of_product(const evaluation *v, const ir_op *op)
{
    const ir_value *table = op->code == IR_LUT_MPGEMM ? ir_operand(op, 0) : NULL;
    if (!table || table->kind != IR_VALUE_RESULT || table->type->scalar != SCALAR_I8)
        return NULL;
    const ir_value *x = ir_operand(table->op, 0);
    for (size_t i = 0; i < v->n_inputs; i++)
        if (x->name && x->kind == IR_VALUE_ARGUMENT && !strcmp(v->inputs[i].name, x->name))
            return &v->inputs[i];
    return NULL;
}

// What rounding the tables adds to the product, relative to the product.
static bool show_noise(evaluation *v, const ir_op *mpgemm, const array *x)
{
    const ir_value *table = ir_operand(mpgemm, 0), *weight = ir_operand(mpgemm, 1);
    quant_format format;
    if (!quant_format_parse(weight->type->format, &format)) {
        diagnostic_error(v->d->diagnostics, mpgemm->where,
                         "--table-noise is for weights of one format, '%s' is %s",
                         weight->global->name, weight->type->format);
        return false;
    }
    int64_t n = weight->type->dims[0].value, k = weight->type->dims[1].value;
    quant_rows rows = quant_rows_create(v->d->arena, &format, n, k);
    if (!weights_canonical(v->d->weights, v->d->diagnostics, weight->global, 0, n, &rows))
        return false;
    int64_t span = eval_table_span(table->type, machine_tile_depth(&v->d->machine));
    printf("%s %.3g\n", weight->global->name, eval_predict_table_noise(x, &rows, span));
    return true;
}

static bool show_table_noise(evaluation *v)
{
    bool ok = true;
    unsigned products = 0;
    IR_FOR_OPS(op, v->entry->body)
    {
        const named_array *x = input_of_product(v, op);
        products += x != NULL;
        ok = (!x || show_noise(v, op, &x->value)) && ok;
    }
    return products ? ok
                    : refuse(v, "--table-noise: '%s' looks up i8 tables of none of its inputs",
                             v->entry->name);
}

// ------------------------------------------------------------------ the command

static bool evaluate(evaluation *v)
{
    if (!choose_entry(v))
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < v->d->dims.count; i++)
        ok = set_dimension(v, v->d->dims.items[i]);
    ok = ok && make_inputs(v);
    if (v->d->table_noise)
        return ok && show_table_noise(v);
    v->n_outputs = v->entry->results.count;
    if (v->n_outputs > MOST_VALUES)
        return refuse(v, "more than %d results", MOST_VALUES);
    ok &= read_requests(v);
    return ok && eval_call(v->e, v->d->arena, v->entry, v->n_inputs, v->inputs, v->outputs) &&
           give_results(v);
}

// Options that name arguments of one call mean nothing beside a text.
static bool check_text(driver *d)
{
    const struct {
        const char *name;
        bool given;
    } rows[] = {{"--entry", d->entry != NULL},
                {"--input", d->inputs.count > 0},
                {"--dim", d->dims.count > 0},
                {"--output", d->outputs.count > 0},
                {"--expect", d->expectations.count > 0},
                {"--table-noise", d->table_noise}};
    bool ok = true;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].given) {
            diagnostic_error(d->diagnostics, NOWHERE,
                             "%s is for one call of an entry; a text goes through 'forward' and "
                             "'score'",
                             rows[i].name);
            ok = false;
        }
    return ok;
}

// The files of --output NAME=@FILE.
static bool check_places(driver *d)
{
    ARRAY_OF(const char *) files = {0};
    for (size_t i = 0; i < d->outputs.count; i++) {
        const char *file = strstr(d->outputs.items[i], "=@");
        if (file)
            ARRAY_PUSH(d->arena, &files, file + 2);
    }
    bool ok = outputs_have_places(d, files.items, files.count);
    for (size_t i = 0; i < files.count; i++)
        ok &= output_possible(d->diagnostics, files.items[i]);
    return ok;
}

int command_eval(driver *d)
{
    bool writes = text_wanted(&d->text);
    if (!text_check(d->command, &d->text))
        return EXIT_USAGE;
    if ((writes && !check_text(d)) || !check_places(d))
        return EXIT_USER_ERROR;

    bool tables = d->rounded_tables || d->table_noise;
    const char *until = tables && !d->passes ? "pack-weights" : NULL;
    bool passes = d->passes || tables;
    d->adopts_target = true;
    if (!load_module(d) || !is_graph(d, "the oracle evaluates graphs") || !calibrate_weights(d) ||
        (passes && !(choose_pipeline(d, until) && run_pipeline(d))))
        return EXIT_USER_ERROR;
    eval_weights reader = oracle_weights(d);
    eval_options options = {&reader, d->rounded_tables, machine_tile_depth(&d->machine)};
    evaluation *v = ARENA_NEW(d->arena, evaluation);
    v->d = d;
    v->e = eval_create(d->diagnostics, d->module, &options);
    bool ok = writes ? evaluate_text(d, v->e) : evaluate(v);
    eval_destroy(v->e);
    return ok ? EXIT_OK : EXIT_USER_ERROR;
}
