// --calibrate TEXT: weights are quantized by what their products' inputs are on a text.
//
// The oracle reads windows of the text, all of them operation by operation. In front of a product
// the second moments of its inputs are summed and its weight is quantized; what follows is computed
// with that weight. So each product makes up for what quantizing the ones before it has changed,
// and the text is read once.
#include "compiler/driver/driver.h"

#include "compiler/eval/lockstep.h"
#include "compiler/quant/calibrate.h"
#include "support/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { USUAL_TOKENS = 4096, WINDOW = 256 };

typedef struct calibration {
    driver *d;
    evaluator *evaluator;
    const char *path;
    size_t most; // tokens of the text
    model_contract contract;
    const contract_entry *entry;
    size_t window, windows;
    named_array *inputs; // two of each window

    struct known_moments {
        const ir_value *x, *scale;
        quant_moments *sums;
    } known;                   // of the product before
    const ir_global **waiting; // to be quantized
    size_t n_waiting, done;
    progress progress;
} calibration;

#define REFUSE(c, ...) (diagnostic_error((c)->d->diagnostics, NOWHERE, __VA_ARGS__), false)

// ------------------------------------------------------------------------------ the text

const char *calibration_file(driver *d, const char **tokens)
{
    static const char words[] = ",tokens=";
    const char *comma = d->calibrate ? strrchr(d->calibrate, ',') : NULL;
    const bool counted = comma && text_starts_with(comma, words);
    if (tokens)
        *tokens = counted ? comma + strlen(words) : NULL;
    return counted ? arena_string(d->arena, d->calibrate, (size_t)(comma - d->calibrate))
                   : d->calibrate;
}

