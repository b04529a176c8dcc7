/* leaf.c -- what a program asks of single tensors: gradients of values on the way, gradients that are
 * NULL again, and hooks.
 *
 * A value on the way keeps its gradient in memory of its own life: in the step's arena for a result
 * of a step. The room is taken when it is asked for, so that a step that repeats an earlier one
 * finds it at the same place; the plan of the backward only knows that it is asked for.
 */
#include "grad/grad.h"

ls_tensor *ls_retain_grad(ls_tensor *t)
{
    if (!ls_tensor_usable(t, "ls_retain_grad")) return NULL;
    if (t->is_param || t->retains_grad) return t;
    if (!t->requires_grad) {
        ls_fail(t->ctx, LS_ERR_USE,
                "ls_retain_grad: the tensor does not require gradients, so it can't keep one");
        return NULL;
    }
    t->grad = ls_tensor_make(t->ctx, t->dtype, t->shape, t->is_part, t->in_step);
    t->retains_grad = t->grad != NULL;
    return t->grad ? t : NULL;
}

void ls_zero_grad_to_none(ls_list params)
{
    for (int64_t i = 0; params.at && i < params.count; i++) {
        if (!ls_tensor_usable(params.at[i], "ls_zero_grad_to_none")) continue;
        params.at[i]->has_grad = false;
        ls_tensor_grad_wrote(params.at[i]);
    }
}

void ls_register_hook(ls_tensor *param, ls_hook_fn *f, void *self)
{
    if (!ls_tensor_usable(param, "ls_register_hook")) return;
    if (!param->is_param || !f) {
        ls_fail(param->ctx, LS_ERR_USE, "ls_register_hook: %s",
                f ? "the tensor is no parameter: ls_requires_grad() makes it one"
                  : "there is no function to call");
        return;
    }
    ls_hook *h = ls_new(param->ctx, sizeof *h, "a hook"), **last = &param->hooks;
    if (!h) return;
    h->f = f;
    h->self = self;
    while (*last) last = &(*last)->next;
    *last = h;
}

void ls_remove_hook(ls_tensor *param, ls_hook_fn *f, void *self)
{
    if (!param) return;
    for (ls_hook **at = &param->hooks; *at; at = &(*at)->next) {
        ls_hook *h = *at;
        if (h->f != f || h->self != self) continue;
        *at = h->next;
        ls_memory_free(h);
        return;
    }
}
