/* message.c -- data messages.
 *
 * No receive is posted before its message is there (matched probes): a message of unexpected size
 * breaks nothing, and whoever leaves an exchange has no receive to take back. What has been matched
 * has been sent and comes in whatever else happens. Sends of an exchange that was left are
 * completed at the fence, where every rank says how many messages it has sent to whom, and each
 * takes those that it has not received.
 *
 * Called by blocks.c, slices.c and fence.c.
 */
#include "comm/inside.h"
#include <stdio.h>
#include <string.h>

/* One more at the end of the list; NULL without memory. */
static MPI_Request *next_of(ls_ctx *ctx, ls_requests *r)
{
    if (r->count - r->first == r->room) {
        const size_t left = (size_t)(r->count - r->done) * sizeof *r->at;
        MPI_Request *at = r->at;
        if (2 * (r->count - r->done) >= r->room) {
            int64_t room = r->room ? 2 * r->room : 64;
            if (!(at = ls_new(ctx, (size_t)room * sizeof *at, "talking to other ranks")))
                return NULL;
            r->room = room;
        }
        if (left) memmove(at, r->at + (r->done - r->first), left);
        if (at != r->at) ls_memory_free(r->at);
        r->at = at;
        r->first = r->done;
    }
    return &r->at[r->count - r->first];
}

/* ---- sending ------------------------------------------------------------------------------- */
bool ls_comm_send(ls_ctx *ctx, int to, int tag, const void *data, int64_t bytes)
{
    ls_comm *c = ctx->comm;
    ls_requests *sending = &c->now->sending;
    MPI_Request *request = next_of(ctx, sending);
    if (!request) return false;
    int code = MPI_Isend(data, (int)bytes, MPI_BYTE, to, tag, c->data, request);
    if (!ls_comm_ok(ctx, code, "sending")) return false;
    sending->count++;
    c->peer[to].sent++;
    return true;
}

bool ls_comm_sent(ls_ctx *ctx)
{
    ls_requests *sending = &ctx->comm->now->sending;
    return ls_comm_complete(ctx, sending, sending->count, true);
}

/* ---- receiving ----------------------------------------------------------------------------- */
typedef struct probe {
    MPI_Comm comm;
    int from, tag;
    MPI_Message message;
    MPI_Status status;
} probe;

static int test_probe(void *of, ls_progress *progress)
{
    probe *p = of;
    int flag = 0, code = MPI_Improbe(p->from, p->tag, p->comm, &flag, &p->message, &p->status);
    *progress = flag ? LS_DONE : LS_NOTHING;
    return code;
}

/* Of the message found: how many bytes, or -1. */
static int64_t bytes_of(ls_ctx *ctx, const probe *p)
{
    int bytes = 0;
    ctx->comm->peer[p->from].received++;
    return ls_comm_ok(ctx, MPI_Get_count(&p->status, MPI_BYTE, &bytes), "receiving") ? bytes : -1;
}

/* Waits for the next message; how many bytes, or -1. */
static int64_t find(ls_ctx *ctx, probe *p, int from, int tag, bool may_leave)
{
    *p = (probe){ .comm = ctx->comm->data, .from = from, .tag = tag };
    return ls_comm_wait(ctx, test_probe, p, may_leave) ? bytes_of(ctx, p) : -1;
}

static bool take(ls_ctx *ctx, probe *p, void *data, int64_t bytes)
{
    MPI_Request *request = next_of(ctx, &ctx->comm->receiving);
    if (!request) ls_comm_abort(ctx, LS_ERR_MEMORY, NULL);
    int code = MPI_Imrecv(data, (int)bytes, MPI_BYTE, &p->message, request);
    if (!ls_comm_ok(ctx, code, "receiving")) return false;
    ctx->comm->receiving.count++;
    return true;
}

/* Until all messages begun are here: they have been sent. */
static bool received(ls_ctx *ctx)
{
    ls_requests *r = &ctx->comm->receiving;
    return ls_comm_complete(ctx, r, r->count, false);
}

