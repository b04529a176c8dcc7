/* Gradients add up until they are zeroed: once shown with numbers, then used to take a large batch in
 * small ones. */
#include "lockstep/lockstep.h"

int main(void)
{
    ls_ctx *ctx = ls_start(&(ls_opts){ .seed = 1 });
    ls_tensor *w = ls_requires_grad(ls_scalar(ctx, 2));
    for (int epoch = 0; epoch <= 20; epoch++) {
        ls_backward(ctx, ls_mul_scalar(w, 2));
        ls_printf(ctx, "d (2 w) / dw, added up: %.1f\n", ls_item(ls_grad(w)));
    }

    enum { PARTS = 4 };
    ls_tensor *x = ls_randn(ctx, LS_SHAPE(64, 3)),
              *truth = ls_tensor_of(ctx, LS_SHAPE(3, 1), 1, -2, 3);
    ls_dataset *dataset = ls_tensor_dataset(ctx, x, ls_matmul(x, truth));
    ls_loader *data = ls_loader_new(ctx, dataset, &(ls_loader_opts){ .batch_size = 64 / PARTS });
    ls_module *model = ls_linear_new(ctx, 3, 1);
    ls_optim *optimizer = ls_sgd_new(ctx, ls_parameters(model), &(ls_sgd_opts){ .lr = 0.1 });
    ls_tensor *rows, *y;
    for (int epoch = 0; epoch < 50; epoch++) {
        double sum = 0;
        ls_optim_zero_grad(optimizer);
        while (ls_next(data, &rows, &y)) {
            ls_tensor *cost = ls_div_scalar(ls_mse_loss(ls_forward(model, rows), y), PARTS);
            ls_backward(ctx, cost);
            sum += ls_item(cost);
        }
        ls_optim_step(ctx, optimizer); /* one update of all rows */
        if (epoch % 10 == 9) ls_printf(ctx, "Epoch %2d Cost: %.6f\n", epoch, sum);
    }
    ls_print(ls_parameter(model, "weight"));
    return ls_finish(ctx);
}
