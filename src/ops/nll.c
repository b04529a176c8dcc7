/* nll.c -- the negative log likelihood of classes, and cross entropy with all options, made of
 * gather, where and sums. What a mean divides by, the weights of the labels that count, depends on
 * the data: it is a sum over the rows of all ranks, taken through the tree before backward. */
#include "ops/ops.h"

/* ---- labels ---------------------------------------------------------------------------------- */
static const char *shape(ls_node *n)
{
    n->out_dtype = LS_INT64;
    return ls_shape_same(n);
}

/* Whether a label counts: it is not args. */
static void forward_counts(const ls_node *n)
{
    int64_t ignored = *(const int64_t *)n->args, *out = n->out.data;
    const int64_t *y = n->in[0].data;
    for (int64_t i = 0; i < n->out.count; i++) out[i] = y[i] != ignored;
}

/* The label, or 0 where it does not count, so that it is the place of something. */
static void forward_place(const ls_node *n)
{
    int64_t ignored = *(const int64_t *)n->args, *out = n->out.data;
    const int64_t *y = n->in[0].data;
    for (int64_t i = 0; i < n->out.count; i++) out[i] = y[i] != ignored ? y[i] : 0;
}

static const ls_shape cases[][LS_MAX_IN] = { { { 1, { 5 } } }, { { 2, { 4, 2 } } }, LS_LAST_CASE };
#define LABELS(id, run)                                                                            \
    const ls_op ls_op_##id = { .name = "nll_loss",                                                 \
                               .n_in = 1,                                                          \
                               .rows = LS_ROWS_ALONE,                                              \
                               .classes = 1,                                                       \
                               .shape = shape,                                                     \
                               .forward = run,                                                     \
                               .cases = cases,                                                     \
                               .case_args = &(const int64_t){ 1 },                                 \
                               .case_args_bytes = sizeof(int64_t) };
LABELS(label_counts, forward_counts)
LABELS(label_place, forward_place)

static bool labels_fit(const char *name, const ls_tensor *label, int64_t classes,
                       const ls_loss_opts *o)
{
    const int64_t *y = label->data;
    for (int64_t i = 0; i < label->count; i++) {
        if ((y[i] >= 0 && y[i] < classes) || (o->ignores && y[i] == o->ignore_index)) continue;
        ls_fail(label->ctx, LS_ERR_DATA,
                "%s: a label is class %lld, but there are outputs for 0 to %lld", name,
                (long long)y[i], (long long)(classes - 1));
        return false;
    }
    return true;
}

/* ---- the loss -------------------------------------------------------------------------------- */
typedef struct terms {
    const char *name;
    ls_tensor *logp, *label;
    ls_tensor *counts; /* of each label, int64; NULL: all do */
    ls_tensor *place;  /* labels that are places */
    ls_tensor *weight; /* of each label, 0 where it does not count; NULL: all 1 */
    const ls_loss_opts *o;
} terms;

static bool shapes_fit(const terms *t)
{
    ls_shape x = t->logp->shape, y = t->label->shape;
    bool fit = x.ndim >= 2 && y.ndim == x.ndim - 1 && y.dim[0] == x.dim[0];
    for (int i = 2; fit && i < x.ndim; i++) fit = x.dim[i] == y.dim[i - 1];
    const ls_loss_opts *o = t->o;
    if (!fit)
        ls_fail(t->logp->ctx, LS_ERR_SHAPE,
                "%s: scores are [N, C, ...] and labels [N, ...] (%s "
                "and %s)",
                t->name, ls_shape_str(x).text, ls_shape_str(y).text);
    else if (t->label->dtype != LS_INT64)
        ls_fail(t->logp->ctx, LS_ERR_TYPE, "%s: labels must be int64, but are %s", t->name,
                ls_dtype_name(t->label->dtype));
    else if (o->weight && (o->weight->shape.ndim != 1 || o->weight->shape.dim[0] != x.dim[1]))
        ls_fail(t->logp->ctx, LS_ERR_SHAPE, "%s: there must be a weight for each of %lld classes",
                t->name, (long long)x.dim[1]);
    else if (o->beta != 0 || o->pos_weight || o->log_target || o->reduction == LS_BATCH_MEAN)
        ls_fail(t->logp->ctx, LS_ERR_ARG,
                "%s: knows weight, ignore_index, label_smoothing and reduction alone", t->name);
    else if (!(o->label_smoothing >= 0 && o->label_smoothing <= 1))
        ls_fail(t->logp->ctx, LS_ERR_ARG, "%s: label_smoothing lies between 0 and 1", t->name);
    else
        return ls_reduction_fits(t->logp->ctx, t->name, o->reduction) &&
               labels_fit(t->name, t->label, x.dim[1], o);
    return false;
}

static ls_tensor *label_op(const ls_op *op, const terms *t)
{
    return ls_apply(op, (ls_list){ 1, (ls_tensor *[]){ t->label } }, &t->o->ignore_index,
                    sizeof(int64_t));
}

