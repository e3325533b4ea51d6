// Short stories from a grammar (stories.def): people, animals and things that stay the same
// through a small plot, told in sentences that vary.
#pragma once

#include "examples/tiny-lm/random.h"
#include "support/text.h"

// Appends one story: a paragraph without line ends.
void story_append(random_stream *r, text *out);
