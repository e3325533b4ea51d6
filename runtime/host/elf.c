// Reading ELF files: headers, segments, symbols, the program's note.
#include "runtime/host/elf.h"

#include "runtime/host/refuse.h"
#include "support/content.h"
#include "support/text.h"

#include <elf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PROGRAM_HEADERS = 1024, FLAG_RVE = 8, NOTE_DESCRIPTION = 1 };

typedef struct reader {
    arena *arena;
    diagnostics *diagnostics;
    location where;
    const uint8_t *data;
    size_t size;
    Elf64_Ehdr header;
    elf_image *image;
} reader;

#define FAIL(r, ...) refuse((r)->diagnostics, (r)->where, __VA_ARGS__)

// True when [offset, offset + size) lies in the file.
static bool within(const reader *r, uint64_t offset, uint64_t size)
{
    return offset <= r->size && size <= r->size - offset;
}

static bool check_kind(reader *r)
{
    const Elf64_Ehdr *h = &r->header;
    if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB)
        return FAIL(r, "expected a 64-bit little-endian ELF file, found class %u, data %u",
                    h->e_ident[EI_CLASS], h->e_ident[EI_DATA]);
    char cpu[CONTENT_CPU];
    if (h->e_machine != EM_RISCV)
        return FAIL(r, "expected a program for RISC-V, found one for %s%s",
                    content_machine(h->e_machine, cpu),
                    h->e_type == ET_DYN ? "; libraries for CPUs run with lutrun --native" : "");
    if (h->e_type == ET_DYN)
        return FAIL(r, "position-independent or shared; link it with -static -no-pie");
    if (h->e_type != ET_EXEC)
        return FAIL(r, "not an executable (ELF type %u); link it first", h->e_type);
    if (h->e_flags & FLAG_RVE)
        return FAIL(r, "built for RV64E, which has 16 registers; build it for RV64G");
    return true;
}

static bool check_header(reader *r)
{
    char remark[CONTENT_REMARK];
    if (r->size < SELFMAG || memcmp(r->data, ELFMAG, SELFMAG) != 0)
        return FAIL(r, "not an ELF file%s", content_remark(r->data, r->size, remark));
    if (r->size < sizeof r->header)
        return FAIL(r, "a broken ELF file, of %zu bytes", r->size);
    memcpy(&r->header, r->data, sizeof r->header);
    if (!check_kind(r))
        return false;
    const Elf64_Ehdr *h = &r->header;
    if (h->e_phnum == 0)
        return FAIL(r, "no program headers: nothing to load");
    if (h->e_phentsize != sizeof(Elf64_Phdr))
        return FAIL(r, "program headers of %u bytes, expected %zu", h->e_phentsize,
                    sizeof(Elf64_Phdr));
    if (h->e_phnum > MAX_PROGRAM_HEADERS)
        return FAIL(r, "%u program headers; at most %u are supported", h->e_phnum,
                    MAX_PROGRAM_HEADERS);
    if (!within(r, h->e_phoff, (uint64_t)h->e_phnum * sizeof(Elf64_Phdr)))
        return FAIL(r, "program headers at offset %" PRIu64 " exceed the file of %zu bytes",
                    h->e_phoff, r->size);
    return true;
}

static Elf64_Phdr program_header(const reader *r, size_t i)
{
    Elf64_Phdr p;
    memcpy(&p, r->data + r->header.e_phoff + i * sizeof p, sizeof p);
    return p;
}

// ------------------------------------------------------------------- segments

static bool check_segment(reader *r, size_t i, const Elf64_Phdr *p)
{
    if (!within(r, p->p_offset, p->p_filesz))
        return FAIL(r,
                    "segment %zu: %" PRIu64 " bytes at offset %" PRIu64
                    " exceed the file of %zu bytes (truncated?)",
                    i, p->p_filesz, p->p_offset, r->size);
    if (p->p_filesz > p->p_memsz)
        return FAIL(r, "segment %zu: %" PRIu64 " bytes in the file but %" PRIu64 " in memory", i,
                    p->p_filesz, p->p_memsz);
    if (p->p_memsz > UINT64_MAX - p->p_vaddr)
        return FAIL(r, "segment %zu: %" PRIu64 " bytes at 0x%" PRIx64 " exceed the address space",
                    i, p->p_memsz, p->p_vaddr);
    if (p->p_align & (p->p_align - 1))
        return FAIL(r, "segment %zu: alignment %" PRIu64 " is not a power of two", i, p->p_align);
    if (p->p_align > 1 && ((p->p_vaddr - p->p_offset) & (p->p_align - 1)))
        return FAIL(r,
                    "segment %zu: address 0x%" PRIx64 " and offset 0x%" PRIx64
                    " differ modulo the alignment 0x%" PRIx64,
                    i, p->p_vaddr, p->p_offset, p->p_align);
    return true;
}

