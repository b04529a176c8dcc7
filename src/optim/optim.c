/* optim.c -- what all optimizers share: the list of parameters, joined in a slab, their state in
 * one block, zeroing gradients, and the walk over the parameters.
 *
 * By hand, every rank updates its own whole copy from equal gradients, so copies stay equal. A run
 * offers the update to backward instead: where the ranks of a node hold values and state in common,
 * each of them then updates the slice whose gradient it has just added up.
 */
#include "optim/optim.h"
#include <math.h>
#include <string.h>

static void end_optim(void *self)
{
    ls_optim *o = self;
    if (o->state) o->ctx->links->shared_free(o->ctx, o->state[0]);
    ls_memory_free(o->state);
    ls_memory_free(o->began);
    ls_memory_free(o->tally);
    ls_memory_free((void *)(uintptr_t)o->params.at);
    ls_memory_free(o);
}

void ls_optim_free(ls_optim *o)
{
    if (!o) return;
    ls_disown(o->ctx, &o->owned);
    end_optim(o);
}

static size_t state_bytes(const ls_tensor *t)
{
    return ((size_t)t->count * ls_dtype_bytes(t->dtype) + 63) / 64 * 64;
}

/* The state of all parameters in one block; state[0] is its start. */
static bool make_state(ls_optim *o)
{
    size_t bytes = 64;
    for (int64_t i = 0; i < o->params.count; i++)
        bytes += state_bytes(o->params.at[i]) * (size_t)o->slots;
    o->state = ls_new(o->ctx, ((size_t)o->params.count * (size_t)o->slots + 1) * sizeof *o->state,
                      "the optimizer");
    o->began = ls_new(o->ctx, (size_t)o->params.count * sizeof *o->began, "the optimizer");
    o->tally = ls_new(o->ctx, (size_t)o->params.count * sizeof *o->tally, "the optimizer");
    char *at = o->state
                   ? o->state[0] = ls_shared_new(o->ctx, bytes, true, "the state of the optimizer")
                   : NULL;
    if (!at || !o->began || !o->tally) return false;
    for (int64_t i = 0; i < o->params.count; i++)
        for (int s = 0; s < o->slots; s++) {
            o->state[i * o->slots + s] = at;
            at += state_bytes(o->params.at[i]);
        }
    return true;
}

static bool params_fit(ls_ctx *ctx, ls_list params)
{
    if (params.count < 1) ls_fail(ctx, LS_ERR_ARG, "the optimizer got an empty parameter list");
    for (int64_t i = 0; i < params.count && !ctx->failure.status; i++) {
        if (!params.at[i] || !params.at[i]->is_param)
            ls_fail(ctx, LS_ERR_ARG, "parameter %lld of the optimizer does not require gradients",
                    (long long)i);
        for (int64_t k = 0; k < i; k++)
            if (params.at[k] == params.at[i])
                ls_fail(ctx, LS_ERR_ARG,
                        "parameters %lld and %lld of the optimizer are the same tensor",
                        (long long)k, (long long)i);
    }
    return !ctx->failure.status;
}

ls_optim *ls_optim_make(ls_ctx *ctx, const ls_optim_kind *kind, ls_list params, int slots)
{
    if (!params_fit(ctx, params)) return NULL;
    ls_optim *o = ls_new(ctx, sizeof *o, "the optimizer");
    if (!o) return NULL;
    size_t bytes = (size_t)params.count * sizeof *params.at;
    ls_tensor **at = ls_new(ctx, bytes, "the optimizer");
    if (at) memcpy(at, params.at, bytes);
    o->ctx = ctx;
    o->kind = kind;
    o->params = (ls_list){ params.count, at };
    o->slots = slots;
    o->bad = -1;
    if (!at || ls_slab_join(ctx, o->params) || !make_state(o)) {
        end_optim(o);
        return NULL;
    }
    ls_own(ctx, &o->owned, end_optim);
    return o;
}

void *ls_optim_state(const ls_optim *o, int64_t param, int slot)
{
    return o->state[param * o->slots + slot];
}

void ls_optim_zero_grad(ls_optim *o)
{
    if (o) ls_zero_grad(o->params);
}

/* ---- updates ------------------------------------------------------------------------------- */
static void find_bad(ls_optim *o, int64_t i, ls_range e)
{
    const ls_kernel *k = o->ctx->kernel;
    const char *values = o->params.at[i]->data;
    o->bad = i;
    o->bad_element = e.from + k->first_bad(e.to - e.from, values + (size_t)e.from * k->bytes);
}

