// link: lutra_isa lutra_support
// The base instruction set against LLVM's assembler and disassembler, which is the oracle for what
// a word means, how it is written, and whether it is an instruction at all.
#include "tests/unit/unit.h"

#include "isa/isa.h"
#include "isa/publish.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LLVM_MC                                                                                    \
    "llvm-mc-19 -triple=riscv64 -M no-aliases -mattr=+m,+a,+f,+d,+c,+v,+zfh,+zvfh,+zfbfmin,"       \
    "+zvfbfmin,+zba,+zbb,+zbs,+zicond,+zicbop "

enum { MAX_WORDS = 200000, TEXT = 96 };

// A word, whether LLVM takes it for an instruction, and how it writes it.
typedef struct sample {
    uint32_t word;
    unsigned length;
    bool legal;
    char text[TEXT];
} sample;

static sample samples[MAX_WORDS];
static size_t sample_count;
static char folder[] = "/tmp/isa_llvm_test.XXXXXX";

static void add_sample(uint32_t word)
{
    bool compressed = (word & 3) != 3;
    if (!compressed && (word & 31) == 31)
        return; // longer than 32 bits: not one instruction of ours or LLVM's
    assert_true(sample_count < MAX_WORDS);
    samples[sample_count++] =
        (sample){.word = compressed ? word & 0xffff : word, .length = compressed ? 2 : 4};
}

static FILE *open_file(const char *name, const char *mode)
{
    char path[64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, mode);
    assert_non_null(f);
    return f;
}

static void run(const char *options)
{
    char command[1024];
    snprintf(command, sizeof command, LLVM_MC "%s %s/in > %s/out 2> %s/err", options, folder,
             folder, folder);
    int status = system(command);
    (void)status; // invalid words make it fail, as they should
}

static bool llvm_mc_exists(void)
{
    return system("llvm-mc-19 --version > /dev/null 2>&1") == 0;
}

// The numbers of the lines of `in` that messages with `what` in them name.
static void read_complaints(const char *what, bool *complained, size_t count)
{
    char line[512];
    FILE *f = open_file("err", "r");
    while (fgets(line, sizeof line, f)) {
        const char *at = strstr(line, what) ? strstr(line, "/in:") : NULL;
        size_t number = at ? strtoul(at + 4, NULL, 10) : 0;
        if (number >= 1 && number <= count)
            complained[number - 1] = true;
    }
    fclose(f);
}

// "\tadd\ta0, a1, a2" without the first tab, and with a blank for the second.
static void copy_text(char *to, const char *line)
{
    snprintf(to, TEXT, "%s", line + strspn(line, "\t "));
    to[strcspn(to, "\n")] = '\0';
    for (char *tab = to; (tab = strchr(tab, '\t'));)
        *tab = ' ';
    for (size_t n = strlen(to); n && to[n - 1] == ' ';)
        to[--n] = '\0';
}

// The next line of LLVM's output that is an instruction; .insn directives are, with an encoding.
static bool next_instruction(FILE *f, char *line, size_t size)
{
    while (fgets(line, (int)size, f))
        if (line[0] == '\t' && (line[1] != '.' || strstr(line, "encoding: [")))
            return true;
    return false;
}

// Fills legal and text of every sample.
static void ask_llvm(void)
{
    bool *complained = calloc(sample_count, sizeof *complained);
    FILE *f = open_file("in", "w");
    for (size_t i = 0; i < sample_count; i++) {
        uint32_t w = samples[i].word;
        fprintf(f, samples[i].length == 2 ? "[0x%x,0x%x]\n" : "[0x%x,0x%x,0x%x,0x%x]\n", w & 255,
                w >> 8 & 255, w >> 16 & 255, w >> 24);
    }
    fclose(f);
    run("--disassemble");
    read_complaints("invalid instruction", complained, sample_count);
    f = open_file("out", "r");
    char line[512];
    for (size_t i = 0; i < sample_count; i++) {
        samples[i].legal = !complained[i];
        if (samples[i].legal) {
            assert_true(next_instruction(f, line, sizeof line));
            copy_text(samples[i].text, line);
        }
    }
    assert_false(next_instruction(f, line, sizeof line));
    fclose(f);
    free(complained);
}

