// An arena and diagnostics for each test, and what was reported to them as text.
#pragma once

#include "support/arena.h"
#include "support/diagnostic.h"

#include <stdio.h>
#include <stdlib.h>

static arena *a;
static diagnostics *d;
static FILE *stream;
static char *stream_text;
static size_t stream_size;

static inline int setup(void **state)
{
    (void)state;
    a = arena_create();
    stream = open_memstream(&stream_text, &stream_size);
    d = diagnostics_create(stream);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    diagnostics_destroy(d);
    fclose(stream);
    free(stream_text);
    arena_destroy(a);
    return 0;
}

static inline const char *messages(void)
{
    diagnostics_flush(d);
    fflush(stream);
    return stream_text;
}
