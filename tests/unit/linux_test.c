// link: lutra_host
//
// System calls on a program that does nothing: what is granted, what is refused, and, with random
// arguments, that none reaches beyond the guest.
#include "runtime/host/linux.h"

#include "tests/unit/unit.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
    DUP = 23,
    OPENAT = 56,
    CLOSE,
    LSEEK = 62,
    READ,
    WRITE,
    READV,
    WRITEV,
    PREAD,
    READLINKAT = 78,
    NEWFSTATAT,
    FSTAT,
    EXIT = 93,
    FUTEX = 98,
    NANOSLEEP = 101,
    CLOCK_GETTIME = 113,
    TGKILL = 131,
    SIGACTION = 134,
    UNAME = 160,
    GETPID = 172,
    BRK = 214,
    MUNMAP,
    MREMAP,
    MMAP = 222,
    MPROTECT = 226,
    HWPROBE = 258,
    PRLIMIT = 261,
    GETRANDOM = 278,
    ANONYMOUS = MAP_PRIVATE | MAP_ANONYMOUS,
    CODE = 0x10000, // where the program lies
};

typedef struct guest {
    arena *arena;
    FILE *messages;
    diagnostics *diagnostics;
    host_program *program;
    char folder[32], program_path[64], data_path[64];
    uint64_t buffer; // a writable page, the last one before unmapped memory
    int exit_code;
    bool ended;
} guest;

static void write_file(const char *path, const void *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    fclose(f);
}

static void write_program(const char *path)
{
    struct {
        Elf64_Ehdr header;
        Elf64_Phdr segment;
        uint32_t code[3];
    } image = {
        {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1},
         .e_type = ET_EXEC,
         .e_machine = EM_RISCV,
         .e_version = 1,
         .e_entry = CODE + offsetof(__typeof__(image), code),
         .e_ehsize = sizeof(Elf64_Ehdr),
         .e_phoff = sizeof(Elf64_Ehdr),
         .e_phentsize = sizeof(Elf64_Phdr),
         .e_phnum = 1},
        {.p_type = PT_LOAD,
         .p_flags = PF_R | PF_X,
         .p_vaddr = CODE,
         .p_filesz = sizeof image,
         .p_memsz = sizeof image,
         .p_align = 4096},
        {0x07c00893, 0x00000073, 0x00100073}, // li a7, 124; ecall (sched_yield); ebreak
    };
    write_file(path, &image, sizeof image);
}

static uint64_t call(guest *g, uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                     uint64_t e, uint64_t f)
{
    uint64_t *x = host_hart(g->program)->x;
    const uint64_t arguments[LINUX_ARGUMENTS] = {a, b, c, d, e, f};
    memcpy(x + 10, arguments, sizeof arguments);
    x[17] = number;
    g->ended = !host_service(g->program, g->program->hart, &g->exit_code);
    return x[10];
}
#define CALL_6(g, number, a, b, c, d, e, f, ...)                                                   \
    (int64_t)call(g, number, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d),           \
                  (uint64_t)(e), (uint64_t)(f))
#define CALL(...) CALL_6(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

static int start(void **state)
{
    static const char *argv[4];
    static const char *const environment[] = {NULL};
    guest *g = calloc(1, sizeof *g);
    strcpy(g->folder, "/tmp/linux_test.XXXXXX");
    assert_non_null(mkdtemp(g->folder));
    snprintf(g->program_path, sizeof g->program_path, "%s/program", g->folder);
    snprintf(g->data_path, sizeof g->data_path, "%s/data", g->folder);
    write_program(g->program_path);
    write_file(g->data_path, "0123456789", 10);
    g->arena = arena_create();
    g->messages = fopen("/dev/null", "w");
    g->diagnostics = diagnostics_create(g->messages);
    g->program = host_open(g->arena, g->diagnostics, g->program_path);
    assert_non_null(g->program);
    assert_true(host_load(g->program, &(host_options){0}));
    memcpy(argv, (const char *[]){g->program_path, g->data_path, g->folder, NULL}, sizeof argv);
    bool ok;
    host_outcome o = host_run_process(g->program, argv, environment, &(host_limits){0}, &ok);
    assert_true(ok);
    assert_int_equal(o.end, HOST_FAULTED); // the ebreak
    g->buffer = (uint64_t)CALL(g, MMAP, 0, 3 * hart_memory_page(), PROT_READ | PROT_WRITE,
                               ANONYMOUS, -1, 0);
    assert_int_equal(CALL(g, MUNMAP, g->buffer + hart_memory_page(), hart_memory_page()), 0);
    *state = g;
    return 0;
}

