// link: lutra_ir lutra_support
// The IR in memory: types, building, uses, cloning, comparison; and its text on every file of
// the fuzz corpus.
#include "tests/unit/unit.h"

#include "compiler/ir/ir.h"
#include "support/file.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

typedef struct fixture {
    arena *arena;
    diagnostics *diagnostics;
    ir_module *module;
    ir_function *function;
    ir_builder at;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    f->arena = arena_create();
    f->diagnostics = diagnostics_create(stderr);
    f->module = ir_module_create(f->arena, "test");
    f->function = ir_function_create(f->module, "main", true, NOWHERE);
    f->at = ir_builder_at_end(f->function->body);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    diagnostics_destroy(f->diagnostics);
    arena_destroy(f->arena);
    free(f);
    return 0;
}

static const ir_type *vector_of(fixture *f, int64_t n)
{
    ir_dim d = ir_dim_constant(n);
    return ir_type_tensor(f->module, SCALAR_F32, 1, &d);
}

static void check_printed(const fixture *f, const char *want)
{
    text got = {0};
    ir_print_module(&got, f->module);
    assert_string_equal(text_string(&got), want);
    text_free(&got);
}

static void types_are_interned(void **state)
{
    fixture *f = *state;
    ir_symbol *t = ir_symbol_create(f->module, "T", 1, 512, NOWHERE);
    ir_dim dims[] = {{t, 8}, ir_dim_constant(64)};
    const ir_type *a = ir_type_table(f->module, SCALAR_I8, TABLE_SCALE_GROUP, 64, 32, 2, dims);
    const ir_type *b = ir_type_table(f->module, SCALAR_I8, TABLE_SCALE_GROUP, 64, 32, 2, dims);
    const ir_type *c = ir_type_table(f->module, SCALAR_I8, TABLE_SCALE_GROUP, 64, 0, 2, dims);
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, c);
    assert_int_equal(ir_dim_maximum(dims[0]), 4096);
    text printed = {0};
    ir_type_print(&printed, a);
    assert_string_equal(text_string(&printed), "table<i8, scale = group(64), sums = 32>[8*T, 64]");
    text_free(&printed);
    assert_ptr_equal(ir_type_with_scalar(f->module, vector_of(f, 3), SCALAR_F32), vector_of(f, 3));
    // Interning goes on past every growth of the table.
    const ir_type *many[1000];
    for (int64_t i = 0; i < 1000; i++)
        many[i] = vector_of(f, i);
    for (int64_t i = 0; i < 1000; i++)
        assert_ptr_equal(many[i], vector_of(f, i));
}

static void uses_follow_operands(void **state)
{
    fixture *f = *state;
    const ir_type *t = vector_of(f, 4);
    ir_value *x = ir_block_argument(f->function->body, t, "x");
    ir_value *y = ir_build1(&f->at, IR_ADD, t, x, x, NULL);
    ir_value *z = ir_build1(&f->at, IR_MUL, t, y, x, NULL);
    assert_int_equal(ir_count_uses(x), 3);
    ir_replace_uses(x, z);
    assert_false(ir_has_uses(x));
    assert_int_equal(ir_count_uses(z), 3);
    ir_set_operand(y->op, 0, x);
    ir_set_operand(y->op, 1, x);
    ir_set_operand(z->op, 1, NULL);
    assert_int_equal(ir_count_uses(x), 2);
    assert_false(ir_has_uses(z));
    ir_op_remove(z->op);
    assert_false(ir_has_uses(y));
    ir_op_remove(y->op);
    assert_false(ir_has_uses(x));
    assert_null(f->function->body->first);
}

static void ops_move(void **state)
{
    fixture *f = *state;
    ir_value *v[3];
    for (int i = 0; i < 3; i++)
        v[i] = ir_build1(&f->at, IR_CONSTANT, ir_type_index(f->module), NULL, NULL, NULL);
    ir_op_move_before(v[2]->op, v[0]->op);
    ir_op_move_to_end(v[0]->op, f->function->body);
    ir_op *op = f->function->body->first;
    assert_ptr_equal(op, v[2]->op);
    assert_ptr_equal(op->next, v[1]->op);
    assert_ptr_equal(op->next->next, v[0]->op);
    assert_ptr_equal(f->function->body->last, v[0]->op);
    assert_ptr_equal(v[0]->op->previous, v[1]->op);
    assert_null(v[0]->op->next);
}

