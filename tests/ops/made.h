/* made.h -- functions made of several operations, for test_made.c and digest.c.
 *
 * Each gets x [7, 4] and z [7, 4], which may be parts, and y [4], whole; labels are in the setting.
 * Between them they go through every public operation that has a gradient.
 */
#pragma once
#include "ops/ops.h"

typedef struct made {
    ls_ctx *ctx;
    ls_tensor *(*f)(const struct made *m, ls_tensor *x, ls_tensor *z, ls_tensor *y);
    ls_tensor *label, *pairs; /* [7] and [7, 2], classes 0 to 3; 3 is ignored */
    ls_tensor *weight;        /* of the classes */
    bool split;
} made;
#define MADE(name, value)                                                                          \
    static ls_tensor *name(const made *m, ls_tensor *x, ls_tensor *z, ls_tensor *y)                \
    {                                                                                              \
        (void)m, (void)x, (void)z, (void)y;                                                        \
        return value;                                                                              \
    }
#define WITH(...)                                                                                  \
    &(ls_loss_opts)                                                                                \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define OF(...) ((ls_list){ LS_COUNT(ls_tensor *, __VA_ARGS__), (ls_tensor *[]){ __VA_ARGS__ } })

MADE(clamp, ls_clamp(x, 0.5, 1.2))
MADE(sub_scalar, ls_sub_scalar(x, 0.3))
MADE(where, ls_where(ls_less(x, y), x, ls_mul(z, y)))
MADE(where_outer, ls_where(ls_greater_equal(y, ls_mul_scalar(y, 0.9)), z, y))
MADE(div_row, ls_div(x, y))
MADE(div_by_part, ls_div(y, x))
MADE(div_column, ls_div(x, ls_sum_axes(z, LS_AXES(1), true)))
MADE(pow_row, ls_pow_tensor(x, y))
MADE(extremes, ls_add(ls_minimum(x, y), ls_maximum(ls_mul_scalar(z, 2), x)))
MADE(var_rows, ls_var_axes(x, LS_AXES(0), true, false))
MADE(var_features, ls_var_axes(x, LS_AXES(-1), false, true))
MADE(std_all, ls_std(x))
MADE(standard,
     ls_div(ls_sub(x, ls_mean_axes(x, LS_AXES(0), true)), ls_std_axes(x, LS_AXES(0), true, true)))
MADE(sum_all_axes, ls_sum_axes(ls_mul(x, z), LS_ALL_AXES, false))
MADE(max_axis, ls_max_axis(x, 1, true, &(ls_tensor *){ NULL }))
MADE(min_axis, ls_min_axis(x, -1, false, &(ls_tensor *){ NULL }))
MADE(cat_six, ls_cat(OF(x, z, x, ls_exp(x), z, x), 1))
MADE(stack, ls_stack(OF(x, z, ls_neg(x)), 1))
MADE(stack_last, ls_stack(OF(x, z), -1))
MADE(one_column, ls_select(x, 1, -2))
MADE(narrow, ls_narrow(x, 1, 1, 2))
MADE(turned, ls_permute(ls_view(x, LS_SHAPE(7, 2, 2)), LS_AXES(0, 2, 1)))
MADE(softmax, ls_softmax(x, 1))
MADE(logsumexp, ls_logsumexp(x, 1, true))
MADE(products, ls_matmul(ls_view(x, LS_SHAPE(7, 2, 2)), ls_view(z, LS_SHAPE(7, 2, 2))))
MADE(product_of_all, ls_matmul(ls_view(x, LS_SHAPE(7, 2, 2)), ls_view(y, LS_SHAPE(2, 2))))
MADE(vector_first, ls_matmul(ls_narrow(y, 0, 0, 2), ls_view(z, LS_SHAPE(7, 2, 2))))
MADE(embedding,
     ls_index_select(ls_view(y, LS_SHAPE(4, 1)), 0, m->split ? ls_split_rows(m->label) : m->label))
