/* data.h -- floor 5: the epoch's order, datasets, the loader.
 *
 *   order.c      the epoch's order: no rank in it       loader.c     batches as parts
 *   dataset.c    what all kinds share, reading rows     prefetch.c   the reading thread
 *   h5.c         HDF5 files                             write.c      writing dataset files
 *   memory.c     tensors, and callbacks of one's own    paths.c      lists of files, and patterns
 *   combine.c    subsets, one after another, splits     generator.c  random numbers beside the context's
 *
 * What only these files share is in dataset.h.
 */
#pragma once
#include "base/base.h"
#include "store/store.h"
#include "tensor/tensor.h"

/* ---- datasets -------------------------------------------------------------------------------- */
/* Reads rows in the order given as they are handed out: scaled, normalised, x in the context's
 * type, y as ls_dataset_y() says. For the reading thread too: writes nothing but x, y, f. */
ls_status ls_dataset_read(ls_dataset *d, int64_t count, const int64_t *rows, void *x, void *y, ls_failure *f);
const char *ls_dataset_name(const ls_dataset *d);
double      ls_dataset_x_scale(const ls_dataset *d);
/* Features that are normalised, with their figures (the dataset's); 0 where it is not. */
int64_t   ls_dataset_normal(const ls_dataset *d, const double **mean, const double **deviation);
ls_status ls_dataset_set_normal(ls_dataset *d, const double *mean, const double *deviation); /* copies */
/* 64 hexadecimal digits that stand for up to 1024 rows spread evenly, neither scaled nor
 * normalised, and the layout; the same on all ranks. Worked out at the first call, by reading them.
 * "", with the context failed, where that is not possible. Local. */
const char *ls_dataset_fingerprint(const ls_dataset *d);

/* ---- loaders --------------------------------------------------------------------------------- */
typedef struct ls_loader_state {
    int64_t  epoch, step; /* that come next; step may be the number of steps: the epoch is not ended yet */
    uint64_t seed;        /* of the running epoch's order, where it is shuffled and has begun */
} ls_loader_state;
ls_loader_state ls_loader_get_state(const ls_loader *l);
/* The next ls_next() hands out that step; a running epoch's order is rebuilt from the seed, nothing
 * is drawn. CONFIG where the step is beyond the epoch. */
ls_status ls_loader_set_state(ls_loader *l, ls_loader_state s);
const ls_loader_opts *ls_loader_options(const ls_loader *l);
/* Begins a step with all rows of the dataset in order as one batch; draws nothing, and the epoch
 * goes on where it was. False after an error; a row that cannot be read gives NULLs and true. */
bool ls_loader_all(ls_loader *l, ls_tensor **x, ls_tensor **y);
