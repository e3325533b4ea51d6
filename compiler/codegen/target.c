// LLVM's targets: a module is verified, optimized, and written out as text,
// assembly or an object.
#include "compiler/codegen/emit.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/Core.h>
#include <llvm-c/ErrorHandling.h>
#include <llvm-c/Support.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct codegen_unit {
    LLVMContextRef context;
    LLVMModuleRef llvm;
    LLVMTargetMachineRef target;
    char *messages; // LLVM's complaints since the last check
};

// Straight-line and loop clean-up of what emit.c writes plainly. Vectorisation
// has happened already; inlining is not wanted, kernels keep their names.
static const char pipeline[] =
    "function(early-cse<memssa>,simplifycfg,reassociate,loop-mssa(loop-rotate,licm),"
    "loop(indvars,loop-deletion,loop-unroll-full),gvn,instcombine<no-verify-fixpoint>,"
    "loop-mssa(licm),simplifycfg)";

// ---------------------------------------------------------------------- target

// What LLVM cannot select or allocate is a bug of ours too.
static void stop(const char *reason)
{
    INTERNAL_ERROR("LLVM: %s", reason);
}

static void initialize(void)
{
    static bool done;
    if (done)
        return;
    done = true;
    LLVMInstallFatalErrorHandler(stop);
    LLVMInitializeRISCVTargetInfo();
    LLVMInitializeRISCVTarget();
    LLVMInitializeRISCVTargetMC();
    LLVMInitializeRISCVAsmParser();
    LLVMInitializeRISCVAsmPrinter();
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeAArch64TargetInfo();
    LLVMInitializeAArch64Target();
    LLVMInitializeAArch64TargetMC();
    LLVMInitializeAArch64AsmPrinter();
    // Numbers are made by up to three instructions: in memory they would leave scratch, between two
    // column tiles, and be waited for.
    static const char *const options[] = {"lutc", "-riscv-lower-fpimm-cost=3"};
    LLVMParseCommandLineOptions(sizeof options / sizeof *options, options, NULL);
}

const char *codegen_llvm_version(void)
{
    static char version[32];
    unsigned major, minor, patch;
    LLVMGetVersion(&major, &minor, &patch);
    snprintf(version, sizeof version, "%u.%u.%u", major, minor, patch);
    return version;
}

static LLVMTargetRef llvm_target(const char *triple)
{
    LLVMTargetRef found;
    char *message = NULL;
    if (LLVMGetTargetFromTriple(triple, &found, &message))
        INTERNAL_ERROR("LLVM has no target %s: %s", triple, message);
    return found;
}

// Functions name the features of their levels.
static LLVMTargetMachineRef create_native(const code_target *t)
{
    LLVMTargetMachineOptionsRef options = LLVMCreateTargetMachineOptions();
    LLVMTargetMachineOptionsSetCPU(options, t->levels[0]->cpu);
    LLVMTargetMachineOptionsSetCodeGenOptLevel(options, LLVMCodeGenLevelDefault);
    LLVMTargetMachineOptionsSetRelocMode(options, LLVMRelocPIC);
    LLVMTargetMachineRef m =
        LLVMCreateTargetMachineWithOptions(llvm_target(t->triple), t->triple, options);
    LLVMDisposeTargetMachineOptions(options);
    return m;
}

static LLVMTargetMachineRef create_riscv(const machine *m)
{
    char features[240]; // the last one: moves in the shadow of a branch are not for free
    snprintf(features, sizeof features,
             "+m,+a,+f,+d,+c,+v,+zba,+zbb,+zbs,+zicbop,+zfh,+zvfh,+zfbfmin,+zvfbfmin,+zvl%ub,"
             "-short-forward-branch-opt",
             m->vlen);
    LLVMTargetMachineOptionsRef options = LLVMCreateTargetMachineOptions();
    LLVMTargetMachineOptionsSetCPU(options, "generic-rv64");
    LLVMTargetMachineOptionsSetFeatures(options, features);
    LLVMTargetMachineOptionsSetABI(options, "lp64d");
    LLVMTargetMachineOptionsSetCodeGenOptLevel(options, LLVMCodeGenLevelDefault);
    LLVMTargetMachineOptionsSetRelocMode(options, LLVMRelocStatic);
    LLVMTargetMachineOptionsSetCodeModel(options, LLVMCodeModelMedium);
    LLVMTargetMachineRef t =
        LLVMCreateTargetMachineWithOptions(llvm_target("riscv64"), "riscv64", options);
    LLVMDisposeTargetMachineOptions(options);
    return t;
}

static LLVMTargetMachineRef create_target(const codegen_options *options)
{
    initialize();
    bool native = options->target && options->target->native;
    return native ? create_native(options->target) : create_riscv(options->machine);
}

