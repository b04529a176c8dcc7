/* take.c -- some of the elements along an axis, as a copy: slice and select by a range, index_select
 * by a list of places, gather by a place for each element. Gradient: g added where the elements came
 * from. The rows of a part lie on several ranks, so none is taken out of its axis 0; but a part of
 * places takes rows out of a whole tensor, as an embedding does. */
#include "ops/ops.h"
#include <string.h>

static const char *const of_the_batch =
    "the rows of a part lie on several ranks; ls_whole() brings them together";

static char *at(const void *base, int64_t element, size_t bytes)
{
    return (char *)(uintptr_t)base + (size_t)element * bytes;
}

/* Where backward() adds: what was there before, or nothing. */
static void begin_adding(const ls_node *n, void *dx)
{
    if (n->stores & 1) n->ctx->kernel->fill(n->in[0].count, 0, dx);
}

/* ---- slice ----------------------------------------------------------------------------------- */
typedef struct range {
    int axis;
    int64_t from, to, step;
} range;

static const char *shape_slice(ls_node *n)
{
    const range *r = n->args;
    if (n->in[0].is_part && r->axis == 0) return of_the_batch;
    n->out.shape = n->in[0].shape;
    n->out.shape.dim[r->axis] = r->to > r->from ? (r->to - r->from - 1) / r->step + 1 : 0;
    return NULL;
}

static void forward_slice(const ls_node *n)
{
    const range *r = n->args;
    ls_around in = ls_shape_around(n->in[0].shape, r->axis),
              out = ls_shape_around(n->out.shape, r->axis);
    size_t bytes = ls_dtype_bytes(n->out_dtype);
    int64_t lines = r->step == 1 ? 1 : out.n, line = out.n * out.inner / (lines ? lines : 1);
    for (int64_t o = 0; o < out.outer; o++)
        for (int64_t k = 0; k < lines; k++)
            memcpy(at(n->out.data, (o * out.n + k) * out.inner, bytes),
                   at(n->in[0].data, (o * in.n + r->from + k * r->step) * in.inner, bytes),
                   (size_t)line * bytes);
}

static void backward_slice(const ls_node *n, const void *g, void *const dx[])
{
    const range *r = n->args;
    ls_around in = ls_shape_around(n->in[0].shape, r->axis),
              out = ls_shape_around(n->out.shape, r->axis);
    size_t bytes = n->ctx->kernel->bytes;
    begin_adding(n, dx[0]);
    for (int64_t o = 0; o < out.outer; o++)
        for (int64_t k = 0; k < out.n; k++)
            n->ctx->kernel->add(out.inner,
                                at(dx[0], (o * in.n + r->from + k * r->step) * in.inner, bytes),
                                at(g, (o * out.n + k) * out.inner, bytes));
}

static const ls_shape slice_cases[][LS_MAX_IN] = { { { 2, { 5, 6 } } },
                                                   { { 3, { 4, 6, 2 } } },
                                                   LS_LAST_CASE };
static const range slice_example = { 1, 1, 6, 2 };
const ls_op ls_op_slice = { .name = "slice",
                            .grad_name = "SliceBackward0",
                            .n_in = 1,
                            .rows = LS_ROWS_ALONE,
                            .flags = LS_OP_STORES,
                            .shape = shape_slice,
                            .forward = forward_slice,
                            .backward = backward_slice,
                            .cases = slice_cases,
                            .case_args = &slice_example,
                            .case_args_bytes = sizeof(range) };

static const char *shape_slice_classes(ls_node *n)
{
    n->out_dtype = LS_INT64;
    return shape_slice(n);
}
const ls_op ls_op_slice_classes = { .name = "slice",
                                    .n_in = 1,
                                    .rows = LS_ROWS_ALONE,
                                    .classes = 1,
                                    .shape = shape_slice_classes,
                                    .forward = forward_slice,
                                    .cases = slice_cases,
                                    .case_args = &slice_example,
                                    .case_args_bytes = sizeof(range) };

static ls_tensor *slice(ls_tensor *t, range r)
{
    const ls_op *op = t->dtype == LS_INT64 ? &ls_op_slice_classes : &ls_op_slice;
    return ls_apply(op, (ls_list){ 1, &t }, &r, sizeof r);
}

/* As Python counts: from the end where negative, and never beyond it. */
static int64_t place_in(int64_t i, int64_t n)
{
    if (i < 0) i += n;
    return i < 0 ? 0 : i > n ? n : i;
}

