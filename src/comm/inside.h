/* inside.h -- what the files of comm share. Nobody else includes it.
 *
 * Exchanges are numbered: all ranks carry out the same ones in the same order, meetings at the
 * fence included. Data and control messages go through communicators of their own. Everything of
 * an exchange lies in one arena; between calls no data message is under way. Within one, sums may be (early.c):
 * they have the numbers from c->exchange on, and every other exchange ends them first.
 */
#pragma once
#include "comm/comm.h"
#include <mpi.h>
#include <pthread.h>

/* ---- what messages carry --------------------------------------------------------------------- */
/* Where a rank stands. */
typedef struct ls_stand {
    uint64_t exchange, call;
    char     name[40]; /* of the call */
} ls_stand;

typedef enum ls_exchange_kind {
    LS_MEETING, LS_VOTE, LS_BROADCAST, LS_GATHER, LS_SUMS
} ls_exchange_kind;
/* At the head of the first message to every rank that an exchange writes to; equal on all ranks. */
typedef struct ls_stamp {
    ls_stand at;
    int64_t  kind, arrays, rows, bytes;
    uint64_t digest; /* of all sizes */
} ls_stamp;

typedef enum ls_word_kind {
    LS_POSTED, /* a failure, from where it happened */
    LS_HERE,   /* has waited for long */
    LS_PLAIN,  /* at the fence, as its program says */
    LS_LEAVING,/* at the fence, because some rank failed: this one or another */
    LS_ENDING  /* has said why, and ends the job */
} ls_word_kind;
typedef struct ls_word {
    ls_stand at;
    uint64_t fence; /* the next, or this one */
    uint64_t sent;  /* data messages to the receiver since the start; at the fence only */
    int32_t  kind, status;
    char     text[sizeof((ls_failure *)0)->text];
} ls_word;

/* ---- state ----------------------------------------------------------------------------------- */
typedef struct ls_peer {
    ls_stand last; /* where it was last seen */
    uint64_t waits; /* the last exchange in which it said that it has waited for long */
    uint64_t sent, received; /* data messages */
    ls_word  failed;  /* its last failure; at.exchange: the first that it leaves out */
    ls_word  word[2]; /* said at the last fences of even and of odd number */
} ls_peer;

/* Who holds which pieces of a sum over so many rows. */
typedef struct ls_plan {
    struct ls_plan *next;
    int64_t      rows, leaf_rows;
    uint64_t     used;     /* in this exchange */
    int64_t      pieces, most; /* of all ranks, of one */
    int64_t     *first;    /* [count + 1]: pieces of rank r are first[r] to first[r + 1] */
    ls_addition *addition; /* [pieces - 1] */
    ls_range    *piece;    /* [pieces]: their rows; with one node */
    int64_t      most_rows; /* of one rank, likewise */
    /* with several nodes of several ranks: */
    struct ls_plan *between; /* of the nodes, as if each were a rank */
    int64_t      inside;     /* additions that make this node's pieces; numbers from its first piece on */
    ls_addition *inside_addition;
    int64_t     *lead;       /* [pieces of this node]: the piece of a rank in which each is made */
} ls_plan;

/* Sums that fit the desks, worked out once: a call with the same shapes finds them ready. */
typedef struct ls_ready_sum {
    int64_t          rows, count, bytes; /* bytes: of a piece, */
    int64_t          room;               /* and what it takes on a desk */
    ls_dtype         dtype;
    const ls_plan   *plan;
    const ls_kernel *kernel;
} ls_ready_sum;
typedef struct ls_ready {
    int64_t       count, room; /* sums; 0: none. Of how many there is room */
    int64_t       leaf_rows, bytes;
    uint64_t      digest; /* the stamp's, as are bytes */
    ls_ready_sum *sum;
} ls_ready;
enum { LS_READY = 4 };

/* The ranks of this machine: count of them from first on, this one being number own of them. Machine
 * number of so many, all with equally many ranks. Where ranks do not lie like that each is a machine
 * for itself. */
typedef struct ls_node_place { int first, count, own, nodes, number; } ls_node_place;

/* Memory that all ranks of the node see: a block of every rank, mapped here. */
typedef struct ls_shared {
    struct ls_shared *older;
    uint64_t id;     /* the exchange in which it was made */
    bool     common; /* one block for all, the first rank's */
    bool     lasts;  /* common, and stays so */
    bool     unseen; /* perhaps not there on all ranks */
    size_t   bytes;
    char    *at[];   /* of every rank of the node */
} ls_shared;
typedef struct ls_desk ls_desk; /* board.c: the block where a rank lays out what it brings */
extern const size_t ls_desk_bytes;
typedef struct ls_place_seen { uint64_t block, offset; } ls_place_seen; /* in that of some rank */

