// Machine descriptions: settings as a table, built-in ones, printing, hash.
#include "isa/machine_parser.h"
#include "support/content.h"
#include "support/hash.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "isa/machines.inc"

enum { MAX_LIKE = 8 }; // machines that are like one another, in a row

typedef enum dimension {
    NUMBER,
    FREQUENCY,
    TIME,
    SIZE,
    BANDWIDTH,
    ENERGY,
    POWER,
    DIMENSIONS
} dimension;

static const char *const dimension_names[DIMENSIONS] = {
    [NUMBER] = "a number without a unit",
    [FREQUENCY] = "a frequency in Hz, kHz, MHz or GHz",
    [TIME] = "a time in s, ms, us, ns or ps",
    [SIZE] = "a size in B, KB, MB or GB (powers of 1024)",
    [BANDWIDTH] = "a bandwidth in B/s, KB/s, MB/s, GB/s or TB/s (powers of 1000)",
    [ENERGY] = "an energy in J, nJ, pJ or fJ",
    [POWER] = "a power in W or mW",
};

typedef struct unit_row {
    const char *name;
    dimension dimension;
    double factor;
} unit_row;

static const unit_row units[] = {
    {"GHz", FREQUENCY, 1e9},  {"MHz", FREQUENCY, 1e6},   {"kHz", FREQUENCY, 1e3},
    {"Hz", FREQUENCY, 1},     {"ps", TIME, 1e-12},       {"ns", TIME, 1e-9},
    {"us", TIME, 1e-6},       {"ms", TIME, 1e-3},        {"s", TIME, 1},
    {"GB", SIZE, 1073741824}, {"MB", SIZE, 1048576},     {"KB", SIZE, 1024},
    {"B", SIZE, 1},           {"TB/s", BANDWIDTH, 1e12}, {"GB/s", BANDWIDTH, 1e9},
    {"MB/s", BANDWIDTH, 1e6}, {"KB/s", BANDWIDTH, 1e3},  {"B/s", BANDWIDTH, 1},
    {"fJ", ENERGY, 1e-15},    {"pJ", ENERGY, 1e-12},     {"nJ", ENERGY, 1e-9},
    {"J", ENERGY, 1},         {"mW", POWER, 1e-3},       {"W", POWER, 1},
};
enum { UNITS = sizeof units / sizeof *units };

typedef enum member_kind { U32, U64, REAL } member_kind;
typedef struct setting {
    const char *group, *name;
    size_t member;
    member_kind kind;
    dimension dimension;
    double least, greatest;
    const char *meaning;
} setting;

static const setting settings[] = {
#define SETTING(group, name, member, kind, dimension, least, greatest, meaning)                    \
    {group, name, offsetof(machine, member), kind, dimension, least, greatest, meaning},
#include "isa/machine_settings.def"
#undef SETTING
};
enum { SETTINGS = MACHINE_SETTINGS };

// The tile shapes that exist (docs/xlut.md, "Tile shape").
static const struct {
    uint32_t m, n;
} shapes[] = {{1, 64}, {2, 64}, {2, 128}, {4, 128}, {4, 256}};

static void store(machine *m, const setting *s, double value)
{
    char *at = (char *)m + s->member;
    switch (s->kind) {
    case U32: *(uint32_t *)at = (uint32_t)value; break;
    case U64: *(uint64_t *)at = (uint64_t)value; break;
    case REAL: *(double *)at = value; break;
    }
}

static double fetch(const machine *m, const setting *s)
{
    const char *at = (const char *)m + s->member;
    switch (s->kind) {
    case U32: return *(const uint32_t *)at;
    case U64: return (double)*(const uint64_t *)at;
    default: return *(const double *)at;
    }
}

static bool same_group(const char *a, const char *b)
{
    return a == b || (a && b && !strcmp(a, b));
}

