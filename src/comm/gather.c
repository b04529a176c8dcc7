/* gather.c -- what is small of every rank to every rank, bits of all ranks or-ed, the root's bytes to
 * all, and the rows of a part to all.
 *
 * A broadcast is a sum in which only the root has a piece; a gathering of much is one whose slices
 * are the ranks' rows, in which nothing is added. Called through ls_links.
 */
#include "comm/inside.h"
#include <string.h>

/* ---- what is small, of every rank to every rank ------------------------------------------------ */
ls_status ls_comm_swap(ls_ctx *ctx, const void *mine, int64_t size, void *all)
{
    ls_comm *c = ctx->comm;
    if (ls_comm_enter(ctx)) return ctx->failure.status;
    if (c->count == 1) return memcpy(all, mine, (size_t)size), LS_OK;
    ls_stamp stamp = ls_comm_stamp(ctx, LS_VOTE, 1, 0, size);
    ls_blocks b;
    int64_t *bytes = ls_comm_take(ctx, c->count * (int64_t)sizeof *bytes);
    for (int r = 0; bytes && r < c->count; r++) bytes[r] = size;
    if (!bytes || !ls_blocks_begin(ctx, &b, bytes)) return ls_comm_end(ctx, false);
    memcpy(b.block[c->rank], mine, (size_t)size);
    if (!ls_blocks_exchange(ctx, &stamp, &b)) return ls_comm_end(ctx, false);
    for (int r = 0; r < c->count; r++) memcpy((char *)all + r * size, b.block[r], (size_t)size);
    return ls_comm_end(ctx, true);
}

ls_status ls_comm_any(ls_ctx *ctx, uint64_t mine, uint64_t *all)
{
    uint64_t few[64], *bits = few;
    *all = 0;
    if (ctx->comm->count > 64 &&
        !(bits = ls_new(ctx, (size_t)ctx->comm->count * sizeof *bits, "the bits of all ranks")))
        return ls_comm_agree(ctx);
    ls_status status = ls_comm_swap(ctx, &mine, sizeof mine, bits);
    for (int r = 0; !status && r < ctx->comm->count; r++) *all |= bits[r];
    if (bits != few) ls_memory_free(bits);
    return status;
}

/* ---- much of every rank, to the root ----------------------------------------------------------- */
/* In rounds of what is small, until nobody has more. */
ls_status ls_comm_collect(ls_ctx *ctx, const void *own, size_t bytes, size_t item, ls_take *take,
                          void *of)
{
    enum { HEAD = sizeof(uint64_t), ROUND = LS_SMALL_BYTES };
    const int count = ctx->comm->count;
    const size_t most = (ROUND - HEAD) / item * item;
    char *mine = ls_new(ctx, ROUND, "what is collected"),
         *all = ls_new(ctx, (size_t)count * ROUND, "what is collected");
    ls_status status = LS_OK;
    for (bool more = true; more && !status; bytes -= bytes < most ? bytes : most) {
        const uint64_t now = bytes < most ? bytes : most;
        if (mine && all) {
            memcpy(mine, &now, HEAD);
            if (now) memcpy(mine + HEAD, own, now);
            own = (const char *)own + now;
        }
        status = ls_comm_swap(ctx, mine, ROUND, all);
        more = false;
        for (int r = 0; r < count && !status; r++) {
            uint64_t theirs;
            memcpy(&theirs, all + (size_t)r * ROUND, HEAD);
            if (ctx->is_root && theirs) take(of, r, all + (size_t)r * ROUND + HEAD, theirs);
            if (theirs == most) more = true;
        }
    }
    ls_memory_free(mine);
    ls_memory_free(all);
    return status;
}

