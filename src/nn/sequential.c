/* sequential.c -- layers one after another, named "0", "1", ... as in PyTorch.
 */
#include "nn/nn.h"
#include <stdio.h>
#include <string.h>

/* A linear layer and the activation behind it are one operation, where there is one for both. */
static ls_tensor *forward(void *self, ls_tensor *x)
{
    const ls_module *m = self;
    for (int64_t i = 0; i < m->count; i++) {
        ls_module *layer = m->member[i].module;
        const ls_module *next = i + 1 < m->count ? m->member[i + 1].module : NULL;
        ls_linear_fn *both = layer && layer->in && next ? ls_linear_with(next) : NULL;
        if (both) {
            x = both(x, layer->member[0].param, layer->count > 1 ? layer->member[1].param : NULL);
            i++;
        } else x = ls_forward(layer, x);
    }
    return x;
}

/* Layer number i; *width: the features that reach it, 0 if unknown, and then those that leave
 * it. */
static ls_module *make_layer(ls_ctx *ctx, int64_t i, const ls_layer *l, int64_t *width)
{
    if (!ls_given(ctx, "ls_sequential_new", l->kind, "the kind of a layer")) return NULL;
    if (ls_is_activation(l->kind)) return ls_activation_new(ctx, l->kind, l->number);
    if (strcmp(l->kind, "linear")) {
        ls_fail(ctx, LS_ERR_ARG, "layer %lld: \"%s\" is no kind of layer; there are linear, %s",
                (long long)i, l->kind, ls_activation_kinds().text);
        return NULL;
    }
    int64_t in = l->in ? l->in : *width;
    if (*width && in != *width) {
        ls_fail(ctx, LS_ERR_ARG, "layer %lld takes %lld features, but %lld reach it", (long long)i,
                (long long)in, (long long)*width);
        return NULL;
    }
    *width = l->out;
    return ls_linear_make(ctx, in, l->out, !l->no_bias);
}

ls_module *ls_sequential_new(ls_ctx *ctx, int64_t count, const ls_layer *layers)
{
    if (count > 0 && !ls_given(ctx, "ls_sequential_new", layers, "the list of layers")) return NULL;
    ls_module *m = ls_module_new(ctx, "Sequential", forward, NULL);
    int64_t width = 0;
    for (int64_t i = 0; m && i < count; i++) {
        char name[24];
        ls_module *layer = make_layer(ctx, i, &layers[i], &width);
        snprintf(name, sizeof name, "%lld", (long long)i);
        if (!ls_module_add(m, name, layer)) return NULL;
    }
    return m;
}
