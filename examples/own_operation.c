/* own_operation.c -- an operation that the library does not have: mish, x tanh(log(1 + e^x)).
 *
 * One table says all: the shape of the result, forward, backward, and cases to test it on. Neither
 * function knows of ranks, leaves or types of other tensors; one body serves float and double. The
 * operation is checked first (gradients against finite differences, rows alone and among others),
 * then used in a small regression, on any number of ranks with one result.
 *
 *     mpirun -np 2 own_operation
 */
#include "lockstep/lockstep.h"
#include <math.h>

/* The slope: t + x s (1 - t^2), where t = tanh(log(1 + e^x)) and s = 1 / (1 + e^-x). */
#define MISH(real)                                                                                 \
    static void forward_##real(const ls_node *n)                                                   \
    {                                                                                              \
        const real *x = n->in[0].data;                                                             \
        real *y = n->out.data;                                                                     \
        for (int64_t i = 0; i < n->out.count; i++) y[i] = (real)(x[i] * tanh(log1p(exp(x[i]))));   \
    }                                                                                              \
    static void backward_##real(const ls_node *n, const real *g, real *dx)                         \
    {                                                                                              \
        const real *x = n->in[0].data;                                                             \
        for (int64_t i = 0; i < n->out.count; i++) {                                               \
            double t = tanh(log1p(exp(x[i]))), s = 1 / (1 + exp(-x[i]));                           \
            dx[i] += (real)(g[i] * (t + x[i] * s * (1 - t * t)));                                  \
        }                                                                                          \
    }
MISH(float)
MISH(double)

static void forward(const ls_node *n)
{
    n->dtype == LS_FLOAT64 ? forward_double(n) : forward_float(n);
}

static void backward(const ls_node *n, const void *g, void *const dx[])
{
    n->dtype == LS_FLOAT64 ? backward_double(n, g, dx[0]) : backward_float(n, g, dx[0]);
}

/* Shapes of the inputs, ended by one with a negative dimension. */
static const ls_shape cases[][LS_MAX_IN] = { { { 2, { 5, 3 } } },
                                             { { 1, { 7 } } },
                                             { { 1, { -1 } } } };
static const ls_op mish = { .name = "mish",
                            .grad_name = "MishBackward0",
                            .n_in = 1,
                            .rows = LS_ROWS_ALONE,
                            .saves = 1, /* backward reads input 0 */
                            .shape = ls_shape_same,
                            .forward = forward,
                            .backward = backward,
                            .cases = cases };

static ls_tensor *apply_mish(ls_tensor *x)
{
    return ls_apply(&mish, (ls_list){ 1, &x }, NULL, 0);
}

/* For ls_gradcheck(): any function of tensors. */
static ls_tensor *mish_of_products(void *self, ls_list in)
{
    (void)self;
    return apply_mish(ls_matmul(in.at[0], in.at[1]));
}

int main(void)
{
    ls_ctx *ctx = ls_start(&(ls_opts){ .seed = 1, .dtype = LS_FLOAT64 });
    ls_tensor *x = ls_requires_grad(ls_tensor_of(ctx, LS_SHAPE(3), -1, 0, 2));
    ls_op_check(ctx, &mish);
    ls_tensor *y = apply_mish(x);
    ls_print(y);
    ls_backward(ctx, ls_sum(y));
    ls_print(ls_grad(x));

    ls_tensor *w = ls_requires_grad(ls_randn(ctx, LS_SHAPE(2, 1)));
    ls_tensor *rows = ls_randn(ctx, LS_SHAPE(100, 2));
    ls_gradcheck(ctx, mish_of_products, NULL, LS_LIST(rows, w));
    ls_tensor *labels = ls_keep(
        apply_mish(ls_matmul(rows, ls_tensor_of(ctx, LS_SHAPE(2, 1), 1, -2))));
    ls_zero_grad(LS_LIST(w));
    for (int step = 0; step <= 200 && ls_step_begin(ctx); step++) {
        ls_tensor *part = ls_split_rows(rows); /* every rank takes its own */
        ls_tensor *cost = ls_mse_loss(apply_mish(ls_matmul(part, w)), labels);
        ls_zero_grad(LS_LIST(w));
        ls_backward(ctx, cost);
        LS_NO_GRAD(ctx);
        ls_sub_(w, ls_grad(w), 0.05);
        if (step % 50 == 0) ls_printf(ctx, "step %3d  cost %.6f\n", step, ls_item(cost));
    }
    ls_print(w);
    return ls_finish(ctx);
}
