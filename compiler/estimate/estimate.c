// An entry: its calls one after the other, equal ones estimated once.
#include "compiler/estimate/internal.h"

#include <math.h>
#include <string.h>

enum { MAX_ARGUMENTS = 64 };
// Operations that are walked in all: some seconds. Whole models take less than a tenth of them.
#define MOST_STEPS UINT64_C(100000000)

// Memory that calls hand on to one another.
typedef struct memory_root {
    const void *key; // the alloc or the global
    bool is_weight;
    double extent;  // bytes
    double touched; // bytes, by the call that did last
    double clock;   // when it had
} memory_root;

// A call that was estimated. `near` are the levels that its buffers were found at.
typedef struct known_call {
    const ir_function *function;
    unsigned n;
    int64_t values[MAX_ARGUMENTS];
    uint8_t near[MAX_ARGUMENTS];
    size_t kernel;
    call_result result;
} known_call;

// What a call wrote while so many bytes were touched.
typedef struct written_bytes {
    double from, to; // clock
    double bytes;
} written_bytes;

typedef struct run {
    arena *arena;
    diagnostics *diagnostics;
    ir_module *module;
    const estimate_options *options;
    estimate *out;
    ARRAY_OF(function_info *) functions;
    ARRAY_OF(memory_root) roots;
    ARRAY_OF(known_call) known;
    ARRAY_OF(written_bytes) written;
    function_info *entry;
    double clock;
    uint64_t steps_left;
    bool failed;
} run;

static void fail(run *r, location where, const char *format, const char *name)
{
    diagnostic_error(r->diagnostics, where, format, name);
    r->failed = true;
}

// ------------------------------------------------------------------------------ memory

static size_t root_index(run *r, const void *key, bool is_weight, double extent)
{
    for (size_t i = r->roots.count; i-- > 0;)
        if (r->roots.items[i].key == key)
            return i;
    memory_root m = {.key = key, .is_weight = is_weight, .extent = extent, .clock = -INFINITY};
    ARRAY_PUSH(r->arena, &r->roots, m);
    return r->roots.count - 1;
}

// Bytes of a tensor or buffer, its dimensions as they are given.
static double extent_of(const run *r, const ir_type *t)
{
    double n = (double)scalar_size(t->scalar);
    for (unsigned i = 0; i < t->rank; i++) {
        double size = (double)ir_dim_maximum(t->dims[i]);
        for (size_t k = 0; k < r->options->dims.count; k++)
            if (t->dims[i].symbol &&
                !strcmp(t->dims[i].symbol->name, r->options->dims.items[k].name))
                size = (double)(t->dims[i].value * r->options->dims.items[k].value);
        n *= size;
    }
    return n;
}

// The memory that a buffer of the entry is a part of.
static size_t root_of(run *r, const ir_value *v)
{
    while (v->kind == IR_VALUE_RESULT && v->op->code == IR_VIEW)
        v = ir_operand(v->op, 0);
    if (v->kind == IR_VALUE_RESULT && v->op->code == IR_ADDRESS) {
        const ir_global *g = ir_operand(v->op, 0)->global;
        bool weight = g->kind == IR_GLOBAL_WEIGHT;
        return root_index(r, g, weight, weight ? (double)g->size : extent_of(r, g->value.type));
    }
    return root_index(r, v, false, extent_of(r, v->type));
}

static double age_of(const run *r, size_t index)
{
    const memory_root *m = &r->roots.items[index];
    return r->clock - m->clock + m->touched;
}

static uint8_t nearness(const machine *m, double age)
{
    if (age < (double)m->scratch_size)
        return 0;
    return (m->parts & MACHINE_L2) && age * m->harts < (double)m->l2_size ? 1 : 2;
}

// Bytes that earlier calls wrote and that leave scratch while `more` bytes are touched.
static double evicted_by(const run *r, double more)
{
    double sum = 0, room = (double)r->options->machine->scratch_size;
    for (size_t i = r->written.count; i-- > 0;) {
        const written_bytes *w = &r->written.items[i];
        double from = fmax(w->from, r->clock - room), to = fmin(w->to, r->clock + more - room);
        if (w->to < r->clock - room)
            break;
        if (to > from)
            sum += w->bytes * (to - from) / (w->to - w->from);
    }
    return sum;
}

// ------------------------------------------------------------------------------- calls

static function_info *function_of(run *r, const ir_function *f)
{
    for (size_t i = 0; i < r->functions.count; i++)
        if (r->functions.items[i]->function == f)
            return r->functions.items[i];
    function_info *info = analyze_function(r->arena, f);
    ARRAY_PUSH(r->arena, &r->functions, info);
    return info;
}

