/* test_train.c -- runs on the library: what is saved and read back, the log, evaluation,
 * refusals. */
#include "train/train.h"
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <dirent.h>
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char here[64];

static void enter_directory(void)
{
    strcpy(here, "/tmp/lockstep-train-XXXXXX");
    cr_assert(mkdtemp(here) != NULL);
    cr_assert(eq(int, chdir(here), 0));
}

static void leave_directory(void)
{
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", here);
    cr_expect(eq(int, system(command), 0));
}

TestSuite(train, .init = enter_directory, .fini = leave_directory);

/* A regression of 50 rows, ready to run. */
typedef struct job {
    ls_ctx *ctx;
    ls_run run;
} job;

static job make_job(int64_t epochs, double lr)
{
    ls_ctx *ctx = ls_start(&(ls_opts){ .seed = 5 });
    ls_tensor *x = ls_randn(ctx, LS_SHAPE(50, 3)), *y = ls_randn(ctx, LS_SHAPE(50, 1));
    ls_module *m = ls_sequential(ctx, LS_LINEAR(3, 8), LS_TANH, LS_LINEAR(8, 1));
    ls_loader *data = ls_loader_new(ctx, ls_tensor_dataset(ctx, x, y),
                                    &(ls_loader_opts){ .batch_size = 16, .shuffle = true });
    ls_optim *o = ls_sgd_new(ctx, ls_parameters(m), &(ls_sgd_opts){ .lr = lr, .momentum = 0.5 });
    return (job){ ctx,
                  { .model = m,
                    .loss = ls_mse_loss,
                    .optim = o,
                    .data = data,
                    .epochs = epochs,
                    .log_every = -1,
                    .dir = "runs" } };
}

static double weight(const job *j)
{
    return ls_at(ls_parameter(j->run.model, "0.weight"), 4);
}

Test(train, resumed_by_hand)
{
    job whole = make_job(6, 0.05);
    double cost;
    whole.run.dir = "whole";
    ls_fit(whole.ctx, &whole.run);
    double want = weight(&whole);
    cr_assert(eq(int, ls_finish(whole.ctx), 0));

    for (int part = 0; part < 3; part++) { /* 24 steps, in pieces of 8 that end inside epochs */
        job j = make_job(6, 0.05);
        cr_assert(eq(int, ls_resume(j.ctx, &j.run), part > 0), "%s", ls_error_text(j.ctx));
        cr_assert(eq(i64, ls_steps_done(&j.run), 8 * part));
        for (int i = 0; i < 8; i++) ls_fit_step(j.ctx, &j.run, &cost);
        cr_assert(eq(int, ls_save(j.ctx, &j.run), LS_OK), "%s", ls_error_text(j.ctx));
        if (part == 2) cr_assert(eq(dbl, weight(&j), want));
        cr_assert(eq(int, ls_finish(j.ctx), 0));
    }
}

Test(train, configuration_as_text)
{
    job j = make_job(1, 0.05);
    ls_fit(j.ctx, &j.run);
    const char *want =
        "data.batch_size: 16\ndata.drop_last: false\ndata.normalize: none\ndata.shuffle: true\n"
        "data.x_scale: 1\ndtype: float32\nloss: mse\n"
        "model.0: {linear: {in: 3, out: 8, bias: true}}\nmodel.1: tanh\n"
        "model.2: {linear: {in: 8, out: 1, bias: true}}\noptimizer.sgd.dampening: 0\n"
        "optimizer.sgd.lr: 0.05\noptimizer.sgd.momentum: 0.5\noptimizer.sgd.nesterov: false\n"
        "optimizer.sgd.weight_decay: 0\nseed: 5\ntrain.leaf_rows: 32\n";
    const char *got = ls_checkpoint_config(j.ctx, "runs");
    cr_assert(got && strcmp(got, want) == 0, "%s", got ? got : ls_error_text(j.ctx));
    ls_finish(j.ctx);
}

Test(train, another_configuration_is_refused)
{
    job j = make_job(1, 0.05);
    ls_fit(j.ctx, &j.run);
    ls_finish(j.ctx);
    j = make_job(2, 0.06);
    ls_fit(j.ctx, &j.run);
    cr_assert(strstr(ls_error_text(j.ctx),
                     "\"optimizer.sgd.lr: 0.05\" there, \"optimizer.sgd.lr: 0.06\" here") != NULL,
              "%s", ls_error_text(j.ctx));
    cr_assert(eq(int, ls_finish(j.ctx), 78));
}