static void attributes_have_defaults(void **state)
{
    fixture *f = *state;
    const ir_type *t = vector_of(f, 4);
    ir_value *x = ir_block_argument(f->function->body, t, "x");
    ir_op *op = ir_build1(&f->at, IR_RMS_NORM, t, x, NULL, NULL)->op;
    assert_int_equal(op->n_operands, 2);
    assert_null(ir_operand_named(op, "gain"));
    assert_null(ir_find(op, "eps"));
    assert_true(ir_number(op, "eps") == 1e-5);
    ir_set_number(op, "eps", 1e-6);
    ir_set_number(op, "eps", 1e-7);
    assert_int_equal(op->attributes.count, 1);
    assert_true(ir_number(op, "eps") == 1e-7);
    ir_remove_attribute(op, "eps");
    assert_true(ir_number(op, "eps") == 1e-5);
    ir_op *gelu = ir_build1(&f->at, IR_GELU, t, x, NULL, NULL)->op;
    assert_true(ir_name_is(gelu, "form", "erf"));
    assert_int_equal(ir_operand_slot(IR_LINEAR, "scale"), 2);
    assert_int_equal(ir_operand_slot(IR_LINEAR, "bias"), -1);
}

static void names_are_unique(void **state)
{
    fixture *f = *state;
    const ir_type *t = vector_of(f, 4);
    ir_value *x = ir_block_argument(f->function->body, t, "x");
    const char *wishes[] = {"x", NULL, "x_1", "4 x", "x"};
    for (int i = 0; i < 5; i++) {
        x = ir_build1(&f->at, IR_SILU, t, x, NULL, NULL);
        x->name = wishes[i];
    }
    ir_build(&f->at, IR_RETURN, 0, NULL, 0, NULL);
    check_printed(f, "module \"test\"\n\n"
                     "entry func @main(%x: f32[4]) -> () {\n"
                     "  %x_1 = silu %x : f32[4]\n"
                     "  %0 = silu %x_1 : f32[4]\n"
                     "  %x_1_1 = silu %0 : f32[4]\n"
                     "  %_4_x = silu %x_1_1 : f32[4]\n"
                     "  %x_2 = silu %_4_x : f32[4]\n"
                     "  return\n"
                     "}\n");
}

// A loop that sums its counter, built twice with another last operand.
static ir_op *build_loop(fixture *f, ir_builder *b, double start)
{
    const ir_type *index = ir_type_index(f->module);
    ir_value *c = ir_build1(b, IR_CONSTANT, index, NULL, NULL, NULL);
    ir_set_number(c->op, "value", start);
    ir_op *loop = ir_build(b, IR_FOR, 4, (ir_value *[]){c, c, c, c}, 1, &index);
    ir_block *body = loop->regions[0];
    ir_value *i = ir_block_argument(body, index, "i"), *sum = ir_block_argument(body, index, "sum");
    ir_builder in = ir_builder_at_end(body);
    ir_value *next = ir_build1(&in, IR_ADD, index, sum, i, NULL);
    ir_build(&in, IR_YIELD, 1, &next, 0, NULL);
    return loop;
}

static void clones_are_deep(void **state)
{
    fixture *f = *state;
    ir_op *loop = build_loop(f, &f->at, 1);
    ir_mapping *map = ir_mapping_create(f->arena);
    ir_value *other = ir_build1(&f->at, IR_CONSTANT, ir_type_index(f->module), NULL, NULL, NULL);
    ir_set_number(other->op, "value", 2);
    ir_mapping_set(map, ir_operand(loop, 3), other);
    ir_op *copy = ir_clone(&f->at, loop, map);
    assert_ptr_equal(ir_operand(copy, 3), other);
    assert_ptr_equal(ir_mapping_get(map, ir_result(loop, 0)), ir_result(copy, 0));
    assert_ptr_not_equal(copy->regions[0], loop->regions[0]);
    ir_op *add = copy->regions[0]->first;
    assert_ptr_equal(ir_operand(add, 0), copy->regions[0]->arguments.items[1]);
    assert_ptr_equal(add->block->parent, copy);
    ir_build(&f->at, IR_RETURN, 0, NULL, 0, NULL);
    assert_true(ir_verify(f->diagnostics, f->module));
    ir_op_remove(copy);
    assert_int_equal(ir_count_uses(other), 0);
}

static void functions_compare_by_structure(void **state)
{
    fixture *f = *state;
    const double starts[] = {1, 1, 2};
    ir_function *functions[3];
    for (int i = 0; i < 3; i++) {
        functions[i] =
            ir_function_create(f->module, (const char *[]){"a", "b", "c"}[i], false, NOWHERE);
        ir_builder b = ir_builder_at_end(functions[i]->body);
        build_loop(f, &b, starts[i])->results[0].name = i ? "other" : "name";
        ir_build(&b, IR_RETURN, 0, NULL, 0, NULL);
    }
    assert_true(ir_function_equal(functions[0], functions[1]));
    assert_int_equal(ir_function_hash(functions[0]), ir_function_hash(functions[1]));
    assert_false(ir_function_equal(functions[0], functions[2]));
    assert_true(ir_function_hash(functions[0]) != ir_function_hash(functions[2]));
    ir_set_number(functions[0]->body->first, "value", 2);
    assert_true(ir_function_equal(functions[0], functions[2]));
    ir_function_remove(functions[1]);
    assert_null(ir_function_find(f->module, "b"));
    assert_ptr_equal(functions[0]->next, functions[2]);
}

