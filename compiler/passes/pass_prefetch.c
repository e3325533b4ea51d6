// prefetch: what tile loads will read is on its way when they read it.
//
// In a loop that looks up tiles, what is loaded from addresses that advance with the rounds is
// prefetched as far ahead as memory needs: its latency, in the time that a round takes, as long as
// no more lines are under way than the machine follows. What is read right behind the loop from
// the same stream is prefetched as far ahead too, so that the whole stream is. Prefetches read
// nothing and never fault: those beyond the end of what is read bring what follows.
#include "compiler/passes/prefetch.h"

#include <math.h>
#include <string.h>

enum { MOST_STREAMS = 64, NEAR = 3 }; // NEAR: lookups around where a prefetch should stand

// Memory that a round reads: `bytes` at `root` + `at`.
typedef struct stream {
    const ir_value *root;
    address at;
    int64_t bytes, advance; // from round to round
    ir_op *reader;          // that reads of it first
    ir_value *view;         // of what it reads, `before` bytes behind the stream's beginning
    int64_t before;
} stream;

typedef struct prefetching {
    ir_module *module;
    pass_context *context;
    const machine *machine;
    ir_op *loop;
    unsigned count;
    stream streams[MOST_STREAMS];
    double ahead; // rounds
    bool halved;  // each half of the loop uses what the other one reads in all rounds
} prefetching;

// --------------------------------------------------------------------- streams

// Adds a later read to a stream that it overlaps, or that it begins or ends beside. False: it lies
// elsewhere.
static bool extend(stream *s, const stream *next)
{
    int64_t begin = s->at.constant, end = begin + s->bytes;
    int64_t next_begin = next->at.constant, next_end = next_begin + next->bytes;
    if (s->root != next->root || !address_same_terms(&s->at, &next->at) || next_begin > end ||
        next_end < begin)
        return false;
    s->at.constant = next_begin < begin ? next_begin : begin;
    s->bytes = (next_end > end ? next_end : end) - s->at.constant;
    s->before += begin - s->at.constant;
    return true;
}

// What filled a gap between streams makes them one.
static void join(prefetching *p)
{
    for (unsigned i = 0; i < p->count; i++)
        for (unsigned j = i + 1; j < p->count; j++) {
            if (!extend(&p->streams[i], &p->streams[j]))
                continue;
            p->count--;
            memmove(&p->streams[j], &p->streams[j + 1], (p->count - j) * sizeof(stream));
            j = i; // the longer one may touch others
        }
}

static void add_read(prefetching *p, ir_op *reader, ir_value *view)
{
    stream s = {.view = view, .reader = reader, .bytes = buffer_bytes(view->type)};
    if (!is_op(view, IR_VIEW) || !address_of(view, &s.root, &s.at))
        return;
    const ir_value *counter = p->loop->regions[0]->arguments.items[0];
    s.advance = address_factor(&s.at, counter) * loop_step(p->loop);
    if (s.advance <= 0)
        return;
    for (unsigned i = 0; i < p->count; i++) {
        if (extend(&p->streams[i], &s))
            return;
    }
    if (p->count < MOST_STREAMS)
        p->streams[p->count++] = s;
}

// What an op reads in the order of a stream, or NULL.
static ir_value *read_by(const ir_op *op)
{
    switch (op->code) {
    case IR_XLUT_LD: return ir_operand_named(op, "from");
    case IR_XLUT_DEQ: return ir_operand_named(op, "weight_scale");
    case IR_XLUT_OFF: return ir_operand_named(op, "v");
    default: return NULL;
    }
}

static void collect(prefetching *p)
{
    IR_FOR_OPS(op, p->loop->regions[0])
    {
        ir_value *view = read_by(op);
        if (view)
            add_read(p, op, view);
    }
    join(p);
}

// -------------------------------------------------------------------- distance

static uint8_t number_of(const ir_op *op, const char *attribute, const char *const *names,
                         unsigned count)
{
    const char *word = ir_name(op, attribute);
    uint8_t i = 0;
    while (i < count && !(names[i] && !strcmp(names[i], word)))
        i++;
    return i;
}
#define NUMBER_OF(op, attribute, names)                                                            \
    number_of((op), (attribute), (names), sizeof(names) / sizeof *(names))

