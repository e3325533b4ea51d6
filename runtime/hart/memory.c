// Guest memory: one reservation of host address space without access rights, in which segments are
// mapped at their guest address. The hart checks one bound per access and leaves the rest to the
// host's protection; what needs to know (fetch, tile operands, services) asks the segment list.

#include "runtime/hart/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct hart_memory {
    uint8_t *base;
    uint64_t limit;
    hart_segment *segments; // disjoint, in address order, neighbours differ in access
    size_t count, capacity;
};

enum { LARGEST_SPACE = 40, SMALLEST_SPACE = 34 }; // bits

uint64_t hart_memory_page(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

hart_memory *hart_memory_create(void)
{
    for (int bits = LARGEST_SPACE; bits >= SMALLEST_SPACE; bits--) {
        uint64_t limit = 1ull << bits;
        void *base = mmap(NULL, limit + HART_MEMORY_GUARD, PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (base == MAP_FAILED)
            continue;
        hart_memory *m = calloc(1, sizeof *m);
        if (!m) {
            munmap(base, limit + HART_MEMORY_GUARD);
            return NULL;
        }
        m->base = base;
        m->limit = limit;
        return m;
    }
    return NULL;
}

void hart_memory_destroy(hart_memory *m)
{
    if (!m)
        return;
    munmap(m->base, m->limit + HART_MEMORY_GUARD);
    free(m->segments);
    free(m);
}

uint64_t hart_memory_limit(const hart_memory *m)
{
    return m->limit;
}
uint8_t *hart_memory_base(const hart_memory *m)
{
    return m->base;
}

const hart_segment *hart_memory_segments(const hart_memory *m, size_t *count)
{
    *count = m->count;
    return m->segments;
}

// Index of the first segment that ends after `address`.
static size_t segment_after(const hart_memory *m, uint64_t address)
{
    size_t low = 0, high = m->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (m->segments[middle].address + m->segments[middle].size <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool insert_segment(hart_memory *m, size_t at, hart_segment s)
{
    if (m->count == m->capacity) {
        size_t capacity = m->capacity ? 2 * m->capacity : 16;
        hart_segment *grown = realloc(m->segments, capacity * sizeof *grown);
        if (!grown)
            return false;
        m->segments = grown;
        m->capacity = capacity;
    }
    memmove(m->segments + at + 1, m->segments + at, (m->count - at) * sizeof s);
    m->segments[at] = s;
    m->count++;
    return true;
}

static void remove_segment(hart_memory *m, size_t at)
{
    m->count--;
    memmove(m->segments + at, m->segments + at + 1, (m->count - at) * sizeof *m->segments);
}

// Splits the segment that contains `address` inside, so that a segment boundary lies there.
static bool split_at(hart_memory *m, uint64_t address)
{
    size_t at = segment_after(m, address);
    if (at == m->count || m->segments[at].address >= address)
        return true;
    hart_segment *s = &m->segments[at];
    hart_segment upper = {address, s->address + s->size - address, s->access};
    s->size = address - s->address;
    return insert_segment(m, at + 1, upper);
}

static void join_with_next(hart_memory *m, size_t at)
{
    if (at + 1 >= m->count)
        return;
    hart_segment *s = &m->segments[at], *next = s + 1;
    if (s->address + s->size == next->address && s->access == next->access) {
        s->size += next->size;
        remove_segment(m, at + 1);
    }
}

// Makes [address, address + size) no segment.
static bool clear_segments(hart_memory *m, uint64_t address, uint64_t size)
{
    if (!split_at(m, address) || !split_at(m, address + size))
        return false;
    size_t at = segment_after(m, address);
    while (at < m->count && m->segments[at].address < address + size)
        remove_segment(m, at);
    return true;
}

// Makes [address, address + size) one segment, joined with neighbours of the same access.
static bool set_access(hart_memory *m, uint64_t address, uint64_t size, unsigned access)
{
    if (!clear_segments(m, address, size))
        return false;
    size_t at = segment_after(m, address);
    if (!insert_segment(m, at, (hart_segment){address, size, access}))
        return false;
    join_with_next(m, at);
    if (at > 0)
        join_with_next(m, at - 1);
    return true;
}

static int host_protection(unsigned access)
{
    return (access ? PROT_READ : PROT_NONE) | (access & HART_WRITE ? PROT_WRITE : 0);
}

// Rounds *size up to pages; false when the range is not in the address space.
static bool check_range(const hart_memory *m, uint64_t address, uint64_t *size)
{
    uint64_t page = hart_memory_page();
    if (address % page != 0 || address > m->limit || *size > m->limit - address) {
        errno = EINVAL;
        return false;
    }
    *size = (*size + page - 1) / page * page;
    return true;
}

bool hart_memory_map(hart_memory *m, uint64_t address, uint64_t size, unsigned access)
{
    if (!check_range(m, address, &size))
        return false;
    if (size == 0)
        return true;
    void *at = mmap(m->base + address, size, host_protection(access),
                    MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at != MAP_FAILED && set_access(m, address, size, access);
}

// Clears what the file's last page holds beyond file_size.
static bool clear_page_tail(hart_memory *m, uint64_t address, uint64_t file_size, unsigned access)
{
    uint64_t page = hart_memory_page(), tail = file_size % page;
    if (tail == 0)
        return true;
    uint8_t *last = m->base + address + file_size - tail;
    if (mprotect(last, page, PROT_READ | PROT_WRITE) != 0)
        return false;
    memset(last + tail, 0, page - tail);
    return mprotect(last, page, host_protection(access)) == 0;
}

// Whether the host would give large pages to whoever asks.
static bool has_large_pages(void)
{
    char setting[64] = "";
    FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "r");
    if (!f)
        return false;
    const bool known = fgets(setting, sizeof setting, f) != NULL;
    fclose(f);
    return known && !strstr(setting, "[never]");
}

// Weights are read from end to end again and again: with small pages a tenth of the time goes to
// finding them. Files give none else, so what is worth it, and small for this host, is copied.
static bool is_worth_copying(uint64_t file_size, unsigned access)
{
    enum { LEAST = 4 << 20, SHARE = 16 };
    const uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * hart_memory_page();
    return access == HART_READ && file_size >= LEAST && file_size <= memory / SHARE &&
           has_large_pages();
}

static bool read_file(uint8_t *to, int descriptor, uint64_t offset, uint64_t size)
{
    while (size > 0) {
        const ssize_t count = pread(descriptor, to, size, (off_t)offset);
        if (count == 0)
            errno = EIO; // the file has become shorter
        if (count == 0 || (count < 0 && errno != EINTR))
            return false;
        const uint64_t got = count < 0 ? 0 : (uint64_t)count;
        to += got, offset += got, size -= got;
    }
    return true;
}

// To zeroed pages that are mapped already.
static bool copy_file(hart_memory *m, uint64_t address, uint64_t size, int descriptor,
                      uint64_t offset, uint64_t file_size)
{
    uint8_t *const at = m->base + address;
    if (!check_range(m, address, &size) || mprotect(at, size, PROT_READ | PROT_WRITE) != 0)
        return false;
    madvise(at, size, MADV_HUGEPAGE); // it works without, too
    return read_file(at, descriptor, offset, file_size) && mprotect(at, size, PROT_READ) == 0;
}

bool hart_memory_map_file(hart_memory *m, uint64_t address, uint64_t size, unsigned access,
                          int descriptor, uint64_t offset, uint64_t file_size)
{
    if (file_size > size) {
        errno = EINVAL;
        return false;
    }
    if (!hart_memory_map(m, address, size, access) || file_size == 0)
        return file_size == 0;
    if (offset % hart_memory_page() != 0) {
        errno = EINVAL;
        return false;
    }
    if (is_worth_copying(file_size, access))
        return copy_file(m, address, size, descriptor, offset, file_size);
    void *at = mmap(m->base + address, file_size, host_protection(access),
                    MAP_FIXED | MAP_PRIVATE | MAP_NORESERVE, descriptor, (off_t)offset);
    return at != MAP_FAILED && clear_page_tail(m, address, file_size, access);
}

bool hart_memory_protect(hart_memory *m, uint64_t address, uint64_t size, unsigned access)
{
    if (!check_range(m, address, &size))
        return false;
    if (size == 0)
        return true;
    if (!hart_memory_range(m, address, size, 0)) {
        errno = ENOMEM;
        return false;
    }
    return mprotect(m->base + address, size, host_protection(access)) == 0 &&
           set_access(m, address, size, access);
}

bool hart_memory_unmap(hart_memory *m, uint64_t address, uint64_t size)
{
    if (!check_range(m, address, &size))
        return false;
    if (size == 0)
        return true;
    void *at = mmap(m->base + address, size, PROT_NONE,
                    MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at != MAP_FAILED && clear_segments(m, address, size);
}

uint64_t hart_memory_extent(const hart_memory *m, uint64_t address, unsigned access)
{
    uint64_t end = address;
    for (size_t i = segment_after(m, address); i < m->count; i++) {
        const hart_segment *s = &m->segments[i];
        if (s->address > end || (s->access & access) != access)
            break;
        end = s->address + s->size;
    }
    return end - address;
}

void *hart_memory_range(const hart_memory *m, uint64_t address, uint64_t size, unsigned access)
{
    if (size == 0)
        return m->base;
    if (address >= m->limit || hart_memory_extent(m, address, access) < size)
        return NULL;
    return m->base + address;
}

bool hart_memory_write(hart_memory *m, uint64_t address, const void *data, uint64_t size)
{
    if (size == 0)
        return true;
    if (!hart_memory_range(m, address, size, 0))
        return false;
    uint64_t page = hart_memory_page();
    uint64_t start = address / page * page, end = (address + size + page - 1) / page * page;
    if (mprotect(m->base + start, end - start, PROT_READ | PROT_WRITE) != 0)
        return false;
    memcpy(m->base + address, data, size);
    bool restored = true;
    for (size_t i = segment_after(m, start); i < m->count && m->segments[i].address < end; i++) {
        const hart_segment *s = &m->segments[i];
        uint64_t from = s->address > start ? s->address : start;
        uint64_t to = s->address + s->size < end ? s->address + s->size : end;
        restored &= mprotect(m->base + from, to - from, host_protection(s->access)) == 0;
    }
    return restored;
}
