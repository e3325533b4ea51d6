// System calls: the table, and those of identity, time, signals and exit. Deterministic: a run
// depends on the program, its arguments and its files only.
#include "runtime/host/linux.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    A0 = 10,
    A7 = 17,
    MAX_WARNINGS = 32,
    PROCESS = 1000, // the guest's process, thread, user and group
    SIGNAL_BASE = 128,
    SIGNAL_KILL = 9,
    SIGNAL_STOP = 19,
    HANDLER_DEFAULT = 0,
    HANDLER_IGNORE = 1,
    STACK_BYTES = 8 << 20,
    RESOURCE_STACK = 3,
    RESOURCE_FILES = 7,
    RESOURCES = 16,
    MOST_RANDOM = 1 << 25, // bytes of one getrandom, as in Linux
};
static const int64_t second = 1000000000, epoch = 1767225600; // 2026-01-01

bool linux_get(const linux_call *c, uint64_t address, void *data, uint64_t size)
{
    const void *from = hart_memory_range(c->memory, address, size, HART_READ);
    if (from)
        memcpy(data, from, size);
    return from != NULL;
}

bool linux_put(const linux_call *c, uint64_t address, const void *data, uint64_t size)
{
    void *to = hart_memory_range(c->memory, address, size, HART_WRITE);
    if (to)
        memcpy(to, data, size);
    return to != NULL;
}

// A result that a null pointer declines.
static int64_t put_optional(const linux_call *c, uint64_t address, const void *data, uint64_t size)
{
    return !address || linux_put(c, address, data, size) ? 0 : -EFAULT;
}

// --------------------------------------------------------------------------- process

static int64_t leave(linux_call *c)
{
    c->ended = true;
    c->exit_code = (int)(c->a[0] & 0xff);
    return 0;
}

static int64_t name_system(linux_call *c)
{
    enum { FIELDS = 6, FIELD = 65 };
    static const char names[FIELDS][FIELD] = {"Linux", "lutra", "6.1.0", "1", "riscv64", "(none)"};
    return linux_put(c, c->a[0], names, sizeof names) ? 0 : -EFAULT;
}

static int64_t describe_system(linux_call *c)
{
    const struct {
        uint64_t uptime, loads[3], memory, free, shared, buffers, swap[2];
        uint16_t processes, padding[3];
        uint64_t high[2];
        uint32_t unit, unused;
    } info = {.uptime = c->program->hart->retired / (uint64_t)second,
              .memory = LINUX_HEAP_BYTES + LINUX_AREA_BYTES,
              .free = LINUX_HEAP_BYTES + LINUX_AREA_BYTES,
              .processes = 1,
              .unit = 1};
    _Static_assert(sizeof info == 112, "struct sysinfo of RISC-V");
    return linux_put(c, c->a[0], &info, sizeof info) ? 0 : -EFAULT;
}

static int64_t limit_resource(linux_call *c)
{
    uint64_t limit = c->a[1] == RESOURCE_STACK   ? STACK_BYTES
                     : c->a[1] == RESOURCE_FILES ? LINUX_DESCRIPTORS
                                                 : UINT64_MAX;
    const uint64_t both[2] = {limit, limit};
    if (c->a[1] >= RESOURCES)
        return -EINVAL;
    return c->a[2] ? -EPERM : put_optional(c, c->a[3], both, sizeof both);
}

static int64_t list_processors(linux_call *c)
{
    const uint64_t first = 1;
    if (c->a[1] < sizeof first)
        return -EINVAL;
    return linux_put(c, c->a[2], &first, sizeof first) ? (int64_t)sizeof first : -EFAULT;
}

static int64_t draw_random(linux_call *c)
{
    uint64_t size = c->a[1] < MOST_RANDOM ? c->a[1] : MOST_RANDOM;
    uint8_t *to = hart_memory_range(c->memory, c->a[0], size, HART_WRITE);
    if (!to)
        return -EFAULT;
    for (uint64_t i = 0; i < size; i++)
        to[i] = (uint8_t)random_bits(&c->process->random);
    return (int64_t)size;
}

