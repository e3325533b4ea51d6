// Sweeps of machines: which shapes and numbers of LUT units, tiles and bandwidths there are, what
// each takes by the area model, and, by whoever asks, by the estimator; a journal from which an
// interrupted sweep goes on; the Pareto fronts; CSV and a page of HTML. docs/explore.md has the
// columns.
#pragma once

#include "isa/area.h"
#include "support/file.h"

// A shape of tiles. Five have an encoding (docs/xlut.md); the estimator takes others as well.
typedef struct explore_tile {
    uint32_t m, n;
} explore_tile;
extern const char explore_usual_tiles[]; // "m1n64,...": those
// "m2n64": powers of two, m up to 16, n from 64 and 32 m, for which tables fit, to 512.
bool explore_read_tile(const char *word, explore_tile *out);

typedef ARRAY_OF(uint32_t) explore_numbers;
// What is swept: all combinations of these.
typedef struct explore_space {
    const machine *machine; // that everything else is like
    uint32_t budget;        // weights of a plane that a unit does in a cycle, about: m n k
    double most_area;       // mm2 of a machine; 0: any
    explore_numbers rows, widths, units;
    ARRAY_OF(double) bandwidths; // of memory, bytes per second
    ARRAY_OF(explore_tile) tiles;
    ARRAY_OF(const char *) phases; // what is estimated of each: "prefill 512"
} explore_space;

typedef struct explore_result {
    double seconds, joules; // joules: 0 where the machine has no figures
    const char *bound;      // what is busy longest
    double lut, memory;     // fractions of the time that the array and memory are busy
} explore_result;

enum { EXPLORE_LATENCY, EXPLORE_ENERGY, EXPLORE_FRONTS };
// A machine and a phase. Where no tile shape holds the unit, only its array is known: phase, tile,
// units and bandwidth are 0, and there is nothing to estimate.
typedef struct explore_row {
    const char *phase;
    unsigned phase_index;
    bool estimated;
    machine machine;
    machine_area area;
    double density, weight_energy; // weights of a plane a cycle and mm2 of array, joules of one
    explore_result result;
    bool front[EXPLORE_FRONTS];
} explore_row;
typedef ARRAY_OF(explore_row) explore_rows;

// N of a unit: the power of two nearest to budget / (m k), up to 2^16.
uint32_t explore_columns(uint32_t budget, uint32_t m, uint32_t k);
// Rows of one machine stand together. A unit that no tile of the sweep holds is as large as the
// machine with the least one that would.
void explore_list(arena *a, const explore_space *s, explore_rows *out);
// um2 of the smallest, whatever most_area is.
double explore_least_area(arena *a, const explore_space *s);
// Rows that no other one of their phase and bandwidth beats: less of one and no more of the other
// of latency (or energy) and area. Bandwidth has no area in the model, so it does not compete.
void explore_mark_fronts(explore_rows *rows);
// Of arrays alone: whether none does more weights for its area, and none takes less energy for one.
bool explore_is_densest(const explore_rows *rows, const explore_row *r);
bool explore_is_thriftiest(const explore_rows *rows, const explore_row *r);

extern const char explore_columns_line[];                // without fronts
void explore_print_row(text *out, const explore_row *r); // a line of the journal
void explore_print_csv(text *out, const explore_rows *rows);
void explore_print_summary(text *out, const explore_rows *rows);
void explore_print_html(text *out, const char *title, const char *subtitle,
                        const explore_rows *rows);
// "M2 N64 K4 x1, tile m2 n64, 25.6 GB/s"
const char *explore_name(arena *a, const explore_row *r);

// Constants of the area model with their sources, steps of an array's design, areas of machines.
void explore_print_model(text *out);

// What a journal belongs to: names and values of its first lines.
typedef struct explore_identity {
    const char *program, *machine, *options;
} explore_identity;
typedef struct explore_journal explore_journal;
// Opens or makes it; results of the rows it has are filled in, `*done` of them. Another sweep's, or
// one that is in use or damaged (but for a last line that was cut off) is refused. NULL: reported.
explore_journal *explore_journal_open(arena *a, diagnostics *d, const char *path,
                                      const explore_identity *id, explore_rows *rows, size_t *done);
// The row becomes what can be read from there: its numbers are rounded. False: reported.
bool explore_journal_add(arena *a, diagnostics *d, explore_journal *j, explore_row *r);
void explore_journal_close(explore_journal *j, bool remove); // NULL is fine
// Reads a line as explore_print_row writes it, for a row whose machine is known. False: it is not.
bool explore_read_row(arena *a, const char *line, size_t length, explore_row *r);
// What a journal has; `*whole` of its bytes are whole lines.
bool explore_journal_read(arena *a, diagnostics *d, const source *s, const explore_identity *id,
                          explore_rows *rows, size_t *done, size_t *whole);