static int finish(void **state)
{
    guest *g = *state;
    host_close(g->program);
    diagnostics_destroy(g->diagnostics);
    fclose(g->messages);
    arena_destroy(g->arena);
    unlink(g->program_path);
    unlink(g->data_path);
    rmdir(g->folder);
    free(g);
    return 0;
}

// Puts bytes where the guest can read them.
static uint64_t put(guest *g, uint64_t offset, const void *data, size_t size)
{
    assert_true(hart_memory_write(g->program->memory, g->buffer + offset, data, size));
    return g->buffer + offset;
}

static uint64_t put_text(guest *g, const char *s)
{
    return put(g, 0, s, strlen(s) + 1);
}

static const void *at(guest *g, uint64_t address, uint64_t size)
{
    const void *p = hart_memory_range(g->program->memory, address, size, HART_READ);
    assert_non_null(p);
    return p;
}

// ----------------------------------------------------------------------------- files

static void only_arguments_can_be_opened(void **state)
{
    guest *g = *state;
    assert_int_equal(CALL(g, OPENAT, AT_FDCWD, put_text(g, "/etc/passwd"), 0), -EACCES);
    assert_int_equal(CALL(g, NEWFSTATAT, AT_FDCWD, put_text(g, "/etc/passwd"), g->buffer + 512, 0),
                     -EACCES);
    assert_int_equal(CALL(g, OPENAT, AT_FDCWD, put_text(g, g->data_path), O_WRONLY), -EROFS);
    assert_int_equal(CALL(g, OPENAT, AT_FDCWD, put_text(g, g->data_path), O_CREAT), -EROFS);
    int64_t d = CALL(g, OPENAT, AT_FDCWD, put_text(g, g->data_path), 0);
    assert_int_equal(d, 3);
    assert_int_equal(CALL(g, WRITE, d, g->buffer, 1), -EBADF);
    assert_int_equal(CALL(g, READ, d, g->buffer, 100), 10);
    assert_memory_equal(at(g, g->buffer, 10), "0123456789", 10);
    assert_int_equal(CALL(g, LSEEK, d, -4, SEEK_END), 6);
    assert_int_equal(CALL(g, DUP, d), 4);
    assert_int_equal(CALL(g, CLOSE, d), 0);
    assert_int_equal(CALL(g, CLOSE, d), -EBADF);
    assert_int_equal(CALL(g, DUP, d), -EBADF);
    assert_int_equal(CALL(g, READ, 4, g->buffer, 100), 4); // they share the position
    int64_t folder = CALL(g, OPENAT, AT_FDCWD, put_text(g, g->folder), 0);
    assert_int_equal(CALL(g, READ, folder, g->buffer, 100), -EISDIR);
    assert_int_equal(CALL(g, MMAP, 0, 100, PROT_READ, MAP_PRIVATE, folder, 0), -ENODEV);
}

static void buffers_are_cut_at_the_guests_memory(void **state)
{
    guest *g = *state;
    uint64_t end = g->buffer + hart_memory_page();
    int64_t d = CALL(g, OPENAT, AT_FDCWD, put_text(g, g->data_path), 0);
    assert_int_equal(CALL(g, READ, d, end - 4, UINT64_MAX), 4);
    assert_int_equal(CALL(g, READ, d, end, 1), -EFAULT);
    assert_int_equal(CALL(g, READ, d, end, 0), 0);
    assert_int_equal(CALL(g, READ, d, CODE, 1), -EFAULT); // read-only
    assert_int_equal(CALL(g, PREAD, d, end - 2, 9, 5), 2);
    assert_memory_equal(at(g, end - 4, 4), "0156", 4);
    assert_int_equal(CALL(g, PREAD, d, g->buffer, 9, -1), -EINVAL);
    const uint64_t vectors[] = {end - 2, 2, end, 5};
    assert_int_equal(CALL(g, READV, d, put(g, 0, vectors, sizeof vectors), 2), 2);
    assert_int_equal(CALL(g, READV, d, end - 8, 1), -EFAULT);
    assert_int_equal(CALL(g, READV, d, g->buffer, 1025), -EINVAL);
    memset(hart_memory_range(g->program->memory, end - 3, 3, HART_WRITE), 'x', 3);
    assert_int_equal(CALL(g, OPENAT, AT_FDCWD, end - 3, 0), -EFAULT); // no end
    assert_int_equal(CALL(g, FSTAT, d, end - 127), -EFAULT);
    assert_int_equal(CALL(g, FSTAT, d, end - 128), 0);
    assert_int_equal(CALL(g, UNAME, end - 389), -EFAULT);
    assert_int_equal(CALL(g, GETRANDOM, end - 8, 9, 0), -EFAULT);
    assert_int_equal(CALL(g, READLINKAT, AT_FDCWD, put_text(g, "/proc/self/exe"), end, 1), -EFAULT);
}

