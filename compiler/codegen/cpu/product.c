// native.multiply: a function for each kind of product, and the sums of one row.
#include "compiler/codegen/cpu/product.h"

#include <string.h>

static LLVMValueRef constant64(const product *p, int64_t value)
{
    return int_constant(p->e, 64, value);
}

// Rows of the block's memory: rows of a block, or blocks of a row.
static LLVMValueRef result_rows(const product *p)
{
    return LLVMBuildNSWMul(p->e->builder, p->rows, p->stream.taken, "");
}

static void clear_results(product *p)
{
    emitter *e = p->e;
    LLVMValueRef vectors = index_mul(e, result_rows(p), COLUMN_BLOCK / p->lanes);
    counted_loop l = counted_begin(e, constant64(p, 0), vectors, 1, 0, NULL);
    LLVMValueRef at = byte_at(e, p->to, index_mul(e, l.i, p->lanes * 4));
    store_to(e, LLVMConstNull(float_lanes(p)), at, p->lanes * 4);
    counted_end(e, &l, NULL);
}

// --------------------------------------------------------------------- one row

typedef struct direct_sums {
    place_sums at;
    byte_sum sums[PRODUCT_MOST_CLASSES][PRODUCT_MOST_VECTORS];
} direct_sums;

static unsigned class_of(const product *p, const direct_sums *s, unsigned field)
{
    unsigned place = p->form == ACTIVATION_LOOKUPS ? 0 : field_place(p, field, direct_place(p)),
             i = 0;
    while (s->at.places[i] != place)
        i++;
    return i;
}

// Tables are a third of what streams through the nearest cache, so they have left it. A unit's two
// lines come together.
static void prefetch_tables(const product *p, LLVMValueRef row, LLVMValueRef unit)
{
    enum { AHEAD = 4 }; // units
    int64_t bytes = operand_bytes(p) * p->fields;
    LLVMValueRef at = byte_at(p->e, row, index_mul(p->e, unit, bytes));
    prefetch(p->e, byte_at_constant(p->e, at, bytes * AHEAD), PREFETCH_FIRST);
}

static void direct_unit(product *p, direct_sums *s, LLVMValueRef unit_at, LLVMValueRef unit,
                        LLVMValueRef part)
{
    LLVMValueRef lines[PRODUCT_MOST_VECTORS][COLUMN_MOST_LINES] = {{NULL}}, row = p->entries;
    if (p->form == ACTIVATION_LOOKUPS && !stands_beside(&p->g))
        prefetch_tables(p, row, unit);
    for (unsigned f = 0; f < p->fields; f++) {
        LLVMValueRef operand = step_operand(p, row, unit, f);
        for (unsigned l = 0; l < p->g.lines; l++)
            for (unsigned v = 0; v < p->vectors && field_reads(p, f, l); v++)
                if (!lines[v][l])
                    lines[v][l] = load_line(p, unit_at, l, part, v);
        for (unsigned v = 0; v < p->vectors; v += SUM_PAIR) {
            LLVMValueRef weights[SUM_PAIR];
            for (unsigned i = 0; i < SUM_PAIR; i++)
                weights[i] = field_vector(p, lines[v + i], f, direct_place(p));
            sum_steps(p, &s->sums[class_of(p, s, f)][v], weights, operand);
        }
    }
}

// Some whole groups ahead, so that units and scales are met alike.
static int64_t prefetch_distance(const product *p)
{
    enum { WANTED = 2048 };
    if (p->weight_group >= p->depth)
        return WANTED;
    int64_t group = p->g.per_group * p->g.unit_bytes + p->g.group_bytes;
    return (WANTED + group - 1) / group * group;
}

// `size` bytes of each part, which lie side by side.
static void prefetch_part(const product *p, LLVMValueRef at, LLVMValueRef part, int64_t size)
{
    emitter *e = p->e;
    at = byte_at_constant(e, at, prefetch_distance(p));
    if (part)
        at = byte_at(e, at, index_mul(e, part, size));
    for (int64_t i = 0; i < size; i += COLUMN_LINE)
        prefetch(e, byte_at_constant(e, at, i), PREFETCH_FIRST);
}

