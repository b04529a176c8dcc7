/* backward.c -- carries out a backward: the deeds of its plan (plan.c), and what its parameters have
 * gathered into their gradients.
 *
 * Nothing is looked up here: a plan that was made in an earlier step is carried out again at the
 * same addresses. All memory but that of parameters' gradients is ctx->scratch and ends with the
 * call.
 */
#include "grad/plan.h"
#include <string.h>

/* ---- deeds ----------------------------------------------------------------------------------- */
static void clear(const ls_deed *d, const ls_node *n)
{
    memset(d->dx[d->input], 0, (size_t)n->in[d->input].count * n->ctx->kernel->bytes);
}

/* g for these rows of the result. */
static const void *g_of_rows(const ls_deed *d, ls_range rows)
{
    const ls_tensor *out = d->r->out;
    int64_t at = out->is_part ? (rows.from - out->rows.from) * ls_tensor_row_count(out) : 0;
    return (const char *)d->g + (size_t)at * out->ctx->kernel->bytes;
}

static void call_rows(ls_ctx *ctx, const ls_deed *d)
{
    ls_node n = d->r->node;
    ls_node_rows(&n, d->r, d->range);
    n.stores = d->stores;
    n.slope = d->slope;
    n.leaf_rows = d->is_tree ? ctx->opts.leaf_rows : 0;
    if (d->clears) clear(d, &n);
    d->r->op->backward(&n, g_of_rows(d, d->range), d->dx);
}

/* Each leaf in one call, added in the tree here. */
static void call_leaves(ls_ctx *ctx, const ls_deed *d)
{
    const ls_record *r = d->r;
    ls_tree_sum tree;
    size_t bytes = ls_tree_bytes(ctx, d->count);
    int levels = ls_tree_levels(d->range.to - d->range.from);
    tree = (ls_tree_sum){ .count = d->count, .level[0] = d->dx[d->input] };
    for (int i = 1; i < levels; i++) tree.level[i] = d->levels + bytes * (size_t)(i - 1);
    ls_node n = r->node;
    n.stores = d->stores;
    n.slope = d->slope;
    for (int64_t l = d->range.from; l < d->range.to; l++) {
        void *dx[LS_MAX_IN] = { 0 };
        ls_range rows = ls_leaf_rows(r->batch, ctx->opts.leaf_rows, (ls_range){ l, l + 1 });
        dx[d->input] = ls_tree_leaf(&tree);
        ls_node_rows(&n, r, rows);
        if (d->clears) memset(dx[d->input], 0, (size_t)d->count * ctx->kernel->bytes);
        r->op->backward(&n, g_of_rows(d, rows), dx);
        ls_tree_add(ctx, &tree);
    }
    ls_tree_end(ctx, &tree);
}

/* Added to what earlier backwards have left. */
static void keep(const ls_deed *d)
{
    ls_tensor *t = d->r->out;
    if (t->has_grad && !t->grad_fresh) t->ctx->kernel->add(t->count, t->grad->data, d->g);
    else memcpy(t->grad->data, d->g, (size_t)t->count * t->ctx->kernel->bytes);
    t->has_grad = true;
    t->grad_fresh = false;
    ls_tensor_grad_wrote(t);
}

static void take_slope(const ls_deed *d)
{
    const ls_node *n = &d->r->node;
    n->ctx->kernel->unary_back((ls_unary)*d->r->op->activation, 0, n->out.count, n->out.data,
                               n->out.data, d->dx[0], d->dx[0], false);
}

/* Instead of a piece: the factors of the rows held here, once for all of them. */
static void pack_factors(ls_ctx *ctx, const ls_deed *d)
{
    const ls_row_sum *sum = &d->use->sum;
    const ls_range rows = ls_record_rows(d->r);
    ls_factors f;
    if (d->dx[d->input] != d->use->value) return;
    d->r->op->factors(&d->r->node, d->input, d->g, &f);
    ctx->kernel->outer_pack(rows.to - rows.from, sum->m, sum->count / sum->m, f.left, f.right,
                            sum->root);
}

