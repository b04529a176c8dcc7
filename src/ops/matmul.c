/* matmul.c -- matrix product as torch.matmul: matrices, vectors, and stacks of matrices. A vector at
 * the left is one row, at the right one column. Where the right side is one matrix, all rows of the
 * left go through one product: it is whole, and the left may be a part. Otherwise (bmm) the axes
 * before the last two broadcast, and each matrix is a product.
 * Gradient: da = g b^T,  db = a^T g. */
#include "ops/ops.h"

typedef struct sizes {
    int64_t n, d, o; /* [n, d] [d, o] */
} sizes;

static sizes sizes_of(const ls_node *n)
{
    ls_shape a = n->in[0].shape, b = n->in[1].shape;
    sizes s = { 1, a.dim[a.ndim - 1], b.ndim == 2 ? b.dim[1] : 1 };
    for (int i = 0; i + 1 < a.ndim; i++) s.n *= a.dim[i];
    return s;
}

static const char *shape(ls_node *n)
{
    ls_shape a = n->in[0].shape, b = n->in[1].shape, out = { 0 };
    if (a.ndim < 1 || b.ndim < 1 || b.ndim > 2) return "both must be vectors or matrices";
    if (n->in[1].is_part) return "the right side must be whole";
    if (n->in[0].is_part && a.ndim < 2) return "a part needs the batch axis before the features";
    if (a.dim[a.ndim - 1] != b.dim[0]) return "the inner sizes differ";
    for (int i = 0; i + 1 < a.ndim; i++) out.dim[out.ndim++] = a.dim[i];
    if (b.ndim == 2) out.dim[out.ndim++] = b.dim[1];
    n->out.shape = out;
    return NULL;
}

/* Rows of a leaf; rows within a row of the batch (a of more than two axes) lengthen it. */
static int64_t leaf_of(const ls_node *n, sizes s)
{
    int64_t batch = n->in[0].is_part ? n->in[0].shape.dim[0] : 0;
    return batch ? n->ctx->opts.leaf_rows * (s.n / batch) : 0;
}

static void forward(const ls_node *n)
{
    sizes s = sizes_of(n);
    n->ctx->kernel->inner(s.n, leaf_of(n, s), s.o, s.d, n->in[0].data, s.d, n->in[1].data, s.o, 1,
                          NULL, n->out.data, s.o, false, NULL);
}

static void backward(const ls_node *n, const void *g, void *const dx[])
{
    const ls_kernel *k = n->ctx->kernel;
    sizes s = sizes_of(n);
    int64_t leaf = leaf_of(n, s);
    if (dx[0])
        k->inner(s.n, leaf, s.d, s.o, g, s.o, n->in[1].data, 1, s.o, NULL, dx[0], s.d,
                 !(n->stores & 1), NULL);
    if (dx[1])
        k->outer(s.n, leaf, s.d, s.o, n->in[0].data, s.d, g, s.o, dx[1], s.o, !(n->stores & 2));
}

static bool factors(const ls_node *n, int i, const void *g, ls_factors *f)
{
    *f = (ls_factors){ n->in[0].data, g };
    return i == 1 && n->in[0].shape.ndim == 2 && n->in[1].shape.ndim == 2;
}

static const ls_shape cases[][LS_MAX_IN] = {
    { { 2, { 5, 3 } }, { 2, { 3, 2 } } }, { { 2, { 70, 9 } }, { 2, { 9, 1 } } },
    { { 2, { 6, 4 } }, { 1, { 4 } } },    { { 1, { 4 } }, { 2, { 4, 3 } } },
    { { 1, { 9 } }, { 1, { 9 } } },       { { 3, { 5, 2, 4 } }, { 2, { 4, 3 } } },
    { { 3, { 4, 3, 2 } }, { 1, { 2 } } }, LS_LAST_CASE,
};
const ls_op ls_op_matmul = { .name = "matmul",
                             .grad_name = "MmBackward0",
                             .n_in = 2,
                             .rows = LS_ROWS_ALONE,
                             .flags = LS_OP_LEAVES | LS_OP_STORES,
                             .saves = LS_SAVE_FACTORS,
                             .shape = shape,
                             .forward = forward,
                             .backward = backward,
                             .factors = factors,
                             .cases = cases };

