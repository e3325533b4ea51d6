// One row per packet: what gdb asks, and what it is answered.
#include "runtime/gdb/registers.h"
#include "runtime/gdb/session.h"

#include <inttypes.h>
#include <string.h>

void gdb_fail(gdb_session *s, unsigned error)
{
    text_clear(&s->reply);
    text_printf(&s->reply, "E%02x", error);
}

static void succeed(gdb_session *s, bool ok)
{
    if (ok)
        text_append(&s->reply, "OK");
    else
        gdb_fail(s, GDB_ERROR_ARGUMENT);
}

static bool at_end(const gdb_cursor *c)
{
    return c->at == c->end;
}

// ------------------------------------------------------------------------- state

static void stop_reason(gdb_session *s, gdb_cursor *c)
{
    (void)c;
    const gdb_stop *stop = &s->stop;
    text_printf(&s->reply, "T%02x", stop->signal);
    if (stop->what && stop->has_address)
        text_printf(&s->reply, "%s:%" PRIx64 ";", stop->what, stop->address);
    else if (stop->what)
        text_printf(&s->reply, "%s:;", stop->what);
    text_append(&s->reply, "thread:1;20:");
    gdb_read_register(s->target.hart, GDB_REGISTER_PC, &s->reply);
    text_char(&s->reply, ';');
}

static void supported(gdb_session *s, gdb_cursor *c)
{
    (void)c;
    text_printf(&s->reply,
                "PacketSize=%x;QStartNoAckMode+;swbreak+;hwbreak+;vContSupported+;binary-upload+;"
                "qXfer:features:read+;qXfer:memory-map:read+;qXfer:exec-file:read+",
                GDB_LARGEST_PACKET);
}

static void start_no_ack(gdb_session *s, gdb_cursor *c)
{
    (void)c;
    succeed(s, true); // acknowledged by gdb for the last time, which gdb_receive skips
    s->connection.no_ack = true;
}

// ---------------------------------------------------------------------- registers

static void read_general(gdb_session *s, gdb_cursor *c)
{
    (void)c;
    for (unsigned i = 0; i < GDB_GENERAL_REGISTERS; i++)
        gdb_read_register(s->target.hart, i, &s->reply);
}

static void write_general(gdb_session *s, gdb_cursor *c)
{
    uint8_t data[8];
    bool ok = (size_t)(c->end - c->at) == GDB_GENERAL_REGISTERS * 2 * sizeof data;
    for (unsigned i = 0; ok && i < GDB_GENERAL_REGISTERS; i++)
        ok = gdb_take_bytes(c, data, sizeof data) == sizeof data &&
             gdb_write_register(s->target.hart, i, data, sizeof data);
    succeed(s, ok);
}

static void read_register(gdb_session *s, gdb_cursor *c)
{
    uint64_t number;
    if (!gdb_take_number(c, &number) || !at_end(c) ||
        !gdb_read_register(s->target.hart, number, &s->reply))
        gdb_fail(s, GDB_ERROR_ARGUMENT);
}

static void write_register(gdb_session *s, gdb_cursor *c)
{
    uint8_t data[GDB_LARGEST_PACKET / 2];
    uint64_t number;
    if (!gdb_take_number(c, &number) || !gdb_take_char(c, '=')) {
        gdb_fail(s, GDB_ERROR_ARGUMENT);
        return;
    }
    size_t size = gdb_take_bytes(c, data, sizeof data);
    succeed(s, at_end(c) && gdb_write_register(s->target.hart, number, data, size));
}

// ------------------------------------------------------------------------- memory

// As much of `size` bytes as can be read and as a packet holds; NULL: not one.
static const void *readable(gdb_session *s, gdb_cursor *c, uint64_t *size)
{
    const hart_memory *m = s->target.hart->memory;
    uint64_t address, extent;
    if (!gdb_take_pair(c, &address, size) || !at_end(c))
        return NULL;
    extent = hart_memory_extent(m, address, HART_READ);
    *size = *size < extent ? *size : extent;
    *size = *size < GDB_LARGEST_PACKET / 2 ? *size : GDB_LARGEST_PACKET / 2;
    return *size ? hart_memory_range(m, address, *size, HART_READ) : NULL;
}

static void read_memory(gdb_session *s, gdb_cursor *c)
{
    uint64_t size;
    const void *data = readable(s, c, &size);
    if (data)
        gdb_put_hex(&s->reply, data, size);
    else
        gdb_fail(s, GDB_ERROR_MEMORY);
}