static double lookup_cycles(const machine *m, const ir_op *op)
{
    unsigned planes = op->n_operands - (unsigned)ir_operand_slot(IR_XLUT_MMA, "planes");
    isa_instruction in = {.opcode = ISA_LMMA,
                          .table = NUMBER_OF(op, "entry", xlut_table_names),
                          .rows = NUMBER_OF(op, "rows", xlut_rows_names),
                          .slice = NUMBER_OF(op, "slice", xlut_slice_names)};
    in.form = (uint8_t)(ir_name_is(op, "form", "ternary") ? XLUT_FORM_TERNARY
                        : ir_name_is(op, "form", "full")  ? XLUT_FORM_FULL
                                                          : XLUT_FORM_PLANES1 + planes - 1);
    return isa_cost_of(m, &in, &(isa_shape){0}).busy;
}

static const ir_op *shared_loop_around(const ir_op *op)
{
    while (op && (op->code != IR_FOR || ir_name_is(op, "share", "none")))
        op = op->block->parent;
    return op;
}

// Loops in a block that load from a buffer.
static unsigned readers_of(const ir_value *root, const ir_block *b)
{
    unsigned readers = 0;
    bool reads = false;
    IR_FOR_OPS(op, b)
    {
        const ir_value *from = NULL, *view = read_by(op);
        address at;
        reads = reads || (view && address_of(view, &from, &at) && from == root);
        for (unsigned i = 0; i < op->n_regions; i++)
            readers += readers_of(root, op->regions[i]);
    }
    return readers + reads;
}

// Bytes that a loop around loads from one read of a stream to the next.
static double between_reads(const stream *s, const ir_op *around)
{
    return bytes_loaded(around->regions[0]) / readers_of(s->root, around->regions[0]);
}

// Scratch keeps what a loop around comes back to, if it has room for what is loaded until then.
static bool comes_from_memory(const prefetching *p, const stream *s)
{
    const ir_op *around = shared_loop_around(p->loop);
    if (!around || address_factor(&s->at, around->regions[0]->arguments.items[0]))
        return true;
    return !p->halved && between_reads(s, around) > SCRATCH_KEPT * (double)p->machine->scratch_size;
}

// Lines that a round reads from memory.
static double lines_from_memory(const prefetching *p)
{
    double lines = 0;
    for (unsigned i = 0; i < p->count; i++)
        if (comes_from_memory(p, &p->streams[i]))
            lines += (double)p->streams[i].bytes / LINE;
    return lines;
}

static bool loads_plane(const ir_op *op)
{
    return op->code == IR_XLUT_LD && op->results[0].type->tile == TILE_PLANE;
}

// Lines of planes that a round loads.
static double plane_lines(const prefetching *p)
{
    double lines = 0;
    IR_FOR_OPS(op, p->loop->regions[0])
    lines += loads_plane(op) ? (double)machine_tile_bytes(p->machine) / LINE : 0;
    return lines;
}

// The first reader of a stream of tables that come from memory.
static bool loads_far_table(const prefetching *p, const ir_op *op)
{
    bool loads = false;
    for (unsigned i = 0; i < p->count; i++)
        loads |=
            p->streams[i].reader == op && !loads_plane(op) && comes_from_memory(p, &p->streams[i]);
    return loads && op->code == IR_XLUT_LD;
}

// The most lines that are asked for in front of a lookup.
static double lines_at_once(const prefetching *p)
{
    double most = 0, lines = 0;
    IR_FOR_OPS(op, p->loop->regions[0])
    {
        lines = op->code == IR_XLUT_MMA ? 0 : lines;
        if (loads_plane(op) || loads_far_table(p, op))
            lines += (double)machine_tile_bytes(p->machine) / LINE;
        most = lines > most ? lines : most;
    }
    return most;
}

