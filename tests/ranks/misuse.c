/* misuse.c -- programs that are wrong on purpose, or leave early, or forget: each must end well,
 * with one line that names the place, the same exit code on all ranks, and no rank that hangs.
 *
 *   misuse JOB [RANK]      RANK: the one that fails, where the job has one
 */
#include "lockstep/lockstep.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int my_rank(void)
{
    const char *text = getenv("OMPI_COMM_WORLD_RANK");
    return text ? atoi(text) : 0;
}

/* A collective call under ls_is_root(). */
static void root_only_backward(ls_ctx *ctx)
{
    ls_tensor *x = ls_split_rows(ls_full(ctx, LS_SHAPE(100, 2), 1)),
              *w = ls_requires_grad(ls_zeros(ctx, LS_SHAPE(2, 1)));
    for (int i = 0; i < 10 && ls_step_begin(ctx); i++) {
        ls_tensor *loss = ls_mean(ls_matmul(x, w));
        if (ls_is_root(ctx)) ls_backward(ctx, loss);
    }
}

/* Checks every result and leaves the loop on the failing rank alone. */
static void early_break(ls_ctx *ctx, int failing)
{
    ls_tensor *x = ls_split_rows(ls_full(ctx, LS_SHAPE(100, 2), 1)),
              *w = ls_requires_grad(ls_zeros(ctx, LS_SHAPE(2, 1)));
    for (int i = 0; i < 10 && ls_step_begin(ctx); i++) {
        if (i == 4 && my_rank() == failing) ls_fail(ctx, LS_ERR_DATA, "row 12 is not to be read");
        ls_tensor *loss = ls_mean(ls_matmul(x, w));
        if (!loss) break;
        if (ls_backward(ctx, loss)) return;
    }
}

static int item(void *self, int64_t i, void *x, void *y)
{
    (void)self;
    *(float *)x = (float)i;
    *(float *)y = 1;
    return i == 77;
}

/* Row 77 of 100 cannot be read: one rank knows, all end. The loop over epochs has no other end. */
static void one_row_bad(ls_ctx *ctx)
{
    ls_dataset *d = ls_dataset_new(ctx, &(ls_dataset_def){ .name = "numbers",
                                                           .rows = 100,
                                                           .item = item,
                                                           .x.shape = LS_SHAPE(1),
                                                           .y.shape = LS_SHAPE(1) });
    ls_loader *data = ls_loader_new(ctx, d, &(ls_loader_opts){ .batch_size = 64, .shuffle = true });
    ls_module *m = ls_linear_new(ctx, 1, 1);
    ls_tensor *x, *y;
    while (ls_loader_epoch(data) < 1000000)
        while (ls_next(data, &x, &y)) ls_backward(ctx, ls_mse_loss(ls_forward(m, x), y));
}

/* A parameter used three times, once through a whole intermediate: bits must not depend on
 * ranks. */
static void shared_weight(ls_ctx *ctx)
{
    ls_manual_seed(ctx, 3);
    ls_tensor *x = ls_split_rows(ls_randn(ctx, LS_SHAPE(1003, 4))),
              *y = ls_split_rows(ls_randn(ctx, LS_SHAPE(1003, 4)));
    ls_tensor *w = ls_requires_grad(ls_randn(ctx, LS_SHAPE(4, 4)));
    for (int i = 0; i < 20 && ls_step_begin(ctx); i++) {
        ls_tensor *h = ls_tanh(ls_matmul(ls_tanh(ls_matmul(x, w)), w));
        ls_tensor *mse = ls_mse_loss(ls_matmul(h, ls_mul_scalar(ls_mul(w, w), 3.3)), y);
        ls_tensor *loss = ls_add(ls_pow(mse, 0.5), ls_mul_scalar(ls_sum(ls_mul(w, w)), 0.01));
        ls_zero_grad(LS_LIST(w));
        ls_backward(ctx, loss);
        {
            LS_NO_GRAD(ctx);
            ls_add_(w, ls_grad(w), -0.1);
        }
        ls_printf(ctx, "%.9g %.9g %.9g\n", ls_item(loss), ls_at(ls_grad(w), 3),
                  ls_at(ls_grad(w), 9));
    }
    ls_print(w);
}

