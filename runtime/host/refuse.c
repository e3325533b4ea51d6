#include "runtime/host/refuse.h"

#include <stdarg.h>

bool refuse(diagnostics *d, location where, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    diagnostic_vreport(d, SEVERITY_ERROR, where, format, args);
    va_end(args);
    return false;
}
