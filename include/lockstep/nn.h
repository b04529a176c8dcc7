/* nn.h -- modules: parameters with names, and a forward function. */
#pragma once
#include "tensor.h"
#ifdef __cplusplus
extern "C" {
#endif
typedef struct ls_module ls_module;
typedef ls_tensor *ls_forward_fn(void *self, ls_tensor *x);

/* number: of an activation that has one; 0: PyTorch's, or the last axis. */
typedef struct ls_layer { const char *kind; int64_t in, out; bool no_bias; double number; } ls_layer;
#define LS_LINEAR(in, out) { "linear", in, out, false, 0 }
#define LS_LINEAR_NO_BIAS(in, out) { "linear", in, out, true, 0 }
#define LS_ACTIVATION(kind, number) { kind, 0, 0, false, number }
#define LS_RELU LS_ACTIVATION("relu", 0)
#define LS_LEAKY_RELU(slope) LS_ACTIVATION("leaky_relu", slope)
#define LS_SIGMOID LS_ACTIVATION("sigmoid", 0)
#define LS_TANH LS_ACTIVATION("tanh", 0)
#define LS_GELU LS_ACTIVATION("gelu", 0)
#define LS_GELU_TANH LS_ACTIVATION("gelu_tanh", 0)
#define LS_SOFTPLUS LS_ACTIVATION("softplus", 0)
#define LS_SILU LS_ACTIVATION("silu", 0)
#ifndef __cplusplus
#define ls_sequential(ctx, ...) /* ls_sequential(ctx, LS_LINEAR(784, 128), LS_RELU, ...) */ \
    ls_sequential_new(ctx, LS_COUNT(ls_layer, __VA_ARGS__), (const ls_layer[]){ __VA_ARGS__ })
#endif
/* Layers one after another, drawn in order. A linear layer's in may be 0 where the layers before it
 * say it. Errors  ARG: an unknown kind, or sizes that do not follow */
LS_API ls_module *ls_sequential_new(ls_ctx *ctx, int64_t count, const ls_layer *layers);
/* y = x w^T + b with "weight" [out, in] and "bias" [out], PyTorch's initial values. */
LS_API ls_module *ls_linear_new(ls_ctx *ctx, int64_t in, int64_t out);
LS_API ls_module *ls_linear_no_bias_new(ls_ctx *ctx, int64_t in, int64_t out); /* y = x w^T */
/* By the name of the operation, "sigmoid"; number as in ls_layer. ARG: an unknown one. */
LS_API ls_module *ls_activation_new(ls_ctx *ctx, const char *kind, double number);
LS_API ls_module *ls_relu_new(ls_ctx *ctx);
LS_API ls_module *ls_tanh_new(ls_ctx *ctx);

/* A module of one's own: forward(self, x). self is borrowed and holds the members; NULL: the module. */
LS_API ls_module *ls_module_new(ls_ctx *ctx, const char *kind, ls_forward_fn *forward, void *self);
LS_API ls_module *ls_module_add(ls_module *m, const char *name, ls_module *member); /* returns member */
LS_API ls_tensor *ls_module_param(ls_module *m, const char *name, ls_tensor *value); /* returns value */

LS_API ls_tensor *ls_forward(ls_module *m, ls_tensor *x);
LS_API ls_list    ls_parameters(const ls_module *m);                  /* borrowed; state_dict order */
LS_API ls_tensor *ls_parameter(const ls_module *m, const char *name); /* borrowed; "fc1.weight" */
LS_API const char *ls_parameter_name(const ls_module *m, int64_t i);  /* of ls_parameters(m).at[i] */
LS_API ls_module *ls_module_member(const ls_module *m, const char *name); /* borrowed; a direct one */
LS_API const char *ls_module_kind(const ls_module *m);                /* "Linear" */
LS_API void      *ls_module_self(const ls_module *m);                 /* as given */

/* f(self, module) for all members, and then for m, as torch.nn.Module.apply(). */
typedef void ls_apply_fn(void *self, ls_module *m);
LS_API void       ls_module_apply(ls_module *m, ls_apply_fn *f, void *self);
/* The mode of m and its members, for forward functions that ask. A new module trains. */
LS_API void       ls_module_train(ls_module *m);
LS_API void       ls_module_eval(ls_module *m);
LS_API bool       ls_module_is_training(const ls_module *m);
/* Draws all parameters anew, as new modules made in this order would: reset_parameters() of all. A
 * module of one's own draws what on_reset() says. Optimizers and names stay. */
LS_API void       ls_module_reset(ls_module *m);
LS_API void       ls_module_on_reset(ls_module *m, void (*f)(ls_module *m));
LS_API void       ls_module_print(const ls_module *m);                /* on the root, as PyTorch does */
LS_API void       ls_module_free(ls_module *m);                       /* with its members */
#ifdef __cplusplus
}
#endif
