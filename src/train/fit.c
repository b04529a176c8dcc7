/* fit.c -- a run: resume, epochs of steps, cost lines, checkpoints.
 *
 * The loop's conditions are equal on all ranks: what can differ between ranks is an error, and that
 * is agreed before a loop ends. The cost of an epoch is the exact mean over its rows of the costs
 * before each update; its running sum is part of the saved progress.
 */
#include "train/train.h"
#include "base/config.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- progress -------------------------------------------------------------------------------- */
static void end_progress(void *self)
{
    ls_progress *p = self;
    ls_memory_free(p->history);
    ls_memory_free(p);
}

ls_progress *ls_progress_of(ls_ctx *ctx, const ls_run *run)
{
    for (ls_owned *o = ctx->newest; o; o = o->older) {
        ls_progress *p = (ls_progress *)o;
        if (o->end == end_progress && p->model == run->model) return p;
    }
    ls_progress *p = ls_new(ctx, sizeof *p, "the progress of a run");
    if (!p) return NULL;
    p->ctx = ctx;
    p->model = run->model;
    ls_own(ctx, &p->owned, end_progress);
    return p;
}

bool ls_progress_add(ls_progress *p, const ls_history *epoch)
{
    if (p->epochs == p->room) {
        int64_t room = p->room ? 2 * p->room : 64;
        ls_history *grown = ls_new(p->ctx, (size_t)room * sizeof *grown, "the history of a run");
        if (!grown) return false;
        if (p->epochs) memcpy(grown, p->history, (size_t)p->epochs * sizeof *grown);
        ls_memory_free(p->history);
        p->history = grown;
        p->room = room;
    }
    p->history[p->epochs++] = *epoch;
    return true;
}

int64_t ls_steps_done(const ls_run *run)
{
    ls_loader_state s = ls_loader_get_state(run->data);
    return s.epoch * ls_loader_steps(run->data) + s.step;
}

bool ls_run_is_complete(const ls_run *run)
{
    ls_loader_state s = ls_loader_get_state(run->data);
    bool ends_epoch = s.step == ls_loader_steps(run->data);
    return run->epochs && s.epoch + ends_epoch >= run->epochs;
}

/* ---- checks ---------------------------------------------------------------------------------- */
static ls_status check_run(ls_ctx *ctx, const char *call, const ls_run *run)
{
    if (!ls_given(ctx, call, run, "the run")) return ctx->failure.status;
    const char *missing = !run->model   ? "model"
                          : !run->loss  ? "loss"
                          : !run->optim ? "optim"
                          : !run->data  ? "data"
                                        : NULL;
    if (missing) return ls_fail(ctx, LS_ERR_ARG, "the run has no %s", missing);
    if (run->epochs < 0 || run->save_every < 0 || run->save_every_steps < 0 || run->keep < 0 ||
        run->stop_after < 0)
        return ls_fail(ctx, LS_ERR_ARG, "a negative number of epochs or steps in the run");
    if (run->dir && ls_name_fault(ls_run_name(run)))
        return ls_fail(ctx, LS_ERR_ARG,
                       "the run's name, by which its checkpoints are called, %s: \"%.200s\"",
                       ls_name_fault(ls_run_name(run)), ls_run_name(run));
    return LS_OK;
}

/* ---- one epoch ------------------------------------------------------------------------------- */
typedef struct fit {
    ls_ctx *ctx;
    const ls_run *run;
    ls_progress *progress;
    ls_report report;
    ls_guard guard;
    ls_trace *trace;
    ls_lock *lock; /* on the root */
    int64_t steps;
} fit;

static bool is_due(int64_t count, int64_t every)
{
    return every > 0 && count % every == 0;
}

static bool stops(const fit *f)
{
    return f->guard.stops || (f->run->stop_after && f->steps >= f->run->stop_after);
}

/* The timeline first: nothing is written after a failure, which this is for what comes next. */
static void say_stopped(fit *f)
{
    ls_trace_end(f->trace, f->run);
    f->trace = f->report.phases.trace = NULL;
    ls_fail(f->ctx, LS_ERR_STOPPED, "stopped after step %lld%s: run again to go on",
            (long long)ls_steps_done(f->run), f->run->dir ? ", checkpoint saved" : "");
}

/* Where it is not the end, a checkpoint that cannot be written is no reason to stop: the one before
 * is kept, and the next is tried. Three in a row are. */
static ls_status save(fit *f, bool must)
{
    enum { MOST_FAILURES = 3 };
    double begin_s = ls_clock_s();
    if (!f->run->dir) return f->ctx->failure.status;
    ls_status status = ls_save_or_go_on(f->ctx, f->run, must ? 1 : MOST_FAILURES);
    f->guard.save_s = ls_clock_s() - begin_s;
    ls_trace_add(f->trace, LS_SAVING, begin_s, ls_clock_s());
    return status;
}

/* After each step: its cost, and a checkpoint or the end where they are due. */
static void after_step(fit *f, double cost, int64_t rows)
{
    const ls_run *run = f->run;
    int64_t done = ls_steps_done(run);
    f->progress->cost_sum += cost * (double)rows;
    f->progress->cost_rows += rows;
    f->steps++;
    ls_report_step(f->ctx, &f->report, cost, rows);
    ls_lock_beat(f->lock, done);
    if (ls_guard_step(&f->guard, f->ctx, &f->report.phases)) return;
    bool ends_epoch = ls_loader_get_state(run->data).step == ls_loader_steps(run->data);
    if (ends_epoch) return; /* after_epoch() follows */
    if (stops(f)) {
        if (!save(f, true)) say_stopped(f);
    } else if (is_due(done, run->save_every_steps)) save(f, false);
}

