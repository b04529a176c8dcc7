/* evaluate.c -- cost and accuracy of a model on a data set.
 *
 * The data set is one batch: its rows are cut into leaves over the ranks and the cost is one tree,
 * so the figure does not depend on the rank count, and no row counts twice. Nothing is drawn and
 * nothing recorded. Accuracy is the share of rows whose largest output is their class.
 */
#include "train/train.h"
#include <math.h>

ls_status ls_evaluate(ls_ctx *ctx, const ls_run *run, ls_loader *on, ls_score *out)
{
    if (out) *out = (ls_score){ NAN, NAN, 0 };
    if (!ls_enter(ctx, "ls_evaluate") || !ls_given(ctx, "ls_evaluate", run, "the run") ||
        !ls_given(ctx, "ls_evaluate", out, "room for the score") || !run->model || !run->loss ||
        !on)
        return ls_agree(ctx);
    if (ls_fault(LS_FAULT_evaluate)) ls_fail(ctx, LS_ERR_USE, "fault point evaluate");
    LS_NO_GRAD(ctx);
    ls_tensor *x, *y;
    if (ls_loader_all(on, &x, &y)) {
        ls_tensor *pred = ls_returned(ctx, ls_forward(run->model, x), x, "the forward function");
        out->cost = ls_item(ls_returned(ctx, run->loss(pred, y), pred, "the loss function"));
        out->rows = ls_dim(x, 0);
        if (y && pred && ls_dtype_of(y) == LS_INT64 && y->shape.ndim == 1 &&
            pred->shape.ndim == 2 && pred->shape.dim[1] > 1)
            out->accuracy = ls_item(ls_sum(ls_equal(ls_argmax(pred, 1), y))) / (double)out->rows;
    }
    return ls_agree(ctx);
}
