// What the writer and the reader of checkpoints share.
#pragma once

#include "runtime/host/checkpoint.h"

#include <stddef.h>

#define CHECKPOINT_MAGIC UINT64_C(0x54504b484354554c) // "LUTCHKPT"
enum {
    CHECKPOINT_VERSION = 2,
    CHECKPOINT_PAGE = 4096,
    CHECKPOINT_LUT_COUNTERS = 5,
    CHECKPOINT_MOST_SEGMENTS = 1 << 15,
};

// Scalars of the hart, each a word of the file.
typedef struct checkpoint_field {
    uint16_t offset, bytes;
    uint64_t largest;
} checkpoint_field;
extern const checkpoint_field checkpoint_fields[];
extern const size_t checkpoint_field_count;
