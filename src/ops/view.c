/* view.c -- the same elements in another shape, without a copy: view, reshape, squeeze and
 * unsqueeze; detach. A part's batch axis stays axis 0. Gradient: dx = g. Also clone, a copy. */
#include "ops/ops.h"
#include <string.h>

static const char *shape_view(ls_node *n)
{
    ls_shape to = *(const ls_shape *)n->args;
    int unknown = -1;
    if (to.ndim < 0 || to.ndim > LS_MAX_NDIM) return "the shape has too many dimensions";
    for (int i = 0; i < to.ndim; i++) {
        if (to.dim[i] == -1 && unknown < 0) to.dim[unknown = i] = 1;
        else if (to.dim[i] == -1) return "only one dimension may be -1";
        else if (to.dim[i] < 0) return "dimensions are 0 or more, or one is -1";
    }
    int64_t known = ls_shape_count(to), count = ls_shape_count(n->in[0].shape);
    if (known < 0) return "the shape has more elements than any memory holds";
    if (unknown >= 0) {
        if (!known || count % known) return "the elements do not fill the shape";
        to.dim[unknown] = count / known;
    }
    if (ls_shape_count(to) != count) return "the elements do not fill the shape";
    n->out.shape = to;
    return NULL;
}

static const char *shape_squeeze(ls_node *n)
{
    ls_shape in = n->in[0].shape, out = { 0 };
    for (int i = 0; i < in.ndim; i++)
        if (in.dim[i] != 1 || (i == 0 && n->in[0].is_part)) out.dim[out.ndim++] = in.dim[i];
    n->out.shape = out;
    return NULL;
}

/* args: the axis of the new dimension in the result, or the one to drop. */
static const char *shape_unsqueeze(ls_node *n)
{
    int axis = *(const int *)n->args;
    ls_shape out = n->in[0].shape;
    if (out.ndim == LS_MAX_NDIM) return "the result would have too many dimensions";
    if (axis == 0 && n->in[0].is_part) return "the batch axis of a part must stay axis 0";
    for (int i = out.ndim++; i > axis; i--) out.dim[i] = out.dim[i - 1];
    out.dim[axis] = 1;
    n->out.shape = out;
    return NULL;
}

static const char *shape_squeeze_axis(ls_node *n)
{
    int axis = *(const int *)n->args;
    ls_shape out = n->in[0].shape;
    if (out.dim[axis] == 1 && !(axis == 0 && n->in[0].is_part)) {
        out.ndim--;
        for (int i = axis; i < out.ndim; i++) out.dim[i] = out.dim[i + 1];
    }
    n->out.shape = out;
    return NULL;
}

static void backward(const ls_node *n, const void *g, void *const dx[])
{
    ls_broadcast_back(n, g, NULL, 0, dx[0]);
}

/* out and in 0 differ in shape alone, so the gradient is summed "down" to the result's own
 * shape. */
static void backward_flat(const ls_node *n, const void *g, void *const dx[])
{
    ls_node flat = *n;
    flat.in[0].shape = flat.out.shape = (ls_shape){ 1, { n->in[0].count } };
    backward(&flat, g, dx);
}

static const ls_shape view_cases[][LS_MAX_IN] = { { { 2, { 6, 4 } } },
                                                  { { 3, { 6, 2, 2 } } },
                                                  LS_LAST_CASE };
const ls_op ls_op_view = { .name = "view",
                           .grad_name = "ViewBackward0",
                           .n_in = 1,
                           .rows = LS_ROWS_ALONE,
                           .flags = LS_OP_STORES | LS_OP_VIEW | LS_OP_IN_PLACE,
                           .shape = shape_view,
                           .backward = backward_flat,
                           .cases = view_cases,
                           .case_args = &(const ls_shape){ 3, { 6, -1, 2 } },
                           .case_args_bytes = sizeof(ls_shape) };

static const ls_shape squeeze_cases[][LS_MAX_IN] = { { { 3, { 6, 1, 4 } } },
                                                     { { 2, { 1, 1 } } },
                                                     LS_LAST_CASE };
const ls_op ls_op_squeeze = { .name = "squeeze",
                              .grad_name = "SqueezeBackward0",
                              .n_in = 1,
                              .rows = LS_ROWS_ALONE,
                              .flags = LS_OP_STORES | LS_OP_VIEW | LS_OP_IN_PLACE,
                              .shape = shape_squeeze,
                              .backward = backward_flat,
                              .cases = squeeze_cases };

static const ls_shape unsqueeze_cases[][LS_MAX_IN] = { { { 2, { 6, 4 } } },
                                                       { { 1, { 5 } } },
                                                       LS_LAST_CASE };
const ls_op ls_op_unsqueeze = { .name = "unsqueeze",
                                .grad_name = "UnsqueezeBackward0",
                                .n_in = 1,
                                .rows = LS_ROWS_ALONE,
                                .flags = LS_OP_STORES | LS_OP_VIEW | LS_OP_IN_PLACE,
                                .shape = shape_unsqueeze,
                                .backward = backward_flat,
                                .cases = unsqueeze_cases,
                                .case_args = &(const int){ 1 },
                                .case_args_bytes = sizeof(int) };

