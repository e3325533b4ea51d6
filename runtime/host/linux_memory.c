// brk and mmap. The heap and the area that mmap takes from lie behind the stack; both are bounded,
// and what a guest maps, moves or unmaps lies in the area.
#include "runtime/host/linux.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MAP_KIND = 3,               // MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE
    FIXED_NOREPLACE = 0x100000, // MAP_FIXED_NOREPLACE
    REMAP_MAYMOVE = 1,          // MREMAP_MAYMOVE
    PROTECTION = PROT_READ | PROT_WRITE | PROT_EXEC,
};

static uint64_t page_up(uint64_t size)
{
    uint64_t page = hart_memory_page();
    return (size + page - 1) & -page;
}

static bool is_page_aligned(uint64_t address)
{
    return address % hart_memory_page() == 0;
}

static unsigned access_of(uint64_t protection)
{
    return (protection ? HART_READ : 0) | (protection & PROT_WRITE ? HART_WRITE : 0) |
           (protection & PROT_EXEC ? HART_EXECUTE : 0);
}

static bool too_many_segments(const linux_call *c)
{
    size_t count;
    hart_memory_segments(c->memory, &count);
    return count >= LINUX_MOST_SEGMENTS;
}

// The first segment that ends after `address`; NULL: none.
static const hart_segment *segment_from(const linux_call *c, uint64_t address)
{
    size_t count;
    const hart_segment *s = hart_memory_segments(c->memory, &count);
    for (size_t i = 0; i < count; i++)
        if (s[i].address + s[i].size > address)
            return &s[i];
    return NULL;
}

static bool is_free(const linux_call *c, uint64_t address, uint64_t size)
{
    const hart_segment *s = segment_from(c, address);
    return !s || s->address >= address + size;
}

static bool is_in_area(const linux_call *c, uint64_t address, uint64_t size)
{
    const linux_process *p = c->process;
    return address >= p->area_start && address <= p->area_limit && size <= p->area_limit - address;
}

// Decoded instructions of the range are forgotten if it has any.
static void forget_code(const linux_call *c, uint64_t address, uint64_t size, unsigned access)
{
    bool code = (access & HART_EXECUTE) != 0;
    size_t count;
    const hart_segment *s = hart_memory_segments(c->memory, &count);
    for (size_t i = 0; i < count && !code; i++)
        code = (s[i].access & HART_EXECUTE) && s[i].address < address + size &&
               address < s[i].address + s[i].size;
    if (code)
        hart_flush_code(c->program->hart);
}

static bool map(const linux_call *c, uint64_t address, uint64_t size, unsigned access)
{
    forget_code(c, address, size, access);
    return hart_memory_map(c->memory, address, size, access);
}

static bool unmap(const linux_call *c, uint64_t address, uint64_t size)
{
    forget_code(c, address, size, 0);
    return hart_memory_unmap(c->memory, address, size);
}

static bool protect(const linux_call *c, uint64_t address, uint64_t size, unsigned access)
{
    forget_code(c, address, size, access);
    return hart_memory_protect(c->memory, address, size, access);
}

// ----------------------------------------------------------------------------- heap

int64_t linux_brk(linux_call *c)
{
    linux_process *p = c->process;
    uint64_t wanted = c->a[0], end = page_up(p->heap_end);
    if (wanted < p->heap_start || wanted > p->heap_limit)
        return (int64_t)p->heap_end;
    uint64_t new_end = page_up(wanted);
    bool ok = new_end >= end ? map(c, end, new_end - end, HART_READ | HART_WRITE)
                             : unmap(c, new_end, end - new_end);
    if (ok) {
        p->heap_end = wanted;
        c->program->regions.items[p->heap_region].size = wanted - p->heap_start;
    }
    return (int64_t)p->heap_end;
}

// ----------------------------------------------------------------------------- mmap

// The lowest free range of the area; 0: none.
static uint64_t find_room(const linux_call *c, uint64_t size)
{
    uint64_t at = c->process->area_start;
    size_t count;
    const hart_segment *s = hart_memory_segments(c->memory, &count);
    for (size_t i = 0; i < count && s[i].address < at + size; i++)
        if (s[i].address + s[i].size > at)
            at = s[i].address + s[i].size;
    return is_in_area(c, at, size) ? at : 0;
}

// 0: anonymous, or a file that may be copied; else an error.
static int64_t check_file(const linux_call *c)
{
    if (c->a[3] & MAP_ANONYMOUS)
        return 0;
    struct stat s;
    int host = linux_descriptor(c, c->a[4]);
    if (host < 0)
        return -EBADF;
    if (fstat(host, &s) != 0 || !S_ISREG(s.st_mode))
        return -ENODEV;
    if (!is_page_aligned(c->a[5]) || c->a[5] > INT64_MAX)
        return -EINVAL;
    bool is_private = (c->a[3] & MAP_KIND) == MAP_PRIVATE;
    return !is_private && c->a[2] & PROT_WRITE ? -EACCES : 0;
}

