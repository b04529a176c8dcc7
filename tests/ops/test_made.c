/* test_made.c -- what is made of several operations, and the doors that choose between them: gradients
 * by differences, with whole tensors and with parts, and the same values of both; and what operations
 * refuse, as sentences. Leaves of two rows, so that sums over the batch go through the tree.
 */
#include "made.h"
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

/* The elements of the result, wherever its rows lie. */
static int64_t values(made *m, ls_list in, double out[200])
{
    ls_step_begin(m->ctx);
    ls_tensor *t = made_apply(m, in);
    if (t && t->is_part) t = ls_whole(m->ctx, t);
    return t ? ls_tolist(t, t->count, out) : -1;
}

Test(made, gradients_of_wholes_and_of_parts)
{
    for (int i = 0; i < MADE_COUNT; i++) {
        double of[2][200];
        int64_t count[2];
        made m;
        ls_tensor *in[3];
        made_begin(&m, LS_FLOAT64, in);
        m.f = table[i].f;
        for (int split = 0; split < 2; split++) {
            m.split = split;
            ls_gradcheck(m.ctx, made_apply, &m, (ls_list){ 3, in });
            count[split] = values(&m, (ls_list){ 3, in }, of[split]);
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

Test(made, steps_allocate_nothing)
{
    made m;
    ls_tensor *in[3];
    size_t calls = 0;
    made_begin(&m, LS_FLOAT32, in);
    m.split = true;
    for (int step = 0; step < 12; step++) {
        ls_step_begin(m.ctx);
        ls_zero_grad((ls_list){ 3, in });
        for (int i = 0; i < MADE_COUNT; i++) {
            m.f = table[i].f;
            ls_tensor *t = made_apply(&m, (ls_list){ 3, in });
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
    REFUSED(LS_ERR_TYPE,
            "add: input 1 must be floating, but is int64; ls_to_float() makes it floating",
            ls_add(k, k));
    REFUSED(LS_ERR_TYPE, "div: input 1 must be floating, but is int64", ls_div(k, k));
    REFUSED(LS_ERR_TYPE, "mul_scalar: input 1 must be floating, but is int64", ls_mul_scalar(k, 2));
    REFUSED(LS_ERR_TYPE, "mean: input 1 must be floating, but is int64", ls_mean(k));
    REFUSED(LS_ERR_TYPE, "matmul: input 2 must be floating, but is int64", ls_matmul(a, k));
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
    const ls_axes none = { -1, { 0 } }, many = { LS_MAX_NDIM + 1, { 0 } };
    REFUSED(LS_ERR_ARG, "sum: a list of -1 axes; a shape has 0 to 6", ls_sum_axes(a, none, false));
    REFUSED(LS_ERR_ARG, "mean: a list of 7 axes; a shape has 0 to 6",
            ls_var_axes(a, many, true, false));
    REFUSED(LS_ERR_ARG, "amax: a list of 7 axes; a shape has 0 to 6", ls_amax(a, many, false));
    REFUSED(LS_ERR_ARG, "permute: each axis of shape [5, 3] must be named once",
            ls_permute(a, many));
    REFUSED(LS_ERR_ARG, "clamp: a bound is NaN; -INFINITY and INFINITY stand for none",
            ls_clamp(a, NAN, 1));
    REFUSED(LS_ERR_ARG, "clamp: a bound is NaN", ls_clamp(a, 0, NAN));
    REFUSED(LS_ERR_TYPE, "argmax: input 1 must be floating, but is int64", ls_argmin(k, 0));
    REFUSED(LS_ERR_SHAPE, "view: dimensions are 0 or more, or one is -1 ([5, 3])",
            ls_view(a, LS_SHAPE(-2, 3)));
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

/* Where rows pair off, a batch of one row is no other than a batch of two. */
Test(made, one_row_of_a_part_meets_one_of_a_whole)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *y = ls_tensor_of(ctx, LS_SHAPE(1, 2), 0, 1), *x = ls_ones(ctx, LS_SHAPE(1, 2));
    ls_tensor *part = ls_split_rows(x), *place = ls_view(ls_labels_of(ctx, 1), LS_SHAPE(1, 1));
    cr_expect_eq(ls_item(ls_mse_loss(part, y)), 0.5);
    cr_expect_eq(ls_item(ls_l1_loss(y, part)), 0.5);
    cr_expect_eq(ls_item(ls_sum(ls_gather(part, 1, place))), 1);
    cr_expect_eq(ls_item(ls_sum(ls_div(part, x))), 2);
    cr_expect_eq(ls_finish(ctx), 0);
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
    REFUSED(LS_ERR_ARG, "huber_loss: beta must be above 0",
            ls_huber_loss_with(a, a, WITH(.beta = NAN)));
    REFUSED(LS_ERR_ARG, "cross_entropy: label_smoothing lies between 0 and 1",
            ls_cross_entropy_with(ls_narrow(a, 0, 0, 2), k, WITH(.label_smoothing = NAN)));
    REFUSED(LS_ERR_ARG,
            "mse_loss: 7 is no reduction; there are LS_MEAN, LS_SUM, LS_NONE and LS_BATCH_MEAN",
            ls_mse_loss_with(a, a, WITH(.reduction = (ls_reduction)7)));
    REFUSED(LS_ERR_ARG, "nll_loss: 7 is no reduction",
            ls_nll_loss_with(ls_narrow(a, 0, 0, 2), ls_labels_of(ctx, 0, 1),
                             WITH(.reduction = (ls_reduction)7)));
    REFUSED(LS_ERR_SHAPE,
            "bce_loss: weights of shape [5, 3] do not broadcast to elements of shape [3]",
            ls_bce_loss_with(ls_zeros(ctx, LS_SHAPE(3)), ls_zeros(ctx, LS_SHAPE(3)),
                             WITH(.weight = a)));
    REFUSED(LS_ERR_SHAPE,
            "bce_with_logits: weights of shape [5, 3] do not broadcast to elements of shape [3]",
            ls_bce_with_logits_with(ls_select(a, 0, 0), ls_select(a, 0, 0), WITH(.pos_weight = a)));
    REFUSED(LS_ERR_SHAPE,
            "bce_with_logits: weights of shape [4] do not broadcast to elements of shape [5, 3]",
            ls_bce_with_logits_with(a, a, WITH(.weight = b)));
    REFUSED(LS_ERR_SHAPE, "cross_entropy: there must be a weight for each of 3 classes",
            ls_cross_entropy_with(ls_narrow(a, 0, 0, 2), k, WITH(.weight = b)));
}

/* ---- infinities and NaN ---------------------------------------------------------------------- */
#define GIVES(t, ...) gives(#t, t, LS_COUNT(double, __VA_ARGS__), (const double[]){ __VA_ARGS__ })
static void gives(const char *what, const ls_tensor *t, int64_t count, const double *want)
{
    double got[8] = { 0 };
    cr_assert_eq(ls_tolist(t, count, got), count, "%s", what);
    for (int i = 0; i < count; i++)
        cr_expect(isnan(want[i]) ? isnan(got[i]) : got[i] == want[i], "%s at %d: %g, not %g", what,
                  i, got[i], want[i]);
}

Test(made, infinities_and_nan_are_kept)
{
    const double inf = INFINITY, nan = NAN;
    for (int type = LS_FLOAT32; type <= LS_FLOAT64; type++) {
        ls_ctx *ctx = ls_start(&(ls_opts){ .dtype = (ls_dtype)type });
        ls_tensor *x = ls_tensor_of(ctx, LS_SHAPE(4), nan, inf, -inf, 1);
        ls_tensor *finite = ls_narrow(x, 0, 1, 3), *zero = ls_zeros(ctx, LS_SHAPE(1));
        GIVES(ls_relu(x), nan, inf, 0, 1);
        GIVES(ls_leaky_relu(x, 0.5), nan, inf, -inf, 1);
        GIVES(ls_clamp(x, -2, 3), nan, 3, -2, 1);
        GIVES(ls_abs(x), nan, inf, inf, 1);
        GIVES(ls_neg(x), nan, -inf, inf, -1);
        GIVES(ls_sqrt(x), nan, inf, nan, 1);
        GIVES(ls_exp(finite), inf, 0, type == LS_FLOAT32 ? (double)(float)exp(1) : exp(1));
        GIVES(ls_log(ls_neg(x)), nan, nan, inf, nan);
        GIVES(ls_log(zero), -inf);
        GIVES(ls_log1p(ls_sub_scalar(zero, 1)), -inf);
        GIVES(ls_erf(finite), 1, -1, ls_item(ls_erf(ls_ones(ctx, LS_SHAPE(1)))));
        GIVES(ls_narrow(ls_sigmoid(x), 0, 0, 3), nan, 1, 0);
        GIVES(ls_narrow(ls_softplus(x), 0, 0, 3), nan, inf, 0);
        GIVES(ls_minimum(x, zero), nan, 0, -inf, 0);
        GIVES(ls_minimum(zero, x), nan, 0, -inf, 0);
        GIVES(ls_maximum(x, zero), nan, inf, 0, 1);
        GIVES(ls_div(ls_ones(ctx, LS_SHAPE(4)), x), nan, 0, 0, 1);
        GIVES(ls_max(x), nan);
        GIVES(ls_min(finite), -inf);
        GIVES(ls_amax(ls_view(x, LS_SHAPE(2, 2)), LS_AXES(1), false), nan, 1);
        GIVES(ls_softmax(x, 0), nan, nan, nan, nan);
        GIVES(ls_softmax(ls_narrow(x, 0, 2, 2), 0), 0, 1);
        GIVES(ls_logsumexp(finite, 0, false), inf);
        GIVES(ls_logsumexp(ls_narrow(x, 0, 2, 1), 0, false), -inf);
        cr_assert_eq(ls_class_at(ls_argmax(x, 0), 0), 0);
        cr_assert_eq(ls_finish(ctx), 0);
    }
}

/* A NaN stops no gradient: the parameters before it must not stay finite beside a cost that is not. */
Test(made, a_gradient_passes_where_relu_keeps_nan)
{
    for (int type = LS_FLOAT32; type <= LS_FLOAT64; type++) {
        ls_ctx *ctx = ls_start(&(ls_opts){ .dtype = (ls_dtype)type });
        ls_tensor *x = ls_requires_grad(
            ls_tensor_of(ctx, LS_SHAPE(6), NAN, 1, 0, -0.0, -1, INFINITY));
        ls_backward(ctx, ls_sum(ls_mul_scalar(ls_relu(x), 3)));
        GIVES(ls_grad(x), 3, 3, 0, 0, 0, 3);
        ls_zero_grad(LS_LIST(x));
        ls_backward(ctx, ls_mse_loss(ls_relu(x), ls_zeros(ctx, LS_SHAPE(6))));
        cr_expect(isnan(ls_at(ls_grad(x), 0)));
        cr_assert_eq(ls_finish(ctx), 0);
    }
}

/* So do the others, each as in PyTorch. */
Test(made, gradients_beside_nan_are_those_of_pytorch)
{
    const double nan = NAN;
    for (int type = LS_FLOAT32; type <= LS_FLOAT64; type++) {
        ls_ctx *ctx = ls_start(&(ls_opts){ .dtype = (ls_dtype)type });
        ls_tensor *x = ls_tensor_of(ctx, LS_SHAPE(2, 3), nan, 1, nan, 2, 2, 1);
        ls_tensor *y = ls_tensor_of(ctx, LS_SHAPE(2, 3), 1, 0, -1, nan, 1, 1);
#define PASSES(t, of, ...)                                                                         \
    ls_backward(ctx, ls_mul_scalar(ls_sum(t), 6));                                                 \
    GIVES(ls_grad(of), __VA_ARGS__);                                                               \
    ls_zero_grad(LS_LIST(x, y))
        ls_requires_grad(x), ls_requires_grad(y);
        PASSES(ls_max(x), x, 3, 0, 3, 0, 0, 0);
        PASSES(ls_min(x), x, 3, 0, 3, 0, 0, 0);
        PASSES(ls_amax(x, LS_AXES(1), false), x, nan, nan, nan, 3, 3, 0);
        PASSES(ls_amin(x, LS_AXES(0), true), x, nan, 6, nan, nan, 0, nan);
        PASSES(ls_abs(ls_neg(x)), x, 0, 6, 0, 6, 6, 6);
        PASSES(ls_l1_loss(x, y), x, 0, 1, 0, 0, 1, 0);
        PASSES(ls_kl_div(x, y), x, -1, 0, 1, nan, -1, -1);
        PASSES(ls_kl_div(ls_abs(x), y), y, nan, nan, nan, nan, -1, 0);
        cr_assert_eq(ls_finish(ctx), 0);
#undef PASSES
    }
}

/* PyTorch divides by 1e-12 at least, in float whatever the type. */
Test(made, gradients_of_bce_at_the_ends_are_those_of_pytorch)
{
    for (int type = LS_FLOAT32; type <= LS_FLOAT64; type++) {
        const double most = type == LS_FLOAT32 ? 0x1.d1a94ap+39 : 0x1.d1a94a3f379b1p+39;
        ls_ctx *ctx = ls_start(&(ls_opts){ .dtype = (ls_dtype)type });
        ls_tensor *p = ls_requires_grad(ls_tensor_of(ctx, LS_SHAPE(2), 0, 1));
        ls_backward(ctx, ls_bce_loss_with(p, ls_tensor_of(ctx, LS_SHAPE(2), 1, 0),
                                          &(ls_loss_opts){ .reduction = LS_SUM }));
        GIVES(ls_grad(p), -most, most);
        cr_assert_eq(ls_finish(ctx), 0);
    }
}

/* ---- slopes at corners, and small costs ------------------------------------------------------ */
/* As PyTorch: where all elements are equal, a deviation of 0 has no slope; that of one element is 0, or
 * NaN where its divisor is. */
Test(made, a_deviation_of_zero_is_level)
{
    for (int i = 0; i < 4; i++) {
        ls_ctx *ctx = ls_start(&(ls_opts){ .dtype = i % 2 ? LS_FLOAT32 : LS_FLOAT64 });
        ls_tensor *x = ls_requires_grad(ls_tensor_of(ctx, LS_SHAPE(2, 3), 5, 5, 5, 1, 1, 4));
#define ROWS   (i < 2 ? ls_split_rows(x) : x)
#define COLUMN ls_narrow(ROWS, 1, 1, 1)
        ls_backward(ctx, ls_sum(ls_std_axes(ROWS, LS_AXES(1), true, false)));
        GIVES(ls_narrow(ls_grad(x), 0, 0, 1), 0, 0, 0);
        cr_expect(ls_at(ls_grad(x), 5) > 0.5);
        ls_zero_grad(LS_LIST(x));
        ls_backward(ctx, ls_sum(ls_std_axes(COLUMN, LS_AXES(1), false, true)));
        GIVES(ls_grad(x), 0, 0, 0, 0, 0, 0);
        ls_backward(ctx, ls_std(ls_mul_scalar(ROWS, 0)));
        GIVES(ls_grad(x), 0, 0, 0, 0, 0, 0);
        ls_backward(ctx, ls_sum(ls_std_axes(COLUMN, LS_AXES(1), true, false)));
        GIVES(ls_grad(x), 0, NAN, 0, 0, NAN, 0);
        cr_assert_eq(ls_finish(ctx), 0);
    }
}

/* Of scores that are sure and right; the sums of their terms, written otherwise, cancel. */
Test(made, small_costs_of_logits_are_exact)
{
    static const double scores[] = { -5, -10, -16, -25, -36, -80, 0, 0.25, 5, 10, 16, 25, 80 };
    static const double targets[] = { 0, 1, 0.25 };
    for (int type = LS_FLOAT32; type <= LS_FLOAT64; type++) {
        ls_ctx *ctx = ls_start(&(ls_opts){ .dtype = (ls_dtype)type });
        for (int i = 0; i < (int)(sizeof scores / sizeof *scores); i++)
            for (int k = 0; k < 6; k++) {
                long double x = scores[i], y = targets[k % 3];
                long double zero = log1pl(expl(-fabsl(x))) + fmaxl(x, 0);
                long double one = log1pl(expl(-fabsl(x))) + fmaxl(-x, 0);
                long double want = y * one + (1 - y) * zero;
                ls_tensor *a = ls_full(ctx, LS_SHAPE(1), scores[i]),
                          *b = ls_full(ctx, LS_SHAPE(1), (double)y);
                ls_loss_opts o = { .pos_weight = k < 3 ? NULL : ls_ones(ctx, LS_SHAPE(1)) };
                double got = ls_item(ls_bce_with_logits_with(a, b, &o));
                double most = type == LS_FLOAT32 ? 4 * 0x1p-23 : 4 * 0x1p-52;
                cr_expect(fabsl(got - want) <= most * want, "float%d, %g and %g: %.17g, not %.17Lg",
                          type == LS_FLOAT32 ? 32 : 64, scores[i], (double)y, got, want);
            }
        cr_assert_eq(ls_finish(ctx), 0);
    }
}

/* ---- what has no gradient -------------------------------------------------------------------- */
Test(made, comparisons_and_places)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *x = ls_tensor_of(ctx, LS_SHAPE(2, 3), 1, 5, 5, 2, -1, 0);
    ls_tensor *two = ls_labels_of(ctx, 2), *y = ls_tensor_of(ctx, LS_SHAPE(3), 1, 5, 0);
    GIVES(ls_equal(x, y), 1, 1, 0, 0, 0, 1);
    GIVES(ls_not_equal(x, y), 0, 0, 1, 1, 1, 0);
    GIVES(ls_less(x, two), 1, 0, 0, 0, 1, 1);
    GIVES(ls_less_equal(x, two), 1, 0, 0, 1, 1, 1);
    GIVES(ls_greater(x, two), 0, 1, 1, 0, 0, 0);
    GIVES(ls_greater_equal(x, two), 0, 1, 1, 1, 0, 0);
    GIVES(ls_where(ls_labels_of(ctx, 1, 0, 7), x, y), 1, 5, 5, 2, 5, 0);
    GIVES(ls_argmax(x, 1), 1, 0);
    GIVES(ls_argmax(x, 0), 1, 0, 0);
    GIVES(ls_argmin(x, -1), 0, 1);
    GIVES(ls_argmin(x, 0), 0, 1, 1);
    ls_tensor *place = NULL;
    GIVES(ls_max_axis(x, 0, false, &place), 2, 5, 5);
    GIVES(place, 1, 0, 0);
    cr_assert_eq(ls_finish(ctx), 0);
}

/* Labels that no floating number holds are compared as they are. */
Test(made, large_labels_are_compared_as_integers)
{
    for (int i = 0; i < 4; i++) {
        ls_ctx *ctx = ls_start(&(ls_opts){ .dtype = i % 2 ? LS_FLOAT64 : LS_FLOAT32 });
        const int64_t large = (int64_t)1 << (i % 2 ? 53 : 24), far = INT64_MAX;
        ls_tensor *a = ls_labels_of(ctx, large, large + 1, -large, far),
                  *b = ls_labels_of(ctx, large + 1, large + 1, -large - 1, far - 1);
        ls_tensor *square = ls_view(a, LS_SHAPE(2, 2)), *row = ls_labels_of(ctx, large + 1, far);
        if (i > 1) a = ls_split_rows(a), b = ls_split_rows(b), square = ls_split_rows(square);
#define WHOLE(t) (i > 1 ? ls_whole(ctx, t) : (t))
        GIVES(WHOLE(ls_equal(a, b)), 0, 1, 0, 0);
        GIVES(WHOLE(ls_not_equal(a, b)), 1, 0, 1, 1);
        GIVES(WHOLE(ls_less(a, b)), 1, 0, 0, 0);
        GIVES(WHOLE(ls_less_equal(a, b)), 1, 1, 0, 0);
        GIVES(WHOLE(ls_greater(a, b)), 0, 0, 1, 1);
        GIVES(WHOLE(ls_greater_equal(a, b)), 0, 1, 1, 1);
        GIVES(WHOLE(ls_less(square, row)), 1, 1, 1, 0);
        cr_assert_eq(ls_dtype_of(ls_equal(a, b)), i % 2 ? LS_FLOAT64 : LS_FLOAT32);
        cr_assert_eq(ls_finish(ctx), 0, "%s", ls_error_text(ctx));
    }
}

Test(made, labels_move_as_numbers_do)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *k = ls_arange_labels(ctx, 0, 6, 1), *pairs = ls_view(k, LS_SHAPE(2, 3));
    GIVES(ls_transpose(pairs, 0, 1), 0, 3, 1, 4, 2, 5);
    GIVES(ls_slice(k, 0, -4, 100, 2), 2, 4);
    GIVES(ls_slice(k, 0, 1, 6, INT64_MAX), 1);
    GIVES(ls_slice(k, 0, INT64_MIN, INT64_MAX, 5), 0, 5);
    GIVES(ls_select(pairs, 1, 2), 2, 5);
    GIVES(ls_index_select(pairs, 0, ls_labels_of(ctx, 1, 1)), 3, 4, 5, 3, 4, 5);
    GIVES(ls_cat(LS_LIST(ls_narrow(k, 0, 4, 2), ls_narrow(k, 0, 0, 1)), 0), 4, 5, 0);
    GIVES(ls_stack(LS_LIST(ls_narrow(k, 0, 0, 2), ls_narrow(k, 0, 2, 2)), 1), 0, 2, 1, 3);
    GIVES(ls_clone(ls_squeeze(ls_unsqueeze(ls_narrow(k, 0, 3, 2), -1))), 3, 4);
    cr_assert_eq(ls_dtype_of(ls_cat(LS_LIST(k, k), 0)), LS_INT64);
    cr_assert_eq(ls_finish(ctx), 0, "%s", ls_error_text(ctx));
}

/* torch.tensor([1, 2, 3]) * torch.tensor([0.5, 1.5, 2.5]): the integers become floating. */
Test(made, labels_among_numbers)
{
    for (int split = 0; split < 2; split++) {
        ls_ctx *ctx = ls_start(NULL);
        ls_tensor *x = ls_requires_grad(ls_tensor_of(ctx, LS_SHAPE(3), 0.5, 1.5, 2.5)), *y = x,
                  *k = ls_labels_of(ctx, 1, 2, 3);
        if (split) y = ls_split_rows(x), k = ls_split_rows(k);
#define ALL(t) (split ? ls_whole(ctx, t) : (t))
        GIVES(ALL(ls_add(y, k)), 1.5, 3.5, 5.5);
        GIVES(ALL(ls_sub(k, y)), 0.5, 0.5, 0.5);
        GIVES(ALL(ls_mul(k, y)), 0.5, 3, 7.5);
        GIVES(ALL(ls_div(y, k)), 0.5, 0.75, 2.5f / 3);
        GIVES(ALL(ls_pow_tensor(k, y)), 1, powf(2, 1.5f), powf(3, 2.5f));
        GIVES(ALL(ls_minimum(k, y)), 0.5, 1.5, 2.5);
        GIVES(ALL(ls_maximum(k, y)), 1, 2, 3);
        GIVES(ALL(ls_where(ls_greater(k, y), k, y)), 1, 2, 3);
        GIVES(ALL(ls_to_float(k)), 1, 2, 3);
        cr_assert(ls_to_float(y) == y);
        ls_backward(ctx, ls_sum(ls_mul(ls_to_float(k), y)));
        GIVES(ls_grad(x), 1, 2, 3);
        cr_assert_eq(ls_finish(ctx), 0, "%s", ls_error_text(ctx));
    }
}

/* A copy is a copy; what is detached shares its values. */
Test(made, clones_and_what_is_detached)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *x = ls_tensor_of(ctx, LS_SHAPE(2), 1, 2), *copy = ls_clone(x), *same = ls_detach(x);
    ls_fill_(x, 3);
    GIVES(copy, 1, 2);
    GIVES(same, 3, 3);
    GIVES(ls_expand_as(x, ls_zeros(ctx, LS_SHAPE(3, 2))), 3, 3, 3, 3, 3, 3);
    cr_assert_eq(ls_finish(ctx), 0);
}

/* ---- names that are printed ------------------------------------------------------------------ */
#define NAMED(name, ...)                                                                           \
    do {                                                                                           \
        ls_tensor *t_ = (__VA_ARGS__);                                                             \
        cr_assert(t_ != NULL, "%s", ls_error_text(ctx));                                           \
        cr_expect_str_eq(t_->grad_name, name, "%s, not %s", t_->grad_name, name);                  \
    } while (0)

Test(made, names_are_those_of_pytorch)
{
    made m;
    ls_tensor *in[3], *place;
    made_begin(&m, LS_FLOAT32, in);
    ls_ctx *ctx = m.ctx;
    ls_tensor *x = in[0], *z = in[1], *y = in[2], *square = ls_view(x, LS_SHAPE(7, 2, 2));
    NAMED("SubBackward0", ls_sub_scalar(x, 1));
    NAMED("ClampBackward1", ls_clamp(x, 0, 1));
    NAMED("MvBackward0", ls_mv(x, y));
    NAMED("DotBackward0", ls_dot(y, y));
    NAMED("MmBackward0", ls_matmul(x, ls_transpose(z, 0, 1)));
    NAMED("UnsafeViewBackward0", ls_matmul(square, ls_view(y, LS_SHAPE(2, 2))));
    NAMED("BmmBackward0", ls_bmm(square, square));
    NAMED("AddmmBackward0", ls_linear(x, z, ls_zeros(ctx, LS_SHAPE(7))));
    NAMED("MmBackward0", ls_linear(x, z, NULL));
    NAMED("ReshapeAliasBackward0", ls_reshape(x, LS_SHAPE(-1)));
    NAMED("SelectBackward0", ls_select(x, 0, 1));
    NAMED("SliceBackward0", ls_narrow(x, 0, 1, 1));
    NAMED("StackBackward0", ls_stack(LS_LIST(x, z), 0));
    NAMED("VarBackward0", ls_var(x));
    NAMED("StdBackward0", ls_std(x));
    NAMED("MeanBackward1", ls_mean_axes(x, LS_AXES(0), false));
    NAMED("MaxBackward0", ls_max_axis(x, 1, false, &place));
    NAMED("MaxBackward1", ls_max(x));
    NAMED("MeanBackward0", ls_l1_loss(x, z));
    NAMED("DivBackward0", ls_kl_div_with(x, z, WITH(.reduction = LS_BATCH_MEAN)));
    NAMED("HuberLossBackward0", ls_huber_loss(x, z));
    NAMED("BinaryCrossEntropyWithLogitsBackward0", ls_bce_with_logits(x, z));
    NAMED("NllLossBackward0", ls_cross_entropy(x, m.label));
    NAMED("AddBackward0", ls_cross_entropy_with(x, m.label, WITH(.label_smoothing = 0.1)));
    NAMED("NllLoss2DBackward0",
          ls_nll_loss(ls_view(ls_cat(LS_LIST(x, z), 1), LS_SHAPE(7, 4, 2)), m.pairs));
    ls_finish(ctx);
}

/* Calls of one operation have the names they are made under, whatever an earlier step called it. */
Test(made, names_are_those_of_this_step)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *x = ls_requires_grad(ls_rand(ctx, LS_SHAPE(6)));
    for (int step = 0; step < 6; step++) {
        const bool is_odd = step % 2;
        ls_step_begin(ctx);
        NAMED(is_odd ? "AddBackward0" : "SubBackward0",
              is_odd ? ls_add_scalar(x, -1) : ls_sub_scalar(x, 1));
        NAMED(is_odd ? "ViewBackward0" : "ReshapeAliasBackward0",
              is_odd ? ls_view(x, LS_SHAPE(2, 3)) : ls_reshape(x, LS_SHAPE(2, 3)));
        NAMED("MeanBackward0", is_odd ? ls_mean(x) : ls_l1_loss(x, ls_zeros(ctx, LS_SHAPE(6))));
    }
    cr_assert_eq(ls_finish(ctx), 0, "%s", ls_error_text(ctx));
}
