/* early.c -- sums that are sent while backward still computes.
 *
 * Between machines, gradients take as long to be added as they take to be made, or longer. So grad begins
 * to add the last layers' as soon as they are there, some at a time, and looks after them between its
 * operations, as ops does between parts of a large one: then all that can be done without waiting is done. What is
 * left ends with the call that all of them belong to.
 *
 * Each begun lot of sums is an exchange like any other (slices.c), with the number and stamp that it would
 * have if it had ended at once. A few are under way at a time, so that one is sent while another is added; the
 * rest wait for a place, in order. None overtakes the one before it, so messages of one kind need nothing
 * that tells exchanges apart. c->exchange is the oldest that has not ended: all before it have, so what fence.c
 * says of a failure holds as it stands. Whoever fails leaves all that it has begun; others can't end the last of
 * this call's, for which it has sent nothing, and come to the fence in the same call. Any other exchange
 * ends those that were begun, first.
 *
 * Nothing is begun on one machine whose ranks see each other's memory: they add where the gradients lie, at the
 * speed of memory (node.c, factors.c). With several such machines each first adds its own ranks' pieces, which
 * must be one a rank, made where the sum belongs; and every rank gets the sum of its slice alone (node.c). Slices
 * are handed over where the call ends: to the other ranks; or to an update, which changes what others may compute with
 * until they have come there as well.
 *
 * Called by grad and ops through ls_links, by sums.c, and by exchange.c and fence.c before other exchanges.
 */
#include "comm/inside.h"
#include <string.h>

#define BETWEEN_S 20e-6 /* looks: a look costs a microsecond or two, and small operations less */
enum { LOOKS = 8 };     /* at a time, while messages come: MPI moves a part of one in each */

/* ---- those that wait --------------------------------------------------------------------------- */
static ls_early_sums *next_lot(ls_ctx *ctx)
{
    ls_early *e = &ctx->comm->early;
    if (e->to == e->room) {
        int64_t room = e->room ? 2 * e->room : 16;
        ls_early_sums *more = ls_new(ctx, (size_t)room * sizeof *more, "talking to other ranks");
        if (!more) return NULL;
        if (e->to) memcpy(more, e->lot, (size_t)e->to * sizeof *more);
        ls_memory_free(e->lot);
        e->lot = more;
        e->room = room;
    }
    return &e->lot[e->to];
}

static bool add_waiting(ls_ctx *ctx, ls_row_sum *const *sums, int64_t count)
{
    ls_early *e = &ctx->comm->early;
    ls_early_sums *w = next_lot(ctx);
    int64_t bytes = 0;
    if (!w) return false;
    for (int64_t i = 0; i < count; i++) {
        const ls_kernel *k = ls_comm_kernel(ctx, sums[i]->dtype);
        if (!k) return false;
        bytes += sums[i]->count * (int64_t)k->bytes;
    }
    *w = (ls_early_sums){ ls_comm_stamp(ctx, LS_SUMS, count, sums[0]->rows, bytes), sums, count };
    w->stamp.at.exchange += (uint64_t)(e->count + (e->to - e->from));
    w->stamp.digest = ls_comm_sizes(ctx, sums, count, ctx->comm->desk != NULL);
    e->to++;
    e->sums += count;
    return true;
}

/* ---- those under way --------------------------------------------------------------------------- */
static ls_early_exchange *under_way(ls_early *e, int i)
{
    return &e->of[(e->oldest + i) % LS_MOST_EARLY];
}

static bool begin(ls_ctx *ctx, ls_early_exchange *x, const ls_early_sums *w)
{
    const ls_comm *c = ctx->comm;
    x->stamp = w->stamp;
    if (!ls_comm_lay_out(ctx, &x->layout, w->sum, w->count)) return false;
    if (c->desk) return (x->node = ls_node_begin(ctx, &x->stamp, &x->layout)) != NULL;
    int64_t *bound = ls_comm_take(ctx, (c->count + 1) * (int64_t)sizeof *bound);
    if (!bound) return false;
    ls_comm_share(&x->layout, c->count, bound);
    x->slices = ls_slices_begin(ctx, &x->stamp, &x->layout, bound,
                                (ls_team){ c->rank, c->count, 0, 1 });
    return x->slices != NULL;
}

static bool begin_waiting(ls_ctx *ctx)
{
    ls_comm *c = ctx->comm;
    ls_early *e = &c->early;
    bool well = true;
    while (well && e->from < e->to && e->count < LS_MOST_EARLY) {
        ls_early_exchange *x = under_way(e, e->count);
        c->now = &x->own;
        well = begin(ctx, x, &e->lot[e->from]);
        c->now = &c->alone;
        e->from += well;
        e->count += well;
    }
    return well;
}

static void end_oldest(ls_comm *c)
{
    ls_early *e = &c->early;
    ls_early_exchange *x = under_way(e, 0);
    c->common = x->stamp.at;
    c->exchange++;
    ls_arena_reset(&x->own.arena); /* nothing is sent from it any more */
    e->oldest = (e->oldest + 1) % LS_MOST_EARLY;
    e->count--;
}

