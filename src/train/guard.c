/* guard.c -- what is looked after while a run trains: wishes to stop, copies of the state that must
 * be equal, values that must be finite, and ranks that are slow.
 *
 * Ranks tell each other in pulses (comm/pulse.c): after every step where steps take milliseconds,
 * after a few where they are shorter, so that a pulse costs next to nothing. How many is agreed in
 * the pulse before, from the longest step of any rank. The state is one space of bytes (parameters,
 * the optimizer's state) cut into PARTS; each pulse compares the digests of as many parts as steps
 * have passed, so that all of it is compared every PARTS steps, and the whole of it before a save.
 * Of what the ranks of a node hold in common there is one copy: updates keep account of it instead, and
 * each pulse, and each save, asks whether it is what they have written.
 * The generator and the progress are small and always compared.
 *
 * Called by fit.c after each step, by save.c before anything is written, by step.c for a cost that
 * is not finite.
 */
#include "train/train.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PARTS = 48, MOST_STEPS = 32 };
static const double pulse_s = 2e-3, report_s = 60, soonest_s = 5, slow_factor = 1.5;

/* ---- the state as one space of bytes --------------------------------------------------------- */
typedef struct stretch {
    char *at;
    size_t bytes;
} stretch;

/* The i-th stretch of the state; false behind the last. Stretches of one kind follow each other. */
static bool stretch_of(const ls_run *run, int64_t i, stretch *s)
{
    const ls_optim *o = run->optim;
    ls_list p = ls_parameters(run->model);
    const ls_tensor *t;
    if (i < p.count) {
        t = p.at[i];
        *s = (stretch){ t->data, (size_t)t->count * ls_dtype_bytes(t->dtype) };
        return true;
    }
    i -= p.count;
    if (!o->slots || i >= o->params.count * o->slots) return false;
    t = o->params.at[i / o->slots];
    bool began = o->began[i / o->slots];
    *s = (stretch){ ls_optim_state(o, i / o->slots, (int)(i % o->slots)),
                    began ? (size_t)t->count * ls_dtype_bytes(t->dtype) : 0 };
    return true;
}

/* The same, without what is looked after by accounts and is one copy for all ranks. */
static bool compared_stretch_of(ls_ctx *ctx, const ls_run *run, int64_t i, stretch *s)
{
    if (!stretch_of(run, i, s)) return false;
    if (run->optim->tallies == LS_TALLY_ON && ls_comm_is_one_node(ctx) &&
        ctx->links->is_common(ctx, s->at))
        s->bytes = 0;
    return true;
}

static size_t compared_bytes(ls_ctx *ctx, const ls_run *run)
{
    stretch s;
    size_t bytes = 0;
    for (int64_t i = 0; compared_stretch_of(ctx, run, i, &s); i++) bytes += s.bytes;
    return bytes;
}

/* Of the bytes from <= i < to of what is compared, and of what is small. */
static uint64_t digest_of(ls_ctx *ctx, const ls_run *run, size_t from, size_t to)
{
    stretch s;
    size_t at = 0;
    const ls_progress *p = ls_progress_of(ctx, run);
    ls_loader_state loader = ls_loader_get_state(run->data);
    uint64_t digest = ls_digest64(0, &ctx->random, sizeof ctx->random);
    digest = ls_digest64(digest, &loader, sizeof loader);
    if (p) digest = ls_digest64(digest, &p->cost_sum, sizeof p->cost_sum);
    for (int64_t i = 0; at < to && compared_stretch_of(ctx, run, i, &s); at += s.bytes, i++) {
        size_t first = from > at ? from - at : 0, last = to - at < s.bytes ? to - at : s.bytes;
        if (first < last) digest = ls_digest64(digest, s.at + first, last - first);
    }
    return digest;
}

/* Where a part begins: all of them together are the state. */
static size_t part_begin(size_t bytes, int64_t part)
{
    return bytes / PARTS * (size_t)part + bytes % PARTS * (size_t)part / PARTS;
}

/* For tests: changes one bit of this rank's state, another one each step. */
static void flip(const ls_run *run, int64_t step)
{
    stretch s;
    size_t bytes = 0;
    for (int64_t i = 0; stretch_of(run, i, &s); i++) bytes += s.bytes;
    size_t bit = (size_t)step * 2654435761u % (bytes * 8);
    for (int64_t i = 0; stretch_of(run, i, &s); bit -= s.bytes * 8, i++) {
        if (bit >= s.bytes * 8) continue;
        s.at[bit / 8] = (char)(s.at[bit / 8] ^ 1 << bit % 8);
        return;
    }
}

