/* slices.c -- sums and copies of what is large, by slices.
 *
 * Every member of a team of ranks owns a slice of the space. It gets the others' pieces of its slice, adds them in the
 * order of the plan while they are in the cache, and sends the sum to all; with one piece a rank
 * that is the least volume there is, 2 n (P - 1) / P. Where nothing is to be added the same way is
 * a broadcast (only the root has a piece) or a gathering (every rank has its slice already).
 *
 * A slice is cut into chunks by rules that every rank follows by itself, and chunks are the
 * messages: of one array they go straight out of it and into it; those that cover several small
 * arrays are packed. While one chunk is added the next comes in. All pieces are sent first, chunk
 * by chunk; a root may be the array of a piece, so no root comes in before the pieces are out.
 *
 * Called by sums.c and gather.c.
 */
#include "comm/inside.h"
#include <string.h>

enum {
    MOST_BYTES = 512 << 10, /* of a chunk */
    LEAST_BYTES = 32 << 10,
    CACHE_BYTES = 1 << 20,
    LARGE_BYTES = 32 << 10 /* an array that is not packed */
};

typedef struct chunk {
    const ls_group *group;
    const ls_span *span; /* of its first byte */
    int64_t from, to;
} chunk;

/* A chunk whose messages are coming in. */
typedef struct stage {
    chunk k;
    int step;       /* of roots: the owner is so many places below */
    char *root;     /* where the sum belongs, or NULL: several arrays */
    void **piece;   /* of all ranks, in order */
    char *came;     /* room for those of other ranks */
    int64_t coming; /* messages */
} stage;

typedef struct slices {
    ls_ctx *ctx;
    ls_comm *comm;
    ls_team team;
    const ls_layout *layout;
    const int64_t *bound;
    int64_t chunk_bytes;
    stage stage[2];
} slices;

static int rank_of(const slices *s, int member)
{
    return s->team.first + member * s->team.stride;
}

/* ---- chunks -------------------------------------------------------------------------------- */
/* The span that byte at of a group lies in. */
static const ls_span *span_at(const ls_group *g, int64_t at)
{
    int64_t low = 0, high = g->spans;
    while (high - low > 1) {
        int64_t middle = (low + high) / 2;
        if (g->span[middle].at <= at) low = middle;
        else high = middle;
    }
    return &g->span[low];
}

/* Cuts the next chunk of a slice; k->to says how far it got. False at the slice's end. A chunk ends
 * with its group, and where a large array ends or begins. */
static bool next_chunk(const slices *s, int owner, chunk *k)
{
    int64_t from = k->group ? k->to : s->bound[owner], end = s->bound[owner + 1];
    const ls_group *g = k->group ? k->group : s->layout->group,
                   *last = s->layout->group + s->layout->groups;
    while (g < last && from >= g->at + g->bytes) g++;
    if (g == last) return false;
    if (from < g->at) from = g->at;
    if (from >= end) return false;
    if (end > g->at + g->bytes) end = g->at + g->bytes;
    const ls_span *a = span_at(g, from);
    int64_t to = a->at + a->bytes, most = from + s->chunk_bytes;
    const ls_span *none = g->span + g->spans;
    if (to - from < LARGE_BYTES)
        for (const ls_span *b = a + 1; b < none && b->bytes < LARGE_BYTES && to < most; b++)
            to = b->at + b->bytes;
    if (to > most) to = most;
    if (to > end) to = end;
    *k = (chunk){ g, a, from, to };
    return true;
}

static int64_t bytes_of(const chunk *k)
{
    return k->to - k->from;
}

static bool is_direct(const chunk *k)
{
    return k->to <= k->span->at + k->span->bytes;
}

/* Copies between a chunk and the arrays it covers: piece number i, or the root for -1. */
static void copy(const chunk *k, int64_t i, char *packed, bool to_packed)
{
    for (const ls_span *a = k->span; a < k->group->span + k->group->spans && a->at < k->to; a++) {
        int64_t from = a->at > k->from ? a->at : k->from;
        int64_t to = a->at + a->bytes < k->to ? a->at + a->bytes : k->to;
        char *array = (char *)(i < 0 ? a->root : a->piece[i]) + (from - a->at);
        if (to_packed) memcpy(packed + (from - k->from), array, (size_t)(to - from));
        else memcpy(array, packed + (from - k->from), (size_t)(to - from));
    }
}

