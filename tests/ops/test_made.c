/* test_made.c -- what is made of several operations, and the doors that choose between them: gradients
 * by differences, with whole tensors and with parts, and the same values of both.
 *
 * Each function gets x [7, 4] and z [7, 4], which may be parts, and y [4], whole; labels are in the
 * setting. Leaves of two rows, so that sums over the batch go through the tree.
 */
#include "ops/ops.h"
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

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

static ls_tensor *apply(void *self, ls_list in)
{
    const made *m = self;
    ls_tensor *x = in.at[0], *z = in.at[1];
    if (m->split) x = ls_split_rows(x), z = ls_split_rows(z);
    return m->f(m, x, z, in.at[2]);
}

/* The elements of the result, wherever its rows lie. */
static int64_t values(made *m, ls_list in, double out[200])
{
    ls_step_begin(m->ctx);
    ls_tensor *t = apply(m, in);
    if (t && t->is_part) t = ls_whole(m->ctx, t);
    return t ? ls_tolist(t, t->count, out) : -1;
}

Test(made, gradients_of_wholes_and_of_parts)
{
    static const int64_t classes[] = { 0, 3, 1, 2, 3, 0, 1, 1, 3, 2, 0, 0, 3, 1 };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        double of[2][200];
        int64_t count[2];
        made m = { .f = table[i].f };
        m.ctx = ls_start(&(ls_opts){ .seed = 5, .dtype = LS_FLOAT64, .leaf_rows = 2 });
        ls_tensor *x = ls_requires_grad(ls_uniform_(ls_zeros(m.ctx, LS_SHAPE(7, 4)), 0.2, 1.8));
        ls_tensor *z = ls_requires_grad(ls_uniform_(ls_zeros(m.ctx, LS_SHAPE(7, 4)), 0.1, 0.9));
        ls_tensor *y = ls_requires_grad(ls_uniform_(ls_zeros(m.ctx, LS_SHAPE(4)), 0.4, 1.7));
        m.label = ls_labels_new(m.ctx, 7, classes);
        m.pairs = ls_view(ls_labels_new(m.ctx, 14, classes), LS_SHAPE(7, 2));
        m.weight = ls_tensor_of(m.ctx, LS_SHAPE(4), 0.7, 1.3, 0.4, 2);
        for (int split = 0; split < 2; split++) {
            m.split = split;
            ls_gradcheck(m.ctx, apply, &m, LS_LIST(x, z, y));
            count[split] = values(&m, LS_LIST(x, z, y), of[split]);
            cr_assert_eq(ls_error(m.ctx), LS_OK, "%s, %s: %s", table[i].name,
                         split ? "parts" : "wholes", ls_error_text(m.ctx));
        }
        cr_assert_eq(count[0], count[1]);
        for (int64_t k = 0; k < count[0]; k++)
            cr_assert(fabs(of[0][k] - of[1][k]) <= 1e-13 * fmax(1, fabs(of[0][k])), "%s at %d",
                      table[i].name, (int)k);
        cr_assert_eq(ls_finish(m.ctx), 0);
    }
}

/* Nothing is allocated in a step after the first ones. */
Test(made, steps_allocate_nothing)
{
    static const int64_t classes[] = { 0, 3, 1, 2, 3, 0, 1, 1, 3, 2, 0, 0, 3, 1 };
    made m = { .split = true };
    m.ctx = ls_start(&(ls_opts){ .seed = 5, .leaf_rows = 2 });
    ls_tensor *x = ls_requires_grad(ls_rand(m.ctx, LS_SHAPE(7, 4)));
    ls_tensor *z = ls_requires_grad(ls_rand(m.ctx, LS_SHAPE(7, 4)));
    ls_tensor *y = ls_requires_grad(ls_rand(m.ctx, LS_SHAPE(4)));
    m.label = ls_labels_new(m.ctx, 7, classes);
    m.pairs = ls_view(ls_labels_new(m.ctx, 14, classes), LS_SHAPE(7, 2));
    m.weight = ls_tensor_of(m.ctx, LS_SHAPE(4), 0.7, 1.3, 0.4, 2);
    size_t calls = 0;
    for (int step = 0; step < 12; step++) {
        ls_step_begin(m.ctx);
        ls_zero_grad(LS_LIST(x, z, y));
        for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
            m.f = table[i].f;
            ls_tensor *t = apply(&m, LS_LIST(x, z, y));
            cr_assert(t != NULL, "%s: %s", table[i].name, ls_error_text(m.ctx));
            ls_backward(m.ctx, ls_sum(t));
        }
        if (step == 5) calls = ls_memory_calls();
    }
    cr_assert_eq(ls_memory_calls(), calls, "%zu and %zu", ls_memory_calls(), calls);
    cr_assert_eq(ls_finish(m.ctx), 0, "%s", ls_error_text(m.ctx));
}