static void invalid_modules_are_found(void **state)
{
    fixture *f = *state;
    FILE *nowhere = fopen("/dev/null", "w");
    diagnostics *d = diagnostics_create(nowhere);
    const ir_type *t = vector_of(f, 4);
    ir_value *x = ir_block_argument(f->function->body, t, "x");
    ir_value *y = ir_build1(&f->at, IR_SILU, t, x, NULL, NULL);
    ir_value *z = ir_build1(&f->at, IR_SILU, t, y, NULL, NULL);
    assert_false(ir_verify(d, f->module)); // no return
    ir_build(&f->at, IR_RETURN, 0, NULL, 0, NULL);
    assert_true(ir_verify(d, f->module));
    ir_op_move_before(z->op, y->op);
    assert_false(ir_verify(d, f->module)); // used before its definition
    ir_op_move_before(y->op, z->op);
    ir_set_operand(z->op, 0, NULL);
    assert_false(ir_verify(d, f->module)); // required operand
    ir_set_operand(z->op, 0, y);
    ir_set_integer(z->op, "eps", 1);
    assert_false(ir_verify(d, f->module)); // no such attribute
    ir_remove_attribute(z->op, "eps");
    z->type = vector_of(f, 5);
    assert_false(ir_verify(d, f->module)); // shape
    z->type = t;
    assert_true(ir_verify(d, f->module));
    diagnostics_destroy(d);
    fclose(nowhere);
}

static void check_location(const ir_op *op, const char *file, unsigned line, unsigned column)
{
    assert_string_equal(op->where.source->name, file);
    assert_int_equal(op->where.line, line);
    assert_int_equal(op->where.column, column);
}

static ir_op *first_op(fixture *f, const source *s)
{
    f->module = ir_parse(f->arena, f->diagnostics, s);
    assert_non_null(f->module);
    return f->module->functions->body->first;
}

// Locations of the text itself are not printed, locations written in it are, and are where the
// parsed ops are.
static void locations_survive(void **state)
{
    fixture *f = *state;
    static const char module[] = "module \"m\"\n\n"
                                 "func @f(%x: f32[4]) -> () {\n"
                                 "  %0 = silu %x : f32[4]\n"
                                 "  %1 = silu %0 : f32[4]   // c:d.lut:9:13\n"
                                 "  return\n"
                                 "}\n\n"
                                 "func @g() -> () {\n"
                                 "  return\n"
                                 "}\n";
    const source *s = diagnostics_source(f->diagnostics, "m.lir", module, strlen(module));
    ir_op *op = first_op(f, s);
    assert_ptr_equal(op->where.source, s);
    assert_int_equal(op->where.line, 4);
    check_location(op->next, "c:d.lut", 9, 13);
    check_location(op->next->next, "c:d.lut", 9, 13);
    op = f->module->functions->next->body->first; // not from another function
    assert_ptr_equal(op->where.source, s);
    check_printed(f, module);
}

// An op has the location of the line before; "-" ends that, and stays.
static void locations_are_inherited(void **state)
{
    fixture *f = *state;
    static const char module[] = "module \"m\"\n\n"
                                 "func @f(%c: i1) -> () {   // a b.lut:7:1\n"
                                 "  if %c {\n"
                                 "    yield   // b.lut:8:2\n"
                                 "  } else {\n"
                                 "    yield\n"
                                 "  }\n"
                                 "  if %c {   // -\n"
                                 "    yield\n"
                                 "  } else {\n"
                                 "    yield   // b.lut:9:3\n"
                                 "  }\n"
                                 "  return   // a b.lut:7:1\n"
                                 "}\n";
    ir_op *op = first_op(f, diagnostics_source(f->diagnostics, "m.lir", module, strlen(module)));
    check_location(op, "a b.lut", 7, 1);
    check_location(op->regions[0]->first, "b.lut", 8, 2);
    check_location(op->regions[1]->first, "b.lut", 8, 2);
    op = op->next;
    assert_null(op->where.source);
    assert_null(op->regions[0]->first->where.source);
    check_location(op->regions[1]->first, "b.lut", 9, 3);
    check_location(op->next, "a b.lut", 7, 1);
    check_printed(f, module);
}

