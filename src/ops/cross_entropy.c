/* cross_entropy.c -- mean over the batch's rows of -log softmax(logits)[label]. Gradient: (g / N)
 * (softmax(logits) - one_hot(label)). The labels' range is checked where the rows lie: that rank's
 * error reaches all. */
#include "ops/ops.h"

static const char *shape(ls_node *n)
{
    ls_shape x = n->in[0].shape, y = n->in[1].shape;
    if (x.ndim != 2) return "logits must be [N, C]";
    if (y.ndim != 1 || y.dim[0] != x.dim[0]) return "labels must be [N]";
    if (n->in[0].is_part != n->in[1].is_part)
        return "a part meets a whole tensor; ls_split_rows() makes it one";
    n->out.shape = (ls_shape){ 0 };
    return NULL;
}

static void forward(const ls_node *n)
{
    const ls_kernel *k = n->ctx->kernel;
    ls_shape x = n->in[0].shape;
    k->fill(1, k->cross_entropy(x.dim[0], x.dim[1], n->in[0].data, n->in[1].data), n->out.data);
}

static void finish(const ls_node *n)
{
    n->ctx->kernel->unary(LS_UNARY_DIV_C, (double)n->batch_rows, 1, n->out.data, n->out.data);
}

static void backward(const ls_node *n, const void *g, void *const dx[])
{
    ls_shape x = n->in[0].shape;
    double rows = ls_round(n->dtype, (double)n->batch_rows);
    double scale = n->dtype == LS_FLOAT32 ? ls_round(n->dtype, (double)*(const float *)g / rows)
                                          : *(const double *)g / rows;
    if (dx[0])
        n->ctx->kernel->cross_entropy_back(x.dim[0], x.dim[1], scale, n->in[0].data, n->in[1].data,
                                           dx[0], !(n->stores & 1));
}

static const ls_shape cases[][LS_MAX_IN] = {
    { { 2, { 5, 3 } }, { 1, { 5 } } },
    { { 2, { 70, 10 } }, { 1, { 70 } } },
    { { 2, { 1, 2 } }, { 1, { 1 } } },
    LS_LAST_CASE,
};
const ls_op ls_op_cross_entropy = { .name = "cross_entropy",
                                    .grad_name = "NllLossBackward0",
                                    .n_in = 2,
                                    .rows = LS_ROWS_SUM,
                                    .flags = LS_OP_STORES,
                                    .saves = 3,
                                    .classes = 2,
                                    .shape = shape,
                                    .forward = forward,
                                    .finish = finish,
                                    .backward = backward,
                                    .cases = cases };

static bool labels_fit(const ls_tensor *label, int64_t classes)
{
    const int64_t *y = label->data;
    for (int64_t i = 0; i < label->count; i++) {
        if (y[i] >= 0 && y[i] < classes) continue;
        const ls_origin *o = label->origin;
        ls_fail(label->ctx, LS_ERR_DATA,
                "%s%srow %lld has class %lld, but the model has outputs for 0 to %lld; %s",
                o ? o->name : "",
                o ? ": " : "cross_entropy: ", (long long)(o ? o->row[i] : label->rows.from + i),
                (long long)y[i], (long long)(classes - 1),
                y[i] < 0 ? "classes count from 0" : "the last layer needs one for each class");
        return false;
    }
    return true;
}

ls_tensor *ls_cross_entropy(ls_tensor *logits, ls_tensor *label)
{
    if (!logits || !label) return NULL;
    if (logits->is_part && !label->is_part) label = ls_split_rows(label);
    if (label && label->dtype == LS_INT64 && logits->shape.ndim == 2 &&
        !labels_fit(label, logits->shape.dim[1]))
        return NULL;
    return ls_apply(&ls_op_cross_entropy, (ls_list){ 2, (ls_tensor *[]){ logits, label } }, NULL,
                    0);
}