static bool looks_up_one_row(const prefetching *p)
{
    bool one = false;
    IR_FOR_OPS(op, p->loop->regions[0])
    one |= op->code == IR_XLUT_MMA && ir_name_is(op, "rows", "one");
    return one;
}

static unsigned count_lookups(const prefetching *p)
{
    unsigned count = 0;
    IR_FOR_OPS(op, p->loop->regions[0])
    count += op->code == IR_XLUT_MMA;
    return count;
}

static bool scales(const ir_block *b)
{
    const ir_op *op = b->first;
    while (op && op->code != IR_XLUT_DEQ)
        op = op->next;
    return op;
}

enum { OTHERS = 4 }; // lines that are asked for beside: epilogues' rows and scales

// A lookup waits until all its lines are there, while those ahead are under way. Meanwhile nothing
// else is asked for; what a load and a prefetch take per line, so many have arrived when the next
// lookup's are asked for. Twice the latency is enough where more may be under way.
static void measure(prefetching *p)
{
    const machine *m = p->machine;
    double lines = lines_from_memory(p), lookups = 0, per_line = LINE / m->memory_bandwidth;
    IR_FOR_OPS(op, p->loop->regions[0])
    if (op->code == IR_XLUT_MMA)
        lookups += lookup_cycles(m, op) / m->clock;
    bool waits = lines * per_line > lookups; // for memory, whatever is done
    double round = waits ? lines * per_line : lookups;
    p->ahead = 2 * m->memory_latency / round;
    if (!waits) { // prefetches and loads of the same stand as near as they can
        double apart = 2.0 * NEAR / count_lookups(p), most = lines_at_once(p);
        if (most > 2.0 * machine_tile_bytes(m) / LINE) // planes of which the last one is late
            apart += most / plane_lines(p);
        p->ahead += looks_up_one_row(p) ? 1 : fmin(1, apart);
        return;
    }
    double arrive = 2.0 * LINE / m->tiles_load / m->clock / per_line, most = m->memory_outstanding;
    if (!scales(p->loop->regions[0])) // there they are asked for behind the lookup that waited
        most -= OTHERS + (arrive < 1 ? lines_at_once(p) * (1 - arrive) : 0);
    if (p->ahead * lines > most)
        p->ahead = most / lines;
}

static int64_t distance(const prefetching *p, const stream *s)
{
    int64_t lines = (int64_t)((double)s->advance * p->ahead / LINE);
    return (lines > 0 ? lines : 1) * LINE;
}

// ----------------------------------------------------------------------- code

// Behind `op`: a prefetch `bytes` behind the view's beginning.
static void prefetch(prefetching *p, ir_op *op, const ir_value *view, int64_t bytes)
{
    ir_builder b = ir_builder_after(op);
    b.where = op->where;
    const ir_op *from = view->op;
    ir_value *operands[4];
    unsigned last = from->n_operands - 1;
    for (unsigned i = 0; i <= last; i++)
        operands[i] = ir_operand(from, i);
    const ir_type *index = ir_type_index(p->module);
    int64_t size = (int64_t)scalar_size(operands[0]->type->scalar);
    ir_value *more = ir_build1(&b, IR_CONSTANT, index, NULL, NULL, NULL);
    ir_set_number(more->op, "value", (double)(bytes / size));
    operands[last] = ir_build1(&b, IR_ADD, index, operands[last], more, NULL);
    ir_dim dims[1] = {ir_dim_constant(machine_tile_bytes(p->machine))};
    const ir_type *type = ir_type_buffer(p->module, SCALAR_U8, 1, dims);
    ir_value *at = ir_result(ir_build(&b, IR_VIEW, last + 1, operands, 1, &type), 0);
    ir_build(&b, IR_XLUT_PF, 1, &at, 0, NULL);
}

// Tables that are looked up by one row were built just before.
static bool lies_in_scratch(const prefetching *p, const stream *s)
{
    return looks_up_one_row(p) && !comes_from_memory(p, s);
}

