/* grad.h -- automatic differentiation. */
#pragma once
#include "tensor.h"
#ifdef __cplusplus
extern "C" {
#endif
LS_API ls_tensor *ls_requires_grad(ls_tensor *t); /* marks t as a parameter and returns it */

/* Adds d loss / d p to the gradient of every parameter p, over the rows of all ranks: afterwards
 * ls_grad(p) is whole. There is no second call that sums over ranks, so none can be forgotten.
 * The record of the operations is used up.
 *
 * Errors  SHAPE: loss is not one element; USE: it depends on no parameter, or was used up
 * Calls   collective; loss: same */
LS_COLLECTIVE ls_status ls_backward(ls_ctx *ctx, ls_tensor *loss);

LS_API ls_tensor *ls_grad(const ls_tensor *t); /* borrowed; NULL before the first ls_backward() */
LS_API void       ls_zero_grad(ls_list params);

/* From here to the end of the enclosing block nothing is recorded; break, return and even
 * return ls_finish(ctx) are fine: the context knows its open scopes and lets go of them. */
#define LS_NO_GRAD(ctx)                                                             \
    ls_scope ls_no_grad_ __attribute__((cleanup(ls_no_grad_end))) = { NULL, NULL }; \
    ls_no_grad_begin(&ls_no_grad_, ctx)
typedef struct ls_scope { ls_ctx *ctx; struct ls_scope *outer; } ls_scope;
LS_API void ls_no_grad_begin(ls_scope *s, ls_ctx *ctx);
LS_API void ls_no_grad_end(ls_scope *s);
#ifdef __cplusplus
}
#endif
