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

/* Two inputs of which one is a part and the other a whole tensor with rows of its own: that one is
 * split, so that rows meet rows. */
void ls_align_rows(ls_tensor **a, ls_tensor **b);
ls_tensor *ls_to_float(ls_tensor *t); /* int64 to the context's type; no gradient */

/* Bodies that unary operations share: out = f(in 0), dx (+)= g f'(in 0). args: the constant, a
 * double. */
void ls_unary_forward(const ls_node *n, ls_unary op);
void ls_unary_backward(const ls_node *n, ls_unary op, const void *g, void *dx);

/* Ends a list of cases. */
#define LS_LAST_CASE { { 1, { -1 } } }
