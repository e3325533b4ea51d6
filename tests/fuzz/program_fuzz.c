// link: lutra_host
// What lutrun reads: ELF files (parsed, mapped, their note read), and, told apart by how they
// begin, program descriptions ('{') and packed weight files ('L').
#include "runtime/host/description.h"
#include "runtime/host/elf.h"
#include "runtime/host/weights.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool condition)
{
    if (!condition)
        abort();
}

// What was accepted can be used without a further look.
static void use_description(const program_description *p)
{
    text t = {0};
    for (size_t i = 0; i < p->entry_count; i++) {
        const program_values *inputs = &p->entries[i].inputs;
        for (size_t j = 0; j < inputs->count; j++)
            description_print_value(&t, p, &inputs->items[j]);
    }
    for (size_t i = 0; i < p->states.count; i++)
        check(p->states.items[i].offset <= p->state_size);
    text_free(&t);
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
    elf_symbol_at(image, image->entry);
    hart_memory *memory = hart_memory_create();
    if (memory)
        elf_map(d, "fuzz", image, data, -1, memory);
    hart_memory_destroy(memory);
}

static void try_elf(arena *a, diagnostics *d, const uint8_t *data, size_t size)
{
    elf_image image;
    program_description description;
    if (!elf_parse(a, d, "fuzz", data, size, &image))
        return;
    use_image(d, &image, data, size);
    if (image.description &&
        description_parse(a, d, "fuzz", image.description, image.description_length, &description))
        use_description(&description);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static FILE *sink;
    if (!sink)
        sink = fopen("/dev/null", "w");
    arena *a = arena_create();
    diagnostics *d = diagnostics_create(sink);
    program_description description;
    packed_file packed;
    if (size > 0 && data[0] == '{') {
        if (description_parse(a, d, "fuzz", (const char *)data, size, &description))
            use_description(&description);
    } else if (size > 0 && data[0] == 'L') {
        metadata pairs;
        if (packed_file_parse(a, d, "fuzz", data, size, &packed))
            packed_file_metadata(a, d, "fuzz", &packed, data, &pairs);
    } else {
        try_elf(a, d, data, size);
    }
    diagnostics_destroy(d);
    arena_destroy(a);
    return 0;
}