// Line after line and vector after vector: all fields of one while it is in a register.
static void direct_lines(product *p, direct_sums *s, LLVMValueRef unit_at, LLVMValueRef unit,
                         LLVMValueRef part)
{
    LLVMValueRef operands[8], lines[COLUMN_MOST_LINES] = {NULL};
    const unsigned each = p->fields / p->g.lines;
    for (unsigned l = 0; l < p->g.lines; l++) {
        for (unsigned i = 0; i < each; i++)
            operands[i] = step_operand(p, p->entries, unit, l * each + i);
        prefetch_part(p, byte_at_constant(p->e, unit_at, l * COLUMN_TILES * COLUMN_LINE), part,
                      p->vectors * p->bytes);
        for (unsigned v = 0; v < p->vectors; v++) {
            lines[l] = load_line(p, unit_at, l, part, v);
            for (unsigned i = 0; i < each; i++) {
                unsigned f = l * each + i;
                sum_step(p, &s->sums[class_of(p, s, f)][v],
                         field_vector(p, lines, f, direct_place(p)), operands[i]);
            }
        }
    }
}

static void flush_sums(const product *p, direct_sums *s)
{
    for (unsigned c = 0; c < s->at.count; c++)
        for (unsigned v = 0; v < p->vectors; v++)
            sum_flush(p, &s->sums[c][v]);
}

static unsigned gather_sums(const product *p, direct_sums *s, LLVMValueRef *out)
{
    unsigned n = 0;
    for (unsigned c = 0; c < s->at.count; c++)
        for (unsigned v = 0; v < p->vectors; v++)
            out[n++] = s->sums[c][v].sum;
    return n;
}

static void set_sums(const product *p, direct_sums *s, LLVMValueRef *from)
{
    for (unsigned c = 0; c < s->at.count; c++)
        for (unsigned v = 0; v < p->vectors; v++)
            s->sums[c][v] = (byte_sum){.sum = *from++};
}

static LLVMValueRef unit_of(const product *p, const product_group *g, LLVMValueRef unit)
{
    return byte_at(p->e, g->units_at, index_mul(p->e, unit, p->g.unit_bytes));
}

// Sums of a group in 32 bits.
static void direct_wide(product *p, const product_group *g, LLVMValueRef part, LLVMValueRef *out)
{
    emitter *e = p->e;
    direct_sums s = {.at = place_sums_of(p)};
    LLVMValueRef sums[PRODUCT_MOST_CLASSES * PRODUCT_MOST_VECTORS];
    unsigned n = s.at.count * p->vectors;
    begin_sums(p, &s.at, g, sums);
    counted_loop units = counted_begin(e, constant64(p, 0), g->units, 1, n, sums);
    set_sums(p, &s, units.phis);
    direct_unit(p, &s, unit_of(p, g, units.i), index_add(e, g->first_unit, units.i), part);
    flush_sums(p, &s);
    gather_sums(p, &s, sums);
    counted_end(e, &units, sums);
    for (unsigned v = 0; v < p->vectors; v++)
        out[v] = joined(p, &s.at, units.phis + v);
}

typedef struct direct_units {
    const product_group *group;
    LLVMValueRef part;
} direct_units;

static void direct_lookups(product *p, const void *context, LLVMValueRef unit, LLVMValueRef *sums)
{
    const direct_units *d = context;
    LLVMValueRef index[PRODUCT_LANE_STEPS], number = index_add(p->e, d->group->first_unit, unit);
    LLVMValueRef tables =
        byte_at(p->e, p->entries, index_mul(p->e, number, operand_bytes(p) * PRODUCT_LANE_STEPS));
    if (!stands_beside(&p->g))
        prefetch_tables(p, p->entries, number);
    lookup_indices(p, unit_of(p, d->group, unit), d->part, index);
    for (unsigned i = 0; i < PRODUCT_LANE_STEPS; i++)
        lookup_step(p, sums, index[i], tables, i);
}

static void direct_products(product *p, const void *context, LLVMValueRef unit, LLVMValueRef *sums)
{
    const direct_units *d = context;
    direct_sums s = {.at = place_sums_of(p)};
    LLVMValueRef each[PRODUCT_MOST_CLASSES * PRODUCT_MOST_VECTORS];
    for (unsigned v = 0; v < p->vectors; v++)
        s.sums[0][v].partial = sums[v];
    for (unsigned i = 0; i < p->step_units; i++) {
        LLVMValueRef number = index_add(p->e, unit, constant64(p, i));
        (direct_place(p) == FIELD_IN_HALF ? direct_lines : direct_unit)(
            p, &s, unit_of(p, d->group, number), index_add(p->e, d->group->first_unit, number),
            d->part);
    }
    for (unsigned c = 0; c < s.at.count; c++)
        for (unsigned v = 0; v < p->vectors; v++)
            each[c * p->vectors + v] = s.sums[c][v].partial;
    for (unsigned v = 0; v < p->vectors; v++)
        sums[v] = joined(p, &s.at, each + v);
}

