/* plan.c -- works out what a backward does, before any of it is done.
 *
 * Each tensor that a gradient reaches gathers contributions. Those of a part are rows held here and
 * are added as they come. Those of a whole tensor are kept apart: each use of it closes its own
 * tree over the rows of all ranks (links->sums), and the roots are added in the order of the tape.
 * Trees are closed together and late: before a whole intermediate is read, and at the end for all
 * parameters. Which trees there are depends on the program alone, so every rank closes the same. Those of large
 * gradients may begin to be closed as soon as they are open (links->begin), the last layers' first, as it is in
 * backward: so what a weight's gradient needs is done before the gradient of the layer's input.
 *
 * Memory is ctx->scratch. A gradient's room is given back once the operation that made the tensor
 * has read it, and taken again by a later one; where an operation works in place it writes the
 * gradient of its input over that of its result, and so it is with the slope of an activation that is part of an
 * operation. A parameter's first contribution after
 * ls_zero_grad() is made right in its gradient.
 */
#include "grad/plan.h"
#include <string.h>

enum { MOST_PLANS = 4 }; /* of one record */
/* Of trees that are worth an exchange of their own: one has two ways of a tenth of a millisecond or so between
 * machines, in which a network of 10 Gbit/s moves a quarter of a MiB; and a model of less goes in one. */
enum { BEGIN_BYTES = 1 << 20 };

/* Free memory of ctx->scratch, in ascending order. */
typedef struct room {
    struct room *next;
    char *at;
    size_t bytes;
} room;

typedef struct planner {
    ls_ctx *ctx;
    ls_plan *plan;
    ls_deed **end;
    ls_use *open; /* trees not closed yet, newest first */
    int64_t open_count;
    int64_t made;         /* of these, so many are not begun yet, */
    size_t made_bytes;    /* of so many bytes */
    ls_deed **begin_last; /* where the newest LS_DEED_BEGIN hangs */
    room *free, *spare;
} planner;

/* ---- memory ---------------------------------------------------------------------------------- */
static void *lacking(const planner *p, size_t bytes)
{
    ls_fail_memory(p->ctx, bytes, "backward");
    return NULL;
}

/* For the plan itself, zeroed. */
static void *note(planner *p, size_t bytes)
{
    void *at = ls_arena_take(&p->plan->book, bytes);
    return at ? memset(at, 0, bytes) : lacking(p, bytes);
}

static size_t rounded(size_t bytes)
{
    return bytes ? (bytes + 63) / 64 * 64 : 64;
}

/* For gradients: the smallest room that fits, or new memory. */
static void *take(planner *p, size_t bytes)
{
    bytes = rounded(bytes);
    room **best = NULL;
    for (room **at = &p->free; *at; at = &(*at)->next)
        if ((*at)->bytes >= bytes && (!best || (*at)->bytes < (*best)->bytes)) best = at;
    if (!best) {
        void *new = ls_arena_take(&p->ctx->scratch, bytes);
        return new ? new : lacking(p, bytes);
    }
    room *r = *best;
    void *at = r->at;
    r->at += bytes;
    r->bytes -= bytes;
    if (!r->bytes) {
        *best = r->next;
        r->next = p->spare;
        p->spare = r;
    }
    return at;
}

static void join_next(planner *p, room *r)
{
    room *next = r->next;
    if (!next || r->at + r->bytes != next->at) return;
    r->bytes += next->bytes;
    r->next = next->next;
    next->next = p->spare;
    p->spare = next;
}

static void give_back(planner *p, void *memory, size_t bytes)
{
    room *r = p->spare, **at = &p->free, *before = NULL;
    if (r) p->spare = r->next;
    else if (!(r = note(p, sizeof *r))) return;
    for (; *at && (*at)->at < (char *)memory; at = &(*at)->next) before = *at;
    *r = (room){ *at, memory, rounded(bytes) };
    *at = r;
    join_next(p, r);
    if (before) join_next(p, before);
}

