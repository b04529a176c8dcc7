/* matmul.c -- matrix product as torch.matmul for vectors and matrices: [N,D] [D,O], [D] [D,O],
 * [N,D] [D], [D] [D]. A vector at the left is one row, at the right one column. b is whole; a may
 * be a part.
 * Gradient: da = g b^T,  db = a^T g. */
#include "ops/ops.h"

typedef struct sizes {
    int64_t n, d, o;
} sizes;

static sizes sizes_of(const ls_node *n)
{
    ls_shape a = n->in[0].shape, b = n->in[1].shape;
    return (sizes){ a.ndim == 2 ? a.dim[0] : 1, a.dim[a.ndim - 1], b.ndim == 2 ? b.dim[1] : 1 };
}

static const char *shape(ls_node *n)
{
    ls_shape a = n->in[0].shape, b = n->in[1].shape, out = { 0 };
    if (a.ndim < 1 || a.ndim > 2 || b.ndim < 1 || b.ndim > 2)
        return "both must be vectors or matrices";
    if (n->in[1].is_part) return "the right side must be whole";
    if (n->in[0].is_part && a.ndim < 2) return "a part needs the batch axis before the features";
    if (a.dim[a.ndim - 1] != b.dim[0]) return "the inner sizes differ";
    if (a.ndim == 2) out.dim[out.ndim++] = a.dim[0];
    if (b.ndim == 2) out.dim[out.ndim++] = b.dim[1];
    n->out.shape = out;
    return NULL;
}

static void forward(const ls_node *n)
{
    sizes s = sizes_of(n);
    n->ctx->kernel->inner(s.n, s.o, s.d, n->in[0].data, s.d, n->in[1].data, s.o, 1, NULL,
                          n->out.data, s.o, false);
}

static void backward(const ls_node *n, const void *g, void *const dx[])
{
    const ls_kernel *k = n->ctx->kernel;
    sizes s = sizes_of(n);
    if (dx[0])
        k->inner(s.n, s.d, s.o, g, s.o, n->in[1].data, 1, s.o, NULL, dx[0], s.d, !(n->stores & 1));
    if (dx[1])
        k->outer(s.n, n->leaf_rows, s.d, s.o, n->in[0].data, s.d, g, s.o, dx[1], s.o,
                 !(n->stores & 2));
}

static const ls_shape cases[][LS_MAX_IN] = {
    { { 2, { 5, 3 } }, { 2, { 3, 2 } } }, { { 2, { 70, 9 } }, { 2, { 9, 1 } } },
    { { 2, { 6, 4 } }, { 1, { 4 } } },    { { 1, { 4 } }, { 2, { 4, 3 } } },
    { { 1, { 9 } }, { 1, { 9 } } },       LS_LAST_CASE,
};
const ls_op ls_op_matmul = { .name = "matmul",
                             .grad_name = "MmBackward0",
                             .n_in = 2,
                             .rows = LS_ROWS_ALONE,
                             .flags = LS_OP_LEAVES | LS_OP_STORES,
                             .saves = 3,
                             .shape = shape,
                             .forward = forward,
                             .backward = backward,
                             .cases = cases };

ls_tensor *ls_matmul(ls_tensor *a, ls_tensor *b)
{
    return ls_apply(&ls_op_matmul, (ls_list){ 2, (ls_tensor *[]){ a, b } }, NULL, 0);
}
