// What the files of runtime/host share.
#pragma once

#include "runtime/host/host.h"

#include "support/file.h"

// A piece of guest memory with a name, for fault reports. Guard pages around the ones that the
// host lays out belong to none.
typedef struct host_region {
    const char *name;
    uint64_t address, size;
    bool given; // its contents are those of the command line, whatever runs
} host_region;

// A file as it was when its contents were hashed.
typedef struct hashed_file {
    uint64_t device, inode, size, hash;
    int64_t changed[4]; // its contents, its inode: seconds, nanoseconds
} hashed_file;

// Checkpoints of the runs; what is 0 is not wanted.
typedef struct host_checkpoints {
    const char *path;             // where they go
    uint64_t every;               // instructions
    bool written;                 // one, at least
    const char *resume;           // the one that the next run goes on from
    bool resumed;                 // the machine is that of a checkpoint: nothing is to be set up
    uint64_t identity;            // 0: not known yet
    ARRAY_OF(hashed_file) hashed; // of its arguments
    uint64_t opcodes[ISA_OPCODE_COUNT]; // executed before the program was resumed
} host_checkpoints;

typedef struct source_lines source_lines;
typedef struct linux_process linux_process;
typedef struct team team;

struct host_program {
    arena *arena;
    diagnostics *diagnostics;
    const char *path;
    mapped_file file, weight_file;
    elf_image image;
    bool is_model;
    program_description description;
    packed_file weights;
    const uint8_t *weight_data; // the packed file, wherever it is; NULL: none
    machine machine;
    hart_memory *memory;
    hart *hart;   // that runs alone, is observed, or is reported on; the first one else
    hart **harts; // by rank, each with a LUT unit of its own
    unsigned hart_count;
    team *team; // of several, from their first run on
    ARRAY_OF(host_region) regions;
    uint64_t next_address;   // where the next region goes
    uint64_t return_address; // of entries: a page that stays unmapped
    uint64_t *stack_tops;    // by rank
    uint64_t state_address;
    linux_process *process;
    ARRAY_OF(uint64_t) refused_services; // numbers warned about
    uint64_t runs, runs_at_reset;
    double seconds, fastest;
    double under_way;    // seconds of a run that has not ended, when it last stopped
    source_lines *lines; // opened on the first question
    ARRAY_OF(observer) observers;
    size_t refused; // whose gate did
    bool observed;  // some observer wants every instruction
    host_checkpoints checkpoint;
};

static inline location host_where(const host_program *p)
{
    return (location){.source = diagnostics_source(p->diagnostics, p->path, NULL, 0)};
}

// A named region of at least `size` bytes behind a guard page, its end flush with the next guard
// page up to alignment 64. 0: reported.
uint64_t host_add_region(host_program *p, const char *name, uint64_t size, unsigned access);

// From where the registers of all harts stand; `name` is what observers are told.
host_outcome host_run(host_program *p, const char *name, const host_limits *limits);

void observers_begin(host_program *p, hart *h, const char *name);
// A gate refused. False: the run ends.
bool observers_stopped(host_program *p, hart *h);
void observers_settle(host_program *p);           // now and then, between instructions
bool observers_fault(host_program *p, hart *h);   // false: the run ends
void observers_barrier(host_program *p, hart *h); // the hart has come to it
void observers_end(host_program *p, hart *h);

// What the guest can ask for by an ecall (runtime/host/linux.h). Created with the program, with the
// standard streams; started once the stack is there, with heap, mappings and argv's files.
linux_process *linux_create(arena *a);
void linux_start(host_program *p, const char *const *argv);
void linux_destroy(linux_process *process); // NULL is fine

// Services that Linux does not have (docs/program.md); of programs with entries only.
enum { HOST_SERVICE_BARRIER = 4096 };

// Acts on the ecall that stopped the hart. False: the program has ended with *exit_code.
bool host_service(host_program *p, hart *h, int *exit_code);
// True when what stopped `h` has ended it, with the reason in *outcome.
bool host_has_ended(host_program *p, hart *h, hart_stop stop, host_outcome *outcome);
// Whether the run that began at `start` has taken as long as it may.
bool host_time_is_up(const host_limits *limits, double start);
// Whether a limit has ended the run, with the reason in *outcome.
bool host_limit_reached(const host_limits *limits, double start, host_outcome *outcome);
// Runs the hart up to the next look at limits and clock, at most so many instructions. `done`: of
// those that are limited.
hart_stop host_run_slice(hart *h, const host_limits *limits, uint64_t done, uint64_t most);

// Instructions up to the next checkpoint.
uint64_t checkpoint_distance(const host_program *p);
// Between two instructions of the run `name`.
void checkpoint_if_due(host_program *p, const char *name);
// If the run `what`, whose memory is laid out, is to go on from a checkpoint, the machine is.
// False: reported.
bool checkpoint_resume(host_program *p, const char *what);
// checkpoint_inputs.c: what the run is given. Reports what the checkpoint was not written with.
struct checkpoint;
struct checkpoint_inputs checkpoint_given(host_program *p);
bool checkpoint_has_inputs(host_program *p, const struct checkpoint *c);
// Whether the machine is that of a checkpoint; once.
bool checkpoint_take_resumed(host_program *p);

void source_lines_close(source_lines *lines); // NULL is fine
