// link: lutra_codegen lutra_ir lutra_isa lutra_support
// What codegen makes of a module, and what it refuses: descriptions, LLVM IR,
// Xlut instructions, objects, linked programs.
#include "tests/unit/unit.h"

#include "compiler/codegen/codegen.h"
#include "compiler/codegen/elf.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct fixture {
    arena *arena;
    diagnostics *diagnostics;
    FILE *messages;
    machine machine;
} fixture;

static int set_up(void **state)
{
    static fixture f;
    f.arena = arena_create();
    f.messages = tmpfile();
    f.diagnostics = diagnostics_create(f.messages);
    assert_true(machine_load(f.arena, f.diagnostics, "m2n64k4", &f.machine));
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    diagnostics_destroy(f->diagnostics);
    fclose(f->messages);
    arena_destroy(f->arena);
    return 0;
}

// What was reported since the last call.
static const char *messages(fixture *f)
{
    static char buffer[4096];
    diagnostics_flush(f->diagnostics);
    rewind(f->messages);
    buffer[fread(buffer, 1, sizeof buffer - 1, f->messages)] = '\0';
    rewind(f->messages);
    assert_false(ftruncate(fileno(f->messages), 0));
    diagnostics_clear(f->diagnostics);
    return buffer;
}

static void assert_contains(const char *where, const char *what)
{
    if (!strstr(where, what))
        fail_msg("\"%s\" is not in:\n%s", what, where);
}

static ir_module *parse(fixture *f, const char *lir)
{
    ir_module *m = ir_parse(f->arena, f->diagnostics,
                            diagnostics_source(f->diagnostics, "test.lir", lir, strlen(lir)));
    if (!m)
        fail_msg("%s", messages(f));
    return m;
}

static program_description *describe(fixture *f, ir_module *m)
{
    program_description *p = program_describe(f->arena, f->diagnostics, m);
    if (!p || !program_plan_workspace(p, f->diagnostics, m))
        fail_msg("%s", messages(f));
    return p;
}

static codegen_unit *build(fixture *f, const char *lir, const program_description **program)
{
    ir_module *m = parse(f, lir);
    codegen_options options = {.machine = &f->machine, .program = describe(f, m)};
    if (program)
        *program = options.program;
    return codegen_build(f->diagnostics, m, &options);
}

static void emit(fixture *f, const char *lir, codegen_stage stage, text *out)
{
    codegen_unit *u = build(f, lir, NULL);
    if (!u)
        fail_msg("%s", messages(f));
    codegen_emit(u, stage, out);
    codegen_destroy(u);
}

// ------------------------------------------------------------------ description

static const char graph[] =
    "module \"m\"\ndim T in 1..8\nstate @k : f16[3, 5]\nstate @v : i8[7]\n"
    "entry func @main(%x: f16[T, 4], %pos: index, %s: f32) -> (f16[T, 4], f16[T, 4]) {\n"
    "  %y = neg %x : f16[T, 4]\n  return %x, %y\n}\n"
    "entry func @one(%a: f16[2, 3]) -> (f16[2, 3]) {\n  return %a\n}\n";

