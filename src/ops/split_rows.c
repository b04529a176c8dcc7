/* split_rows.c -- between the two kinds of tensors: a whole tensor as a part, a part as a whole
 * tensor, and classes as floating numbers. Gradient of split_rows: every row's from the rank that
 * holds it, through the tree; of whole: the rows held here. */
#include "ops/ops.h"
#include <string.h>

static size_t row_bytes(const ls_array *a, size_t element)
{
    size_t bytes = element;
    for (int i = 1; i < a->shape.ndim; i++) bytes *= (size_t)a->shape.dim[i];
    return bytes;
}

/* ---- split_rows ------------------------------------------------------------------------------ */
static const char *shape_split(ls_node *n)
{
    if (n->in[0].is_part) return "the tensor is a part already";
    if (n->in[0].shape.ndim < 1) return "a scalar has no rows";
    n->out.shape = n->in[0].shape;
    return NULL;
}

static void forward_split(const ls_node *n)
{
    size_t row = row_bytes(&n->out, n->ctx->kernel->bytes);
    memcpy(n->out.data, (const char *)n->in[0].data + row * (size_t)n->first_row,
           row * (size_t)n->out.shape.dim[0]);
}

static void backward_split(const ls_node *n, const void *g, void *const dx[])
{
    size_t row = row_bytes(&n->out, n->ctx->kernel->bytes);
    n->ctx->kernel->add(n->out.count, (char *)dx[0] + row * (size_t)n->first_row, g);
}

static const ls_shape cases[][LS_MAX_IN] = { { { 2, { 7, 3 } } }, { { 1, { 70 } } }, LS_LAST_CASE };
const ls_op ls_op_split_rows = { .name = "split_rows",
                                 .grad_name = "SplitRowsBackward0",
                                 .n_in = 1,
                                 .rows = LS_ROWS_ALONE,
                                 .flags = LS_OP_SPLIT,
                                 .shape = shape_split,
                                 .forward = forward_split,
                                 .backward = backward_split,
                                 .cases = cases };

ls_tensor *ls_split_rows(ls_tensor *t)
{
    if (!t || t->dtype != LS_INT64) return ls_apply(&ls_op_split_rows, (ls_list){ 1, &t }, NULL, 0);
    if (!ls_tensor_usable(t, "split_rows") || !ls_enter(t->ctx, "split_rows")) return NULL;
    if (t->is_part || t->shape.ndim < 1) {
        ls_fail(t->ctx, LS_ERR_SHAPE, "split_rows: the tensor must be whole, and have rows");
        return NULL;
    }
    ls_tensor *p = ls_tensor_make(t->ctx, LS_INT64, t->shape, true, true);
    if (p)
        memcpy(p->data, (const int64_t *)t->data + p->rows.from * ls_tensor_row_count(t),
               (size_t)p->count * 8);
    return p;
}

/* ---- whole ----------------------------------------------------------------------------------- */
static void backward_whole(const ls_node *n, const void *g, void *const dx[])
{
    size_t row = row_bytes(&n->in[0], n->ctx->kernel->bytes);
    n->ctx->kernel->add(n->in[0].count, dx[0], (const char *)g + row * (size_t)n->first_row);
}

static const ls_op op_whole = { .name = "whole",
                                .grad_name = "WholeBackward0",
                                .n_in = 1,
                                .rows = LS_ROWS_ALONE,
                                .backward = backward_whole };

ls_tensor *ls_whole(ls_ctx *ctx, ls_tensor *t)
{
    if (!ls_enter(ctx, "ls_whole") || !ls_tensor_usable(t, "ls_whole")) return ls_agree(ctx), NULL;
    if (!t->is_part) return t;
    ls_tensor *out = ls_tensor_make(ctx, t->dtype, t->shape, false, true);
    size_t row = (size_t)ls_tensor_row_count(t) * ls_dtype_bytes(t->dtype);
    if (!out) return ls_agree(ctx), NULL;
    if (ctx->links->gather(ctx, t->shape.dim[0], row, t->data, out->data)) return NULL;
    return ls_tape_result(&op_whole, t, out);
}

/* ---- classes as numbers ---------------------------------------------------------------------- */
static void forward_to_float(const ls_node *n)
{
    n->ctx->kernel->from_int64(n->out.count, n->in[0].data, n->out.data);
}

static const ls_shape class_cases[][LS_MAX_IN] = { { { 1, { 5 } } },
                                                   { { 2, { 4, 2 } } },
                                                   LS_LAST_CASE };
const ls_op ls_op_to_float = { .name = "to_float",
                               .n_in = 1,
                               .rows = LS_ROWS_ALONE,
                               .classes = 1,
                               .shape = ls_shape_same,
                               .forward = forward_to_float,
                               .cases = class_cases };

ls_tensor *ls_to_float(ls_tensor *t)
{
    if (t && t->dtype != LS_INT64) return t;
    return ls_apply(&ls_op_to_float, (ls_list){ 1, &t }, NULL, 0);
}

void ls_promote(ls_tensor **a, ls_tensor **b)
{
    if (!*a || !*b || (*a)->dtype == (*b)->dtype) return;
    if ((*a)->dtype == LS_INT64) *a = ls_to_float(*a);
    else if ((*b)->dtype == LS_INT64) *b = ls_to_float(*b);
}
