/* plan.h -- inside grad: what one backward does.
 *
 * A plan is a list of deeds, each a call with all its addresses, and the parameters at its end. It
 * depends on the records that the result came from, which never change, on where ctx->scratch
 * stands, and on which parameters' gradients are free to be written; where these are the same it is
 * carried out again.
 */
#pragma once
#include "grad/grad.h"

/* One use of a whole tensor. value: the root, once its tree is closed. */
typedef struct ls_use {
    struct ls_use *later;     /* on the tape; the list runs from the first use on */
    struct ls_use *open_next;
    bool           is_open;   /* its tree is not closed yet */
    ls_tensor     *of;
    int            pieces;
    ls_row_sum     sum;
    void          *value;
    bool           is_product; /* alone in its gradient; sum.m: so it is made in this backward */
} ls_use;

/* What a tensor gathers in a backward. */
typedef struct ls_pending {
    ls_tensor *t;
    void      *rows;  /* of a part; */
    struct ls_deed *only; /* what has made all of it, if that minds slopes */
    ls_use    *uses;  /* of a whole tensor, the earliest on the tape first */
    struct ls_pending *next_param;
    bool       fresh; /* of a parameter: its gradient is free to be written, */
    void      *grad;  /* and lies here */
} ls_pending;

/* Sums over rows that are closed together, in the order of the tape, and what they are gradients
 * of. */
typedef struct ls_closing { int64_t count; ls_row_sum **sum; ls_tensor **of; } ls_closing;

typedef enum ls_deed_kind {
    LS_DEED_CALL,   /* backward() for the rows held here */
    LS_DEED_ROWS,   /* for these */
    LS_DEED_LEAVES, /* for each of these leaves, added in a tree */
    LS_DEED_ADD,    /* dx[0] += g */
    LS_DEED_KEEP,   /* r's result gets its gradient g */
    LS_DEED_SLOPE,  /* dx[0], the gradient of r's result, becomes that of what the result is an activation of */
    LS_DEED_BEGIN,  /* closing: these trees may be closed from now on, while others are made */
    LS_DEED_CLOSE
} ls_deed_kind;

typedef struct ls_deed {
    struct ls_deed *next;
    ls_record      *r;
    const void     *g;
    void           *dx[LS_MAX_IN];
    const ls_use   *use;       /* of whose sum it makes a piece */
    const int      *slope;     /* for the node */
    uint8_t         kind, stores;
    uint8_t         input;     /* the one whose dx is asked */
    bool            clears;    /* dx is to be zeroed first */
    bool            is_tree;   /* the operation closes the tree of the leaves itself */
    int64_t         count;     /* elements of dx */
    union {
        struct { ls_range range; char *levels; }; /* of rows or leaves; of the tree, but the lowest */
        ls_closing closing;
    };
} ls_deed;

typedef struct ls_plan {
    struct ls_plan *next;  /* of all */
    struct ls_plan *other; /* from the same record */
    ls_record      *of;    /* NULL: the plan is free */
    ls_arena        book;  /* what it is written in */
    ls_record     **reached; /* the records it goes through */
    bool           *keeps;   /* of each: whether its result's gradient is asked for */
    int64_t         reached_count;
    void           *seed;  /* where the gradient of the result goes */
    ls_deed        *first;
    ls_closing      last;  /* trees open at the end: of parameters */
    ls_pending     *params;
    char           *from, *to; /* of ctx->scratch */
    uint64_t        number;
} ls_plan;

/* The plan of a backward from out's record; NULL, with the context failed, if the tape was used up
 * or without memory. ctx->scratch stands at the plan's end; the caller resets it. */
ls_plan *ls_plan_for(ls_ctx *ctx, ls_tensor *out);
void     ls_plans_end(ls_tape *tape);