/* The whole of what ranks have made of their rows, in each step: their memory grows at different steps. */
static void whole_results(ls_ctx *ctx)
{
    ls_manual_seed(ctx, 3);
    for (int64_t rows = 32; rows <= 200; rows += 28) {
        ls_tensor *x = ls_randn(ctx, LS_SHAPE(rows, 8));
        for (int i = 0; i < 5 && ls_step_begin(ctx); i++) {
            ls_tensor *y = ls_split_rows(x);
            for (int k = 0; k < 8; k++) y = ls_tanh(y);
            ls_tensor *all = ls_whole(ctx, y);
            ls_printf(ctx, "%.9g %.9g\n", ls_at(all, 0), ls_at(all, 8 * rows - 1));
        }
    }
}

/* The second context goes on after the end of the first, which began MPI. */
static int two_contexts(ls_ctx *first)
{
    ls_ctx *second = ls_start(&(ls_opts){ .seed = 3, .deadline_s = 5 });
    ls_finish(first);
    ls_printf(second, "%.9g\n", ls_item(ls_sum(ls_split_rows(ls_randn(second, LS_SHAPE(100, 2))))));
    return ls_finish(second);
}

/* Forgotten ls_step_begin(), a result kept past the loop, a scope open at the end, forgotten
 * frees. */
static int two_models(ls_ctx *ctx)
{
    ls_tensor *x = ls_tensor_of(ctx, LS_SHAPE(3, 1), 1, 2, 3),
              *noise = ls_randn(ctx, LS_SHAPE(3, 1));
    ls_tensor *y = ls_add(ls_add_scalar(ls_mul_scalar(x, 2), 3), noise);
    ls_module *m = ls_linear_new(ctx, 1, 1);
    ls_optim *o = ls_sgd_new(ctx, ls_parameters(m), &(ls_sgd_opts){ .lr = 0.01 });
    ls_tensor *cost = NULL;
    for (int i = 0; i < 100; i++) {
        if (i >= 50) ls_step_begin(ctx);
        cost = ls_mse_loss(ls_forward(m, x), y);
        ls_optim_zero_grad(o);
        ls_backward(ctx, cost);
        ls_optim_step(ctx, o);
        if (i % 50 == 49) ls_printf(ctx, "%.6f\n", ls_item(cost));
    }
    LS_NO_GRAD(ctx);
    ls_printf(ctx, "%.6f\n", ls_item(cost));
    return ls_finish(ctx);
}

static int wave(void *self, int64_t i, void *x, void *y)
{
    (void)self;
    for (int k = 0; k < 32; k++) ((float *)x)[k] = (float)((i * (k + 3)) % 17) / 16 - 0.5f;
    *(float *)y = (float)(i % 5);
    return 0;
}

static ls_loader *waves(ls_ctx *ctx)
{
    ls_dataset *d = ls_dataset_new(ctx, &(ls_dataset_def){ .name = "waves",
                                                           .rows = 300,
                                                           .item = wave,
                                                           .x.shape = LS_SHAPE(32),
                                                           .y.shape = LS_SHAPE(1) });
    return ls_loader_new(ctx, d, &(ls_loader_opts){ .batch_size = 96, .shuffle = true });
}

static ls_module *wide_model(ls_ctx *ctx)
{
    return ls_sequential(ctx, LS_LINEAR(32, 256), LS_TANH, LS_LINEAR(256, 64), LS_RELU,
                         LS_LINEAR(64, 1));
}

