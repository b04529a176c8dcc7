/* test_layers.c -- file, environment and flags, one above the other; what checkpoints keep of them; models,
 * help and names.
 */
#include "resolve.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* ---- layers of settings ---------------------------------------------------------------------- */
Test(layers, flags_beat_environment_beats_file)
{
    static const char *const environment[] = { "PATH=/bin",   "LS_OPTIMIZER__SGD__LR=0.2",
                                               "LS_SEED=5",   "LS_FAULT=x",
                                               "LS_COLORS=y", NULL };
    reading *r = resolve(WHOLE);
    cr_expect_eq(r->config.optimizer.sgd.lr, 0.1);
    end(r);
    r = resolve_all(WHOLE, environment, 1, (const char *[]){ "run.yaml" });
    cr_expect_str_eq(r->failure.text, "");
    cr_expect(r->config.optimizer.sgd.lr == 0.2 && r->config.seed == 5);
    end(r);
    r = resolve_all(WHOLE, environment, 4,
                    (const char *[]){ "--optimizer.sgd.lr=0.3", "run.yaml", "--seed", "6" });
    cr_expect_str_eq(r->failure.text, "");
    cr_expect(r->config.optimizer.sgd.lr == 0.3 && r->config.seed == 6);
    cr_expect_str_eq(r->config.path, "run.yaml");
    end(r);
}

Test(layers, flags_and_variables_give_what_a_file_leaves_out)
{
    static const char *const environment[] = { "LS_OPTIMIZER__SGD__LR=0.2", "LS_TRAIN__EPOCHS=4",
                                               "LS_MODEL=[{linear: 2}, relu, {linear: 1}]", NULL };
    reading *r = resolve_all(DATA, environment, 4,
                             (const char *[]){ "run.yaml", "--loss=mse", "--model.0={linear: 7}",
                                               "--model.3=tanh" });
    cr_expect_str_eq(r->failure.text, "");
    cr_expect(r->config.optimizer.sgd.lr == 0.2 && r->config.train.epochs == 4);
    cr_expect(r->config.model.count == 4 && r->config.model.at[0].out == 7 &&
              r->config.model.at[2].out == 1);
    cr_expect_str_eq(r->config.model.at[3].kind, "tanh");
    end(r);
}

Test(layers, the_last_of_two_flags_counts)
{
    reading *r = resolve_flags(WHOLE, FLAGS("--seed=1", "--seed=2"));
    cr_expect(!r->failure.status && r->config.seed == 2);
    end(r);
}

Test(layers, keys_with_dots)
{
    reading *r = resolve(DATA MODEL "loss: mse\noptimizer.sgd.lr: 3\ntrain.epochs: 2\n");
    cr_expect(!r->failure.status && r->config.optimizer.sgd.lr == 3 && r->config.train.epochs == 2);
    end(r);
    expect_config(resolve("seed: 1\ntrain: {epochs: 1}\ntrain.epochs: 2\n"),
                  "run.yaml:3:1: train.epochs is set twice, first in line 2");
}

Test(layers, a_wrong_file_is_wrong_even_where_a_flag_stands_above)
{
    expect_config(resolve_flags("seed: x\n" WHOLE, FLAGS("--seed=1")),
                  "run.yaml:1:7: seed must be a whole number, 0 or more, not \"x\"");
}

