/* test_nn.c -- modules: PyTorch's initial values, names and printing; errors. */
#include "nn/nn.h"
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

Test(nn, initial_values_as_pytorch)
{
    ls_ctx *ctx = ls_start(&(ls_opts){ .seed = 1 });
    ls_module *m = ls_linear_new(ctx, 1, 1);
    cr_assert(eq(flt, (float)ls_item(ls_parameter(m, "weight")), 0.5152632f));
    cr_assert(eq(flt, (float)ls_item(ls_parameter(m, "bias")), -0.441378236f));
    ls_manual_seed(ctx, 1);
    m = ls_linear_new(ctx, 3, 1);
    cr_assert(eq(flt, (float)ls_at(ls_parameter(m, "weight"), 1), -0.254829824f));
    cr_assert(eq(flt, (float)ls_item(ls_parameter(m, "bias")), 0.270990282f));
    ls_finish(ctx);
}

Test(nn, names_as_state_dict)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_module *net = ls_module_new(ctx, "Net", NULL, NULL);
    ls_module_add(net, "fc1", ls_linear_new(ctx, 3, 8));
    ls_module_param(net, "scale", ls_ones(ctx, LS_SHAPE(1)));
    ls_module_add(net, "tail", ls_sequential(ctx, LS_RELU, LS_LINEAR(8, 2)));
    static const char *const want[] = { "scale", "fc1.weight", "fc1.bias", "tail.1.weight",
                                        "tail.1.bias" };
    ls_list p = ls_parameters(net);
    cr_assert(eq(i64, p.count, 5));
    for (int i = 0; i < 5; i++)
        cr_assert(
            eq(str, (char *)(uintptr_t)ls_parameter_name(net, i), (char *)(uintptr_t)want[i]));
    cr_assert(ls_parameter(net, "tail.1.bias") == p.at[4]);
    cr_assert(eq(int, ls_finish(ctx), 0));
}

Test(nn, sizes_are_worked_out)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_module *m = ls_sequential(ctx, LS_LINEAR(4, 6), LS_TANH, LS_LINEAR(0, 2));
    cr_assert(eq(i64, ls_dim(ls_parameter(m, "2.weight"), 1), 6));
    ls_finish(ctx);
}

static void fails(ls_ctx *ctx, ls_status status, const char *fragment)
{
    cr_assert(eq(int, ls_error(ctx), status), "%s", ls_error_text(ctx));
    cr_assert(strstr(ls_error_text(ctx), fragment) != NULL, "%s", ls_error_text(ctx));
    ls_finish(ctx);
}

Test(nn, errors)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_sequential(ctx, LS_LINEAR(4, 6), LS_LINEAR(5, 2));
    fails(ctx, LS_ERR_ARG, "layer 1 takes 5 features, but 6 reach it");
    ctx = ls_start(NULL);
    ls_sequential(ctx, { "gru", 0, 0, false });
    fails(ctx, LS_ERR_ARG, "\"gru\" is no kind of layer");
    ctx = ls_start(NULL);
    ls_parameter(ls_linear_new(ctx, 1, 1), "wieght");
    fails(ctx, LS_ERR_ARG, "Linear has no parameter \"wieght\"");
    ctx = ls_start(NULL);
    ls_forward(ls_module_new(ctx, "Net", NULL, NULL), ls_zeros(ctx, LS_SHAPE(1)));
    fails(ctx, LS_ERR_USE, "missing the required forward function");
    ctx = ls_start(NULL);
    ls_module *m = ls_module_new(ctx, "Net", NULL, NULL), *a = ls_relu_new(ctx);
    ls_module_add(m, "a", a);
    ls_module_add(m, "b", a);
    fails(ctx, LS_ERR_USE, "a member of another module");
}

Test(nn, freed_with_its_members)
{
    ls_ctx *ctx = ls_start(NULL);
    size_t before = ls_memory_live();
    ls_module *m = ls_sequential(ctx, LS_LINEAR(4, 6), LS_TANH, LS_LINEAR(6, 2));
    ls_parameters(m);
    ls_module_free(m);
    cr_assert(eq(sz, ls_memory_live(), before));
    ls_finish(ctx);
}
