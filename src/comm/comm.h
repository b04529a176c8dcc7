/* comm.h -- floor 2: ranks. The only folder that includes mpi.h.
 *
 *   ranks.c      start and finish, communicators          sums.c     sums over leaves in the tree
 *   wait.c       the one wait, with its deadline          gather.c   bits, broadcast, rows
 *   fence.c      posting an error, the fence              plan.c     who holds which pieces
 *   abort.c      the one MPI_Abort                        blocks.c   what is small, to all ranks
 *   exchange.c   how every exchange begins and ends       slices.c   what is large, by slices
 *   placement.c  machines and cores of the ranks          watchdog.c a deadline for MPI itself
 *   ready.c      small sums, worked out once              factors.c  products, of all ranks' rows
 *   message.c    data messages                            window.c   memory that a node's ranks see
 *   early.c      sums sent while backward goes on         board.c    where those ranks meet
 *   node.c       what is large, in that memory
 *
 * Every message carries a stamp: number and name of the public call it belongs to, and the size of
 * what is exchanged; a rank that stands elsewhere is named (NOT_SAME) instead of pairing its data
 * with another's. Functions are those of ls_links in base.h. A process without a launcher is one
 * rank and never starts MPI.
 */
#pragma once
#include "base/base.h"
#include "kernel/kernel.h"

/* Makes ctx->comm, place, who, is_root. mpi_comm: MPI_Comm *, or NULL for the world. */
ls_status ls_comm_start(ls_ctx *ctx, const void *mpi_comm);
/* Frees it; ends MPI if ls_comm_start() began it. All ranks have met at ls_comm_agree() before. */
void ls_comm_finish(ls_ctx *ctx);
/* After an agreed failure: there is none, and nothing is left of it. Collective. */
ls_status ls_comm_clear(ls_ctx *ctx);

/* All of the functions below, as others call them. */
extern const ls_links ls_comm_links;

void      ls_comm_post(ls_ctx *ctx);
ls_status ls_comm_agree(ls_ctx *ctx);
ls_status ls_comm_any(ls_ctx *ctx, uint64_t mine, uint64_t *all);
ls_status ls_comm_broadcast(ls_ctx *ctx, void *data, size_t bytes);
ls_status ls_comm_sums(ls_ctx *ctx, ls_row_sum *const *sums, int64_t count);
ls_status ls_comm_update(ls_ctx *ctx, ls_row_sum *const *sums, int64_t count, bool common, ls_slice_done *done,
                         void *of);
bool      ls_comm_begin(ls_ctx *ctx, ls_row_sum *const *sums, int64_t count);
bool      ls_comm_progress(ls_ctx *ctx);
int64_t   ls_comm_factor_rows(ls_ctx *ctx, const ls_row_sum *sum, bool common);
ls_status ls_comm_gather(ls_ctx *ctx, int64_t rows, size_t row_bytes, const void *own, void *all);

ls_status ls_comm_collect(ls_ctx *ctx, const void *own, size_t bytes, size_t item, ls_take *take, void *of);
void *ls_comm_shared_new(ls_ctx *ctx, size_t bytes, bool common, const char *what);
void *ls_comm_copies_new(ls_ctx *ctx, size_t bytes);
void  ls_comm_shared_free(ls_ctx *ctx, void *p);
bool  ls_comm_is_common(const ls_ctx *ctx, const void *p);
void  ls_comm_leave_common(ls_ctx *ctx);

/* ---- pulse.c: what ranks tell each other every few milliseconds of a run --------------------- */
enum { LS_WISH_STOP = 1, LS_WISH_REPORT = 2 };
enum { LS_PHASES = 4 }; /* read, forward, backward, update */
typedef struct ls_pulse {
    uint64_t wishes;
    uint64_t digest; /* of what is to be equal on all ranks */
    uint64_t start, made; /* of what a node's ranks hold in common: one start and all made are 0 together */
    double   step_s; /* of the last step */
    double   busy_s[LS_PHASES]; /* of its own, waiting for others left out */
} ls_pulse;
typedef struct ls_pulses {
    uint64_t wishes; /* of any */
    double   step_s; /* the longest */
    char     slowest[24]; /* "rank 3", where a report is wished for */
    double   factor; /* times the median of the others */
    int      phase;  /* where most of it is */
} ls_pulses;
/* REPLICA where digests differ. when: for that complaint, "step 840". Collective. */
ls_status ls_comm_pulse(ls_ctx *ctx, const ls_pulse *mine, const char *when, ls_pulses *out);
bool      ls_comm_is_alone(const ls_ctx *ctx);
bool      ls_comm_is_one_node(const ls_ctx *ctx); /* whose ranks see each other's memory */
double    ls_comm_waited_s(const ls_ctx *ctx); /* for other ranks, so far; short waits left out */

const char *ls_comm_placement(const ls_ctx *ctx);
const char *ls_comm_version(void); /* "Open MPI 4.1.4" */
