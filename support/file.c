#include "support/file.h"

#include "support/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COPY_SIZE = 1 << 16, STREAM_MOST = 1 << 30, MOST_TOGETHER = 8 };

static location file_place(diagnostics *d, const char *path)
{
    return (location){.source = diagnostics_source(d, path, NULL, 0)};
}

static bool file_error(diagnostics *d, const char *path, const char *what, int error)
{
    diagnostic_error(d, file_place(d, path), "%s: %s", what, strerror(error));
    return false;
}

// ------------------------------------------------------------------ reading

static bool refuse_stream(diagnostics *d, const char *path, const char *why)
{
    diagnostic_error(d, file_place(d, path), "cannot read it: %s", why);
    return false;
}

// Pipes, terminals and files of /proc have no size: read until the end.
static bool read_stream(diagnostics *d, const char *path, int descriptor, mapped_file *out)
{
    size_t size = 0, capacity = 0;
    uint8_t *data = NULL;
    ssize_t got = 1;
    while (got > 0) {
        if (size == capacity) {
            capacity = capacity ? 2 * capacity : COPY_SIZE;
            uint8_t *larger = capacity <= STREAM_MOST ? realloc(data, capacity) : NULL;
            if (!larger) {
                free(data);
                return capacity <= STREAM_MOST
                           ? file_error(d, path, "cannot read it into memory", ENOMEM)
                           : refuse_stream(d, path, "a stream of 1 GiB or more; give a file");
            }
            data = larger;
        }
        got = read(descriptor, data + size, capacity - size);
        if (got < 0 && errno == EINTR)
            got = 1;
        else if (got > 0)
            size += (size_t)got;
    }
    if (got < 0) {
        int error = errno;
        free(data);
        return file_error(d, path, "cannot read it", error);
    }
    if (!size) {
        free(data);
        data = NULL;
    }
    *out = (mapped_file){.data = data, .size = size, .descriptor = -1};
    return true;
}

static bool map_regular(diagnostics *d, const char *path, int descriptor, size_t size,
                        mapped_file *out)
{
    void *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (data == MAP_FAILED)
        return file_error(d, path, "cannot map it", errno);
    *out = (mapped_file){.data = data, .size = size, .descriptor = descriptor};
    return true;
}

// Most devices never end; terminals do, and /dev/null stands for an empty file.
static bool is_endless(int descriptor, const struct stat *status)
{
    struct stat null;
    bool is_null = stat("/dev/null", &null) == 0 && S_ISCHR(status->st_mode) &&
                   status->st_rdev == null.st_rdev;
    return (S_ISCHR(status->st_mode) || S_ISBLK(status->st_mode)) && !is_null &&
           !isatty(descriptor);
}

bool file_map(diagnostics *d, const char *path, mapped_file *out)
{
    struct stat status;
    bool is_stdin = strcmp(path, "-") == 0, ok = false;
    const char *name = is_stdin ? "<stdin>" : path;
    *out = (mapped_file){.descriptor = -1};
    int descriptor = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return file_error(d, name, "cannot open it", errno);
    if (fstat(descriptor, &status) < 0 || S_ISDIR(status.st_mode))
        file_error(d, name, "cannot read it", S_ISDIR(status.st_mode) ? EISDIR : errno);
    else if (is_endless(descriptor, &status))
        refuse_stream(d, name, "it is a device");
    else if (S_ISREG(status.st_mode) && status.st_size && !is_stdin)
        ok = map_regular(d, name, descriptor, (size_t)status.st_size, out);
    else
        ok = read_stream(d, name, descriptor, out); // also files of /proc, which claim size 0
    if (!is_stdin && out->descriptor < 0)
        close(descriptor);
    return ok;
}

void file_unmap(mapped_file *f)
{
    if (f->descriptor >= 0) {
        if (f->data)
            munmap((void *)f->data, f->size);
        close(f->descriptor);
    } else {
        free((void *)f->data);
    }
    *f = (mapped_file){.descriptor = -1};
}

// ------------------------------------------------------------------ writing

// The temporary stands beside the target and is renamed; for stdout, pipes and
// devices (`copied`) it stands in TMPDIR and its content is copied at the end.
struct output_file {
    char *path;      // where the result goes
    char *temporary; // where it grows
    FILE *stream;
    bool copied, executable;
    struct output_file *next; // of the ones not yet committed
};

static output_file *volatile pending;

// Async-signal-safe: unlink only.
static void remove_pending(void)
{
    for (output_file *f = pending; f; f = f->next)
        unlink(f->temporary);
}

// That end a process. Where files may not grow further (SIGXFSZ), writing is to fail instead.
static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGALRM, SIGXCPU};
enum { SIGNALS = sizeof signals / sizeof *signals };

static void on_signal(int number)
{
    remove_pending();
    signal(number, SIG_DFL);
    raise(number);
}

