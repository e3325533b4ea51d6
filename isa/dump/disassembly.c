// Prints executable sections: symbols, source lines, instructions.
#include "isa/dump/dump.h"

#include "isa/isa.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct walk {
    dump_file *file;
    const dump_code *code;
    const char *const *functions; // NULL: all
    size_t function_count;
    size_t symbol, line; // the next ones
    bool shown;          // what is being passed is printed
    bool source;
    bool *found; // per function
    const dump_line *last;
} walk;

static uint32_t fetch(const dump_code *c, size_t at)
{
    uint32_t bits = 0;
    size_t left = c->size - at;
    memcpy(&bits, c->bytes + at, left < 4 ? left : 4);
    return bits;
}

static bool wanted(walk *w, const char *name)
{
    bool any = !w->function_count;
    for (size_t i = 0; i < w->function_count; i++)
        if (!strcmp(w->functions[i], name))
            any = w->found[i] = true;
    return any;
}

static void pass_symbols(walk *w, uint64_t address)
{
    const dump_file *f = w->file;
    for (; w->symbol < f->symbols.count; w->symbol++) {
        const dump_symbol *s = &f->symbols.items[w->symbol];
        if (s->section > w->code->index || (s->section == w->code->index && s->address > address))
            return;
        if (s->section < w->code->index || s->address < address)
            continue;
        w->shown = wanted(w, s->name);
        if (w->shown)
            fprintf(f->out, "\n%016" PRIx64 " <%s>:\n", s->address, s->name);
        w->last = NULL;
    }
}

static void show_line(walk *w, const dump_line *l)
{
    bool same = w->last && w->last->file == l->file && w->last->line == l->line;
    if (same || !l->file)
        return;
    const char *slash = strrchr(l->file, '/');
    const char *words = dump_source_text(w->file, l->file, l->line);
    fprintf(w->file->out, "%s:%u%s%s\n", slash ? slash + 1 : l->file, l->line, words ? "  " : "",
            words ? words : "");
    w->last = l;
}

static void pass_lines(walk *w, uint64_t address)
{
    const dump_line *here = NULL;
    for (; w->line < w->file->lines.count; w->line++) {
        if (w->file->lines.items[w->line].address > address)
            break;
        here = &w->file->lines.items[w->line];
    }
    if (here && w->shown && w->source && here->address == address)
        show_line(w, here);
}

// " <main+0x20>" of the place that a branch or jump goes to.
static void append_target(const walk *w, text *t, const isa_instruction *in, uint64_t address)
{
    isa_class class = isa_rows[in->opcode].class;
    if (class != ISA_CLASS_BRANCH && in->opcode != ISA_JAL)
        return;
    uint64_t target = address + (uint64_t)(int64_t)in->imm;
    const dump_symbol *s = dump_symbol_at(w->file, w->code->index, target);
    if (s && s->address == target)
        text_printf(t, " <%s>", s->name);
    else if (s)
        text_printf(t, " <%s+0x%" PRIx64 ">", s->name, target - s->address);
}

static void show_instruction(const walk *w, const isa_instruction *in, uint64_t address)
{
    text t = {0};
    isa_disassemble(&t, in, address);
    append_target(w, &t, in, address);
    const char *space = strchr(text_string(&t), ' ');
    int mnemonic = space ? (int)(space - text_string(&t)) : (int)t.length;
    FILE *out = w->file->out;
    fprintf(out, "%10" PRIx64 ":  %0*" PRIx32 "%*s  ", address, 2 * in->length, in->word,
            8 - 2 * in->length, "");
    if (space)
        fprintf(out, "%-12.*s%s\n", mnemonic, text_string(&t), space);
    else
        fprintf(out, "%s\n", text_string(&t));
    text_free(&t);
}

static void show_section(walk *w)
{
    if (!w->function_count)
        fprintf(w->file->out, "\nsection %s:\n", w->code->name);
    for (size_t at = 0; at < w->code->size;) {
        isa_instruction in;
        uint64_t address = w->code->address + at;
        isa_decode(fetch(w->code, at), &in);
        if (in.length > w->code->size - at)
            in.length = 2, in.word &= 0xffff, in.opcode = ISA_ILLEGAL; // cut off at the end
        pass_symbols(w, w->file->relocatable ? at : address);
        pass_lines(w, address);
        if (w->shown)
            show_instruction(w, &in, address);
        at += in.length;
    }
}

static bool report_missing(dump_file *f, const walk *w)
{
    bool good = true;
    for (size_t i = 0; i < w->function_count; i++) {
        if (w->found[i])
            continue;
        const char **names = ARENA_ARRAY(f->arena, const char *, f->symbols.count);
        for (size_t s = 0; s < f->symbols.count; s++)
            names[s] = f->symbols.items[s].name;
        const char *near = text_nearest(w->functions[i], names, f->symbols.count);
        diagnostic_error(f->diagnostics, f->where, "there is no function '%s'%s%s%s",
                         w->functions[i], near ? "; did you mean '" : "", near ? near : "",
                         near ? "'?" : "");
        good = false;
    }
    return good;
}

bool dump_disassembly(dump_file *f, const char *const *functions, size_t count, bool with_source)
{
    if (!f->code.count) {
        diagnostic_error(f->diagnostics, f->where, "there is no executable section to show");
        return false;
    }
    if (with_source)
        dump_read_lines(f);
    walk w = {.file = f, .functions = functions, .function_count = count, .source = with_source};
    w.found = ARENA_ARRAY(f->arena, bool, count);
    for (size_t i = 0; i < f->code.count; i++) {
        w.code = &f->code.items[i];
        w.symbol = w.line = 0;
        w.shown = !count;
        w.last = NULL;
        show_section(&w);
    }
    return report_missing(f, &w);
}