static size_t bytes_of(const ls_tensor *t)
{
    return (size_t)t->count * t->ctx->kernel->bytes;
}

/* ---- what a tensor gathers ------------------------------------------------------------------- */
static ls_pending *pending_of(planner *p, ls_tensor *t)
{
    ls_pending *q = t->pending;
    if (q || !(q = note(p, sizeof *q))) return q;
    q->t = t;
    t->pending = q;
    if (t->is_param) {
        q->next_param = p->plan->params;
        p->plan->params = q;
        if (!ls_tensor_grad_make(t)) return NULL;
        q->fresh = t->grad_fresh;
        q->grad = t->grad->data;
    }
    return q;
}

static ls_deed *add_deed(planner *p, ls_deed_kind kind)
{
    ls_deed *d = note(p, sizeof *d);
    if (!d) return NULL;
    d->kind = (uint8_t)kind;
    *p->end = d;
    p->end = &d->next;
    return d;
}

/* The newest trees may be closed. On every rank at the same place, whatever rows it has. */
static void begin_trees(planner *p)
{
    if (p->made_bytes < BEGIN_BYTES) return;
    ls_deed **at = p->end, *d = add_deed(p, LS_DEED_BEGIN);
    int64_t i = p->made;
    if (!d || !(d->closing.sum = note(p, (size_t)i * sizeof *d->closing.sum))) return;
    d->closing.count = i;
    for (ls_use *u = p->open; i > 0; u = u->open_next) d->closing.sum[--i] = &u->sum;
    p->made = 0;
    p->made_bytes = 0;
    p->begin_last = at;
}

/* Some are left for the end: a rank that fails up to there fails in this call on all of them. */
static void leave_last(planner *p)
{
    if (p->made || !p->begin_last || !p->open_count) return;
    ls_deed *d = *p->begin_last;
    *p->begin_last = d->next;
    if (p->end == &d->next) p->end = p->begin_last;
}

/* The open trees are closed: in the order in which they were opened. */
static bool close_trees(planner *p, ls_closing *c)
{
    int64_t count = p->open_count, i = count;
    if (!count) return true;
    *c = (ls_closing){ count, note(p, (size_t)count * sizeof *c->sum),
                       note(p, (size_t)count * sizeof *c->of) };
    if (!c->sum || !c->of) return false;
    p->made = 0;
    p->made_bytes = 0;
    for (ls_use *u = p->open; u; u = u->open_next) {
        c->sum[--i] = &u->sum;
        c->of[i] = u->of;
        u->is_open = false;
        for (int k = 0; k < u->pieces; k++)
            if (u->sum.piece[k] != u->value) give_back(p, u->sum.piece[k], bytes_of(u->of));
    }
    p->open = NULL;
    p->open_count = 0;
    return true;
}

static bool has_open_tree(const ls_pending *q)
{
    for (const ls_use *u = q->uses; u; u = u->later)
        if (u->is_open) return true;
    return false;
}

/* The gradient that t has gathered, once the deeds so far are done. */
static void *gathered(planner *p, const ls_pending *q)
{
    if (q->t->is_part) return q->rows;
    if (has_open_tree(q)) {
        ls_deed *d = add_deed(p, LS_DEED_CLOSE);
        if (!d || !close_trees(p, &d->closing)) return NULL;
    }
    void *value = q->uses->value;
    for (const ls_use *u = q->uses->later; u; u = u->later) {
        ls_deed *d = add_deed(p, LS_DEED_ADD); /* of two, the order is no matter */
        if (!d) return NULL;
        d->count = q->t->count;
        d->dx[0] = u->value;
        d->g = value;
        give_back(p, value, bytes_of(q->t));
        value = u->value;
    }
    return value;
}

/* ---- one operation --------------------------------------------------------------------------- */
static unsigned asked(const ls_record *r, bool parts)
{
    unsigned mask = 0;
    for (int i = 0; i < r->n_in; i++)
        if (r->in[i] && r->in[i]->requires_grad && r->in[i]->is_part == parts) mask |= 1u << i;
    return mask;
}

