/* node.c -- sums and copies of what is large, between ranks of a node, which see each other's memory, and between
 * nodes of several ranks. Ranks are numbered within the node here.
 *
 *   slices   everything stays where it is: a table says in which block of memory each piece and
 *            root lies (what lies in none is copied to the staging block first). Every rank adds the
 *            pieces of its slice into its own root, in the order of the plan and in chunks that stay
 *            in the nearest cache, then copies the other slices from the roots of their owners. An
 *            update takes each chunk as it is made, and nothing is copied.
 *
 *            With several nodes, each first makes its own pieces of every slice; ranks of equal number
 *            then exchange their slice between nodes (slices.c), and the node goes on with the sum.
 *
 *   early    the same in steps that never wait, several of them at a time (early.c): up to where every rank
 *            has the sum of its slice. What slices are for comes once for all, where ranks wait anyway.
 *
 * Ranks meet at their desks (board.c). Called by early.c, sums.c and gather.c.
 */
#include "comm/inside.h"
#include <string.h>

enum { CHUNK_BYTES = 8 << 10, LINE = 64 };

/* ---- slices: where everything lies --------------------------------------------------------- */
/* Staging: the table, then room for pieces and root of the whole space. */
typedef struct space {
    ls_ctx *ctx;
    ls_comm *comm;
    const ls_layout *layout;
    const int64_t *bound;
    /* Of every rank; NULL: everything lies at the same places on all, and every piece is a root. */
    const ls_place_seen **table;
    const ls_taker *taker; /* or NULL */
    char **piece;          /* of all ranks, of one chunk */
} space;

/* Pieces of a rank of this node. */
static int64_t held(const space *b, const ls_group *g, int number)
{
    const int64_t *first = g->plan->first + b->comm->node.first + number;
    return first[1] - first[0];
}

static int64_t table_bytes(int64_t pieces, int64_t arrays)
{
    int64_t bytes = arrays * (pieces + 1) * (int64_t)sizeof(ls_place_seen);
    return (bytes + LINE - 1) / LINE * LINE;
}

ls_status ls_node_reserve(ls_ctx *ctx, int64_t bytes, int64_t pieces, int64_t arrays)
{
    ls_comm *c = ctx->comm;
    if (!c->desk || ctx->failure.status) return ctx->failure.status;
    int64_t room = table_bytes(pieces, arrays) + (pieces + 1) * (bytes + arrays * LINE);
    if (c->staging && c->staging->bytes >= (size_t)room) return LS_OK;
    c->staging = ls_window_grow(ctx, c->staging, (size_t)room);
    return ctx->failure.status;
}

/* Piece k of rank r, or its root for k = held(b, g, r), of an array. */
static char *find(const space *b, const ls_group *g, const ls_span *s, int r, int64_t k)
{
    if (!b->table) {
        ls_place_seen root = { 0, 0 };
        ls_window_find(b->comm, s->root, &root);
        return ls_window_at(b->comm, r, root);
    }
    const ls_place_seen *at = b->table[r];
    for (const ls_group *h = b->layout->group; h < g; h++) at += h->spans * (held(b, h, r) + 1);
    return ls_window_at(b->comm, r, at[(s - g->span) * (held(b, g, r) + 1) + k]);
}

