/* backward.c -- gradients in reverse order of the tape.
 *
 * Each tensor that a gradient reaches gathers contributions. Those of a part are rows held here and
 * are added as they come. Those of a whole tensor are kept apart: each use of it closes its own
 * tree over the rows of all ranks (links->sums), and the roots are added in the order of the tape.
 * Trees are closed together and late: before a whole intermediate is read, and at the end for all
 * parameters. Which trees there are depends on the program alone, so every rank closes the same.
 *
 * A parameter's first contribution after ls_zero_grad() is made right in its gradient; all other
 * memory is ctx->scratch and ends with the call.
 */
#include "grad/grad.h"
#include <string.h>

/* One use of a whole tensor. value: the root, once its tree is closed. */
typedef struct contribution {
    struct contribution *later_use; /* on the tape; the list runs from the first use on */
    struct contribution *open_next;
    bool is_open; /* its tree is not closed yet */
    ls_tensor *of;
    ls_row_sum sum;
    void *value;
} contribution;

/* What a tensor has gathered in this backward. */
typedef struct pending {
    ls_tensor *t;
    void *rows;         /* of a part */
    contribution *uses; /* of a whole tensor, the earliest on the tape first */
    struct pending *next_param;
} pending;

typedef struct backward {
    ls_ctx *ctx;
    pending *params;
    contribution *open; /* trees not closed yet, newest first */
    int64_t open_count;
} backward;

static void *take(backward *b, size_t bytes)
{
    void *p = ls_arena_take(&b->ctx->scratch, bytes ? bytes : 1);
    if (!p) ls_fail(b->ctx, LS_ERR_MEMORY, "no memory: backward needs %zu more bytes", bytes);
    return p;
}

static void *take_zeroed(backward *b, size_t bytes)
{
    void *p = take(b, bytes);
    return p ? memset(p, 0, bytes) : NULL;
}

static size_t bytes_of(const ls_tensor *t)
{
    return (size_t)t->count * t->ctx->kernel->bytes;
}

static pending *pending_of(backward *b, ls_tensor *t)
{
    pending *p = t->pending;
    if (p) return p;
    if (!(p = take_zeroed(b, sizeof *p))) return NULL;
    p->t = t;
    t->pending = p;
    if (t->is_param) {
        if (!ls_tensor_grad_make(t)) return NULL;
        p->next_param = b->params;
        b->params = p;
    }
    return p;
}

/* Where a new contribution to whole t is to be made; the gradient itself where it is free. */
static void *contribution_room(backward *b, const pending *p)
{
    bool in_place = p->t->is_param && p->t->grad_fresh && !p->uses;
    return in_place ? p->t->grad->data : take(b, bytes_of(p->t));
}

/* ---- closing trees --------------------------------------------------------------------------- */
/* The open trees, in the order in which they were opened, and what they are gradients of. */
static ls_row_sum **take_open(backward *b, ls_tensor ***of)
{
    int64_t count = b->open_count, i = count;
    ls_row_sum **all = take(b, (size_t)count * sizeof *all);
    *of = all ? take(b, (size_t)count * sizeof **of) : NULL;
    if (!*of) return NULL;
    for (contribution *c = b->open; c; c = c->open_next) {
        all[--i] = &c->sum;
        (*of)[i] = c->of;
        c->is_open = false;
    }
    b->open = NULL;
    b->open_count = 0;
    return all;
}

static ls_status close_trees(backward *b)
{
    ls_ctx *ctx = b->ctx;
    ls_tensor **of;
    int64_t count = b->open_count;
    if (!count) return ctx->failure.status;
    ls_row_sum **all = take_open(b, &of);
    return all ? ctx->links->sums(ctx, all, count) : ls_agree(ctx);
}

static bool has_open_tree(const pending *p)
{
    for (const contribution *c = p->uses; c; c = c->later_use)
        if (c->is_open) return true;
    return false;
}

/* The gradient that t has gathered; its trees are closed. */
static void *gathered(backward *b, const pending *p)
{
    if (p->t->is_part) return p->rows;
    contribution *c = p->uses;
    void *value = c->value;
    for (c = c->later_use; c; c = c->later_use) {
        b->ctx->kernel->add(p->t->count, c->value, value); /* of two, the order is no matter */
        value = c->value;
    }
    return value;
}

