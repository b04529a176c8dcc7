/* permute.c -- axes in another order, as a copy; transpose is the permutation of two. A part's axis
 * 0 stays where it is. Gradient: g with the axes back in place. */
#include "ops/ops.h"
#include <string.h>

typedef struct order {
    int axis[LS_MAX_NDIM]; /* of the input, by axis of the result */
} order;

static const char *shape(ls_node *n)
{
    const order *o = n->args;
    ls_shape in = n->in[0].shape;
    if (n->in[0].is_part && o->axis[0] != 0)
        return "the batch axis of a part must stay axis 0; ls_whole() brings the rows together";
    n->out.shape.ndim = in.ndim;
    for (int i = 0; i < in.ndim; i++) n->out.shape.dim[i] = in.dim[o->axis[i]];
    return NULL;
}

static void strides_of(ls_shape s, int64_t stride[LS_MAX_NDIM])
{
    int64_t step = 1;
    for (int i = s.ndim - 1; i >= 0; step *= s.dim[i--]) stride[i] = step;
}

/* n elements, stride apart in from. */
static void copy_line(int64_t n, int64_t stride, size_t bytes, const char *from, char *to)
{
    if (bytes == 4)
        for (int64_t i = 0; i < n; i++) memcpy(to + i * 4, from + i * stride * 4, 4);
    else
        for (int64_t i = 0; i < n; i++) memcpy(to + i * 8, from + i * stride * 8, 8);
}

static void copy(ls_shape s, const int64_t *stride, size_t bytes, const char *from, char *to)
{
    int last = s.ndim - 1;
    int64_t line = s.ndim ? s.dim[last] : 1, count = ls_shape_count(s);
    for (int64_t done = 0; done < count; done += line) {
        int64_t at = 0, i = done / line;
        for (int d = last - 1; d >= 0; i /= s.dim[d--]) at += i % s.dim[d] * stride[d];
        copy_line(line, s.ndim ? stride[last] : 1, bytes, from + at * (int64_t)bytes,
                  to + done * (int64_t)bytes);
    }
}

static void forward(const ls_node *n)
{
    const order *o = n->args;
    int64_t in[LS_MAX_NDIM], stride[LS_MAX_NDIM] = { 0 };
    strides_of(n->in[0].shape, in);
    for (int i = 0; i < n->out.shape.ndim; i++) stride[i] = in[o->axis[i]];
    copy(n->out.shape, stride, ls_dtype_bytes(n->out_dtype), n->in[0].data, n->out.data);
}

static void backward(const ls_node *n, const void *g, void *const dx[])
{
    const order *o = n->args;
    int64_t out[LS_MAX_NDIM], stride[LS_MAX_NDIM] = { 0 }, none[LS_MAX_NDIM] = { 0 };
    union {
        float f;
        double d;
    } one;
    strides_of(n->out.shape, out);
    for (int i = 0; i < n->out.shape.ndim; i++) stride[o->axis[i]] = out[i];
    n->ctx->kernel->fill(1, 1, &one);
    n->ctx->kernel->binary(LS_BINARY_MUL, n->in[0].shape, g, stride, &one, none, dx[0],
                           !(n->stores & 1));
}

static const ls_shape cases[][LS_MAX_IN] = { { { 3, { 5, 2, 3 } } },
                                             { { 3, { 1, 4, 2 } } },
                                             LS_LAST_CASE };
const ls_op ls_op_permute = { .name = "permute",
                              .grad_name = "PermuteBackward0",
                              .n_in = 1,
                              .rows = LS_ROWS_ALONE,
                              .flags = LS_OP_STORES,
                              .shape = shape,
                              .forward = forward,
                              .backward = backward,
                              .cases = cases,
                              .case_args = &(const order){ { 0, 2, 1 } },
                              .case_args_bytes = sizeof(order) };

static const ls_shape transpose_cases[][LS_MAX_IN] = { { { 2, { 5, 3 } } },
                                                       { { 2, { 4, 1 } } },
                                                       LS_LAST_CASE };
const ls_op ls_op_transpose = { .name = "transpose",
                                .grad_name = "TransposeBackward0",
                                .n_in = 1,
                                .rows = LS_ROWS_ALONE,
                                .flags = LS_OP_STORES,
                                .shape = shape,
                                .forward = forward,
                                .backward = backward,
                                .cases = transpose_cases,
                                .case_args = &(const order){ { 1, 0 } },
                                .case_args_bytes = sizeof(order) };

static const char *shape_classes(ls_node *n)
{
    n->out_dtype = LS_INT64;
    return shape(n);
}
const ls_op ls_op_permute_classes = { .name = "permute",
                                      .n_in = 1,
                                      .rows = LS_ROWS_ALONE,
                                      .classes = 1,
                                      .shape = shape_classes,
                                      .forward = forward,
                                      .cases = cases,
                                      .case_args = &(const order){ { 0, 2, 1 } },
                                      .case_args_bytes = sizeof(order) };

static ls_tensor *apply(const ls_op *op, ls_tensor *t, const order *o)
{
    if (t->dtype == LS_INT64) op = &ls_op_permute_classes;
    return ls_apply(op, (ls_list){ 1, &t }, o, sizeof *o);
}

ls_tensor *ls_permute(ls_tensor *t, ls_axes axes)
{
    order o = { { 0 } };
    unsigned seen = 0;
    if (!ls_tensor_usable(t, "permute")) return NULL;
    for (int i = 0; i < axes.count && i < LS_MAX_NDIM; i++) {
        o.axis[i] = axes.axis[i];
        if (!ls_axis_fits(t, "permute", &o.axis[i])) return NULL;
        seen |= 1u << o.axis[i];
    }
    if (axes.count == t->shape.ndim && seen == (1u << t->shape.ndim) - 1)
        return apply(&ls_op_permute, t, &o);
    ls_fail(t->ctx, LS_ERR_ARG, "permute: each axis of shape %s must be named once",
            ls_shape_str(t->shape).text);
    return NULL;
}

ls_tensor *ls_transpose(ls_tensor *t, int a, int b)
{
    order o = { { 0, 1, 2, 3, 4, 5 } };
    if (!ls_axis_fits(t, "transpose", &a) || !ls_axis_fits(t, "transpose", &b)) return NULL;
    o.axis[a] = b;
    o.axis[b] = a;
    return apply(&ls_op_transpose, t, &o);
}
