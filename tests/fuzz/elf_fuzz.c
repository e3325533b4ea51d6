// link: lutra_host
// Executables as lutrun loads them: refused with a message, or mapped, and what was found in them
// lies in the file.
#include "runtime/host/elf.h"
#include "tests/fuzz/nowhere.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool condition)
{
    if (!condition)
        abort();
}

static void use_image(diagnostics *d, const elf_image *image, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < image->segment_count; i++) {
        const elf_segment *s = &image->segments[i];
        check(s->offset <= size && s->file_size <= size - s->offset);
        check(i == 0 || s[-1].address + s[-1].memory_size <= s->address);
    }
    for (size_t i = 0; i < image->symbol_count; i++)
        check(strlen(image->symbols[i].name) < size);
    if (image->description)
        check((const uint8_t *)image->description >= data &&
              image->description_length <=
                  size - (size_t)(image->description - (const char *)data));
    elf_symbol_at(image, image->entry);
    hart_memory *memory = hart_memory_create();
    if (memory)
        elf_map(d, "fuzz", image, data, -1, memory);
    hart_memory_destroy(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena *a = arena_create();
    diagnostics *d = diagnostics_create(nowhere());
    elf_image image;
    bool parsed = elf_parse(a, d, "fuzz", data, size, &image);
    check(parsed == (diagnostics_errors(d) == 0));
    if (parsed)
        use_image(d, &image, data, size);
    diagnostics_destroy(d);
    arena_destroy(a);
    return 0;
}