static unsigned segment_access(uint32_t flags)
{
    return (flags & PF_R ? HART_READ : 0) | (flags & PF_W ? HART_WRITE : 0) |
           (flags & PF_X ? HART_EXECUTE : 0);
}

static int segment_order(const void *left, const void *right)
{
    const elf_segment *a = left, *b = right;
    return (a->address > b->address) - (a->address < b->address);
}

static bool check_overlap(reader *r, const elf_segment *s, size_t count)
{
    bool ok = true;
    for (size_t i = 1; i < count; i++)
        if (s[i].address - s[i - 1].address < s[i - 1].memory_size)
            ok = FAIL(r, "segments at 0x%" PRIx64 " and 0x%" PRIx64 " overlap", s[i - 1].address,
                      s[i].address);
    return ok;
}

static bool read_segments(reader *r)
{
    size_t headers = r->header.e_phnum, count = 0;
    elf_segment *s = ARENA_ARRAY(r->arena, elf_segment, headers);
    bool ok = true;
    for (size_t i = 0; i < headers; i++) {
        Elf64_Phdr p = program_header(r, i);
        if (p.p_type == PT_INTERP || p.p_type == PT_DYNAMIC)
            ok = FAIL(r, "dynamically linked; link it with -static");
        if (p.p_type != PT_LOAD || p.p_memsz == 0)
            continue;
        if (!check_segment(r, i, &p))
            ok = false;
        else
            s[count++] = (elf_segment){p.p_vaddr, p.p_memsz, p.p_offset, p.p_filesz,
                                       segment_access(p.p_flags)};
    }
    if (ok && count == 0)
        return FAIL(r, "no loadable segments");
    qsort(s, count, sizeof *s, segment_order);
    r->image->segments = s;
    r->image->segment_count = count;
    return ok && check_overlap(r, s, count);
}

// Where the program headers themselves are loaded, which a C library looks for.
static void find_headers(reader *r)
{
    uint64_t offset = r->header.e_phoff, size = r->header.e_phnum * sizeof(Elf64_Phdr);
    r->image->header_count = r->header.e_phnum;
    for (size_t i = 0; i < r->image->segment_count; i++) {
        const elf_segment *s = &r->image->segments[i];
        if (offset >= s->offset && offset - s->offset < s->file_size &&
            size <= s->file_size - (offset - s->offset))
            r->image->header_address = s->address + (offset - s->offset);
    }
}

// ----------------------------------------------------------------------- note

// Walks the notes of a PT_NOTE or SHT_NOTE; stops at the first malformed one.
static void read_notes(reader *r, uint64_t offset, uint64_t size, uint64_t alignment)
{
    static const char owner[] = "Lutra";
    uint64_t align = alignment == 8 ? 8 : 4;
    if (!within(r, offset, size))
        return;
    while (size >= sizeof(Elf64_Nhdr) && !r->image->description) {
        Elf64_Nhdr note;
        memcpy(&note, r->data + offset, sizeof note);
        uint64_t name = sizeof note;
        uint64_t content = (name + note.n_namesz + align - 1) & -align;
        uint64_t next = (content + note.n_descsz + align - 1) & -align;
        if (content + note.n_descsz > size)
            return;
        if (note.n_type == NOTE_DESCRIPTION && note.n_namesz == sizeof owner &&
            memcmp(r->data + offset + name, owner, sizeof owner) == 0) {
            r->image->description = (const char *)r->data + offset + content;
            r->image->description_length = note.n_descsz;
        }
        if (next >= size)
            return;
        offset += next;
        size -= next;
    }
}

// ------------------------------------------------------------------- sections

// Sections are a help (symbols, unloaded notes), not needed to run: a file without them loads.
static size_t section_count(const reader *r)
{
    const Elf64_Ehdr *h = &r->header;
    bool usable = h->e_shentsize == sizeof(Elf64_Shdr) &&
                  within(r, h->e_shoff, (uint64_t)h->e_shnum * sizeof(Elf64_Shdr));
    return usable ? h->e_shnum : 0;
}

static Elf64_Shdr section_header(const reader *r, size_t i)
{
    Elf64_Shdr s;
    memcpy(&s, r->data + r->header.e_shoff + i * sizeof s, sizeof s);
    return s;
}

