// Reporting an error and failing in one expression.
#pragma once

#include "support/diagnostic.h"

// Always false.
bool refuse(diagnostics *d, location where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
