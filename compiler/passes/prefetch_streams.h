// Streams of tile loads in a loop that looks up; private to the pass.
#pragma once

#include "compiler/passes/prefetch.h"

enum { MOST_STREAMS = 64 };

// Memory that a round reads: `bytes` at `root` + `at`.
typedef struct stream {
    const ir_value *root;
    address at;
    int64_t bytes, advance; // from round to round
    ir_op *reader;          // that reads of it first
    ir_value *view;         // of what it reads, `before` bytes behind the stream's beginning
    int64_t before;
} stream;

typedef struct prefetching {
    ir_module *module;
    pass_context *context;
    const machine *machine;
    ir_op *loop;
    unsigned count;
    stream streams[MOST_STREAMS];
    double ahead; // rounds
    bool halved;  // each half of the loop uses what the other one reads in all rounds
} prefetching;

// prefetch_streams.c: what p->loop reads, which p->streams get.
void collect_streams(prefetching *p);
ir_value *tile_read_by(const ir_op *op);          // NULL: it reads no tile
void add_stream(prefetching *p, const stream *s); // to one that it lies beside, or as another
void join_streams(prefetching *p);                // streams of which one goes on where another ends
void measure_round(prefetching *p);               // sets p->ahead
int64_t stream_distance(const prefetching *p, const stream *s); // bytes ahead
double bytes_between_reads(const stream *s, const ir_op *around);
double lines_from_memory(const prefetching *p); // of a round
bool loads_plane(const ir_op *op);
bool loads_far_table(const prefetching *p, const ir_op *op);
bool looks_up_one_row(const prefetching *p);
const ir_op *shared_loop_around(const ir_op *op);
// A prefetch of a tile behind `op`, `bytes` behind the view.
void prefetch_at(prefetching *p, ir_op *op, const ir_value *view, int64_t bytes);
void prefetch_streams(prefetching *p);

// prefetch_behind.c: what is read behind the loop, of the streams that it reads.
void prefetch_behind(prefetching *p);

// prefetch_halves.c: tables that would leave scratch from column tile to column tile.
bool halves_keep_tables(const prefetching *p);
void prefetch_halves(prefetching *p);
