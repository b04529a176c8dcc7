/* test_autograd.c -- what a program may ask of autograd: backward with a given gradient, graphs that stay,
 * gradients that are none, of values on the way, and hooks, also in a run.
 */
#include "fails.h"
#include "grad/grad.h"
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

static ls_tensor *parameter(ls_ctx *ctx, double value)
{
    return ls_requires_grad(ls_scalar(ctx, value));
}

Test(autograd, retained_graph)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *w = parameter(ctx, 3), *square = ls_pow(w, 2), *cube = ls_mul(square, w);
    ls_backward_opts keeps = { .retain_graph = true };
    for (int i = 1; i <= 3; i++) {
        ls_backward_with(ctx, cube, &keeps);
        cr_assert(eq(dbl, ls_item(ls_grad(w)), 27 * i));
    }
    ls_backward_with(ctx, square, &keeps); /* a part of it */
    cr_assert(eq(dbl, ls_item(ls_grad(w)), 87));
    ls_backward(ctx, cube); /* the last one */
    cr_assert(eq(dbl, ls_item(ls_grad(w)), 114));
    ls_backward(ctx, square);
    FAILS(ctx, LS_ERR_USE, "a second time");
}

/* d (g . y) / dw for whole and split rows. */
Test(autograd, given_gradient)
{
    for (int split = 0; split < 2; split++) {
        ls_ctx *ctx = ls_start(&(ls_opts){ .leaf_rows = 2 });
        ls_tensor *x = ls_tensor_of(ctx, LS_SHAPE(3, 2), 1, 2, 3, 4, 5, 6),
                  *g = ls_tensor_of(ctx, LS_SHAPE(3), 1, -1, 2),
                  *w = ls_requires_grad(ls_ones(ctx, LS_SHAPE(2)));
        if (split) x = ls_split_rows(x), g = ls_split_rows(g);
        ls_backward_with(ctx, ls_mv(x, w), &(ls_backward_opts){ .gradient = g });
        cr_assert(eq(dbl, ls_at(ls_grad(w), 0), 8));
        cr_assert(eq(dbl, ls_at(ls_grad(w), 1), 10));
        ls_backward_with(ctx, w, &(ls_backward_opts){ .gradient = ls_full(ctx, LS_SHAPE(2), 5) });
        cr_assert(eq(dbl, ls_at(ls_grad(w), 1), 15));
        cr_assert(eq(int, ls_finish(ctx), 0));
    }
}

Test(autograd, given_gradient_that_does_not_fit)
{
    static const char *const text[] = { "the gradient has shape [2], but the result [3]",
                                        "the result is a part, but the gradient is not",
                                        "the gradient is a part, but the result is not",
                                        "the gradient is int64, but the result float32" };
    for (int i = 0; i < 4; i++) {
        ls_ctx *ctx = ls_start(NULL);
        ls_tensor *y = ls_mul_scalar(ls_requires_grad(ls_ones(ctx, LS_SHAPE(3))), 2),
                  *g = ls_zeros(ctx, LS_SHAPE(i ? 3 : 2));
        if (i == 1) y = ls_split_rows(y);
        if (i == 2) g = ls_split_rows(g);
        if (i == 3) g = ls_labels_of(ctx, 1, 2, 3);
        ls_backward_with(ctx, y, &(ls_backward_opts){ .gradient = g });
        FAILS(ctx, i == 3 ? LS_ERR_TYPE : LS_ERR_SHAPE, text[i]);
    }
}

