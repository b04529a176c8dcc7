/* loss.c -- losses of a prediction and a target of its shape: the cost of each element (pair.c), times
 * weights if there are any, and a mean or a sum of them. The mean divides by the elements of the
 * whole batch; sums over its rows go through the tree. Which options a loss knows is its table line:
 * one that it does not know is refused, never ignored. */
#include "ops/ops.h"

enum { BETA = 1, WEIGHT = 2, POS_WEIGHT = 4, LOG_TARGET = 8, BATCH_MEAN = 16 };
typedef struct loss {
    const char *name, *grad_name; /* NULL: that of the reduction */
    const ls_op *op;
    unsigned knows;
    double beta; /* where none is given */
} loss;
static const loss l1 = { "l1_loss", NULL, &ls_op_l1_loss, 0, 0 };
static const loss smooth_l1 = { "smooth_l1_loss", "SmoothL1LossBackward0", &ls_op_smooth_l1_loss,
                                BETA, 1 };
static const loss huber = { "huber_loss", "HuberLossBackward0", &ls_op_huber_loss, BETA, 1 };
static const loss bce = { "bce_loss", "BinaryCrossEntropyBackward0", &ls_op_bce_loss, WEIGHT, 0 };
static const loss bce_logits = { "bce_with_logits", "BinaryCrossEntropyWithLogitsBackward0",
                                 &ls_op_bce_with_logits, WEIGHT | POS_WEIGHT, 0 };
static const loss kl = { "kl_div", NULL, &ls_op_kl_div, LOG_TARGET | BATCH_MEAN, 0 };

/* Whether o names only what the loss knows. */
static bool options_fit(ls_ctx *ctx, const loss *l, const ls_loss_opts *o)
{
    const char *unknown = o->beta != 0 && !(l->knows & BETA)          ? "beta"
                          : o->weight && !(l->knows & WEIGHT)         ? "weight"
                          : o->pos_weight && !(l->knows & POS_WEIGHT) ? "pos_weight"
                          : o->log_target && !(l->knows & LOG_TARGET) ? "log_target"
                          : o->reduction == LS_BATCH_MEAN && !(l->knows & BATCH_MEAN)
                              ? "LS_BATCH_MEAN"
                          : o->ignores              ? "ignore_index"
                          : o->label_smoothing != 0 ? "label_smoothing"
                                                    : NULL;
    if (unknown) ls_fail(ctx, LS_ERR_ARG, "%s: has no option %s", l->name, unknown);
    else if (!(o->beta >= 0)) ls_fail(ctx, LS_ERR_ARG, "%s: beta must be above 0", l->name);
    else return ls_reduction_fits(ctx, l->name, o->reduction);
    return false;
}

bool ls_reduction_fits(ls_ctx *ctx, const char *name, ls_reduction r)
{
    if (r == LS_MEAN || r == LS_SUM || r == LS_NONE || r == LS_BATCH_MEAN) return true;
    ls_fail(ctx, LS_ERR_ARG,
            "%s: %d is no reduction; there are LS_MEAN, LS_SUM, LS_NONE and LS_BATCH_MEAN", name,
            (int)r);
    return false;
}

/* cost times weights, which broadcast to its elements and never make more of them. weight NULL: cost. */
static ls_tensor *weigh(const char *name, ls_tensor *cost, ls_tensor *weight)
{
    ls_shape both;
    if (!weight || !cost) return cost;
    if (!ls_tensor_usable(weight, name)) return NULL;
    if (ls_shape_broadcast(cost->shape, weight->shape, &both) && ls_shape_equal(both, cost->shape))
        return ls_mul(cost, weight);
    ls_fail(cost->ctx, LS_ERR_SHAPE,
            "%s: weights of shape %s do not broadcast to elements of shape %s", name,
            ls_shape_str(weight->shape).text, ls_shape_str(cost->shape).text);
    return NULL;
}

static ls_tensor *reduce(ls_tensor *cost, ls_reduction how, const char *grad_name)
{
    int64_t rows = cost && cost->shape.ndim ? cost->shape.dim[0] : 1;
    if (how == LS_MEAN) cost = ls_mean(cost);
    if (how == LS_SUM) cost = ls_sum(cost);
    if (how == LS_BATCH_MEAN) cost = ls_div_scalar(ls_sum(cost), (double)rows);
    return grad_name ? ls_named(cost, grad_name) : cost;
}

/* The target as the prediction stands: floating, [N] as [N, 1], its rows where the prediction's are. */
static bool meet(ls_tensor **pred, ls_tensor **target)
{
    *target = ls_to_float(*target);
    if (!*pred || !*target) return false;
    ls_shape x = (*pred)->shape, y = (*target)->shape;
    if (y.ndim == 1 && x.ndim == 2 && x.dim[1] == 1)
        *target = ls_view(*target, (ls_shape){ 2, { y.dim[0], 1 } });
    ls_pair_rows(pred, target);
    return *pred && *target;
}

