/* grad.h -- floor 3: tape and backward. Knows no operation by name, and ranks only as ctx->links.
 *
 *   tape.c       ls_apply(): one operation, forward; what share its door; LS_NO_GRAD
 *   record.c     records: the steps that there were, as a tree; a step that repeats one finds them
 *   plan.c       what a backward does, in which memory: worked out once a record
 *   backward.c   carries it out: gradients; sums over rows through links->sums, some begun before the end
 *   tree.c       sums over leaves as they come
 *   leaf.c       gradients kept on request; hooks
 *   check.c      finite differences
 */
#pragma once
#include "base/base.h"
#include "kernel/kernel.h"
#include "tensor/tensor.h"

/* One operation that was carried out, ready to be carried out again, and its result. Inside a step
 * it is kept for the next steps (record.c); before the first step it lives as long as the context. */
typedef struct ls_record {
    const ls_op *op;
    ls_tensor   *in[LS_MAX_IN], *out; /* out: &result, or what the caller computed */
    int          n_in;
    int64_t      batch;     /* ls_record_batch() */
    bool         used;      /* a backward has gone through it */
    uint64_t     call;      /* ctx->calls when it was carried out */
    bool         recorded;  /* it is on the tape: gradients flow through it */
    /* what a step must bring for the record to hold again */
    bool         quiet;     /* made in a LS_NO_GRAD block */
    uint8_t      grads;     /* bit i: input i requires gradients */
    uint8_t      outside;   /* bit i: input i is no result of this step's records */
    uint64_t     stamp[LS_MAX_IN]; /* of those */
    char        *from, *to; /* where the step's arena stood before and after */
    const void  *args;
    size_t       args_bytes;
    /* the tree of steps */
    struct ls_record *parent, *child, *other; /* child: what came next; other: instead of this one */
    int64_t      depth;
    /* tape and backward */
    struct ls_record *before; /* on the tape */
    struct ls_record *next;   /* in backward's worklist */
    uint64_t     visit;       /* the backward that last reached it */
    struct ls_plan *plans;    /* of backwards that start here */
    ls_node      node;        /* the arrays, for the rows held here */
    ls_tensor    result;
    _Alignas(16) char room[64]; /* of args; larger ones lie in the tape's memory */
} ls_record;

typedef struct ls_tape {
    ls_owned   owned;
    ls_record *last, *last_of_life; /* newest on the tape; newest made before the first step */
    uint64_t   step, visits;
    bool       anew;     /* for tests: no step repeats the one before */
    bool       in_hooks; /* of a backward */
    ls_record  root, *at; /* of the tree; where this step stands */
    int64_t    made, deepest; /* records in use; the longest step */
    bool       stale;    /* memory lies idle: the next step begins a new tree */
    uint64_t   number;   /* of the step's arena that the tree is for */
    struct ls_record_block *blocks, *block; /* memory of records; block: the one in use */
    int64_t    used;     /* of it */
    ls_record *spare;
    ls_arena   large;    /* large arguments */
    struct ls_plan *plans; /* all of them */
} ls_tape;
ls_tape *ls_tape_new(ls_ctx *ctx); /* NULL, with the context failed, without memory */

/* ---- records --------------------------------------------------------------------------------- */
/* The next operation of the step, if it was there before in a step like this one: the record stands
 * for the call, its arrays are this call's. NULL: there is none. */
ls_record *ls_record_find(ls_ctx *ctx, const ls_op *op, ls_list in, const void *args, size_t args_bytes);
/* A new one; NULL, with the context failed, without memory. It is for good with ls_record_keep(). */
ls_record *ls_record_new(ls_ctx *ctx, const ls_op *op, int n_in, ls_tensor *const in[], const void *args,
                         size_t args_bytes);
void ls_record_keep(ls_ctx *ctx, ls_record *r);
void ls_record_drop(ls_ctx *ctx, ls_record *r); /* it was not kept */
void ls_records_end(ls_tape *tape);
/* The rows held here of what the record computes. */
ls_range ls_record_rows(const ls_record *r);

/* The arrays of one call, for rows [rows.from, rows.to) of the batch. */
void ls_node_fill(ls_node *n, const ls_record *r, ls_range rows);
/* The same where n is a copy of r->node. */
void ls_node_rows(ls_node *n, const ls_record *r, ls_range rows);
/* Rows of the batch that the record's parts share; -1 if everything is whole. */
int64_t ls_record_batch(const ls_record *r);
/* Puts r on the tape if gradients flow through it. */
void ls_tape_add(ls_ctx *ctx, ls_record *r);
const char *ls_op_grad_name(const ls_op *op); /* what is printed */
/* A result that the caller computes itself from one input, on the tape like any other: op's
 * backward() is called with it. out NULL gives NULL. */
ls_tensor *ls_tape_result(const ls_op *op, ls_tensor *in, ls_tensor *out);
/* ls_backward_with() of a result, without its checks; g: rows held here, in the context's type. */
ls_status ls_backward_from(ls_ctx *ctx, ls_tensor *out, const void *g, bool retains_graph);

/* A sum over leaves as they come, in the fixed tree: at most 64 levels of n elements. */
typedef struct ls_tree_sum { void *level[64]; int height; int64_t count, added; } ls_tree_sum;
bool  ls_tree_begin(ls_ctx *ctx, ls_tree_sum *s, int64_t count, int64_t leaves); /* room in ctx->scratch */
size_t ls_tree_bytes(const ls_ctx *ctx, int64_t count); /* of a level */
int   ls_tree_levels(int64_t leaves);
void *ls_tree_leaf(ls_tree_sum *s);                /* where the next leaf is to be written */
void  ls_tree_add(ls_ctx *ctx, ls_tree_sum *s);    /* takes it in */
void *ls_tree_end(ls_ctx *ctx, ls_tree_sum *s);    /* the sum */
