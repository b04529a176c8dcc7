/* softmax.c -- softmax, log_softmax and logsumexp along one axis, which may not be a part's batch axis.
 * Gradient: y (g - sum g y);  g - e^y sum g;  g e^(x - y). */
#include "ops/ops.h"

typedef struct line {
    int axis;
    bool keepdim; /* logsumexp */
} line;

static const char *shape_same(ls_node *n)
{
    if (n->in[0].is_part && ((const line *)n->args)->axis == 0)
        return "the rows of a part lie on several ranks; ls_whole() brings them together";
    return ls_shape_same(n);
}

static const char *shape_one(ls_node *n)
{
    const line *l = n->args;
    ls_shape in = n->in[0].shape;
    if (in.dim[l->axis] == 0) return "an empty axis has no sum of exponentials";
    n->args = &(const ls_along){ 1u << l->axis, l->keepdim };
    ls_shape_along(n);
    n->args = l;
    return n->in[0].is_part && l->axis == 0
               ? "the rows of a part lie on several ranks; ls_whole() brings them together"
               : NULL;
}

#define SOFTMAX(id, KIND, grad, reads, shape_)                                                     \
    static void forward_##id(const ls_node *n)                                                     \
    {                                                                                              \
        ls_around a = ls_shape_around(n->in[0].shape, ((const line *)n->args)->axis);              \
        n->ctx->kernel->softmax(KIND, a.outer, a.n, a.inner, n->in[0].data, n->out.data);          \
    }                                                                                              \
    static void backward_##id(const ls_node *n, const void *g, void *const dx[])                   \
    {                                                                                              \
        ls_around a = ls_shape_around(n->in[0].shape, ((const line *)n->args)->axis);              \
        n->ctx->kernel->softmax_back(KIND, a.outer, a.n, a.inner, n->in[0].data, n->out.data, g,   \
                                     dx[0], !(n->stores & 1));                                     \
    }                                                                                              \
    static const ls_shape cases_##id[][LS_MAX_IN] = {                                              \
        { { 2, { 5, 3 } } }, { { 3, { 4, 3, 2 } } }, { { 2, { 3, 40 } } }, LS_LAST_CASE            \
    };                                                                                             \
    const ls_op ls_op_##id = { .name = #id,                                                        \
                               .grad_name = grad,                                                  \
                               .n_in = 1,                                                          \
                               .rows = LS_ROWS_ALONE,                                              \
                               .flags = LS_OP_STORES,                                              \
                               .saves = reads,                                                     \
                               .shape = shape_,                                                    \
                               .forward = forward_##id,                                            \
                               .backward = backward_##id,                                          \
                               .cases = cases_##id,                                                \
                               .case_args = &(const line){ 1, false },                             \
                               .case_args_bytes = sizeof(line) };                                  \
    static ls_tensor *apply_##id(ls_tensor *x, int axis, bool keepdim)                             \
    {                                                                                              \
        line l = { axis, keepdim };                                                                \
        if (!ls_axis_fits(x, #id, &l.axis)) return NULL;                                           \
        return ls_apply(&ls_op_##id, (ls_list){ 1, &x }, &l, sizeof l);                            \
    }

SOFTMAX(softmax, LS_SOFTMAX, "SoftmaxBackward0", LS_SAVE_OUT, shape_same)
SOFTMAX(log_softmax, LS_LOG_SOFTMAX, "LogSoftmaxBackward0", LS_SAVE_OUT, shape_same)
SOFTMAX(logsumexp, LS_LOGSUMEXP, "LogsumexpBackward0", 1 | LS_SAVE_OUT, shape_one)

ls_tensor *ls_softmax(ls_tensor *x, int axis)
{
    return apply_softmax(x, axis, false);
}

ls_tensor *ls_log_softmax(ls_tensor *x, int axis)
{
    return apply_log_softmax(x, axis, false);
}

ls_tensor *ls_logsumexp(ls_tensor *x, int axis, bool keepdim)
{
    return apply_logsumexp(x, axis, keepdim);
}
