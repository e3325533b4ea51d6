// Reading *.isa files: see the head of rv64.isa for their form.
#include "isa/rows.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const field fields[] = {
#define FIELD(name, member, width, bias) {name, #member, width, bias},
#include "isa/fields.def"
#undef FIELD
};

static const char *const constraint_names[] = {
#define CONSTRAINT(E, name, condition, words) name,
#include "isa/constraints.def"
#undef CONSTRAINT
};

enum { CONSTRAINTS = sizeof constraint_names / sizeof *constraint_names };
_Static_assert(CONSTRAINTS <= 64, "constraints are bits of a 64-bit word");

typedef struct reader {
    rows *rows;
    const char *file, *extension, *class;
    unsigned line, width;
} reader;

void row_fail(const char *file, unsigned line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s:%u: error: ", file, line);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

#define FAIL(reader, ...) row_fail((reader)->file, (reader)->line, __VA_ARGS__)

const field *field_by_name(const char *name)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (!strcmp(fields[i].name, name))
            return &fields[i];
    return NULL;
}

const row *row_by_mnemonic(const rows *r, const char *mnemonic)
{
    for (unsigned i = 0; i < r->count; i++)
        if (r->items[i].width == 32 && !strcmp(r->items[i].mnemonic, mnemonic))
            return &r->items[i];
    return NULL;
}

static char *copy(const char *s)
{
    char *c = strdup(s);
    if (!c)
        abort();
    return c;
}

static char *trim(char *s)
{
    while (isspace((unsigned char)*s))
        s++;
    char *end = s + strlen(s);
    while (end > s && isspace((unsigned char)end[-1]))
        *--end = '\0';
    return s;
}

// "vl{seg}e8.v" -> "vle8.v"; "lmma.{table}.{form}" -> "lmma".
static char *without_variable_parts(const char *syntax)
{
    char *plain = copy(syntax), *to = plain;
    for (const char *s = syntax; *s; s++) {
        if (*s == '{')
            s = strchr(s, '}');
        else if (*s != '.' || (to > plain && to[-1] != '.'))
            *to++ = *s;
    }
    while (to > plain && to[-1] == '.')
        to--;
    *to = '\0';
    return plain;
}

static char *enumerator_of(const char *mnemonic)
{
    char *e = copy(mnemonic);
    for (char *c = e; *c; c++)
        *c = *c == '.' ? '_' : (char)toupper((unsigned char)*c);
    return e;
}

// ---------------------------------------------------------------- bit patterns

static void add_piece(reader *r, row *w, const field *f, unsigned low, unsigned width,
                      unsigned shift)
{
    if (w->piece_count == MAX_ROW_PIECES)
        FAIL(r, "too many fields");
    w->pieces[w->piece_count++] = (row_piece){f->member, low, width, shift, f->bias};
}

static void add_constant(reader *r, row *w, const char *digits, unsigned *at)
{
    for (const char *d = digits; *d; d++) {
        if ((*d != '0' && *d != '1') || *at == 0)
            FAIL(r, "'%s' is not a constant that fits here", digits);
        --*at;
        w->mask |= 1u << *at;
        w->match |= (uint32_t)(*d - '0') << *at;
    }
}

static unsigned take_bits(reader *r, unsigned *at, unsigned width)
{
    if (width == 0 || width > *at)
        FAIL(r, "%u bits do not fit: %u are left", width, *at);
    return *at -= width;
}

// "imm[12|10:5]": runs of bits of an immediate, highest first.
static void add_runs(reader *r, row *w, const field *f, const char *runs, unsigned *at)
{
    while (*runs && *runs != ']') {
        char *end;
        unsigned high = (unsigned)strtoul(runs, &end, 10), low = high;
        if (end == runs)
            FAIL(r, "expected a bit number at '%s'", runs);
        if (*end == ':')
            low = (unsigned)strtoul(end + 1, &end, 10);
        if (high > 31 || low > high)
            FAIL(r, "bits %u:%u are not a run", high, low);
        unsigned width = high - low + 1;
        add_piece(r, w, f, take_bits(r, at, width), width, low);
        if (!strcmp(f->name, "imm") && high + 1 > w->sign)
            w->sign = high + 1;
        runs = *end == '|' ? end + 1 : end;
    }
    if (strcmp(runs, "]"))
        FAIL(r, "expected ']' at the end of '%s'", f->name);
}

static void add_field(reader *r, row *w, char *token, unsigned *at)
{
    char *bracket = strchr(token, '['), *equals = strchr(token, '=');
    if (bracket)
        *bracket = '\0';
    if (equals)
        *equals = '\0';
    const field *f = field_by_name(token);
    if (!f)
        FAIL(r, "'%s' is neither a constant nor a field of fields.def", token);
    if (bracket) {
        add_runs(r, w, f, bracket + 1, at);
        return;
    }
    unsigned high = *at, low = take_bits(r, &high, f->width);
    add_piece(r, w, f, low, f->width, 0);
    if (equals)
        add_constant(r, w, equals + 1, at);
    else
        *at = low;
    if (!strcmp(f->name, "rm"))
        w->constraints |= 1; // ROUNDING, the first row of constraints.def
}

