/* argmax.c -- the place of the largest element along the last axis, int64; and equality, 1 or 0.
 * Neither has a gradient. */
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
    if (!ls_tensor_usable(x, "argmax")) return NULL;
    if (axis == -1 || axis == x->shape.ndim - 1)
        return ls_apply(&ls_op_argmax, (ls_list){ 1, &x }, NULL, 0);
    ls_fail(x->ctx, LS_ERR_ARG, "argmax: axis %d of shape %s is not the last", axis,
            ls_shape_str(x->shape).text);
    return NULL;
}

/* ---- equal ----------------------------------------------------------------------------------- */
static void forward_equal(const ls_node *n)
{
    int64_t a[LS_MAX_NDIM], b[LS_MAX_NDIM];
    ls_shape_strides(n->in[0].shape, n->out.shape, a);
    ls_shape_strides(n->in[1].shape, n->out.shape, b);
    n->ctx->kernel->binary(LS_BINARY_EQUAL, n->out.shape, n->in[0].data, a, n->in[1].data, b,
                           n->out.data, false);
}

static const ls_shape equal_cases[][LS_MAX_IN] = { { { 2, { 5, 3 } }, { 1, { 3 } } },
                                                   LS_LAST_CASE };
const ls_op ls_op_equal = { .name = "equal",
                            .n_in = 2,
                            .rows = LS_ROWS_ALONE,
                            .shape = ls_shape_broadcasts,
                            .forward = forward_equal,
                            .cases = equal_cases };

ls_tensor *ls_equal(ls_tensor *a, ls_tensor *b)
{
    ls_align_rows(&a, &b);
    if (a && a->dtype == LS_INT64) a = ls_to_float(a);
    if (b && b->dtype == LS_INT64) b = ls_to_float(b);
    return ls_apply(&ls_op_equal, (ls_list){ 2, (ls_tensor *[]){ a, b } }, NULL, 0);
}