// One text per line to words of 2 or 4 bytes; 0 where LLVM refuses the text. The prologue is one
// line.
static void assemble_after(const char *prologue, char (*texts)[TEXT], size_t count, uint32_t *words)
{
    bool *complained = calloc(count, sizeof *complained);
    FILE *f = open_file("in", "w");
    for (size_t i = 0; i < count; i++)
        fprintf(f, "%s%s\n", i ? "" : prologue, texts[i]);
    fclose(f);
    run("--show-encoding");
    read_complaints(" error:", complained, count);
    f = open_file("out", "r");
    char line[512];
    for (size_t i = 0; i < count; i++) {
        words[i] = 0;
        if (complained[i])
            continue;
        assert_true(next_instruction(f, line, sizeof line));
        const char *bytes = strstr(line, "encoding: [");
        assert_non_null(bytes);
        bytes += strlen("encoding: [");
        for (unsigned shift = 0; *bytes && *bytes != ']' && shift < 32; shift += 8) {
            words[i] |= (uint32_t)strtoul(bytes, (char **)&bytes, 16) << shift;
            bytes += *bytes == ',';
        }
    }
    fclose(f);
    free(complained);
}

static void assemble(char (*texts)[TEXT], size_t count, uint32_t *words)
{
    assemble_after(".option norvc;", texts, count, words);
}

static uint32_t random_word(void)
{
    static uint64_t state = 0x9e3779b97f4a7c15;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16);
}

// ----------------------------------------------------------------- exceptions

static bool starts_with_any(const char *s, const char *const *prefixes)
{
    for (; *prefixes; prefixes++)
        if (!strncmp(s, *prefixes, strlen(*prefixes)))
            return true;
    return false;
}

// LLVM's instructions that are not part of the profile: privileged ones, which are illegal in user
// mode, and the all-zero halfword, which the specification defines to be illegal.
static bool outside_profile(const char *theirs)
{
    static const char *const names[] = {
        "mret", "sret", "wfi", "sfence.vma", "dret", "c.unimp", "sfence.w.inval", "sfence.inval.ir",
        NULL};
    return starts_with_any(theirs, names);
}

// Reserved by the V specification whatever vtype is, but written by LLVM's assembler without a
// word: segments whose last field lies beyond v31, indexed segment loads over their indices (7.8),
// and extensions onto their own, narrower source (5.2).
static bool reserved_vector(const char *theirs)
{
    static const char *const names[] = {"vzext.vf", "vsext.vf", NULL};
    return starts_with_any(theirs, names) || (theirs[0] == 'v' && strstr(theirs, "seg"));
}

// LLVM knows only fences with all reserved fields 0; the specification has implementations ignore
// them (unprivileged ISA, "Memory Ordering Instructions" and "Zifencei").
static bool reserved_fence(const sample *s)
{
    return (s->word & 0x7f) == 0x0f && !s->legal;
}

// LLVM writes csrrw zero, cycle, zero, which always traps, as "unimp", names CSRs that user mode
// does not have, and shows the immediate of the hint c.lui zero as a signed number.
static bool written_otherwise(const char *ours, const char *theirs)
{
    return !strcmp(theirs, "unimp") || !strncmp(theirs, "c.lui zero, -", 13) ||
           (!strncmp(ours, "csr", 3) && strpbrk(ours, "0123456789"));
}

// ------------------------------------------------------------------------ tests

static void disassemble(uint32_t word, isa_instruction *in, char *to)
{
    text t = {0};
    isa_decode(word, in);
    isa_disassemble(&t, in, ISA_NO_PC);
    snprintf(to, TEXT, "%s", text_string(&t));
    text_free(&t);
}