/* ---- refusals as sentences ------------------------------------------------------------------- */
#define PART(ctx) ls_split_rows(ls_rand(ctx, LS_SHAPE(5, 3)))
#define REFUSED(status, text, ...)                                                                 \
    do {                                                                                           \
        ls_ctx *ctx = ls_start(NULL);                                                              \
        ls_tensor *a = ls_rand(ctx, LS_SHAPE(5, 3)), *b = ls_rand(ctx, LS_SHAPE(4));               \
        ls_tensor *k = ls_labels_of(ctx, 1, 7);                                                    \
        (void)a, (void)b, (void)k;                                                                 \
        (void)(__VA_ARGS__);                                                                       \
        cr_expect_eq(ls_error(ctx), status, "%s", ls_error_text(ctx));                             \
        cr_expect(strstr(ls_error_text(ctx), text) != NULL, "not \"%s\" but \"%s\"", text,         \
                  ls_error_text(ctx));                                                             \
        ls_finish(ctx);                                                                            \
    } while (0)

static ls_tensor *ended(ls_ctx *ctx, ls_tensor *a)
{
    ls_step_begin(ctx);
    ls_tensor *old = ls_exp(a);
    ls_step_begin(ctx);
    return old;
}

Test(made, refusals_are_sentences)
{
    REFUSED(LS_ERR_SHAPE, "div: the shapes do not broadcast ([5, 3] and [4])", ls_div(a, b));
    REFUSED(LS_ERR_SHAPE, "add: the shapes do not broadcast ([5, 3] and [4])", ls_add(a, b));
    REFUSED(LS_ERR_SHAPE, "where: the shapes do not broadcast ([5, 3] and [4])", ls_where(a, a, b));
    REFUSED(LS_ERR_TYPE, "exp: input 1 must be floating, but is int64", ls_exp(k));
    REFUSED(LS_ERR_TYPE, "index_select: input 2 must be int64, but is float32",
            ls_index_select(a, 0, b));
    REFUSED(LS_ERR_TYPE, "div: input 2 must be floating, but is int64",
            ls_div(ls_narrow(b, 0, 0, 2), k));
    REFUSED(LS_ERR_USE,
            "sqrt: this tensor was made in step 1, which has ended: ls_keep() it in its "
            "step to have it for longer",
            ls_sqrt(ended(ctx, a)));
    REFUSED(LS_ERR_ARG, "select: index 5 is out of range for axis 0 of shape [5, 3]",
            ls_select(a, 0, 5));
    REFUSED(LS_ERR_ARG, "index_select: index 7 is out of range for an axis of 5",
            ls_index_select(a, 0, k));
    REFUSED(LS_ERR_ARG, "softmax: shape [5, 3] has no axis 2", ls_softmax(a, 2));
    REFUSED(LS_ERR_ARG, "sum: axis -1 stands twice among the axes",
            ls_sum_axes(a, LS_AXES(1, -1), false));
    REFUSED(LS_ERR_ARG, "permute: each axis of shape [5, 3] must be named once",
            ls_permute(a, LS_AXES(0, 0)));
    REFUSED(LS_ERR_ARG, "narrow: 3 elements from 2 of axis 1 of shape [5, 3]",
            ls_narrow(a, 1, 2, 3));
    REFUSED(LS_ERR_ARG, "slice: a step of 0; steps are 1 or more", ls_slice(a, 0, 0, 5, 0));
    REFUSED(LS_ERR_ARG, "unsqueeze: shape [4] gets no axis 3", ls_unsqueeze(b, 3));
    REFUSED(LS_ERR_SHAPE, "cat: the other axes must be equal ([5, 3] and [4, 3])",
            ls_cat(LS_LIST(a, ls_narrow(a, 0, 0, 4)), 1));
    REFUSED(LS_ERR_SHAPE, "mv: takes a matrix and a vector ([4] and [4])", ls_mv(b, b));
    REFUSED(LS_ERR_SHAPE, "matmul: the inner sizes differ ([5, 3] and [4])", ls_matmul(a, b));
    REFUSED(LS_ERR_SHAPE, "view: the elements do not fill the shape ([5, 3])",
            ls_view(a, LS_SHAPE(4, 4)));
    REFUSED(LS_ERR_SHAPE, "expand_as: [5, 3] does not expand to [4]", ls_expand_as(a, b));
}

