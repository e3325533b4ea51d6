// The remote stub for a program of lutrun: `--gdb`.
#pragma once

#include "runtime/host/host.h"

// Listens (gdb_listen), and attaches an observer that waits for gdb when the first call begins.
// False: reported.
bool gdb_attach(host_program *p, arena *a, diagnostics *d, const char *where);