// ---------------------------------------------------------------------------- memory

static void the_heap_has_bounds(void **state)
{
    guest *g = *state;
    uint64_t heap = (uint64_t)CALL(g, BRK, 0);
    assert_int_equal(CALL(g, BRK, heap - 1), heap);
    assert_int_equal(CALL(g, BRK, heap + LINUX_HEAP_BYTES + 1), heap);
    assert_int_equal(CALL(g, BRK, heap + 10000), heap + 10000);
    *(char *)hart_memory_range(g->program->memory, heap + 9999, 1, HART_WRITE) = 1;
    assert_int_equal(CALL(g, BRK, heap + 1), heap + 1);
    assert_null(hart_memory_range(g->program->memory, heap + 9999, 1, HART_READ));
    assert_int_equal(CALL(g, BRK, heap + 10000), heap + 10000);
    assert_int_equal(*(const char *)at(g, heap + 9999, 1), 0);
}

static void mappings_stay_in_their_area(void **state)
{
    guest *g = *state;
    uint64_t page = hart_memory_page(), rw = PROT_READ | PROT_WRITE, fixed = ANONYMOUS | MAP_FIXED;
    assert_int_equal(CALL(g, MMAP, CODE, page, rw, fixed, -1, 0), -ENOMEM);
    assert_int_equal(CALL(g, MMAP, g->buffer + 1, page, rw, fixed, -1, 0), -EINVAL);
    assert_int_equal(CALL(g, MMAP, g->buffer, page, rw, ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0),
                     -EEXIST);
    assert_int_equal(CALL(g, MMAP, 0, LINUX_AREA_BYTES, rw, ANONYMOUS, -1, 0), -ENOMEM);
    assert_int_equal(CALL(g, MMAP, 0, UINT64_MAX, rw, ANONYMOUS, -1, 0), -ENOMEM);
    assert_int_equal(CALL(g, MMAP, 0, 0, rw, ANONYMOUS, -1, 0), -EINVAL);
    assert_int_equal(CALL(g, MMAP, 0, page, rw, MAP_PRIVATE, 9, 0), -EBADF);
    assert_int_equal(CALL(g, MUNMAP, CODE, page), -EINVAL);
    assert_int_equal(CALL(g, MUNMAP, g->buffer, UINT64_MAX - page), -EINVAL);
    assert_int_equal(CALL(g, MPROTECT, 0, page, rw), -ENOMEM);
    assert_int_equal(CALL(g, MPROTECT, g->buffer, UINT64_MAX, rw), -ENOMEM);
    // The gap that start left is the first room.
    assert_int_equal(CALL(g, MMAP, 0, page, rw, ANONYMOUS, -1, 0), g->buffer + page);
}

static void protected_pages_keep_their_bytes(void **state)
{
    guest *g = *state;
    uint64_t page = hart_memory_page(), a = put_text(g, "kept");
    assert_int_equal(CALL(g, MPROTECT, a, page, PROT_NONE), 0);
    assert_int_equal(CALL(g, WRITE, 1, a, 4), -EFAULT);
    assert_int_equal(CALL(g, MREMAP, a, page, 5 * page, 1), -EFAULT);
    assert_int_equal(CALL(g, MMAP, 0, page, PROT_NONE, ANONYMOUS, -1, 0), a + page);
    assert_int_equal(CALL(g, MPROTECT, a, page, PROT_READ), 0);
    assert_string_equal(at(g, a, 5), "kept");
    uint64_t moved = (uint64_t)CALL(g, MREMAP, a, page, 5 * page, 1);
    assert_true(moved > a);
    assert_string_equal(at(g, moved, 5 * page), "kept");
    assert_null(hart_memory_range(g->program->memory, a, 1, 0));
    assert_int_equal(CALL(g, MREMAP, CODE, page, 2 * page, 1), -EFAULT);
    assert_int_equal(CALL(g, MREMAP, moved, page, UINT64_MAX, 1), -ENOMEM);
}