Test(autograd, zero_or_none)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *w = parameter(ctx, 2), *v = parameter(ctx, 3);
    ls_optim *o = ls_sgd_new(ctx, LS_LIST(w, v), &(ls_sgd_opts){ .lr = 1, .weight_decay = 0.5 });
    ls_backward(ctx, ls_mul(w, v));
    ls_zero_grad(LS_LIST(w));
    ls_zero_grad_to_none(LS_LIST(v));
    cr_assert(eq(dbl, ls_item(ls_grad(w)), 0));
    cr_assert(ls_grad(v) == NULL);
    ls_optim_step(ctx, o); /* decays w, and passes v by */
    cr_assert(eq(dbl, ls_item(w), 1));
    cr_assert(eq(dbl, ls_item(v), 3));
    ls_backward(ctx, ls_mul(w, v));
    cr_assert(eq(dbl, ls_item(ls_grad(w)), 3));
    cr_assert(eq(dbl, ls_item(ls_grad(v)), 1));
    ls_finish(ctx);
}

/* A gradient is what ls_grad() gave, also by a pointer from before, and what is written to it counts. */
Test(autograd, gradients_written_by_hand)
{
    for (int i = 0; i < 4; i++) {
        ls_ctx *ctx = ls_start(&(ls_opts){ .dtype = i % 2 ? LS_FLOAT64 : LS_FLOAT32 });
        ls_tensor *w = parameter(ctx, 3);
        ls_optim *o = ls_sgd_new(ctx, LS_LIST(w), &(ls_sgd_opts){ .lr = 1 });
        ls_backward(ctx, ls_mul(w, w));
        ls_tensor *g = i < 2 ? ls_grad(w) : NULL;
        ls_zero_grad(LS_LIST(w));
        if (!g) g = ls_grad(w);
        cr_expect(eq(dbl, ls_item(g), 0));
        ls_fill_(g, 5);
        cr_expect(eq(dbl, ls_item(ls_grad(w)), 5));
        ls_backward(ctx, ls_mul(w, w));
        cr_expect(eq(dbl, ls_item(g), 11));
        ls_zero_grad(LS_LIST(w));
        ls_fill_(g, 2);
        ls_optim_step(ctx, o);
        cr_expect(eq(dbl, ls_item(w), 1));
        ls_zero_grad_to_none(LS_LIST(w));
        ls_backward(ctx, ls_mul(w, w));
        cr_expect(eq(dbl, ls_item(ls_grad(w)), 2));
        cr_assert_eq(ls_finish(ctx), 0, "%s", ls_error_text(ctx));
    }
}

/* What a backward needs of a gradient: as it is, or it is said that it has changed. */
Test(autograd, gradients_among_values)
{
    for (int change = 0; change < 4; change++) {
        ls_ctx *ctx = ls_start(NULL);
        ls_tensor *w = parameter(ctx, 3), *v = parameter(ctx, 1);
        ls_backward(ctx, ls_mul(w, w));
        ls_tensor *with_v = ls_mul(ls_mul(ls_grad(w), v), v),
                  *with_w = ls_mul(ls_mul(ls_grad(w), w), w);
        if (change == 0) ls_backward(ctx, with_w);
        if (change == 1) ls_zero_grad(LS_LIST(w));
        if (change == 2) ls_backward(ctx, ls_pow(w, 3));
        if (change == 3) ls_zero_grad_to_none(LS_LIST(w));
        if (change == 0) cr_expect(eq(dbl, ls_item(ls_grad(w)), 6 + 2 * 6 * 3));
        ls_backward(ctx, with_v);
        FAILS(ctx, LS_ERR_USE, "modified by an inplace operation");
    }
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *w = parameter(ctx, 3), *v = parameter(ctx, 1);
    ls_backward(ctx, ls_mul(w, w));
    ls_backward(ctx, ls_mul(ls_mul(ls_grad(w), v), v));
    cr_expect(eq(dbl, ls_item(ls_grad(v)), 12));
    ls_zero_grad(LS_LIST(w));
    ls_backward(ctx, ls_add(ls_mul(ls_mul(ls_grad(w), w), w), ls_mul(w, w))); /* 0 as a constant */
    cr_expect(eq(dbl, ls_item(ls_grad(w)), 6));
    cr_assert_eq(ls_finish(ctx), 0, "%s", ls_error_text(ctx));
}