static ls_deed *plan_call(planner *p, ls_deed_kind kind, ls_record *r, int i, bool first)
{
    ls_deed *d = add_deed(p, kind);
    if (!d) return NULL;
    d->r = r;
    d->input = (uint8_t)i;
    d->stores = (uint8_t)(first << i);
    d->clears = first && !(r->op->flags & LS_OP_STORES);
    d->count = r->in[i]->count;
    return d;
}

/* g may become the gradient of the only input that asks for one. */
static bool works_in_place(const ls_record *r)
{
    unsigned mask = asked(r, true) | asked(r, false);
    return r->op->flags & LS_OP_IN_PLACE && mask == 1 && r->in[0]->count == r->out->count &&
           r->in[0]->is_part == r->out->is_part;
}

/* Gradients of the parts among the inputs: one call over the rows held here, or one each where one
 * tensor stands at two places. */
static bool plan_parts(planner *p, ls_record *r, void *g)
{
    bool in_place = false;
    for (int i = 0; i < r->n_in; i++) {
        if (!(asked(r, true) >> i & 1)) continue;
        ls_pending *q = pending_of(p, r->in[i]);
        if (!q) return false;
        bool first = !q->rows;
        q->only = NULL;
        in_place = first && works_in_place(r);
        if (first && !(q->rows = in_place ? g : take(p, bytes_of(q->t)))) return false;
        if (q->t->rows.to <= q->t->rows.from) continue;
        ls_deed *d = plan_call(p, LS_DEED_CALL, r, i, first);
        if (!d) return false;
        d->g = g;
        d->dx[i] = q->rows;
        if (first && i == 0 && r->op->flags & LS_OP_SLOPES) q->only = d;
    }
    return in_place;
}

/* A run of leaves of a whole input's gradient: one call where the operation closes the tree itself
 * or there is nothing to add, else one a leaf. */
static void plan_piece(planner *p, ls_record *r, int i, ls_range leaves, const void *g, void *value,
                       const ls_use *u)
{
    const ls_ctx *ctx = p->ctx;
    bool by_leaves = !(r->op->flags & LS_OP_LEAVES) && leaves.to - leaves.from > 1;
    ls_range rows = ls_leaf_rows(r->batch, ctx->opts.leaf_rows, leaves), own = ls_record_rows(r);
    bool all = rows.from == own.from && rows.to == own.to;
    ls_deed *d = plan_call(p,
                           by_leaves ? LS_DEED_LEAVES
                           : all     ? LS_DEED_CALL
                                     : LS_DEED_ROWS,
                           r, i, true);
    if (!d) return;
    d->g = g;
    d->dx[i] = value;
    d->use = u;
    d->is_tree = r->op->flags & LS_OP_LEAVES;
    d->range = by_leaves ? leaves : rows;
    if (!by_leaves) return;
    size_t bytes = ls_tree_bytes(ctx, d->count) *
                   (size_t)(ls_tree_levels(leaves.to - leaves.from) - 1);
    d->levels = take(p, bytes);
    if (d->levels) give_back(p, d->levels, bytes);
}

/* The pieces held here of a whole input's gradient, as a tree to be closed. */
static void open_tree(planner *p, ls_record *r, int i, const void *g, ls_use *u)
{
    ls_range run[LS_MAX_PIECES];
    int count = ls_part_pieces(p->ctx, r->batch, run);
    void **piece = note(p, (size_t)(count ? count : 1) * sizeof *piece);
    for (int k = 0; piece && k < count; k++) {
        piece[k] = k ? take(p, bytes_of(r->in[i])) : u->value;
        if (!piece[k]) return;
        plan_piece(p, r, i, run[k], g, piece[k], u);
    }
    u->sum = (ls_row_sum){ .rows = r->batch,
                           .count = r->in[i]->count,
                           .dtype = r->in[i]->dtype,
                           .piece = piece,
                           .root = u->value };
    u->pieces = count;
    u->is_open = true;
    u->open_next = p->open;
    p->open = u;
    p->open_count++;
    p->made++;
    p->made_bytes += bytes_of(u->of);
}