static void add_work(estimate_work *to, const estimate_work *w)
{
    double *t = (double *)to;
    const double *x = (const double *)w;
    for (size_t i = 0; i < sizeof *w / sizeof(double); i++)
        t[i] += x[i];
}

// Units and memory that reach less than their peak; joules of the memory behind registers.
static void finish_work(const run *r, estimate_work *w)
{
    const machine *m = r->options->machine;
    double compute = r->options->compute > 0 ? r->options->compute : 1;
    static const isa_unit units[] = {ISA_UNIT_LUT, ISA_UNIT_MATRIX};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        w->cycles = fmax(w->cycles, w->busy[units[i]] / compute);
    double rate = m->memory_bandwidth * (r->options->memory > 0 ? r->options->memory : 1);
    w->cycles = fmax(w->cycles, (w->memory_read + w->memory_written) * m->clock / rate);
    if (m->parts & MACHINE_L2)
        w->cycles = fmax(w->cycles, w->l2 * m->clock / m->l2_bandwidth);
    const double behind = m->parts & MACHINE_L2 ? m->energy_l2 : m->energy_scratch;
    w->energy += w->scratch * m->energy_scratch + w->l2 * (m->energy_l2 + m->energy_scratch) +
                 (w->memory_read + w->memory_written) * (m->energy_memory + behind) +
                 m->energy_static * w->cycles / m->clock;
}

static size_t kernel_of(run *r, const function_info *f)
{
    for (size_t i = 0; i < r->out->kernels.count; i++)
        if (!strcmp(r->out->kernels.items[i].name, f->function->name))
            return i;
    estimate_kernel k = {.name = f->function->name, .class = f->class};
    ARRAY_PUSH(r->arena, &r->out->kernels, k);
    return r->out->kernels.count - 1;
}

static known_call *find_known(run *r, const known_call *c)
{
    for (size_t i = 0; i < r->known.count; i++) {
        known_call *k = &r->known.items[i];
        if (k->function == c->function && k->n == c->n &&
            !memcmp(k->values, c->values, c->n * sizeof *c->values) &&
            !memcmp(k->near, c->near, c->n * sizeof *c->near))
            return k;
    }
    return NULL;
}

static known_call *estimate_call(run *r, known_call *c, const size_t *roots)
{
    root at[MAX_ARGUMENTS] = {0};
    function_info *f = function_of(r, c->function);
    for (unsigned i = 0; i < c->n; i++)
        if (roots[i] != SIZE_MAX)
            at[i] =
                (root){.age = age_of(r, roots[i]), .is_weight = r->roots.items[roots[i]].is_weight};
    call_frame frame = {.arena = r->arena,
                        .diagnostics = r->diagnostics,
                        .options = r->options,
                        .values = c->values,
                        .roots = at,
                        .evicted = evicted_by(r, (double)r->options->machine->scratch_size),
                        .steps_left = &r->steps_left};
    c->kernel = kernel_of(r, f);
    if (!walk_call(f, &frame, &c->result)) {
        r->failed = true;
        return NULL;
    }
    finish_work(r, &c->result.counts.work);
    ARRAY_PUSH(r->arena, &r->known, *c);
    return &r->known.items[r->known.count - 1];
}

static void run_call(run *r, const ir_op *op)
{
    size_t roots[MAX_ARGUMENTS];
    known_call c = {.n = op->n_operands};
    c.function = ir_function_find(r->module, ir_find(op, "callee")->text);
    if (!c.function || c.n > MAX_ARGUMENTS) {
        fail(r, op->where, "estimate: the call of '%s' cannot be followed",
             ir_find(op, "callee")->text);
        return;
    }
    for (unsigned i = 0; i < c.n; i++) {
        const ir_value *v = ir_operand(op, i);
        bool buffer = v->type->kind == IR_BUFFER;
        roots[i] = buffer ? root_of(r, v) : SIZE_MAX;
        c.values[i] = info_of(r->entry, v)->value;
        c.near[i] = buffer ? nearness(r->options->machine, age_of(r, roots[i])) : 0;
    }
    const known_call *k = find_known(r, &c);
    k = k ? k : estimate_call(r, &c, roots);
    if (!k)
        return;
    written_bytes w = {r->clock, r->clock + k->result.counts.unique, k->result.counts.dirtied};
    r->clock = w.to;
    if (w.bytes > 0 && w.to > w.from)
        ARRAY_PUSH(r->arena, &r->written, w);
    for (unsigned i = 0; i < c.n && i < MAX_ROOTS; i++) {
        if (roots[i] == SIZE_MAX || k->result.counts.first[i] == 0)
            continue;
        r->roots.items[roots[i]].clock = r->clock;
        r->roots.items[roots[i]].touched = k->result.counts.first[i];
    }
    estimate_kernel *kernel = &r->out->kernels.items[k->kernel];
    kernel->calls++;
    kernel->harts = k->result.harts > kernel->harts ? k->result.harts : kernel->harts;
    add_work(&kernel->work, &k->result.counts.work);
}

