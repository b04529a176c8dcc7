/* optim.h -- optimizers. They borrow the parameters. Make one before these are used: those that a view or a recorded
 * operation has used stay out of the memory that the ranks of a machine have in common, which is slower. */
#pragma once
#include "tensor.h"
#ifdef __cplusplus
extern "C" {
#endif
typedef struct ls_optim ls_optim;

/* Stochastic gradient descent by PyTorch's rules:
 *
 *   d = g + weight_decay p;  buf = momentum buf + (1 - dampening) d  (first time: buf = d)
 *   d = d + momentum buf (nesterov) or buf;  p = p - lr d
 *
 * Errors  ARG: lr not above 0, a negative setting or one that is not finite, nesterov without momentum or with dampening,
 *         no parameters, or one that does not require gradients
 * Source  torch.optim.SGD */
typedef struct ls_sgd_opts { double lr, momentum, dampening, weight_decay; bool nesterov; } ls_sgd_opts;
LS_COLLECTIVE ls_optim *ls_sgd_new(ls_ctx *ctx, ls_list params, const ls_sgd_opts *o);

LS_API void      ls_optim_zero_grad(ls_optim *o);
/* One update from the gradients; parameters without a gradient stay. */
LS_COLLECTIVE ls_status ls_optim_step(ls_ctx *ctx, ls_optim *o);
LS_API double    ls_optim_lr(const ls_optim *o);
LS_API void      ls_optim_set_lr(ls_optim *o, double lr);
LS_API void      ls_optim_free(ls_optim *o);
#ifdef __cplusplus
}
#endif
