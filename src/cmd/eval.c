/* eval.c -- lockstep eval: the cost of a checkpoint's model on a data set, and its accuracy.
 *
 * Model, loss, type and scaling are those that the checkpoint holds. The data set is one batch, so
 * every row counts once and the figure is the same on any number of ranks.
 */
#include "cmd/cmd.h"
#include <math.h>

typedef struct eval {
    const char *checkpoint, *data, *x, *y, *normalize_as;
} eval;

#define AT(member) offsetof(eval, member)
static const ls_key keys[] = {
    { "CKPT", LS_KEY_TEXT, LS_KEY_REQUIRED | LS_KEY_ARGUMENT, AT(checkpoint),
      .help = "a checkpoint, or a directory of them: the newest sound one" },
    { "data", LS_KEY_PATHS, LS_KEY_REQUIRED | LS_KEY_OPTION, AT(data), .value = "FILE",
      .help = "HDF5 data" },
    { "x", LS_KEY_TEXT, LS_KEY_OPTION, AT(x), .standard = "/x", .value = "NAME",
      .help = "dataset of inputs in the file" },
    { "y", LS_KEY_TEXT, LS_KEY_OPTION, AT(y), .standard = "/y", .value = "NAME",
      .help = "dataset of targets in the file" },
    { "normalize-as", LS_KEY_PATHS, LS_KEY_OPTION, AT(normalize_as), .value = "FILE",
      .help = "take mean and deviation from these data, not from CKPT" },
};
static const ls_schema schema = { keys, sizeof keys / sizeof *keys, sizeof(eval) };

static void evaluate(ls_ctx *ctx, const eval *o, ls_settings *s)
{
    ls_config c;
    ls_score score;
    if (ls_build_stored(ctx, o->checkpoint, s, &c)) return;
    c.data.x = o->x;
    c.data.y = o->y;
    ls_dataset *data = ls_build_plain(ctx, &c, o->data);
    ls_module *model = ls_build_model(ctx, s, data, true);
    if (ls_build_normal(ctx, &c, data, o->checkpoint, o->normalize_as)) return;
    ls_loader *loader = model ? ls_loader_new(ctx, data,
                                              &(ls_loader_opts){ .batch_size = c.data.batch_size })
                              : NULL;
    if (ls_load(ctx, model, o->checkpoint)) return;
    if (ls_evaluate(ctx, &(ls_run){ .model = model, .loss = ls_build_loss(&c) }, loader, &score))
        return;
    ls_printf(ctx, "cost %.6f", score.cost);
    if (!isnan(score.accuracy)) ls_printf(ctx, "  accuracy %.4f", score.accuracy);
    ls_printf(ctx, "  rows %lld\n", (long long)score.rows);
    if (!isfinite(score.cost))
        ls_fail(ctx, LS_ERR_NUMERIC,
                "the cost is %g: values of %s, or what the model makes of them, are not finite",
                score.cost, o->data);
}

static void run(ls_ctx *ctx, int64_t count, const char *const *words)
{
    eval o;
    ls_arena a = { 0 };
    ls_settings s = { .arena = &a };
    if (!ls_command_words(ctx, &ls_eval_command, count, words, &o, &a)) evaluate(ctx, &o, &s);
    ls_arena_free(&a);
}

const ls_command ls_eval_command = {
    "eval", "the cost of a checkpoint's model on a data set, and its accuracy", &schema, NULL, run,
};