static void parse_bits(reader *r, row *w, char *text)
{
    unsigned at = r->width;
    for (char *token = strtok(text, " "); token; token = strtok(NULL, " ")) {
        if (isdigit((unsigned char)*token))
            add_constant(r, w, token, &at);
        else
            add_field(r, w, token, &at);
    }
    if (at)
        FAIL(r, "%u bits are not accounted for", at);
}

static void parse_constraints(reader *r, row *w, char *text)
{
    for (char *token = strtok(text, " "); token; token = strtok(NULL, " ")) {
        if (!strncmp(token, "over:", 5) && w->over_count < MAX_OVER) {
            w->over[w->over_count++] = copy(token + 5);
            continue;
        }
        unsigned c = 0;
        while (c < CONSTRAINTS && strcmp(constraint_names[c], token))
            c++;
        if (c == CONSTRAINTS)
            FAIL(r, "'%s' is not a constraint of constraints.def", token);
        w->constraints |= 1ull << c;
    }
}

// ------------------------------------------------------------------------ lines

// Cuts the text at " | "; what follows, or NULL.
static char *cut(char *text)
{
    char *bar = strstr(text, " | ");
    if (!bar)
        return NULL;
    *bar = '\0';
    return bar + 3;
}

static void parse_row(reader *r, char *text)
{
    char *bits = cut(text), *meaning = bits ? cut(bits) : NULL;
    if (!meaning || !r->extension || (!r->class && r->width == 32))
        FAIL(r, "expected 'mnemonic operands | bits ; constraints | meaning' in an extension and "
                "class");
    if (r->rows->count == MAX_ROWS)
        FAIL(r, "too many rows");
    row *w = &r->rows->items[r->rows->count++];
    text = trim(text);
    char *space = strpbrk(text, " \t"), *constraints = strchr(bits, ';');
    *w = (row){.file = r->file, .line = r->line, .extension = r->extension, .class = r->class};
    w->width = r->width;
    w->operands = copy(space ? trim(space) : "");
    if (space)
        *space = '\0';
    w->syntax = copy(text);
    w->mnemonic = without_variable_parts(text);
    w->enumerator = enumerator_of(w->mnemonic);
    w->meaning = copy(trim(meaning));
    if (constraints)
        *constraints++ = '\0';
    w->bits = copy(trim(bits));
    parse_bits(r, w, bits);
    if (constraints)
        parse_constraints(r, w, constraints);
}

static void parse_line(reader *r, char *text)
{
    text = trim(text);
    if (!*text || *text == '#')
        return;
    if (!strncmp(text, "extension ", 10)) {
        r->extension = copy(trim(text + 10));
        r->class = NULL;
    } else if (!strncmp(text, "class ", 6)) {
        r->class = copy(trim(text + 6));
    } else if (!strcmp(text, "compressed")) {
        r->width = 16;
    } else {
        parse_row(r, text);
    }
}

void rows_read(rows *list, const char *path)
{
    const char *slash = strrchr(path, '/');
    reader r = {list, copy(slash ? slash + 1 : path), NULL, NULL, 0, 32};
    FILE *file = fopen(path, "r");
    char line[1024];
    if (!file)
        FAIL(&r, "cannot be read");
    while (fgets(line, sizeof line, file)) {
        r.line++;
        if (!strchr(line, '\n'))
            FAIL(&r, "a line without an end, or longer than %zu bytes", sizeof line);
        parse_line(&r, line);
    }
    fclose(file);
}

// --------------------------------------------------------------------- overlaps

static bool overlap(const row *a, const row *b)
{
    return a->width == b->width && !((a->match ^ b->match) & a->mask & b->mask);
}

// `inner` is a declared part of `outer`.
static bool inside(const row *inner, const row *outer)
{
    if ((inner->mask & outer->mask) != outer->mask || inner->mask == outer->mask)
        return false;
    for (unsigned i = 0; i < inner->over_count; i++)
        if (!strcmp(inner->over[i], outer->mnemonic))
            return true;
    return false;
}

// over is transitive: c.ebreak over c.jalr over c.add.
static bool inside_somehow(const rows *r, const row *inner, const row *outer)
{
    if (inside(inner, outer))
        return true;
    for (unsigned i = 0; i < r->count; i++)
        if (inside(inner, &r->items[i]) && inside(&r->items[i], outer))
            return true;
    return false;
}

void rows_check_overlaps(const rows *r)
{
    for (unsigned i = 0; i < r->count; i++)
        for (unsigned j = 0; j < i; j++) {
            const row *a = &r->items[i], *b = &r->items[j];
            if (!strcmp(a->enumerator, b->enumerator))
                row_fail(a->file, a->line, "'%s' is defined twice", a->mnemonic);
            if (overlap(a, b) && !inside_somehow(r, a, b) && !inside_somehow(r, b, a))
                row_fail(a->file, a->line, "'%s' overlaps '%s' (%s:%u)", a->mnemonic, b->mnemonic,
                         b->file, b->line);
        }
}
