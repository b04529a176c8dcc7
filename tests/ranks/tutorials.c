/* tutorials.c -- the trainings of the PyTorch tutorials, on as many ranks as there are. Prints, a
 * step a line, the cost before the update and the parameters after it, with all digits of a
 * float32: the test compares that with what the tutorials' arithmetic gives (tests/data/tutorials).
 *
 *   tutorials RUN [LEAF_ROWS]
 */
#include "lockstep/lockstep.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_params(ls_ctx *ctx, ls_list params)
{
    for (int64_t i = 0; i < params.count; i++) {
        int64_t count = 1;
        for (int a = 0; a < ls_shape_of(params.at[i]).ndim; a++) count *= ls_dim(params.at[i], a);
        for (int64_t k = 0; k < count; k++) ls_printf(ctx, ",%.9g", ls_at(params.at[i], k));
    }
    ls_printf(ctx, "\n");
}

static void step(ls_ctx *ctx, ls_optim *o, ls_list params, ls_tensor *cost, int64_t epoch)
{
    ls_optim_zero_grad(o);
    ls_backward(ctx, cost);
    ls_optim_step(ctx, o);
    ls_printf(ctx, "%lld,%.9g", (long long)epoch, ls_item(cost));
    print_params(ctx, params);
}

static const double scores_x[] = { 73, 80, 75, 93, 88, 93, 89, 91, 90, 96, 98, 100, 73, 66, 70 };
static const double scores_y[] = { 152, 185, 180, 196, 142 };

static ls_tensor *part(ls_ctx *ctx, int64_t rows, int64_t columns, const double *values)
{
    return ls_split_rows(ls_tensor_new(ctx, LS_SHAPE(rows, columns), rows * columns, values));
}

static ls_tensor *parameter(ls_ctx *ctx, ls_shape shape)
{
    return ls_requires_grad(ls_zeros(ctx, shape));
}

static void simple(ls_ctx *ctx)
{
    ls_tensor *x = part(ctx, 3, 1, (const double[]){ 1, 2, 3 }),
              *y = part(ctx, 3, 1, (const double[]){ 2, 4, 6 });
    ls_tensor *w = parameter(ctx, LS_SHAPE(1)), *b = parameter(ctx, LS_SHAPE(1));
    ls_optim *o = ls_sgd_new(ctx, LS_LIST(w, b), &(ls_sgd_opts){ .lr = 0.01 });
    ls_printf(ctx, "epoch,cost,W,b\n");
    for (int64_t epoch = 0; epoch < 2000 && ls_step_begin(ctx); epoch++)
        step(ctx, o, LS_LIST(w, b), ls_mean(ls_pow(ls_sub(ls_add(ls_mul(x, w), b), y), 2)), epoch);
}

static void multiple(ls_ctx *ctx)
{
    double column[3][5];
    ls_tensor *x[3], *w[4], *y = part(ctx, 5, 1, scores_y);
    for (int i = 0; i < 3; i++) {
        for (int r = 0; r < 5; r++) column[i][r] = scores_x[3 * r + i];
        x[i] = part(ctx, 5, 1, column[i]);
    }
    for (int i = 0; i < 4; i++) w[i] = parameter(ctx, LS_SHAPE(1));
    ls_list params = { 4, w };
    ls_optim *o = ls_sgd_new(ctx, params, &(ls_sgd_opts){ .lr = 1e-5 });
    ls_printf(ctx, "epoch,cost,w1,w2,w3,b\n");
    for (int64_t epoch = 0; epoch < 1001 && ls_step_begin(ctx); epoch++) {
        ls_tensor *sum = ls_add(ls_add(ls_mul(x[0], w[0]), ls_mul(x[1], w[1])), ls_mul(x[2], w[2]));
        step(ctx, o, params, ls_mean(ls_pow(ls_sub(ls_add(sum, w[3]), y), 2)), epoch);
    }
}

static void matmul(ls_ctx *ctx)
{
    double values[15];
    memcpy(values, scores_x, sizeof values);
    values[8] = 80;
    ls_tensor *x = part(ctx, 5, 3, values), *y = part(ctx, 5, 1, scores_y);
    ls_tensor *w = parameter(ctx, LS_SHAPE(3, 1)), *b = parameter(ctx, LS_SHAPE(1));
    ls_optim *o = ls_sgd_new(ctx, LS_LIST(w, b), &(ls_sgd_opts){ .lr = 1e-5 });
    ls_printf(ctx, "epoch,cost,W0,W1,W2,b\n");
    for (int64_t epoch = 0; epoch < 21 && ls_step_begin(ctx); epoch++)
        step(ctx, o, LS_LIST(w, b), ls_mean(ls_pow(ls_sub(ls_add(ls_matmul(x, w), b), y), 2)),
             epoch);
}

