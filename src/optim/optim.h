/* optim.h -- floor 5: optimizers. Their state lies in flat blocks beside the slab of the
 * parameters.
 *
 *   optim.c   what all share: parameters, state, learning rate      sgd.c   the update
 */
#pragma once
#include "base/base.h"
#include "kernel/kernel.h"
#include "tensor/tensor.h"

/* One kind of optimizer. */
typedef struct ls_optim_kind {
    const char *name;   /* "sgd" */
    int         slots;  /* most state tensors a parameter */
    const char *slot[2]; /* their names in checkpoints */
    /* Elements from <= e < to of parameter i from their gradient, which begins at grad. */
    void (*update)(ls_optim *o, int64_t i, ls_range e, const void *grad);
} ls_optim_kind;

struct ls_optim {
    ls_owned             owned;
    ls_ctx              *ctx;
    const ls_optim_kind *kind;
    ls_list              params; /* own copy of the list */
    int                  slots;  /* in use, with these settings */
    void               **state;  /* [param][slot]: values like the parameter's */
    bool                *began;  /* [param]: its state holds something */
    int64_t              latest; /* parameter that was updated last */
    int64_t              bad, bad_element; /* the first that an update has made not finite, or -1; here */
    ls_sgd_opts          sgd;
};

ls_optim *ls_optim_make(ls_ctx *ctx, const ls_optim_kind *kind, ls_list params, int slots);
/* An update to offer to ls_backward(); after it ls_optim_end() makes it where backward has not. */
ls_update ls_optim_begin(ls_optim *o);
ls_status ls_optim_end(ls_optim *o, const ls_update *u);
void     *ls_optim_state(const ls_optim *o, int64_t param, int slot);
