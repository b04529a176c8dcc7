/* grad.h -- automatic differentiation. */
#pragma once
#include "tensor.h"
#ifdef __cplusplus
extern "C" {
#endif
LS_API ls_tensor *ls_requires_grad(ls_tensor *t); /* marks t as a parameter and returns it */

/* Adds d loss / d p to the gradient of every parameter p, over the rows of all ranks: afterwards
 * ls_grad(p) is whole. There is no second call that sums over ranks, so none can be forgotten.
 * The record of the operations is used up: a second backward through it is an error.
 *
 * Errors  SHAPE: loss is not one element; USE: it depends on no parameter, or was used up, or a value
 *         that it needs was written in place, or freed, since it was computed
 * Calls   collective; loss: same */
LS_COLLECTIVE ls_status ls_backward(ls_ctx *ctx, ls_tensor *loss);

typedef struct ls_backward_opts {
    ls_tensor *gradient;     /* of out, of its shape, a part where out is one; NULL: 1, for one element */
    bool       retain_graph; /* the record stays, for another backward through it */
} ls_backward_opts;
/* From a result of any shape, as torch.Tensor.backward(gradient, retain_graph).
 *
 * Errors  as above; SHAPE, TYPE: the gradient does not fit
 * Calls   collective; out, o: same */
LS_COLLECTIVE ls_status ls_backward_with(ls_ctx *ctx, ls_tensor *out, const ls_backward_opts *o);

/* Borrowed; NULL before the first ls_backward(). It is the gradient itself: what becomes of it is seen there, and
 * what is written to it counts. For a backward that needs its values, zeroing and adding to it are writing. */
LS_API ls_tensor *ls_grad(const ls_tensor *t);
LS_API void       ls_zero_grad(ls_list params);
/* The gradients are NULL again, and what ls_grad() gave is void: zero_grad(set_to_none=True). An optimizer passes
 * such parameters by. */
LS_API void       ls_zero_grad_to_none(ls_list params);
/* The gradient of a value on the way is to be kept as well: ls_grad(t) has it after backward, for as
 * long as t lives; of a part it is a part. Returns t. USE: t does not require gradients */
LS_API ls_tensor *ls_retain_grad(ls_tensor *t);

/* f is called after each backward that reaches param, once its gradient is whole and added up: the
 * same on all ranks, at the same place. It may write to the gradient, and make every call but
 * ls_backward(). Hooks of one parameter are called in the order of registration, and end with it.
 * A run with hooks makes its updates after them.
 * Errors  USE: param is no parameter
 * Source  torch.Tensor.register_post_accumulate_grad_hook */
typedef void ls_hook_fn(void *self, ls_tensor *param, ls_tensor *grad);
LS_API void ls_register_hook(ls_tensor *param, ls_hook_fn *f, void *self);
LS_API void ls_remove_hook(ls_tensor *param, ls_hook_fn *f, void *self);

/* From here to the end of the enclosing block nothing is recorded; break, return and even
 * return ls_finish(ctx) are fine: the context knows its open scopes and lets go of them. */
#define LS_NO_GRAD(ctx) LS_NO_GRAD_AT_(ctx, __LINE__)
#define LS_NO_GRAD_AT_(ctx, line) LS_NO_GRAD_NAMED_(ctx, line)
#define LS_NO_GRAD_NAMED_(ctx, line)                                                         \
    ls_scope ls_no_grad_##line __attribute__((cleanup(ls_no_grad_end))) = { NULL, NULL };    \
    ls_no_grad_begin(&ls_no_grad_##line, ctx)
typedef struct ls_scope { ls_ctx *ctx; struct ls_scope *outer; } ls_scope;
LS_API void ls_no_grad_begin(ls_scope *s, ls_ctx *ctx);
LS_API void ls_no_grad_end(ls_scope *s);
#ifdef __cplusplus
}
#endif
