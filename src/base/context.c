/* context.c -- what a context owns, the entry of public calls, and its small getters.
 *
 * A context is one thread's. It owns everything made from it: each object begins with an ls_owned
 * and ends with the context, newest first, so that what borrows ends before what it borrows from.
 * Calls are counted where every rank must make them; the number and name travel with every message
 * between ranks (comm) so that a misplaced rank is named. ls_start() and ls_finish() are in
 * train/start.c, which connects the floors.
 */
#include "base/base.h"
#include <stdlib.h>
#include <stdio.h>

void ls_own(ls_ctx *ctx, ls_owned *o, void (*end)(void *self))
{
    o->end = end;
    o->newer = NULL;
    o->older = ctx->newest;
    if (ctx->newest) ctx->newest->newer = o;
    ctx->newest = o;
}

void ls_disown(ls_ctx *ctx, ls_owned *o)
{
    if (o->newer) o->newer->older = o->older;
    else ctx->newest = o->older;
    if (o->older) o->older->newer = o->newer;
    o->older = o->newer = NULL;
}

void ls_end_owned(ls_ctx *ctx)
{
    while (ctx->newest) {
        ls_owned *o = ctx->newest;
        ls_disown(ctx, o);
        o->end(o);
    }
}

void *ls_new(ls_ctx *ctx, size_t bytes, const char *what)
{
    void *p = ls_memory_new(bytes);
    if (!p) ls_fail_memory(ctx, bytes, "%s", what);
    return p;
}

bool ls_enter(ls_ctx *ctx, const char *name)
{
    if (!ctx || ctx->failure.status) return false;
    ctx->calls++;
    ctx->call = name;
    return true;
}

bool ls_given(ls_ctx *ctx, const char *call, const void *p, const char *what)
{
    if (!p) ls_fail(ctx, LS_ERR_ARG, "%s: %s is missing", call, what);
    return p && ctx && !ctx->failure.status;
}

ls_status ls_agree(ls_ctx *ctx)
{
    return ctx ? ctx->links->agree(ctx) : LS_ERR_MEMORY;
}

ls_status ls_error(const ls_ctx *ctx)
{
    return ctx ? ctx->failure.status : LS_ERR_MEMORY;
}

const char *ls_error_text(const ls_ctx *ctx)
{
    return ctx ? ctx->failure.text : ls_status_text(LS_ERR_MEMORY);
}

bool ls_is_root(const ls_ctx *ctx)
{
    return ctx && ctx->is_root;
}

void ls_manual_seed(ls_ctx *ctx, uint64_t seed)
{
    if (ls_enter(ctx, "ls_manual_seed")) ls_random_seed(&ctx->random, seed);
}

void ls_printf(const ls_ctx *ctx, const char *form, ...)
{
    if (!ctx || ctx->failure.status || !ctx->is_root) return;
    va_list args;
    va_start(args, form);
    vprintf(form, args);
    va_end(args);
    fflush(stdout);
}

bool ls_step_begin(ls_ctx *ctx)
{
    if (!ctx || ctx->agreed) return false;
    ls_enter(ctx, "ls_step_begin");
    ls_arena_reset(&ctx->arena);
    ctx->step++;
    return true;
}

bool ls_any(ls_ctx *ctx, bool mine)
{
    uint64_t all = 0;
    if (!ls_enter(ctx, "ls_any")) return ls_agree(ctx), true;
    return ctx->links->any(ctx, mine, &all) ? true : all != 0;
}

/* Less than this is exchanged by copying it. */
#define SHARED_LEAST_BYTES ((size_t)16 << 10)

void *ls_shared_new(ls_ctx *ctx, size_t bytes, bool common, const char *what)
{
    if (ctx->failure.status) return NULL;
    return bytes > SHARED_LEAST_BYTES ? ctx->links->shared_new(ctx, bytes, common, what)
                                      : ls_new(ctx, bytes, what);
}

/* ---- environment --------------------------------------------------------------------------- */
const char *ls_wanted_isa(void)
{
    return getenv("LS_ISA");
}
