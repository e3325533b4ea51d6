#include "compiler/codegen/elf.h"

#include <elf.h>
#include <string.h>

enum { PAGE = 4096 };

static bool has_table(const text *image, const Elf64_Ehdr *header)
{
    uint64_t size = (uint64_t)header->e_phnum * sizeof(Elf64_Phdr);
    return header->e_phentsize == sizeof(Elf64_Phdr) && header->e_phnum < PN_XNUM - 1 &&
           header->e_phoff <= image->length && size <= image->length - header->e_phoff;
}

static bool read_header(const text *image, Elf64_Ehdr *header)
{
    if (image->length < sizeof *header)
        return false;
    memcpy(header, image->data, sizeof *header);
    return !memcmp(header->e_ident, ELFMAG, SELFMAG) && header->e_ident[EI_CLASS] == ELFCLASS64 &&
           header->e_ident[EI_DATA] == ELFDATA2LSB && has_table(image, header);
}

static uint64_t align_to(uint64_t x, uint64_t alignment)
{
    return (x + alignment - 1) & ~(alignment - 1);
}

static void pad_to(text *image, uint64_t length)
{
    while (image->length < length)
        text_char(image, '\0');
}

// A table that describes itself would have to be loaded where it lies now.
static uint16_t copy_table(text *image, const Elf64_Ehdr *header)
{
    uint16_t count = 0;
    for (uint16_t i = 0; i < header->e_phnum; i++) {
        Elf64_Phdr row;
        memcpy(&row, image->data + header->e_phoff + i * sizeof row, sizeof row);
        if (row.p_type == PT_PHDR)
            continue;
        text_append_n(image, (const char *)&row, sizeof row);
        count++;
    }
    return count;
}

bool elf_add_segment(text *image, uint64_t address, uint64_t size)
{
    Elf64_Ehdr header;
    if (!read_header(image, &header))
        return false;
    pad_to(image, align_to(image->length, 8));
    uint64_t table = image->length;
    uint16_t count = copy_table(image, &header);
    uint64_t offset = align_to(image->length + sizeof(Elf64_Phdr), PAGE);
    Elf64_Phdr segment = {.p_type = PT_LOAD,
                          .p_flags = PF_R,
                          .p_offset = offset,
                          .p_vaddr = address,
                          .p_paddr = address,
                          .p_filesz = size,
                          .p_memsz = size,
                          .p_align = PAGE};
    text_append_n(image, (const char *)&segment, sizeof segment);
    pad_to(image, offset);
    header.e_phoff = table;
    header.e_phnum = (Elf64_Half)(count + 1);
    memcpy(image->data, &header, sizeof header);
    return true;
}
