// link: lutra_isa lutra_support
// Any 32 bits: decoded, written as text; legal ones are encoded to the same word again.
#include "isa/isa.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(uint32_t bits)
{
    isa_instruction in;
    uint32_t word = 0;
    text t = {0};
    isa_decode(bits, &in);
    if (in.length != ((bits & 3) == 3 ? 4 : 2) || in.opcode >= ISA_OPCODE_COUNT)
        __builtin_trap();
    isa_disassemble(&t, &in, 0x10000);
    if (!t.length || memchr(text_string(&t), '?', t.length))
        __builtin_trap();
    bool encoded = isa_encode(&in, &word);
    if (in.opcode == ISA_ILLEGAL ? encoded : in.length == 4 && (!encoded || word != bits))
        __builtin_trap();
    text_clear(&t);
    if (in.length == 4 && !strcmp(isa_rows[in.opcode].extension, "Xlut") &&
        !isa_insn_directive(&t, &in, NULL, NULL, NULL, NULL))
        __builtin_trap();
    text_free(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (size_t at = 0; at + 4 <= size; at += 2) {
        uint32_t bits;
        memcpy(&bits, data + at, 4);
        check(bits);
    }
    return 0;
}
