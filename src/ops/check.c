/* check.c -- ls_op_check(): everything that can be tested of an operation from its table alone.
 *
 * Each case runs with whole inputs, and, where axis 0 is a batch, with the inputs that have those
 * rows split. Gradients are compared with finite differences. That rows do not depend on their
 * neighbours is tested by computing each alone: the same bits must come out.
 */
#include "ops/ops.h"
#include <string.h>

typedef struct op_case {
    ls_ctx *ctx;
    const ls_op *op;
    ls_tensor *in[LS_MAX_IN];
    unsigned split; /* inputs that are split into parts */
} op_case;

static ls_tensor *apply(void *self, ls_list in)
{
    const op_case *c = self;
    ls_tensor *at[LS_MAX_IN];
    for (int i = 0; i < c->op->n_in; i++)
        at[i] = c->split >> i & 1 ? ls_split_rows(in.at[i]) : in.at[i];
    return ls_apply(c->op, (ls_list){ c->op->n_in, at }, c->op->case_args, c->op->case_args_bytes);
}

/* Inputs of one case: numbers between low and high; classes 0 and 1. */
static bool make_inputs(op_case *c, const ls_shape shape[LS_MAX_IN], ls_random *r)
{
    double low = c->op->low, high = c->op->high;
    if (low == 0 && high == 0) low = -2, high = 2;
    for (int i = 0; i < c->op->n_in; i++) {
        bool is_class = c->op->classes >> i & 1;
        c->in[i] = ls_tensor_make(c->ctx, is_class ? LS_INT64 : c->ctx->opts.dtype, shape[i], false,
                                  false);
        if (!c->in[i]) return false;
        int64_t count = c->in[i]->count, *classes = c->in[i]->data;
        if (!is_class) ls_random_uniform(r, c->ctx->opts.dtype, count, c->in[i]->data, low, high);
        for (int64_t k = 0; is_class && k < count; k++) classes[k] = ls_random_word(r) % 2;
        if (!is_class && c->op->backward) ls_requires_grad(c->in[i]);
    }
    return !c->ctx->failure.status;
}

static void free_inputs(op_case *c)
{
    for (int i = 0; i < c->op->n_in; i++) ls_tensor_free(c->in[i]);
}

/* Inputs whose axis 0 is the batch; 0 if the case has none. */
static unsigned batch_inputs(const op_case *c)
{
    unsigned mask = 0;
    int ndim = 0;
    if (c->op->rows == LS_ROWS_MIXED || c->op->flags & LS_OP_SPLIT || !c->in[0]->shape.ndim)
        return 0;
    for (int i = 0; i < c->op->n_in; i++)
        if (c->in[i]->shape.ndim > ndim) ndim = c->in[i]->shape.ndim;
    for (int i = 0; i < c->op->n_in; i++) {
        ls_shape s = c->in[i]->shape;
        bool has_rows = s.ndim && s.dim[0] == c->in[0]->shape.dim[0] && s.dim[0] > 1;
        bool reaches = s.ndim == ndim || c->op->classes >> i & 1;
        if (has_rows && reaches) mask |= 1u << i;
    }
    /* Where rows need not match, a second matrix of as many rows is no batch, and a vector is one
     * row. */
    bool match = c->op->shape == ls_shape_broadcasts || c->op->shape == ls_shape_same ||
                 c->op->rows == LS_ROWS_SUM;
    return match ? mask : c->in[0]->shape.ndim > 1 ? mask & 1 : 0;
}

static void check_row(op_case *c, const ls_record *r, int64_t row)
{
    ls_ctx *ctx = c->ctx;
    ls_node n = { 0 };
    ls_node_fill(&n, r, (ls_range){ row, row + 1 });
    size_t bytes = (size_t)n.out.count * ls_dtype_bytes(r->out->dtype);
    void *together = n.out.data;
    n.out.data = ls_arena_take(&ctx->scratch, bytes ? bytes : 1);
    if (!n.out.data) ls_fail(ctx, LS_ERR_MEMORY, "no memory for ls_op_check");
    else {
        c->op->forward(&n);
        if (memcmp(n.out.data, together, bytes))
            ls_fail(ctx, LS_ERR_NUMERIC, "%s: row %lld comes out otherwise alone than among others",
                    c->op->name, (long long)row);
    }
    ls_arena_reset(&ctx->scratch);
}

static void check_rows_alone(op_case *c)
{
    if (c->op->rows != LS_ROWS_ALONE || c->op->flags & LS_OP_VIEW || !c->split) return;
    ls_step_begin(c->ctx);
    ls_record r = { .op = c->op, .n_in = c->op->n_in, .args = c->op->case_args };
    for (int i = 0; i < r.n_in; i++)
        r.in[i] = c->split >> i & 1 ? ls_split_rows(c->in[i]) : c->in[i];
    r.out = ls_apply(c->op, (ls_list){ r.n_in, r.in }, c->op->case_args, c->op->case_args_bytes);
    if (!r.out) return;
    for (int64_t row = r.out->rows.from; row < r.out->rows.to; row++) check_row(c, &r, row);
}

static void check_case(op_case *c)
{
    ls_list in = { c->op->n_in, c->in };
    c->split = 0;
    if (c->op->backward) ls_gradcheck(c->ctx, apply, c, in);
    c->split = batch_inputs(c);
    if (c->op->backward && c->split) ls_gradcheck(c->ctx, apply, c, in);
    check_rows_alone(c);
}

ls_status ls_op_check(ls_ctx *ctx, const ls_op *op)
{
    if (!ls_enter(ctx, "ls_op_check")) return ls_agree(ctx);
    if (!op->cases) ls_fail(ctx, LS_ERR_USE, "%s has no cases", op->name);
    ls_random r;
    ls_random_seed(&r, 7);
    for (int i = 0; op->cases && op->cases[i][0].dim[0] >= 0 && !ctx->failure.status; i++) {
        op_case c = { .ctx = ctx, .op = op };
        if (make_inputs(&c, op->cases[i], &r)) check_case(&c);
        if (!ctx->failure.status) free_inputs(&c);
        else if (!ctx->agreed) break;
    }
    return ls_agree(ctx);
}
