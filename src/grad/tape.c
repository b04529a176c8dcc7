/* tape.c -- ls_apply(): one operation, forward, and the record of it.
 *
 * Forward runs in three ways. Only whole inputs: one call, the same on all ranks. Parts and an
 * operation on rows alone: one call over the rows held here, and the result is a part. Parts and a
 * sum over rows: one call a leaf, the leaves added in the tree, the pieces of all ranks added by
 * links->sums, and the result is whole. A result is recorded where an input requires gradients and
 * no LS_NO_GRAD block is open.
 *
 * A call that repeats the one at the same place of an earlier step (record.c) is only forward();
 * all others go through the door, whose checks and shapes hold for the steps to come.
 */
#include "grad/grad.h"
#include <string.h>

/* ---- the arrays of one call ------------------------------------------------------------------ */
static ls_array rows_of(const ls_tensor *t, ls_range rows)
{
    ls_array a = { .data = t->data, .shape = t->shape, .count = t->count, .is_part = t->is_part };
    if (!t->is_part) return a;
    int64_t row = ls_tensor_row_count(t);
    a.shape.dim[0] = rows.to - rows.from;
    a.count = a.shape.dim[0] * row;
    a.data = (char *)t->data +
             (size_t)((rows.from - t->rows.from) * row) * ls_dtype_bytes(t->dtype);
    return a;
}

int64_t ls_record_batch(const ls_record *r)
{
    for (int i = 0; i < r->n_in; i++)
        if (r->in[i] && r->in[i]->is_part) return r->in[i]->shape.dim[0];
    return r->op->flags & LS_OP_SPLIT ? r->in[0]->shape.dim[0] : -1;
}

ls_range ls_record_rows(const ls_record *r)
{
    return r->batch >= 0 ? ls_part_rows(r->in[0]->ctx, r->batch) : r->in[0]->rows;
}

void ls_node_rows(ls_node *n, const ls_record *r, ls_range rows)
{
    for (int i = 0; i < r->n_in; i++)
        if (r->in[i]) n->in[i] = rows_of(r->in[i], rows);
    if (r->out) n->out = rows_of(r->out, rows);
    n->first_row = rows.from;
}

void ls_node_fill(ls_node *n, const ls_record *r, ls_range rows)
{
    const ls_tensor *first = r->in[0];
    int64_t batch = ls_record_batch(r);
    n->ctx = first->ctx;
    n->dtype = first->ctx->opts.dtype;
    n->n_in = r->n_in;
    for (int i = 0; i < r->n_in; i++) n->in_dtype[i] = r->in[i] ? r->in[i]->dtype : n->dtype;
    if (r->out) n->out_dtype = r->out->dtype;
    n->batch_rows = batch >= 0 ? batch : first->shape.ndim ? first->shape.dim[0] : 1;
    n->leaf_rows = n->stores = 0;
    n->slope = NULL;
    n->args = r->args;
    ls_node_rows(n, r, rows);
}

/* ---- the door -------------------------------------------------------------------------------- */
static const char *ordinal_type(const ls_op *op, int i)
{
    return op->classes >> i & 1 ? "int64" : "floating";
}

/* All inputs usable, of the right types, and parts of one batch. */
static bool inputs_fit(ls_ctx *ctx, const ls_op *op, int n_in, ls_tensor *const in[])
{
    int64_t batch = -1;
    for (int i = 0; i < n_in; i++) {
        if (!in[i]) continue;
        if (!ls_tensor_usable(in[i], op->name)) return false;
        if (in[i]->ctx != ctx) ls_fail(ctx, LS_ERR_USE, "%s: tensors of two contexts", op->name);
        if ((in[i]->dtype == LS_INT64) != (op->classes >> i & 1))
            ls_fail(ctx, LS_ERR_TYPE, "%s: input %d must be %s, but is %s%s", op->name, i + 1,
                    ordinal_type(op, i), ls_dtype_name(in[i]->dtype),
                    in[i]->dtype == LS_INT64 ? "; ls_to_float() makes it floating" : "");
        if (!in[i]->is_part) continue;
        if (batch >= 0 && batch != in[i]->shape.dim[0])
            ls_fail(ctx, LS_ERR_SHAPE, "%s: parts of batches of %lld and %lld rows", op->name,
                    (long long)batch, (long long)in[i]->shape.dim[0]);
        batch = in[i]->shape.dim[0];
    }
    if (batch >= 0 && op->rows == LS_ROWS_MIXED)
        ls_fail(ctx, LS_ERR_SHAPE,
                "%s: mixes the rows of a batch, which lie on several ranks; ls_whole() "
                "brings them together",
                op->name);
    return !ctx->failure.status;
}