static void description_is_what_the_graph_says(void **state)
{
    fixture *f = *state;
    ir_module *m = parse(f, graph);
    program_description *p = describe(f, m);
    p->workspace_size = 640;
    p->weights_size = 8192;
    p->weights_file = "w \"1\".lutw";
    text json = {0};
    program_print_json(&json, p, &f->machine);
    char want[2000];
    snprintf(
        want, sizeof want,
        "{\"version\": 1, \"machine\": {\"name\": \"m2n64k4\", \"vlen\": 256, \"tile_m\": 2, "
        "\"tile_n\": 64, \"hash\": \"%016llx\"}, \"dims\": [{\"name\": \"T\", \"min\": 1, "
        "\"max\": 8}], \"entries\": [{\"name\": \"main\", \"symbol\": \"main\", \"inputs\": "
        "[{\"name\": \"x\", \"type\": \"f16\", \"shape\": [\"T\", 4]}, {\"name\": \"pos\", "
        "\"type\": \"index\", \"shape\": []}, {\"name\": \"s\", \"type\": \"f32\", \"shape\": "
        "[]}], \"outputs\": [{\"name\": \"result0\", \"type\": \"f16\", \"shape\": [\"T\", 4]}, "
        "{\"name\": \"result1\", \"type\": \"f16\", \"shape\": [\"T\", 4]}]}, {\"name\": \"one\", "
        "\"symbol\": \"one\", \"inputs\": [{\"name\": \"a\", \"type\": \"f16\", \"shape\": [2, "
        "3]}], \"outputs\": [{\"name\": \"result\", \"type\": \"f16\", \"shape\": [2, 3]}]}], "
        "\"states\": [{\"name\": \"k\", \"type\": \"f16\", \"shape\": [3, 5], \"offset\": 0}, "
        "{\"name\": \"v\", \"type\": \"i8\", \"shape\": [7], \"offset\": 64}], \"state_size\": "
        "128, \"workspace_size\": 640, \"harts\": 1, \"scratch_size\": 0, \"weights\": "
        "{\"address\": 4294967296, \"size\": 8192, \"layout\": \"0000000000000000\", "
        "\"file\": \"w \\\"1\\\".lutw\"}}",
        (unsigned long long)machine_hash(&f->machine));
    assert_string_equal(json.data, want);
    text_free(&json);
}

static void workspace_covers_every_alloc(void **state)
{
    fixture *f = *state;
    ir_module *m = parse(f, "module \"m\"\ndim T in 1..8\n"
                            "entry func @main(%result: buffer<f32>[T]) -> () {\n"
                            "  %a = alloc {offset = 128} : buffer<f32>[T, 3]\n"
                            "  %b = alloc {offset = 0} : buffer<i8>[128]\n  return\n}\n");
    program_description *p = describe(f, m);
    assert_int_equal(p->workspace_size, 128 + 128);
    assert_int_equal(p->scratch_size, 0);
    assert_int_equal(p->harts, 1);
}

// Memory of each rank is counted by itself; one entry that cannot be divided keeps all from it.
static void scratch_memory_and_harts(void **state)
{
    fixture *f = *state;
    static const char divided[] = "module \"m\"\n"
                                  "entry func @main(%result: buffer<f32>[4]) -> () {\n"
                                  "  %r = rank : index\n  %n = ranks : index\n"
                                  "  %a = alloc {offset = 64} : buffer<f32>[4]\n"
                                  "  %b = alloc {offset = 256, private = true} : buffer<i8>[1]\n"
                                  "  return\n}\n";
    program_description *p = describe(f, parse(f, divided));
    assert_int_equal(p->workspace_size, 128);
    assert_int_equal(p->scratch_size, 320);
    assert_int_equal(p->harts, PROGRAM_MOST_HARTS);
    const char *other = arena_format(
        f->arena, "%sentry func @other(%%result: buffer<f32>[4]) -> () {\n  return\n}\n", divided);
    assert_int_equal(describe(f, parse(f, other))->harts, 1);
}

static void descriptions_that_cannot_be_made(void **state)
{
    static const struct {
        const char *lir, *message;
    } cases[] = {
        {"module \"m\"\nfunc @f() -> () {\n  return\n}\n", "has no entry function"},
        {"module \"m\"\nentry func @main(%x: buffer<f32>[?]) -> () {\n  return\n}\n",
         "the shape of 'x' must be known"},
        {"module \"m\"\nentry func @main(%result: buffer<f32>[2], %x: buffer<f32>[2]) -> () {\n"
         "  return\n}\n",
         "input 'x' of 'main' stands behind an output"},
    };
    fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ir_module *m = parse(f, cases[i].lir);
        program_description *p = program_describe(f->arena, f->diagnostics, m);
        assert_null(p);
        assert_contains(messages(f), cases[i].message);
    }
}