// Sums of a group in 16 bits, widened.
static void direct_narrow(product *p, const product_group *g, LLVMValueRef part, LLVMValueRef *out)
{
    direct_units d = {g, part};
    narrow_loop n = {.rows = 1, .step = p->step_units, .context = &d};
    n.add = looks_up_lanes(p) ? direct_lookups : direct_products;
    for (unsigned v = 0; v < p->vectors; v++)
        out[v] = LLVMConstNull(LLVMVectorType(int_type(p->e, 32), p->lanes));
    sum_narrow(p, &n, g->units, p->group_units, out);
}

static void direct_sum(product *p, const product_group *g, LLVMValueRef part, LLVMValueRef *sums)
{
    (p->run_units ? direct_narrow : direct_wide)(p, g, part, sums);
}

static void scale_group(product *p, const product_group *g, LLVMValueRef part,
                        const LLVMValueRef *sums, LLVMValueRef *results)
{
    row_factors f = factors_of(p, g, constant64(p, 0));
    for (unsigned v = 0; v < p->vectors; v++) {
        LLVMValueRef scale = p->late_weight ? NULL : column_values(p, g, false, part, v);
        LLVMValueRef offset = p->format.offset ? column_values(p, g, true, part, v) : NULL;
        LLVMValueRef sum = signed_sum(p, sums[v], f.sum);
        results[v] = add_group(p, sum, f, scale, offset, results[v]);
    }
}

static void direct_group(product *p, LLVMValueRef number, LLVMValueRef part, LLVMValueRef *results)
{
    LLVMValueRef sums[PRODUCT_MOST_VECTORS];
    product_group g = group_at(p, number);
    if (direct_place(p) == FIELD_IN_HALF)
        prefetch_part(p, g.header, part, p->g.group_bytes / p->parts);
    direct_sum(p, &g, part, sums);
    scale_group(p, &g, part, sums, results);
}

static void direct_part(product *p, const chunk *c, LLVMValueRef part)
{
    emitter *e = p->e;
    LLVMValueRef results[PRODUCT_MOST_VECTORS], zero = constant64(p, 0);
    for (unsigned v = 0; v < p->vectors; v++)
        results[v] = span_begin(p, c, zero, part, v);
    if (p->span_units == p->group_units) {
        direct_group(p, c->first_group, part, results);
    } else {
        start_results(p, results, p->vectors);
        counted_loop l = counted_begin(e, zero, c->groups, 1, p->vectors, results);
        memcpy(results, l.phis, p->vectors * sizeof *results);
        direct_group(p, index_add(e, c->first_group, l.i), part, results);
        counted_end(e, &l, results);
    }
    for (unsigned v = 0; v < p->vectors; v++)
        results[v] = span_result(p, c, zero, part, v, results[v]);
    span_rows s = {c, part, &zero, 1};
    span_end(p, &s, results);
}

// ----------------------------------------------- one row, blocks beside each other

// A span's part of the only group: its sums stay integers, and wait where results will be.
static void direct_piece(product *p, const chunk *c, LLVMValueRef part)
{
    emitter *e = p->e;
    LLVMTypeRef integers = LLVMVectorType(int_type(e, 32), p->lanes);
    LLVMValueRef sums[PRODUCT_MOST_VECTORS], zero = constant64(p, 0);
    product_group g = {.first_unit = c->first, .units = c->units, .units_at = p->stream.span};
    direct_sum(p, &g, part, sums);
    for (unsigned v = 0; v < p->vectors; v++) {
        LLVMValueRef earlier = earlier_result(p, c, zero, part, v);
        earlier = LLVMBuildBitCast(e->builder, earlier, integers, "");
        sums[v] = LLVMBuildAdd(e->builder, sums[v], earlier, "");
        store_to(e, sums[v], result_at(p, zero, part, v), p->bytes);
    }
}