/* Fills this rank's table; what cannot be seen where it lies goes to the staging block. */
static void lay_out(const space *b)
{
    ls_comm *c = b->comm;
    int own = c->node.own;
    int64_t entries = 0;
    for (const ls_group *g = b->layout->group; g < b->layout->group + b->layout->groups; g++)
        entries += g->spans * (held(b, g, own) + 1);
    char *staging = c->staging->at[own];
    ls_place_seen *at = (ls_place_seen *)staging;
    int64_t room = (entries * (int64_t)sizeof *at + LINE - 1) / LINE * LINE;
    for (const ls_group *g = b->layout->group; g < b->layout->group + b->layout->groups; g++)
        for (const ls_span *s = g->span; s < g->span + g->spans; s++)
            for (int64_t k = 0; k <= held(b, g, own); k++, at++) {
                const void *from = k < held(b, g, own) ? s->piece[k] : s->root;
                if (ls_window_find(c, from, at)) continue;
                *at = (ls_place_seen){ c->staging->id, (uint64_t)room };
                if (k < held(b, g, own)) memcpy(staging + room, from, (size_t)s->bytes);
                else if (!g->plan->pieces) { /* gathered: this rank's slice is there already */
                    int64_t first = b->bound[own] - s->at, last = b->bound[own + 1] - s->at;
                    memcpy(staging + room + first, (const char *)from + first,
                           (size_t)(last - first));
                }
                room += (s->bytes + LINE - 1) / LINE * LINE;
            }
}

/* ---- slices: adding ------------------------------------------------------------------------ */
/* The pieces of this node's ranks, each as an array of the whole space. */
static void find_pieces(const space *b, const ls_group *g, const ls_span *s, char **piece)
{
    for (int r = 0; r < b->comm->node.count; r++)
        for (int64_t k = 0; k < held(b, g, r); k++) *piece++ = find(b, g, s, r, k) - s->at;
}

static char *own_root(const space *b, const ls_group *g, const ls_span *s)
{
    int own = b->comm->node.own;
    return find(b, g, s, own, held(b, g, own)) - s->at;
}

/* Adds the pieces in the order of the plan; the last addition goes to sum. */
static void add_tree(const ls_group *g, int64_t bytes, char **piece, char *sum)
{
    const ls_addition *a = g->plan->addition;
    const int64_t count = g->plan->pieces, n = g->kernel ? bytes / (int64_t)g->kernel->bytes : 0;
    for (int64_t i = 0; i < count - 2; i++) g->kernel->add(n, piece[a[i].into], piece[a[i].from]);
    if (count > 1) {
        const ls_addition last = a[count - 2];
        g->kernel->add_of(n, piece[last.into], piece[last.from], sum);
    } else if (count == 1 && piece[0] != sum) memcpy(sum, piece[0], (size_t)bytes);
}

static void take(const space *b, const ls_group *g, const ls_span *s, int64_t from, int64_t bytes,
                 const char *sum)
{
    const int64_t first = from - s->at, size = (int64_t)g->kernel->bytes;
    b->taker->done(b->taker->of, b->taker->first + s->sum,
                   (ls_range){ first / size, (first + bytes) / size }, sum);
}

static int64_t chunk_of(int64_t from, int64_t to)
{
    return to - from < CHUNK_BYTES ? to - from : CHUNK_BYTES;
}

/* The bytes from to of the space, which lie in array s. */
static void reduce(const space *b, const ls_group *g, const ls_span *s, int64_t from, int64_t to)
{
    _Alignas(LINE) char taken[CHUNK_BYTES];
    char *root = own_root(b, g, s);
    find_pieces(b, g, s, b->piece);
    for (int64_t i = 0; i < g->plan->pieces; i++) b->piece[i] += from;
    for (int64_t bytes; from < to; from += bytes) {
        bytes = chunk_of(from, to);
        char *sum = b->taker ? taken : root + from;
        add_tree(g, bytes, b->piece, sum);
        if (b->taker) take(b, g, s, from, bytes, sum);
        for (int64_t i = 0; i < g->plan->pieces; i++) b->piece[i] += bytes;
    }
}

typedef void span_fn(const space *b, const ls_group *g, const ls_span *s, int64_t from, int64_t to);

static void each_span(const space *b, int owner, span_fn *f)
{
    for (const ls_group *g = b->layout->group; g < b->layout->group + b->layout->groups; g++)
        for (const ls_span *s = g->span; s < g->span + g->spans; s++) {
            int64_t from = b->bound[owner] > s->at ? b->bound[owner] : s->at;
            int64_t end = s->at + s->bytes,
                    to = b->bound[owner + 1] < end ? b->bound[owner + 1] : end;
            if (from < to) f(b, g, s, from, to);
        }
}