static int64_t choose_address(const linux_call *c, uint64_t size)
{
    if (!(c->a[3] & (MAP_FIXED | FIXED_NOREPLACE))) {
        uint64_t room = find_room(c, size);
        return room ? (int64_t)room : -ENOMEM;
    }
    if (!is_page_aligned(c->a[0]))
        return -EINVAL;
    if (!is_in_area(c, c->a[0], size))
        return -ENOMEM;
    if (c->a[3] & FIXED_NOREPLACE && !is_free(c, c->a[0], size))
        return -EEXIST;
    return (int64_t)c->a[0];
}

// What lies beyond the end of the file stays zero.
static void copy_file(uint8_t *to, uint64_t size, int host, uint64_t offset)
{
    while (size > 0 && offset <= INT64_MAX) {
        uint64_t piece = size < LINUX_MOST_TRANSFER ? size : LINUX_MOST_TRANSFER;
        ssize_t n = pread(host, to, piece, (off_t)offset);
        if (n <= 0)
            break;
        to += n;
        size -= (uint64_t)n;
        offset += (uint64_t)n;
    }
}

static bool map_copy(const linux_call *c, uint64_t address, uint64_t size, unsigned access)
{
    if (!map(c, address, size, HART_READ | HART_WRITE))
        return false;
    uint8_t *to = hart_memory_range(c->memory, address, size, HART_WRITE);
    copy_file(to, size, linux_descriptor(c, c->a[4]), c->a[5]);
    return protect(c, address, size, access);
}

int64_t linux_mmap(linux_call *c)
{
    if (c->a[1] == 0 || (c->a[3] & MAP_KIND) == 0 || c->a[2] & ~(uint64_t)PROTECTION)
        return -EINVAL;
    if (c->a[1] > LINUX_AREA_BYTES || too_many_segments(c))
        return -ENOMEM;
    int64_t problem = check_file(c);
    if (problem < 0)
        return problem;
    uint64_t size = page_up(c->a[1]);
    int64_t chosen = choose_address(c, size);
    if (chosen < 0)
        return chosen;
    uint64_t address = (uint64_t)chosen;
    unsigned access = access_of(c->a[2]);
    bool ok = c->a[3] & MAP_ANONYMOUS ? map(c, address, size, access)
                                      : map_copy(c, address, size, access);
    return ok ? chosen : -ENOMEM;
}

int64_t linux_munmap(linux_call *c)
{
    if (c->a[1] == 0 || c->a[1] > LINUX_AREA_BYTES || !is_page_aligned(c->a[0]) ||
        !is_in_area(c, c->a[0], page_up(c->a[1])))
        return -EINVAL;
    if (too_many_segments(c))
        return -ENOMEM;
    return unmap(c, c->a[0], page_up(c->a[1])) ? 0 : -ENOMEM;
}

int64_t linux_mprotect(linux_call *c)
{
    if (!is_page_aligned(c->a[0]) || c->a[2] & ~(uint64_t)PROTECTION)
        return -EINVAL;
    if (c->a[1] > hart_memory_limit(c->memory) || too_many_segments(c))
        return -ENOMEM;
    uint64_t size = page_up(c->a[1]);
    if (!hart_memory_range(c->memory, c->a[0], size, 0))
        return -ENOMEM;
    return protect(c, c->a[0], size, access_of(c->a[2])) ? 0 : -ENOMEM;
}

// --------------------------------------------------------------------------- mremap

static int64_t move(const linux_call *c, uint64_t old, uint64_t old_size, uint64_t size)
{
    unsigned access = segment_from(c, old)->access;
    const void *from = hart_memory_range(c->memory, old, old_size, access | HART_READ);
    if (!from)
        return -EFAULT; // not one mapping, or without access
    uint64_t to = find_room(c, size);
    if (!to || !map(c, to, size, HART_READ | HART_WRITE))
        return -ENOMEM;
    memcpy(hart_memory_range(c->memory, to, size, HART_WRITE), from, old_size);
    return protect(c, to, size, access) && unmap(c, old, old_size) ? (int64_t)to : -ENOMEM;
}

int64_t linux_mremap(linux_call *c)
{
    uint64_t old = c->a[0];
    if (c->a[1] == 0 || c->a[2] == 0 || c->a[1] > LINUX_AREA_BYTES || !is_page_aligned(old) ||
        c->a[3] & ~(uint64_t)REMAP_MAYMOVE)
        return -EINVAL;
    uint64_t old_size = page_up(c->a[1]), size = page_up(c->a[2]);
    if (!is_in_area(c, old, old_size) || !hart_memory_range(c->memory, old, old_size, 0))
        return -EFAULT;
    if (c->a[2] > LINUX_AREA_BYTES || too_many_segments(c))
        return -ENOMEM;
    if (size <= old_size)
        return unmap(c, old + size, old_size - size) ? (int64_t)old : -ENOMEM;
    unsigned access = segment_from(c, old)->access;
    if (is_in_area(c, old, size) && is_free(c, old + old_size, size - old_size))
        return map(c, old + old_size, size - old_size, access) ? (int64_t)old : -ENOMEM;
    return c->a[3] & REMAP_MAYMOVE ? move(c, old, old_size, size) : -ENOMEM;
}