/* ---- values that must be finite -------------------------------------------------------------- */
/* step: whose update made it so, counted from 1 as checkpoints are; 0: not known. */
static void refuse_parameter(ls_ctx *ctx, const ls_run *run, int64_t i, int64_t element,
                             int64_t step)
{
    const ls_tensor *t = ls_parameters(run->model).at[i];
    char by[64] = "";
    if (step) snprintf(by, sizeof by, "the update of step %lld makes ", (long long)step);
    ls_fail(ctx, LS_ERR_NUMERIC,
            "%s%s %snot finite (element %lld is %g): a smaller learning rate, or data without such "
            "values, may help",
            by, ls_parameter_name(run->model, i), step ? "" : "is ", (long long)element,
            ls_element(t, element));
}

/* A gradient that is not finite makes its parameter so: the update looks at what it writes, each element
 * on one rank at least. */
static ls_status check_update(ls_ctx *ctx, const ls_run *run)
{
    const ls_optim *o = run->optim;
    ls_list p = ls_parameters(run->model);
    for (int64_t i = 0; o->bad >= 0 && i < p.count; i++)
        if (p.at[i] == o->params.at[o->bad])
            refuse_parameter(ctx, run, i, o->bad_element, ls_steps_done(run));
    return ctx->failure.status;
}

static ls_status check_parameters(ls_ctx *ctx, const ls_run *run)
{
    ls_list p = ls_parameters(run->model);
    for (int64_t i = 0; i < p.count && !ctx->failure.status; i++) {
        int64_t bad = ctx->kernel->first_bad(p.at[i]->count, p.at[i]->data);
        if (bad >= 0) refuse_parameter(ctx, run, i, bad, 0);
    }
    return ctx->failure.status;
}

/* The rows of this rank that have a value that is not finite, as text; how many. */
static int64_t bad_rows(const ls_ctx *ctx, const ls_tensor *x, const ls_tensor *of, char *text,
                        size_t bytes)
{
    enum { MOST_NAMED = 4 };
    int64_t each = ls_tensor_row_count(of), count = 0;
    size_t used = 0;
    *text = '\0';
    if (!of->is_part || of->dtype != ctx->opts.dtype || each < 1) return 0;
    for (int64_t r = 0; r < of->count / each; r++) {
        const char *row = (const char *)of->data + (size_t)(r * each) * ls_dtype_bytes(of->dtype);
        if (ctx->kernel->first_bad(each, row) < 0) continue;
        if (count++ >= MOST_NAMED || used >= bytes) continue;
        long long number = x->origin ? (long long)x->origin->row[r] : (long long)(x->rows.from + r);
        used += (size_t)snprintf(text + used, bytes - used, "%s%lld", count > 1 ? ", " : "",
                                 number);
    }
    return count;
}

void ls_guard_cost(ls_ctx *ctx, const ls_run *run, double cost, const ls_tensor *x,
                   const ls_tensor *pred, const ls_tensor *y)
{
    const struct {
        const ls_tensor *of;
        const char *what;
    } looked_at[] = { { x, "x" }, { y, "y" }, { pred, "the model's output" } };
    long long step = (long long)ls_steps_done(run); /* with this one */
    char rows[96];
    for (size_t i = 0; i < 3 && !ctx->failure.status; i++) {
        int64_t count = bad_rows(ctx, x, looked_at[i].of, rows, sizeof rows);
        if (count)
            ls_fail(
                ctx, LS_ERR_NUMERIC,
                "the cost is %g in step %lld: %s is not finite in %lld of this rank's rows: %s%s",
                cost, step, looked_at[i].what, (long long)count, rows, count > 4 ? ", ..." : "");
    }
    if (ls_agree(ctx)) return; /* some rank knows the rows */
    ls_fail(
        ctx, LS_ERR_NUMERIC,
        "the cost is %g in step %lld: a smaller learning rate, or data without such values, may "
        "help",
        cost, step);
}

/* ---- pulses ---------------------------------------------------------------------------------- */
void ls_guard_begin(ls_guard *g, ls_ctx *ctx, const ls_run *run)
{
    double now = ls_clock_s();
    *g = (ls_guard){ .run = run, .begin_s = now, .last_s = now, .reported_s = now, .every = 1 };
    g->waited_s = ls_comm_waited_s(ctx);
    ls_tally_want(run->optim, true);
    double tenth = ctx->opts.deadline_s / 10; /* of a wait that ends the job */
    g->report_every_s = tenth > report_s ? report_s : tenth < soonest_s ? soonest_s : tenth;
}

void ls_guard_end(ls_guard *g)
{
    ls_tally_want(g->run->optim, false); /* the program may write again */
}

