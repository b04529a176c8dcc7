/* wait.c -- the one wait, and the data messages that are waited for.
 *
 * Whoever waits also listens for posted errors, leaves an exchange that cannot end any more, tells
 * the others where it stands when waiting takes long, and ends the job at the deadline, which
 * counts from the last message. It spins for microseconds, then gives the core away, then sleeps
 * for a small part of the time waited so far, so that ranks may outnumber cores.
 *
 * No receive is posted before its message is there (matched probes): a message of unexpected size
 * breaks nothing, and leaving an exchange leaves no receive behind. Sends of an exchange that was
 * left are completed at the fence, where every rank says how many messages it has sent to whom, and
 * each takes what it has not received.
 */
#include "comm/inside.h"
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define YIELD_AFTER     1000 /* polls: some 100 us */
#define SLEEP_AFTER_S   5e-3 /* from then on a fiftieth of the time waited, at most */
#define LONGEST_SLEEP_S 1e-3
#define HERE_AFTER_S    1.0 /* or a quarter of the deadline */
#define GRACE_S         0.5 /* for a lower rank, which says it first */

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

/* ---- the wait ------------------------------------------------------------------------------ */
static void rest(double waited_s)
{
    if (waited_s < SLEEP_AFTER_S) {
        sched_yield();
        return;
    }
    double s = waited_s / 50 < LONGEST_SLEEP_S ? waited_s / 50 : LONGEST_SLEEP_S;
    nanosleep(&(struct timespec){ 0, (long)(s * 1e9) }, NULL); /* cut short by a signal: no harm */
}

static bool lower_rank_waits(const ls_comm *c)
{
    for (int r = 0; r < c->rank; r++)
        if (c->peer[r].last.exchange >= c->exchange) return true;
    return false;
}

bool ls_comm_wait(ls_ctx *ctx, ls_poll *poll, void *of, bool may_leave)
{
    ls_comm *c = ctx->comm;
    double begin_s = 0, deadline_s = ctx->opts.deadline_s;
    double here_s = deadline_s / 4 < HERE_AFTER_S ? deadline_s / 4 : HERE_AFTER_S;
    bool is_here = false;
    for (int64_t polls = 0;; polls++) {
        int done = 0;
        if (!ls_comm_ok(ctx, poll(of, &done), "waiting for another rank")) return false;
        if (done) return true;
        ls_comm_hear(ctx);
        if (may_leave && ls_comm_must_leave(ctx)) return false;
        if (polls < YIELD_AFTER) continue;
        double now_s = ls_clock_s();
        if (polls == YIELD_AFTER) begin_s = now_s;
        double waited_s = now_s - begin_s;
        if (waited_s > here_s && !is_here && !c->meeting) {
            ls_comm_here(ctx);
            is_here = true;
        }
        if (waited_s > deadline_s && (waited_s > deadline_s + GRACE_S || !lower_rank_waits(c)))
            ls_comm_late(ctx, waited_s);
        rest(waited_s);
    }
}

/* ---- requests ------------------------------------------------------------------------------ */
typedef struct requests {
    MPI_Request *at;
    int64_t done, count;
} requests;

/* In order, so that a poll costs one test however many there are. */
static int test_requests(void *of, int *done)
{
    requests *q = of;
    for (; q->done < q->count; q->done++) {
        int flag = 0, code = MPI_Test(&q->at[q->done], &flag, MPI_STATUS_IGNORE);
        if (code != MPI_SUCCESS || !flag) return code;
    }
    *done = 1;
    return MPI_SUCCESS;
}

bool ls_comm_complete(ls_ctx *ctx, MPI_Request *request, int64_t count, bool may_leave)
{
    requests q = { request, 0, count };
    return ls_comm_wait(ctx, test_requests, &q, may_leave);
}

bool ls_comm_flush(ls_ctx *ctx, int64_t count)
{
    return ls_comm_complete(ctx, ctx->comm->sending, count, true);
}

/* Doubles the list of sends. */
static bool more_room(ls_ctx *ctx)
{
    ls_comm *c = ctx->comm;
    int64_t room = c->sending_room ? 2 * c->sending_room : 64;
    MPI_Request *more = ls_new(ctx, (size_t)room * sizeof *more, "sending to other ranks");
    if (!more) return false;
    if (c->sending_count) memcpy(more, c->sending, (size_t)c->sending_count * sizeof *more);
    ls_memory_free(c->sending);
    c->sending = more;
    c->sending_room = room;
    return true;
}

