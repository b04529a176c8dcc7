/* ops.h -- operations on tensors. NULL in, NULL out; broadcasting as in PyTorch. Every rank makes
 * every call; those that sum over the rows of a part (sum, mean, losses) wait for the other ranks.
 *
 * Results are contiguous, so that what is a view with strides in PyTorch is a copy here. What would
 * mix the rows of a part without being a sum over them is refused with SHAPE; ls_whole() brings them
 * together. Axes count from the end where negative. */
#pragma once
#include "tensor.h"
#ifdef __cplusplus
extern "C" {
#endif
/* ---- elementwise: shapes broadcast; a part's batch axis must be axis 0 of the result ------------
 * An int64 tensor beside a floating one counts as floating, as in PyTorch; alone it is refused. */
LS_API ls_tensor *ls_add(ls_tensor *a, ls_tensor *b);        /* a + b */
LS_API ls_tensor *ls_sub(ls_tensor *a, ls_tensor *b);        /* a - b */
LS_API ls_tensor *ls_mul(ls_tensor *a, ls_tensor *b);        /* a * b */
LS_API ls_tensor *ls_div(ls_tensor *a, ls_tensor *b);        /* a / b */
LS_API ls_tensor *ls_pow_tensor(ls_tensor *a, ls_tensor *b); /* a ^ b */
LS_API ls_tensor *ls_minimum(ls_tensor *a, ls_tensor *b);    /* keeps NaN; of equals each gets g / 2 */
LS_API ls_tensor *ls_maximum(ls_tensor *a, ls_tensor *b);
LS_API ls_tensor *ls_add_scalar(ls_tensor *a, double c);     /* a + c */
LS_API ls_tensor *ls_sub_scalar(ls_tensor *a, double c);     /* a - c */
LS_API ls_tensor *ls_mul_scalar(ls_tensor *a, double c);     /* a * c */
LS_API ls_tensor *ls_div_scalar(ls_tensor *a, double c);     /* a / c */
LS_API ls_tensor *ls_pow(ls_tensor *a, double c);            /* a ^ c */
LS_API ls_tensor *ls_neg(ls_tensor *x);
LS_API ls_tensor *ls_abs(ls_tensor *x);
LS_API ls_tensor *ls_sqrt(ls_tensor *x);
LS_API ls_tensor *ls_exp(ls_tensor *x);
LS_API ls_tensor *ls_log(ls_tensor *x);
LS_API ls_tensor *ls_log1p(ls_tensor *x);
LS_API ls_tensor *ls_erf(ls_tensor *x);
LS_API ls_tensor *ls_clamp(ls_tensor *x, double low, double high); /* -INFINITY, INFINITY: no bound */

/* ---- activations ----------------------------------------------------------------------------- */
LS_API ls_tensor *ls_relu(ls_tensor *x); /* max(x, 0); keeps NaN */
LS_API ls_tensor *ls_leaky_relu(ls_tensor *x, double slope); /* slope x below 0; PyTorch's is 0.01 */
LS_API ls_tensor *ls_sigmoid(ls_tensor *x);
LS_API ls_tensor *ls_tanh(ls_tensor *x);
LS_API ls_tensor *ls_gelu(ls_tensor *x);
LS_API ls_tensor *ls_gelu_tanh(ls_tensor *x); /* gelu(x, approximate='tanh') */
LS_API ls_tensor *ls_softplus(ls_tensor *x);  /* log(1 + e^x); x itself above 20 */
LS_API ls_tensor *ls_silu(ls_tensor *x);      /* x sigmoid(x) */
LS_API ls_tensor *ls_softmax(ls_tensor *x, int axis);
LS_API ls_tensor *ls_log_softmax(ls_tensor *x, int axis);
LS_API ls_tensor *ls_logsumexp(ls_tensor *x, int axis, bool keepdim);

/* ---- comparisons: 1 or 0, floating; no gradient; two of int64 as integers --------------------- */
LS_API ls_tensor *ls_equal(ls_tensor *a, ls_tensor *b);
LS_API ls_tensor *ls_not_equal(ls_tensor *a, ls_tensor *b);
LS_API ls_tensor *ls_less(ls_tensor *a, ls_tensor *b);
LS_API ls_tensor *ls_less_equal(ls_tensor *a, ls_tensor *b);
LS_API ls_tensor *ls_greater(ls_tensor *a, ls_tensor *b);
LS_API ls_tensor *ls_greater_equal(ls_tensor *a, ls_tensor *b);
/* condition ? a : b; condition: floating or int64, true where it is not 0. */
LS_API ls_tensor *ls_where(ls_tensor *condition, ls_tensor *a, ls_tensor *b);

/* ---- products -------------------------------------------------------------------------------- */
/* Matrix product as torch.matmul: [N,D] [D,O] -> [N,O]; [D] [D,O] -> [O]; [N,D] [D] -> [N];
 * [D] [D] -> []; [...,N,D] [D,O]; and [...,N,D] [...,D,O], whose first axes broadcast. a may be a
 * part; b is whole, or a part with the rows of a. */
LS_API ls_tensor *ls_matmul(ls_tensor *a, ls_tensor *b);
LS_API ls_tensor *ls_bmm(ls_tensor *a, ls_tensor *b); /* [B,N,D] [B,D,O] */
LS_API ls_tensor *ls_mv(ls_tensor *a, ls_tensor *v);  /* [N,D] [D] */
LS_API ls_tensor *ls_dot(ls_tensor *a, ls_tensor *b); /* [D] [D] */

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

/* ---- sums: of all elements -> [], or along axes; LS_ALL_AXES: all of them -------------------- */
LS_API ls_tensor *ls_sum(ls_tensor *x);
LS_API ls_tensor *ls_mean(ls_tensor *x); /* the batch's true mean */
LS_API ls_tensor *ls_var(ls_tensor *x);  /* unbiased */
LS_API ls_tensor *ls_std(ls_tensor *x);  /* its gradient is 0 where it is 0 */
LS_API ls_tensor *ls_sum_axes(ls_tensor *x, ls_axes axes, bool keepdim);
LS_API ls_tensor *ls_mean_axes(ls_tensor *x, ls_axes axes, bool keepdim);
LS_API ls_tensor *ls_var_axes(ls_tensor *x, ls_axes axes, bool unbiased, bool keepdim);
LS_API ls_tensor *ls_std_axes(ls_tensor *x, ls_axes axes, bool unbiased, bool keepdim);

/* ---- the largest and the smallest. NaN wins; never over the batch axis of a part ------------- */
LS_API ls_tensor *ls_max(ls_tensor *x); /* equals share the gradient, as in amax and amin */
LS_API ls_tensor *ls_min(ls_tensor *x);
LS_API ls_tensor *ls_amax(ls_tensor *x, ls_axes axes, bool keepdim);
LS_API ls_tensor *ls_amin(ls_tensor *x, ls_axes axes, bool keepdim);
/* torch.max(x, axis): the value, and in *place, unless NULL, the int64 place of the first of equals. */
LS_API ls_tensor *ls_max_axis(ls_tensor *x, int axis, bool keepdim, ls_tensor **place);
LS_API ls_tensor *ls_min_axis(ls_tensor *x, int axis, bool keepdim, ls_tensor **place);
LS_API ls_tensor *ls_argmax(ls_tensor *x, int axis); /* int64; the first of equals */
LS_API ls_tensor *ls_argmin(ls_tensor *x, int axis);

/* ---- losses -------------------------------------------------------------------------------------
 * Means over all elements of the batch, whole []; with options also sums, or the cost of each element
 * (LS_NONE). target: the prediction's shape, or int64, or [N] for [N, 1]. An option that a loss does
 * not know is refused with ARG.
 *
 *   mse_loss          (x - y)^2
 *   l1_loss           |x - y|
 *   smooth_l1_loss    (x - y)^2 / (2 beta) within beta, |x - y| - beta / 2 beyond
 *   huber_loss        the same times beta, which PyTorch calls delta here
 *   bce_loss          -(y log x + (1 - y) log(1 - x)), logarithms not below -100; ARG: x not in [0, 1]
 *   bce_with_logits   the same of sigmoid(x); pos_weight times the first term
 *   kl_div            y (log y - x), or e^y (y - x) with log_target
 *   nll_loss          -x[label]
 *   cross_entropy     -log softmax(x)[label]
 *
 * The last two take scores [N, C, ...] and int64 labels [N, ...]; weight [C] of the classes. Their
 * mean divides by the weights of the labels that count, over the batch on all ranks.
 * Errors  DATA: a class below 0 or from C up; TYPE: labels are not int64 */
typedef enum ls_reduction { LS_MEAN = 0, LS_SUM, LS_NONE, LS_BATCH_MEAN /* kl_div: sum / N */ } ls_reduction;
typedef struct ls_loss_opts {
    ls_reduction reduction;
    double       beta;            /* smooth_l1, huber; 0: 1 */
    ls_tensor   *weight;          /* bce: broadcasts to the elements; nll, cross_entropy: [C] */
    ls_tensor   *pos_weight;      /* bce_with_logits: likewise */
    bool         log_target;      /* kl_div */
    bool         ignores;         /* nll, cross_entropy: labels of ignore_index do not count */
    int64_t      ignore_index;    /* PyTorch's is -100 */
    double       label_smoothing; /* cross_entropy */
} ls_loss_opts;
LS_API ls_tensor *ls_mse_loss(ls_tensor *pred, ls_tensor *target);
LS_API ls_tensor *ls_l1_loss(ls_tensor *pred, ls_tensor *target);
LS_API ls_tensor *ls_smooth_l1_loss(ls_tensor *pred, ls_tensor *target);
LS_API ls_tensor *ls_huber_loss(ls_tensor *pred, ls_tensor *target);
LS_API ls_tensor *ls_bce_loss(ls_tensor *pred, ls_tensor *target);
LS_API ls_tensor *ls_bce_with_logits(ls_tensor *pred, ls_tensor *target);
LS_API ls_tensor *ls_kl_div(ls_tensor *pred, ls_tensor *target);
LS_API ls_tensor *ls_nll_loss(ls_tensor *logp, ls_tensor *label);
LS_API ls_tensor *ls_cross_entropy(ls_tensor *logits, ls_tensor *label); /* logits [N, C] */
/* o: NULL for the usual. */
LS_API ls_tensor *ls_mse_loss_with(ls_tensor *pred, ls_tensor *target, const ls_loss_opts *o);
LS_API ls_tensor *ls_l1_loss_with(ls_tensor *pred, ls_tensor *target, const ls_loss_opts *o);
LS_API ls_tensor *ls_smooth_l1_loss_with(ls_tensor *pred, ls_tensor *target, const ls_loss_opts *o);
LS_API ls_tensor *ls_huber_loss_with(ls_tensor *pred, ls_tensor *target, const ls_loss_opts *o);
LS_API ls_tensor *ls_bce_loss_with(ls_tensor *pred, ls_tensor *target, const ls_loss_opts *o);
LS_API ls_tensor *ls_bce_with_logits_with(ls_tensor *pred, ls_tensor *target, const ls_loss_opts *o);
LS_API ls_tensor *ls_kl_div_with(ls_tensor *pred, ls_tensor *target, const ls_loss_opts *o);
LS_API ls_tensor *ls_nll_loss_with(ls_tensor *logp, ls_tensor *label, const ls_loss_opts *o);
LS_API ls_tensor *ls_cross_entropy_with(ls_tensor *logits, ls_tensor *label, const ls_loss_opts *o);

/* ---- shapes; gradients flow. int64 tensors too, but for gather and expand -------------------- */
LS_API ls_tensor *ls_view(ls_tensor *t, ls_shape shape); /* one dimension may be -1 */
LS_API ls_tensor *ls_reshape(ls_tensor *t, ls_shape shape);
LS_API ls_tensor *ls_view_as(ls_tensor *t, const ls_tensor *like);
LS_API ls_tensor *ls_squeeze(ls_tensor *t); /* drops dimensions of 1, never a part's axis 0 */
LS_API ls_tensor *ls_squeeze_axis(ls_tensor *t, int axis); /* drops it if it is 1 */
LS_API ls_tensor *ls_unsqueeze(ls_tensor *t, int axis);
LS_API ls_tensor *ls_transpose(ls_tensor *t, int a, int b);
LS_API ls_tensor *ls_permute(ls_tensor *t, ls_axes axes);
LS_API ls_tensor *ls_expand_as(ls_tensor *t, ls_tensor *like);
LS_API ls_tensor *ls_slice(ls_tensor *t, int axis, int64_t from, int64_t to, int64_t step); /* t[from:to:step] */
LS_API ls_tensor *ls_narrow(ls_tensor *t, int axis, int64_t start, int64_t length);
LS_API ls_tensor *ls_select(ls_tensor *t, int axis, int64_t index); /* t[index], without the axis */
/* index: int64 vector. A part of places takes rows of a whole t, as an embedding does. */
LS_API ls_tensor *ls_index_select(ls_tensor *t, int axis, ls_tensor *index);
LS_API ls_tensor *ls_gather(ls_tensor *t, int axis, ls_tensor *index);
LS_API ls_tensor *ls_cat(ls_list list, int axis);
LS_API ls_tensor *ls_stack(ls_list list, int axis);
LS_API ls_tensor *ls_clone(ls_tensor *t);
LS_API ls_tensor *ls_to_float(ls_tensor *t);   /* int64 in the context's floating type */
LS_API ls_tensor *ls_detach(ls_tensor *t);     /* the same values without history */
LS_API ls_tensor *ls_split_rows(ls_tensor *t); /* a whole tensor as a part: every rank takes its rows */
LS_COLLECTIVE ls_tensor *ls_whole(ls_ctx *ctx, ls_tensor *t); /* a part with its rows on every rank */
#ifdef __cplusplus
}
#endif