Test(train, fresh_starts_over)
{
    job j = make_job(3, 0.05);
    ls_fit(j.ctx, &j.run);
    ls_finish(j.ctx);
    j = make_job(1, 0.06);
    j.run.fresh = true;
    ls_fit(j.ctx, &j.run);
    cr_assert(eq(int, ls_finish(j.ctx), 0));
    cr_assert(eq(int, access("runs/model-000000000004.h5", F_OK), 0));
    cr_assert(ne(int, access("runs/model-000000000012.h5", F_OK), 0));
}

Test(train, more_epochs_go_on)
{
    job j = make_job(6, 0.05);
    j.run.dir = "whole";
    ls_fit(j.ctx, &j.run);
    double want = weight(&j);
    ls_finish(j.ctx);
    for (int64_t epochs = 2; epochs <= 6; epochs += 4) {
        j = make_job(epochs, 0.05);
        ls_fit(j.ctx, &j.run);
        if (epochs == 6) cr_assert(eq(dbl, weight(&j), want));
        cr_assert(eq(int, ls_finish(j.ctx), 0));
    }
}

/* One that was stopped, and then is to be no longer than it is, ends as if it had never been to. */
Test(train, fewer_epochs_end_it)
{
    static const struct {
        const char *dir;
        int64_t epochs, stop;
    } starts[] = { { "whole", 2, 0 }, { "runs", 4, 8 }, { "runs", 2, 0 } };
    for (int i = 0; i < 3; i++) {
        job j = make_job(starts[i].epochs, 0.05);
        j.run.dir = starts[i].dir;
        j.run.stop_after = starts[i].stop;
        ls_fit(j.ctx, &j.run);
        cr_assert(eq(int, ls_finish(j.ctx), starts[i].stop ? 75 : 0));
        int differs = system("cmp -s whole/model-000000000008.h5 runs/model-000000000008.h5");
        if (i > 0) cr_expect(eq(int, differs != 0, i == 1));
    }
}

/* Steps are counted across epochs: one that ends an epoch is like any other. */
Test(train, saved_every_so_many_steps)
{
    job j = make_job(4, 0.05);
    j.run.save_every_steps = 6;
    j.run.keep = 9;
    ls_fit(j.ctx, &j.run); /* 16 steps, 4 an epoch */
    cr_assert(eq(int, ls_finish(j.ctx), 0));
    for (int step = 1; step <= 16; step++) {
        char path[64];
        snprintf(path, sizeof path, "runs/model-%012d.h5", step);
        cr_expect(eq(int, access(path, F_OK) == 0, step % 6 == 0 || step == 16), "step %d", step);
    }
}

/* The costs of epochs in the log, each once, however often the run was stopped. */
Test(train, log_is_cut_back)
{
    for (int64_t stop = 6; stop >= 0; stop -= 6) {
        job j = make_job(3, 0.05);
        j.run.log_file = "runs/log.jsonl";
        j.run.save_every_steps = 3;
        j.run.stop_after = stop; /* in the second epoch */
        ls_fit(j.ctx, &j.run);
        cr_assert(eq(int, ls_finish(j.ctx), stop ? 75 : 0));
    }
    FILE *log = fopen("runs/log.jsonl", "r");
    char line[512];
    cr_assert(log != NULL);
    for (int epoch = 0; epoch < 3; epoch++) {
        char want[32];
        snprintf(want, sizeof want, "{\"epoch\":%d,\"step\":%d,", epoch, 4 * (epoch + 1));
        cr_assert(fgets(line, sizeof line, log) && strncmp(line, want, strlen(want)) == 0, "%s",
                  line);
    }
    cr_assert(fgets(line, sizeof line, log) == NULL);
    fclose(log);
}

/* What a run beside it would have removed, or made, by the time that a directory has been listed. */
static const char *removed, *made;

int closedir(DIR *d)
{
    union {
        void *object;
        int (*call)(DIR *d);
    } found = { dlsym(RTLD_NEXT, "closedir") };
    if (made) cr_assert(eq(int, rename(removed, made), 0));
    else if (removed) cr_assert(eq(int, unlink(removed), 0));
    removed = made = NULL;
    return found.call(d);
}

