/* config.h -- what configurations, checkpoints and the library have one name for, and how it is written.
 *
 * The lists are the only places that name an activation or a loss: its module, the words of the
 * command, its help and what a checkpoint says follow from them. */
#pragma once
#include "base/base.h"
#include <stdio.h>

/* Activations as layers: ls_<kind>(x) as X(kind, PyTorch's name, its settings as printed), as Z those that
 * ls_linear_<kind>() makes as well, or ls_<kind>(x, number) as Y(kind, PyTorch's name, the number's name, its
 * usual value). */
#define LS_ACTIVATIONS(X, Y, Z)                              \
    Z(relu, "ReLU", "")                                      \
    Y(leaky_relu, "LeakyReLU", "negative_slope", 0.01)       \
    Z(sigmoid, "Sigmoid", "")                                \
    Z(tanh, "Tanh", "")                                      \
    X(gelu, "GELU", "approximate='none'")                    \
    X(gelu_tanh, "GELU", "approximate='tanh'")               \
    X(softplus, "Softplus", "beta=1, threshold=20")          \
    X(silu, "SiLU", "")                                      \
    Y(softmax, "Softmax", "dim", -1)                         \
    Y(log_softmax, "LogSoftmax", "dim", -1)

/* Losses that need no options: name, function, whether targets must be classes. */
#define LS_LOSSES(X)                                         \
    X(cross_entropy, ls_cross_entropy, true)                 \
    X(nll, ls_nll_loss, true)                                \
    X(mse, ls_mse_loss, false)                               \
    X(l1, ls_l1_loss, false)                                 \
    X(smooth_l1, ls_smooth_l1_loss, false)                   \
    X(huber, ls_huber_loss, false)                           \
    X(bce, ls_bce_loss, false)                               \
    X(bce_with_logits, ls_bce_with_logits, false)

/* The name of an activation's number, and its usual value; NULL: it has none. */
const char *ls_activation_number(const char *kind, double *usual);
/* "tanh", "{leaky_relu: {negative_slope: 0.01}}", "{linear: {in: 3, out: 4, bias: true}}"; an in of 0
 * is left out. */
void ls_layer_write(const ls_layer *l, FILE *out);

/* What is wrong with a run's name, by which its checkpoints are called, as "begins with a dot"; NULL: nothing. With
 * step, host and process it must be a file's name. */
const char *ls_name_fault(const char *name);

enum { LS_REAL_CHARS = 32 };
const char *ls_real_text(double value, char out[LS_REAL_CHARS]); /* the shortest that reads back */
