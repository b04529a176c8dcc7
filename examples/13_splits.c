/* Training and validation rows: a random split with a generator of its own, a shuffled loader over each,
 * and activations as layers. */
#include "lockstep/lockstep.h"

int main(void)
{
    ls_ctx *ctx = ls_start(&(ls_opts){ .seed = 1 });
    ls_tensor *x = ls_randn(ctx, LS_SHAPE(200, 2));
    ls_tensor *y = ls_sum_axes(ls_pow(x, 2), LS_AXES(1), true); /* a bowl */
    ls_generator *generator = ls_generator_new(ctx, 42);
    ls_dataset *all = ls_tensor_dataset(ctx, x, y), *part[2];
    ls_random_split(ctx, all, 2, (const int64_t[]){ 160, 40 }, generator, part);
    ls_loader_opts train = { .batch_size = 20, .shuffle = true, .generator = generator };
    ls_run run = { .model = ls_sequential(ctx, LS_LINEAR(2, 16), LS_GELU, LS_LINEAR(0, 16), LS_SILU,
                                          LS_LINEAR_NO_BIAS(0, 1)),
                   .loss = ls_mse_loss,
                   .data = ls_loader_new(ctx, part[0], &train),
                   .validation = ls_loader_new(ctx, part[1], &(ls_loader_opts){ .batch_size = 40 }),
                   .epochs = 30,
                   .log_every = -1 };
    ls_score score;
    run.optim = ls_sgd_new(ctx, ls_parameters(run.model),
                           &(ls_sgd_opts){ .lr = 0.05, .momentum = 0.9 });
    ls_module_print(run.model);
    ls_evaluate(ctx, &run, run.validation, &score);
    ls_printf(ctx, "%d rows, cost before: %.6f\n", (int)score.rows, score.cost);
    ls_fit(ctx, &run);
    ls_module_eval(run.model);
    ls_evaluate(ctx, &run, run.validation, &score);
    ls_printf(ctx, "%d rows, cost after: %.6f\n", (int)score.rows, score.cost);
    return ls_finish(ctx);
}