static void files_are_mapped_as_copies(void **state)
{
    guest *g = *state;
    uint64_t page = hart_memory_page();
    int64_t d = CALL(g, OPENAT, AT_FDCWD, put_text(g, g->data_path), 0);
    assert_int_equal(CALL(g, MMAP, 0, 10, PROT_WRITE, MAP_SHARED, d, 0), -EACCES);
    assert_int_equal(CALL(g, MMAP, 0, 10, PROT_READ, MAP_PRIVATE, d, 1), -EINVAL);
    uint64_t a = (uint64_t)CALL(g, MMAP, 0, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE, d, 0);
    assert_memory_equal(at(g, a, 2 * page), "0123456789\0\0", 12);
    assert_int_equal(CALL(g, READ, d, a, 1), 1);
    *(char *)hart_memory_range(g->program->memory, a, 1, HART_WRITE) = 'x';
    assert_int_equal(CALL(g, PREAD, d, g->buffer, 1, 0), 1);
    assert_int_equal(*(const char *)at(g, g->buffer, 1), '0');
}

// ------------------------------------------------------------------ everything else

static void signals_end_the_program(void **state)
{
    guest *g = *state;
    CALL(g, EXIT, 0x1234);
    assert_true(g->ended);
    assert_int_equal(g->exit_code, 0x34);
    int64_t pid = CALL(g, GETPID);
    assert_int_equal(CALL(g, TGKILL, pid, pid, 65), -EINVAL);
    assert_int_equal(CALL(g, TGKILL, pid, pid + 1, 6), -ESRCH);
    assert_int_equal(CALL(g, TGKILL, pid, pid, 0), 0);
    const linux_action ignore = {1, 0, 0};
    assert_int_equal(CALL(g, SIGACTION, 6, put(g, 0, &ignore, sizeof ignore), 0, 8), 0);
    assert_int_equal(CALL(g, TGKILL, pid, pid, 6), 0);
    assert_false(g->ended);
    assert_int_equal(CALL(g, SIGACTION, 9, g->buffer, 0, 8), -EINVAL);
    assert_int_equal(CALL(g, SIGACTION, 6, CODE + hart_memory_page(), 0, 8), -EFAULT);
    CALL(g, TGKILL, pid, pid, 11);
    assert_true(g->ended);
    assert_int_equal(g->exit_code, 139);
}

static int64_t nanoseconds(guest *g, uint64_t clock)
{
    assert_int_equal(CALL(g, CLOCK_GETTIME, clock, g->buffer), 0);
    const int64_t *t = at(g, g->buffer, 16);
    return t[0] * 1000000000 + t[1];
}

static void time_is_counted_in_instructions(void **state)
{
    guest *g = *state;
    assert_int_equal(nanoseconds(g, CLOCK_MONOTONIC), host_hart(g->program)->retired);
    const int64_t long_time[] = {5, 7};
    assert_int_equal(CALL(g, NANOSLEEP, put(g, 0, long_time, 16), 0), 0);
    assert_int_equal(nanoseconds(g, CLOCK_MONOTONIC),
                     (int64_t)host_hart(g->program)->retired + 5000000007);
    assert_int_equal(nanoseconds(g, CLOCK_PROCESS_CPUTIME_ID), host_hart(g->program)->retired);
    const int64_t wrong[] = {0, 1000000000};
    assert_int_equal(CALL(g, NANOSLEEP, put(g, 0, wrong, 16), 0), -EINVAL);
    assert_int_equal(CALL(g, CLOCK_GETTIME, 77, g->buffer), -EINVAL);
    assert_int_equal(CALL(g, CLOCK_GETTIME, 0, 0), -EFAULT);
}

static void the_rest_is_refused(void **state)
{
    guest *g = *state;
    const uint32_t value = 5;
    uint64_t a = put(g, 0, &value, sizeof value);
    assert_int_equal(CALL(g, FUTEX, a, 0, 6, 0), -EAGAIN);
    assert_int_equal(CALL(g, FUTEX, a, 0, 5, 0), -EDEADLK);
    assert_int_equal(CALL(g, FUTEX, a, 1, 5, 0), 0);
    assert_int_equal(CALL(g, HWPROBE, 0, 0, 0, 0), -ENOSYS);
    assert_int_equal(CALL(g, PRLIMIT, 0, 3, a, 0), -EPERM);
    assert_int_equal(CALL(g, PRLIMIT, 0, 16, 0, a), -EINVAL);
    size_t said = g->program->refused_services.count;
    assert_int_equal(CALL(g, 220, 0, 0), -ENOSYS); // clone
    assert_int_equal(CALL(g, 220, 0, 0), -ENOSYS);
    assert_int_equal(g->program->refused_services.count, said + 1);
}

// ---------------------------------------------------------------------------- random

static int open_descriptors(void)
{
    int count = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d))
        count++;
    if (d)
        closedir(d);
    return count;
}