// -------------------------------------------------------------------- LLVM, asm

static const char scale_kernel[] =
    "module \"m\"\ndim T in 1..8\n"
    "func @scale(%x: buffer<f16>[?], %n: index, %y: buffer<f16>[?]) -> () {\n"
    "  strip %i, %l in %n {\n    %v = vload %x, %i : vec<f16>\n    %f = cast %v : vec<f32>\n"
    "    %g = add %f, %f : vec<f32>\n    %h = cast %g : vec<f16>\n    vstore %h, %y, %i\n"
    "    yield\n  }\n  return\n}\n"
    "entry func @main(%x: buffer<f16>[T], %result: buffer<f16>[T]) -> () {\n"
    "  %n = dim T : index\n  %a = view %x : buffer<f16>[?]\n  %b = view %result : buffer<f16>[?]\n"
    "  call @scale(%a, %n, %b)\n  return\n}\n";

static void strips_are_predicated_by_their_lanes(void **state)
{
    text llvm = {0};
    emit(*state, scale_kernel, CODEGEN_LLVM, &llvm);
    assert_contains(llvm.data, "define internal void @scale(ptr %x, i64 %n, ptr %y)");
    assert_contains(
        llvm.data,
        "define void @main(ptr %words, ptr %workspace, ptr %states, i64 %rank, i64 %ranks, "
        "ptr %scratch)");
    assert_contains(llvm.data, "@llvm.riscv.vsetvli.i64(i64 %");
    assert_contains(llvm.data, "@llvm.vp.load.nxv8f16.p0(ptr align 2 %");
    assert_contains(llvm.data, "@llvm.vp.fpext.nxv8f32.nxv8f16(");
    assert_contains(llvm.data, "vscale_range(4,4) \"no-builtins\"");
    assert_contains(llvm.data, "!DISubprogram(name: \"scale\"");
    text_free(&llvm);
    emit(*state, scale_kernel, CODEGEN_ASSEMBLY, &llvm);
    assert_contains(llvm.data, "vfwadd.vv");
    assert_contains(llvm.data, "vfncvt.f.f.w");
    assert_contains(llvm.data, "call\tscale");
    text_free(&llvm);
}

// The order of emitting must not matter: emitting changes a module.
static void stages_can_be_emitted_in_any_order(void **state)
{
    fixture *f = *state;
    codegen_unit *u = build(f, scale_kernel, NULL);
    static const codegen_stage order[] = {CODEGEN_OBJECT, CODEGEN_LLVM, CODEGEN_ASSEMBLY,
                                          CODEGEN_OBJECT, CODEGEN_LLVM, CODEGEN_ASSEMBLY};
    text out[6] = {0};
    for (int i = 0; i < 6; i++)
        codegen_emit(u, order[i], &out[i]);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(out[i].length, out[i + 3].length);
        assert_memory_equal(out[i].data, out[i + 3].data, out[i].length);
    }
    for (int i = 0; i < 6; i++)
        text_free(&out[i]);
    codegen_destroy(u);
}

#define TILES(body)                                                                                \
    "module \"m\"\nentry func @main(%b: buffer<u8>[8192], %f: buffer<f32>[64], %result: "          \
    "buffer<f16>[64]) -> () {\n  %n = constant 64 : index\n  %s = constant 128 : index\n"          \
    "  %one = constant 1 : index\n" body "  return\n}\n"