MADE(mse_sum, ls_mse_loss_with(x, z, WITH(.reduction = LS_SUM)))
MADE(huber, ls_huber_loss_with(x, z, WITH(.beta = 0.4)))
MADE(smooth_l1, ls_smooth_l1_loss_with(x, z, WITH(.beta = 0.4, .reduction = LS_NONE)))
MADE(l1, ls_l1_loss(ls_mul(x, y), z))
MADE(bce, ls_bce_loss_with(z, ls_sigmoid(x), WITH(.weight = y)))
MADE(bce_logits, ls_bce_with_logits(x, z))
MADE(bce_pos, ls_bce_with_logits_with(ls_sub_scalar(x, 1), z, WITH(.pos_weight = y, .weight = y)))
MADE(kl, ls_kl_div_with(x, z, WITH(.reduction = LS_BATCH_MEAN)))
MADE(kl_log, ls_kl_div_with(x, z, WITH(.log_target = true)))
MADE(nll, ls_nll_loss(ls_log_softmax(x, 1), m->label))
MADE(nll_ignoring, ls_nll_loss_with(x, m->label, WITH(.ignores = true, .ignore_index = 3)))
MADE(entropy_weighted, ls_cross_entropy_with(x, m->label, WITH(.weight = m->weight)))
MADE(entropy_all, ls_cross_entropy_with(x, m->label,
                                        WITH(.weight = m->weight, .ignores = true,
                                             .ignore_index = 3, .label_smoothing = 0.1)))
MADE(entropy_smooth, ls_cross_entropy_with(x, m->label, WITH(.label_smoothing = 0.2)))
MADE(entropy_rows, ls_cross_entropy_with(x, m->label, WITH(.reduction = LS_NONE)))
MADE(entropy_of_pairs,
     ls_cross_entropy_with(ls_view(ls_cat(OF(x, z), 1), LS_SHAPE(7, 4, 2)), m->pairs,
                           WITH(.weight = m->weight, .ignores = true, .ignore_index = 3)))

static const struct {
    const char *name;
    ls_tensor *(*f)(const made *m, ls_tensor *x, ls_tensor *z, ls_tensor *y);
} table[] = {
#define LINE(name) { #name, name },
    LINE(clamp) LINE(sub_scalar) LINE(where) LINE(where_outer) LINE(div_row) LINE(div_by_part)
        LINE(div_column) LINE(pow_row) LINE(extremes) LINE(var_rows) LINE(var_features)
            LINE(std_all) LINE(standard) LINE(sum_all_axes) LINE(max_axis) LINE(min_axis)
                LINE(cat_six) LINE(stack) LINE(stack_last) LINE(one_column) LINE(narrow)
                    LINE(turned) LINE(softmax) LINE(logsumexp) LINE(products) LINE(product_of_all)
                        LINE(vector_first) LINE(embedding) LINE(mse_sum) LINE(huber) LINE(smooth_l1)
                            LINE(l1) LINE(bce) LINE(bce_logits) LINE(bce_pos) LINE(kl) LINE(kl_log)
                                LINE(nll) LINE(nll_ignoring) LINE(entropy_weighted)
                                    LINE(entropy_all) LINE(entropy_smooth) LINE(entropy_rows)
                                        LINE(entropy_of_pairs)
#undef LINE
};

static ls_tensor *made_apply(void *self, ls_list in)
{
    const made *m = self;
    ls_tensor *x = in.at[0], *z = in.at[1];
    if (m->split) x = ls_split_rows(x), z = ls_split_rows(z);
    return m->f(m, x, z, in.at[2]);
}

enum { MADE_COUNT = sizeof table / sizeof *table };

/* x, z and y, that require gradients, and what else the functions use. */
static inline void made_begin(made *m, ls_dtype type, ls_tensor *in[3])
{
    static const int64_t classes[] = { 0, 3, 1, 2, 3, 0, 1, 1, 3, 2, 0, 0, 3, 1 };
    *m = (made){ .ctx = ls_start(&(ls_opts){ .seed = 5, .dtype = type, .leaf_rows = 2 }) };
    in[0] = ls_requires_grad(ls_uniform_(ls_zeros(m->ctx, LS_SHAPE(7, 4)), 0.2, 1.8));
    in[1] = ls_requires_grad(ls_uniform_(ls_zeros(m->ctx, LS_SHAPE(7, 4)), 0.1, 0.9));
    in[2] = ls_requires_grad(ls_uniform_(ls_zeros(m->ctx, LS_SHAPE(4)), 0.4, 1.7));
    m->label = ls_labels_new(m->ctx, 7, classes);
    m->pairs = ls_view(ls_labels_new(m->ctx, 14, classes), LS_SHAPE(7, 2));
    m->weight = ls_tensor_of(m->ctx, LS_SHAPE(4), 0.7, 1.3, 0.4, 2);
}