static uint64_t some_argument(guest *g, random_stream *r)
{
    const linux_process *p = g->program->process;
    uint64_t page = hart_memory_page(), limit = hart_memory_limit(g->program->memory);
    const uint64_t places[] = {0,
                               CODE,
                               g->buffer,
                               g->buffer + page,
                               limit,
                               p->heap_end,
                               p->heap_start,
                               p->heap_limit,
                               p->area_start,
                               p->area_limit,
                               INT64_MAX,
                               UINT64_MAX,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED};
    uint64_t place = places[random_bits(r) % (sizeof places / sizeof *places)];
    switch (random_bits(r) % 9) {
    case 0: return random_bits(r) % 8;
    case 1: return random_bits(r) % 300;
    case 2: return page * (random_bits(r) % 64);
    case 3: return random_bits(r) >> random_bits(r) % 64 << 43 >> 43; // no gigabytes are copied
    case 4: return place + random_bits(r) % 64 - 32;
    case 5: return place + page * (random_bits(r) % 64) - 32 * page;
    case 6: return g->buffer;
    case 7: return (uint64_t)AT_FDCWD;
    default: return place;
    }
}

static uint64_t some_number(random_stream *r)
{
    static const uint64_t frequent[] = {OPENAT, READ,       WRITE,  READV,  WRITEV,   PREAD,
                                        MMAP,   NEWFSTATAT, MUNMAP, MREMAP, MPROTECT, READLINKAT};
    uint64_t any = random_bits(r) % 300;
    return any % 2 ? any : frequent[any % (sizeof frequent / sizeof *frequent)];
}

static void check_state(guest *g)
{
    const linux_process *p = g->program->process;
    size_t count;
    const hart_segment *s = hart_memory_segments(g->program->memory, &count);
    assert_true(count <= LINUX_MOST_SEGMENTS + 4);
    assert_true(p->heap_end >= p->heap_start && p->heap_end <= p->heap_limit);
    for (size_t i = 0; i < count; i++)
        assert_true(s[i].address + s[i].size <= hart_memory_limit(g->program->memory));
}

// Open files, paths and vectors are met now and then: the buffer holds one of each.
static void prepare(guest *g, random_stream *r)
{
    uint64_t words[8];
    CALL(g, MMAP, g->buffer, hart_memory_page(), PROT_READ | PROT_WRITE, ANONYMOUS | MAP_FIXED, -1,
         0);
    for (int i = 0; i < 8; i++)
        words[i] = some_argument(g, r);
    put(g, 0, words, sizeof words);
    for (int i = 0; i < 3; i++)
        if (g->program->process->descriptors[i] < 0)
            g->program->process->descriptors[i] = i;
    CALL(g, OPENAT, AT_FDCWD, put_text(g, g->data_path), 0);
    put(g, 0, words, sizeof words);
    if (random_bits(r) % 2)
        put_text(g, random_bits(r) % 2 ? g->data_path : "/proc/self/exe");
}

static void random_calls_stay_in_the_guest(void **state)
{
    guest *g = *state;
    random_stream r = random_seed(20);
    int rounds = getenv("LUTRA_TEST_QUICK") ? 50000 : 500000, before = open_descriptors();
    int saved[3], null = open("/dev/null", O_RDWR);
    fflush(stdout);
    for (int i = 0; i < 3; i++) {
        saved[i] = dup(i);
        dup2(null, i);
    }
    for (int i = 0; i < rounds; i++) {
        if (i % 16 == 0)
            prepare(g, &r);
        uint64_t a[LINUX_ARGUMENTS];
        for (int j = 0; j < LINUX_ARGUMENTS; j++)
            a[j] = some_argument(g, &r);
        call(g, some_number(&r), a[0], a[1], a[2], a[3], a[4], a[5]);
        if (i % 64 == 0)
            check_state(g);
    }
    fflush(stdout);
    for (int i = 0; i < 3; i++) {
        dup2(saved[i], i);
        close(saved[i]);
    }
    close(null);
    linux_destroy(g->program->process);
    g->program->process = NULL;
    assert_int_equal(open_descriptors(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, finish)
        TEST(only_arguments_can_be_opened),
        TEST(buffers_are_cut_at_the_guests_memory),
        TEST(the_heap_has_bounds),
        TEST(mappings_stay_in_their_area),
        TEST(protected_pages_keep_their_bytes),
        TEST(files_are_mapped_as_copies),
        TEST(signals_end_the_program),
        TEST(time_is_counted_in_instructions),
        TEST(the_rest_is_refused),
        TEST(random_calls_stay_in_the_guest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
