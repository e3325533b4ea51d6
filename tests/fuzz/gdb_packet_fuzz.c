// link: lutra_gdb lutra_hart lutra_support
// Packets of gdb, one after the other, at a program that stands still: whatever would set it in
// motion has it stop at once, where it stood.
#include "gdb_fuzz.h"

#include "runtime/gdb/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static gdb_session session;
    stream s = stream_of(data, size);
    session = (gdb_session){.target = target_of(fresh_machine()->h), .motion = GDB_CONTINUE};
    session.connection.transport = transport_of(&s);
    while (session.motion != GDB_KILLED)
        gdb_serve(&session, true);
    check(session.reply.length <= 2 * GDB_LARGEST_PACKET);
    text_free(&session.reply);
    text_free(&session.connection.sent);
    text_free(&s.bytes);
    return 0;
}
