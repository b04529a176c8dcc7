/* test_config.c -- how a configuration is read: YAML, keys, layers of settings, and what is
 * kept.
 *
 * Complaints are compared whole: they are what a user of a misspelt file has.
 */
#include "cmd/cmd.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* ---- a configuration that is right, and ways to change it ---------------------------------- */
#define DATA  "data: {train: a.h5, batch_size: 8}\n"
#define MODEL "model: [{linear: 4}, relu, {linear: {out: 1, bias: false}}]\n"
#define REST  "loss: mse\noptimizer:\n  sgd: {lr: 0.1}\ntrain: {epochs: 3}\n"
#define WHOLE DATA MODEL REST

typedef struct reading {
    ls_arena arena;
    ls_config config;
    ls_settings settings;
    ls_failure failure;
} reading;

static const char *const nothing[] = { NULL };

static reading *resolve_all(const char *yaml, const char *const *environment, int64_t count,
                            const char *const *words)
{
    reading *r = calloc(1, sizeof *r);
    ls_inputs in = { "run.yaml", yaml, strlen(yaml), count, words, environment };
    if (!ls_settings_begin(&r->settings, &ls_config_schema, &r->config, &r->arena, &r->failure))
        ls_config_resolve(&r->settings, &in, &r->failure);
    return r;
}

static reading *resolve(const char *yaml)
{
    return resolve_all(yaml, nothing, 1, (const char *[]){ "run.yaml" });
}

static reading *resolve_flags(const char *yaml, int64_t count, const char *const *flags)
{
    const char *words[8] = { "run.yaml" };
    memcpy(words + 1, flags, (size_t)count * sizeof *flags);
    return resolve_all(yaml, nothing, count + 1, words);
}
#define FLAGS(...)                                                                                 \
    sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *), (const char *[])                     \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static void end(reading *r)
{
    ls_arena_free(&r->arena);
    free(r);
}

static void expect(reading *r, ls_status status, const char *complaint)
{
    cr_expect_str_eq(r->failure.text, complaint);
    cr_expect_eq(r->failure.status, status, "status %d, not %d: %s", r->failure.status, status,
                 r->failure.text);
    end(r);
}

static void expect_config(reading *r, const char *complaint)
{
    expect(r, LS_ERR_CONFIG, complaint);
}

