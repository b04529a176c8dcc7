/* sgd.c -- stochastic gradient descent by PyTorch's rules; the arithmetic is kernel's. */
#include "optim/optim.h"
#include <math.h>

static bool update(ls_optim *o, int64_t i, ls_range e, const void *grad)
{
    const ls_sgd_step s = { o->sgd.lr,           o->sgd.momentum, o->sgd.dampening,
                            o->sgd.weight_decay, o->sgd.nesterov, !o->began[i] };
    const size_t from = (size_t)e.from * o->ctx->kernel->bytes;
    char *values = o->params.at[i]->data, *buf = o->slots ? ls_optim_state(o, i, 0) : NULL;
    return o->ctx->kernel->sgd(e.to - e.from, values + from, grad, buf ? buf + from : NULL, &s);
}

static const ls_optim_kind sgd = { "sgd", 1, { "momentum_buffer" }, update };

/* Whether a setting can be computed with, and is at least least. */
static bool is_setting(ls_ctx *ctx, const char *name, double value, double least)
{
    if (isfinite(value) && value >= least) return true;
    ls_fail(ctx, LS_ERR_ARG, "sgd: %s %g is %s", name, value,
            value < least ? "negative" : "not finite");
    return false;
}

static bool settings_fit(ls_ctx *ctx, const ls_sgd_opts *o)
{
    if (!o || !(o->lr > 0)) ls_fail(ctx, LS_ERR_ARG, "sgd: lr must be given and above 0");
    else if (!is_setting(ctx, "lr", o->lr, 0) || !is_setting(ctx, "momentum", o->momentum, 0) ||
             !is_setting(ctx, "weight_decay", o->weight_decay, 0) ||
             !is_setting(ctx, "dampening", o->dampening, -INFINITY))
        return false;
    else if (o->nesterov && (o->momentum == 0 || o->dampening != 0))
        ls_fail(ctx, LS_ERR_ARG, "sgd: nesterov needs momentum and no dampening");
    return !ctx->failure.status;
}

ls_optim *ls_sgd_new(ls_ctx *ctx, ls_list params, const ls_sgd_opts *opts)
{
    if (!ls_enter(ctx, "ls_sgd_new") || !settings_fit(ctx, opts)) return NULL;
    ls_optim *o = ls_optim_make(ctx, &sgd, params, opts->momentum != 0);
    if (o) o->sgd = *opts;
    return o;
}
