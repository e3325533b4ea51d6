// What an object for CPUs says about itself: constants that lie in memory as the structures of
// runtime/native/lutra.h. All of their members are words: numbers and pointers.
#include "compiler/codegen/cpu/native.h"

#include <ctype.h>
#include <string.h>

enum { ABI_VERSION = 2 };

typedef ARRAY_OF(LLVMValueRef) words;

static void number(emitter *e, words *w, uint64_t value)
{
    ARRAY_PUSH(e->arena, w, int_constant(e, 64, (int64_t)value));
}

static void pointer(emitter *e, words *w, LLVMValueRef to)
{
    ARRAY_PUSH(e->arena, w, to ? to : LLVMConstNull(pointer_type(e)));
}

static LLVMValueRef constant(emitter *e, const char *name, LLVMValueRef value)
{
    LLVMValueRef global = LLVMAddGlobal(e->llvm, LLVMTypeOf(value), name);
    LLVMSetInitializer(global, value);
    LLVMSetGlobalConstant(global, true);
    LLVMSetLinkage(global, LLVMPrivateLinkage);
    return global;
}

static void text_word(emitter *e, words *w, const char *s)
{
    LLVMValueRef bytes = LLVMConstStringInContext2(e->context, s, strlen(s), false);
    LLVMValueRef global = constant(e, "text", bytes);
    LLVMSetUnnamedAddress(global, LLVMGlobalUnnamedAddr);
    pointer(e, w, global);
}

static LLVMValueRef structure(emitter *e, const words *w, const char *name)
{
    if (!w->count)
        return NULL;
    LLVMValueRef all = LLVMConstStructInContext(e->context, w->items, (unsigned)w->count, false);
    return constant(e, name, all);
}

// ---------------------------------------------------------------------- values

static int64_t dim_number(const program_description *p, const ir_symbol *symbol)
{
    for (size_t i = 0; i < p->dims.count; i++)
        if (p->dims.items[i] == symbol)
            return (int64_t)i;
    return -1; // of a constant
}

static void value_words(emitter *e, words *w, const program_value *v)
{
    text_word(e, w, v->name);
    text_word(e, w, v->type);
    number(e, w, v->rank);
    for (unsigned i = 0; i < IR_MAX_RANK; i++) {
        bool some = i < v->rank;
        number(e, w, (uint64_t)(some ? dim_number(e->options->program, v->shape[i].symbol) : -1));
        number(e, w, some ? (uint64_t)v->shape[i].value : 0);
    }
}

static void values_words(emitter *e, words *w, const program_value *values, size_t count)
{
    words all = {0};
    for (size_t i = 0; i < count; i++)
        value_words(e, &all, &values[i]);
    number(e, w, count);
    pointer(e, w, structure(e, &all, "values"));
}

static void dims_words(emitter *e, words *w, const program_description *p)
{
    words all = {0};
    for (size_t i = 0; i < p->dims.count; i++) {
        text_word(e, &all, p->dims.items[i]->name);
        number(e, &all, (uint64_t)p->dims.items[i]->minimum);
        number(e, &all, (uint64_t)p->dims.items[i]->maximum);
    }
    number(e, w, p->dims.count);
    pointer(e, w, structure(e, &all, "dims"));
}

static void states_words(emitter *e, words *w, const program_description *p)
{
    words all = {0};
    for (size_t i = 0; i < p->states.count; i++) {
        value_words(e, &all, &p->states.items[i].value);
        number(e, &all, p->states.items[i].offset);
    }
    number(e, w, p->states.count);
    pointer(e, w, structure(e, &all, "states"));
}

// ------------------------------------------------------------- levels, entries

static void levels_words(emitter *e, words *w, const code_target *t)
{
    words all = {0};
    size_t n = 0;
    for (; t->levels[n]; n++) {
        text_word(e, &all, t->levels[n]->name);
        number(e, &all, t->levels[n]->requires);
    }
    number(e, w, n);
    pointer(e, w, structure(e, &all, "levels"));
}

static void entry_words(emitter *e, words *w, const program_entry *entry)
{
    const code_target *t = e->options->target;
    const ir_function *f = ir_function_find(e->module, entry->symbol);
    words code = {0};
    text_word(e, w, entry->name);
    values_words(e, w, entry->inputs.items, entry->inputs.count);
    values_words(e, w, entry->outputs.items, entry->outputs.count);
    for (size_t i = 0; t->levels[i]; i++) {
        e->level = t->levels[i];
        pointer(e, &code, LLVMGetNamedFunction(e->llvm, symbol_of(e, f)));
    }
    pointer(e, w, structure(e, &code, "code"));
}

static void entries_words(emitter *e, words *w, const program_description *p)
{
    words all = {0};
    for (size_t i = 0; i < p->entries.count; i++)
        entry_words(e, &all, &p->entries.items[i]);
    number(e, w, p->entries.count);
    pointer(e, w, structure(e, &all, "entries"));
}

static void emit_program(emitter *e)
{
    const program_description *p = e->options->program;
    words w = {0};
    number(e, &w, ABI_VERSION);
    text_word(e, &w, e->module->name);
    text_word(e, &w, e->options->target->name);
    levels_words(e, &w, e->options->target);
    dims_words(e, &w, p);
    entries_words(e, &w, p);
    states_words(e, &w, p);
    number(e, &w, p->state_size);
    number(e, &w, p->workspace_size);
    number(e, &w, p->scratch_size);
    number(e, &w, (uint64_t)p->harts);
    number(e, &w, p->weights_size);
    number(e, &w, p->weights_layout);
    LLVMValueRef program = structure(e, &w, program_symbol(e->arena, e->module->name));
    LLVMSetLinkage(program, LLVMExternalLinkage);
    LLVMSetAlignment(program, 8);
}

void native_emit_levels(emitter *e)
{
    const target_level *const *levels = e->options->target->levels;
    for (size_t i = 0; levels[i] && !diagnostics_errors(e->diagnostics); i++) {
        e->level = levels[i];
        emit_functions(e);
    }
    if (!diagnostics_errors(e->diagnostics))
        emit_program(e);
    e->level = NULL;
}