// Wherever it is written, it is printed at the first place where it holds.
static void locations_move_to_their_place(void **state)
{
    fixture *f = *state;
    static const char module[] = "module \"m\"\nfunc @f(%c: i1) -> () {\n"
                                 "  if %c {\n"
                                 "    yield // a.lut:1:1\n"
                                 "  } else { // a.lut:1:2\n"
                                 "    yield\n"
                                 "  } // a.lut:1:3\n"
                                 "  return // a.lut:1:3\n"
                                 "}\n";
    first_op(f, diagnostics_source(f->diagnostics, "m.lir", module, strlen(module)));
    check_printed(f, "module \"m\"\n\n"
                     "func @f(%c: i1) -> () {\n"
                     "  if %c {   // a.lut:1:3\n"
                     "    yield   // a.lut:1:1\n"
                     "  } else {\n"
                     "    yield   // a.lut:1:2\n"
                     "  }\n"
                     "  return   // a.lut:1:3\n"
                     "}\n");
}

static void check_file(fixture *f, const char *path)
{
    mapped_file file;
    text once = {0};
    assert_true(file_map(f->diagnostics, path, &file));
    const source *s = diagnostics_source(f->diagnostics, path, (const char *)file.data, file.size);
    ir_module *m = ir_parse(f->arena, f->diagnostics, s);
    assert_non_null(m);
    ir_print_module(&once, m);
    assert_int_equal(once.length, file.size);
    assert_memory_equal(once.data, file.data, file.size);
    text_free(&once);
    file_unmap(&file);
}

// The files in the corpus are canonical: parsing and printing gives them back, byte for byte.
static void files_round_trip(void **state)
{
    fixture *f = *state;
    const char *folder = arena_format(f->arena, "%s/tests/fuzz/corpus/lir", getenv("LUTRA_SOURCE"));
    DIR *directory = opendir(folder);
    assert_non_null(directory);
    unsigned count = 0;
    for (struct dirent *e; (e = readdir(directory));) {
        if (!text_ends_with(e->d_name, ".lir"))
            continue;
        check_file(f, arena_format(f->arena, "%s/%s", folder, e->d_name));
        count++;
    }
    closedir(directory);
    assert_true(count >= 4);
}

// docs/ops.md says what ops.def says. LUTRA_BLESS=1 writes it.
static void reference_is_current(void **state)
{
    fixture *f = *state;
    const char *path = arena_format(f->arena, "%s/docs/ops.md", getenv("LUTRA_SOURCE"));
    text want = {0};
    ir_print_reference(&want);
    if (getenv("LUTRA_BLESS")) {
        output_file *out = output_open(f->diagnostics, path);
        assert_non_null(out);
        fputs(text_string(&want), output_stream(out));
        assert_true(output_commit(f->diagnostics, out));
    }
    mapped_file file;
    assert_true(file_map(f->diagnostics, path, &file));
    assert_int_equal(file.size, want.length);
    assert_memory_equal(file.data, want.data, want.length);
    file_unmap(&file);
    text_free(&want);
}

static void whole_numbers_are_evaluated(void **state)
{
    static const struct {
        ir_opcode code;
        int64_t x, y, result;
        bool known;
    } rows[] = {{IR_ADD, 3, 4, 7, true},
                {IR_ADD, INT64_MAX, 1, 0, false},
                {IR_SUB, INT64_MIN, 1, 0, false},
                {IR_MUL, INT64_C(1) << 40, INT64_C(1) << 40, 0, false},
                {IR_MUL, INT64_C(1) << 31, -(INT64_C(1) << 32), INT64_MIN, true},
                {IR_DIV, -7, 2, -3, true},
                {IR_REM, -7, 2, -1, true},
                {IR_DIV, 7, 0, 0, false},
                {IR_REM, 7, 0, 0, false},
                {IR_DIV, INT64_MIN, -1, 0, false},
                {IR_REM, INT64_MIN, -1, 0, false},
                {IR_MIN, -1, 1, -1, true},
                {IR_MAX, -1, 1, 1, true},
                {IR_NEG, 5, 0, -5, true},
                {IR_ABS, -5, 0, 5, true},
                {IR_ABS, INT64_MIN, 0, 0, false},
                {IR_SQRT, 4, 0, 0, false}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t result;
        bool known = ir_evaluate_integer(rows[i].code, rows[i].x, rows[i].y, &result);
        assert_int_equal(known, rows[i].known);
        if (known)
            assert_int_equal(result, rows[i].result);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(types_are_interned),
        TEST(uses_follow_operands),
        TEST(ops_move),
        TEST(attributes_have_defaults),
        TEST(names_are_unique),
        TEST(clones_are_deep),
        TEST(functions_compare_by_structure),
        TEST(invalid_modules_are_found),
        TEST(locations_survive),
        TEST(locations_are_inherited),
        TEST(locations_move_to_their_place),
        TEST(files_round_trip),
        TEST(reference_is_current),
        TEST(whole_numbers_are_evaluated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
