/* run.h -- a run: what trains together, is saved together and goes on together. */
#pragma once
#include "data.h"
#include "nn.h"
#include "optim.h"
#ifdef __cplusplus
extern "C" {
#endif
typedef ls_tensor *ls_loss_fn(ls_tensor *pred, ls_tensor *target);

typedef struct ls_run {
    const char *name;              /* stem of the checkpoint files: to 160 bytes, no "/", no dot in front; NULL: "model" */
    ls_module  *model;
    ls_loss_fn *loss;
    ls_optim   *optim;
    ls_loader  *data, *validation; /* validation: or NULL */
    int64_t     epochs, log_every; /* log_every: epochs between cost lines; 0: 1; negative: none */
    const char *dir;               /* of checkpoints; NULL: none */
    int64_t     save_every, keep;  /* epochs; 0: only at the end, and 3 */
    int64_t     save_every_steps;  /* steps; 0: none between epochs */
    int64_t     stop_after;        /* ends with STOPPED after so many steps of this call; 0: never */
    double      stop_before_s;     /* likewise, before so many seconds have passed; 0: never */
    const char *log_file;          /* JSON lines; NULL: none */
    const char *trace_file;        /* what every rank did when, in Chrome's format; NULL: none */
    const char *config;            /* kept in checkpoints; NULL: worked out from the objects */
    bool        fresh;             /* ls_fit() does not resume */
    bool        progress;          /* a bar on stderr, where that is a terminal */
} ls_run;

typedef struct ls_score { double cost, accuracy; int64_t rows; } ls_score; /* accuracy: NaN unless classes */

/* Resumes, trains, logs, saves. A step begins with ls_zero_grad_to_none(): parameters that its cost does not depend on
 * stay as they are, as in PyTorch since 2.0; after ls_zero_grad() momentum and weight decay would move them. */
LS_COLLECTIVE ls_status ls_fit(ls_ctx *ctx, const ls_run *run);
LS_COLLECTIVE ls_status ls_fit_step(ls_ctx *ctx, const ls_run *run, double *cost); /* one batch of it */
LS_COLLECTIVE ls_status ls_evaluate(ls_ctx *ctx, const ls_run *run, ls_loader *on, ls_score *out);
LS_COLLECTIVE ls_status ls_save(ls_ctx *ctx, const ls_run *run);
LS_COLLECTIVE bool      ls_resume(ls_ctx *ctx, const ls_run *run); /* newest sound one; false: none */
/* Parameters only. path: a checkpoint, or a directory of them: the newest sound one. */
LS_COLLECTIVE ls_status ls_load(ls_ctx *ctx, ls_module *m, const char *path);

/* From now on x of d is read as that of the run was: (x - mean) / deviation, with the figures that a checkpoint
 * of normalised training data holds. path: as above. CONFIG where it holds none, or of other features. */
LS_COLLECTIVE ls_status ls_dataset_normalize_by(ls_ctx *ctx, ls_dataset *d, const char *path);

/* The configuration text that a checkpoint holds; lives until ls_finish(). NULL after an error. */
LS_COLLECTIVE const char *ls_checkpoint_config(ls_ctx *ctx, const char *path);
/* How far a run is: the newest sound checkpoint of that name in dir, and the epoch that comes next;
 * -1 where there is none. Damaged ones are passed over in silence. */
LS_COLLECTIVE ls_status ls_checkpoint_newest(ls_ctx *ctx, const char *dir, const char *name, int64_t *step,
                                             int64_t *epoch);
/* Checks digest and layout of a checkpoint, or of all in a directory; DATA where one is not sound. */
LS_COLLECTIVE ls_status ls_verify(ls_ctx *ctx, const char *path);
/* Says on stdout where two checkpoints differ. */
LS_COLLECTIVE ls_status ls_diff(ls_ctx *ctx, const char *a, const char *b, bool *differ);
/* Describes a checkpoint or a dataset file on stdout. Calls  collective; path: same */
LS_COLLECTIVE ls_status ls_inspect(ls_ctx *ctx, const char *path);
#ifdef __cplusplus
}
#endif
