// The sweep that the options of lutc explore ask for; private to its command.
#pragma once

#include "compiler/driver/driver.h"
#include "compiler/explore/explore.h"

// False: reported. The driver's machine is loaded; what no option says is that machine's own, or
// what docs/explore.md says.
bool explore_space_read(driver *d, explore_space *s);
// All of it in a line, by which a journal is told from that of another sweep.
void explore_space_print(text *out, const explore_space *s);
