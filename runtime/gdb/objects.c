// Objects that gdb reads in parts, and commands for its console.
#include "runtime/gdb/registers.h"
#include "runtime/gdb/session.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

// ------------------------------------------------------------------------ objects

static void describe_target(const gdb_session *s, text *out)
{
    gdb_describe_target(s->target.hart, out);
}

// All of it may be read and written some time, when something is mapped there: gdb reads this once.
static void describe_memory(const gdb_session *s, text *out)
{
    text_printf(out,
                "<?xml version=\"1.0\"?>\n<memory-map>\n<memory type=\"ram\" start=\"0\" "
                "length=\"0x%" PRIx64 "\"/>\n</memory-map>\n",
                hart_memory_limit(s->target.hart->memory));
}

static void describe_file(const gdb_session *s, text *out)
{
    if (s->target.path)
        text_append(out, s->target.path);
}

static const struct {
    const char *name;
    void (*print)(const gdb_session *s, text *out);
} objects[] = {
    {"features:read:target.xml:", describe_target},
    {"memory-map:read::", describe_memory},
    {"exec-file:read:1:", describe_file},
    {"exec-file:read::", describe_file},
};

static void send_part(gdb_session *s, const text *object, uint64_t offset, uint64_t size)
{
    uint64_t left = offset < object->length ? object->length - offset : 0;
    uint64_t room = size < GDB_LARGEST_PACKET - 1 ? size : GDB_LARGEST_PACKET - 1;
    text_char(&s->reply, 'm');
    size_t done = gdb_put_escaped(&s->reply, text_string(object) + (left ? offset : 0), left, room);
    if (done == left)
        s->reply.data[0] = 'l';
}

// OBJECT:read:ANNEX:OFFSET,SIZE
void gdb_transfer(gdb_session *s, gdb_cursor *c)
{
    uint64_t offset, size;
    size_t i = 0, count = sizeof objects / sizeof *objects;
    while (i < count && !gdb_take_text(c, objects[i].name))
        i++;
    if (i == count)
        return; // not supported: an empty answer
    if (!gdb_take_pair(c, &offset, &size) || c->at != c->end) {
        gdb_fail(s, GDB_ERROR_ARGUMENT);
        return;
    }
    text object = {0};
    objects[i].print(s, &object);
    send_part(s, &object, offset, size);
    text_free(&object);
}

// ------------------------------------------------------------------------ monitor

static void print_help(const gdb_session *s, FILE *stream)
{
    fprintf(stream, "%-10s %s\n", "help", "this list");
    for (size_t i = 0; i < s->target.command_count; i++)
        fprintf(stream, "%-10s %s\n", s->target.commands[i].name, s->target.commands[i].help);
}

static void run_command(const gdb_session *s, const char *name, FILE *stream)
{
    for (size_t i = 0; i < s->target.command_count; i++) {
        if (strcmp(name, s->target.commands[i].name) == 0) {
            s->target.commands[i].run(s->target.context, stream);
            return;
        }
    }
    if (strcmp(name, "help") != 0)
        fprintf(stream, "there is no 'monitor %s'\n", name);
    print_help(s, stream);
}

// In as many packets as it takes.
static void send_console(gdb_session *s, const char *data, size_t size)
{
    enum { PART = GDB_LARGEST_PACKET / 2 - 1 };
    for (size_t at = 0; at < size; at += PART) {
        text part = {0};
        text_char(&part, 'O');
        gdb_put_hex(&part, data + at, size - at < PART ? size - at : PART);
        gdb_send(&s->connection, text_string(&part), part.length);
        text_free(&part);
    }
}

void gdb_monitor(gdb_session *s, gdb_cursor *c)
{
    enum { LONGEST_NAME = 64 };
    char name[LONGEST_NAME + 1] = {0}, *output = NULL;
    size_t length = gdb_take_bytes(c, (uint8_t *)name, LONGEST_NAME), size = 0;
    FILE *stream =
        c->at == c->end && length == strlen(name) ? open_memstream(&output, &size) : NULL;
    if (!stream) {
        gdb_fail(s, GDB_ERROR_ARGUMENT);
        return;
    }
    run_command(s, name, stream);
    fclose(stream);
    send_console(s, output, size);
    free(output);
    text_append(&s->reply, "OK");
}