/* Time of this rank's own in each phase. phases: of the epoch so far. */
static void add_busy(ls_guard *g, ls_ctx *ctx, const ls_phases *phases)
{
    const double now[LS_PHASES] = { phases->read, phases->forward, phases->backward,
                                    phases->update };
    double waited = ls_comm_waited_s(ctx), others = waited - g->waited_s;
    for (int i = LS_PHASES - 1; i >= 0; i--) { /* others are waited for in the last phases */
        double passed = now[i] >= g->seen_s[i] ? now[i] - g->seen_s[i] : now[i];
        double own = passed > others ? passed - others : 0;
        others -= passed - own;
        g->busy_s[i] += own;
        g->seen_s[i] = now[i];
    }
    g->waited_s = waited;
}

static void report_slow(ls_ctx *ctx, ls_guard *g, const ls_pulses *all)
{
    static const char *const names[LS_PHASES] = { "reading", "forward", "backward", "the update" };
    if (ctx->is_root && all->factor >= slow_factor)
        fprintf(
            stderr,
            "lockstep: %s is slow: %.1f times the others' time in the last %.0f s, most of it in "
            "%s\n",
            all->slowest, all->factor, ls_clock_s() - g->reported_s, names[all->phase]);
    g->reported_s = ls_clock_s();
    memset(g->busy_s, 0, sizeof g->busy_s);
}

static bool wants_to_stop(const ls_guard *g, double now)
{
    double budget_s = g->run->stop_before_s, save_s = g->save_s > 0.5 ? g->save_s : 0.5;
    if (ls_stop_asked()) return true;
    return budget_s > 0 && now - g->begin_s + 2 * (g->longest_s + save_s) > budget_s;
}

static ls_status pulse(ls_guard *g, ls_ctx *ctx, ls_pulse *mine)
{
    ls_pulses all;
    char when[40];
    size_t bytes = compared_bytes(ctx, g->run);
    int64_t last = g->part + g->every < PARTS ? g->part + g->every : PARTS;
    ls_tally_get(g->run->optim, false, &mine->start, &mine->made);
    mine->digest = digest_of(ctx, g->run, part_begin(bytes, g->part), part_begin(bytes, last));
    memcpy(mine->busy_s, g->busy_s, sizeof mine->busy_s);
    snprintf(when, sizeof when, "step %lld", (long long)ls_steps_done(g->run));
    if (ls_comm_pulse(ctx, mine, when, &all)) return ctx->failure.status;
    g->stops = all.wishes & LS_WISH_STOP;
    if (all.wishes & LS_WISH_REPORT) report_slow(ctx, g, &all);
    g->part = last == PARTS ? 0 : last;
    double steps = ceil(pulse_s / (all.step_s > 0 ? all.step_s : pulse_s));
    g->every = g->until = steps < 1 ? 1 : steps > MOST_STEPS ? MOST_STEPS : (int64_t)steps;
    return LS_OK;
}

ls_status ls_guard_step(ls_guard *g, ls_ctx *ctx, const ls_phases *phases)
{
    double now = ls_clock_s(), step_s = now - g->last_s;
    g->last_s = now;
    if (step_s > g->longest_s) g->longest_s = step_s;
    if (ls_fault(LS_FAULT_flip)) flip(g->run, ls_steps_done(g->run));
    if (ls_fault(LS_FAULT_parameter)) {
        memset(ls_parameters(g->run->model).at[0]->data, 0xff, 4);
        check_parameters(ctx, g->run);
    }
    if (ls_fault(LS_FAULT_step)) ls_fail(ctx, LS_ERR_USE, "fault point step");
    if (check_update(ctx, g->run)) return ctx->failure.status;
    if (ls_comm_is_alone(ctx)) {
        g->stops = wants_to_stop(g, now);
        return LS_OK;
    }
    add_busy(g, ctx, phases);
    if (--g->until > 0) return LS_OK;
    ls_pulse mine = { .step_s = step_s };
    if (wants_to_stop(g, now)) mine.wishes |= LS_WISH_STOP;
    if (ctx->is_root && now - g->reported_s > g->report_every_s) mine.wishes |= LS_WISH_REPORT;
    return pulse(g, ctx, &mine);
}

/* ---- before a save --------------------------------------------------------------------------- */
ls_status ls_guard_state(ls_ctx *ctx, const ls_run *run)
{
    ls_pulses all;
    ls_pulse mine = { 0 };
    char when[40];
    check_parameters(ctx, run);
    if (ctx->failure.status || ls_comm_is_alone(ctx)) return ctx->failure.status;
    ls_tally_get(run->optim, true, &mine.start, &mine.made);
    mine.digest = digest_of(ctx, run, 0, SIZE_MAX);
    snprintf(when, sizeof when, "step %lld", (long long)ls_steps_done(run));
    return ls_comm_pulse(ctx, &mine, when, &all);
}
