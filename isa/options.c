#include "isa/options.h"

#define NAME(E, value, name) [value] = name,
const char *const xlut_table_names[4] = {XLUT_TABLES(NAME)};
const char *const xlut_form_names[8] = {XLUT_FORMS(NAME)};
const char *const xlut_slice_names[8] = {XLUT_SLICES(NAME)};
const char *const xlut_rows_names[2] = {XLUT_ROWS(NAME)};
const char *const xlut_activation_names[8] = {XLUT_ACTIVATIONS(NAME)};
const char *const xlut_sum_names[2] = {XLUT_SUMS(NAME)};
const char *const xlut_scale_names[2] = {XLUT_SCALES(NAME)};
const char *const xlut_data_names[4] = {XLUT_DATA(NAME)};
const char *const xlut_mma_names[8] = {XLUT_MMAS(NAME)};
const char *const xlut_operand_names[2] = {XLUT_OPERANDS(NAME)};
