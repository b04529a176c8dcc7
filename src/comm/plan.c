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
    if (!p) return;
    free_plan(p->between);
    ls_memory_free(p->inside_addition);
    ls_memory_free(p->lead);
    ls_memory_free(p->first);
    ls_memory_free(p->addition);
    ls_memory_free(p->piece);
    ls_memory_free(p);
}

/* The leaves of one of several shares, each of so many ranks. */
static ls_range leaves_of(const ls_comm *c, int64_t leaves, int share, int ranks)
{
    return (ls_range){ ls_leaf_cut(leaves, c->count, share * ranks).from,
                       ls_leaf_cut(leaves, c->count, share * ranks + ranks - 1).to };
}

/* The pieces of shares of so many ranks, in order, and the additions that join them. They go to
 * *piece, from ls_new(). */
static bool cut(ls_ctx *ctx, ls_plan *p, int ranks, ls_range **piece)
{
    const ls_comm *c = ctx->comm;
    const int shares = c->count / ranks;
    const int64_t leaves = ls_leaf_count(p->rows, p->leaf_rows);
    ls_range own[LS_MAX_PIECES];
    p->first = ls_new(ctx, ((size_t)shares + 1) * sizeof *p->first, "the plan of a sum");
    if (!p->first) return false;
    for (int r = 0; r < shares; r++) {
        int held = ls_leaf_pieces(leaves, leaves_of(c, leaves, r, ranks), own);
        p->first[r + 1] = p->first[r] + held;
        if (held > p->most) p->most = held;
    }
    p->pieces = p->first[shares];
    p->addition = ls_new(ctx, ((size_t)p->pieces + 1) * sizeof *p->addition, "the plan of a sum");
    *piece = ls_new(ctx, (size_t)p->pieces * sizeof **piece + sizeof own, "the plan of a sum");
    if (!p->addition || !*piece) return false;
    for (int r = 0; r < shares; r++)
        ls_leaf_pieces(leaves, leaves_of(c, leaves, r, ranks), *piece + p->first[r]);
    ls_leaf_tree(leaves, p->pieces, *piece, p->addition);
    return true;
}

/* How the pieces of this node's ranks make those of the node. Each of these is a tree of its own, with
 * leaves that count from its first. */
static bool join_inside(ls_ctx *ctx, ls_plan *p, ls_range *piece, const ls_range *node_piece)
{
    const ls_node_place *node = &ctx->comm->node;
    const int64_t *mine = p->first + node->first, *theirs = p->between->first + node->number;
    int64_t i = mine[0], end = mine[node->count], made = 0;
    p->inside_addition = ls_new(ctx, (size_t)(end - i + 1) * sizeof *p->inside_addition,
                                "the plan of a sum");
    p->lead = ls_new(ctx, (size_t)(theirs[1] - theirs[0] + 1) * sizeof *p->lead,
                     "the plan of a sum");
    if (!p->inside_addition || !p->lead) return false;
    for (int64_t k = theirs[0]; k < theirs[1]; k++) {
        const ls_range whole = node_piece[k];
        int64_t from = i;
        for (; i < end && piece[i].to <= whole.to; i++) {
            piece[i].from -= whole.from;
            piece[i].to -= whole.from;
        }
        ls_addition *a = p->inside_addition + made;
        ls_leaf_tree(whole.to - whole.from, i - from, piece + from, a);
        for (int64_t n = 0; n < i - from - 1; n++, made++) {
            a[n].into += (int32_t)(from - mine[0]);
            a[n].from += (int32_t)(from - mine[0]);
        }
        p->lead[k - theirs[0]] = from - mine[0];
    }
    p->inside = made;
    return true;
}

/* piece: of leaves, becomes the plan's. */
static void keep_rows(ls_plan *p, ls_range *piece, int ranks)
{
    for (int64_t k = 0; k < p->pieces; k++)
        piece[k] = ls_leaf_rows(p->rows, p->leaf_rows, piece[k]);
    for (int r = 0; r < ranks; r++) {
        const int64_t first = p->first[r], end = p->first[r + 1];
        const int64_t rows = first < end ? piece[end - 1].to - piece[first].from : 0;
        if (rows > p->most_rows) p->most_rows = rows;
    }
    p->piece = piece;
}

static bool make(ls_ctx *ctx, ls_plan *p)
{
    const ls_node_place *node = &ctx->comm->node;
    ls_range *piece = NULL, *node_piece = NULL;
    bool made = cut(ctx, p, 1, &piece);
    if (made && node->nodes > 1 && node->count > 1) {
        p->between = ls_new(ctx, sizeof *p->between, "the plan of a sum");
        made = p->between != NULL;
        if (made) {
            p->between->rows = p->rows;
            p->between->leaf_rows = p->leaf_rows;
            made = cut(ctx, p->between, node->count, &node_piece) &&
                   join_inside(ctx, p, piece, node_piece);
        }
    }
    if (made && node->nodes == 1) {
        keep_rows(p, piece, ctx->comm->count);
        piece = NULL;
    }
    ls_memory_free(piece);
    ls_memory_free(node_piece);
    return made;
}

const ls_plan *ls_comm_plan(ls_ctx *ctx, int64_t rows)
{
    ls_comm *c = ctx->comm;
    int64_t leaf_rows = ctx->opts.leaf_rows;
    ls_plan **at = &c->plans, *p;
    for (int known = 0; *at && ((*at)->rows != rows || (*at)->leaf_rows != leaf_rows); known++) {
        if (known >= MOST_PLANS && (*at)->used < c->exchange) {
            p = *at;
            *at = p->next;
            free_plan(p);
            ls_ready_forget(c);
        } else at = &(*at)->next;
    }
    if ((p = *at)) *at = p->next;
    else {
        if (!(p = ls_new(ctx, sizeof *p, "the plan of a sum"))) return NULL;
        p->rows = rows;
        p->leaf_rows = leaf_rows;
        if (!make(ctx, p)) {
            free_plan(p);
            return NULL;
        }
    }
    p->used = c->exchange + (uint64_t)c->early.count; /* begun early, at the most */
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
    ls_ready_free(c);
    while (c->plans) {
        ls_plan *p = c->plans;
        c->plans = p->next;
        free_plan(p);
    }
    ls_memory_free(c->from_root.first);
    ls_memory_free(c->nothing.first);
}