static void linear(ls_ctx *ctx, int64_t rows, int64_t columns, const double *x_values,
                   const double *y_values, double lr)
{
    ls_tensor *x = part(ctx, rows, columns, x_values), *y = part(ctx, rows, 1, y_values);
    ls_module *m = ls_linear_new(ctx, columns, 1);
    ls_optim *o = ls_sgd_new(ctx, ls_parameters(m), &(ls_sgd_opts){ .lr = lr });
    ls_printf(ctx, columns == 1 ? "epoch,cost,W,b\n" : "epoch,cost,W0,W1,W2,b\n");
    for (int64_t epoch = 0; epoch < 2001 && ls_step_begin(ctx); epoch++)
        step(ctx, o, ls_parameters(m), ls_mse_loss(ls_forward(m, x), y), epoch);
}

static int item(void *self, int64_t i, void *x, void *y)
{
    (void)self;
    for (int k = 0; k < 3; k++) ((float *)x)[k] = (float)scores_x[3 * i + k];
    *(float *)y = (float)scores_y[i];
    return 0;
}

static void batches(ls_ctx *ctx, bool custom, int64_t words, int64_t epochs)
{
    ls_dataset_def def = {
        .name = "scores", .rows = 5, .item = item, .x.shape = LS_SHAPE(3), .y.shape = LS_SHAPE(1)
    };
    ls_dataset *d = custom
                        ? ls_dataset_new(ctx, &def)
                        : ls_tensor_dataset(ctx, ls_tensor_new(ctx, LS_SHAPE(5, 3), 15, scores_x),
                                            ls_tensor_new(ctx, LS_SHAPE(5, 1), 5, scores_y));
    ls_loader *data = ls_loader_new(ctx, d, &(ls_loader_opts){ .batch_size = 2, .shuffle = true });
    ls_rand(ctx, LS_SHAPE(words)); /* what the notebook had drawn before */
    ls_module *m = ls_linear_new(ctx, 3, 1);
    ls_optim *o = ls_sgd_new(ctx, ls_parameters(m), &(ls_sgd_opts){ .lr = 1e-5 });
    ls_tensor *x, *y;
    ls_printf(ctx, "epoch,batch,cost,W0,W1,W2,b\n");
    while (ls_loader_epoch(data) < epochs)
        while (ls_next(data, &x, &y)) {
            ls_tensor *cost = ls_mse_loss(ls_forward(m, x), y);
            ls_printf(ctx, "%lld,", (long long)ls_loader_epoch(data));
            step(ctx, o, ls_parameters(m), cost, ls_loader_step(data) + 1);
        }
}

int main(int argc, char **argv)
{
    const char *run = argc > 1 ? argv[1] : "";
    int64_t leaf_rows = argc > 2 ? atoll(argv[2]) : 0;
    ls_ctx *ctx = ls_start(&(ls_opts){ .seed = 1, .leaf_rows = leaf_rows });
    const double x3[] = { 1, 2, 3 }, y246[] = { 2, 4, 6 }, y247[] = { 2, 4, 7 };
    if (!strcmp(run, "simple")) simple(ctx);
    else if (!strcmp(run, "multiple")) multiple(ctx);
    else if (!strcmp(run, "matmul")) matmul(ctx);
    else if (!strcmp(run, "linear_1_1")) linear(ctx, 3, 1, x3, y246, 0.01);
    else if (!strcmp(run, "linear_1_1_class")) linear(ctx, 3, 1, x3, y247, 0.01);
    else if (!strcmp(run, "linear_3_1")) linear(ctx, 5, 3, scores_x, scores_y, 1e-5);
    else if (!strcmp(run, "minibatch")) batches(ctx, false, 4508, 51);
    else if (!strcmp(run, "custom_dataset")) batches(ctx, true, 4716, 21);
    else ls_fail(ctx, LS_ERR_ARG, "no such run: \"%s\"", run);
    return ls_finish(ctx);
}
