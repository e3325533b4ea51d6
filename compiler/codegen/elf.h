// Adding a segment to a linked ELF image. Private to this folder.
#pragma once

#include "support/text.h"

#include <stdbool.h>
#include <stdint.h>

// Appends to the image a program header table that has one more read-only
// PT_LOAD, for `size` bytes at `address`, and zeros up to the page where these
// bytes have to follow. The table moves because the linker left no room behind
// it. False: the image is not a 64-bit little-endian ELF file as lld writes it.
bool elf_add_segment(text *image, uint64_t address, uint64_t size);