// The load of what lies a distance before: so both go on at one speed. Where sums are scaled the
// lookup behind it, whose result is waited for.
static ir_op *load_at(const stream *s, int64_t offset)
{
    ir_op *load = s->reader;
    for (ir_op *op = s->reader; op; op = op->next) {
        address at;
        const ir_value *root, *view = read_by(op);
        if (view && address_of(view, &root, &at) && root == s->root &&
            address_same_terms(&at, &s->at) && at.constant >= s->at.constant &&
            at.constant <= s->at.constant + offset)
            load = op;
    }
    ir_op *lookup = load;
    while (lookup && lookup->code != IR_XLUT_MMA)
        lookup = lookup->next;
    bool behind = scales(load->block) || !loads_plane(load);
    return lookup && lookup->next->next && behind ? lookup : load;
}

// Bytes that are loaded and prefetched between the lookup before and this one.
static int64_t loaded_for(const prefetching *p, const ir_op *lookup)
{
    int64_t bytes = 0, tile = machine_tile_bytes(p->machine);
    for (const ir_op *op = lookup->previous; op && op->code != IR_XLUT_MMA; op = op->previous)
        if (op->code == IR_XLUT_LD || op->code == IR_XLUT_PF)
            bytes += op->code == IR_XLUT_LD && ir_boolean(op, "half")
                         ? machine_table_bytes(p->machine)
                         : tile;
    return bytes;
}

// In front of a lookup, behind the loads of its operands: `share` of the way through the round, or
// near that where less is loaded.
static ir_op *before_lookup(const prefetching *p, const stream *s, double share)
{
    const int place = (int)(share * count_lookups(p));
    int64_t least = INT64_MAX;
    bool read = false;
    int i = -1;
    ir_op *best = s->reader;
    IR_FOR_OPS(op, p->loop->regions[0])
    {
        read |= op == s->reader;
        i += op->code == IR_XLUT_MMA;
        if (op->code != IR_XLUT_MMA || !read || i < place - NEAR || i > place + NEAR)
            continue;
        int64_t bytes = loaded_for(p, op);
        if (bytes < least || (bytes == least && i <= place)) {
            least = bytes;
            best = op->previous;
        }
    }
    return best;
}

static unsigned tiles_of(const prefetching *p, const stream *s)
{
    int64_t tile = (int64_t)machine_tile_bytes(p->machine);
    return lies_in_scratch(p, s) ? 0 : (unsigned)((s->bytes + tile - 1) / tile);
}

// Where one load serves several lookups, these leave time between loads; else it is the loads that
// leave time for lookups. With many rows each stream's prefetches are spread over the round: lines
// that are asked for at once are more than may be under way.
static void prefetch_streams(prefetching *p)
{
    int64_t tile = (int64_t)machine_tile_bytes(p->machine);
    bool one_row = looks_up_one_row(p);
    unsigned streams = 0;
    for (unsigned i = 0; i < p->count; i++)
        streams += tiles_of(p, &p->streams[i]) > 0;
    for (unsigned i = p->count, k = streams; i-- > 0;) { // the last first: the others go before it
        const stream *s = &p->streams[i];
        const unsigned tiles = tiles_of(p, s);
        k -= tiles > 0;
        for (unsigned t = tiles; t-- > 0;) {
            double share = (t + (double)k / streams) / tiles;
            ir_op *behind = one_row ? load_at(s, t * tile) : before_lookup(p, s, share);
            prefetch(p, behind, s->view, distance(p, s) + t * tile - s->before);
        }
    }
}

// ------------------------------------------------------------- behind the loop

// What is read behind the loop, up to the next one, of a stream that the loop reads.
static void collect_behind(const prefetching *p, const stream *of, prefetching *behind)
{
    *behind = *p;
    behind->count = 0;
    for (ir_op *op = p->loop->next; op && !op->n_regions; op = op->next) {
        ir_value *view = read_by(op);
        stream s = {.view = view, .reader = op};
        unsigned i = 0;
        if (!view || !is_op(view, IR_VIEW) || !address_of(view, &s.root, &s.at) ||
            s.root != of->root)
            continue;
        s.bytes = buffer_bytes(view->type);
        while (i < behind->count && !extend(&behind->streams[i], &s))
            i++;
        if (i == behind->count && i < MOST_STREAMS)
            behind->streams[behind->count++] = s;
    }
    join(behind);
}