static bool parse_option(calibration *c)
{
    const char *tokens;
    char *end = NULL;
    c->path = calibration_file(c->d, &tokens);
    c->most = USUAL_TOKENS;
    if (!tokens)
        return true;
    errno = 0;
    long long count = strtoll(tokens, &end, 10);
    if (errno || *end || end == tokens || count < 1 || count > INT32_MAX)
        return REFUSE(c, "--calibrate: expected a number of tokens behind 'tokens=', found '%s'",
                      tokens);
    c->most = (size_t)count;
    return true;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static bool read_tokens(calibration *c, const tokenizer *t, token_list *out)
{
    mapped_file f;
    int64_t bos = tokenizer_adds_bos(t) ? tokenizer_special(t).bos : -1;
    if (bos >= 0)
        ARRAY_PUSH(c->d->arena, out, (uint32_t)bos);
    if (!file_map(c->d->diagnostics, c->path, &f))
        return false;
    bool ok = tokenizer_encode(t, c->d->arena, c->d->diagnostics, (const char *)f.data, f.size,
                               (encode_options){0}, out);
    if (ok && !f.size)
        ok = REFUSE(c, "--calibrate: '%s' is empty", c->path);
    file_unmap(&f);
    return ok;
}

// A window begins as --perplexity's do: with BOS in place of its first token.
static void make_windows(calibration *c, const tokenizer *t, const token_list *tokens)
{
    arena *a = c->d->arena;
    const ir_function *f = ir_function_find(c->d->module, c->entry->name);
    int32_t *ids = ARENA_ARRAY(a, int32_t, c->windows * c->window);
    int32_t *position = ARENA_ARRAY(a, int32_t, 1);
    for (size_t i = 0; i < c->windows * c->window; i++)
        ids[i] = (int32_t)tokens->items[i];
    c->inputs = ARENA_ARRAY(a, named_array, 2 * c->windows);
    for (size_t i = 0; i < c->windows; i++) {
        int32_t *first = ids + i * c->window;
        if (tokenizer_adds_bos(t))
            *first = (int32_t)tokenizer_special(t).bos;
        text_inputs(a, c->entry, f, 1, c->window, first, position, c->inputs + 2 * i);
    }
}

static bool read_text(calibration *c)
{
    tokenizer *t = find_language_model(c->d, &c->contract);
    token_list tokens = {0};
    if (!t)
        return false;
    c->entry = c->contract.score.name ? &c->contract.score : &c->contract.forward;
    if (tokenizer_count(t) != c->contract.vocabulary)
        return REFUSE(c, "the vocabulary has %zu tokens, but the program gives %zu logits",
                      tokenizer_count(t), c->contract.vocabulary);
    if (!read_tokens(c, t, &tokens))
        return false;
    size_t context = least(c->contract.context_length, c->contract.largest_tokens);
    c->window = least(context, WINDOW);
    if (tokens.count < c->window)
        return REFUSE(c,
                      "--calibrate: '%s' has %zu tokens, fewer than a window of %zu; give a "
                      "longer text",
                      c->path, tokens.count, c->window);
    if (c->most < c->window)
        return REFUSE(c, "--calibrate: tokens=%zu is less than a window of %zu", c->most,
                      c->window);
    c->windows = least(tokens.count, c->most) / c->window;
    make_windows(c, t, &tokens);
    return true;
}

// --------------------------------------------------------------------------- the weights

static bool add_moments(eval_lockstep *s, int64_t k, quant_moments *sums)
{
    for (size_t i = 0; i < eval_lockstep_calls(s); i++) {
        eval_matrix x, scale;
        if (!eval_lockstep_operand(s, i, "x", &x) || !eval_lockstep_operand(s, i, "scale", &scale))
            return false;
        if (x.columns != k || (scale.data && scale.rows * scale.columns != x.rows))
            INTERNAL_ERROR("a product was verified and does not fit its inputs");
        quant_moments_add(sums, x.data, scale.data, x.rows);
    }
    return true;
}

// Products of the same inputs, one behind the other, share their moments.
static quant_moments *find_moments(calibration *c, eval_lockstep *s, const ir_op *op, int64_t k)
{
    struct known_moments *known = &c->known;
    const ir_value *x = ir_operand_named(op, "x"), *scale = ir_operand_named(op, "scale");
    if (known->sums && known->x == x && known->scale == scale)
        return known->sums;
    quant_moments_destroy(known->sums);
    *known = (struct known_moments){x, scale, quant_moments_create(k)};
    if (!add_moments(s, k, known->sums))
        return NULL;
    if (quant_moments_finish(known->sums, quant_calibration_usual.damping))
        return known->sums;
    diagnostic_error(c->d->diagnostics, op->where,
                     "--calibrate: the inputs of '%s' are not finite on this text",
                     ir_operand_named(op, "w")->global->name);
    return NULL;
}

// Rows from `start` on, into `rows`, which have one format. Rows that the file holds exactly stay;
// so do those that calibration does not improve.
static bool calibrate_rows(calibration *c, const ir_global *g, const weights_tensor *t,
                           const quant_moments *sums, int64_t start, quant_rows *rows)
{
    enum { ROWS = 64 };
    driver *d = c->d;
    arena *a = arena_create();
    float *values = arena_alloc_array(a, ROWS, (size_t)t->columns * sizeof *values);
    bool ok = true;
    for (int64_t first = 0; first < rows->n && ok; first += ROWS) {
        int64_t count = rows->n - first < ROWS ? rows->n - first : ROWS, at = start + first;
        quant_rows some = quant_rows_slice(rows, first, count);
        ok = weights_canonical(d->weights, d->diagnostics, g, at, some.n, &some) &&
             weights_read_rows(d->weights, d->diagnostics, t, at, some.n, values);
        if (ok)
            quant_calibrate(sums, &quant_calibration_usual, values, &some);
        double part = (double)(at + some.n) / (double)t->rows;
        progress_update(&c->progress, ((double)c->done + part) / (double)c->n_waiting, g->name);
    }
    arena_destroy(a);
    return ok;
}

// The formats of the blocks of rows are chosen by what each costs the product.
static bool choose_parts(calibration *c, const ir_global *g, const weights_tensor *t,
                         const quant_moments *sums, const quant_mix *m, uint8_t *part_of_block)
{
    driver *d = c->d;
    arena *a = arena_create();
    int64_t blocks = quant_mix_blocks(m, t->rows);
    double *errors = arena_alloc_array(a, (size_t)blocks, m->n_parts * sizeof *errors);
    float *values = arena_alloc_array(a, (size_t)m->rows, (size_t)t->columns * sizeof *values);
    bool ok = true;
    for (int64_t b = 0; b < blocks && ok; b++) {
        int64_t n = quant_mix_block_rows(m, t->rows, b);
        ok = weights_read_rows(d->weights, d->diagnostics, t, b * m->rows, n, values);
        for (unsigned i = 0; i < m->n_parts && ok; i++) {
            quant_rows rows = quant_rows_create(a, &m->parts[i].format, n, t->columns);
            quant_quantize_by(QUANT_CLIPPED, values, &rows);
            errors[i * blocks + b] = quant_product_error(sums, values, &rows);
        }
    }
    if (ok) {
        quant_mix_choose(m, blocks, errors, part_of_block);
        weights_place_parts(d->weights, t, g, part_of_block);
    }
    arena_destroy(a);
    return ok;
}

static bool calibrate_blocks(calibration *c, const ir_global *g, const weights_tensor *t,
                             const quant_moments *sums, const quant_mix *m)
{
    driver *d = c->d;
    int64_t blocks = quant_mix_blocks(m, t->rows);
    uint8_t *part_of_block = arena_alloc(d->arena, (size_t)blocks);
    bool ok = !quant_is_mixed(m) || choose_parts(c, g, t, sums, m, part_of_block);
    for (int64_t b = 0; b < blocks && ok; b++) {
        unsigned part = quant_is_mixed(m) ? part_of_block[b] : 0;
        int64_t n = quant_mix_block_rows(m, t->rows, b);
        quant_rows rows = quant_rows_create(d->arena, &m->parts[part].format, n, t->columns);
        ok = calibrate_rows(c, g, t, sums, b * m->rows, &rows);
        if (ok)
            weights_place_rows(d->weights, t, b * m->rows, &rows);
    }
    return ok;
}

static bool calibrate_weight(calibration *c, eval_lockstep *s, const ir_op *op, const ir_global *g)
{
    driver *d = c->d;
    weights_tensor t;
    quant_mix mix;
    if (!weights_resolve(d->weights, d->diagnostics, g, &t) || !weights_global_mix(g, &mix))
        return false;
    quant_moments *sums = find_moments(c, s, op, t.columns);
    if (!sums || !calibrate_blocks(c, g, &t, sums, &mix))
        return false;
    eval_forget_weight(c->evaluator, g);
    c->done++;
    return true;
}

// ------------------------------------------------------------------------------- the run

static const ir_global *weight_of(const ir_op *op)
{
    quant_mix m;
    const ir_value *w = op->code == IR_LINEAR ? ir_operand_named(op, "w") : NULL;
    bool known = w && w->kind == IR_VALUE_GLOBAL && weights_global_mix(w->global, &m);
    return known && quant_looks_up(&m.parts[0].format) ? w->global : NULL;
}

static bool is_waiting(const calibration *c, const ir_global *g)
{
    for (size_t i = 0; i < c->n_waiting; i++)
        if (c->waiting[i] == g)
            return true;
    return false;
}

static void note_weight(calibration *c, const ir_global *g)
{
    if (g && !is_waiting(c, g))
        c->waiting[c->n_waiting++] = g;
}

// The weights of the entry's products, each once.
static void find_weights(calibration *c, const ir_function *f)
{
    size_t count = 0;
    for (const ir_global *g = c->d->module->globals; g; g = g->next)
        count++;
    c->waiting = ARENA_ARRAY(c->d->arena, const ir_global *, count);
    IR_FOR_OPS(op, f->body)
    note_weight(c, weight_of(op));
}

// A weight of several products is quantized for the first of them.
static eval_verdict before_op(void *context, eval_lockstep *s, const ir_op *op)
{
    calibration *c = context;
    if (c->done == c->n_waiting)
        return EVAL_DONE;
    const ir_global *g = weight_of(op);
    if (!g || c->waiting[c->done] != g)
        return EVAL_GO_ON;
    return calibrate_weight(c, s, op, g) ? EVAL_GO_ON : EVAL_FAILED;
}

static bool run_calibration(calibration *c)
{
    driver *d = c->d;
    const ir_function *f = ir_function_find(d->module, c->entry->name);
    find_weights(c, f);
    if (!c->n_waiting) {
        diagnostic_warning(d->diagnostics, NOWHERE,
                           "--calibrate: no product of '%s' has a weight that is quantized",
                           f->name);
        return true;
    }
    eval_weights reader = oracle_weights(d);
    eval_options options = {&reader, false, machine_tile_depth(&d->machine)};
    eval_watch watch = {c, before_op};
    c->evaluator = eval_create(d->diagnostics, d->module, &options);
    c->progress = (progress){.what = "calibrating"};
    bool ok = eval_call_together(c->evaluator, f, c->windows, 2, c->inputs, &watch);
    progress_end(&c->progress);
    eval_destroy(c->evaluator);
    quant_moments_destroy(c->known.sums);
    return ok;
}

bool calibrate_weights(driver *d)
{
    calibration c = {.d = d};
    double start = clock_seconds();
    if (!d->calibrate)
        return true;
    if (weights_kind_of(d->weights) == WEIGHTS_NONE)
        return REFUSE(&c, "--calibrate: there is nothing to quantize: give --weights");
    if (!is_graph(d, "--calibrate evaluates graphs"))
        return false;
    bool ok = parse_option(&c) && read_text(&c) && run_calibration(&c);
    add_time(d, "calibrate", start);
    return ok;
}
