// Source lines of guest addresses, from the program's DWARF line tables.
#include "runtime/host/internal.h"

#include "support/text.h"

#include <elfutils/libdw.h>
#include <libelf.h>
#include <stdlib.h>
#include <unistd.h>

struct source_lines {
    Elf *elf;
    Dwarf *dwarf; // NULL: the program has none
};

static source_lines *open_lines(const host_program *p)
{
    source_lines *l = calloc(1, sizeof *l);
    if (!l)
        INTERNAL_ERROR("out of memory");
    elf_version(EV_CURRENT);
    if (p->file.descriptor >= 0)
        l->elf = elf_begin(p->file.descriptor, ELF_C_READ, NULL);
    if (l->elf)
        l->dwarf = dwarf_begin_elf(l->elf, DWARF_C_READ, NULL);
    return l;
}

void source_lines_close(source_lines *lines)
{
    if (!lines)
        return;
    dwarf_end(lines->dwarf);
    elf_end(lines->elf);
    free(lines);
}

static Dwarf_Line *find_line(Dwarf *dwarf, uint64_t address)
{
    Dwarf_CU *unit = NULL;
    Dwarf_Die die;
    while (dwarf_get_units(dwarf, unit, &unit, NULL, NULL, &die, NULL) == 0) {
        Dwarf_Line *line = dwarf_haspc(&die, address) == 1 ? dwarf_getsrc_die(&die, address) : NULL;
        if (line)
            return line;
    }
    return NULL;
}

bool host_source_line(host_program *p, uint64_t address, text *out)
{
    if (!p->lines)
        p->lines = open_lines(p);
    Dwarf_Line *line = p->lines->dwarf ? find_line(p->lines->dwarf, address) : NULL;
    const char *file = line ? dwarf_linesrc(line, NULL, NULL) : NULL;
    int number = 0, column = 0;
    if (!file || dwarf_lineno(line, &number) != 0 || number == 0)
        return false;
    text_printf(out, "%s:%d", file, number);
    if (dwarf_linecol(line, &column) == 0 && column > 0)
        text_printf(out, ":%d", column);
    return true;
}