/* 0 where the label does not count, whatever stands there. */
static ls_tensor *only_counted(const terms *t, ls_tensor *x)
{
    if (!t->counts) return x;
    return ls_apply(&ls_op_where, (ls_list){ 2, (ls_tensor *[]){ t->counts, x } }, NULL, 0);
}

/* Weight of each label, as the rows of a column that index_select takes. */
static ls_tensor *weights_of(const terms *t)
{
    ls_tensor *w = NULL;
    if (t->o->weight) {
        ls_tensor *flat = t->place, *weight = ls_detach(t->o->weight);
        if (t->label->shape.ndim == 1) {
            int axis = 0;
            w = ls_apply(&ls_op_index_rows, (ls_list){ 2, (ls_tensor *[]){ weight, flat } }, &axis,
                         sizeof axis);
        } else {
            /* A table of all weights beside each place: gather picks from it. */
            ls_shape s = t->logp->shape, column = { s.ndim, { 1, s.dim[1], 1, 1, 1, 1 } };
            ls_tensor *table = ls_expand_as(ls_view(weight, column), ls_detach(t->logp));
            w = ls_squeeze_axis(ls_gather(table, 1, ls_unsqueeze(t->place, 1)), 1);
        }
    }
    if (!t->counts) return w;
    return t->o->weight ? only_counted(t, w) : ls_to_float(t->counts);
}

/* -w log p of the label */
static ls_tensor *of_label(const terms *t)
{
    ls_tensor *picked = ls_gather(t->logp, 1, ls_unsqueeze(t->place, 1));
    ls_tensor *cost = ls_neg(ls_squeeze_axis(picked, 1));
    if (t->o->weight) cost = ls_mul(cost, t->weight);
    return only_counted(t, cost);
}

/* -sum over all classes of w log p */
static ls_tensor *of_all(const terms *t)
{
    ls_tensor *cost = t->logp;
    ls_shape column = { cost->shape.ndim, { 1, cost->shape.dim[1], 1, 1, 1, 1 } };
    if (t->o->weight) cost = ls_mul(cost, ls_view(ls_detach(t->o->weight), column));
    return only_counted(t, ls_neg(ls_sum_axes(cost, LS_AXES(1), false)));
}

static ls_tensor *reduce(const terms *t, ls_tensor *cost)
{
    ls_reduction how = t->o->reduction;
    if (how == LS_NONE) return cost;
    if (how == LS_SUM) return ls_sum(cost);
    return t->weight ? ls_div(ls_sum(cost), ls_sum(t->weight)) : ls_mean(cost);
}

static ls_tensor *loss(terms t)
{
    double smoothing = t.o->label_smoothing;
    if (t.logp->is_part && !t.label->is_part) t.label = ls_split_rows(t.label);
    if (!t.label || !shapes_fit(&t)) return NULL;
    t.counts = t.o->ignores ? label_op(&ls_op_label_counts, &t) : NULL;
    t.place = t.o->ignores ? label_op(&ls_op_label_place, &t) : t.label;
    t.weight = weights_of(&t);
    ls_tensor *cost = reduce(&t, of_label(&t));
    if (smoothing != 0 && cost) {
        double classes = (double)t.logp->shape.dim[1];
        ls_tensor *all = ls_mul_scalar(reduce(&t, of_all(&t)), smoothing / classes);
        cost = ls_add(ls_mul_scalar(cost, 1 - smoothing), all);
    }
    bool is_flat = t.logp->shape.ndim == 2;
    return ls_named(cost, smoothing != 0 ? "AddBackward0"
                          : is_flat      ? "NllLossBackward0"
                                         : "NllLoss2DBackward0");
}

static const ls_loss_opts usual = { 0 };

ls_tensor *ls_nll_loss_with(ls_tensor *logp, ls_tensor *label, const ls_loss_opts *o)
{
    if (!ls_tensor_usable(logp, "nll_loss") || !ls_tensor_usable(label, "nll_loss")) return NULL;
    if (o && o->label_smoothing != 0) {
        ls_fail(logp->ctx, LS_ERR_ARG, "nll_loss: has no option label_smoothing");
        return NULL;
    }
    return loss((terms){ .name = "nll_loss", .logp = logp, .label = label, .o = o ? o : &usual });
}

ls_tensor *ls_nll_loss(ls_tensor *logp, ls_tensor *label)
{
    return ls_nll_loss_with(logp, label, NULL);
}

ls_tensor *ls_cross_entropy_with(ls_tensor *logits, ls_tensor *label, const ls_loss_opts *o)
{
    if (!ls_tensor_usable(logits, "cross_entropy") || !ls_tensor_usable(label, "cross_entropy"))
        return NULL;
    bool is_plain = !o ||
                    (o->reduction == LS_MEAN && !o->weight && !o->ignores &&
                     o->label_smoothing == 0 && o->beta == 0 && !o->pos_weight && !o->log_target);
    if (is_plain && logits->shape.ndim == 2) return ls_cross_entropy(logits, label);
    if (logits->shape.ndim < 2) return ls_cross_entropy(logits, label); /* refuses */
    return loss((terms){ .name = "cross_entropy",
                         .logp = ls_log_softmax(logits, 1),
                         .label = label,
                         .o = o ? o : &usual });
}