static const char all_tile_operations[] =
    TILES("  %v = view %b, %n : buffer<u8>[512]\n"
          "  xlut.pf %v\n"
          "  %t = xlut.ld %v {half = true, register = 1} : tile<table>\n"
          "  %p = xlut.ld %b {register = 2} : tile<plane>\n"
          "  %q = xlut.ld %b {register = 3} : tile<plane>\n"
          "  %d = xlut.zero {register = 7} : tile<f32>\n"
          "  %c = xlut.mma %t, %p, %q {entry = i8, form = ternary, slice = half1, register = 4} : "
          "tile<i32>\n"
          "  %c2 = xlut.mma %t, %q, accumulator = %c {entry = i8, rows = one, register = 4} : "
          "tile<i32>\n"
          "  %e = xlut.deq %d, %c2, %b, table_scale = %f {scale = f32, register = 7} : tile<f32>\n"
          "  %g = xlut.off %e, %f, %b {register = 7} : tile<f32>\n"
          "  xlut.sta %g, %result, stride = %s, columns = %n {type = f16}\n"
          "  %h = xlut.lda %f {type = f32, register = 9} : tile<f32>\n"
          "  %k = xlut.tbl %f, stride = %s, scales = %f {activation = f32, table = i8, register = "
          "31} : tile<table>\n"
          "  xlut.st %k, %v {half = true}\n");

static void tile_operations_are_insn_with_their_mnemonic(void **state)
{
    static const char *const lines[] = {
        "# lut.pf 64(",
        "# lut.ldh lt1, 64(",
        "# lut.ld lt2, 0(",
        "# lut.zero lt7",
        "# lmma.i8.ternary.i32.start.half1 lt4, lt1, lt2",
        "# lmma.i8.w1.i32.one lt4, lt1, lt3",
        "# lut.deq.i32.f32 lt7, lt4, (",
        "# lut.off.f16 lt7, (",
        "# lut.sta.f16 lt7, (",
        "# lut.lda.f32 lt9, (",
        "# lut.tbl.f32.i8 lt31, (",
        "# lut.sth lt31, 64(",
    };
    text assembly = {0};
    emit(*state, all_tile_operations, CODEGEN_ASSEMBLY, &assembly);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_contains(assembly.data, lines[i]);
    text_free(&assembly);
}

// ------------------------------------------------------------------------- errors

static void what_cannot_be_generated_is_said(void **state)
{
    static const struct {
        const char *lir, *message;
    } cases[] = {
        {TILES("  %t = xlut.ld %b : tile<table>\n"), "has no register yet"},
        {TILES("  %t = xlut.ld %b {register = 1} : tile<table>\n"
               "  %p = xlut.ld %b {register = 2} : tile<plane>\n"
               "  %q = xlut.ld %b {register = 5} : tile<plane>\n"
               "  %r = for %i = %one to %n step %one carry (%k = %q : tile<plane>) {\n"
               "    yield %k\n  } : tile<plane>\n"
               "  %c = xlut.mma %t, %p, %r {entry = i8, register = 8} : tile<i32>\n"),
         "must stand in consecutive tile registers"},
        {TILES("  %t = xlut.ld %b {register = 1} : tile<table>\n"
               "  %p = xlut.ld %b {register = 2} : tile<plane>\n"
               "  %c = xlut.mma %t, %p {entry = i8, register = 8} : tile<i32>\n"
               "  %d = xlut.mma %t, %p, accumulator = %c {entry = i8, register = 9} : tile<i32>\n"),
         "updates a tile in place, but its operand is in lt8 and its result in lt9"},
        {TILES("  %t = xlut.ld %b {register = 1} : tile<table>\n"
               "  %p = xlut.ld %b {register = 2} : tile<plane>\n"
               "  %c = xlut.mma %t, %p {entry = i8, register = 1} : tile<i32>\n"),
         "asks for an instruction that the machine does not have: "},
        {TILES("  strip %i, %l in %n {\n    strip %j, %k in %n {\n      yield\n    }\n    yield\n  "
               "}\n"),
         "a strip cannot stand inside a strip"},
        {TILES(
             "  strip %i, %l in %n {width = i8} {\n    %v = vload %f, %i : vec<f32>\n    yield\n  "
             "}\n"),
         "give it the width of its widest element"},
        {TILES("  %v = load %f, %n : f32\n  %w = cast %v : f64\n  %e = exp %w : f64\n"),
         "'exp' is generated for f32 and narrower, not for f64; convert with f32(..)"},
        {TILES("  %z = constant 0.0 : f32\n  %v = broadcast %z : vec<f32>\n"
               "  %e = reduce %v {by = add} : f32\n"),
         "reduce needs a vector that a strip has carried"},
        {"module \"m\"\ndim T in 1..8\nfunc @f() -> () {\n  %n = dim T : index\n  return\n}\n"
         "entry func @main(%x: buffer<f32>[2]) -> () {\n  call @f()\n  return\n}\n",
         "exists in entry functions; pass it to this one as an argument"},
        {"module \"m\"\nweight @w : w2[64, 64]\nentry func @main(%x: buffer<f32>[2]) -> () {\n"
         "  %a = address @w : buffer<u8>[?]\n  return\n}\n",
         "weight 'w' has no address yet"},
        {graph, "may take index, scalar and buffer arguments"},
    };
    fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_null(build(f, cases[i].lir, NULL));
        assert_contains(messages(f), cases[i].message);
    }
}

