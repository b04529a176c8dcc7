/* exchange.c -- what every exchange begins and ends with, and the words for ranks at different
 * places.
 *
 * A stamp says where a rank stands (number and name of the public call, number of the exchange) and
 * what it exchanges. It opens the first message to every rank; an unequal one ends the exchange
 * with NOT_SAME on both sides, before any data is paired. All memory of an exchange comes from one
 * arena, which asks for more only as long as exchanges grow.
 *
 * Called by the other files of comm.
 */
#include "comm/inside.h"
#include <stdio.h>
#include <string.h>

ls_stand ls_comm_stand(const ls_ctx *ctx)
{
    ls_comm *c = ctx->comm;
    const char *name = ctx->call ? ctx->call : "ls_start";
    if (c->here.of != name) {
        c->here.of = name;
        memset(c->here.name, 0, sizeof c->here.name);
        memcpy(c->here.name, name, strnlen(name, sizeof c->here.name - 1));
        c->here.key = ls_digest64(0, c->here.name, sizeof c->here.name);
    }
    ls_stand s = { .exchange = c->exchange, .call = ctx->calls };
    memcpy(s.name, c->here.name, sizeof s.name);
    return s;
}

ls_stamp ls_comm_stamp(const ls_ctx *ctx, ls_exchange_kind kind, int64_t arrays, int64_t rows,
                       int64_t bytes)
{
    return (ls_stamp){
        .at = ls_comm_stand(ctx), .kind = kind, .arrays = arrays, .rows = rows, .bytes = bytes
    };
}

void *ls_comm_take(ls_ctx *ctx, int64_t bytes)
{
    void *p = ls_arena_take(&ctx->comm->now->arena, (size_t)(bytes ? bytes : 1));
    if (!p) ls_fail_memory(ctx, (size_t)bytes, "talking to other ranks");
    return p;
}

ls_status ls_comm_enter(ls_ctx *ctx)
{
    return ctx->failure.status ? ls_comm_agree(ctx) : ls_early_end(ctx);
}

ls_status ls_comm_end(ls_ctx *ctx, bool ok)
{
    ls_comm *c = ctx->comm;
    ls_status status = LS_OK;
    if (ok) {
        c->common = ls_comm_stand(ctx);
        c->exchange++;
    } else status = c->count == 1 ? ls_comm_agree(ctx) : ls_comm_meet(ctx, LS_LEAVING);
    ls_arena_reset(&c->alone.arena); /* nothing is sent from it any more */
    return status;
}

/* ---- ranks at different places ------------------------------------------------------------- */
static void describe(const ls_stamp *s, char *text, size_t bytes)
{
    static const char *const what[] = { "a meeting", "a vote", "a broadcast", "a gathering",
                                        "sums" };
    if (s->kind < LS_VOTE || s->kind > LS_SUMS)
        snprintf(text, bytes, "%s", s->kind == LS_MEETING ? what[LS_MEETING] : "data");
    else
        snprintf(text, bytes, "%s (arrays %lld, rows %lld, bytes %lld)", what[s->kind],
                 (long long)s->arrays, (long long)s->rows, (long long)s->bytes);
}

void ls_comm_not_same(ls_failure *f, const ls_stamp *mine, const ls_stamp *theirs, int rank)
{
    const char *name = mine->at.name, *other = theirs->at.name;
    long long call = (long long)mine->at.call, other_call = (long long)theirs->at.call;
    if (call != other_call || strcmp(name, other) != 0) {
        ls_failure_set(f, LS_ERR_NOT_SAME,
                       "%s() here is call %lld, but rank %d is in %s() (call %lld): every rank "
                       "makes every call in the same order; only getters and printing may stand "
                       "under ls_is_root()",
                       name, call, rank, other, other_call);
        return;
    }
    char here[128], there[128];
    describe(mine, here, sizeof here);
    describe(theirs, there, sizeof there);
    ls_failure_set(f, LS_ERR_NOT_SAME,
                   "%s() (call %lld) here is at %s, but on rank %d at %s: options and arguments "
                   "must be the same on every rank",
                   name, call, here, rank, there);
}