/* One of unexpected size. Without memory nobody could be told: it has to come in first. */
static void *take_odd(ls_ctx *ctx, probe *p, int64_t bytes)
{
    void *data = ls_comm_take(ctx, bytes);
    if (!data) ls_comm_abort(ctx, LS_ERR_MEMORY, NULL);
    return take(ctx, p, data, bytes) && received(ctx) ? data : NULL;
}

bool ls_comm_is_same(ls_ctx *ctx, int from, const ls_stamp *stamp, const void *came, int64_t bytes,
                     int64_t wanted)
{
    ls_stamp theirs = { 0 };
    memcpy(&theirs, came, bytes < (int64_t)sizeof theirs ? (size_t)bytes : sizeof theirs);
    ctx->comm->peer[from].last = theirs.at;
    if (bytes == wanted && memcmp(&theirs, stamp, sizeof theirs) == 0) return true;
    ls_failure f = { 0 };
    ls_comm_not_same(&f, stamp, &theirs, from);
    ls_fail_with(ctx, &f);
    return false;
}

bool ls_comm_look(ls_ctx *ctx, int from, int tag, const ls_stamp *stamp, void *data, int64_t bytes,
                  bool *is_there)
{
    probe p = { .comm = ctx->comm->data, .from = from, .tag = tag };
    ls_progress progress = LS_NOTHING;
    *is_there = false;
    if (!ls_comm_ok(ctx, test_probe(&p, &progress), "receiving")) return false;
    if (progress != LS_DONE) return true;
    const int64_t found = bytes_of(ctx, &p);
    if (found < 0) return false;
    if (found == bytes) return *is_there = take(ctx, &p, data, bytes);
    const void *came = take_odd(ctx, &p, found);
    if (came && tag == LS_TAG_FIRST) return ls_comm_is_same(ctx, from, stamp, came, found, bytes);
    if (came) /* cannot be, as the stamps were equal */
        ls_fail(ctx, LS_ERR_NOT_SAME, "%s() expected %lld bytes from rank %d, which sent %lld",
                ctx->call, (long long)bytes, from, (long long)found);
    return false;
}

bool ls_comm_receive_first(ls_ctx *ctx, int from, const ls_stamp *stamp, void *data, int64_t bytes)
{
    probe p;
    int64_t found = find(ctx, &p, from, LS_TAG_FIRST, true);
    if (found < 0) return false;
    const void *came = data;
    if (found != bytes) came = take_odd(ctx, &p, found);
    else if (!take(ctx, &p, data, bytes) || !received(ctx)) return false;
    return came && ls_comm_is_same(ctx, from, stamp, came, found, bytes);
}

/* ---- after a failure ----------------------------------------------------------------------- */
void ls_comm_drain(ls_ctx *ctx)
{
    ls_comm *c = ctx->comm;
    ls_comm_complete(ctx, &c->receiving, c->receiving.count, false);
    for (int r = 0; r < c->count; r++) {
        for (ls_peer *peer = &c->peer[r]; peer->received < peer->word[c->fence & 1].sent;) {
            probe p;
            int64_t bytes = find(ctx, &p, r, MPI_ANY_TAG, false);
            void *data = ls_memory_new((size_t)bytes);
            if (!data) {
                char text[96];
                snprintf(text, sizeof text, "no memory: meeting after an error needs %lld bytes",
                         (long long)bytes);
                ls_comm_abort(ctx, LS_ERR_MEMORY, text);
            }
            if (take(ctx, &p, data, bytes)) received(ctx);
            ls_memory_free(data);
        }
    }
    ls_comm_complete(ctx, &c->alone.sending, c->alone.sending.count, false);
    for (int i = 0; i < LS_MOST_EARLY; i++) {
        ls_requests *sending = &c->early.of[i].own.sending;
        ls_comm_complete(ctx, sending, sending->count, false);
    }
}
