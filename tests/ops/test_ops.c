/* test_ops.c -- walks the list of operations: each has cases, and each passes ls_op_check() on all
 * of them: finite differences with whole inputs and with parts, rows that do not depend on
 * neighbours, backward that reads only what is saved. */
#include "ops/ops.h"
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <criterion/parameterized.h>
#include <math.h>
#include <string.h>

/* By number: the test's process has its own addresses. */
ParameterizedTestParameters(ops, table)
{
    static int number[256];
    size_t count = 0;
    for (; ls_ops[count]; count++) number[count] = (int)count;
    return cr_make_param_array(int, number, count, NULL);
}

ParameterizedTest(const int *number, ops, table)
{
    const ls_op *op = ls_ops[*number];
    ls_ctx *ctx = ls_start(&(ls_opts){ .dtype = LS_FLOAT64, .leaf_rows = 3 });
    cr_assert(op->cases != NULL, "%s has no cases", op->name);
    ls_op_check(ctx, op);
    cr_assert(eq(int, ls_error(ctx), LS_OK), "%s: %s", op->name, ls_error_text(ctx));
    cr_assert(eq(int, ls_finish(ctx), 0));
}

/* A wrong gradient must be found. */
static void backward_wrong(const ls_node *n, const void *g, void *const dx[])
{
    n->ctx->kernel->axpy(n->out.count, 1.001, g, dx[0]);
}

static void forward_copy(const ls_node *n)
{
    memcpy(n->out.data, n->in[0].data, (size_t)n->out.count * sizeof(double));
}

/* Rows that look at their neighbours must be found. */
static void forward_mixing(const ls_node *n)
{
    double *out = n->out.data;
    const double *x = n->in[0].data;
    for (int64_t i = 0; i < n->out.count; i++) out[i] = x[i] + (i > n->out.shape.dim[1] ? x[0] : 0);
}

static const ls_shape cases[][LS_MAX_IN] = { { { 2, { 5, 3 } } }, LS_LAST_CASE };

Test(ops, wrong_gradient_is_found)
{
    const ls_op op = { .name = "wrong",
                       .n_in = 1,
                       .rows = LS_ROWS_ALONE,
                       .shape = ls_shape_same,
                       .forward = forward_copy,
                       .backward = backward_wrong,
                       .cases = cases };
    ls_ctx *ctx = ls_start(&(ls_opts){ .dtype = LS_FLOAT64 });
    cr_assert(eq(int, ls_op_check(ctx, &op), LS_ERR_NUMERIC));
    cr_assert(strstr(ls_error_text(ctx), "differences") != NULL, "%s", ls_error_text(ctx));
    ls_finish(ctx);
}

Test(ops, mixed_rows_are_found)
{
    const ls_op op = { .name = "mixing",
                       .n_in = 1,
                       .rows = LS_ROWS_ALONE,
                       .shape = ls_shape_same,
                       .forward = forward_mixing,
                       .cases = cases };
    ls_ctx *ctx = ls_start(&(ls_opts){ .dtype = LS_FLOAT64 });
    cr_assert(eq(int, ls_op_check(ctx, &op), LS_ERR_NUMERIC));
    cr_assert(strstr(ls_error_text(ctx), "alone") != NULL, "%s", ls_error_text(ctx));
    ls_finish(ctx);
}

/* Backward that reads what it does not save must be found. */
static void backward_unsaved(const ls_node *n, const void *g, void *const dx[])
{
    const double *in = n->in[0].data, *out = g;
    double *d = dx[0];
    for (int64_t i = 0; i < n->out.count; i++) d[i] += out[i] * (in[i] == in[i]);
}

Test(ops, unsaved_input_is_found)
{
    ls_op op = { .name = "forgetful",
                 .n_in = 1,
                 .rows = LS_ROWS_ALONE,
                 .shape = ls_shape_same,
                 .forward = forward_copy,
                 .backward = backward_unsaved,
                 .cases = cases };
    ls_ctx *ctx = ls_start(&(ls_opts){ .dtype = LS_FLOAT64 });
    cr_assert(eq(int, ls_op_check(ctx, &op), LS_ERR_NUMERIC));
    cr_assert(strstr(ls_error_text(ctx), "not among what it saves") != NULL, "%s",
              ls_error_text(ctx));
    ls_finish(ctx);
    op.saves = 1;
    ctx = ls_start(&(ls_opts){ .dtype = LS_FLOAT64 });
    cr_assert(eq(int, ls_op_check(ctx, &op), LS_OK), "%s", ls_error_text(ctx));
    ls_finish(ctx);
}

/* pow has forms of its own for some exponents. */
typedef struct power {
    double c;
} power;

static ls_tensor *raise(void *self, ls_list in)
{
    return ls_pow(in.at[0], ((power *)self)->c);
}

Test(ops, pow_exponents)
{
    static const double exponents[] = { -2, -1, -0.5, 0, 0.5, 1, 2, 3, 2.5 };
    for (size_t i = 0; i < sizeof exponents / sizeof *exponents; i++) {
        ls_ctx *ctx = ls_start(&(ls_opts){ .dtype = LS_FLOAT64 });
        ls_tensor *x = ls_requires_grad(ls_uniform_(ls_zeros(ctx, LS_SHAPE(7)), 0.3, 3));
        power p = { exponents[i] };
        ls_gradcheck(ctx, raise, &p, LS_LIST(x));
        cr_assert(eq(int, ls_error(ctx), LS_OK), "pow %g: %s", exponents[i], ls_error_text(ctx));
        ls_finish(ctx);
    }
}

/* ls_whole() is not applied through a table. */
static ls_tensor *there_and_back(void *self, ls_list in)
{
    return ls_whole(self, ls_tanh(ls_split_rows(in.at[0])));
}

Test(ops, whole)
{
    ls_ctx *ctx = ls_start(&(ls_opts){ .dtype = LS_FLOAT64, .leaf_rows = 2 });
    ls_tensor *x = ls_requires_grad(ls_randn(ctx, LS_SHAPE(7, 2)));
    ls_gradcheck(ctx, there_and_back, ctx, LS_LIST(x));
    cr_assert(eq(int, ls_error(ctx), LS_OK), "%s", ls_error_text(ctx));
    ls_finish(ctx);
}
