// Many calls of one function, run together operation by operation, for those who look at values on
// the way and change weights behind what has been computed: calibration.
#pragma once

#include "compiler/eval/eval.h"

typedef struct eval_lockstep eval_lockstep;

typedef enum eval_verdict { EVAL_GO_ON, EVAL_DONE, EVAL_FAILED } eval_verdict;
typedef struct eval_watch {
    void *context;
    // In front of each operation, once for all calls. DONE: nothing else is computed.
    eval_verdict (*before)(void *context, eval_lockstep *s, const ir_op *op);
} eval_watch;

// inputs: n_inputs of each call, as eval_call takes them, all of the same shapes. Every call has
// states of its own, which begin as zeros; those of the evaluator stay as they are. False:
// reported.
bool eval_call_together(evaluator *e, const ir_function *f, size_t calls, size_t n_inputs,
                        const named_array *inputs, const eval_watch *watch);

// For `before`.
typedef struct eval_matrix {
    const double *data; // until the operation has run
    int64_t rows, columns;
} eval_matrix;
size_t eval_lockstep_calls(const eval_lockstep *s);
// An operand of the operation in one of the calls; no data: an optional one is absent. False:
// reported.
bool eval_lockstep_operand(eval_lockstep *s, size_t call, const char *name, eval_matrix *out);

// What the weight source says about the weight has changed.
void eval_forget_weight(evaluator *e, const ir_global *g);
