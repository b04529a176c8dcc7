/* A model as a struct: a module with a member and a forward function, printed, trained, and asked for
 * a prediction. */
#include "lockstep/lockstep.h"

typedef struct regression {
    ls_module *module, *linear;
} regression;

static ls_tensor *forward(void *self, ls_tensor *x)
{
    regression *r = self;
    return ls_forward(r->linear, x);
}

int main(void)
{
    ls_ctx *ctx = ls_start(&(ls_opts){ .seed = 1 });
    ls_tensor *x = ls_split_rows(ls_tensor_of(ctx, LS_SHAPE(5, 3), 73, 80, 75, 93, 88, 93, 89, 91,
                                              90, 96, 98, 100, 73, 66, 70));
    ls_tensor *y = ls_split_rows(ls_tensor_of(ctx, LS_SHAPE(5, 1), 152, 185, 180, 196, 142));
    regression r = { .module = ls_module_new(ctx, "MultivariateLinearRegressionModel", forward,
                                             &r) };
    r.linear = ls_module_add(r.module, "linear", ls_linear_new(ctx, 3, 1));
    ls_list params = ls_parameters(r.module);
    ls_optim *optimizer = ls_sgd_new(ctx, params, &(ls_sgd_opts){ .lr = 1e-5 });

    ls_module_print(r.module);
    for (int i = 0; i < params.count; i++) ls_print(params.at[i]);
    for (int epoch = 0; epoch <= 2000 && ls_step_begin(ctx); epoch++) {
        ls_tensor *cost = ls_mse_loss(ls_forward(r.module, x), y);
        ls_optim_zero_grad(optimizer);
        ls_backward(ctx, cost);
        ls_optim_step(ctx, optimizer);
        if (epoch % 100 == 0) ls_printf(ctx, "Epoch %4d/2000 Cost: %.6f\n", epoch, ls_item(cost));
    }
    ls_print(ls_forward(r.module, ls_tensor_of(ctx, LS_SHAPE(1, 3), 73, 80, 75)));
    for (int i = 0; i < params.count; i++) {
        ls_printf(ctx, "%s ", ls_parameter_name(r.module, i));
        ls_print(params.at[i]);
    }
    return ls_finish(ctx);
}