static ls_status close_trees(ls_ctx *ctx, const ls_closing *c)
{
    return c->count ? ctx->links->sums(ctx, c->sum, c->count) : ctx->failure.status;
}

static void carry_out(ls_ctx *ctx, const ls_plan *p)
{
    bool is_under_way = false;
    for (const ls_deed *d = p->first; d && !ctx->failure.status; d = d->next) {
        if (is_under_way) is_under_way = ctx->links->progress(ctx);
        if (d->use && d->use->sum.m) {
            pack_factors(ctx, d);
            continue;
        }
        switch ((ls_deed_kind)d->kind) {
        case LS_DEED_CALL: {
            ls_node *n = &d->r->node;
            n->stores = d->stores;
            n->slope = d->slope;
            n->leaf_rows = d->is_tree ? ctx->opts.leaf_rows : 0;
            if (d->clears) clear(d, n);
            d->r->op->backward(n, d->g, d->dx);
            break;
        }
        case LS_DEED_ROWS:
            call_rows(ctx, d);
            break;
        case LS_DEED_LEAVES:
            call_leaves(ctx, d);
            break;
        case LS_DEED_ADD:
            ctx->kernel->add(d->count, d->dx[0], d->g);
            break;
        case LS_DEED_KEEP:
            keep(d);
            break;
        case LS_DEED_SLOPE:
            take_slope(d);
            break;
        case LS_DEED_BEGIN:
            is_under_way = ctx->links->begin(ctx, d->closing.sum, d->closing.count);
            break;
        case LS_DEED_CLOSE:
            close_trees(ctx, &d->closing);
            break;
        }
    }
}

/* ---- parameters ------------------------------------------------------------------------------ */
/* Adds what the parameters have gathered to their gradients. */
static void settle_params(ls_ctx *ctx, const ls_plan *p)
{
    for (const ls_pending *q = p->params; q; q = q->next_param) {
        int64_t count = q->t->count;
        void *grad = q->t->grad->data, *value = q->uses->value;
        for (const ls_use *u = q->uses->later; u; u = u->later) {
            ctx->kernel->add(count, u->value, value); /* of two, the order is no matter */
            value = u->value;
        }
        if (!q->t->grad_fresh) ctx->kernel->add(count, grad, value);
        else if (value != grad) memcpy(grad, value, (size_t)count * ctx->kernel->bytes);
        q->t->grad_fresh = false;
        ls_tensor_grad_wrote(q->t);
    }
}

/* Whether the update that was offered can be made while trees are closed: it takes every parameter's
 * gradient, which is one open tree and nothing else, and nobody waits for it. */
static bool may_update(const ls_ctx *ctx, const ls_plan *p)
{
    int64_t count = 0;
    if (!ctx->update || ctx->failure.status || !p) return false;
    for (const ls_pending *q = p->params; q; q = q->next_param, count++)
        if (!q->t->grad_fresh || !q->uses || q->uses->later || q->uses->sum.rows <= 0 ||
            q->t->hooks || !ctx->update->takes(ctx->update->of, q->t))
            return false;
    return count > 0 && count == p->last.count;
}

/* Products that are better made by the update itself, of the factors of all rows: a rank then makes and updates
 * its slice of them, and no gradient goes through memory. The factors must have room where it would lie. */
static void choose_products(ls_ctx *ctx, const ls_plan *p, bool updates)
{
    const ls_kernel *k = ctx->kernel;
    for (const ls_pending *q = p->params; q; q = q->next_param) {
        ls_use *u = q->uses;
        if (!u || !u->is_product) continue;
        const int64_t m = q->t->shape.dim[0], n = q->t->count / m;
        const int64_t rows = updates && k->packed
                                 ? ctx->links->factor_rows(ctx, &u->sum, ctx->update->common)
                                 : 0;
        u->sum.m = rows && k->packed(rows, m, n) <= q->t->count ? m : 0;
        if (u->sum.m) ctx->update->writes(ctx->update->of, q->t, u->sum.soon);
    }
}