// Of a group that is all of the row.
static void scale_row(product *p, const chunk *c, LLVMValueRef part)
{
    emitter *e = p->e;
    LLVMTypeRef integers = LLVMVectorType(int_type(e, 32), p->lanes);
    LLVMValueRef sums[PRODUCT_MOST_VECTORS], results[PRODUCT_MOST_VECTORS];
    LLVMValueRef zero = constant64(p, 0);
    product_group g = group_at(p, zero);
    for (unsigned v = 0; v < p->vectors; v++) {
        sums[v] = load_as(e, integers, result_at(p, zero, part, v), p->bytes);
        results[v] = span_begin(p, c, zero, part, v);
    }
    scale_group(p, &g, part, sums, results);
    for (unsigned v = 0; v < p->vectors; v++) {
        results[v] = span_result(p, c, zero, part, v, results[v]);
        store_to(e, results[v], result_at(p, zero, part, v), p->bytes);
    }
}

static LLVMValueRef truth(const product *p, bool x)
{
    return int_constant(p->e, 1, x);
}

static void crossing_span(product *p, LLVMValueRef from, LLVMValueRef to)
{
    emitter *e = p->e;
    LLVMValueRef all = constant64(p, p->g.units);
    LLVMBasicBlockRef scale = new_block(e, "scale"), done = new_block(e, "done");
    chunk c = {.first = from, .units = LLVMBuildNSWSub(e->builder, to, from, "")};
    c.begins = LLVMBuildICmp(e->builder, LLVMIntEQ, from, constant64(p, 0), "");
    for_parts(p, &c, direct_piece);
    LLVMValueRef ends = LLVMBuildICmp(e->builder, LLVMIntEQ, to, all, "");
    LLVMBuildCondBr(e->builder, ends, scale, done);
    LLVMPositionBuilderAtEnd(e->builder, scale);
    c = (chunk){.first_group = constant64(p, 0), .begins = truth(p, true)};
    for_parts(p, &c, scale_row);
    LLVMBuildBr(e->builder, done);
    LLVMPositionBuilderAtEnd(e->builder, done);
}

static void whole_groups(product *p, LLVMValueRef from, LLVMValueRef to)
{
    counted_loop l = counted_begin(p->e, from, to, p->span_units, 0, NULL);
    chunk c = span_at(p, l.i);
    for_parts(p, &c, direct_part);
    counted_end(p->e, &l, NULL);
}

void emit_direct(product *p)
{
    if (stands_beside(&p->g))
        for_blocks(p, crosses_spans(p) ? crossing_span : whole_groups);
    else
        for_spans(p, direct_part);
}

// --------------------------------------------------------------- the function

// How many vectors of columns and rows are taken at a time, from the level's registers.
static void choose_blocks(product *p)
{
    const target_level *level = p->e->level;
    p->bytes = level->vector_bits / 8;
    p->lanes = p->bytes / 4;
    p->vectors = 4;
    p->parts = COLUMN_BLOCK / (p->lanes * p->vectors);
    p->fields = p->g.fields;
    if (p->form == ACTIVATION_LOOKUPS)
        p->fields = looks_up_lanes(p) ? PRODUCT_LANE_STEPS : 2;
}

static int64_t group_or_all(int64_t group, int64_t depth)
{
    return group && group < depth ? group : depth;
}

// Whether groups begin together, and have whole units: what passes make does.
static bool check_groups(const product *p)
{
    int64_t most = p->weight_group > p->activation_group ? p->weight_group : p->activation_group;
    bool whole = p->group == p->depth || p->group % p->g.unit == 0;
    bool nested = most == p->depth || most % p->group == 0;
    bool unused = !p->g.step && !p->format.offset;
    bool sums = unused || p->group == p->depth || p->group % p->sum_group == 0;
    if (!whole || !nested || !sums)
        emit_error(p->e,
                   "groups of %lld weights, scales of %lld activations and sums of %lld do not "
                   "begin together",
                   (long long)p->weight_group, (long long)p->activation_group,
                   (long long)p->sum_group);
    return whole && nested && sums;
}

