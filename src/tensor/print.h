/* print.h -- the text of a tensor. */
#pragma once
#include "tensor/tensor.h"

/* What Python's print() shows of the same tensor in PyTorch, without a newline. From
 * ls_memory_new(), the caller's. NULL, with the context failed: a part (SHAPE), a tensor whose step
 * has ended, or no memory. */
char *ls_tensor_text(const ls_tensor *t);
