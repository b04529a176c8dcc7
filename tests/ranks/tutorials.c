/* tutorials.c -- the trainings of the PyTorch tutorials, on as many ranks as there are.
 *
 *   tutorials RUN LEAF_ROWS           a step a line: the cost before the update and the parameters after it,
 *                                     with all digits of a float32, to be compared with what the tutorials'
 *                                     arithmetic gives (tests/data/tutorials)
 *   tutorials printed LEAF_ROWS DIR   all of them, with the lines that the tutorials print, and what each
 *                                     has learnt in a checkpoint DIR/RUN-000000000000.h5
 */
#include "lockstep/lockstep.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct job {
    ls_ctx *ctx;
    const char *run, *dir;
    bool prints; /* the tutorials' lines */
} job;

static void print_params(ls_ctx *ctx, ls_list params)
{
    for (int64_t i = 0; i < params.count; i++) {
        int64_t count = 1;
        for (int a = 0; a < ls_shape_of(params.at[i]).ndim; a++) count *= ls_dim(params.at[i], a);
        for (int64_t k = 0; k < count; k++) ls_printf(ctx, ",%.9g", ls_at(params.at[i], k));
    }
    ls_printf(ctx, "\n");
}

/* The names of columns, where steps are printed. */
static void begin(const job *j, const char *columns)
{
    if (j->prints) ls_printf(j->ctx, "== %s\n", j->run);
    else ls_printf(j->ctx, "%s\n", columns);
}

static void step(const job *j, ls_optim *o, ls_list params, ls_tensor *cost, int64_t epoch)
{
    ls_optim_zero_grad(o);
    ls_backward(j->ctx, cost);
    ls_optim_step(j->ctx, o);
    if (j->prints) return;
    ls_printf(j->ctx, "%lld,%.9g", (long long)epoch, ls_item(cost));
    print_params(j->ctx, params);
}

/* What was learnt goes into a checkpoint. */
static void save(const job *j, ls_module *m, ls_optim *o, ls_tensor *x, ls_tensor *y)
{
    if (!j->prints) return;
    ls_loader *data = ls_loader_new(j->ctx, ls_tensor_dataset(j->ctx, x, y),
                                    &(ls_loader_opts){ .batch_size = 2 });
    ls_save(j->ctx, &(ls_run){ .name = j->run,
                               .model = m,
                               .loss = ls_mse_loss,
                               .optim = o,
                               .data = data,
                               .epochs = 1,
                               .dir = j->dir });
}

static void print_each(const job *j, ls_list params)
{
    for (int64_t i = 0; j->prints && i < params.count; i++) ls_print(params.at[i]);
}

/* The shortest digits that mean the same double, as Python prints it. */
static void print_double(ls_ctx *ctx, const char *before, double value, const char *after)
{
    char text[32];
    int digits = 1;
    do snprintf(text, sizeof text, "%.*g", digits, value);
    while (digits++ < 17 && strtod(text, NULL) != value);
    ls_printf(ctx, "%s%s%s", before, text, after);
}

static const double scores_x[] = { 73, 80, 75, 93, 88, 93, 89, 91, 90, 96, 98, 100, 73, 66, 70 };
static const double scores_y[] = { 152, 185, 180, 196, 142 };

static ls_tensor *whole(const job *j, int64_t rows, int64_t columns, const double *values)
{
    return ls_tensor_new(j->ctx, LS_SHAPE(rows, columns), rows * columns, values);
}

/* The rows of t, to the end: a run may begin when another one has made steps. */
static ls_tensor *part(ls_tensor *t)
{
    return ls_keep(ls_split_rows(t));
}

/* Parameters of its own are a module's as well, so that they are saved. */
static ls_tensor *parameter(ls_module *m, ls_ctx *ctx, const char *name, ls_shape shape)
{
    return ls_module_param(m, name, ls_requires_grad(ls_zeros(ctx, shape)));
}

