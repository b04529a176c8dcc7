/* schema.c -- the keys of a run: everything a configuration can say, with its type, range and
 * default.
 *
 * The table is the only place that knows them: reading, checking, --help and what checkpoints keep
 * follow from it. A new setting is one line here and one member of ls_config. Keys marked NUMBERS
 * change the result; they are kept in checkpoints, and a run goes on only with the same ones. The
 * others (paths, checkpoints, logs, the number of epochs) may change from one start of a run to the
 * next.
 */
#include "cmd/cmd.h"
#include <math.h>
#include <string.h>

#define AT(member)               offsetof(ls_config, member)
#define NEED                     LS_KEY_REQUIRED
#define NUM                      LS_KEY_NUMBERS
#define OPTION                   LS_KEY_OPTION
#define KIND(kind, ...)          "|" #kind
#define CHOICE(name, f, classes) "|" #name
static const ls_key keys[] = {
    { "CONFIG", LS_KEY_TEXT, NEED | LS_KEY_ARGUMENT, AT(path),
      .help = "the configuration, a YAML file" },
    { "fresh", LS_KEY_BOOL, OPTION, AT(fresh),
      .help = "starts over, whatever checkpoints there are" },
    { "stop-after", LS_KEY_INT, OPTION, AT(stop_after), .min = 1, .value = "STEPS",
      .help = "saves and ends with exit code 75 after so many steps" },
    { "stop-before", LS_KEY_TEXT, OPTION, AT(stop_before), .value = "TIME",
      .help = "likewise, to be done within a time: 90m, 12h, 1:30:00" },
    { "deadline", LS_KEY_REAL, OPTION | LS_KEY_ABOVE, AT(deadline_s), .standard = "600",
      .value = "SECONDS", .help = "longest wait for another rank" },
    { "quiet", LS_KEY_BOOL, OPTION, AT(quiet), .help = "no description, costs or progress" },
    { "trace", LS_KEY_TEXT, OPTION, AT(trace), .value = "FILE",
      .help = "what every rank did when, in Chrome's trace format" },

    { "seed", LS_KEY_INT, NUM, AT(seed), .standard = "0", .help = "of all random numbers" },
    { "dtype", LS_KEY_CHOICE, NUM, AT(dtype), .standard = "float32", .choices = "float32|float64",
      .help = "type of all floating values" },
    { "kernel", LS_KEY_CHOICE, 0, AT(kernel), .standard = "canonical",
      .choices = "canonical|openblas",
      .help = "who makes matrix products; their checkpoints do not mix" },

    { "data.train", LS_KEY_PATHS, NEED, AT(data.train), .help = "HDF5 data to train on" },
    { "data.validation", LS_KEY_PATHS, 0, AT(data.validation),
      .help = "data to validate on after every epoch" },
    { "data.x", LS_KEY_TEXT, 0, AT(data.x), .standard = "/x",
      .help = "dataset of inputs in the files" },
    { "data.y", LS_KEY_TEXT, 0, AT(data.y), .standard = "/y",
      .help = "dataset of targets in the files" },
    { "data.x_scale", LS_KEY_REAL, NUM | LS_KEY_ABOVE, AT(data.x_scale), .standard = "1",
      .help = "x is divided by this" },
    { "data.normalize", LS_KEY_CHOICE, NUM, AT(data.normalize), .standard = "none",
      .choices = "none|standard",
      .help = "standard: by mean and deviation over all training rows" },
    { "data.shuffle", LS_KEY_BOOL, NUM, AT(data.shuffle), .standard = "true",
      .help = "another order of rows every epoch" },
    { "data.batch_size", LS_KEY_INT, NEED | NUM, AT(data.batch_size), .min = 1,
      .help = "rows of a step, over all ranks together" },
    { "data.drop_last", LS_KEY_BOOL, NUM, AT(data.drop_last), .standard = "false",
      .help = "leaves out a short last batch" },

    { "model", LS_KEY_LAYERS, NEED | NUM, AT(model),
      .choices = "linear" LS_ACTIVATIONS(KIND, KIND, KIND),
      .help = "layers in order: - linear: 512, - relu, - linear: 10" },
    { "loss", LS_KEY_CHOICE, NEED | NUM, AT(loss), .choices = &LS_LOSSES(CHOICE)[1],
      .help = "what is made small" },

    { "optimizer", LS_KEY_FORM, NEED, AT(optimizer.form), .choices = "sgd",
      .help = "how parameters are updated" },
    { "optimizer.sgd.lr", LS_KEY_REAL, NEED | NUM | LS_KEY_ABOVE, AT(optimizer.sgd.lr),
      .help = "the learning rate" },
    { "optimizer.sgd.momentum", LS_KEY_REAL, NUM, AT(optimizer.sgd.momentum), .standard = "0",
      .help = "how much of the update before stays" },
    { "optimizer.sgd.dampening", LS_KEY_REAL, NUM, AT(optimizer.sgd.dampening), .standard = "0",
      .help = "how much less of the gradient joins it" },
    { "optimizer.sgd.weight_decay", LS_KEY_REAL, NUM, AT(optimizer.sgd.weight_decay),
      .standard = "0", .help = "how much of the parameter joins the gradient" },
    { "optimizer.sgd.nesterov", LS_KEY_BOOL, NUM, AT(optimizer.sgd.nesterov), .standard = "false",
      .help = "looks ahead along the momentum" },

    { "train.epochs", LS_KEY_INT, NEED, AT(train.epochs), .min = 1,
      .help = "passes over the training data" },
    { "train.leaf_rows", LS_KEY_INT, NUM, AT(train.leaf_rows), .min = 1, .max = 1 << 20,
      .standard = "32", .help = "rows of a batch that are summed in one go" },

    { "checkpoint.dir", LS_KEY_TEXT, 0, AT(checkpoint.dir),
      .help = "directory; by default runs/ and the stem of CONFIG" },
    { "checkpoint.every_epochs", LS_KEY_INT, 0, AT(checkpoint.every_epochs), .standard = "1",
      .help = "epochs between checkpoints; 0: only at the end" },
    { "checkpoint.every_steps", LS_KEY_INT, 0, AT(checkpoint.every_steps), .standard = "0",
      .help = "steps between checkpoints; 0: none between epochs" },
    { "checkpoint.keep", LS_KEY_INT, 0, AT(checkpoint.keep), .min = 1, .standard = "3",
      .help = "how many of the newest stay" },

    { "log.every_epochs", LS_KEY_INT, 0, AT(log.every_epochs), .standard = "1",
      .help = "epochs between cost lines; 0: none" },
    { "log.file", LS_KEY_TEXT, 0, AT(log.file), .help = "costs as JSON lines" },
};
const ls_schema ls_config_schema = { keys, sizeof keys / sizeof *keys, sizeof(ls_config) };