/* ---- the root's bytes ---------------------------------------------------------------------- */
ls_status ls_comm_broadcast(ls_ctx *ctx, void *data, size_t bytes)
{
    ls_comm *c = ctx->comm;
    if (ls_comm_enter(ctx)) return ctx->failure.status;
    if (c->count == 1) return LS_OK;
    if (bytes > LS_SMALL_BYTES && ls_node_reserve(ctx, (int64_t)bytes, 1, 1))
        return ls_comm_agree(ctx);
    ls_span span = { 0, (int64_t)bytes, 0, &data, data };
    ls_group group = { .plan = &c->from_root, .bytes = (int64_t)bytes, .spans = 1, .span = &span };
    ls_layout l = { &group, 1, ((int64_t)bytes + 63) / 64 * 64 };
    ls_stamp stamp = ls_comm_stamp(ctx, LS_BROADCAST, 1, 0, (int64_t)bytes);
    return ls_comm_end(ctx, ls_comm_reduce(ctx, &stamp, &l, NULL));
}

/* ---- the rows of a part -------------------------------------------------------------------- */
static bool gather_small(ls_ctx *ctx, const ls_stamp *stamp, const int64_t *bound, const void *own,
                         char *all)
{
    const ls_comm *c = ctx->comm;
    ls_blocks b;
    int64_t *bytes = ls_comm_take(ctx, c->count * (int64_t)sizeof *bytes);
    for (int r = 0; bytes && r < c->count; r++) bytes[r] = bound[r + 1] - bound[r];
    if (!bytes || !ls_blocks_begin(ctx, &b, bytes)) return false;
    if (bytes[c->rank]) memcpy(b.block[c->rank], own, (size_t)bytes[c->rank]);
    if (!ls_blocks_exchange(ctx, stamp, &b)) return false;
    for (int r = 0; r < c->count; r++)
        if (bytes[r]) memcpy(all + bound[r], b.block[r], (size_t)bytes[r]);
    return true;
}

static bool gather_large(ls_ctx *ctx, const ls_stamp *stamp, const int64_t *bound, const void *own,
                         char *all)
{
    const ls_comm *c = ctx->comm;
    int64_t at = bound[c->rank], bytes = bound[c->rank + 1] - at;
    if (bytes) memcpy(all + at, own, (size_t)bytes);
    ls_span span = { .bytes = stamp->bytes, .root = all };
    ls_group group = { .plan = &c->nothing, .bytes = stamp->bytes, .spans = 1, .span = &span };
    ls_layout l = { &group, 1, stamp->bytes };
    if (ls_board_is_all(c)) return ls_node_slices(ctx, stamp, &l, bound, NULL);
    return ls_slices_exchange(ctx, stamp, &l, bound, (ls_team){ c->rank, c->count, 0, 1 });
}

ls_status ls_comm_gather(ls_ctx *ctx, int64_t rows, size_t row_bytes, const void *own, void *all)
{
    ls_comm *c = ctx->comm;
    int64_t leaf_rows = ctx->opts.leaf_rows, row = (int64_t)row_bytes;
    if (ls_comm_enter(ctx)) return ctx->failure.status;
    if (c->count == 1) {
        if (rows && row) memmove(all, own, (size_t)rows * row_bytes);
        return LS_OK;
    }
    if (ls_node_reserve(ctx, rows * row, 0, 1)) return ls_comm_agree(ctx);
    ls_stamp stamp = ls_comm_stamp(ctx, LS_GATHER, 1, rows, rows * row);
    stamp.digest = (uint64_t)leaf_rows;
    int64_t leaves = ls_leaf_count(rows, leaf_rows);
    int64_t *bound = ls_comm_take(ctx, (c->count + 1) * (int64_t)sizeof *bound);
    if (!bound) return ls_comm_end(ctx, false);
    for (int r = 0; r < c->count; r++)
        bound[r] = ls_leaf_rows(rows, leaf_rows, ls_leaf_cut(leaves, c->count, r)).from * row;
    bound[c->count] = rows * row;
    bool is_small = true;
    for (int r = 0; r < c->count; r++)
        if (bound[r + 1] - bound[r] > LS_SMALL_BYTES) is_small = false;
    return ls_comm_end(ctx, (is_small ? gather_small : gather_large)(ctx, &stamp, bound, own, all));
}
