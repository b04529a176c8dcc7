/* build.c -- the objects of a run, from its settings.
 *
 * What a configuration alone cannot know is checked here, against the data: the shape of a row,
 * what the loss makes of the targets, and the outputs that the model must have. Complaints name the
 * line of the setting that does not fit.
 *
 * Called by train.c, and by eval.c and predict.c with the settings that a checkpoint holds.
 */
#include "cmd/cmd.h"
#include <string.h>

ls_opts ls_build_opts(const ls_config *c)
{
    return (ls_opts){ .seed = (uint64_t)c->seed,
                      .dtype = c->dtype ? LS_FLOAT64 : LS_FLOAT32,
                      .leaf_rows = c->train.leaf_rows,
                      .deadline_s = c->deadline_s,
                      .kernel = c->kernel ? LS_OPENBLAS : LS_CANONICAL };
}

ls_dataset *ls_build_plain(ls_ctx *ctx, const ls_config *c, const char *path)
{
    return ls_h5_dataset(
        ctx, path, &(ls_h5_opts){ .x = c->data.x, .y = c->data.y, .x_scale = c->data.x_scale });
}

ls_dataset *ls_build_dataset(ls_ctx *ctx, const ls_config *c, const char *path,
                             const ls_dataset *normalize_as)
{
    ls_dataset *d = ls_build_plain(ctx, c, path);
    if (c->data.normalize == LS_NORMALIZE_STANDARD) ls_dataset_normalize(ctx, d, normalize_as);
    return d;
}

static const struct {
    const char *name;
    ls_loss_fn *f;
    bool takes_classes;
} losses[] = {
#define LOSS(name, f, classes) { #name, f, classes },
    LS_LOSSES(LOSS)
};

/* How many outputs the loss needs for such targets; 0: any, -1: they do not fit. */
static int64_t outputs_for(const ls_settings *s, ls_row y, ls_failure *f)
{
    const ls_config *c = s->values;
    const ls_origin *at = ls_config_at(s, "loss");
    const char *name = losses[c->loss].name;
    if (losses[c->loss].takes_classes && y.type != LS_INT64)
        return ls_complain(f, LS_ERR_CONFIG, at,
                           "%s needs classes, but %s holds floating values; is mse meant?", name,
                           c->data.y),
               -1;
    if (losses[c->loss].takes_classes && y.shape.ndim)
        return ls_complain(f, LS_ERR_CONFIG, at,
                           "%s needs one class a row, [N], but %s has %d dimensions", name,
                           c->data.y, y.shape.ndim + 1),
               -1;
    if (losses[c->loss].takes_classes) return 0;
    if (y.shape.ndim == 0) return 1;
    if (y.shape.ndim == 1) return y.shape.dim[0];
    return ls_complain(f, LS_ERR_CONFIG, at,
                       "%s needs targets of one row each, [N, O], but %s has %d dimensions", name,
                       c->data.y, y.shape.ndim + 1),
           -1;
}

/* Whether outputs lie between 0 and 1: what follows the last linear layer makes them so. */
static bool gives_probabilities(const ls_layers *l)
{
    for (int64_t i = l->count; i-- > 0 && strcmp(l->at[i].kind, "linear");)
        if (!strcmp(l->at[i].kind, "sigmoid") || !strcmp(l->at[i].kind, "softmax")) return true;
    return false;
}

static ls_status fit_to_data(const ls_settings *s, const ls_dataset *d, bool has_targets,
                             ls_failure *f)
{
    const ls_config *c = s->values;
    const ls_origin *at = ls_config_at(s, "model");
    ls_row x = ls_dataset_x(d);
    int64_t outputs, needed = has_targets ? outputs_for(s, ls_dataset_y(d), f) : 0;
    if (needed < 0) return f->status;
    if (x.shape.ndim != 1)
        return ls_failure_set(f, LS_ERR_DATA,
                              "%s has %d dimensions, but linear layers take rows of features: "
                              "store it as [N, D]",
                              c->data.x, x.shape.ndim + 1);
    if (ls_layers_fit(&c->model, at, x.shape.dim[0], &outputs, f)) return f->status;
    if (has_targets && losses[c->loss].f == ls_bce_loss && !gives_probabilities(&c->model))
        return ls_complain(f, LS_ERR_CONFIG, ls_config_at(s, "loss"),
                           "bce needs outputs between 0 and 1: end the model in sigmoid, or take "
                           "bce_with_logits");
    if (needed && outputs != needed)
        return ls_complain(f, LS_ERR_CONFIG, at,
                           "the model has %lld outputs, but a row of %s has %lld values",
                           (long long)outputs, c->data.y, (long long)needed);
    return LS_OK;
}

ls_module *ls_build_model(ls_ctx *ctx, const ls_settings *s, const ls_dataset *d, bool has_targets)
{
    const ls_config *c = s->values;
    ls_failure f = { 0 };
    if (!d || ls_error(ctx)) return NULL;
    if (fit_to_data(s, d, has_targets, &f)) {
        ls_fail_with(ctx, &f);
        return NULL;
    }
    return ls_sequential_new(ctx, c->model.count, c->model.at);
}

ls_status ls_build_stored(ls_ctx *ctx, const char *checkpoint, ls_settings *s, ls_config *c)
{
    ls_failure f = { 0 };
    const char *text = ls_checkpoint_config(ctx, checkpoint);
    if (!text) return ls_error(ctx);
    size_t bytes = strlen(checkpoint) + sizeof " /config";
    char *from = ls_arena_take(s->arena, bytes);
    if (!from) return ls_fail_memory(ctx, bytes, "the name of a checkpoint");
    snprintf(from, bytes, "%s /config", checkpoint);
    if (ls_settings_begin(s, &ls_config_schema, c, s->arena, &f) ||
        ls_config_stored(s, from, text, &f))
        return ls_fail_with(ctx, &f);
    ls_opts opts = ls_build_opts(c);
    return ls_configure(ctx, &opts);
}

ls_status ls_build_normal(ls_ctx *ctx, const ls_config *c, ls_dataset *d, const char *checkpoint,
                          const char *as)
{
    if (c->data.normalize == LS_NORMALIZE_STANDARD)
        return as ? ls_dataset_normalize(ctx, d, ls_build_dataset(ctx, c, as, NULL))
                  : ls_dataset_normalize_by(ctx, d, checkpoint);
    if (as)
        ls_fail(ctx, LS_ERR_ARG, "%s was trained without normalizing: leave --normalize-as out",
                checkpoint);
    return ls_error(ctx);
}

bool ls_build_is_classifier(const ls_config *c)
{
    return losses[c->loss].takes_classes;
}

ls_loss_fn *ls_build_loss(const ls_config *c)
{
    return losses[c->loss].f;
}