static void print_sums(ls_ctx *ctx, ls_list params)
{
    LS_NO_GRAD(ctx);
    for (int64_t i = 0; i < params.count; i++) {
        ls_tensor *p = params.at[i];
        ls_printf(ctx, "%.9g %.9g ", ls_item(ls_sum(ls_mul(p, p))), ls_at(p, 0));
    }
    ls_printf(ctx, "\n");
}

/* A model so large that a node's ranks hold it in common: a run's steps, parameters written by hand,
 * steps again, a loop by hand, another optimizer, and steps of its run. */
static void by_hand_between(ls_ctx *ctx)
{
    ls_loader *data = waves(ctx);
    ls_module *m = wide_model(ctx);
    ls_sgd_opts settings = { .lr = 0.01, .momentum = 0.9 };
    ls_list params = ls_parameters(m);
    ls_optim *o = ls_sgd_new(ctx, params, &settings);
    double cost;
    for (int round = 0; round < 2; round++) {
        ls_run run = { .model = m, .loss = ls_mse_loss, .optim = o, .data = data, .epochs = 9 };
        for (int i = 0; i < 5 && !ls_fit_step(ctx, &run, &cost); i++)
            ls_printf(ctx, "%.9g\n", cost);
        print_sums(ctx, params);
        {
            LS_NO_GRAD(ctx);
            ls_add_(params.at[0], params.at[0], 0.01);
        }
        for (int i = 0; i < 3 && !ls_fit_step(ctx, &run, &cost); i++)
            ls_printf(ctx, "%.9g\n", cost);
        ls_tensor *x, *y;
        while (ls_next(data, &x, &y)) {
            ls_optim_zero_grad(o);
            ls_backward(ctx, ls_mse_loss(ls_forward(m, x), y));
            ls_optim_step(ctx, o);
        }
        print_sums(ctx, params);
        ls_optim *older = o;
        o = ls_sgd_new(ctx, params, &settings);
        ls_optim_free(older);
    }
}

/* Optimizers of all parameters and of some, large and small, in one program; the last layer's steps by
 * hand from the gradients that a run's steps with the others leave. */
static void several_optimizers(ls_ctx *ctx, bool small_first)
{
    ls_loader *data = waves(ctx);
    ls_module *m = wide_model(ctx);
    ls_sgd_opts settings = { .lr = 0.01, .momentum = 0.9 };
    ls_list all = ls_parameters(m), some = { 1, all.at + 1 }, last = { 2, all.at + 4 };
    ls_optim *first = ls_sgd_new(ctx, small_first ? some : all, &settings),
             *second = ls_sgd_new(ctx, small_first ? all : some, &settings),
             *by_hand = ls_sgd_new(ctx, last, &settings);
    double cost;
    ls_run run = { .model = m, .loss = ls_mse_loss, .data = data, .epochs = 9 };
    for (int i = 0; i < 6 && !ls_error(ctx); i++) {
        run.optim = i % 2 ? first : second;
        ls_fit_step(ctx, &run, &cost);
        print_sums(ctx, all);
    }
    run.optim = ls_sgd_new(ctx, (ls_list){ 4, all.at }, &settings);
    for (int i = 0; i < 3 && !ls_error(ctx); i++) {
        ls_optim_zero_grad(by_hand);
        ls_fit_step(ctx, &run, &cost);
        ls_printf(ctx, "gradient %d\n", ls_at(ls_grad(all.at[4]), 0) != 0);
        ls_optim_step(ctx, by_hand);
        print_sums(ctx, all);
    }
}

