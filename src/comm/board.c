/* board.c -- where the ranks of a node meet, in memory that they all see, and what is small goes from one to another.
 * Ranks are numbered within the node here.
 *
 * Every rank has a desk: two places on which it lays what it brings, used in turn, and two counters; and as many cards
 * as there may be exchanges begun early (early.c), which bring nothing.
 * A rank posts by writing the number of the exchange; who has found all numbers has all stamps, and
 * compares them before anything is paired. No exchange ends before every rank has entered it, so a
 * place is free again when its turn comes.
 *
 * What is small lies on the desk itself: blocks, and sums, which every rank adds for itself. What is large stays where
 * it is (node.c).
 *
 * Waiting is wait.c's, with its deadline and its ear for failures. Called by blocks.c, sums.c and node.c.
 */
#include "comm/inside.h"
#include <stdatomic.h>
#include <string.h>

enum {
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

typedef struct card {
    _Alignas(LINE) _Atomic uint64_t posted;
    uint64_t key;
    ls_stamp stamp;
} card;

struct ls_desk {
    place place[2];
    card card[LS_MOST_EARLY];
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

static place *place_at(const ls_comm *c, int r, uint64_t exchange)
{
    return &desk_of(c, r)->place[exchange & 1];
}

static card *card_at(const ls_comm *c, int r, uint64_t exchange)
{
    return &desk_of(c, r)->card[exchange % LS_MOST_EARLY];
}

static place *place_of(const ls_comm *c, int r)
{
    return place_at(c, r, c->exchange);
}

/* ---- waiting for all ----------------------------------------------------------------------- */
typedef struct counters {
    const ls_comm *comm;
    ls_board_stage stage;
    int next; /* the first rank not seen there yet */
} counters;

static _Atomic uint64_t *counter(const ls_comm *c, int r, ls_board_stage s, uint64_t exchange)
{
    return s == LS_BEGUN     ? &card_at(c, r, exchange)->posted
           : s == LS_LAID    ? &place_at(c, r, exchange)->posted
           : s == LS_REDUCED ? &desk_of(c, r)->reduced
                             : &desk_of(c, r)->done;
}

static bool has_reached(const ls_comm *c, int r, ls_board_stage s, uint64_t exchange)
{
    return atomic_load_explicit(counter(c, r, s, exchange), memory_order_acquire) >= exchange;
}

bool ls_board_all_have(const ls_comm *c, ls_board_stage s, uint64_t exchange)
{
    for (int r = 0; r < c->node.count; r++)
        if (!has_reached(c, r, s, exchange)) return false;
    return true;
}

void ls_board_tell(const ls_comm *c, ls_board_stage s, uint64_t exchange)
{
    atomic_store_explicit(counter(c, c->node.own, s, exchange), exchange, memory_order_release);
}

bool ls_board_has_come(const ls_comm *c, int r)
{
    const int number = r - c->node.first, own = c->node.own;
    if (!c->desk || number < 0 || number >= c->node.count) return false;
    const ls_board_stage mine = has_reached(c, own, LS_READ, c->exchange)      ? LS_READ
                                : has_reached(c, own, LS_REDUCED, c->exchange) ? LS_REDUCED
                                : c->early.count                               ? LS_BEGUN
                                                                               : LS_LAID;
    return has_reached(c, number, mine, c->exchange);
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
        const _Atomic uint64_t *at = counter(c, w->next, w->stage, wanted);
        for (int spin = 0; atomic_load_explicit(at, memory_order_acquire) < wanted; spin++) {
            if (spin >= most) return MPI_SUCCESS;
            pause_briefly();
        }
    }
    *progress = LS_DONE;
    return MPI_SUCCESS;
}

static bool await(ls_ctx *ctx, ls_board_stage s)
{
    counters w = { ctx->comm, s, 0 };
    ls_progress progress = LS_NOTHING;
    test_counters(&w, &progress);
    return progress == LS_DONE || ls_comm_wait(ctx, test_counters, &w, true);
}

bool ls_board_tell_and_await(ls_ctx *ctx, ls_board_stage s)
{
    ls_board_tell(ctx->comm, s, ctx->comm->exchange);
    return await(ctx, s);
}

/* ---- posting ------------------------------------------------------------------------------- */
/* of_name: the digest of the call's name. Products with odd numbers, all at the same time: ranks wait for it. */
static uint64_t key_of(uint64_t of_name, const ls_stamp *s)
{
    const uint64_t of_call = of_name + s->at.call * UINT64_C(0x9e3779b97f4a7c15);
    const uint64_t of_kind = (uint64_t)s->kind * UINT64_C(0xbf58476d1ce4e5b9) +
                             (uint64_t)s->arrays * UINT64_C(0x94d049bb133111eb);
    const uint64_t of_size = (uint64_t)s->rows * UINT64_C(0xd6e8feb86659fd93) +
                             (uint64_t)s->bytes * UINT64_C(0xff51afd7ed558ccd);
    return of_call + of_kind + (of_size + s->digest * UINT64_C(0xc4ceb9fe1a85ec53));
}

/* The place that comes next was read by the others the time before; its lines come back to this
 * core while there is time, so that writing them does not wait. The first line is better left: who
 * is ahead looks at it already. */
static void own_next(const ls_comm *c, int64_t bytes)
{
#if defined(__x86_64__)
    const place *next = place_at(c, c->node.own, c->exchange + 1);
    if (bytes > OWNED_BYTES) bytes = OWNED_BYTES;
    for (int64_t at = LINE; at < (int64_t)offsetof(place, data) + bytes; at += LINE)
        __asm__ volatile("prefetchw %0" : : "m"(*((const char *)next + at)));
#else
    (void)c;
    (void)bytes;
#endif
}

/* What another rank has laid out; false, with the context failed, where it is not this rank's. */
static bool is_same(ls_ctx *ctx, const ls_stamp *stamp, uint64_t key, int r, const ls_stamp *theirs,
                    uint64_t their_key)
{
    if (their_key == key) return true;
    ls_failure f = { 0 };
    ls_comm_not_same(&f, stamp, theirs, ctx->comm->node.first + r);
    ls_fail_with(ctx, &f);
    return false;
}

/* The stamp is what ls_comm_stamp() made last. Lays data on this rank's desk; true when all ranks have done so, under equal stamps. */
static bool post(ls_ctx *ctx, const ls_stamp *stamp, const void *data, int64_t bytes)
{
    const ls_comm *c = ctx->comm;
    place *own = place_of(c, c->node.own);
    const uint64_t key = key_of(c->here.key, stamp); /* the others take the line away */
    if (bytes) memcpy(own->data, data, (size_t)bytes);
    own->stamp = *stamp;
    own->key = key;
    ls_board_tell(c, LS_LAID, c->exchange);
    if (!await(ctx, LS_LAID)) return false;
    for (int r = 0; r < c->node.count; r++) {
        const place *theirs = place_of(c, r);
        if (r != c->node.own && /* whose line may be on its way back */
            !is_same(ctx, stamp, key, r, &theirs->stamp, theirs->key))
            return false;
    }
    return true;
}

bool ls_board_post(ls_ctx *ctx, const ls_stamp *stamp)
{
    return post(ctx, stamp, NULL, 0);
}

void ls_board_begin(const ls_comm *c, const ls_stamp *stamp)
{
    card *own = card_at(c, c->node.own, stamp->at.exchange);
    own->stamp = *stamp;
    own->key = key_of(ls_digest64(0, stamp->at.name, sizeof stamp->at.name), stamp);
    ls_board_tell(c, LS_BEGUN, stamp->at.exchange);
}

bool ls_board_compare(ls_ctx *ctx, const ls_stamp *stamp)
{
    const ls_comm *c = ctx->comm;
    const uint64_t exchange = stamp->at.exchange, key = card_at(c, c->node.own, exchange)->key;
    for (int r = 0; r < c->node.count; r++) {
        const card *theirs = card_at(c, r, exchange);
        if (!is_same(ctx, stamp, key, r, &theirs->stamp, theirs->key)) return false;
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
