// Source lines by address, from DWARF by libdw, and the texts of these lines.
#include "isa/dump/dump.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_SOURCE = 1 << 24 };

// A relative name is one from the folder of the compilation.
static const char *full_name(dump_file *f, Dwarf_Die *unit, const char *name)
{
    Dwarf_Attribute attribute;
    const char *folder = dwarf_formstring(dwarf_attr(unit, DW_AT_comp_dir, &attribute));
    if (*name == '/' || !folder || !*folder)
        return arena_intern(f->arena, name);
    return arena_intern(f->arena, arena_format(f->arena, "%s/%s", folder, name));
}

static void add_line(dump_file *f, Dwarf_Die *unit, Dwarf_Line *line)
{
    dump_line l = {0};
    bool end = false;
    int number = 0;
    const char *name = dwarf_linesrc(line, NULL, NULL);
    if (dwarf_lineaddr(line, &l.address) || dwarf_lineendsequence(line, &end))
        return;
    if (!end && name && dwarf_lineno(line, &number) == 0 && number > 0) {
        l.file = full_name(f, unit, name);
        l.line = (unsigned)number;
    }
    ARRAY_PUSH(f->arena, &f->lines, l);
}

// By address; an end comes before what begins at the same address.
static int by_address(const void *a, const void *b)
{
    const dump_line *x = a, *y = b;
    if (x->address != y->address)
        return x->address < y->address ? -1 : 1;
    if (!x->file != !y->file)
        return x->file ? 1 : -1;
    return x->line < y->line ? -1 : x->line > y->line;
}

void dump_read_lines(dump_file *f)
{
    // Addresses of an object file are not known before it is linked.
    Dwarf *dwarf = f->relocatable ? NULL : dwarf_begin_elf(f->elf, DWARF_C_READ, NULL);
    Dwarf_CU *unit = NULL;
    Dwarf_Die die;
    while (dwarf && dwarf_get_units(dwarf, unit, &unit, NULL, NULL, &die, NULL) == 0) {
        Dwarf_Lines *lines;
        size_t count;
        if (dwarf_getsrclines(&die, &lines, &count))
            continue;
        for (size_t i = 0; i < count; i++)
            add_line(f, &die, dwarf_onesrcline(lines, i));
    }
    if (f->lines.count)
        qsort(f->lines.items, f->lines.count, sizeof *f->lines.items, by_address);
    dwarf_end(dwarf);
}

// ------------------------------------------------------------------------ texts

struct dump_source {
    const char *path, *text; // text NULL: unreadable
    struct dump_source *next;
};

static const char *read_whole(arena *a, const char *path)
{
    struct stat status;
    FILE *file = !stat(path, &status) && S_ISREG(status.st_mode) && status.st_size <= MAX_SOURCE
                     ? fopen(path, "r")
                     : NULL;
    if (!file)
        return NULL;
    char *data = arena_alloc(a, (size_t)status.st_size + 1);
    data[fread(data, 1, (size_t)status.st_size, file)] = '\0';
    fclose(file);
    return data;
}

const char *dump_source_text(dump_file *f, const char *path, unsigned line)
{
    struct dump_source *s = f->sources;
    while (s && strcmp(s->path, path))
        s = s->next;
    if (!s) {
        s = ARENA_NEW(f->arena, struct dump_source);
        *s = (struct dump_source){path, read_whole(f->arena, path), f->sources};
        f->sources = s;
    }
    const char *at = s->text;
    for (; at && line > 1; line--) {
        at = strchr(at, '\n');
        at += at != NULL;
    }
    return at && *at ? arena_string(f->arena, at, strcspn(at, "\r\n")) : NULL;
}
