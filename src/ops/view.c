/* view.c -- the same elements in another shape, without a copy: view and squeeze; detach.
 * A part's batch axis stays axis 0. Gradient: dx = g. */
#include "ops/ops.h"

static const char *shape_view(ls_node *n)
{
    ls_shape to = *(const ls_shape *)n->args;
    int64_t known = 1, unknown = -1, count = ls_shape_count(n->in[0].shape);
    if (to.ndim < 0 || to.ndim > LS_MAX_NDIM) return "the shape has too many dimensions";
    for (int i = 0; i < to.ndim; i++) {
        if (to.dim[i] == -1 && unknown < 0) unknown = i;
        else if (to.dim[i] < 0) return "only one dimension may be -1";
        else known *= to.dim[i];
    }
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
                           .flags = LS_OP_STORES | LS_OP_VIEW,
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
                              .flags = LS_OP_STORES | LS_OP_VIEW,
                              .shape = shape_squeeze,
                              .backward = backward_flat,
                              .cases = squeeze_cases };

/* Classes have no gradient, so that a view of them needs no operation of its own. */
static ls_tensor *view_of_classes(ls_tensor *t, ls_shape to, const char *(*shape)(ls_node *))
{
    ls_node n = { .in[0] = { .shape = t->shape, .is_part = t->is_part }, .args = &to };
    const char *refusal = ls_tensor_usable(t, "view") ? shape(&n) : NULL;
    if (refusal)
        ls_fail(t->ctx, LS_ERR_SHAPE, "view: %s (%s)", refusal, ls_shape_str(t->shape).text);
    if (!ls_enter(t->ctx, "view")) return NULL;
    ls_tensor *v = ls_tensor_over(t->ctx, t->dtype, n.out.shape, t->is_part, true, t->data);
    if (v) v->origin = t->origin;
    return v;
}

ls_tensor *ls_view(ls_tensor *t, ls_shape to)
{
    if (t && t->dtype == LS_INT64) return view_of_classes(t, to, shape_view);
    return ls_apply(&ls_op_view, (ls_list){ 1, &t }, &to, sizeof to);
}

ls_tensor *ls_squeeze(ls_tensor *t)
{
    if (t && t->dtype == LS_INT64) return view_of_classes(t, t->shape, shape_squeeze);
    return ls_apply(&ls_op_squeeze, (ls_list){ 1, &t }, NULL, 0);
}

ls_tensor *ls_detach(ls_tensor *t)
{
    if (!ls_tensor_usable(t, "detach") || !ls_enter(t->ctx, "detach")) return NULL;
    ls_tensor *d = ls_tensor_over(t->ctx, t->dtype, t->shape, t->is_part, true, t->data);
    if (d) d->origin = t->origin;
    return d;
}