static void read_binary(gdb_session *s, gdb_cursor *c)
{
    uint64_t size;
    const void *data = readable(s, c, &size);
    text_char(&s->reply, 'b');
    if (data)
        gdb_put_escaped(&s->reply, data, size, GDB_LARGEST_PACKET - 1);
    else
        gdb_fail(s, GDB_ERROR_MEMORY);
}

typedef bool take_byte(gdb_cursor *c, uint8_t *value);

static void write_with(gdb_session *s, gdb_cursor *c, take_byte *take)
{
    uint8_t data[GDB_LARGEST_PACKET];
    uint64_t address, size, count = 0;
    if (!gdb_take_pair(c, &address, &size) || !gdb_take_char(c, ':') || size > sizeof data) {
        gdb_fail(s, GDB_ERROR_ARGUMENT);
        return;
    }
    while (count < size && take(c, &data[count]))
        count++;
    if (count < size || !at_end(c)) {
        gdb_fail(s, GDB_ERROR_ARGUMENT);
    } else if (size > 0 && !hart_memory_write(s->target.hart->memory, address, data, size)) {
        gdb_fail(s, GDB_ERROR_MEMORY);
    } else {
        if (size > 0)
            hart_flush_code(s->target.hart);
        succeed(s, true);
    }
}

static void write_memory(gdb_session *s, gdb_cursor *c)
{
    write_with(s, c, gdb_take_byte);
}

static void write_binary(gdb_session *s, gdb_cursor *c)
{
    write_with(s, c, gdb_take_escaped);
}

// ------------------------------------------------------------------------- points

// Z and z: KIND,ADDRESS,SIZE; conditions and commands behind a ';' are not ours.
static void change_point(gdb_session *s, gdb_cursor *c, bool add)
{
    uint64_t kind, address, size;
    if (!gdb_take_number(c, &kind) || !gdb_take_char(c, ',') ||
        !gdb_take_pair(c, &address, &size) || !at_end(c)) {
        gdb_fail(s, GDB_ERROR_ARGUMENT);
        return;
    }
    if (kind >= GDB_POINT_KINDS) // not supported: an empty answer
        return;
    bool ok = true;
    if (add)
        ok = gdb_points_add(&s->points, (gdb_point_kind)kind, address, size);
    else
        gdb_points_remove(&s->points, (gdb_point_kind)kind, address, size);
    succeed(s, ok);
}

static void add_point(gdb_session *s, gdb_cursor *c)
{
    change_point(s, c, true);
}

static void remove_point(gdb_session *s, gdb_cursor *c)
{
    change_point(s, c, false);
}

// ------------------------------------------------------------------------- motion

// s, c [ADDRESS]: where to go on.
static void move_from(gdb_session *s, gdb_cursor *c, gdb_motion motion)
{
    uint64_t address;
    if (gdb_take_number(c, &address)) {
        if (address % 2 != 0) {
            gdb_fail(s, GDB_ERROR_ARGUMENT);
            return;
        }
        s->target.hart->pc = address;
    }
    if (at_end(c))
        s->motion = motion;
    else
        gdb_fail(s, GDB_ERROR_ARGUMENT);
}

static void go_on(gdb_session *s, gdb_cursor *c)
{
    move_from(s, c, GDB_CONTINUE);
}

static void step(gdb_session *s, gdb_cursor *c)
{
    move_from(s, c, GDB_STEP);
}

// C, S: with a signal.
static void with_signal(gdb_session *s, gdb_cursor *c, gdb_motion motion)
{
    uint64_t signal;
    s->signalled = gdb_take_number(c, &signal);
    if (s->signalled && (at_end(c) || gdb_take_char(c, ';')))
        move_from(s, c, motion);
    else
        gdb_fail(s, GDB_ERROR_ARGUMENT);
}

static void go_on_signalled(gdb_session *s, gdb_cursor *c)
{
    with_signal(s, c, GDB_CONTINUE);
}

static void step_signalled(gdb_session *s, gdb_cursor *c)
{
    with_signal(s, c, GDB_STEP);
}

static void move_kinds(gdb_session *s, gdb_cursor *c)
{
    (void)c;
    text_append(&s->reply, "vCont;c;C;s;S;r");
}

