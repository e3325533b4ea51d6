// Functions that are compiled for wider host vectors as well, chosen by the loader. IEEE
// operations in a fixed order give the same bits at every width.
#pragma once

#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__SANITIZE_ADDRESS__) &&             \
    !defined(LUTRA_SANITIZE_THREAD)
#define HOST_CLONES __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define HOST_CLONES
#endif