static ls_tensor *apply(const loss *l, ls_tensor *pred, ls_tensor *target, const ls_loss_opts *o)
{
    static const ls_loss_opts usual = { 0 };
    if (!o) o = &usual;
    if (!ls_tensor_usable(pred, l->name) || !ls_tensor_usable(target, l->name) ||
        !options_fit(pred->ctx, l, o) || !meet(&pred, &target))
        return NULL;
    double beta = o->beta ? o->beta : l->beta;
    const ls_op *op = o->log_target ? &ls_op_kl_div_log : l->op;
    ls_tensor *cost = ls_apply(op, (ls_list){ 2, (ls_tensor *[]){ pred, target } }, &beta,
                               sizeof beta);
    return reduce(weigh(l->name, cost, o->weight), o->reduction, l->grad_name);
}

#define LOSS(id, l)                                                                                \
    ls_tensor *ls_##id(ls_tensor *pred, ls_tensor *target)                                         \
    {                                                                                              \
        return apply(l, pred, target, NULL);                                                       \
    }                                                                                              \
    ls_tensor *ls_##id##_with(ls_tensor *pred, ls_tensor *target, const ls_loss_opts *o)           \
    {                                                                                              \
        return apply(l, pred, target, o);                                                          \
    }
LOSS(l1_loss, &l1)
LOSS(smooth_l1_loss, &smooth_l1)
LOSS(huber_loss, &huber)
LOSS(kl_div, &kl)

/* ---- squares --------------------------------------------------------------------------------- */
/* The mean has an operation of its own (mse_loss.c). */
ls_tensor *ls_mse_loss_with(ls_tensor *pred, ls_tensor *target, const ls_loss_opts *o)
{
    static const loss mse = { "mse_loss", "MseLossBackward0", NULL, 0, 0 };
    if (!o || !ls_tensor_usable(pred, mse.name)) return ls_mse_loss(pred, target);
    if (!options_fit(pred->ctx, &mse, o)) return NULL;
    if (o->reduction == LS_MEAN) return ls_mse_loss(pred, target);
    if (!meet(&pred, &target)) return NULL;
    if (!ls_shape_equal(pred->shape, target->shape)) return ls_mse_loss(pred, target); /* refuses */
    return reduce(ls_pow(ls_sub(pred, target), 2), o->reduction, mse.grad_name);
}

/* ---- probabilities --------------------------------------------------------------------------- */
/* Every element between 0 and 1; tested where it lies. */
static bool are_probabilities(const ls_tensor *t)
{
    for (int64_t i = 0; t->dtype != LS_INT64 && i < t->count; i++) {
        double p = ls_element(t, i);
        if (!(p < 0 || p > 1)) continue;
        ls_fail(t->ctx, LS_ERR_ARG,
                "bce_loss: predictions lie between 0 and 1, and one is %g; ls_bce_with_logits() "
                "takes any",
                p);
        return false;
    }
    return true;
}

ls_tensor *ls_bce_loss_with(ls_tensor *pred, ls_tensor *target, const ls_loss_opts *o)
{
    if (!ls_tensor_usable(pred, bce.name) || !are_probabilities(pred)) return NULL;
    return apply(&bce, pred, target, o);
}

ls_tensor *ls_bce_loss(ls_tensor *pred, ls_tensor *target)
{
    return ls_bce_loss_with(pred, target, NULL);
}

/* pos_weight p: (1 - y) cost of class 0 + p y cost of class 1, neither of which cancels. */
static ls_tensor *weighted_logits(ls_tensor *x, ls_tensor *y, const ls_loss_opts *o)
{
    if (!ls_tensor_usable(y, bce_logits.name) || !options_fit(x->ctx, &bce_logits, o) ||
        !meet(&x, &y))
        return NULL;
    if (!ls_shape_equal(x->shape, y->shape)) return ls_bce_with_logits(x, y); /* refuses */
    ls_tensor *zero = ls_mul_scalar(ls_detach(y), 0), *one = ls_add_scalar(zero, 1);
    const ls_op *op = &ls_op_bce_with_logits;
    ls_tensor *of_zero = ls_apply(op, (ls_list){ 2, (ls_tensor *[]){ x, zero } }, NULL, 0);
    ls_tensor *of_one = ls_apply(op, (ls_list){ 2, (ls_tensor *[]){ x, one } }, NULL, 0);
    ls_tensor *cost = ls_add(ls_mul(ls_sub(one, y), of_zero),
                             ls_mul(weigh(bce_logits.name, y, o->pos_weight), of_one));
    return reduce(weigh(bce_logits.name, cost, o->weight), o->reduction, bce_logits.grad_name);
}

ls_tensor *ls_bce_with_logits_with(ls_tensor *pred, ls_tensor *target, const ls_loss_opts *o)
{
    if (o && o->pos_weight && ls_tensor_usable(pred, bce_logits.name))
        return weighted_logits(pred, target, o);
    return apply(&bce_logits, pred, target, o);
}

ls_tensor *ls_bce_with_logits(ls_tensor *pred, ls_tensor *target)
{
    return apply(&bce_logits, pred, target, NULL);
}