// Errors are reported together, each at its operation.
static void errors_are_collected(void **state)
{
    fixture *f = *state;
    assert_null(
        build(f, TILES("  %t = xlut.ld %b : tile<table>\n  %u = xlut.zero : tile<f32>\n"), NULL));
    const char *said = messages(f);
    assert_contains(said, "test.lir:6:8: error: a tile of 'xlut.ld'");
    assert_contains(said, "test.lir:7:8: error: a tile of 'xlut.zero'");
}

// ------------------------------------------------------------------------ linking

static bool write_pattern(void *context, diagnostics *d, FILE *stream)
{
    (void)d;
    for (uint64_t i = 0; i < *(uint64_t *)context; i++)
        fputc((int)(i % 251), stream);
    return true;
}

static void link_to(fixture *f, const char *path, uint64_t weights)
{
    text object = {0};
    emit(f, scale_kernel, CODEGEN_OBJECT, &object);
    weight_source content = {weights, write_pattern, &weights};
    output_file *out = output_open(f->diagnostics, path);
    assert_non_null(out);
    if (!codegen_link(f->diagnostics, &object, "main", &content, out))
        fail_msg("%s", messages(f));
    assert_true(output_commit(f->diagnostics, out));
    text_free(&object);
}

static const Elf64_Phdr *find_segment(const mapped_file *m, uint32_t type, uint64_t address)
{
    const Elf64_Ehdr *header = (const void *)m->data;
    assert_true(header->e_phoff + header->e_phnum * sizeof(Elf64_Phdr) <= m->size);
    const Elf64_Phdr *rows = (const void *)(m->data + header->e_phoff);
    for (int i = 0; i < header->e_phnum; i++)
        if (rows[i].p_type == type && rows[i].p_vaddr >= address)
            return &rows[i];
    fail_msg("no segment of type %u at 0x%llx", type, (unsigned long long)address);
    return NULL;
}

static void programs_have_note_and_weights(void **state)
{
    fixture *f = *state;
    char path[] = "/tmp/lutra-link-XXXXXX";
    close(mkstemp(path));
    enum { WEIGHTS = 70001 };
    link_to(f, path, WEIGHTS);
    mapped_file m;
    assert_true(file_map(f->diagnostics, path, &m));
    const Elf64_Ehdr *header = (const void *)m.data;
    assert_int_equal(header->e_type, ET_EXEC);
    assert_int_equal(header->e_machine, EM_RISCV);
    assert_int_equal(header->e_flags, 5); // RVC, double-float
    const Elf64_Phdr *code = find_segment(&m, PT_LOAD, 0x10000);
    assert_int_equal(code->p_vaddr, 0x10000);
    const Elf64_Phdr *note = find_segment(&m, PT_NOTE, 0);
    assert_memory_equal(m.data + note->p_offset + 12, "Lutra\0\0\0{\"version\": 1", 21);
    const Elf64_Phdr *weights = find_segment(&m, PT_LOAD, PROGRAM_WEIGHTS_ADDRESS);
    assert_int_equal(weights->p_filesz, WEIGHTS);
    assert_int_equal(weights->p_flags, PF_R);
    assert_int_equal(weights->p_offset % 4096, 0);
    assert_int_equal(weights->p_offset + WEIGHTS, m.size);
    assert_int_equal(m.data[weights->p_offset + 70000], 70000 % 251);
    file_unmap(&m);
    unlink(path);
}