static void simple(const job *j)
{
    ls_ctx *ctx = j->ctx;
    ls_tensor *x_rows = whole(j, 3, 1, (const double[]){ 1, 2, 3 }), *x = part(x_rows),
              *y_rows = whole(j, 3, 1, (const double[]){ 2, 4, 6 }), *y = part(y_rows);
    ls_module *m = ls_module_new(ctx, "Simple", NULL, NULL);
    ls_tensor *w = parameter(m, ctx, "W", LS_SHAPE(1)), *b = parameter(m, ctx, "b", LS_SHAPE(1));
    ls_optim *o = ls_sgd_new(ctx, LS_LIST(w, b), &(ls_sgd_opts){ .lr = 0.01 });
    begin(j, "epoch,cost,W,b");
    for (int64_t epoch = 0; epoch < 2000 && ls_step_begin(ctx); epoch++) {
        ls_tensor *cost = ls_mean(ls_pow(ls_sub(ls_add(ls_mul(x, w), b), y), 2));
        step(j, o, LS_LIST(w, b), cost, epoch);
        if (j->prints && epoch % 100 == 0)
            ls_printf(ctx, "Epoch %4lld/1999 W: %.3f, b: %.3f Cost: %.6f\n", (long long)epoch,
                      ls_item(w), ls_item(b), ls_item(cost));
    }
    save(j, m, o, x_rows, y_rows);
}

static void multiple(const job *j)
{
    static const char *const names[] = { "w1", "w2", "w3", "b" };
    ls_ctx *ctx = j->ctx;
    double column[3][5];
    ls_tensor *x[3], *w[4], *y_rows = whole(j, 5, 1, scores_y), *y = part(y_rows);
    ls_module *m = ls_module_new(ctx, "Multiple", NULL, NULL);
    for (int i = 0; i < 3; i++) {
        for (int r = 0; r < 5; r++) column[i][r] = scores_x[3 * r + i];
        x[i] = part(whole(j, 5, 1, column[i]));
    }
    for (int i = 0; i < 4; i++) w[i] = parameter(m, ctx, names[i], LS_SHAPE(1));
    ls_list params = { 4, w };
    ls_optim *o = ls_sgd_new(ctx, params, &(ls_sgd_opts){ .lr = 1e-5 });
    begin(j, "epoch,cost,w1,w2,w3,b");
    for (int64_t epoch = 0; epoch < 1001 && ls_step_begin(ctx); epoch++) {
        ls_tensor *sum = ls_add(ls_add(ls_mul(x[0], w[0]), ls_mul(x[1], w[1])), ls_mul(x[2], w[2])),
                  *cost = ls_mean(ls_pow(ls_sub(ls_add(sum, w[3]), y), 2));
        step(j, o, params, cost, epoch);
        if (j->prints && epoch % 100 == 0)
            ls_printf(ctx, "Epoch %4lld/1000 w1: %.3f w2: %.3f w3: %.3f b: %.3f Cost: %.6f\n",
                      (long long)epoch, ls_item(w[0]), ls_item(w[1]), ls_item(w[2]), ls_item(w[3]),
                      ls_item(cost));
    }
    save(j, m, o, y_rows, y_rows);
}

static void matmul(const job *j)
{
    ls_ctx *ctx = j->ctx;
    double values[15];
    memcpy(values, scores_x, sizeof values);
    values[8] = 80;
    ls_tensor *x_rows = whole(j, 5, 3, values), *x = part(x_rows),
              *y_rows = whole(j, 5, 1, scores_y), *y = part(y_rows);
    ls_module *m = ls_module_new(ctx, "Matmul", NULL, NULL);
    ls_tensor *w = parameter(m, ctx, "W", LS_SHAPE(3, 1)), *b = parameter(m, ctx, "b", LS_SHAPE(1));
    ls_optim *o = ls_sgd_new(ctx, LS_LIST(w, b), &(ls_sgd_opts){ .lr = 1e-5 });
    begin(j, "epoch,cost,W0,W1,W2,b");
    for (int64_t epoch = 0; epoch < 21 && ls_step_begin(ctx); epoch++) {
        ls_tensor *h = ls_add(ls_matmul(x, w), b), *cost = ls_mean(ls_pow(ls_sub(h, y), 2));
        step(j, o, LS_LIST(w, b), cost, epoch);
        if (!j->prints || epoch >= 10) continue;
        ls_printf(ctx, "Epoch %4lld/20 Cost: %.6f hypothesis: ", (long long)epoch, ls_item(cost));
        ls_print(ls_detach(ls_squeeze(ls_whole(ctx, h))));
    }
    if (j->prints)
        print_double(
            ctx, "Predicted value for input [75.0, 85.0, 72.0]: ",
            ls_item(ls_add(ls_matmul(whole(j, 1, 3, (const double[]){ 75, 85, 72 }), w), b)), "\n");
    save(j, m, o, x_rows, y_rows);
}

