/* Simple regression: y = 2 x, found from three points by gradient descent. Nothing here knows how
 * many ranks there are: mpirun -np 3 prints the same numbers. */
#include "lockstep/lockstep.h"

int main(void)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *x = ls_split_rows(ls_tensor_of(ctx, LS_SHAPE(3, 1), 1, 2, 3));
    ls_tensor *y = ls_split_rows(ls_tensor_of(ctx, LS_SHAPE(3, 1), 2, 4, 6));
    ls_tensor *w = ls_requires_grad(ls_zeros(ctx, LS_SHAPE(1)));
    ls_tensor *b = ls_requires_grad(ls_zeros(ctx, LS_SHAPE(1)));
    ls_optim *optimizer = ls_sgd_new(ctx, LS_LIST(w, b), &(ls_sgd_opts){ .lr = 0.01 });

    for (int epoch = 0; epoch <= 1999 && ls_step_begin(ctx); epoch++) {
        ls_tensor *hypothesis = ls_add(ls_mul(x, w), b);
        ls_tensor *cost = ls_mean(ls_pow(ls_sub(hypothesis, y), 2));

        ls_optim_zero_grad(optimizer);
        ls_backward(ctx, cost);
        ls_optim_step(ctx, optimizer);

        if (epoch % 100 == 0)
            ls_printf(ctx, "Epoch %4d/1999 W: %.3f, b: %.3f Cost: %.6f\n", epoch, ls_item(w),
                      ls_item(b), ls_item(cost));
    }
    return ls_finish(ctx);
}
