/* test_command.c -- the lockstep command as users start it: words, complaints and exit codes, runs that
 * train, stop and go on, alone and on several ranks.
 */
#include "cli.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

TestSuite(words, .init = place_begin, .fini = place_end);
TestSuite(config, .init = place_begin, .fini = place_end);
TestSuite(data, .init = place_begin, .fini = place_end);
TestSuite(run, .init = place_begin, .fini = place_end);

/* ---- words ----------------------------------------------------------------------------------- */
Test(words, help)
{
    static const char *const commands[] = { "train",   "eval",    "predict",
                                            "convert", "inspect", "which" };
    spawned *all = lockstep("--help"), *same = lockstep("help"), *bare = lockstep("-h");
    cr_expect(all->code == 0 && !*all->err);
    cr_expect_str_eq(same->out, all->out);
    cr_expect_str_eq(bare->out, all->out);
    for (int i = 0; i < 6; i++) {
        char usage[64];
        snprintf(usage, sizeof usage, "usage: lockstep %s ", commands[i]);
        spawned *one = lockstep(commands[i], "--help"), *again = lockstep("help", commands[i]);
        cr_expect(one->code == 0 && !*one->err && !strncmp(one->out, usage, strlen(usage)), "%s",
                  one->out);
        cr_expect_str_eq(again->out, one->out);
        cr_expect(strstr(all->out, commands[i]));
        spawned_free(one);
        spawned_free(again);
    }
    spawned_free(all);
    spawned_free(same);
    spawned_free(bare);
}

Test(words, several_ranks_help_once)
{
    spawned *s = lockstep_on(3, "train", "--help");
    cr_expect_eq(s->code, 0);
    cr_expect_eq(count_of("usage: lockstep train CONFIG", s->out), 1);
    spawned_free(s);
}

Test(words, version)
{
    spawned *s = lockstep("--version");
    cr_expect(s->code == 0 && !*s->err && !strncmp(s->out, "lockstep 0.1.0\n", 15), "%s", s->out);
    cr_expect(strstr(s->out, "HDF5 ") && strstr(s->out, "OpenBLAS ") && strstr(s->out, "kernels "));
    spawned_free(s);
}

Test(words, mistakes)
{
    expect_end(run(getenv("LS_LOCKSTEP"), NULL), 64, "",
               "lockstep: no sub-command is given; see lockstep --help\n");
    expect_end(lockstep("trian"), 64, "",
               "lockstep: unknown sub-command \"trian\"; did you mean \"train\"? Otherwise see "
               "lockstep --help\n");
    expect_end(lockstep("fly"), 64, "",
               "lockstep: unknown sub-command \"fly\"; see lockstep --help\n");
    expect_end(lockstep("--fly"), 64, "",
               "lockstep: unknown option \"--fly\"; see lockstep --help\n");
    expect_end(lockstep("help", "fly"), 64, "",
               "lockstep: unknown sub-command \"fly\"; see lockstep --help\n");
    expect_end(lockstep("train"), 64, "",
               "lockstep: no CONFIG is given; see lockstep train --help\n");
    expect_end(
        lockstep("train", "a.yaml", "--frsh"), 64, "",
        "lockstep: unknown option \"--frsh\"; did you mean --fresh? See lockstep train --help\n");
    expect_end(lockstep("inspect"), 64, "",
               "lockstep: FILE is missing: a checkpoint, or an HDF5 file with data; see lockstep "
               "inspect --help\n");
    expect_end(lockstep("eval", "a"), 64, "",
               "lockstep: --data is missing: HDF5 data; see lockstep eval --help\n");
}

Test(words, what_cannot_be_printed_is_an_error)
{
    if (access("/dev/full", W_OK)) cr_skip_test("there is no /dev/full here");
    char command[512];
    make_run();
    expect_end(lockstep("train", "small.yaml", "--quiet", "--train.epochs=2"), 0, "", "");
    static const char *const words[] = { "--help", "diff runs/small/*" };
    for (int i = 0; i < 2; i++) {
        snprintf(command, sizeof command, "exec %s %s >/dev/full", getenv("LS_LOCKSTEP"), words[i]);
        expect_end(run("sh", "-c", command, NULL), 74, "",
                   "lockstep: standard output: No space left on device\n");
    }
}

