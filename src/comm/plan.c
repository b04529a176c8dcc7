/* plan.c -- who holds which pieces of a sum over so many rows, and the additions that join them.
 *
 * Follows from the number of rows, leaf_rows and the number of ranks alone (base/leaf.c), so every
 * rank works out the same plan by itself. A program has few numbers of rows (the batch, the last
 * batch, the validation set), so plans are kept, the ones used last first, and old ones are
 * dropped.
 *
 * Called by sums.c and gather.c.
 */
#include "comm/inside.h"

enum { MOST_PLANS = 64 };

static void free_plan(ls_plan *p)
{
    ls_memory_free(p->first);
    ls_memory_free(p->addition);
    ls_memory_free(p);
}

/* Pieces of all ranks, in order; p->first is filled. */
static bool make(ls_ctx *ctx, ls_plan *p)
{
    const ls_comm *c = ctx->comm;
    int64_t leaves = ls_leaf_count(p->rows, p->leaf_rows), room = 0;
    ls_range own[LS_MAX_PIECES], *piece = NULL;
    for (int r = 0; r < c->count; r++) {
        int held = ls_leaf_pieces(leaves, ls_leaf_cut(leaves, c->count, r), own);
        p->first[r] = room;
        room += held;
        if (held > p->most) p->most = held;
    }
    p->first[c->count] = p->pieces = room;
    p->addition = ls_new(ctx, (size_t)room * sizeof *p->addition, "the plan of a sum");
    piece = ls_new(ctx, (size_t)room * sizeof *piece + sizeof own, "the plan of a sum");
    if (p->addition && piece) {
        for (int r = 0; r < c->count; r++)
            ls_leaf_pieces(leaves, ls_leaf_cut(leaves, c->count, r), piece + p->first[r]);
        ls_leaf_tree(leaves, room, piece, p->addition);
    }
    ls_memory_free(piece);
    return p->addition && piece;
}

const ls_plan *ls_comm_plan(ls_ctx *ctx, int64_t rows)
{
    ls_comm *c = ctx->comm;
    int64_t leaf_rows = ctx->opts.leaf_rows;
    ls_plan **at = &c->plans, *p;
    for (int known = 0; *at && ((*at)->rows != rows || (*at)->leaf_rows != leaf_rows); known++) {
        if (known >= MOST_PLANS && (*at)->used != c->exchange) {
            p = *at;
            *at = p->next;
            free_plan(p);
        } else at = &(*at)->next;
    }
    if ((p = *at)) *at = p->next;
    else {
        if (!(p = ls_new(ctx, sizeof *p, "the plan of a sum"))) return NULL;
        p->rows = rows;
        p->leaf_rows = leaf_rows;
        p->first = ls_new(ctx, ((size_t)c->count + 1) * sizeof *p->first, "the plan of a sum");
        if (!p->first || !make(ctx, p)) {
            free_plan(p);
            return NULL;
        }
    }
    p->used = c->exchange;
    p->next = c->plans;
    c->plans = p;
    return p;
}

/* Two that are always needed: one piece, on the root; and none at all. */
bool ls_comm_plans_new(ls_ctx *ctx)
{
    ls_comm *c = ctx->comm;
    size_t bytes = ((size_t)c->count + 1) * sizeof(int64_t);
    c->from_root.first = ls_new(ctx, bytes, "talking to other ranks");
    c->nothing.first = ls_new(ctx, bytes, "talking to other ranks");
    if (!c->from_root.first || !c->nothing.first) return false;
    c->from_root.pieces = c->from_root.most = 1;
    for (int r = 1; r <= c->count; r++) c->from_root.first[r] = 1;
    return true;
}

void ls_comm_plans_free(ls_comm *c)
{
    while (c->plans) {
        ls_plan *p = c->plans;
        c->plans = p->next;
        free_plan(p);
    }
    ls_memory_free(c->from_root.first);
    ls_memory_free(c->nothing.first);
}