static const ls_shape squeeze_axis_cases[][LS_MAX_IN] = {
    { { 3, { 6, 1, 4 } } }, { { 2, { 5, 1 } } }, { { 2, { 5, 2 } } }, LS_LAST_CASE
};
const ls_op ls_op_squeeze_axis = { .name = "squeeze",
                                   .grad_name = "SqueezeBackward1",
                                   .n_in = 1,
                                   .rows = LS_ROWS_ALONE,
                                   .flags = LS_OP_STORES | LS_OP_VIEW | LS_OP_IN_PLACE,
                                   .shape = shape_squeeze_axis,
                                   .backward = backward_flat,
                                   .cases = squeeze_axis_cases,
                                   .case_args = &(const int){ 1 },
                                   .case_args_bytes = sizeof(int) };

/* Classes have no gradient, so that a view of them needs no operation of its own. */
static ls_tensor *view_of_classes(ls_tensor *t, const void *args, const char *(*shape)(ls_node *))
{
    ls_node n = { .in[0] = { .shape = t->shape, .is_part = t->is_part }, .args = args };
    const char *refusal = ls_tensor_usable(t, "view") ? shape(&n) : NULL;
    if (!refusal && t->is_part && (n.out.shape.ndim < 1 || n.out.shape.dim[0] != t->shape.dim[0]))
        refusal = "the batch axis of a part must stay axis 0";
    if (refusal)
        ls_fail(t->ctx, LS_ERR_SHAPE, "view: %s (%s)", refusal, ls_shape_str(t->shape).text);
    if (!ls_enter(t->ctx, "view")) return NULL;
    return ls_tensor_view(t, n.out.shape);
}

ls_tensor *ls_view(ls_tensor *t, ls_shape to)
{
    if (t && t->dtype == LS_INT64) return view_of_classes(t, &to, shape_view);
    return ls_apply(&ls_op_view, (ls_list){ 1, &t }, &to, sizeof to);
}

ls_tensor *ls_squeeze(ls_tensor *t)
{
    if (t && t->dtype == LS_INT64) return view_of_classes(t, NULL, shape_squeeze);
    return ls_apply(&ls_op_squeeze, (ls_list){ 1, &t }, NULL, 0);
}

ls_tensor *ls_reshape(ls_tensor *t, ls_shape to)
{
    return ls_named(ls_view(t, to), "ReshapeAliasBackward0");
}

ls_tensor *ls_view_as(ls_tensor *t, const ls_tensor *like)
{
    return ls_tensor_usable(like, "view_as") ? ls_view(t, like->shape) : NULL;
}

ls_tensor *ls_unsqueeze(ls_tensor *t, int axis)
{
    if (!ls_tensor_usable(t, "unsqueeze")) return NULL;
    int ndim = t->shape.ndim + 1, given = axis;
    if (axis < 0) axis += ndim;
    if (axis < 0 || axis >= ndim) {
        ls_fail(t->ctx, LS_ERR_ARG, "unsqueeze: shape %s gets no axis %d",
                ls_shape_str(t->shape).text, given);
        return NULL;
    }
    if (t->dtype == LS_INT64) return view_of_classes(t, &axis, shape_unsqueeze);
    return ls_apply(&ls_op_unsqueeze, (ls_list){ 1, &t }, &axis, sizeof axis);
}

ls_tensor *ls_squeeze_axis(ls_tensor *t, int axis)
{
    if (!ls_axis_fits(t, "squeeze", &axis)) return NULL;
    if (t->dtype == LS_INT64) return view_of_classes(t, &axis, shape_squeeze_axis);
    return ls_apply(&ls_op_squeeze_axis, (ls_list){ 1, &t }, &axis, sizeof axis);
}

ls_tensor *ls_detach(ls_tensor *t)
{
    if (!ls_tensor_usable(t, "detach") || !ls_enter(t->ctx, "detach")) return NULL;
    return ls_tensor_view(t, t->shape);
}

/* ---- clone ----------------------------------------------------------------------------------- */
static void forward_clone(const ls_node *n)
{
    memcpy(n->out.data, n->in[0].data, (size_t)n->out.count * ls_dtype_bytes(n->out_dtype));
}

static const ls_shape clone_cases[][LS_MAX_IN] = { { { 2, { 6, 4 } } }, { { 0 } }, LS_LAST_CASE };
const ls_op ls_op_clone = { .name = "clone",
                            .grad_name = "CloneBackward0",
                            .n_in = 1,
                            .rows = LS_ROWS_ALONE,
                            .flags = LS_OP_STORES | LS_OP_IN_PLACE,
                            .shape = ls_shape_same,
                            .forward = forward_clone,
                            .backward = backward_flat,
                            .cases = clone_cases };

ls_tensor *ls_clone(ls_tensor *t)
{
    if (!t || t->dtype != LS_INT64) return ls_apply(&ls_op_clone, (ls_list){ 1, &t }, NULL, 0);
    if (!ls_tensor_usable(t, "clone") || !ls_enter(t->ctx, "clone")) return NULL;
    ls_tensor *c = ls_tensor_make(t->ctx, LS_INT64, t->shape, t->is_part, true);
    if (c) memcpy(c->data, t->data, (size_t)t->count * ls_dtype_bytes(LS_INT64));
    return c;
}