/* ---- YAML ----------------------------------------------------------------------------------- */
Test(yaml, complaints_name_the_place)
{
    static const struct {
        const char *yaml, *complaint;
    } cases[] = {
        { "a: [1, 2\nb: 3\n",
          "run.yaml:2:2: not YAML: did not find expected ',' or ']', while parsing "
          "a flow sequence that begins in line 1" },
        { "a: b: c\n",
          "run.yaml:1:5: not YAML: mapping values are not allowed in this context; a text "
          "with \": \" in it needs quotes, and keys of one section the same indent" },
        { "a:\n\tb: 1\n",
          "run.yaml:2:1: not YAML: found character that cannot start any token; indent "
          "with spaces, not tabs" },
        { "a: *.h5\n",
          "run.yaml:1:5: not YAML: did not find expected alphabetic or numeric character; "
          "a text that begins with * or & needs quotes" },
        { "a: 1\nb: *a\n",
          "run.yaml:2:4: aliases are not read; a text that begins with * needs quotes" },
        { "a: &b 1\n",
          "run.yaml:1:4: anchors are not read: \"b\"; write the value out where it is needed" },
        { "a: !!int 1\n",
          "run.yaml:1:4: tags are not read: \"tag:yaml.org,2002:int\"; leave it out, the "
          "key says the type" },
        { "seed: 1\ndtype: float32\nseed: 2\n",
          "run.yaml:3:1: key \"seed\" stands here twice, first in line 1" },
        { "? [a]\n: 1\n", "run.yaml:1:3: a key must be a word" },
        { "seed: 1\n---\nseed: 2\n",
          "run.yaml:2:1: a second document begins here; only one is read" },
        { "seed: 1\nloss: \"\xff\"\n",
          "run.yaml:2:8: not a text in UTF-8: invalid leading UTF-8 octet" },
        { "loss: \"a\\0b\"\n", "run.yaml:1:7: a text holds a zero byte" },
        { "- 1\n", "run.yaml:1:1: a configuration is keys and values, as seed: 1" },
        { "", "run.yaml:1:1: data.train is missing: HDF5 data to train on" },
        { "# nothing\n", "run.yaml:1:1: data.train is missing: HDF5 data to train on" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_config(resolve(cases[i].yaml), cases[i].complaint);
}

Test(yaml, hostile_files_end_soon, .timeout = 10)
{
    char *text = malloc(LS_YAML_MAX_BYTES + 2);
    memset(text, '[', LS_YAML_MAX_BYTES);
    text[LS_YAML_MAX_BYTES] = 0;
    expect_config(resolve(text), "run.yaml:1:17: nested deeper than 16");
    memset(text, ' ', LS_YAML_MAX_BYTES + 1);
    text[LS_YAML_MAX_BYTES + 1] = 0;
    expect_config(resolve(text), "run.yaml: larger than 1048576 bytes: is it a configuration?");
    *text = 0;
    for (int i = 0, n = 0; i <= LS_YAML_MAX_VALUES; i++) n += sprintf(text + n, "k%d: 1\n", i);
    expect_config(resolve(text), "run.yaml:10000:8: more than 10000 values");
    free(text);
}

/* ---- keys ------------------------------------------------------------------------------------ */
Test(schema, defaults)
{
    reading *r = resolve(WHOLE);
    const ls_config *c = &r->config;
    cr_assert_eq(r->failure.status, LS_OK, "%s", r->failure.text);
    cr_expect_str_eq(c->path, "run.yaml");
    cr_expect_str_eq(c->data.train, "a.h5");
    cr_expect_null(c->data.validation);
    cr_expect_str_eq(c->data.x, "/x");
    cr_expect_str_eq(c->data.y, "/y");
    cr_expect(c->seed == 0 && c->dtype == 0 && c->data.x_scale == 1 && !c->data.normalize);
    cr_expect(c->data.shuffle && !c->data.drop_last && c->data.batch_size == 8);
    cr_expect(c->model.count == 3 && !strcmp(c->model.at[0].kind, "linear") &&
              c->model.at[0].out == 4);
    cr_expect(!c->model.at[0].no_bias && c->model.at[2].no_bias && c->model.at[2].out == 1);
    cr_expect_str_eq(c->model.at[1].kind, "relu");
    cr_expect_eq(c->loss, LS_LOSS_MSE);
    cr_expect(c->optimizer.sgd.lr == 0.1 && c->optimizer.sgd.momentum == 0 &&
              !c->optimizer.sgd.nesterov);
    cr_expect(c->train.epochs == 3 && c->train.leaf_rows == 32);
    cr_expect(!c->checkpoint.dir && c->checkpoint.every_epochs == 1 && c->checkpoint.keep == 3);
    cr_expect(c->checkpoint.every_steps == 0 && c->log.every_epochs == 1 && !c->log.file);
    cr_expect(!c->fresh && !c->quiet && c->stop_after == 0 && c->deadline_s == 600);
    end(r);
}

Test(schema, every_key)
{
    reading *r = resolve(
        "seed: 7\ndtype: float64\ndata:\n  train: [a.h5, \"b*.h5\"]\n  validation: v.h5\n"
        "  x: in\n  y: out\n  x_scale: 255\n  normalize: standard\n  shuffle: false\n"
        "  batch_size: 256\n  drop_last: true\n"
        "model:\n  - linear: 512\n  - tanh\n  - linear:\n      out: 10\nloss: cross_entropy\n"
        "optimizer:\n  sgd:\n    lr: 1e-2\n    momentum: 0.9\n    weight_decay: 1\n"
        "    nesterov: true\ntrain: {epochs: 10, leaf_rows: 16}\n"
        "checkpoint: {dir: c, every_epochs: 0, every_steps: 5, keep: 1}\n"
        "log: {every_epochs: 0, file: l}\n");
    const ls_config *c = &r->config;
    cr_assert_eq(r->failure.status, LS_OK, "%s", r->failure.text);
    cr_expect(c->seed == 7 && c->dtype == 1 && c->data.normalize == LS_NORMALIZE_STANDARD);
    cr_expect_str_eq(c->data.train, "a.h5,b*.h5");
    cr_expect_str_eq(c->data.validation, "v.h5");
    cr_expect_str_eq(c->data.x, "in");
    cr_expect_str_eq(c->data.y, "out");
    cr_expect(c->data.x_scale == 255 && !c->data.shuffle && c->data.batch_size == 256 &&
              c->data.drop_last);
    cr_expect(c->model.count == 3 && !strcmp(c->model.at[1].kind, "tanh") &&
              c->model.at[2].out == 10);
    cr_expect_eq(c->loss, LS_LOSS_CROSS_ENTROPY);
    cr_expect(c->optimizer.sgd.lr == 0.01 && c->optimizer.sgd.momentum == 0.9);
    cr_expect(c->optimizer.sgd.weight_decay == 1 && c->optimizer.sgd.nesterov);
    cr_expect(c->train.epochs == 10 && c->train.leaf_rows == 16);
    cr_expect_str_eq(c->checkpoint.dir, "c");
    cr_expect(c->checkpoint.every_epochs == 0 && c->checkpoint.every_steps == 5 &&
              c->checkpoint.keep == 1);
    cr_expect(c->log.every_epochs == 0 && !strcmp(c->log.file, "l"));
    end(r);
}

Test(schema, unknown_keys)
{
    static const struct {
        const char *yaml, *complaint;
    } cases[] = {
        { "optimizer:\n  sgd:\n    lerning_rate: 1\n",
          "run.yaml:3:5: unknown key \"lerning_rate\" in optimizer.sgd; did you mean \"lr\"?" },
        { "sede: 1\n", "run.yaml:1:1: unknown key \"sede\"; did you mean \"seed\"?" },
        { "lr: 1\n", "run.yaml:1:1: unknown key \"lr\"; did you mean \"optimizer.sgd.lr\"?" },
        { "data: {colour: 1}\n",
          "run.yaml:1:8: unknown key \"colour\" in data; known here: train, validation, "
          "x, y, x_scale, normalize, shuffle, batch_size, drop_last" },
        { "optimizer: {adam: {lr: 1}}\n",
          "run.yaml:1:13: unknown key \"adam\" in optimizer; known here: sgd" },
        { "fresh: true\n",
          "run.yaml:1:1: unknown key \"fresh\"; known here: seed, dtype, data, model, loss, "
          "optimizer, train, checkpoint, log" },
        { "CONFIG: a\n",
          "run.yaml:1:1: unknown key \"CONFIG\"; known here: seed, dtype, data, model, loss, "
          "optimizer, train, checkpoint, log" },
        { "seed.x: 1\n", "run.yaml:1:1: seed is one value, and has no keys of its own" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_config(resolve(cases[i].yaml), cases[i].complaint);
}

Test(schema, wrong_values)
{
    static const struct {
        const char *yaml, *complaint;
    } cases[] = {
        { "seed: x\n", "run.yaml:1:7: seed must be a whole number, 0 or more, not \"x\"" },
        { "seed: -1\n", "run.yaml:1:7: seed must be a whole number, 0 or more, not \"-1\"" },
        { "seed: \"1\"\n",
          "run.yaml:1:7: seed must be a whole number, 0 or more, not the text \"1\"" },
        { "seed:\n", "run.yaml:1:6: seed must be a whole number, 0 or more, not nothing" },
        { "seed: [1]\n", "run.yaml:1:7: seed must be a whole number, 0 or more, not a list" },
        { "seed: 1_000\n", "run.yaml:1:7: seed must be a whole number, 0 or more, not \"1_000\"" },
        { "dtype: float23\n", "run.yaml:1:8: dtype must be float32 or float64, not \"float23\"; "
                              "did you mean \"float32\"?" },
        { "dtype: double\n", "run.yaml:1:8: dtype must be float32 or float64, not \"double\"; did "
                             "you mean \"float64\"?" },
        { "data: 1\n", "run.yaml:1:7: data must be keys and values" },
        { "data: {train: []}\n",
          "run.yaml:1:15: data.train must be a file, a pattern, or a list of them, not a list" },
        { "data: {train: [a, [b]]}\n",
          "run.yaml:1:15: data.train must be a file, a pattern, or a list of them, not a list" },
        { "data: {train: [\"a,b\", c]}\n", "run.yaml:1:16: a name in a list cannot hold a comma" },
        { "data: {train: ~}\n",
          "run.yaml:1:15: data.train must be a file, a pattern, or a list of them, not nothing" },
        { "data: {x: \"\"}\n", "run.yaml:1:11: data.x must be a text, not the text \"\"" },
        { "data: {x_scale: 0}\n",
          "run.yaml:1:17: data.x_scale must be a number above 0, not \"0\"" },
        { "data: {shuffle: yes}\n",
          "run.yaml:1:17: data.shuffle must be true or false, not \"yes\"" },
        { "data: {batch_size: 0}\n",
          "run.yaml:1:20: data.batch_size must be a whole number, 1 or more, not \"0\"" },
        { "train: {leaf_rows: 2000000}\n", "run.yaml:1:20: train.leaf_rows must be a whole number "
                                           "from 1 to 1048576, not \"2000000\"" },
        { "optimizer: {sgd: {lr: .inf}}\n",
          "run.yaml:1:23: optimizer.sgd.lr must be a number above 0, not \".inf\"" },
        { "optimizer: {sgd: {momentum: -0.5}}\n",
          "run.yaml:1:29: optimizer.sgd.momentum must be a number, 0 or more, not \"-0.5\"" },
        { "optimizer: {}\n", "run.yaml:1:12: optimizer must be sgd, not keys and values" },
        { "optimizer: adam\n", "run.yaml:1:12: optimizer must be sgd, not \"adam\"" },
        { "optimizer:\n", "run.yaml:1:11: optimizer must be sgd, not nothing" },
        { "model: relu\n", "run.yaml:1:8: model must be a list of layers, not \"relu\"" },
        { "model: []\n", "run.yaml:1:8: model must be a list of layers, not a list" },
        { "model: [relux]\n", "run.yaml:1:9: unknown layer \"relux\"; did you mean \"relu\"?" },
        { "model: [softmax]\n",
          "run.yaml:1:9: unknown layer \"softmax\"; known are linear, relu, tanh" },
        { "model: [linear]\n", "run.yaml:1:9: linear needs its number of outputs, as linear: 512" },
        { "model: [{linear: x}]\n",
          "run.yaml:1:18: linear.out must be a whole number from 1 to 2147483647, not \"x\"" },
        { "model: [{linear: 0}]\n",
          "run.yaml:1:18: linear.out must be a whole number from 1 to 2147483647, not \"0\"" },
        { "model: [{linear: {bias: 1, out: 1}}]\n",
          "run.yaml:1:25: linear.bias must be true or false, not \"1\"" },
        { "model: [{linear: {bias: true}}]\n",
          "run.yaml:1:18: linear.out is missing: the number of outputs" },
        { "model: [{linear: {units: 3}}]\n",
          "run.yaml:1:19: unknown key \"units\" in linear; did you mean \"out\"?" },
        { "model: [{relu: 3}]\n",
          "run.yaml:1:10: relu has no settings; write it alone, as - relu" },
        { "model: [{linear: 3, relu: }]\n",
          "run.yaml:1:21: a layer is one word, as relu, or one with its size, as linear: 512" },
        { "model: [[relu]]\n",
          "run.yaml:1:9: a layer is one word, as relu, or one with its size, as linear: 512" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_config(resolve(cases[i].yaml), cases[i].complaint);
}

Test(schema, missing_keys_are_missed_where_they_belong)
{
    expect_config(resolve("seed: 1\n" MODEL REST),
                  "run.yaml:1:1: data.train is missing: HDF5 data to train on");
    expect_config(
        resolve("seed: 1\n\ndata: {train: a}\n" MODEL REST),
        "run.yaml:3:1: data.batch_size is missing: rows of a step, over all ranks together");
    expect_config(resolve(DATA REST),
                  "run.yaml:1:1: model is missing: layers in order: - linear: 512, - relu, - tanh");
    expect_config(resolve(DATA MODEL "optimizer: {sgd: {lr: 1}}\n"),
                  "run.yaml:1:1: loss is missing: what is made small");
    expect_config(resolve(DATA MODEL "loss: mse\n"),
                  "run.yaml:1:1: optimizer is missing: how parameters are updated");
    expect_config(resolve(DATA MODEL "loss: mse\noptimizer:\n  sgd:\n"),
                  "run.yaml:5:3: optimizer.sgd.lr is missing: the learning rate");
    expect_config(resolve(DATA MODEL "loss: mse\noptimizer: sgd\n"),
                  "run.yaml:4:1: optimizer.sgd.lr is missing: the learning rate");
    expect_config(resolve(DATA MODEL "loss: mse\noptimizer: {sgd: {lr: 1}}\n"),
                  "run.yaml:1:1: train.epochs is missing: passes over the training data");
}

Test(schema, combinations)
{
    expect_config(
        resolve(
            DATA MODEL
            "loss: mse\ntrain: {epochs: 1}\noptimizer:\n  sgd:\n    lr: 1\n    nesterov: true\n"),
        "run.yaml:8:15: nesterov needs momentum; set optimizer.sgd.momentum above 0");
    expect_config(
        resolve(DATA MODEL
                "loss: mse\ntrain: {epochs: 1}\noptimizer:\n  sgd: {lr: 1, nesterov: true, "
                "momentum: 0.9, dampening: 0.1}\n"),
        "run.yaml:6:26: nesterov goes without dampening; leave optimizer.sgd.dampening out");
}

Test(schema, the_table_is_sound)
{
    const ls_schema *s = &ls_config_schema;
    for (int64_t i = 0; i < s->count; i++) {
        const ls_key *k = &s->keys[i];
        cr_expect_eq(ls_key_find(s, k->path), k, "%s stands twice", k->path);
        cr_expect(k->help && *k->help, "%s has no help", k->path);
        cr_expect(!(k->flags & LS_KEY_REQUIRED && k->standard), "%s is required and has a default",
                  k->path);
        cr_expect(!k->choices == (k->type != LS_KEY_CHOICE && k->type != LS_KEY_FORM), "%s",
                  k->path);
        for (int64_t j = 0; j < i; j++)
            cr_expect(s->keys[j].at != k->at || k->type == LS_KEY_FORM, "%s and %s have one place",
                      s->keys[j].path, k->path);
    }
}

/* ---- layers of settings -----------------------------------------------------------------------
 */
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

/* ---- what checkpoints keep ----------------------------------------------------------------------
 */
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
    reading *back = calloc(1, sizeof *back);
    cr_assert_str_eq(r->failure.text, "");
    char *text = numbers(r);
    cr_assert(!ls_settings_begin(&back->settings, &ls_config_schema, &back->config, &back->arena,
                                 &back->failure));
    ls_config_stored(&back->settings, "a.h5 /config", text, &back->failure);
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
          "a.h5 /config:2:7: loss must be cross_entropy or mse, not \"custom\"" },
        { "model.0: Net\n",
          "a.h5 /config:1:10: unknown layer \"Net\"; known are linear, relu, tanh" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        reading *r = calloc(1, sizeof *r);
        cr_assert(!ls_settings_begin(&r->settings, &ls_config_schema, &r->config, &r->arena,
                                     &r->failure));
        ls_config_stored(&r->settings, "a.h5 /config", cases[i].text, &r->failure);
        expect_config(r, cases[i].complaint);
    }
}

/* ---- models
 * -------------------------------------------------------------------------------------- */
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

/* ---- help, names
 * ----------------------------------------------------------------------------------- */
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
