/* One regression two ways: gradient descent by hand on a vector, and a linear layer without bias with
 * its optimizer. Both find 1 + 2 a + 3 b again. */
#include "lockstep/lockstep.h"

int main(void)
{
    ls_ctx *ctx = ls_start(&(ls_opts){ .seed = 1 });
    ls_randn(ctx, LS_SHAPE(100, 3)); /* the tutorial that this follows had drawn them before */
    ls_tensor *truth = ls_tensor_of(ctx, LS_SHAPE(3), 1, 2, 3);
    ls_tensor *x = ls_cat(LS_LIST(ls_ones(ctx, LS_SHAPE(100, 1)), ls_randn(ctx, LS_SHAPE(100, 2))),
                          1);
    ls_tensor *noise = ls_mul_scalar(ls_randn(ctx, LS_SHAPE(100)), 0.5);
    ls_tensor *y = ls_split_rows(ls_add(ls_mv(x, truth), noise)), *rows = ls_split_rows(x);

    ls_tensor *w = ls_requires_grad(ls_randn(ctx, LS_SHAPE(3)));
    for (int epoch = 0; epoch < 100 && ls_step_begin(ctx); epoch++) {
        ls_zero_grad_to_none(LS_LIST(w)); /* w.grad = None */
        ls_tensor *loss = ls_mean(ls_pow(ls_sub(y, ls_mv(rows, w)), 2));
        ls_backward(ctx, loss);
        LS_NO_GRAD(ctx);
        ls_sub_(w, ls_grad(w), 0.1); /* w.data = w.data - gamma * w.grad.data */
        if (epoch % 20 == 19) ls_printf(ctx, "by hand  %2d  %.6f\n", epoch, ls_item(loss));
    }
    ls_print(w);

    ls_module *net = ls_linear_no_bias_new(ctx, 3, 1);
    ls_optim *optimizer = ls_sgd_new(ctx, ls_parameters(net), &(ls_sgd_opts){ .lr = 0.1 });
    for (int epoch = 0; epoch < 100 && ls_step_begin(ctx); epoch++) {
        ls_optim_zero_grad(optimizer);
        ls_tensor *loss = ls_mse_loss(ls_view_as(ls_forward(net, rows), y), y);
        ls_backward(ctx, loss);
        ls_optim_step(ctx, optimizer);
        if (epoch % 20 == 19) ls_printf(ctx, "layers   %2d  %.6f\n", epoch, ls_item(loss));
    }
    ls_print(ls_parameter(net, "weight"));
    return ls_finish(ctx);
}
