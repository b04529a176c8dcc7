/* board.c -- exchanges between ranks of one node, through the memory they all see. Ranks are numbered
 * within the node here.
 *
 * Every rank has a desk: two places on which it lays what it brings, used in turn, and two counters.
 * A rank posts by writing the number of the exchange; who has found all numbers has all stamps, and
 * compares them before anything is paired. No exchange ends before every rank has entered it, so a
 * place is free again when its turn comes.
 *
 *   blocks   what is small lies on the desk itself; every rank adds small sums for itself
 *   slices   what is large stays where it is: a table says in which block of memory each piece and
 *            root lies (what lies in none is copied to the staging block first). Every rank adds the
 *            pieces of its slice into its own root, in the order of the plan and in chunks that stay
 *            in the nearest cache, then copies the other slices from the roots of their owners. An
 *            update takes each chunk as it is made, and nothing is copied.
 *
 *            With several nodes, each first makes its own pieces of every slice; ranks of equal number
 *            then exchange their slice between nodes (slices.c), and the node goes on with the sum.
 *
 * Waiting is wait.c's, with its deadline and its ear for failures. Called by blocks.c, slices.c,
 * sums.c and gather.c.
 */
#include "comm/inside.h"
#include <stdatomic.h>
#include <string.h>

enum {
    CHUNK_BYTES = 8 << 10,
    LINE = 64,
    SPINS = 32, /* looks at a counter before anything else is done */
    OWNED_BYTES = 4 << 10
};

typedef struct place {
    _Alignas(LINE) _Atomic uint64_t posted; /* the exchange that it is laid out for */
    uint64_t key;                           /* of the stamp */
    char data[LS_SMALL_BYTES]; /* begins in the first line, which is all that tiny sums touch */
    ls_stamp stamp;
} place;

struct ls_desk {
    place place[2];
    _Alignas(
        LINE) _Atomic uint64_t reduced;   /* the last exchange whose slice of this rank is made */
    _Alignas(LINE) _Atomic uint64_t done; /* and in which it has read what it needs */
    _Atomic int ending; /* on the first desk: the status with which a rank ends the job, or 0 */
};
const size_t ls_desk_bytes = sizeof(ls_desk);

static ls_desk *desk_of(const ls_comm *c, int r)
{
    return (ls_desk *)c->desk->at[r];
}

static place *place_of(const ls_comm *c, int r)
{
    return &desk_of(c, r)->place[c->exchange & 1];
}

/* ---- waiting for all ----------------------------------------------------------------------- */
typedef enum stage { POSTED, REDUCED, DONE } stage;
typedef struct counters {
    const ls_comm *comm;
    stage stage;
    int next; /* the first rank not seen there yet */
} counters;

static const _Atomic uint64_t *counter(const ls_comm *c, int r, stage s)
{
    return s == POSTED    ? &place_of(c, r)->posted
           : s == REDUCED ? &desk_of(c, r)->reduced
                          : &desk_of(c, r)->done;
}

static bool has_reached(const ls_comm *c, int r, stage s)
{
    return atomic_load_explicit(counter(c, r, s), memory_order_acquire) >= c->exchange;
}

bool ls_board_has_come(const ls_comm *c, int r)
{
    const int number = r - c->node.first, own = c->node.own;
    if (!c->desk || number < 0 || number >= c->node.count) return false;
    return has_reached(c, number,
                       has_reached(c, own, DONE)      ? DONE
                       : has_reached(c, own, REDUCED) ? REDUCED
                                                      : POSTED);
}

bool ls_board_may_end(const ls_comm *c, ls_status status)
{
    int none = 0;
    return !c->desk || atomic_compare_exchange_strong(&desk_of(c, 0)->ending, &none, (int)status);
}

ls_status ls_board_ending(const ls_comm *c)
{
    return c->desk ? (ls_status)atomic_load_explicit(&desk_of(c, 0)->ending, memory_order_relaxed)
                   : LS_OK;
}

