// Files: the standard streams, and for reading the files whose names the guest was given as
// arguments. Nothing else of the host's file system exists for it.
#include "runtime/host/linux.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(LINUX_LONGEST_PATH >= PATH_MAX, "realpath writes that much");

enum {
    // asm-generic, which RISC-V has
    GUEST_ACCESS_MODE = 3,
    GUEST_CREATE = 0100,
    GUEST_TRUNCATE = 01000,
    GUEST_AT_FDCWD = -100,
    GUEST_AT_EMPTY_PATH = 0x1000,
    MOST_VECTORS = 1024,
    STANDARD_STREAMS = 3,
};

int linux_descriptor(const linux_call *c, uint64_t number)
{
    return number < LINUX_DESCRIPTORS ? c->process->descriptors[number] : -1;
}

static bool is_standard(uint64_t number)
{
    return number < STANDARD_STREAMS;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

// How much of a buffer is the guest's, as far as one transfer goes. 0: nothing.
static uint64_t transfer_size(const linux_call *c, uint64_t address, uint64_t size, unsigned access)
{
    return smaller(smaller(size, LINUX_MOST_TRANSFER),
                   hart_memory_extent(c->memory, address, access));
}

// ----------------------------------------------------------------------------- paths

// 0, or an error.
static int64_t get_path(const linux_call *c, uint64_t address, char path[LINUX_LONGEST_PATH])
{
    uint64_t readable = transfer_size(c, address, LINUX_LONGEST_PATH, HART_READ);
    if (readable == 0)
        return -EFAULT;
    memcpy(path, hart_memory_range(c->memory, address, readable, HART_READ), readable);
    if (memchr(path, 0, readable))
        return 0;
    return readable == LINUX_LONGEST_PATH ? -ENAMETOOLONG : -EFAULT;
}

static bool is_argument(const linux_call *c, const char *path)
{
    for (const char *const *a = c->process->argv; *a; a++)
        if (strcmp(*a, path) == 0)
            return true;
    return false;
}

static int64_t get_permitted_path(const linux_call *c, uint64_t address,
                                  char path[LINUX_LONGEST_PATH])
{
    int64_t problem = get_path(c, address, path);
    return problem ? problem : is_argument(c, path) ? 0 : -EACCES;
}

// For reading. The numbers of the standard streams stay theirs even where lutrun has none.
static int open_file(const char *path)
{
    int host = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (host < 0 || !is_standard((uint64_t)host))
        return host;
    int moved = fcntl(host, F_DUPFD_CLOEXEC, STANDARD_STREAMS);
    close(host);
    return moved;
}

// The lowest free descriptor; -1: none.
static int free_descriptor(const linux_call *c)
{
    for (int i = 0; i < LINUX_DESCRIPTORS; i++)
        if (c->process->descriptors[i] < 0)
            return i;
    return -1;
}

int64_t linux_openat(linux_call *c)
{
    char path[LINUX_LONGEST_PATH];
    int64_t problem = get_permitted_path(c, c->a[1], path);
    if (problem)
        return problem;
    if ((int32_t)c->a[0] != GUEST_AT_FDCWD && path[0] != '/')
        return -EBADF;
    if (c->a[2] & (GUEST_ACCESS_MODE | GUEST_CREATE | GUEST_TRUNCATE))
        return -EROFS;
    int number = free_descriptor(c);
    if (number < 0)
        return -EMFILE;
    c->process->descriptors[number] = open_file(path);
    return c->process->descriptors[number] < 0 ? -errno : number;
}

int64_t linux_dup(linux_call *c)
{
    int host = linux_descriptor(c, c->a[0]), number = free_descriptor(c);
    if (host < 0)
        return -EBADF;
    if (number < 0)
        return -EMFILE;
    if (!is_standard((uint64_t)host))
        host = fcntl(host, F_DUPFD_CLOEXEC, STANDARD_STREAMS);
    c->process->descriptors[number] = host;
    return host < 0 ? -errno : number;
}

int64_t linux_close(linux_call *c)
{
    int host = linux_descriptor(c, c->a[0]);
    if (host < 0)
        return -EBADF;
    if (host >= STANDARD_STREAMS)
        close(host);
    c->process->descriptors[c->a[0]] = -1;
    return 0;
}

int64_t linux_readlinkat(linux_call *c)
{
    char path[LINUX_LONGEST_PATH];
    int64_t problem = get_path(c, c->a[1], path);
    if (problem)
        return problem;
    if (strcmp(path, "/proc/self/exe") != 0)
        return is_argument(c, path) ? -EINVAL : -EACCES; // not a link
    if (!realpath(c->program->path, path))
        return -errno;
    uint64_t size = smaller(strlen(path), c->a[3]);
    return linux_put(c, c->a[2], path, size) ? (int64_t)size : -EFAULT;
}

// ------------------------------------------------------------------------- transfers

static int64_t read_bytes(const linux_call *c, uint64_t address, uint64_t size)
{
    int host = linux_descriptor(c, c->a[0]);
    if (host < 0 || (is_standard((uint64_t)host) && host != STDIN_FILENO))
        return -EBADF;
    if (size == 0)
        return 0;
    size = transfer_size(c, address, size, HART_WRITE);
    if (size == 0)
        return -EFAULT;
    if (host == STDIN_FILENO)
        fflush(stdout); // what the guest asks for comes first
    ssize_t n = read(host, hart_memory_range(c->memory, address, size, HART_WRITE), size);
    return n < 0 ? -errno : n;
}

static int64_t write_bytes(const linux_call *c, uint64_t address, uint64_t size)
{
    int host = linux_descriptor(c, c->a[0]);
    if (host != STDOUT_FILENO && host != STDERR_FILENO)
        return -EBADF;
    if (size == 0)
        return 0;
    size = transfer_size(c, address, size, HART_READ);
    if (size == 0)
        return -EFAULT;
    if (host == STDERR_FILENO)
        fflush(stdout); // the two may be one terminal
    const void *data = hart_memory_range(c->memory, address, size, HART_READ);
    size_t n = fwrite(data, 1, size, host == STDOUT_FILENO ? stdout : stderr);
    return n > 0 ? (int64_t)n : -EIO;
}

typedef int64_t transfer(const linux_call *c, uint64_t address, uint64_t size);

static int64_t for_vectors(const linux_call *c, transfer *t)
{
    uint64_t count = c->a[2];
    int64_t total = 0;
    if (count > MOST_VECTORS)
        return -EINVAL;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t vector[2]; // address, size
        if (!linux_get(c, c->a[1] + i * sizeof vector, vector, sizeof vector))
            return total ? total : -EFAULT;
        int64_t n = t(c, vector[0], vector[1]);
        if (n < 0)
            return total ? total : n;
        total += n;
        if ((uint64_t)n < vector[1])
            break;
    }
    return total;
}