static int owner_of(const space *b, int64_t at)
{
    int r = 0;
    while (b->bound[r + 1] <= at) r++;
    return r;
}

/* From the root of the slice's owner to this rank's. */
static void copy(const space *b, const ls_group *g, const ls_span *s, int64_t from, int64_t to)
{
    int owner = owner_of(b, from);
    const char *theirs = find(b, g, s, owner, held(b, g, owner)) + (from - s->at);
    char *mine = (char *)s->root + (from - s->at);
    if (theirs != mine) memcpy(mine, theirs, (size_t)(to - from));
}

/* ---- slices: between nodes ----------------------------------------------------------------- */
/* Makes the node's pieces, where the first of each lies. */
static void join_inside(const space *b, const ls_group *g, const ls_span *s, int64_t from,
                        int64_t to)
{
    find_pieces(b, g, s, b->piece);
    for (int64_t bytes; from < to; from += bytes) {
        bytes = chunk_of(from, to);
        for (int64_t i = 0; i < g->plan->inside; i++) {
            const ls_addition a = g->plan->inside_addition[i];
            g->kernel->add(bytes / (int64_t)g->kernel->bytes, b->piece[a.into] + from,
                           b->piece[a.from] + from);
        }
    }
}

static void take_all(const space *b, const ls_group *g, const ls_span *s, int64_t from, int64_t to)
{
    const char *root = own_root(b, g, s);
    for (int64_t bytes; from < to; from += bytes) {
        bytes = chunk_of(from, to);
        take(b, g, s, from, bytes, root + from);
    }
}

/* The space as one rank of each node sees it: its arrays are the node's pieces. */
static bool lay_out_between(const space *b, ls_layout *l)
{
    const ls_layout *from = b->layout;
    *l = *from;
    l->group = ls_comm_take(b->ctx, from->groups * (int64_t)sizeof *l->group);
    for (int64_t i = 0; l->group && i < from->groups; i++) {
        const ls_group *g = &from->group[i];
        const int64_t *first = g->plan->between->first + b->comm->node.number;
        const int64_t count = first[1] - first[0];
        ls_span *span = ls_comm_take(b->ctx, g->spans * (int64_t)sizeof *span);
        void **piece = ls_comm_take(b->ctx, (g->spans * count + 1) * (int64_t)sizeof *piece);
        if (!span || !piece) return false;
        l->group[i] = *g;
        l->group[i].plan = g->plan->between;
        l->group[i].span = span;
        for (const ls_span *s = g->span; s < g->span + g->spans; s++, span++, piece += count) {
            *span = *s;
            span->piece = piece;
            span->root = own_root(b, g, s) + s->at;
            find_pieces(b, g, s, b->piece);
            for (int64_t k = 0; k < count; k++) piece[k] = b->piece[g->plan->lead[k]] + s->at;
        }
    }
    return l->group != NULL;
}

/* The bytes of this rank's slice that each node adds; NULL without memory. */
static int64_t *share_between(const space *b)
{
    const ls_node_place *node = &b->comm->node;
    const int64_t *mine = b->bound + node->own, lines = (mine[1] - mine[0]) / LINE;
    int64_t *bound = ls_comm_take(b->ctx, (node->nodes + 1) * (int64_t)sizeof *bound);
    for (int64_t n = 0; bound && n < node->nodes; n++)
        bound[n] = mine[0] + lines * n / node->nodes * LINE;
    if (bound) bound[node->nodes] = mine[1];
    return bound;
}

/* The ranks of equal number. */
static ls_team team_between(const ls_comm *c)
{
    return (ls_team){ c->node.number, c->node.nodes, c->node.own, c->node.count };
}

