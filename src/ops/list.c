/* list.c -- the operations as a list, and what several of them share. */
#include "ops/ops.h"

const ls_op *const ls_ops[] = {
#define LS_OP_DECLARE(name) &ls_op_##name,
#include "ops/list.h"
#undef LS_OP_DECLARE
    NULL
};

static bool has_rows_of(const ls_tensor *whole, const ls_tensor *part)
{
    return !whole->is_part && whole->shape.ndim == part->shape.ndim && part->shape.ndim > 0 &&
           whole->shape.dim[0] == part->shape.dim[0];
}

void ls_pair_rows(ls_tensor **a, ls_tensor **b)
{
    if (!*a || !*b) return;
    if ((*a)->is_part && has_rows_of(*b, *a)) *b = ls_split_rows(*b);
    else if ((*b)->is_part && has_rows_of(*a, *b)) *a = ls_split_rows(*a);
}

void ls_align_rows(ls_tensor **a, ls_tensor **b)
{
    if (*a && (*a)->shape.ndim > 0 && (*a)->shape.dim[0] > 1) ls_pair_rows(a, b);
}

void ls_unary_forward(const ls_node *n, ls_unary op)
{
    double c = n->args ? *(const double *)n->args : 0;
    n->ctx->kernel->unary(op, c, n->out.count, n->in[0].data, n->out.data);
}

void ls_unary_backward(const ls_node *n, ls_unary op, const void *g, void *dx)
{
    double c = n->args ? *(const double *)n->args : 0;
    n->ctx->kernel->unary_back(op, c, n->out.count, n->in[0].data, n->out.data, g, dx,
                               !(n->stores & 1));
}

const char *ls_shape_equal_rows(ls_node *n)
{
    for (int i = 1; i < n->n_in; i++) {
        if (!n->in[i].data) continue;
        if (!ls_shape_equal(n->in[i].shape, n->in[0].shape)) return "the shapes must be equal";
        if (n->in[i].is_part != n->in[0].is_part)
            return "a part meets a whole tensor; ls_split_rows() makes it one";
    }
    n->out.shape = n->in[0].shape;
    return NULL;
}

void ls_spread(const ls_node *n, ls_shape from, const void *a, ls_binary op, double by, ls_shape to,
               void *out, bool add)
{
    union {
        float f;
        double d;
    } number;
    int64_t stride[LS_MAX_NDIM] = { 0 }, none[LS_MAX_NDIM] = { 0 };
    n->ctx->kernel->fill(1, by, &number);
    ls_shape_strides(from, to, stride);
    n->ctx->kernel->binary(op, to, a, stride, &number, none, out, add);
}

ls_tensor *ls_named(ls_tensor *t, const char *grad_name)
{
    if (t && t->record) t->grad_name = grad_name;
    return t;
}

/* ---- axes ------------------------------------------------------------------------------------ */
bool ls_axis_fits(const ls_tensor *t, const char *name, int *axis)
{
    if (!ls_tensor_usable(t, name)) return false;
    int given = *axis, ndim = t->shape.ndim;
    if (given < 0) *axis += ndim;
    if (*axis >= 0 && *axis < ndim) return true;
    ls_fail(t->ctx, LS_ERR_ARG, "%s: shape %s has no axis %d", name, ls_shape_str(t->shape).text,
            given);
    return false;
}

ls_around ls_shape_around(ls_shape s, int axis)
{
    ls_around a = { 1, s.dim[axis], 1 };
    for (int i = 0; i < axis; i++) a.outer *= s.dim[i];
    for (int i = axis + 1; i < s.ndim; i++) a.inner *= s.dim[i];
    return a;
}

ls_shape ls_along_kept(ls_shape s, unsigned axes)
{
    for (int i = 0; i < s.ndim; i++)
        if (axes >> i & 1) s.dim[i] = 1;
    return s;
}

const char *ls_shape_along(ls_node *n)
{
    const ls_along *a = n->args;
    ls_shape in = n->in[0].shape, out = { 0 };
    if (n->in[0].is_part && in.ndim == 0) return "a part has rows";
    for (int i = 0; i < in.ndim; i++)
        if (!(a->axes >> i & 1)) out.dim[out.ndim++] = in.dim[i];
        else if (a->keepdim) out.dim[out.ndim++] = 1;
    n->out.shape = out;
    return NULL;
}

ls_tensor *ls_apply_along(const ls_op *alone, const ls_op *rows, ls_tensor *x, ls_axes axes,
                          bool keepdim)
{
    ls_along a = { 0, keepdim };
    if (!ls_tensor_usable(x, alone->name)) return NULL;
    if (axes.count < 0 || axes.count > LS_MAX_NDIM) {
        ls_fail(x->ctx, LS_ERR_ARG, "%s: a list of %d axes; a shape has 0 to %d", alone->name,
                axes.count, LS_MAX_NDIM);
        return NULL;
    }
    for (int i = 0; i < axes.count; i++) {
        int axis = axes.axis[i];
        if (!ls_axis_fits(x, alone->name, &axis)) return NULL;
        if (a.axes >> axis & 1) {
            ls_fail(x->ctx, LS_ERR_ARG, "%s: axis %d stands twice among the axes", alone->name,
                    axes.axis[i]);
            return NULL;
        }
        a.axes |= 1u << axis;
    }
    if (axes.count == 0) a.axes = (1u << x->shape.ndim) - 1;
    return ls_apply(a.axes & 1 ? rows : alone, (ls_list){ 1, &x }, &a, sizeof a);
}
