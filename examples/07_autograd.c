/* Autograd alone: gradients through the chain rule, of vectors, of values on the way, twice through one
 * graph, and a hook. */
#include "lockstep/lockstep.h"

static void say(void *ctx, ls_tensor *w, ls_tensor *grad)
{
    (void)w;
    ls_printf(ctx, "hook: the gradient is %g\n", ls_item(grad));
}

int main(void)
{
    ls_ctx *ctx = ls_start(&(ls_opts){ .seed = 1 });
    ls_tensor *w = ls_requires_grad(ls_scalar(ctx, 2));
    ls_printf(ctx, "before: %s\n", ls_grad(w) ? "a gradient" : "None");
    ls_tensor *z = ls_add_scalar(ls_mul_scalar(ls_pow(w, 2), 2), 5);
    ls_print(z);
    ls_backward(ctx, z);
    ls_printf(ctx, "d (2 w^2 + 5) / dw = %g\n", ls_item(ls_grad(w)));
    ls_zero_grad(LS_LIST(w));
    ls_printf(ctx, "zeroed: %g\n", ls_item(ls_grad(w)));
    ls_zero_grad_to_none(LS_LIST(w));
    ls_printf(ctx, "none: %s\n", ls_grad(w) ? "a gradient" : "None");

    ls_tensor *x = ls_split_rows(ls_randn(ctx, LS_SHAPE(100, 3))); /* of the rows of all ranks */
    ls_tensor *a = ls_requires_grad(ls_tensor_of(ctx, LS_SHAPE(3), 1, 2, 3));
    ls_backward(ctx, ls_sum(ls_mv(x, a)));
    ls_print(ls_grad(a)); /* the sum of the rows: */
    ls_print(ls_sum_axes(x, LS_AXES(0), false));

    ls_tensor *y = ls_retain_grad(ls_mul(a, w));
    ls_backward_with(ctx, y,
                     &(ls_backward_opts){ .gradient = ls_tensor_of(ctx, LS_SHAPE(3), 1, 0, -1),
                                          .retain_graph = true });
    ls_print(ls_grad(y));
    ls_printf(ctx, "dy / dw = %g\n", ls_item(ls_grad(w)));
    ls_register_hook(w, say, ctx);
    ls_backward(ctx, ls_sum(y)); /* through y once more; gradients add up */

    LS_NO_GRAD(ctx);
    ls_print(ls_mul(a, w)); /* no grad_fn */
    return ls_finish(ctx);
}
