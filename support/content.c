#include "support/content.h"

#include "support/file.h"

#include <elf.h>
#include <stdio.h>
#include <string.h>

typedef struct magic_row {
    size_t at, length;
    const char *bytes;
    content_kind kind;
} magic_row;

#define MAGIC(at, bytes, name, use)                                                                \
    {                                                                                              \
        at, sizeof(bytes) - 1, bytes,                                                              \
        {                                                                                          \
            name, use                                                                              \
        }                                                                                          \
    }

static const char to_weights[] = "weights go to --weights, beside a program";

static const magic_row magics[] = {
    MAGIC(0,
          "\x7f"
          "ELF\1",
          "a 32-bit ELF file", NULL),
    MAGIC(0,
          "\x7f"
          "ELF\2\2",
          "a big-endian ELF file", NULL),
    MAGIC(0,
          "\x7f"
          "ELF",
          "an ELF file", "lutrun runs programs, lutdump shows their instructions"),
    MAGIC(0, "GGUF", "a GGUF file", to_weights),
    MAGIC(0, "LUTWPACK", "a file of packed weights", to_weights),
    MAGIC(0, "LUTCHKPT", "a checkpoint", "'lutrun PROGRAM --resume FILE' goes on from it"),
    MAGIC(0, "\x93NUMPY", "an npy array", "--input NAME=@FILE reads it"),
    MAGIC(5, "\0\0\0{\"", "a safetensors file", "weights are read from GGUF files"),
    MAGIC(0, "PK\3\4", "a zip archive, as PyTorch's files are", "weights are read from GGUF files"),
    MAGIC(0, "\x1f\x8b", "a gzip archive", NULL),
    MAGIC(0,
          "\xfd"
          "7zXZ",
          "an xz archive", NULL),
    MAGIC(0, "\x28\xb5\x2f\xfd", "a zstd archive", NULL),
    MAGIC(257, "ustar", "a tar archive", NULL),
    MAGIC(0, "!<arch>\n", "a static library", NULL),
    MAGIC(0, "BC\xc0\xde", "LLVM bitcode", NULL),
    MAGIC(0, "MZ", "a Windows program", NULL),
    MAGIC(0, "\xcf\xfa\xed\xfe", "a macOS program", NULL),
    MAGIC(0, "\x89PNG", "a PNG image", NULL),
    MAGIC(0, "\xff\xd8\xff", "a JPEG image", NULL),
    MAGIC(0, "GIF8", "a GIF image", NULL),
    MAGIC(0, "%PDF-", "a PDF document", NULL),
    MAGIC(0, "\xff\xfe\0\0", "a text in UTF-32", "save it as UTF-8"),
    MAGIC(0, "\xff\xfe", "a text in UTF-16", "save it as UTF-8"),
    MAGIC(0, "\xfe\xff", "a text in UTF-16", "save it as UTF-8"),
};

// Words that a text of a kind begins with, behind empty lines and comments.
typedef struct word_row {
    const char *word;
    content_kind kind;
} word_row;

static const char compiled[] = "lutc compiles it";
static const char by_clang[] = "clang compiles it, with xlut.h for kernels by hand";
static const char stages[] =
    "the IR of earlier stages can be read, the .lir files of --dump-dir for one";

static const word_row words[] = {
    {"module \"", {"a module of the IR", compiled, CONTENT_MODULE}},
    {"model ", {"a program in the tensor language", compiled, CONTENT_PROGRAM}},
    {"const ", {"a program in the tensor language", compiled, CONTENT_PROGRAM}},
    {"dim ", {"a program in the tensor language", compiled, CONTENT_PROGRAM}},
    {"weights ", {"a program in the tensor language", compiled, CONTENT_PROGRAM}},
    {"weight ", {"a program in the tensor language", compiled, CONTENT_PROGRAM}},
    {"state ", {"a program in the tensor language", compiled, CONTENT_PROGRAM}},
    {"entry fn", {"a program in the tensor language", compiled, CONTENT_PROGRAM}},
    {"fn ", {"a program in the tensor language", compiled, CONTENT_PROGRAM}},
    {"source_filename", {"LLVM's IR", stages}},
    {"target datalayout", {"LLVM's IR", stages}},
    {"target triple", {"LLVM's IR", stages}},
    {"define ", {"LLVM's IR", stages}},
    {"declare ", {"LLVM's IR", stages}},
    {"module {", {"MLIR", stages}},
    {"module attributes", {"MLIR", stages}},
    {"#!", {"a script", NULL}},
    {"#include", {"C", by_clang}},
    {"#pragma", {"C", by_clang}},
    {"#ifndef", {"C", by_clang}},
    {"import ", {"Python", NULL}},
    {"from ", {"Python", NULL}},
    {"<", {"a document in markup", NULL}},
    {"machine ", {"a machine description", "--machine takes it", CONTENT_MACHINE}},
    {"{", {"JSON", "metadata goes to --metadata", CONTENT_JSON}},
    {".text", {"assembly", "clang assembles it"}},
    {".attribute", {"assembly", "clang assembles it"}},
    {".file", {"assembly", "clang assembles it"}},
};

