/* test_config.c -- how a configuration file is read: YAML, and the keys of a run.
 *
 * Complaints are compared whole: they are what a user of a misspelt file has.
 */
#include "resolve.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* ---- YAML ------------------------------------------------------------------------------------ */
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

Test(yaml, hostile_files_end_soon, .timeout = 60)
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
    expect_config(resolve(text), "run.yaml:5000:8: more than 5000 values");
    free(text);
}

Test(yaml, a_byte_order_mark_is_no_text)
{
    reading *r = resolve("\xef\xbb\xbf" WHOLE);
    cr_expect_eq(r->failure.status, LS_OK, "%s", r->failure.text);
    end(r);
    expect_config(resolve("\xef\xbb\xbfseed: x\n" WHOLE),
                  "run.yaml:1:7: seed must be a whole number, 0 or more, not \"x\"");
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
    cr_expect_eq(ls_build_loss(c), ls_mse_loss);
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
        "seed: 7\ndtype: float64\nkernel: openblas\ndata:\n  train: [a.h5, \"b*.h5\"]\n  "
        "validation: v.h5\n"
        "  x: in\n  y: out\n  x_scale: 255\n  normalize: standard\n  shuffle: false\n"
        "  batch_size: 256\n  drop_last: true\n"
        "model:\n  - linear: 512\n  - tanh\n  - linear:\n      out: 10\nloss: cross_entropy\n"
        "optimizer:\n  sgd:\n    lr: 1e-2\n    momentum: 0.9\n    weight_decay: 1\n"
        "    nesterov: true\ntrain: {epochs: 10, leaf_rows: 16}\n"
        "checkpoint: {dir: c, every_epochs: 0, every_steps: 5, keep: 1}\n"
        "log: {every_epochs: 0, file: l}\n");
    const ls_config *c = &r->config;
    cr_assert_eq(r->failure.status, LS_OK, "%s", r->failure.text);
    cr_expect(c->seed == 7 && c->dtype == 1 && c->kernel == 1 &&
              c->data.normalize == LS_NORMALIZE_STANDARD);
    cr_expect_str_eq(c->data.train, "a.h5,b*.h5");
    cr_expect_str_eq(c->data.validation, "v.h5");
    cr_expect_str_eq(c->data.x, "in");
    cr_expect_str_eq(c->data.y, "out");
    cr_expect(c->data.x_scale == 255 && !c->data.shuffle && c->data.batch_size == 256 &&
              c->data.drop_last);
    cr_expect(c->model.count == 3 && !strcmp(c->model.at[1].kind, "tanh") &&
              c->model.at[2].out == 10);
    cr_expect_eq(ls_build_loss(c), ls_cross_entropy);
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
        { "fresh: true\n", "run.yaml:1:1: unknown key \"fresh\"; known here: seed, dtype, kernel, "
                           "data, model, loss, "
                           "optimizer, train, checkpoint, log" },
        { "CONFIG: a\n", "run.yaml:1:1: unknown key \"CONFIG\"; known here: seed, dtype, kernel, "
                         "data, model, loss, "
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
        { "model: relu\n",
          "run.yaml:1:8: model must be a list of layers: linear, relu, leaky_relu, sigmoid, tanh, "
          "gelu, gelu_tanh, softplus, silu, softmax or log_softmax, not \"relu\"" },
        { "model: []\n",
          "run.yaml:1:8: model must be a list of layers: linear, relu, leaky_relu, sigmoid, tanh, "
          "gelu, gelu_tanh, softplus, silu, softmax or log_softmax, not a list" },
        { "model: [relux]\n", "run.yaml:1:9: unknown layer \"relux\"; did you mean \"relu\"?" },
        { "model: [conv]\n",
          "run.yaml:1:9: unknown layer \"conv\"; known are linear, relu, leaky_relu, sigmoid, "
          "tanh, gelu, gelu_tanh, softplus, silu, softmax, log_softmax" },
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
        { "model: [leaky_rleu]\n",
          "run.yaml:1:9: unknown layer \"leaky_rleu\"; did you mean \"leaky_relu\"?" },
        { "model: [{leaky_relu: {slope: 1}}]\n",
          "run.yaml:1:23: unknown key \"slope\" in leaky_relu; known here: negative_slope" },
        { "model: [{leaky_relu: 0}]\n",
          "run.yaml:1:22: leaky_relu.negative_slope must be a number above 0, not \"0\"" },
        { "model: [{softmax: {dim: 0}}]\n",
          "run.yaml:1:25: softmax.dim must be -1 or 1, not \"0\"" },
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
    expect_config(
        resolve(DATA REST),
        "run.yaml:1:1: model is missing: layers in order: - linear: 512, - relu, - linear: 10");
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
        cr_expect(!k->choices == (k->type != LS_KEY_CHOICE && k->type != LS_KEY_FORM &&
                                  k->type != LS_KEY_LAYERS),
                  "%s", k->path);
        for (int64_t j = 0; j < i; j++)
            cr_expect(s->keys[j].at != k->at || k->type == LS_KEY_FORM, "%s and %s have one place",
                      s->keys[j].path, k->path);
    }
}