static void linear(const job *j, int64_t rows, int64_t columns, const double *x_values,
                   const double *y_values, double lr, const double *predicts)
{
    ls_ctx *ctx = j->ctx;
    ls_tensor *x_rows = whole(j, rows, columns, x_values), *x = part(x_rows),
              *y_rows = whole(j, rows, 1, y_values), *y = part(y_rows);
    ls_module *m = ls_linear_new(ctx, columns, 1);
    ls_list params = ls_parameters(m);
    ls_optim *o = ls_sgd_new(ctx, params, &(ls_sgd_opts){ .lr = lr });
    begin(j, columns == 1 ? "epoch,cost,W,b" : "epoch,cost,W0,W1,W2,b");
    if (predicts) print_each(j, params);
    for (int64_t epoch = 0; epoch < 2001 && ls_step_begin(ctx); epoch++) {
        ls_tensor *cost = ls_mse_loss(ls_forward(m, x), y);
        step(j, o, params, cost, epoch);
        if (j->prints && epoch % 100 == 0)
            ls_printf(ctx, "Epoch %4lld/2000 Cost: %.6f\n", (long long)epoch, ls_item(cost));
    }
    if (j->prints && predicts) ls_print(ls_forward(m, whole(j, 1, columns, predicts)));
    if (predicts) print_each(j, params);
    save(j, m, o, x_rows, y_rows);
}

static int item(void *self, int64_t i, void *x, void *y)
{
    (void)self;
    for (int k = 0; k < 3; k++) ((float *)x)[k] = (float)scores_x[3 * i + k];
    *(float *)y = (float)scores_y[i];
    return 0;
}

static void batches(const job *j, bool custom, int64_t words, int64_t epochs)
{
    ls_ctx *ctx = j->ctx;
    ls_dataset_def def = {
        .name = "scores", .rows = 5, .item = item, .x.shape = LS_SHAPE(3), .y.shape = LS_SHAPE(1)
    };
    ls_tensor *x_rows = whole(j, 5, 3, scores_x), *y_rows = whole(j, 5, 1, scores_y), *x, *y;
    ls_dataset *d = custom ? ls_dataset_new(ctx, &def) : ls_tensor_dataset(ctx, x_rows, y_rows);
    ls_loader *data = ls_loader_new(ctx, d, &(ls_loader_opts){ .batch_size = 2, .shuffle = true });
    ls_rand(ctx, LS_SHAPE(words)); /* what the notebook had drawn before */
    ls_module *m = ls_linear_new(ctx, 3, 1);
    ls_optim *o = ls_sgd_new(ctx, ls_parameters(m), &(ls_sgd_opts){ .lr = 1e-5 });
    begin(j, "epoch,batch,cost,W0,W1,W2,b");
    while (ls_loader_epoch(data) < epochs)
        while (ls_next(data, &x, &y)) {
            long long epoch = ls_loader_epoch(data), batch = ls_loader_step(data) + 1;
            ls_tensor *cost = ls_mse_loss(ls_forward(m, x), y);
            if (!j->prints) ls_printf(ctx, "%lld,", epoch);
            step(j, o, ls_parameters(m), cost, batch);
            if (j->prints && 3 * epoch + batch <= 25)
                ls_printf(ctx, "Epoch %4lld/%lld Batch %lld/3 Cost: %.6f\n", epoch,
                          (long long)epochs - 1, batch, ls_item(cost));
        }
    ls_tensor *h = j->prints ? ls_forward(m, whole(j, 1, 3, scores_x)) : NULL;
    if (h && custom) ls_print(h);
    else if (h) print_double(ctx, "", ls_item(h), "\n");
    save(j, m, o, x_rows, y_rows);
}

