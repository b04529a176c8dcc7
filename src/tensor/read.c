/* read.c -- getters. Local: none waits for another rank, so they may stand under ls_is_root(). A
 * part's single elements are refused alike on all ranks, also on those that hold them.
 */
#include "tensor/tensor.h"
#include <math.h>

double ls_round(ls_dtype type, double x)
{
    return type == LS_FLOAT32 ? (double)(float)x : x;
}

double ls_element(const ls_tensor *t, int64_t i)
{
    if (t->dtype == LS_FLOAT32) return (double)((const float *)t->data)[i];
    if (t->dtype == LS_FLOAT64) return ((const double *)t->data)[i];
    return (double)((const int64_t *)t->data)[i];
}

ls_shape ls_shape_of(const ls_tensor *t)
{
    return ls_tensor_usable(t, "ls_shape_of") ? t->shape : (ls_shape){ 0 };
}

ls_dtype ls_dtype_of(const ls_tensor *t)
{
    return t ? t->dtype : LS_FLOAT32;
}

int64_t ls_dim(const ls_tensor *t, int axis)
{
    if (!ls_tensor_usable(t, "ls_dim")) return 0;
    int i = axis < 0 ? axis + t->shape.ndim : axis;
    if (i >= 0 && i < t->shape.ndim) return t->shape.dim[i];
    ls_fail(t->ctx, LS_ERR_ARG, "ls_dim: shape %s has no axis %d", ls_shape_str(t->shape).text,
            axis);
    return 0;
}

static bool may_read_all(const ls_tensor *t, const char *name)
{
    if (!ls_tensor_usable(t, name)) return false;
    if (t->is_part)
        ls_fail(t->ctx, LS_ERR_SHAPE,
                "%s: the rows of this part %s lie on several ranks; ls_whole() "
                "brings them here",
                name, ls_shape_str(t->shape).text);
    return !t->ctx->failure.status;
}

static bool may_read(const ls_tensor *t, const char *name, int64_t i)
{
    if (!may_read_all(t, name)) return false;
    if (i < 0 || i >= t->count)
        ls_fail(t->ctx, LS_ERR_ARG, "%s: element %lld of a tensor of shape %s", name, (long long)i,
                ls_shape_str(t->shape).text);
    return !t->ctx->failure.status;
}

double ls_item(const ls_tensor *t)
{
    if (!may_read(t, "ls_item", 0)) return NAN;
    if (t->count == 1) return ls_element(t, 0);
    ls_fail(t->ctx, LS_ERR_SHAPE,
            "ls_item: only tensors of one element have an item, this one is %s",
            ls_shape_str(t->shape).text);
    return NAN;
}

double ls_at(const ls_tensor *t, int64_t i)
{
    return may_read(t, "ls_at", i) ? ls_element(t, i) : NAN;
}

int64_t ls_class_at(const ls_tensor *t, int64_t i)
{
    if (!may_read(t, "ls_class_at", i)) return -1;
    if (t->dtype == LS_INT64) return ((const int64_t *)t->data)[i];
    ls_fail(t->ctx, LS_ERR_TYPE, "ls_class_at: the tensor is %s, not int64",
            ls_dtype_name(t->dtype));
    return -1;
}

int64_t ls_tolist(const ls_tensor *t, int64_t count, double *out)
{
    if (!may_read_all(t, "ls_tolist") || (count && !ls_given(t->ctx, "ls_tolist", out, "room")))
        return 0;
    if (t->count == count) {
        for (int64_t i = 0; i < count; i++) out[i] = ls_element(t, i);
        return count;
    }
    ls_fail(t->ctx, LS_ERR_SHAPE,
            "ls_tolist: shape %s has %lld elements, and there is room for %lld",
            ls_shape_str(t->shape).text, (long long)t->count, (long long)count);
    return 0;
}

const void *ls_rows_data(const ls_tensor *t, int64_t *first, int64_t *count)
{
    int64_t unwanted[2];
    if (!first) first = &unwanted[0];
    if (!count) count = &unwanted[1];
    *first = *count = 0;
    if (!ls_tensor_usable(t, "ls_rows_data")) return NULL;
    *first = t->rows.from;
    *count = t->rows.to - t->rows.from;
    return t->data;
}
