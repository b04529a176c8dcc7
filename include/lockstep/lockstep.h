/* lockstep.h -- data-parallel training on MPI clusters, the same result on any number of ranks.
 *
 * Write the program as for one machine. Two kinds of tensors make it run on many:
 *
 *   whole   every rank holds all of it, bit for bit: what you create, parameters, costs, gradients.
 *   part    its first axis is a batch; every rank holds some of the rows, perhaps none. Loaders hand
 *           out parts, and what is computed row by row from a part is a part again.
 *
 * Shapes are always those of the whole: x from a loader with batch_size 256 is [256, D] on every
 * rank. A sum over the batch axis (mean, a loss, the gradient of a weight) is taken over all ranks'
 * rows, in an order that depends on the batch alone, and is whole. So whatever a program can read
 * (shapes, items, costs, loop conditions) is equal on all ranks: its branches agree by themselves.
 *
 *   Calls      Every rank makes every call, in the same order, with equal arguments. Only getters
 *              and printing may stand under ls_is_root(). LS_COLLECTIVE calls wait for the other
 *              ranks and return one status on all of them.
 *   Errors     The first error stays in the context and is posted to all ranks at once. From then
 *              on calls do nothing and return NULL, NaN or the status, and loops over ls_next() or
 *              ls_step_begin() end on all ranks together. One check at the end is enough.
 *   Lifetimes  Everything made from a context ends with it, or earlier with its _free (NULL is
 *              fine). A result of an operation inside a step ends when the next step begins;
 *              ls_keep() it for longer. What is computed before the first step lives like what you
 *              create.
 *   Threads    One thread calls. A dataset's item() runs on another thread, too (see data.h).
 *   Numbers    Floating tensors have the context's type; the interface speaks double, as Python
 *              does. N rows, D features, O outputs, C classes. Option structs: zero means default.
 *
 * lockstep/mpi.h, which this header leaves out, is the only public header that knows MPI. */
#pragma once
#include "context.h"
#include "tensor.h"
#include "ops.h"
#include "grad.h"
#include "nn.h"
#include "optim.h"
#include "data.h"
#include "run.h"
#include "op.h"
