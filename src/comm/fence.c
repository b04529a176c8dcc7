/* fence.c -- how ranks agree on an error.
 *
 * Exchanges are numbered, and every rank takes part in all of them in the same order. Each kind of
 * exchange needs something from every rank, so none ends anywhere before every rank has entered it.
 *
 *   post    A failing rank tells all others at once, with the number x of the first exchange it
 *           leaves out. Who waits in exchange x or a later one leaves it for the fence; who waits
 *           in an earlier one goes on, because everything it waits for is still coming. So all
 *           ranks leave in one and the same exchange, the lowest x posted, and in the same call.
 *   fence   Every rank tells every other one that it is here: where it stands, its own failure if
 *           it has one, and how many data messages it has sent to that rank; then it waits until
 *           all have said so. All now hold the same words and come to the same end: the failure of
 *           the lowest rank that has one; else NOT_SAME if they stand at different calls; else all
 *           is well. Fences are numbered; a fast rank may be one fence ahead, so that two words a
 *           rank are kept. After a failure every rank takes the messages that were under way,
 *           completes its sends, and counts exchanges from a common number again: nothing stale is
 *           left that could be mistaken.
 *   plain   A rank whose program meets the others at exchange x (no failure, ls_comm_agree()) comes
 *           to the same fence as one that failed. One that waits for data of exchange x and hears
 *           that another stands at the fence by plan fails with NOT_SAME.
 *
 * Words of one rank arrive in order and fit any eager limit; their buffers are free again when the
 * fence ends. An MPI error at the fence cannot be agreed on and ends the job.
 */
#include "comm/inside.h"
#include <stdio.h>
#include <string.h>

/* ---- saying -------------------------------------------------------------------------------- */
/* To one rank; slot: of c->word, slots of one kind follow each other. */
static void say(ls_ctx *ctx, const ls_word *word, int to, int slot)
{
    ls_comm *c = ctx->comm;
    int bytes = (int)(offsetof(ls_word, text) + strlen(word->text) + 1);
    if (MPI_Isend(word, bytes, MPI_BYTE, to, 0, c->control, &c->word_sent[slot]) != MPI_SUCCESS)
        ls_comm_abort(ctx, LS_ERR_IO, "another rank cannot be reached; a node may be broken");
}

static void fill(const ls_ctx *ctx, ls_word *word, ls_word_kind kind)
{
    *word = (ls_word){ ls_comm_stand(ctx), .fence = ctx->comm->fence, .kind = kind };
    word->status = (int32_t)ctx->failure.status;
    snprintf(word->text, sizeof word->text, "%s", ctx->failure.status ? ctx->failure.text : "");
}

static void say_to_all(ls_ctx *ctx, ls_word_kind kind)
{
    ls_comm *c = ctx->comm;
    int set = kind == LS_POSTED ? 1 : 2;
    ls_word *word = &c->word[c->count + set - 1];
    fill(ctx, word, kind);
    for (int r = 0; r < c->count; r++)
        if (r != c->rank) say(ctx, word, r, set * c->count + r);
}

void ls_comm_post(ls_ctx *ctx)
{
    ls_comm *c = ctx->comm;
    if (!c || c->count == 1 || c->posted || c->meeting || ctx->agreed || !ctx->failure.status)
        return;
    say_to_all(ctx, LS_POSTED);
    c->posted = true;
}

void ls_comm_here(ls_ctx *ctx)
{
    ls_comm *c = ctx->comm;
    int sent = 0;
    int code = MPI_Testall(c->count, &c->word_sent[2 * c->count], &sent, MPI_STATUSES_IGNORE);
    if (code == MPI_SUCCESS && sent) say_to_all(ctx, LS_HERE);
}

void ls_comm_tell_end(ls_ctx *ctx, ls_status status)
{
    static ls_word word; /* nobody waits for these sends */
    const ls_comm *c = ctx->comm;
    word = (ls_word){ ls_comm_stand(ctx), .kind = LS_ENDING, .status = (int32_t)status };
    for (int r = 0; r < c->count; r++) {
        MPI_Request sent;
        if (r != c->rank)
            (void)MPI_Isend(&word, offsetof(ls_word, text) + 1, MPI_BYTE, r, 0, c->control, &sent);
    }
}

/* ---- hearing ------------------------------------------------------------------------------- */
/* What the last words of a rank mean for the exchanges before this fence. */
static void note(ls_comm *c, int r)
{
    const ls_peer *peer = &c->peer[r];
    const ls_word *word = &peer->word[c->fence & 1];
    if (peer->failed.status && peer->failed.fence == c->fence &&
        peer->failed.at.exchange < c->leave_at)
        c->leave_at = peer->failed.at.exchange;
    if (word->kind == LS_PLAIN && word->fence == c->fence && word->at.exchange < c->plain_at) {
        c->plain_at = word->at.exchange;
        c->plain = r;
    }
}

static void take_in(ls_comm *c, const ls_word *word, int from)
{
    ls_peer *peer = &c->peer[from];
    if (word->kind == LS_ENDING) ls_comm_leave((ls_status)word->status);
    peer->last = word->at;
    if (word->kind == LS_HERE) peer->waits = word->at.exchange;
    if (word->status) peer->failed = *word;
    if (word->kind == LS_PLAIN || word->kind == LS_LEAVING) {
        peer->word[word->fence & 1] = *word;
        c->arrived[word->fence & 1]++;
    }
    note(c, from);
}