ls_tensor *ls_slice(ls_tensor *t, int axis, int64_t from, int64_t to, int64_t step)
{
    if (!ls_axis_fits(t, "slice", &axis)) return NULL;
    int64_t n = t->shape.dim[axis];
    if (step > 0) return slice(t, (range){ axis, place_in(from, n), place_in(to, n), step });
    ls_fail(t->ctx, LS_ERR_ARG, "slice: a step of %lld; steps are 1 or more", (long long)step);
    return NULL;
}

ls_tensor *ls_narrow(ls_tensor *t, int axis, int64_t start, int64_t length)
{
    if (!ls_axis_fits(t, "narrow", &axis)) return NULL;
    int64_t n = t->shape.dim[axis], from = start < 0 ? start + n : start;
    if (from >= 0 && length >= 0 && from <= n && length <= n - from)
        return slice(t, (range){ axis, from, from + length, 1 });
    ls_fail(t->ctx, LS_ERR_ARG, "narrow: %lld elements from %lld of axis %d of shape %s",
            (long long)length, (long long)start, axis, ls_shape_str(t->shape).text);
    return NULL;
}

ls_tensor *ls_select(ls_tensor *t, int axis, int64_t index)
{
    if (!ls_axis_fits(t, "select", &axis)) return NULL;
    int64_t n = t->shape.dim[axis], i = index < 0 ? index + n : index;
    if (i < 0 || i >= n) {
        ls_fail(t->ctx, LS_ERR_ARG, "select: index %lld is out of range for axis %d of shape %s",
                (long long)index, axis, ls_shape_str(t->shape).text);
        return NULL;
    }
    ls_tensor *one = slice(t, (range){ axis, i, i + 1, 1 });
    return ls_named(ls_squeeze_axis(one, axis), "SelectBackward0");
}

/* ---- index_select ---------------------------------------------------------------------------- */
static const char *shape_index(ls_node *n)
{
    int axis = *(const int *)n->args;
    ls_shape x = n->in[0].shape, index = n->in[1].shape;
    if (index.ndim != 1) return "the places must be a vector";
    if (axis >= x.ndim) return "there is no such axis";
    if (axis == 0 && n->in[0].is_part) return of_the_batch;
    if (axis != 0 && n->in[1].is_part) return "a part of places takes from axis 0";
    n->out.shape = x;
    n->out.shape.dim[axis] = index.dim[0];
    n->out_dtype = n->in_dtype[0];
    return NULL;
}

static void forward_index(const ls_node *n)
{
    int axis = *(const int *)n->args;
    ls_around in = ls_shape_around(n->in[0].shape, axis);
    int64_t count = n->in[1].count;
    const int64_t *index = n->in[1].data;
    size_t bytes = ls_dtype_bytes(n->out_dtype), line = (size_t)in.inner * bytes;
    for (int64_t o = 0; o < in.outer; o++)
        for (int64_t k = 0; k < count; k++)
            memcpy(at(n->out.data, o * count + k, line),
                   at(n->in[0].data, o * in.n + index[k], line), line);
}

static void backward_index(const ls_node *n, const void *g, void *const dx[])
{
    int axis = *(const int *)n->args;
    ls_around in = ls_shape_around(n->in[0].shape, axis);
    int64_t count = n->in[1].count;
    const int64_t *index = n->in[1].data;
    size_t line = (size_t)in.inner * n->ctx->kernel->bytes;
    begin_adding(n, dx[0]);
    for (int64_t o = 0; o < in.outer; o++)
        for (int64_t k = 0; k < count; k++)
            n->ctx->kernel->add(in.inner, at(dx[0], o * in.n + index[k], line),
                                at(g, o * count + k, line));
}

static const ls_shape index_cases[][LS_MAX_IN] = { { { 2, { 5, 4 } }, { 1, { 3 } } },
                                                   { { 3, { 4, 2, 3 } }, { 1, { 6 } } },
                                                   LS_LAST_CASE };
static const ls_shape rows_cases[][LS_MAX_IN] = { { { 2, { 3, 4 } }, { 1, { 7 } } },
                                                  { { 1, { 2 } }, { 1, { 5 } } },
                                                  LS_LAST_CASE };
#define INDEX_SELECT(id, ...)                                                                      \
    const ls_op ls_op_##id = { .name = "index_select",                                             \
                               .n_in = 2,                                                          \
                               .rows = LS_ROWS_ALONE,                                              \
                               .shape = shape_index,                                               \
                               .forward = forward_index,                                           \
                               .case_args_bytes = sizeof(int),                                     \
                               __VA_ARGS__ };
INDEX_SELECT(index_select, .grad_name = "IndexSelectBackward0", .flags = LS_OP_STORES, .saves = 2,
             .classes = 2, .backward = backward_index, .cases = index_cases,
             .case_args = &(const int){ 1 })
