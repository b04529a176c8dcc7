/* ready.c -- sums that fit the desks, as they were worked out for an earlier call of the same shapes.
 *
 * A program makes few kinds of small sums, one or two a step, and each takes about as long as a line
 * of memory needs from core to core. So plans, sizes and the digest are not worked out anew: a few
 * kinds are kept, the oldest gives way. They hold pointers to plans, so all of them are forgotten
 * when a plan goes.
 *
 * Called by sums.c and plan.c.
 */
#include "comm/inside.h"

enum { DESK_ALIGN = 16 };

static bool is_like(const ls_ready *r, ls_row_sum *const *sums)
{
    for (int64_t i = 0; i < r->count; i++)
        if (r->sum[i].rows != sums[i]->rows || r->sum[i].count != sums[i]->count ||
            r->sum[i].dtype != sums[i]->dtype)
            return false;
    return true;
}

const ls_ready *ls_ready_find(const ls_ctx *ctx, ls_row_sum *const *sums, int64_t count)
{
    const ls_comm *c = ctx->comm;
    for (int i = 0; i < LS_READY; i++) {
        const ls_ready *r = &c->ready[i];
        if (r->count == count && r->leaf_rows == ctx->opts.leaf_rows && is_like(r, sums)) return r;
    }
    return NULL;
}

const ls_ready *ls_ready_make(ls_ctx *ctx, ls_row_sum *const *sums, int64_t count)
{
    ls_comm *c = ctx->comm;
    ls_ready *r = &c->ready[c->made_ready++ % LS_READY];
    int64_t bytes = 0;
    r->count = 0;
    if (r->room < count) {
        ls_memory_free(r->sum);
        r->room = 0;
        r->sum = ls_new(ctx, (size_t)count * sizeof *r->sum, "talking to other ranks");
        if (!r->sum) return NULL;
        r->room = count;
    }
    for (int64_t i = 0; i < count; i++) {
        ls_ready_sum *s = &r->sum[i];
        *s = (ls_ready_sum){ .rows = sums[i]->rows,
                             .count = sums[i]->count,
                             .dtype = sums[i]->dtype };
        s->plan = ls_comm_plan(ctx, s->rows);
        s->kernel = ls_comm_kernel(ctx, s->dtype);
        if (!s->plan || !s->kernel) return NULL;
        s->bytes = s->count * (int64_t)s->kernel->bytes;
        s->room = (s->bytes + DESK_ALIGN - 1) / DESK_ALIGN * DESK_ALIGN;
        bytes += s->bytes;
    }
    r->leaf_rows = ctx->opts.leaf_rows;
    r->bytes = bytes;
    r->digest = ls_comm_sizes(ctx, sums, count, false);
    r->count = count;
    return r;
}

void ls_ready_forget(ls_comm *c)
{
    for (int i = 0; i < LS_READY; i++) c->ready[i].count = 0;
}

void ls_ready_free(ls_comm *c)
{
    for (int i = 0; i < LS_READY; i++) ls_memory_free(c->ready[i].sum);
}
