/* make.c -- whole tensors from values, constants and random numbers; writing in place.
 *
 * What is made here is equal on all ranks, because values and the random stream are. A tensor that
 * requires gradients is written only where nothing is recorded, as in PyTorch.
 */
#include "tensor/tensor.h"
#include <float.h>
#include <math.h>
#include <string.h>

static ls_tensor *make(ls_ctx *ctx, const char *name, ls_dtype dtype, ls_shape shape)
{
    return ls_enter(ctx, name) ? ls_tensor_make(ctx, dtype, shape, false, false) : NULL;
}

ls_tensor *ls_tensor_new(ls_ctx *ctx, ls_shape shape, int64_t count, const double *values)
{
    if (!ls_enter(ctx, "ls_tensor_new")) return NULL;
    if (ls_shape_count(shape) != count) {
        ls_fail(ctx, LS_ERR_SHAPE, "ls_tensor_new: shape %s takes %lld values, but %lld are given",
                ls_shape_str(shape).text, (long long)ls_shape_count(shape), (long long)count);
        return NULL;
    }
    if (count && !ls_given(ctx, "ls_tensor_new", values, "what it holds")) return NULL;
    ls_tensor *t = ls_tensor_make(ctx, ctx->opts.dtype, shape, false, false);
    if (t) ctx->kernel->from_double(count, values, t->data);
    return t;
}

ls_tensor *ls_labels_new(ls_ctx *ctx, int64_t count, const int64_t *values)
{
    if (count && !ls_given(ctx, "ls_labels_new", values, "what it holds")) return NULL;
    ls_tensor *t = make(ctx, "ls_labels_new", LS_INT64, (ls_shape){ 1, { count } });
    if (t && count) memcpy(t->data, values, (size_t)count * sizeof *values);
    return t;
}

static ls_tensor *full(ls_ctx *ctx, const char *name, ls_shape shape, double value)
{
    ls_tensor *t = make(ctx, name, ctx ? ctx->opts.dtype : LS_FLOAT32, shape);
    if (t) ctx->kernel->fill(t->count, value, t->data);
    return t;
}

ls_tensor *ls_full(ls_ctx *ctx, ls_shape shape, double value)
{
    return full(ctx, "ls_full", shape, value);
}

ls_tensor *ls_scalar(ls_ctx *ctx, double value)
{
    return full(ctx, "ls_scalar", (ls_shape){ 0 }, value);
}

ls_tensor *ls_zeros(ls_ctx *ctx, ls_shape shape)
{
    return full(ctx, "ls_zeros", shape, 0);
}

ls_tensor *ls_ones(ls_ctx *ctx, ls_shape shape)
{
    return full(ctx, "ls_ones", shape, 1);
}

ls_tensor *ls_eye(ls_ctx *ctx, int64_t rows, int64_t columns)
{
    ls_tensor *t = full(ctx, "ls_eye", (ls_shape){ 2, { rows, columns } }, 0);
    for (int64_t i = 0; t && i < rows && i < columns; i++)
        ctx->kernel->fill(1, 1, (char *)t->data + (size_t)(i * (columns + 1)) * ctx->kernel->bytes);
    return t;
}

/* Elements of a range, as PyTorch counts them: the quotient rounded up. */
static int64_t range_count(ls_ctx *ctx, double from, double to, double step)
{
    double count = ceil((to - from) / step);
    if (count >= 0 && count < 0x1p53) return (int64_t)count;
    if (ctx && !ctx->failure.status)
        ls_fail(ctx, LS_ERR_ARG, "ls_arange: steps of %g do not lead from %g to %g", step, from,
                to);
    return 0;
}

ls_tensor *ls_arange(ls_ctx *ctx, double from, double to, double step)
{
    int64_t count = range_count(ctx, from, to, step);
    ls_tensor *t = full(ctx, "ls_arange", (ls_shape){ 1, { count } }, 0);
    for (int64_t i = 0; t && i < count; i++) {
        double value = from + (double)i * step;
        ctx->kernel->from_double(1, &value, (char *)t->data + (size_t)i * ctx->kernel->bytes);
    }
    return t;
}

ls_tensor *ls_arange_labels(ls_ctx *ctx, int64_t from, int64_t to, int64_t step)
{
    if (step == 0 || (step > 0 ? to < from : to > from)) {
        ls_fail(ctx, LS_ERR_ARG, "ls_arange_labels: steps of %lld do not lead from %lld to %lld",
                (long long)step, (long long)from, (long long)to);
        return NULL;
    }
    /* Unsigned: the way may be longer than an int64_t. */
    const uint64_t first = (uint64_t)from, by = (uint64_t)step;
    const uint64_t way = step > 0 ? (uint64_t)to - first : first - (uint64_t)to;
    const uint64_t each = step > 0 ? by : 0 - by, count = way / each + (way % each != 0);
    const int64_t most = count > INT64_MAX ? INT64_MAX : (int64_t)count; /* which is too many */
    ls_tensor *t = make(ctx, "ls_arange_labels", LS_INT64, (ls_shape){ 1, { most } });
    for (uint64_t i = 0; t && i < count; i++) ((int64_t *)t->data)[i] = (int64_t)(first + i * by);
    return t;
}

ls_tensor *ls_rand(ls_ctx *ctx, ls_shape shape)
{
    return ls_uniform_(full(ctx, "ls_rand", shape, 0), 0, 1);
}

ls_tensor *ls_randn(ls_ctx *ctx, ls_shape shape)
{
    return ls_normal_(full(ctx, "ls_randn", shape, 0), 0, 1);
}

