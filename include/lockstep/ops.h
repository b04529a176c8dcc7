/* ops.h -- operations on tensors. NULL in, NULL out; broadcasting as in PyTorch. Every rank makes
 * every call; those that sum over the rows of a part (sum, mean, losses) wait for the other
 * ranks. */
#pragma once
#include "tensor.h"
#ifdef __cplusplus
extern "C" {
#endif
/* ---- elementwise: shapes broadcast; a part's batch axis must be axis 0 of the result --------- */
LS_API ls_tensor *ls_add(ls_tensor *a, ls_tensor *b);    /* a + b */
LS_API ls_tensor *ls_sub(ls_tensor *a, ls_tensor *b);    /* a - b */
LS_API ls_tensor *ls_mul(ls_tensor *a, ls_tensor *b);    /* a * b */
LS_API ls_tensor *ls_add_scalar(ls_tensor *a, double c); /* a + c */
LS_API ls_tensor *ls_mul_scalar(ls_tensor *a, double c); /* a * c */
LS_API ls_tensor *ls_pow(ls_tensor *a, double c);        /* a ^ c */
LS_API ls_tensor *ls_relu(ls_tensor *x);                 /* max(x, 0); keeps NaN */
LS_API ls_tensor *ls_tanh(ls_tensor *x);

/* ---- products -------------------------------------------------------------------------------- */
/* Matrix product as torch.matmul: [N,D] [D,O] -> [N,O]; [D] [D,O] -> [O]; [N,D] [D] -> [N];
 * [D] [D] -> []. b is whole; a may be a part. */
LS_API ls_tensor *ls_matmul(ls_tensor *a, ls_tensor *b);

/* Linear map with bias: y = x w^T + b.
 *
 *   x    [N, D]   rows
 *   w    [O, D]   one row an output
 *   b    [O]      or NULL
 *   ->   [N, O]   step tensor; NULL after an error
 *
 * Gradient  dx = g w,  dw = g^T x,  db = column sums of g
 * Errors    SHAPE: D or O differ
 * Calls     local
 * Source    torch.nn.functional.linear */
LS_API ls_tensor *ls_linear(ls_tensor *x, ls_tensor *w, ls_tensor *b);

/* ---- sums ------------------------------------------------------------------------------------ */
LS_API ls_tensor *ls_sum(ls_tensor *x);  /* of all elements -> [] */
LS_API ls_tensor *ls_mean(ls_tensor *x); /* the batch's true mean -> [] */
LS_API ls_tensor *ls_argmax(ls_tensor *x, int axis);    /* last axis; int64; the first of equals */
LS_API ls_tensor *ls_equal(ls_tensor *a, ls_tensor *b); /* 1 or 0, floating */

/* ---- losses, whole [] ---------------------------------------------------------------------------
 * Mean of (pred - target)^2 over all elements of the batch. target: same shape, or int64, or [N]
 * for pred [N, 1]. */
LS_API ls_tensor *ls_mse_loss(ls_tensor *pred, ls_tensor *target);
/* Mean over rows of -log softmax(logits)[label]. logits [N, C], label int64 [N].
 * Errors  DATA: a class below 0 or from C up, with its row; TYPE: labels are not int64 */
LS_API ls_tensor *ls_cross_entropy(ls_tensor *logits, ls_tensor *label);

/* ---- views and copies; gradients flow -------------------------------------------------------- */
LS_API ls_tensor *ls_view(ls_tensor *t, ls_shape shape); /* one dimension may be -1 */
LS_API ls_tensor *ls_squeeze(ls_tensor *t);              /* drops dimensions of 1, never a part's axis 0 */
LS_API ls_tensor *ls_detach(ls_tensor *t);               /* the same values without history */
LS_API ls_tensor *ls_split_rows(ls_tensor *t); /* a whole tensor as a part: every rank takes its rows */
LS_COLLECTIVE ls_tensor *ls_whole(ls_ctx *ctx, ls_tensor *t); /* a part with its rows on every rank */
#ifdef __cplusplus
}
#endif
