#include "runtime/gdb/program.h"

#include "runtime/gdb/gdb.h"

#include <limits.h>
#include <stdlib.h>

static void print_statistics(void *context, FILE *stream)
{
    host_statistics statistics;
    host_statistics_get(context, &statistics);
    host_statistics_print(context, &statistics, stream);
}

static void print_memory(void *context, FILE *stream)
{
    host_print_memory(context, stream);
}

static const gdb_command commands[] = {
    {"stats", "what --stats would print, up to here", print_statistics},
    {"memory", "what is mapped where, and what it may be used for", print_memory},
};

bool gdb_attach(host_program *p, arena *a, diagnostics *d, const char *where)
{
    gdb_transport transport;
    observer o;
    char path[PATH_MAX];
    if (!gdb_listen(d, where, &transport))
        return false;
    bool known = realpath(host_path(p), path) != NULL;
    gdb_observer(&(gdb_target){.hart = host_hart(p),
                               .path = known ? arena_format(a, "%s", path) : NULL,
                               .commands = commands,
                               .command_count = sizeof commands / sizeof *commands,
                               .context = p},
                 &transport, &o);
    host_observe(p, &o);
    return true;
}
