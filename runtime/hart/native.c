// The memory of native code, and its translation as a whole.

#include "runtime/hart/native.h"

#ifdef __x86_64__

#include "runtime/hart/native_vector.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    CODE_BYTES = 1 << 26,
    CODE_MARGIN = 1 << 24, // one translation takes less
};

static void fill_in_jumps(translation *t)
{
    for (unsigned i = 0; i < t->jump_count; i++) {
        uint32_t distance = hart_op_details(t->jumps[i].to)->native - t->jumps[i].from;
        memcpy(t->n->writable + t->jumps[i].from - 4, &distance, 4);
    }
}

static hart_step *step_at(const hart_native *n, uint32_t offset)
{
    return (hart_step *)(uintptr_t)(n->executable + offset);
}

uint32_t hart_native_entry(const hart *h, const hart_op *op)
{
    const uint32_t native = hart_op_details(op)->native;
    return native || !h->native ? native : h->native->step;
}

// Jumps that were remembered before there was native code.
static void renew_jump(const hart *h, const hart_op *op)
{
    hart_jump *slot = hart_jump_slot(h, hart_op_pc(op));
    if (slot->op == op)
        slot->native = hart_op_details(op)->native;
}

void hart_native_translate(hart *h, hart_op *op)
{
    hart_native *n = h->native;
    if (!n || hart_op_details(op)->native || hart_native_is_full(h))
        return;
    translation *t = &n->translation;
    t->n = n;
    t->pending_count = t->exit_count = t->jump_count = 0;
    hart_native_request(t, op);
    for (unsigned i = 0; i < t->pending_count; i++)
        if (!hart_op_details(t->pending[i])->native)
            hart_native_write(t, t->pending[i]);
    fill_in_jumps(t);
    for (unsigned i = 0; i < t->pending_count; i++) {
        t->pending[i]->step = step_at(n, hart_op_details(t->pending[i])->native);
        renew_jump(h, t->pending[i]);
    }
}

bool hart_native_is_full(const hart *h)
{
    return h->native && h->native->used + CODE_MARGIN > h->native->data;
}

void hart_native_flush(hart *h)
{
    if (!h->native)
        return;
    h->native->used = h->native->fixed;
    h->native->data = CODE_BYTES;
    h->native->site_count = 0;
}

static int compare_site(const void *offset, const void *s)
{
    uint32_t a = *(const uint32_t *)offset, b = ((const site *)s)->offset;
    return a < b ? -1 : a > b;
}

static const site *find_site(const hart_native *n, uintptr_t address)
{
    if (!n || address - (uintptr_t)n->executable >= n->used)
        return NULL;
    uint32_t offset = (uint32_t)(address - (uintptr_t)n->executable);
    return bsearch(&offset, n->sites, n->site_count, sizeof *n->sites, compare_site);
}

const hart_op *hart_native_record(const hart *h, uintptr_t address)
{
    const site *s = find_site(h->native, address);
    return s ? s->op : NULL;
}

uintptr_t hart_native_otherwise(const hart *h, uintptr_t address)
{
    const hart_native *n = h->native;
    const site *s = find_site(n, address);
    uint32_t distance;
    if (!s || !s->otherwise)
        return 0;
    memcpy(&distance, n->writable + s->otherwise - 4, 4);
    return (uintptr_t)n->executable + (uint32_t)(s->otherwise + distance);
}

// Code that goes on at a step of the interpreter, which may be far away.
static uint32_t write_far_jump(translation *t, hart_step *to)
{
    uint32_t at = t->n->used;
    byte(t, 0x48);
    byte(t, 0xb8);
    long_word(t, (uint64_t)(uintptr_t)to);
    byte(t, 0xff);
    byte(t, 0xe0);
    return at;
}

// In front of a call the stack is as the caller of a step left it, plus its return address.
static uint32_t begin_call(translation *t)
{
    uint32_t at = t->n->used;
    byte(t, 0x57); // push rdi
    byte(t, 0x56); // push rsi
    return at;
}

static void end_call(translation *t)
{
    byte(t, 0x5e); // pop rsi
    byte(t, 0x5f); // pop rdi
    with_memory(t, WIDE, 0x8b, RDX, RSI, offsetof(hart, memory_base));
    with_memory(t, WIDE, 0x8b, R8, RSI, offsetof(hart, memory_limit));
    with_memory(t, WIDE, 0x8b, R9, RSI, offsetof(hart, budget));
    byte(t, 0xc3);
}

