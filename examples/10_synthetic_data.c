/* Synthetic data with and without noise, a new model for each: 2 x + 3 is found again. The seed and the
 * numbers drawn before are those of a known notebook, and so are the losses. */
#include "lockstep/lockstep.h"

static void train(ls_ctx *ctx, ls_tensor *x, ls_tensor *y)
{
    ls_module *model = ls_linear_new(ctx, 1, 1); /* draws its parameters anew */
    ls_list params = ls_parameters(model);
    ls_optim *optimizer = ls_sgd_new(ctx, params, &(ls_sgd_opts){ .lr = 0.01 });
    for (int i = 0; i < 500 && ls_step_begin(ctx); i++) {
        ls_tensor *rows = ls_split_rows(x), *target = ls_split_rows(y);
        ls_optim_zero_grad(optimizer);
        ls_tensor *loss = ls_mse_loss(ls_forward(model, rows), target);
        ls_backward(ctx, loss);
        ls_optim_step(ctx, optimizer);
        if (i % 100 == 0) ls_printf(ctx, "loss = %.17g\n", ls_item(loss));
    }
    ls_printf(ctx, "%.17g %.17g\n", ls_item(params.at[0]), ls_item(params.at[1]));
}

int main(void)
{
    ls_ctx *ctx = ls_start(&(ls_opts){ .seed = 1537792337, .leaf_rows = 128 });
    ls_rand(ctx, LS_SHAPE(428));
    ls_tensor *x = ls_uniform_(ls_zeros(ctx, LS_SHAPE(100, 1)), -10, 10);
    ls_tensor *noise = ls_normal_(ls_zeros(ctx, LS_SHAPE(100, 1)), 0, 1);
    ls_tensor *y = ls_add_scalar(ls_mul_scalar(x, 2), 3);
    ls_tensor *y_noise = ls_add_scalar(ls_mul_scalar(ls_add(x, noise), 2), 3);
    train(ctx, x, y);
    train(ctx, x, y_noise);
    return ls_finish(ctx);
}