/* ---- stacks of matrices ---------------------------------------------------------------------- */
/* The shape without its matrices: 1 along the last two axes. */
static ls_shape stack_of(ls_shape s)
{
    s.dim[s.ndim - 1] = s.dim[s.ndim - 2] = 1;
    return s;
}

static const char *shape_stacks(ls_node *n)
{
    ls_shape a = n->in[0].shape, b = n->in[1].shape;
    if (a.ndim < 2 || b.ndim < 2) return "both must be stacks of matrices";
    if (a.dim[a.ndim - 1] != b.dim[b.ndim - 2]) return "the inner sizes differ";
    ls_node stacks = { .n_in = 2, .in = { n->in[0], n->in[1] } };
    stacks.in[0].shape = stack_of(a);
    stacks.in[1].shape = stack_of(b);
    const char *refusal = ls_shape_broadcasts(&stacks);
    if (refusal) return refusal;
    ls_shape out = stacks.out.shape;
    out.dim[out.ndim - 2] = a.dim[a.ndim - 2];
    out.dim[out.ndim - 1] = b.dim[b.ndim - 1];
    n->out.shape = out;
    return NULL;
}

typedef struct stacks {
    int64_t count, n, d, o;
    int64_t stride[2][LS_MAX_NDIM]; /* in matrices */
    ls_shape stack;
} stacks;

static stacks stacks_of(const ls_node *n)
{
    ls_shape a = n->in[0].shape, b = n->in[1].shape, out = n->out.shape;
    stacks s = { .n = a.dim[a.ndim - 2], .d = a.dim[a.ndim - 1], .o = b.dim[b.ndim - 1] };
    s.stack = stack_of(out);
    s.count = ls_shape_count(s.stack);
    ls_shape_strides(stack_of(a), s.stack, s.stride[0]);
    ls_shape_strides(stack_of(b), s.stack, s.stride[1]);
    return s;
}

/* Which matrix of input i meets matrix m of the result. */
static int64_t matrix_of(const stacks *s, int i, int64_t m)
{
    int64_t at = 0;
    for (int d = s->stack.ndim - 1; d >= 0; m /= s->stack.dim[d--])
        at += m % s->stack.dim[d] * s->stride[i][d];
    return at;
}

static void forward_stacks(const ls_node *n)
{
    const ls_kernel *k = n->ctx->kernel;
    stacks s = stacks_of(n);
    for (int64_t m = 0; m < s.count; m++) {
        const char *a = (const char *)n->in[0].data +
                        (size_t)(matrix_of(&s, 0, m) * s.n * s.d) * k->bytes;
        const char *b = (const char *)n->in[1].data +
                        (size_t)(matrix_of(&s, 1, m) * s.d * s.o) * k->bytes;
        char *out = (char *)n->out.data + (size_t)(m * s.n * s.o) * k->bytes;
        k->inner(s.n, 0, s.o, s.d, a, s.d, b, s.o, 1, NULL, out, s.o, false, NULL);
    }
}

static void backward_stacks(const ls_node *n, const void *g, void *const dx[])
{
    const ls_kernel *k = n->ctx->kernel;
    stacks s = stacks_of(n);
    for (int64_t m = 0; m < s.count; m++) {
        size_t a = (size_t)(matrix_of(&s, 0, m) * s.n * s.d) * k->bytes;
        size_t b = (size_t)(matrix_of(&s, 1, m) * s.d * s.o) * k->bytes;
        const char *gm = (const char *)g + (size_t)(m * s.n * s.o) * k->bytes;
        if (dx[0])
            k->inner(s.n, 0, s.d, s.o, gm, s.o, (const char *)n->in[1].data + b, 1, s.o, NULL,
                     (char *)dx[0] + a, s.d, true, NULL);
        if (dx[1])
            k->outer(s.n, 0, s.d, s.o, (const char *)n->in[0].data + a, s.d, gm, s.o,
                     (char *)dx[1] + b, s.o, true);
    }
}

