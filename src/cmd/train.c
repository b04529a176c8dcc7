/* train.c -- lockstep train: settings, objects, a few words about them, and ls_fit().
 *
 * Everything that a complaint can be about is checked before anything is written: the settings
 * before the data are opened, the data before the first checkpoint. ls_fit() resumes, trains, logs
 * and saves.
 */
#include "cmd/cmd.h"
#include <stdlib.h>
#include <string.h>

typedef struct objects {
    ls_dataset *data, *validation;
    ls_module *model;
    ls_optim *optim;
    ls_loader *loader, *validation_loader;
    char *numbers; /* malloc()ed */
    const char *name;
    char *dir;
} objects;

/* ---- a few words before it begins ------------------------------------------------------------ */
static const char *row_text(ls_row row, char *out, size_t bytes)
{
    size_t n = (size_t)snprintf(out, bytes, "[N");
    if (row.type == LS_INT64) return "classes";
    for (int i = 0; i < row.shape.ndim && n < bytes; i++)
        n += (size_t)snprintf(out + n, bytes - n, ", %lld", (long long)row.shape.dim[i]);
    if (n < bytes) snprintf(out + n, bytes - n, "]");
    return out;
}

static void describe_data(ls_ctx *ctx, const char *what, const char *path, const ls_dataset *d)
{
    char x[128], y[128];
    ls_printf(ctx, "%-11s %s: %lld rows, x %s, y %s\n", what, path, (long long)ls_dataset_rows(d),
              row_text(ls_dataset_x(d), x, sizeof x), row_text(ls_dataset_y(d), y, sizeof y));
}

static int64_t count_parameters(const ls_module *m)
{
    ls_list list = ls_parameters(m);
    int64_t count = 0;
    for (int64_t i = 0; i < list.count; i++) {
        ls_shape shape = ls_shape_of(list.at[i]);
        int64_t elements = 1;
        for (int axis = 0; axis < shape.ndim; axis++) elements *= shape.dim[axis];
        count += elements;
    }
    return count;
}

static void describe(ls_ctx *ctx, const ls_config *c, const objects *o)
{
    describe_data(ctx, "data", c->data.train, o->data);
    if (o->validation) describe_data(ctx, "validation", c->data.validation, o->validation);
    const char *placement = ls_placement_text(ctx);
    if (strcmp(placement, "1") != 0) ls_printf(ctx, "%-11s %s\n", "ranks", placement);
    if (c->kernel) ls_printf(ctx, "%-11s %s\n", "kernel", ls_numerics_text(ctx));
    ls_printf(ctx, "model      ");
    for (int64_t i = 0; i < c->model.count; i++) {
        const ls_layer *l = &c->model.at[i];
        ls_printf(ctx, "%s%s", i ? ", " : " ", l->kind);
        if (l->out) ls_printf(ctx, " %lld %lld", (long long)l->in, (long long)l->out);
    }
    ls_printf(ctx, ": %lld parameters\n", (long long)count_parameters(o->model));
}

/* ---- objects --------------------------------------------------------------------------------- */
static bool has_same_rows(const ls_dataset *a, const ls_dataset *b)
{
    ls_row ax = ls_dataset_x(a), bx = ls_dataset_x(b), ay = ls_dataset_y(a), by = ls_dataset_y(b);
    bool same = ax.shape.ndim == bx.shape.ndim && ay.shape.ndim == by.shape.ndim &&
                ay.type == by.type;
    for (int i = 0; same && i < ax.shape.ndim; i++) same = ax.shape.dim[i] == bx.shape.dim[i];
    for (int i = 0; same && i < ay.shape.ndim; i++) same = ay.shape.dim[i] == by.shape.dim[i];
    return same;
}

static void open_data(ls_ctx *ctx, const ls_settings *s, objects *o)
{
    const ls_config *c = s->values;
    ls_failure f = { 0 };
    o->data = ls_build_dataset(ctx, c, c->data.train, NULL);
    if (c->data.validation) o->validation = ls_build_dataset(ctx, c, c->data.validation, o->data);
    if (ls_error(ctx)) return;
    if (o->validation && !has_same_rows(o->data, o->validation))
        ls_fail(ctx, LS_ERR_DATA, "%s has rows of another shape or type than %s",
                c->data.validation, c->data.train);
    if (c->data.drop_last && c->data.batch_size > ls_dataset_rows(o->data)) {
        ls_complain(&f, LS_ERR_CONFIG, ls_config_at(s, "data.drop_last"),
                    "drop_last leaves no batch: batch_size is %lld, but %s has %lld rows",
                    (long long)c->data.batch_size, c->data.train,
                    (long long)ls_dataset_rows(o->data));
        ls_fail_with(ctx, &f);
    }
}

