// A page without anything from outside: each phase's machines over area, by latency and by energy,
// with their Pareto fronts, and the fronts as tables. Colours follow the reader's scheme.
#include "compiler/explore/explore.h"

#include <math.h>
#include <string.h>

static const char style[] =
    ":root{--paper:#fff;--ink:#1b1f24;--pale:#d5dae1;--front:#b3261e}\n"
    "@media(prefers-color-scheme:dark){:root{--paper:#14171b;--ink:#e4e7eb;--pale:#3a414b;"
    "--front:#ff8a80}}\n"
    "body{background:var(--paper);color:var(--ink);font:15px/1.4 system-ui,sans-serif;"
    "max-width:60em;margin:2em auto;padding:0 1em}\n"
    "svg{width:100%;height:auto}text{fill:var(--ink);font-size:12px}\n"
    ".axis{stroke:var(--ink);fill:none}.grid{stroke:var(--pale)}\n"
    ".front{stroke:var(--front);fill:none;stroke-width:1.5}\n"
    "circle{fill-opacity:.55;stroke:none}circle:hover{stroke:var(--ink);stroke-width:2}\n"
    "circle.best{fill-opacity:1;stroke:var(--front);stroke-width:1.5}\n"
    ".k2{fill:#4477aa}.k3{fill:#66ccee}.k4{fill:#228833}.k5{fill:#ccbb44}.k6{fill:#ee6677}"
    ".k7{fill:#aa3377}.k8{fill:#888888}\n"
    "table{border-collapse:collapse;margin:1em 0}td,th{padding:.2em .8em;text-align:right;"
    "border-bottom:1px solid var(--pale)}td:first-child,th:first-child{text-align:left}\n";

static const struct {
    const char *name, *unit;
} measures[EXPLORE_FRONTS] = {
    [EXPLORE_LATENCY] = {"latency", "ms"},
    [EXPLORE_ENERGY] = {"energy", "mJ"},
};

static void escape(text *out, const char *s)
{
    for (; *s; s++) {
        const char *entity = *s == '<'   ? "&lt;"
                             : *s == '>' ? "&gt;"
                             : *s == '&' ? "&amp;"
                             : *s == '"' ? "&quot;"
                                         : NULL;
        if (entity)
            text_append(out, entity);
        else
            text_char(out, *s);
    }
}

// ----------------------------------------------------------------------------- charts

enum { WIDTH = 860, HEIGHT = 420, LEFT = 70, RIGHT = 20, TOP = 15, BOTTOM = 45, TICKS = 6 };

typedef struct axis {
    double least, greatest, step;
} axis;

typedef struct chart {
    const explore_rows *rows;
    unsigned phase, front;
    double bandwidth;
    axis x, y;
    arena *arena;
} chart;

static double area_of(const explore_row *r)
{
    return r->area.total * 1e-6;
}

static double measure_of(const explore_row *r, unsigned front)
{
    return 1e3 * (front == EXPLORE_LATENCY ? r->result.seconds : r->result.joules);
}

static bool is_in(const chart *c, const explore_row *r)
{
    return r->estimated && r->phase_index == c->phase &&
           r->machine.memory_bandwidth == c->bandwidth && measure_of(r, c->front) > 0;
}

// Steps of 1, 2 or 5 times a power of ten.
static axis axis_of(double least, double greatest)
{
    double room = greatest > least ? (greatest - least) / 20 : greatest / 10;
    axis a = {least - room, greatest + room, 0};
    double rough = (a.greatest - a.least) / TICKS, power = pow(10, floor(log10(rough)));
    double lead = rough / power;
    a.step = power * (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10);
    return a;
}

static bool find_axes(chart *c)
{
    double x[2] = {INFINITY, -INFINITY}, y[2] = {INFINITY, -INFINITY};
    for (size_t i = 0; i < c->rows->count; i++) {
        const explore_row *r = &c->rows->items[i];
        if (!is_in(c, r))
            continue;
        x[0] = fmin(x[0], area_of(r));
        x[1] = fmax(x[1], area_of(r));
        y[0] = fmin(y[0], measure_of(r, c->front));
        y[1] = fmax(y[1], measure_of(r, c->front));
    }
    if (!(x[1] > 0 && y[1] > 0))
        return false;
    c->x = axis_of(x[0], x[1]);
    c->y = axis_of(y[0], y[1]);
    return true;
}

