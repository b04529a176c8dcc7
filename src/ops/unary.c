/* unary.c -- functions of one element: f(x), with PyTorch's gradients. Those with a number take it
 * as args. What each reads backward is its input or its output, whichever is at hand.
 * Also what is made of them: clamp, reciprocal and powers with names of their own. */
#include "ops/ops.h"
#include <math.h>

static const ls_shape cases[][LS_MAX_IN] = {
    { { 2, { 5, 3 } } }, { { 1, { 37 } } }, { { 0 } }, LS_LAST_CASE
};

#define BODY(id, OP)                                                                               \
    static void forward_##id(const ls_node *n)                                                     \
    {                                                                                              \
        ls_unary_forward(n, OP);                                                                   \
    }                                                                                              \
    static void backward_##id(const ls_node *n, const void *g, void *const dx[])                   \
    {                                                                                              \
        ls_unary_backward(n, OP, g, dx[0]);                                                        \
    }
#define TABLE(id, grad, reads, ...)                                                                \
    const ls_op ls_op_##id = { .name = #id,                                                        \
                               .grad_name = grad,                                                  \
                               .n_in = 1,                                                          \
                               .rows = LS_ROWS_ALONE,                                              \
                               .flags = LS_OP_STORES | LS_OP_IN_PLACE,                             \
                               .saves = reads,                                                     \
                               .shape = ls_shape_same,                                             \
                               .forward = forward_##id,                                            \
                               .backward = backward_##id,                                          \
                               .cases = cases,                                                     \
                               __VA_ARGS__ };
#define UNARY(id, OP, grad, reads, from, to)                                                       \
    BODY(id, OP)                                                                                   \
    TABLE(id, grad, reads, .low = from, .high = to)                                                \
    ls_tensor *ls_##id(ls_tensor *x)                                                               \
    {                                                                                              \
        return ls_apply(&ls_op_##id, (ls_list){ 1, &x }, NULL, 0);                                 \
    }
/* example: the number in the cases */
#define WITH_NUMBER(id, OP, grad, reads, example)                                                  \
    BODY(id, OP)                                                                                   \
    TABLE(id, grad, reads, .case_args = &(const double){ example },                                \
          .case_args_bytes = sizeof(double))                                                       \
    static ls_tensor *apply_##id(ls_tensor *x, double c)                                           \
    {                                                                                              \
        return ls_apply(&ls_op_##id, (ls_list){ 1, &x }, &c, sizeof c);                            \
    }

UNARY(neg, LS_UNARY_NEG, "NegBackward0", 0, -2, 2)
UNARY(abs, LS_UNARY_ABS, "AbsBackward0", 1, -2, 2)
UNARY(sqrt, LS_UNARY_SQRT, "SqrtBackward0", LS_SAVE_OUT, 0.1, 4)
UNARY(exp, LS_UNARY_EXP, "ExpBackward0", LS_SAVE_OUT, -2, 2)
UNARY(log, LS_UNARY_LOG, "LogBackward0", 1, 0.2, 4)
UNARY(log1p, LS_UNARY_LOG1P, "Log1PBackward0", 1, -0.8, 3)
UNARY(erf, LS_UNARY_ERF, "ErfBackward0", 1, -3, 3)
UNARY(sigmoid, LS_UNARY_SIGMOID, "SigmoidBackward0", LS_SAVE_OUT, -4, 4)
UNARY(silu, LS_UNARY_SILU, "SiluBackward0", 1, -4, 4)
UNARY(gelu, LS_UNARY_GELU, "GeluBackward0", 1, -4, 4)
UNARY(gelu_tanh, LS_UNARY_GELU_TANH, "GeluBackward0", 1, -4, 4)
WITH_NUMBER(softplus, LS_UNARY_SOFTPLUS, "SoftplusBackward0", 1, 1.5)
WITH_NUMBER(leaky_relu, LS_UNARY_LEAKY_RELU, "LeakyReluBackward0", 1, 0.01)
WITH_NUMBER(clamp_min, LS_UNARY_CLAMP_MIN, "ClampBackward1", 1, -0.4)
WITH_NUMBER(clamp_max, LS_UNARY_CLAMP_MAX, "ClampBackward1", 1, 0.6)
WITH_NUMBER(div_scalar, LS_UNARY_DIV_C, "DivBackward0", 0, -1.7)

ls_tensor *ls_softplus(ls_tensor *x)
{
    return apply_softplus(x, 1);
}

ls_tensor *ls_leaky_relu(ls_tensor *x, double slope)
{
    return apply_leaky_relu(x, slope);
}

ls_tensor *ls_div_scalar(ls_tensor *a, double c)
{
    return apply_div_scalar(a, c);
}

ls_tensor *ls_clamp(ls_tensor *x, double low, double high)
{
    if (ls_tensor_usable(x, "clamp") && (isnan(low) || isnan(high))) {
        ls_fail(x->ctx, LS_ERR_ARG, "clamp: a bound is NaN; -INFINITY and INFINITY stand for none");
        return NULL;
    }
    if (low > -INFINITY) x = apply_clamp_min(x, low);
    if (high < INFINITY) x = apply_clamp_max(x, high);
    return ls_named(x, "ClampBackward1");
}

ls_tensor *ls_sub_scalar(ls_tensor *a, double c)
{
    return ls_named(ls_add_scalar(a, -c), "SubBackward0");
}
