/* normalise.c -- mean and deviation of every feature over all rows of a dataset.
 *
 * Two passes in float64: the mean, then the mean square of the distance from it. All rows are one
 * batch that is cut into leaves over the ranks; sums over rows are closed in the tree, so the
 * figures do not depend on the rank count. A rank reads its own rows, a leaf at a time.
 */
#include "train/train.h"
#include <float.h>
#include <math.h>
#include <string.h>

typedef struct pass {
    ls_ctx *ctx;
    ls_dataset *d;
    const ls_kernel *k; /* of float64, whatever the context's type */
    int64_t rows, features;
    const double *mean; /* of the second pass; NULL in the first */
    int64_t *index;     /* of a leaf's rows */
    void *x, *y;
    double *wide, *level; /* [leaf_rows, features]; [65, features] */
    int height;
} pass;

static void *take(ls_ctx *ctx, size_t bytes)
{
    void *p = ls_arena_take(&ctx->scratch, bytes ? bytes : 1);
    if (!p) ls_fail_memory(ctx, bytes, "normalising");
    return p;
}

static double *level(const pass *p, int i)
{
    return p->level + (int64_t)i * p->features;
}

/* The sum over one leaf's rows of x, or of (x - mean)^2, onto the stack. */
static bool add_leaf(pass *p, int64_t leaf)
{
    ls_ctx *ctx = p->ctx;
    ls_range r = ls_leaf_rows(p->rows, ctx->opts.leaf_rows, (ls_range){ leaf, leaf + 1 });
    ls_failure f = { 0 };
    int64_t count = r.to - r.from, stride[LS_MAX_NDIM] = { p->features, 1 },
            repeat[LS_MAX_NDIM] = { 0, 1 };
    ls_shape shape = { 2, { count, p->features } };
    for (int64_t i = 0; i < count; i++) p->index[i] = r.from + i;
    if (ls_dataset_read(p->d, count, p->index, p->x, p->y, &f)) return ls_fail_with(ctx, &f), false;
    if (ctx->opts.dtype == LS_FLOAT64)
        memcpy(p->wide, p->x, (size_t)(count * p->features) * sizeof(double));
    else
        for (int64_t i = 0; i < count * p->features; i++)
            p->wide[i] = (double)((const float *)p->x)[i];
    if (p->mean) {
        p->k->binary(LS_BINARY_SUB, shape, p->wide, stride, p->mean, repeat, p->wide, false);
        p->k->binary(LS_BINARY_MUL, shape, p->wide, stride, p->wide, stride, p->wide, false);
    }
    p->k->columns(count, 0, p->features, p->wide, p->features, level(p, p->height++), false);
    return true;
}

static void join(pass *p)
{
    p->height--;
    p->k->add(p->features, level(p, p->height - 1), level(p, p->height));
}

static double *sum_piece(pass *p, ls_range leaves)
{
    p->height = 0;
    for (int64_t l = leaves.from; l < leaves.to; l++) {
        if (!add_leaf(p, l)) return NULL;
        for (int64_t done = l - leaves.from + 1; done % 2 == 0; done /= 2) join(p);
    }
    while (p->height > 1) join(p);
    double *piece = take(p->ctx, (size_t)p->features * sizeof *piece);
    return piece ? memcpy(piece, level(p, 0), (size_t)p->features * sizeof *piece) : NULL;
}

/* The means over all rows of what add_leaf() sums. */
static ls_status means(pass *p, double *out)
{
    ls_range run[LS_MAX_PIECES];
    void *piece[LS_MAX_PIECES];
    int count = ls_part_pieces(p->ctx, p->rows, run);
    for (int i = 0; i < count; i++)
        if (!(piece[i] = sum_piece(p, run[i]))) return ls_agree(p->ctx);
    ls_row_sum sum = {
        .rows = p->rows, .count = p->features, .dtype = LS_FLOAT64, .piece = piece, .root = out
    };
    if (p->ctx->links->sums(p->ctx, (ls_row_sum *const[]){ &sum }, 1))
        return p->ctx->failure.status;
    p->k->unary(LS_UNARY_DIV_C, (double)p->rows, p->features, out, out);
    return LS_OK;
}

/* Whether a variance is nothing but the rounding of the mean of equal values. */
static bool is_constant(int64_t rows, double mean, double variance)
{
    double rounding = (double)rows * mean * DBL_EPSILON;
    return variance <= (double)rows * DBL_EPSILON * variance + rounding * rounding;
}

static ls_status work_out(ls_ctx *ctx, ls_dataset *d)
{
    pass p = { .ctx = ctx,
               .d = d,
               .k = ls_kernel_for(LS_FLOAT64, NULL),
               .rows = ls_dataset_rows(d),
               .features = ls_shape_count(ls_dataset_x(d).shape) };
    int64_t leaf = ctx->opts.leaf_rows < p.rows ? ctx->opts.leaf_rows : p.rows;
    size_t wide = (size_t)(leaf * p.features) * sizeof(double);
    size_t figures = (size_t)p.features * sizeof(double);
    p.index = take(ctx, (size_t)leaf * sizeof *p.index);
    p.x = take(ctx, wide);
    p.y = take(ctx, (size_t)(leaf * ls_shape_count(ls_dataset_y(d).shape)) * 8);
    p.wide = take(ctx, wide);
    p.level = take(ctx, 65 * figures);
    double *mean = take(ctx, figures), *deviation = take(ctx, figures);
    if (ctx->failure.status || means(&p, mean)) return ls_agree(ctx);
    for (int64_t i = 0; i < p.features; i++)
        if (!isfinite(mean[i]))
            return ls_fail(ctx, LS_ERR_DATA,
                           "%s: feature %lld of x is not finite in some row, and has no mean to be "
                           "normalised by",
                           ls_dataset_name(d), (long long)i);
    p.mean = mean;
    if (means(&p, deviation)) return ctx->failure.status;
    for (int64_t i = 0; i < p.features; i++)
        deviation[i] = is_constant(p.rows, mean[i], deviation[i]) ? 1 : sqrt(deviation[i]);
    return ls_dataset_set_normal(d, mean, deviation);
}

ls_status ls_dataset_normalize(ls_ctx *ctx, ls_dataset *d, const ls_dataset *as)
{
    const double *mean, *deviation;
    if (!ls_enter(ctx, "ls_dataset_normalize") || !d) return ls_agree(ctx);
    if (!as && ls_dataset_normal(d, &mean, &deviation))
        ls_fail(ctx, LS_ERR_USE, "ls_dataset_normalize: %s is normalised already",
                ls_dataset_name(d));
    else if (!as) {
        work_out(ctx, d);
        ls_arena_reset(&ctx->scratch);
    } else if (ls_dataset_normal(as, &mean, &deviation) != ls_shape_count(ls_dataset_x(d).shape))
        ls_fail(ctx, LS_ERR_USE,
                "ls_dataset_normalize: %s is not normalised, or has other features than %s",
                ls_dataset_name(as), ls_dataset_name(d));
    else ls_dataset_set_normal(d, mean, deviation);
    return ls_agree(ctx);
}