static double x_of(const chart *c, double value)
{
    return LEFT + (value - c->x.least) / (c->x.greatest - c->x.least) * (WIDTH - LEFT - RIGHT);
}

static double y_of(const chart *c, double value)
{
    double part = (value - c->y.least) / (c->y.greatest - c->y.least);
    return HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM);
}

static void draw_axes(text *out, const chart *c)
{
    for (double v = ceil(c->x.least / c->x.step) * c->x.step; v <= c->x.greatest; v += c->x.step)
        text_printf(out,
                    "<path class=grid d=\"M%.1f %dV%d\"/><text x=%.1f y=%d "
                    "text-anchor=middle>%.6g</text>\n",
                    x_of(c, v), TOP, HEIGHT - BOTTOM, x_of(c, v), HEIGHT - BOTTOM + 16, v);
    for (double v = ceil(c->y.least / c->y.step) * c->y.step; v <= c->y.greatest; v += c->y.step)
        text_printf(out,
                    "<path class=grid d=\"M%d %.1fH%d\"/><text x=%d y=%.1f "
                    "text-anchor=end>%.6g</text>\n",
                    LEFT, y_of(c, v), WIDTH - RIGHT, LEFT - 6, y_of(c, v) + 4, v);
    text_printf(out, "<path class=axis d=\"M%d %dV%dH%d\"/>\n", LEFT, TOP, HEIGHT - BOTTOM,
                WIDTH - RIGHT);
    text_printf(out,
                "<text x=%d y=%d text-anchor=middle>area, mm2</text>"
                "<text x=%d y=%d>%s, %s</text>\n",
                (LEFT + WIDTH) / 2, HEIGHT - 8, LEFT + 6, TOP + 12, measures[c->front].name,
                measures[c->front].unit);
}

static void draw_point(text *out, const chart *c, const explore_row *r)
{
    double x = x_of(c, area_of(r)), y = y_of(c, measure_of(r, c->front));
    bool best = r->front[c->front];
    text_printf(out, "<circle class=\"k%u%s\" cx=%.1f cy=%.1f r=%d><title>", r->machine.unit_k,
                best ? " best" : "", x, y, best ? 6 : 4);
    escape(out, explore_name(c->arena, r));
    text_printf(out, ": %.6g mm2, %.6g %s, bound by ", area_of(r), measure_of(r, c->front),
                measures[c->front].unit);
    escape(out, r->result.bound);
    text_append(out, "</title></circle>\n");
    if (best)
        text_printf(out, "<text x=%.1f y=%.1f>M%u N%u K%u x%u</text>\n", x + 8, y - 6,
                    r->machine.unit_m, r->machine.unit_n, r->machine.unit_k, r->machine.units);
}

// The next row of the front by area behind `before`, or NULL.
static const explore_row *next_on_front(const chart *c, double before)
{
    const explore_row *next = NULL;
    for (size_t i = 0; i < c->rows->count; i++) {
        const explore_row *r = &c->rows->items[i];
        if (is_in(c, r) && r->front[c->front] && area_of(r) > before &&
            (!next || area_of(r) < area_of(next)))
            next = r;
    }
    return next;
}

static void draw_front(text *out, const chart *c)
{
    const explore_row *r = next_on_front(c, -1);
    text_append(out, "<path class=front d=\"");
    for (char step = 'M'; r; r = next_on_front(c, area_of(r)), step = 'L')
        text_printf(out, "%c%.1f %.1f", step, x_of(c, area_of(r)),
                    y_of(c, measure_of(r, c->front)));
    text_append(out, "\"/>\n");
}

