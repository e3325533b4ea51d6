// How instruction words are laid out: what the generator writes (tables.inc) and the decoder,
// encoder and disassembler read. Internal to isa/.
#pragma once

#include "isa/isa.h"

// A run of bits of the word and where they belong: bits [low, low + width) are bits
// [shift, shift + width) of a member of isa_instruction. A bias is added to the member.
typedef struct isa_piece {
    uint8_t member; // offsetof; the member is int32_t for imm, else uint8_t
    uint8_t low, width, shift, bias;
} isa_piece;

typedef struct isa_layout {
    const char *syntax;   // mnemonic with {variable parts}
    const char *operands; // printed operand by operand
    uint32_t match, mask;
    uint64_t constraints; // bit per row of constraints.def
    uint16_t first_piece; // into isa_pieces
    uint8_t pieces;
    uint8_t sign; // width of a sign-extended immediate, 0: none
} isa_layout;

// A field of an expanded compressed instruction: another member, or a constant.
typedef struct isa_assignment {
    uint8_t to, from; // offsetof; from ISA_CONSTANT: `constant`
    int8_t constant;
} isa_assignment;
enum { ISA_CONSTANT = 255, ISA_MAX_ASSIGNMENTS = 3 };

typedef struct isa_expansion {
    uint16_t opcode;
    uint8_t count;
    isa_assignment fields[ISA_MAX_ASSIGNMENTS];
} isa_expansion;

extern const isa_layout isa_layouts[ISA_OPCODE_COUNT];
extern const isa_layout isa_compressed_layouts[];
extern const isa_piece isa_pieces[];

// The compressed row (index into isa_compressed_layouts) of a 16-bit word and its fields as written
// there; -1: none.
int isa_decode_compressed(uint32_t word, isa_instruction *fields);

// The bits that the decoder's first table is indexed by: opcode, funct3 and funct7, so that nearly
// every word has few candidates.
static inline uint32_t isa_key(uint32_t word)
{
    return (word >> 25) << 8 | (word >> 12 & 7) << 5 | (word >> 2 & 31);
}
static inline uint32_t isa_compressed_key(uint32_t word)
{
    return (word >> 10 & 63) << 2 | (word & 3);
}
