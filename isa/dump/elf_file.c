// Sections, symbols and notes of an ELF file, by libelf.
#include "isa/dump/dump.h"

#include "support/content.h"

#include <gelf.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { NOTE_DESCRIPTION = 1 };

static bool fail(dump_file *f, const char *what)
{
    diagnostic_error(f->diagnostics, f->where, "%s", what);
    return false;
}

static bool check_kind(dump_file *f, GElf_Ehdr *header)
{
    if (elf_kind(f->elf) != ELF_K_ELF) {
        size_t size;
        char remark[CONTENT_REMARK];
        const char *data = elf_rawfile(f->elf, &size);
        diagnostic_error(f->diagnostics, f->where,
                         "not an ELF file%s; expected a program or object for RISC-V",
                         content_remark((const uint8_t *)data, data ? size : 0, remark));
        return false;
    }
    if (!gelf_getehdr(f->elf, header))
        return fail(f, "broken ELF file: its header cannot be read");
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB)
        return fail(f, "expected a 64-bit little-endian ELF file");
    if (header->e_machine != EM_RISCV) {
        char cpu[CONTENT_CPU];
        diagnostic_error(f->diagnostics, f->where,
                         "expected a program or object for RISC-V, found one for %s",
                         content_machine(header->e_machine, cpu));
        return false;
    }
    return true;
}

static const char *section_name(dump_file *f, size_t names, const GElf_Shdr *header)
{
    const char *name = elf_strptr(f->elf, names, header->sh_name);
    return name ? name : "";
}

static bool add_code(dump_file *f, Elf_Scn *section, const GElf_Shdr *header, const char *name)
{
    const Elf_Data *data = elf_rawdata(section, NULL);
    if (!data || (data->d_size && !data->d_buf)) {
        diagnostic_error(f->diagnostics, f->where, "section '%s' lies outside of the file", name);
        return false;
    }
    dump_code code = {elf_ndxscn(section), arena_string(f->arena, name, strlen(name)),
                      header->sh_addr, data->d_buf, data->d_size};
    ARRAY_PUSH(f->arena, &f->code, code);
    return true;
}

// Mapping symbols ("$x") and local labels say nothing to people.
static bool worth_showing(const GElf_Sym *symbol, const char *name)
{
    unsigned type = GELF_ST_TYPE(symbol->st_info);
    bool kind = type == STT_FUNC || type == STT_NOTYPE || type == STT_OBJECT;
    return kind && name && *name && *name != '$' && strncmp(name, ".L", 2) != 0;
}

static void add_symbols(dump_file *f, Elf_Scn *section, const GElf_Shdr *header)
{
    Elf_Data *data = elf_getdata(section, NULL);
    if (!data || !header->sh_entsize)
        return;
    size_t count = data->d_size / sizeof(Elf64_Sym);
    for (size_t i = 0; i < count; i++) {
        GElf_Sym symbol;
        if (!gelf_getsym(data, (int)i, &symbol))
            return;
        const char *name = elf_strptr(f->elf, header->sh_link, symbol.st_name);
        if (!worth_showing(&symbol, name) || symbol.st_shndx == SHN_UNDEF)
            continue;
        dump_symbol s = {symbol.st_shndx, symbol.st_value,
                         arena_string(f->arena, name, strlen(name))};
        ARRAY_PUSH(f->arena, &f->symbols, s);
    }
}

