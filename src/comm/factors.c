/* factors.c -- products that are summed over the rows of all ranks, made from the factors of all of them.
 *
 * The gradient of a weight is the sum over a batch's rows of what came in times what comes back. Where ranks
 * see each other's memory, their rows are far less to read than their sums, as long as a batch has fewer
 * rows than the weight has of either: so each rank lays out, packed, the factors of its rows; then each
 * makes its share of the sum's elements, over all rows and in the order of the tree, and hands them to the
 * update while they are in the nearest cache. No sum of another rank is read, none is written, and all
 * ranks work equally long, however unequal their numbers of rows are.
 *
 * A rank alone does the same with large weights, whose gradients then never leave the cache either.
 *
 * Factors lie where the gradient would, at the same place in every rank's memory (which the stamp's digest
 * says). Called by node.c between two meetings there: all factors are laid out, and all are read; and by
 * sums.c for a rank alone.
 */
#include "comm/inside.h"

/* Where this pays, measured on two cores. With more rows in all, a pass over the factors is longer than one over
 * the sums; with more of a rank's own, sums take so long that their traffic does not show; and smaller sums of
 * a rank alone are in its cache anyway. */
enum { MOST_ROWS = 4096, MOST_OWN = 512, LEAST_BYTES = 4 << 20 };
/* Right factors that stay in the second cache, beside what the update writes, while the left ones pass; rows that
 * shares are multiples of. */
enum { REGION_BYTES = 512 << 10, SHARE = 4 };

int64_t ls_comm_factor_rows(ls_ctx *ctx, const ls_row_sum *sum, bool common)
{
    const ls_comm *c = ctx->comm;
    ls_place_seen place;
    if (sum->rows > MOST_ROWS) return 0;
    if (c->count == 1 && sum->count * (int64_t)ctx->kernel->bytes < LEAST_BYTES) return 0;
    if (c->count > 1 &&
        !(common && !c->left_common && ls_board_is_all(c) && ls_window_find(c, sum->root, &place)))
        return 0;
    const ls_plan *plan = ls_comm_plan(ctx, sum->rows);
    return plan && plan->most_rows <= MOST_OWN ? plan->most_rows : 0;
}

/* The factors of all ranks, by pieces; NULL, with the context failed, without memory. */
static const ls_packed *factors_of(ls_ctx *ctx, const ls_row_sum *s, const ls_plan *plan)
{
    const ls_comm *c = ctx->comm;
    ls_place_seen place = { 0, 0 };
    ls_packed *of = ls_comm_take(ctx, plan->pieces * (int64_t)sizeof *of), *at = of;
    if (!of || (c->count > 1 && !ls_window_find(c, s->root, &place))) return NULL;
    for (int r = 0; r < c->count; r++) {
        const void *packed = r == c->rank ? s->root : ls_window_at(c, r, place);
        const int64_t first = plan->first[r], end = plan->first[r + 1];
        for (int64_t k = first; k < end; k++)
            *at++ = (ls_packed){ packed,
                                 { plan->piece[first].from, plan->piece[end - 1].to },
                                 plan->piece[k] };
    }
    return of;
}

static ls_range share_of(const ls_comm *c, int64_t m)
{
    return (ls_range){ m * c->rank / c->count / SHARE * SHARE,
                       c->rank + 1 < c->count ? m * (c->rank + 1) / c->count / SHARE * SHARE : m };
}

/* The elements of a block of c, as runs of what lies together in c. */
static void hand_over(const ls_ctx *ctx, const ls_taker *t, int64_t number, ls_range rows,
                      ls_range columns, const char *block)
{
    const int64_t n = t->sums[number]->count / t->sums[number]->m,
                  width = columns.to - columns.from;
    const size_t bytes = (size_t)width * ctx->kernel->bytes;
    if (width == n) {
        t->done(t->of, t->first + number, (ls_range){ rows.from * n, rows.to * n }, block);
        return;
    }
    for (int64_t r = rows.from; r < rows.to; r++, block += bytes)
        t->done(t->of, t->first + number, (ls_range){ r * n + columns.from, r * n + columns.to },
                block);
}

static bool take_product(ls_ctx *ctx, const ls_taker *t, int64_t number)
{
    const ls_row_sum *s = t->sums[number];
    const ls_kernel *k = ctx->kernel;
    const ls_plan *plan = ls_comm_plan(ctx, s->rows);
    const ls_packed *of = plan ? factors_of(ctx, s, plan) : NULL;
    const ls_range share = share_of(ctx->comm, s->m);
    const int64_t n = s->count / s->m;
    int64_t width = REGION_BYTES / (s->rows * (int64_t)k->bytes) / k->panel * k->panel;
    if (width < k->panel) width = k->panel;
    if (width > n) width = n;
    char *block = of ? ls_comm_take(ctx, k->tile * width * (int64_t)k->bytes) : NULL;
    if (!block) return false;
    for (ls_range j = { 0, 0 }; j.from < n; j.from = j.to) {
        j.to = n - j.from < width ? n : j.from + width;
        for (ls_range i = { share.from, 0 }; i.from < share.to; i.from = i.to) {
            i.to = (i.from / k->tile + 1) * k->tile;
            if (i.to > share.to) i.to = share.to;
            const ls_block b = { i, j, block, j.to - j.from, s->soon, n };
            k->outer_packed(plan->pieces, of, ctx->opts.leaf_rows, s->m, &b);
            hand_over(ctx, t, number, i, j, block);
        }
    }
    return true;
}

bool ls_factors_take(ls_ctx *ctx, const ls_taker *taker)
{
    for (int64_t i = 0; i < taker->count; i++)
        if (taker->sums[i]->m && !take_product(ctx, taker, i)) return false;
    return true;
}
