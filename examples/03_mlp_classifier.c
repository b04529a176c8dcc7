/* A classifier of images: 784-512-10, cross entropy, accuracy on the test set after each epoch.
 * Saved after each epoch; killed and started again, on any number of ranks, it goes on where it
 * was.
 *
 *   mpirun -np 2 03_mlp_classifier data/fashion-train.h5 data/fashion-test.h5 */
#include "lockstep/lockstep.h"

int main(int argc, char **argv)
{
    ls_ctx *ctx = ls_start(&(ls_opts){ .seed = 1 });
    ls_h5_opts image = { .x_scale = 255 };
    ls_loader *train = ls_loader_new(
        ctx, ls_h5_dataset(ctx, argc > 1 ? argv[1] : "fashion-train.h5", &image),
        &(ls_loader_opts){ .batch_size = 256, .shuffle = true });
    ls_loader *test = ls_loader_new(
        ctx, ls_h5_dataset(ctx, argc > 2 ? argv[2] : "fashion-test.h5", &image),
        &(ls_loader_opts){ .batch_size = 1000 });
    ls_module *model = ls_sequential(ctx, LS_LINEAR(784, 512), LS_RELU, LS_LINEAR(512, 10));
    ls_optim *optimizer = ls_sgd_new(ctx, ls_parameters(model),
                                     &(ls_sgd_opts){ .lr = 0.1, .momentum = 0.9 });

    ls_module_print(model);
    ls_fit(ctx, &(ls_run){ .name = "mlp",
                           .model = model,
                           .loss = ls_cross_entropy,
                           .optim = optimizer,
                           .data = train,
                           .validation = test,
                           .epochs = 2,
                           .dir = "runs/mlp",
                           .save_every = 1,
                           .progress = true });
    return ls_finish(ctx);
}
