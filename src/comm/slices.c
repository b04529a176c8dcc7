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
 * All of it goes on in steps that never wait, so that others can compute in between (early.c): first the
 * stamps of the others come, then their pieces, then roots; each of these ways takes in one part after another,
 * and while one is worked on the messages of the next come in.
 *
 * Called by sums.c, node.c, gather.c and early.c.
 */
#include "comm/inside.h"
#include <string.h>

enum {
    /* Of a chunk: Open MPI's TCP sends up to 64 KiB, with its own head, without asking first. */
    MOST_BYTES = 60 << 10,
    LEAST_BYTES = 32 << 10,
    CACHE_BYTES = 1 << 20,
    LARGE_BYTES = 32 << 10 /* an array that is not packed */
};

typedef struct chunk {
    const ls_group *group;
    const ls_span *span; /* of its first byte */
    int64_t from, to;
} chunk;

typedef struct message {
    int from; /* member */
    void *to;
} message;

/* A part whose messages are coming in: a chunk, or the stamp of another member. */
typedef struct stage {
    bool is_there; /* there is such a part */
    chunk k;
    int step;     /* of stamps and roots: they are from so many places below */
    char *root;   /* where the sum belongs, or NULL: several arrays */
    void **piece; /* of all ranks, in order */
    char *came;   /* room for those of other ranks */
    message *message;
    int64_t messages, begun; /* of the part; of these, receiving has begun */
    int64_t end;             /* of c->receiving, with the last of them */
    ls_stamp stamp;
} stage;

enum { STAMPS, PIECES, ROOTS, SENDING, OVER }; /* what it takes in, one after another */

