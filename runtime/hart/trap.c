// Faults leave the instruction in progress by a jump back into hart_run, whether raised by the
// interpreter or by the host's memory protection.

#include "runtime/hart/native.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <ucontext.h>

static const char *const cause_names[] = {
    [HART_FETCH_MISALIGNED] = "instruction address misaligned",
    [HART_FETCH_FAULT] = "instruction access fault",
    [HART_ILLEGAL_INSTRUCTION] = "illegal instruction",
    [HART_BREAKPOINT] = "breakpoint",
    [HART_LOAD_MISALIGNED] = "load address misaligned",
    [HART_LOAD_FAULT] = "load access fault",
    [HART_STORE_MISALIGNED] = "store address misaligned",
    [HART_STORE_FAULT] = "store access fault",
};

const char *hart_cause_name(hart_cause cause)
{
    return cause_names[cause];
}

static _Thread_local hart *volatile running;

void hart_set_running(hart *h)
{
    running = h;
}
hart *hart_running(void)
{
    return running;
}

_Noreturn void hart_raise(hart *h, hart_cause cause, uint64_t address)
{
    h->cause = cause;
    h->fault_address = address;
    siglongjmp(*(sigjmp_buf *)h->recovery, 1);
}

_Noreturn void hart_raise_illegal(hart *h)
{
    hart_raise(h, HART_ILLEGAL_INSTRUCTION, hart_op_details(h->op)->in.word);
}

static bool stores(unsigned opcode)
{
    switch (isa_rows[opcode].class) {
    case ISA_CLASS_STORE:
    case ISA_CLASS_VECTOR_STORE:
    case ISA_CLASS_TILE_STORE: return true;
    case ISA_CLASS_ATOMIC: return opcode != ISA_LR_W && opcode != ISA_LR_D;
    default: return false;
    }
}

_Noreturn void hart_raise_access(hart *h, uint64_t address)
{
    hart_raise(h, stores(hart_op_details(h->op)->in.opcode) ? HART_STORE_FAULT : HART_LOAD_FAULT,
               address);
}

static struct sigaction previous_segv, previous_bus;

static void pass_on(int number, siginfo_t *info, void *context)
{
    const struct sigaction *previous = number == SIGBUS ? &previous_bus : &previous_segv;
    if (previous->sa_flags & SA_SIGINFO)
        previous->sa_sigaction(number, info, context);
    else if (previous->sa_handler != SIG_DFL && previous->sa_handler != SIG_IGN)
        previous->sa_handler(number);
    else
        signal(number, SIG_DFL); // the access is repeated and ends the process
}

// The jump out of the handler leaves the signal mask as it is; sanitizers run handlers with all
// signals blocked.
static void unblock(int number)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

// Where the host instruction only tries, its code goes on elsewhere.
static bool goes_on(const hart *h, void *context)
{
#ifdef __x86_64__
    greg_t *at = &((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    const uintptr_t otherwise = hart_native_otherwise(h, (uintptr_t)*at);
    if (otherwise)
        *at = (greg_t)otherwise;
    return otherwise != 0;
#else
    (void)h, (void)context;
    return false;
#endif
}

// Native steps do not say where they are: the fault does.
static void find_record(hart *h, const void *context)
{
#ifdef __x86_64__
    const ucontext_t *host = context;
    const hart_op *op = hart_native_record(h, (uintptr_t)host->uc_mcontext.gregs[REG_RIP]);
    if (op)
        h->op = op;
#else
    (void)h, (void)context;
#endif
}

static void on_host_fault(int number, siginfo_t *info, void *context)
{
    unblock(number);
    hart *h = running;
    uintptr_t at = (uintptr_t)info->si_addr;
    uint64_t address = at - (uintptr_t)(h ? h->memory_base : 0);
    if (h && goes_on(h, context))
        return;
    if (h)
        find_record(h, context);
    if (!h || address >= h->memory_limit + HART_MEMORY_GUARD)
        pass_on(number, info, context);
    else if (!h->op)
        hart_raise(h, HART_FETCH_FAULT, address); // of code that its file has lost
    else
        hart_raise_access(h, address);
}

static void install(int number, struct sigaction *previous)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct sigaction action = {.sa_sigaction = on_host_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    struct sigaction now;
    sigemptyset(&action.sa_mask);
    pthread_mutex_lock(&lock);
    sigaction(number, NULL, &now);
    if (now.sa_sigaction != on_host_fault) {
        *previous = now;
        sigaction(number, &action, NULL);
    }
    pthread_mutex_unlock(&lock);
}

void hart_catch_host_faults(void)
{
    install(SIGSEGV, &previous_segv);
    install(SIGBUS, &previous_bus);
}
