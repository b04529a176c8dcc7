/* step.c -- one step, the way of the data:
 *
 *   data     the next batch; a rank's rows of it           (the loader's buffers)
 *   ops      forward through the model to the cost         (on the tape, in the step's arena)
 *   grad     backward                                      (gradients of this rank's rows)
 *   comm     every rank's rows, added in the tree          (slices of the gradients, whole)
 *   optim    the update of each slice as it is made        (the parameters)
 *
 * The next step ends what this one has made. An error on any rank ends the step, and the loop
 * around it, on all.
 */
#include "train/train.h"
#include <math.h>
#include <string.h>

/* From *clock, which moves on, to now: the time of a phase. */
static void lap(ls_phases *p, double *sum, ls_phase phase, double *clock, double now)
{
    *sum += now - *clock;
    ls_trace_add(p->trace, phase, *clock, now);
    *clock = now;
}

ls_tensor *ls_returned(ls_ctx *ctx, ls_tensor *t, const ls_tensor *of, const char *who)
{
    if (!t && of)
        ls_fail(ctx, LS_ERR_USE, "%s returned nothing: neither a tensor nor an error", who);
    return t;
}

bool ls_step(ls_ctx *ctx, const ls_run *run, double *cost, int64_t *rows, ls_phases *phases)
{
    ls_tensor *x, *y;
    double clock = ls_clock_s();

    if (!ls_next(run->data, &x, &y)) return false;
    lap(phases, &phases->read, LS_READ, &clock, ls_clock_s());

    ls_tensor *pred = ls_returned(ctx, ls_forward(run->model, x), x, "the forward function");
    if (pred && ls_fault(LS_FAULT_cost)) /* all ones: not a number */
        memset(pred->data, 0xff, (size_t)pred->count * ls_dtype_bytes(pred->dtype));
    ls_tensor *loss = ls_returned(ctx, run->loss(pred, y), pred, "the loss function");
    lap(phases, &phases->forward, LS_FORWARD, &clock, ls_clock_s());

    ls_zero_grad_to_none(run->optim->params);
    ls_update update = ls_optim_begin(run->optim);
    ctx->update = &update;
    ls_backward(ctx, loss);
    ctx->update = NULL;
    ls_optim_end(run->optim, &update);
    double now = ls_clock_s(), reduced_s = update.begin_s > clock ? update.begin_s : now;
    lap(phases, &phases->backward, LS_BACKWARD, &clock, reduced_s);
    lap(phases, &phases->update, LS_UPDATE, &clock, now);

    *cost = ls_item(loss);
    *rows = ls_dim(x, 0);
    if (!ctx->failure.status && !isfinite(*cost)) ls_guard_cost(ctx, run, *cost, x, pred, y);
    return true;
}