static int64_t flush_instructions(linux_call *c)
{
    hart_flush_code(c->program->hart);
    return 0;
}

// With one thread, waiting is for what never comes: an error, unless there is a time limit.
static int64_t futex(linux_call *c)
{
    enum { WAIT = 0, WAKE = 1, WAIT_BITSET = 9, COMMAND = 0x7f };
    uint32_t value;
    switch (c->a[1] & COMMAND) {
    case WAKE: return 0;
    case WAIT:
    case WAIT_BITSET:
        if (!linux_get(c, c->a[0], &value, sizeof value))
            return -EFAULT;
        if (value != (uint32_t)c->a[2])
            return -EAGAIN;
        return c->a[3] ? -ETIMEDOUT : -EDEADLK;
    default: return -ENOSYS;
    }
}

// ------------------------------------------------------------------------------ time

// Nanoseconds: one per instruction, as the hart's `time` counts, and those slept. -1: no such
// clock.
static int64_t read_clock(const linux_call *c, uint64_t clock)
{
    int64_t busy = (int64_t)c->program->hart->retired, passed = busy + (int64_t)c->process->slept;
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_TAI: return passed + epoch * second;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME: return passed;
    case CLOCK_PROCESS_CPUTIME_ID:
    case CLOCK_THREAD_CPUTIME_ID: return busy;
    default: return -1;
    }
}

static int64_t get_clock(linux_call *c)
{
    int64_t now = read_clock(c, c->a[0]);
    const int64_t parts[2] = {now / second, now % second};
    if (now < 0)
        return -EINVAL;
    return linux_put(c, c->a[1], parts, sizeof parts) ? 0 : -EFAULT;
}

static int64_t get_resolution(linux_call *c)
{
    const int64_t parts[2] = {0, 1};
    return read_clock(c, c->a[0]) < 0 ? -EINVAL : put_optional(c, c->a[1], parts, sizeof parts);
}

static int64_t get_time_of_day(linux_call *c)
{
    int64_t now = read_clock(c, CLOCK_REALTIME);
    const int64_t parts[2] = {now / second, now % second / 1000};
    return put_optional(c, c->a[0], parts, sizeof parts);
}

// Time passes for the guest alone. Of absurd times, so much that clocks do not overflow.
static int64_t sleep_until(linux_call *c, uint64_t request, int64_t from)
{
    static const int64_t most = INT64_C(4000000000);
    int64_t parts[2];
    if (!linux_get(c, request, parts, sizeof parts))
        return -EFAULT;
    if (parts[0] < 0 || parts[1] < 0 || parts[1] >= second)
        return -EINVAL;
    int64_t until = (parts[0] < most ? parts[0] : most) * second + parts[1] - from;
    if (until > 0 && (int64_t)c->process->slept < most * second - until)
        c->process->slept += (uint64_t)until;
    return 0;
}

static int64_t nanosleep_relative(linux_call *c)
{
    return sleep_until(c, c->a[0], 0);
}

static int64_t clock_sleep(linux_call *c)
{
    int64_t now = read_clock(c, c->a[0]);
    if (now < 0)
        return -EINVAL;
    return sleep_until(c, c->a[2], c->a[1] & TIMER_ABSTIME ? now : 0);
}

// --------------------------------------------------------------------------- signals

static int64_t set_action(linux_call *c)
{
    uint64_t signal = c->a[0];
    linux_action before, after;
    if (signal == 0 || signal > LINUX_SIGNALS || c->a[3] != sizeof(uint64_t))
        return -EINVAL;
    if (c->a[1] && (signal == SIGNAL_KILL || signal == SIGNAL_STOP))
        return -EINVAL;
    before = after = c->process->actions[signal];
    if (c->a[1] && !linux_get(c, c->a[1], &after, sizeof after))
        return -EFAULT;
    c->process->actions[signal] = after;
    return put_optional(c, c->a[2], &before, sizeof before);
}

