/* check.c -- gradients against finite differences, in float64.
 *
 * The function's result is weighted with fixed pseudo-random numbers w, so that one number is
 * compared an input element: sum of w dy/dx by backward, and by central differences at two
 * distances joined by Richardson's rule (error h^4). A rank holds every input whole and gathers a
 * part's rows, so the comparison is the same on all ranks.
 */
#include "grad/grad.h"
#include <math.h>
#include <string.h>

typedef struct check {
    ls_ctx *ctx;
    ls_tensor *(*f)(void *self, ls_list in);
    void *self;
    ls_list in;
    double *weight, *value[2], *term; /* of the result's elements */
    int64_t count;
} check;

/* f's values, all rows of them, into out; false after an error. */
static bool evaluate(const check *c, double *out)
{
    ls_step_begin(c->ctx);
    ls_scope quiet;
    ls_no_grad_begin(&quiet, c->ctx);
    ls_tensor *y = c->f(c->self, c->in);
    ls_no_grad_end(&quiet);
    if (!y) return false;
    if (!y->is_part) memcpy(out, y->data, (size_t)y->count * sizeof *out);
    else
        c->ctx->links->gather(c->ctx, y->shape.dim[0], (size_t)ls_tensor_row_count(y) * sizeof *out,
                              y->data, out);
    return !c->ctx->failure.status;
}

/* d f / d x[i] in direction of the weights, by differences of distance h; *size: magnitude of the
 * terms. */
static double difference(const check *c, double *x, double h, double *size)
{
    double kept = *x;
    *x = kept + h;
    double up = *x;
    bool fine = evaluate(c, c->value[0]);
    *x = kept - h;
    double down = *x;
    fine = evaluate(c, c->value[1]) && fine;
    *x = kept;
    if (!fine) return NAN;
    for (int64_t i = 0; i < c->count; i++)
        c->term[i] = c->weight[i] * ((c->value[0][i] - c->value[1][i]) / (up - down));
    double sum = c->ctx->kernel->sum(c->count, c->term);
    for (int64_t i = 0; i < c->count; i++) c->term[i] = fabs(c->term[i]);
    *size = c->ctx->kernel->sum(c->count, c->term);
    return sum;
}

static bool check_element(const check *c, ls_tensor *t, int input, int64_t i, double got)
{
    ls_tensor_own(t);
    double *x = (double *)t->data + i, size;
    double h = 1e-3 * fmax(1, fabs(*x));
    double wide = difference(c, x, h, &size), narrow = difference(c, x, h / 2, &size);
    double want = (4 * narrow - wide) / 3;
    if (c->ctx->failure.status) return false;
    if (fabs(got - want) <= 1e-6 * fmax(fmax(fabs(want), fabs(got)), 1e-2 * fmax(size, 1e-3)))
        return true;
    ls_fail(c->ctx, LS_ERR_NUMERIC,
            "gradient of input %d, element %lld: backward gives %.12g, differences %.12g",
            input + 1, (long long)i, got, want);
    return false;
}

static bool backward_once(check *c)
{
    ls_ctx *ctx = c->ctx;
    ls_step_begin(ctx);
    ls_zero_grad(c->in);
    ls_tensor *y = c->f(c->self, c->in);
    if (!y) return false;
    c->count = ls_shape_count(y->shape);
    size_t bytes = (size_t)(c->count ? c->count : 1) * sizeof(double);
    c->weight = ls_arena_take(&ctx->life, bytes);
    c->value[0] = ls_arena_take(&ctx->life, bytes);
    c->value[1] = ls_arena_take(&ctx->life, bytes);
    c->term = ls_arena_take(&ctx->life, bytes);
    if (!c->weight || !c->value[0] || !c->value[1] || !c->term)
        return ls_fail_memory(ctx, 4 * bytes, "ls_gradcheck"), false;
    ls_random r;
    ls_random_seed(&r, 1);
    ls_random_uniform(&r, LS_FLOAT64, c->count, c->weight, -1, 1);
    if (!y->record)
        return ls_fail(ctx, LS_ERR_USE, "ls_gradcheck: no gradient flows through the result"),
               false;
    int64_t row = y->is_part ? ls_tensor_row_count(y) : 0;
    return !ls_backward_from(ctx, y, c->weight + y->rows.from * row, false);
}

ls_status ls_gradcheck(ls_ctx *ctx, ls_tensor *(*f)(void *self, ls_list in), void *self, ls_list in)
{
    if (!ls_enter(ctx, "ls_gradcheck") ||
        !ls_given(ctx, "ls_gradcheck", (const void *)(uintptr_t)f, "f"))
        return ls_agree(ctx);
    check c = { .ctx = ctx, .f = f, .self = self, .in = in };
    if (ctx->opts.dtype != LS_FLOAT64)
        ls_fail(ctx, LS_ERR_TYPE, "ls_gradcheck: differences need a context of type float64");
    if (ctx->failure.status || !backward_once(&c)) return ls_agree(ctx);
    for (int k = 0; k < in.count; k++) {
        ls_tensor *t = in.at[k];
        if (!t || !t->is_param) continue;
        const ls_tensor *grad = ls_tensor_grad(t);
        for (int64_t i = 0; i < t->count; i++)
            if (!check_element(&c, t, k, i, grad ? ((const double *)grad->data)[i] : 0))
                return ls_agree(ctx);
    }
    return ls_agree(ctx);
}