/* The root alone looks at a gradient that is older than the optimizer. */
static void the_root_looks(ls_ctx *ctx)
{
    ls_loader *data = waves(ctx);
    ls_module *m = ls_sequential(ctx, LS_LINEAR(32, 600), LS_TANH, LS_LINEAR(600, 600), LS_RELU,
                                 LS_LINEAR(600, 1)); /* so large that ranks hold it in common */
    ls_list all = ls_parameters(m);
    ls_tensor *w = all.at[2];
    double cost;
    ls_backward_with(ctx, w, &(ls_backward_opts){ .gradient = ls_ones(ctx, LS_SHAPE(600, 600)) });
    if (ls_is_root(ctx)) printf("%g\n", ls_at(ls_grad(w), 0));
    ls_run run = { .model = m, .loss = ls_mse_loss, .data = data, .epochs = 9 };
    run.optim = ls_sgd_new(ctx, (ls_list){ 1, &w }, &(ls_sgd_opts){ .lr = 0.01 });
    for (int i = 0; i < 3 && !ls_error(ctx); i++) {
        ls_fit_step(ctx, &run, &cost);
        print_sums(ctx, all);
    }
}

/* Parameters are loaded right after a forward that some ranks are late for. */
static void load_at_once(ls_ctx *ctx)
{
    ls_tensor *x, *y;
    double cost;
    ls_run run = { .model = wide_model(ctx), .loss = ls_mse_loss, .data = waves(ctx), .epochs = 9 };
    run.dir = "load_at_once";
    run.optim = ls_sgd_new(ctx, ls_parameters(run.model), &(ls_sgd_opts){ .lr = 0.1 });
    ls_save(ctx, &run);
    for (int i = 0; i < 3; i++) {
        ls_fit_step(ctx, &run, &cost);
        if (!ls_next(run.data, &x, &y)) return;
        if (!ls_is_root(ctx)) usleep(100000);
        ls_tensor *before = ls_forward(run.model, x);
        ls_load(ctx, run.model, run.dir);
        ls_printf(ctx, "%.9g\n", ls_item(ls_sum(before)));
    }
}

/* A result is read after its step. */
static void stale_result(ls_ctx *ctx)
{
    ls_tensor *w = ls_scalar(ctx, 2), *old = NULL;
    for (int i = 0; i < 3 && ls_step_begin(ctx); i++) {
        if (old) ls_printf(ctx, "%g\n", ls_item(old));
        old = ls_mul_scalar(w, 3);
    }
}

/* One rank sleeps: the others wait no longer than the deadline. */
static void late_rank(ls_ctx *ctx, int failing)
{
    for (int i = 0; i < 3 && ls_step_begin(ctx); i++) {
        if (i == 1 && my_rank() == failing) sleep(60);
        ls_any(ctx, false);
    }
}

/* The error is cleared by all, and training goes on. */
static void clear_and_go_on(ls_ctx *ctx, int failing)
{
    for (int round = 0; round < 3; round++) {
        if (my_rank() == failing) ls_fail(ctx, LS_ERR_DATA, "round %d", round);
        bool any = ls_any(ctx, false);
        if (!any || ls_error(ctx) != LS_ERR_DATA || ls_clear(ctx)) return;
    }
    ls_tensor *x = ls_split_rows(ls_full(ctx, LS_SHAPE(100, 2), 1));
    ls_printf(ctx, "mean %g\n", ls_item(ls_mean(x)));
}

/* ---- in the middle of backward, where sums may be under way ----------------------------------- */
typedef struct amid {
    int calls, at; /* backwards so far; the one in which this rank does it, or -1 */
    bool sleeps;   /* else it fails */
} amid;

static void same_forward(const ls_node *n)
{
    memcpy(n->out.data, n->in[0].data, (size_t)n->out.count * sizeof(float));
}

static void same_backward(const ls_node *n, const void *g, void *const dx[])
{
    amid *a = *(amid *const *)n->args;
    for (int64_t i = 0; i < n->in[0].count; i++) ((float *)dx[0])[i] += ((const float *)g)[i];
    if (a->calls++ != a->at) return;
    if (a->sleeps) sleep(60);
    else ls_fail(n->ctx, LS_ERR_DATA, "amid backward");
}

static const ls_op op_same = { .name = "same",
                               .n_in = 1,
                               .rows = LS_ROWS_ALONE,
                               .shape = ls_shape_same,
                               .forward = same_forward,
                               .backward = same_backward };