/* ---- data drawn from a line ------------------------------------------------------------------ */
static void fit_line(const job *j, ls_tensor *x, ls_tensor *y)
{
    ls_ctx *ctx = j->ctx;
    ls_module *m = ls_linear_new(ctx, 1, 1);
    ls_list params = ls_parameters(m);
    ls_optim *o = ls_sgd_new(ctx, params, &(ls_sgd_opts){ .lr = 0.01 });
    for (int i = 0; i < 500 && ls_step_begin(ctx); i++) {
        ls_tensor *cost = ls_mse_loss(ls_forward(m, ls_split_rows(x)), ls_split_rows(y));
        step(j, o, params, cost, i);
        if (i % 100 == 0) print_double(ctx, "loss = ", ls_item(cost), "\n");
    }
    print_double(ctx, "", ls_item(ls_parameter(m, "weight")), " ");
    print_double(ctx, "", ls_item(ls_parameter(m, "bias")), "\n");
    save(j, m, o, x, y);
}

static void synthetic(const job *j)
{
    ls_ctx *ctx = j->ctx;
    ls_rand(ctx, LS_SHAPE(428));
    ls_tensor *x = ls_uniform_(ls_zeros(ctx, LS_SHAPE(100, 1)), -10, 10),
              *noise = ls_normal_(ls_zeros(ctx, LS_SHAPE(100, 1)), 0, 1);
    begin(j, "");
    for (int i = 0; i < 2; i++) {
        ls_printf(ctx, i ? "noise" : "x");
        for (int k = 0; k < 52; k++) ls_printf(ctx, " %.4f", ls_at(i ? noise : x, k));
        ls_printf(ctx, "\n");
    }
    fit_line(j, x, ls_keep(ls_add_scalar(ls_mul_scalar(x, 2), 3)));
    fit_line(j, x, ls_keep(ls_add_scalar(ls_mul_scalar(ls_add(x, noise), 2), 3)));
}

/* ---- one of them, or all --------------------------------------------------------------------- */
static const char *const runs[] = { "simple",     "multiple",       "matmul",
                                    "linear_1_1", "linear_3_1",     "linear_1_1_class",
                                    "minibatch",  "custom_dataset", "synthetic" };
enum { RUNS = sizeof runs / sizeof *runs };

static void train(const job *j, int run)
{
    static const double x3[] = { 1, 2, 3 }, y246[] = { 2, 4, 6 }, y247[] = { 2, 4, 7 },
                        four[] = { 4 };
    ls_manual_seed(j->ctx, run < 8 ? 1 : 1537792337);
    switch (run) {
    case 0:
        simple(j);
        break;
    case 1:
        multiple(j);
        break;
    case 2:
        matmul(j);
        break;
    case 3:
        linear(j, 3, 1, x3, y246, 0.01, four);
        break;
    case 4:
        linear(j, 5, 3, scores_x, scores_y, 1e-5, scores_x);
        break;
    case 5:
        linear(j, 3, 1, x3, y247, 0.01, NULL);
        break;
    case 6:
        batches(j, false, 4508, 51);
        break;
    case 7:
        batches(j, true, 4716, 21);
        break;
    default:
        synthetic(j);
        break;
    }
}

int main(int argc, char **argv)
{
    job j = { .run = argc > 1 ? argv[1] : "", .dir = argc > 3 ? argv[3] : NULL };
    j.ctx = ls_start(&(ls_opts){ .seed = 1, .leaf_rows = argc > 2 ? atoll(argv[2]) : 0 });
    j.prints = !strcmp(j.run, "printed") && j.dir;
    bool is_known = j.prints;
    for (int run = 0; run < RUNS; run++) {
        if (!j.prints && strcmp(j.run, runs[run])) continue;
        job each = j;
        is_known = true;
        each.run = runs[run];
        train(&each, run);
    }
    if (!is_known) ls_fail(j.ctx, LS_ERR_ARG, "no such run: \"%s\"", j.run);
    return ls_finish(j.ctx);
}
