/* extreme.c -- the largest or smallest element, of all or along axes, as torch.amax and amin: NaN if
 * there is one, and equals share the gradient. NaN share that of all elements; along axes, where they are
 * equal to nothing, the gradient is NaN. Those of a batch's rows lie on several ranks and are no sum, so
 * that axis 0 of a part is refused. */
#include "ops/ops.h"

static const char *shape(ls_node *n)
{
    unsigned axes = ((const ls_along *)n->args)->axes;
    if (n->in[0].is_part && axes & 1)
        return "the rows of a part lie on several ranks; ls_whole() brings them together";
    for (int i = 0; i < n->in[0].shape.ndim; i++)
        if (axes >> i & 1 && n->in[0].shape.dim[i] == 0)
            return "an empty axis has no largest element";
    return ls_shape_along(n);
}

static ls_shape kept(const ls_node *n)
{
    return ls_along_kept(n->in[0].shape, ((const ls_along *)n->args)->axes);
}

static void forward_amax(const ls_node *n)
{
    n->ctx->kernel->extreme(n->in[0].shape, n->in[0].data, kept(n), n->out.data, true);
}

static void forward_amin(const ls_node *n)
{
    n->ctx->kernel->extreme(n->in[0].shape, n->in[0].data, kept(n), n->out.data, false);
}

static void hand_back(const ls_node *n, const void *g, bool nan_shares, void *dx)
{
    n->ctx->kernel->extreme_back(n->in[0].shape, n->in[0].data, kept(n), n->out.data, g, nan_shares,
                                 dx, !(n->stores & 1));
}

static void backward(const ls_node *n, const void *g, void *const dx[])
{
    hand_back(n, g, false, dx[0]);
}

static void backward_all(const ls_node *n, const void *g, void *const dx[])
{
    hand_back(n, g, true, dx[0]);
}

static const ls_shape cases[][LS_MAX_IN] = {
    { { 2, { 5, 3 } } }, { { 3, { 4, 3, 2 } } }, { { 2, { 4, 1 } } }, LS_LAST_CASE
};
static const ls_shape all_cases[][LS_MAX_IN] = { { { 1, { 7 } } }, { { 1, { 1 } } }, LS_LAST_CASE };
#define EXTREME(id, op_name, grad, axes_, run, back, cases_)                                       \
    const ls_op ls_op_##id = { .name = op_name,                                                    \
                               .grad_name = grad,                                                  \
                               .n_in = 1,                                                          \
                               .rows = LS_ROWS_ALONE,                                              \
                               .flags = LS_OP_STORES,                                              \
                               .saves = 1 | LS_SAVE_OUT,                                           \
                               .shape = shape,                                                     \
                               .forward = run,                                                     \
                               .backward = back,                                                   \
                               .cases = cases_,                                                    \
                               .case_args = &(const ls_along){ axes_, false },                     \
                               .case_args_bytes = sizeof(ls_along) };
EXTREME(amax, "amax", "AmaxBackward0", 2, forward_amax, backward, cases)
EXTREME(amin, "amin", "AminBackward0", 2, forward_amin, backward, cases)
EXTREME(max, "max", "MaxBackward1", 1, forward_amax, backward_all, all_cases)
EXTREME(min, "min", "MinBackward1", 1, forward_amin, backward_all, all_cases)

ls_tensor *ls_amax(ls_tensor *x, ls_axes axes, bool keepdim)
{
    return ls_apply_along(&ls_op_amax, &ls_op_amax, x, axes, keepdim);
}

ls_tensor *ls_amin(ls_tensor *x, ls_axes axes, bool keepdim)
{
    return ls_apply_along(&ls_op_amin, &ls_op_amin, x, axes, keepdim);
}

ls_tensor *ls_max(ls_tensor *x)
{
    return ls_apply_along(&ls_op_max, &ls_op_max, x, LS_ALL_AXES, false);
}

ls_tensor *ls_min(ls_tensor *x)
{
    return ls_apply_along(&ls_op_min, &ls_op_min, x, LS_ALL_AXES, false);
}

/* The place first, then what is there: its gradient goes to that place alone. */
static ls_tensor *at_place(ls_tensor *x, int axis, bool keepdim, ls_tensor *place)
{
    if (!place || !ls_axis_fits(x, "max", &axis)) return NULL;
    ls_tensor *value = ls_gather(x, axis, ls_unsqueeze(place, axis));
    return keepdim ? value : ls_squeeze_axis(value, axis);
}

ls_tensor *ls_max_axis(ls_tensor *x, int axis, bool keepdim, ls_tensor **place)
{
    ls_tensor *at = ls_argmax(x, axis);
    if (place) *place = at;
    return ls_named(at_place(x, axis, keepdim, at), "MaxBackward0");
}

ls_tensor *ls_min_axis(ls_tensor *x, int axis, bool keepdim, ls_tensor **place)
{
    ls_tensor *at = ls_argmin(x, axis);
    if (place) *place = at;
    return ls_named(at_place(x, axis, keepdim, at), "MinBackward0");
}
