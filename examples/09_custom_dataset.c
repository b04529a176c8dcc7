/* A dataset of one's own: how many rows, what they look like, and a function that writes one. */
#include "lockstep/lockstep.h"

static const float scores[5][3] = {
    { 73, 80, 75 }, { 93, 88, 93 }, { 89, 91, 90 }, { 96, 98, 100 }, { 73, 66, 70 }
};
static const float finals[5] = { 152, 185, 180, 196, 142 };

static int item(void *self, int64_t i, void *x, void *y)
{
    (void)self;
    for (int k = 0; k < 3; k++) ((float *)x)[k] = scores[i][k];
    *(float *)y = finals[i];
    return 0;
}

int main(void)
{
    ls_ctx *ctx = ls_start(&(ls_opts){ .seed = 1 });
    ls_dataset *dataset = ls_dataset_new(ctx, &(ls_dataset_def){ .name = "scores",
                                                                 .rows = 5,
                                                                 .item = item,
                                                                 .x.shape = LS_SHAPE(3),
                                                                 .y.shape = LS_SHAPE(1) });
    ls_loader *data = ls_loader_new(ctx, dataset,
                                    &(ls_loader_opts){ .batch_size = 2, .shuffle = true });
    ls_tensor *x, *y;
    ls_rand(ctx,
            LS_SHAPE(4716)); /* the notebook that this follows had drawn so many numbers before */
    ls_dataset_item(dataset, 1, &x, &y);
    ls_printf(ctx, "%d rows; row 1: ", (int)ls_dataset_rows(dataset));
    ls_print(x);

    ls_module *model = ls_linear_new(ctx, 3, 1);
    ls_optim *optimizer = ls_sgd_new(ctx, ls_parameters(model), &(ls_sgd_opts){ .lr = 1e-5 });
    for (int epoch = 0; epoch <= 20; epoch++)
        while (ls_next(data, &x, &y)) {
            ls_tensor *cost = ls_mse_loss(ls_forward(model, x), y);
            ls_optim_zero_grad(optimizer);
            ls_backward(ctx, cost);
            ls_optim_step(ctx, optimizer);
            ls_printf(ctx, "Epoch %4d/20 Batch %d/%d Cost: %.6f\n", epoch,
                      (int)ls_loader_step(data) + 1, (int)ls_loader_steps(data), ls_item(cost));
        }
    ls_print(ls_forward(model, ls_tensor_of(ctx, LS_SHAPE(1, 3), 73, 80, 75)));
    return ls_finish(ctx);
}
