/* train.h -- floor 6: everything meets here, and only here.
 *
 *   start.c     a context: floors connected, options        save.c      checkpoints: save, resume, load
 *   step.c      one step, the way of the data               state.c     what a checkpoint holds
 *   fit.c       epochs of steps                             describe.c  the configuration as text
 *   evaluate.c  cost and accuracy on a data set             report.c    cost lines, log, progress bar
 *   inspect.c   a checkpoint or a data set, described   normalise.c  mean and deviation of data
 *   trace.c     the timeline of a run
 *   guard.c     wishes to stop, equal and finite state      compare.c   two checkpoints, one checked
 */
#pragma once
#include "base/base.h"
#include "kernel/kernel.h"
#include "store/store.h"
#include "comm/comm.h"
#include "tensor/tensor.h"
#include "grad/grad.h"
#include "nn/nn.h"
#include "optim/optim.h"
#include "data/data.h"

/* ---- progress of a run: what is not in its objects ------------------------------------------- */
typedef struct ls_history { int64_t epoch; double cost, lr, validation_cost, validation_accuracy; } ls_history;

typedef struct ls_progress {
    ls_owned    owned;
    ls_ctx     *ctx;
    const void *model;     /* of the run this belongs to */
    double      cost_sum;  /* of the running epoch: sum over its steps of cost times rows */
    int64_t     cost_rows;
    int64_t     epochs, room;
    ls_history *history;
    int         failed_saves; /* in a row */
    int64_t     saved_step;   /* the newest checkpoint that is known to be sound; 0: none */
    bool        is_unfinished; /* says the checkpoint from which it goes on */
    bool        removed_old; /* --fresh has done its work */
} ls_progress;
/* The progress that goes with run->model; made at the first call. NULL after an error. */
ls_progress *ls_progress_of(ls_ctx *ctx, const ls_run *run);
bool ls_progress_add(ls_progress *p, const ls_history *epoch);

/* Saves. What cannot be written is said, and only the most-th time in a row an error. */
ls_status ls_save_or_go_on(ls_ctx *ctx, const ls_run *run, int most);

/* Steps of the whole run that are done: what checkpoints are named by. */
int64_t ls_steps_done(const ls_run *run);
bool    ls_run_is_complete(const ls_run *run); /* all its epochs are done, and there were any */

/* ---- one step -------------------------------------------------------------------------------- */
typedef enum ls_phase { LS_READ, LS_FORWARD, LS_BACKWARD, LS_UPDATE, LS_SAVING, LS_VALIDATION } ls_phase;
typedef struct ls_phases {
    double read, forward, backward, update; /* seconds, added up */
    struct ls_trace *trace; /* or NULL */
} ls_phases;
/* t, which who made of something: NULL without an error, from a function of the program's, is one. */
ls_tensor *ls_returned(ls_ctx *ctx, ls_tensor *t, const ls_tensor *of, const char *who);
/* False at the end of the epoch, and after an error. */
bool ls_step(ls_ctx *ctx, const ls_run *run, double *cost, int64_t *rows, ls_phases *phases);

/* ---- the timeline ---------------------------------------------------------------------------- */
typedef struct ls_trace ls_trace;
ls_trace *ls_trace_begin(ls_ctx *ctx, const ls_run *run); /* NULL: none wanted, or failed. Collective */
void      ls_trace_add(ls_trace *t, ls_phase phase, double from_s, double to_s); /* t NULL: nothing */
ls_status ls_trace_end(ls_trace *t, const ls_run *run);   /* writes it. Collective */

/* ---- what is looked after while a run trains ------------------------------------------------- */
typedef struct ls_guard {
    const ls_run *run;
    bool    stops; /* agreed: after this step */
    double  begin_s, last_s, longest_s; /* of a step */
    double  save_s; /* how long the last save took; 0: none yet */
    int64_t every, until; /* steps from pulse to pulse, and to the next */
    int64_t part;         /* of the state, that is compared next */
    double  reported_s, report_every_s, waited_s, seen_s[LS_PHASES], busy_s[LS_PHASES];
} ls_guard;
void      ls_guard_begin(ls_guard *g, ls_ctx *ctx, const ls_run *run);
void      ls_guard_end(ls_guard *g);
ls_status ls_guard_step(ls_guard *g, ls_ctx *ctx, const ls_phases *phases); /* after each; collective */
/* That the whole state is finite, and equal on all ranks. Collective. */
ls_status ls_guard_state(ls_ctx *ctx, const ls_run *run);
/* Fails for a cost that is not finite, with the rows where they are known. Collective. */
void ls_guard_cost(ls_ctx *ctx, const ls_run *run, double cost, const ls_tensor *x, const ls_tensor *pred,
                   const ls_tensor *y);

/* ---- checkpoints ----------------------------------------------------------------------------- */
ls_status ls_state_write(ls_ctx *ctx, const ls_run *run, ls_image *m, ls_failure *f); /* root; local */
/* Root: reads and checks everything of m that run needs, into one block of bytes from
 * ls_memory_new(); all: puts it in place. */
ls_status ls_state_read(ls_ctx *ctx, const ls_run *run, ls_image *m, void **block, size_t *bytes, ls_failure *f);
ls_status ls_state_apply(ls_ctx *ctx, const ls_run *run, const void *block, size_t bytes);
const char *ls_run_name(const ls_run *run);
/* The keys that change numbers, one a line, from the objects of the run; from ls_memory_new(). */
char *ls_describe(ls_ctx *ctx, const ls_run *run);

/* ---- reports: on the root -------------------------------------------------------------------- */
typedef struct ls_report {
    const ls_run *run;
    double        begin_s, last_bar_s;
    int64_t       rows, steps; /* of this epoch, in this call */
    ls_phases     phases;
    bool          bar_shown;
} ls_report;
void      ls_report_begin(ls_report *r, const ls_run *run);
void      ls_report_step(ls_ctx *ctx, ls_report *r, double cost, int64_t rows);
ls_status ls_report_epoch(ls_ctx *ctx, ls_report *r, const ls_history *h);
/* A file for text, made where it is not there; flags and mode as of open() and fopen(). Does not wait where it is
 * a FIFO that nobody reads. */
FILE *ls_text_open(const char *path, int flags, const char *mode);
/* Whether a file may be overwritten by one that begins so: it does so too, as far as it goes, or is not there. */
bool ls_text_may_go(const char *path, const char *begin);
/* Cuts the log back to the steps done; starts it anew for a run that has done none. */
ls_status ls_report_open(ls_ctx *ctx, const ls_run *run);