/* Whether the sum may be left as its factors: nothing but the gradient of a parameter. */
static bool is_product(const ls_record *r, int i, const ls_pending *q, const ls_use *u)
{
    ls_factors f;
    return q->t->is_param && u->value == q->grad && r->op->factors &&
           r->op->factors(&r->node, i, NULL, &f);
}

/* Where a use of whole t makes its contribution; the gradient itself where it is free. */
static void *use_room(planner *p, const ls_pending *q, void *g)
{
    if (q->t->is_param && q->fresh && !q->uses) return q->grad;
    return g ? g : take(p, bytes_of(q->t));
}

static bool plan_wholes(planner *p, ls_record *r, void *g)
{
    bool in_place = false;
    for (int i = r->n_in - 1; i >= 0; i--) { /* the list of uses then runs in the order of inputs */
        if (!(asked(r, false) >> i & 1)) continue;
        ls_pending *q = pending_of(p, r->in[i]);
        ls_use *u = q ? note(p, sizeof *u) : NULL;
        void *over = r->batch < 0 && works_in_place(r) ? g : NULL;
        if (!u || !(u->value = use_room(p, q, over))) return false;
        in_place = u->value == g;
        u->of = r->in[i];
        if (r->batch >= 0) {
            open_tree(p, r, i, g, u);
            u->is_product = is_product(r, i, q, u);
        } else {
            ls_deed *d = plan_call(p, LS_DEED_CALL, r, i, true);
            if (!d) return false;
            d->g = g;
            d->dx[i] = u->value;
        }
        u->later = q->uses;
        q->uses = u;
    }
    return in_place;
}

/* g, gathered by q, becomes what backward() takes: in the deed that makes it, if there is one alone and
 * it is not kept; else in place. */
static void plan_slope(planner *p, ls_record *r, const ls_pending *q, void *g)
{
    if (!r->op->activation) return;
    if (q->only && !r->out->retains_grad) {
        q->only->slope = r->op->activation;
        return;
    }
    ls_deed *d = add_deed(p, LS_DEED_SLOPE);
    if (!d) return;
    d->r = r;
    d->dx[0] = g;
}

static void plan_record(planner *p, ls_record *r)
{
    const ls_pending *q = r->out->pending;
    void *g = q ? gathered(p, q) : NULL;
    r->out->pending = NULL;
    if (!g) return;
    if (r->out->retains_grad) {
        ls_deed *d = add_deed(p, LS_DEED_KEEP);
        if (!d) return;
        d->r = r;
        d->g = g;
    }
    plan_slope(p, r, q, g);
    bool in_place = plan_wholes(p, r, g);
    if (p->ctx->failure.status) return;
    begin_trees(p);
    in_place = plan_parts(p, r, g) || in_place;
    if (!in_place) give_back(p, g, bytes_of(q->t));
}

/* ---- the whole ------------------------------------------------------------------------------- */
/* Marks what is reachable from r and counts it; -1 where it was used up. */
static int64_t reach(ls_ctx *ctx, ls_record *r)
{
    uint64_t visit = ++ctx->tape->visits;
    int64_t count = 0;
    r->visit = visit;
    r->next = NULL;
    for (ls_record *at = r; at; count++) {
        ls_record *rest = at->next;
        if (at->used) return -1;
        for (int i = 0; i < at->n_in; i++) {
            ls_record *q = at->in[i] ? at->in[i]->record : NULL;
            if (!q || q->visit == visit) continue;
            q->visit = visit;
            q->next = rest;
            rest = q;
        }
        at = rest;
    }
    return count;
}

