// Steps made at run time: machine code of x86-64 for stretches of simple scalar instructions.
//
// Such a step is one like any other: the same arguments in the same registers, the same record at
// its start, the same accounting at transfers. It executes up to the end of the block, and gives
// what it cannot execute to the step of that record. Guest registers live in the hart, so that
// every fault finds them as they must be. Other hosts, and those that allow no executable memory,
// do without it.
#pragma once

#include "runtime/hart/internal.h"

bool hart_native_create(hart *h); // false: not on this host
void hart_native_destroy(hart *h);
void hart_native_use_avx512(hart *h, bool use); // where the host has it; for code made from now on
// Gives `op`, and what it directly leads to, a native step if their instructions allow that.
void hart_native_translate(hart *h, hart_op *op);
// Where native code for the record is, or for its step.
uint32_t hart_native_entry(const hart *h, const hart_op *op);
bool hart_native_is_full(const hart *h);
void hart_native_flush(hart *h);
// The record whose memory access is the host instruction at this address; NULL: none.
const hart_op *hart_native_record(const hart *h, uintptr_t address);
// Where to go on instead if that instruction only tries; 0: it does not.
uintptr_t hart_native_otherwise(const hart *h, uintptr_t address);
