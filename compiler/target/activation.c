#include "compiler/target/activation.h"

const char *const activation_form_names[3] = {"bytes", "lookups", "floats"};

static int64_t align_to(int64_t x, int64_t alignment)
{
    return (x + alignment - 1) / alignment * alignment;
}

static int64_t group_count(int64_t columns, int64_t group)
{
    return group && group < columns ? (columns + group - 1) / group : 1;
}

activation_row activation_row_of(activation_form form, int64_t columns, int64_t scale_group,
                                 int64_t sum_group)
{
    enum { LINE = 64, VALUE = 4 };
    activation_row r = {.padded = align_to(columns, ACTIVATION_DEPTH),
                        .scale_groups = group_count(columns, scale_group),
                        .sum_groups = group_count(columns, sum_group)};
    r.scales = align_to(r.padded * (form == ACTIVATION_BYTES ? 1 : 4), LINE);
    r.sums = r.scales + align_to(r.scale_groups * VALUE, LINE);
    r.bytes = r.sums + align_to(r.sum_groups * VALUE, LINE);
    return r;
}
