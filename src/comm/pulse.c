/* pulse.c -- what ranks tell each other every few milliseconds of a run: wishes, where their time
 * goes, and a digest of what must be equal on all of them.
 *
 * One small exchange carries all three, so that a rank's wish to stop is known to all in the same
 * step, a copy that has changed is found, and a slow rank has a name. All ranks hold the same words
 * and come to the same end. Which copy is the wrong one is settled by the majority; where there is
 * none nobody can tell, and all are named. What the ranks of a node hold in common has no copies; their
 * updates keep account of it (optim/tally.c), and the account must balance.
 *
 * Called by train.
 */
#include "comm/inside.h"
#include <stdio.h>
#include <string.h>

/* ---- copies that differ ---------------------------------------------------------------------- */
static int count_equal(const ls_pulse *all, int count, int r)
{
    int same = 0;
    for (int k = 0; k < count; k++) same += all[k].digest == all[r].digest;
    return same;
}

static void name_different(ls_failure *f, const ls_pulse *all, int count, const char *when)
{
    enum { MOST_NAMED = 8 };
    int named = 0;
    char text[128] = "";
    size_t used = 0;
    for (int r = 0; r < count; r++) {
        if (2 * count_equal(all, count, r) > count || ++named > MOST_NAMED) continue;
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%d", named == 1 ? "" : ", ",
                                 r);
    }
    ls_failure_set(
        f, LS_ERR_REPLICA,
        "replicas differ at %s: rank%s %s%s; run again to go on from the newest checkpoint; where "
        "it comes again, memory of a machine may be broken",
        when, named == 1 ? "" : "s", text, named > MOST_NAMED ? " and more" : "");
}

/* ---- what ranks hold in common ----------------------------------------------------------------- */
/* The first rank of a node whose memory has changed by itself, or -1. */
static int first_changed(const ls_comm *c, const ls_pulse *all)
{
    for (int first = 0; first < c->count; first += c->node.count) {
        uint64_t balance = all[first].start;
        for (int r = first; r < first + c->node.count; r++) balance += all[r].made;
        if (balance) return first;
    }
    return -1;
}

static void name_changed(ls_failure *f, const ls_comm *c, int first, const char *when)
{
    ls_failure_set(
        f, LS_ERR_REPLICA,
        "replicas differ at %s: ranks %d to %d: the memory that they hold in common is not what "
        "they "
        "wrote; run again to go on from the newest checkpoint; where it comes again, memory of a "
        "machine may be broken",
        when, first, first + c->node.count - 1);
}

/* ---- who is slow ----------------------------------------------------------------------------- */
static double busy_s(const ls_pulse *p)
{
    double s = 0;
    for (int i = 0; i < LS_PHASES; i++) s += p->busy_s[i];
    return s;
}

/* The rank whose time is that of so many others at least, and of no more than the rest. */
static int median_without(const ls_pulse *all, int count, int without)
{
    for (int r = 0; r < count; r++) {
        int below = 0, equal = 0;
        if (r == without) continue;
        for (int k = 0; k < count; k++) {
            if (k == without) continue;
            below += busy_s(&all[k]) < busy_s(&all[r]);
            equal += busy_s(&all[k]) == busy_s(&all[r]);
        }
        if (below <= (count - 2) / 2 && below + equal > (count - 2) / 2) return r;
    }
    return without;
}

static void find_slowest(const ls_pulse *all, int count, ls_pulses *out)
{
    int slowest = 0;
    double most = 0;
    for (int r = 1; r < count; r++)
        if (busy_s(&all[r]) > busy_s(&all[slowest])) slowest = r;
    const ls_pulse *other = &all[median_without(all, count, slowest)];
    snprintf(out->slowest, sizeof out->slowest, "rank %d", slowest);
    out->factor = busy_s(other) > 0 ? busy_s(&all[slowest]) / busy_s(other) : 1;
    for (int i = 0; i < LS_PHASES; i++) {
        double more = all[slowest].busy_s[i] - other->busy_s[i];
        if (more <= most) continue;
        most = more;
        out->phase = i;
    }
}

/* ---- the exchange ---------------------------------------------------------------------------- */
static bool swap(ls_ctx *ctx, const ls_pulse *mine, ls_pulse *all)
{
    const ls_comm *c = ctx->comm;
    ls_stamp stamp = ls_comm_stamp(ctx, LS_VOTE, 1, 0, sizeof *mine);
    ls_blocks b;
    int64_t *bytes = ls_comm_take(ctx, c->count * (int64_t)sizeof *bytes);
    for (int r = 0; bytes && r < c->count; r++) bytes[r] = sizeof *mine;
    if (!all || !bytes || !ls_blocks_begin(ctx, &b, bytes)) return false;
    memcpy(b.block[c->rank], mine, sizeof *mine);
    if (!ls_blocks_exchange(ctx, &stamp, &b)) return false;
    for (int r = 0; r < c->count; r++) memcpy(&all[r], b.block[r], sizeof *mine);
    return true;
}

ls_status ls_comm_pulse(ls_ctx *ctx, const ls_pulse *mine, const char *when, ls_pulses *out)
{
    ls_comm *c = ctx->comm;
    *out = (ls_pulses){ mine->wishes, mine->step_s, .factor = 1 };
    if (ls_fault(LS_FAULT_exchange)) ls_fail(ctx, LS_ERR_IO, "fault point exchange");
    if (ls_comm_enter(ctx)) return ctx->failure.status;
    if (c->count == 1) return LS_OK;
    bool differs = false;
    ls_failure f = { 0 };
    ls_pulse *all = ls_comm_take(ctx, c->count * (int64_t)sizeof *all);
    if (!swap(ctx, mine, all)) return ls_comm_end(ctx, false);
    for (int r = 0; r < c->count; r++) {
        out->wishes |= all[r].wishes;
        if (all[r].step_s > out->step_s) out->step_s = all[r].step_s;
        differs |= all[r].digest != all[0].digest;
    }
    if (out->wishes & LS_WISH_REPORT) find_slowest(all, c->count, out);
    int changed = c->node.count > 1 ? first_changed(c, all) : -1;
    if (differs) name_different(&f, all, c->count, when);
    else if (changed >= 0) name_changed(&f, c, changed, when);
    if (ls_comm_end(ctx, true) || !f.status) return ctx->failure.status;
    ls_fail_with(ctx, &f);
    return ls_comm_agree(ctx);
}

bool ls_comm_is_alone(const ls_ctx *ctx)
{
    return ctx->comm->count == 1;
}

bool ls_comm_is_one_node(const ls_ctx *ctx)
{
    return ls_board_is_all(ctx->comm);
}

double ls_comm_waited_s(const ls_ctx *ctx)
{
    return ctx->comm->waited_s;
}
