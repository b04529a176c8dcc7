/* sum.c -- the sum and the mean of all elements; over a part, of all rows of the batch.
 * Gradient: g, or g / n, for every element. */
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

ls_tensor *ls_sum(ls_tensor *x)
{
    return ls_apply(&ls_op_sum, (ls_list){ 1, &x }, NULL, 0);
}

ls_tensor *ls_mean(ls_tensor *x)
{
    return ls_apply(&ls_op_mean, (ls_list){ 1, &x }, NULL, 0);
}
