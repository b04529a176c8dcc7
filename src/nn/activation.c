/* activation.c -- activations as modules. One list says all (base/config.h): the name in a list of
 * layers, PyTorch's name, the settings that it prints, and the operation.
 */
#include "nn/nn.h"
#include "base/config.h"
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

/* Either f, or with, which knows the module's number; usual: that number where it is left at 0; linear: f of a linear
 * layer, in one pass. */
static const struct ls_activation {
    const char *kind, *name, *detail;
    double usual;
    ls_tensor *(*f)(ls_tensor *x);
    ls_tensor *(*with)(const ls_module *m, ls_tensor *x);
    ls_linear_fn *linear;
} table[] = {
#define ALONE(kind, torch, detail)         { #kind, torch, detail, 0, ls_##kind, NULL, NULL },
#define NUMBER(kind, torch, number, usual) { #kind, torch, number "=%g", usual, NULL, kind, NULL },
#define JOINED(kind, torch, detail)        { #kind, torch, detail, 0, ls_##kind, NULL, ls_linear_##kind },
    LS_ACTIVATIONS(ALONE, NUMBER, JOINED)
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

ls_linear_fn *ls_linear_with(const ls_module *m)
{
    return m->activation ? m->activation->linear : NULL;
}

bool ls_is_activation(const char *kind)
{
    return find(kind) != NULL;
}

ls_module *ls_activation_new(ls_ctx *ctx, const char *kind, double number)
{
    if (!ls_given(ctx, "ls_activation_new", kind, "kind")) return NULL;
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

bool ls_layer_of(const ls_module *m, ls_layer *out)
{
    *out = (ls_layer){ m->activation ? m->activation->kind : "linear", m->in, m->out, m->count < 2,
                       m->number };
    return m->activation || m->in;
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
