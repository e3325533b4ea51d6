// The journal of a sweep: what it is of, then a line for each row that is done. It is read as any
// file from outside: nothing of it is taken that this sweep would not have written.
#include "compiler/explore/explore.h"

#include "support/hash.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

struct explore_journal {
    FILE *stream;
    const char *path;
};

static uint64_t hash_of_model(void)
{
    text t = {0};
    for (const area_constant *c = area_constants; c->name; c++)
        text_printf(&t, "%s=%.17g;", c->name, c->value);
    uint64_t hash = hash_bytes(text_string(&t), t.length);
    text_free(&t);
    return hash;
}

enum { FIRST_LINES = 6 };
typedef struct first_lines {
    const char *lines[FIRST_LINES];
} first_lines;

static const char *const mismatches[FIRST_LINES] = {
    "this is no journal of a sweep",
    "the journal is of another machine",
    "the journal is of another program",
    "the journal is of a sweep with other options",
    "the journal was made with another area model",
    "the journal has other columns",
};

// The machine stands first: programs name theirs.
static first_lines lines_of(arena *a, const explore_identity *id)
{
    return (first_lines){
        {"lutra sweep 1", arena_format(a, "machine %s", id->machine),
         arena_format(a, "program %s", id->program), arena_format(a, "options %s", id->options),
         arena_format(a, "model %016" PRIx64, hash_of_model()), explore_columns_line}};
}

// ----------------------------------------------------------------------------- reading

typedef struct reading {
    arena *arena;
    diagnostics *diagnostics;
    const source *source;
    const char *at, *end; // of whole lines
    uint32_t line;
} reading;

static bool next_line(reading *r, const char **line, size_t *length)
{
    const char *stop = r->at < r->end ? memchr(r->at, '\n', (size_t)(r->end - r->at)) : NULL;
    if (!stop)
        return false;
    *line = r->at;
    *length = (size_t)(stop - r->at);
    r->at = stop + 1;
    r->line++;
    return true;
}

static bool refuse(const reading *r, const char *why, const char *expected)
{
    location where = {.source = r->source, .line = r->line, .column = 1, .length = 1};
    diagnostic_error(r->diagnostics, where, "%s%s%s", why, expected ? "; expected: " : "",
                     expected ? expected : "");
    diagnostic_note(r->diagnostics, NOWHERE,
                    "remove '%s' to begin anew, or choose another --csv to keep both",
                    r->source->name);
    return false;
}

static bool read_first(reading *r, const first_lines *first)
{
    for (size_t i = 0; i < FIRST_LINES; i++) {
        const char *line = "";
        size_t length = 0, expected = strlen(first->lines[i]);
        if (!next_line(r, &line, &length))
            r->line++;
        if (length != expected || memcmp(line, first->lines[i], length))
            return refuse(r, mismatches[i], i ? first->lines[i] : NULL);
    }
    return true;
}

static bool read_rows(reading *r, explore_rows *rows, size_t *done)
{
    const char *line;
    size_t length;
    for (*done = 0; next_line(r, &line, &length); (*done)++) {
        if (*done == rows->count)
            return refuse(r, "the journal has more rows than the sweep", NULL);
        if (!explore_read_row(r->arena, line, length, &rows->items[*done]))
            return refuse(r, "this is not what the sweep writes for its next machine", NULL);
    }
    return true;
}

bool explore_journal_read(arena *a, diagnostics *d, const source *s, const explore_identity *id,
                          explore_rows *rows, size_t *done, size_t *whole)
{
    first_lines first = lines_of(a, id);
    reading r = {.arena = a, .diagnostics = d, .source = s, .at = s->text};
    *done = 0;
    for (*whole = s->length; *whole && s->text[*whole - 1] != '\n';)
        --*whole;
    r.end = s->text + *whole;
    return s->length == 0 || (read_first(&r, &first) && read_rows(&r, rows, done));
}

static bool read_file(arena *a, diagnostics *d, const char *path, const explore_identity *id,
                      explore_rows *rows, size_t *done, size_t *whole)
{
    mapped_file file;
    if (!file_map(d, path, &file))
        return false;
    const char *content = file.data ? (const char *)file.data : "";
    const source *s = diagnostics_source(d, path, content, file.size);
    file_unmap(&file);
    return explore_journal_read(a, d, s, id, rows, done, whole);
}

// ----------------------------------------------------------------------------- writing

static bool report(diagnostics *d, const char *path, const char *what)
{
    location where = {.source = diagnostics_source(d, path, NULL, 0)};
    diagnostic_error(d, where, "%s: %s", what, strerror(errno));
    return false;
}

static bool write_first(FILE *f, const first_lines *first)
{
    for (size_t i = 0; i < FIRST_LINES; i++)
        fprintf(f, "%s\n", first->lines[i]);
    return fflush(f) == 0;
}

// Takes it for this sweep alone, drops a line that was cut off, and goes to its end.
static bool prepare(diagnostics *d, explore_journal *j, const first_lines *first, size_t whole)
{
    if (ftruncate(fileno(j->stream), (off_t)whole) != 0 || fseek(j->stream, 0, SEEK_END) != 0 ||
        (!whole && !write_first(j->stream, first)))
        return report(d, j->path, "cannot write it");
    return true;
}

static bool lock(diagnostics *d, explore_journal *j)
{
    if (flock(fileno(j->stream), LOCK_EX | LOCK_NB) == 0)
        return true;
    location where = {.source = diagnostics_source(d, j->path, NULL, 0)};
    diagnostic_error(d, where, "another sweep is at work on this journal");
    return false;
}

explore_journal *explore_journal_open(arena *a, diagnostics *d, const char *path,
                                      const explore_identity *id, explore_rows *rows, size_t *done)
{
    explore_journal *j = ARENA_NEW(a, explore_journal);
    first_lines first = lines_of(a, id);
    size_t whole = 0;
    j->path = path;
    j->stream = fopen(path, "a");
    if (!j->stream) {
        report(d, path, "cannot open it");
        return NULL;
    }
    if (lock(d, j) && read_file(a, d, path, id, rows, done, &whole) && prepare(d, j, &first, whole))
        return j;
    fclose(j->stream);
    return NULL;
}

bool explore_journal_add(arena *a, diagnostics *d, explore_journal *j, explore_row *r)
{
    text t = {0};
    explore_print_row(&t, r);
    if (!explore_read_row(a, t.data, t.length, r))
        INTERNAL_ERROR("a row is not read as it is written: %s", text_string(&t));
    fprintf(j->stream, "%s\n", text_string(&t));
    text_free(&t);
    return fflush(j->stream) == 0 || report(d, j->path, "cannot write it");
}

void explore_journal_close(explore_journal *j, bool remove)
{
    if (!j)
        return;
    if (remove)
        unlink(j->path);
    fclose(j->stream);
}
