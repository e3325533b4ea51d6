// link: lutra_host
//
// The ELF loader on images built by hand: what is right is mapped as it says, and every wrong
// count, offset and size is refused.
#include "runtime/host/elf.h"

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { FILE_SIZE = 0x3000, HEADERS = 3 };

// A program of two segments: code at 0x10000 (file 0..0x200), data at 0x12000 with 0x100 bytes of
// file and 0x1800 of memory; symbols and a note behind them.
typedef struct image {
    uint8_t bytes[FILE_SIZE];
    Elf64_Ehdr *header;
    Elf64_Phdr *segments;
    Elf64_Shdr *sections;
    size_t size;
} image;

static void add_note(image *im)
{
    static const char json[] = "{\"version\": 1}";
    Elf64_Nhdr note = {.n_namesz = 6, .n_descsz = sizeof json - 1, .n_type = 1};
    uint8_t *at = im->bytes + 0x2000;
    memcpy(at, &note, sizeof note);
    memcpy(at + 12, "Lutra", 6);
    memcpy(at + 20, json, sizeof json - 1);
    im->segments[2] =
        (Elf64_Phdr){.p_type = PT_NOTE, .p_offset = 0x2000, .p_filesz = 36, .p_align = 4};
}

static void add_symbols(image *im)
{
    static const char strings[] = "\0main\0helper\0table\0$x";
    memcpy(im->bytes + 0x2100, strings, sizeof strings);
    Elf64_Sym symbols[] = {
        {0},
        {.st_name = 1, .st_info = STT_FUNC, .st_shndx = 1, .st_value = 0x10100, .st_size = 0x20},
        {.st_name = 6, .st_info = STT_NOTYPE, .st_shndx = 1, .st_value = 0x10120},
        {.st_name = 13, .st_info = STT_OBJECT, .st_shndx = 1, .st_value = 0x12000, .st_size = 8},
        {.st_name = 19, .st_info = STT_NOTYPE, .st_shndx = 1, .st_value = 0x10104},
        {.st_name = 9999, .st_info = STT_FUNC, .st_shndx = 1, .st_value = 0x10108},
    };
    memcpy(im->bytes + 0x2200, symbols, sizeof symbols);
    im->sections[1] = (Elf64_Shdr){
        .sh_type = SHT_SYMTAB, .sh_offset = 0x2200, .sh_size = sizeof symbols, .sh_link = 2};
    im->sections[2] =
        (Elf64_Shdr){.sh_type = SHT_STRTAB, .sh_offset = 0x2100, .sh_size = sizeof strings};
}

static void build(image *im)
{
    memset(im, 0, sizeof *im);
    im->size = FILE_SIZE;
    im->header = (Elf64_Ehdr *)im->bytes;
    im->segments = (Elf64_Phdr *)(im->bytes + sizeof(Elf64_Ehdr));
    im->sections = (Elf64_Shdr *)(im->bytes + 0x2400);
    *im->header = (Elf64_Ehdr){.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1},
                               .e_type = ET_EXEC,
                               .e_machine = EM_RISCV,
                               .e_version = 1,
                               .e_entry = 0x10100,
                               .e_phoff = sizeof(Elf64_Ehdr),
                               .e_phentsize = sizeof(Elf64_Phdr),
                               .e_phnum = HEADERS,
                               .e_shoff = 0x2400,
                               .e_shentsize = sizeof(Elf64_Shdr),
                               .e_shnum = 3};
    im->segments[0] = (Elf64_Phdr){.p_type = PT_LOAD,
                                   .p_flags = PF_R | PF_X,
                                   .p_vaddr = 0x10000,
                                   .p_filesz = 0x200,
                                   .p_memsz = 0x200,
                                   .p_align = 0x1000};
    im->segments[1] = (Elf64_Phdr){.p_type = PT_LOAD,
                                   .p_flags = PF_R | PF_W,
                                   .p_offset = 0x1000,
                                   .p_vaddr = 0x12000,
                                   .p_filesz = 0x100,
                                   .p_memsz = 0x1800,
                                   .p_align = 0x1000};
    memset(im->bytes + 0x1000, 0xab, 0x1000); // 0x1100.. is not part of the segment
    im->bytes[0x100] = 0x13;
    add_note(im);
    add_symbols(im);
}

// Parses; false: at least one message was reported.
static bool parse(arena *a, const image *im, elf_image *out)
{
    FILE *sink = fopen("/dev/null", "w");
    diagnostics *d = diagnostics_create(sink);
    bool ok = elf_parse(a, d, "test.elf", im->bytes, im->size, out);
    assert_true(ok == (diagnostics_errors(d) == 0));
    diagnostics_destroy(d);
    fclose(sink);
    return ok;
}

static void refused(const image *im)
{
    arena *a = arena_create();
    elf_image out;
    assert_false(parse(a, im, &out));
    arena_destroy(a);
}

