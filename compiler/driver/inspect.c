// lutc inspect: what a file is and what is in it, told by its first bytes.
#include "compiler/driver/driver.h"

#include "support/content.h"

#include <elf.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool refuse(driver *d, const char *path, const char *what)
{
    location where = {.source = diagnostics_source(d->diagnostics, path, NULL, 0)};
    diagnostic_error(d->diagnostics, where, "%s", what);
    return false;
}

// ------------------------------------------------------------------ arrays

static bool inspect_npy(driver *d, const char *path, const mapped_file *f, text *out)
{
    array x;
    if (!array_parse_npy(d->arena, d->diagnostics, path, f->data, f->size, &x))
        return false;
    double least = INFINITY, most = -INFINITY, sum = 0;
    int64_t count = array_count(&x), odd = 0;
    for (int64_t i = 0; i < count; i++) {
        double value = array_get(&x, i);
        odd += !isfinite(value);
        least = fmin(least, value);
        most = fmax(most, value);
        sum += value;
    }
    text_printf(out, "%s: npy, %s", path, scalar_rows[x.type].name);
    array_print_shape(out, x.rank, x.shape);
    if (count)
        text_printf(out, "\nleast %.9g, mean %.9g, greatest %.9g, %lld not finite", least,
                    sum / (double)count, most, (long long)odd);
    text_char(out, '\n');
    return true;
}

// ------------------------------------------------------------------ ELF notes

// The description's JSON in a run of notes; false: none there.
static bool find_note(const uint8_t *data, uint64_t size, const char **json, uint64_t *length)
{
    uint64_t at = 0;
    while (size - at >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr note;
        memcpy(&note, data + at, sizeof note);
        at += sizeof note;
        uint64_t name = ((uint64_t)note.n_namesz + 3) & ~UINT64_C(3);
        uint64_t text_size = ((uint64_t)note.n_descsz + 3) & ~UINT64_C(3);
        if (name > size - at || note.n_descsz > size - at - name)
            return false;
        if (note.n_namesz == 6 && !memcmp(data + at, "Lutra", 6) && note.n_type == 1) {
            *json = (const char *)data + at + name;
            *length = note.n_descsz;
            return true;
        }
        if (text_size > size - at - name)
            return false;
        at += name + text_size;
    }
    return false;
}

static bool find_description(const mapped_file *f, const char **json, uint64_t *length)
{
    Elf64_Ehdr header;
    if (f->size < sizeof header)
        return false;
    memcpy(&header, f->data, sizeof header);
    for (unsigned i = 0; i < header.e_shnum; i++) {
        Elf64_Shdr s;
        uint64_t offset = i * sizeof s;
        if (header.e_shoff > f->size || f->size - header.e_shoff < offset + sizeof s)
            return false;
        memcpy(&s, f->data + header.e_shoff + offset, sizeof s);
        if (s.sh_type == SHT_NOTE && s.sh_offset <= f->size && s.sh_size <= f->size - s.sh_offset &&
            find_note(f->data + s.sh_offset, s.sh_size, json, length))
            return true;
    }
    return false;
}

static bool inspect_elf(driver *d, const char *path, const mapped_file *f, text *out)
{
    const char *json;
    uint64_t length;
    char cpu[CONTENT_CPU];
    Elf64_Ehdr header = {0};
    if (f->size >= sizeof header)
        memcpy(&header, f->data, sizeof header);
    if (f->size < sizeof header || header.e_shoff > f->size)
        return refuse(d, path,
                      arena_format(d->arena, "an ELF file, cut off at %zu bytes", f->size));
    if (!find_description(f, &json, &length))
        return refuse(d, path,
                      arena_format(d->arena,
                                   "an ELF file for %s, but no program for lutrun: it has no Lutra "
                                   "note",
                                   content_machine(header.e_machine, cpu)));
    json_error_t error;
    json_t *o = json_loadb(json, (size_t)length, 0, &error);
    if (!o)
        return refuse(d, path, "the program's description is not JSON");
    char *pretty = json_dumps(o, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    text_printf(out, "%s: Lutra program\n%s\n", path, pretty);
    free(pretty);
    json_decref(o);
    return true;
}

// ------------------------------------------------------------------ the rest

static bool inspect_weights(driver *d, const char *path, const mapped_file *f, text *out)
{
    weights *w = weights_parse(d->arena, d->diagnostics, path, f->data, f->size);
    if (w)
        weights_print(out, w);
    weights_close(w);
    return w;
}

static void count_op(ir_op *op, void *context)
{
    unsigned *counts = context;
    counts[op->code]++;
}

static bool inspect_ir(driver *d, const char *path, const mapped_file *f, text *out)
{
    const source *s = content_source(d->diagnostics, path, f->data, f->size);
    ir_module *m = ir_parse(d->arena, d->diagnostics, s);
    unsigned globals[2] = {0}, counts[IR_OPCODE_COUNT] = {0};
    if (!m)
        return false;
    for (const ir_global *g = m->globals; g; g = g->next)
        globals[g->kind]++;
    text_printf(out, "%s: IR module '%s', %zu dimensions, %u weights, %u states\n", path, m->name,
                m->symbols.count, globals[IR_GLOBAL_WEIGHT], globals[IR_GLOBAL_STATE]);
    for (const ir_function *function = m->functions; function; function = function->next) {
        text_printf(out, "  %s@%s\n", function->entry ? "entry " : "", function->name);
        ir_walk(function->body, count_op, counts);
    }
    for (unsigned i = 0; i < IR_OPCODE_COUNT; i++)
        if (counts[i])
            text_printf(out, "  %6u %s\n", counts[i], ir_op_rows[i].name);
    return true;
}

static const struct {
    const char *magic;
    size_t length;
    bool (*inspect)(driver *d, const char *path, const mapped_file *f, text *out);
} kinds[] = {
    {"GGUF", 4, inspect_weights},
    {"LUTWPACK", 8, inspect_weights},
    {"\x93NUMPY", 6, inspect_npy},
    {"\x7f"
     "ELF\2\1",
     6, inspect_elf},
};

bool inspect_file(driver *d, const char *path, const mapped_file *f, text *out)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (f->size >= kinds[i].length && !memcmp(f->data, kinds[i].magic, kinds[i].length))
            return kinds[i].inspect(d, path, f, out);
    const content_kind *kind = content_of(f->data, f->size);
    if (kind ? kind->form == CONTENT_MODULE : text_ends_with(path, ".lir"))
        return inspect_ir(d, path, f, out);
    char instead[CONTENT_REMARK];
    content_remark(f->data, f->size, instead);
    return refuse(d, path,
                  arena_format(d->arena,
                               "not a file that can be inspected: GGUF, packed weights, npy, IR "
                               "or ELF%s",
                               instead));
}

int command_inspect(driver *d)
{
    mapped_file f;
    text out = {0};
    const char *path = d->files.items[0];
    if (!file_map(d->diagnostics, path, &f))
        return EXIT_USER_ERROR;
    bool ok = inspect_file(d, path, &f, &out);
    text_print_visible(stdout, text_string(&out), out.length);
    text_free(&out);
    file_unmap(&f);
    return ok ? EXIT_OK : EXIT_USER_ERROR;
}