static void set_target(codegen_unit *u)
{
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(u->target);
    char *triple = LLVMGetTargetMachineTriple(u->target);
    LLVMSetModuleDataLayout(u->llvm, layout);
    LLVMSetTarget(u->llvm, triple);
    LLVMDisposeMessage(triple);
    LLVMDisposeTargetData(layout);
}

// ----------------------------------------------------------------- diagnostics

// A wrong inline assembly is a success for LLVM, so its errors are collected.
static void collect_message(LLVMDiagnosticInfoRef info, void *context)
{
    codegen_unit *u = context;
    if (LLVMGetDiagInfoSeverity(info) != LLVMDSError)
        return;
    char *description = LLVMGetDiagInfoDescription(info);
    if (!u->messages)
        u->messages = strdup(description);
    LLVMDisposeMessage(description);
}

static void check_messages(const codegen_unit *u, const char *when)
{
    if (u->messages)
        INTERNAL_ERROR("LLVM, %s: %s", when, u->messages);
}

static void verify(const codegen_unit *u)
{
    char *message = NULL;
    if (!LLVMVerifyModule(u->llvm, LLVMReturnStatusAction, &message)) {
        LLVMDisposeMessage(message);
        return;
    }
    INTERNAL_ERROR("the LLVM module is wrong: %s", message);
}

// -------------------------------------------------------------------- building

static void optimize(codegen_unit *u)
{
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMErrorRef error = LLVMRunPasses(u->llvm, pipeline, u->target, options);
    LLVMDisposePassBuilderOptions(options);
    if (error)
        INTERNAL_ERROR("LLVM, optimizing: %s", LLVMGetErrorMessage(error));
    check_messages(u, "optimizing");
}

static codegen_unit *create_unit(const char *name, const codegen_options *options)
{
    codegen_unit *u = calloc(1, sizeof *u);
    if (!u)
        INTERNAL_ERROR("out of memory");
    u->context = LLVMContextCreate();
    LLVMContextSetDiagnosticHandler(u->context, collect_message, u);
    u->llvm = LLVMModuleCreateWithNameInContext(name, u->context);
    u->target = create_target(options);
    set_target(u);
    return u;
}

static void emit_into(codegen_unit *u, diagnostics *d, ir_module *m, const codegen_options *options)
{
    emitter e = {.arena = arena_create(),
                 .diagnostics = d,
                 .options = options,
                 .module = m,
                 .context = u->context,
                 .llvm = u->llvm};
    e.builder = LLVMCreateBuilderInContext(u->context);
    emit_module(&e);
    LLVMDisposeBuilder(e.builder);
    arena_destroy(e.arena);
}

codegen_unit *codegen_build(diagnostics *d, ir_module *m, const codegen_options *options)
{
    size_t before = diagnostics_errors(d);
    codegen_unit *u = create_unit(m->name, options);
    emit_into(u, d, m, options);
    if (diagnostics_errors(d) != before) {
        codegen_destroy(u);
        return NULL;
    }
    verify(u);
    if (!options->no_optimization)
        optimize(u);
    return u;
}

void codegen_destroy(codegen_unit *u)
{
    if (!u)
        return;
    LLVMDisposeModule(u->llvm);
    LLVMDisposeTargetMachine(u->target);
    LLVMContextDispose(u->context);
    free(u->messages);
    free(u);
}

// -------------------------------------------------------------------- emitting

static void append_llvm(const codegen_unit *u, text *out)
{
    char *llvm = LLVMPrintModuleToString(u->llvm);
    text_append(out, llvm);
    LLVMDisposeMessage(llvm);
}

// Emitting changes the module, so a copy is emitted.
static void append_machine_code(codegen_unit *u, LLVMCodeGenFileType type, text *out)
{
    LLVMModuleRef copy = LLVMCloneModule(u->llvm);
    LLVMMemoryBufferRef buffer = NULL;
    char *message = NULL;
    if (LLVMTargetMachineEmitToMemoryBuffer(u->target, copy, type, &message, &buffer))
        INTERNAL_ERROR("LLVM, emitting: %s", message);
    check_messages(u, "emitting");
    text_append_n(out, LLVMGetBufferStart(buffer), LLVMGetBufferSize(buffer));
    LLVMDisposeMemoryBuffer(buffer);
    LLVMDisposeModule(copy);
}

void codegen_emit(codegen_unit *u, codegen_stage stage, text *out)
{
    switch (stage) {
    case CODEGEN_LLVM: append_llvm(u, out); return;
    case CODEGEN_ASSEMBLY: append_machine_code(u, LLVMAssemblyFile, out); return;
    case CODEGEN_OBJECT: append_machine_code(u, LLVMObjectFile, out); return;
    }
}