static void the_same_input_gives_the_same_bytes(void **state)
{
    fixture *f = *state;
    char paths[2][32] = {"/tmp/lutra-link-XXXXXX", "/tmp/lutra-link-XXXXXX"};
    mapped_file m[2];
    for (int i = 0; i < 2; i++) {
        close(mkstemp(paths[i]));
        link_to(f, paths[i], 5000);
        assert_true(file_map(f->diagnostics, paths[i], &m[i]));
    }
    assert_int_equal(m[0].size, m[1].size);
    assert_memory_equal(m[0].data, m[1].data, m[0].size);
    for (int i = 0; i < 2; i++) {
        file_unmap(&m[i]);
        unlink(paths[i]);
    }
}

static void the_linkers_complaint_is_passed_on(void **state)
{
    fixture *f = *state;
    char path[] = "/tmp/lutra-link-XXXXXX";
    close(mkstemp(path));
    text object = {0};
    emit(f, scale_kernel, CODEGEN_OBJECT, &object);
    output_file *out = output_open(f->diagnostics, path);
    assert_false(codegen_link(f->diagnostics, &object, "elsewhere", NULL, out));
    assert_contains(messages(f), "linking failed: ld.lld: ");
    text_clear(&object);
    text_append(&object, "not an object");
    assert_false(codegen_link(f->diagnostics, &object, "main", NULL, out));
    assert_contains(messages(f), "linking failed: ");
    output_abandon(out);
    text_free(&object);
    unlink(path);
}

static void images_that_are_not_elf_are_refused(void **state)
{
    (void)state;
    Elf64_Ehdr good = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB},
                       .e_phentsize = sizeof(Elf64_Phdr),
                       .e_phoff = sizeof good,
                       .e_phnum = 2};
    text image = {0};
    text_append_n(&image, (const char *)&good, sizeof good);
    assert_false(elf_add_segment(&image, 1 << 20, 10)); // the table lies behind the end
    for (size_t i = 0; i < 2 * sizeof(Elf64_Phdr); i++)
        text_char(&image, '\0');
    size_t before = image.length;
    assert_true(elf_add_segment(&image, 1 << 20, 10));
    assert_true(image.length > before && image.length % 4096 == 0);
    image.data[EI_CLASS] = ELFCLASS32;
    assert_false(elf_add_segment(&image, 1 << 20, 10));
    text_clear(&image);
    text_append(&image, "\x7f"
                        "ELF");
    assert_false(elf_add_segment(&image, 1 << 20, 10));
    text_free(&image);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(description_is_what_the_graph_says),
        TEST(workspace_covers_every_alloc),
        TEST(scratch_memory_and_harts),
        TEST(descriptions_that_cannot_be_made),
        TEST(strips_are_predicated_by_their_lanes),
        TEST(stages_can_be_emitted_in_any_order),
        TEST(tile_operations_are_insn_with_their_mnemonic),
        TEST(what_cannot_be_generated_is_said),
        TEST(errors_are_collected),
        TEST(programs_have_note_and_weights),
        TEST(the_same_input_gives_the_same_bytes),
        TEST(the_linkers_complaint_is_passed_on),
        TEST(images_that_are_not_elf_are_refused),
    };
    return cmocka_run_group_tests_name("codegen", tests, NULL, NULL);
}