static uint32_t write_call(translation *t)
{
    uint32_t at = begin_call(t);
    with_memory(t, WIDE, 0x89, R10, RSI, offsetof(hart, op));
    with_register(t, WIDE, 0x8b, RDI, RSI);
    static const uint8_t call[] = {0x49, 0x8b, 0x72, offsetof(hart_op, in), // mov rsi, [r10 +]
                                   0x41, 0xff, 0x52, offsetof(hart_op, execute)}; // call [r10 +]
    for (size_t i = 0; i < sizeof call; i++)
        byte(t, call[i]);
    end_call(t);
    return at;
}

static uint32_t write_call_run(translation *t)
{
    uint32_t at = begin_call(t);
    with_register(t, WIDE, 0x8b, RDI, RSI);
    with_register(t, WIDE, 0x8b, RSI, R10);
    byte(t, 0x48); // mov rax,
    byte(t, 0xb8);
    long_word(t, (uint64_t)(uintptr_t)hart_xlut_execute_run);
    byte(t, 0xff); // call rax
    byte(t, 0xd0);
    end_call(t);
    return at;
}

static uint32_t write_call_single(translation *t)
{
    uint32_t at = begin_call(t);
    static const uint8_t load_record[] = {0x49, 0x8b, 0x42, HART_SINGLE_RECORD}; // mov rax, [r10 +]
    static const uint8_t call[] = {0x41, 0xff, 0x52, HART_SINGLE_EXECUTE};       // call [r10 +]
    for (size_t i = 0; i < sizeof load_record; i++)
        byte(t, load_record[i]);
    with_memory(t, WIDE, 0x89, RAX, RSI, offsetof(hart, op));
    with_register(t, WIDE, 0x8b, RDI, RSI);
    with_register(t, WIDE, 0x8b, RSI, R10);
    for (size_t i = 0; i < sizeof call; i++)
        byte(t, call[i]);
    end_call(t);
    return at;
}

// Memory that can be written here and executed there.
static bool map_code(hart_native *n)
{
    int file = memfd_create("hart code", MFD_CLOEXEC);
    if (file < 0)
        return false;
    bool sized = ftruncate(file, CODE_BYTES) == 0;
    if (sized) {
        n->writable = mmap(NULL, CODE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        n->executable = mmap(NULL, CODE_BYTES, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0);
    }
    close(file);
    return sized && n->writable != MAP_FAILED && n->executable != MAP_FAILED;
}

static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

void hart_native_use_avx512(hart *h, bool use)
{
    if (h->native)
        h->native->avx512 = use && has_avx512();
}

bool hart_native_create(hart *h)
{
    hart_native *n = h->native = calloc(1, sizeof *n);
    if (!n)
        return false;
    if (!map_code(n)) {
        hart_native_destroy(h);
        return false;
    }
    n->translation.n = n;
    n->avx512 = has_avx512();
    n->lut = h->lut;
    n->hart = h;
    n->used = 16; // 0 means that there is no code
    n->data = CODE_BYTES;
    n->pause = write_far_jump(&n->translation, hart_step_pause);
    n->bad_access = write_far_jump(&n->translation, hart_step_bad_access);
    n->indirect = write_far_jump(&n->translation, hart_step_of(ISA_JALR));
    n->call = write_call(&n->translation);
    n->call_run = write_call_run(&n->translation);
    n->call_single = write_call_single(&n->translation);
    n->step = n->used;
    with_memory(&n->translation, NARROW, 0xff, 4, RDI, offsetof(hart_op, step));
    n->used = (n->used + CONSTANT_BYTES - 1) / CONSTANT_BYTES * CONSTANT_BYTES;
    n->constants = n->used;
    memcpy(n->writable + n->used, hart_native_constants, sizeof hart_native_constants);
    n->used += sizeof hart_native_constants;
    n->fixed = n->used;
    return true;
}

void hart_native_destroy(hart *h)
{
    hart_native *n = h->native;
    if (!n)
        return;
    if (n->writable && n->writable != MAP_FAILED)
        munmap(n->writable, CODE_BYTES);
    if (n->executable && n->executable != MAP_FAILED)
        munmap(n->executable, CODE_BYTES);
    free(n->sites);
    free(n);
    h->native = NULL;
}

#else

bool hart_native_create(hart *h)
{
    (void)h;
    return false;
}
void hart_native_destroy(hart *h)
{
    (void)h;
}
void hart_native_use_avx512(hart *h, bool use)
{
    (void)h, (void)use;
}
uint32_t hart_native_entry(const hart *h, const hart_op *op)
{
    (void)h, (void)op;
    return 0;
}
void hart_native_translate(hart *h, hart_op *op)
{
    (void)h, (void)op;
}
bool hart_native_is_full(const hart *h)
{
    (void)h;
    return false;
}
void hart_native_flush(hart *h)
{
    (void)h;
}
const hart_op *hart_native_record(const hart *h, uintptr_t address)
{
    (void)h, (void)address;
    return NULL;
}

#endif