/* Asks the operation for the shape of its result, from the shapes of the whole; fails the context
 * with its reason. */
static bool settle_shape(ls_ctx *ctx, ls_record *r)
{
    const ls_op *op = r->op;
    ls_node *n = &r->node;
    ls_node_fill(n, r, r->in[0]->rows);
    for (int i = 0; i < r->n_in; i++)
        if (r->in[i] && r->in[i]->is_part)
            n->in[i].shape = r->in[i]->shape, n->in[i].count = ls_shape_count(r->in[i]->shape);
    n->out_dtype = n->dtype;
    const char *refusal = op->shape(n);
    if (refusal)
        ls_fail(ctx, LS_ERR_SHAPE, "%s: %s (%s%s%s)", op->name, refusal,
                ls_shape_str(n->in[0].shape).text, r->n_in > 1 && r->in[1] ? " and " : "",
                r->n_in > 1 && r->in[1] ? ls_shape_str(n->in[1].shape).text : "");
    else if (r->batch >= 0 && op->rows == LS_ROWS_ALONE &&
             (n->out.shape.ndim < 1 || n->out.shape.dim[0] != r->batch))
        ls_fail(ctx, LS_ERR_SHAPE,
                "%s: the batch of %lld rows would not be axis 0 of the result %s", op->name,
                (long long)r->batch, ls_shape_str(n->out.shape).text);
    return !ctx->failure.status;
}

static bool make_result(ls_ctx *ctx, ls_record *r)
{
    bool is_part = r->op->rows == LS_ROWS_ALONE && r->batch >= 0,
         is_view = r->op->flags & LS_OP_VIEW;
    ls_tensor *t = &r->result;
    if (!ls_tensor_result(t, ctx, is_view ? r->in[0]->dtype : r->node.out_dtype, r->node.out.shape,
                          is_part, is_view ? r->in[0]->data : NULL))
        return false;
    if (is_view) {
        t->origin = r->in[0]->origin;
        t->base = r->in[0]->base ? r->in[0]->base : r->in[0];
        ls_tensor_lend(t->base);
    }
    r->out = t;
    ls_node_rows(&r->node, r, ls_record_rows(r));
    return true;
}

/* ---- forward --------------------------------------------------------------------------------- */
/* One piece of this rank: its leaves in the tree, into piece. */
static bool sum_piece(ls_ctx *ctx, const ls_record *r, ls_range leaves, void **piece)
{
    ls_tree_sum tree;
    if (!ls_tree_begin(ctx, &tree, r->out->count, leaves.to - leaves.from)) return false;
    ls_node n = r->node;
    for (int64_t l = leaves.from; l < leaves.to; l++) {
        ls_node_rows(&n, r, ls_leaf_rows(r->batch, ctx->opts.leaf_rows, (ls_range){ l, l + 1 }));
        n.out.data = ls_tree_leaf(&tree);
        r->op->forward(&n);
        ls_tree_add(ctx, &tree);
    }
    *piece = ls_tree_end(ctx, &tree);
    return true;
}

