/* pow.c -- a ^ c with a number c. Gradient: g (c a^(c-1)). */
#include "ops/ops.h"

static void forward(const ls_node *n)
{
    ls_unary_forward(n, LS_UNARY_POW_C);
}

static void backward(const ls_node *n, const void *g, void *const dx[])
{
    ls_unary_backward(n, LS_UNARY_POW_C, g, dx[0]);
}

static const ls_shape cases[][LS_MAX_IN] = {
    { { 2, { 5, 3 } } }, { { 1, { 37 } } }, { { 0 } }, LS_LAST_CASE
};
const ls_op ls_op_pow = { .name = "pow",
                          .grad_name = "PowBackward0",
                          .n_in = 1,
                          .rows = LS_ROWS_ALONE,
                          .flags = LS_OP_STORES | LS_OP_IN_PLACE,
                          .saves = 1,
                          .shape = ls_shape_same,
                          .forward = forward,
                          .backward = backward,
                          .cases = cases,
                          .case_args = &(const double){ 1.7 },
                          .case_args_bytes = sizeof(double),
                          .low = 0.2,
                          .high = 3 };

ls_tensor *ls_pow(ls_tensor *a, double c)
{
    return ls_apply(&ls_op_pow, (ls_list){ 1, &a }, &c, sizeof c);
}