static void after_epoch(fit *f)
{
    ls_ctx *ctx = f->ctx;
    const ls_run *run = f->run;
    ls_progress *p = f->progress;
    int64_t epoch = ls_loader_epoch(run->data) - 1;
    ls_history h = { epoch, p->cost_sum / (double)p->cost_rows, ls_optim_lr(run->optim), NAN, NAN };
    ls_score score;
    double begin_s = ls_clock_s();
    if (run->validation && !ls_evaluate(ctx, run, run->validation, &score)) {
        h.validation_cost = score.cost;
        h.validation_accuracy = score.accuracy;
        ls_trace_add(f->trace, LS_VALIDATION, begin_s, ls_clock_s());
    }
    if (ctx->failure.status || !ls_progress_add(p, &h) || ls_report_epoch(ctx, &f->report, &h))
        return;
    p->cost_sum = 0;
    p->cost_rows = 0;
    bool last = epoch + 1 == run->epochs, ends = last || stops(f);
    if (ends || is_due(epoch + 1, run->save_every) ||
        is_due(ls_steps_done(run), run->save_every_steps))
        save(f, ends);
    if (ends && !last && !ctx->failure.status) say_stopped(f);
}

static void run_epoch(fit *f)
{
    double cost;
    int64_t rows;
    ls_report_begin(&f->report, f->run);
    f->report.phases.trace = f->trace;
    while (ls_step(f->ctx, f->run, &cost, &rows, &f->report.phases))
        if (!f->ctx->failure.status) after_step(f, cost, rows);
    if (!f->ctx->failure.status) after_epoch(f);
}

/* Ranks that have nothing to do are no error, but worth a word. */
static void warn_of_idle_ranks(ls_ctx *ctx, const ls_run *run)
{
    int64_t rows = ls_dataset_rows(ls_loader_dataset(run->data));
    int64_t wanted = ls_loader_options(run->data)->batch_size,
            batch = wanted < rows ? wanted : rows, idle = ls_part_idle(ctx, batch);
    if (idle && ctx->is_root && !ctx->failure.status)
        fprintf(
            stderr,
            "lockstep: %lld rank%s idle: a batch of %lld rows has fewer leaves of %lld rows than "
            "there are ranks; larger batches, smaller leaves or fewer ranks help\n",
            (long long)idle, idle == 1 ? "" : "s", (long long)batch,
            (long long)ctx->opts.leaf_rows);
}

/* On the root: the directory is this job's alone, and holds nothing half written. */
static ls_lock *take_directory(ls_ctx *ctx, const ls_run *run)
{
    ls_lock *lock = NULL;
    ls_failure f = { 0 };
    if (!run->dir || !ctx->is_root || ctx->failure.status) return NULL;
    if (ls_lock_take(run->dir, &lock, &f)) {
        ls_fail_with(ctx, &f);
        return NULL;
    }
    long long count = ls_checkpoint_clean(run->dir);
    if (count)
        fprintf(stderr, "lockstep: %s: removed %lld unfinished checkpoint%s\n", run->dir, count,
                count == 1 ? "" : "s");
    return lock;
}

static void run_epochs(fit *f)
{
    ls_ctx *ctx = f->ctx;
    const ls_run *run = f->run;
    if (ls_loader_epoch(run->data) < run->epochs) warn_of_idle_ranks(ctx, run);
    else {
        ls_printf(ctx, "lockstep: %s is finished: %lld of %lld epochs are done\n", ls_run_name(run),
                  (long long)ls_loader_epoch(run->data), (long long)run->epochs);
        /* It was to be longer when it was saved. */
        if (f->progress->is_unfinished && ls_run_is_complete(run)) save(f, true);
    }
    ls_report_open(ctx, run);
    f->trace = ls_trace_begin(ctx, run);
    while (ls_loader_epoch(run->data) < run->epochs) run_epoch(f);
    ls_trace_end(f->trace, run);
    if (ls_fault(LS_FAULT_finish)) ls_fail(ctx, LS_ERR_USE, "fault point finish");
}

static ls_status train(ls_ctx *ctx, const ls_run *run, ls_lock *lock)
{
    fit f = { .ctx = ctx, .run = run, .progress = ls_progress_of(ctx, run), .lock = lock };
    ls_guard_begin(&f.guard, ctx, run);
    if (run->dir && !run->fresh) ls_resume(ctx, run);
    if (!ls_agree(ctx)) run_epochs(&f);
    ls_guard_end(&f.guard);
    return ls_agree(ctx);
}

ls_status ls_fit(ls_ctx *ctx, const ls_run *run)
{
    if (!ls_enter(ctx, "ls_fit") || check_run(ctx, "ls_fit", run)) return ls_agree(ctx);
    ls_lock *lock = take_directory(ctx, run);
    ls_status status = train(ctx, run, lock);
    ls_lock_leave(lock);
    return status;
}

ls_status ls_fit_step(ls_ctx *ctx, const ls_run *run, double *cost)
{
    ls_phases phases = { 0 };
    int64_t rows;
    double unwanted;
    if (!cost) cost = &unwanted;
    *cost = NAN;
    if (!ls_enter(ctx, "ls_fit_step") || check_run(ctx, "ls_fit_step", run)) return ls_agree(ctx);
    if (!ls_step(ctx, run, cost, &rows, &phases)) ls_step(ctx, run, cost, &rows, &phases);
    return ctx->failure.status;
}