// Legal words must read the same; words that only LLVM takes must be ones that its own assembler
// would not write (registers that overlap).
static size_t compare(void)
{
    size_t wrong = 0, doubtful = 0;
    char(*texts)[TEXT] = calloc(sample_count, TEXT);
    uint32_t *words = calloc(sample_count, sizeof *words);
    assert_non_null(texts);
    assert_non_null(words);
    for (size_t i = 0; i < sample_count; i++) {
        const sample *s = &samples[i];
        isa_instruction in;
        char ours[TEXT];
        disassemble(s->word, &in, ours);
        bool legal = in.opcode != ISA_ILLEGAL;
        if (legal && !strcmp(isa_rows[in.opcode].extension, "Xlut"))
            continue;
        if (legal && s->legal && strcmp(ours, s->text) && !written_otherwise(ours, s->text))
            wrong++, print_message("%08x: '%s', LLVM: '%s'\n", s->word, ours, s->text);
        if (legal && !s->legal && !reserved_fence(s))
            wrong++, print_message("%08x: '%s', LLVM: illegal\n", s->word, ours);
        if (!legal && s->legal && !outside_profile(s->text) && !reserved_vector(s->text))
            memcpy(texts[doubtful++], s->text, TEXT);
    }
    assemble(texts, doubtful, words);
    for (size_t i = 0; i < doubtful; i++)
        if (words[i])
            wrong++, print_message("illegal, LLVM: '%s'\n", texts[i]);
    print_message("%zu words, %zu decoded by LLVM but not assembled\n", sample_count, doubtful);
    free(texts);
    free(words);
    return wrong;
}

// Every row with its free bits filled at random.
static void test_rows_read_as_llvm_reads_them(void **state)
{
    (void)state;
    sample_count = 0;
    for (unsigned opcode = 1; opcode < ISA_OPCODE_COUNT; opcode++)
        for (unsigned n = 0; n < 100; n++)
            add_sample((random_word() & ~isa_rows[opcode].mask) | isa_rows[opcode].match);
    ask_llvm();
    assert_int_equal(compare(), 0);
}

static void test_all_halfwords_read_as_llvm_reads_them(void **state)
{
    (void)state;
    sample_count = 0;
    for (uint32_t word = 0; word < 0x10000; word++)
        if ((word & 3) != 3)
            add_sample(word);
    ask_llvm();
    assert_int_equal(compare(), 0);
}

// Anything with a major opcode that we have, so that both sides meet what they do not know.
static void test_random_words_are_legal_where_llvm_says_so(void **state)
{
    (void)state;
    sample_count = 0;
    for (unsigned n = 0; n < 60000; n++) {
        uint32_t opcode = isa_rows[1 + random_word() % (ISA_OPCODE_COUNT - 1)].match & 0x7f;
        add_sample((random_word() & ~0x7fu) | opcode);
        add_sample(random_word() | 3);
    }
    ask_llvm();
    assert_int_equal(compare(), 0);
}

// Our text through LLVM's assembler gives the word back.
static void test_text_assembles_to_the_same_bits(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    static char texts[COUNT][TEXT];
    static uint32_t words[COUNT], back[COUNT];
    size_t count = 0, wrong = 0;
    while (count < COUNT) {
        isa_instruction in;
        unsigned opcode = 1 + random_word() % (ISA_OPCODE_COUNT - 1);
        words[count] = (random_word() & ~isa_rows[opcode].mask) | isa_rows[opcode].match;
        disassemble(words[count], &in, texts[count]);
        bool unknown =
            in.opcode == ISA_FENCE || in.opcode == ISA_FENCE_I || strstr(texts[count], "lutshape");
        if (in.opcode != ISA_ILLEGAL && strcmp(isa_rows[in.opcode].extension, "Xlut") && !unknown)
            count++;
    }
    assemble(texts, COUNT, back);
    for (size_t i = 0; i < COUNT; i++)
        if (words[i] != back[i])
            wrong++, print_message("%08x: '%s' assembles to %08x\n", words[i], texts[i], back[i]);
    assert_int_equal(wrong, 0);
}

