#include "support/json_name.h"

#include <stdlib.h>
#include <string.h>

json_t *json_name(const char *name)
{
    json_t *string = json_string(name);
    if (string)
        return string;
    char *ascii = strdup(name);
    for (char *c = ascii; c && *c; c++)
        if (*c & 0x80)
            *c = '?';
    string = json_string(ascii);
    free(ascii);
    return string;
}