static bool choose_groups(product *p, int64_t activation_group, int64_t sum_group)
{
    p->weight_group = group_or_all(p->format.group, p->depth);
    p->activation_group = group_or_all(activation_group, p->depth);
    p->sum_group = group_or_all(sum_group, p->depth);
    p->group = p->weight_group < p->activation_group ? p->weight_group : p->activation_group;
    if (!check_groups(p))
        return false;
    p->group_units = p->group < p->depth ? p->group / p->g.unit : p->g.units;
    bool several = p->group < p->depth;
    p->late_weight = several && p->weight_group == p->depth && !p->format.offset;
    p->late_activation = several && p->activation_group == p->depth && is_scaled(p);
    choose_spans(p);
    return true;
}

// Sums of a block's rows stay in registers, and results where a span has several groups.
static void choose_rows(product *p)
{
    bool results = p->span_units > p->group_units;
    p->panelled = p->form == ACTIVATION_LOOKUPS || p->e->level->dot != DOT_VNNI || crosses_spans(p);
    p->block_rows = 2;
    if (p->e->level->registers >= 32)
        p->block_rows = results || p->form == ACTIVATION_LOOKUPS ? 3 : 6;
}

static activation_form form_of(const ir_op *op)
{
    for (unsigned i = 0; i < 3; i++)
        if (ir_name_is(op, "form", activation_form_names[i]))
            return (activation_form)i;
    UNREACHABLE();
}

// A row of results to which nothing has been added.
static LLVMValueRef zeros_of(const product *p)
{
    emitter *e = p->e;
    LLVMTypeRef type = LLVMArrayType2(int_type(e, 8), COLUMN_BLOCK * 4);
    LLVMValueRef zeros = LLVMGetNamedGlobal(e->llvm, "zeros");
    if (zeros)
        return zeros;
    zeros = LLVMAddGlobal(e->llvm, type, "zeros");
    LLVMSetInitializer(zeros, LLVMConstNull(type));
    LLVMSetGlobalConstant(zeros, true);
    LLVMSetLinkage(zeros, LLVMInternalLinkage);
    LLVMSetAlignment(zeros, COLUMN_LINE);
    return zeros;
}

static bool describe(product *p, const ir_op *op)
{
    activation_form form = form_of(op);
    p->depth = ir_integer(op, "depth");
    if (!quant_format_parse(ir_find(op, "format")->text, &p->format) ||
        !column_geometry_of(&p->format, COLUMN_BLOCK, p->depth, &p->g)) {
        emit_error(p->e, "weights of format %s have no layout for CPUs",
                   ir_find(op, "format")->text);
        return false;
    }
    p->form = form == ACTIVATION_LOOKUPS && !p->e->level->lookup ? ACTIVATION_BYTES : form;
    p->integer = ir_boolean(op, "integers");
    p->row_scales = p->integer && ir_operand_named(op, "scales");
    int64_t group = ir_integer(op, "group"), sums = ir_integer(op, "sums");
    p->row = activation_row_of(form, p->depth, group, sums);
    choose_blocks(p);
    if (!choose_groups(p, group, sums))
        return false;
    choose_runs(p);
    choose_rows(p);
    p->zeros = zeros_of(p);
    return true;
}

// Sums stand for groups of their own: those of the products.
static const char *name_of(product *p, const ir_op *op)
{
    return arena_format(p->e->arena, "multiply.%s.%lld.%s.%lld.%lld%s.%s", p->format.name,
                        (long long)p->depth, ir_name(op, "form"), (long long)p->activation_group,
                        (long long)p->sum_group,
                        p->row_scales ? ".scaled"
                        : p->integer  ? ".integer"
                                      : "",
                        p->e->level->name);
}

// From the block to where results belong; those of a row's blocks lie side by side there, too.
static void copy_results(product *p)
{
    emitter *e = p->e;
    LLVMBasicBlockRef copy = new_block(e, "copy"), end = new_block(e, "copied");
    LLVMValueRef there = LLVMBuildICmp(e->builder, LLVMIntEQ, p->to, p->results, "");
    LLVMBuildCondBr(e->builder, there, end, copy);
    LLVMPositionBuilderAtEnd(e->builder, copy);
    LLVMValueRef one = LLVMBuildICmp(e->builder, LLVMIntEQ, p->rows, constant64(p, 1), "");
    LLVMValueRef stride =
        LLVMBuildSelect(e->builder, one, constant64(p, COLUMN_BLOCK * 4), p->stride, "");
    counted_loop rows = counted_begin(e, constant64(p, 0), result_rows(p), 1, 0, NULL);
    LLVMValueRef offset = LLVMBuildNSWMul(e->builder, rows.i, stride, "");
    LLVMValueRef to = byte_at(e, p->results, offset);
    for (unsigned v = 0; v < COLUMN_BLOCK / p->lanes; v++) {
        LLVMValueRef y = load_as(e, float_lanes(p), result_at(p, rows.i, NULL, v), p->lanes * 4);
        store_to(e, y, byte_at_constant(e, to, v * p->lanes * 4), 4);
    }
    counted_end(e, &rows, NULL);
    LLVMBuildBr(e->builder, end);
    LLVMPositionBuilderAtEnd(e->builder, end);
}