static char *direct(const chunk *k, int64_t i)
{
    return (char *)(i < 0 ? k->span->root : k->span->piece[i]) + (k->from - k->span->at);
}

/* Piece i of this rank's as one run of bytes; NULL without memory. */
static char *own_piece(slices *s, const chunk *k, int64_t i)
{
    if (is_direct(k)) return direct(k, i);
    char *packed = ls_comm_take(s->ctx, bytes_of(k));
    if (packed) copy(k, i, packed, true);
    return packed;
}

/* ---- pieces out ---------------------------------------------------------------------------- */
static bool send_chunk(slices *s, int owner, const chunk *k)
{
    const int64_t *first = k->group->plan->first + s->team.own;
    for (int64_t i = 0; i < first[1] - first[0]; i++) {
        const char *data = own_piece(s, k, i);
        if (!data || !ls_comm_send(s->ctx, rank_of(s, owner), LS_TAG_PIECE, data, bytes_of(k)))
            return false;
    }
    return true;
}

/* The first chunk of every slice, then the second, ... so that all owners can begin. */
static bool send_pieces(slices *s)
{
    int count = s->team.count;
    chunk *at = ls_comm_take(s->ctx, count * (int64_t)sizeof *at);
    if (!at) return false;
    memset(at, 0, (size_t)count * sizeof *at);
    for (bool more = true; more;) {
        more = false;
        for (int i = 1; i < count; i++) {
            int owner = (s->team.own + i) % count;
            if (!next_chunk(s, owner, &at[owner])) continue;
            more = true;
            if (!send_chunk(s, owner, &at[owner])) return false;
        }
    }
    return true;
}

/* ---- one chunk after another --------------------------------------------------------------- */
typedef bool step_fn(slices *s, stage *t);

/* While a chunk is worked on, the messages of the next one come in. */
static bool in_turn(slices *s, step_fn *next, step_fn *begin, step_fn *end)
{
    stage *now = &s->stage[0], *then = &s->stage[1];
    now->k = (chunk){ 0 };
    now->step = 1;
    bool has = next(s, now);
    if (has && !begin(s, now)) return false;
    while (has) {
        then->k = now->k;
        then->step = now->step;
        bool more = next(s, then);
        if (more && !begin(s, then)) return false;
        if (!end(s, now)) return false;
        stage *worked = now;
        now = then;
        then = worked;
        has = more;
    }
    return true;
}

/* ---- sums ---------------------------------------------------------------------------------- */
static bool next_own(slices *s, stage *t)
{
    return next_chunk(s, s->team.own, &t->k);
}

/* The pieces of all ranks. One of another rank goes where the sum belongs if it is the tree's first
 * and the place is free. */
static bool collect(slices *s, stage *t)
{
    const int64_t *first = t->k.group->plan->first;
    int count = s->team.count, own = s->team.own;
    t->root = is_direct(&t->k) ? direct(&t->k, -1) : NULL;
    t->coming = 0;
    bool is_free = t->root != NULL;
    for (int64_t i = first[own]; i < first[own + 1]; i++) {
        if (!(t->piece[i] = own_piece(s, &t->k, i - first[own]))) return false;
        if (t->piece[i] == t->root) is_free = false; /* of a node's pieces, any may lie there */
    }
    for (int step = 1; step < count; step++) {
        int from = (own + count - step) % count;
        for (int64_t i = first[from]; i < first[from + 1]; i++) {
            char *room = i == 0 && is_free ? t->root : t->came + t->coming * s->chunk_bytes;
            if (!ls_comm_receive(s->ctx, rank_of(s, from), LS_TAG_PIECE, room, bytes_of(&t->k)))
                return false;
            t->piece[i] = room;
            t->coming++;
        }
    }
    return true;
}

