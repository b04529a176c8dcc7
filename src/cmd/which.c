/* which.c -- lockstep which: the rows of the training data that a step takes, without running it.
 *
 * The order of an epoch depends on the seed, on what was drawn before, which are the initial values of
 * the model, and on the number of rows. Data are opened for that number, but not read.
 */
#include "cmd/cmd.h"
#include <string.h>

#define AT(member) offsetof(which, member)
typedef struct which {
    const char *config;
    int64_t step;
} which;
static const ls_key keys[] = {
    { "CONFIG", LS_KEY_TEXT, LS_KEY_REQUIRED | LS_KEY_ARGUMENT, AT(config),
      .help = "the configuration, a YAML file" },
    { "step", LS_KEY_INT, LS_KEY_REQUIRED | LS_KEY_OPTION, AT(step), .min = 1, .value = "N",
      .help = "the step, from 1, as messages and checkpoints count" },
};
static const ls_schema schema = { keys, sizeof keys / sizeof *keys, sizeof(which) };

/* Takes --step N or --step=N out of the words; the others are those of a training. */
static ls_status take_step(int64_t *count, const char **words, int64_t *step, ls_failure *f)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < *count; i++) {
        const char *value = !strncmp(words[i], "--step=", 7) ? words[i] + 7 : NULL;
        if (!strcmp(words[i], "--step")) value = i + 1 < *count ? words[++i] : "";
        char quoted[LS_QUOTE_CHARS];
        if (!value) words[kept++] = words[i];
        else if (!ls_text_int(value, step) || *step < 1)
            return ls_failure_set(f, LS_ERR_ARG, "--step must be a whole number, 1 or more, not %s",
                                  ls_quote(value, quoted));
    }
    *count = kept;
    return *step ? LS_OK : ls_failure_set(f, LS_ERR_ARG, "--step is missing: %s", keys[1].help);
}

static void print_rows(ls_ctx *ctx, const ls_config *c, const ls_settings *s, int64_t step)
{
    ls_dataset *d = ls_build_dataset(ctx, c, c->data.train, NULL);
    if (!ls_build_model(ctx, s, d, true)) return; /* for what it draws */
    ls_loader *l = ls_loader_new(ctx, d,
                                 &(ls_loader_opts){ .batch_size = c->data.batch_size,
                                                    .shuffle = c->data.shuffle,
                                                    .drop_last = c->data.drop_last });
    if (!l) return;
    int64_t steps = ls_loader_steps(l), epoch = (step - 1) / steps, of_epoch = (step - 1) % steps;
    int64_t all = ls_dataset_rows(d), most = c->data.batch_size < all ? c->data.batch_size : all;
    int64_t *rows = ls_arena_take(s->arena, (size_t)most * sizeof *rows);
    if (!rows) ls_fail_memory(ctx, (size_t)most * sizeof *rows, "the rows of a step");
    int64_t count = rows ? ls_loader_rows(l, epoch, of_epoch, rows) : 0;
    if (!ls_error(ctx))
        ls_printf(ctx, "step %lld: epoch %lld, step %lld of %lld, %lld rows\n", (long long)step,
                  (long long)epoch, (long long)of_epoch + 1, (long long)steps, (long long)count);
    for (int64_t i = 0; i < count; i++) ls_printf(ctx, "%lld\n", (long long)rows[i]);
}

static void run(ls_ctx *ctx, int64_t count, const char *const *words)
{
    ls_config c;
    ls_settings s;
    ls_failure f = { 0 };
    ls_arena a = { 0 };
    int64_t step = 0;
    const char **rest = ls_arena_take(&a, (size_t)(count + 1) * sizeof *rest);
    if (rest) memcpy(rest, words, (size_t)count * sizeof *rest);
    else ls_failure_memory(&f, (size_t)(count + 1) * sizeof *rest, "%lld words", (long long)count);
    if (f.status || take_step(&count, rest, &step, &f) ||
        ls_settings_begin(&s, &ls_config_schema, &c, &a, &f))
        ls_command_fail(ctx, &ls_which_command, &f);
    else if (!ls_config_share(ctx, count, rest, &s)) {
        c.data.normalize = LS_NORMALIZE_NONE; /* would read the data */
        ls_opts opts = ls_build_opts(&c);
        if (!ls_configure(ctx, &opts)) print_rows(ctx, &c, &s, step);
    }
    ls_arena_free(&a);
}

const ls_command ls_which_command = {
    "which",
    "the rows of the training data that a step takes, without running it",
    &schema,
    "Rows count from 0, in the order of the batch. Flags and environment are those of train.\n",
    run,
};
