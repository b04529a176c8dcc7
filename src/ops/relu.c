/* relu.c -- max(x, 0), keeping NaN. Gradient: 0 where x <= 0, else g, also where x is NaN, as in PyTorch. */
#include "ops/ops.h"

static void forward(const ls_node *n)
{
    ls_unary_forward(n, LS_UNARY_RELU);
}

static void backward(const ls_node *n, const void *g, void *const dx[])
{
    n->ctx->kernel->unary_back(LS_UNARY_RELU, 0, n->out.count, n->out.data, n->out.data, g, dx[0],
                               !(n->stores & 1)); /* 0 where x is 0 or less, as out is */
}

static const ls_shape cases[][LS_MAX_IN] = {
    { { 2, { 5, 3 } } }, { { 1, { 37 } } }, { { 0 } }, LS_LAST_CASE
};
const ls_op ls_op_relu = { .name = "relu",
                           .grad_name = "ReluBackward0",
                           .n_in = 1,
                           .rows = LS_ROWS_ALONE,
                           .flags = LS_OP_STORES | LS_OP_IN_PLACE,
                           .saves = LS_SAVE_OUT,
                           .shape = ls_shape_same,
                           .forward = forward,
                           .backward = backward,
                           .cases = cases };

ls_tensor *ls_relu(ls_tensor *x)
{
    return ls_apply(&ls_op_relu, (ls_list){ 1, &x }, NULL, 0);
}
