// Static libraries: an archive of one object with the index that linkers ask for.
#include "compiler/codegen/codegen.h"

#include <errno.h>
#include <string.h>

// What stands before every member; the date is none, so that the same program gives the same bytes.
static void member_header(text *out, const char *name, size_t size)
{
    text_printf(out, "%-16s%-12d%-6d%-6d%-8s%-10zu`\n", name, 0, 0, 0, "644", size);
}

static void big_endian_word(text *out, size_t value)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        text_char(out, (char)(value >> shift & 0xff));
}

static void pad_to_even(text *out)
{
    if (out->length % 2)
        text_char(out, '\n');
}

// The index has one symbol: an object for CPUs defines no other for the outside.
static void print_archive(text *out, const text *object, const char *symbol)
{
    enum { MAGIC = 8, HEADER = 60 };
    size_t name = strlen(symbol) + 1, index = 4 + 4 + name;
    text_append(out, "!<arch>\n");
    member_header(out, "/", index);
    big_endian_word(out, 1);
    big_endian_word(out, MAGIC + HEADER + index + index % 2);
    text_append_n(out, symbol, name);
    pad_to_even(out);
    member_header(out, "program.o/", object->length);
    text_append_n(out, object->data, object->length);
    pad_to_even(out);
}

bool codegen_write_archive(diagnostics *d, const text *object, const char *symbol, output_file *out)
{
    text archive = {0};
    print_archive(&archive, object, symbol);
    bool ok = fwrite(archive.data, 1, archive.length, output_stream(out)) == archive.length;
    text_free(&archive);
    if (!ok)
        diagnostic_error(d, NOWHERE, "cannot write '%s': %s", output_target(out), strerror(errno));
    return ok;
}