static void a_right_image_is_read(void **state)
{
    (void)state;
    image im;
    elf_image out;
    arena *a = arena_create();
    build(&im);
    assert_true(parse(a, &im, &out));
    assert_int_equal(out.entry, 0x10100);
    assert_int_equal(out.segment_count, 2);
    assert_int_equal(out.segments[0].access, HART_READ | HART_EXECUTE);
    assert_int_equal(out.segments[1].address, 0x12000);
    assert_int_equal(out.segments[1].memory_size, 0x1800);
    assert_int_equal(out.header_address, 0x10000 + sizeof(Elf64_Ehdr));
    assert_int_equal(out.description_length, 14);
    assert_memory_equal(out.description, "{\"version\": 1}", 14);
    arena_destroy(a);
}

static void symbols_cover_their_addresses(void **state)
{
    (void)state;
    image im;
    elf_image out;
    arena *a = arena_create();
    build(&im);
    assert_true(parse(a, &im, &out));
    assert_int_equal(out.symbol_count, 3); // no mapping symbol, no name beyond the table
    assert_int_equal(elf_find_symbol(&out, "table")->address, 0x12000);
    assert_null(elf_find_symbol(&out, "tabl"));
    assert_null(elf_symbol_at(&out, 0x100ff));
    assert_string_equal(elf_symbol_at(&out, 0x10100)->name, "main");
    assert_string_equal(elf_symbol_at(&out, 0x1011f)->name, "main");
    assert_string_equal(elf_symbol_at(&out, 0x101ff)->name, "helper"); // a label without a size
    assert_null(elf_symbol_at(&out, 0x10200));                         // the segment ends
    assert_null(elf_symbol_at(&out, 0x12008));
    arena_destroy(a);
}

static void every_truncation_is_safe(void **state)
{
    (void)state;
    for (size_t size = 0; size < FILE_SIZE; size += size < 0x200 ? 1 : 61) {
        image im;
        elf_image out;
        arena *a = arena_create();
        build(&im);
        im.size = size;
        // A copy of exactly this size, so that the sanitizer sees what lies beyond.
        uint8_t *copy = malloc(size ? size : 1);
        memcpy(copy, im.bytes, size);
        diagnostics *d = diagnostics_create(stderr);
        bool ok = elf_parse(a, d, "test.elf", copy, size, &out);
        assert_true(ok == (size >= 0x1100)); // both segments are there
        diagnostics_clear(d);
        diagnostics_destroy(d);
        free(copy);
        arena_destroy(a);
    }
}

static void wrong_kinds_are_refused(void **state)
{
    (void)state;
    image im;
    build(&im);
    im.bytes[0] = 'x';
    refused(&im);
    build(&im);
    im.header->e_ident[EI_CLASS] = ELFCLASS32;
    refused(&im);
    build(&im);
    im.header->e_ident[EI_DATA] = ELFDATA2MSB;
    refused(&im);
    build(&im);
    im.header->e_machine = EM_X86_64;
    refused(&im);
    build(&im);
    im.header->e_type = ET_REL;
    refused(&im);
    build(&im);
    im.header->e_type = ET_DYN;
    refused(&im);
    build(&im);
    im.header->e_flags = 8; // RV64E
    refused(&im);
    build(&im);
    im.segments[2].p_type = PT_INTERP;
    refused(&im);
}

static void wrong_headers_are_refused(void **state)
{
    (void)state;
    image im;
    build(&im);
    im.header->e_phnum = 0;
    refused(&im);
    build(&im);
    im.header->e_phnum = 65535;
    refused(&im);
    build(&im);
    im.header->e_phentsize = 32;
    refused(&im);
    build(&im);
    im.header->e_phoff = UINT64_MAX - 8;
    refused(&im);
    build(&im);
    im.header->e_phoff = FILE_SIZE - 8;
    refused(&im);
    build(&im);
    im.segments[0].p_type = im.segments[1].p_type = PT_NULL;
    refused(&im);
}

static void wrong_segments_are_refused(void **state)
{
    (void)state;
    image im;
    build(&im);
    im.segments[1].p_offset = UINT64_MAX - 0xfff; // offset + size wraps
    refused(&im);
    build(&im);
    im.segments[1].p_filesz = im.segments[1].p_memsz = FILE_SIZE;
    refused(&im);
    build(&im);
    im.segments[1].p_filesz = 0x1900;
    refused(&im);
    build(&im);
    im.segments[1].p_memsz = UINT64_MAX - 0x100;
    refused(&im);
    build(&im);
    im.segments[1].p_align = 0x1800;
    refused(&im);
    build(&im);
    im.segments[1].p_vaddr = 0x12010;
    refused(&im);
    build(&im);
    im.segments[1].p_vaddr = 0x10100; // overlaps the code
    im.segments[1].p_align = 1;
    refused(&im);
}

static void sections_are_optional(void **state)
{
    (void)state;
    static const uint64_t offsets[] = {0, FILE_SIZE - 10, UINT64_MAX};
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        image im;
        elf_image out;
        arena *a = arena_create();
        build(&im);
        im.header->e_shoff = offsets[i];
        im.header->e_shnum = 65535;
        assert_true(parse(a, &im, &out));
        assert_int_equal(out.symbol_count, 0);
        arena_destroy(a);
    }
}

