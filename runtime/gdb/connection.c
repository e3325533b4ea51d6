#include "runtime/gdb/connection.h"

#include <string.h>

enum { INTERRUPT = 3, ESCAPE = '}', ESCAPE_BIT = 0x20 };

// ------------------------------------------------------------------------- bytes

static bool fill(gdb_connection *c)
{
    c->input_begin = 0;
    c->input_end = c->gone ? 0 : c->transport.read(c->transport.context, c->input, GDB_INPUT);
    c->gone = c->input_end == 0;
    return !c->gone;
}

// -1: the other side has gone.
static int next_byte(gdb_connection *c)
{
    if (c->input_begin == c->input_end && !fill(c))
        return -1;
    return c->input[c->input_begin++];
}

static void put(gdb_connection *c, const char *data, size_t length)
{
    if (!c->gone && !c->transport.write(c->transport.context, data, length))
        c->gone = true;
}

bool gdb_interrupted(gdb_connection *c)
{
    while (!c->gone) {
        if (c->input_begin == c->input_end &&
            (!c->transport.ready(c->transport.context) || !fill(c)))
            return false;
        uint8_t byte = c->input[c->input_begin];
        if (byte != INTERRUPT && byte != '+' && byte != '-')
            return false; // a packet, which waits
        c->input_begin++;
        if (byte == INTERRUPT)
            return true;
    }
    return false;
}

// ----------------------------------------------------------------------- packets

static int digit(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// Up to the '$' of a packet. False: gone.
static bool find_packet(gdb_connection *c)
{
    int byte;
    while ((byte = next_byte(c)) >= 0 && byte != '$')
        if (byte == '-' && !c->no_ack)
            put(c, text_string(&c->sent), c->sent.length);
    return byte == '$';
}

// Behind the '$': data, '#', checksum. False: damaged, too long, or the other side has gone.
static bool read_packet(gdb_connection *c)
{
    uint8_t sum = 0;
    int byte;
    bool fits = true;
    c->length = 0;
    while ((byte = next_byte(c)) >= 0 && byte != '#') {
        if (byte == '$') { // one that begins anew
            sum = 0;
            c->length = 0;
            fits = true;
            continue;
        }
        sum += (uint8_t)byte;
        fits = fits && c->length < GDB_LARGEST_PACKET;
        if (fits)
            c->packet[c->length++] = (char)byte;
    }
    int high = byte < 0 ? -1 : digit(next_byte(c)), low = high < 0 ? -1 : digit(next_byte(c));
    return fits && low >= 0 && (high << 4 | low) == sum;
}

bool gdb_receive(gdb_connection *c)
{
    while (find_packet(c)) {
        bool right = read_packet(c);
        if (c->gone)
            break;
        if (!c->no_ack)
            put(c, right ? "+" : "-", 1);
        if (right)
            return true;
    }
    return false;
}

void gdb_send(gdb_connection *c, const char *data, size_t length)
{
    uint8_t sum = 0;
    for (size_t i = 0; i < length; i++)
        sum += (uint8_t)data[i];
    text_clear(&c->sent);
    text_char(&c->sent, '$');
    text_append_n(&c->sent, data, length);
    text_printf(&c->sent, "#%02x", sum);
    put(c, text_string(&c->sent), c->sent.length);
}

// ----------------------------------------------------------------------- reading

bool gdb_take_char(gdb_cursor *c, char expected)
{
    if (c->at == c->end || *c->at != expected)
        return false;
    c->at++;
    return true;
}

bool gdb_take_text(gdb_cursor *c, const char *expected)
{
    size_t length = strlen(expected);
    if ((size_t)(c->end - c->at) < length || memcmp(c->at, expected, length) != 0)
        return false;
    c->at += length;
    return true;
}

bool gdb_take_number(gdb_cursor *c, uint64_t *value)
{
    enum { MOST_DIGITS = 16 };
    const char *at = c->at;
    uint64_t number = 0;
    while (at < c->end && digit(*at) >= 0)
        number = number << 4 | (unsigned)digit(*at++);
    if (at == c->at || at - c->at > MOST_DIGITS)
        return false;
    *value = number;
    c->at = at;
    return true;
}

bool gdb_take_pair(gdb_cursor *c, uint64_t *first, uint64_t *second)
{
    gdb_cursor copy = *c;
    if (!gdb_take_number(&copy, first) || !gdb_take_char(&copy, ',') ||
        !gdb_take_number(&copy, second))
        return false;
    *c = copy;
    return true;
}

bool gdb_take_byte(gdb_cursor *c, uint8_t *value)
{
    if (c->end - c->at < 2 || digit(c->at[0]) < 0 || digit(c->at[1]) < 0)
        return false;
    *value = (uint8_t)(digit(c->at[0]) << 4 | digit(c->at[1]));
    c->at += 2;
    return true;
}

size_t gdb_take_bytes(gdb_cursor *c, uint8_t *out, size_t most)
{
    size_t count = 0;
    while (count < most && gdb_take_byte(c, &out[count]))
        count++;
    return count;
}

bool gdb_take_escaped(gdb_cursor *c, uint8_t *value)
{
    bool escaped = c->at < c->end && *c->at == ESCAPE;
    if (c->end - c->at < 1 + escaped)
        return false;
    *value = (uint8_t)(escaped ? c->at[1] ^ ESCAPE_BIT : c->at[0]);
    c->at += 1 + escaped;
    return true;
}

// ----------------------------------------------------------------------- writing

void gdb_put_hex(text *out, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++) {
        text_char(out, "0123456789abcdef"[bytes[i] >> 4]);
        text_char(out, "0123456789abcdef"[bytes[i] & 15]);
    }
}

size_t gdb_put_escaped(text *out, const void *data, size_t size, size_t room)
{
    const uint8_t *bytes = data;
    size_t i = 0;
    for (size_t used = 0; i < size; i++) {
        bool special = bytes[i] && strchr("#$*}", bytes[i]);
        used += 1 + special;
        if (used > room)
            break;
        if (special)
            text_char(out, ESCAPE);
        text_char(out, (char)(special ? bytes[i] ^ ESCAPE_BIT : bytes[i]));
    }
    return i;
}