/* Adds a chunk of this rank's slice and sends it to all. */
static bool add(slices *s, stage *t)
{
    const ls_group *g = t->k.group;
    int64_t bytes = bytes_of(&t->k);
    char *root = t->root, *sum = root;
    if (!ls_comm_received(s->ctx, t->coming)) return false;
    if (g->plan->pieces)
        sum = ls_comm_add_tree(g, g->kernel ? bytes / (int64_t)g->kernel->bytes : 0, t->piece,
                               root);
    if (!root) {
        if (!(root = ls_comm_take(s->ctx, bytes))) return false;
        copy(&t->k, -1, sum, false);
    }
    if (sum != root) memcpy(root, sum, (size_t)bytes);
    for (int i = 1; i < s->team.count; i++) {
        int to = (s->team.own + i) % s->team.count;
        if (!ls_comm_send(s->ctx, rank_of(s, to), LS_TAG_ROOT, root, bytes)) return false;
    }
    return true;
}

/* ---- roots --------------------------------------------------------------------------------- */
static int owner_of(const slices *s, const stage *t)
{
    return (s->team.own + s->team.count - t->step) % s->team.count;
}

static bool next_root(slices *s, stage *t)
{
    for (; t->step < s->team.count; t->step++) {
        if (next_chunk(s, owner_of(s, t), &t->k)) return true;
        t->k = (chunk){ 0 };
    }
    return false;
}

static bool receive_root(slices *s, stage *t)
{
    t->root = is_direct(&t->k) ? direct(&t->k, -1) : NULL;
    return ls_comm_receive(s->ctx, rank_of(s, owner_of(s, t)), LS_TAG_ROOT,
                           t->root ? t->root : t->came, bytes_of(&t->k));
}

static bool keep_root(slices *s, stage *t)
{
    if (!ls_comm_received(s->ctx, 1)) return false;
    if (!t->root) copy(&t->k, -1, t->came, false);
    return true;
}

/* ---- the exchange -------------------------------------------------------------------------- */
static bool meet(slices *s, const ls_stamp *stamp, bool send)
{
    ls_stamp theirs;
    for (int i = 1; i < s->team.count; i++) {
        int to = (s->team.own + i) % s->team.count,
            from = (s->team.own + s->team.count - i) % s->team.count;
        if (send ? !ls_comm_send(s->ctx, rank_of(s, to), LS_TAG_FIRST, stamp, sizeof *stamp)
                 : !ls_comm_receive_first(s->ctx, rank_of(s, from), stamp, &theirs, sizeof theirs))
            return false;
    }
    return true;
}

/* Chunks so large that the pieces of two fit the cache. */
static bool begin(slices *s)
{
    int64_t pieces = 1, longest = 64;
    for (int64_t i = 0; i < s->layout->groups; i++)
        if (s->layout->group[i].plan->pieces > pieces) pieces = s->layout->group[i].plan->pieces;
    for (int r = 0; r < s->team.count; r++)
        if (s->bound[r + 1] - s->bound[r] > longest) longest = s->bound[r + 1] - s->bound[r];
    s->chunk_bytes = CACHE_BYTES / 2 / pieces / 64 * 64;
    if (s->chunk_bytes > MOST_BYTES) s->chunk_bytes = MOST_BYTES;
    if (s->chunk_bytes < LEAST_BYTES) s->chunk_bytes = LEAST_BYTES;
    if (s->chunk_bytes > longest) s->chunk_bytes = (longest + 63) / 64 * 64;
    for (int i = 0; i < 2; i++) {
        s->stage[i].came = ls_comm_take(s->ctx, pieces * s->chunk_bytes);
        s->stage[i].piece = ls_comm_take(s->ctx, pieces * (int64_t)sizeof(void *));
    }
    return s->stage[0].came && s->stage[0].piece && s->stage[1].came && s->stage[1].piece;
}

bool ls_slices_exchange(ls_ctx *ctx, const ls_stamp *stamp, const ls_layout *l,
                        const int64_t *bound, ls_team team)
{
    slices s = { .ctx = ctx, .comm = ctx->comm, .team = team, .layout = l, .bound = bound };
    if (!begin(&s) || !meet(&s, stamp, true) || !send_pieces(&s) || !meet(&s, stamp, false))
        return false;
    int64_t pieces_sent = ctx->comm->sending.count;
    return in_turn(&s, next_own, collect, add) && ls_comm_sent(ctx, pieces_sent) &&
           in_turn(&s, next_root, receive_root, keep_root) &&
           ls_comm_sent(ctx, ctx->comm->sending.count);
}
