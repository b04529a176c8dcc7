/* cat.c -- tensors one after another along an axis; stack gives them an axis of their own first.
 * Four at a time, the result of four being the first of the next. Gradient: to each its run of g.
 * Along the batch axis parts are refused: their rows lie on several ranks. */
#include "ops/ops.h"
#include <string.h>

static const char *shape(ls_node *n)
{
    int axis = *(const int *)n->args;
    ls_shape out = n->in[0].shape;
    if (axis >= out.ndim) return "there is no such axis";
    for (int i = 0; i < n->n_in; i++) {
        ls_shape s = n->in[i].shape;
        if (!n->in[i].data) continue;
        if (n->in[i].is_part && axis == 0)
            return "the rows of a part lie on several ranks; ls_whole() brings them together";
        if (n->in[i].is_part != n->in[0].is_part)
            return "a part meets a whole tensor; ls_split_rows() makes it one";
        if (s.ndim != out.ndim) return "the tensors must have as many axes";
        for (int d = 0; d < out.ndim; d++)
            if (d != axis && s.dim[d] != out.dim[d]) return "the other axes must be equal";
        if (i > 0) out.dim[axis] += s.dim[axis];
    }
    n->out.shape = out;
    n->out_dtype = n->in_dtype[0];
    return NULL;
}

static bool is_there(const ls_node *n, int i)
{
    return n->in[i].data != NULL;
}

static void forward(const ls_node *n)
{
    int axis = *(const int *)n->args;
    ls_around out = ls_shape_around(n->out.shape, axis);
    size_t bytes = ls_dtype_bytes(n->out_dtype), row = (size_t)(out.n * out.inner) * bytes;
    size_t before = 0;
    for (int i = 0; i < n->n_in; i++) {
        if (!is_there(n, i)) continue;
        size_t line = (size_t)(n->in[i].shape.dim[axis] * out.inner) * bytes;
        for (int64_t o = 0; o < out.outer; o++)
            memcpy((char *)n->out.data + row * (size_t)o + before,
                   (const char *)n->in[i].data + line * (size_t)o, line);
        before += line;
    }
}

static void backward(const ls_node *n, const void *g, void *const dx[])
{
    const ls_kernel *k = n->ctx->kernel;
    int axis = *(const int *)n->args;
    ls_around out = ls_shape_around(n->out.shape, axis);
    size_t row = (size_t)(out.n * out.inner) * k->bytes, before = 0;
    for (int i = 0; i < n->n_in; i++) {
        if (!is_there(n, i)) continue;
        int64_t count = n->in[i].shape.dim[axis] * out.inner;
        size_t line = (size_t)count * k->bytes;
        for (int64_t o = 0; dx[i] && o < out.outer; o++) {
            char *to = (char *)dx[i] + line * (size_t)o;
            const char *from = (const char *)g + row * (size_t)o + before;
            if (n->stores >> i & 1) memcpy(to, from, line);
            else k->add(count, to, from);
        }
        before += line;
    }
}

static const ls_shape cases[][LS_MAX_IN] = {
    { { 2, { 5, 3 } }, { 2, { 5, 1 } }, { 2, { 5, 2 } }, { 2, { 5, 4 } } },
    { { 3, { 4, 2, 2 } }, { 3, { 4, 1, 2 } }, { 3, { 4, 3, 2 } }, { 3, { 4, 1, 2 } } },
    LS_LAST_CASE,
};
static const ls_shape rows_cases[][LS_MAX_IN] = {
    { { 2, { 5, 3 } }, { 2, { 1, 3 } }, { 2, { 2, 3 } }, { 2, { 4, 3 } } },
    { { 1, { 4 } }, { 1, { 1 } }, { 1, { 2 } }, { 1, { 3 } } },
    LS_LAST_CASE,
};
#define CAT(id, ...)                                                                               \
    const ls_op ls_op_##id = { .name = "cat",                                                      \
                               .n_in = 4,                                                          \
                               .n_need = 1,                                                        \
                               .rows = LS_ROWS_ALONE,                                              \
                               .shape = shape,                                                     \
                               .forward = forward,                                                 \
                               .case_args_bytes = sizeof(int),                                     \
                               __VA_ARGS__ };
CAT(cat, .grad_name = "CatBackward0", .flags = LS_OP_STORES, .backward = backward, .cases = cases,
    .case_args = &(const int){ 1 })
CAT(cat_rows, .grad_name = "CatBackward0", .flags = LS_OP_STORES, .backward = backward,
    .cases = rows_cases, .case_args = &(const int){ 0 })
CAT(cat_classes, .classes = 15, .cases = cases, .case_args = &(const int){ 1 })

static bool all_there(ls_list list, const char *name)
{
    for (int64_t i = 0; list.at && i < list.count; i++)
        if (!ls_tensor_usable(list.at[i], name)) return false;
    return list.at && list.count > 0;
}

static ls_tensor *join(ls_list list, int axis, const ls_tensor *part)
{
    ls_tensor *joined = NULL;
    for (int64_t i = 0; i < list.count;) {
        ls_tensor *at[LS_MAX_IN] = { 0 };
        int count = 0;
        if (i > 0) at[count++] = joined;
        for (; count < LS_MAX_IN && i < list.count; i++, count++) {
            at[count] = list.at[i];
            if (part && !at[count]->is_part && axis > 0) at[count] = ls_split_rows(at[count]);
            if (!at[count]) return NULL;
        }
        const ls_op *op = at[0]->dtype == LS_INT64 ? &ls_op_cat_classes : &ls_op_cat;
        joined = ls_apply(op, (ls_list){ count, at }, &axis, sizeof axis);
        if (!joined) return NULL;
    }
    return joined;
}

ls_tensor *ls_cat(ls_list list, int axis)
{
    const ls_tensor *part = NULL;
    if (!all_there(list, "cat") || !ls_axis_fits(list.at[0], "cat", &axis)) return NULL;
    for (int64_t i = 0; i < list.count; i++)
        if (list.at[i]->is_part) part = list.at[i];
    return join(list, axis, part);
}

ls_tensor *ls_stack(ls_list list, int axis)
{
    if (!all_there(list, "stack")) return NULL;
    ls_ctx *ctx = list.at[0]->ctx;
    const size_t bytes = (size_t)list.count * sizeof(ls_tensor *);
    ls_tensor **at = ls_arena_take(&ctx->arena, bytes);
    if (!at) {
        ls_fail_memory(ctx, bytes, "stack");
        return NULL;
    }
    int ndim = list.at[0]->shape.ndim + 1;
    for (int64_t i = 0; i < list.count; i++)
        if (!(at[i] = ls_unsqueeze(list.at[i], axis))) return NULL;
    return ls_named(ls_cat((ls_list){ list.count, at }, axis < 0 ? axis + ndim : axis),
                    "StackBackward0");
}