static void forward_sum(ls_ctx *ctx, const ls_record *r)
{
    ls_range run[LS_MAX_PIECES];
    void *piece[LS_MAX_PIECES];
    int count = ls_part_pieces(ctx, r->batch, run);
    ls_row_sum sum = { .rows = r->batch,
                       .count = r->out->count,
                       .dtype = r->out->dtype,
                       .piece = piece,
                       .root = r->out->data };
    if (count == 1 && run[0].to - run[0].from == 1) { /* one leaf is its own sum */
        piece[0] = r->out->data;
        r->op->forward(&r->node);
    } else {
        for (int i = 0; i < count; i++)
            if (!sum_piece(ctx, r, run[i], &piece[i])) break;
    }
    if (!ctx->links->sums(ctx, (ls_row_sum *const[]){ &sum }, 1) && r->op->finish)
        r->op->finish(&r->node);
    ls_arena_reset(&ctx->scratch);
}

static void forward(ls_ctx *ctx, const ls_record *r)
{
    const ls_op *op = r->op;
    if (op->flags & LS_OP_VIEW) return;
    if (r->batch < 0) {
        op->forward(&r->node);
        if (op->finish) op->finish(&r->node);
    } else if (op->rows == LS_ROWS_SUM) forward_sum(ctx, r);
    else if (r->out->rows.to > r->out->rows.from) op->forward(&r->node);
}

const char *ls_op_grad_name(const ls_op *op)
{
    return op->grad_name ? op->grad_name : op->name;
}

/* ---- the tape -------------------------------------------------------------------------------- */
static bool wants_grad(const ls_record *r)
{
    for (int i = 0; i < r->n_in; i++)
        if (r->in[i] && r->in[i]->requires_grad) return true;
    return false;
}

/* The result is known as one that gradients flow through. */
static void mark(ls_record *r)
{
    r->out->record = r;
    r->out->requires_grad = true;
    r->out->grad_name = ls_op_grad_name(r->op);
}

void ls_tape_add(ls_ctx *ctx, ls_record *r)
{
    ls_tape *tape = ctx->tape;
    r->recorded = !ctx->scopes && r->op->backward && wants_grad(r);
    if (!r->recorded) return;
    for (int i = 0; i < r->n_in; i++)
        if (r->in[i]) ls_tensor_lend(r->in[i]);
    r->before = tape->last;
    tape->last = r;
    if (!ctx->step) tape->last_of_life = r;
    mark(r);
}

/* Tables come from outside too. */
static bool is_complete(ls_ctx *ctx, const ls_op *op)
{
    if (!op || !op->name || op->n_in < 1 || op->n_in > LS_MAX_IN || !op->shape ||
        !(op->forward || op->flags & LS_OP_VIEW))
        ls_fail(ctx, LS_ERR_ARG,
                "ls_apply: an operation needs a name, 1 to %d inputs, shape and forward",
                LS_MAX_IN);
    else if (op->activation && !(op->saves & LS_SAVE_OUT))
        ls_fail(
            ctx, LS_ERR_ARG,
            "ls_apply: %s has an activation, whose slope is worked out from the result, and does "
            "not save it",
            op->name);
    else return true;
    return false;
}

/* The long way: everything is checked and worked out, for the steps to come as well. */
static ls_tensor *apply_anew(ls_ctx *ctx, const ls_op *op, ls_list list, const void *args,
                             size_t args_bytes)
{
    ls_tensor *in[LS_MAX_IN] = { 0 };
    if (!is_complete(ctx, op)) return NULL;
    int need = op->n_need ? op->n_need : op->n_in;
    for (int i = 0; i < op->n_in; i++) {
        in[i] = i < list.count ? list.at[i] : NULL;
        if (!in[i] && i < need) return NULL;
    }
    if (!ls_enter(ctx, op->name) || !inputs_fit(ctx, op, op->n_in, in)) return NULL;
    ls_record *r = ls_record_new(ctx, op, op->n_in, in, args, args_bytes);
    if (!r) return NULL;
    r->batch = ls_record_batch(r);
    if (settle_shape(ctx, r) && make_result(ctx, r)) forward(ctx, r);
    if (ctx->failure.status) {
        ls_record_drop(ctx, r);
        return NULL;
    }
    ls_record_keep(ctx, r);
    ls_tape_add(ctx, r);
    return r->out;
}

