// Where results go: never to the place of a file that is read, nor to that of another result.
#include "compiler/driver/driver.h"

#include <string.h>

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
    return outputs_apart(d->diagnostics, outputs, count, inputs, sizeof inputs / sizeof *inputs);
}