Test(train, checkpoints_removed_while_they_are_verified)
{
    job j = make_job(2, 0.05);
    j.run.save_every = 1;
    ls_fit(j.ctx, &j.run);
    removed = "runs/model-000000000004.h5";
    cr_expect(eq(int, ls_verify(j.ctx, "runs"), LS_OK), "%s", ls_error_text(j.ctx));
    cr_expect(ne(int, access("runs/model-000000000004.h5", F_OK), 0));
    removed = "runs/model-000000000008.h5"; /* all that were listed: there is another now */
    made = "runs/model-000000000012.h5";
    cr_expect(eq(int, ls_verify(j.ctx, "runs"), LS_OK), "%s", ls_error_text(j.ctx));
    removed = "runs/model-000000000012.h5";
    cr_expect(eq(int, ls_verify(j.ctx, "runs"), LS_ERR_INPUT));
    cr_expect(strstr(ls_error_text(j.ctx), "holds no checkpoint") != NULL);
    ls_clear(j.ctx);
    cr_assert(eq(int, symlink("none.h5", "runs/model-000000000016.h5"), 0));
    cr_expect(
        eq(int, ls_verify(j.ctx, "runs"), LS_ERR_INPUT)); /* it is there, and cannot be read */
    cr_expect(strstr(ls_error_text(j.ctx), "cannot open runs/model") != NULL);
    cr_assert(eq(int, ls_finish(j.ctx), 66));
}

Test(train, cost_of_an_epoch_is_the_mean_over_rows)
{
    job j = make_job(1, 0.05), again = make_job(1, 0.05);
    double sum = 0, cost;
    int64_t rows = 0;
    ls_fit(j.ctx, &j.run);
    for (int i = 0; i < 4; i++) {
        ls_fit_step(again.ctx, &again.run, &cost);
        int64_t n = i < 3 ? 16 : 2;
        sum += cost * (double)n;
        rows += n;
    }
    cr_assert(eq(dbl, ls_progress_of(j.ctx, &j.run)->history[0].cost, sum / (double)rows));
    ls_finish(j.ctx);
    ls_finish(again.ctx);
}

/* ---- parameters that a step does not reach --------------------------------------------------- */
typedef struct branches {
    ls_tensor *always, *at_first;
    int calls;
} branches;

static ls_tensor *forward_branches(void *self, ls_tensor *x)
{
    branches *b = self;
    ls_tensor *y = ls_matmul(x, b->always);
    return b->calls++ ? y : ls_add(y, ls_matmul(x, b->at_first));
}

Test(train, what_a_step_does_not_reach_stays)
{
    job j = make_job(9, 0.1);
    branches b = { 0 };
    double cost, first, then;
    j.run.model = ls_module_new(j.ctx, "Branches", forward_branches, &b);
    b.always = ls_module_param(j.run.model, "always", ls_ones(j.ctx, LS_SHAPE(3, 1)));
    b.at_first = ls_module_param(j.run.model, "at_first", ls_ones(j.ctx, LS_SHAPE(3, 1)));
    j.run.optim = ls_sgd_new(j.ctx, ls_parameters(j.run.model),
                             &(ls_sgd_opts){ .lr = 0.1, .momentum = 0.9, .weight_decay = 0.1 });
    ls_fit_step(j.ctx, &j.run, &cost);
    first = ls_at(b.at_first, 0), then = ls_at(b.always, 0);
    cr_assert(first != 1 && then != 1, "%s", ls_error_text(j.ctx));
    b.calls = 0; /* and a backward by hand, whose gradients are left */
    ls_backward(j.ctx, ls_sum(forward_branches(&b, ls_ones(j.ctx, LS_SHAPE(2, 3)))));
    ls_fit_step(j.ctx, &j.run, &cost);
    cr_assert(eq(dbl, ls_at(b.at_first, 0), first));
    cr_assert(ls_at(b.always, 0) != then);
    cr_assert(eq(int, ls_finish(j.ctx), 0));
}

Test(train, evaluation_draws_nothing)
{
    job j = make_job(2, 0.05);
    ls_score score;
    double cost;
    ls_fit_step(j.ctx, &j.run, &cost);
    ls_random before = j.ctx->random;
    ls_evaluate(j.ctx, &j.run, j.run.data, &score);
    cr_assert(eq(int, memcmp(&before, &j.ctx->random, sizeof before), 0));
    cr_assert(eq(i64, score.rows, 50));
    cr_assert(isfinite(score.cost));
    cr_assert(isnan(score.accuracy));
    ls_fit_step(j.ctx, &j.run, &cost);
    cr_assert(eq(i64, ls_steps_done(&j.run), 2));
    cr_assert(eq(int, ls_finish(j.ctx), 0));
}