Test(layers, complaints_name_flag_or_variable)
{
    static const struct {
        const char *variable, *complaint;
    } cases[] = {
        { "LS_OPTIMIZER__SGD__LR=x", "LS_OPTIMIZER__SGD__LR: must be a number above 0, not \"x\"" },
        { "LS_OPTIMIZER__SGD__LRR=1",
          "LS_OPTIMIZER__SGD__LRR: unknown key \"lrr\" in optimizer.sgd; did you mean \"lr\"?" },
        { "LS_DATA__TRAIN=",
          "LS_DATA__TRAIN: must be a file, a pattern, or a list of them, not \"\"" },
        { "LS_MODEL=[relux]", "LS_MODEL:1:2: unknown layer \"relux\"; did you mean \"relu\"?" },
        { "LS_MODEL__9=relu", "LS_MODEL__9: there is no layer 9 to replace: the model has 3" },
        { "LS_DATA__FRESH=1",
          "LS_DATA__FRESH: unknown key \"fresh\" in data; known here: train, validation, x, y, "
          "x_scale, normalize, shuffle, batch_size, drop_last" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_config(resolve_all(WHOLE, (const char *[]){ cases[i].variable, NULL }, 1,
                                  (const char *[]){ "run.yaml" }),
                      cases[i].complaint);
    expect_config(resolve_flags(WHOLE, FLAGS("--optimizer.sgd.lr=-1")),
                  "--optimizer.sgd.lr: must be a number above 0, not \"-1\"");
    expect_config(resolve_flags(WHOLE, FLAGS("--optimizer.sgd.lerning_rate=1")),
                  "--optimizer.sgd.lerning_rate: unknown key \"lerning_rate\" in optimizer.sgd; "
                  "did you mean \"lr\"?");
    expect_config(
        resolve_flags(WHOLE, FLAGS("--optimizer.sgd.nesterov", "true")),
        "--optimizer.sgd.nesterov: nesterov needs momentum; set optimizer.sgd.momentum above 0");
    expect_config(resolve_flags(WHOLE, FLAGS("--data=5")), "--data: data must be keys and values");
}

/* As a second optimizer would look. */
typedef struct two {
    int64_t form;
    double lr, rate;
} two;
static const ls_key two_keys[] = {
    { "optimizer", LS_KEY_FORM, LS_KEY_REQUIRED, offsetof(two, form), .choices = "sgd|adam",
      .help = "how" },
    { "optimizer.sgd.lr", LS_KEY_REAL, LS_KEY_REQUIRED | LS_KEY_NUMBERS, offsetof(two, lr),
      .help = "rate of sgd" },
    { "optimizer.adam.rate", LS_KEY_REAL, LS_KEY_REQUIRED | LS_KEY_NUMBERS, offsetof(two, rate),
      .help = "rate of adam" },
};
static const ls_schema two_schema = { two_keys, 3, sizeof(two) };

static void expect_form(const char *yaml, int64_t form, const char *complaint, const char *stored)
{
    two values;
    ls_settings s;
    ls_arena a = { 0 };
    ls_failure f = { 0 };
    ls_yaml *root;
    char *text = NULL;
    size_t bytes;
    cr_assert(!ls_settings_begin(&s, &two_schema, &values, &a, &f));
    if (!ls_yaml_parse("f", yaml, strlen(yaml), &a, &root, &f) && !ls_settings_file(&s, root, &f))
        ls_settings_complete(&s, 0, root, &f);
    cr_expect_str_eq(f.text, complaint);
    if (stored) {
        FILE *out = open_memstream(&text, &bytes);
        cr_assert(ls_settings_numbers(&s, out) && !fclose(out));
        cr_expect_eq(values.form, form);
        cr_expect_str_eq(text, stored);
        free(text);
    }
    ls_arena_free(&a);
}

Test(layers, one_of_several_forms)
{
    expect_form("optimizer: {adam: {rate: 3}}\n", 1, "", "optimizer.adam.rate: 3\n");
    expect_form("optimizer.sgd.lr: 2\n", 0, "", "optimizer.sgd.lr: 2\n");
    expect_form("optimizer: adam\n", 1, "f:1:1: optimizer.adam.rate is missing: rate of adam",
                NULL);
    expect_form("optimizer:\n  adam: {rate: 3}\n  sgd: {lr: 3}\n", 0,
                "f:3:3: optimizer is adam already, and cannot be sgd as well", NULL);
    expect_form("optimizer: {adom: {}}\n", 0,
                "f:1:13: unknown key \"adom\" in optimizer; did you mean \"adam\"?", NULL);
}

Test(layers, options)
{
    reading *r = resolve_flags(WHOLE,
                               FLAGS("--fresh", "--stop-after", "5", "--deadline=2.5", "--quiet"));
    cr_expect_str_eq(r->failure.text, "");
    cr_expect(r->config.fresh && r->config.quiet && r->config.stop_after == 5 &&
              r->config.deadline_s == 2.5);
    end(r);
    expect(resolve_flags(WHOLE, FLAGS("--frsh")), LS_ERR_ARG,
           "unknown option \"--frsh\"; did you mean --fresh?");
    expect(resolve_flags(WHOLE, FLAGS("--lr=1")), LS_ERR_ARG,
           "unknown option \"--lr\"; did you mean --optimizer.sgd.lr?");
    expect(resolve_flags(WHOLE, FLAGS("-x")), LS_ERR_ARG, "unknown option \"-x\"");
    expect(resolve_flags(WHOLE, FLAGS("--CONFIG=a")), LS_ERR_ARG, "unknown option \"--CONFIG\"");
    expect(resolve_flags(WHOLE, FLAGS("--stop-after")), LS_ERR_ARG, "--stop-after needs a value");
    expect(resolve_flags(WHOLE, FLAGS("--stop-after=0")), LS_ERR_ARG,
           "--stop-after: must be a whole number, 1 or more, not \"0\"");
    expect(resolve_flags(WHOLE, FLAGS("--fresh=true")), LS_ERR_ARG, "--fresh takes no value");
    expect(resolve_flags(WHOLE, FLAGS("more.yaml")), LS_ERR_ARG,
           "one word too many: \"more.yaml\"");
    expect(resolve_flags(WHOLE, FLAGS("--", "--fresh")), LS_ERR_ARG,
           "one word too many: \"--fresh\"");
}

/* ---- what checkpoints keep ------------------------------------------------------------------- */
static char *numbers(const reading *r)
{
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    cr_assert(ls_settings_numbers(&r->settings, out));
    fclose(out);
    return text;
}

Test(stored, text_is_sorted_and_holds_what_changes_numbers)
{
    reading *r = resolve(WHOLE "checkpoint: {dir: elsewhere}\n");
    ls_failure f = { 0 };
    int64_t outputs;
    cr_assert_eq(ls_layers_fit(&r->config.model, ls_config_at(&r->settings, "model"), 3, &outputs,
                               &f),
                 LS_OK);
    char *text = numbers(r);
    cr_expect_str_eq(text, "data.batch_size: 8\n"
                           "data.drop_last: false\n"
                           "data.normalize: none\n"
                           "data.shuffle: true\n"
                           "data.x_scale: 1\n"
                           "dtype: float32\n"
                           "loss: mse\n"
                           "model.0: {linear: {in: 3, out: 4, bias: true}}\n"
                           "model.1: relu\n"
                           "model.2: {linear: {in: 4, out: 1, bias: false}}\n"
                           "optimizer.sgd.dampening: 0\n"
                           "optimizer.sgd.lr: 0.1\n"
                           "optimizer.sgd.momentum: 0\n"
                           "optimizer.sgd.nesterov: false\n"
                           "optimizer.sgd.weight_decay: 0\n"
                           "seed: 0\n"
                           "train.leaf_rows: 32\n");
    free(text);
    end(r);
}

Test(stored, text_reads_back_as_itself)
{
    reading *r = resolve(
        "seed: 4294967296\ndtype: float64\ndata: {train: a, batch_size: 7, x_scale: 0.3, "
        "normalize: standard, shuffle: false, drop_last: true}\n" MODEL
        "loss: cross_entropy\noptimizer.sgd: {lr: 0.30000000000000004, momentum: 1e-5, "
        "nesterov: true}\ntrain: {epochs: 3, leaf_rows: 1}\n");
    cr_assert_str_eq(r->failure.text, "");
    char *text = numbers(r);
    reading *back = resolve_stored(text);
    cr_expect_str_eq(back->failure.text, "");
    char *again = numbers(back);
    cr_expect_str_eq(again, text);
    cr_expect_eq(back->config.optimizer.sgd.lr, 0.1 + 0.2);
    cr_expect_eq(back->config.seed, 4294967296);
    free(text);
    free(again);
    end(r);
    end(back);
}

Test(stored, what_is_no_run_of_the_command_is_refused)
{
    static const struct {
        const char *text, *complaint;
    } cases[] = {
        { "",
          "a.h5 /config:1:1: data.batch_size is missing: rows of a step, over all ranks together" },
        { "data.batch_size: 1\nloss: custom\n",
          "a.h5 /config:2:7: loss must be cross_entropy, nll, mse, l1, smooth_l1, huber, bce or "
          "bce_with_logits, not \"custom\"" },
        { "model.0: Net\n",
          "a.h5 /config:1:10: unknown layer \"Net\"; known are linear, relu, leaky_relu, sigmoid, "
          "tanh, gelu, gelu_tanh, softplus, silu, softmax, log_softmax" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_config(resolve_stored(cases[i].text), cases[i].complaint);
}

Test(stored, options_of_the_context)
{
    reading *r = resolve_flags(WHOLE, FLAGS("--seed=9", "--dtype=float64", "--train.leaf_rows=5",
                                            "--deadline=7", "--kernel=openblas"));
    cr_assert_str_eq(r->failure.text, "");
    ls_opts o = ls_build_opts(&r->config);
    cr_expect(o.seed == 9 && o.dtype == LS_FLOAT64 && o.leaf_rows == 5 && o.deadline_s == 7 &&
              o.kernel == LS_OPENBLAS);
    end(r);
}

/* ---- models ---------------------------------------------------------------------------------- */
Test(model, sizes_follow_and_must_fit)
{
    ls_origin at = { "run.yaml", 3, 1 };
    ls_layer layers[] = { LS_RELU, LS_LINEAR(0, 5), LS_TANH, LS_LINEAR(0, 2) };
    ls_layers l = { 4, layers };
    ls_failure f = { 0 };
    int64_t outputs = 0;
    cr_expect_eq(ls_layers_fit(&l, &at, 9, &outputs, &f), LS_OK);
    cr_expect(outputs == 2 && layers[1].in == 9 && layers[3].in == 5);
    cr_expect_eq(ls_layers_fit(&l, &at, 8, &outputs, &f), LS_ERR_CONFIG);
    cr_expect_str_eq(
        f.text, "run.yaml:3:1: layer 1 of the model takes 9 features, but a row of the data has 8");
    f = (ls_failure){ 0 };
    layers[1].out = 6;
    ls_layers_fit(&l, &at, 9, &outputs, &f);
    cr_expect_str_eq(
        f.text,
        "run.yaml:3:1: layer 3 of the model takes 5 features, but the layer before it gives 6");
    f = (ls_failure){ 0 };
    l.count = 1;
    ls_layers_fit(&l, &at, 9, &outputs, &f);
    cr_expect_str_eq(f.text, "run.yaml:3:1: the model has no linear layer, so nothing to train");
}

/* ---- help, names ----------------------------------------------------------------------------- */
Test(help, train_lists_every_key)
{
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    ls_help_command(&ls_train_command, out);
    fclose(out);
    for (int64_t i = 0; i < ls_config_schema.count; i++) {
        const ls_key *k = &ls_config_schema.keys[i];
        cr_expect(strstr(text, k->path) && strstr(text, k->help), "%s", k->path);
    }
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        cr_expect_leq(strlen(line), 100, "%s", line);
    free(text);
}

Test(names, stems)
{
    static const struct {
        const char *path, *stem;
    } cases[] = {
        { "fashion.yaml", "fashion" }, { "a/b.c/run.v2.yml", "run.v2" }, { "plain", "plain" },
        { ".yaml", ".yaml" },          { "a.b/plain", "plain" },
    };
    ls_arena a = { 0 };
    ls_failure f = { 0 };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_str_eq(ls_stem(cases[i].path, &a, &f), cases[i].stem);
    ls_arena_free(&a);
}
