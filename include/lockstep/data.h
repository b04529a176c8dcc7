/* data.h -- datasets, loaders, and writing dataset files. */
#pragma once
#include "tensor.h"
#ifdef __cplusplus
extern "C" {
#endif
/* ---- datasets: rows of x and y --------------------------------------------------------------- */
typedef struct ls_dataset ls_dataset;
typedef struct ls_row { ls_dtype type; ls_shape shape; } ls_row; /* of one row, without the batch axis */

typedef struct ls_h5_opts {
    const char *x, *y;     /* names in the file; NULL: "/x", "/y". y "": there are no targets, and y reads as 0 */
    double      x_scale;   /* x is divided by this; 0: 1 */
} ls_h5_opts;
/* An HDF5 file with a dataset of inputs and one of targets; the first dimension counts rows.
 * Floating and integer types of any width, contiguous, chunked or deflated. x is read in the
 * context's type. y of an integer type is read as classes, int64 [N]; else floating, [N] as [N, 1].
 *
 *   path   a file, several of equal layout ("a.h5,b.h5"), or a pattern ("part-*.h5", sorted by bytes)
 *
 * Errors  INPUT: no such file; DATA: not HDF5, no such dataset, a type or layout that is refused,
 *         x and y of different lengths
 * Calls   collective; path, o: same */
LS_COLLECTIVE ls_dataset *ls_h5_dataset(ls_ctx *ctx, const char *path, const ls_h5_opts *o);
LS_API ls_dataset *ls_tensor_dataset(ls_ctx *ctx, ls_tensor *x, ls_tensor *y); /* whole tensors */

typedef struct ls_dataset_def {
    const char *name; /* for messages */
    void       *self; /* given to the callbacks; borrowed */
    int64_t     rows;
    ls_row      x, y; /* type LS_FLOAT32 stands for the context's floating type */
    /* Writes row i in the types above (floating: the context's type); 0 for success. Called on this
     * rank's reading thread as well as on the caller's, never twice at a time: touch nothing of
     * lockstep and nothing that changes meanwhile. */
    int (*item)(void *self, int64_t i, void *x, void *y);
} ls_dataset_def;
LS_API ls_dataset *ls_dataset_new(ls_ctx *ctx, const ls_dataset_def *def);

/* ---- datasets made of datasets, which must live as long --------------------------------------- */
/* A stream of random numbers beside the context's: torch.Generator().manual_seed(seed). */
typedef struct ls_generator ls_generator;
LS_API ls_generator *ls_generator_new(ls_ctx *ctx, uint64_t seed);
LS_API void        ls_generator_skip(ls_generator *g, int64_t words); /* of 32 bits, in its stream */
LS_API void        ls_generator_free(ls_generator *g);
/* Row i is row rows[i] of d. Errors  ARG: no such row */
LS_API ls_dataset *ls_subset_dataset(ls_ctx *ctx, ls_dataset *d, int64_t count, const int64_t *rows);
/* The rows of all, one dataset after another. Errors  SHAPE: rows are not alike; ARG: nor is x_scale */
LS_API ls_dataset *ls_concat_dataset(ls_ctx *ctx, int64_t count, ls_dataset *const *datasets);
/* Subsets of the lengths given, of rows in random order: drawn from g, or NULL: from the context.
 *
 *   out   [count]   the subsets
 *
 * Errors  ARG: a length below 1, or the sum of them is not d's rows
 * Calls   local
 * Source  torch.utils.data.random_split */
LS_API ls_status   ls_random_split(ls_ctx *ctx, ls_dataset *d, int64_t count, const int64_t *lengths,
                                   ls_generator *g, ls_dataset **out);

LS_API int64_t     ls_dataset_rows(const ls_dataset *d);
LS_API ls_row      ls_dataset_x(const ls_dataset *d); /* one row of x, as read */
LS_API ls_row      ls_dataset_y(const ls_dataset *d);
/* Row i as it is handed out, whole on every rank: x, y = dataset[i]. They live like results. */
LS_API bool        ls_dataset_item(ls_dataset *d, int64_t i, ls_tensor **x, ls_tensor **y);
/* From now on x is read as (x - mean) / deviation, feature by feature: over all rows of d, or,
 * where as is given, with the figures of that dataset, which has been normalised. A feature that
 * never changes has deviation 1; the deviation divides by the number of rows.
 * Source  sklearn.preprocessing.StandardScaler */
LS_COLLECTIVE ls_status ls_dataset_normalize(ls_ctx *ctx, ls_dataset *d, const ls_dataset *as);
LS_API void        ls_dataset_free(ls_dataset *d);

/* ---- loaders: batches of a dataset ----------------------------------------------------------- */
typedef struct ls_loader ls_loader;
typedef struct ls_loader_opts {
    int64_t       batch_size; /* global */
    bool          shuffle, drop_last;
    ls_generator *generator;  /* orders are drawn from it; NULL: from the context. A run goes on with the same
                               * orders where no other draws from it. */
} ls_loader_opts;
LS_API ls_loader *ls_loader_new(ls_ctx *ctx, ls_dataset *d, const ls_loader_opts *o);
/* Begins a step with the next batch: x and y are parts. False at the end of the epoch, and after an
 * error, on all ranks together; the next call begins the next epoch. A row that cannot be read
 * gives NULLs and true: the error reaches all ranks in the step. */
LS_API bool    ls_next(ls_loader *l, ls_tensor **x, ls_tensor **y);
LS_API ls_dataset *ls_loader_dataset(const ls_loader *l); /* borrowed */
LS_API int64_t ls_loader_steps(const ls_loader *l); /* in an epoch */
LS_API int64_t ls_loader_step(const ls_loader *l);  /* of the batch handed out last, from 0 */
LS_API int64_t ls_loader_epoch(const ls_loader *l); /* running or next, from 0; INT64_MAX after an error */
/* The rows of the dataset that a step, from 0, of the running epoch or a later one hands out, over all ranks:
 * in order, as long as nobody else draws from the loader's stream. Nothing is drawn or read.
 *
 *   rows   [batch_size]
 *   ->     how many; 0 after an error
 *
 * Errors  ARG: an earlier epoch, or no such step in it
 * Calls   local */
LS_API int64_t ls_loader_rows(const ls_loader *l, int64_t epoch, int64_t step, int64_t *rows);
LS_API void    ls_loader_free(ls_loader *l);

/* ---- writing a dataset file ---------------------------------------------------------------------
 * It gets its name when it is closed: a file under the name is whole. */
typedef enum ls_store_type { LS_STORE_F32 = 0, LS_STORE_F64, LS_STORE_U8, LS_STORE_I64 } ls_store_type;
typedef struct ls_column { const char *name; ls_store_type type; ls_shape row; } ls_column; /* y's name "": no y */
typedef struct ls_writer ls_writer;
/* Errors  OUTPUT: the file cannot be made, or is there already.  Calls  local: under ls_is_root() */
LS_API ls_writer *ls_writer_new(ls_ctx *ctx, const char *path, ls_column x, ls_column y);
/* The same; a file of that name is replaced when the new one is whole. */
LS_API ls_writer *ls_writer_replace(ls_ctx *ctx, const char *path, ls_column x, ls_column y);
LS_API ls_status  ls_writer_add(ls_writer *w, int64_t rows, const void *x, const void *y);
LS_API ls_status  ls_writer_close(ls_writer *w); /* only now the file is there */
#ifdef __cplusplus
}
#endif
