// Names from outside (symbols, file names) in JSON.
#pragma once

#include <jansson.h>

// A JSON string; bytes beyond ASCII become '?' where the name is not UTF-8.
json_t *json_name(const char *name);
