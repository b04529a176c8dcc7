/* slab.c -- parameters in flat blocks: values in one, gradients in another, in the order of the
 * list, so that an update, a reduction or a digest is one pass over memory.
 *
 * The ranks of a node hold large values in common: every rank brings equal ones, and only the update
 * of a reduction writes them from then on. Their gradients lie where the other ranks can read them.
 *
 * Called by the optimizers. Blocks belong to the context; tensors keep their handles and change
 * only where their values lie. Each parameter starts on a 64-byte boundary.
 */
#include "tensor/tensor.h"
#include <string.h>

typedef struct slab {
    ls_owned owned;
    ls_ctx *ctx;
    void *values, *grads;
} slab;

static void end_slab(void *self)
{
    slab *s = self;
    s->ctx->links->shared_free(s->ctx, s->values);
    s->ctx->links->shared_free(s->ctx, s->grads);
    ls_memory_free(s);
}

static size_t room(const ls_tensor *t)
{
    return ((size_t)t->count * ls_dtype_bytes(t->dtype) + 63) / 64 * 64;
}

/* Own memory, whose address nobody else holds, by what is the same on all ranks: anyone may look at gradients. A
 * second optimizer finds the parameters of the first in its slab; those that were used before the first stay where
 * they are, and every rank updates its copy. */
static bool is_movable(const ls_tensor *t)
{
    return t->owns_data && t->owned.end && !t->lent_until && !t->grad;
}

static void move(ls_tensor *t, void *values, void *grads)
{
    size_t bytes = (size_t)t->count * ls_dtype_bytes(t->dtype);
    memcpy(values, t->data, bytes);
    ls_memory_free(t->data);
    t->data = values;
    t->owns_data = false;
    ls_tensor_grad_set(t, ls_tensor_over(t->ctx, t->dtype, t->shape, false, false, grads));
}

ls_status ls_slab_join(ls_ctx *ctx, ls_list params)
{
    size_t bytes = 0;
    for (int64_t i = 0; i < params.count; i++)
        if (is_movable(params.at[i])) bytes += room(params.at[i]);
    if (!bytes) return ctx->failure.status;
    slab *s = ls_new(ctx, sizeof *s, "the slab of parameters");
    if (!s) return ctx->failure.status;
    s->ctx = ctx;
    s->values = ls_shared_new(ctx, bytes, true, "the values of the parameters");
    s->grads = ls_shared_new(ctx, bytes, false, "the gradients of the parameters");
    if (!s->values || !s->grads) {
        end_slab(s);
        return ctx->failure.status;
    }
    ls_own(ctx, &s->owned, end_slab);
    size_t at = 0;
    for (int64_t i = 0; i < params.count; i++) {
        ls_tensor *t = params.at[i];
        if (!is_movable(t)) continue;
        size_t step = room(t);
        move(t, (char *)s->values + at, (char *)s->grads + at);
        at += step;
    }
    return ctx->failure.status;
}
