/* sums.c -- sums over the leaves of a batch, in the one tree.
 *
 * A rank brings the pieces it holds (maximal nodes of the tree within its leaves); the plan says
 * which additions make the root of them. These are the same additions, in the same order, whatever
 * the number of ranks and whatever way the pieces took, so the bits depend on neither. All sums of
 * a call travel together: those of equal rows and type form a group and are added as one array.
 *
 *   alone   one rank has all pieces
 *   product an update makes it from the factors of all rows (factors.c), not from pieces
 *   small   every rank's pieces to every rank (blocks.c), and each adds all: fewest messages
 *   large   each rank adds a slice of the space and sends it to all (slices.c): least volume; in
 *           the memory that a node's ranks see where there is some (node.c)
 *   early   the same, begun while ranks still compute (early.c); those that are left when the call comes follow
 *           in the same way
 *
 * ls_comm_reduce() is all that knows of the way; another one is chosen there. Called by grad and
 * train through ls_links, and by gather.c.
 */
#include "comm/inside.h"
#include <string.h>

enum { GROUP_ALIGN = 64, PIECE_ALIGN = 16 };

static int64_t aligned(int64_t bytes, int64_t to)
{
    return (bytes + to - 1) / to * to;
}

void *ls_comm_add_tree(const ls_group *g, int64_t n, void **piece, const void *wanted)
{
    const ls_addition *a = g->plan->addition;
    for (int64_t i = 0; i < g->plan->pieces - 1; i++) {
        void *into = piece[a[i].into], *from = piece[a[i].from];
        if (from == wanted) { /* of two, the order is no matter */
            from = into;
            into = piece[a[i].from];
        }
        g->kernel->add(n, into, from);
        piece[a[i].into] = into;
    }
    return piece[0];
}

/* ---- small --------------------------------------------------------------------------------- */
static int64_t held(const ls_group *g, int r)
{
    return g->plan->first[r + 1] - g->plan->first[r];
}

static void pack(const ls_layout *l, int own, char *to)
{
    for (const ls_group *g = l->group; g < l->group + l->groups; g++)
        for (int64_t k = 0; k < held(g, own); k++, to += aligned(g->bytes, PIECE_ALIGN))
            for (const ls_span *s = g->span; s < g->span + g->spans; s++)
                memcpy(to + (s->at - g->at), s->piece[k], (size_t)s->bytes);
}

static void unpack(const ls_group *g, const char *from)
{
    for (const ls_span *s = g->span; s < g->span + g->spans; s++)
        memcpy(s->root, from + (s->at - g->at), (size_t)s->bytes);
}

static bool reduce_small(ls_ctx *ctx, const ls_stamp *stamp, const ls_layout *l,
                         const int64_t *bytes)
{
    const ls_comm *c = ctx->comm;
    ls_blocks b;
    if (!ls_blocks_begin(ctx, &b, bytes)) return false;
    pack(l, c->rank, b.block[c->rank]);
    if (!ls_blocks_exchange(ctx, stamp, &b)) return false;
    for (const ls_group *g = l->group; g < l->group + l->groups; g++) {
        void **piece = ls_comm_take(ctx, g->plan->pieces * (int64_t)sizeof *piece);
        if (!piece) return false;
        for (int r = 0, i = 0; r < c->count; r++)
            for (int64_t k = 0; k < held(g, r); k++, b.block[r] += aligned(g->bytes, PIECE_ALIGN))
                piece[i++] = b.block[r];
        int64_t n = g->kernel ? g->bytes / (int64_t)g->kernel->bytes : 0;
        unpack(g, ls_comm_add_tree(g, n, piece, NULL));
    }
    return true;
}

/* ---- which way ----------------------------------------------------------------------------- */
void ls_comm_share(const ls_layout *l, int count, int64_t *bound)
{
    const int64_t lines = l->bytes / GROUP_ALIGN;
    for (int r = 0; r <= count; r++)
        bound[r] = (lines / count * r + lines % count * r / count) * GROUP_ALIGN;
}

bool ls_comm_reduce(ls_ctx *ctx, const ls_stamp *stamp, const ls_layout *l, const ls_taker *taker)
{
    const ls_comm *c = ctx->comm;
    int count = c->count;
    int64_t largest = 0;
    int64_t *number = ls_comm_take(ctx, (count + 1) * (int64_t)sizeof *number);
    if (!number) return false;
    for (int r = 0; r < count; r++) {
        number[r] = 0;
        for (const ls_group *g = l->group; g < l->group + l->groups; g++)
            number[r] += held(g, r) * aligned(g->bytes, PIECE_ALIGN);
        if (number[r] > largest) largest = number[r];
    }
    if (largest <= LS_SMALL_BYTES && !taker) return reduce_small(ctx, stamp, l, number);
    const bool adds = !l->groups || l->group[0].kernel;
    const bool by_board = ls_board_is_all(c) || (c->desk && adds);
    if (by_board) count = c->node.count;
    ls_comm_share(l, count, number);
    return by_board ? ls_node_slices(ctx, stamp, l, number, taker)
                    : ls_slices_exchange(ctx, stamp, l, number, (ls_team){ c->rank, count, 0, 1 });
}