/* Oldest first, numbered from the start: first to count - 1 are at hand, those before done complete. */
typedef struct ls_requests { MPI_Request *at; int64_t first, done, count, room; } ls_requests;

/* What is summed, as one space of bytes: groups one after another at multiples of 64; in a group
 * the arrays of equal rows and type, without gaps. */
typedef struct ls_span { int64_t at, bytes, sum; void *const *piece; void *root; } ls_span; /* sum: its number */
typedef struct ls_group {
    const ls_plan   *plan;
    const ls_kernel *kernel; /* NULL: nothing is added */
    int64_t          at, bytes, spans;
    const ls_span   *span;
} ls_group;
typedef struct ls_layout { ls_group *group; int64_t groups, bytes; } ls_layout;

/* What an exchange has of its own. None waits for messages of a later one to be taken, which somebody may leave. */
typedef struct ls_exchange {
    ls_arena    arena;
    ls_requests sending;
} ls_exchange;

/* Exchanges that were begun early, oldest first, and sums that wait for a place among them. */
enum { LS_MOST_EARLY = 4 };
typedef struct ls_slices ls_slices; /* slices.c */
typedef struct ls_node_early ls_node_early; /* node.c */
typedef struct ls_early_exchange {
    ls_exchange own;
    ls_stamp    stamp;
    ls_layout   layout;
    ls_slices  *slices;    /* of all ranks; or, */
    ls_node_early *node;   /* where a node's see each other's memory */
} ls_early_exchange;
typedef struct ls_early_sums { ls_stamp stamp; ls_row_sum *const *sum; int64_t count; } ls_early_sums;
typedef struct ls_early {
    ls_early_exchange of[LS_MOST_EARLY];
    int            oldest, count;  /* under way */
    ls_early_sums *lot;            /* of the call that they end with, in order: */
    int64_t        from, to, room; /* these wait */
    int64_t        sums;           /* in all lots: the call's first ones */
    bool           refuses;        /* those that come after them */
    int64_t        moved;          /* changes whenever one goes on without messages */
    double         looked_s;
} ls_early;

typedef struct ls_comm {
    int         rank, count;
    bool        holds_mpi; /* which lockstep began: it ends with the last that does */
    MPI_Comm    data, control;
    uint64_t    exchange; /* this one, or the next: the first that has not ended */
    ls_stand    common;   /* the last one that ended: all ranks were there */
    uint64_t    fence;    /* the next */
    uint64_t    calls;    /* the most of any rank when a failure was agreed on */
    bool        meeting, posted;
    double      waited_s; /* for other ranks, where waiting took long */
    ls_peer    *peer;
    uint64_t    leave_at; /* the first exchange that a failed rank leaves out, or UINT64_MAX */
    int         plain;    /* a rank that is at the fence, and */
    uint64_t    plain_at; /* its exchange; or UINT64_MAX */
    int         arrived[2];
    ls_word     heard;    /* receives control messages */
    MPI_Request hearing;
    ls_word    *word;        /* [count + 2]: to each rank at the fence, posted, here */
    MPI_Request *word_sent;  /* [3][count], likewise */
    ls_requests receiving;   /* data messages */
    ls_exchange alone, *now; /* now: the exchange that is worked on: this one, or an early one */
    ls_early    early;
    ls_node_place node;
    ls_shared  *shared, *desk, *staging; /* newest; where ranks meet, or NULL; what lies elsewhere */
    bool        crowded;     /* more ranks than cores */
    char        placement[192];
    bool        left_common;
    struct { const char *of; char name[sizeof((ls_stand *)0)->name]; uint64_t key; } here; /* of the call last named */
    ls_plan    *plans, from_root, nothing;
    ls_ready    ready[LS_READY];
    unsigned    made_ready; /* so far */
} ls_comm;

