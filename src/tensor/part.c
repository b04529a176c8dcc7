/* part.c -- where the rank enters: which rows of a batch this rank holds.
 *
 * A batch of rows is cut into leaves (base/leaf.c); a rank holds a contiguous run of them. This
 * file and the folder comm are the only ones that know a rank or a rank count: everything above
 * sees row ranges, and everything below sees plain integers.
 */
#include "tensor/tensor.h"

ls_range ls_part_leaves(const ls_ctx *ctx, int64_t rows)
{
    int64_t leaves = ls_leaf_count(rows, ctx->opts.leaf_rows);
    return ls_leaf_cut(leaves, ctx->place.count, ctx->place.rank);
}

ls_range ls_part_rows(const ls_ctx *ctx, int64_t rows)
{
    return ls_leaf_rows(rows, ctx->opts.leaf_rows, ls_part_leaves(ctx, rows));
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
