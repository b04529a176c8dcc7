/* pair.c -- functions of two elements whose gradients are no plain products: a / b, a ^ b, minimum
 * and maximum (of equals each gets half), and the costs of an element that losses are made of.
 * Inputs of different shapes are expanded first, whose gradient sums down again. */
#include "ops/ops.h"

static const ls_shape cases[][LS_MAX_IN] = {
    { { 2, { 5, 3 } }, { 2, { 5, 3 } } },
    { { 1, { 37 } }, { 1, { 37 } } },
    { { 0 }, { 0 } },
    LS_LAST_CASE,
};

#define PAIR(id, OP, grad, reads, ...)                                                             \
    static void forward_##id(const ls_node *n)                                                     \
    {                                                                                              \
        double c = n->args ? *(const double *)n->args : 0;                                         \
        n->ctx->kernel->pair(OP, c, n->out.count, n->in[0].data, n->in[1].data, n->out.data);      \
    }                                                                                              \
    static void backward_##id(const ls_node *n, const void *g, void *const dx[])                   \
    {                                                                                              \
        double c = n->args ? *(const double *)n->args : 0;                                         \
        for (int i = 0; i < 2; i++)                                                                \
            if (dx[i])                                                                             \
                n->ctx->kernel->pair_back(OP, i, c, n->out.count, n->in[0].data, n->in[1].data, g, \
                                          dx[i], !(n->stores >> i & 1));                           \
    }                                                                                              \
    const ls_op ls_op_##id = { .name = #id,                                                        \
                               .grad_name = grad,                                                  \
                               .n_in = 2,                                                          \
                               .rows = LS_ROWS_ALONE,                                              \
                               .flags = LS_OP_STORES,                                              \
                               .saves = reads,                                                     \
                               .shape = ls_shape_equal_rows,                                       \
                               .forward = forward_##id,                                            \
                               .backward = backward_##id,                                          \
                               .cases = cases,                                                     \
                               __VA_ARGS__ };
#define NUMBER(example) .case_args = &(const double){ example }, .case_args_bytes = sizeof(double)

PAIR(div, LS_PAIR_DIV, "DivBackward0", 3 | LS_SAVE_FOR_OTHERS, .low = 0.4, .high = 3)
PAIR(pow_tensor, LS_PAIR_POW, "PowBackward1", 3, .low = 0.3, .high = 2.5)
PAIR(minimum, LS_PAIR_MINIMUM, "MinimumBackward0", 3, .low = -2, .high = 2)
PAIR(maximum, LS_PAIR_MAXIMUM, "MaximumBackward0", 3, .low = -2, .high = 2)
PAIR(l1_loss, LS_PAIR_L1, "AbsBackward0", 3, .low = -2, .high = 2)
PAIR(smooth_l1_loss, LS_PAIR_SMOOTH_L1, "SmoothL1LossBackward0", 3, NUMBER(0.7))
PAIR(huber_loss, LS_PAIR_HUBER, "HuberLossBackward0", 3, NUMBER(0.7))
PAIR(bce_loss, LS_PAIR_BCE, "BinaryCrossEntropyBackward0", 3, .low = 0.1, .high = 0.9)
PAIR(bce_with_logits, LS_PAIR_BCE_LOGITS, "BinaryCrossEntropyWithLogitsBackward0", 3, .low = 0,
     .high = 2)
PAIR(kl_div, LS_PAIR_KL, "SubBackward0", 3, .low = 0.1, .high = 2)
PAIR(kl_div_log, LS_PAIR_KL_LOG, "MulBackward0", 3, .low = -2, .high = 1)

static ls_tensor *apply(const ls_op *op, ls_tensor *a, ls_tensor *b)
{
    ls_promote(&a, &b);
    if (!ls_expand_both(op->name, &a, &b)) return NULL;
    return ls_apply(op, (ls_list){ 2, (ls_tensor *[]){ a, b } }, NULL, 0);
}

ls_tensor *ls_div(ls_tensor *a, ls_tensor *b)
{
    return apply(&ls_op_div, a, b);
}

ls_tensor *ls_pow_tensor(ls_tensor *a, ls_tensor *b)
{
    return apply(&ls_op_pow_tensor, a, b);
}

ls_tensor *ls_minimum(ls_tensor *a, ls_tensor *b)
{
    return apply(&ls_op_minimum, a, b);
}

ls_tensor *ls_maximum(ls_tensor *a, ls_tensor *b)
{
    return apply(&ls_op_maximum, a, b);
}