// ------------------------------------------------------------------------------- entry

static int64_t given_dimension(run *r, const ir_op *op, const char *name)
{
    for (size_t i = 0; i < r->options->dims.count; i++)
        if (!strcmp(r->options->dims.items[i].name, name))
            return r->options->dims.items[i].value;
    fail(r, op->where,
         "estimate: the size of '%s' is not given; give it with --dim, or with --prefill or "
         "--decode of a language model",
         name);
    return 1;
}

static int64_t evaluate(run *r, const ir_op *op)
{
    int64_t x[3] = {0}, y = 0;
    for (unsigned i = 0; i < op->n_operands && i < 3; i++)
        if (ir_operand(op, i) && ir_operand(op, i)->kind != IR_VALUE_GLOBAL)
            x[i] = info_of(r->entry, ir_operand(op, i))->value;
    switch (op->code) {
    case IR_DIMENSION: return given_dimension(r, op, ir_find(op, "symbol")->text);
    case IR_RANKS: return r->options->machine->harts;
    case IR_LOAD: return r->options->position;
    default: return evaluate_integer(op, x, &y) ? y : 0;
    }
}

// Bytes behind the start of the memory that a view begins at.
static int64_t view_offset(run *r, const ir_op *op)
{
    const ir_value *buffer = ir_operand(op, 0);
    const ir_type *t = buffer->type;
    int64_t at = 0;
    for (unsigned i = 1; i < op->n_operands && i <= t->rank; i++)
        at += info_of(r->entry, ir_operand(op, i))->value * element_stride(t, i - 1);
    return info_of(r->entry, buffer)->value + at * (int64_t)scalar_size(t->scalar);
}

static void run_block(run *r, ir_block *b)
{
    IR_FOR_OPS(op, b)
    {
        if (r->failed)
            return;
        if (op->code == IR_CALL)
            run_call(r, op);
        else if (op->code == IR_VIEW)
            info_of(r->entry, &op->results[0])->value = view_offset(r, op);
        else if (op->code == IR_IF) // what rank 0 does alone, and what is checked
            for (unsigned i = 0; i < op->n_regions; i++)
                run_block(r, op->regions[i]);
        else if (op->n_results == 1)
            info_of(r->entry, &op->results[0])->value = evaluate(r, op);
    }
}

// The entry itself: its arguments come from memory; so does the return address, if the calls left
// no line of the stack in scratch. It fills the registers of each call, and meets other harts.
static void run_entry(run *r, const ir_function *entry)
{
    enum { WORDS = LINE / 8, FRAME = 6, CALL = 10 };
    const machine *m = r->options->machine;
    double lines = (double)((entry->body->arguments.count + WORDS - 1) / WORDS);
    double misses = 1 + (r->clock > (double)m->scratch_size), n = FRAME;
    estimate_kernel k = {.name = entry->name, .class = ESTIMATE_ELEMENTWISE, .calls = 1};
    IR_FOR_OPS(op, entry->body)
    {
        n += op->code == IR_CALL ? CALL + op->n_operands : 0;
    }
    k.harts = 1;
    k.work.issued = k.work.classes[ISA_CLASS_INTEGER] = n;
    k.work.busy[ISA_UNIT_SCALAR] = n;
    k.work.memory_read = lines * LINE;
    k.work.cycles = n + misses * (m->memory_latency + LINE / m->memory_bandwidth) * m->clock;
    k.work.energy = n * (m->energy_instruction + m->energy_scalar);
    finish_work(r, &k.work);
    ARRAY_PUSH(r->arena, &r->out->kernels, k);
}

static const ir_function *find_entry(run *r)
{
    static const char *const usual[] = {"forward", "main"};
    const ir_function *only = NULL;
    unsigned n = 0;
    for (const ir_function *f = r->module->functions; f; f = f->next) {
        only = f->entry ? f : only;
        n += f->entry;
    }
    if (!r->options->entry && n == 1)
        return only;
    for (size_t i = 0; i < 2 && !r->options->entry; i++) {
        const ir_function *f = ir_function_find(r->module, usual[i]);
        if (f && f->entry)
            return f;
    }
    const char *wanted = r->options->entry ? r->options->entry : "main";
    const ir_function *f = ir_function_find(r->module, wanted);
    if (f && f->entry)
        return f;
    fail(r, NOWHERE, "the program has no entry '%s'; --entry names one", wanted);
    return NULL;
}