static inline void pause_briefly(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static int test_counters(void *of, ls_progress *progress)
{
    counters *w = of;
    const ls_comm *c = w->comm;
    const uint64_t wanted = c->exchange;
    const int most = c->crowded ? 0 : SPINS;
    for (; w->next < c->node.count; w->next++) {
        if (w->next == c->node.own) continue;
        const _Atomic uint64_t *at = counter(c, w->next, w->stage);
        for (int spin = 0; atomic_load_explicit(at, memory_order_acquire) < wanted; spin++) {
            if (spin >= most) return MPI_SUCCESS;
            pause_briefly();
        }
    }
    *progress = LS_DONE;
    return MPI_SUCCESS;
}

static bool await(ls_ctx *ctx, stage s)
{
    counters w = { ctx->comm, s, 0 };
    ls_progress progress = LS_NOTHING;
    test_counters(&w, &progress);
    return progress == LS_DONE || ls_comm_wait(ctx, test_counters, &w, true);
}

static bool tell_and_await(ls_ctx *ctx, stage s)
{
    const ls_comm *c = ctx->comm;
    ls_desk *own = desk_of(c, c->node.own);
    atomic_store_explicit(s == REDUCED ? &own->reduced : &own->done, c->exchange,
                          memory_order_release);
    return await(ctx, s);
}

/* ---- posting ------------------------------------------------------------------------------- */
/* Of the stamp that ls_comm_stamp() made last. */
static uint64_t key_of(const ls_comm *c, const ls_stamp *s)
{
    const uint64_t word[] = { s->at.call,        (uint64_t)s->kind,  (uint64_t)s->arrays,
                              (uint64_t)s->rows, (uint64_t)s->bytes, s->digest };
    uint64_t key = c->here.key;
    for (size_t i = 0; i < sizeof word / sizeof *word; i++)
        key = (key ^ word[i]) * UINT64_C(0x9e3779b97f4a7c15) + (key >> 29);
    return key;
}

/* The place that comes next was read by the others the time before; its lines come back to this
 * core while there is time, so that writing them does not wait. The first line is better left: who
 * is ahead looks at it already. */
static void own_next(const ls_comm *c, int64_t bytes)
{
#if defined(__x86_64__)
    const place *next = &desk_of(c, c->node.own)->place[~c->exchange & 1];
    if (bytes > OWNED_BYTES) bytes = OWNED_BYTES;
    for (int64_t at = LINE; at < (int64_t)offsetof(place, data) + bytes; at += LINE)
        __asm__ volatile("prefetchw %0" : : "m"(*((const char *)next + at)));
#else
    (void)c;
    (void)bytes;
#endif
}

/* Lays data on this rank's desk; true when all ranks have done so, under equal stamps. */
static bool post(ls_ctx *ctx, const ls_stamp *stamp, const void *data, int64_t bytes)
{
    const ls_comm *c = ctx->comm;
    place *own = place_of(c, c->node.own);
    const uint64_t key = key_of(c, stamp); /* the others take the line away */
    if (bytes) memcpy(own->data, data, (size_t)bytes);
    own->stamp = *stamp;
    own->key = key;
    atomic_store_explicit(&own->posted, c->exchange, memory_order_release);
    if (!await(ctx, POSTED)) return false;
    for (int r = 0; r < c->node.count; r++) {
        const place *theirs = place_of(c, r);
        if (r == c->node.own || theirs->key == key) continue;
        ls_failure f = { 0 };
        ls_comm_not_same(&f, stamp, &theirs->stamp, c->node.first + r);
        ls_fail_with(ctx, &f);
        return false;
    }
    return true;
}

bool ls_board_blocks(ls_ctx *ctx, const ls_stamp *stamp, ls_blocks *b)
{
    const ls_comm *c = ctx->comm;
    if (!post(ctx, stamp, b->block[c->rank], b->bytes[c->rank])) return false;
    for (int r = 0; r < c->count; r++)
        if (r != c->rank) memcpy(b->block[r], place_of(c, r)->data, (size_t)b->bytes[r]);
    return true;
}

/* ---- sums of what is small ----------------------------------------------------------------- */
/* The pieces of all ranks into the root. at: where those of rank r lie on its desk. */
static bool add_small(ls_ctx *ctx, const ls_ready_sum *s, const ls_row_sum *sum, const int64_t *at)
{
    const ls_comm *c = ctx->comm;
    const ls_plan *plan = s->plan;
    char *piece[2], **all = piece, *copy = NULL;
    if (plan->pieces > 2) { /* the desks of others are only read */
        all = ls_comm_take(ctx, plan->pieces * (int64_t)sizeof *all);
        copy = ls_comm_take(ctx, plan->pieces * s->room);
        if (!all || !copy) return false;
    }
    for (int64_t r = 0, i = 0; r < c->count; r++)
        for (int64_t n = plan->first[r + 1] - plan->first[r], p = 0; p < n; p++, i++) {
            all[i] = r == c->rank ? sum->piece[p] : place_of(c, (int)r)->data + at[r] + p * s->room;
            if (copy) all[i] = memcpy(copy + i * s->room, all[i], (size_t)s->bytes);
        }
    for (int64_t i = 0; i < plan->pieces - 2; i++)
        s->kernel->add(s->count, all[plan->addition[i].into], all[plan->addition[i].from]);
    const ls_addition *last = plan->addition + plan->pieces - 2;
    if (plan->pieces > 1) s->kernel->add_of(s->count, all[last->into], all[last->from], sum->root);
    else if (sum->root != all[0]) memcpy(sum->root, all[0], (size_t)s->bytes);
    return true;
}

bool ls_board_sums(ls_ctx *ctx, const ls_stamp *stamp, ls_row_sum *const *sums,
                   const ls_ready *ready)
{
    const ls_comm *c = ctx->comm;
    int64_t few[16], *at = few;
    char *const desk = place_of(c, c->rank)->data, *to = desk;
    if (c->count > 16 && !(at = ls_comm_take(ctx, c->count * (int64_t)sizeof *at))) return false;
    for (int r = 0; r < c->count; r++) at[r] = 0;
    const ls_ready_sum *s = ready->sum;
    for (int64_t i = 0; i < ready->count; i++, s++) {
        const int64_t *first = s->plan->first + c->rank;
        for (int64_t p = 0; p < first[1] - first[0]; p++, to += s->room)
            memcpy(to, sums[i]->piece[p], (size_t)s->bytes);
    }
    if (!post(ctx, stamp, NULL, 0)) return false;
    s = ready->sum;
    for (int64_t i = 0; i < ready->count; i++, s++) {
        if (!add_small(ctx, s, sums[i], at)) return false;
        for (int r = 0; r < c->count; r++)
            at[r] += (s->plan->first[r + 1] - s->plan->first[r]) * s->room;
    }
    own_next(c, to - desk);
    return true;
}

/* ---- slices: where everything lies --------------------------------------------------------- */
/* Staging: the table, then room for pieces and root of the whole space. */
typedef struct board {
    ls_ctx *ctx;
    ls_comm *comm;
    const ls_layout *layout;
    const int64_t *bound;
    const ls_place_seen **table; /* of every rank */
    const ls_taker *taker;       /* or NULL */
    char **piece;                /* of all ranks, of one chunk */
} board;

/* Pieces of a rank of this node. */
static int64_t held(const board *b, const ls_group *g, int number)
{
    const int64_t *first = g->plan->first + b->comm->node.first + number;
    return first[1] - first[0];
}

static int64_t table_bytes(int64_t pieces, int64_t arrays)
{
    int64_t bytes = arrays * (pieces + 1) * (int64_t)sizeof(ls_place_seen);
    return (bytes + LINE - 1) / LINE * LINE;
}

ls_status ls_board_reserve(ls_ctx *ctx, int64_t bytes, int64_t pieces, int64_t arrays)
{
    ls_comm *c = ctx->comm;
    if (!c->desk || ctx->failure.status) return ctx->failure.status;
    int64_t room = table_bytes(pieces, arrays) + (pieces + 1) * (bytes + arrays * LINE);
    if (c->staging && c->staging->bytes >= (size_t)room) return LS_OK;
    c->staging = ls_window_grow(ctx, c->staging, (size_t)room);
    return ctx->failure.status;
}

/* Piece k of rank r, or its root for k = held(b, g, r), of an array. */
static char *find(const board *b, const ls_group *g, const ls_span *s, int r, int64_t k)
{
    const ls_place_seen *at = b->table[r];
    for (const ls_group *h = b->layout->group; h < g; h++) at += h->spans * (held(b, h, r) + 1);
    return ls_window_at(b->comm, r, at[(s - g->span) * (held(b, g, r) + 1) + k]);
}

/* Fills this rank's table; what cannot be seen where it lies goes to the staging block. */
static void lay_out(const board *b)
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
static void find_pieces(const board *b, const ls_group *g, const ls_span *s, char **piece)
{
    for (int r = 0; r < b->comm->node.count; r++)
        for (int64_t k = 0; k < held(b, g, r); k++) *piece++ = find(b, g, s, r, k) - s->at;
}

static char *own_root(const board *b, const ls_group *g, const ls_span *s)
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

static void take(const board *b, const ls_group *g, const ls_span *s, int64_t from, int64_t bytes,
                 const char *sum)
{
    const int64_t first = from - s->at, size = (int64_t)g->kernel->bytes;
    b->taker->done(b->taker->of, s->sum, (ls_range){ first / size, (first + bytes) / size }, sum);
}

static int64_t chunk_of(int64_t from, int64_t to)
{
    return to - from < CHUNK_BYTES ? to - from : CHUNK_BYTES;
}

/* The bytes from to of the space, which lie in array s. */
static void reduce(const board *b, const ls_group *g, const ls_span *s, int64_t from, int64_t to)
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

typedef void span_fn(const board *b, const ls_group *g, const ls_span *s, int64_t from, int64_t to);

static void each_span(const board *b, int owner, span_fn *f)
{
    for (const ls_group *g = b->layout->group; g < b->layout->group + b->layout->groups; g++)
        for (const ls_span *s = g->span; s < g->span + g->spans; s++) {
            int64_t from = b->bound[owner] > s->at ? b->bound[owner] : s->at;
            int64_t end = s->at + s->bytes,
                    to = b->bound[owner + 1] < end ? b->bound[owner + 1] : end;
            if (from < to) f(b, g, s, from, to);
        }
}

static int owner_of(const board *b, int64_t at)
{
    int r = 0;
    while (b->bound[r + 1] <= at) r++;
    return r;
}

/* From the root of the slice's owner to this rank's. */
static void copy(const board *b, const ls_group *g, const ls_span *s, int64_t from, int64_t to)
{
    int owner = owner_of(b, from);
    const char *theirs = find(b, g, s, owner, held(b, g, owner)) + (from - s->at);
    char *mine = (char *)s->root + (from - s->at);
    if (theirs != mine) memcpy(mine, theirs, (size_t)(to - from));
}

/* ---- slices: between nodes ----------------------------------------------------------------- */
/* Makes the node's pieces, where the first of each lies. */
static void join_inside(const board *b, const ls_group *g, const ls_span *s, int64_t from,
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

static void take_all(const board *b, const ls_group *g, const ls_span *s, int64_t from, int64_t to)
{
    const char *root = own_root(b, g, s);
    for (int64_t bytes; from < to; from += bytes) {
        bytes = chunk_of(from, to);
        take(b, g, s, from, bytes, root + from);
    }
}

/* The space as one rank of each node sees it: its arrays are the node's pieces. */
static bool lay_out_between(const board *b, ls_layout *l)
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

static bool reduce_between(const board *b, const ls_stamp *stamp)
{
    const ls_comm *c = b->comm;
    const ls_node_place *node = &c->node;
    const int64_t *mine = b->bound + node->own;
    ls_layout l;
    int64_t *bound = ls_comm_take(b->ctx, (node->nodes + 1) * (int64_t)sizeof *bound);
    each_span(b, node->own, join_inside);
    if (!bound || !lay_out_between(b, &l)) return false;
    for (int64_t n = 0, lines = (mine[1] - mine[0]) / LINE; n <= node->nodes; n++)
        bound[n] = mine[0] + lines * n / node->nodes * LINE;
    bound[node->nodes] = mine[1];
    if (!ls_slices_exchange(b->ctx, stamp, &l, bound,
                            (ls_team){ node->number, node->nodes, node->own, node->count }))
        return false;
    if (b->taker) each_span(b, node->own, take_all);
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
bool ls_board_slices(ls_ctx *ctx, const ls_stamp *stamp, const ls_layout *l, const int64_t *bound,
                     const ls_taker *taker)
{
    ls_comm *c = ctx->comm;
    int64_t pieces = 1;
    for (const ls_group *g = l->group; g < l->group + l->groups; g++)
        if (g->plan->pieces > pieces) pieces = g->plan->pieces;
    board b = {
        ctx, c, l, bound, NULL, taker, ls_comm_take(ctx, pieces * (int64_t)sizeof *b.piece)
    };
    b.table = ls_comm_take(ctx, c->node.count * (int64_t)sizeof *b.table);
    if (!b.piece || !b.table) return false;
    if (c->node.nodes > 1 && !meet_all(ctx, stamp)) return false;
    lay_out(&b);
    if (!post(ctx, stamp, NULL, 0)) return false;
    for (int r = 0; r < c->node.count; r++) b.table[r] = (const ls_place_seen *)c->staging->at[r];
    if (taker && !ls_factors_take(ctx, taker)) return false;
    if (c->node.nodes == 1) each_span(&b, c->node.own, reduce);
    else if (!reduce_between(&b, stamp)) return false;
    if (!taker) {
        if (!tell_and_await(ctx, REDUCED)) return false;
        for (int i = 0; i < c->node.count; i++)
            each_span(&b, (c->node.own + i) % c->node.count, copy);
    }
    return tell_and_await(ctx, DONE);
}
