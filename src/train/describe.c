/* describe.c -- the configuration of a run as text, from its objects: what changes numbers, one
 * `key.path: value` a line in bytewise order of the keys, as the command writes it from a
 * configuration file. It goes into checkpoints, and a run resumes only with the same text.
 *
 * A model of one's own is described by its kind and the shapes of its parameters, a loss of one's
 * own by that word: enough to refuse another one, not enough for `lockstep eval` to build it.
 */
#include "train/train.h"
#include "base/config.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_real(FILE *out, const char *key, double value)
{
    char text[LS_REAL_CHARS];
    fprintf(out, "%s: %s\n", key, ls_real_text(value, text));
}

static void put_bool(FILE *out, const char *key, bool value)
{
    fprintf(out, "%s: %s\n", key, value ? "true" : "false");
}

/* False for a module that is no layer: its kind. */
static bool put_layer(FILE *out, int64_t i, const ls_module *m)
{
    ls_layer l;
    bool is_layer = ls_layer_of(m, &l);
    fprintf(out, "model.%lld: ", (long long)i);
    if (is_layer) ls_layer_write(&l, out);
    else fprintf(out, "%s", m->kind);
    fprintf(out, "\n");
    return is_layer;
}

static void put_model(FILE *out, const ls_module *m)
{
    if (!strcmp(m->kind, "Sequential")) {
        for (int64_t i = 0; i < m->count; i++) put_layer(out, i, m->member[i].module);
        return;
    }
    if (put_layer(out, 0, m)) return;
    ls_list p = ls_parameters(m);
    for (int64_t i = 0; i < p.count; i++)
        fprintf(out, "model.0.%s: %s\n", ls_parameter_name(m, i),
                ls_shape_str(p.at[i]->shape).text);
}

static const char *loss_name(ls_loss_fn *loss)
{
#define NAME(name, f, classes)                                                                     \
    if (loss == f) return #name;
    LS_LOSSES(NAME)
    return "custom";
}

static void put_run(FILE *out, const ls_ctx *ctx, const ls_run *run)
{
    const ls_loader_opts *l = ls_loader_options(run->data);
    const ls_dataset *d = ls_loader_dataset(run->data);
    const ls_sgd_opts *sgd = &run->optim->sgd;
    const double *mean, *deviation;
    fprintf(out, "data.batch_size: %lld\n", (long long)l->batch_size);
    put_bool(out, "data.drop_last", l->drop_last);
    fprintf(out, "data.normalize: %s\n",
            ls_dataset_normal(d, &mean, &deviation) ? "standard" : "none");
    put_bool(out, "data.shuffle", l->shuffle);
    put_real(out, "data.x_scale", ls_dataset_x_scale(d));
    fprintf(out, "dtype: %s\n", ls_dtype_name(ctx->opts.dtype));
    fprintf(out, "loss: %s\n", loss_name(run->loss));
    put_model(out, run->model);
    put_real(out, "optimizer.sgd.dampening", sgd->dampening);
    put_real(out, "optimizer.sgd.lr", sgd->lr);
    put_real(out, "optimizer.sgd.momentum", sgd->momentum);
    put_bool(out, "optimizer.sgd.nesterov", sgd->nesterov);
    put_real(out, "optimizer.sgd.weight_decay", sgd->weight_decay);
    fprintf(out, "seed: %llu\n", (unsigned long long)ctx->opts.seed);
    fprintf(out, "train.leaf_rows: %lld\n", (long long)ctx->opts.leaf_rows);
}

char *ls_describe(ls_ctx *ctx, const ls_run *run)
{
    char *made = NULL, *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&made, &bytes);
    if (out) {
        put_run(out, ctx, run);
        if (!fclose(out) && (text = ls_memory_new(bytes + 1))) memcpy(text, made, bytes);
    }
    free(made);
    if (!text) ls_fail_memory(ctx, bytes + 1, "the description of the run");
    return text;
}