// A legal Xlut word of random fields.
static uint32_t random_xlut(isa_instruction *in)
{
    for (;;) {
        unsigned opcode = ISA_LMMA + random_word() % (ISA_OPCODE_COUNT - ISA_LMMA);
        uint32_t word = (random_word() & ~isa_rows[opcode].mask) | isa_rows[opcode].match;
        isa_decode(word, in);
        if (in->opcode != ISA_ILLEGAL)
            return word;
    }
}

static void test_xlut_directives_assemble_to_the_same_bits(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    static char texts[COUNT][TEXT];
    static uint32_t words[COUNT], back[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        isa_instruction in;
        text t = {0};
        words[i] = random_xlut(&in);
        assert_true(isa_insn_directive(&t, &in, NULL, NULL, NULL, NULL));
        snprintf(texts[i], TEXT, "%s", text_string(&t));
        text_free(&t);
    }
    assemble(texts, COUNT, back);
    for (size_t i = 0; i < COUNT; i++)
        if (words[i] != back[i])
            fail_msg("%08x: '%s' assembles to %08x", words[i], texts[i], back[i]);
}

// "lut.ld lt5, 128(a4)" -> "lut.ld lt5, 128, a4", as the macros want it.
static void without_parentheses(char *to, const char *from)
{
    for (size_t n = 0; *from && n + 3 < TEXT; from++) {
        if (*from == '(' && from[-1] != ' ')
            to[n++] = ',', to[n++] = ' ';
        else if (*from != '(' && *from != ')')
            to[n++] = *from;
        to[n] = '\0';
    }
}

// What lutdump shows can be assembled with xlut.inc.
static void test_xlut_text_assembles_with_macros(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    static char texts[COUNT][TEXT], prologue[80];
    static uint32_t words[COUNT], back[COUNT];
    text macros = {0};
    isa_publish_macros(&macros);
    FILE *f = open_file("xlut.inc", "w");
    fputs(text_string(&macros), f);
    fclose(f);
    text_free(&macros);
    for (size_t i = 0; i < COUNT; i++) {
        isa_instruction in;
        text t = {0};
        words[i] = random_xlut(&in);
        isa_disassemble(&t, &in, ISA_NO_PC);
        without_parentheses(texts[i], text_string(&t));
        text_free(&t);
    }
    snprintf(prologue, sizeof prologue, ".include \"%s/xlut.inc\";", folder);
    assemble_after(prologue, texts, COUNT, back);
    for (size_t i = 0; i < COUNT; i++)
        if (words[i] != back[i])
            fail_msg("%08x: '%s' assembles to %08x", words[i], texts[i], back[i]);
}

static void test_stock_assembler_knows_no_xlut_word(void **state)
{
    (void)state;
    sample_count = 0;
    isa_instruction in;
    for (unsigned n = 0; n < 2000; n++)
        add_sample(random_xlut(&in));
    ask_llvm();
    for (size_t i = 0; i < sample_count; i++)
        assert_false(samples[i].legal);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

int main(void)
{
    if (!llvm_mc_exists()) {
        puts("skipped: there is no llvm-mc-19 to compare with");
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_read_as_llvm_reads_them),
        cmocka_unit_test(test_all_halfwords_read_as_llvm_reads_them),
        cmocka_unit_test(test_random_words_are_legal_where_llvm_says_so),
        cmocka_unit_test(test_text_assembles_to_the_same_bits),
        cmocka_unit_test(test_xlut_directives_assemble_to_the_same_bits),
        cmocka_unit_test(test_xlut_text_assembles_with_macros),
        cmocka_unit_test(test_stock_assembler_knows_no_xlut_word),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
