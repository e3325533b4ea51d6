#include "compiler/passes/lower/matrix.h"

const char *matrix_type_name(scalar_type t)
{
    switch (t) {
    case SCALAR_F16:
    case SCALAR_BF16:
    case SCALAR_I8:
    case SCALAR_E4M3:
    case SCALAR_E5M2: return scalar_rows[t].name;
    default: return NULL;
    }
}

int64_t matrix_rows(const lowering *l)
{
    return 8 * l->m;
}

int64_t matrix_columns(const lowering *l)
{
    return l->n / 8;
}

// Rows of n/2 bytes.
int64_t matrix_depth(const lowering *l, scalar_type t)
{
    return l->n / 2 / (int64_t)scalar_size(t);
}

int64_t matrix_piece_bytes(int64_t all, int64_t each, unsigned i, scalar_type t)
{
    const int64_t left = all - each * i;
    return left < each ? left * (int64_t)scalar_size(t) : 0;
}

ir_value *matrix_part(lowering *l, ir_value *rows, int64_t bytes)
{
    if (!rows && !bytes)
        return NULL;
    ir_value *high = low_index(l, bytes << 16);
    return rows ? low_add(l, rows, high) : high;
}

static ir_value *place_of(lowering *l, ir_value *buffer, ir_value *row, ir_value *column)
{
    ir_dim dims[1] = {ir_dim_constant(1)};
    return low_view(l, buffer, row, column,
                    ir_type_buffer(l->module, buffer->type->scalar, 1, dims));
}

static ir_value *bytes_of(lowering *l, const ir_value *buffer, int64_t elements)
{
    return low_index(l, elements * (int64_t)scalar_size(buffer->type->scalar));
}

ir_value *matrix_load(lowering *l, const char *operand, ir_value *buffer, ir_value *row,
                      ir_value *column, int64_t stride, ir_value *part)
{
    ir_value *t = ir_build1(&l->at, IR_XLUT_LDM, ir_type_tile(l->module, TILE_MATRIX),
                            place_of(l, buffer, row, column), bytes_of(l, buffer, stride), part);
    ir_set_name(t->op, "operand", operand);
    return t;
}

void matrix_store(lowering *l, ir_value *c, ir_value *buffer, ir_value *row, ir_value *column,
                  int64_t stride, ir_value *part)
{
    ir_value *operands[4] = {c, place_of(l, buffer, row, column), bytes_of(l, buffer, stride),
                             part};
    ir_build(&l->at, IR_XLUT_STM, 4, operands, 0, NULL);
}

ir_value *matrix_multiply(lowering *l, const char *type, ir_value *c, ir_value *a, ir_value *b)
{
    ir_value *d = ir_build1(&l->at, IR_XLUT_MAC, c->type, c, a, b);
    ir_set_name(d->op, "type", type);
    return d;
}

ir_value *matrix_zero(lowering *l, scalar_type t)
{
    tile_kind kind = t == SCALAR_I8 ? TILE_I32 : TILE_F32;
    return ir_build1(&l->at, IR_XLUT_ZERO, ir_type_tile(l->module, kind), NULL, NULL, NULL);
}