/* Whether name may write t, which it then does; u, if any, is what it is written with. */
static bool may_write(ls_tensor *t, const ls_tensor *u, const char *name)
{
    if (!ls_tensor_usable(t, name)) return false;
    ls_ctx *ctx = t->ctx;
    if (t->dtype == LS_INT64)
        ls_fail(ctx, LS_ERR_TYPE, "%s: the tensor is int64, not floating", name);
    else if (t->is_part)
        ls_fail(ctx, LS_ERR_SHAPE, "%s: writes whole tensors; ls_whole() makes one", name);
    else if (t->record)
        ls_fail(ctx, LS_ERR_USE,
                "%s: writes in place on the result of %s, which backward may need; ls_detach() or "
                "ls_keep() it first",
                name, t->grad_name);
    else if (t->requires_grad && !ctx->scopes)
        ls_fail(ctx, LS_ERR_USE,
                "%s: a leaf that requires gradients is being used in an in-place operation: put it "
                "under LS_NO_GRAD",
                name);
    else if (u && (u->is_part || !ls_shape_equal(t->shape, u->shape)))
        ls_fail(ctx, LS_ERR_SHAPE, "%s: %s is written with %s%s", name, ls_shape_str(t->shape).text,
                u->is_part ? "a part " : "", ls_shape_str(u->shape).text);
    else if (u && u->dtype != t->dtype)
        ls_fail(ctx, LS_ERR_TYPE, "%s: a %s tensor is written with a %s one", name,
                ls_dtype_name(t->dtype), ls_dtype_name(u->dtype));
    if (ctx->failure.status) return false;
    ls_tensor_own(t);
    ls_tensor_wrote(t);
    return true;
}

ls_tensor *ls_uniform_(ls_tensor *t, double from, double to)
{
    if (!may_write(t, NULL, "ls_uniform_") || !ls_enter(t->ctx, "ls_uniform_")) return NULL;
    const double most = t->dtype == LS_FLOAT32 ? (double)FLT_MAX : DBL_MAX;
    if (!(from <= to && fabs(from) <= most && fabs(to) <= most && to - from <= most)) {
        ls_fail(t->ctx, LS_ERR_ARG, "ls_uniform_: from %g to %g is no range of %s numbers", from,
                to, ls_dtype_name(t->dtype));
        return NULL;
    }
    ls_random_uniform(&t->ctx->random, t->dtype, t->count, t->data, from, to);
    return t;
}

ls_tensor *ls_normal_(ls_tensor *t, double mean, double deviation)
{
    if (!may_write(t, NULL, "ls_normal_") || !ls_enter(t->ctx, "ls_normal_")) return NULL;
    if (!(deviation >= 0)) {
        ls_fail(t->ctx, LS_ERR_ARG, "ls_normal_: the deviation is %g; it must be 0 or more",
                deviation);
        return NULL;
    }
    ls_random_normal(&t->ctx->random, t->dtype, t->count, t->data, mean, deviation);
    return t;
}

void ls_add_(ls_tensor *t, const ls_tensor *u, double alpha)
{
    if (!t || !u || !ls_tensor_usable(u, "ls_add_") || !may_write(t, u, "ls_add_")) return;
    if (ls_enter(t->ctx, "ls_add_")) t->ctx->kernel->axpy(t->count, alpha, u->data, t->data);
}

void ls_sub_(ls_tensor *t, const ls_tensor *u, double alpha)
{
    if (!t || !u || !ls_tensor_usable(u, "ls_sub_") || !may_write(t, u, "ls_sub_")) return;
    if (ls_enter(t->ctx, "ls_sub_")) t->ctx->kernel->axpy(t->count, -alpha, u->data, t->data);
}

/* t = t op u */
static void combine(ls_binary op, ls_tensor *t, const ls_tensor *u, const char *name)
{
    if (!t || !u || !ls_tensor_usable(u, name) || !may_write(t, u, name)) return;
    int64_t step[LS_MAX_NDIM] = { 1 };
    if (ls_enter(t->ctx, name))
        t->ctx->kernel->binary(op, (ls_shape){ 1, { t->count } }, t->data, step, u->data, step,
                               t->data, false);
}

void ls_mul_(ls_tensor *t, const ls_tensor *u)
{
    combine(LS_BINARY_MUL, t, u, "ls_mul_");
}

void ls_div_(ls_tensor *t, const ls_tensor *u)
{
    combine(LS_BINARY_DIV, t, u, "ls_div_");
}

void ls_mul_scalar_(ls_tensor *t, double c)
{
    if (may_write(t, NULL, "ls_mul_scalar_") && ls_enter(t->ctx, "ls_mul_scalar_"))
        t->ctx->kernel->unary(LS_UNARY_MUL_C, c, t->count, t->data, t->data);
}

void ls_fill_(ls_tensor *t, double value)
{
    if (may_write(t, NULL, "ls_fill_") && ls_enter(t->ctx, "ls_fill_"))
        t->ctx->kernel->fill(t->count, value, t->data);
}

void ls_zero_(ls_tensor *t)
{
    ls_fill_(t, 0);
}

void ls_copy_(ls_tensor *t, const ls_tensor *u)
{
    if (!t || !u || !ls_tensor_usable(u, "ls_copy_") || !may_write(t, u, "ls_copy_")) return;
    if (ls_enter(t->ctx, "ls_copy_"))
        memmove(t->data, u->data, (size_t)t->count * ls_dtype_bytes(t->dtype));
}

ls_tensor *ls_keep(const ls_tensor *t)
{
    if (!ls_tensor_usable(t, "ls_keep")) return NULL;
    ls_tensor *copy = ls_tensor_make(t->ctx, t->dtype, t->shape, t->is_part, false);
    if (copy) memcpy(copy->data, t->data, (size_t)t->count * ls_dtype_bytes(t->dtype));
    return copy;
}
