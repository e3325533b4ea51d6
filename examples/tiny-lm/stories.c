#include "examples/tiny-lm/stories.h"

#include "support/diagnostic.h"

#include <ctype.h>
#include <string.h>

typedef struct rule_row {
    const char *name, *text;
} rule_row;

static const rule_row rules[] = {
#define RULE(name, text) {#name, text},
#include "examples/tiny-lm/stories.def"
#undef RULE
};

enum {
    RULE_COUNT = sizeof rules / sizeof *rules,
    MAX_BOUND = 32,
    MAX_FIELDS = 96, // bytes of a bound text
    MAX_NAME = 32,
};

// What a name stands for in this story: fields separated by '/'.
typedef struct bound_name {
    char name[MAX_NAME], fields[MAX_FIELDS];
} bound_name;

typedef struct telling {
    random_stream *random;
    bound_name bound[MAX_BOUND];
    int count;
} telling;

static const struct field {
    const char *name;
    int position;
} fields[] = {{"", 0}, {"he", 1}, {"him", 2}, {"his", 3}, {"kind", 4}, {"at", 1}};
enum { FIELD_COUNT = sizeof fields / sizeof *fields };

static void expand(telling *t, const char *s, size_t length, text *out);

// ------------------------------------------------------------------------------ rules

// Rows of one name stand together.
static const rule_row *find_rule(const char *name, uint32_t *count)
{
    int first = 0;
    while (first < RULE_COUNT && strcmp(rules[first].name, name) != 0)
        first++;
    if (first == RULE_COUNT)
        INTERNAL_ERROR("the stories have no rule '%s'", name);
    int last = first;
    while (last < RULE_COUNT && strcmp(rules[last].name, name) == 0)
        last++;
    *count = (uint32_t)(last - first);
    return &rules[first];
}

static void expand_rule(telling *t, const char *name, text *out)
{
    uint32_t count;
    const rule_row *rows = find_rule(name, &count);
    const char *chosen = rows[random_below(t->random, count)].text;
    expand(t, chosen, strlen(chosen), out);
}

// ------------------------------------------------------------------------ bound names

static bool is_taken(const telling *t, const char *chosen)
{
    for (int i = 0; i < t->count; i++)
        if (strcmp(t->bound[i].fields, chosen) == 0)
            return true;
    return false;
}

// Chooses until it is something that no other name has.
static bound_name *bind(telling *t, const char *name)
{
    bound_name new = {0};
    snprintf(new.name, sizeof new.name, "%s", name);
    text chosen = {0};
    do {
        text_clear(&chosen);
        expand_rule(t, name, &chosen);
    } while (is_taken(t, text_string(&chosen)));
    if (t->count == MAX_BOUND || chosen.length >= MAX_FIELDS)
        INTERNAL_ERROR("a story has too many names, or a text is too long: '%s'", name);
    memcpy(new.fields, text_string(&chosen), chosen.length + 1);
    text_free(&chosen);
    t->bound[t->count] = new;
    return &t->bound[t->count++];
}

static const bound_name *find_bound(telling *t, const char *name)
{
    for (int i = 0; i < t->count; i++)
        if (strcmp(t->bound[i].name, name) == 0)
            return &t->bound[i];
    return bind(t, name);
}

static int field_position(const char *name)
{
    for (int i = 0; i < FIELD_COUNT; i++)
        if (strcmp(fields[i].name, name) == 0)
            return fields[i].position;
    INTERNAL_ERROR("the stories know no field '%s'", name);
}

static void append_field(const bound_name *b, const char *field, text *out)
{
    const char *s = b->fields;
    for (int skip = field_position(field); skip > 0; skip--) {
        s += strcspn(s, "/");
        if (*s++ == '\0')
            INTERNAL_ERROR("'%s' has no field '%s'", b->fields, field);
    }
    text_append_n(out, s, strcspn(s, "/"));
}

static void expand_name(telling *t, char *name, text *out)
{
    char *dot = strchr(name, '.');
    if (dot)
        *dot = '\0';
    append_field(find_bound(t, name), dot ? dot + 1 : "", out);
}

// -------------------------------------------------------------------------- expansion

// The bracket that ends the one at s[0]; they nest.
static size_t matching(const char *s, size_t length, char open, char close)
{
    int depth = 0;
    for (size_t i = 0; i < length; i++) {
        depth += (s[i] == open) - (s[i] == close);
        if (depth == 0)
            return i;
    }
    INTERNAL_ERROR("a story's '%c' has no end: %s", open, s);
}

// One of the texts between '|'. They do not nest.
static void expand_choice(telling *t, const char *s, size_t length, text *out)
{
    uint32_t count = 1;
    for (size_t i = 0; i < length; i++)
        count += s[i] == '|';
    for (uint32_t skip = random_below(t->random, count); skip > 0; skip--) {
        const char *next = (const char *)memchr(s, '|', length) + 1;
        length -= (size_t)(next - s);
        s = next;
    }
    const char *end = memchr(s, '|', length);
    expand(t, s, end ? (size_t)(end - s) : length, out);
}

static void expand_reference(telling *t, const char *s, size_t length, bool bound, text *out)
{
    char name[MAX_NAME];
    snprintf(name, sizeof name, "%.*s", (int)length, s);
    bool capital = isupper((unsigned char)name[0]);
    name[0] = (char)tolower((unsigned char)name[0]);
    size_t start = out->length;
    if (bound)
        expand_name(t, name, out);
    else
        expand_rule(t, name, out);
    if (capital && out->length > start)
        out->data[start] = (char)toupper((unsigned char)out->data[start]);
}

// What may be left out leaves no second space behind.
static void append_character(text *out, char c)
{
    if (c != ' ' || (out->length > 0 && out->data[out->length - 1] != ' '))
        text_char(out, c);
}

static void expand(telling *t, const char *s, size_t length, text *out)
{
    static const char brackets[][2] = {{'<', '>'}, {'{', '}'}, {'[', ']'}};
    for (size_t i = 0; i < length; i++) {
        int kind = 0;
        while (kind < 3 && s[i] != brackets[kind][0])
            kind++;
        if (kind == 3) {
            append_character(out, s[i]);
            continue;
        }
        size_t end = i + matching(s + i, length - i, brackets[kind][0], brackets[kind][1]);
        if (kind == 2)
            expand_choice(t, s + i + 1, end - i - 1, out);
        else
            expand_reference(t, s + i + 1, end - i - 1, kind == 1, out);
        i = end;
    }
}

void story_append(random_stream *r, text *out)
{
    telling t = {.random = r};
    text story = {0};
    expand_rule(&t, "story", &story);
    while (story.length > 0 && story.data[story.length - 1] == ' ')
        story.length--;
    text_append_n(out, text_string(&story), story.length);
    text_free(&story);
}
