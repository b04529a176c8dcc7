/* The same regression as one matrix product, and a prediction for a new input. */
#include "lockstep/lockstep.h"

int main(void)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *x = ls_tensor_of(ctx, LS_SHAPE(5, 3), 73, 80, 75, 93, 88, 93, 89, 91, 80, 96, 98,
                                100, 73, 66, 70);
    ls_tensor *y = ls_tensor_of(ctx, LS_SHAPE(5, 1), 152, 185, 180, 196, 142);
    ls_tensor *rows = ls_split_rows(x), *targets = ls_split_rows(y); /* every rank takes its own */
    ls_tensor *w = ls_requires_grad(ls_zeros(ctx, LS_SHAPE(3, 1)));
    ls_tensor *b = ls_requires_grad(ls_zeros(ctx, LS_SHAPE(1)));
    ls_optim *optimizer = ls_sgd_new(ctx, LS_LIST(w, b), &(ls_sgd_opts){ .lr = 1e-5 });

    ls_printf(ctx, "x is [%d, %d], y is [%d, %d]\n", (int)ls_dim(x, 0), (int)ls_dim(x, 1),
              (int)ls_dim(y, 0), (int)ls_dim(y, 1));
    for (int epoch = 0; epoch <= 20 && ls_step_begin(ctx); epoch++) {
        ls_tensor *hypothesis = ls_add(ls_matmul(rows, w), b);
        ls_tensor *cost = ls_mean(ls_pow(ls_sub(hypothesis, targets), 2));

        ls_optim_zero_grad(optimizer);
        ls_backward(ctx, cost);
        ls_optim_step(ctx, optimizer);

        ls_printf(ctx, "Epoch %4d/20 Cost: %.6f hypothesis: ", epoch, ls_item(cost));
        ls_print(ls_detach(ls_squeeze(ls_whole(ctx, hypothesis))));
    }
    LS_NO_GRAD(ctx);
    double input[3];
    ls_tensor *new_input = ls_tensor_of(ctx, LS_SHAPE(1, 3), 75, 85, 72);
    ls_tolist(ls_squeeze(new_input), 3, input);
    ls_printf(ctx, "Predicted value for input [%.1f, %.1f, %.1f]: %.17g\n", input[0], input[1],
              input[2], ls_item(ls_add(ls_matmul(new_input, w), b)));
    return ls_finish(ctx);
}