static const ir_value *counter_of(const ir_op *loop)
{
    return loop->regions[0]->arguments.items[0];
}

// Bytes from where the loop and what stands behind it stop reading to where the next round of the
// loop around begins. False: not known when compiling.
static bool gap_behind(const prefetching *p, const prefetching *behind, const stream *s,
                       int64_t *gap)
{
    const ir_op *around = p->loop->block->parent;
    const ir_value *lower = ir_operand_named(p->loop, "lower");
    if (!around || around->code != IR_FOR || p->loop->code != IR_FOR || !is_op(lower, IR_CONSTANT))
        return false;
    int64_t begin =
        (int64_t)ir_number(lower->op, "value") * address_factor(&s->at, counter_of(p->loop));
    int64_t bytes = (int64_t)rounds_of(p->loop) * s->advance;
    for (unsigned i = 0; i < behind->count; i++)
        bytes += behind->streams[i].bytes;
    *gap = address_factor(&s->at, counter_of(around)) * loop_step(around) - bytes;
    return begin == 0;
}

// Counters, and what is computed in front of `around`.
static bool is_known_for_rounds(const stream *s, const ir_op *around)
{
    bool known = true;
    for (unsigned i = 0; i < s->at.count; i++) {
        const ir_value *v = s->at.terms[i].value;
        known &= v->kind == IR_VALUE_ARGUMENT || !is_inside(v->op->block, around);
    }
    return known;
}

// A view that is made in `around`, as it will be in its round `counter`.
static ir_value *view_in_round(ir_builder *b, const ir_op *around, ir_value *v, ir_value *counter)
{
    if (!is_op(v, IR_VIEW) || !is_inside(v->op->block, around))
        return v;
    ir_value *operands[4] = {view_in_round(b, around, ir_operand(v->op, 0), counter)};
    for (unsigned i = 1; i < v->op->n_operands; i++)
        operands[i] = value_in_round(b, around, ir_operand(v->op, i), around, counter);
    return ir_result(ir_build(b, IR_VIEW, v->op->n_operands, operands, 1, &v->type), 0);
}

static ir_op *lookup_behind(const ir_op *loop, int64_t index)
{
    ir_op *found = NULL;
    for (ir_op *op = loop->next; op && !op->n_regions && index >= 0; op = op->next) {
        if (op->code == IR_XLUT_MMA) {
            found = op;
            index--;
        }
    }
    return found;
}

static unsigned lookups_behind(const ir_op *loop)
{
    unsigned count = 0;
    for (const ir_op *op = loop->next; op && !op->n_regions; op = op->next)
        count += op->code == IR_XLUT_MMA;
    return count;
}

// A part of the depth: the next column tile's begins elsewhere. Its first bytes are asked for
// behind the loop, where rounds would have done it.
static void prefetch_next_column(prefetching *p, const stream *s)
{
    ir_op *around = p->loop->block->parent;
    const int64_t tile = (int64_t)machine_tile_bytes(p->machine);
    const int64_t count = (distance(p, s) + tile - 1) / tile, lookups = lookups_behind(p->loop);
    if (!is_known_for_rounds(s, around))
        return;
    ir_builder b = ir_builder_after(p->loop);
    b.where = p->loop->where;
    const ir_type *index = ir_type_index(p->module);
    ir_value *step = ir_build1(&b, IR_CONSTANT, index, NULL, NULL, NULL);
    ir_set_number(step->op, "value", (double)loop_step(around));
    ir_value *next =
        ir_build1(&b, IR_ADD, index, around->regions[0]->arguments.items[0], step, NULL);
    ir_value *view = view_in_round(&b, around, s->view, next);
    for (int64_t t = count; t-- > 0;) {
        ir_op *at = lookups ? lookup_behind(p->loop, t * lookups / count) : view->op;
        prefetch(p, at, view, t * tile - s->before);
    }
}

