// Packets of the remote serial protocol: $data#checksum, acknowledged by '+' until both sides agree
// to leave that out. What gdb sends is hostile until it has been checked.
#pragma once

#include "runtime/gdb/gdb.h"
#include "support/text.h"

#include <stdint.h>

enum {
    GDB_LARGEST_PACKET = 1 << 14, // of what we take, and of what we send; a tile register is 8 KiB
    GDB_INPUT = 4096,
};

typedef struct gdb_connection {
    gdb_transport transport;
    uint8_t input[GDB_INPUT]; // bytes input_begin .. input_end - 1 are not used up
    size_t input_begin, input_end;
    char packet[GDB_LARGEST_PACKET]; // the last one received
    size_t length;
    text sent;   // the last one sent, as it was framed
    bool no_ack; // neither side acknowledges
    bool gone;   // the other side; nothing is sent or received any more
} gdb_connection;

// Waits for the next packet with a right checksum. False: the other side has gone.
bool gdb_receive(gdb_connection *c);
void gdb_send(gdb_connection *c, const char *data, size_t length);
// Without waiting: gdb wants the program to stop.
bool gdb_interrupted(gdb_connection *c);

// A packet, read from the front.
typedef struct gdb_cursor {
    const char *at, *end;
} gdb_cursor;

// Each reads what it says and moves on, or leaves the cursor where it is: false.
bool gdb_take_char(gdb_cursor *c, char expected);
bool gdb_take_text(gdb_cursor *c, const char *expected);
bool gdb_take_number(gdb_cursor *c, uint64_t *value);                 // 1 to 16 hexadecimal digits
bool gdb_take_pair(gdb_cursor *c, uint64_t *first, uint64_t *second); // FIRST,SECOND
bool gdb_take_byte(gdb_cursor *c, uint8_t *value);                    // two hexadecimal digits
size_t gdb_take_bytes(gdb_cursor *c, uint8_t *out, size_t most);      // as many as there are
bool gdb_take_escaped(gdb_cursor *c, uint8_t *value);                 // binary data

void gdb_put_hex(text *out, const void *data, size_t size);
// At most `room` characters; how many bytes they stand for.
size_t gdb_put_escaped(text *out, const void *data, size_t size, size_t room);
