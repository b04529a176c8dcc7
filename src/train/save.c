/* save.c -- checkpoints: save, resume, load.
 *
 * Nothing irreversible before an agreement: all ranks agree that the state is good, the root writes
 * a temporary file, all agree, the root renames it, all agree. Reading: the root looks for the
 * newest sound file, falls back to the next older one and says so, and its values go to all ranks.
 */
#include "train/train.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

const char *ls_run_name(const ls_run *run)
{
    return run->name ? run->name : "model";
}

/* ---- save ------------------------------------------------------------------------------------ */
typedef struct temporary {
    char path[4096];
} temporary;

static void write_temporary(ls_ctx *ctx, const ls_run *run, temporary *t, ls_failure *f)
{
    ls_image *m = ls_fault_fail(LS_FAULT_save_image, f) ? NULL : ls_image_new(f);
    if (m && !ls_state_write(ctx, run, m, f))
        ls_checkpoint_write(m, run->dir, ls_run_name(run), ls_steps_done(run), t->path,
                            sizeof t->path, f);
    ls_image_free(m);
}

/* A run that starts over leaves no checkpoint of the old one behind that a resume might take for
 * its own. */
static void remove_old(const ls_run *run, ls_failure *f)
{
    int64_t count = 0;
    char **path = NULL;
    if (ls_checkpoint_list(run->dir, ls_run_name(run), &count, &path, f)) return;
    for (int64_t i = 0; i < count; i++) ls_checkpoint_drop(path[i]);
    ls_checkpoint_list_free(count, path);
}

static void commit(const ls_run *run, ls_progress *p, const temporary *t, ls_failure *f)
{
    int64_t keep = run->keep ? run->keep : 3;
    if (run->fresh && !p->removed_old) {
        remove_old(run, f);
        p->removed_old = true;
    }
    ls_checkpoint_commit(t->path, run->dir, ls_run_name(run), ls_steps_done(run), keep, f);
}

/* The root's outcome on all ranks; true: all is well so far. */
static bool went_well(ls_ctx *ctx, const ls_failure *f)
{
    int64_t status = f->status;
    return !ctx->links->broadcast(ctx, &status, sizeof status) && !status;
}

/* On the root, about a checkpoint that could not be written: said where training goes on, else the end
 * of it. */
static void not_saved(ls_ctx *ctx, const ls_run *run, const ls_progress *p, const ls_failure *f,
                      int most)
{
    char kept[64] = "there is none yet";
    if (p->saved_step)
        snprintf(kept, sizeof kept, "that of step %lld is kept", (long long)p->saved_step);
    long long step = ls_steps_done(run);
    bool is_memory = f->status == LS_ERR_MEMORY;
    if (!is_memory && p->failed_saves < most) {
        fprintf(
            stderr,
            "lockstep: the checkpoint of step %lld is not saved: %s; %s; training goes on (failure "
            "%d of %d)\n",
            step, f->text, kept, p->failed_saves, most);
        return;
    }
    char times[40] = "";
    if (p->failed_saves > 1)
        snprintf(times, sizeof times, ", the %d. failure in a row", p->failed_saves);
    ls_fail(ctx, most > 1 && !is_memory ? LS_ERR_IO : f->status,
            "the checkpoint of step %lld is not saved%s: %s; %s", step, times, f->text, kept);
}

/* Write, agree, rename, agree. The root keeps its failure to itself until it is clear whether it ends
 * the run; the others learn only that there is one. */
static bool try_to_save(ls_ctx *ctx, const ls_run *run, ls_progress *p, ls_failure *f)
{
    temporary t = { "" };
    if (ctx->is_root) write_temporary(ctx, run, &t, f);
    if (!went_well(ctx, f)) {
        if (*t.path) ls_checkpoint_drop(t.path);
        return false;
    }
    if (ctx->is_root) commit(run, p, &t, f);
    return went_well(ctx, f);
}

ls_status ls_save_or_go_on(ls_ctx *ctx, const ls_run *run, int most)
{
    ls_failure f = { 0 };
    if (!ls_enter(ctx, "ls_save") || !ls_given(ctx, "ls_save", run, "the run") || ls_agree(ctx))
        return ls_agree(ctx);
    ls_progress *p = ls_progress_of(ctx, run);
    if (!run->dir || !run->model || !run->optim || !run->data)
        ls_fail(ctx, LS_ERR_ARG, "ls_save: the run needs dir, model, optim and data");
    if (ctx->failure.status || !p || ls_guard_state(ctx, run)) return ls_agree(ctx);
    if (try_to_save(ctx, run, p, &f)) {
        p->failed_saves = 0;
        p->saved_step = ls_steps_done(run);
        if (ls_fault_fail(LS_FAULT_save_done, &f)) ls_fail_with(ctx, &f);
        return ls_agree(ctx);
    }
    if (ctx->failure.status) return ls_agree(ctx);
    p->failed_saves++;
    if (ctx->is_root) not_saved(ctx, run, p, &f, most);
    return ls_agree(ctx);
}

