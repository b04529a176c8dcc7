/* add.c -- a + b and a - b, broadcasting; a + c with a number.
 * Gradient: da = g, db = g or -g, summed down to the input's shape. */
#include "ops/ops.h"

static void binary(const ls_node *n, ls_binary op)
{
    int64_t a[LS_MAX_NDIM], b[LS_MAX_NDIM];
    ls_shape_strides(n->in[0].shape, n->out.shape, a);
    ls_shape_strides(n->in[1].shape, n->out.shape, b);
    n->ctx->kernel->binary(op, n->out.shape, n->in[0].data, a, n->in[1].data, b, n->out.data,
                           false);
}

static void forward_add(const ls_node *n)
{
    binary(n, LS_BINARY_ADD);
}

static void forward_sub(const ls_node *n)
{
    binary(n, LS_BINARY_SUB);
}

static void backward_add(const ls_node *n, const void *g, void *const dx[])
{
    if (dx[0]) ls_broadcast_back(n, g, NULL, 0, dx[0]);
    if (dx[1]) ls_broadcast_back(n, g, NULL, 1, dx[1]);
}

/* -g as the rounded product with -1, which is exact. */
static void backward_sub(const ls_node *n, const void *g, void *const dx[])
{
    union {
        float f;
        double d;
    } minus;
    n->ctx->kernel->fill(1, -1, &minus);
    ls_array one = { .data = &minus, .count = 1 };
    if (dx[0]) ls_broadcast_back(n, g, NULL, 0, dx[0]);
    if (dx[1]) ls_broadcast_back(n, g, &one, 1, dx[1]);
}

static const ls_shape cases[][LS_MAX_IN] = {
    { { 2, { 5, 3 } }, { 2, { 5, 3 } } },
    { { 2, { 5, 3 } }, { 1, { 3 } } },
    { { 2, { 5, 1 } }, { 1, { 4 } } },
    { { 2, { 4, 3 } }, { 2, { 4, 1 } } },
    { { 3, { 6, 2, 3 } }, { 2, { 2, 1 } } },
    { { 2, { 9, 1 } }, { 1, { 1 } } },
    { { 1, { 7 } }, { 0 } },
    { { 0 }, { 0 } },
    LS_LAST_CASE,
};
const ls_op ls_op_add = { .name = "add",
                          .grad_name = "AddBackward0",
                          .n_in = 2,
                          .rows = LS_ROWS_ALONE,
                          .flags = LS_OP_STORES,
                          .shape = ls_shape_broadcasts,
                          .forward = forward_add,
                          .backward = backward_add,
                          .cases = cases };
const ls_op ls_op_sub = { .name = "sub",
                          .grad_name = "SubBackward0",
                          .n_in = 2,
                          .rows = LS_ROWS_ALONE,
                          .flags = LS_OP_STORES,
                          .shape = ls_shape_broadcasts,
                          .forward = forward_sub,
                          .backward = backward_sub,
                          .cases = cases };

ls_tensor *ls_add(ls_tensor *a, ls_tensor *b)
{
    ls_promote(&a, &b);
    ls_align_rows(&a, &b);
    return ls_apply(&ls_op_add, (ls_list){ 2, (ls_tensor *[]){ a, b } }, NULL, 0);
}

ls_tensor *ls_sub(ls_tensor *a, ls_tensor *b)
{
    ls_promote(&a, &b);
    ls_align_rows(&a, &b);
    return ls_apply(&ls_op_sub, (ls_list){ 2, (ls_tensor *[]){ a, b } }, NULL, 0);
}

/* ---- with a number --------------------------------------------------------------------------- */
static void forward_scalar(const ls_node *n)
{
    ls_unary_forward(n, LS_UNARY_ADD_C);
}

static void backward_scalar(const ls_node *n, const void *g, void *const dx[])
{
    ls_unary_backward(n, LS_UNARY_ADD_C, g, dx[0]);
}

static const ls_shape scalar_cases[][LS_MAX_IN] = { { { 2, { 5, 3 } } }, { { 0 } }, LS_LAST_CASE };
const ls_op ls_op_add_scalar = { .name = "add_scalar",
                                 .grad_name = "AddBackward0",
                                 .n_in = 1,
                                 .rows = LS_ROWS_ALONE,
                                 .flags = LS_OP_STORES | LS_OP_IN_PLACE,
                                 .shape = ls_shape_same,
                                 .forward = forward_scalar,
                                 .backward = backward_scalar,
                                 .cases = scalar_cases,
                                 .case_args = &(const double){ 0.7 },
                                 .case_args_bytes = sizeof(double) };

ls_tensor *ls_add_scalar(ls_tensor *a, double c)
{
    return ls_apply(&ls_op_add_scalar, (ls_list){ 1, &a }, &c, sizeof c);
}
