/* Multiple regression written out: a weight for each of three test scores, and a bias. */
#include "lockstep/lockstep.h"

int main(void)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *x1 = ls_split_rows(ls_tensor_of(ctx, LS_SHAPE(5, 1), 73, 93, 89, 96, 73));
    ls_tensor *x2 = ls_split_rows(ls_tensor_of(ctx, LS_SHAPE(5, 1), 80, 88, 91, 98, 66));
    ls_tensor *x3 = ls_split_rows(ls_tensor_of(ctx, LS_SHAPE(5, 1), 75, 93, 90, 100, 70));
    ls_tensor *y = ls_split_rows(ls_tensor_of(ctx, LS_SHAPE(5, 1), 152, 185, 180, 196, 142));
    ls_tensor *w1 = ls_requires_grad(ls_zeros(ctx, LS_SHAPE(1)));
    ls_tensor *w2 = ls_requires_grad(ls_zeros(ctx, LS_SHAPE(1)));
    ls_tensor *w3 = ls_requires_grad(ls_zeros(ctx, LS_SHAPE(1)));
    ls_tensor *b = ls_requires_grad(ls_zeros(ctx, LS_SHAPE(1)));
    ls_optim *optimizer = ls_sgd_new(ctx, LS_LIST(w1, w2, w3, b), &(ls_sgd_opts){ .lr = 1e-5 });

    for (int epoch = 0; epoch <= 1000 && ls_step_begin(ctx); epoch++) {
        ls_tensor *scores = ls_add(ls_add(ls_mul(x1, w1), ls_mul(x2, w2)), ls_mul(x3, w3));
        ls_tensor *cost = ls_mean(ls_pow(ls_sub(ls_add(scores, b), y), 2));

        ls_optim_zero_grad(optimizer);
        ls_backward(ctx, cost);
        ls_optim_step(ctx, optimizer);

        if (epoch % 100 == 0)
            ls_printf(ctx, "Epoch %4d/1000 w1: %.3f w2: %.3f w3: %.3f b: %.3f Cost: %.6f\n", epoch,
                      ls_item(w1), ls_item(w2), ls_item(w3), ls_item(b), ls_item(cost));
    }
    return ls_finish(ctx);
}