bool ls_comm_send(ls_ctx *ctx, int to, int tag, const void *data, int64_t bytes)
{
    ls_comm *c = ctx->comm;
    if (c->sending_count == c->sending_room && !more_room(ctx)) return false;
    int code = MPI_Isend(data, (int)bytes, MPI_BYTE, to, tag, c->data,
                         &c->sending[c->sending_count]);
    if (!ls_comm_ok(ctx, code, "sending")) return false;
    c->sending_count++;
    c->peer[to].sent++;
    return true;
}

/* ---- receiving ----------------------------------------------------------------------------- */
typedef struct probe {
    MPI_Comm comm;
    int from, tag;
    MPI_Message message;
    MPI_Status status;
} probe;

static int test_probe(void *of, int *done)
{
    probe *p = of;
    return MPI_Improbe(p->from, p->tag, p->comm, done, &p->message, &p->status);
}

/* Waits for the next message; how many bytes, or -1. */
static int64_t find(ls_ctx *ctx, probe *p, int from, int tag, bool may_leave)
{
    int bytes = 0;
    *p = (probe){ .comm = ctx->comm->data, .from = from, .tag = tag };
    if (!ls_comm_wait(ctx, test_probe, p, may_leave)) return -1;
    ctx->comm->peer[from].received++;
    return ls_comm_ok(ctx, MPI_Get_count(&p->status, MPI_BYTE, &bytes), "receiving") ? bytes : -1;
}

/* A message that is there has been sent, and can be waited for whatever else happens. */
static bool receive_found(ls_ctx *ctx, probe *p, void *data, int64_t bytes)
{
    MPI_Request request;
    int code = MPI_Imrecv(data, (int)bytes, MPI_BYTE, &p->message, &request);
    return ls_comm_ok(ctx, code, "receiving") && ls_comm_complete(ctx, &request, 1, false);
}

bool ls_comm_receive(ls_ctx *ctx, int from, int tag, void *data, int64_t bytes)
{
    probe p;
    int64_t found = find(ctx, &p, from, tag, true);
    if (found < 0) return false;
    if (found == bytes) return receive_found(ctx, &p, data, bytes);
    void *other = ls_comm_take(ctx, found); /* cannot be, as the stamps were equal */
    if (other && receive_found(ctx, &p, other, found))
        ls_fail(ctx, LS_ERR_NOT_SAME, "%s() expected %lld bytes from rank %d, which sent %lld",
                ctx->call, (long long)bytes, from, (long long)found);
    return false;
}

bool ls_comm_receive_first(ls_ctx *ctx, int from, const ls_stamp *stamp, void *data, int64_t bytes)
{
    probe p;
    int64_t found = find(ctx, &p, from, LS_TAG_FIRST, true);
    ls_stamp theirs = { 0 };
    if (found < 0) return false;
    void *into = found == bytes ? data : ls_comm_take(ctx, found);
    if (!into || !receive_found(ctx, &p, into, found)) return false;
    memcpy(&theirs, into, found < (int64_t)sizeof theirs ? (size_t)found : sizeof theirs);
    ctx->comm->peer[from].last = theirs.at;
    if (found == bytes && memcmp(&theirs, stamp, sizeof theirs) == 0) return true;
    ls_failure f = { 0 };
    ls_comm_not_same(&f, stamp, &theirs, from);
    ls_fail_with(ctx, &f);
    return false;
}

void ls_comm_drain(ls_ctx *ctx)
{
    ls_comm *c = ctx->comm;
    for (int r = 0; r < c->count; r++) {
        for (ls_peer *peer = &c->peer[r]; peer->received < peer->word[c->fence & 1].sent;) {
            probe p;
            int64_t bytes = find(ctx, &p, r, MPI_ANY_TAG, false);
            void *data = ls_memory_new((size_t)bytes);
            if (!data) ls_comm_abort(ctx, LS_ERR_MEMORY, "no memory to meet after an error");
            receive_found(ctx, &p, data, bytes);
            ls_memory_free(data);
        }
    }
    ls_comm_complete(ctx, c->sending, c->sending_count, false);
    c->sending_count = 0;
}
