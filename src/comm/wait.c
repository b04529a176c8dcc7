/* wait.c -- the one wait.
 *
 * Whoever waits also listens for posted errors, leaves an exchange that cannot end any more, tells
 * the others where it stands when waiting takes long, and ends the job at the deadline. It spins
 * for microseconds (not at all where ranks outnumber cores), then gives the core away, then sleeps
 * for a small part of the time waited so far, so that ranks may outnumber cores. All of this counts
 * from the last message that came.
 *
 * Called by the other files of comm.
 */
#include "comm/inside.h"
#include <sched.h>
#include <stdio.h>
#include <time.h>

#define CLOCK_AFTER     16   /* polls, and every so many from then on the clock is looked at: */
#define YIELD_AFTER     1000 /* polls: some 100 us; or */
#define YIELD_AFTER_S   1e-3 /* where others have the core in between and a poll takes milliseconds */
#define SLEEP_AFTER_S   5e-3 /* from then on a fiftieth of the time waited, at most */
#define LONGEST_SLEEP_S 1e-3
#define HERE_AFTER_S    1.0 /* or a quarter of the deadline */
#define GRACE_S         1.0 /* for a lower rank, which says it first */
#define STOPPED_S       1.0 /* between two looks at the clock: this rank was stopped itself */

bool ls_comm_ok(ls_ctx *ctx, int code, const char *what)
{
    if (code == MPI_SUCCESS) return true;
    char text[MPI_MAX_ERROR_STRING + 64] = "";
    int used = snprintf(text, 64, "%s: ", what), length = 0;
    if (MPI_Error_string(code, text + used, &length) != MPI_SUCCESS)
        snprintf(text + used, 32, "error %d", code);
    if (ctx->comm->meeting) ls_comm_abort(ctx, LS_ERR_IO, text);
    ls_fail(ctx, LS_ERR_IO, "%s; the network or a node may be broken", text);
    return false;
}

static void rest(double waited_s)
{
    if (waited_s < SLEEP_AFTER_S) {
        sched_yield();
        return;
    }
    double s = waited_s / 50 < LONGEST_SLEEP_S ? waited_s / 50 : LONGEST_SLEEP_S;
    nanosleep(&(struct timespec){ 0, (long)(s * 1e9) }, NULL); /* cut short by a signal: no harm */
}

/* Of other nodes: those of this one see who says it. */
static bool lower_rank_waits(const ls_comm *c)
{
    const int end = c->desk ? c->node.first : c->rank;
    for (int r = 0; r < end; r++)
        if (c->meeting ? c->peer[r].last.exchange >= c->exchange : ls_comm_waits(c, r)) return true;
    return false;
}

/* Then they are to know that this rank is not the one. */
static bool others_wait(const ls_comm *c)
{
    for (int r = 0; r < c->count; r++)
        if (c->peer[r].waits >= c->exchange) return true;
    return false;
}

/* When waiting began to take long, and the clock was looked at last. */
typedef struct patience {
    double begin_s, looked_s;
    bool is_here;
} patience;

/* A job that is stopped as a whole, and goes on, has not waited meanwhile. */
static double waited(patience *p)
{
    const double now_s = ls_clock_s();
    if (now_s - p->looked_s > STOPPED_S) p->begin_s += now_s - p->looked_s;
    p->looked_s = now_s;
    return now_s - p->begin_s;
}

static void be_patient(ls_ctx *ctx, patience *p)
{
    ls_comm *c = ctx->comm;
    double deadline_s = ls_comm_deadline_s(ctx);
    double here_s = deadline_s / 4 < HERE_AFTER_S ? deadline_s / 4 : HERE_AFTER_S;
    double waited_s = waited(p);
    if (ls_board_ending(c)) ls_comm_leave(ls_board_ending(c));
    if ((waited_s > here_s || others_wait(c)) && !p->is_here && !c->meeting) {
        ls_comm_here(ctx);
        p->is_here = true;
    }
    if (waited_s > deadline_s && (waited_s > deadline_s + GRACE_S || !lower_rank_waits(c)))
        ls_comm_late(ctx, waited_s);
    rest(waited_s);
}

static bool waits_long(int64_t polls, double begin_s)
{
    return polls >= YIELD_AFTER ||
           (polls % CLOCK_AFTER == 0 && ls_clock_s() - begin_s > YIELD_AFTER_S);
}

bool ls_comm_wait(ls_ctx *ctx, ls_poll *poll, void *of, bool may_leave)
{
    patience p = { 0 };
    for (int64_t polls = 1;; polls++) {
        ls_progress progress = LS_NOTHING;
        if (!ls_comm_ok(ctx, poll(of, &progress), "waiting for another rank")) return false;
        if (progress == LS_DONE) {
            if (p.begin_s > 0) ctx->comm->waited_s += ls_clock_s() - p.begin_s;
            return true;
        }
        if (progress == LS_SOME) {
            if (p.begin_s > 0) ctx->comm->waited_s += ls_clock_s() - p.begin_s;
            p.begin_s = 0;
            polls = 1;
        }
        if (polls == CLOCK_AFTER) p.begin_s = p.looked_s = ls_clock_s();
        if (waits_long(polls, p.begin_s)) be_patient(ctx, &p);
        else if (ctx->comm->crowded) sched_yield();
        ls_comm_hear(ctx); /* last, so that what is heard counts before the deadline does */
        if (may_leave && ls_comm_must_leave(ctx)) return false;
    }
}

/* ---- requests ------------------------------------------------------------------------------ */
typedef struct completion {
    ls_requests *of;
    int64_t end;
} completion;

/* In order, so that a poll costs few tests however many there are. */
static int test_requests(void *of, ls_progress *progress)
{
    completion *c = of;
    ls_requests *r = c->of;
    for (; r->done < c->end; r->done++) {
        int flag = 0, code = MPI_Test(&r->at[r->done - r->first], &flag, MPI_STATUS_IGNORE);
        if (code != MPI_SUCCESS || !flag) return code;
        *progress = LS_SOME;
    }
    if (r->done == r->count) r->first = r->count;
    *progress = LS_DONE;
    return MPI_SUCCESS;
}

bool ls_comm_complete(ls_ctx *ctx, ls_requests *r, int64_t end, bool may_leave)
{
    completion c = { r, end };
    return ls_comm_wait(ctx, test_requests, &c, may_leave);
}

bool ls_comm_is_complete(ls_ctx *ctx, ls_requests *r, int64_t end, bool *is)
{
    completion c = { r, end };
    ls_progress progress = LS_NOTHING;
    const int code = test_requests(&c, &progress);
    *is = progress == LS_DONE;
    return ls_comm_ok(ctx, code, "waiting for another rank");
}
