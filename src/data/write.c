/* write.c -- writing dataset files: store's writer with a context around it.
 *
 * Only one rank writes, so these calls are not counted as calls that every rank makes. After an
 * error of the context nothing more is written, and a file that is not closed leaves nothing
 * behind.
 *
 * Called by programs, under ls_is_root(). */
#include "data/dataset.h"

struct ls_writer {
    ls_owned owned;
    ls_ctx *ctx;
    ls_h5_writer *file;
};

static void end_writer(void *self)
{
    ls_writer *w = self;
    ls_h5_writer_drop(w->file);
    ls_memory_free(w);
}

static ls_writer *begin(ls_ctx *ctx, const char *path, bool replaces, ls_column x, ls_column y)
{
    ls_failure f = { 0 };
    if (!ctx || ctx->failure.status) return NULL;
    if (!path || !*path) {
        ls_fail(ctx, LS_ERR_ARG, "ls_writer_%s: path is missing", replaces ? "replace" : "new");
        return NULL;
    }
    ls_writer *w = ls_new(ctx, sizeof *w, "a writer");
    if (!w) return NULL;
    if (ls_h5_writer_open(path, replaces, &x, &y, &w->file, &f)) {
        ls_fail_with(ctx, &f);
        ls_memory_free(w);
        return NULL;
    }
    w->ctx = ctx;
    ls_own(ctx, &w->owned, end_writer);
    return w;
}

ls_writer *ls_writer_new(ls_ctx *ctx, const char *path, ls_column x, ls_column y)
{
    return begin(ctx, path, false, x, y);
}

ls_writer *ls_writer_replace(ls_ctx *ctx, const char *path, ls_column x, ls_column y)
{
    return begin(ctx, path, true, x, y);
}

ls_status ls_writer_add(ls_writer *w, int64_t rows, const void *x, const void *y)
{
    ls_failure f = { 0 };
    if (!w) return LS_ERR_ARG;
    if (w->ctx->failure.status) return w->ctx->failure.status;
    return ls_h5_writer_add(w->file, rows, x, y, &f) ? ls_fail_with(w->ctx, &f) : LS_OK;
}

ls_status ls_writer_close(ls_writer *w)
{
    ls_failure f = { 0 };
    if (!w) return LS_ERR_ARG;
    ls_ctx *ctx = w->ctx;
    if (!ctx->failure.status) {
        if (ls_h5_writer_close(w->file, &f)) ls_fail_with(ctx, &f);
        w->file = NULL;
    }
    ls_disown(ctx, &w->owned);
    end_writer(w);
    return ctx->failure.status;
}
