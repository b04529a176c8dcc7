/* optim.h -- floor 5: optimizers. Their state lies in flat blocks beside the slab of the
 * parameters.
 *
 *   optim.c   what all share: parameters, state, learning rate      sgd.c   the update
 *   tally.c   whether what ranks hold in common is what they wrote
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
    /* Elements from <= e < to of parameter i from their gradient, which begins at grad. Whether all are finite
     * now. */
    bool (*update)(ls_optim *o, int64_t i, ls_range e, const void *grad);
} ls_optim_kind;

/* Of a parameter and its state, as sums of bits. */
typedef struct ls_tally {
    uint64_t start; /* when counting began; equal on all ranks */
    uint64_t made;  /* what this rank's updates have added since */
    uint64_t last;  /* what its last update left */
    bool     is_new; /* the last update was of this parameter */
} ls_tally;

struct ls_optim {
    ls_owned             owned;
    ls_ctx              *ctx;
    const ls_optim_kind *kind;
    ls_list              params; /* own copy of the list */
    int                  slots;  /* in use, with these settings */
    void               **state;  /* [param][slot]: values like the parameter's */
    bool                *began;  /* [param]: its state holds something */
    int64_t              latest; /* parameter that was updated last */
    ls_tally            *tally;  /* [param] */
    enum { LS_TALLY_OFF, LS_TALLY_WANTED, LS_TALLY_ON } tallies;
    int64_t              bad, bad_element; /* the first that an update has made not finite, or -1; here */
    ls_sgd_opts          sgd;
};

ls_optim *ls_optim_make(ls_ctx *ctx, const ls_optim_kind *kind, ls_list params, int slots);
/* An update to offer to ls_backward(); after it ls_optim_end() makes it where backward has not. */
ls_update ls_optim_begin(ls_optim *o);
ls_status ls_optim_end(ls_optim *o, const ls_update *u);
/* From now on, or not: what updates of common memory find and leave is counted, so that whatever else
 * changes it is found. In between nobody else may write there. */
void ls_tally_want(ls_optim *o, bool wanted);
/* Of all ranks of a node, the sum of made and one start is 0 where all is well. whole: of what is in
 * memory now; else of what the last update found. Both 0 where nothing is counted. Local. */
void ls_tally_get(const ls_optim *o, bool whole, uint64_t *start, uint64_t *made);
void ls_tally_begin(ls_optim *o, bool common); /* an update */
void ls_tally_end(ls_optim *o, bool made);
/* Of so many elements of parameter i, before and after they change. */
uint64_t ls_tally_sum(const ls_optim *o, int64_t i, ls_range e);

void     *ls_optim_state(const ls_optim *o, int64_t param, int slot);