static int64_t set_mask(linux_call *c)
{
    enum { BLOCK, UNBLOCK, SET };
    uint64_t before = c->process->signal_mask, mask;
    if (c->a[3] != sizeof mask)
        return -EINVAL;
    if (c->a[1]) {
        if (!linux_get(c, c->a[1], &mask, sizeof mask))
            return -EFAULT;
        if (c->a[0] > SET)
            return -EINVAL;
        c->process->signal_mask = c->a[0] == BLOCK     ? before | mask
                                  : c->a[0] == UNBLOCK ? before & ~mask
                                                       : mask;
    }
    return put_optional(c, c->a[2], &before, sizeof before);
}

static bool is_ignored(const linux_process *p, uint64_t signal)
{
    enum { CHILD = 17, CONTINUE = 18, URGENT = 23, WINDOW = 28 };
    bool quiet = signal == CHILD || signal == CONTINUE || signal == URGENT || signal == WINDOW;
    uint64_t handler = p->actions[signal].handler;
    return handler == HANDLER_IGNORE || (handler == HANDLER_DEFAULT && quiet);
}

// Handlers are accepted but never run: a signal that is not ignored ends the program.
static int64_t raise_signal(linux_call *c, uint64_t process, uint64_t signal)
{
    if (process != PROCESS && process != 0)
        return -ESRCH;
    if (signal > LINUX_SIGNALS)
        return -EINVAL;
    if (signal == 0 || is_ignored(c->process, signal))
        return 0;
    if (c->process->actions[signal].handler != HANDLER_DEFAULT) {
        diagnostic_warning(c->program->diagnostics, host_where(c->program),
                           "signal %" PRIu64 " ends the program: handlers are not run", signal);
        diagnostics_flush(c->program->diagnostics);
    }
    c->ended = true;
    c->exit_code = SIGNAL_BASE + (int)signal;
    return 0;
}

static int64_t kill_process(linux_call *c)
{
    return raise_signal(c, c->a[0], c->a[1]);
}

static int64_t kill_thread(linux_call *c)
{
    return raise_signal(c, c->a[1], c->a[2]);
}

// ----------------------------------------------------------------------------- table

// A call has a handler, or the same result for everybody.
static const struct service {
    uint64_t number;
    const char *name;
    linux_handler *handler;
    int64_t result;
    bool of_models; // they have it too
} services[] = {
    {23, "dup", linux_dup},
    {25, "fcntl", linux_fcntl},
    {29, "ioctl", linux_ioctl},
    {56, "openat", linux_openat},
    {57, "close", linux_close},
    {62, "lseek", linux_lseek},
    {63, "read", linux_read},
    {64, "write", linux_write, .of_models = true},
    {65, "readv", linux_readv},
    {66, "writev", linux_writev},
    {67, "pread64", linux_pread},
    {78, "readlinkat", linux_readlinkat},
    {79, "newfstatat", linux_newfstatat},
    {80, "fstat", linux_fstat},
    {93, "exit", leave, .of_models = true},
    {94, "exit_group", leave, .of_models = true},
    {96, "set_tid_address", .result = PROCESS},
    {98, "futex", futex},
    {99, "set_robust_list", .result = 0},
    {101, "nanosleep", nanosleep_relative},
    {113, "clock_gettime", get_clock},
    {114, "clock_getres", get_resolution},
    {115, "clock_nanosleep", clock_sleep},
    {123, "sched_getaffinity", list_processors},
    {124, "sched_yield", .result = 0},
    {129, "kill", kill_process},
    {130, "tkill", kill_process},
    {131, "tgkill", kill_thread},
    {134, "rt_sigaction", set_action},
    {135, "rt_sigprocmask", set_mask},
    {160, "uname", name_system},
    {169, "gettimeofday", get_time_of_day},
    {172, "getpid", .result = PROCESS},
    {173, "getppid", .result = 1},
    {174, "getuid", .result = PROCESS},
    {175, "geteuid", .result = PROCESS},
    {176, "getgid", .result = PROCESS},
    {177, "getegid", .result = PROCESS},
    {178, "gettid", .result = PROCESS},
    {179, "sysinfo", describe_system},
    {214, "brk", linux_brk},
    {215, "munmap", linux_munmap},
    {216, "mremap", linux_mremap},
    {222, "mmap", linux_mmap},
    {226, "mprotect", linux_mprotect},
    // A C library asks for these two and does without.
    {258, "riscv_hwprobe", .result = -ENOSYS},
    {259, "riscv_flush_icache", flush_instructions},
    {261, "prlimit64", limit_resource},
    {278, "getrandom", draw_random},
    {293, "rseq", .result = -ENOSYS},
};

