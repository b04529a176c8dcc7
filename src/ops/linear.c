/* linear.c -- y = x w^T + b, PyTorch's layout of the weight; alone, or with an activation of it in the same pass.
 * Gradient: dx = g w,  dw = g^T x,  db = column sums of g. */
#include "ops/ops.h"

static const char *shape(ls_node *n)
{
    ls_shape x = n->in[0].shape, w = n->in[1].shape, b = n->in[2].shape;
    if (n->in[1].is_part || (n->in[2].data && n->in[2].is_part))
        return "weight and bias must be whole";
    if (w.ndim != 2) return "the weight must be [O, D]";
    if (x.ndim < 1 || x.dim[x.ndim - 1] != w.dim[1])
        return "the last axis of x must be the weight's D";
    if (n->in[0].is_part && x.ndim < 2) return "a part needs the batch axis before the features";
    if (n->in[2].data && (b.ndim != 1 || b.dim[0] != w.dim[0])) return "the bias must be [O]";
    n->out.shape = x;
    n->out.shape.dim[x.ndim - 1] = w.dim[0];
    return NULL;
}

static int64_t features(const ls_node *n)
{
    return n->in[1].shape.dim[1];
}

static int64_t outputs(const ls_node *n)
{
    return n->in[1].shape.dim[0];
}

static int64_t rows(const ls_node *n)
{
    int64_t count = 1;
    for (int i = 0; i + 1 < n->out.shape.ndim; i++) count *= n->out.shape.dim[i];
    return count;
}

/* Rows of a leaf; rows within a row of the batch (x of more than two axes) lengthen it. */
static int64_t leaf_of(const ls_node *n)
{
    int64_t batch = n->out.shape.ndim > 1 ? n->out.shape.dim[0] : 0;
    return n->in[0].is_part && batch ? n->ctx->opts.leaf_rows * (rows(n) / batch) : 0;
}

static void product(const ls_node *n, const ls_then *then)
{
    int64_t D = features(n), O = outputs(n);
    n->ctx->kernel->inner(rows(n), leaf_of(n), O, D, n->in[0].data, D, n->in[1].data, 1, D,
                          n->in[2].data, n->out.data, O, false, then);
}

static void forward(const ls_node *n)
{
    product(n, NULL);
}

/* dw, in parts of half a millisecond or so while sums of other gradients are under way: they go on in between. */
static void weight_gradient(const ls_node *n, const char *g, char *dw)
{
    /* Of a part: products, and tiles at least, so that packing x anew for each does not count. */
    enum { PRODUCTS = 1 << 26, TILES = 22 };
    const ls_kernel *k = n->ctx->kernel;
    const int64_t N = rows(n), D = features(n), O = outputs(n), bytes = (int64_t)k->bytes;
    const int64_t step = TILES * k->tile;
    int64_t part = step ? (PRODUCTS / step / (N * D + 1) + 1) * step : O;
    /* No tiles: OpenBLAS, whose products may depend on their number of rows. */
    if (part >= O || !n->ctx->links->progress(n->ctx)) part = O;
    for (int64_t o = 0; o < O; o += part) {
        if (o > 0) n->ctx->links->progress(n->ctx);
        k->outer(N, leaf_of(n), part < O - o ? part : O - o, D, g + o * bytes, O, n->in[0].data, D,
                 dw + o * D * bytes, D, !(n->stores & 2));
    }
}

static void backward(const ls_node *n, const void *g, void *const dx[])
{
    const ls_kernel *k = n->ctx->kernel;
    int64_t N = rows(n), D = features(n), O = outputs(n), leaf = leaf_of(n);
    const ls_then slope = { n->slope ? (ls_unary)*n->slope : LS_UNARY_RELU, n->in[0].data };
    if (dx[0])
        k->inner(N, leaf, D, O, g, O, n->in[1].data, D, 1, NULL, dx[0], D, !(n->stores & 1),
                 n->slope ? &slope : NULL);
    if (dx[1]) weight_gradient(n, g, dx[1]);
    if (dx[2]) k->columns(N, leaf, O, g, O, dx[2], !(n->stores & 4));
}

static bool factors(const ls_node *n, int i, const void *g, ls_factors *f)
{
    *f = (ls_factors){ g, n->in[0].data };
    return i == 1 && n->out.shape.ndim == 2;
}

static const ls_shape cases[][LS_MAX_IN] = {
    { { 2, { 5, 3 } }, { 2, { 2, 3 } }, { 1, { 2 } } },
    { { 2, { 1, 1 } }, { 2, { 1, 1 } }, { 1, { 1 } } },
    { { 2, { 70, 9 } }, { 2, { 3, 9 } }, { 1, { 3 } } },
    { { 1, { 4 } }, { 2, { 3, 4 } }, { 1, { 3 } } },
    { { 3, { 6, 2, 4 } }, { 2, { 3, 4 } }, { 1, { 3 } } },
    LS_LAST_CASE,
};
#define TABLE(id, grad, reads, run, of)                                                            \
    const ls_op ls_op_##id = { .name = "linear",                                                   \
                               .grad_name = grad,                                                  \
                               .n_in = 3,                                                          \
                               .n_need = 2,                                                        \
                               .rows = LS_ROWS_ALONE,                                              \
                               .flags = LS_OP_LEAVES | LS_OP_STORES | LS_OP_SLOPES,                \
                               .saves = reads,                                                     \
                               .shape = shape,                                                     \
                               .forward = run,                                                     \
                               .backward = backward,                                               \
                               .factors = factors,                                                 \
                               .cases = cases,                                                     \
                               .activation = of };
TABLE(linear, "AddmmBackward0", LS_SAVE_FACTORS, forward, NULL)

#define ACTIVATED(id, OP, grad)                                                                    \
    static void forward_##id(const ls_node *n)                                                     \
    {                                                                                              \
        product(n, &(ls_then){ OP, NULL });                                                        \
    }                                                                                              \
    TABLE(linear_##id, grad, LS_SAVE_FACTORS | LS_SAVE_OUT, forward_##id, &((const int){ OP }))    \
    ls_tensor *ls_linear_##id(ls_tensor *x, ls_tensor *w, ls_tensor *b)                            \
    {                                                                                              \
        return ls_apply(&ls_op_linear_##id, (ls_list){ 3, (ls_tensor *[]){ x, w, b } }, NULL, 0);  \
    }
ACTIVATED(relu, LS_UNARY_RELU, "ReluBackward0")
ACTIVATED(tanh, LS_UNARY_TANH, "TanhBackward0")
ACTIVATED(sigmoid, LS_UNARY_SIGMOID, "SigmoidBackward0")

ls_tensor *ls_linear(ls_tensor *x, ls_tensor *w, ls_tensor *b)
{
    ls_tensor *y = ls_apply(&ls_op_linear, (ls_list){ 3, (ls_tensor *[]){ x, w, b } }, NULL, 0);
    return b ? y : ls_named(y, "MmBackward0");
}
