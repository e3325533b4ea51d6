// What lutrun is told: its options, and what of them does not go together.
#pragma once

#include "runtime/observe/settings.h"
#include "runtime/timing/timing.h"
#include "support/generation/text_run.h"
#include "support/standard_options.h"

extern const char settings_tool[];

typedef struct settings {
    const char *entry, *stats, *machine, *gdb, *checkpoint, *resume;
    option_values inputs, dims, outputs, expects, environment;
    long long vlen, instructions, repeat, every, harts;
    double timeout;
    bool list;
    standard_options standard;
    text_settings text;
    observe_settings observe;
    timing_settings timing;
    // of model files
    const char *quant, *calibrate, *tables, *save;
    option_values defines;
} settings;

enum {
    SETTINGS_OWN = 23,
    SETTINGS_FOREIGN = 18,
    SETTINGS_ROWS = SETTINGS_OWN + TEXT_OPTIONS + OBSERVE_OPTIONS + TIMING_OPTIONS +
                    STANDARD_OPTIONS + SETTINGS_FOREIGN + 1
};
void settings_rows(settings *s, option_row rows[SETTINGS_ROWS]);
// Whether they go together; otherwise what is wrong is printed.
bool settings_check(const settings *s);
// FILE of "json:FILE", else NULL.
const char *settings_json_file(const char *value);
// Whether all that is written has a place of its own, not that of something that is read; otherwise
// reported. `program` and `weights` (NULL: none) are files that are run. A result may take the
// place of an input, and a checkpoint that of the one that is resumed.
bool settings_have_places(const settings *s, arena *a, diagnostics *d, const char *program,
                          const char *weights);
