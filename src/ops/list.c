/* list.c -- the operations as a list, and what several of them share. */
#include "ops/ops.h"

const ls_op *const ls_ops[] = {
#define LS_OP_DECLARE(name) &ls_op_##name,
#include "ops/list.h"
#undef LS_OP_DECLARE
    NULL
};

static bool has_rows_of(const ls_tensor *whole, const ls_tensor *part)
{
    return !whole->is_part && whole->shape.ndim == part->shape.ndim && part->shape.ndim > 0 &&
           whole->shape.dim[0] == part->shape.dim[0] && whole->shape.dim[0] > 1;
}

void ls_align_rows(ls_tensor **a, ls_tensor **b)
{
    if (!*a || !*b) return;
    if ((*a)->is_part && has_rows_of(*b, *a)) *b = ls_split_rows(*b);
    else if ((*b)->is_part && has_rows_of(*a, *b)) *a = ls_split_rows(*a);
}

void ls_unary_forward(const ls_node *n, ls_unary op)
{
    double c = n->args ? *(const double *)n->args : 0;
    n->ctx->kernel->unary(op, c, n->out.count, n->in[0].data, n->out.data);
}

void ls_unary_backward(const ls_node *n, ls_unary op, const void *g, void *dx)
{
    double c = n->args ? *(const double *)n->args : 0;
    n->ctx->kernel->unary_back(op, c, n->out.count, n->in[0].data, n->out.data, g, dx,
                               !(n->stores & 1));
}
