// Streams that tile loads in a loop read, how far ahead they are asked for, and where.
#include "compiler/passes/prefetch_streams.h"

#include <math.h>
#include <string.h>

enum { NEAR = 3 }; // lookups around where a prefetch should stand

// Adds a later read to a stream that it overlaps, or that it begins or ends beside. False: it lies
// elsewhere.
static bool extend_stream(stream *s, const stream *next)
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

void add_stream(prefetching *p, const stream *s)
{
    for (unsigned i = 0; i < p->count; i++) {
        if (extend_stream(&p->streams[i], s))
            return;
    }
    if (p->count < MOST_STREAMS)
        p->streams[p->count++] = *s;
}

// What filled a gap between streams makes them one.
void join_streams(prefetching *p)
{
    for (unsigned i = 0; i < p->count; i++)
        for (unsigned j = i + 1; j < p->count; j++) {
            if (!extend_stream(&p->streams[i], &p->streams[j]))
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
    if (s.advance > 0)
        add_stream(p, &s);
}

// What an op reads in the order of a stream, or NULL.
ir_value *tile_read_by(const ir_op *op)
{
    switch (op->code) {
    case IR_XLUT_LD: return ir_operand_named(op, "from");
    case IR_XLUT_DEQ: return ir_operand_named(op, "weight_scale");
    case IR_XLUT_OFF: return ir_operand_named(op, "v");
    default: return NULL;
    }
}

void collect_streams(prefetching *p)
{
    IR_FOR_OPS(op, p->loop->regions[0])
    {
        ir_value *view = tile_read_by(op);
        if (view)
            add_read(p, op, view);
    }
    join_streams(p);
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

const ir_op *shared_loop_around(const ir_op *op)
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
        const ir_value *from = NULL, *view = tile_read_by(op);
        address at;
        reads = reads || (view && address_of(view, &from, &at) && from == root);
        for (unsigned i = 0; i < op->n_regions; i++)
            readers += readers_of(root, op->regions[i]);
    }
    return readers + reads;
}

// Bytes that a loop around loads from one read of a stream to the next.
double bytes_between_reads(const stream *s, const ir_op *around)
{
    return bytes_loaded(around->regions[0]) / readers_of(s->root, around->regions[0]);
}

// Scratch keeps what a loop around comes back to, if it has room for what is loaded until then.
static bool comes_from_memory(const prefetching *p, const stream *s)
{
    const ir_op *around = shared_loop_around(p->loop);
    if (!around || address_factor(&s->at, around->regions[0]->arguments.items[0]))
        return true;
    return !p->halved &&
           bytes_between_reads(s, around) > SCRATCH_KEPT * (double)p->machine->scratch_size;
}

// Lines that a round reads from memory.
double lines_from_memory(const prefetching *p)
{
    double lines = 0;
    for (unsigned i = 0; i < p->count; i++)
        if (comes_from_memory(p, &p->streams[i]))
            lines += (double)p->streams[i].bytes / LINE;
    return lines;
}

bool loads_plane(const ir_op *op)
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
bool loads_far_table(const prefetching *p, const ir_op *op)
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

bool looks_up_one_row(const prefetching *p)
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
void measure_round(prefetching *p)
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

int64_t stream_distance(const prefetching *p, const stream *s)
{
    int64_t lines = (int64_t)((double)s->advance * p->ahead / LINE);
    return (lines > 0 ? lines : 1) * LINE;
}

// ----------------------------------------------------------------------- code

// Behind `op`: a prefetch `bytes` behind the view's beginning.
void prefetch_at(prefetching *p, ir_op *op, const ir_value *view, int64_t bytes)
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
        const ir_value *root, *view = tile_read_by(op);
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
void prefetch_streams(prefetching *p)
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
            prefetch_at(p, behind, s->view, stream_distance(p, s) + t * tile - s->before);
        }
    }
}