/* ---- wait.c ---------------------------------------------------------------------------------- */
enum { LS_TAG_FIRST = 1, LS_TAG_PIECE, LS_TAG_ROOT };
/* Looks once, without waiting; returns MPI's code. LS_SOME: not yet, but it goes on. */
typedef enum ls_progress { LS_NOTHING, LS_SOME, LS_DONE } ls_progress;
typedef int ls_poll(void *of, ls_progress *progress);
/* False: the exchange is to be left. */
bool ls_comm_wait(ls_ctx *ctx, ls_poll *poll, void *of, bool may_leave);
/* False, with the context failed, where MPI reports an error; at the fence that ends the job. */
bool ls_comm_ok(ls_ctx *ctx, int code, const char *what);
/* Until all requests before number end are complete, oldest first. */
bool ls_comm_complete(ls_ctx *ctx, ls_requests *r, int64_t end, bool may_leave);
/* Whether they are, without waiting. */
bool ls_comm_is_complete(ls_ctx *ctx, ls_requests *r, int64_t end, bool *is);

/* Changes whenever data goes on. */
static inline int64_t ls_comm_moved(const ls_comm *c)
{
    int64_t sends = c->early.moved + c->alone.sending.count + c->alone.sending.done;
    for (int i = 0; i < LS_MOST_EARLY; i++)
        sends += c->early.of[i].own.sending.count + c->early.of[i].own.sending.done;
    return sends + c->receiving.count + c->receiving.done;
}

/* ---- message.c ------------------------------------------------------------------------------- */
bool ls_comm_send(ls_ctx *ctx, int to, int tag, const void *data, int64_t bytes);
/* Until all sends of the exchange are complete. */
bool ls_comm_sent(ls_ctx *ctx);
/* If the next message of a rank is there, begins to receive it: *is_there. stamp: as below, of LS_TAG_FIRST. Waits for
 * nothing, unless it is not as long as it should be. */
bool ls_comm_look(ls_ctx *ctx, int from, int tag, const ls_stamp *stamp, void *data, int64_t bytes, bool *is_there);
/* The first message of an exchange from a rank, whole: its stamp must be ours. */
bool ls_comm_receive_first(ls_ctx *ctx, int from, const ls_stamp *stamp, void *data, int64_t bytes);
/* Whether what came first is that. */
bool ls_comm_is_same(ls_ctx *ctx, int from, const ls_stamp *stamp, const void *came, int64_t bytes, int64_t wanted);
/* Receives and forgets what other ranks sent before the fence. */
void ls_comm_drain(ls_ctx *ctx);

/* ---- fence.c --------------------------------------------------------------------------------- */
void      ls_comm_hear(ls_ctx *ctx);
void      ls_comm_here(ls_ctx *ctx);
void      ls_comm_tell_end(ls_ctx *ctx, ls_status status); /* with which it ends */
bool      ls_comm_must_leave(ls_ctx *ctx);
ls_status ls_comm_meet(ls_ctx *ctx, ls_word_kind kind); /* LS_PLAIN or LS_LEAVING */

/* ---- abort.c --------------------------------------------------------------------------------- */
void ls_comm_say(const char *form, ...) /* a line on stderr */
    __attribute__((format(printf, 1, 2)));
_Noreturn void ls_comm_late(ls_ctx *ctx, double waited_s);
/* text: NULL where the failure that is known says it all. */
_Noreturn void ls_comm_abort(ls_ctx *ctx, ls_status status, const char *text);

static inline double ls_comm_deadline_s(const ls_ctx *ctx)
{
    return ctx->opts.deadline_s > 0 ? ctx->opts.deadline_s : LS_DEADLINE_DEFAULT_S;
}

/* Whether a rank has said that it has waited for long, here or in one that may be under way at the same time. */
static inline bool ls_comm_waits(const ls_comm *c, int r)
{
    return c->peer[r].waits && c->peer[r].waits + LS_MOST_EARLY > c->exchange;
}

/* Where another rank ends the job. */
_Noreturn void ls_comm_leave(ls_status status);

/* ---- watchdog.c: a deadline for what MPI does by itself ---------------------------------------- */
typedef struct ls_watchdog {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t done;
    bool        is_there, is_done, is_overdue;
    double      deadline_s;
    const char *what; /* "begin" */
} ls_watchdog;
/* Not before twenty seconds: on a busy machine MPI may need some to begin. */
void ls_watchdog_begin(ls_watchdog *w, const ls_ctx *ctx, const char *what);
void ls_watchdog_end(ls_watchdog *w);

/* ---- exchange.c ------------------------------------------------------------------------------ */
ls_stand  ls_comm_stand(const ls_ctx *ctx);
ls_stamp  ls_comm_stamp(const ls_ctx *ctx, ls_exchange_kind kind, int64_t arrays, int64_t rows,
                        int64_t bytes);