static void plan_all(planner *p, ls_tensor *out, int64_t count)
{
    ls_plan *plan = p->plan;
    ls_record *r = out->record;
    uint64_t visit = p->ctx->tape->visits;
    plan->reached = note(p, (size_t)count * sizeof *plan->reached);
    plan->keeps = note(p, (size_t)count * sizeof *plan->keeps);
    plan->seed = take(p, bytes_of(out));
    ls_pending *q = pending_of(p, out);
    if (q && out->is_part) q->rows = plan->seed;
    else if (q && (q->uses = note(p, sizeof *q->uses))) {
        q->uses->value = plan->seed;
        q->uses->of = out;
    }
    for (; r && plan->reached_count < count && !p->ctx->failure.status; r = r->before)
        if (r->visit == visit) {
            plan->keeps[plan->reached_count] = r->out->retains_grad;
            plan->reached[plan->reached_count++] = r;
            plan_record(p, r);
        }
    leave_last(p);
    if (!p->ctx->failure.status) close_trees(p, &plan->last);
    for (q = plan->params; q; q = q->next_param) q->t->pending = NULL;
    for (r = p->ctx->failure.status ? out->record : NULL; r; r = r->before)
        if (r->visit == visit) r->out->pending = NULL;
}

static ls_plan *new_plan(ls_ctx *ctx)
{
    ls_plan *p = ctx->tape->plans;
    while (p && p->of) p = p->next;
    if (p) {
        ls_arena book = p->book;
        ls_arena_reset(&book);
        *p = (ls_plan){ .next = p->next, .book = book };
        return p;
    }
    if (!(p = ls_new(ctx, sizeof *p, "the plan of a backward"))) return NULL;
    p->next = ctx->tape->plans;
    return ctx->tape->plans = p;
}

static bool still_holds(const ls_ctx *ctx, const ls_plan *p)
{
    if (p->from != ctx->scratch.at || p->to > ctx->scratch.end || p->number != ctx->scratch.number)
        return false;
    for (int64_t i = 0; i < p->reached_count; i++)
        if (p->reached[i]->used || p->reached[i]->out->retains_grad != p->keeps[i]) return false;
    for (const ls_pending *q = p->params; q;
         q = q->next_param) /* none yet: made as for a new plan */
        if (!ls_tensor_grad_make(q->t) || q->t->grad_fresh != q->fresh ||
            q->t->grad->data != q->grad)
            return false;
    return true;
}

ls_plan *ls_plan_for(ls_ctx *ctx, ls_tensor *out)
{
    ls_record *last = out->record;
    int count = 0;
    ls_arena_take(&ctx->scratch, 0); /* there is a block from the first backward on */
    for (ls_plan **at = &last->plans; *at;) {
        ls_plan *p = *at;
        if (still_holds(ctx, p)) {
            ctx->scratch.at = p->to;
            return p;
        }
        if (p->number == ctx->scratch.number && ++count < MOST_PLANS) at = &p->other;
        else {
            p->of = NULL;
            *at = p->other;
        }
    }
    int64_t reached = reach(ctx, last);
    if (reached < 0) {
        ls_fail(ctx, LS_ERR_USE,
                "ls_backward: trying to backward through the graph a second time, whose values are "
                "given up after the first: compute the loss anew in each step, or set retain_graph "
                "in ls_backward_with()");
        return NULL;
    }
    planner p = { .ctx = ctx, .plan = new_plan(ctx) };
    if (!p.plan) return NULL;
    p.end = &p.plan->first;
    p.plan->from = ctx->scratch.at;
    plan_all(&p, out, reached);
    if (ctx->failure.status) return NULL;
    p.plan->to = ctx->scratch.at;
    p.plan->number = ctx->scratch.number;
    if (last->result.in_step) { /* other results are used up for good */
        p.plan->of = last;
        p.plan->other = last->plans;
        last->plans = p.plan;
    }
    return p.plan;
}

void ls_plans_end(ls_tape *tape)
{
    for (ls_plan *p = tape->plans, *next; p; p = next) {
        next = p->next;
        ls_arena_free(&p->book);
        ls_memory_free(p);
    }
}