ls_tensor *ls_apply(const ls_op *op, ls_list list, const void *args, size_t args_bytes)
{
    if (list.count < 1 || !list.at || !list.at[0]) return NULL;
    ls_ctx *ctx = list.at[0]->ctx;
    const ls_record *r = ls_record_find(ctx, op, list, args, args_bytes);
    if (!r) return apply_anew(ctx, op, list, args, args_bytes);
    forward(ctx, r);
    return ctx->failure.status ? NULL : r->out;
}

ls_tensor *ls_tape_result(const ls_op *op, ls_tensor *in, ls_tensor *out)
{
    if (!out) return NULL;
    ls_ctx *ctx = in->ctx;
    ls_record *r = ls_record_find(ctx, op, (ls_list){ 1, &in }, NULL, 0);
    if (r) { /* out has a head of its own */
        r->out = out;
        r->node.out.data = out->data;
        if (r->recorded) mark(r);
        return out;
    }
    if (!ls_enter(ctx, op->name))
        return NULL; /* counted as one that is found: which ranks find it differs */
    if (!(r = ls_record_new(ctx, op, 1, &in, NULL, 0))) return NULL;
    r->out = out;
    r->batch = ls_record_batch(r);
    ls_node_fill(&r->node, r, ls_record_rows(r));
    ls_record_keep(ctx, r);
    ls_tape_add(ctx, r);
    return out;
}

static void end_tape(void *self)
{
    ls_records_end(self);
    ls_memory_free(self);
}

ls_tape *ls_tape_new(ls_ctx *ctx)
{
    ls_tape *tape = ls_new(ctx, sizeof *tape, "the tape");
    if (!tape) return NULL;
    ls_own(ctx, &tape->owned, end_tape);
    tape->at = &tape->root;
    return tape;
}

/* ---- scopes ---------------------------------------------------------------------------------- */
void ls_no_grad_begin(ls_scope *s, ls_ctx *ctx)
{
    *s = (ls_scope){ ctx, ctx ? ctx->scopes : NULL };
    if (ctx) ctx->scopes = s;
}

void ls_no_grad_end(ls_scope *s)
{
    if (s->ctx && s->ctx->scopes == s) s->ctx->scopes = s->outer;
    s->ctx = NULL;
}

/* ---- shapes and gradients that many operations share ----------------------------------------- */
const char *ls_shape_same(ls_node *n)
{
    for (int i = 1; i < n->n_in; i++)
        if (!ls_shape_equal(n->in[i].shape, n->in[0].shape)) return "the shapes must be equal";
    n->out.shape = n->in[0].shape;
    return NULL;
}

const char *ls_shape_broadcasts(ls_node *n)
{
    if (!ls_shape_broadcast(n->in[0].shape, n->in[1].shape, &n->out.shape))
        return "the shapes do not broadcast";
    if (!n->in[0].is_part && !n->in[1].is_part) return NULL;
    for (int i = 0; i < 2; i++) {
        bool reaches = n->in[i].shape.ndim == n->out.shape.ndim;
        if (n->in[i].is_part && (!reaches || n->in[i].shape.dim[0] != n->out.shape.dim[0]))
            return "the batch axis of a part would not stay axis 0";
        if (!n->in[i].is_part && reaches && n->in[i].shape.dim[0] != 1)
            return "a whole tensor with rows of its own meets a part; ls_split_rows() makes it one";
    }
    return NULL;
}

void ls_broadcast_back(const ls_node *n, const void *g, const ls_array *other, int i, void *dx)
{
    int64_t stride[LS_MAX_NDIM] = { 0 };
    if (other) ls_shape_strides(other->shape, n->out.shape, stride);
    n->ctx->kernel->sum_to(n->out.shape, g, other ? other->data : NULL, stride, n->in[i].shape, dx,
                           !(n->stores >> i & 1));
}
