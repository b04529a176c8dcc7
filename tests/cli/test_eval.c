/* test_eval.c -- the lockstep command after a run: evaluates, predicts, and looks at what there is, alone
 * and on several ranks.
 */
#include "cli.h"
#include <criterion/criterion.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

TestSuite(eval, .init = place_begin, .fini = place_end);

/* What the run's last line says of the validation, in eval's words. */
static void expect_figures(const char *from, spawned *s)
{
    char want[128], cost[32] = "", accuracy[32] = "";
    const char *at = strstr(from, "Epoch    2/2");
    cr_assert(at && (at = strstr(at, "Validation: ")), "%s", from);
    cr_assert_eq(sscanf(at, "Validation: %31s Accuracy: %31s", cost, accuracy), 2);
    snprintf(want, sizeof want, "cost %s  accuracy %s  rows 21\n", cost, accuracy);
    expect_end(s, 0, want, NULL);
}

Test(eval, says_what_the_run_said)
{
    make_run();
    spawned *s = lockstep("train", "small.yaml");
    expect_figures(s->out, lockstep("eval", "runs/small", "--data", "more.h5"));
    expect_figures(s->out, lockstep("eval", LAST("runs/small"), "--data=more.h5"));
    expect_figures(s->out, lockstep_on(3, "eval", "runs/small", "--data", "more.h5"));
    spawned_free(s);
}

Test(eval, a_cost_that_is_not_finite_is_an_error)
{
    make_run();
    expect_end(lockstep("train", "small.yaml", "--model=[{linear: 1}]", "--loss=mse",
                        "--optimizer.sgd.lr=0.01", "--quiet"),
               0, "", "");
    write_text("far.csv", "1,2,1\n3e38,3e38,1\n");
    expect_end(lockstep("convert", "far.csv", "far.h5", "--classes"), 0, NULL, "");
    spawned *s = lockstep("eval", "runs/small", "--data", "far.h5");
    cr_expect(!strncmp(s->out, "cost inf", 8) && strstr(s->out, "rows 2\n"), "%s", s->out);
    cr_expect(
        strstr(s->err, " values of far.h5, or what the model makes of them, are not finite\n"));
    expect_end(s, 79, NULL, NULL);
}

Test(eval, normalizes_as_the_run_did)
{
    make_run();
    spawned *s = lockstep("train", "small.yaml", "--data.normalize=standard", "--dtype=float64");
    spawned *without = lockstep("train", "small.yaml", "--checkpoint.dir=without",
                                "--dtype=float64");
    cr_assert_eq(s->code, 0, "%s", s->err);
    cr_expect(!without->code && strcmp(s->out, without->out), "normalizing makes no difference");
    spawned_free(without);
    expect_figures(s->out, lockstep("eval", "runs/small", "--data", "more.h5", "--normalize-as",
                                    "train.h5"));
    for (int np = 1; np <= 3; np++)
        expect_figures(s->out, np == 1
                                   ? lockstep("eval", "runs/small", "--data", "more.h5")
                                   : lockstep_on(np, "eval", "runs/small", "--data", "more.h5"));
    expect_end(lockstep("eval", "without", "--data", "more.h5", "--normalize-as", "train.h5"), 64,
               "", "lockstep: without was trained without normalizing: leave --normalize-as out\n");
    spawned_free(s);
}

Test(eval, names_what_does_not_fit)
{
    make_run();
    expect_end(lockstep("train", "small.yaml", "--quiet"), 0, "", "");
    write_text("f.csv", "1,2,3,1\n");
    expect_end(lockstep("convert", "f.csv", "f.h5", "--classes"), 0, NULL, "");
    expect_end(lockstep("eval", "runs/small", "--data=f.h5"), 78, "",
               "lockstep: runs/small /config:8:1: layer 0 of the model takes 2 features, but a row "
               "of the data has 3\n");
    expect_end(lockstep("eval", "none", "--data=f.h5"), 66, "", NULL);
    expect_end(lockstep("eval", "f.h5", "--data=f.h5"), 65, "", NULL);
    expect_end(lockstep("eval", "runs/small", "--data=none.h5"), 66, "", NULL);
    expect_end(lockstep("eval", "runs/small", "--data=more.h5", "--x=/none"), 65, "", NULL);
    expect_end(lockstep("eval", "runs/small", "--data=more.h5", "--y=/none"), 65, "", NULL);
}

