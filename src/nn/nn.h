/* nn.h -- floor 5: modules, parameter names, initial values.
 *
 *   module.c      the tree of modules, names, printing      linear.c      PyTorch's initial values
 *   sequential.c  layers one after another                  activation.c  activations as modules
 */
#pragma once
#include "base/base.h"
#include "tensor/tensor.h"
#include "grad/grad.h"
#include "ops/ops.h"

typedef struct ls_member { char *name; ls_module *module; ls_tensor *param; } ls_member; /* one of the two */

struct ls_module {
    ls_owned      owned;
    ls_ctx       *ctx;
    ls_module    *parent;
    char         *kind;    /* "Linear" */
    char          detail[96]; /* "in_features=3, out_features=1, bias=True"; "" */
    ls_forward_fn *forward;
    void         *self;
    bool          evaluates; /* ls_module_eval() */
    int64_t       count, room; /* of members, in order of addition */
    ls_member    *member;
    int64_t       in, out;     /* linear: features and outputs; else 0 */
    const struct ls_activation *activation; /* or NULL */
    double        number;      /* of the activation: slope or axis */
    void        (*reset)(ls_module *m); /* draws its own parameters anew; or NULL */
    /* worked out at the first ls_parameters(), dropped when a member is added */
    ls_list       params;
    char        **names;
};

/* A linear module with or without bias. */
ls_module *ls_linear_make(ls_ctx *ctx, int64_t in, int64_t out, bool bias);
bool ls_is_activation(const char *kind);
/* The operation of a linear layer and of this activation in one; NULL: m is none, or there is none. */
typedef ls_tensor *ls_linear_fn(ls_tensor *x, ls_tensor *w, ls_tensor *b);
ls_linear_fn *ls_linear_with(const ls_module *m);
bool ls_layer_of(const ls_module *m, ls_layer *out); /* as it is made by; false: no such module */
typedef struct ls_kinds { char text[160]; } ls_kinds;
ls_kinds ls_activation_kinds(void); /* "relu, leaky_relu, ..." */
