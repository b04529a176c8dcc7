/* inspect.c -- a file, described on stdout by the root: a checkpoint (model, sizes, progress, last
 * costs, digest) or a data set (shapes, types, chunks, and advice where its layout makes reading
 * slow).
 */
#include "train/train.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- checkpoints ----------------------------------------------------------------------------- */
static ls_status show_text(ls_image *m, const char *group, const char *name, const char *label,
                           ls_failure *f)
{
    char *text = NULL;
    if (!ls_image_get_text(m, group, name, &text, f)) printf("%-12s %s\n", label, text);
    ls_memory_free(text);
    return f->status;
}

static ls_status show_model(ls_image *m, ls_failure *f)
{
    const char *const *name;
    int64_t count, elements = 0;
    size_t bytes = 0;
    if (ls_image_list(m, "/model", &count, &name, f)) return f->status;
    printf("model\n");
    for (int64_t i = 0; i < count; i++) {
        char path[512];
        ls_dtype type;
        ls_shape shape;
        snprintf(path, sizeof path, "/model/%s", name[i]);
        if (ls_image_get_shape(m, path, &type, &shape, f)) return f->status;
        printf("  %-24s %-16s %s\n", name[i], ls_shape_str(shape).text, ls_dtype_name(type));
        elements += ls_shape_count(shape);
        bytes += (size_t)ls_shape_count(shape) * ls_dtype_bytes(type);
    }
    printf("  %lld parameters, %.1f KiB\n", (long long)elements, (double)bytes / 1024);
    return f->status;
}

static ls_status show_history(ls_image *m, ls_failure *f)
{
    ls_dtype type;
    ls_shape shape = { 1, { 0 } };
    if (!ls_image_has(m, "/history/cost") ||
        ls_image_get_shape(m, "/history/cost", &type, &shape, f))
        return f->status;
    int64_t count = shape.dim[0], first = count > 5 ? count - 5 : 0;
    const size_t bytes = (size_t)(count + 1) * sizeof(double);
    int64_t *epoch = ls_memory_new(bytes);
    double *cost = ls_memory_new(bytes);
    if (!epoch || !cost)
        ls_failure_memory(f, 2 * bytes, "a history of %lld epochs", (long long)count);
    else if (!ls_image_get(m, "/history/epoch", LS_INT64, shape, epoch, f) &&
             !ls_image_get(m, "/history/cost", LS_FLOAT64, shape, cost, f)) {
        printf("last costs\n");
        for (int64_t i = first; i < count; i++)
            printf("  epoch %lld  %.6f\n", (long long)epoch[i], cost[i]);
    }
    ls_memory_free(epoch);
    ls_memory_free(cost);
    return f->status;
}

static ls_status show_config(ls_image *m, ls_failure *f)
{
    char *text = NULL;
    if (ls_image_get_text(m, "/config", "text", &text, f)) return f->status;
    printf("configuration\n");
    for (const char *line = text; *line;) {
        int length = (int)strcspn(line, "\n");
        printf("  %.*s\n", length, line);
        line += length + (line[length] == '\n');
    }
    ls_memory_free(text);
    return f->status;
}

static ls_status show_checkpoint(const char *path, ls_failure *f)
{
    ls_image *m = NULL;
    int64_t step, epoch, in_epoch, rows;
    uint8_t digest[32];
    char hex[65];
    if (ls_checkpoint_read(path, &m, &step, digest, f)) return f->status;
    ls_hex(digest, sizeof digest, hex);
    printf("checkpoint   %s\ndigest       %s\n", path, hex);
    show_text(m, "/", "version", "lockstep", f);
    show_text(m, "/", "numerics", "numerics", f);
    show_text(m, "/", "status", "status", f);
    if (!ls_image_get_int(m, "/progress", "epoch", &epoch, f) &&
        !ls_image_get_int(m, "/progress", "step", &in_epoch, f))
        printf("progress     %lld steps; next is step %lld of epoch %lld\n", (long long)step,
               (long long)in_epoch + (in_epoch < INT64_MAX), (long long)epoch);
    if (!f->status && !ls_image_get_int(m, "/data", "rows", &rows, f))
        printf("data         %lld rows\n", (long long)rows);
    if (!f->status && !show_model(m, f) && !show_history(m, f)) show_config(m, f);
    ls_image_free(m);
    return f->status;
}

ls_status ls_inspect(ls_ctx *ctx, const char *path)
{
    if (!ls_enter(ctx, "ls_inspect") || !ls_given(ctx, "ls_inspect", path, "path"))
        return ls_agree(ctx);
    if (ctx->is_root) {
        ls_failure f = { 0 };
        if (ls_is_checkpoint(path)) show_checkpoint(path, &f);
        else ls_file_describe(path, stdout, &f);
        fflush(stdout);
        if (f.status) ls_fail_with(ctx, &f);
    }
    return ls_agree(ctx);
}
