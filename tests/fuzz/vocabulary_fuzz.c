// link: lutra_tokenizer lutra_support
// A GGUF file from outside as a vocabulary: refused with a message, or a tokenizer that encodes any
// bytes (here its own file's) and decodes what it gave.
#include "support/reader.h"
#include "support/tokenizer/tokenizer.h"
#include "tests/fuzz/nowhere.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const tokenizer *t, arena *a, diagnostics *d, const uint8_t *data, size_t size)
{
    enum { MOST = 4096 };
    token_list ids = {0};
    text out = {0};
    encode_options options = {.add_special = true, .parse_special = true};
    size_t length = size < MOST ? size : MOST;
    if (!tokenizer_encode(t, a, d, (const char *)data, length, options, &ids) && ids.count)
        abort();
    token_decoder s = tokenizer_decoder(t, false);
    for (size_t i = 0; i < ids.count; i++) {
        if (ids.items[i] >= tokenizer_count(t))
            abort();
        decoder_put(&s, ids.items[i], &out);
    }
    decoder_end(&s, &out);
    text_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena *a = arena_create();
    diagnostics *d = diagnostics_create(nowhere());
    byte_reader r = {.data = data, .size = size, .diagnostics = d};
    gguf_header header;
    metadata m = {0};
    tokenizer *t = NULL;
    if (gguf_metadata_read(a, &r, &header, &m))
        t = tokenizer_from_metadata(a, d, "fuzz", &m);
    if (!t && !diagnostics_errors(d))
        abort(); // refused without a word
    if (t)
        use(t, a, d, data, size);
    diagnostics_destroy(d);
    arena_destroy(a);
    return 0;
}
