/* mse_loss.c -- mean of (pred - target)^2 over all elements of the batch.
 * Gradient: ((2 / n) g) (pred - target) for pred, its negative for target. */
#include "ops/ops.h"

static const char *shape(ls_node *n)
{
    if (!ls_shape_equal(n->in[0].shape, n->in[1].shape))
        return "prediction and target must have one shape";
    if (n->in[0].is_part != n->in[1].is_part)
        return "a part meets a whole tensor; ls_split_rows() makes it one";
    n->out.shape = (ls_shape){ 0 };
    return NULL;
}

static double count(const ls_node *n)
{
    int64_t row = 1;
    for (int i = 1; i < n->in[0].shape.ndim; i++) row *= n->in[0].shape.dim[i];
    return (double)(n->batch_rows * row);
}

static void forward(const ls_node *n)
{
    const ls_kernel *k = n->ctx->kernel;
    k->fill(1, k->sum_square(n->in[0].count, n->in[0].data, n->in[1].data), n->out.data);
}

static void finish(const ls_node *n)
{
    n->ctx->kernel->unary(LS_UNARY_DIV_C, count(n), 1, n->out.data, n->out.data);
}

static void backward(const ls_node *n, const void *g, void *const dx[])
{
    const ls_kernel *k = n->ctx->kernel;
    double two_over_n = ls_round(n->dtype, 2 / ls_round(n->dtype, count(n)));
    double scale = n->dtype == LS_FLOAT32
                       ? ls_round(n->dtype, two_over_n * (double)*(const float *)g)
                       : two_over_n * *(const double *)g;
    const void *x = n->in[0].data, *y = n->in[1].data;
    if (dx[0]) k->square_back(n->in[0].count, scale, x, y, dx[0], !(n->stores & 1));
    if (dx[1]) k->square_back(n->in[0].count, -scale, x, y, dx[1], !(n->stores & 2));
}

static const ls_shape cases[][LS_MAX_IN] = {
    { { 2, { 5, 3 } }, { 2, { 5, 3 } } },
    { { 2, { 70, 1 } }, { 2, { 70, 1 } } },
    { { 1, { 9 } }, { 1, { 9 } } },
    LS_LAST_CASE,
};
const ls_op ls_op_mse_loss = { .name = "mse_loss",
                               .grad_name = "MseLossBackward0",
                               .n_in = 2,
                               .rows = LS_ROWS_SUM,
                               .flags = LS_OP_STORES,
                               .saves = 3,
                               .shape = shape,
                               .forward = forward,
                               .finish = finish,
                               .backward = backward,
                               .cases = cases };

ls_tensor *ls_mse_loss(ls_tensor *pred, ls_tensor *target)
{
    if (!pred || !target) return NULL;
    target = ls_to_float(target);
    if (target && target->shape.ndim == 1 && pred->shape.ndim == 2 && pred->shape.dim[1] == 1)
        target = ls_view(target, (ls_shape){ 2, { target->shape.dim[0], 1 } });
    ls_pair_rows(&pred, &target);
    return ls_apply(&ls_op_mse_loss, (ls_list){ 2, (ls_tensor *[]){ pred, target } }, NULL, 0);
}
