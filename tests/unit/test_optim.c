/* test_optim.c -- SGD by PyTorch's rules: numbers of torch.optim.SGD 1.13.1 after four steps. */
#include "optim/optim.h"
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <string.h>

static const struct {
    ls_sgd_opts o;
    double want[3];
} runs[] = {
    { { .lr = 0.1 }, { 0.321039975, -0.848720014, 0.411440015 } },
    { { .lr = 0.1, .momentum = 0.9 }, { -0.504889965, 0.551769972, 0.303709984 } },
    { { .lr = 0.1, .momentum = 0.9, .dampening = 0.3 },
      { -0.323442042, 0.244097292, 0.327377141 } },
    { { .lr = 0.1, .momentum = 0.9, .nesterov = true },
      { -0.523546457, 0.583404839, 0.301276535 } },
    { { .lr = 0.1, .weight_decay = 0.05 }, { 0.311571062, -0.828206122, 0.404791743 } },
    { { .lr = 0.1, .momentum = 0.8, .weight_decay = 0.05, .nesterov = true },
      { -0.372627079, 0.336386502, 0.310168594 } },
};

Test(optim, sgd_as_pytorch)
{
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        ls_ctx *ctx = ls_start(NULL);
        ls_tensor *w = ls_requires_grad(ls_tensor_of(ctx, LS_SHAPE(3), 1, -2, 0.5));
        ls_tensor *c = ls_tensor_of(ctx, LS_SHAPE(3), 0.3, 0.1, -0.7);
        ls_optim *o = ls_sgd_new(ctx, LS_LIST(w), &runs[i].o);
        for (int step = 0; step < 4 && ls_step_begin(ctx); step++) {
            ls_optim_zero_grad(o);
            ls_backward(ctx, ls_add(ls_sum(ls_mul(w, w)), ls_sum(ls_mul(w, c))));
            ls_optim_step(ctx, o);
        }
        for (int k = 0; k < 3; k++)
            cr_assert(epsilon_eq(flt, (float)ls_at(w, k), (float)runs[i].want[k], 1.2e-7f),
                      "run %zu, element %d", i, k);
        cr_assert(eq(int, ls_finish(ctx), 0));
    }
}

Test(optim, learning_rates_are_above_zero_and_finite)
{
    static const double none[] = { 0, -1, INFINITY, NAN };
    for (int i = 0; i < 4; i++) {
        ls_ctx *ctx = ls_start(NULL);
        ls_list w = LS_LIST(ls_requires_grad(ls_scalar(ctx, 2)));
        ls_optim *o = ls_sgd_new(ctx, w, &(ls_sgd_opts){ .lr = 1 });
        ls_optim_set_lr(o, 0.5);
        cr_assert(eq(int, ls_error(ctx), LS_OK));
        ls_optim_set_lr(o, none[i]);
        cr_assert(eq(int, ls_error(ctx), LS_ERR_ARG));
        cr_assert(eq(dbl, ls_optim_lr(o), 0.5));
        ls_finish(ctx);
    }
}

Test(optim, parameters_without_gradient_stay)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *w = ls_requires_grad(ls_scalar(ctx, 2));
    ls_optim *o = ls_sgd_new(ctx, LS_LIST(w), &(ls_sgd_opts){ .lr = 1, .weight_decay = 0.5 });
    ls_optim_step(ctx, o);
    cr_assert(eq(dbl, ls_item(w), 2));
    ls_finish(ctx);
}

static void refused(const ls_sgd_opts *opts, bool empty, const char *fragment)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *w = ls_requires_grad(ls_scalar(ctx, 2));
    cr_assert(ls_sgd_new(ctx, empty ? (ls_list){ 0 } : LS_LIST(w), opts) == NULL);
    cr_assert(strstr(ls_error_text(ctx), fragment) != NULL, "%s", ls_error_text(ctx));
    cr_assert(eq(int, ls_finish(ctx), 64));
}

Test(optim, refusals)
{
    refused(&(ls_sgd_opts){ 0 }, false, "lr must be given");
    refused(&(ls_sgd_opts){ .lr = -1 }, false, "above 0");
    refused(&(ls_sgd_opts){ .lr = 1, .momentum = -1 }, false, "momentum -1 is negative");
    refused(&(ls_sgd_opts){ .lr = NAN }, false, "lr must be given");
    refused(&(ls_sgd_opts){ .lr = INFINITY }, false, "lr inf is not finite");
    refused(&(ls_sgd_opts){ .lr = 1, .momentum = NAN }, false, "momentum nan is not finite");
    refused(&(ls_sgd_opts){ .lr = 1, .weight_decay = INFINITY }, false, "weight_decay inf is not");
    refused(&(ls_sgd_opts){ .lr = 1, .dampening = -INFINITY }, false, "dampening -inf is not");
    refused(&(ls_sgd_opts){ .lr = 1, .nesterov = true }, false, "nesterov needs momentum");
    refused(&(ls_sgd_opts){ .lr = 1 }, true, "empty parameter list");
}
