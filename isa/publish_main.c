// isa_publish header|macros|manual FILE: see publish.h. `manual FILE` writes FILE anew.
#include "isa/publish.h"
#include "support/file.h"

#include <string.h>

static bool write_text(diagnostics *d, const char *path, const text *t)
{
    output_file *f = output_open(d, path);
    if (!f)
        return false;
    fwrite(text_string(t), 1, t->length, output_stream(f));
    return output_commit(d, f);
}

static bool make_manual(diagnostics *d, const char *path, text *out)
{
    mapped_file file;
    if (!file_map(d, path, &file))
        return false;
    text old = {0};
    text_append_n(&old, (const char *)file.data, file.size);
    file_unmap(&file);
    bool made = isa_publish_manual(out, text_string(&old));
    text_free(&old);
    if (!made)
        diagnostic_error(d, NOWHERE, "%s has no place for the generated part", path);
    return made;
}

int main(int argc, char **argv)
{
    text out = {0};
    diagnostics *d = diagnostics_create(stderr);
    bool good = argc == 3;
    if (good && !strcmp(argv[1], "header"))
        isa_publish_header(&out);
    else if (good && !strcmp(argv[1], "macros"))
        isa_publish_macros(&out);
    else
        good = good && !strcmp(argv[1], "manual") && make_manual(d, argv[2], &out);
    good = good && write_text(d, argv[2], &out);
    if (!good && !diagnostics_errors(d))
        fputs("usage: isa_publish header|macros|manual FILE\n", stderr);
    diagnostics_destroy(d);
    text_free(&out);
    return good ? EXIT_OK : EXIT_USER_ERROR;
}
