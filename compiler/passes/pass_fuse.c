// fuse: every tensor operation becomes part of a kernel, alone or with others.
//
//   rows     row-wise operations on the same rows, and the tables of their results
//   mpgemm   products of one table with as many columns, and what follows elementwise
//   dense    one product that stays off the LUT path, and what follows elementwise
//   copy     one access to a state
//
// Every value is rounded to its type wherever it is computed, so fusing does not change a bit.
// Nothing is computed twice; a value that others need as well is an output of its kernel.
#include "compiler/passes/fuse.h"

bool pass_fuse(ir_module *m, pass_context *c)
{
    for (ir_function *fn = m->functions; fn; fn = fn->next) {
        fusion f = {.context = c,
                    .module = m,
                    .function = fn,
                    .rows = pass_argument_boolean(c, "rows"),
                    .precompute = pass_argument_boolean(c, "precompute"),
                    .products = pass_argument_boolean(c, "products"),
                    .epilogue = pass_argument_boolean(c, "epilogue")};
        fuse_form(&f);
        fuse_build(&f);
    }
    return true;
}
