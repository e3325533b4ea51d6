// What is written for people from the instruction rows: the generated part of docs/xlut.md, xlut.h
// (C intrinsics) and xlut.inc (assembler macros).
#pragma once

#include "support/text.h"

#include <stdbool.h>

// The manual with its generated part replaced, between the lines "<!-- generated -->" and
// "<!-- end of generated -->". False: the lines are not there.
bool isa_publish_manual(text *out, const char *manual);
void isa_publish_header(text *out);
void isa_publish_macros(text *out);
