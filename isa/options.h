// The option fields of Xlut instructions and their values: one row per value, in the order of the
// encoding. Shared by everything that names them (generator, disassembler, compiler, emulator).
#pragma once

// OPTION(enumerator, value, name)
#define XLUT_TABLES(OPTION) /* type of a table's entries */                                        \
    OPTION(XLUT_TABLE_I8, 0, "i8")                                                                 \
    OPTION(XLUT_TABLE_I16, 1, "i16")                                                               \
    OPTION(XLUT_TABLE_F16, 2, "f16")                                                               \
    OPTION(XLUT_TABLE_I8_DYNAMIC, 3, "i8dynamic") /* lut.tbl only: finds the scale itself */

#define XLUT_FORMS(OPTION)             /* what the index planes of an lmma stand for */            \
    OPTION(XLUT_FORM_PLANES1, 0, "w1") /* planes weighted 2^p, symmetric table */                  \
    OPTION(XLUT_FORM_PLANES2, 1, "w2")                                                             \
    OPTION(XLUT_FORM_PLANES3, 2, "w3")                                                             \
    OPTION(XLUT_FORM_PLANES4, 3, "w4")                                                             \
    OPTION(XLUT_FORM_TERNARY, 4, "ternary") /* two planes of weight 1, symmetric table */          \
    OPTION(XLUT_FORM_FULL, 5, "full")       /* one plane of codes into 16 entries */

#define XLUT_SLICES(OPTION) /* which of the L lookups of a tile an lmma does */                    \
    OPTION(XLUT_SLICE_ALL, 0, "all")                                                               \
    OPTION(XLUT_SLICE_HALF0, 2, "half0")                                                           \
    OPTION(XLUT_SLICE_HALF1, 3, "half1")                                                           \
    OPTION(XLUT_SLICE_QUARTER0, 4, "quarter0")                                                     \
    OPTION(XLUT_SLICE_QUARTER1, 5, "quarter1")                                                     \
    OPTION(XLUT_SLICE_QUARTER2, 6, "quarter2")                                                     \
    OPTION(XLUT_SLICE_QUARTER3, 7, "quarter3")

#define XLUT_ROWS(OPTION) /* which of the m rows of a tile an lmma computes */                     \
    OPTION(XLUT_ROWS_ONE, 0, "one")                                                                \
    OPTION(XLUT_ROWS_ALL, 1, "all")

#define XLUT_ACTIVATIONS(OPTION) /* type of the activations that lut.tbl reads */                  \
    OPTION(XLUT_ACTIVATION_F32, 0, "f32")                                                          \
    OPTION(XLUT_ACTIVATION_F16, 1, "f16")                                                          \
    OPTION(XLUT_ACTIVATION_BF16, 2, "bf16")                                                        \
    OPTION(XLUT_ACTIVATION_E4M3, 3, "e4m3")                                                        \
    OPTION(XLUT_ACTIVATION_E5M2, 4, "e5m2")                                                        \
    OPTION(XLUT_ACTIVATION_I8, 5, "i8")                                                            \
    OPTION(XLUT_ACTIVATION_I16HI, 6, "i16hi") /* signed high bytes of i16 */                       \
    OPTION(XLUT_ACTIVATION_I16LO, 7, "i16lo") /* unsigned low bytes of i16 */

#define XLUT_SUMS(OPTION) /* isa_instruction.type of lut.deq: its source accumulators */           \
    OPTION(XLUT_SUM_I32, 0, "i32")                                                                 \
    OPTION(XLUT_SUM_F32, 1, "f32")

#define XLUT_SCALES(OPTION) /* isa_instruction.scale_type of lut.deq and lut.off */                \
    OPTION(XLUT_SCALE_F16, 0, "f16")                                                               \
    OPTION(XLUT_SCALE_F32, 1, "f32")

