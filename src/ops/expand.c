/* expand.c -- an array repeated to the shape that it and another broadcast to. The other lends its
 * shape alone: it says how far, and whether the result is a part. Gradient: g summed down to the
 * input's shape, over all rows of the batch where a whole tensor meets a part. */
#include "ops/ops.h"

static void forward(const ls_node *n)
{
    ls_spread(n, n->in[0].shape, n->in[0].data, LS_BINARY_MUL, 1, n->out.shape, n->out.data, false);
}

static void backward(const ls_node *n, const void *g, void *const dx[])
{
    if (dx[0]) ls_broadcast_back(n, g, NULL, 0, dx[0]);
}

static const ls_shape cases[][LS_MAX_IN] = {
    { { 2, { 5, 3 } }, { 2, { 5, 3 } } },
    { { 1, { 3 } }, { 2, { 5, 3 } } },
    { { 1, { 4 } }, { 2, { 5, 1 } } },
    { { 2, { 4, 1 } }, { 2, { 4, 3 } } },
    { { 2, { 2, 1 } }, { 3, { 6, 2, 3 } } },
    { { 0 }, { 1, { 7 } } },
    LS_LAST_CASE,
};
const ls_op ls_op_expand = { .name = "expand",
                             .grad_name = "ExpandBackward0",
                             .n_in = 2,
                             .rows = LS_ROWS_ALONE,
                             .shape = ls_shape_broadcasts,
                             .forward = forward,
                             .backward = backward,
                             .cases = cases };

static ls_tensor *expand(ls_tensor *x, ls_tensor *like)
{
    return ls_apply(&ls_op_expand, (ls_list){ 2, (ls_tensor *[]){ x, like } }, NULL, 0);
}

ls_tensor *ls_expand_as(ls_tensor *x, ls_tensor *like)
{
    ls_shape both;
    if (!ls_tensor_usable(x, "expand_as") || !ls_tensor_usable(like, "expand_as")) return NULL;
    if (ls_shape_broadcast(x->shape, like->shape, &both) && ls_shape_equal(both, like->shape))
        return expand(x, ls_detach(like));
    ls_fail(x->ctx, LS_ERR_SHAPE, "expand_as: %s does not expand to %s",
            ls_shape_str(x->shape).text, ls_shape_str(like->shape).text);
    return NULL;
}

bool ls_expand_both(const char *name, ls_tensor **a, ls_tensor **b)
{
    ls_shape both;
    if (!ls_tensor_usable(*a, name) || !ls_tensor_usable(*b, name)) return false;
    ls_ctx *ctx = (*a)->ctx;
    if (!ls_shape_broadcast((*a)->shape, (*b)->shape, &both)) {
        ls_fail(ctx, LS_ERR_SHAPE, "%s: the shapes do not broadcast (%s and %s)", name,
                ls_shape_str((*a)->shape).text, ls_shape_str((*b)->shape).text);
        return false;
    }
    if ((*a)->dtype == LS_INT64 || (*b)->dtype == LS_INT64)
        return true; /* refused, or fitting, where it is applied */
    ls_align_rows(a, b);
    ls_tensor *x = *a, *y = *b;
    if (!x || !y) return false;
    if (!ls_shape_equal(x->shape, both)) *a = expand(x, ls_detach(y));
    if (!ls_shape_equal(y->shape, both)) *b = expand(y, ls_detach(x));
    ls_pair_rows(a, b);
    return *a && *b;
}