INDEX_SELECT(index_rows, .grad_name = "IndexSelectBackward0", .flags = LS_OP_STORES, .saves = 2,
             .classes = 2, .backward = backward_index, .cases = rows_cases,
             .case_args = &(const int){ 0 })
INDEX_SELECT(index_classes, .classes = 3, .cases = rows_cases, .case_args = &(const int){ 0 })

/* Each place from 0 to n - 1; tested where it lies. */
static bool places_fit(const char *name, const ls_tensor *index, int64_t n)
{
    const int64_t *i = index->data;
    if (index->dtype != LS_INT64) return true; /* refused where it is applied */
    for (int64_t k = 0; k < index->count; k++)
        if (i[k] < 0 || i[k] >= n) {
            ls_fail(index->ctx, LS_ERR_ARG, "%s: index %lld is out of range for an axis of %lld",
                    name, (long long)i[k], (long long)n);
            return false;
        }
    return true;
}

ls_tensor *ls_index_select(ls_tensor *t, int axis, ls_tensor *index)
{
    if (!ls_axis_fits(t, "index_select", &axis) || !ls_tensor_usable(index, "index_select") ||
        !places_fit("index_select", index, t->shape.dim[axis]))
        return NULL;
    const ls_op *op = t->dtype == LS_INT64 ? &ls_op_index_classes : &ls_op_index_select;
    return ls_apply(op, (ls_list){ 2, (ls_tensor *[]){ t, index } }, &axis, sizeof axis);
}

/* ---- gather ---------------------------------------------------------------------------------- */
static const char *shape_gather(ls_node *n)
{
    int axis = *(const int *)n->args;
    ls_shape x = n->in[0].shape, index = n->in[1].shape;
    if (x.ndim != index.ndim || axis >= x.ndim) return "the places must have as many axes";
    for (int i = 0; i < x.ndim; i++)
        if (i != axis && x.dim[i] != index.dim[i]) return "the other axes must be equal";
    if (n->in[0].is_part != n->in[1].is_part)
        return "a part meets a whole tensor; ls_split_rows() makes it one";
    if (axis == 0 && n->in[0].is_part) return of_the_batch;
    n->out.shape = index;
    return NULL;
}

/* Element i of the places is taken from this one. */
static int64_t source(const ls_node *n, ls_around in, ls_around out, int64_t i)
{
    int64_t o = i / (out.n * out.inner), place = ((const int64_t *)n->in[1].data)[i];
    return (o * in.n + place) * in.inner + i % out.inner;
}

static void forward_gather(const ls_node *n)
{
    int axis = *(const int *)n->args;
    ls_around in = ls_shape_around(n->in[0].shape, axis), out = ls_shape_around(n->out.shape, axis);
    size_t bytes = n->ctx->kernel->bytes;
    for (int64_t i = 0; i < n->out.count; i++)
        memcpy(at(n->out.data, i, bytes), at(n->in[0].data, source(n, in, out, i), bytes), bytes);
}

static void backward_gather(const ls_node *n, const void *g, void *const dx[])
{
    int axis = *(const int *)n->args;
    ls_around in = ls_shape_around(n->in[0].shape, axis), out = ls_shape_around(n->out.shape, axis);
    size_t bytes = n->ctx->kernel->bytes;
    begin_adding(n, dx[0]);
    for (int64_t i = 0; i < n->out.count; i++)
        n->ctx->kernel->add(1, at(dx[0], source(n, in, out, i), bytes), at(g, i, bytes));
}

static const ls_shape gather_cases[][LS_MAX_IN] = {
    { { 2, { 5, 4 } }, { 2, { 5, 1 } } },
    { { 2, { 4, 3 } }, { 2, { 4, 5 } } },
    { { 3, { 3, 2, 4 } }, { 3, { 3, 3, 4 } } },
    LS_LAST_CASE,
};
const ls_op ls_op_gather = { .name = "gather",
                             .grad_name = "GatherBackward0",
                             .n_in = 2,
                             .rows = LS_ROWS_ALONE,
                             .flags = LS_OP_STORES,
                             .saves = 2,
                             .classes = 2,
                             .shape = shape_gather,
                             .forward = forward_gather,
                             .backward = backward_gather,
                             .cases = gather_cases,
                             .case_args = &(const int){ 1 },
                             .case_args_bytes = sizeof(int) };

ls_tensor *ls_gather(ls_tensor *t, int axis, ls_tensor *index)
{
    if (!ls_axis_fits(t, "gather", &axis) || !ls_tensor_usable(index, "gather") ||
        !places_fit("gather", index, t->shape.dim[axis]))
        return NULL;
    ls_pair_rows(&t, &index);
    return ls_apply(&ls_op_gather, (ls_list){ 2, (ls_tensor *[]){ t, index } }, &axis, sizeof axis);
}