/* ---- groups -------------------------------------------------------------------------------- */
const ls_kernel *ls_comm_kernel(ls_ctx *ctx, ls_dtype dtype)
{
    if (ctx->kernel && dtype == ctx->opts.dtype) return ctx->kernel;
    const ls_kernel *k = ls_kernel_for(dtype, NULL);
    if (!k) ls_fail(ctx, LS_ERR_TYPE, "sums over rows are of floating types");
    return k;
}

/* The arrays that go with sums[first], as a group behind those there are. */
static bool add_group(ls_ctx *ctx, ls_layout *l, ls_row_sum *const *sums, int64_t first,
                      int64_t count, bool *taken, ls_span *span)
{
    const ls_row_sum *of = sums[first];
    ls_group *g = &l->group[l->groups++];
    *g = (ls_group){ .plan = ls_comm_plan(ctx, of->rows),
                     .kernel = ls_comm_kernel(ctx, of->dtype) };
    if (!g->plan || !g->kernel) return false;
    g->at = l->bytes;
    g->span = span;
    for (int64_t i = first; i < count; i++) {
        const ls_row_sum *s = sums[i];
        if (taken[i] || s->rows != of->rows || s->dtype != of->dtype) continue;
        taken[i] = true;
        int64_t bytes = s->count * (int64_t)g->kernel->bytes;
        *span++ = (ls_span){ g->at + g->bytes, bytes, i, s->piece, s->root };
        g->bytes += bytes;
        g->spans++;
    }
    l->bytes = aligned(g->at + g->bytes, GROUP_ALIGN);
    return true;
}

/* Sums over no rows are zero and need nobody. */
bool ls_comm_lay_out(ls_ctx *ctx, ls_layout *l, ls_row_sum *const *sums, int64_t count)
{
    bool *taken = ls_comm_take(ctx, count * (int64_t)sizeof *taken);
    ls_span *span = ls_comm_take(ctx, count * (int64_t)sizeof *span);
    *l = (ls_layout){ .group = ls_comm_take(ctx, count * (int64_t)sizeof *l->group) };
    if (!taken || !span || !l->group) return false;
    for (int64_t i = 0; i < count; i++) {
        const ls_row_sum *s = sums[i];
        taken[i] = s->rows <= 0 || s->count <= 0 || s->m;
        if (!taken[i] || s->count <= 0 || s->m) continue;
        const ls_kernel *k = ls_comm_kernel(ctx, s->dtype);
        if (!k) return false;
        memset(s->root, 0, (size_t)s->count * k->bytes);
    }
    for (int64_t i = 0; i < count; i++) {
        if (taken[i]) continue;
        if (!add_group(ctx, l, sums, i, count, taken, span)) return false;
        span += l->group[l->groups - 1].spans;
    }
    return true;
}

uint64_t ls_comm_sizes(const ls_ctx *ctx, ls_row_sum *const *sums, int64_t count, bool placed)
{
    uint64_t d = (uint64_t)ctx->opts.leaf_rows;
    for (int64_t i = 0; i < count; i++) {
        ls_place_seen place = { 0, 0 };
        if (sums[i]->m || placed)
            ls_window_find(ctx->comm, sums[i]->root, &place); /* the others' lie at the same one */
        const uint64_t size[] = { (uint64_t)sums[i]->rows,
                                  (uint64_t)sums[i]->count,
                                  (uint64_t)sums[i]->dtype,
                                  (uint64_t)sums[i]->m,
                                  place.block,
                                  place.offset };
        for (int k = 0; k < 6; k++) d = (d ^ size[k]) * UINT64_C(0x100000001b3) + (d >> 29);
    }
    return d;
}

/* ---- the sums ------------------------------------------------------------------------------ */
static bool sums_alone(ls_ctx *ctx, const ls_layout *l, const ls_taker *taker)
{
    for (const ls_group *g = l->group; g < l->group + l->groups; g++)
        for (const ls_span *s = g->span; s < g->span + g->spans; s++) {
            void *piece[LS_MAX_PIECES];
            memcpy(piece, s->piece, (size_t)g->plan->pieces * sizeof *piece);
            void *sum = ls_comm_add_tree(g, s->bytes / (int64_t)g->kernel->bytes, piece, s->root);
            if (sum != s->root) memcpy(s->root, sum, (size_t)s->bytes);
            if (taker)
                taker->done(taker->of, taker->first + s->sum,
                            (ls_range){ 0, s->bytes / (int64_t)g->kernel->bytes }, s->root);
        }
    return !taker || ls_factors_take(ctx, taker);
}

