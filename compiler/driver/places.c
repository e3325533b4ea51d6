// Where results go: never to the place of a file that makes the module, nor to that of another
// result.
#include "compiler/driver/driver.h"

bool outputs_have_places(driver *d, const char *const *outputs, size_t count)
{
    const char *inputs[] = {d->files.items[0], d->weights_spec, d->metadata, d->machine_name,
                            calibration_file(d, NULL)};
    return outputs_apart(d->diagnostics, outputs, count, inputs, sizeof inputs / sizeof *inputs);
}
