// What the machine is: instructions and machine descriptions, read by compiler
// and emulator alike. Instructions are rows of isa/*.isa; the generator expands
// them into the opcode enum, decoder, encoder, disassembler, xlut.h and manual.
#pragma once

#include "isa/options.h"
#include "support/arena.h"
#include "support/diagnostic.h"
#include "support/text.h"

#include <stdbool.h>
#include <stdint.h>

// ---------------------------------------------------------------- instructions

typedef enum isa_opcode {
    ISA_ILLEGAL, // every word that no row matches
#define ISA_ROW(E) ISA_##E,
#include "isa/opcodes.inc" // generated: ISA_ADDI, ISA_VADD_VV, ISA_LUT_LD, ISA_LMMA, ...
#undef ISA_ROW
    ISA_OPCODE_COUNT
} isa_opcode;

// What the statistics count by, and the timing model charges by.
// ISA_CLASS(enumerator, name)
#define ISA_CLASSES(ISA_CLASS)                                                                     \
    ISA_CLASS(INTEGER, "integer")                                                                  \
    ISA_CLASS(MULTIPLY, "multiply")                                                                \
    ISA_CLASS(DIVIDE, "divide")                                                                    \
    ISA_CLASS(LOAD, "load")                                                                        \
    ISA_CLASS(STORE, "store")                                                                      \
    ISA_CLASS(ATOMIC, "atomic")                                                                    \
    ISA_CLASS(BRANCH, "branch")                                                                    \
    ISA_CLASS(JUMP, "jump")                                                                        \
    ISA_CLASS(FLOAT, "float")                                                                      \
    ISA_CLASS(FLOAT_DIVIDE, "float divide")                                                        \
    ISA_CLASS(SYSTEM, "system")                                                                    \
    ISA_CLASS(VECTOR_SETUP, "vector setup")                                                        \
    ISA_CLASS(VECTOR, "vector")                                                                    \
    ISA_CLASS(VECTOR_MULTIPLY, "vector multiply")                                                  \
    ISA_CLASS(VECTOR_DIVIDE, "vector divide")                                                      \
    ISA_CLASS(VECTOR_FLOAT, "vector float")                                                        \
    ISA_CLASS(VECTOR_LOAD, "vector load")                                                          \
    ISA_CLASS(VECTOR_STORE, "vector store")                                                        \
    ISA_CLASS(VECTOR_PERMUTE, "vector permute")                                                    \
    ISA_CLASS(VECTOR_REDUCE, "vector reduce")                                                      \
    ISA_CLASS(TILE_LOAD, "tile load")                                                              \
    ISA_CLASS(TILE_STORE, "tile store")                                                            \
    ISA_CLASS(TILE_PREFETCH, "tile prefetch")                                                      \
    ISA_CLASS(TABLE_BUILD, "table build")                                                          \
    ISA_CLASS(LUT_MMA, "lut matrix")                                                               \
    ISA_CLASS(DEQUANTIZE, "dequantize")                                                            \
    ISA_CLASS(MMA, "matrix")

typedef enum isa_class {
#define ISA_CLASS(E, name) ISA_CLASS_##E,
    ISA_CLASSES(ISA_CLASS)
#undef ISA_CLASS
        ISA_CLASS_COUNT
} isa_class;
extern const char *const isa_class_names[ISA_CLASS_COUNT];

// A decoded instruction. Fields that the row does not have are 0. Compressed
// instructions decode to the instruction they expand to, with length 2.
typedef struct isa_instruction {
    uint32_t word;             // as fetched (16 bits for length 2)
    uint16_t opcode;           // isa_opcode
    uint8_t length;            // 2 or 4
    uint8_t rd, rs1, rs2, rs3; // x, f, v or lt numbers, as the row says
    uint8_t rm;                // rounding mode field
    uint8_t vm;                // 1: unmasked
    uint8_t nf;                // segment loads and stores: fields - 1
    uint8_t aq, rl;
    // Sign-extended as the row says; CSR number; vtype of vsetvli and vsetivli (whose AVL is in
    // rs1); bits 31:12 of lui and auipc; byte offset of branches, jumps and tiles.
    int32_t imm;
    // Xlut option fields (isa/options.h); `type` is an xlut_sum, xlut_data or xlut_mma.
    uint8_t table, form, slice, rows, start, activation, scale_type, type, half;
} isa_instruction;

// `bits`: the 32 bits at pc (the upper half is ignored for compressed ones).
// Always fills *out; opcode ISA_ILLEGAL when no row matches, reserved encodings
// included.
void isa_decode(uint32_t bits, isa_instruction *out);
// The inverse: the 32-bit word of opcode and fields (word and length ignored).
// False: a field is out of its range.
bool isa_encode(const isa_instruction *in, uint32_t *word);

typedef struct isa_row {
    const char *mnemonic;  // "lut.ld", "vadd.vv"
    const char *extension; // "I", "M", ..., "V", "Zvfbfmin", "Xlut"
    uint32_t match, mask;
    const char *operands; // as listed in the .isa file
    isa_class class;
    const char *meaning; // one line
    const char *syntax;  // the mnemonic with its variable parts: "vl{seg}e8.v"
    const char *bits;    // the pattern, as listed in the .isa file
} isa_row;
extern const isa_row isa_rows[ISA_OPCODE_COUNT];

