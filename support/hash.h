// FNV-1a, 64 bits. Written files hold it: of machines in programs, of programs in journals.
#pragma once

#include <stddef.h>
#include <stdint.h>

uint64_t hash_bytes(const void *data, size_t size);