// The first action counts: there is one thread.
static void move(gdb_session *s, gdb_cursor *c)
{
    static const struct {
        char action;
        gdb_motion motion;
        bool signal;
    } rows[] = {{'c', GDB_CONTINUE, false},
                {'C', GDB_CONTINUE, true},
                {'s', GDB_STEP, false},
                {'S', GDB_STEP, true},
                {'r', GDB_RANGE, false}};
    uint64_t signal;
    bool ok = false;
    for (size_t i = 0; !ok && i < sizeof rows / sizeof *rows; i++) {
        gdb_cursor rest = *c;
        ok = gdb_take_char(&rest, rows[i].action) &&
             (!rows[i].signal || gdb_take_number(&rest, &signal)) &&
             (rows[i].motion != GDB_RANGE || gdb_take_pair(&rest, &s->range_low, &s->range_high)) &&
             (at_end(&rest) || *rest.at == ':' || *rest.at == ';');
        if (ok) {
            s->motion = rows[i].motion;
            s->signalled = rows[i].signal;
        }
    }
    if (!ok)
        gdb_fail(s, GDB_ERROR_ARGUMENT);
}

static void kill(gdb_session *s, gdb_cursor *c)
{
    (void)c;
    s->motion = GDB_KILLED;
}

static void kill_process(gdb_session *s, gdb_cursor *c)
{
    (void)c;
    succeed(s, true);
    s->motion = GDB_KILLED;
}

static void detach(gdb_session *s, gdb_cursor *c)
{
    (void)c;
    succeed(s, true);
    s->motion = GDB_DETACHED;
}

// ------------------------------------------------------------------------ threads

static void accept_any(gdb_session *s, gdb_cursor *c)
{
    (void)c;
    succeed(s, true);
}

static void current_thread(gdb_session *s, gdb_cursor *c)
{
    (void)c;
    text_append(&s->reply, "QC1");
}

static void first_threads(gdb_session *s, gdb_cursor *c)
{
    (void)c;
    text_append(&s->reply, "m1");
}

static void more_threads(gdb_session *s, gdb_cursor *c)
{
    (void)c;
    text_append(&s->reply, "l");
}

// Not attached: when gdb leaves, the program ends.
static void is_attached(gdb_session *s, gdb_cursor *c)
{
    (void)c;
    text_append(&s->reply, "0");
}

// -------------------------------------------------------------------------- table

static const struct {
    const char *name;
    bool whole; // nothing follows
    void (*handle)(gdb_session *s, gdb_cursor *arguments);
} packets[] = {
    {"?", true, stop_reason},
    {"qSupported", false, supported},
    {"QStartNoAckMode", true, start_no_ack},
    {"g", true, read_general},
    {"G", false, write_general},
    {"p", false, read_register},
    {"P", false, write_register},
    {"m", false, read_memory},
    {"x", false, read_binary},
    {"M", false, write_memory},
    {"X", false, write_binary},
    {"Z", false, add_point},
    {"z", false, remove_point},
    {"c", false, go_on},
    {"s", false, step},
    {"C", false, go_on_signalled},
    {"S", false, step_signalled},
    {"vCont?", true, move_kinds},
    {"vCont;", false, move},
    {"vKill", false, kill_process},
    {"k", true, kill},
    {"D", false, detach},
    {"H", false, accept_any},
    {"T", false, accept_any},
    {"qSymbol:", false, accept_any},
    {"qC", true, current_thread},
    {"qfThreadInfo", true, first_threads},
    {"qsThreadInfo", true, more_threads},
    {"qAttached", false, is_attached},
    {"qXfer:", false, gdb_transfer},
    {"qRcmd,", false, gdb_monitor},
};

// What no row is for gets an empty answer: not supported.
void gdb_handle(gdb_session *s)
{
    text_clear(&s->reply);
    for (size_t i = 0; i < sizeof packets / sizeof *packets; i++) {
        gdb_cursor c = {s->connection.packet, s->connection.packet + s->connection.length};
        if (gdb_take_text(&c, packets[i].name) && (!packets[i].whole || at_end(&c))) {
            packets[i].handle(s, &c);
            break;
        }
    }
    if (s->motion == GDB_HALTED || s->reply.length > 0)
        gdb_send(&s->connection, text_string(&s->reply), s->reply.length);
}

void gdb_serve(gdb_session *s, bool tell)
{
    gdb_cursor nothing = {NULL, NULL};
    s->motion = GDB_HALTED;
    s->signalled = false;
    if (tell) {
        text_clear(&s->reply);
        stop_reason(s, &nothing);
        gdb_send(&s->connection, text_string(&s->reply), s->reply.length);
    }
    while (s->motion == GDB_HALTED && gdb_receive(&s->connection))
        gdb_handle(s);
    if (s->motion == GDB_HALTED) // gdb has gone
        s->motion = GDB_KILLED;
    s->first = true;
    s->stopping = false;
}