/* The outputs of one row as a word in what h5dump prints. */
static void expect_row_in(const char *dump, const char *runs, const char *row, const char *as)
{
    spawned *s = as ? lockstep("predict", runs, "--row", row, "--normalize-as", as)
                    : lockstep("predict", runs, "--row", row);
    char want[256] = "", class[32];
    int digit, used = 0;
    double y[3];
    cr_assert_eq(s->code, 0, "%s", s->err);
    cr_assert_eq(sscanf(s->out, "%lf %lf %lf  class %d%n", y, y + 1, y + 2, &digit, &used), 4, "%s",
                 s->out);
    cr_assert_str_eq(s->out + used, "\n");
    for (int i = 0; i < 3; i++)
        snprintf(want + strlen(want), sizeof want - strlen(want), "%.17g%s", y[i],
                 i < 2 ? "," : "");
    snprintf(class, sizeof class, "%d", y[0] > y[1] && y[0] > y[2] ? 0 : y[1] > y[2] ? 1 : 2);
    cr_expect(atoi(class) == digit, "%s", s->out);
    cr_expect(strstr(dump, want) != NULL, "%s is not in %s", want, dump);
    spawned_free(s);
}

/* As make_data() writes a number, and convert stores it. */
static double as_stored(double value)
{
    char text[32];
    snprintf(text, sizeof text, "%.3f", value);
    return (double)strtof(text, NULL);
}

/* Data and single rows give the same bits, on any number of ranks. */
Test(eval, predicts)
{
    make_run();
    for (int scaled = 0; scaled < 2; scaled++) {
        const char *as = scaled ? "--normalize-as=train.h5" : "--data=more.h5:/x";
        char row[64];
        spawned *s = scaled
                         ? lockstep("train", "small.yaml", "--fresh", "--data.normalize=standard",
                                    "--data.x_scale=3", "--dtype=float64")
                         : lockstep("train", "small.yaml", "--dtype=float64");
        cr_assert_eq(s->code, 0, "%s", s->err);
        spawned_free(s);
        expect_end(lockstep("predict", "runs/small", "--data=more.h5", "--out=one.h5", as), 0,
                   "one.h5: 21 rows, /y [3] float64, /class int64\n", "");
        expect_end(lockstep_on(3, "predict", "runs/small", "--data=more.h5", "--out=three.h5"), 0,
                   NULL, "");
        expect_same_file("one.h5", "three.h5");
        s = run("h5dump", "-y", "-w", "0", "-m", "%.17g", "-d", "/y", "one.h5", NULL);
        cr_assert_eq(s->code, 0, "%s", s->err);
        char *to = s->out; /* a value a line becomes one line */
        for (const char *from = s->out; *from; from++)
            if (!isspace(*from)) *to++ = *from;
        *to = 0;
        for (int i = 50; i < 71; i += 5) {
            snprintf(row, sizeof row, "%.17g, %.17g", as_stored(sin(i * 1.7) * 2),
                     as_stored(cos(i * 0.9)));
            expect_row_in(s->out, "runs/small", row, scaled && i % 2 ? "train.h5" : NULL);
        }
        spawned_free(s);
        cr_assert(!unlink("one.h5") && !unlink("three.h5"));
    }
}

/* Many batches, whose memory grows at different ones on each rank. */
Test(eval, predicts_many_batches)
{
    make_run();
    make_data("many.h5", 401, 90);
    expect_end(lockstep("train", "small.yaml", "--quiet", "--data.batch_size=40",
                        "--train.leaf_rows=32", "--model=[linear: 32, tanh, linear: 3]"),
               0, "", "");
    for (int np = 1; np <= 4; np++) {
        char out[16];
        snprintf(out, sizeof out, "--out=%d.h5", np);
        expect_end(np > 1 ? lockstep_on(np, "predict", "runs/small", "--data=many.h5", out)
                          : lockstep("predict", "runs/small", "--data=many.h5", out),
                   0, NULL, "");
        if (np > 1) expect_same_file("1.h5", out + 6);
    }
}

Test(eval, predicts_values)
{
    make_data("train.h5", 50, 0);
    write_text("values.csv", "1,2,3\n4,5,9\n7,8,15\n");
    expect_end(lockstep("convert", "values.csv", "values.h5"), 0, NULL, "");
    write_text("line.yaml", "seed: 1\ndata: {train: values.h5, batch_size: 2}\nmodel: [linear: 1]\n"
                            "loss: mse\noptimizer: {sgd: {lr: 0.001}}\ntrain: {epochs: 2}\n");
    expect_end(lockstep("train", "line.yaml", "--quiet"), 0, "", "");
    expect_end(lockstep("predict", "runs/line", "--data=values.h5", "--out=a.h5:/best/guess"), 0,
               "a.h5: 3 rows, /best/guess [1] float32\n", "");
    spawned *s = run("h5ls", "-r", "a.h5", NULL);
    cr_expect(strstr(s->out, "/best/guess") && strstr(s->out, "Dataset {3, 1}\n") &&
                  !strstr(s->out, "class"),
              "%s", s->out);
    spawned_free(s);
    expect_end(lockstep("predict", "runs/line", "--data=a.h5:/best/guess", "--out=b.h5"), 78, "",
               NULL);
    expect_end(lockstep("predict", "runs/line", "--row=1,2,3"), 78, "", NULL);
    expect_end(lockstep("predict", "runs/line", "--row=1,two"), 64, "",
               "lockstep: --row: \"two\" is no number\n");
    expect_end(lockstep("predict", "runs/line", "--row= 1 5 ,2"), 64, "",
               "lockstep: --row: \"1 5\" is no number\n");
    expect_end(lockstep("predict", "runs/line", "--row=1,-1e39"), 64, "",
               "lockstep: --row: \"-1e39\" does not fit float32\n");
    expect_end(lockstep("predict", "runs/line", "--row=1,2", "--out=c.h5"), 64, "",
               "lockstep: --row is instead of --data and --out\n");
    expect_end(lockstep("predict", "runs/line"), 64, "",
               "lockstep: --data or --row must be given\n");
    expect_end(lockstep("predict", "runs/line", "--data=values.h5"), 64, "",
               "lockstep: --out is missing: the HDF5 file to make\n");
    expect_end(lockstep("predict", "runs/line", "--data=values.h5", "--out=a.h5"), 73, "", NULL);
    expect_end(lockstep("predict", "runs/line", "--data=values.h5:/none", "--out=c.h5"), 65, "",
               NULL);
    cr_expect(access("c.h5", F_OK) != 0, "c.h5 is left");
}

