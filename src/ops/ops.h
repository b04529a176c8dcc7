/* ops.h -- floor 4: operations. One file an operation or small family: its shape, forward, backward
 * and cases, and its public function. list.h names the tables; one test walks that list.
 */
#pragma once
#include "base/base.h"
#include "kernel/kernel.h"
#include "tensor/tensor.h"
#include "grad/grad.h"

#define LS_OP_DECLARE(name) extern const ls_op ls_op_##name;
#include "ops/list.h"
#undef LS_OP_DECLARE

/* All of them, ended by NULL. */
extern const ls_op *const ls_ops[];

/* Two inputs of which one is a part and the other a whole tensor with as many rows: that one is split, so that
 * rows meet rows. */
void ls_pair_rows(ls_tensor **a, ls_tensor **b);
void ls_align_rows(ls_tensor **a, ls_tensor **b); /* the same where shapes broadcast: a single row stays whole */
/* Of an int64 tensor and a floating one, the first becomes floating. Two of int64 stay what they are. */
void ls_promote(ls_tensor **a, ls_tensor **b);

/* Bodies that unary operations share: out = f(in 0), dx (+)= g f'(in 0). args: the constant, a
 * double. */
void ls_unary_forward(const ls_node *n, ls_unary op);
void ls_unary_backward(const ls_node *n, ls_unary op, const void *g, void *dx);

/* An activation of ls_linear(), in the pass that makes it. */
ls_tensor *ls_linear_relu(ls_tensor *x, ls_tensor *w, ls_tensor *b);
ls_tensor *ls_linear_tanh(ls_tensor *x, ls_tensor *w, ls_tensor *b);
ls_tensor *ls_linear_sigmoid(ls_tensor *x, ls_tensor *w, ls_tensor *b);

/* Operations on arrays of one shape: both inputs are expanded to what they broadcast to, as parts
 * if one is. False, with the context failed, where they do not. */
bool        ls_expand_both(const char *name, ls_tensor **a, ls_tensor **b);
const char *ls_shape_equal_rows(ls_node *n); /* for shape: alike, and all parts or all whole */

/* out (+)= a, of shape from, spread over shape to, and times or divided by a number. */
void ls_spread(const ls_node *n, ls_shape from, const void *a, ls_binary op, double by, ls_shape to, void *out,
               bool add);

/* ---- axes ------------------------------------------------------------------------------------ */
/* Counts a negative axis from the end; false, with the context failed, if shape has it not. */
bool ls_axis_fits(const ls_tensor *t, const char *name, int *axis);
/* An array as outer x n x inner around an axis. */
typedef struct ls_around { int64_t outer, n, inner; } ls_around;
ls_around ls_shape_around(ls_shape s, int axis);

/* What operations along several axes have as args. */
typedef struct ls_along { unsigned axes; bool keepdim; } ls_along;
ls_shape    ls_along_kept(ls_shape s, unsigned axes); /* 1 along the axes */
const char *ls_shape_along(ls_node *n);               /* for shape */
/* Applies rows, a sum over rows, where axis 0 is among the axes, and otherwise alone. No axes: all. */
ls_tensor *ls_apply_along(const ls_op *alone, const ls_op *rows, ls_tensor *x, ls_axes axes, bool keepdim);

/* False, with the context failed, where r is none of them. */
bool ls_reduction_fits(ls_ctx *ctx, const char *name, ls_reduction r);

/* What several operations made together, under the name that PyTorch prints. */
ls_tensor *ls_named(ls_tensor *t, const char *grad_name);

/* Ends a list of cases. */
#define LS_LAST_CASE { { 1, { -1 } } }