static const ls_shape stacks_cases[][LS_MAX_IN] = {
    { { 3, { 5, 2, 3 } }, { 3, { 5, 3, 4 } } },       { { 3, { 4, 2, 3 } }, { 3, { 1, 3, 2 } } },
    { { 4, { 4, 2, 1, 3 } }, { 3, { 2, 3, 2 } } },    { { 2, { 2, 3 } }, { 3, { 4, 3, 2 } } },
    { { 4, { 3, 1, 2, 2 } }, { 4, { 3, 2, 2, 1 } } }, LS_LAST_CASE,
};
const ls_op ls_op_bmm = { .name = "matmul",
                          .grad_name = "BmmBackward0",
                          .n_in = 2,
                          .rows = LS_ROWS_ALONE,
                          .saves = LS_SAVE_FACTORS,
                          .shape = shape_stacks,
                          .forward = forward_stacks,
                          .backward = backward_stacks,
                          .cases = stacks_cases };

/* ---- the doors ------------------------------------------------------------------------------- */
static ls_tensor *apply(const ls_op *op, ls_tensor *a, ls_tensor *b)
{
    return ls_apply(op, (ls_list){ 2, (ls_tensor *[]){ a, b } }, NULL, 0);
}

ls_tensor *ls_matmul(ls_tensor *a, ls_tensor *b)
{
    if (!ls_tensor_usable(a, "matmul") || !ls_tensor_usable(b, "matmul")) return NULL;
    int last = a->shape.ndim;
    if (b->shape.ndim < 3) {
        ls_tensor *c = apply(&ls_op_matmul, a, b);
        if (b->shape.ndim == 1) return ls_named(c, last == 1 ? "DotBackward0" : "MvBackward0");
        return last > 2 ? ls_named(c, "UnsafeViewBackward0") : c;
    }
    ls_align_rows(&a, &b);
    if (last != 1) return ls_named(apply(&ls_op_bmm, a, b), "UnsafeViewBackward0");
    ls_tensor *c = apply(&ls_op_bmm, ls_unsqueeze(a, 0), b);
    return ls_squeeze_axis(c, -2);
}

ls_tensor *ls_bmm(ls_tensor *a, ls_tensor *b)
{
    if (!ls_tensor_usable(a, "bmm") || !ls_tensor_usable(b, "bmm")) return NULL;
    if (a->shape.ndim == 3 && b->shape.ndim == 3 && a->shape.dim[0] == b->shape.dim[0])
        return ls_named(ls_matmul(a, b), "BmmBackward0");
    ls_fail(a->ctx, LS_ERR_SHAPE, "bmm: both must be as many matrices (%s and %s)",
            ls_shape_str(a->shape).text, ls_shape_str(b->shape).text);
    return NULL;
}

ls_tensor *ls_mv(ls_tensor *a, ls_tensor *v)
{
    if (!ls_tensor_usable(a, "mv") || !ls_tensor_usable(v, "mv")) return NULL;
    if (a->shape.ndim == 2 && v->shape.ndim == 1) return ls_matmul(a, v);
    ls_fail(a->ctx, LS_ERR_SHAPE, "mv: takes a matrix and a vector (%s and %s)",
            ls_shape_str(a->shape).text, ls_shape_str(v->shape).text);
    return NULL;
}

ls_tensor *ls_dot(ls_tensor *a, ls_tensor *b)
{
    if (!ls_tensor_usable(a, "dot") || !ls_tensor_usable(b, "dot")) return NULL;
    if (a->shape.ndim == 1 && b->shape.ndim == 1) return ls_matmul(a, b);
    ls_fail(a->ctx, LS_ERR_SHAPE, "dot: takes two vectors (%s and %s)", ls_shape_str(a->shape).text,
            ls_shape_str(b->shape).text);
    return NULL;
}
