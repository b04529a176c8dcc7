/* compare.c -- comparisons, 1 or 0 in the context's type, broadcasting, of labels as integers; and
 * where, which chooses by such numbers or by int64. Comparisons have no gradient; where hands g to what was chosen. */
#include "ops/ops.h"

static void compare(const ls_node *n, ls_binary op)
{
    int64_t a[LS_MAX_NDIM], b[LS_MAX_NDIM];
    ls_shape_strides(n->in[0].shape, n->out.shape, a);
    ls_shape_strides(n->in[1].shape, n->out.shape, b);
    n->ctx->kernel->binary(op, n->out.shape, n->in[0].data, a, n->in[1].data, b, n->out.data,
                           false);
}

static int64_t place_of(ls_shape s, const int64_t *stride, int64_t i)
{
    int64_t at = 0;
    for (int d = s.ndim - 1; d >= 0; i /= s.dim[d--]) at += i % s.dim[d] * stride[d];
    return at;
}

static bool holds(ls_binary op, int64_t a, int64_t b)
{
    return op == LS_BINARY_EQUAL       ? a == b
           : op == LS_BINARY_NOT_EQUAL ? a != b
           : op == LS_BINARY_LESS      ? a < b
                                       : a <= b;
}

/* Labels as the integers they are: not all of them are floating numbers. */
static void compare_classes(const ls_node *n, ls_binary op)
{
    const int64_t *a = n->in[0].data, *b = n->in[1].data;
    int64_t a_stride[LS_MAX_NDIM], b_stride[LS_MAX_NDIM];
    float *f = n->out.data;
    double *d = n->out.data;
    ls_shape_strides(n->in[0].shape, n->out.shape, a_stride);
    ls_shape_strides(n->in[1].shape, n->out.shape, b_stride);
    for (int64_t i = 0; i < n->out.count; i++) {
        const bool is = holds(op, a[place_of(n->out.shape, a_stride, i)],
                              b[place_of(n->out.shape, b_stride, i)]);
        if (n->dtype == LS_FLOAT32) f[i] = is ? 1 : 0;
        else d[i] = is ? 1 : 0;
    }
}

static ls_tensor *apply(const ls_op *op, const ls_op *of_classes, ls_tensor *a, ls_tensor *b)
{
    ls_promote(&a, &b);
    ls_align_rows(&a, &b);
    if (a && a->dtype == LS_INT64) op = of_classes;
    return ls_apply(op, (ls_list){ 2, (ls_tensor *[]){ a, b } }, NULL, 0);
}

static const ls_shape cases[][LS_MAX_IN] = { { { 2, { 5, 3 } }, { 1, { 3 } } },
                                             { { 2, { 5, 1 } }, { 2, { 5, 4 } } },
                                             LS_LAST_CASE };
#define TABLE(id, op_name, ...)                                                                    \
    const ls_op ls_op_##id = { .name = #op_name,                                                   \
                               .n_in = 2,                                                          \
                               .rows = LS_ROWS_ALONE,                                              \
                               .shape = ls_shape_broadcasts,                                       \
                               .cases = cases,                                                     \
                               __VA_ARGS__ };
#define COMPARISON(id, OP)                                                                         \
    static void forward_##id(const ls_node *n)                                                     \
    {                                                                                              \
        compare(n, OP);                                                                            \
    }                                                                                              \
    static void forward_##id##_classes(const ls_node *n)                                           \
    {                                                                                              \
        compare_classes(n, OP);                                                                    \
    }                                                                                              \
    TABLE(id, id, .forward = forward_##id)                                                         \
    TABLE(id##_classes, id, .classes = 3, .forward = forward_##id##_classes)                       \
    ls_tensor *ls_##id(ls_tensor *a, ls_tensor *b)                                                 \
    {                                                                                              \
        return apply(&ls_op_##id, &ls_op_##id##_classes, a, b);                                    \
    }
COMPARISON(equal, LS_BINARY_EQUAL)
COMPARISON(not_equal, LS_BINARY_NOT_EQUAL)
COMPARISON(less, LS_BINARY_LESS)
COMPARISON(less_equal, LS_BINARY_LESS_EQUAL)

ls_tensor *ls_greater(ls_tensor *a, ls_tensor *b)
{
    return ls_less(b, a);
}

ls_tensor *ls_greater_equal(ls_tensor *a, ls_tensor *b)
{
    return ls_less_equal(b, a);
}

/* ---- where ----------------------------------------------------------------------------------- */
static const char *shape_true(ls_node *n)
{
    n->out_dtype = LS_INT64;
    return ls_shape_same(n);
}

static void forward_true(const ls_node *n)
{
    int64_t *out = n->out.data;
    const float *f = n->in[0].data;
    const double *d = n->in[0].data;
    bool is_float = n->dtype == LS_FLOAT32;
    for (int64_t i = 0; i < n->out.count; i++) out[i] = is_float ? f[i] != 0 : d[i] != 0;
}

static const ls_shape true_cases[][LS_MAX_IN] = { { { 2, { 5, 3 } } }, LS_LAST_CASE };
const ls_op ls_op_is_true = { .name = "where",
                              .n_in = 1,
                              .rows = LS_ROWS_ALONE,
                              .shape = shape_true,
                              .forward = forward_true,
                              .cases = true_cases };

static void forward_where(const ls_node *n)
{
    n->ctx->kernel->choose(n->out.count, n->in[0].data, n->in[1].data, n->in[2].data, n->out.data,
                           false);
}

static void backward_where(const ls_node *n, const void *g, void *const dx[])
{
    for (int i = 1; i < 3; i++)
        if (dx[i])
            n->ctx->kernel->choose(n->out.count, n->in[0].data, i == 1 ? g : NULL,
                                   i == 2 ? g : NULL, dx[i], !(n->stores >> i & 1));
}

static const ls_shape where_cases[][LS_MAX_IN] = {
    { { 2, { 5, 3 } }, { 2, { 5, 3 } }, { 2, { 5, 3 } } },
    { { 1, { 7 } }, { 1, { 7 } }, { 1, { 7 } } },
    LS_LAST_CASE,
};
const ls_op ls_op_where = { .name = "where",
                            .grad_name = "WhereBackward0",
                            .n_in = 3,
                            .n_need = 2,
                            .rows = LS_ROWS_ALONE,
                            .flags = LS_OP_STORES,
                            .saves = 1,
                            .classes = 1,
                            .shape = ls_shape_equal_rows,
                            .forward = forward_where,
                            .backward = backward_where,
                            .cases = where_cases };

/* All three to one shape, and all parts if one is. */
ls_tensor *ls_where(ls_tensor *condition, ls_tensor *a, ls_tensor *b)
{
    ls_tensor *c = condition;
    ls_promote(&a, &b);
    if (!ls_tensor_usable(c, "where") || !ls_expand_both("where", &a, &b)) return NULL;
    c = ls_to_float(c);
    if (!ls_expand_both("where", &c, &a) || !ls_expand_both("where", &a, &b)) return NULL;
    c = ls_apply(&ls_op_is_true, (ls_list){ 1, &c }, NULL, 0);
    return ls_apply(&ls_op_where, (ls_list){ 3, (ls_tensor *[]){ c, a, b } }, NULL, 0);
}
