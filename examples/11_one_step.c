/* One step seen closely: the loss, its gradients, the update, and the loss after it. */
#include "lockstep/lockstep.h"

int main(void)
{
    ls_ctx *ctx = ls_start(&(ls_opts){ .seed = 1 });
    ls_tensor *x = ls_split_rows(ls_randn(ctx, LS_SHAPE(10, 3)));
    ls_tensor *y = ls_split_rows(ls_randn(ctx, LS_SHAPE(10, 2)));
    ls_module *linear = ls_linear_new(ctx, 3, 2);
    ls_tensor *weight = ls_parameter(linear, "weight"), *bias = ls_parameter(linear, "bias");
    ls_optim *optimizer = ls_sgd_new(ctx, ls_parameters(linear), &(ls_sgd_opts){ .lr = 0.01 });
    ls_printf(ctx, "Weight ");
    ls_print(weight);
    ls_printf(ctx, "Bias ");
    ls_print(bias);

    ls_tensor *loss = ls_mse_loss(ls_forward(linear, x), y);
    ls_printf(ctx, "Loss before the step: %.9g ", ls_item(loss));
    ls_print(loss);
    ls_backward(ctx, loss);
    ls_printf(ctx, "dL/dW ");
    ls_print(ls_grad(weight));
    ls_printf(ctx, "dL/db ");
    ls_print(ls_grad(bias));
    ls_optim_step(ctx, optimizer);
    ls_printf(ctx, "Loss after the step: %.9g\n", ls_item(ls_mse_loss(ls_forward(linear, x), y)));
    ls_printf(ctx, "Weight ");
    ls_print(weight);
    return ls_finish(ctx);
}
