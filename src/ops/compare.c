/* compare.c -- comparisons, 1 or 0 in the context's type, broadcasting; and where, which chooses by
 * such numbers or by int64. Comparisons have no gradient; where hands g to what was chosen. */
#include "ops/ops.h"

static void compare(const ls_node *n, ls_binary op)
{
    int64_t a[LS_MAX_NDIM], b[LS_MAX_NDIM];
    ls_shape_strides(n->in[0].shape, n->out.shape, a);
    ls_shape_strides(n->in[1].shape, n->out.shape, b);
    n->ctx->kernel->binary(op, n->out.shape, n->in[0].data, a, n->in[1].data, b, n->out.data,
                           false);
}

static const ls_shape cases[][LS_MAX_IN] = { { { 2, { 5, 3 } }, { 1, { 3 } } },
                                             { { 2, { 5, 1 } }, { 2, { 5, 4 } } },
                                             LS_LAST_CASE };
#define COMPARISON(id, OP)                                                                         \
    static void forward_##id(const ls_node *n)                                                     \
    {                                                                                              \
        compare(n, OP);                                                                            \
    }                                                                                              \
    const ls_op ls_op_##id = { .name = #id,                                                        \
                               .n_in = 2,                                                          \
                               .rows = LS_ROWS_ALONE,                                              \
                               .shape = ls_shape_broadcasts,                                       \
                               .forward = forward_##id,                                            \
                               .cases = cases };

COMPARISON(equal, LS_BINARY_EQUAL)
COMPARISON(not_equal, LS_BINARY_NOT_EQUAL)
COMPARISON(less, LS_BINARY_LESS)
COMPARISON(less_equal, LS_BINARY_LESS_EQUAL)

static ls_tensor *apply(const ls_op *op, ls_tensor *a, ls_tensor *b)
{
    ls_align_rows(&a, &b);
    a = ls_to_float(a);
    b = ls_to_float(b);
    return ls_apply(op, (ls_list){ 2, (ls_tensor *[]){ a, b } }, NULL, 0);
}

ls_tensor *ls_equal(ls_tensor *a, ls_tensor *b)
{
    return apply(&ls_op_equal, a, b);
}

ls_tensor *ls_not_equal(ls_tensor *a, ls_tensor *b)
{
    return apply(&ls_op_not_equal, a, b);
}

ls_tensor *ls_less(ls_tensor *a, ls_tensor *b)
{
    return apply(&ls_op_less, a, b);
}

ls_tensor *ls_less_equal(ls_tensor *a, ls_tensor *b)
{
    return apply(&ls_op_less_equal, a, b);
}

ls_tensor *ls_greater(ls_tensor *a, ls_tensor *b)
{
    return apply(&ls_op_less, b, a);
}

ls_tensor *ls_greater_equal(ls_tensor *a, ls_tensor *b)
{
    return apply(&ls_op_less_equal, b, a);
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