/* By hand and as a run's steps; after a failure on one rank all go on. */
static void amid_backward(ls_ctx *ctx, int failing, bool sleeps)
{
    amid a = { 0, -1, sleeps }, *args = &a;
    ls_loader *data = waves(ctx);
    ls_module *first = ls_sequential(ctx, LS_LINEAR(32, 600), LS_TANH, LS_LINEAR(600, 600)),
              *second = ls_sequential(ctx, LS_TANH, LS_LINEAR(600, 600), LS_TANH,
                                      LS_LINEAR(600, 1));
    ls_list of[] = { ls_parameters(first), ls_parameters(second) };
    ls_tensor *all[8];
    for (int i = 0; i < 8; i++) all[i] = of[i / 4].at[i % 4];
    ls_list params = { 8, all };
    ls_optim *o = ls_sgd_new(ctx, params, &(ls_sgd_opts){ .lr = 0.01, .momentum = 0.9 });
    for (int i = 0; i < 9; i++) {
        ls_tensor *x, *y;
        if (my_rank() == failing && i % 4 == 2) a.at = a.calls;
        if (!ls_next(data, &x, &y) && !ls_error(ctx) && !ls_next(data, &x, &y)) return;
        ls_tensor *middle = ls_forward(first, x);
        middle = middle ? ls_apply(&op_same, LS_LIST(middle), &args, sizeof args) : NULL;
        ls_optim_zero_grad(o);
        ls_status status = ls_backward(ctx, ls_mse_loss(ls_forward(second, middle), y));
        ls_optim_step(ctx, o);
        ls_printf(ctx, "%d\n", (int)status);
        if (status && ls_clear(ctx)) return;
        print_sums(ctx, params);
    }
}

int main(int argc, char **argv)
{
    const char *job = argc > 1 ? argv[1] : "";
    int failing = argc > 2 ? atoi(argv[2]) : 0;
    ls_opts opts = { .deadline_s = 5 };
    if (!strcmp(job, "other_seed") && my_rank() == failing) opts.seed = 7;
    if (!strcmp(job, "other_leaf_rows") && my_rank() == failing) opts.leaf_rows = 4;
    ls_ctx *ctx = ls_start(&opts);
    if (!strcmp(job, "root_only_backward")) root_only_backward(ctx);
    else if (!strcmp(job, "early_break")) early_break(ctx, failing);
    else if (!strcmp(job, "one_row_bad")) one_row_bad(ctx);
    else if (!strcmp(job, "shared_weight")) shared_weight(ctx);
    else if (!strncmp(job, "other_", 6)) ls_randn(ctx, LS_SHAPE(3));
    else if (!strcmp(job, "two_contexts")) return two_contexts(ctx);
    else if (!strcmp(job, "whole_results")) whole_results(ctx);
    else if (!strcmp(job, "by_hand_between")) by_hand_between(ctx);
    else if (!strcmp(job, "small_optimizer_first")) several_optimizers(ctx, true);
    else if (!strcmp(job, "small_optimizer_last")) several_optimizers(ctx, false);
    else if (!strcmp(job, "the_root_looks")) the_root_looks(ctx);
    else if (!strcmp(job, "load_at_once")) load_at_once(ctx);
    else if (!strcmp(job, "two_models")) return two_models(ctx);
    else if (!strcmp(job, "stale_result")) stale_result(ctx);
    else if (!strcmp(job, "late_rank")) late_rank(ctx, failing);
    else if (!strcmp(job, "clear_and_go_on")) clear_and_go_on(ctx, failing);
    else if (!strcmp(job, "fails_amid_backward")) amid_backward(ctx, failing, false);
    else if (!strcmp(job, "sleeps_amid_backward")) amid_backward(ctx, failing, true);
    else ls_fail(ctx, LS_ERR_ARG, "no such job: \"%s\"", job);
    return ls_finish(ctx);
}