static bool check_dims(run *r)
{
    for (size_t i = 0; i < r->options->dims.count; i++) {
        const estimate_dim *d = &r->options->dims.items[i];
        const ir_symbol *s = ir_symbol_find(r->module, d->name);
        if (!s || (d->value >= s->minimum && d->value <= s->maximum))
            continue;
        diagnostic_error(r->diagnostics, s->where,
                         "the dimension '%s' is %lld..%lld in this program, found %lld", s->name,
                         (long long)s->minimum, (long long)s->maximum, (long long)d->value);
        r->failed = true;
    }
    return !r->failed;
}

static void add_up(run *r)
{
    const machine *m = r->options->machine;
    for (size_t i = 0; i < r->out->kernels.count; i++) {
        estimate_kernel *k = &r->out->kernels.items[i];
        k->bound = estimate_bound(m, &k->work, NULL);
        add_work(&r->out->classes[k->class], &k->work);
        add_work(&r->out->total, &k->work);
    }
}

bool estimate_module(arena *a, diagnostics *d, ir_module *m, const estimate_options *options,
                     estimate *out)
{
    run r = {.arena = a,
             .diagnostics = d,
             .module = m,
             .options = options,
             .out = out,
             .steps_left = options->most_steps ? options->most_steps : MOST_STEPS};
    *out = (estimate){.machine = options->machine, .new_tokens = 1};
    const ir_function *entry = find_entry(&r);
    if (!entry || !check_dims(&r))
        return false;
    out->entry = entry->name;
    for (size_t i = 0; i < options->dims.count; i++)
        out->new_tokens *= (double)options->dims.items[i].value;
    r.entry = analyze_function(a, entry);
    for (size_t i = 0; i < entry->body->arguments.count; i++)
        info_of(r.entry, entry->body->arguments.items[i])->value =
            entry->body->arguments.items[i]->type->kind == IR_BUFFER ? 0 : options->position;
    run_block(&r, entry->body);
    run_entry(&r, entry);
    add_up(&r);
    return !r.failed;
}

// ------------------------------------------------------------------------------ bounds

const char *const estimate_class_names[ESTIMATE_CLASSES] = {
    [ESTIMATE_LINEAR] = "linear",
    [ESTIMATE_ATTENTION] = "attention",
    [ESTIMATE_ELEMENTWISE] = "elementwise",
};

#define ISA_UNIT(E, name, doc) [ISA_UNIT_##E] = name,
const char *const estimate_bound_names[ESTIMATE_BOUNDS] = {
    ISA_UNITS(ISA_UNIT)[ESTIMATE_ISSUE] = "issue",
    [ESTIMATE_L2] = "l2",
    [ESTIMATE_MEMORY] = "memory",
    [ESTIMATE_LATENCY] = "latency",
};
#undef ISA_UNIT

double estimate_seconds(const estimate *e, const estimate_work *w)
{
    return w->cycles / e->machine->clock;
}

double estimate_instructions(const estimate_work *w)
{
    double n = 0;
    for (unsigned i = 0; i < ISA_CLASS_COUNT; i++)
        n += w->classes[i];
    return n;
}

unsigned estimate_bound(const machine *m, const estimate_work *w, double *fraction)
{
    double seconds = w->cycles / m->clock, best = 0;
    double use[ESTIMATE_BOUNDS] = {0};
    unsigned bound = ESTIMATE_LATENCY;
    for (unsigned i = 0; i < ISA_UNIT_COUNT; i++)
        use[i] = w->busy[i] / w->cycles;
    use[ESTIMATE_ISSUE] = w->issued / (w->cycles * m->issue_width);
    use[ESTIMATE_MEMORY] = (w->memory_read + w->memory_written) / (seconds * m->memory_bandwidth);
    use[ESTIMATE_L2] = m->l2_bandwidth > 0 ? w->l2 / (seconds * m->l2_bandwidth) : 0;
    for (unsigned i = 0; i < ESTIMATE_BOUNDS; i++) {
        if (use[i] <= best)
            continue;
        best = use[i];
        bound = i;
    }
    if (fraction)
        *fraction = best;
    return best < 0.5 ? ESTIMATE_LATENCY : bound;
}
