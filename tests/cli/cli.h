/* cli.h -- what tests of the command share: a directory of their own, files in it, and the command.
 *
 * Every test begins in a fresh directory and leaves none behind. */
#pragma once
#include "../spawn.h"
#include <stddef.h>
#include <stdlib.h>

void place_begin(void); /* .init and .fini of a suite */
void place_end(void);

void write_text(const char *name, const char *text);
void write_bytes(const char *name, const void *bytes, size_t count);
void write_gzip(const char *name, const void *bytes, size_t count);
char *read_text(const char *name, size_t *count); /* malloc()ed; NULL: no such file */
int   files_here(void);                           /* in the directory itself */

#define lockstep(...)       run(getenv("LS_LOCKSTEP"), __VA_ARGS__, NULL)
#define lockstep_on(n, ...) mpi_run(n, getenv("LS_LOCKSTEP"), __VA_ARGS__, NULL)

/* That it ended with this code and these texts; NULL: any. Frees s. */
void expect_end(spawned *s, int code, const char *out, const char *err);

/* small.yaml, a run of three epochs on train.h5 and more.h5. */
#define RUN                                                                                        \
    "seed: 1\n"                                                                                    \
    "data: {train: train.h5, validation: more.h5, batch_size: 16}\n"                               \
    "model: [{linear: 5}, tanh, {linear: 3}]\n"                                                    \
    "loss: cross_entropy\n"                                                                        \
    "optimizer:\n"                                                                                 \
    "  sgd: {lr: 0.5, momentum: 0.9}\n"                                                            \
    "train: {epochs: 3, leaf_rows: 4}\n"
void make_data(const char *name, int rows, int phase);
#define LAST(dir) dir "/small-000000000012.h5"
void make_run(void);
void expect_same_file(const char *a, const char *b);
