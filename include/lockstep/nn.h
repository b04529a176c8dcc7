/* nn.h -- modules: parameters with names, and a forward function. */
#pragma once
#include "tensor.h"
#ifdef __cplusplus
extern "C" {
#endif
typedef struct ls_module ls_module;
typedef ls_tensor *ls_forward_fn(void *self, ls_tensor *x);

typedef struct ls_layer { const char *kind; int64_t in, out; bool no_bias; } ls_layer;
#define LS_LINEAR(in, out) { "linear", in, out, false }
#define LS_RELU { "relu", 0, 0, false }
#define LS_TANH { "tanh", 0, 0, false }
#ifndef __cplusplus
#define ls_sequential(ctx, ...) /* ls_sequential(ctx, LS_LINEAR(784, 128), LS_RELU, ...) */ \
    ls_sequential_new(ctx, LS_COUNT(ls_layer, __VA_ARGS__), (const ls_layer[]){ __VA_ARGS__ })
#endif
/* Layers one after another, drawn in order. A linear layer's in may be 0 where the layers before it
 * say it. Errors  ARG: an unknown kind, or sizes that do not follow */
LS_API ls_module *ls_sequential_new(ls_ctx *ctx, int64_t count, const ls_layer *layers);
/* y = x w^T + b with "weight" [out, in] and "bias" [out], PyTorch's initial values. */
LS_API ls_module *ls_linear_new(ls_ctx *ctx, int64_t in, int64_t out);
LS_API ls_module *ls_relu_new(ls_ctx *ctx);
LS_API ls_module *ls_tanh_new(ls_ctx *ctx);

/* A module of one's own: forward(self, x). self is borrowed and holds the members. */
LS_API ls_module *ls_module_new(ls_ctx *ctx, const char *kind, ls_forward_fn *forward, void *self);
LS_API ls_module *ls_module_add(ls_module *m, const char *name, ls_module *member); /* returns member */
LS_API ls_tensor *ls_module_param(ls_module *m, const char *name, ls_tensor *value); /* returns value */

LS_API ls_tensor *ls_forward(ls_module *m, ls_tensor *x);
LS_API ls_list    ls_parameters(const ls_module *m);                  /* borrowed; state_dict order */
LS_API ls_tensor *ls_parameter(const ls_module *m, const char *name); /* borrowed; "fc1.weight" */
LS_API const char *ls_parameter_name(const ls_module *m, int64_t i);  /* of ls_parameters(m).at[i] */
LS_API void       ls_module_print(const ls_module *m);                /* on the root, as PyTorch does */
LS_API void       ls_module_free(ls_module *m);                       /* with its members */
#ifdef __cplusplus
}
#endif