/* ---- configurations -------------------------------------------------------------------------- */
static void expect_config(int ranks, const char *yaml, const char *complaint)
{
    char line[512];
    write_text("run.yaml", yaml);
    snprintf(line, sizeof line, "%s\n", complaint);
    spawned *s = ranks == 1 ? lockstep("train", "run.yaml")
                            : lockstep_on(ranks, "train", "run.yaml");
    cr_expect_eq(s->code, 78, "exit code %d on %d ranks: %s", s->code, ranks, s->err);
    cr_expect_str_eq(s->out, "");
    if (ranks == 1)
        cr_expect(!strncmp(s->err, "lockstep: ", 10) && !strcmp(s->err + 10, line), "%s", s->err);
    cr_expect_eq(count_of(line, s->err), 1, "%s\nand not\n%s", s->err, line);
    cr_expect_eq(files_here(), 1, "something was written");
    spawned_free(s);
}

Test(config, complaints_on_one_rank_and_on_three)
{
    static const struct {
        const char *yaml, *complaint;
    } cases[] = {
        { "seed: 1\noptimizer:\n  sgd:\n    lerning_rate: 0.1\n",
          "run.yaml:4:5: unknown key \"lerning_rate\" in optimizer.sgd; did you mean \"lr\"?" },
        { "seed: one\n", "run.yaml:1:7: seed must be a whole number, 0 or more, not \"one\"" },
        { "seed: -1\n", "run.yaml:1:7: seed must be a whole number, 0 or more, not \"-1\"" },
        { "seed: 1\nseed: 2\n", "run.yaml:2:1: key \"seed\" stands here twice, first in line 1" },
        { "seed: [1\n", "run.yaml:2:1: not YAML: did not find expected ',' or ']', while parsing a "
                        "flow sequence that "
                        "begins in line 1" },
        { "data: {train: none.h5, batch_size: 1}\n",
          "run.yaml:1:1: model is missing: layers in order: - linear: 512, - relu, - linear: 10" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_config(1, cases[i].yaml, cases[i].complaint);
    for (size_t i = 0; i < 3; i++) expect_config(3, cases[i].yaml, cases[i].complaint);
}

Test(config, flags_and_variables_are_named)
{
    write_text("run.yaml", RUN);
    expect_end(lockstep("train", "run.yaml", "--optimizer.sgd.lr=-1"), 78, "",
               "lockstep: --optimizer.sgd.lr: must be a number above 0, not \"-1\"\n");
    expect_end(
        run("env", "LS_TRAIN__EPOCS=3", getenv("LS_LOCKSTEP"), "train", "run.yaml", NULL), 78, "",
        "lockstep: LS_TRAIN__EPOCS: unknown key \"epocs\" in train; did you mean \"epochs\"?\n");
    cr_expect_eq(files_here(), 1);
}

Test(config, files_that_cannot_be_read)
{
    expect_end(lockstep("train", "none.yaml"), 66, "",
               "lockstep: none.yaml: No such file or directory\n");
    expect_end(lockstep("train", "."), 74, "", "lockstep: .: Is a directory\n");
    spawned *s = lockstep_on(3, "train", "none.yaml");
    cr_expect(s->code == 66 && count_of("none.yaml: No such file or directory\n", s->err) == 1,
              "%s", s->err);
    spawned_free(s);
}

/* Before anything is trained that could not be saved. */
Test(config, whose_name_is_none_of_a_checkpoint)
{
    char path[176], fits[176], line[128];
    make_run();
    write_text(".hid.yaml", RUN);
    expect_end(lockstep("train", ".hid.yaml"), 64, "",
               "lockstep: \".hid.yaml\": its stem, by which checkpoints are called, begins with a "
               "dot: rename the file; see lockstep train --help\n");
    write_text(".yaml", RUN);
    expect_end(lockstep("train", "./.yaml", "--checkpoint.dir=a"), 64, "", NULL);
    expect_end(lockstep("launch", "-n", "2", "--", "train", ".hid.yaml"), 64, "", NULL);
    memset(path, 'a', 161);
    strcpy(path + 161, ".yaml");
    write_text(path, RUN);
    snprintf(line, sizeof line,
             ": its stem, by which checkpoints are called, has more than 160 bytes: ");
    spawned *s = lockstep_on(2, "train", path);
    cr_expect(s->code == 64 && count_of(line, s->err) == 1, "%d: %s", s->code, s->err);
    spawned_free(s);
    cr_expect(access("runs", F_OK) && access("a", F_OK), "something was written");
    strcpy(fits, path + 1);
    write_text(fits, RUN);
    expect_end(lockstep("train", fits, "--quiet"), 0, "", "");
}

/* ---- configurations that do not fit the data ------------------------------------------------- */
Test(data, what_does_not_fit_is_named)
{
    make_run();
    expect_end(lockstep("train", "small.yaml", "--data.train=none.h5"), 66, "", NULL);
    expect_end(lockstep("train", "small.yaml", "--data.x=/none"), 65, "", NULL);
    expect_end(lockstep("train", "small.yaml", "--loss=mse"), 78, "",
               "lockstep: small.yaml:3:8: the model has 3 outputs, but a row of /y has 1 values\n");
    expect_end(lockstep("train", "small.yaml", "--model=[relu]"), 78, "",
               "lockstep: --model:1:1: the model has no linear layer, so nothing to train\n");
    expect_end(lockstep("train", "small.yaml", "--model.0={linear: {in: 4, out: 5}}"), 78, "",
               "lockstep: --model.0: layer 0 of the model takes 4 features, but a row of the data "
               "has 2\n");
    expect_end(lockstep("train", "small.yaml", "--data.drop_last=true", "--data.batch_size=51"), 78,
               "",
               "lockstep: --data.drop_last: drop_last leaves no batch: batch_size is 51, but "
               "train.h5 has 50 rows\n");
    write_text("f.csv", "1,2\n");
    expect_end(lockstep("convert", "f.csv", "f.h5"), 0, NULL, "");
    expect_end(lockstep("train", "small.yaml", "--data.train=f.h5", "--data.validation=f.h5"), 78,
               "",
               "lockstep: small.yaml:4:7: cross_entropy needs classes, but /y holds floating "
               "values; is mse meant?\n");
    expect_end(
        lockstep("train", "small.yaml", "--loss=bce", "--model.2={linear: 1}"), 78, "",
        "lockstep: --loss: bce needs outputs between 0 and 1: end the model in sigmoid, or take "
        "bce_with_logits\n");
    expect_end(lockstep("train", "small.yaml", "--data.validation=f.h5"), 65, "",
               "lockstep: f.h5 has rows of another shape or type than train.h5\n");
    cr_expect(access("runs", F_OK), "something was written");
}

/* Labels [N, 1], and targets [N, 2] that are whole numbers. */
Test(data, classes_are_one_a_row)
{
    static const char *const losses[] = { "cross_entropy", "nll" };
    make_run();
    write_bytes("one.idx", "\0\0\10\2\0\0\0\4\0\0\0\1\0\1\2\1", 16);
    write_bytes("two.idx", "\0\0\10\2\0\0\0\4\0\0\0\2\0\1\2\1\0\1\2\1", 20);
    write_bytes("labels.idx", "\0\0\10\1\0\0\0\4\0\1\2\1", 12);
    expect_end(lockstep("convert", "one.idx", "--labels=labels.idx", "one.h5"), 0, NULL, "");
    expect_end(lockstep("convert", "two.idx", "--labels=labels.idx", "two.h5"), 0, NULL, "");
#define ON(file) "--data.train=" file, "--data.validation=" file
    for (int i = 0; i < 2; i++) {
        char line[160], loss[32];
        snprintf(loss, sizeof loss, "--loss=%s", losses[i]);
        snprintf(line, sizeof line,
                 "lockstep: --loss: %s needs one class a row, [N], but /x has 2 dimensions\n",
                 losses[i]);
        expect_end(lockstep("train", "small.yaml", ON("one.h5"), "--data.y=/x", loss), 78, "",
                   line);
        expect_end(lockstep("train", "small.yaml", ON("two.h5"), "--data.y=/x", loss), 78, "",
                   line);
    }
    expect_end(lockstep("train", "small.yaml", ON("two.h5"), "--data.y=/x", "--loss=mse"), 78, "",
               "lockstep: small.yaml:3:8: the model has 3 outputs, but a row of /x has 2 values\n");
    cr_expect(access("runs", F_OK), "something was written");
    expect_end(lockstep("train", "small.yaml", ON("two.h5"), "--data.y=/x", "--loss=mse",
                        "--model.2={linear: 2}", "--checkpoint.dir=values", "--quiet"),
               0, "", "");
    expect_end(lockstep("train", "small.yaml", ON("two.h5"), "--quiet"), 0, "", "");
    expect_end(
        lockstep("eval", "runs/small", "--data=two.h5", "--y=/x"), 78, "",
        "lockstep: runs/small /config:7:7: cross_entropy needs one class a row, [N], but /x has 2 "
        "dimensions\n");
#undef ON
}

/* ---- runs ------------------------------------------------------------------------------------ */
Test(run, says_what_it_does)
{
    make_run();
    spawned *s = lockstep("train", "small.yaml");
    cr_assert_eq(s->code, 0, "%s", s->err);
    cr_expect(!strncmp(s->out,
                       "data        train.h5: 50 rows, x [N, 2], y classes\n"
                       "validation  more.h5: 21 rows, x [N, 2], y classes\n"
                       "model       linear 2 5, tanh, linear 5 3: 33 parameters\n"
                       "Epoch    0/2 Cost: ",
                       169),
              "%s", s->out);
    cr_expect_eq(count_of("\n", s->out), 6);
    cr_expect_str_eq(s->err, "");
    cr_expect(!access(LAST("runs/small"), F_OK), "the last checkpoint is missing");
    spawned_free(s);
    s = lockstep("train", "small.yaml");
    cr_expect(s->code == 0 && strstr(s->out, "small is finished: 3 of 3 epochs are done\n"), "%s%s",
              s->out, s->err);
    spawned_free(s);
}

Test(run, has_one_result_on_any_number_of_ranks)
{
    make_run();
    spawned *one = lockstep("train", "small.yaml", "--checkpoint.dir=one");
    spawned *three = lockstep_on(3, "train", "small.yaml", "--checkpoint.dir=three");
    cr_expect_eq(one->code, 0);
    cr_expect_eq(three->code, 0, "%s", three->err);
    char *placed = strstr(three->out, "ranks "), *model = strstr(three->out, "model ");
    cr_assert(placed && model && placed < model, "%s", three->out);
    memmove(placed, model, strlen(model) + 1); /* the line that says where ranks run */
    cr_expect_str_eq(three->out, one->out);
    expect_same_file(LAST("one"), LAST("three"));
    spawned_free(one);
    spawned_free(three);
}

Test(run, stops_and_goes_on)
{
    make_run();
    expect_end(lockstep("train", "small.yaml", "--quiet", "--checkpoint.dir=whole"), 0, "", "");
    expect_end(lockstep("train", "small.yaml", "--quiet", "--stop-after=5"), 75, "", NULL);
    expect_end(lockstep("train", "small.yaml", "--quiet", "--stop-after=5"), 75, "", NULL);
    expect_end(lockstep("train", "small.yaml", "--quiet"), 0, "", "");
    expect_same_file(LAST("whole"), LAST("runs/small"));
}

Test(run, goes_on_with_more_epochs_but_not_with_other_numbers)
{
    make_run();
    expect_end(lockstep("train", "small.yaml", "--quiet", "--checkpoint.dir=whole"), 0, "", "");
    expect_end(lockstep("train", "small.yaml", "--quiet", "--train.epochs=2"), 0, "", "");
    spawned *s = lockstep("train", "small.yaml", "--quiet", "--optimizer.sgd.lr=0.25");
    cr_expect_eq(s->code, 78);
    cr_expect(strstr(s->err, "optimizer.sgd.lr: 0.5") && strstr(s->err, "optimizer.sgd.lr: 0.25") &&
                  strstr(s->err, "--fresh"),
              "%s", s->err);
    spawned_free(s);
    expect_end(lockstep("train", "small.yaml", "--quiet", "--log.every_epochs=2"), 0, "", "");
    expect_same_file(LAST("whole"), LAST("runs/small"));
    expect_end(lockstep("train", "small.yaml", "--quiet", "--optimizer.sgd.lr=0.25", "--fresh"), 0,
               "", "");
}

Test(run, takes_settings_from_flags_and_environment)
{
    make_run();
    spawned *flags = lockstep("train", "small.yaml", "--model.2={linear: 7}", "--train.epochs", "1",
                              "--model.3={linear: 3}", "--checkpoint.dir=flags");
    cr_expect(flags->code == 0 && strstr(flags->out, "linear 2 5, tanh, linear 5 7, linear 7 3:"),
              "%s%s", flags->out, flags->err);
    spawned_free(flags);
    spawned *s = run("env", "LS_TRAIN__EPOCHS=1", getenv("LS_LOCKSTEP"), "train", "small.yaml",
                     NULL);
    cr_expect(s->code == 0 && strstr(s->out, "Epoch    0/0 Cost: "), "%s%s", s->out, s->err);
    spawned_free(s);
}

Test(run, order_and_batches_are_as_configured)
{
    make_run();
    spawned *s = lockstep("train", "small.yaml", "--checkpoint.dir=a");
    spawned *same_order = lockstep("train", "small.yaml", "--checkpoint.dir=b",
                                   "--data.shuffle=false");
    cr_expect(!s->code && !same_order->code && strcmp(s->out, same_order->out),
              "the order makes no difference");
    spawned_free(s);
    spawned_free(same_order);
    expect_end(lockstep("train", "small.yaml", "--quiet", "--checkpoint.dir=c",
                        "--data.drop_last=true"),
               0, "", "");
    cr_expect(!access("c/small-000000000009.h5", F_OK), "a short last batch was not left out");
}

static int count_files(const char *dir)
{
    cr_assert(!chdir(dir));
    int count = files_here();
    cr_assert(!chdir(".."));
    return count;
}

Test(run, saves_as_often_as_configured)
{
    make_run();
    expect_end(lockstep("train", "small.yaml", "--quiet", "--checkpoint.dir=a"), 0, "", "");
    expect_end(lockstep("train", "small.yaml", "--quiet", "--checkpoint.dir=b",
                        "--checkpoint.every_epochs=0"),
               0, "", "");
    expect_end(lockstep("train", "small.yaml", "--quiet", "--checkpoint.dir=c",
                        "--checkpoint.every_steps=2", "--checkpoint.keep=5"),
               0, "", "");
    expect_end(lockstep("train", "small.yaml", "--quiet", "--checkpoint.dir=d",
                        "--checkpoint.keep=1"),
               0, "", "");
    cr_expect_eq(count_files("a"), 3);
    cr_expect_eq(count_files("b"), 1);
    cr_expect_eq(count_files("c"), 5); /* of steps 4, 6, 8, 10 and 12 */
    cr_expect(!access("c/small-000000000010.h5", F_OK));
    cr_expect_eq(count_files("d"), 1);
}

Test(run, writes_a_log)
{
    make_run();
    expect_end(lockstep("train", "small.yaml", "--log.file=log.jsonl", "--log.every_epochs=0"), 0,
               NULL, "");
    char *log = read_text("log.jsonl", NULL);
    cr_assert(log);
    cr_expect(count_of("\n", log) == 3 && count_of("\"validation_accuracy\":", log) == 3, "%s",
              log);
    free(log);
}

/* A slip of the name costs no data: what is no log, or no timeline, is not written over. */
Test(run, overwrites_nothing_but_its_own)
{
    make_run();
    size_t before = 0, after = 0;
    free(read_text("train.h5", &before));
    expect_end(
        lockstep("train", "small.yaml", "--log.file=train.h5"), 73, NULL,
        "lockstep: train.h5: is no log, and would be overwritten; log.file must name another "
        "file\n");
    expect_end(lockstep("train", "small.yaml", "--trace=train.h5"), 73, NULL,
               "lockstep: train.h5: is no timeline, and would be overwritten; --trace must name "
               "another file\n");
    free(read_text("train.h5", &after));
    cr_expect(before > 0 && before == after);
    for (int i = 0; i < 2; i++) /* its own, and one that was not finished */
        expect_end(lockstep("train", "small.yaml", "--fresh", "--log.file=l", "--trace=t"), 0, NULL,
                   "");
    write_text("l", "{\"ep");
    expect_end(lockstep("train", "small.yaml", "--fresh", "--log.file=l"), 0, NULL, "");
}

Test(run, one_file_is_not_log_and_timeline)
{
    static const char *const paths[] = { "both", "./both", "link" };
    make_run();
    cr_assert(!symlink("both", "link"));
    for (int i = 0; i < 9;
         i++) { /* not there, then a log, then a timeline; fresh, and gone on with */
        char trace[32], line[128];
        size_t before = 0, after = 0;
        free(read_text("both", &before));
        snprintf(trace, sizeof trace, "--trace=%s", paths[i % 3]);
        snprintf(
            line, sizeof line,
            "lockstep: %s: would be the log and the timeline; --trace must name another file\n",
            paths[i % 3]);
        expect_end(lockstep("train", "small.yaml", "--quiet", "--log.file=both", trace,
                            i / 3 == 2 ? "--fresh" : "--quiet"),
                   73, NULL, line);
        free(read_text("both", &after));
        cr_expect_eq(before, after);
        if (i == 2) expect_end(lockstep("train", "small.yaml", "--log.file=both"), 0, NULL, "");
    }
    spawned *s = lockstep_on(2, "train", "small.yaml", "--log.file=both", "--trace=both");
    cr_expect(s->code == 73 && count_of("would be the log", s->err) == 1, "%d %s", s->code, s->err);
    spawned_free(s);
    expect_end(lockstep("train", "small.yaml", "--fresh", "--log.file=/dev/null",
                        "--trace=/dev/null"),
               0, NULL, "");
}

/* Of all ranks, and closed, so that it can be read. */
static int steps_in(const char *name)
{
    size_t bytes = 0;
    char *text = read_text(name, &bytes);
    cr_assert(text && bytes > 4 && !strcmp(text + bytes - 4, "\n]}\n"), "%s", text);
    int count = count_of("\"name\":\"forward\"", text);
    free(text);
    return count;
}

Test(run, timeline_of_what_was_done)
{
    make_run();
    expect_end(lockstep_on(2, "train", "small.yaml", "--quiet", "--trace=t", "--stop-after=5"), 75,
               "", NULL);
    cr_expect_eq(steps_in("t"), 10);
    expect_end(lockstep("train", "small.yaml", "--quiet", "--trace=t", "--stop-after=3"), 75, "",
               NULL);
    cr_expect_eq(steps_in("t"), 3); /* to the end of an epoch */
    expect_end(lockstep("train", "small.yaml", "--quiet", "--trace=t"), 0, "", "");
    cr_expect_eq(steps_in("t"), 4);
    expect_end(lockstep("train", "small.yaml", "--trace=t"), 0, NULL, ""); /* finished */
    cr_expect_eq(steps_in("t"), 4);
    expect_end(lockstep("train", "small.yaml", "--trace=none"), 0, NULL, "");
    cr_expect(access("none", F_OK), "a timeline without a step");
    expect_end(lockstep("train", "small.yaml", "--fresh", "--quiet", "--stop-after=1",
                        "--trace=/none/t"),
               73, "", NULL);
}

Test(run, few_rows_leave_ranks_idle)
{
    write_text("five.csv", "1,2\n2,2\n3,1\n0,0\n5,5\n");
    expect_end(lockstep("convert", "five.csv", "five.h5"), 0, NULL, "");
    write_text("five.yaml", "data: {train: five.h5, batch_size: 1000}\nmodel: [linear: 1]\n"
                            "loss: mse\noptimizer: {sgd: {lr: 0.001}}\ntrain: {epochs: 1}\n");
    expect_end(
        lockstep_on(2, "train", "five.yaml"), 0, NULL,
        "lockstep: 1 rank idle: a batch of 5 rows has fewer leaves of 32 rows than there are "
        "ranks; larger batches, smaller leaves or fewer ranks help\n");
}

/* Every layer in one model, and every loss with outputs that suit it: stopped on two ranks, gone on
 * with on one. */
Test(run, every_layer_and_loss)
{
#define LAYERS                                                                                     \
    "[{linear: 5}, relu, {linear: 5}, {leaky_relu: 0.2}, leaky_relu, sigmoid, tanh, gelu, "        \
    "gelu_tanh, softplus, silu, {softmax: {dim: 1}}, log_softmax, {linear: "
    static const char *const cases[][2] = {
        { "cross_entropy", LAYERS "3}]" }, { "nll", LAYERS "3}, log_softmax]" },
        { "mse", LAYERS "1}]" },           { "l1", LAYERS "1}]" },
        { "smooth_l1", LAYERS "1}]" },     { "huber", LAYERS "1}]" },
        { "bce", LAYERS "1}, sigmoid]" },  { "bce_with_logits", LAYERS "1}]" },
    };
    make_run();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char loss[64], model[320], line[64];
        snprintf(loss, sizeof loss, "--loss=%s", cases[i][0]);
        snprintf(model, sizeof model, "--model=%s", cases[i][1]);
        snprintf(line, sizeof line, "loss: %s\n", cases[i][0]);
#define AS loss, model, "--optimizer.sgd.lr=0.01", "--quiet"
        expect_end(lockstep("train", "small.yaml", AS, "--checkpoint.dir=one", "--fresh"), 0, "",
                   "");
        expect_end(lockstep_on(2, "train", "small.yaml", AS, "--checkpoint.dir=two", "--fresh",
                               "--stop-after=5"),
                   75, "", NULL);
        expect_end(lockstep("train", "small.yaml", AS, "--checkpoint.dir=two"), 0, "", "");
        expect_same_file(LAST("one"), LAST("two"));
        spawned *s = lockstep("inspect", LAST("one"));
        cr_expect(strstr(s->out, line) &&
                      strstr(s->out, "model.3: {leaky_relu: {negative_slope: 0.2}}\n") &&
                      strstr(s->out, "model.4: {leaky_relu: {negative_slope: 0.01}}\n") &&
                      strstr(s->out, "model.11: {softmax: {dim: 1}}\n"),
                  "%s", s->out);
        spawned_free(s);
        spawned *one = lockstep("eval", "one", "--data=more.h5");
        cr_expect(!one->code && strstr(one->out, "rows 21"), "%s", one->err);
        expect_end(lockstep_on(2, "eval", "one", "--data=more.h5"), 0, one->out, NULL);
        spawned_free(one);
    }
    expect_end(lockstep("train", "small.yaml", "--loss=hubre"), 78, "",
               "lockstep: --loss: must be cross_entropy, nll, mse, l1, smooth_l1, huber, bce or "
               "bce_with_logits, not \"hubre\"; did you mean \"huber\"?\n");
}
