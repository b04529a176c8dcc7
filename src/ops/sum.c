/* sum.c -- sums and means of all elements, or along axes; over the batch axis of a part, of all rows
 * of the batch. Gradient: g, or g / n, for every element. Also var and std, made of them. */
#include "ops/ops.h"

static const char *shape(ls_node *n)
{
    n->out.shape = (ls_shape){ 0 };
    return NULL;
}

static void forward(const ls_node *n)
{
    const ls_kernel *k = n->ctx->kernel;
    k->fill(1, k->sum(n->in[0].count, n->in[0].data), n->out.data);
}

/* dx (+)= g / n */
static void spread(const ls_node *n, const void *g, double by, void *dx)
{
    const ls_kernel *k = n->ctx->kernel;
    double each;
    if (n->dtype == LS_FLOAT32) each = (double)(*(const float *)g / (float)by);
    else each = *(const double *)g / by;
    if (n->stores & 1) k->fill(n->in[0].count, each, dx);
    else k->unary(LS_UNARY_ADD_C, each, n->in[0].count, dx, dx);
}

static void backward(const ls_node *n, const void *g, void *const dx[])
{
    spread(n, g, 1, dx[0]);
}

/* Elements of the whole batch. */
static double count(const ls_node *n)
{
    int64_t row = 1;
    for (int i = 1; i < n->in[0].shape.ndim; i++) row *= n->in[0].shape.dim[i];
    return (double)(n->batch_rows * row);
}

static void divide(const ls_node *n)
{
    n->ctx->kernel->unary(LS_UNARY_DIV_C, count(n), 1, n->out.data, n->out.data);
}

static void backward_mean(const ls_node *n, const void *g, void *const dx[])
{
    spread(n, g, count(n), dx[0]);
}

static const ls_shape cases[][LS_MAX_IN] = {
    { { 2, { 5, 3 } } }, { { 2, { 70, 2 } } }, { { 0 } }, LS_LAST_CASE
};
const ls_op ls_op_sum = { .name = "sum",
                          .grad_name = "SumBackward0",
                          .n_in = 1,
                          .rows = LS_ROWS_SUM,
                          .flags = LS_OP_STORES,
                          .shape = shape,
                          .forward = forward,
                          .backward = backward,
                          .cases = cases };
const ls_op ls_op_mean = { .name = "mean",
                           .grad_name = "MeanBackward0",
                           .n_in = 1,
                           .rows = LS_ROWS_SUM,
                           .flags = LS_OP_STORES,
                           .shape = shape,
                           .forward = forward,
                           .finish = divide,
                           .backward = backward_mean,
                           .cases = cases };

/* ---- along axes ------------------------------------------------------------------------------
 * One table for sums over rows and one for those within a row. */
static void forward_along(const ls_node *n)
{
    const int64_t none[LS_MAX_NDIM] = { 0 };
    ls_shape in = n->in[0].shape;
    n->ctx->kernel->sum_to(in, n->in[0].data, NULL, none,
                           ls_along_kept(in, ((const ls_along *)n->args)->axes), n->out.data,
                           false);
}

static double count_along(const ls_node *n)
{
    unsigned axes = ((const ls_along *)n->args)->axes;
    double count = axes & 1 ? (double)n->batch_rows : 1;
    for (int i = 1; i < n->in[0].shape.ndim; i++)
        if (axes >> i & 1) count *= (double)n->in[0].shape.dim[i];
    return n->in[0].shape.ndim ? count : 1;
}

static void divide_along(const ls_node *n)
{
    n->ctx->kernel->unary(LS_UNARY_DIV_C, count_along(n), n->out.count, n->out.data, n->out.data);
}

static void forward_mean_along(const ls_node *n)
{
    forward_along(n);
    divide_along(n);
}

static void backward_along(const ls_node *n, const void *g, void *const dx[])
{
    ls_shape in = n->in[0].shape, kept = ls_along_kept(in, ((const ls_along *)n->args)->axes);
    ls_spread(n, kept, g, LS_BINARY_MUL, 1, in, dx[0], !(n->stores & 1));
}

static void backward_mean_along(const ls_node *n, const void *g, void *const dx[])
{
    ls_shape in = n->in[0].shape, kept = ls_along_kept(in, ((const ls_along *)n->args)->axes);
    ls_spread(n, kept, g, LS_BINARY_DIV, count_along(n), in, dx[0], !(n->stores & 1));
}