/* As in a step; what is saved would take it for no validation. */
/* It ends no training, whose parameters are what they are. */
Test(train, validation_that_is_not_finite)
{
    job j = make_job(2, 0.05);
    ls_score score = { 0 };
    ls_tensor *x = ls_ones(j.ctx, LS_SHAPE(50, 3)), *y = ls_ones(j.ctx, LS_SHAPE(50, 1));
    ((float *)x->data)[3 * 20 + 1] = NAN;
    j.run.validation = ls_loader_new(j.ctx, ls_tensor_dataset(j.ctx, x, y),
                                     &(ls_loader_opts){ .batch_size = 16 });
    cr_expect(eq(int, ls_fit(j.ctx, &j.run), LS_OK), "%s", ls_error_text(j.ctx));
    cr_expect(eq(int, ls_evaluate(j.ctx, &j.run, j.run.validation, &score), LS_OK));
    cr_expect(isnan(score.cost) && score.rows == 50);
    cr_assert(eq(int, ls_finish(j.ctx), 0));
}

/* Before the first step, not after all of them. */
Test(train, name_that_no_checkpoint_can_have)
{
    static const char *const names[][2] = { { "x/y", "holds a slash: \"x/y\"" },
                                            { "", "is empty" },
                                            { ".x", "begins with a dot" } };
    for (int i = 0; i < 3; i++) {
        job j = make_job(1, 0.05);
        j.run.name = names[i][0];
        cr_expect(eq(int, ls_fit(j.ctx, &j.run), LS_ERR_ARG));
        cr_expect(strstr(ls_error_text(j.ctx), names[i][1]) != NULL, "%s", ls_error_text(j.ctx));
        cr_expect(eq(i64, ls_steps_done(&j.run), 0));
        cr_expect(ne(int, access("runs", F_OK), 0));
        cr_assert(eq(int, ls_finish(j.ctx), 64));
    }
}

Test(train, cost_that_is_not_finite)
{
    job j = make_job(200, 1e6);
    ls_fit(j.ctx, &j.run);
    cr_assert(strstr(ls_error_text(j.ctx), "a smaller learning rate") != NULL, "%s",
              ls_error_text(j.ctx));
    cr_assert(eq(int, ls_finish(j.ctx), 79));
}

/* As checkpoints and `lockstep which` do. */
Test(train, messages_count_steps_from_1)
{
    job j = make_job(1, 1e300);
    ls_fit(j.ctx, &j.run);
    cr_expect(strstr(ls_error_text(j.ctx), "the update of step 1 makes ") != NULL, "%s",
              ls_error_text(j.ctx));
    cr_assert(eq(int, ls_finish(j.ctx), 79));

    j = make_job(1, 0.05);
    ls_tensor *x = ls_ones(j.ctx, LS_SHAPE(50, 3)), *y = ls_ones(j.ctx, LS_SHAPE(50, 1));
    ((float *)x->data)[3 * 20 + 1] = NAN;
    j.run.data = ls_loader_new(j.ctx, ls_tensor_dataset(j.ctx, x, y),
                               &(ls_loader_opts){ .batch_size = 16 });
    ls_fit(j.ctx, &j.run);
    cr_expect(strstr(ls_error_text(j.ctx),
                     "the cost is nan in step 2: x is not finite in 1 of this "
                     "rank's rows: 20") != NULL,
              "%s", ls_error_text(j.ctx));
    cr_assert(eq(int, ls_finish(j.ctx), 79));

    j = make_job(1, 0.05); /* changed by hand: by no step that is known */
    ((float *)ls_parameter(j.run.model, "0.bias")->data)[2] = NAN;
    cr_expect(eq(int, ls_save(j.ctx, &j.run), LS_ERR_NUMERIC));
    cr_expect(strncmp(ls_error_text(j.ctx), "0.bias is not finite (element 2 is nan)", 39) == 0,
              "%s", ls_error_text(j.ctx));
    cr_assert(eq(int, ls_finish(j.ctx), 79));
}