// What a machine may lack, as a whole. Everything that is not in these groups it has.
static const struct {
    unsigned bit;
    const char *groups[4]; // ended by NULL
} parts[] = {
    {MACHINE_TILES, {"tile", "tiles"}}, {MACHINE_LUT, {"unit", "table", "dequantize"}},
    {MACHINE_MATRIX, {"matrix"}},       {MACHINE_L2, {"l2"}},
    {MACHINE_ENERGY, {"energy"}},       {MACHINE_CLUSTER, {"cluster"}},
};

// The bit of the part that the setting belongs to, 0: none.
static unsigned part_of(const setting *s)
{
    for (size_t i = 0; s->group && i < sizeof parts / sizeof *parts; i++)
        for (const char *const *g = parts[i].groups; *g; g++)
            if (!strcmp(*g, s->group))
                return parts[i].bit;
    return 0;
}

// --------------------------------------------------------------- while parsing

static void begin_like(machine_builder *b, machine_name base)
{
    const char *name = b->machine->name;
    b->inherited = b->depth < MAX_LIKE && machine_load_like(b, base.text);
    if (!b->inherited)
        diagnostic_error(b->diagnostics, base.where, "no machine '%s' that this one can be like",
                         base.text);
    b->machine->name = name;
}

void machine_begin(machine_builder *b, machine_name name, machine_name base)
{
    if (b->machines++)
        diagnostic_error(b->diagnostics, name.where,
                         "a second machine: a file describes one; move '%s' to its own", name.text);
    else
        b->machine->name = name.text, b->name = name.where;
    b->group = NULL;
    b->group_known = true;
    if (base.text)
        begin_like(b, base);
}

