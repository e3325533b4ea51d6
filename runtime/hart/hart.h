// A hart: one RISC-V hardware thread (RV64IMAFDC, Zicsr, Zifencei, Zicbop, Zicond, Zba, Zbb, Zbs,
// Zfh, Zfbfmin, V 1.0, Zvfh, Zvfbfmin, and Xlut), in user mode, and the guest memory it runs in.
//
// The hart knows no services: an ecall stops it and the caller acts on the registers, unless it is
// served in place (hart_serve). Every fault is precise: pc is that of the faulting instruction,
// which has changed nothing (vector memory instructions: elements below vstart are done).
//
// Choices the specification leaves open: tail and masked-off elements keep their values whatever
// vta and vma say; misaligned scalar and vector accesses work (AMO, LR and SC need alignment);
// element by element in order; NaN results are canonical; `time` and `cycle` count retired
// instructions unless the caller provides clocks. Stores into code show after fence.i.
#pragma once

#include "isa/isa.h"
#include "runtime/lut/lut.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// --------------------------------------------------------------------- memory

typedef enum hart_access {
    HART_READ = 1,
    HART_WRITE = 2,
    HART_EXECUTE = 4, // implies that it can be read
} hart_access;

// The guest's address space: addresses 0 .. hart_memory_limit, of which only mapped segments can be
// touched. May be shared by harts on several host threads; mapping and unmapping must not race with
// them.
typedef struct hart_memory hart_memory;

// Reserves host address space only. NULL: the host gives none.
hart_memory *hart_memory_create(void);
void hart_memory_destroy(hart_memory *m); // NULL is fine
uint64_t hart_memory_limit(const hart_memory *m);

// Zeroed pages, or bytes of a file (MAP_PRIVATE: never written back; copied only where that gives
// large pages to what is read only and takes less than a sixteenth of the host's memory), at
// [address, address + size). Address, and the file offset, are multiples of hart_memory_page().
// The range is rounded up to whole pages and replaces what was there. `file_size` bytes come from
// the file, the rest is zero. Access 0: pages that are taken and keep their bytes, which nobody may
// touch. False: outside the address space, misaligned, or refused by the host (errno says why).
uint64_t hart_memory_page(void);
bool hart_memory_map(hart_memory *m, uint64_t address, uint64_t size, unsigned access);
bool hart_memory_map_file(hart_memory *m, uint64_t address, uint64_t size, unsigned access,
                          int descriptor, uint64_t offset, uint64_t file_size);
bool hart_memory_protect(hart_memory *m, uint64_t address, uint64_t size, unsigned access);
bool hart_memory_unmap(hart_memory *m, uint64_t address, uint64_t size);

// Host pointer to the guest range, which lies in mapped segments that all allow `access`
// (contiguous in the host as in the guest); NULL otherwise. A range of 0 bytes is allowed anywhere.
void *hart_memory_range(const hart_memory *m, uint64_t address, uint64_t size, unsigned access);
// How many bytes from `address` on allow `access`.
uint64_t hart_memory_extent(const hart_memory *m, uint64_t address, unsigned access);
// Loading: writes through to segments that the guest may only read.
bool hart_memory_write(hart_memory *m, uint64_t address, const void *data, uint64_t size);

typedef struct hart_segment {
    uint64_t address, size;
    unsigned access;
} hart_segment;
// Mapped segments in address order; valid until the next mapping.
const hart_segment *hart_memory_segments(const hart_memory *m, size_t *count);

// Where the memory that a loop of Xlut instructions works on may be, as found last: see
// xlut_loop.c.
enum { HART_ROOMS = 32, HART_ROOM_SPANS = 4 };
typedef struct hart_room {
    const void *loop;
    uint64_t count, changes; // rounds; hart.operand_changes
    uint32_t lasting;        // tiles that are loaded from where nobody writes
    struct {
        uint64_t lowest, room; // from `lowest` on, no further than `room`
    } span[HART_ROOM_SPANS];
} hart_room;

// ----------------------------------------------------------------------- hart

enum { HART_MAX_VLEN = 1024 };