typedef struct ls_slices {
    ls_ctx *ctx;
    ls_comm *comm;
    ls_team team;
    const ls_stamp *stamp;
    const ls_layout *layout;
    const int64_t *bound;
    int64_t chunk_bytes;
    int way; /* of these, the one it is at */
    bool is_on_way;
    int64_t sent[OVER]; /* its sends must be complete up to here before that begins, or ends */
    int now;            /* the stage that comes first */
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

/* ---- stamps -------------------------------------------------------------------------------- */
static bool expect(stage *t, int from, void *to)
{
    t->message[t->messages++] = (message){ from, to };
    return true;
}

/* The member that is t->step places below. */
static int below(const slices *s, const stage *t)
{
    return (s->team.own + s->team.count - t->step) % s->team.count;
}

static bool send_stamps(slices *s)
{
    for (int i = 1; i < s->team.count; i++) {
        int to = rank_of(s, (s->team.own + i) % s->team.count);
        if (!ls_comm_send(s->ctx, to, LS_TAG_FIRST, s->stamp, sizeof *s->stamp)) return false;
    }
    return true;
}

static bool next_stamp(const slices *s, stage *t)
{
    return ++t->step < s->team.count;
}

static bool expect_stamp(slices *s, stage *t)
{
    return expect(t, below(s, t), &t->stamp);
}

static bool compare(slices *s, stage *t)
{
    const int64_t bytes = sizeof t->stamp;
    return ls_comm_is_same(s->ctx, rank_of(s, below(s, t)), s->stamp, &t->stamp, bytes, bytes);
}

/* ---- sums ---------------------------------------------------------------------------------- */
static bool next_own(const slices *s, stage *t)
{
    return next_chunk(s, s->team.own, &t->k);
}

/* The pieces of all ranks. One of another rank goes where the sum belongs if it is the tree's first
 * and the place is free. */
static bool expect_pieces(slices *s, stage *t)
{
    const int64_t *first = t->k.group->plan->first;
    int count = s->team.count, own = s->team.own;
    t->root = is_direct(&t->k) ? direct(&t->k, -1) : NULL;
    bool is_free = t->root != NULL;
    for (int64_t i = first[own]; i < first[own + 1]; i++) {
        if (!(t->piece[i] = own_piece(s, &t->k, i - first[own]))) return false;
        if (t->piece[i] == t->root) is_free = false; /* of a node's pieces, any may lie there */
    }
    for (int step = 1; step < count; step++) {
        int from = (own + count - step) % count;
        for (int64_t i = first[from]; i < first[from + 1]; i++) {
            t->piece[i] = i == 0 && is_free ? t->root : t->came + t->messages * s->chunk_bytes;
            expect(t, from, t->piece[i]);
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
static bool next_root(const slices *s, stage *t)
{
    if (!t->step) t->step = 1;
    for (; t->step < s->team.count; t->step++) {
        if (next_chunk(s, below(s, t), &t->k)) return true;
        t->k = (chunk){ 0 };
    }
    return false;
}

static bool expect_root(slices *s, stage *t)
{
    t->root = is_direct(&t->k) ? direct(&t->k, -1) : NULL;
    return expect(t, below(s, t), t->root ? t->root : t->came);
}

static bool keep_root(slices *s, stage *t)
{
    (void)s;
    if (!t->root) copy(&t->k, -1, t->came, false);
    return true;
}

/* ---- one part after another ---------------------------------------------------------------- */
typedef struct way {
    int tag;
    /* To the part after the one that t holds; false: that was the last. */
    bool (*next)(const slices *s, stage *t);
    /* Its messages, in the order in which each member sends them. */
    bool (*expect)(slices *s, stage *t);
    /* They are here. */
    bool (*end)(slices *s, stage *t);
} way;
static const way ways[] = { [STAMPS] = { LS_TAG_FIRST, next_stamp, expect_stamp, compare },
                            [PIECES] = { LS_TAG_PIECE, next_own, expect_pieces, add },
                            [ROOTS] = { LS_TAG_ROOT, next_root, expect_root, keep_root } };

static bool prepare(slices *s, stage *t, chunk k, int step)
{
    const way *w = &ways[s->way];
    t->k = k;
    t->step = step;
    t->messages = t->begun = t->end = 0;
    t->is_there = w->next(s, t);
    return !t->is_there || w->expect(s, t);
}

/* Begins to receive what is there. */
static bool look(slices *s, stage *t)
{
    const int64_t bytes = s->way == STAMPS ? (int64_t)sizeof t->stamp : bytes_of(&t->k);
    for (bool is_there; t->begun < t->messages; t->begun++) {
        const message *m = &t->message[t->begun];
        if (!ls_comm_look(s->ctx, rank_of(s, m->from), ways[s->way].tag, s->stamp, m->to, bytes,
                          &is_there))
            return false;
        if (!is_there) return true;
        t->end = s->comm->receiving.count;
    }
    return true;
}

/* As far as it goes. *is_over: to the end of the way. */
static bool follow(slices *s, bool *is_over)
{
    *is_over = false;
    if (!s->is_on_way && !prepare(s, &s->stage[s->now], (chunk){ 0 }, 0)) return false;
    s->is_on_way = true;
    for (stage *now; (now = &s->stage[s->now])->is_there; s->now = !s->now) {
        stage *then = &s->stage[!s->now];
        bool is_here = false;
        if (!look(s, now)) return false;
        if (now->begun < now->messages) return true;
        if (!then->is_there && !prepare(s, then, now->k, now->step)) return false;
        if (then->is_there && !look(s, then)) return false;
        if (!ls_comm_is_complete(s->ctx, &s->comm->receiving, now->end, &is_here)) return false;
        if (!is_here) return true;
        if (!ways[s->way].end(s, now)) return false;
        now->is_there = false;
    }
    s->is_on_way = false;
    *is_over = true;
    return true;
}

bool ls_slices_is_over(const ls_slices *s)
{
    return s->way == OVER;
}

bool ls_slices_go_on(ls_slices *s, const ls_slices *before)
{
    while (s->way < OVER && (!before || before->way == OVER || s->way < before->way)) {
        bool is_over = true;
        if (s->way >= ROOTS &&
            !ls_comm_is_complete(s->ctx, &s->comm->now->sending, s->sent[s->way], &is_over))
            return false;
        if (is_over && s->way < SENDING && !follow(s, &is_over)) return false;
        if (!is_over) return true;
        if (s->way == PIECES) s->sent[SENDING] = s->comm->now->sending.count;
        s->way++;
    }
    return true;
}

/* ---- the exchange -------------------------------------------------------------------------- */
/* Chunks no larger than lets the pieces of two fit the cache. */
static bool reserve(slices *s)
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
        stage *t = &s->stage[i];
        *t = (stage){ .came = ls_comm_take(s->ctx, pieces * s->chunk_bytes),
                      .piece = ls_comm_take(s->ctx, pieces * (int64_t)sizeof *t->piece),
                      .message = ls_comm_take(s->ctx, pieces * (int64_t)sizeof *t->message) };
        if (!t->came || !t->piece || !t->message) return false;
    }
    return true;
}

ls_slices *ls_slices_begin(ls_ctx *ctx, const ls_stamp *stamp, const ls_layout *l,
                           const int64_t *bound, ls_team team)
{
    slices *s = ls_comm_take(ctx, sizeof *s);
    if (!s) return NULL;
    *s = (slices){
        .ctx = ctx, .comm = ctx->comm, .team = team, .stamp = stamp, .layout = l, .bound = bound
    };
    if (!reserve(s) || !send_stamps(s) || !send_pieces(s)) return NULL;
    s->sent[ROOTS] = ctx->comm->now->sending.count;
    return s;
}

static int test_over(void *of, ls_progress *progress)
{
    slices *s = of;
    const int64_t before = ls_comm_moved(s->comm);
    if (!ls_slices_go_on(s, NULL) || s->way == OVER) *progress = LS_DONE;
    else if (ls_comm_moved(s->comm) != before) *progress = LS_SOME;
    return MPI_SUCCESS;
}

bool ls_slices_exchange(ls_ctx *ctx, const ls_stamp *stamp, const ls_layout *l,
                        const int64_t *bound, ls_team team)
{
    slices *s = ls_slices_begin(ctx, stamp, l, bound, team);
    return s && ls_comm_wait(ctx, test_over, s, true) && s->way == OVER;
}