static void broken_symbols_and_notes_are_passed_over(void **state)
{
    (void)state;
    image im;
    elf_image out;
    arena *a = arena_create();
    build(&im);
    im.sections[1].sh_size = UINT64_MAX;
    ((Elf64_Nhdr *)(im.bytes + 0x2000))->n_descsz = UINT32_MAX;
    assert_true(parse(a, &im, &out));
    assert_int_equal(out.symbol_count, 0);
    assert_null(out.description);
    build(&im);
    im.sections[1].sh_link = 77;
    im.segments[2].p_offset = UINT64_MAX;
    assert_true(parse(a, &im, &out));
    assert_int_equal(out.symbol_count, 0);
    build(&im);
    im.sections[2].sh_size = 3; // the names end beyond their table
    assert_true(parse(a, &im, &out));
    assert_int_equal(out.symbol_count, 0);
    arena_destroy(a);
}

// -------------------------------------------------------------------------- map

static bool map(const image *im, int descriptor, hart_memory *memory)
{
    arena *a = arena_create();
    elf_image out;
    assert_true(parse(a, im, &out));
    FILE *sink = fopen("/dev/null", "w");
    diagnostics *d = diagnostics_create(sink);
    bool ok = elf_map(d, "test.elf", &out, im->bytes, descriptor, memory);
    diagnostics_destroy(d);
    fclose(sink);
    arena_destroy(a);
    return ok;
}

static uint8_t byte_at(const hart_memory *memory, uint64_t address)
{
    const uint8_t *p = hart_memory_range(memory, address, 1, HART_READ);
    assert_non_null(p);
    return *p;
}

static void check_mapped(const hart_memory *memory)
{
    assert_int_equal(byte_at(memory, 0x10100), 0x13);
    assert_int_equal(byte_at(memory, 0x12000), 0xab);
    assert_int_equal(byte_at(memory, 0x120ff), 0xab);
    assert_int_equal(byte_at(memory, 0x12100), 0); // beyond the file's part
    assert_int_equal(byte_at(memory, 0x137ff), 0);
    assert_null(hart_memory_range(memory, 0x10100, 1, HART_WRITE));
    assert_non_null(hart_memory_range(memory, 0x10100, 1, HART_EXECUTE));
    assert_non_null(hart_memory_range(memory, 0x137ff, 1, HART_WRITE));
    assert_null(hart_memory_range(memory, 0x12000, 1, HART_EXECUTE));
    assert_null(hart_memory_range(memory, 0x14000, 1, HART_READ));
}

static void segments_are_mapped_by_copy_and_from_the_file(void **state)
{
    (void)state;
    image im;
    build(&im);
    char path[] = "/tmp/lutra-elf-XXXXXX";
    int descriptor = mkstemp(path);
    assert_true(write(descriptor, im.bytes, im.size) == (ssize_t)im.size);
    for (int from_file = 0; from_file < 2; from_file++) {
        hart_memory *memory = hart_memory_create();
        assert_true(map(&im, from_file ? descriptor : -1, memory));
        check_mapped(memory);
        hart_memory_destroy(memory);
    }
    close(descriptor);
    unlink(path);
}

static void shared_pages_allow_what_either_segment_allows(void **state)
{
    (void)state;
    image im;
    build(&im);
    im.segments[1].p_vaddr = 0x10800;
    im.segments[1].p_offset = 0x1000;
    im.segments[1].p_align = 0x800;
    hart_memory *memory = hart_memory_create();
    assert_true(map(&im, -1, memory));
    assert_int_equal(byte_at(memory, 0x10100), 0x13);
    assert_int_equal(byte_at(memory, 0x10800), 0xab);
    assert_non_null(hart_memory_range(memory, 0x10000, 0x1000, HART_WRITE));
    assert_non_null(hart_memory_range(memory, 0x10000, 0x1000, HART_EXECUTE));
    assert_null(hart_memory_range(memory, 0x11000, 1, HART_EXECUTE));
    hart_memory_destroy(memory);
}

static void segments_beyond_the_address_space_are_refused(void **state)
{
    (void)state;
    image im;
    hart_memory *memory = hart_memory_create();
    build(&im);
    im.segments[1].p_vaddr = hart_memory_limit(memory);
    assert_false(map(&im, -1, memory));
    build(&im);
    im.segments[1].p_memsz = UINT64_MAX / 2;
    assert_false(map(&im, -1, memory));
    hart_memory_destroy(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_right_image_is_read),
        cmocka_unit_test(symbols_cover_their_addresses),
        cmocka_unit_test(every_truncation_is_safe),
        cmocka_unit_test(wrong_kinds_are_refused),
        cmocka_unit_test(wrong_headers_are_refused),
        cmocka_unit_test(wrong_segments_are_refused),
        cmocka_unit_test(sections_are_optional),
        cmocka_unit_test(broken_symbols_and_notes_are_passed_over),
        cmocka_unit_test(segments_are_mapped_by_copy_and_from_the_file),
        cmocka_unit_test(shared_pages_allow_what_either_segment_allows),
        cmocka_unit_test(segments_beyond_the_address_space_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