/* ---- one operation --------------------------------------------------------------------------- */
/* Calls op->backward() for rows of the batch; dx[i] NULL: not asked. */
static void call(backward *b, const ls_record *r, ls_range rows, const void *g, void *const dx[],
                 unsigned stores, int64_t leaf_rows)
{
    ls_node n = { 0 };
    ls_node_fill(&n, r, rows);
    n.leaf_rows = leaf_rows;
    n.stores = stores;
    if (r->out->is_part)
        g = (const char *)g +
            (size_t)((rows.from - r->out->rows.from) * ls_tensor_row_count(r->out)) *
                b->ctx->kernel->bytes;
    if (!(r->op->flags & LS_OP_STORES))
        for (int i = 0; i < r->n_in; i++)
            if (dx[i] && stores >> i & 1)
                memset(dx[i], 0, (size_t)n.in[i].count * b->ctx->kernel->bytes);
    r->op->backward(&n, g, dx);
}

static unsigned asked(const ls_record *r, bool parts)
{
    unsigned mask = 0;
    for (int i = 0; i < r->n_in; i++)
        if (r->in[i] && r->in[i]->requires_grad && r->in[i]->is_part == parts) mask |= 1u << i;
    return mask;
}

/* Gradients of the parts among the inputs: one call over the rows held here, or one each where one
 * tensor stands at two places. */
static void backward_parts(backward *b, const ls_record *r, const void *g)
{
    for (int i = 0; i < r->n_in; i++) {
        if (!(asked(r, true) >> i & 1)) continue;
        pending *p = pending_of(b, r->in[i]);
        if (!p) return;
        bool first = !p->rows;
        if (first && !(p->rows = take(b, bytes_of(p->t)))) return;
        void *dx[LS_MAX_IN] = { 0 };
        dx[i] = p->rows;
        if (p->t->rows.to > p->t->rows.from) call(b, r, p->t->rows, g, dx, first ? 1u << i : 0, 0);
    }
}

/* Each leaf of a piece in one call, added in the tree here. */
static void *piece_by_leaves(backward *b, const ls_record *r, int i, ls_range leaves, const void *g)
{
    ls_tree_sum tree;
    ls_ctx *ctx = b->ctx;
    if (!ls_tree_begin(ctx, &tree, r->in[i]->count, leaves.to - leaves.from)) return NULL;
    for (int64_t l = leaves.from; l < leaves.to; l++) {
        void *dx[LS_MAX_IN] = { 0 };
        dx[i] = ls_tree_leaf(&tree);
        call(b, r, ls_leaf_rows(ls_record_batch(r), ctx->opts.leaf_rows, (ls_range){ l, l + 1 }), g,
             dx, 1u << i, 0);
        ls_tree_add(ctx, &tree);
    }
    return ls_tree_end(ctx, &tree);
}

/* The pieces held here of a whole input's gradient, as a tree to be closed. */
static void open_tree(backward *b, const ls_record *r, int i, const void *g, contribution *c)
{
    ls_ctx *ctx = b->ctx;
    int64_t batch = ls_record_batch(r), leaf_rows = ctx->opts.leaf_rows;
    ls_range run[LS_MAX_PIECES];
    int count = ls_part_pieces(ctx, batch, run);
    void **piece = take(b, (size_t)count * sizeof *piece);
    for (int k = 0; piece && k < count; k++) {
        if (!(r->op->flags & LS_OP_LEAVES)) {
            if (!(piece[k] = piece_by_leaves(b, r, i, run[k], g))) return;
            continue;
        }
        void *dx[LS_MAX_IN] = { 0 };
        dx[i] = piece[k] = k ? take(b, bytes_of(r->in[i])) : c->value;
        if (!dx[i]) return;
        call(b, r, ls_leaf_rows(batch, leaf_rows, run[k]), g, dx, 1u << i, leaf_rows);
    }
    c->sum = (ls_row_sum){ batch, r->in[i]->count, r->in[i]->dtype, piece, c->value };
    c->is_open = true;
    c->of = r->in[i];
    c->open_next = b->open;
    b->open = c;
    b->open_count++;
}

static void backward_wholes(backward *b, const ls_record *r, const void *g)
{
    for (int i = r->n_in - 1; i >= 0; i--) { /* the list of uses then runs in the order of inputs */
        if (!(asked(r, false) >> i & 1)) continue;
        pending *p = pending_of(b, r->in[i]);
        contribution *c = p ? take_zeroed(b, sizeof *c) : NULL;
        if (!c || !(c->value = contribution_room(b, p))) return;
        if (ls_record_batch(r) >= 0) open_tree(b, r, i, g, c);
        else {
            void *dx[LS_MAX_IN] = { 0 };
            dx[i] = c->value;
            call(b, r, r->in[0]->rows, g, dx, 1u << i, 0);
        }
        c->later_use = p->uses;
        p->uses = c;
    }
}