static const content_kind binary = {"a binary file", NULL};

static const content_kind *by_magic(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++) {
        const magic_row *m = &magics[i];
        if (size >= m->at + m->length && !memcmp(data + m->at, m->bytes, m->length))
            return &m->kind;
    }
    return NULL;
}

// Ours and those of LLVM.
static bool begins_comment(const uint8_t *data, size_t size)
{
    return data[0] == ';' || (size > 1 && data[0] == '/' && data[1] == '/');
}

static size_t mark_length(const uint8_t *data, size_t size)
{
    static const char mark[] = "\xef\xbb\xbf";
    return size >= sizeof mark - 1 && !memcmp(data, mark, sizeof mark - 1) ? sizeof mark - 1 : 0;
}

// Behind a byte order mark, white space and lines of comment.
static size_t first_word(const uint8_t *data, size_t size)
{
    size_t at = mark_length(data, size);
    while (at < size) {
        const uint8_t *end = data + at;
        if (begins_comment(data + at, size - at))
            end = memchr(data + at, '\n', size - at);
        else if (!memchr(" \t\r\n", data[at], 4))
            break;
        at = end ? (size_t)(end - data) + 1 : size;
    }
    return at;
}

static const content_kind *by_word(const uint8_t *data, size_t size)
{
    size_t at = first_word(data, size);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t length = strlen(words[i].word);
        if (size - at >= length && !memcmp(data + at, words[i].word, length))
            return &words[i].kind;
    }
    return NULL;
}

const content_kind *content_of(const uint8_t *data, size_t size)
{
    enum { LOOKED_AT = 512 };
    if (!size)
        return NULL;
    const content_kind *kind = by_magic(data, size);
    kind = kind ? kind : by_word(data, size);
    if (!kind && memchr(data, 0, size < LOOKED_AT ? size : LOOKED_AT))
        return &binary;
    return kind;
}

const char *content_remark(const uint8_t *data, size_t size, char remark[CONTENT_REMARK])
{
    const content_kind *kind = content_of(data, size);
    snprintf(remark, CONTENT_REMARK, "%s%s%s%s",
             kind   ? ", but "
             : size ? ""
                    : ": it is empty",
             kind ? kind->name : "", kind && kind->use ? ": " : "",
             kind && kind->use ? kind->use : "");
    return remark;
}

const source *content_source(diagnostics *d, const char *name, const void *data, size_t size)
{
    size_t mark = mark_length(data, size);
    return diagnostics_source(d, name, data ? (const char *)data + mark : "", size - mark);
}

const source *content_load(diagnostics *d, const char *path)
{
    mapped_file f;
    if (!file_map(d, path, &f))
        return NULL;
    const source *s = content_source(d, strcmp(path, "-") ? path : "<stdin>", f.data, f.size);
    file_unmap(&f);
    return s;
}

bool content_expect(diagnostics *d, const source *s, content_form form, const char *what)
{
    char remark[CONTENT_REMARK];
    const content_kind *kind = content_of((const uint8_t *)s->text, s->length);
    if (!kind || kind->form == form)
        return true;
    diagnostic_error(d, (location){.source = s}, "not %s%s", what,
                     content_remark((const uint8_t *)s->text, s->length, remark));
    return false;
}

const char *content_machine(uint16_t e_machine, char name[CONTENT_CPU])
{
    static const struct {
        uint16_t machine;
        const char *name;
    } rows[] = {{EM_386, "x86"},         {EM_X86_64, "x86-64"}, {EM_ARM, "Arm"},
                {EM_AARCH64, "AArch64"}, {EM_RISCV, "RISC-V"},  {EM_PPC64, "PowerPC"},
                {EM_S390, "S/390"},      {EM_MIPS, "MIPS"},     {EM_SPARCV9, "SPARC"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].machine == e_machine)
            return rows[i].name;
    snprintf(name, CONTENT_CPU, "ELF machine %u", e_machine);
    return name;
}
