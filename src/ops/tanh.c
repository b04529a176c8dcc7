/* tanh.c -- hyperbolic tangent. Gradient: g (1 - y^2). */
#include "ops/ops.h"

static void forward(const ls_node *n)
{
    ls_unary_forward(n, LS_UNARY_TANH);
}

static void backward(const ls_node *n, const void *g, void *const dx[])
{
    ls_unary_backward(n, LS_UNARY_TANH, g, dx[0]);
}

static const ls_shape cases[][LS_MAX_IN] = {
    { { 2, { 5, 3 } } }, { { 1, { 37 } } }, { { 0 } }, LS_LAST_CASE
};
const ls_op ls_op_tanh = { .name = "tanh",
                           .grad_name = "TanhBackward0",
                           .n_in = 1,
                           .rows = LS_ROWS_ALONE,
                           .flags = LS_OP_STORES | LS_OP_IN_PLACE,
                           .saves = LS_SAVE_OUT,
                           .shape = ls_shape_same,
                           .forward = forward,
                           .backward = backward,
                           .cases = cases };

ls_tensor *ls_tanh(ls_tensor *x)
{
    return ls_apply(&ls_op_tanh, (ls_list){ 1, &x }, NULL, 0);
}
