#include "runtime/host/shared_object.h"

#include "runtime/host/refuse.h"
#include "support/content.h"
#include "support/file.h"

#include <dlfcn.h>
#include <elf.h>
#include <string.h>

#if defined __x86_64__
enum { OWN_MACHINE = EM_X86_64 };
#elif defined __aarch64__
enum { OWN_MACHINE = EM_AARCH64 };
#elif defined __riscv
enum { OWN_MACHINE = EM_RISCV };
#else
#error "which e_machine is this?"
#endif

typedef struct object {
    diagnostics *diagnostics;
    const char *what, *path;
} object;

#define REFUSE(o, format, ...)                                                                     \
    refuse((o)->diagnostics, NOWHERE, "cannot load %s '%s': " format, (o)->what, (o)->path,        \
           __VA_ARGS__)

static bool check_elf(const object *o, const Elf64_Ehdr *h)
{
    char own[CONTENT_CPU], its[CONTENT_CPU];
    if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB ||
        h->e_machine != OWN_MACHINE)
        return REFUSE(o, "it is for %s, and this lutrun runs on %s",
                      h->e_ident[EI_DATA] == ELFDATA2LSB ? content_machine(h->e_machine, its)
                                                         : "big-endian CPUs",
                      content_machine(OWN_MACHINE, own));
    if (h->e_type != ET_DYN)
        return REFUSE(o, "it is %s, not a library: link it with -shared",
                      h->e_type == ET_REL ? "an object" : "a program");
    return true;
}

// What the dynamic linker would refuse, and what it would not explain.
static bool check(const object *o)
{
    mapped_file f;
    Elf64_Ehdr header = {0};
    char remark[CONTENT_REMARK];
    if (!file_map(o->diagnostics, o->path, &f))
        return false;
    bool elf = f.size >= SELFMAG && memcmp(f.data, ELFMAG, SELFMAG) == 0;
    if (elf)
        memcpy(&header, f.data, f.size < sizeof header ? f.size : sizeof header);
    bool ok = elf ? check_elf(o, &header)
                  : REFUSE(o, "it is not an ELF file%s", content_remark(f.data, f.size, remark));
    file_unmap(&f);
    return ok;
}

void *shared_object_open(arena *a, diagnostics *d, const char *what, const char *path)
{
    object o = {d, what, path};
    if (!check(&o))
        return NULL;
    void *handle =
        dlopen(strchr(path, '/') ? path : arena_format(a, "./%s", path), RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        REFUSE(&o, "%s", dlerror());
    return handle;
}
