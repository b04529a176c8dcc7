/* on_ranks.c -- autograd and data where the rows of every batch lie on several ranks: leaves of 4 rows.
 * What it prints is the same on any number of them.
 */
#include "lockstep/lockstep.h"

static int hook_calls;

/* Adds what it is called with; every rank sees the same, or the digits below differ. */
static void clip(void *self, ls_tensor *param, ls_tensor *grad)
{
    double *norms = self;
    (void)param;
    double norm = ls_item(ls_sum(ls_pow(grad, 2)));
    hook_calls++;
    *norms += norm;
    if (norm > 0.01) ls_mul_scalar_(grad, 0.01 / norm);
}

static void autograd(ls_ctx *ctx)
{
    ls_tensor *all = ls_randn(ctx, LS_SHAPE(30, 3)), *given = ls_randn(ctx, LS_SHAPE(30, 2));
    ls_tensor *w = ls_requires_grad(ls_randn(ctx, LS_SHAPE(3, 2)));
    double norms = 0;
    for (int step = 0; step < 6 && ls_step_begin(ctx); step++) {
        ls_tensor *x = ls_split_rows(all), *g = ls_split_rows(given);
        ls_tensor *h = ls_retain_grad(ls_matmul(x, w)), *y = ls_tanh(h);
        if (step % 3 == 1) ls_zero_grad_to_none(LS_LIST(w));
        if (step == 3) ls_register_hook(w, clip, &norms);
        ls_backward_with(ctx, y, &(ls_backward_opts){ .gradient = g, .retain_graph = step % 2 });
        if (step % 2) ls_backward(ctx, ls_mean(y));
        ls_printf(ctx, "step %d  %.9g  %.9g\n", step, ls_at(ls_grad(w), 5),
                  ls_item(ls_sum(ls_whole(ctx, ls_grad(h)))));
    }
    ls_printf(ctx, "hooks %d  %.9g\n", hook_calls, norms);
}

static void fit(ls_ctx *ctx, ls_dataset *d, const char *name)
{
    double norms = 0;
    ls_module *m = ls_sequential(ctx, LS_LINEAR(3, 8), LS_SILU, LS_LINEAR(0, 1));
    ls_loader_opts o = { .batch_size = 16, .shuffle = true, .generator = ls_generator_new(ctx, 7) };
    ls_run run = { .model = m,
                   .loss = ls_mse_loss,
                   .optim = ls_sgd_new(ctx, ls_parameters(m), &(ls_sgd_opts){ .lr = 0.05 }),
                   .data = ls_loader_new(ctx, d, &o),
                   .epochs = 3,
                   .log_every = -1 };
    for (int hooked = 0; hooked < 2; hooked++, run.epochs += 3) {
        if (hooked) ls_register_hook(ls_parameter(m, "0.weight"), clip, &norms);
        ls_fit(ctx, &run);
        ls_printf(ctx, "%s  %.9g  %.9g\n", name, ls_at(ls_parameter(m, "0.weight"), 4), norms);
    }
}

static int item(void *self, int64_t i, void *x, void *y)
{
    (void)self;
    for (int k = 0; k < 3; k++) ((float *)x)[k] = (float)((i * (k + 2)) % 17) / 17;
    *(float *)y = (float)(i % 13) / 13;
    return 0;
}

static void data(ls_ctx *ctx)
{
    ls_dataset *tensors = ls_tensor_dataset(ctx, ls_randn(ctx, LS_SHAPE(37, 3)),
                                            ls_randn(ctx, LS_SHAPE(37, 1)));
    ls_dataset *own = ls_dataset_new(ctx, &(ls_dataset_def){ .name = "own",
                                                             .rows = 41,
                                                             .item = item,
                                                             .x.shape = LS_SHAPE(3),
                                                             .y.shape = LS_SHAPE(1) });
    ls_dataset *part[2], *both;
    ls_random_split(ctx, own, 2, (const int64_t[]){ 30, 11 }, NULL, part);
    both = ls_concat_dataset(ctx, 2, (ls_dataset *[]){ part[1], tensors });
    fit(ctx, tensors, "tensors");
    fit(ctx, own, "own");
    fit(ctx, part[0], "split");
    fit(ctx, both, "concatenated");
}

int main(void)
{
    ls_ctx *ctx = ls_start(&(ls_opts){ .seed = 4, .leaf_rows = 4 });
    autograd(ctx);
    data(ctx);
    return ls_finish(ctx);
}
