/* check.c -- ls_op_check(): everything that can be tested of an operation from its table alone.
 *
 * Each case runs with whole inputs, and with every choice of inputs split into parts that the
 * operation does not refuse. Gradients are compared with finite differences. That rows do not depend
 * on their neighbours is tested by computing each alone: the same bits must come out. Parts must give
 * what whole inputs give: the same bits row by row, and sums to within rounding. Gradients must come
 * out alike where everything that the table does not save is overwritten.
 */
#include "ops/ops.h"
#include <math.h>
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

/* Whether the operation takes the inputs in split as parts: they have rows, equally many, and neither
 * the library nor its shape() refuses them. */
static bool takes_parts(const op_case *c, unsigned split)
{
    ls_node n = { .ctx = c->ctx, .dtype = c->ctx->opts.dtype, .n_in = c->op->n_in };
    int64_t rows = -1;
    if (c->op->rows == LS_ROWS_MIXED || c->op->flags & LS_OP_SPLIT) return false;
    n.args = c->op->case_args;
    for (int i = 0; i < n.n_in; i++) {
        const ls_tensor *t = c->in[i];
        n.in[i] = (ls_array){ t->data, t->shape, t->count, split >> i & 1 };
        n.in_dtype[i] = t->dtype;
        if (!n.in[i].is_part) continue;
        if (t->shape.ndim < 1 || t->shape.dim[0] < 2) return false;
        if (rows >= 0 && t->shape.dim[0] != rows) return false;
        rows = t->shape.dim[0];
    }
    return !c->op->shape(&n) &&
           (c->op->rows == LS_ROWS_SUM || (n.out.shape.ndim > 0 && n.out.shape.dim[0] == rows));
}