typedef struct taking {
    const ls_update *update;
    ls_tensor *const *param;
} taking;

static void take_slice(void *of, int64_t sum, ls_range elements, const void *value)
{
    const taking *t = of;
    t->update->slice(t->update->of, t->param[sum], elements, value);
}

/* Closes the trees of all parameters, and each slice of a sum goes into the update. */
static ls_status update_params(ls_ctx *ctx, const ls_plan *p)
{
    ls_update *u = ctx->update;
    taking t = { .update = u, .param = p->last.of };
    u->made = true;
    return ctx->links->update(ctx, p->last.sum, p->last.count, u->common, take_slice, &t);
}

/* ---- the whole ------------------------------------------------------------------------------- */
static void call_hooks(ls_ctx *ctx, ls_tensor *t)
{
    ctx->tape->in_hooks = true;
    for (const ls_hook *h = t->hooks, *next; h && !ctx->failure.status; h = next) {
        next = h->next; /* a hook may remove itself */
        h->f(h->self, t, ls_tensor_grad_show(t));
    }
    ctx->tape->in_hooks = false;
}

/* ---- values that were changed ---------------------------------------------------------------- */
static bool reads_input(const ls_record *r, int i)
{
    unsigned saves = r->op->saves;
    if (!(saves >> i & 1)) return false;
    bool for_others = saves & ((unsigned)LS_SAVE_FOR_OTHERS << i);
    for (int k = 0; for_others && k < r->n_in; k++)
        if (k != i && r->in[k] && r->in[k]->requires_grad) return true;
    return !for_others;
}

static bool is_as_it_was(const ls_record *r, const ls_tensor *t, bool is_read, const char *what)
{
    const ls_tensor *base = t->base ? t->base : t;
    ls_ctx *ctx = r->out->ctx;
    if (base->written <= r->call) return true;
    if (base->step == LS_FREED) {
        if (is_read || base->requires_grad)
            ls_fail(ctx, LS_ERR_USE,
                    "ls_backward: the %s of %s, %s %s, was freed by ls_tensor_free() before", what,
                    r->op->name, ls_dtype_name(t->dtype), ls_shape_str(t->shape).text);
    } else if (is_read)
        ls_fail(
            ctx, LS_ERR_USE,
            "ls_backward: one of the variables needed for gradient computation has been "
            "modified by an "
            "inplace operation: the %s of %s, %s %s; change it after backward, or an ls_clone() "
            "of it",
            what, r->op->name, ls_dtype_name(t->dtype), ls_shape_str(t->shape).text);
    return !ctx->failure.status;
}

/* Whether everything that the plan reads is as it was in forward. */
static bool values_stand(const ls_plan *p)
{
    static const char *const input[LS_MAX_IN] = { "first input", "second input", "third input",
                                                  "fourth input" };
    for (int64_t n = 0; n < p->reached_count; n++) {
        const ls_record *r = p->reached[n];
        for (int i = 0; i < r->n_in; i++)
            if (r->in[i] && !is_as_it_was(r, r->in[i], reads_input(r, i), input[i])) return false;
        if (!is_as_it_was(r, r->out, r->op->saves & LS_SAVE_OUT, "result")) return false;
    }
    return true;
}

/* Writes are rare between forward and backward: there is nothing to look through where none came
 * after the first of the operations. */
static const ls_plan *plan_for(ls_ctx *ctx, ls_tensor *out)
{
    const ls_plan *p = ls_plan_for(ctx, out);
    if (!p || ctx->written <= p->reached[p->reached_count - 1]->call) return p;
    return values_stand(p) ? p : NULL;
}

