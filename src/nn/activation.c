/* activation.c -- activations as modules. One table says all: the name in a list of layers, PyTorch's
 * name, the settings that it prints, and the operation.
 */
#include "nn/nn.h"
#include <stdio.h>
#include <string.h>

static ls_tensor *leaky_relu(const ls_module *m, ls_tensor *x)
{
    return ls_leaky_relu(x, m->number);
}

static ls_tensor *softmax(const ls_module *m, ls_tensor *x)
{
    return ls_softmax(x, (int)m->number);
}

static ls_tensor *log_softmax(const ls_module *m, ls_tensor *x)
{
    return ls_log_softmax(x, (int)m->number);
}

/* Either f, or with, which knows the module's number; usual: that number where it is left at 0. */
static const struct ls_activation {
    const char *kind, *name, *detail;
    double usual;
    ls_tensor *(*f)(ls_tensor *x);
    ls_tensor *(*with)(const ls_module *m, ls_tensor *x);
} table[] = {
    { "relu", "ReLU", "", 0, ls_relu, NULL },
    { "leaky_relu", "LeakyReLU", "negative_slope=%g", 0.01, NULL, leaky_relu },
    { "sigmoid", "Sigmoid", "", 0, ls_sigmoid, NULL },
    { "tanh", "Tanh", "", 0, ls_tanh, NULL },
    { "gelu", "GELU", "approximate='none'", 0, ls_gelu, NULL },
    { "gelu_tanh", "GELU", "approximate='tanh'", 0, ls_gelu_tanh, NULL },
    { "softplus", "Softplus", "beta=1, threshold=20", 0, ls_softplus, NULL },
    { "silu", "SiLU", "", 0, ls_silu, NULL },
    { "softmax", "Softmax", "dim=%g", -1, NULL, softmax },
    { "log_softmax", "LogSoftmax", "dim=%g", -1, NULL, log_softmax },
};
enum { COUNT = sizeof table / sizeof *table };

static ls_tensor *forward(void *self, ls_tensor *x)
{
    const ls_module *m = self;
    return m->activation->f ? m->activation->f(x) : m->activation->with(m, x);
}

static const struct ls_activation *find(const char *kind)
{
    for (int i = 0; i < COUNT; i++)
        if (!strcmp(table[i].kind, kind)) return &table[i];
    return NULL;
}

bool ls_is_activation(const char *kind)
{
    return find(kind) != NULL;
}

ls_module *ls_activation_new(ls_ctx *ctx, const char *kind, double number)
{
    const struct ls_activation *a = find(kind);
    if (!a) {
        ls_fail(ctx, LS_ERR_ARG, "\"%s\" is no activation; there are %s", kind,
                ls_activation_kinds().text);
        return NULL;
    }
    ls_module *m = ls_module_new(ctx, a->name, forward, NULL);
    if (!m) return NULL;
    m->activation = a;
    m->number = number != 0 ? number : a->usual;
    snprintf(m->detail, sizeof m->detail, a->detail, m->number);
    return m;
}

ls_kinds ls_activation_kinds(void)
{
    ls_kinds list = { "" };
    for (int i = 0; i < COUNT; i++) {
        size_t used = strlen(list.text);
        snprintf(list.text + used, sizeof list.text - used, "%s%s", i ? ", " : "", table[i].kind);
    }
    return list;
}

ls_module *ls_relu_new(ls_ctx *ctx)
{
    return ls_activation_new(ctx, "relu", 0);
}

ls_module *ls_tanh_new(ls_ctx *ctx)
{
    return ls_activation_new(ctx, "tanh", 0);
}