static void check_row(op_case *c, const ls_record *r, int64_t row)
{
    ls_ctx *ctx = c->ctx;
    ls_node n = { 0 };
    ls_node_fill(&n, r, (ls_range){ row, row + 1 });
    size_t bytes = (size_t)n.out.count * ls_dtype_bytes(r->out->dtype);
    void *together = n.out.data;
    n.out.data = ls_arena_take(&ctx->scratch, bytes ? bytes : 1);
    if (!n.out.data) ls_fail_memory(ctx, bytes, "a row in ls_op_check");
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

/* All elements of the result, in memory that lives as long as the context. */
static double *values(op_case *c, int64_t *count)
{
    ls_step_begin(c->ctx);
    ls_tensor *y = apply(c, (ls_list){ c->op->n_in, c->in });
    if (y && y->is_part) y = ls_whole(c->ctx, y);
    if (!y) return NULL;
    *count = y->count;
    const size_t bytes = (size_t)(y->count + 1) * sizeof(double);
    double *out = ls_arena_take(&c->ctx->life, bytes);
    if (!out) ls_fail_memory(c->ctx, bytes, "a result in ls_op_check");
    for (int64_t i = 0; out && i < y->count; i++) out[i] = ls_element(y, i);
    return out;
}

static void check_parts_as_whole(op_case *c)
{
    int64_t count = 0, same = 0;
    unsigned split = c->split;
    const double *part = values(c, &same);
    c->split = 0;
    const double *whole = values(c, &count);
    c->split = split;
    double slack = c->op->rows == LS_ROWS_SUM ? 1e-12 : 0;
    for (int64_t i = 0; part && whole && i < count; i++) {
        if (count == same &&
            (isnan(part[i]) ? isnan(whole[i])
                            : fabs(part[i] - whole[i]) <= slack * fmax(1, fabs(whole[i]))))
            continue;
        ls_fail(c->ctx, LS_ERR_NUMERIC, "%s: element %lld is %.17g of parts and %.17g of wholes",
                c->op->name, (long long)i, part[i], whole[i]);
        return;
    }
}

/* ---- what backward reads --------------------------------------------------------------------- */
/* As many bytes as the array has: not numbers, and class 0. */
static void *unreadable(ls_ctx *ctx, const ls_array *a, ls_dtype type)
{
    size_t bytes = (size_t)(a->count + 1) * ls_dtype_bytes(type);
    void *data = ls_arena_take(&ctx->scratch, bytes);
    return data ? memset(data, type == LS_INT64 ? 0 : 0xff, bytes) : NULL;
}

/* The gradient of input i alone, from a g of ones; by_factors: from what the operation says are its factors, or
 * NULL where it says nothing. */
static void *gradient_of(op_case *c, const ls_node *n, int i, bool by_factors)
{
    ls_arena *scratch = &c->ctx->scratch;
    const ls_kernel *k = c->ctx->kernel;
    const ls_array *in = &n->in[i];
    size_t bytes = (size_t)(in->count + 1) * k->bytes;
    void *dx[LS_MAX_IN] = { 0 },
         *g = ls_arena_take(scratch, (size_t)(n->out.count + 1) * sizeof(double));
    ls_factors f;
    dx[i] = ls_arena_take(scratch, bytes);
    if (!g || !dx[i]) return NULL;
    k->fill(n->out.count, 1, g);
    memset(dx[i], 0, bytes);
    if (!by_factors) c->op->backward(n, g, dx);
    else if (!c->op->factors || !c->op->factors(n, i, g, &f)) return NULL;
    else {
        const int64_t m = in->shape.dim[0], width = in->count / m;
        k->outer(n->out.shape.dim[0], 0, m, width, f.left, m, f.right, width, dx[i], width, true);
    }
    return dx[i];
}

static void check_factors(op_case *c, const ls_node *n, int i, const void *want)
{
    const void *got = gradient_of(c, n, i, true);
    if (got && memcmp(want, got, (size_t)n->in[i].count * c->ctx->kernel->bytes))
        ls_fail(c->ctx, LS_ERR_NUMERIC,
                "%s: the gradient of input %d is not the product of its factors", c->op->name,
                i + 1);
}

static void check_saves(op_case *c)
{
    ls_ctx *ctx = c->ctx;
    ls_record r = { .op = c->op, .n_in = c->op->n_in, .args = c->op->case_args };
    ls_step_begin(ctx);
    memcpy(r.in, c->in, sizeof r.in);
    r.out = apply(c, (ls_list){ r.n_in, r.in });
    if (!r.out || r.out->is_part) return;
    for (int i = 0; i < r.n_in && !ctx->failure.status; i++) {
        if (!r.in[i]->requires_grad) continue;
        ls_node n = { 0 };
        ls_node_fill(&n, &r, ls_record_rows(&r));
        const void *want = gradient_of(c, &n, i, false), *got = NULL;
        if (want) check_factors(c, &n, i, want);
        for (int k = 0; k < r.n_in; k++) {
            bool for_others = c->op->saves & ((unsigned)LS_SAVE_FOR_OTHERS << k);
            bool is_saved = c->op->saves >> k & 1 && !(for_others && k == i);
            if (!is_saved) n.in[k].data = unreadable(ctx, &n.in[k], n.in_dtype[k]);
        }
        if (!(c->op->saves & LS_SAVE_OUT)) n.out.data = unreadable(ctx, &n.out, n.out_dtype);
        if (want) got = gradient_of(c, &n, i, false);
        if (!got)
            ls_fail_memory(ctx, (size_t)n.in[i].count * ctx->kernel->bytes,
                           "a gradient in ls_op_check");
        else if (memcmp(want, got, (size_t)n.in[i].count * ctx->kernel->bytes))
            ls_fail(ctx, LS_ERR_NUMERIC,
                    "%s: the gradient of input %d reads something that is not among what it saves",
                    c->op->name, i + 1);
        ls_arena_reset(&ctx->scratch);
    }
}

static void check_case(op_case *c)
{
    ls_list in = { c->op->n_in, c->in };
    c->split = 0;
    if (c->op->backward) {
        ls_gradcheck(c->ctx, apply, c, in);
        check_saves(c);
    }
    for (unsigned split = 1; split < 1u << c->op->n_in && !c->ctx->failure.status; split++) {
        if (!takes_parts(c, split)) continue;
        c->split = split;
        if (c->op->backward) ls_gradcheck(c->ctx, apply, c, in);
        check_rows_alone(c);
        check_parts_as_whole(c);
    }
}

ls_status ls_op_check(ls_ctx *ctx, const ls_op *op)
{
    if (!ls_enter(ctx, "ls_op_check") || !ls_given(ctx, "ls_op_check", op, "the operation"))
        return ls_agree(ctx);
    if (!op->cases)
        ls_fail(ctx, LS_ERR_USE, "%s has no cases", op->name ? op->name : "an operation");
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
