/* test_grad.c -- autograd's rules: accumulation, scopes, several uses, and its errors as sentences.
 */
#include "grad/grad.h"
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#define FAILS(ctx, status, fragment)                                                               \
    do {                                                                                           \
        cr_assert(eq(int, ls_error(ctx), status), "%s", ls_error_text(ctx));                       \
        cr_assert(strstr(ls_error_text(ctx), fragment) != NULL, "%s", ls_error_text(ctx));         \
        ls_finish(ctx);                                                                            \
    } while (0)

static ls_tensor *parameter(ls_ctx *ctx, double value)
{
    return ls_requires_grad(ls_scalar(ctx, value));
}

Test(grad, accumulates_until_zeroed)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *w = parameter(ctx, 2);
    cr_assert(ls_grad(w) == NULL);
    for (int i = 1; i <= 21; i++) {
        ls_backward(ctx, ls_mul_scalar(w, 2));
        cr_assert(eq(dbl, ls_item(ls_grad(w)), 2 * i));
    }
    ls_zero_grad(LS_LIST(w));
    cr_assert(eq(dbl, ls_item(ls_grad(w)), 0));
    ls_backward(ctx, ls_add_scalar(ls_mul_scalar(ls_pow(w, 2), 2), 5));
    cr_assert(eq(dbl, ls_item(ls_grad(w)), 8));
    cr_assert(eq(int, ls_finish(ctx), 0));
}

Test(grad, several_uses)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *w = parameter(ctx, 3);
    ls_tensor *cube = ls_mul(ls_mul(w, w), w);
    ls_backward(ctx, ls_add(cube, ls_add(w, w)));
    cr_assert(eq(dbl, ls_item(ls_grad(w)), 29));
    ls_finish(ctx);
}

Test(grad, nothing_is_recorded_in_a_scope)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *w = parameter(ctx, 3), *inside, *outside;
    {
        LS_NO_GRAD(ctx);
        inside = ls_mul(w, w);
    }
    outside = ls_mul(w, w);
    cr_assert(not(inside->requires_grad));
    cr_assert(outside->requires_grad);
    cr_assert(not(ls_detach(outside)->requires_grad));
    LS_NO_GRAD(ctx);
    cr_assert(eq(int, ls_finish(ctx), 0));
}

Test(grad, parts_and_wholes_agree)
{
    double got[2];
    for (int split = 0; split < 2; split++) {
        ls_ctx *ctx = ls_start(&(ls_opts){ .leaf_rows = 64 });
        ls_tensor *x = ls_randn(ctx, LS_SHAPE(50, 3)),
                  *w = ls_requires_grad(ls_randn(ctx, LS_SHAPE(3, 1)));
        if (split) x = ls_split_rows(x);
        ls_backward(ctx, ls_mean(ls_pow(ls_matmul(x, w), 2)));
        got[split] = ls_at(ls_grad(w), 1);
        ls_finish(ctx);
    }
    cr_assert(eq(dbl, got[0], got[1]));
}

Test(grad, steps_allocate_nothing)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *x = ls_split_rows(ls_randn(ctx, LS_SHAPE(100, 5))),
              *y = ls_split_rows(ls_randn(ctx, LS_SHAPE(100, 1)));
    ls_module *m = ls_sequential(ctx, LS_LINEAR(5, 8), LS_TANH, LS_LINEAR(8, 1));
    ls_optim *o = ls_sgd_new(ctx, ls_parameters(m), &(ls_sgd_opts){ .lr = 0.01, .momentum = 0.9 });
    size_t calls = 0;
    for (int i = 0; i < 20 && ls_step_begin(ctx); i++) {
        if (i == 3) calls = ls_memory_calls();
        ls_tensor *loss = ls_mse_loss(ls_forward(m, x), y);
        ls_optim_zero_grad(o);
        ls_backward(ctx, loss);
        ls_optim_step(ctx, o);
    }
    cr_assert(eq(sz, ls_memory_calls(), calls));
    ls_finish(ctx);
}

Test(grad, second_backward)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *loss = ls_pow(parameter(ctx, 3), 2);
    ls_backward(ctx, loss);
    ls_backward(ctx, loss);
    FAILS(ctx, LS_ERR_USE, "trying to backward through the graph a second time");
}

Test(grad, vector_loss)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *w = ls_requires_grad(ls_zeros(ctx, LS_SHAPE(3)));
    ls_backward(ctx, ls_mul_scalar(w, 2));
    FAILS(ctx, LS_ERR_SHAPE, "the loss has shape [3]");
}

Test(grad, loss_without_parameters)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_backward(ctx, ls_mul_scalar(ls_scalar(ctx, 1), 2));
    FAILS(ctx, LS_ERR_USE, "does not depend on a tensor that requires gradients");
}

Test(grad, shapes_as_sentences)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_add(ls_zeros(ctx, LS_SHAPE(3, 2)), ls_zeros(ctx, LS_SHAPE(4)));
    FAILS(ctx, LS_ERR_SHAPE, "add: the shapes do not broadcast ([3, 2] and [4])");
    ctx = ls_start(NULL);
    ls_matmul(ls_zeros(ctx, LS_SHAPE(3, 2)), ls_zeros(ctx, LS_SHAPE(3, 1)));
    FAILS(ctx, LS_ERR_SHAPE, "matmul: the inner sizes differ ([3, 2] and [3, 1])");
    ctx = ls_start(NULL);
    ls_mse_loss(ls_zeros(ctx, LS_SHAPE(3, 2)), ls_zeros(ctx, LS_SHAPE(3)));
    FAILS(ctx, LS_ERR_SHAPE,
          "mse_loss: prediction and target must have one shape ([3, 2] and [3])");
    ctx = ls_start(NULL);
    ls_add(ls_zeros(ctx, LS_SHAPE(3)), ls_labels_of(ctx, 1, 2, 3));
    FAILS(ctx, LS_ERR_TYPE, "add: input 2 must be floating, but is int64");
    ctx = ls_start(NULL);
    ls_add(ls_split_rows(ls_zeros(ctx, LS_SHAPE(3))), ls_split_rows(ls_zeros(ctx, LS_SHAPE(4))));
    FAILS(ctx, LS_ERR_SHAPE, "parts of batches of 3 and 4 rows");
}

Test(grad, class_out_of_range)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_cross_entropy(ls_zeros(ctx, LS_SHAPE(3, 4)), ls_labels_of(ctx, 1, 4, 0));
    FAILS(ctx, LS_ERR_DATA, "row 1 has class 4, but the model has outputs for 0 to 3");
}
