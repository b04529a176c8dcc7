/* op.h -- operations of one's own: one const table, and ls_apply(). */
#pragma once
#include "tensor.h"
#ifdef __cplusplus
extern "C" {
#endif
enum { LS_MAX_IN = 4 };
/* How an operation treats the batch axis of a part. The library cuts parts into leaves and adds
 * what comes back in the tree, so that no operation knows of ranks, leaves or trees. */
typedef enum ls_rows {
    LS_ROWS_MIXED = 0, /* rows depend on one another: refused on parts */
    LS_ROWS_ALONE,     /* row i of out comes from rows i of the parts and from whole inputs */
    LS_ROWS_SUM        /* out is a sum over rows: forward() makes it for the rows it is given */
} ls_rows;

typedef struct ls_array { void *data; ls_shape shape; int64_t count; bool is_part; } ls_array;

/* One call of an operation. For a part, shape and count are those of the rows of this call. */
typedef struct ls_node {
    ls_ctx     *ctx;
    ls_dtype    dtype;              /* of the floating arrays */
    int         n_in;
    ls_array    in[LS_MAX_IN], out; /* int64 inputs: in_dtype says so */
    ls_dtype    in_dtype[LS_MAX_IN], out_dtype;
    int64_t     batch_rows;         /* of the whole batch: what a mean divides by */
    int64_t     first_row;          /* of this call's rows in the batch */
    int64_t     leaf_rows;          /* backward() with LS_OP_LEAVES: leaves in this call's rows */
    unsigned    stores;             /* backward() with LS_OP_STORES: bit i: write dx[i], do not add */
    const int  *slope;              /* backward() with LS_OP_SLOPES: the activation that gave input 0, with whose
                                     * slope dx[0] is to be multiplied; NULL: with none */
    const void *args;
} ls_node;

typedef struct ls_factors { const void *left, *right; } ls_factors; /* rows without gaps */

enum {
    LS_SAVE_OUT  = 1 << LS_MAX_IN,
    LS_SAVE_FOR_OTHERS = 1 << (LS_MAX_IN + 1), /* times 1 << i: input i, for gradients of other inputs alone */
    LS_SAVE_FACTORS = 3 | 3 * LS_SAVE_FOR_OTHERS, /* of a product of inputs 0 and 1 */
    LS_OP_LEAVES = 1, /* flags: backward() closes the leaf tree of its sums over rows itself */
    LS_OP_STORES = 2, /* flags: backward() minds node->stores */
    LS_OP_VIEW = 4,   /* flags: out is input 0 with another shape; no forward() */
    LS_OP_SPLIT = 8,  /* flags: out is a part made from whole inputs */
    LS_OP_IN_PLACE = 16, /* flags: of one input; backward() may get dx[0] equal to g */
    LS_OP_SLOPES = 32 /* flags: backward() minds node->slope */
};

typedef struct ls_op {
    const char *name;      /* as the reader knows it: "mul" */
    const char *grad_name; /* as PyTorch prints it: "MulBackward0"; NULL: name */
    int         n_in;      /* inputs; those from n_need on may be NULL */
    int         n_need;    /* 0: all */
    ls_rows     rows;
    unsigned    flags;
    unsigned    saves;     /* what backward() reads: bit i input i, LS_SAVE_OUT; it may not be written in
                            * place between forward and backward */
    unsigned    classes;   /* bit i: input i is int64; all others are floating */
    const char *(*shape)(ls_node *n);  /* sets out.shape, perhaps out_dtype; NULL, or why not */
    void (*forward)(const ls_node *n); /* writes out */
    void (*finish)(const ls_node *n);  /* ROWS_SUM: once, on the complete sum; or NULL */
    void (*backward)(const ls_node *n, const void *g, void *const dx[]); /* adds; NULL: not asked */
    /* Whether the gradient of input i, [M, N], is the sum over the rows of out, [rows, ...], of left[row, M]
     * right[row, N], fused and in row order as linear's is; these are then set. NULL: none is. g may be NULL. */
    bool (*factors)(const ls_node *n, int i, const void *g, ls_factors *f);
    /* For the library's own operations: the activation that forward() makes last, or NULL. backward() and factors()
     * then get the gradient of what it is made of, which is worked out from out's (LS_SAVE_OUT). */
    const int *activation;
    const ls_shape (*cases)[LS_MAX_IN]; /* shapes to test, ended by one with dim 0 < 0 */
    const void *case_args;    /* args of the cases */
    size_t      case_args_bytes;
    double      low, high;    /* inputs of the cases lie between; 0, 0: -2 and 2 */
} ls_op;

LS_API ls_tensor  *ls_apply(const ls_op *op, ls_list in, const void *args, size_t args_bytes);
/* For backward(): a broadcast input's gradient is g, or the rounded products of g and another
 * input, summed down to its shape in the library's order. other: NULL, or an array that broadcasts
 * to out. */
LS_API void ls_broadcast_back(const ls_node *n, const void *g, const ls_array *other, int i, void *dx);
LS_API const char *ls_shape_broadcasts(ls_node *n); /* for shape: two inputs broadcast to out */
LS_API const char *ls_shape_same(ls_node *n); /* for shape: all inputs and out alike */

/* Compares with finite differences, in LS_FLOAT64: a function of inputs, or an operation's cases
 * (which also tests that rows do not depend on their neighbours, and backward on what is not saved).
 * Errors  NUMERIC: where and by how much.  Calls  collective */
LS_API ls_status ls_gradcheck(ls_ctx *ctx, ls_tensor *(*f)(void *self, ls_list in), void *self, ls_list in);
LS_API ls_status ls_op_check(ls_ctx *ctx, const ls_op *op);
#ifdef __cplusplus
}
#endif