Test(made, parts_are_not_mixed)
{
    const char *rows = "the rows of a part lie on several ranks; ls_whole() brings them together";
    REFUSED(LS_ERR_SHAPE, rows, ls_amax(PART(ctx), LS_AXES(0), false));
    REFUSED(LS_ERR_SHAPE, rows, ls_max(PART(ctx)));
    REFUSED(LS_ERR_SHAPE, rows, ls_softmax(PART(ctx), 0));
    REFUSED(LS_ERR_SHAPE, rows, ls_logsumexp(PART(ctx), 0, false));
    REFUSED(LS_ERR_SHAPE, rows, ls_slice(PART(ctx), 0, 0, 2, 1));
    REFUSED(LS_ERR_SHAPE, rows, ls_select(PART(ctx), 0, 1));
    REFUSED(LS_ERR_SHAPE, rows, ls_index_select(PART(ctx), 0, ls_labels_of(ctx, 1, 2)));
    REFUSED(LS_ERR_SHAPE, rows, ls_cat(LS_LIST(PART(ctx), PART(ctx)), 0));
    REFUSED(LS_ERR_SHAPE, "transpose: the batch axis of a part must stay axis 0",
            ls_transpose(PART(ctx), 0, 1));
    REFUSED(LS_ERR_SHAPE, "the batch axis of a part must stay axis 0", ls_unsqueeze(PART(ctx), 0));
    REFUSED(LS_ERR_SHAPE, "the batch axis of a part must stay axis 0", ls_argmax(PART(ctx), 0));
}

Test(made, losses_refuse_what_they_do_not_know)
{
    REFUSED(LS_ERR_ARG, "l1_loss: has no option beta", ls_l1_loss_with(a, a, WITH(.beta = 2)));
    REFUSED(LS_ERR_ARG, "mse_loss: has no option weight",
            ls_mse_loss_with(a, a, WITH(.weight = b)));
    REFUSED(LS_ERR_ARG, "huber_loss: has no option LS_BATCH_MEAN",
            ls_huber_loss_with(a, a, WITH(.reduction = LS_BATCH_MEAN)));
    REFUSED(LS_ERR_ARG, "nll_loss: has no option label_smoothing",
            ls_nll_loss_with(a, k, WITH(.label_smoothing = 0.1)));
    REFUSED(LS_ERR_ARG, "bce_loss: predictions lie between 0 and 1, and one is 1.5",
            ls_bce_loss(ls_full(ctx, LS_SHAPE(2), 1.5), ls_zeros(ctx, LS_SHAPE(2))));
    REFUSED(LS_ERR_SHAPE, "l1_loss: the shapes must be equal ([5, 3] and [4])", ls_l1_loss(a, b));
    REFUSED(LS_ERR_SHAPE, "nll_loss: scores are [N, C, ...] and labels [N, ...] ([5, 3] and [2])",
            ls_nll_loss(a, k));
    REFUSED(LS_ERR_DATA, "nll_loss: a label is class 7, but there are outputs for 0 to 2",
            ls_nll_loss(ls_narrow(a, 0, 0, 2), k));
    REFUSED(LS_ERR_SHAPE, "cross_entropy: there must be a weight for each of 3 classes",
            ls_cross_entropy_with(ls_narrow(a, 0, 0, 2), k, WITH(.weight = b)));
}