#define XLUT_DATA(OPTION) /* isa_instruction.type of lut.lda and lut.sta: elements in memory */    \
    OPTION(XLUT_DATA_F32, 0, "f32")                                                                \
    OPTION(XLUT_DATA_F16, 1, "f16")                                                                \
    OPTION(XLUT_DATA_BF16, 2, "bf16")                                                              \
    OPTION(XLUT_DATA_I32, 3, "i32")

#define XLUT_MMAS(OPTION) /* isa_instruction.type of mma: elements of A and B */                   \
    OPTION(XLUT_MMA_F16, 0, "f16")                                                                 \
    OPTION(XLUT_MMA_BF16, 1, "bf16")                                                               \
    OPTION(XLUT_MMA_I8, 2, "i8")                                                                   \
    OPTION(XLUT_MMA_E4M3, 3, "e4m3")                                                               \
    OPTION(XLUT_MMA_E5M2, 4, "e5m2")

#define XLUT_OPERANDS(OPTION) /* isa_instruction.type of lut.ldm: what the tile is to an mma */    \
    OPTION(XLUT_OPERAND_A, 0, "a")                                                                 \
    OPTION(XLUT_OPERAND_B, 1, "b")

#define XLUT_ENUMERATOR(E, value, name) E = value,
typedef enum xlut_table { XLUT_TABLES(XLUT_ENUMERATOR) } xlut_table;
typedef enum xlut_form { XLUT_FORMS(XLUT_ENUMERATOR) } xlut_form;
typedef enum xlut_slice { XLUT_SLICES(XLUT_ENUMERATOR) } xlut_slice;
typedef enum xlut_rows { XLUT_ROWS(XLUT_ENUMERATOR) } xlut_rows;
typedef enum xlut_activation { XLUT_ACTIVATIONS(XLUT_ENUMERATOR) } xlut_activation;
typedef enum xlut_sum { XLUT_SUMS(XLUT_ENUMERATOR) } xlut_sum;
typedef enum xlut_scale { XLUT_SCALES(XLUT_ENUMERATOR) } xlut_scale;
typedef enum xlut_data { XLUT_DATA(XLUT_ENUMERATOR) } xlut_data;
typedef enum xlut_mma { XLUT_MMAS(XLUT_ENUMERATOR) } xlut_mma;
typedef enum xlut_operand { XLUT_OPERANDS(XLUT_ENUMERATOR) } xlut_operand;
#undef XLUT_ENUMERATOR

// Names by value (NULL: not a value).
extern const char *const xlut_table_names[4];
extern const char *const xlut_form_names[8];
extern const char *const xlut_slice_names[8];
extern const char *const xlut_rows_names[2];
extern const char *const xlut_activation_names[8];
extern const char *const xlut_sum_names[2];
extern const char *const xlut_scale_names[2];
extern const char *const xlut_data_names[4];
extern const char *const xlut_mma_names[8];
extern const char *const xlut_operand_names[2];

// Bytes of an element: of the activations of lut.tbl, of what lut.lda and lut.sta move, of the
// scales and offsets of weights.
static inline unsigned xlut_activation_bytes(unsigned activation)
{
    switch (activation) {
    case XLUT_ACTIVATION_F32: return 4;
    case XLUT_ACTIVATION_F16:
    case XLUT_ACTIVATION_BF16:
    case XLUT_ACTIVATION_I16HI:
    case XLUT_ACTIVATION_I16LO: return 2;
    default: return 1;
    }
}

static inline unsigned xlut_data_bytes(unsigned type)
{
    return type == XLUT_DATA_F16 || type == XLUT_DATA_BF16 ? 2 : 4;
}

static inline unsigned xlut_scale_bytes(unsigned scale_type)
{
    return scale_type == XLUT_SCALE_F16 ? 2 : 4;
}

// Index planes that an lmma of this form reads.
static inline unsigned xlut_form_planes(unsigned form)
{
    return form == XLUT_FORM_FULL ? 1 : form == XLUT_FORM_TERNARY ? 2 : form + 1;
}