static void build(ls_ctx *ctx, const ls_settings *s, objects *o)
{
    const ls_config *c = s->values;
    open_data(ctx, s, o);
    o->model = ls_build_model(ctx, s, o->data, true);
    if (ls_error(ctx)) return;
    o->optim = ls_sgd_new(ctx, ls_parameters(o->model), &c->optimizer.sgd);
    o->loader = ls_loader_new(ctx, o->data,
                              &(ls_loader_opts){ .batch_size = c->data.batch_size,
                                                 .shuffle = c->data.shuffle,
                                                 .drop_last = c->data.drop_last });
    if (o->validation)
        o->validation_loader = ls_loader_new(ctx, o->validation,
                                             &(ls_loader_opts){ .batch_size = c->data.batch_size });
}

/* What is written, and where. */
static void name(ls_ctx *ctx, const ls_settings *s, objects *o)
{
    const ls_config *c = s->values;
    ls_failure f = { 0 };
    size_t bytes;
    FILE *out = open_memstream(&o->numbers, &bytes);
    bool is_whole = out && ls_settings_numbers(s, out);
    if (!out || fclose(out) || !is_whole)
        ls_failure_memory(&f, bytes + 1, "the text of a run's settings");
    o->name = ls_stem(c->path, s->arena, &f);
    if (o->name && (o->dir = ls_arena_take(s->arena, strlen(o->name) + sizeof "runs/")))
        sprintf(o->dir, "runs/%s", o->name);
    else if (o->name) ls_failure_memory(&f, strlen(o->name) + sizeof "runs/", "the name of a run");
    if (f.status) ls_fail_with(ctx, &f);
}

static void train(ls_ctx *ctx, const ls_settings *s, objects *o)
{
    const ls_config *c = s->values;
    ls_opts opts = ls_build_opts(c);
    if (ls_configure(ctx, &opts)) return;
    build(ctx, s, o);
    if (!ls_error(ctx)) name(ctx, s, o);
    if (!ls_error(ctx) && !c->quiet) describe(ctx, c, o);
    ls_fit(ctx, &(ls_run){
                    .name = o->name,
                    .model = o->model,
                    .loss = ls_build_loss(c),
                    .optim = o->optim,
                    .data = o->loader,
                    .validation = o->validation_loader,
                    .epochs = c->train.epochs,
                    .log_every = c->quiet || !c->log.every_epochs ? -1 : c->log.every_epochs,
                    .dir = c->checkpoint.dir ? c->checkpoint.dir : o->dir,
                    .save_every = c->checkpoint.every_epochs,
                    .save_every_steps = c->checkpoint.every_steps,
                    .keep = c->checkpoint.keep,
                    .stop_after = c->stop_after,
                    .stop_before_s = c->stop_before_s,
                    .log_file = c->log.file,
                    .trace_file = c->trace,
                    .config = o->numbers,
                    .fresh = c->fresh,
                    .progress = !c->quiet,
                });
}

static void run(ls_ctx *ctx, int64_t count, const char *const *words)
{
    ls_config c;
    ls_settings s;
    ls_failure f = { 0 };
    ls_arena a = { 0 };
    objects o = { 0 };
    if (ls_settings_begin(&s, &ls_config_schema, &c, &a, &f)) ls_fail_with(ctx, &f);
    if (!ls_config_share(ctx, count, words, &s)) train(ctx, &s, &o);
    free(o.numbers);
    ls_arena_free(&a);
}

const ls_command ls_train_command = {
    "train",
    "trains, validates, logs, and saves; goes on from the newest sound checkpoint",
    &ls_config_schema,
    "Flags beat the environment, where optimizer.sgd.lr is LS_OPTIMIZER__SGD__LR, which beats "
    "CONFIG.\n"
    "A model as a flag: --model='[{linear: 512}, relu, {linear: 10}]'; one layer of it:\n"
    "--model.0='{linear: 64}'.\n",
    run,
};