const ls_origin *ls_config_at(const ls_settings *s, const char *path)
{
    return &s->set_at[ls_key_find(s->schema, path) - keys];
}

ls_status ls_config_check(const ls_settings *s, ls_failure *f)
{
    const ls_config *c = s->values;
    const ls_sgd_opts *sgd = &c->optimizer.sgd;
    const double divisor = c->dtype ? c->data.x_scale : (double)(float)c->data.x_scale;
    if (!isnormal(divisor))
        return ls_complain(f, LS_ERR_CONFIG, ls_config_at(s, "data.x_scale"),
                           "%s cannot divide by %g: it is too %s", c->dtype ? "float64" : "float32",
                           c->data.x_scale, c->data.x_scale < 1 ? "small" : "large");
    const ls_origin *nesterov = ls_config_at(s, "optimizer.sgd.nesterov");
    if (sgd->nesterov && sgd->momentum == 0)
        return ls_complain(f, LS_ERR_CONFIG, nesterov,
                           "nesterov needs momentum; set optimizer.sgd.momentum above 0");
    if (sgd->nesterov && sgd->dampening != 0)
        return ls_complain(f, LS_ERR_CONFIG, nesterov,
                           "nesterov goes without dampening; leave optimizer.sgd.dampening out");
    return LS_OK;
}

const char *ls_stem(const char *path, ls_arena *a, ls_failure *f)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    return ls_text_keep(a, name, dot && dot > name ? (size_t)(dot - name) : strlen(name), f);
}