// Scales and the last planes, which stand behind those that the loop reads: as far ahead as these.
static void prefetch_further(prefetching *p, const stream *s, const prefetching *behind)
{
    const int64_t tile = (int64_t)machine_tile_bytes(p->machine);
    for (unsigned i = 0; i < behind->count; i++) {
        const stream *read = &behind->streams[i];
        for (int64_t t = (read->bytes + tile - 1) / tile; t-- > 0;)
            prefetch(p, read->reader, read->view, distance(p, s) + t * tile - read->before);
    }
}

// The first of its buffer, which goes on from round to round of the loop around.
static bool goes_on_behind(const prefetching *p, const stream *s)
{
    const ir_op *around = p->loop->block->parent;
    const stream *first = p->streams;
    while (first->root != s->root)
        first++;
    return first == s &&
           (!around || around->code != IR_FOR || address_factor(&s->at, counter_of(around)) > 0);
}

static void prefetch_behind(prefetching *p)
{
    for (unsigned i = 0; i < p->count; i++) {
        const stream *s = &p->streams[i];
        prefetching behind;
        int64_t gap;
        if (!goes_on_behind(p, s))
            continue;
        collect_behind(p, s, &behind);
        if (gap_behind(p, &behind, s, &gap) && gap > distance(p, s))
            prefetch_next_column(p, s);
        else
            prefetch_further(p, s, &behind);
    }
}

// --------------------------------------------------------- tables that would leave scratch

// What is loaded until the tables are read again pushes them out, but half of it would not.
#define HALF_KEPT 0.9 // of scratch, with tables that are used twice
static bool halves_keep_tables(const prefetching *p)
{
    const ir_op *around = shared_loop_around(p->loop);
    bool far = false;
    for (unsigned i = 0; i < p->count; i++)
        far |= loads_far_table(p, p->streams[i].reader) &&
               between_reads(&p->streams[i], around) <
                   2 * HALF_KEPT * (double)p->machine->scratch_size;
    return far && looks_up_one_row(p) && p->loop->code == IR_FOR && rounds_of(p->loop) >= 2;
}

// The loop becomes two, one behind the other. Gives the second one; the first one has `rounds`.
static ir_op *halve(prefetching *p, int64_t rounds)
{
    ir_op *loop = p->loop;
    ir_builder before = ir_builder_before(loop), after = ir_builder_after(loop);
    double from = ir_number(ir_operand(loop, 0)->op, "value");
    ir_value *middle = ir_build1(&before, IR_CONSTANT, ir_type_index(p->module), NULL, NULL, NULL);
    ir_set_number(middle->op, "value", from + (double)(rounds * loop_step(loop)));
    ir_op *second = ir_clone(&after, loop, ir_mapping_create(p->context->arena));
    ir_set_operand(loop, 1, middle);
    ir_set_operand(second, 0, middle);
    for (unsigned i = 0; i < loop->n_results; i++) {
        ir_replace_uses(&loop->results[i], &second->results[i]);
        ir_set_operand(second, 3 + i, &loop->results[i]);
    }
    return second;
}

// Tables that a half reads are used while the other half is executed: `rounds` on, or back.
static void refresh_tables(prefetching *p, int64_t rounds)
{
    const int64_t tile = (int64_t)machine_tile_bytes(p->machine);
    for (unsigned i = 0; i < p->count; i++) {
        const stream *s = &p->streams[i];
        if (s->reader->code != IR_XLUT_LD || loads_plane(s->reader))
            continue;
        for (int64_t t = (s->bytes + tile - 1) / tile; t-- > 0;)
            prefetch(p, s->reader, s->view, rounds * s->advance + t * tile - s->before);
    }
}

static bool is_known_before(const ir_value *v, const ir_op *loop)
{
    return v->kind == IR_VALUE_ARGUMENT || v->op->block != loop->block ||
           v->op->code == IR_CONSTANT;
}

