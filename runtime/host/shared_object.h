// Libraries from outside that become part of this process: plugins, and programs for CPUs.
#pragma once

#include "support/arena.h"
#include "support/diagnostic.h"

// `what` it is to be, for messages: "plugin". A name without folder is that of a file here, not of
// one in the system's folders. NULL: reported.
void *shared_object_open(arena *a, diagnostics *d, const char *what, const char *path);
