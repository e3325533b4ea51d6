// DWARF line tables: operations know their place in the source. Paths are as the
// user wrote them and the directory is ".", so that the bytes do not depend on
// where the compiler ran.
#include "compiler/codegen/emit.h"

#include <string.h>

static LLVMMetadataRef file_of(emitter *e, const source *s)
{
    debug_info *d = &e->debug;
    for (size_t i = 0; i < d->files.count; i++)
        if (d->files.items[i].source == s)
            return d->files.items[i].file;
    const char *name = s ? s->name : e->module->name;
    LLVMMetadataRef file = LLVMDIBuilderCreateFile(d->builder, name, strlen(name), ".", 1);
    ARRAY_PUSH(e->arena, &d->files, (struct debug_file){s, file});
    return file;
}

static void add_flag(emitter *e, const char *name, unsigned value)
{
    LLVMMetadataRef number = LLVMValueAsMetadata(int_constant(e, 32, value));
    LLVMAddModuleFlag(e->llvm, LLVMModuleFlagBehaviorWarning, name, strlen(name), number);
}

void debug_begin(emitter *e)
{
    enum { DWARF_VERSION = 4 };
    if (e->options->no_debug)
        return;
    debug_info *d = &e->debug;
    d->builder = LLVMCreateDIBuilder(e->llvm);
    add_flag(e, "Debug Info Version", LLVMDebugMetadataVersion());
    add_flag(e, "Dwarf Version", DWARF_VERSION);
    const ir_function *first = e->module->functions;
    LLVMMetadataRef file = file_of(e, first ? first->where.source : NULL);
    d->unit = LLVMDIBuilderCreateCompileUnit(d->builder, LLVMDWARFSourceLanguageC, file, "lutc", 4,
                                             true, "", 0, 0, "", 0, LLVMDWARFEmissionFull, 0, false,
                                             false, "", 0, "", 0);
    d->type = LLVMDIBuilderCreateSubroutineType(d->builder, file, NULL, 0, LLVMDIFlagZero);
}

void debug_function(emitter *e, LLVMValueRef function)
{
    debug_info *d = &e->debug;
    if (!d->builder)
        return;
    const ir_function *f = e->function;
    LLVMMetadataRef file = file_of(e, f->where.source);
    d->function_source = f->where.source;
    size_t length;
    const char *name = LLVMGetValueName2(function, &length);
    const bool internal = LLVMGetLinkage(function) == LLVMInternalLinkage;
    d->function = LLVMDIBuilderCreateFunction(d->builder, file, name, length, name, length, file,
                                              f->where.line, d->type, internal, true, f->where.line,
                                              LLVMDIFlagZero, true);
    LLVMSetSubprogram(function, d->function);
}

// A kernel may hold operations of several files.
static LLVMMetadataRef scope_of(emitter *e, const source *s)
{
    debug_info *d = &e->debug;
    if (!s || s == d->function_source)
        return d->function;
    return LLVMDIBuilderCreateLexicalBlockFile(d->builder, d->function, file_of(e, s), 0);
}

void debug_location(emitter *e, location where)
{
    if (!e->debug.builder)
        return;
    LLVMMetadataRef place = LLVMDIBuilderCreateDebugLocation(e->context, where.line, where.column,
                                                             scope_of(e, where.source), NULL);
    LLVMSetCurrentDebugLocation2(e->builder, place);
}

void debug_end(emitter *e)
{
    if (!e->debug.builder)
        return;
    LLVMDIBuilderFinalize(e->debug.builder);
    LLVMDisposeDIBuilder(e->debug.builder);
    e->debug.builder = NULL;
}
