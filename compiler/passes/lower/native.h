// Lowering for CPUs (docs/native.md); private to compiler/passes.
#pragma once

#include "compiler/passes/lower/lower.h"
#include "compiler/target/activation.h"

static inline bool is_native(const pass_context *c)
{
    return c->target && c->target->native;
}

// How weights are packed: in tiles of the machine, or for CPUs.
pack_shape pass_pack_shape(const pass_context *c);

activation_form native_form(const ir_type *table);
// Activations that share a scale; 0: all of a row, or there are none.
int64_t native_scale_group(const ir_type *table);
activation_row native_row(const ir_type *table);
bool lower_native_table(lowering *l, const place *table, const table_source *s, ir_value *row);
bool lower_native_mpgemm(lowering *l);
// Row `index` of weights in planes as f32: a scratch buffer.
ir_value *native_weight_row(lowering *l, const place *table, ir_value *index, ir_value *scratch);
ir_value *native_row_scratch(lowering *l, const ir_type *weight);
