/* shape.c -- shapes as values: counts, PyTorch's broadcasting, text.
 *
 * Everything here is pure. A shape with a negative dimension or more elements than fit is refused
 * by ls_shape_count(), which every maker of tensors asks first. Where a dimension is 0 the others must
 * fit as well: no product of dimensions, nor a sum of a few of them, then overflows anywhere.
 */
#include "tensor/tensor.h"
#include <stdio.h>

int64_t ls_shape_count(ls_shape s)
{
    int64_t count = 1;
    bool is_empty = false;
    if (s.ndim < 0 || s.ndim > LS_MAX_NDIM) return -1;
    for (int i = 0; i < s.ndim; i++) {
        if (s.dim[i] < 0) return -1;
        if (s.dim[i] == 0) is_empty = true;
        else if (__builtin_mul_overflow(count, s.dim[i], &count)) return -1;
    }
    return count > INT64_MAX / 16 ? -1 : is_empty ? 0 : count;
}

bool ls_shape_equal(ls_shape a, ls_shape b)
{
    if (a.ndim != b.ndim) return false;
    for (int i = 0; i < a.ndim; i++)
        if (a.dim[i] != b.dim[i]) return false;
    return true;
}

bool ls_shape_broadcast(ls_shape a, ls_shape b, ls_shape *out)
{
    out->ndim = a.ndim > b.ndim ? a.ndim : b.ndim;
    for (int i = 1; i <= out->ndim; i++) {
        int64_t da = i <= a.ndim ? a.dim[a.ndim - i] : 1, db = i <= b.ndim ? b.dim[b.ndim - i] : 1;
        if (da != db && da != 1 && db != 1) return false;
        out->dim[out->ndim - i] = da == 1 ? db : da;
    }
    return true;
}

void ls_shape_strides(ls_shape s, ls_shape to, int64_t stride[LS_MAX_NDIM])
{
    int64_t step = 1;
    for (int i = 1; i <= to.ndim; i++) {
        int64_t d = i <= s.ndim ? s.dim[s.ndim - i] : 1;
        stride[to.ndim - i] = d == 1 ? 0 : step;
        step *= d;
    }
}

ls_shape_text ls_shape_str(ls_shape s)
{
    ls_shape_text t = { "[" };
    size_t used = 1;
    for (int i = 0; i < s.ndim && i < LS_MAX_NDIM; i++)
        used += (size_t)snprintf(t.text + used, sizeof t.text - used, i ? ", %lld" : "%lld",
                                 (long long)s.dim[i]);
    snprintf(t.text + used, sizeof t.text - used, "]");
    return t;
}

const char *ls_dtype_name(ls_dtype t)
{
    return t == LS_FLOAT32 ? "float32" : t == LS_FLOAT64 ? "float64" : "int64";
}

size_t ls_dtype_bytes(ls_dtype t)
{
    return t == LS_FLOAT32 ? 4 : 8;
}
