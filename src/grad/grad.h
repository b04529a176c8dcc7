/* grad.h -- floor 3: tape and backward. Knows no operation by name, and ranks only as ctx->links.
 *
 *   tape.c       ls_apply(): one operation, forward; the record of it; LS_NO_GRAD
 *   backward.c   gradients in reverse order of the tape; sums over rows through links->sums
 *   check.c      finite differences
 */
#pragma once
#include "base/base.h"
#include "kernel/kernel.h"
#include "tensor/tensor.h"

/* One operation that was carried out, kept for backward. In the step's arena. */
typedef struct ls_record {
    const ls_op *op;
    ls_tensor   *in[LS_MAX_IN], *out;
    const void  *args;
    int          n_in;
    bool         used;    /* a backward has gone through it */
    uint64_t     number;  /* order of the tape */
    uint64_t     visit;   /* mark of the backward that reached it */
    struct ls_record *next; /* backward's worklist */
} ls_record;

typedef struct ls_tape { uint64_t records, visits; } ls_tape;
ls_tape *ls_tape_new(ls_ctx *ctx); /* owned by ctx */

/* Arrays of a call for rows [from, to) of the batch, out of whole tensors and parts. */
void ls_node_fill(ls_node *n, const ls_op *op, int n_in, ls_tensor *const in[], const ls_tensor *out,
                  const void *args, ls_range rows);
/* The batch rows of an operation's parts; -1 if all inputs are whole. */
int64_t ls_batch_rows(int n_in, ls_tensor *const in[]);
