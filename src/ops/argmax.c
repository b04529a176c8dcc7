/* argmax.c -- the place of the largest or smallest element along an axis, int64, the first of
 * equals; NaN counts as both. The kernel walks the last axis: another one is moved there. No
 * gradient. */
#include "ops/ops.h"

static const char *shape(ls_node *n)
{
    ls_shape x = n->in[0].shape;
    if (x.ndim < 1 || (n->in[0].is_part && x.ndim < 2))
        return "argmax needs an axis besides the batch";
    if (x.dim[x.ndim - 1] < 1) return "an empty axis has no largest element";
    n->out.shape = x;
    n->out.shape.ndim--;
    n->out_dtype = LS_INT64;
    return NULL;
}

static void forward(const ls_node *n)
{
    n->ctx->kernel->argmax(n->out.count, n->in[0].shape.dim[n->in[0].shape.ndim - 1], n->in[0].data,
                           n->out.data);
}

static const ls_shape cases[][LS_MAX_IN] = { { { 2, { 5, 3 } } },
                                             { { 3, { 4, 2, 7 } } },
                                             LS_LAST_CASE };
const ls_op ls_op_argmax = { .name = "argmax",
                             .n_in = 1,
                             .rows = LS_ROWS_ALONE,
                             .shape = shape,
                             .forward = forward,
                             .cases = cases };

ls_tensor *ls_argmax(ls_tensor *x, int axis)
{
    if (!ls_axis_fits(x, "argmax", &axis)) return NULL;
    ls_tensor *last = ls_detach(x);
    for (int i = axis; last && i + 1 < x->shape.ndim; i++) last = ls_transpose(last, i, i + 1);
    return ls_apply(&ls_op_argmax, (ls_list){ 1, &last }, NULL, 0);
}

ls_tensor *ls_argmin(ls_tensor *x, int axis)
{
    if (!ls_axis_fits(x, "argmin", &axis)) return NULL;
    if (x->dtype == LS_INT64) return ls_argmax(x, axis); /* refuses */
    return ls_argmax(ls_neg(ls_detach(x)), axis);
}