// Scales of the tables, which sums behind the loop are multiplied by, have left scratch too.
static void prefetch_scales(prefetching *p)
{
    for (ir_op *op = p->loop->next; op; op = op->next) {
        ir_value *at = op->code == IR_XLUT_DEQ ? ir_operand_named(op, "table_scale") : NULL;
        bool known = at && is_op(at, IR_VIEW);
        for (unsigned i = 0; known && i < at->op->n_operands; i++)
            known = is_known_before(ir_operand(at->op, i), p->loop);
        if (!known)
            continue;
        ir_builder b = ir_builder_before(p->loop);
        b.where = p->loop->where;
        ir_value *operands[IR_MAX_RANK + 1];
        for (unsigned i = 0; i < at->op->n_operands; i++)
            operands[i] = value_in_round(&b, p->loop, ir_operand(at->op, i), p->loop, NULL);
        ir_value *line =
            ir_result(ir_build(&b, IR_VIEW, at->op->n_operands, operands, 1, &at->type), 0);
        ir_build(&b, IR_PREFETCH, 1, &line, 0, NULL);
        return;
    }
}

static void prefetch_halves(prefetching *p)
{
    const int64_t rounds = (int64_t)rounds_of(p->loop), half = rounds / 2;
    ir_op *second = halve(p, half);
    p->halved = true;
    measure(p);
    refresh_tables(p, rounds - half);
    prefetch_streams(p);
    p->loop = second;
    p->count = 0;
    collect(p);
    prefetch_scales(p);
    refresh_tables(p, -half);
    prefetch_streams(p);
    prefetch_behind(p);
}

static bool has_lookups(const ir_block *b)
{
    bool has = false;
    IR_FOR_OPS(op, b)
    {
        has |= op->code == IR_XLUT_MMA;
        for (unsigned i = 0; i < op->n_regions; i++)
            has = has || has_lookups(op->regions[i]);
    }
    return has;
}

static void visit(ir_op *op, void *context)
{
    prefetching *p = context;
    if (op->code != IR_FOR && op->code != IR_STRIP)
        return;
    p->loop = op;
    p->count = 0;
    p->halved = false;
    bool looks_up = false, prefetches = false;
    bool goes_on = false; // with the streams of a loop in it
    IR_FOR_OPS(inner, op->regions[0])
    {
        looks_up |= inner->code == IR_XLUT_MMA;
        prefetches |= inner->code == IR_XLUT_PF || inner->code == IR_PREFETCH;
        goes_on |= inner->code == IR_FOR && has_lookups(inner->regions[0]);
    }
    if (!prefetches && !looks_up)
        prefetch_rows(p->module, p->context, op);
    if (!prefetches && !looks_up && op->code == IR_FOR)
        prefetch_short_rows(p->module, p->context, op);
    if (!looks_up || prefetches || goes_on)
        return;
    collect(p);
    if (!p->count)
        return;
    if (halves_keep_tables(p)) {
        prefetch_halves(p);
        pass_remark(p->context, REMARK_APPLIED, op->where,
                    "the loop is halved: each half uses the tables that the other one reads, so "
                    "that they stay in scratch");
    } else {
        measure(p);
        prefetch_streams(p);
        prefetch_behind(p);
    }
    pass_remark(p->context, REMARK_APPLIED, op->where,
                "a round reads %.0f lines from memory, which are asked for %.1f rounds ahead",
                lines_from_memory(p), p->ahead);
}

static void find_prefetch(ir_op *op, void *context)
{
    *(bool *)context |= op->code == IR_XLUT_PF || op->code == IR_PREFETCH;
}

bool is_prefetched(const ir_function *f)
{
    bool found = false;
    ir_walk(f->body, find_prefetch, &found);
    return found;
}

bool pass_prefetch(ir_module *m, pass_context *c)
{
    if (!machine_has(c->machine, ISA_UNIT_LUT))
        return true;
    prefetching p = {.module = m, .context = c, .machine = c->machine};
    for (ir_function *f = m->functions; f; f = f->next)
        if (!is_prefetched(f))
            ir_walk(f->body, visit, &p);
    return true;
}