Test(autograd, values_on_the_way)
{
    for (int split = 0; split < 2; split++) {
        ls_ctx *ctx = ls_start(&(ls_opts){ .leaf_rows = 2 });
        ls_tensor *x = ls_tensor_of(ctx, LS_SHAPE(3), 1, 2, 3), *w = parameter(ctx, 2);
        if (split) x = ls_split_rows(x);
        ls_tensor *h = ls_retain_grad(ls_mul(x, w)), *quiet = ls_mul_scalar(h, 3),
                  *loss = ls_retain_grad(ls_sum(ls_pow(quiet, 2)));
        cr_assert(ls_grad(h) == NULL);
        cr_assert(ls_retain_grad(w) == w);
        ls_backward_with(ctx, loss, &(ls_backward_opts){ .retain_graph = true });
        ls_tensor *g = split ? ls_whole(ctx, ls_grad(h)) : ls_grad(h);
        for (int i = 0; i < 3; i++) cr_assert(eq(dbl, ls_at(g, i), 36 * (i + 1)));
        cr_assert(eq(dbl, ls_item(ls_grad(loss)), 1));
        cr_assert(ls_grad(quiet) == NULL);
        ls_backward(ctx, loss); /* adds, as for parameters */
        g = split ? ls_whole(ctx, ls_grad(h)) : ls_grad(h);
        cr_assert(eq(dbl, ls_at(g, 2), 216));
        cr_assert(eq(dbl, ls_item(ls_grad(w)), 2 * 18 * 14 * 2));
        ls_retain_grad(ls_detach(h));
        FAILS(ctx, LS_ERR_USE, "does not require gradients");
    }
}

/* ---- hooks ----------------------------------------------------------------------------------- */
typedef struct heard {
    int calls;
    double gradient;
} heard;

static void hear(void *self, ls_tensor *param, ls_tensor *grad)
{
    heard *h = self;
    cr_assert(ls_grad(param) == grad);
    h->calls++;
    h->gradient = ls_at(grad, 0);
}

static void halve(void *self, ls_tensor *param, ls_tensor *grad)
{
    (void)self, (void)param;
    ls_mul_scalar_(grad, 0.5);
}

static void hook_once(void *self, ls_tensor *param, ls_tensor *grad)
{
    hear(self, param, grad);
    ls_remove_hook(param, hook_once, self);
}

Test(autograd, hooks)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *w = parameter(ctx, 3), *v = parameter(ctx, 5);
    heard first = { 0 }, last = { 0 }, once = { 0 };
    ls_register_hook(w, hear, &first);
    ls_register_hook(w, halve, NULL);
    ls_register_hook(w, hook_once, &once);
    ls_register_hook(w, hear, &last);
    ls_backward(ctx, ls_mul(w, v));
    cr_assert(eq(dbl, first.gradient, 5));
    cr_assert(eq(dbl, last.gradient, 2.5));
    ls_backward(ctx, ls_mul(w, v)); /* on what is added up */
    cr_assert(eq(dbl, first.gradient, 7.5));
    cr_assert(eq(dbl, ls_item(ls_grad(w)), 3.75));
    ls_backward(ctx, ls_pow(v, 2)); /* does not reach w */
    ls_remove_hook(w, hear, &last);
    ls_backward_with(ctx, w, NULL); /* the loss itself */
    cr_assert(eq(int, first.calls, 3));
    cr_assert(eq(int, last.calls, 2));
    cr_assert(eq(int, once.calls, 1));
    ls_tensor_free(w);
    ls_register_hook(ls_scalar(ctx, 1), hear, &first);
    FAILS(ctx, LS_ERR_USE, "the tensor is no parameter");
}

static void backward_of_its_own(void *self, ls_tensor *param, ls_tensor *grad)
{
    (void)self, (void)grad;
    ls_backward(param->ctx, ls_pow(param, 2));
}

Test(autograd, hook_with_a_backward)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *w = parameter(ctx, 3);
    ls_register_hook(w, backward_of_its_own, NULL);
    ls_backward(ctx, ls_pow(w, 2));
    FAILS(ctx, LS_ERR_USE, "a hook can't begin a backward");
}