// Reports that `name` is not one of `candidates`.
static void report_unknown(machine_builder *b, machine_name name, const char *what,
                           const char *const *candidates, size_t count)
{
    const char *near = text_nearest(name.text, candidates, count);
    diagnostic_error(b->diagnostics, name.where, "unknown %s '%s'%s%s%s", what, name.text,
                     near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

void machine_group_begin(machine_builder *b, machine_name name, const char *from)
{
    const char *groups[SETTINGS];
    size_t count = 0;
    b->group = name.text;
    b->group_source = from;
    b->group_known = false;
    for (int i = 0; i < SETTINGS; i++) {
        if (!settings[i].group || (count && !strcmp(groups[count - 1], settings[i].group)))
            continue;
        groups[count++] = settings[i].group;
        b->group_known |= !strcmp(settings[i].group, name.text);
    }
    if (!b->group_known)
        report_unknown(b, name, "group", groups, count);
}

void machine_group_end(machine_builder *b)
{
    b->group = b->group_source = NULL;
    b->group_known = true;
}

static int find_setting(machine_builder *b, machine_name name)
{
    const char *candidates[SETTINGS];
    size_t count = 0;
    for (int i = 0; i < SETTINGS; i++) {
        if (!same_group(settings[i].group, b->group))
            continue;
        if (!strcmp(settings[i].name, name.text))
            return i;
        candidates[count++] = settings[i].name;
    }
    if (b->group_known)
        report_unknown(b, name, "setting", candidates, count);
    return -1;
}

// The factor of the unit, 0: reported.
static double unit_factor(machine_builder *b, const setting *s, machine_number value,
                          machine_name unit)
{
    if (!unit.text && s->dimension == NUMBER)
        return 1;
    for (int i = 0; unit.text && i < UNITS; i++)
        if (units[i].dimension == s->dimension && !strcmp(units[i].name, unit.text))
            return units[i].factor;
    diagnostic_error(b->diagnostics, unit.text ? unit.where : value.where,
                     "'%s' is %s, found %s%s%s", s->name, dimension_names[s->dimension],
                     unit.text ? "'" : "no unit", unit.text ? unit.text : "", unit.text ? "'" : "");
    return 0;
}

// Whether the value reads back from so many digits in this unit, which it suits.
static bool print_in_unit(text *t, double value, const unit_row *u, int precision)
{
    double scaled = value / u->factor, back = 0;
    bool ascending = u->dimension == TIME || u->dimension == ENERGY || u->dimension == POWER;
    char digits[40];
    snprintf(digits, sizeof digits, "%.*g", precision, scaled);
    if (u->factor != 1 && !(ascending ? scaled < 1000 : scaled >= 1))
        return false;
    if (!text_to_double(digits, &back) || back * u->factor != value)
        return false;
    text_printf(t, "%s %s", digits, u->name);
    return true;
}

// A number as people write it: in as few digits, then with as large a unit, as read back as it.
static void print_value(text *t, dimension d, double value)
{
    for (int precision = 6; precision <= 17; precision++)
        for (int i = 0; i < UNITS; i++)
            if (units[i].dimension == d && print_in_unit(t, value, &units[i], precision))
                return;
    text_printf(t, "%.17g", value);
}

static void report_range(machine_builder *b, const setting *s, machine_number value)
{
    text least = {0}, greatest = {0};
    print_value(&least, s->dimension, s->least);
    print_value(&greatest, s->dimension, s->greatest);
    diagnostic_error(b->diagnostics, value.where, "'%s' is %s%s to %s, found %s", s->name,
                     s->kind == REAL ? "" : "a whole number from ", text_string(&least),
                     text_string(&greatest), value.text);
    text_free(&least);
    text_free(&greatest);
}

void machine_set(machine_builder *b, machine_name name, machine_number value, machine_name unit,
                 const char *from)
{
    int row = find_setting(b, name);
    if (row < 0)
        return;
    if (b->seen[row].line) {
        diagnostic_error(b->diagnostics, name.where, "'%s' is set twice", name.text);
        diagnostic_note(b->diagnostics, b->seen[row], "set here before");
        return;
    }
    b->seen[row] = name.where;
    const setting *s = &settings[row];
    double factor = unit_factor(b, s, value, unit), scaled = value.value * factor;
    if (factor == 0)
        return;
    if (!(scaled >= s->least && scaled <= s->greatest) ||
        (s->kind != REAL && scaled != floor(scaled)))
        report_range(b, s, value);
    else
        store(b->machine, s, scaled);
    b->machine->parts |= part_of(s);
    b->machine->sources[row] = from ? from : b->group_source;
}

// ------------------------------------------------------------- when it is parsed

static void check_complete(machine_builder *b)
{
    for (int i = 0; i < SETTINGS; i++) {
        const setting *s = &settings[i];
        unsigned part = part_of(s);
        bool given = b->seen[i].line || (b->inherited && (!part || b->inherited_parts & part));
        if (!given && (!part || b->machine->parts & part))
            diagnostic_error(b->diagnostics, b->name, "machine '%s' lacks '%s%s%s'",
                             b->machine->name, s->group ? s->group : "", s->group ? "." : "",
                             s->name);
    }
    unsigned on_tiles = b->machine->parts & (MACHINE_LUT | MACHINE_MATRIX);
    if (on_tiles && !(b->machine->parts & MACHINE_TILES))
        diagnostic_error(b->diagnostics, b->name,
                         "machine '%s' lacks 'tile': %s works on tile registers", b->machine->name,
                         on_tiles & MACHINE_LUT ? "a LUT unit" : "a matrix unit");
}

static location seen_at(const machine_builder *b, const char *group, const char *name)
{
    for (int i = 0; i < SETTINGS; i++)
        if (same_group(settings[i].group, group) && !strcmp(settings[i].name, name))
            return b->seen[i];
    return b->name;
}

static void check_architecture(machine_builder *b)
{
    const machine *m = b->machine;
    if (m->vlen & (m->vlen - 1))
        diagnostic_error(b->diagnostics, seen_at(b, NULL, "vlen"),
                         "vlen is a power of two from 128 to 1024, found %" PRIu32, m->vlen);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (shapes[i].m == m->tile_m && shapes[i].n == m->tile_n)
            return;
    if (m->tile_m || m->tile_n)
        diagnostic_error(
            b->diagnostics, seen_at(b, "tile", "m"),
            "tile shapes are m1 n64, m2 n64, m2 n128, m4 n128 and m4 n256, found m%" PRIu32
            " n%" PRIu32,
            m->tile_m, m->tile_n);
}

// `base`: settings not given are those of *out as it is.
static bool parse(arena *a, diagnostics *d, const source *input, unsigned depth, bool base,
                  machine *out)
{
    size_t before = diagnostics_errors(d);
    machine_builder b = {.arena = a,
                         .diagnostics = d,
                         .source = input,
                         .machine = out,
                         .depth = depth,
                         .inherited = base,
                         .inherited_parts = base ? out->parts : 0};
    b.name = (location){.source = input};
    if (!base)
        *out = (machine){0};
    if (input->length > 1 << 20)
        diagnostic_error(d, b.name, "too long for a machine description");
    else
        machine_parse_text(&b, input->text ? input->text : "", input->length);
    if (diagnostics_errors(d) == before)
        check_complete(&b);
    if (diagnostics_errors(d) == before)
        check_architecture(&b);
    return diagnostics_errors(d) == before;
}

bool machine_parse(arena *a, diagnostics *d, const source *input, machine *out)
{
    return parse(a, d, input, 0, false, out);
}

// -------------------------------------------------------------------- loading

static bool load_file(arena *a, diagnostics *d, const char *path, machine *out)
{
    const source *s = content_load(d, path);
    return s && content_expect(d, s, CONTENT_MACHINE, "a machine description") &&
           machine_parse(a, d, s, out);
}

static void report_unknown_machine(diagnostics *d, const char *name)
{
    size_t count = 0;
    text all = {0};
    for (; machine_builtin_names[count]; count++)
        text_printf(&all, "%s%s", count ? ", " : "", machine_builtin_names[count]);
    const char *near = text_nearest(name, machine_builtin_names, count);
    diagnostic_error(d, NOWHERE, "unknown machine '%s'%s%s%s", name, near ? "; did you mean '" : "",
                     near ? near : "", near ? "'?" : "");
    diagnostic_note(d, NOWHERE, "machines are %s, or the path of a .machine file",
                    text_string(&all));
    text_free(&all);
}

static const char *builtin_text(const char *name)
{
    for (size_t i = 0; machine_builtin_names[i]; i++)
        if (!strcmp(machine_builtin_names[i], name))
            return machine_builtin_texts[i];
    return NULL;
}

bool machine_load_like(machine_builder *b, const char *name)
{
    const char *builtin = builtin_text(name);
    if (!builtin)
        return false;
    const source *s = diagnostics_source(b->diagnostics, name, builtin, strlen(builtin));
    bool ok = parse(b->arena, b->diagnostics, s, b->depth + 1, false, b->machine);
    b->inherited_parts = b->machine->parts;
    return ok;
}

static bool load_named(arena *a, diagnostics *d, const char *name, machine *out)
{
    if (strchr(name, '/') || text_ends_with(name, ".machine"))
        return load_file(a, d, name, out);
    const char *builtin = builtin_text(name);
    if (builtin)
        return machine_parse(a, d, diagnostics_source(d, name, builtin, strlen(builtin)), out);
    report_unknown_machine(d, name);
    return false;
}

// "unit.count=8" as a machine description has it; false: it is no such thing.
static bool write_setting(text *out, const char *item, size_t length)
{
    const char *equals = memchr(item, '=', length), *end = item + length;
    if (!equals || equals == item || equals + 1 == end)
        return false;
    const char *dot = memchr(item, '.', (size_t)(equals - item));
    if (dot)
        text_printf(out, "%.*s { ", (int)(dot - item), item);
    const char *name = dot ? dot + 1 : item;
    text_printf(out, "%.*s = %.*s;%s ", (int)(equals - name), name, (int)(end - equals - 1),
                equals + 1, dot ? " }" : "");
    return true;
}

// What follows the name, item after item. The settings are read as a description of the machine,
// like itself: mistakes show in it.
static bool replace_settings(arena *a, diagnostics *d, const char *items, machine *out)
{
    text t = {0};
    bool ok = true;
    text_append(&t, "machine changed { ");
    for (const char *at = items; ok; at++) {
        size_t length = strcspn(at, ",");
        ok = write_setting(&t, at, length);
        if (!ok)
            diagnostic_error(d, NOWHERE,
                             "'%.*s' behind the machine's name: expected a setting and its value, "
                             "unit.count=8 for example",
                             (int)length, at);
        at += length;
        if (!*at)
            break;
    }
    text_append(&t, "}");
    const char *name = out->name;
    ok = ok && parse(a, d, diagnostics_source(d, "--machine", t.data, t.length), 0, true, out);
    out->name = name;
    text_free(&t);
    return ok;
}

bool machine_load(arena *a, diagnostics *d, const char *name, machine *out)
{
    const char *comma = strchr(name, ',');
    if (!comma)
        return load_named(a, d, name, out);
    const char *base = arena_string(a, name, (size_t)(comma - name));
    return load_named(a, d, base, out) && replace_settings(a, d, comma + 1, out);
}

void machine_print_difference(text *out, const machine *m, const machine *made)
{
    const struct {
        const char *name;
        uint32_t is, was;
    } rows[] = {{"vlen", m->vlen, made->vlen},
                {"tile.m", m->tile_m, made->tile_m},
                {"tile.n", m->tile_n, made->tile_n}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].was && rows[i].is != rows[i].was)
            text_printf(out, ",%s=%" PRIu32, rows[i].name, rows[i].was);
}

bool machine_load_for(arena *a, diagnostics *d, const char *name, uint32_t vlen, uint32_t tile_m,
                      uint32_t tile_n, machine *out)
{
    const machine made = {.vlen = vlen, .tile_m = tile_m, .tile_n = tile_n};
    text t = {0};
    if (!machine_load(a, d, name, out))
        return false;
    machine_print_difference(&t, out, &made);
    bool ok = !t.length || replace_settings(a, d, text_string(&t) + 1, out);
    text_free(&t);
    return ok;
}

// ------------------------------------------------------------- hash and printing

uint64_t machine_hash(const machine *m)
{
    text t = {0};
    text_printf(&t, "xlut 1 vlen %" PRIu32 " tile %" PRIu32 " %" PRIu32, m->vlen, m->tile_m,
                m->tile_n);
    uint64_t hash = hash_bytes(t.data, t.length);
    text_free(&t);
    return hash;
}

static void print_setting(text *out, const machine *m, const setting *s)
{
    text_printf(out, "%s = ", s->name);
    if (s->dimension == NUMBER)
        text_printf(out, "%.0f", fetch(m, s));
    else
        print_value(out, s->dimension, fetch(m, s));
    const char *from = m->sources[s - settings];
    if (from)
        text_printf(out, " from \"%s\"", from);
    text_append(out, ";");
}

void machine_print(text *out, const machine *m)
{
    text_printf(out, "machine %s {\n", m->name);
    for (int i = 0; i < SETTINGS; i++) {
        const setting *s = &settings[i];
        if (part_of(s) && !(m->parts & part_of(s)))
            continue;
        bool opens = s->group && (i == 0 || !same_group(settings[i - 1].group, s->group));
        bool closes =
            s->group && (i + 1 == SETTINGS || !same_group(settings[i + 1].group, s->group));
        if (!s->group || opens)
            text_append(out, "    ");
        if (opens)
            text_printf(out, "%s {", s->group);
        text_append(out, s->group ? " " : "");
        print_setting(out, m, s);
        text_append(out, closes ? " }\n" : s->group ? "" : "\n");
    }
    text_append(out, "}\n");
}