ls_status ls_backward_from(ls_ctx *ctx, ls_tensor *out, const void *g, bool retains_graph)
{
    const ls_plan *p = plan_for(ctx, out);
    const bool updates = may_update(ctx, p);
    if (p) {
        choose_products(ctx, p, updates);
        memcpy(p->seed, g, (size_t)out->count * ctx->kernel->bytes);
        for (int64_t i = 0; i < p->reached_count; i++) p->reached[i]->used = !retains_graph;
        carry_out(ctx, p);
    }
    if (ctx->failure.status) ls_agree(ctx); /* before memory goes in which sums may be under way */
    if (ctx->update) ctx->update->begin_s = ls_clock_s();
    if (updates && !ctx->failure.status) update_params(ctx, p);
    else if (!ctx->failure.status && !close_trees(ctx, &p->last)) settle_params(ctx, p);
    ls_arena_reset(&ctx->scratch);
    for (const ls_pending *q = p && !ctx->failure.status ? p->params : NULL; q; q = q->next_param)
        if (q->t->hooks) call_hooks(ctx, q->t);
    return ctx->failure.status ? ls_agree(ctx) : LS_OK;
}

/* out is a parameter itself. */
static ls_status add_to_leaf(ls_ctx *ctx, ls_tensor *out, const void *g)
{
    ls_tensor *grad = ls_tensor_grad_make(out);
    if (!grad) return ls_agree(ctx);
    ls_tensor_grad(out);
    ctx->kernel->add(out->count, grad->data, g);
    out->grad_fresh = false;
    ls_tensor_grad_wrote(out);
    if (out->hooks) call_hooks(ctx, out);
    return ctx->failure.status ? ls_agree(ctx) : LS_OK;
}

static bool may_start(ls_ctx *ctx, const ls_tensor *out)
{
    if (ctx->tape->in_hooks)
        ls_fail(ctx, LS_ERR_USE, "ls_backward: a hook can't begin a backward of its own");
    else if (!out->requires_grad)
        ls_fail(ctx, LS_ERR_USE,
                "ls_backward: the loss does not depend on a tensor that requires gradients");
    return !ctx->failure.status;
}

static bool gradient_fits(ls_ctx *ctx, const ls_tensor *out, const ls_tensor *g)
{
    if (!ls_tensor_usable(g, "ls_backward")) return false;
    if (!ls_shape_equal(g->shape, out->shape))
        ls_fail(ctx, LS_ERR_SHAPE, "ls_backward: the gradient has shape %s, but the result %s",
                ls_shape_str(g->shape).text, ls_shape_str(out->shape).text);
    else if (g->is_part != out->is_part)
        ls_fail(ctx, LS_ERR_SHAPE, "ls_backward: the %s is a part, but the %s is not: %s",
                g->is_part ? "gradient" : "result", g->is_part ? "result" : "gradient",
                g->is_part ? "ls_whole() brings its rows together"
                           : "ls_split_rows() makes it one");
    else if (g->dtype != out->dtype)
        ls_fail(ctx, LS_ERR_TYPE, "ls_backward: the gradient is %s, but the result %s",
                ls_dtype_name(g->dtype), ls_dtype_name(out->dtype));
    return !ctx->failure.status;
}

ls_status ls_backward_with(ls_ctx *ctx, ls_tensor *out, const ls_backward_opts *o)
{
    const ls_tensor *gradient = o ? o->gradient : NULL;
    bool retains_graph = o && o->retain_graph;
    union {
        float f;
        double d;
    } one;
    if (!ls_enter(ctx, "ls_backward") || !ls_tensor_usable(out, "ls_backward"))
        return ls_agree(ctx);
    if (!gradient && (out->is_part || out->count != 1))
        ls_fail(ctx, LS_ERR_SHAPE,
                "ls_backward: the gradient starts from one element, but the loss has shape %s; "
                "ls_mean() or ls_sum() make one",
                ls_shape_str(out->shape).text);
    else if (may_start(ctx, out) && gradient) gradient_fits(ctx, out, gradient);
    if (ctx->failure.status) return ls_agree(ctx);
    ctx->kernel->fill(1, 1, &one);
    const void *g = gradient ? gradient->data : &one;
    return out->record ? ls_backward_from(ctx, out, g, retains_graph) : add_to_leaf(ctx, out, g);
}

ls_status ls_backward(ls_ctx *ctx, ls_tensor *loss)
{
    return ls_backward_with(ctx, loss, NULL);
}