static bool reduce_between(const space *b, const ls_stamp *stamp)
{
    const ls_comm *c = b->comm;
    ls_layout l;
    const int64_t *bound = share_between(b);
    each_span(b, c->node.own, join_inside);
    if (!bound || !lay_out_between(b, &l)) return false;
    if (!ls_slices_exchange(b->ctx, stamp, &l, bound, team_between(c))) return false;
    if (b->taker) each_span(b, c->node.own, take_all);
    return true;
}

/* Nothing but the stamps of all ranks, so that none goes on before all are here. */
static bool meet_all(ls_ctx *ctx, const ls_stamp *stamp)
{
    ls_blocks b;
    int64_t *none = ls_comm_take(ctx, ctx->comm->count * (int64_t)sizeof *none);
    if (!none) return false;
    memset(none, 0, (size_t)ctx->comm->count * sizeof *none);
    return ls_blocks_begin(ctx, &b, none) && ls_blocks_exchange(ctx, stamp, &b);
}

/* ---- slices -------------------------------------------------------------------------------- */
bool ls_node_slices(ls_ctx *ctx, const ls_stamp *stamp, const ls_layout *l, const int64_t *bound,
                    const ls_taker *taker)
{
    ls_comm *c = ctx->comm;
    int64_t pieces = 1;
    for (const ls_group *g = l->group; g < l->group + l->groups; g++)
        if (g->plan->pieces > pieces) pieces = g->plan->pieces;
    space b = {
        ctx, c, l, bound, NULL, taker, ls_comm_take(ctx, pieces * (int64_t)sizeof *b.piece)
    };
    b.table = ls_comm_take(ctx, c->node.count * (int64_t)sizeof *b.table);
    if (!b.piece || !b.table) return false;
    if (c->node.nodes > 1 && !meet_all(ctx, stamp)) return false;
    lay_out(&b);
    if (!ls_board_post(ctx, stamp)) return false;
    for (int r = 0; r < c->node.count; r++) b.table[r] = (const ls_place_seen *)c->staging->at[r];
    if (taker && !(ls_factors_take(ctx, taker) && ls_early_hand_over(ctx, taker))) return false;
    if (c->node.nodes == 1) each_span(&b, c->node.own, reduce);
    else if (!reduce_between(&b, stamp)) return false;
    if (!taker) {
        if (!ls_board_tell_and_await(ctx, LS_REDUCED)) return false;
        for (int i = 0; i < c->node.count; i++)
            each_span(&b, (c->node.own + i) % c->node.count, copy);
    }
    return ls_board_tell_and_await(ctx, LS_READ);
}

/* ---- slices, begun early --------------------------------------------------------------------- */
enum { MEETING, ADDING, ENDING, OVER }; /* what it is at */
struct ls_node_early {
    space space;
    const ls_stamp *stamp;
    int at;
    ls_stamp next; /* of the rank that comes next, */
    int64_t come;  /* the messages up to it, or 0; */
    bool is_same;  /* and it is ours */
    ls_layout between;
    ls_slices *slices;
};

/* Without a table: every rank has one piece, which is the root, at the same place as the others'. */
bool ls_node_may_begin(ls_ctx *ctx, ls_row_sum *const *sums, int64_t count)
{
    const ls_comm *c = ctx->comm;
    ls_place_seen root;
    if (c->node.nodes == 1) return false;
    for (int64_t i = 0; i < count; i++) {
        const ls_row_sum *s = sums[i];
        if (s->rows <= 0 || s->count <= 0 || s->m || !ls_window_find(c, s->root, &root))
            return false;
        const ls_plan *plan = ls_comm_plan(ctx, s->rows);
        if (!plan || plan->most != 1 || plan->pieces != c->count || s->piece[0] != s->root)
            return false;
    }
    return true;
}

static bool space_without_table(ls_ctx *ctx, space *b, const ls_layout *l, const ls_taker *taker)
{
    ls_comm *c = ctx->comm;
    int64_t *bound = ls_comm_take(ctx, (c->node.count + 1) * (int64_t)sizeof *bound);
    *b = (space){
        ctx, c, l, bound, NULL, taker, ls_comm_take(ctx, c->count * (int64_t)sizeof *b->piece)
    };
    if (!bound || !b->piece) return false;
    ls_comm_share(l, c->node.count, bound);
    return true;
}