static int by_place(const void *a, const void *b)
{
    const dump_symbol *x = a, *y = b;
    if (x->section != y->section)
        return x->section < y->section ? -1 : 1;
    if (x->address != y->address)
        return x->address < y->address ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int by_address(const void *a, const void *b)
{
    const dump_code *x = a, *y = b;
    if (x->address != y->address)
        return x->address < y->address ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

// libelf shows the sections of a file that is cut off as none.
static bool check_sections(dump_file *f, const GElf_Ehdr *header, size_t size)
{
    const uint64_t bytes = (uint64_t)header->e_shnum * header->e_shentsize;
    if (header->e_shoff <= size && bytes <= size - header->e_shoff)
        return true;
    diagnostic_error(f->diagnostics, f->where,
                     "broken ELF file: section headers at offset %" PRIu64
                     " reach beyond its %zu bytes; the file is truncated or its header is wrong",
                     header->e_shoff, size);
    return false;
}

static bool read_sections(dump_file *f)
{
    size_t names = 0;
    bool good = true;
    elf_getshdrstrndx(f->elf, &names);
    for (Elf_Scn *s = NULL; (s = elf_nextscn(f->elf, s));) {
        GElf_Shdr header;
        if (!gelf_getshdr(s, &header))
            return fail(f, "broken ELF file: a section header cannot be read");
        if (header.sh_type == SHT_PROGBITS && header.sh_flags & SHF_EXECINSTR)
            good &= add_code(f, s, &header, section_name(f, names, &header));
        else if (header.sh_type == SHT_SYMTAB)
            add_symbols(f, s, &header);
    }
    if (f->symbols.count)
        qsort(f->symbols.items, f->symbols.count, sizeof *f->symbols.items, by_place);
    if (f->code.count)
        qsort(f->code.items, f->code.count, sizeof *f->code.items, by_address);
    return good;
}

bool dump_open(dump_file *f, const char *name, const uint8_t *data, size_t size)
{
    GElf_Ehdr header;
    f->where = (location){.source = diagnostics_source(f->diagnostics, name, NULL, 0)};
    if (!size)
        return fail(f, "empty file: expected a program or object for RISC-V");
    elf_version(EV_CURRENT);
    f->elf = elf_memory((char *)(uintptr_t)data, size); // only read
    if (!f->elf)
        return fail(f, "broken ELF file");
    if (!check_kind(f, &header) || !check_sections(f, &header, size))
        return false;
    f->relocatable = header.e_type == ET_REL;
    return read_sections(f);
}

void dump_close(dump_file *f)
{
    elf_end(f->elf);
    f->elf = NULL;
}

const dump_symbol *dump_symbol_at(const dump_file *f, size_t section, uint64_t address)
{
    size_t low = 0, high = f->symbols.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const dump_symbol *s = &f->symbols.items[middle];
        if (s->section < section || (s->section == section && s->address <= address))
            low = middle + 1;
        else
            high = middle;
    }
    if (!low || f->symbols.items[low - 1].section != section)
        return NULL;
    return &f->symbols.items[low - 1];
}

// ------------------------------------------------------------------------- notes

static bool print_description(dump_file *f, const char *json, size_t length)
{
    json_error_t error;
    json_t *value = json_loadb(json, length, 0, &error);
    if (!value) {
        diagnostic_error(f->diagnostics, f->where, "the Lutra note is not JSON: %s, at byte %d",
                         error.text, error.position);
        return false;
    }
    char *printed =
        json_dumps(value, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(17));
    json_decref(value);
    if (!printed)
        return fail(f, "the Lutra note cannot be printed");
    fprintf(f->out, "%s\n", printed);
    free(printed);
    return true;
}

static bool print_notes_of(dump_file *f, Elf_Data *data, unsigned *count)
{
    GElf_Nhdr note;
    size_t name, description, at = 0, next;
    bool good = true;
    while ((next = gelf_getnote(data, at, &note, &name, &description)) > 0) {
        const char *bytes = data->d_buf;
        if (note.n_namesz == 6 && !memcmp(bytes + name, "Lutra", 6) &&
            note.n_type == NOTE_DESCRIPTION) {
            good &= print_description(f, bytes + description, note.n_descsz);
            ++*count;
        }
        at = next;
    }
    return good;
}

bool dump_notes(dump_file *f)
{
    unsigned count = 0;
    bool good = true;
    for (Elf_Scn *s = NULL; (s = elf_nextscn(f->elf, s));) {
        GElf_Shdr header;
        Elf_Data *data = NULL;
        if (gelf_getshdr(s, &header) && header.sh_type == SHT_NOTE)
            data = elf_getdata(s, NULL);
        if (data && data->d_buf)
            good &= print_notes_of(f, data, &count);
    }
    return count || !good ? good : fail(f, "there is no Lutra note: lutc did not make this file");
}