// Exception codes as in mcause.
typedef enum hart_cause {
    HART_FETCH_MISALIGNED = 0,
    HART_FETCH_FAULT = 1,
    HART_ILLEGAL_INSTRUCTION = 2,
    HART_BREAKPOINT = 3,
    HART_LOAD_MISALIGNED = 4,
    HART_LOAD_FAULT = 5,
    HART_STORE_MISALIGNED = 6, // and AMO
    HART_STORE_FAULT = 7,      // and AMO
} hart_cause;
const char *hart_cause_name(hart_cause cause);

typedef enum hart_stop {
    HART_STOP_LIMIT,    // the instructions asked for are done (hart_run_about: most of them)
    HART_STOP_ECALL,    // pc is that of the ecall, which has not retired: see hart_finish_ecall
    HART_STOP_RETURN,   // pc reached return_address
    HART_STOP_FAULT,    // see cause and fault_address
    HART_STOP_OBSERVER, // an observer asked for it; pc is the next instruction
} hart_stop;

typedef struct hart_cache hart_cache;
typedef struct hart_op hart_op;
typedef struct hart_jump hart_jump;
typedef struct hart_native hart_native;
typedef struct hart hart;

// Sees every instruction before it executes (h->pc is its address). False stops the hart.
typedef bool hart_observer(void *context, hart *h, const isa_instruction *in);
// Sees every instruction before it executes (h->pc is its address), and only looks on: at pc,
// scalar registers, vl and vtype. Sees those that will fault as well.
typedef void hart_watcher(void *context, hart *h, const isa_instruction *in);
// At an ecall, whose registers it may change. False: it is not served, and stops the hart. Code and
// the mapping of memory stay as they are meanwhile.
typedef bool hart_service(void *context, hart *h);

struct hart {
    // Registers. x[0] is 0; x[32] takes writes to x0.
    uint64_t x[33];
    uint64_t pc;
    uint64_t f[32]; // narrower values are NaN-boxed
    uint8_t fflags, frm;
    uint8_t vxrm, vxsat;
    uint8_t vma, vta;
    union {
        struct {
            bool vill;
            uint8_t sew; // log2 of the element's bytes
            int8_t lmul; // log2, -3 .. 3
        };
        uint32_t shape; // these together, for comparison
    };
    uint64_t vl, vstart;
    uint32_t vlenb;           // VLEN / 8
    uint8_t *v;               // 32 registers of vlenb bytes, one after the other
    lut_unit *lut;            // NULL: no LUT unit (Xlut is illegal)
    unsigned rank;            // among the harts that share its memory: the caller's, for callers
    uint64_t retired;         // instructions; hart_run keeps it exact when it returns
    uint64_t vector_bytes[2]; // loaded, stored by vector instructions

    // Why hart_run returned.
    hart_cause cause;
    uint64_t fault_address; // address of the access; illegal instruction: its bits

    uint64_t return_address; // hart_run stops when pc gets here; set by hart_set_return
    // NULL: `time` counts retired instructions, as does `cycle`.
    uint64_t (*clock)(void *context);
    uint64_t (*cycles)(void *context);
    void *clock_context; // of both

    // What follows is the implementation's.
    hart_memory *memory;
    hart_observer *observer;
    void *observer_context;
    hart_watcher *watcher;
    void *watcher_context;
    hart_service *service;
    void *service_context;
    hart_cache *cache;
    uint8_t *memory_base;
    uint64_t memory_limit;
    hart_jump *jumps; // of the cache, for indirect jumps
    // While it executes: what runs, or faults, is at h->op, and the instructions left (without
    // those withheld) are budget + HART_LONGEST_BLOCK - op->index.
    const hart_op *op; // NULL between instructions
    int64_t budget;
    // Between instructions: pc is the next one.
    uint64_t remaining;       // instructions left
    uint64_t withheld;        // and those that are given out later
    uint64_t run_start;       // retired + remaining + withheld when hart_run began
    hart_op *unlinked;        // the direct transfer that led to pc, if its target was not known
    int stop;                 // the hart_stop that ends hart_run; -1: none
    bool early;               // it may end before the limit: see hart_run_about
    bool catches;             // the host's faults come to hart_run
    hart_op *paused;          // behind the one instruction that is being executed; NULL: none is
    void *paused_step;        // its own step
    hart_segment operands[5]; // of Xlut: see xlut.c
    uint64_t operand_changes; // how often these have changed, or code has
    hart_room rooms[HART_ROOMS];
    uint32_t full; // shape, and HART_SHORT unless vl is the longest, or HART_NOT_FULL for a vstart
    uint64_t reservation, reserved_value; // of LR; reservation 1: none
    uint8_t reservation_bits;
    hart_native *native; // NULL: no machine code is made
    void *recovery;      // where faults jump to, a sigjmp_buf
};

