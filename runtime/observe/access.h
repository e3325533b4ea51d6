// Which memory an instruction touches.
#pragma once

#include "runtime/hart/hart.h"
#include "runtime/observe/observe.h"

// Every piece of memory that `in`, at pc, will read or write, in the order of the elements; AMOs
// are a read and a write. Masked-off elements touch nothing, and instructions that will fault may
// name what they would have touched. Prefetches touch nothing.
void observe_accesses(hart *h, const isa_instruction *in, observe_visit *visit, void *context);

// The register that the instruction writes: the first one where it writes several. False: none.
bool observe_written(const isa_instruction *in, observe_register *kind, unsigned *number);
