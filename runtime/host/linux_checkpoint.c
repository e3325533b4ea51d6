// What a checkpoint keeps of a Linux process besides its memory.
#include "runtime/host/linux.h"

#include "runtime/host/checkpoint.h"
#include "runtime/host/refuse.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CLOSED,
    FIRST_STREAM,                  // stdin, stdout, stderr
    FIRST_FILE = FIRST_STREAM + 3, // by their place among the arguments
    ACTION_WORDS = 3 * (LINUX_SIGNALS + 1),
    SCALARS = 8,
    WORDS = 1 + SCALARS + ACTION_WORDS + 2 * LINUX_DESCRIPTORS,
};
_Static_assert((int)WORDS <= (int)LINUX_CHECKPOINT_WORDS &&
                   (int)LINUX_CHECKPOINT_WORDS == (int)CHECKPOINT_EXTRA_WORDS,
               "a checkpoint has room for a process");

static bool is_same_file(const struct stat *file, const char *path)
{
    struct stat other;
    return stat(path, &other) == 0 && file->st_dev == other.st_dev && file->st_ino == other.st_ino;
}

// Where descriptor `host` leads; CLOSED: unknown.
static uint64_t origin_of(const linux_process *process, int host)
{
    struct stat file;
    if (host >= 0 && host <= STDERR_FILENO)
        return FIRST_STREAM + (unsigned)host;
    if (host < 0 || fstat(host, &file) != 0)
        return CLOSED;
    for (size_t i = 0; S_ISREG(file.st_mode) && process->argv && process->argv[i]; i++)
        if (is_same_file(&file, process->argv[i]))
            return FIRST_FILE + i;
    for (int stream = 0; stream <= STDERR_FILENO; stream++) {
        struct stat other;
        if (fstat(stream, &other) == 0 && file.st_dev == other.st_dev &&
            file.st_ino == other.st_ino)
            return FIRST_STREAM + (unsigned)stream;
    }
    return CLOSED;
}

static bool save_descriptors(const host_program *p, uint64_t *words)
{
    const linux_process *process = p->process;
    for (int i = 0; i < LINUX_DESCRIPTORS; i++) {
        uint64_t origin = origin_of(process, process->descriptors[i]);
        if (process->descriptors[i] >= 0 && origin == CLOSED)
            return refuse(p->diagnostics, host_where(p),
                          "no checkpoint: descriptor %d is open on what is no regular file among "
                          "the arguments",
                          i);
        off_t at = origin >= FIRST_FILE ? lseek(process->descriptors[i], 0, SEEK_CUR) : 0;
        words[2 * i] = origin;
        words[2 * i + 1] = at > 0 ? (uint64_t)at : 0;
    }
    return true;
}

bool linux_save(const host_program *p, uint64_t words[LINUX_CHECKPOINT_WORDS])
{
    const linux_process *process = p->process;
    const uint64_t scalars[SCALARS] = {
        process->heap_start, process->heap_end, process->heap_limit,   process->area_start,
        process->area_limit, process->slept,    process->random.state, process->signal_mask};
    words[0] = !p->is_model;
    memcpy(words + 1, scalars, sizeof scalars);
    memcpy(words + 1 + SCALARS, process->actions, sizeof process->actions);
    return save_descriptors(p, words + 1 + SCALARS + ACTION_WORDS);
}

// ---------------------------------------------------------------------- restoring

static bool open_again(host_program *p, uint64_t argument, uint64_t at, int *host)
{
    const char *const *argv = p->process->argv;
    uint64_t count = 0;
    while (argv && argv[count])
        count++;
    if (argument >= count)
        return refuse(p->diagnostics, host_where(p),
                      "the checkpoint has a file open that is no argument of this run");
    *host = open(argv[argument], O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (*host < 0 || (at && lseek(*host, (off_t)at, SEEK_SET) < 0))
        return refuse(p->diagnostics, host_where(p),
                      "cannot open '%s', which the program was reading: %s", argv[argument],
                      strerror(errno));
    return true;
}

static bool restore_descriptor(host_program *p, int number, const uint64_t words[2])
{
    int host = -1, *now = &p->process->descriptors[number];
    if (words[0] >= FIRST_FILE) {
        if (words[1] > INT64_MAX || !open_again(p, words[0] - FIRST_FILE, words[1], &host))
            return false;
    } else if (words[0] >= FIRST_STREAM) {
        int stream = (int)(words[0] - FIRST_STREAM);
        host = stream == number ? stream : fcntl(stream, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    }
    if (*now > STDERR_FILENO)
        close(*now);
    *now = host;
    return true;
}

bool linux_restore(host_program *p, const uint64_t words[LINUX_CHECKPOINT_WORDS])
{
    linux_process *process = p->process;
    const uint64_t *scalars = words + 1, *descriptors = words + 1 + SCALARS + ACTION_WORDS;
    if (p->is_model)
        return true;
    if (words[0] != 1 || scalars[0] != process->heap_start || scalars[1] < scalars[0] ||
        scalars[1] > process->heap_limit || scalars[2] != process->heap_limit ||
        scalars[3] != process->area_start || scalars[4] != process->area_limit)
        return refuse(p->diagnostics, host_where(p),
                      "the checkpoint's memory is laid out for other arguments");
    process->heap_end = scalars[1];
    process->slept = scalars[5];
    process->random.state = scalars[6];
    process->signal_mask = scalars[7];
    p->regions.items[process->heap_region].size = process->heap_end - process->heap_start;
    memcpy(process->actions, words + 1 + SCALARS, sizeof process->actions);
    bool ok = true;
    for (int i = 0; i < LINUX_DESCRIPTORS; i++)
        ok &= restore_descriptor(p, i, descriptors + 2 * i);
    return ok;
}
