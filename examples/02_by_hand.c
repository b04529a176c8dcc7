/* The loop written out: next batch, forward, zero_grad, backward, step. batch_size is global: every
 * rank gets its rows of each batch, and the costs are those of the whole batch. */
#include "lockstep/lockstep.h"

int main(void)
{
    ls_ctx *ctx = ls_start(&(ls_opts){ .seed = 1 });
    ls_tensor *x_train = ls_tensor_of(ctx, LS_SHAPE(5, 3), /* three test scores of five students */
                                      73, 80, 75, 93, 88, 93, 89, 91, 90, 96, 98, 100, 73, 66, 70);
    ls_tensor *y_train = ls_tensor_of(ctx, LS_SHAPE(5, 1), 152, 185, 180, 196, 142);
    ls_dataset *dataset = ls_tensor_dataset(ctx, x_train, y_train);
    ls_loader *data = ls_loader_new(ctx, dataset,
                                    &(ls_loader_opts){ .batch_size = 2, .shuffle = true });
    ls_rand(ctx,
            LS_SHAPE(4508)); /* the notebook that this follows had drawn so many numbers before */
    ls_module *model = ls_linear_new(ctx, 3, 1);
    ls_optim *optimizer = ls_sgd_new(ctx, ls_parameters(model), &(ls_sgd_opts){ .lr = 1e-5 });
    ls_tensor *x, *y;

    for (int epoch = 0; epoch <= 50; epoch++)
        while (ls_next(data, &x, &y)) {
            ls_tensor *cost = ls_mse_loss(ls_forward(model, x), y);

            ls_optim_zero_grad(optimizer);
            ls_backward(ctx, cost);
            ls_optim_step(ctx, optimizer);

            ls_printf(ctx, "Epoch %4d/50 Batch %d/%d Cost: %.6f\n", epoch,
                      (int)ls_loader_step(data) + 1, (int)ls_loader_steps(data), ls_item(cost));
        }
    LS_NO_GRAD(ctx);
    ls_tensor *prediction = ls_forward(model, ls_tensor_of(ctx, LS_SHAPE(1, 3), 73, 80, 75));
    ls_printf(ctx, "Prediction for 73, 80, 75: %.17g\n", ls_item(prediction));
    return ls_finish(ctx);
}
