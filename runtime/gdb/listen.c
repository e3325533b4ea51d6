// Sockets: a port of this host only, or a name in the file system.
#include "runtime/gdb/gdb.h"

#include "support/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

typedef struct wire {
    int listening, connected;                             // -1: not any more, not yet
    char path[sizeof((struct sockaddr_un *)0)->sun_path]; // to be removed; "": a port
} wire;

// --------------------------------------------------------------------- transport

static void stop_listening(wire *w)
{
    if (w->listening >= 0)
        close(w->listening);
    w->listening = -1;
    if (*w->path)
        unlink(w->path);
    *w->path = 0;
}

static bool wait_for_gdb(void *context)
{
    wire *w = context;
    do
        w->connected = accept4(w->listening, NULL, NULL, SOCK_CLOEXEC);
    while (w->connected < 0 && errno == EINTR);
    int yes = 1;
    bool port = !*w->path;
    stop_listening(w);
    if (port && w->connected >= 0)
        setsockopt(w->connected, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return w->connected >= 0;
}

static size_t read_some(void *context, void *data, size_t size)
{
    wire *w = context;
    ssize_t count;
    do
        count = recv(w->connected, data, size, 0);
    while (count < 0 && errno == EINTR);
    return count > 0 ? (size_t)count : 0;
}

static bool is_ready(void *context)
{
    struct pollfd p = {.fd = ((wire *)context)->connected, .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}

static bool write_all(void *context, const void *data, size_t size)
{
    wire *w = context;
    const char *at = data;
    while (size > 0) {
        ssize_t count = send(w->connected, at, size, MSG_NOSIGNAL);
        if (count < 0 && errno != EINTR)
            return false;
        at += count > 0 ? count : 0;
        size -= count > 0 ? (size_t)count : 0;
    }
    return true;
}

// Closing a socket with bytes unread may take from gdb what it has not read yet: it goes first.
static void let_go_first(wire *w)
{
    enum { PATIENCE = 500, MOST_READS = 64 }; // milliseconds
    char unread[256];
    struct pollfd p = {.fd = w->connected, .events = POLLIN};
    shutdown(w->connected, SHUT_WR);
    for (int i = 0; i < MOST_READS && poll(&p, 1, PATIENCE) > 0; i++)
        if (recv(w->connected, unread, sizeof unread, 0) <= 0)
            break;
}

static void hang_up(void *context)
{
    wire *w = context;
    stop_listening(w);
    if (w->connected >= 0)
        let_go_first(w);
    if (w->connected >= 0)
        close(w->connected);
    free(w);
}

// --------------------------------------------------------------------- listening

static bool refuse_listening(diagnostics *d, const char *where)
{
    diagnostic_error(d, NOWHERE, "--gdb: cannot listen on '%s': %s", where, strerror(errno));
    return false;
}

static bool listen_on_path(diagnostics *d, const char *path, wire *w)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return refuse_listening(d, path);
    }
    strcpy(address.sun_path, path);
    w->listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (w->listening < 0 || bind(w->listening, (struct sockaddr *)&address, sizeof address) != 0)
        return refuse_listening(d, path);
    strcpy(w->path, path);
    if (listen(w->listening, 1) != 0)
        return refuse_listening(d, path);
    fprintf(stderr, "waiting for gdb: target remote %s\n", path);
    return true;
}

static bool listen_on_port(diagnostics *d, const char *where, uint16_t port, wire *w)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int yes = 1;
    w->listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (w->listening < 0 ||
        setsockopt(w->listening, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        bind(w->listening, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(w->listening, 1) != 0 ||
        getsockname(w->listening, (struct sockaddr *)&address, &length) != 0)
        return refuse_listening(d, where);
    fprintf(stderr, "waiting for gdb: target remote localhost:%u\n", ntohs(address.sin_port));
    return true;
}

bool gdb_listen(diagnostics *d, const char *where, gdb_transport *out)
{
    enum { LAST_PORT = 65535 };
    long long port = -1;
    bool is_path = strchr(where, '/') != NULL;
    if (!is_path && (!text_to_int64(where, &port) || port < 0 || port > LAST_PORT)) {
        diagnostic_error(d, NOWHERE,
                         "--gdb '%s': expected a port, 0 to 65535, or a path with a '/'", where);
        return false;
    }
    wire *w = calloc(1, sizeof *w);
    if (!w)
        INTERNAL_ERROR("out of memory");
    w->listening = w->connected = -1;
    *out = (gdb_transport){w, wait_for_gdb, read_some, is_ready, write_all, hang_up};
    if (is_path ? listen_on_path(d, where, w) : listen_on_port(d, where, (uint16_t)port, w))
        return true;
    hang_up(w);
    return false;
}