/* Where values are looked at before and after it, in chunks that stay in the nearest cache meanwhile. */
static void update(ls_optim *o, int64_t i, ls_range e, const char *grad)
{
    enum { CHUNK = 2048 };
    const bool tallies = o->tallies == LS_TALLY_ON;
    const int64_t most = tallies ? CHUNK : e.to - e.from;
    for (ls_range now = { e.from, 0 }; now.from < e.to; now.from = now.to) {
        now.to = e.to - now.from < most ? e.to : now.from + most;
        const uint64_t found = tallies ? ls_tally_sum(o, i, now) : 0;
        const char *g = grad + (size_t)(now.from - e.from) * o->ctx->kernel->bytes;
        if (!o->kind->update(o, i, now, g) && o->bad < 0) find_bad(o, i, now);
        if (tallies) {
            const uint64_t left = ls_tally_sum(o, i, now);
            o->tally[i].made += left - found;
            o->tally[i].last += left;
        }
    }
}

static void update_all(ls_optim *o)
{
    for (int64_t i = 0; i < o->params.count; i++) {
        ls_tensor *p = o->params.at[i];
        if (!p->has_grad) continue;
        update(o, i, (ls_range){ 0, p->count }, ls_tensor_grad(p)->data);
        ls_tensor_wrote(p);
        o->began[i] = o->slots > 0;
    }
}

static void own(ls_optim *o)
{
    const ls_links *links = o->ctx->links;
    for (int64_t i = 0; i < o->params.count; i++) ls_tensor_own(o->params.at[i]);
    if (links->is_common(o->ctx, o->state[0])) links->leave_common(o->ctx);
}

ls_status ls_optim_step(ls_ctx *ctx, ls_optim *o)
{
    if (!ls_enter(ctx, "ls_optim_step") || !o) return ls_agree(ctx);
    for (int64_t i = 0; i < o->params.count; i++)
        if (!ls_tensor_usable(o->params.at[i], "ls_optim_step")) return ls_agree(ctx);
    own(o);
    if (!ctx->failure.status) update_all(o);
    return ctx->failure.status;
}

/* It is o->latest then. They are asked for in the order of the list. */
static bool has_param(void *of, const ls_tensor *param)
{
    ls_optim *o = of;
    for (int64_t seen = 0; seen < o->params.count; seen++) {
        if (o->params.at[o->latest] == param) return true;
        o->latest = (o->latest + 1) % o->params.count;
    }
    return false;
}

static void update_slice(void *of, ls_tensor *param, ls_range e, const void *grad)
{
    ls_optim *o = of;
    if (has_param(o, param)) update(o, o->latest, e, grad);
}

static void writes(void *of, ls_tensor *param, const void *arrays[LS_MOST_WRITTEN])
{
    ls_optim *o = of;
    memset(arrays, 0, LS_MOST_WRITTEN * sizeof *arrays);
    if (!has_param(o, param)) return;
    arrays[0] = param->data;
    for (int s = 0; s < o->slots && s + 1 < LS_MOST_WRITTEN; s++)
        arrays[s + 1] = ls_optim_state(o, o->latest, s);
}

static bool is_common(const ls_optim *o)
{
    const ls_links *links = o->ctx->links;
    if (o->slots && !links->is_common(o->ctx, o->state[0])) return false;
    for (int64_t i = 0; i < o->params.count; i++)
        if (!links->is_common(o->ctx, o->params.at[i]->data)) return false;
    return true;
}

ls_update ls_optim_begin(ls_optim *o)
{
    const bool common = is_common(o);
    o->bad = -1;
    if (!common) own(o); /* some may be: every rank updates all of it then */
    ls_tally_begin(o, common);
    return (ls_update){
        .takes = has_param, .slice = update_slice, .writes = writes, .of = o, .common = common
    };
}

ls_status ls_optim_end(ls_optim *o, const ls_update *u)
{
    if (!ls_enter(o->ctx, "ls_optim_step")) return ls_agree(o->ctx);
    if (!u->made) {
        own(o);
        if (!o->ctx->failure.status) update_all(o);
    }
    ls_tally_end(o, u->made);
    for (int64_t i = 0; i < o->params.count; i++) {
        if (u->made && o->params.at[i]->has_grad) {
            o->began[i] = o->slots > 0;
            ls_tensor_wrote(o->params.at[i]);
        }
        o->params.at[i]->has_grad = false; /* slices of it may be on other ranks */
    }
    return o->ctx->failure.status;
}

double ls_optim_lr(const ls_optim *o)
{
    return o ? o->sgd.lr : 0;
}

void ls_optim_set_lr(ls_optim *o, double lr)
{
    if (!o || !ls_enter(o->ctx, "ls_optim_set_lr")) return;
    if (lr > 0 && isfinite(lr)) o->sgd.lr = lr;
    else ls_fail(o->ctx, LS_ERR_ARG, "a learning rate of %g: it must be above 0, and finite", lr);
}