ls_status ls_save(ls_ctx *ctx, const ls_run *run)
{
    return ls_save_or_go_on(ctx, run, 1);
}

/* ---- resume ---------------------------------------------------------------------------------- */
/* The newest sound checkpoint; older ones where it is damaged, and a line for each that is passed
 * over. */
static ls_image *open_newest(const char *dir, const char *name, ls_failure *f)
{
    int64_t count = 0;
    char **path = NULL;
    ls_image *m = NULL;
    ls_failure newest = { 0 };
    if (ls_checkpoint_list(dir, name, &count, &path, f)) return NULL;
    for (int64_t i = 0; i < count && !m; i++) {
        int64_t step;
        uint8_t digest[32];
        ls_failure why = { 0 };
        if (!ls_checkpoint_read(path[i], &m, &step, digest, &why)) break;
        m = NULL;
        if (why.status == LS_ERR_MEMORY) { /* that says nothing about the file */
            newest = why;
            break;
        }
        if (!newest.status) newest = why;
        fprintf(stderr, "lockstep: %s%s\n", why.text,
                i + 1 < count ? "; using the one before it" : "");
    }
    if (count && !m) *f = newest;
    ls_checkpoint_list_free(count, path);
    return m;
}

/* Values of a block that the root has to all, and into place. */
static ls_status spread(ls_ctx *ctx, const ls_run *run, void *block, size_t bytes)
{
    uint64_t size = bytes;
    if (ls_agree(ctx) || ctx->links->broadcast(ctx, &size, sizeof size) || !size) {
        ls_memory_free(block);
        return ctx->failure.status;
    }
    if (!ctx->is_root) block = ls_new(ctx, size, "the checkpoint's values");
    if (ls_agree(ctx)) {
        ls_memory_free(block);
        return ctx->failure.status;
    }
    if (!ctx->links->broadcast(ctx, block, size)) ls_state_apply(ctx, run, block, size);
    ls_memory_free(block);
    return ls_agree(ctx);
}

bool ls_resume(ls_ctx *ctx, const ls_run *run)
{
    void *block = NULL;
    size_t bytes = 0;
    if (!ls_enter(ctx, "ls_resume") || !ls_given(ctx, "ls_resume", run, "the run"))
        return ls_agree(ctx), false;
    int64_t before = ls_steps_done(run);
    if (ctx->is_root && run->dir) {
        ls_failure f = { 0 };
        ls_image *m = open_newest(run->dir, ls_run_name(run), &f);
        ls_fault_fail(LS_FAULT_resume, &f);
        if (m && ls_state_read(ctx, run, m, &block, &bytes, &f)) bytes = 0;
        ls_image_free(m);
        if (f.status) ls_fail_with(ctx, &f);
    }
    if (spread(ctx, run, block, bytes)) return false;
    ls_progress *p = ls_progress_of(ctx, run);
    if (p && bytes) p->saved_step = ls_steps_done(run);
    return ls_steps_done(run) != before;
}

/* ---- load: parameters only ------------------------------------------------------------------- */
static ls_image *open_path(const char *path, ls_failure *f)
{
    struct stat s;
    ls_image *m = NULL;
    int64_t step;
    uint8_t digest[32];
    if (stat(path, &s) || !S_ISDIR(s.st_mode)) {
        if (ls_checkpoint_read(path, &m, &step, digest, f)) return NULL;
        return m;
    }
    m = open_newest(path, NULL, f);
    if (!m && !f->status) ls_failure_set(f, LS_ERR_INPUT, "%s holds no checkpoint", path);
    return m;
}

static void read_params(ls_ctx *ctx, ls_module *model, const char *path)
{
    ls_failure f = { 0 };
    ls_list p = ls_parameters(model);
    ls_image *m = open_path(path, &f);
    char name[512];
    for (int64_t i = 0; m && i < p.count && !f.status; i++) {
        snprintf(name, sizeof name, "/model/%s", ls_parameter_name(model, i));
        ls_image_get(m, name, p.at[i]->dtype, p.at[i]->shape, p.at[i]->data, &f);
    }
    ls_image_free(m);
    if (f.status) ls_fail_with(ctx, &f);
}

ls_status ls_load(ls_ctx *ctx, ls_module *model, const char *path)
{
    if (!ls_enter(ctx, "ls_load") || !model || !ls_given(ctx, "ls_load", path, "path"))
        return ls_agree(ctx);
    if (ls_agree(ctx)) return ctx->failure.status; /* nobody reads what they have in common now */
    ls_list p = ls_parameters(model);
    if (ctx->is_root) read_params(ctx, model, path);
    if (ls_agree(ctx)) return ctx->failure.status;
    for (int64_t i = 0; i < p.count; i++) {
        ls_tensor_wrote(p.at[i]);
        if (ctx->links->broadcast(ctx, p.at[i]->data,
                                  (size_t)p.at[i]->count * ls_dtype_bytes(p.at[i]->dtype)))
            return ctx->failure.status;
    }
    return ls_agree(ctx);
}

