// link: lutra_import lutra_ir lutra_quant lutra_support
#include "weights_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return try_weights("fuzz.gguf", "GGUF", 4, data, size);
}
