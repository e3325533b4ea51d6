// Placing the segments of an ELF image in guest memory.
#include "runtime/host/elf.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

typedef struct mapper {
    diagnostics *diagnostics;
    location where;
    const uint8_t *data;
    int descriptor;
    hart_memory *memory;
    uint64_t page;
} mapper;

static uint64_t page_start(const mapper *m, uint64_t address)
{
    return address & -m->page;
}

// Not rounded beyond the address space: the caller has checked the segment's end.
static uint64_t page_end(const mapper *m, const elf_segment *s)
{
    return (s->address + s->memory_size + m->page - 1) & -m->page;
}

static bool refuse(const mapper *m, const elf_segment *s, const char *reason)
{
    diagnostic_error(m->diagnostics, m->where,
                     "cannot map the segment of %" PRIu64 " bytes at 0x%" PRIx64 ": %s",
                     s->memory_size, s->address, reason);
    return false;
}

static bool check_place(const mapper *m, const elf_segment *s)
{
    uint64_t limit = hart_memory_limit(m->memory);
    if (s->address < limit && s->memory_size <= limit - s->address)
        return true;
    diagnostic_error(m->diagnostics, m->where,
                     "the segment of %" PRIu64 " bytes at 0x%" PRIx64
                     " lies beyond the guest's memory, which ends at 0x%" PRIx64,
                     s->memory_size, s->address, limit);
    return false;
}

static bool map_from_file(const mapper *m, const elf_segment *s)
{
    uint64_t start = page_start(m, s->address), lead = s->address - start;
    if (hart_memory_map_file(m->memory, start, page_end(m, s) - start, s->access, m->descriptor,
                             s->offset - lead, s->file_size + lead))
        return true;
    return refuse(m, s, strerror(errno));
}

// Pages that several segments share allow what any of them allows.
static bool protect_run(const mapper *m, const elf_segment *s, size_t count)
{
    uint64_t shared_page = 0;
    unsigned shared_access = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t start = page_start(m, s[i].address), end = page_end(m, &s[i]);
        unsigned first_access = s[i].access | (start == shared_page ? shared_access : 0);
        if (!hart_memory_protect(m->memory, start, m->page, first_access) ||
            !hart_memory_protect(m->memory, start + m->page, end - start - m->page, s[i].access))
            return refuse(m, &s[i], strerror(errno));
        shared_access = end - start > m->page ? s[i].access : first_access;
        shared_page = end - m->page;
    }
    return true;
}

static bool copy_run(const mapper *m, const elf_segment *s, size_t count)
{
    uint64_t start = page_start(m, s[0].address), end = page_end(m, &s[count - 1]);
    if (!hart_memory_map(m->memory, start, end - start, HART_READ | HART_WRITE))
        return refuse(m, s, strerror(errno));
    for (size_t i = 0; i < count; i++)
        if (!hart_memory_write(m->memory, s[i].address, m->data + s[i].offset, s[i].file_size))
            return refuse(m, &s[i], "its bytes cannot be written");
    return protect_run(m, s, count);
}

// How many segments, the first included, form a chain of neighbours on shared pages.
static size_t run_length(const mapper *m, const elf_segment *s, size_t count)
{
    size_t length = 1;
    while (length < count && page_start(m, s[length].address) < page_end(m, &s[length - 1]))
        length++;
    return length;
}

bool elf_map(diagnostics *d, const char *name, const elf_image *image, const uint8_t *data,
             int descriptor, hart_memory *memory)
{
    mapper m = {d,      {.source = diagnostics_source(d, name, NULL, 0)},
                data,   descriptor,
                memory, hart_memory_page()};
    const elf_segment *s = image->segments;
    bool ok = true;
    for (size_t i = 0; i < image->segment_count; i++)
        ok &= check_place(&m, &s[i]);
    for (size_t i = 0, run; ok && i < image->segment_count; i += run) {
        run = run_length(&m, s + i, image->segment_count - i);
        bool congruent = (s[i].address - s[i].offset) % m.page == 0;
        bool mappable = run == 1 && congruent && descriptor >= 0 && s[i].file_size > 0;
        ok = mappable ? map_from_file(&m, &s[i]) : copy_run(&m, &s[i], run);
    }
    return ok;
}
