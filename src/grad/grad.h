/* grad.h -- floor 3: tape and backward. Knows no operation by name, and ranks only as ctx->links.
 *
 *   tape.c       ls_apply(): one operation, forward; the record of it; LS_NO_GRAD
 *   backward.c   gradients in reverse order of the tape; sums over rows through links->sums
 *   tree.c       sums over leaves as they come
 *   check.c      finite differences
 */
#pragma once
#include "base/base.h"
#include "kernel/kernel.h"
#include "tensor/tensor.h"

/* One operation that was carried out, kept for backward. It lives as long as its result. */
typedef struct ls_record {
    const ls_op *op;
    ls_tensor   *in[LS_MAX_IN], *out;
    const void  *args;
    int          n_in;
    bool         used;      /* a backward has gone through it */
    uint64_t     visit;     /* the backward that last reached it */
    struct ls_record *before; /* on the tape */
    struct ls_record *next;   /* in backward's worklist */
} ls_record;

typedef struct ls_tape {
    ls_owned   owned;
    ls_record *last, *last_of_life; /* newest record; newest made before the first step */
    uint64_t   step, visits;
} ls_tape;
ls_tape *ls_tape_new(ls_ctx *ctx); /* NULL, with the context failed, without memory */

/* The arrays of one call, for rows [rows.from, rows.to) of the batch. */
void ls_node_fill(ls_node *n, const ls_record *r, ls_range rows);
/* Rows of the batch that the record's parts share; -1 if everything is whole. */
int64_t ls_record_batch(const ls_record *r);
/* Puts r on the tape if gradients flow through it. */
void ls_tape_add(ls_ctx *ctx, ls_record *r);
/* A result that the caller computes itself from one input, on the tape like any other: op's
 * backward() is called with it. out NULL gives NULL. */
ls_tensor *ls_tape_result(const ls_op *op, ls_tensor *in, ls_tensor *out);
/* ls_backward() from a result of any shape with its gradient: rows held here, in the context's
 * type. */
ls_status ls_backward_from(ls_ctx *ctx, ls_tensor *out, const void *g);

/* A sum over leaves as they come, in the fixed tree: at most 64 levels of n elements. */
typedef struct ls_tree_sum { void *level[64]; int height; int64_t count, added; } ls_tree_sum;
bool  ls_tree_begin(ls_ctx *ctx, ls_tree_sum *s, int64_t count, int64_t leaves); /* room in ctx->scratch */
void *ls_tree_leaf(ls_tree_sum *s);                /* where the next leaf is to be written */
void  ls_tree_add(ls_ctx *ctx, ls_tree_sum *s);    /* takes it in */
void *ls_tree_end(ls_ctx *ctx, ls_tree_sum *s);    /* the sum */