// The string at `offset` of a string table, or NULL when it does not end in it.
static const char *string_at(const reader *r, const Elf64_Shdr *table, uint64_t offset)
{
    if (table->sh_type != SHT_STRTAB || !within(r, table->sh_offset, table->sh_size) ||
        offset >= table->sh_size)
        return NULL;
    const char *s = (const char *)r->data + table->sh_offset + offset;
    return memchr(s, 0, table->sh_size - offset) ? s : NULL;
}

static int symbol_order(const void *left, const void *right)
{
    const elf_symbol *a = left, *b = right;
    if (a->address != b->address)
        return a->address < b->address ? -1 : 1;
    return (a->is_function > b->is_function) - (a->is_function < b->is_function);
}

static bool is_named_place(const Elf64_Sym *s)
{
    unsigned type = ELF64_ST_TYPE(s->st_info);
    return s->st_shndx != SHN_UNDEF && s->st_shndx < SHN_LORESERVE &&
           (type == STT_FUNC || type == STT_OBJECT || type == STT_NOTYPE);
}

// Local labels of the assembler and mapping symbols ($x, $d) say nothing.
static bool is_noise(const char *name)
{
    return !*name || *name == '$' || text_starts_with(name, ".L");
}

static void read_symbols(reader *r, const Elf64_Shdr *table)
{
    size_t count = table->sh_size / sizeof(Elf64_Sym), kept = 0;
    if (!within(r, table->sh_offset, table->sh_size) || table->sh_link >= section_count(r))
        return;
    Elf64_Shdr strings = section_header(r, table->sh_link);
    elf_symbol *symbols = ARENA_ARRAY(r->arena, elf_symbol, count);
    for (size_t i = 0; i < count; i++) {
        Elf64_Sym s;
        memcpy(&s, r->data + table->sh_offset + i * sizeof s, sizeof s);
        const char *name = string_at(r, &strings, s.st_name);
        if (name && is_named_place(&s) && !is_noise(name))
            symbols[kept++] =
                (elf_symbol){name, s.st_value, s.st_size, ELF64_ST_TYPE(s.st_info) == STT_FUNC};
    }
    qsort(symbols, kept, sizeof *symbols, symbol_order);
    r->image->symbols = symbols;
    r->image->symbol_count = kept;
}

static void read_extras(reader *r)
{
    for (size_t i = 0; i < r->header.e_phnum; i++) {
        Elf64_Phdr p = program_header(r, i);
        if (p.p_type == PT_NOTE)
            read_notes(r, p.p_offset, p.p_filesz, p.p_align);
    }
    for (size_t i = 0; i < section_count(r); i++) {
        Elf64_Shdr s = section_header(r, i);
        if (s.sh_type == SHT_NOTE)
            read_notes(r, s.sh_offset, s.sh_size, s.sh_addralign);
        if (s.sh_type == SHT_SYMTAB)
            read_symbols(r, &s);
    }
}

bool elf_parse(arena *a, diagnostics *d, const char *name, const uint8_t *data, size_t size,
               elf_image *out)
{
    *out = (elf_image){0};
    reader r = {.arena = a, .diagnostics = d, .data = data, .size = size, .image = out};
    r.where.source = diagnostics_source(d, name, NULL, 0);
    if (!check_header(&r) || !read_segments(&r))
        return false;
    out->entry = r.header.e_entry;
    find_headers(&r);
    read_extras(&r);
    return true;
}

const elf_symbol *elf_find_symbol(const elf_image *image, const char *name)
{
    for (size_t i = 0; i < image->symbol_count; i++)
        if (strcmp(image->symbols[i].name, name) == 0)
            return &image->symbols[i];
    return NULL;
}

static const elf_segment *segment_at(const elf_image *image, uint64_t address)
{
    for (size_t i = 0; i < image->segment_count; i++)
        if (address - image->segments[i].address < image->segments[i].memory_size)
            return &image->segments[i];
    return NULL;
}

// Symbols without a size (assembly labels) reach to the next symbol or the end of their segment.
static bool covers(const elf_image *image, const elf_symbol *s, uint64_t address)
{
    if (s->size > 0)
        return address - s->address < s->size;
    const elf_segment *segment = segment_at(image, address);
    return segment && segment == segment_at(image, s->address);
}

const elf_symbol *elf_symbol_at(const elf_image *image, uint64_t address)
{
    size_t low = 0, high = image->symbol_count;
    while (low < high) { // the first symbol beyond the address
        size_t middle = (low + high) / 2;
        if (image->symbols[middle].address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && covers(image, &image->symbols[low - 1], address) ? &image->symbols[low - 1]
                                                                       : NULL;
}
