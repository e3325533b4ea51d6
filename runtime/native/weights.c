// A packed file (docs/program.md), mapped; its code reads what the program was compiled for.
#include "runtime/native/lutra.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

// Of CPUs: version 2, no rows and 64 columns to a tile.
static int is_packed(const lutra_weights *w, const lutra_program *p)
{
    static const unsigned char head[20] = {'L', 'U', 'T', 'W', 'P', 'A', 'C', 'K', 2, 0,
                                           0,   0,   0,   0,   0,   0,   64,  0,   0, 0};
    enum { LAYOUT = 56 }; /* its place in the header */
    return w->size >= 4096 && w->size == p->weights_size && !memcmp(w->data, head, sizeof head) &&
           !memcmp((const char *)w->data + LAYOUT, &p->weights_layout, sizeof p->weights_layout);
}

lutra_status lutra_map_weights(lutra_weights *out, const lutra_program *program, const char *path)
{
    *out = (lutra_weights){0};
    int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (file < 0)
        return LUTRA_BAD_WEIGHTS;
    lutra_weights w = {0};
    if (!fstat(file, &status) && status.st_size > 0) {
        w.size = (size_t)status.st_size;
        w.data = mmap(NULL, w.size, PROT_READ, MAP_PRIVATE, file, 0);
    }
    close(file);
    if (!w.size || w.data == MAP_FAILED)
        return LUTRA_BAD_WEIGHTS;
    if (!is_packed(&w, program)) {
        lutra_unmap_weights(&w);
        return LUTRA_BAD_WEIGHTS;
    }
    *out = w;
    return LUTRA_OK;
}

void lutra_unmap_weights(lutra_weights *weights)
{
    if (weights->size)
        munmap((void *)weights->data, weights->size);
    *weights = (lutra_weights){0};
}