static void emit_rows(product *p)
{
    emitter *e = p->e;
    LLVMBasicBlockRef one = new_block(e, "one"), several = new_block(e, "several");
    LLVMBasicBlockRef end = new_block(e, "done");
    LLVMValueRef single = LLVMBuildICmp(e->builder, LLVMIntEQ, p->rows, constant64(p, 1), "");
    LLVMBuildCondBr(e->builder, single, one, several);
    LLVMPositionBuilderAtEnd(e->builder, one);
    emit_direct(p);
    copy_results(p);
    LLVMBuildBr(e->builder, end);
    LLVMPositionBuilderAtEnd(e->builder, several);
    if (p->panelled) {
        emit_panel(p);
        copy_results(p);
    } else {
        emit_registers(p);
    }
    LLVMBuildBr(e->builder, end);
    LLVMPositionBuilderAtEnd(e->builder, end);
}

static LLVMValueRef define(product *p, const char *name)
{
    emitter *e = p->e;
    LLVMTypeRef pointer = pointer_type(e), i64 = int_type(e, 64);
    LLVMTypeRef types[] = {pointer, pointer, pointer, i64, pointer, i64,
                           pointer, pointer, i64,     i64, i64};
    LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(e->context), types, 11, false);
    LLVMValueRef first, taken, blocks;
    LLVMValueRef f = internal_function(e, name, type);
    LLVMValueRef *parameters[] = {&p->entries, &p->weights, &p->results, &p->rows,
                                  &p->to,      &p->stride,  &p->scales,  &p->book,
                                  &first,      &taken,      &blocks};
    for (unsigned i = 0; i < 11; i++)
        *parameters[i] = LLVMGetParam(f, i);
    outer_function outer = enter_function(e, f);
    panel_allocate(p);
    p->stream = column_stream_of(e, &p->g, p->weights, first, blocks);
    p->stream.taken = taken;
    if (p->form == ACTIVATION_FLOATS) {
        clear_results(p);
        for_taken(p, emit_floats);
        copy_results(p);
    } else {
        emit_rows(p);
    }
    LLVMBuildRetVoid(e->builder);
    leave_function(e, outer);
    return f;
}

void emit_multiply(emitter *e, ir_op *op)
{
    product p = {.e = e};
    if (!describe(&p, op))
        return;
    const char *name = name_of(&p, op);
    LLVMValueRef f = LLVMGetNamedFunction(e->llvm, name);
    if (!f)
        f = define(&p, name);
    const ir_value *scales = ir_operand_named(op, "scales"), *book = ir_operand_named(op, "book");
    const ir_value *first = ir_operand_named(op, "first"), *count = ir_operand_named(op, "count");
    LLVMValueRef none = LLVMConstNull(pointer_type(e));
    LLVMValueRef arguments[] = {value_of(e, ir_operand_named(op, "entries")),
                                value_of(e, ir_operand_named(op, "weights")),
                                value_of(e, ir_operand_named(op, "to")),
                                value_of(e, ir_operand_named(op, "rows")),
                                value_of(e, ir_operand_named(op, "block")),
                                int_constant(e, 64, ir_integer(op, "stride")),
                                scales ? value_of(e, scales) : none,
                                book ? value_of(e, book) : none,
                                first ? value_of(e, first) : int_constant(e, 64, 0),
                                count ? value_of(e, count) : int_constant(e, 64, 1),
                                int_constant(e, 64, ir_integer(op, "blocks"))};
    LLVMBuildCall2(e->builder, LLVMGlobalGetValueType(f), f, arguments, 11, "");
}