void ls_comm_hear(ls_ctx *ctx)
{
    ls_comm *c = ctx->comm;
    while (c->hearing != MPI_REQUEST_NULL) {
        int flag = 0;
        MPI_Status status;
        int code = MPI_Test(&c->hearing, &flag, &status);
        if (code == MPI_SUCCESS && !flag) return;
        if (code == MPI_SUCCESS) {
            take_in(c, &c->heard, status.MPI_SOURCE);
            code = MPI_Start(&c->hearing);
        }
        if (code != MPI_SUCCESS)
            ls_comm_abort(ctx, LS_ERR_IO, "other ranks cannot be heard; a node may be broken");
    }
}

bool ls_comm_must_leave(ls_ctx *ctx)
{
    ls_comm *c = ctx->comm;
    if (c->leave_at <= c->exchange) return true;
    if (c->plain_at > c->exchange) return false;
    ls_stamp mine = { ls_comm_stand(ctx), .kind = -1 };
    ls_stamp theirs = { c->peer[c->plain].word[c->fence & 1].at, .kind = LS_MEETING };
    ls_failure f = { 0 };
    ls_comm_not_same(&f, &mine, &theirs, c->plain);
    ls_fail_with(ctx, &f);
    return true;
}

/* ---- the fence ----------------------------------------------------------------------------- */
/* The failure that all ranks leave with; the rank that prints it. */
static ls_status settle(ls_ctx *ctx, ls_status status, const char *text, int rank)
{
    ls_comm *c = ctx->comm;
    ls_failure f = { 0 };
    bool of_all = status == LS_ERR_STOPPED || status == LS_ERR_REPLICA;
    if (!c || c->count == 1 || of_all) ls_failure_set(&f, status, "%s", text);
    else ls_failure_set(&f, status, "rank %d of %d: %s", rank, c->count, text);
    ctx->failure = f;
    ctx->agreed = true;
    if (!c || rank == c->rank) ls_comm_say("%s", f.text);
    return f.status;
}

/* All ranks have the same words and come to the same end. */
static ls_status verdict(ls_ctx *ctx)
{
    ls_comm *c = ctx->comm;
    int fence = (int)(c->fence & 1);
    for (int r = 0; r < c->count; r++) {
        const ls_word *word = &c->peer[r].word[fence];
        if (word->status) return settle(ctx, (ls_status)word->status, word->text, r);
    }
    const ls_word *first = &c->peer[0].word[fence];
    for (int r = 1; r < c->count; r++) {
        const ls_word *word = &c->peer[r].word[fence];
        if (memcmp(&word->at, &first->at, sizeof first->at) == 0) continue;
        ls_stamp here = { first->at, .kind = LS_MEETING }, there = { word->at, .kind = LS_MEETING };
        ls_failure f = { 0 };
        ls_comm_not_same(&f, &here, &there, r);
        return settle(ctx, f.status, f.text, 0);
    }
    return LS_OK;
}

static int test_arrived(void *of, ls_progress *progress)
{
    const ls_comm *c = of;
    *progress = c->arrived[c->fence & 1] == c->count - 1 ? LS_DONE : LS_NOTHING;
    return MPI_SUCCESS;
}

static void tell_arrival(ls_ctx *ctx, ls_word_kind kind)
{
    ls_comm *c = ctx->comm;
    ls_word *own = &c->peer[c->rank].word[c->fence & 1];
    fill(ctx, own, kind);
    for (int i = 1; i < c->count; i++) {
        int r = (c->rank + i) % c->count;
        c->word[r] = *own;
        c->word[r].sent = c->peer[r].sent;
        say(ctx, &c->word[r], r, r);
    }
}

ls_status ls_comm_meet(ls_ctx *ctx, ls_word_kind kind)
{
    ls_comm *c = ctx->comm;
    c->meeting = true;
    tell_arrival(ctx, kind);
    ls_comm_wait(ctx, test_arrived, c, false);
    ls_status status = verdict(ctx);
    if (!status) c->common = c->peer[c->rank].word[c->fence & 1].at;
    else {
        ls_comm_drain(ctx);
        ls_early_forget(c);
        c->calls = 0;
        for (int r = 0; r < c->count; r++) {
            const ls_stand *at = &c->peer[r].word[c->fence & 1].at;
            if (at->exchange > c->exchange) c->exchange = at->exchange;
            if (at->call > c->calls) c->calls = at->call;
        }
    }
    ls_requests words = { .at = c->word_sent, .count = 3 * (int64_t)c->count };
    ls_comm_complete(ctx, &words, words.count, false);
    c->arrived[c->fence & 1] = 0;
    c->exchange += status ? 1 + LS_MOST_EARLY : 1; /* past those that were begun */
    c->fence++;
    c->meeting = c->posted = false;
    c->leave_at = c->plain_at = UINT64_MAX;
    for (int r = 0; r < c->count; r++) note(c, r);
    return status;
}

ls_status ls_comm_agree(ls_ctx *ctx)
{
    const ls_failure *f = &ctx->failure;
    if (ctx->agreed) return f->status;
    if (!f->status && ctx->comm && ls_early_end(ctx)) return f->status;
    if (ctx->comm && ctx->comm->count > 1)
        return ls_comm_meet(ctx, f->status ? LS_LEAVING : LS_PLAIN);
    if (!f->status) return LS_OK;
    ls_failure own = *f;
    return settle(ctx, own.status, own.text, 0);
}
