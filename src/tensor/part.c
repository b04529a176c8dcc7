/* part.c -- where the rank enters: which rows of a batch this rank holds.
 *
 * A batch of rows is cut into leaves (base/leaf.c); a rank holds a contiguous run of them. This
 * file and the folder comm are the only ones that know a rank or a rank count: everything above
 * sees row ranges, and everything below sees plain integers.
 */
#include "tensor/tensor.h"

/* A program has few numbers of rows (the batch, the last batch, the validation set), and cutting
 * weighs many cuts: the last ones are kept. */
static const struct ls_cut *cut_of(const ls_ctx *ctx, int64_t rows)
{
    enum { KEPT = sizeof ctx->cut / sizeof *ctx->cut };
    int64_t leaf_rows = ctx->opts.leaf_rows;
    for (int i = 0; i < KEPT; i++)
        if (ctx->cut[i].rows == rows && ctx->cut[i].leaf_rows == leaf_rows) return &ctx->cut[i];
    ls_ctx *c = (ls_ctx *)(uintptr_t)ctx; /* a cache */
    struct ls_cut *cut = &c->cut[c->cuts++ % KEPT];
    ls_range leaves = ls_leaf_cut(ls_leaf_count(rows, leaf_rows), ctx->place.count,
                                  ctx->place.rank);
    *cut = (struct ls_cut){ rows, leaf_rows, leaves, ls_leaf_rows(rows, leaf_rows, leaves) };
    return cut;
}

ls_range ls_part_leaves(const ls_ctx *ctx, int64_t rows)
{
    return cut_of(ctx, rows)->leaves;
}

ls_range ls_part_rows(const ls_ctx *ctx, int64_t rows)
{
    return cut_of(ctx, rows)->own;
}

int ls_part_pieces(const ls_ctx *ctx, int64_t rows, ls_range piece[LS_MAX_PIECES])
{
    int64_t leaves = ls_leaf_count(rows, ctx->opts.leaf_rows);
    return ls_leaf_pieces(leaves, ls_part_leaves(ctx, rows), piece);
}

int64_t ls_part_idle(const ls_ctx *ctx, int64_t rows)
{
    int64_t leaves = ls_leaf_count(rows, ctx->opts.leaf_rows);
    return ctx->place.count > leaves ? ctx->place.count - leaves : 0;
}
