// Observers: how statistics, traces, profiles, debuggers and the user's own plugins see a program
// run. Any number can look on at once; without one, execution costs what it cost before.
//
// This header stands alone, and is installed as lutra/observe.h for plugins (docs/debugging.md).
// `struct hart` and `struct isa_instruction` are those of runtime/hart/hart.h and isa/isa.h; a
// plugin asks the services about them.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hart;
struct isa_instruction;

// What an observer is told; functions that are NULL are not called. The order for each instruction:
// all gates; if none refuses, all `instruction` functions; then it executes. Several harts (lutrun
// --harts) take turns while they are observed, so that functions are called one at a time.
typedef struct observer {
    void *context;
    // A call of an entry begins, or the process: registers and memory are set. `name` is the
    // entry's, or the program's path. Told of each hart, before any executes.
    void (*begin)(void *context, struct hart *h, const char *name);
    // Whether the instruction at pc may execute. False: `stopped` is called, and the gates are
    // asked again before anything executes. Changes nothing in the hart.
    bool (*gate)(void *context, struct hart *h, const struct isa_instruction *in);
    // After the gate refused. May read and change registers and memory, pc included. False, or
    // NULL: the run ends here.
    bool (*stopped)(void *context, struct hart *h);
    // The instruction at pc is about to execute. What it writes can be seen at the next one, or in
    // `fault` or `end`. Changes nothing in the hart.
    void (*instruction)(void *context, struct hart *h, const struct isa_instruction *in);
    // Asked now and then: whether it has seen enough, and needs `gate` and `instruction` no more.
    // When all have, the program runs at full speed. NULL: never.
    bool (*idle)(void *context);
    // The instruction at pc faulted and has changed nothing. May change registers and memory. True
    // from any observer: it is to be tried again. Otherwise the run ends.
    bool (*fault)(void *context, struct hart *h);
    // The call ended, however it did. Told of each hart.
    void (*end)(void *context, struct hart *h);
    // The last thing, once: `exit_code` is that of the emulator. Releases the context.
    void (*finish)(void *context, int exit_code);
    // The hart has come to a barrier, where it waits until all harts have.
    void (*barrier)(void *context, struct hart *h);
} observer;

// ---------------------------------------------------------------------- plugins

// Changes whenever this header changes in a way that old plugins cannot bear.
enum { OBSERVE_PLUGIN_VERSION = 1 };

typedef enum observe_register {
    OBSERVE_PC,     // number 0
    OBSERVE_X,      // 0 .. 31
    OBSERVE_F,      // 0 .. 31, narrower values NaN-boxed
    OBSERVE_CSR,    // by its number in the specification
    OBSERVE_VECTOR, // 0 .. 31
    OBSERVE_TILE,   // 0 .. 31
} observe_register;

// An instruction in the terms of isa/*.isa. Strings live as long as the emulator.
typedef struct observe_instruction {
    uint32_t word;          // as fetched
    unsigned length;        // bytes: 2 or 4
    unsigned opcode;        // below observe_services.opcodes; stable within one build of Lutra
    const char *mnemonic;   // "lmma.{table}.{form}{sums}{options}": with its variable parts
    const char *class_name; // "load", "vector float", "lut matrix"
} observe_instruction;

// A piece of memory that an instruction reads or writes.
typedef struct observe_access {
    uint64_t address, size;
    bool write;
} observe_access;
typedef void observe_visit(void *context, const observe_access *access);

// What the emulator does for a plugin; lives as long as the plugin.
typedef struct observe_services {
    unsigned version; // OBSERVE_PLUGIN_VERSION
    unsigned opcodes; // how many there are
    void *program;    // the emulator's

    void (*decode)(const struct isa_instruction *in, observe_instruction *out);
    // Assembly, cut to `size` bytes with the NUL; its whole length.
    size_t (*disassemble)(const struct isa_instruction *in, uint64_t pc, char *out, size_t size);
    // The register's bytes, little-endian, and their number in *size: 8, VLEN / 8, or a tile's.
    // Valid until the next call or instruction. NULL: no such register.
    const void *(*read_register)(struct hart *h, observe_register kind, unsigned number,
                                 size_t *size);
    bool (*read_memory)(struct hart *h, uint64_t address, void *data, size_t size);
    // Every piece of memory that the instruction at pc will touch, were it to execute now.
    void (*accesses)(struct hart *h, const struct isa_instruction *in, observe_visit *visit,
                     void *context);
    // The register that the instruction writes, the first of several. False: none.
    bool (*written)(const struct isa_instruction *in, observe_register *kind, unsigned *number);
    // Table lookups of the instruction: 0 unless it is an lmma.
    uint64_t (*lookups)(const struct hart *h, const struct isa_instruction *in);
    // The function or object that the address lies in, and how far; NULL: none.
    const char *(*symbol)(const struct observe_services *s, uint64_t address, uint64_t *offset);
    // "ffn.lut:14:5", cut to `size` bytes; false: not known.
    bool (*source_line)(const struct observe_services *s, uint64_t address, char *out, size_t size);
} observe_services;

// A plugin is a shared object that defines
//     const observe_plugin lutra_plugin = {OBSERVE_PLUGIN_VERSION, "name", open};
typedef struct observe_plugin {
    unsigned version;
    const char *name;
    // `arguments` is what follows the ':' on the command line, "" if nothing does. Fills *out.
    // False: the plugin has said on stderr why it cannot.
    bool (*open)(const char *arguments, const observe_services *services, observer *out);
} observe_plugin;
#define OBSERVE_PLUGIN_SYMBOL "lutra_plugin"