int64_t linux_read(linux_call *c)
{
    return read_bytes(c, c->a[1], c->a[2]);
}

int64_t linux_write(linux_call *c)
{
    return write_bytes(c, c->a[1], c->a[2]);
}

int64_t linux_readv(linux_call *c)
{
    return for_vectors(c, read_bytes);
}

int64_t linux_writev(linux_call *c)
{
    return for_vectors(c, write_bytes);
}

int64_t linux_pread(linux_call *c)
{
    int host = linux_descriptor(c, c->a[0]);
    if (host < 0)
        return -EBADF;
    if (is_standard((uint64_t)host))
        return -ESPIPE;
    if (c->a[2] == 0)
        return 0;
    uint64_t size = transfer_size(c, c->a[1], c->a[2], HART_WRITE);
    if (size == 0)
        return -EFAULT;
    void *to = hart_memory_range(c->memory, c->a[1], size, HART_WRITE);
    ssize_t n = pread(host, to, size, (off_t)c->a[3]);
    return n < 0 ? -errno : n;
}

int64_t linux_lseek(linux_call *c)
{
    int host = linux_descriptor(c, c->a[0]);
    if (host < 0)
        return -EBADF;
    if (is_standard((uint64_t)host))
        return -ESPIPE;
    if (c->a[2] > SEEK_END)
        return -EINVAL;
    off_t at = lseek(host, (off_t)c->a[1], (int)c->a[2]);
    return at < 0 ? -errno : at;
}

// ------------------------------------------------------------------------ properties

typedef struct guest_stat {
    uint64_t device, inode;
    uint32_t mode, links, user, group;
    uint64_t special_device, padding;
    int64_t size;
    int32_t block_size, padding2;
    int64_t blocks;
    int64_t access[2], modification[2], change[2]; // seconds, nanoseconds
    uint64_t unused;
} guest_stat;
_Static_assert(sizeof(guest_stat) == 128, "struct stat of RISC-V");

static int64_t put_stat(const linux_call *c, uint64_t address, const struct stat *s)
{
    const guest_stat g = {.device = s->st_dev,
                          .inode = s->st_ino,
                          .mode = s->st_mode,
                          .links = (uint32_t)s->st_nlink,
                          .user = s->st_uid,
                          .group = s->st_gid,
                          .size = s->st_size,
                          .block_size = (int32_t)s->st_blksize,
                          .blocks = s->st_blocks,
                          .access = {s->st_atim.tv_sec, s->st_atim.tv_nsec},
                          .modification = {s->st_mtim.tv_sec, s->st_mtim.tv_nsec},
                          .change = {s->st_ctim.tv_sec, s->st_ctim.tv_nsec}};
    return linux_put(c, address, &g, sizeof g) ? 0 : -EFAULT;
}

// The standard streams look like pipes, wherever they go, so that runs do not differ.
static int64_t stat_descriptor(const linux_call *c, uint64_t number, uint64_t address)
{
    struct stat s = {.st_mode = S_IFIFO | S_IRUSR | S_IWUSR, .st_nlink = 1, .st_blksize = 4096};
    int host = linux_descriptor(c, number);
    if (host < 0)
        return -EBADF;
    if (!is_standard((uint64_t)host) && fstat(host, &s) != 0)
        return -errno;
    return put_stat(c, address, &s);
}

int64_t linux_fstat(linux_call *c)
{
    return stat_descriptor(c, c->a[0], c->a[1]);
}

int64_t linux_newfstatat(linux_call *c)
{
    char path[LINUX_LONGEST_PATH];
    struct stat s;
    int64_t problem = get_path(c, c->a[1], path);
    if (problem)
        return problem;
    if (!*path && c->a[3] & GUEST_AT_EMPTY_PATH)
        return stat_descriptor(c, c->a[0], c->a[2]);
    if (!is_argument(c, path))
        return -EACCES;
    return stat(path, &s) == 0 ? put_stat(c, c->a[2], &s) : -errno;
}

// No descriptor is a terminal, for the same reason.
int64_t linux_ioctl(linux_call *c)
{
    return linux_descriptor(c, c->a[0]) < 0 ? -EBADF : -ENOTTY;
}

int64_t linux_fcntl(linux_call *c)
{
    int host = linux_descriptor(c, c->a[0]);
    if (host < 0)
        return -EBADF;
    switch (c->a[1]) {
    case F_GETFD:
    case F_SETFD:
    case F_SETFL: return 0;
    case F_GETFL: return host == STDOUT_FILENO || host == STDERR_FILENO ? O_WRONLY : O_RDONLY;
    default: return -EINVAL;
    }
}
