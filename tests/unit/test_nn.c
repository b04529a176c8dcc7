/* test_nn.c -- modules: PyTorch's initial values, names and printing; members, modes; errors. */
#include "nn/nn.h"
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <criterion/redirect.h>
#include <stdio.h>
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
    ls_sequential(ctx, { "gru", 0, 0, false, 0 });
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
    size_t before = 0;
    for (int i = 0; i < 200; i++) { /* heads of the last tensors that were freed stay for a while */
        if (i == 100) before = ls_memory_live();
        ls_module *m = ls_sequential(ctx, LS_LINEAR(4, 6), LS_TANH, LS_LINEAR(6, 2));
        ls_parameters(m);
        ls_module_free(m);
    }
    cr_assert(eq(sz, ls_memory_live(), before));
    ls_finish(ctx);
}

Test(nn, linear_without_bias)
{
    ls_ctx *ctx = ls_start(&(ls_opts){ .seed = 1 });
    ls_module *m = ls_linear_no_bias_new(ctx, 3, 1);
    cr_assert(eq(i64, ls_parameters(m).count, 1));
    ls_tensor *next = ls_rand(ctx, LS_SHAPE(1)); /* three words were drawn */
    ls_manual_seed(ctx, 1);
    ls_rand(ctx, LS_SHAPE(3));
    cr_assert(eq(dbl, ls_item(next), ls_item(ls_rand(ctx, LS_SHAPE(1)))));
    ls_tensor *x = ls_tensor_of(ctx, LS_SHAPE(1, 3), 0, 1, 0);
    cr_assert(eq(dbl, ls_item(ls_forward(m, x)), ls_at(ls_parameter(m, "weight"), 1)));
    ls_module *s = ls_sequential(ctx, LS_LINEAR_NO_BIAS(4, 2), LS_LINEAR(0, 1));
    cr_assert(eq(i64, ls_parameters(s).count, 3));
    cr_assert(eq(int, ls_finish(ctx), 0));
}

/* Each layer against its operation. */
Test(nn, activations)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *x = ls_randn(ctx, LS_SHAPE(4, 5));
    ls_tensor *want[] = { ls_relu(x),
                          ls_leaky_relu(x, 0.01),
                          ls_leaky_relu(x, 0.3),
                          ls_sigmoid(x),
                          ls_tanh(x),
                          ls_gelu(x),
                          ls_gelu_tanh(x),
                          ls_softplus(x),
                          ls_silu(x),
                          ls_softmax(x, 1),
                          ls_log_softmax(x, 1) };
    ls_layer layer[] = { LS_RELU,
                         LS_LEAKY_RELU(0),
                         LS_LEAKY_RELU(0.3),
                         LS_SIGMOID,
                         LS_TANH,
                         LS_GELU,
                         LS_GELU_TANH,
                         LS_SOFTPLUS,
                         LS_SILU,
                         LS_ACTIVATION("softmax", 0),
                         LS_ACTIVATION("log_softmax", 1) };
    for (int i = 0; i < 11; i++) {
        ls_tensor *y = ls_forward(ls_sequential_new(ctx, 1, &layer[i]), x);
        cr_assert(y != NULL, "%s", ls_error_text(ctx));
        for (int k = 0; k < 20; k++)
            cr_assert(eq(dbl, ls_at(y, k), ls_at(want[i], k)), "layer %d", i);
    }
    cr_assert(eq(int, ls_finish(ctx), 0));
}

/* ---- a module of one's own ------------------------------------------------------------------- */
typedef struct net {
    ls_module *module, *fc1, *fc2;
    ls_tensor *scale;
    int calls, evaluated;
} net;

static ls_tensor *forward_net(void *self, ls_tensor *x)
{
    net *n = self;
    n->calls++;
    n->evaluated += !ls_module_is_training(n->module);
    return ls_mul(ls_forward(n->fc2, ls_relu(ls_forward(n->fc1, x))), n->scale);
}

static void reset_net(ls_module *m)
{
    net *n = ls_module_self(m);
    LS_NO_GRAD(n->scale->ctx);
    ls_fill_(n->scale, 7);
}

static net *make_net(ls_ctx *ctx)
{
    static net n;
    n = (net){ .module = ls_module_new(ctx, "Net", forward_net, &n) };
    n.fc1 = ls_module_add(n.module, "fc1", ls_linear_new(ctx, 3, 8));
    n.fc2 = ls_module_add(n.module, "fc2", ls_linear_no_bias_new(ctx, 8, 1));
    n.scale = ls_module_param(n.module, "scale", ls_ones(ctx, LS_SHAPE(1)));
    ls_module_on_reset(n.module, reset_net);
    return &n;
}