ls_node_early *ls_node_begin(ls_ctx *ctx, const ls_stamp *stamp, const ls_layout *l)
{
    const ls_comm *c = ctx->comm;
    ls_node_early *e = ls_comm_take(ctx, sizeof *e);
    if (!e) return NULL;
    *e = (ls_node_early){ .stamp = stamp };
    if (!space_without_table(ctx, &e->space, l, NULL)) return NULL;
    ls_board_begin(c, stamp);
    const int to = (c->rank + c->count - 1) % c->count;
    return ls_comm_send(ctx, to, LS_TAG_FIRST, stamp, sizeof *stamp) ? e : NULL;
}

/* Every exchange by messages sends its stamp to the rank before. So wherever ranks on the way round are at different
 * ones, one of them finds out. */
static bool compare_next(ls_node_early *e)
{
    ls_ctx *ctx = e->space.ctx;
    ls_comm *c = ctx->comm;
    const int from = (c->rank + 1) % c->count, bytes = sizeof e->next;
    bool is_here = false;
    if (!e->come) {
        if (!ls_comm_look(ctx, from, LS_TAG_FIRST, e->stamp, &e->next, bytes, &is_here))
            return false;
        if (!is_here) return true;
        e->come = c->receiving.count;
    }
    if (!ls_comm_is_complete(ctx, &c->receiving, e->come, &is_here)) return false;
    e->is_same = is_here && ls_comm_is_same(ctx, from, e->stamp, &e->next, bytes, bytes);
    return !is_here || e->is_same;
}

static bool begin_between(ls_node_early *e)
{
    const space *b = &e->space;
    if (!ls_board_compare(b->ctx, e->stamp)) return false;
    const int64_t *bound = share_between(b);
    each_span(b, b->comm->node.own, join_inside);
    if (!bound || !lay_out_between(b, &e->between)) return false;
    e->slices = ls_slices_begin(b->ctx, e->stamp, &e->between, bound, team_between(b->comm));
    return e->slices != NULL;
}

/* To the next, if what it is at has ended. False: failed. */
static bool is_on(ls_node_early *e, const ls_node_early *before, bool *on)
{
    const ls_comm *c = e->space.comm;
    const uint64_t exchange = e->stamp->at.exchange;
    *on = false;
    switch (e->at) {
    case MEETING:
        if (before && before->at == MEETING) return true;
        if (!e->is_same && !compare_next(e)) return false;
        *on = e->is_same && ls_board_all_have(c, LS_BEGUN, exchange);
        return !*on || begin_between(e);
    case ADDING:
        if (!ls_slices_go_on(e->slices, before ? before->slices : NULL)) return false;
        *on = ls_slices_is_over(e->slices);
        if (*on) ls_board_tell(c, LS_REDUCED, exchange);
        return true;
    case ENDING:
        *on = ls_board_all_have(c, LS_REDUCED, exchange);
        return true;
    default:
        return true;
    }
}

bool ls_node_go_on(ls_node_early *e, const ls_node_early *before)
{
    for (bool on = true; on;) {
        if (!is_on(e, before, &on)) return false;
        e->at += on;
        e->space.comm->early.moved += on;
    }
    return true;
}

bool ls_node_is_over(const ls_node_early *e)
{
    return e->at == OVER;
}

bool ls_node_end(ls_ctx *ctx, const ls_layout *l, const ls_taker *taker)
{
    const ls_node_place *node = &ctx->comm->node;
    space b;
    if (!space_without_table(ctx, &b, l, taker)) return false;
    if (taker) each_span(&b, node->own, take_all);
    for (int i = 1; i < node->count && !taker; i++)
        each_span(&b, (node->own + i) % node->count, copy);
    return true;
}