/* torch.manual_seed(1), nn.Linear(3, 1), and a DataLoader of five rows that shuffles, batch_size 2. */
Test(eval, which_rows)
{
    static const char *const rows[] = { "4\n0\n", "2\n3\n", "1\n", "0\n3\n", "2\n4\n", "1\n",
                                        "2\n4\n", "3\n0\n", "1\n", "3\n0\n", "1\n4\n", "2\n" };
    write_text("five.csv", "1,2,3,4\n2,2,2,2\n3,1,4,1\n0,0,1,2\n5,5,0,1\n");
    expect_end(lockstep("convert", "five.csv", "five.h5"), 0, NULL, "");
    write_text("five.yaml", "seed: 1\ndata: {train: five.h5, batch_size: 2}\nmodel: [linear: 1]\n"
                            "loss: mse\noptimizer: {sgd: {lr: 0.001}}\ntrain: {epochs: 2}\n");
    for (int i = 0; i < 12; i++) {
        char step[8], want[64];
        snprintf(step, sizeof step, "%d", i + 1);
        snprintf(want, sizeof want, "step %d: epoch %d, step %d of 3, %d rows\n%s", i + 1, i / 3,
                 i % 3 + 1, i % 3 == 2 ? 1 : 2, rows[i]);
        expect_end(lockstep("which", "five.yaml", "--step", step), 0, want, "");
    }
    expect_end(lockstep_on(2, "which", "--step=5", "five.yaml"), 0,
               "step 5: epoch 1, step 2 of 3, 2 rows\n2\n4\n", "");
    expect_end(lockstep("which", "--step=4", "five.yaml", "--data.shuffle=false",
                        "--data.batch_size=3", "--data.drop_last=true"),
               0, "step 4: epoch 3, step 1 of 1, 3 rows\n0\n1\n2\n", "");
    static const char *const huge[] = { "1000000000000", "2305843009213693952",
                                        "9223372036854775807" };
    for (int i = 0; i < 3; i++) {
        char batch[48];
        snprintf(batch, sizeof batch, "--data.batch_size=%s", huge[i]);
        expect_end(lockstep("which", "five.yaml", "--step=2", batch), 0,
                   "step 2: epoch 1, step 1 of 1, 5 rows\n0\n3\n2\n4\n1\n", "");
    }
    expect_end(
        lockstep("which", "five.yaml"), 64, "",
        "lockstep: --step is missing: the step, from 1, as messages and checkpoints count; see "
        "lockstep which --help\n");
    expect_end(lockstep("which", "five.yaml", "--step=0"), 64, "", NULL);
    expect_end(lockstep("which", "five.yaml", "--step=1", "--data.batch_sice=1"), 78, "", NULL);
}

Test(eval, inspect)
{
    make_run();
    expect_end(lockstep("train", "small.yaml", "--quiet"), 0, "", "");
    spawned *s = lockstep("inspect", LAST("runs/small"));
    cr_expect(s->code == 0 && strstr(s->out, "optimizer.sgd.lr: 0.5\n") &&
                  strstr(s->out, "0.weight"),
              "%s", s->out);
    spawned_free(s);
    expect_end(lockstep("train", "small.yaml", "--quiet", "--fresh", "--stop-after=5"), 75, "",
               NULL);
    s = lockstep("inspect", "runs/small/small-000000000005.h5");
    cr_expect(strstr(s->out, "progress     5 steps; next is step 2 of epoch 1\n"), "%s", s->out);
    spawned_free(s);
    s = lockstep("inspect", "train.h5");
    cr_expect(s->code == 0 && strstr(s->out, "/x") && strstr(s->out, "50"), "%s", s->out);
    spawned_free(s);
    expect_end(lockstep("inspect", "small.yaml"), 65, "", NULL);
    expect_end(lockstep("inspect", "none.h5"), 66, "", NULL);
}