Test(nn, module_of_ones_own)
{
    ls_ctx *ctx = ls_start(&(ls_opts){ .seed = 1 });
    net *n = make_net(ctx);
    ls_module *outer = ls_module_new(ctx, "Outer", NULL, NULL);
    ls_module_add(outer, "net", n->module);
    cr_assert(eq(i64, ls_parameters(outer).count, 4));
    cr_assert(eq(str, (char *)(uintptr_t)ls_parameter_name(outer, 0), (char *)"net.scale"));
    cr_assert(ls_parameter(outer, "net.fc1.bias") == ls_parameter(n->fc1, "bias"));
    cr_assert(ls_module_member(outer, "net") == n->module);
    ls_tensor *x = ls_split_rows(ls_randn(ctx, LS_SHAPE(10, 3)));
    ls_backward(ctx, ls_mean(ls_forward(n->module, x)));
    cr_assert(eq(int, n->calls, 1));
    cr_assert(eq(int, n->evaluated, 0));
    for (int i = 0; i < 4; i++) cr_assert(ls_grad(ls_parameters(outer).at[i]) != NULL);
    ls_module_eval(outer);
    cr_assert(not(ls_module_is_training(n->fc1)));
    ls_forward(n->module, x);
    cr_assert(eq(int, n->evaluated, 1));
    ls_module_train(outer);
    cr_assert(ls_module_is_training(n->fc2));
    cr_assert(eq(int, ls_finish(ctx), 0));
}

static void note_kind(void *self, ls_module *m)
{
    strcat(strcat(self, ls_module_kind(m)), " ");
}

static void weights_to_one(void *self, ls_module *m)
{
    (void)self;
    if (strcmp(ls_module_kind(m), "Linear") != 0) return;
    ls_tensor *w = ls_parameter(m, "weight");
    LS_NO_GRAD(w->ctx);
    ls_fill_(w, 1);
}

Test(nn, applies_to_members_first)
{
    ls_ctx *ctx = ls_start(NULL);
    char seen[128] = "";
    net *n = make_net(ctx);
    ls_module *outer = ls_module_new(ctx, "Outer", NULL, NULL);
    ls_module_add(outer, "net", n->module);
    ls_module_add(outer, "head", ls_sequential(ctx, LS_TANH, LS_LINEAR(1, 1)));
    ls_module_apply(outer, note_kind, seen);
    cr_assert(eq(str, seen, (char *)"Linear Linear Net Tanh Linear Sequential Outer "));
    ls_module_apply(outer, weights_to_one, NULL);
    cr_assert(eq(dbl, ls_at(ls_parameter(outer, "head.1.weight"), 0), 1));
    cr_assert(eq(int, ls_finish(ctx), 0));
}

/* A model drawn anew has what a new one would have; each draws from where the stream is. */
Test(nn, draws_anew)
{
    ls_ctx *ctx = ls_start(&(ls_opts){ .seed = 5 });
    ls_module *a = ls_sequential(ctx, LS_LINEAR(4, 6), LS_TANH, LS_LINEAR(6, 2)),
              *b = ls_sequential(ctx, LS_LINEAR(4, 6), LS_TANH, LS_LINEAR(6, 2));
    ls_optim *o = ls_sgd_new(ctx, ls_parameters(a), &(ls_sgd_opts){ .lr = 0.1 });
    for (int again = 0; again < 2; again++) {
        for (int i = 0; i < 4; i++) {
            ls_tensor *p = ls_parameters(a).at[i], *q = ls_parameters(b).at[i];
            for (int64_t k = 0; k < p->count; k++)
                cr_assert(eq(int, ls_at(p, k) == ls_at(q, k), again));
        }
        ls_manual_seed(ctx, 5);
        ls_module_reset(b);
        if (!again) ls_manual_seed(ctx, 5);
        ls_module_reset(a);
        if (again) break;
    }
    cr_assert(ls_at(ls_parameters(a).at[0], 0) != ls_at(ls_parameters(b).at[0], 0));
    net *n = make_net(ctx);
    ls_module_reset(n->module);
    cr_assert(eq(dbl, ls_item(n->scale), 7));
    ls_optim_free(o);
    cr_assert(eq(int, ls_finish(ctx), 0));
}

Test(nn, prints_as_pytorch, .init = cr_redirect_stdout)
{
    ls_ctx *ctx = ls_start(NULL);
    net *n = make_net(ctx);
    ls_module *outer = ls_module_new(ctx, "Outer", NULL, NULL);
    ls_module_add(outer, "net", n->module);
    ls_module_add(outer, "tail",
                  ls_sequential(ctx, LS_LEAKY_RELU(0), LS_GELU, LS_SOFTPLUS, LS_SILU, LS_SIGMOID,
                                LS_ACTIVATION("log_softmax", -1), LS_TANH));
    ls_module_print(outer);
    ls_finish(ctx);
    fflush(stdout);
    cr_assert_stdout_eq_str("Outer(\n"
                            "  (net): Net(\n"
                            "    (fc1): Linear(in_features=3, out_features=8, bias=True)\n"
                            "    (fc2): Linear(in_features=8, out_features=1, bias=False)\n"
                            "  )\n"
                            "  (tail): Sequential(\n"
                            "    (0): LeakyReLU(negative_slope=0.01)\n"
                            "    (1): GELU(approximate='none')\n"
                            "    (2): Softplus(beta=1, threshold=20)\n"
                            "    (3): SiLU()\n"
                            "    (4): Sigmoid()\n"
                            "    (5): LogSoftmax(dim=-1)\n"
                            "    (6): Tanh()\n"
                            "  )\n"
                            ")\n");
}