/* On the root: the means of so many features in the checkpoint, then their deviations; else NULL. */
static double *read_figures(ls_ctx *ctx, int64_t features, const char *path)
{
    ls_failure f = { 0 };
    ls_image *m = open_path(path, &f);
    ls_dtype type = LS_FLOAT64;
    ls_shape shape = { 0 };
    size_t bytes = 2 * (size_t)features * sizeof(double);
    double *figures = ls_arena_take(&ctx->life, bytes);
    if (!figures) ls_failure_memory(&f, bytes, "a checkpoint's means");
    if (!f.status && !ls_image_has(m, "/data/mean"))
        ls_failure_set(&f, LS_ERR_CONFIG, "%s is of data that were not normalised", path);
    if (!f.status && !ls_image_get_shape(m, "/data/mean", &type, &shape, &f) &&
        (shape.ndim != 1 || shape.dim[0] != features))
        ls_failure_set(&f, LS_ERR_CONFIG, "%s is of data with %lld features, these have %lld", path,
                       (long long)shape.dim[0], (long long)features);
    if (!f.status) ls_image_get(m, "/data/mean", LS_FLOAT64, shape, figures, &f);
    if (!f.status) ls_image_get(m, "/data/deviation", LS_FLOAT64, shape, figures + features, &f);
    ls_image_free(m);
    if (f.status) ls_fail_with(ctx, &f);
    return f.status ? NULL : figures;
}

ls_status ls_dataset_normalize_by(ls_ctx *ctx, ls_dataset *d, const char *path)
{
    void *figures = NULL;
    if (!ls_enter(ctx, "ls_dataset_normalize_by") || !d ||
        !ls_given(ctx, "ls_dataset_normalize_by", path, "path"))
        return ls_agree(ctx);
    int64_t features = ls_shape_count(ls_dataset_x(d).shape);
    size_t bytes = 2 * (size_t)features * sizeof(double);
    if (ctx->is_root) figures = read_figures(ctx, features, path);
    if (ls_agree(ctx) || ls_share_bytes(ctx, &figures, &bytes)) return ctx->failure.status;
    const double *mean = figures;
    ls_dataset_set_normal(d, mean, mean + features);
    return ls_agree(ctx);
}

const char *ls_checkpoint_config(ls_ctx *ctx, const char *path)
{
    void *text = NULL;
    size_t bytes = 0;
    if (!ls_enter(ctx, "ls_checkpoint_config") ||
        !ls_given(ctx, "ls_checkpoint_config", path, "path"))
        return ls_agree(ctx), NULL;
    if (ctx->is_root) {
        ls_failure f = { 0 };
        ls_image *m = open_path(path, &f);
        char *stored = NULL;
        if (m && !ls_image_get_text(m, "/config", "text", &stored, &f)) {
            bytes = strlen(stored) + 1;
            text = ls_arena_take(&ctx->life, bytes);
            if (text) memcpy(text, stored, bytes);
            else ls_failure_memory(&f, bytes, "a checkpoint's configuration");
        }
        ls_memory_free(stored);
        ls_image_free(m);
        if (f.status) ls_fail_with(ctx, &f);
    }
    if (ls_agree(ctx)) return NULL;
    return ls_share_bytes(ctx, &text, &bytes) ? NULL : text;
}

ls_status ls_checkpoint_newest(ls_ctx *ctx, const char *dir, const char *name, int64_t *step,
                               int64_t *epoch)
{
    int64_t found[2] = { -1, -1 }, count = 0, unwanted[2];
    char **path = NULL;
    if (!step) step = &unwanted[0];
    if (!epoch) epoch = &unwanted[1];
    *step = *epoch = -1;
    if (!ls_enter(ctx, "ls_checkpoint_newest") ||
        !ls_given(ctx, "ls_checkpoint_newest", dir, "dir"))
        return ls_agree(ctx);
    if (ctx->is_root) {
        ls_failure f = { 0 };
        ls_checkpoint_list(dir, name, &count, &path, &f);
        for (int64_t i = 0; i < count && found[0] < 0; i++) {
            ls_image *m = NULL;
            uint8_t digest[32];
            ls_failure why = { 0 };
            if (!ls_checkpoint_read(path[i], &m, &found[0], digest, &why))
                ls_image_get_int(m, "/progress", "epoch", &found[1], &why);
            if (why.status) found[0] = found[1] = -1;
            ls_image_free(m);
        }
        ls_checkpoint_list_free(count, path);
        if (f.status) ls_fail_with(ctx, &f);
    }
    if (ctx->links->broadcast(ctx, found, sizeof found)) return ctx->failure.status;
    *step = found[0];
    *epoch = found[1];
    return LS_OK;
}