/* In a run, whose updates are made with the reduction where there is no hook. */
Test(autograd, hooks_in_a_run)
{
    double weight[3];
    for (int way = 0; way < 3; way++) { /* no hook; one that listens; one that halves */
        ls_ctx *ctx = ls_start(&(ls_opts){ .seed = 2, .leaf_rows = 4 });
        ls_tensor *x = ls_randn(ctx, LS_SHAPE(20, 3)), *y = ls_randn(ctx, LS_SHAPE(20, 1));
        ls_module *m = ls_linear_new(ctx, 3, 1);
        ls_optim *o = ls_sgd_new(ctx, ls_parameters(m),
                                 &(ls_sgd_opts){ .lr = way == 2 ? 0.2 : 0.1 });
        ls_loader *data = ls_loader_new(ctx, ls_tensor_dataset(ctx, x, y),
                                        &(ls_loader_opts){ .batch_size = 8, .shuffle = true });
        heard h = { 0 };
        for (int i = 0; way && i < 2; i++) {
            if (way == 2) ls_register_hook(ls_parameters(m).at[i], halve, NULL);
            ls_register_hook(ls_parameters(m).at[i], hear, &h);
        }
        ls_fit(ctx, &(ls_run){ .model = m,
                               .loss = ls_mse_loss,
                               .optim = o,
                               .data = data,
                               .epochs = 2,
                               .log_every = -1 });
        cr_assert(eq(int, h.calls, way ? 12 : 0)); /* 2 epochs, 3 steps, 2 parameters */
        weight[way] = ls_at(ls_parameter(m, "weight"), 1);
        cr_assert(eq(int, ls_finish(ctx), 0));
    }
    cr_assert(eq(dbl, weight[0], weight[1]));
    cr_assert(eq(dbl, weight[0], weight[2]));
}

Test(autograd, scopes_in_scopes)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *w = parameter(ctx, 3);
    {
        LS_NO_GRAD(ctx);
        for (int i = 0; i < 3; i++) {
            LS_NO_GRAD(ctx);
            cr_assert(not(ls_mul(w, w)->requires_grad));
            if (i == 1) break;
        }
        cr_assert(not(ls_mul(w, w)->requires_grad)); /* the outer one is still open */
    }
    cr_assert(ls_mul(w, w)->requires_grad);
    ls_finish(ctx);
}

/* Gradients that are none at each step's beginning are no reason to work out a backward anew. */
Test(autograd, a_run_plans_once)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *x = ls_randn(ctx, LS_SHAPE(20, 3)), *y = ls_randn(ctx, LS_SHAPE(20, 1));
    ls_module *m = ls_linear_new(ctx, 3, 1);
    ls_run run = { .model = m,
                   .loss = ls_mse_loss,
                   .optim = ls_sgd_new(ctx, ls_parameters(m), &(ls_sgd_opts){ .lr = 0.1 }),
                   .data = ls_loader_new(ctx, ls_tensor_dataset(ctx, x, y),
                                         &(ls_loader_opts){ .batch_size = 10, .shuffle = true }) };
    uint64_t planned = 0;
    double cost;
    for (int i = 0; i < 20; i++) {
        if (i == 10) planned = ctx->tape->visits;
        ls_fit_step(ctx, &run, &cost);
    }
    cr_assert(eq(u64, ctx->tape->visits, planned));
    for (int i = 0; i < 20 && ls_step_begin(ctx); i++) {
        if (i == 10) planned = ctx->tape->visits;
        ls_zero_grad_to_none(ls_parameters(m));
        ls_backward(ctx, ls_mse_loss(ls_forward(m, ls_split_rows(x)), ls_split_rows(y)));
    }
    cr_assert(eq(u64, ctx->tape->visits, planned));
    cr_assert(eq(int, ls_finish(ctx), 0));
}