static bool go_on_with(const ls_comm *c, const ls_early_exchange *x,
                       const ls_early_exchange *before)
{
    return c->desk ? ls_node_go_on(x->node, before ? before->node : NULL)
                   : ls_slices_go_on(x->slices, before ? before->slices : NULL);
}

static bool is_over(const ls_comm *c, const ls_early_exchange *x)
{
    return c->desk ? ls_node_is_over(x->node) : ls_slices_is_over(x->slices);
}

/* All that can be done without waiting. False: failed. */
static bool go_on(ls_ctx *ctx)
{
    ls_comm *c = ctx->comm;
    const ls_early_exchange *before = NULL;
    for (int i = 0; i < c->early.count; i++) {
        ls_early_exchange *x = under_way(&c->early, i);
        c->now = &x->own;
        const bool well = go_on_with(c, x, before);
        c->now = &c->alone;
        if (!well) return false;
        before = x;
    }
    while (c->early.count && is_over(c, under_way(&c->early, 0))) end_oldest(c);
    return begin_waiting(ctx);
}

/* ---- for grad ---------------------------------------------------------------------------------- */
bool ls_comm_begin(ls_ctx *ctx, ls_row_sum *const *sums, int64_t count)
{
    ls_comm *c = ctx->comm;
    if (c->count == 1 || ctx->failure.status) return false;
    c->early.refuses = c->early.refuses || (c->desk && !ls_node_may_begin(ctx, sums, count));
    if (!c->early.refuses && !(add_waiting(ctx, sums, count) && begin_waiting(ctx))) return false;
    return c->early.count > 0;
}

bool ls_comm_progress(ls_ctx *ctx)
{
    ls_comm *c = ctx->comm;
    if (!c->early.count || ls_clock_s() < c->early.looked_s + BETWEEN_S) return c->early.count > 0;
    bool well = true;
    int64_t before = -1;
    for (int i = 0; i < LOOKS && well && ls_comm_moved(c) != before; i++) {
        before = ls_comm_moved(c);
        well = go_on(ctx);
    }
    c->early.looked_s = ls_clock_s();
    return well && c->early.count > 0;
}

/* ---- the end ----------------------------------------------------------------------------------- */
typedef struct ending {
    ls_ctx *ctx;
    uint64_t exchange;
} ending;

static int test_ended(void *of, ls_progress *progress)
{
    const ending *w = of;
    const ls_comm *c = w->ctx->comm;
    const int64_t before = ls_comm_moved(c);
    if (!go_on(w->ctx) || c->exchange > w->exchange) *progress = LS_DONE;
    else if (ls_comm_moved(c) != before) *progress = LS_SOME;
    return MPI_SUCCESS;
}

ls_status ls_early_end(ls_ctx *ctx)
{
    const ls_early *e = &ctx->comm->early;
    while (e->count || e->from < e->to) {
        ending w = { ctx, ctx->comm->exchange };
        if (!ls_comm_wait(ctx, test_ended, &w, true) || ctx->failure.status)
            return ls_comm_end(ctx, false);
    }
    return LS_OK;
}

static void forget_lots(ls_early *e)
{
    e->from = e->to = e->sums = 0;
    e->refuses = false;
}

bool ls_early_hand_over(ls_ctx *ctx, const ls_taker *taker)
{
    ls_early *e = &ctx->comm->early;
    ls_taker of_lot = taker ? *taker : (ls_taker){ 0 };
    of_lot.first = 0;
    for (const ls_early_sums *lot = e->lot; lot < e->lot + e->to; lot++) {
        ls_layout l;
        if (!ls_comm_lay_out(ctx, &l, lot->sum, lot->count) ||
            !ls_node_end(ctx, &l, taker ? &of_lot : NULL))
            return false;
        of_lot.first += lot->count;
    }
    forget_lots(e);
    return true;
}

ls_status ls_early_sums_end(ls_ctx *ctx, ls_row_sum *const *sums, int64_t count)
{
    ls_early *e = &ctx->comm->early;
    if (ctx->comm->desk) return ls_early_end(ctx);
    if (count > e->sums && !add_waiting(ctx, sums + e->sums, count - e->sums))
        return ls_comm_agree(ctx);
    const ls_status status = ls_early_end(ctx);
    forget_lots(e);
    return status;
}

void ls_early_forget(ls_comm *c)
{
    ls_early *e = &c->early;
    for (int i = 0; i < LS_MOST_EARLY; i++) ls_arena_reset(&e->of[i].own.arena);
    e->count = 0;
    forget_lots(e);
    c->now = &c->alone;
}

void ls_early_free(ls_comm *c)
{
    for (int i = 0; i < LS_MOST_EARLY; i++) {
        ls_arena_free(&c->early.of[i].own.arena);
        ls_memory_free(c->early.of[i].own.sending.at);
    }
    ls_memory_free(c->early.lot);
}