static const ls_shape along_cases[][LS_MAX_IN] = {
    { { 2, { 5, 3 } } }, { { 3, { 4, 3, 2 } } }, { { 2, { 4, 70 } } }, LS_LAST_CASE
};
static const ls_shape rows_cases[][LS_MAX_IN] = {
    { { 2, { 5, 3 } } }, { { 3, { 7, 2, 3 } } }, { { 2, { 40, 1 } } }, LS_LAST_CASE
};
#define ALONG(id, op_name, grad, how, axes_, cases_, ...)                                          \
    const ls_op ls_op_##id = { .name = op_name,                                                    \
                               .grad_name = grad,                                                  \
                               .n_in = 1,                                                          \
                               .rows = how,                                                        \
                               .flags = LS_OP_STORES,                                              \
                               .shape = ls_shape_along,                                            \
                               .cases = cases_,                                                    \
                               .case_args = &(const ls_along){ axes_, axes_ & 1 },                 \
                               .case_args_bytes = sizeof(ls_along),                                \
                               __VA_ARGS__ };
ALONG(sum_axes, "sum", "SumBackward1", LS_ROWS_ALONE, 2, along_cases, .forward = forward_along,
      .backward = backward_along)
ALONG(sum_rows, "sum", "SumBackward1", LS_ROWS_SUM, 1, rows_cases, .forward = forward_along,
      .backward = backward_along)
ALONG(sum_rows_and_axes, "sum", "SumBackward1", LS_ROWS_SUM, 3, rows_cases,
      .forward = forward_along, .backward = backward_along)
ALONG(mean_axes, "mean", "MeanBackward1", LS_ROWS_ALONE, 2, along_cases,
      .forward = forward_mean_along, .backward = backward_mean_along)
ALONG(mean_rows, "mean", "MeanBackward1", LS_ROWS_SUM, 5, rows_cases, .forward = forward_along,
      .finish = divide_along, .backward = backward_mean_along)

ls_tensor *ls_sum_axes(ls_tensor *x, ls_axes axes, bool keepdim)
{
    return ls_apply_along(&ls_op_sum_axes, &ls_op_sum_rows, x, axes, keepdim);
}

ls_tensor *ls_mean_axes(ls_tensor *x, ls_axes axes, bool keepdim)
{
    return ls_apply_along(&ls_op_mean_axes, &ls_op_mean_rows, x, axes, keepdim);
}

ls_tensor *ls_sum(ls_tensor *x)
{
    return ls_apply(&ls_op_sum, (ls_list){ 1, &x }, NULL, 0);
}

ls_tensor *ls_mean(ls_tensor *x)
{
    return ls_apply(&ls_op_mean, (ls_list){ 1, &x }, NULL, 0);
}

/* ---- variance -------------------------------------------------------------------------------
 * The mean of squared distances from the mean, in two passes: exact over the rows of all ranks. */
ls_tensor *ls_var_axes(ls_tensor *x, ls_axes axes, bool unbiased, bool keepdim)
{
    ls_tensor *distance = ls_sub(x, ls_mean_axes(x, axes, true));
    ls_tensor *sum = ls_sum_axes(ls_pow(distance, 2), axes, keepdim);
    if (!sum) return NULL;
    double count = axes.count ? 1 : (double)ls_shape_count(x->shape);
    for (int i = 0; i < axes.count; i++) count *= (double)ls_dim(x, axes.axis[i]);
    double divisor = unbiased ? count - 1 : count;
    return ls_named(ls_div_scalar(sum, divisor > 0 ? divisor : 0), "VarBackward0");
}

/* The root of a variance: level where it is 0, as in PyTorch, so that equal elements get no NaN. */
static void forward_std(const ls_node *n)
{
    ls_unary_forward(n, LS_UNARY_STD);
}

static void backward_std(const ls_node *n, const void *g, void *const dx[])
{
    ls_unary_backward(n, LS_UNARY_STD, g, dx[0]);
}

const ls_op ls_op_std = { .name = "std",
                          .grad_name = "StdBackward0",
                          .n_in = 1,
                          .rows = LS_ROWS_ALONE,
                          .flags = LS_OP_STORES | LS_OP_IN_PLACE,
                          .saves = LS_SAVE_OUT,
                          .shape = ls_shape_same,
                          .forward = forward_std,
                          .backward = backward_std,
                          .cases = cases,
                          .low = 0.1,
                          .high = 4 };

ls_tensor *ls_std_axes(ls_tensor *x, ls_axes axes, bool unbiased, bool keepdim)
{
    return ls_apply(&ls_op_std, LS_LIST(ls_var_axes(x, axes, unbiased, keepdim)), NULL, 0);
}

ls_tensor *ls_var(ls_tensor *x)
{
    return ls_var_axes(x, LS_ALL_AXES, true, false);
}

ls_tensor *ls_std(ls_tensor *x)
{
    return ls_std_axes(x, LS_ALL_AXES, true, false);
}