// A signal that was ignored (nohup) stays ignored.
static void catch_signal(int number)
{
    struct sigaction old, action = {.sa_handler = on_signal};
    if (sigaction(number, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
        sigaction(number, &action, NULL);
}

static void register_pending(output_file *f)
{
    static bool installed;
    if (!installed) {
        installed = true;
        atexit(remove_pending);
        for (unsigned i = 0; i < SIGNALS; i++)
            catch_signal(signals[i]);
        signal(SIGXFSZ, SIG_IGN);
    }
    f->next = pending;
    pending = f;
}

static void block_signals(bool block)
{
    sigset_t set;
    sigemptyset(&set);
    for (unsigned i = 0; i < SIGNALS; i++)
        sigaddset(&set, signals[i]);
    sigprocmask(block ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

static void release_output(output_file *f)
{
    block_signals(true);
    for (output_file *volatile *link = &pending; *link;
         link = (output_file *volatile *)&(*link)->next) {
        if (*link == f) {
            *link = f->next;
            break;
        }
    }
    block_signals(false);
    if (f->stream)
        fclose(f->stream);
    free(f->path);
    free(f->temporary);
    free(f);
}

static bool goes_by_copy(const char *path)
{
    struct stat status;
    return strcmp(path, "-") == 0 || (stat(path, &status) == 0 && !S_ISREG(status.st_mode));
}

static char *temporary_name(const char *path, bool copied)
{
    const char *folder = getenv("TMPDIR");
    char *name = NULL;
    int n = copied ? asprintf(&name, "%s/lutra.XXXXXX", folder && *folder ? folder : "/tmp")
                   : asprintf(&name, "%s.tmp.XXXXXX", path);
    if (n < 0)
        INTERNAL_ERROR("out of memory");
    return name;
}

// mkstemp gives 0600; a result has the rights that any new file would have.
static int create_temporary(char *name)
{
    int descriptor = mkostemp(name, O_CLOEXEC);
    if (descriptor >= 0) {
        mode_t mask = umask(0);
        umask(mask);
        fchmod(descriptor, 0666 & ~mask);
    }
    return descriptor;
}

// The status of the folder of `path`; *name is what stands behind it.
static bool stat_folder(const char *path, const char **name, struct stat *out)
{
    const char *slash = strrchr(path, '/');
    *name = slash ? slash + 1 : path;
    char *folder = slash ? strndup(path, (size_t)(*name - path)) : strdup(".");
    if (!folder)
        INTERNAL_ERROR("out of memory");
    bool found = stat(folder, out) == 0;
    free(folder);
    return found;
}

// As files that are not there yet.
static bool same_place(const char *a, const char *b)
{
    const char *name_a, *name_b;
    struct stat x, y;
    if (!stat_folder(a, &name_a, &x) || !stat_folder(b, &name_b, &y))
        return strcmp(a, b) == 0;
    return x.st_dev == y.st_dev && x.st_ino == y.st_ino && strcmp(name_a, name_b) == 0;
}

// Whether both names lead to one regular file, or would: the same name in one folder.
static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    if (stat(a, &x) < 0 || stat(b, &y) < 0)
        return same_place(a, b);
    return S_ISREG(x.st_mode) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static bool has_own_place(diagnostics *d, const char *output, const char *other)
{
    if (!output || !other || strcmp(output, "-") == 0 || !same_file(output, other))
        return true;
    diagnostic_error(d, NOWHERE, "'%s' would be written over '%s'; choose another name", output,
                     other);
    return false;
}

bool outputs_apart(diagnostics *d, const char *const *outputs, size_t n_outputs,
                   const char *const *inputs, size_t n_inputs)
{
    bool ok = true;
    for (size_t i = 0; i < n_outputs; i++) {
        for (size_t j = 0; j < i; j++)
            ok &= has_own_place(d, outputs[i], outputs[j]);
        for (size_t j = 0; j < n_inputs; j++)
            ok &= has_own_place(d, outputs[i], inputs[j]);
    }
    return ok;
}

output_file *output_open(diagnostics *d, const char *path)
{
    struct stat status;
    bool is_folder = strcmp(path, "-") != 0 && stat(path, &status) == 0 && S_ISDIR(status.st_mode);
    if (is_folder || !*path) { // a temporary would be made beside either
        file_error(d, path, "cannot write it", is_folder ? EISDIR : ENOENT);
        return NULL;
    }
    output_file *f = calloc(1, sizeof *f);
    char *target = f ? realpath(path, NULL) : NULL; // a symbolic link stays one
    if (f && !target)
        target = strdup(path);
    if (!target)
        INTERNAL_ERROR("out of memory");
    f->path = target;
    f->copied = goes_by_copy(path);
    if (f->copied && strcmp(path, "-") == 0)
        strcpy(f->path, "-");
    f->temporary = temporary_name(f->path, f->copied);
    block_signals(true);
    int descriptor = create_temporary(f->temporary);
    int error = errno;
    if (descriptor >= 0)
        register_pending(f);
    block_signals(false);
    if (descriptor < 0) {
        file_error(d, f->copied ? f->temporary : path,
                   f->copied ? "cannot make a temporary file ($TMPDIR)" : "cannot write it", error);
        release_output(f);
        return NULL;
    }
    f->stream = fdopen(descriptor, "w+b");
    if (!f->stream)
        INTERNAL_ERROR("out of memory");
    return f;
}

FILE *output_stream(output_file *f)
{
    return f->stream;
}
const char *output_path(const output_file *f)
{
    return f->temporary;
}
const char *output_target(const output_file *f)
{
    return f->path;
}
void output_make_executable(output_file *f)
{
    f->executable = true;
}

static bool copy_to_descriptor(FILE *from, int to)
{
    char buffer[COPY_SIZE];
    size_t n;
    while ((n = fread(buffer, 1, sizeof buffer, from)) > 0) {
        for (size_t done = 0; done < n;) {
            ssize_t written = write(to, buffer + done, n - done);
            if (written < 0 && errno != EINTR)
                return false;
            done += written > 0 ? (size_t)written : 0;
        }
    }
    return !ferror(from);
}

// Opened anew by name: a tool may have replaced the temporary.
static bool copy_result(const output_file *f)
{
    bool to_stdout = strcmp(f->path, "-") == 0;
    FILE *from = fopen(f->temporary, "rb");
    if (!from)
        return false;
    fflush(stdout);
    int to = to_stdout ? STDOUT_FILENO : open(f->path, O_WRONLY | O_CLOEXEC);
    bool ok = to >= 0 && copy_to_descriptor(from, to);
    int error = errno;
    if (to >= 0 && !to_stdout)
        ok = close(to) == 0 && ok;
    fclose(from);
    unlink(f->temporary);
    errno = error;
    return ok;
}

static bool make_executable(const char *path)
{
    mode_t mask = umask(0);
    umask(mask);
    return chmod(path, 0777 & ~mask) == 0;
}

static bool report_output(diagnostics *d, const output_file *f)
{
    return file_error(d, strcmp(f->path, "-") ? f->path : "<stdout>", "cannot write it", errno);
}

// The temporary is complete.
static bool finish_output(diagnostics *d, output_file *f)
{
    bool ok = !ferror(f->stream);
    ok = fclose(f->stream) == 0 && ok;
    f->stream = NULL;
    if (ok && f->executable && !f->copied)
        ok = make_executable(f->temporary);
    return ok || report_output(d, f);
}

static bool place_output(diagnostics *d, output_file *f)
{
    bool ok = f->copied ? copy_result(f) : rename(f->temporary, f->path) == 0;
    if (!ok) {
        report_output(d, f);
        unlink(f->temporary);
    }
    release_output(f);
    return ok;
}

static bool place_some(diagnostics *d, output_file *const *files, size_t count, const bool *copied,
                       bool which, bool ok)
{
    for (size_t i = 0; i < count; i++)
        if (copied[i] == which && ok)
            ok = place_output(d, files[i]);
        else if (copied[i] == which)
            output_abandon(files[i]);
    return ok;
}

bool outputs_commit(diagnostics *d, output_file *const *files, size_t count)
{
    bool ok = true, copied[MOST_TOGETHER];
    if (count > MOST_TOGETHER)
        INTERNAL_ERROR("%zu files at once", count);
    for (size_t i = 0; i < count; i++) {
        ok = finish_output(d, files[i]) && ok;
        copied[i] = files[i]->copied;
    }
    ok = place_some(d, files, count, copied, true, ok); // these may still find no room
    return place_some(d, files, count, copied, false, ok);
}

bool output_commit(diagnostics *d, output_file *f)
{
    return outputs_commit(d, &f, 1);
}

void output_abandon(output_file *f)
{
    if (!f)
        return;
    unlink(f->temporary);
    release_output(f);
}

bool output_possible(diagnostics *d, const char *path)
{
    output_file *f = output_open(d, path);
    const bool possible = f != NULL;
    output_abandon(f);
    return possible;
}

// ------------------------------------------------------------------ progress

void progress_update(progress *p, double fraction, const char *detail)
{
    if (!isatty(STDERR_FILENO) || clock_seconds() - p->last < 0.1)
        return;
    p->last = clock_seconds();
    p->shown = true;
    fprintf(stderr, "\r%s %.0f %%%s%s\033[K", p->what, 100 * fraction, detail ? " " : "",
            detail ? detail : "");
    fflush(stderr);
}

void progress_end(progress *p)
{
    if (p->shown)
        fputs("\r\033[K", stderr);
    p->shown = false;
}