static ls_tensor *no_cost(ls_tensor *pred, ls_tensor *y)
{
    (void)pred, (void)y;
    return NULL;
}

static ls_tensor *no_output(void *self, ls_tensor *x)
{
    (void)self, (void)x;
    return NULL;
}

Test(train, functions_that_return_nothing_are_named)
{
    for (int i = 0; i < 4; i++) {
        ls_score score;
        job j = make_job(2, 0.1);
        j.run.dir = NULL;
        if (i % 2) j.run.loss = no_cost;
        else j.run.model = ls_module_new(j.ctx, "Nothing", no_output, NULL);
        if (i < 2) ls_fit(j.ctx, &j.run);
        else ls_evaluate(j.ctx, &j.run, j.run.data, &score);
        cr_assert(eq(int, ls_error(j.ctx), LS_ERR_USE), "%s", ls_error_text(j.ctx));
        const char *who = i % 2 ? "the loss function returned nothing"
                                : "the forward function returned nothing";
        cr_assert(strstr(ls_error_text(j.ctx), who) != NULL, "%s", ls_error_text(j.ctx));
        ls_finish(j.ctx);
    }
}

Test(train, features_are_normalised)
{
    ls_ctx *ctx = ls_start(&(ls_opts){ .dtype = LS_FLOAT64, .leaf_rows = 4 });
    const double x[] = { 1, 0.1, 2, 0.1, 3, 0.1, 4, 0.1, 5, 0.1, 6, 0.1 };
    ls_dataset *d = ls_tensor_dataset(ctx, ls_tensor_new(ctx, LS_SHAPE(6, 2), 12, x),
                                      ls_zeros(ctx, LS_SHAPE(6, 1)));
    ls_loader *l = ls_loader_new(ctx, d, &(ls_loader_opts){ .batch_size = 6 });
    ls_tensor *rows, *y;
    cr_assert(eq(int, ls_dataset_normalize(ctx, d, NULL), LS_OK), "%s", ls_error_text(ctx));
    ls_next(l, &rows, &y);
    ls_tensor *whole = ls_whole(ctx, rows);
    cr_assert(epsilon_eq(dbl, ls_at(whole, 0), -2.5 / sqrt(17.5 / 6), 1e-14));
    cr_assert(epsilon_eq(dbl, ls_at(whole, 1), 0, 1e-14));
    cr_assert(eq(int, ls_finish(ctx), 0));
}

/* By a checkpoint of data that were not normalised; by figures of other features. */
Test(train, figures_that_do_not_fit)
{
    for (int i = 0; i < 2; i++) {
        job j = make_job(1, 0.05);
        j.run.fresh = true;
        if (i) ls_dataset_normalize(j.ctx, ls_loader_dataset(j.run.data), NULL);
        cr_assert(eq(int, ls_fit(j.ctx, &j.run), LS_OK), "%s", ls_error_text(j.ctx));
        ls_dataset *other = ls_tensor_dataset(j.ctx, ls_ones(j.ctx, LS_SHAPE(4, 7)),
                                              ls_ones(j.ctx, LS_SHAPE(4, 1)));
        cr_assert(eq(int, ls_dataset_normalize_by(j.ctx, other, j.run.dir), LS_ERR_CONFIG), "%s",
                  ls_error_text(j.ctx));
        cr_assert(strstr(ls_error_text(j.ctx),
                         i ? "features, these have 7" : "were not normalised") != NULL,
                  "%s", ls_error_text(j.ctx));
        ls_finish(j.ctx);
    }
}

Test(train, features_that_are_not_finite_are_named)
{
    ls_ctx *ctx = ls_start(&(ls_opts){ .leaf_rows = 2 });
    const double x[] = { 1, 0.1, 2, NAN, 3, 0.1 };
    ls_dataset *d = ls_tensor_dataset(ctx, ls_tensor_new(ctx, LS_SHAPE(3, 2), 6, x),
                                      ls_zeros(ctx, LS_SHAPE(3, 1)));
    cr_assert(eq(int, ls_dataset_normalize(ctx, d, NULL), LS_ERR_DATA));
    cr_assert(strstr(ls_error_text(ctx), "feature 1 of x is not finite in some row") != NULL, "%s",
              ls_error_text(ctx));
    cr_assert(eq(int, ls_finish(ctx), 65));
}