static ls_status backward_record(backward *b, ls_record *r)
{
    pending *p = r->out->pending;
    r->used = true;
    if (!p) return LS_OK;
    if (has_open_tree(p) && close_trees(b)) return b->ctx->failure.status;
    const void *g = gathered(b, p);
    r->out->pending = NULL;
    backward_parts(b, r, g);
    backward_wholes(b, r, g);
    return b->ctx->failure.status;
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

/* Adds what the parameters have gathered to their gradients. */
static void settle_params(backward *b)
{
    for (pending *p = b->params; p; p = p->next_param) {
        void *grad = p->t->grad->data, *value = gathered(b, p);
        if (!p->t->grad_fresh) b->ctx->kernel->add(p->t->count, grad, value);
        else if (value != grad) memcpy(grad, value, bytes_of(p->t));
        p->t->grad_fresh = false;
    }
}

/* Whether the update that was offered can be made while trees are closed: every parameter's gradient
 * is one open tree and nothing else. */
static bool may_update(const backward *b)
{
    int64_t count = 0;
    for (const pending *p = b->params; p; p = p->next_param, count++)
        if (!p->t->grad_fresh || !p->uses || p->uses->later_use || !p->uses->is_open) return false;
    return b->ctx->update && count > 0 && count == b->open_count;
}

typedef struct taking {
    const ls_update *update;
    ls_tensor **param;
} taking;

static void take_slice(void *of, int64_t sum, ls_range elements, const void *value)
{
    const taking *t = of;
    t->update->slice(t->update->of, t->param[sum], elements, value);
}

/* Closes the trees of all parameters, and each slice of a sum goes into the update. */
static ls_status update_params(backward *b)
{
    ls_ctx *ctx = b->ctx;
    ls_update *u = ctx->update;
    taking t = { .update = u };
    int64_t count = b->open_count;
    ls_row_sum **all = take_open(b, &t.param);
    if (!all) return ls_agree(ctx);
    u->made = true;
    return ctx->links->update(ctx, all, count, u->common, take_slice, &t);
}

static void forget(backward *b, ls_record *last, uint64_t visit)
{
    for (pending *p = b->params; p; p = p->next_param) p->t->pending = NULL;
    for (ls_record *r = last; r; r = r->before)
        if (r->visit == visit) r->out->pending = NULL;
    ls_arena_reset(&b->ctx->scratch);
}

ls_status ls_backward_from(ls_ctx *ctx, ls_tensor *out, const void *g)
{
    backward b = { .ctx = ctx };
    ls_record *last = out->record;
    int64_t count = reach(ctx, last);
    uint64_t visit = ctx->tape->visits;
    if (count < 0)
        ls_fail(ctx, LS_ERR_USE,
                "ls_backward: trying to backward through the graph a second time; compute "
                "the loss anew in each step");
    pending *p = ctx->failure.status ? NULL : pending_of(&b, out);
    if (p && out->is_part) p->rows = (void *)(uintptr_t)g; /* only read */
    else if (p && (p->uses = take_zeroed(&b, sizeof *p->uses)) &&
             (p->uses->value = take(&b, bytes_of(out))))
        memcpy(p->uses->value, g, bytes_of(out));
    for (ls_record *r = last; r && count > 0 && !ctx->failure.status; r = r->before)
        if (r->visit == visit) {
            backward_record(&b, r);
            count--;
        }
    if (ctx->update) ctx->update->begin_s = ls_clock_s();
    bool updates = may_update(&b);
    if (ctx->failure.status || (updates ? update_params(&b) : close_trees(&b))) {
        forget(&b, last, visit);
        return ls_agree(ctx);
    }
    if (!updates) settle_params(&b);
    forget(&b, NULL, visit);
    return LS_OK;
}

ls_status ls_backward(ls_ctx *ctx, ls_tensor *loss)
{
    if (!ls_enter(ctx, "ls_backward")) return ls_agree(ctx);
    if (!ls_tensor_usable(loss, "ls_backward")) return ls_agree(ctx);
    if (loss->is_part || loss->count != 1)
        ls_fail(ctx, LS_ERR_SHAPE,
                "ls_backward: the gradient starts from one element, but the loss has shape %s; "
                "ls_mean() or ls_sum() make one",
                ls_shape_str(loss->shape).text);
    else if (!loss->requires_grad)
        ls_fail(ctx, LS_ERR_USE,
                "ls_backward: the loss does not depend on a tensor that requires gradients");
    if (ctx->failure.status) return ls_agree(ctx);

    union {
        float f;
        double d;
    } one;
    ctx->kernel->fill(1, 1, &one);
    if (loss->record) return ls_backward_from(ctx, loss, &one);
    ls_tensor *grad = ls_tensor_grad_make(loss); /* the loss is a parameter itself */
    if (!grad) return ls_agree(ctx);
    ls_tensor_grad(loss);
    ctx->kernel->add(1, grad->data, &one);
    loss->grad_fresh = false;
    return LS_OK;
}
