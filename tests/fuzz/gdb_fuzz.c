// link: lutra_gdb lutra_hart lutra_support
// A session with gdb: the program runs when gdb lets it.
#include "gdb_fuzz.h"

enum {
    MOST_STOPS = 200,
    MOST_INSTRUCTIONS = 5000, // more than the stub executes between looks at its input
};

// As runtime/host does it.
static void run(hart *h, const observer *o)
{
    bool goes_on = true;
    uint64_t end = h->retired + MOST_INSTRUCTIONS;
    o->begin(o->context, h, "fuzz");
    for (int i = 0; i < MOST_STOPS && goes_on && h->retired < end; i++) {
        switch (hart_run(h, end - h->retired)) {
        case HART_STOP_OBSERVER: goes_on = o->stopped(o->context, h); break;
        case HART_STOP_FAULT: goes_on = o->fault(o->context, h); break;
        case HART_STOP_ECALL: goes_on = false; break;
        default: break;
        }
    }
    o->finish(o->context, 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    stream s = stream_of(data, size);
    hart *h = fresh_machine()->h;
    observer o;
    gdb_target target = target_of(h);
    gdb_transport transport = transport_of(&s);
    gdb_observer(&target, &transport, &o);
    hart_observe(h, o.gate, o.context);
    run(h, &o);
    hart_observe(h, NULL, NULL);
    text_free(&s.bytes);
    return 0;
}
