// Where results go: never to the place of a file that is read, nor to that of another result.
#include "compiler/driver/driver.h"

#include <string.h>

static bool has_own_place(driver *d, const char *output, const char *other)
{
    if (!output || !other || strcmp(output, "-") == 0 || !same_file(output, other))
        return true;
    diagnostic_error(d->diagnostics, NOWHERE,
                     "'%s' would be written over '%s'; choose another name", output, other);
    return false;
}

// The file of a --calibrate FILE[,tokens=N].
static const char *calibration_file(driver *d)
{
    const char *comma = d->calibrate ? strrchr(d->calibrate, ',') : NULL;
    if (!comma || strncmp(comma, ",tokens=", 8) != 0)
        return d->calibrate;
    return arena_string(d->arena, d->calibrate, (size_t)(comma - d->calibrate));
}

bool outputs_have_places(driver *d, const char *const *outputs, size_t count)
{
    const char *inputs[] = {d->files.items[0], d->weights_spec, d->metadata, d->machine_name,
                            calibration_file(d)};
    bool ok = true;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i; j++)
            ok = has_own_place(d, outputs[i], outputs[j]) && ok;
        for (size_t j = 0; j < sizeof inputs / sizeof *inputs; j++)
            ok = has_own_place(d, outputs[i], inputs[j]) && ok;
    }
    return ok;
}