// Assembly as llvm-mc -M no-aliases writes it (compressed ones by their own names, "c.addi a0, 1"),
// Xlut as docs/xlut.md does; one blank behind the mnemonic. Branch targets are absolute, or offsets
// where pc is ISA_NO_PC.
#define ISA_NO_PC UINT64_MAX
void isa_disassemble(text *out, const isa_instruction *in, uint64_t pc);
extern const char *const isa_x_names[32], *const isa_f_names[32]; // "a0", "fa0"
const char *isa_csr_name(unsigned number); // NULL: none that a user-mode program has

// The assembler statement that produces an Xlut instruction in stock LLVM or gas:
// ".insn r CUSTOM_0, 1, 3, x8, $0, $1". General registers are written as the
// given templates ("$0", "a0", which stand for any register but x0; NULL: the number in the field),
// tile registers as literal xN. False: a field is out of its range.
bool isa_insn_directive(text *out, const isa_instruction *in, const char *rd, const char *rs1,
                        const char *rs2, const char *rs3);

// ------------------------------------------------------------------- machines

enum {
    MACHINE_SETTINGS = 0
#define SETTING(...) +1
#include "isa/machine_settings.def"
#undef SETTING
};

// What a machine may lack.
enum {
    MACHINE_TILES = 1,
    MACHINE_LUT = 2,
    MACHINE_MATRIX = 4,
    MACHINE_L2 = 8,
    MACHINE_ENERGY = 16, // no unit, but figures
    MACHINE_CLUSTER = 32,
};

// A machine description (isa/machines/*.machine). The first group is
// architecture: programs are compiled for it and refused elsewhere. The rest is
// timing and energy.
typedef struct machine {
    const char *name;
    unsigned parts;                        // MACHINE_TILES | ...
    const char *sources[MACHINE_SETTINGS]; // where each figure comes from; NULL: not said
    // architecture
    uint32_t vlen;           // bits
    uint32_t tile_m, tile_n; // 0: no tile registers
    // Timing and energy: what each is, and its range, in machine_settings.def. Per hart unless said
    // otherwise; latencies and rates in cycles; 0 where the machine has no such part.
    double clock; // Hz
    uint32_t harts;
    uint32_t issue_width, issue_mispredict;
    uint32_t scalar_load, scalar_multiply, scalar_divide, scalar_float, scalar_float_divide;
    uint32_t vector_bits, vector_latency, vector_divide, vector_permute, vector_reduce;
    uint32_t tiles_load, tiles_store, tiles_latency;
    uint32_t unit_m, unit_n, unit_k, units, unit_wide, unit_latency;
    uint32_t table_groups, table_latency;
    uint32_t dequantize_lanes, dequantize_latency;
    uint32_t matrix_i8, matrix_f16, matrix_latency;
    uint32_t cluster_harts, cluster_threads;
    uint64_t scratch_size;
    uint32_t scratch_ways, scratch_bytes;
    uint64_t l2_size;
    uint32_t l2_ways;
    double l2_bandwidth, l2_latency;         // bytes per second, seconds
    double memory_bandwidth, memory_latency; // bytes per second, seconds
    uint32_t memory_outstanding;             // lines
    double energy_instruction, energy_scalar, energy_vector, energy_vector_float; // joules
    double energy_lookup, energy_lookup_wide, energy_group, energy_dequantize;
    double energy_matrix_i8, energy_matrix_f16;
    double energy_tile, energy_scratch, energy_l2, energy_memory;
    double energy_static; // watts
} machine;

// A built-in name, or a path (contains '/' or ends in ".machine"). Unknown names
// get a did-you-mean; units are checked. Settings may follow that replace those of the machine,
// which keeps its name: "m2n64k4,unit.count=8,memory.bandwidth=51.2GB/s". False: reported.
bool machine_load(arena *a, diagnostics *d, const char *name, machine *out);
// The same with the VLEN and tile shape that something was made for, where it has tiles (0: none).
bool machine_load_for(arena *a, diagnostics *d, const char *name, uint32_t vlen, uint32_t tile_m,
                      uint32_t tile_n, machine *out);
// How the settings of `made` that are architecture and differ from those of `m` are written behind
// a name: ",vlen=512,tile.m=1"; "": none.
void machine_print_difference(text *out, const machine *m, const machine *made);
bool machine_parse(arena *a, diagnostics *d, const source *text, machine *out);
extern const char *const machine_builtin_names[]; // NULL-terminated
uint64_t machine_hash(const machine *m);          // of the architectural part
void machine_print(text *out, const machine *m);  // parses back

// Derived from the tile shape (docs/xlut.md, "Tile shape").
static inline uint32_t machine_tile_bytes(const machine *m)
{
    return 4 * m->tile_m * m->tile_n;
}
// A symmetric table of i8: what half forms of loads and stores move, half of a tile at most.
static inline uint32_t machine_table_bytes(const machine *m)
{
    return 64 * m->tile_m * m->tile_m;
}
static inline uint32_t machine_tile_lookups(const machine *m)
{
    return 8 * m->tile_m;
}
static inline uint32_t machine_tile_depth(const machine *m)
{
    return 32 * m->tile_m;
} // weights
enum { ISA_TILE_REGISTERS = 32, ISA_TABLE_WIDTH = 4 };
