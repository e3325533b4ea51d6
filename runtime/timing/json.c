// The report as JSON.
#include "runtime/timing/report.h"

#include "support/json_name.h"

enum { SCHEMA_VERSION = 1 };

static json_t *integer(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *stalls_json(const timing_counts *c)
{
    json_t *o = json_object();
    unsigned order[TIMING_REASON_COUNT], count = timing_stalls(c, order);
    for (unsigned i = 0; i < count; i++) {
        text name = {0};
        timing_reason_print(order[i], &name);
        json_object_set_new(o, text_string(&name), integer(c->stalls[order[i]]));
        text_free(&name);
    }
    return o;
}

static json_t *busy_json(const timing_counts *c)
{
    json_t *o = json_object();
    for (unsigned i = 0; i < ISA_UNIT_COUNT; i++)
        if (c->busy[i])
            json_object_set_new(o, isa_unit_names[i], integer(c->busy[i]));
    return o;
}

// What is known of any part of the program.
static void set_counts(json_t *o, const timing_report *r, const timing_counts *c)
{
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {{"instructions", c->instructions},
                {"lookups", c->lookups},
                {"multiply_accumulates", c->multiplies},
                {"bytes_read", c->read},
                {"bytes_written", c->written},
                {"l2_bytes", c->l2_lines * TIMING_LINE},
                {"memory_bytes", c->memory_lines * TIMING_LINE}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        json_object_set_new(o, rows[i].name, integer(rows[i].value));
    json_object_set_new(o, "busy", busy_json(c));
    json_object_set_new(o, "stalls", stalls_json(c));
    json_object_set_new(o, "lut_share", json_real(timing_unit_share(r, c, ISA_UNIT_LUT)));
    json_object_set_new(o, "memory_share", json_real(timing_memory_share(r, c)));
}

static json_t *traffic_json(const timing_traffic *t)
{
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {{"scratch_hits", t->hits},
                {"scratch_misses", t->misses},
                {"l2_hits", t->l2_hits},
                {"l2_misses", t->l2_misses},
                {"memory_bytes_read", t->lines_read * TIMING_LINE},
                {"memory_bytes_written", t->lines_written * TIMING_LINE},
                {"prefetched_bytes", t->prefetched * TIMING_LINE},
                {"prefetches_dropped", t->dropped}};
    json_t *o = json_object();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        json_object_set_new(o, rows[i].name, integer(rows[i].value));
    return o;
}

static json_t *energy_json(const timing_report *r)
{
    timing_component parts[TIMING_COMPONENTS];
    unsigned count = timing_components(r, parts);
    json_t *o = json_object();
    for (unsigned i = 0; i < count; i++)
        json_object_set_new(o, parts[i].name, json_real(parts[i].joules));
    return o;
}

static json_t *roofline_json(const timing_report *r)
{
    timing_roofline f;
    if (!timing_roofline_of(r, &f))
        return json_null();
    return json_pack("{s:s, s:f, s:f, s:f, s:f, s:s}", "unit", isa_unit_names[f.unit],
                     "work_per_second", f.work, "peak_per_second", f.peak, "work_per_byte",
                     f.intensity, "balance", f.balance, "bound",
                     f.intensity < f.balance ? "memory" : isa_unit_names[f.unit]);
}

static json_t *rows_json(const timing_report *r, const timing_rows *rows)
{
    json_t *list = json_array();
    for (size_t i = 0; i < rows->count; i++) {
        const timing_row *row = &rows->items[i];
        json_t *o = json_object();
        json_object_set_new(o, "name", json_name(row->name));
        json_object_set_new(o, "cycles", integer(row->counts.cycles));
        set_counts(o, r, &row->counts);
        json_object_set_new(o, "joules", json_real(timing_counts_energy(&row->counts, r->machine)));
        json_array_append_new(list, o);
    }
    return list;
}

void timing_report_print_json(const timing_report *r, FILE *stream)
{
    json_t *root = json_object();
    json_object_set_new(root, "schema", json_string("lutrun-time"));
    json_object_set_new(root, "version", json_integer(SCHEMA_VERSION));
    json_object_set_new(root, "program", json_name(host_path(r->program)));
    json_object_set_new(root, "machine", json_name(r->machine->name));
    json_object_set_new(root, "harts", integer(r->harts));
    json_object_set_new(root, "calls", integer(r->calls));
    json_object_set_new(root, "cycles", integer(r->cycles));
    json_object_set_new(root, "seconds", json_real(timing_seconds(r)));
    set_counts(root, r, &r->total);
    json_object_set_new(root, "traffic", traffic_json(&r->traffic));
    json_object_set_new(root, "roofline", roofline_json(r));
    json_object_set_new(root, "energy", energy_json(r));
    for (size_t i = 0; i < OBSERVE_GROUPINGS; i++)
        json_object_set_new(root, observe_groupings[i].key, rows_json(r, &r->groups[i]));
    json_dumpf(root, stream, JSON_INDENT(2));
    fputc('\n', stream);
    json_decref(root);
}