static const struct service *find_service(const host_program *p, uint64_t number)
{
    for (size_t i = 0; i < sizeof services / sizeof *services; i++)
        if (services[i].number == number && (services[i].of_models || !p->is_model))
            return &services[i];
    return NULL;
}

// Said once per number, so that a program that ignores the error is not a mystery.
static int64_t refuse_service(host_program *p, const hart *h, uint64_t number)
{
    for (size_t i = 0; i < p->refused_services.count; i++)
        if (p->refused_services.items[i] == number)
            return -ENOSYS;
    if (p->refused_services.count < MAX_WARNINGS) {
        ARRAY_PUSH(p->arena, &p->refused_services, number);
        text place = {0};
        host_print_place(p, h->pc, &place);
        diagnostic_warning(p->diagnostics, host_where(p),
                           "%s %" PRIu64 " at %s is not implemented: ENOSYS",
                           p->is_model ? "service" : "system call", number, text_string(&place));
        diagnostics_flush(p->diagnostics);
        text_free(&place);
    }
    return -ENOSYS;
}

bool host_service(host_program *p, hart *h, int *exit_code)
{
    uint64_t *x = h->x;
    linux_call c = {.program = p, .process = p->process, .memory = p->memory};
    memcpy(c.a, x + A0, sizeof c.a);
    const struct service *s = find_service(p, x[A7]);
    int64_t result = !s ? refuse_service(p, h, x[A7]) : s->handler ? s->handler(&c) : s->result;
    if (c.ended)
        *exit_code = c.exit_code;
    else
        x[A0] = (uint64_t)result;
    return !c.ended;
}

// -------------------------------------------------------------------------- lifetime

linux_process *linux_create(arena *a)
{
    static const char *const no_arguments[] = {NULL};
    linux_process *p = ARENA_NEW(a, linux_process);
    *p = (linux_process){.argv = no_arguments, .random = random_seed(1)};
    for (int i = 0; i < LINUX_DESCRIPTORS; i++)
        p->descriptors[i] = i <= STDERR_FILENO ? i : -1;
    return p;
}

static uint64_t bounded(uint64_t address, uint64_t size, uint64_t limit)
{
    return address >= limit || size > limit - address ? limit : address + size;
}

void linux_start(host_program *p, const char *const *argv)
{
    linux_process *process = p->process;
    uint64_t page = hart_memory_page(), limit = hart_memory_limit(p->memory) - page;
    process->argv = argv;
    process->heap_start = process->heap_end = bounded(p->next_address, page, limit);
    process->heap_limit = bounded(process->heap_start, LINUX_HEAP_BYTES, limit);
    process->area_start = bounded(process->heap_limit, page, limit);
    process->area_limit = bounded(process->area_start, LINUX_AREA_BYTES, limit);
    p->next_address = process->area_limit;
    process->heap_region = p->regions.count;
    ARRAY_PUSH(p->arena, &p->regions, (host_region){"heap", process->heap_start, 0});
    ARRAY_PUSH(p->arena, &p->regions,
               (host_region){"mapped memory", process->area_start,
                             process->area_limit - process->area_start});
}

void linux_destroy(linux_process *p)
{
    for (int i = 0; p && i < LINUX_DESCRIPTORS; i++)
        if (p->descriptors[i] > STDERR_FILENO)
            close(p->descriptors[i]);
}