// VLEN is a power of two, 128 .. 1024. `lut` and `memory` are borrowed. All registers are zero, frm
// is nearest-even, vtype is vill. NULL: VLEN is not valid.
hart *hart_create(hart_memory *memory, uint32_t vlen, lut_unit *lut);
void hart_destroy(hart *h); // NULL is fine

// Executes from pc until something stops it, at most `limit` instructions. The first run, and the
// first behind hart_set_return, takes the host's SIGSEGV and SIGBUS; those that are not the guest's
// go on to what handled them before.
hart_stop hart_run(hart *h, uint64_t limit);
// The same, but stops with HART_STOP_LIMIT some instructions earlier rather than execute the last
// ones singly. At least one is executed.
hart_stop hart_run_about(hart *h, uint64_t limit);
// Asks this at each ecall, which does not stop the hart if it is served. NULL: nobody.
void hart_serve(hart *h, hart_service *service, void *context);
// Retires the ecall that stopped the hart: counts it and moves pc on.
void hart_finish_ecall(hart *h);
// The return address that ends a call from the host; need not be mapped. 1: none.
void hart_set_return(hart *h, uint64_t address);
// Scalar instructions are executed as machine code where the host allows that. False: never.
void hart_use_native(hart *h, bool use);
// Such code uses AVX-512 where the host has it. False: AVX2 at most.
void hart_use_avx512(hart *h, bool use);
// Forgets decoded instructions; needed after the host changed code or its mapping.
void hart_flush_code(hart *h);
// NULL: none. Costs nothing when there is none.
void hart_observe(hart *h, hart_observer *observer, void *context);
// The same for a watcher, with which execution goes on by blocks, though not as machine code.
void hart_watch(hart *h, hart_watcher *watcher, void *context);

// How often each opcode was executed, indexed by isa_opcode.
void hart_opcode_counts(const hart *h, uint64_t counts[ISA_OPCODE_COUNT]);

// The instruction at `pc`. False: it cannot be fetched.
bool hart_fetch(const hart *h, uint64_t pc, isa_instruction *out);

// The most elements of a register group with VLEN / 8 = vlenb; sew and lmul as in struct hart, any
// values. 0: no vtype has them.
uint64_t hart_vlmax(uint64_t vlenb, unsigned sew, int lmul);

// CSRs as a csrr would read them; false: no such CSR. Also for debuggers.
bool hart_read_csr(hart *h, unsigned number, uint64_t *value);
bool hart_write_csr(hart *h, unsigned number, uint64_t value); // false: read-only too

enum {
    HART_CSR_FFLAGS = 0x001,
    HART_CSR_FRM = 0x002,
    HART_CSR_FCSR = 0x003,
    HART_CSR_VSTART = 0x008,
    HART_CSR_VXSAT = 0x009,
    HART_CSR_VXRM = 0x00a,
    HART_CSR_VCSR = 0x00f,
    HART_CSR_CYCLE = 0xc00,
    HART_CSR_TIME = 0xc01,
    HART_CSR_INSTRET = 0xc02,
    HART_CSR_VL = 0xc20,
    HART_CSR_VTYPE = 0xc21,
    HART_CSR_VLENB = 0xc22,
    HART_CSR_LUTSHAPE = 0xcc0, // tile m in bits 7:0, tile n in bits 23:8; 0: no LUT unit
};