static void print_table(text *out, const chart *c)
{
    text_printf(out, "<table><tr><th>on the front<th>mm2<th>%s, %s<th>bound by\n",
                measures[c->front].name, measures[c->front].unit);
    for (const explore_row *r = next_on_front(c, -1); r; r = next_on_front(c, area_of(r))) {
        text_append(out, "<tr><td>");
        escape(out, explore_name(c->arena, r));
        text_printf(out, "<td>%.6g<td>%.6g<td>", area_of(r), measure_of(r, c->front));
        escape(out, r->result.bound);
        text_char(out, '\n');
    }
    text_append(out, "</table>\n");
}

static void print_chart(text *out, chart *c, const char *phase)
{
    if (!find_axes(c))
        return;
    text_append(out, "<h2>");
    escape(out, phase);
    text_printf(out, ", %.6g GB/s: %s and area</h2>\n", c->bandwidth * 1e-9,
                measures[c->front].name);
    text_printf(out, "<svg viewBox=\"0 0 %d %d\" role=img>\n", WIDTH, HEIGHT);
    draw_axes(out, c);
    draw_front(out, c);
    for (size_t i = 0; i < c->rows->count; i++)
        if (is_in(c, &c->rows->items[i]))
            draw_point(out, c, &c->rows->items[i]);
    text_append(out, "</svg>\n");
    print_table(out, c);
}

// ------------------------------------------------------------------------------- page

static bool is_first(const explore_rows *rows, size_t index)
{
    const explore_row *r = &rows->items[index];
    for (size_t i = 0; i < index; i++) {
        const explore_row *x = &rows->items[i];
        if (x->estimated && x->phase_index == r->phase_index &&
            x->machine.memory_bandwidth == r->machine.memory_bandwidth)
            return false;
    }
    return r->estimated;
}

static void print_arrays(text *out, arena *a, const explore_rows *rows)
{
    text_append(out, "<h2>Arrays by formula</h2>\n<table><tr><th>array<th>um2<th>weights a cycle "
                     "and mm2<th>fJ a weight\n");
    for (size_t i = 0; i < rows->count; i++) {
        explore_row r = rows->items[i];
        const machine *m = &r.machine, *before = i ? &rows->items[i - 1].machine : NULL;
        if (before && before->unit_m == m->unit_m && before->unit_n == m->unit_n &&
            before->unit_k == m->unit_k)
            continue;
        r.estimated = false;
        text_printf(out, "<tr><td>%s<td>%.0f<td>%.0f<td>%.2f\n", explore_name(a, &r),
                    r.area.parts[AREA_ARRAY] / m->units, r.density, r.weight_energy * 1e15);
    }
    text_append(out, "</table>\n");
}

void explore_print_html(text *out, const char *title, const char *subtitle,
                        const explore_rows *rows)
{
    arena *a = arena_create();
    text_append(out, "<!doctype html><html lang=en><meta charset=utf-8>"
                     "<meta name=viewport content=\"width=device-width\"><title>");
    escape(out, title);
    text_printf(out, "</title>\n<style>\n%s</style>\n<h1>", style);
    escape(out, title);
    text_append(out, "</h1>\n<p>");
    escape(out, subtitle);
    text_append(out, "</p>\n<p>A point is a machine; its colour is the table width K, and what it "
                     "is shows when pointed at. Lines are Pareto fronts.</p>\n<svg viewBox=\"0 0 "
                     "860 20\">");
    for (unsigned k = AREA_LEAST_WIDTH; k <= AREA_MOST_WIDTH; k++)
        text_printf(out, "<circle class=k%u cx=%u cy=10 r=5 /><text x=%u y=14>K = %u</text>", k,
                    10 + (k - 2) * 80, 20 + (k - 2) * 80, k);
    text_append(out, "</svg>\n");
    for (size_t i = 0; i < rows->count; i++)
        for (unsigned front = 0; front < EXPLORE_FRONTS && is_first(rows, i); front++) {
            const explore_row *r = &rows->items[i];
            chart c = {rows, r->phase_index, front, r->machine.memory_bandwidth, {0}, {0}, a};
            print_chart(out, &c, r->phase);
        }
    print_arrays(out, a, rows);
    text_append(out, "</html>\n");
    arena_destroy(a);
}