void     *ls_comm_take(ls_ctx *ctx, int64_t bytes); /* for this exchange; NULL: context failed */
/* At the head of every exchange: those begun early end. Not LS_OK: all ranks have met. */
ls_status ls_comm_enter(ls_ctx *ctx);
ls_status ls_comm_end(ls_ctx *ctx, bool ok);        /* not ok: at the fence */
ls_status ls_comm_swap(ls_ctx *ctx, const void *mine, int64_t bytes, void *all); /* gather.c: small, of every rank */
void      ls_comm_not_same(ls_failure *f, const ls_stamp *mine, const ls_stamp *theirs, int rank);

/* ---- placement.c ----------------------------------------------------------------------------- */
ls_status ls_placement_see(ls_ctx *ctx); /* fills c->node, crowded and placement; collective */

/* ---- window.c: memory that all ranks of the node see ----------------------------------------- */
ls_status  ls_window_open(ls_ctx *ctx, bool wanted); /* c->desk, where it can be had; collective */
void       ls_window_close(ls_comm *c);
ls_shared *ls_window_grow(ls_ctx *ctx, ls_shared *old, size_t bytes); /* collective; NULL: failed */
void       ls_window_distrust(ls_ctx *ctx); /* after a failure, in which ranks may have made different blocks */
bool       ls_window_find(const ls_comm *c, const void *p, ls_place_seen *place); /* p: this rank's */
char      *ls_window_at(const ls_comm *c, int number, ls_place_seen place); /* number: in the node */

/* ---- ways for data --------------------------------------------------------------------------- */
enum { LS_SMALL_BYTES = 16 << 10 }; /* of one rank, at most: all go to every rank as they are */

/* plan.c */
const ls_plan *ls_comm_plan(ls_ctx *ctx, int64_t rows);
bool           ls_comm_plans_new(ls_ctx *ctx);
void           ls_comm_plans_free(ls_comm *c);

/* blocks.c: every rank's block to every rank. bytes[r]: of rank r's, equal on all ranks. */
typedef struct ls_blocks { const int64_t *bytes; char **block, *packed; int64_t *at; } ls_blocks;
bool ls_blocks_begin(ls_ctx *ctx, ls_blocks *b, const int64_t *bytes); /* then fill block[own] */
bool ls_blocks_exchange(ls_ctx *ctx, const ls_stamp *stamp, ls_blocks *b);

/* Takes roots as they are made, instead of all ranks getting them. */
typedef struct ls_taker {
    ls_slice_done     *done;
    void              *of;
    ls_row_sum *const *sums; /* of these, products are made from their factors */
    int64_t            count, first; /* first: the number of the first of them, for done */
} ls_taker;

/* board.c: where the ranks of a node meet; they are numbered within it. */
/* Whether all ranks meet there: those of one node. */
static inline bool ls_board_is_all(const ls_comm *c) { return c->desk && c->node.nodes == 1; }
bool ls_board_has_come(const ls_comm *c, int r); /* as far in this exchange as this rank, which waits */
bool ls_board_may_end(const ls_comm *c, ls_status status); /* the job: the first of a node that asks */
ls_status ls_board_ending(const ls_comm *c); /* with which that one ends it, or LS_OK */
/* Waits until all ranks are here, under equal stamps. */
bool ls_board_post(ls_ctx *ctx, const ls_stamp *stamp);
/* The same of an exchange that is begun early, in two halves, without waiting. */
void ls_board_begin(const ls_comm *c, const ls_stamp *stamp);
bool ls_board_compare(ls_ctx *ctx, const ls_stamp *stamp);
/* How far a rank is in an exchange: it has begun it early, it has laid out, it has the sum of its slice, it has read what
 * it needs. */
typedef enum ls_board_stage { LS_BEGUN, LS_LAID, LS_REDUCED, LS_READ } ls_board_stage;
void ls_board_tell(const ls_comm *c, ls_board_stage s, uint64_t exchange);
bool ls_board_all_have(const ls_comm *c, ls_board_stage s, uint64_t exchange);
bool ls_board_tell_and_await(ls_ctx *ctx, ls_board_stage s); /* in this exchange */
/* Sums whose pieces, of every rank, fit its desk. */
bool ls_board_sums(ls_ctx *ctx, const ls_stamp *stamp, ls_row_sum *const *sums, const ls_ready *ready);
bool ls_board_blocks(ls_ctx *ctx, const ls_stamp *stamp, ls_blocks *b);