/* What a call needs on the board. */
typedef struct need {
    int64_t bytes, pieces; /* of the sums; of a rank, at most */
    bool is_small;         /* it fits a desk, and nothing is empty */
} need;

static need need_of(ls_ctx *ctx, ls_row_sum *const *sums, int64_t count)
{
    need n = { .pieces = 1, .is_small = true };
    for (int64_t i = 0; i < count; i++) {
        if (sums[i]->rows <= 0 || sums[i]->count <= 0 || sums[i]->m) {
            n.is_small = false;
            continue;
        }
        const ls_plan *plan = ls_comm_plan(ctx, sums[i]->rows);
        if (!plan || !ls_comm_kernel(ctx, sums[i]->dtype)) return n;
        if (plan->most > n.pieces) n.pieces = plan->most;
        n.bytes += aligned(sums[i]->count * 8, GROUP_ALIGN);
    }
    if (n.bytes * n.pieces > LS_SMALL_BYTES) n.is_small = false;
    return n;
}

/* On the desks of a node that is all there is. */
static ls_status sum_ready(ls_ctx *ctx, ls_row_sum *const *sums, const ls_ready *r)
{
    if (!r) return ls_comm_agree(ctx);
    ls_stamp stamp = ls_comm_stamp(ctx, LS_SUMS, r->count, r->sum->rows, r->bytes);
    stamp.digest = r->digest;
    return ls_comm_end(ctx, ls_board_sums(ctx, &stamp, sums, r));
}

static ls_status sum_all(ls_ctx *ctx, ls_row_sum *const *sums, int64_t count, const ls_taker *taker)
{
    ls_layout l;
    if (ctx->failure.status) return ls_comm_agree(ctx);
    if (count == 0) return LS_OK;
    if (ctx->comm->desk) {
        const bool may_be_small = !taker && ls_board_is_all(ctx->comm);
        const ls_ready *ready = may_be_small ? ls_ready_find(ctx, sums, count) : NULL;
        if (ready) return sum_ready(ctx, sums, ready);
        need n = need_of(ctx, sums, count);
        if (ctx->failure.status) return ls_comm_agree(ctx);
        if (n.is_small && may_be_small)
            return sum_ready(ctx, sums, ls_ready_make(ctx, sums, count));
        if (ls_node_reserve(ctx, n.bytes, n.pieces, count)) return ls_comm_agree(ctx);
    }
    if (!ls_comm_lay_out(ctx, &l, sums, count)) return ls_comm_end(ctx, false);
    if (ctx->comm->count == 1) return ls_comm_end(ctx, sums_alone(ctx, &l, taker));
    ls_stamp stamp = ls_comm_stamp(ctx, LS_SUMS, count, sums[0]->rows, l.bytes);
    stamp.digest = ls_comm_sizes(ctx, sums, count, false);
    return ls_comm_end(ctx, ls_comm_reduce(ctx, &stamp, &l, taker));
}

/* Nothing is left, but the update of what was begun early. */
static ls_status take_begun(ls_ctx *ctx, const ls_taker *taker)
{
    uint64_t none = 0;
    if (taker && ls_comm_any(ctx, none, &none)) return ctx->failure.status;
    if (taker && !ls_early_hand_over(ctx, taker)) return ls_comm_agree(ctx);
    return ls_comm_any(ctx, none, &none);
}

/* The first sums may have been begun. */
static ls_status end_sums(ls_ctx *ctx, ls_row_sum *const *sums, int64_t count,
                          const ls_taker *taker)
{
    const int64_t begun = ctx->comm->early.sums;
    ctx->comm->early.refuses = false;
    if (!begun || ctx->failure.status) return sum_all(ctx, sums, count, taker);
    const ls_status status = ls_early_sums_end(ctx, sums, count);
    if (status || !ctx->comm->desk) return status;
    if (!taker && !ls_early_hand_over(ctx, NULL)) return ls_comm_agree(ctx);
    if (begun == count) return take_begun(ctx, taker);
    if (!taker) return sum_all(ctx, sums + begun, count - begun, NULL);
    const ls_taker rest = { taker->done, taker->of, sums + begun, count - begun, begun };
    return sum_all(ctx, sums + begun, count - begun, &rest);
}

ls_status ls_comm_sums(ls_ctx *ctx, ls_row_sum *const *sums, int64_t count)
{
    return end_sums(ctx, sums, count, NULL);
}

ls_status ls_comm_update(ls_ctx *ctx, ls_row_sum *const *sums, int64_t count, bool common,
                         ls_slice_done *done, void *of)
{
    const ls_comm *c = ctx->comm;
    if (c->count == 1 || (common && c->desk && !c->left_common))
        return end_sums(ctx, sums, count, &(ls_taker){ done, of, sums, count, 0 });
    ls_status status = end_sums(ctx, sums, count, NULL);
    for (int64_t i = 0; i < count && !status; i++)
        done(of, i, (ls_range){ 0, sums[i]->count }, sums[i]->root);
    return status;
}