/* node.c: what is large, in memory that a node's ranks see. */
/* Room for an exchange by slices of so many bytes, of which a rank has so many pieces at most;
 * before anything of the exchange is taken. Collective. */
ls_status ls_node_reserve(ls_ctx *ctx, int64_t bytes, int64_t pieces, int64_t arrays);
bool ls_node_slices(ls_ctx *ctx, const ls_stamp *stamp, const ls_layout *l, const int64_t *bound,
                    const ls_taker *taker);
/* The same for sums begun early, in steps of which none waits: up to where all ranks have the sum of their slice.
 * Whether these may be, equal on all ranks: */
bool ls_node_may_begin(ls_ctx *ctx, ls_row_sum *const *sums, int64_t count);
ls_node_early *ls_node_begin(ls_ctx *ctx, const ls_stamp *stamp, const ls_layout *l); /* NULL: failed */
/* Goes on as far as it can, but not past the one that was begun before it, or NULL. False: failed. */
bool ls_node_go_on(ls_node_early *e, const ls_node_early *before);
bool ls_node_is_over(const ls_node_early *e);
/* Then the taker gets this rank's slice, or, NULL, this rank the others'. */
bool ls_node_end(ls_ctx *ctx, const ls_layout *l, const ls_taker *taker);

/* factors.c: makes this rank's rows of every product, once all ranks have laid out their factors. */
bool ls_factors_take(ls_ctx *ctx, const ls_taker *taker);

/* ready.c: NULL: there is none like that; or it cannot be, with the context failed. */
const ls_ready *ls_ready_find(const ls_ctx *ctx, ls_row_sum *const *sums, int64_t count);
const ls_ready *ls_ready_make(ls_ctx *ctx, ls_row_sum *const *sums, int64_t count);
void            ls_ready_forget(ls_comm *c); /* plans have gone */
void            ls_ready_free(ls_comm *c);
/* A stamp's digest. placed: of where the roots lie as well. */
uint64_t ls_comm_sizes(const ls_ctx *ctx, ls_row_sum *const *sums, int64_t count, bool placed);

const ls_kernel *ls_comm_kernel(ls_ctx *ctx, ls_dtype dtype); /* sums.c; NULL: failed */
bool ls_comm_lay_out(ls_ctx *ctx, ls_layout *l, ls_row_sum *const *sums, int64_t count);
void ls_comm_share(const ls_layout *l, int count, int64_t *bound); /* equal slices, [count + 1] */
/* sums.c: brings together the pieces of all ranks, and every root to every rank. */
bool ls_comm_reduce(ls_ctx *ctx, const ls_stamp *stamp, const ls_layout *l, const ls_taker *taker);
/* Adds in the order of the plan, n elements each. Where the sum lies: in wanted if a piece does. */
void *ls_comm_add_tree(const ls_group *g, int64_t n, void **piece, const void *wanted);
/* slices.c: between the members of a team: ranks first, first + stride, ...; number own of count. Member m
 * owns the bytes bound[m] to bound[m + 1] of the space. */
typedef struct ls_team { int own, count, first, stride; } ls_team;
bool ls_slices_exchange(ls_ctx *ctx, const ls_stamp *stamp, const ls_layout *l, const int64_t *bound,
                        ls_team team);
/* The same in steps, none of which waits. All it points to must stay. NULL: failed. */
ls_slices *ls_slices_begin(ls_ctx *ctx, const ls_stamp *stamp, const ls_layout *l, const int64_t *bound, ls_team team);
/* Goes on as far as it can, but not past the one that was begun before it, or NULL. False: failed. */
bool ls_slices_go_on(ls_slices *s, const ls_slices *before);
bool ls_slices_is_over(const ls_slices *s);

/* early.c */
ls_status ls_early_end(ls_ctx *ctx); /* all of them; ls_comm_enter() and ls_comm_agree() do it */
/* Those of this call; by messages, the others of its sums as well: then that is all of them. */
ls_status ls_early_sums_end(ls_ctx *ctx, ls_row_sum *const *sums, int64_t count);
/* What a node's ranks have begun and ended: each its slice to the taker, once all ranks have come to the call's end; or,
 * NULL, to each other. They are not done with it before they have come to another exchange. */
bool ls_early_hand_over(ls_ctx *ctx, const ls_taker *taker);
void      ls_early_forget(ls_comm *c); /* after a failure; nothing of them is under way any more */
void      ls_early_free(ls_comm *c);
