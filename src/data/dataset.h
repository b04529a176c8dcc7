/* dataset.h -- what the files of data share, and nobody else needs. */
#pragma once
#include "data/data.h"
#include <pthread.h>

/* ---- datasets: a kind is a const table, and a struct that begins with ls_dataset ------------- */
typedef struct ls_dataset_kind {
    bool reads_ahead; /* slow enough for the reading thread */
    bool stays;       /* a row that is read again is the same */
    /* As ls_dataset_read(), before x is normalised; one call at a time. x_scale: d's, or 1 for numbers as
     * they are stored; kinds that have no scale are never given another. */
    ls_status (*read)(ls_dataset *d, int64_t count, const int64_t *rows, double x_scale, void *x, void *y,
                      ls_failure *f);
    void (*end)(ls_dataset *d); /* of what the kind has added; or NULL */
} ls_dataset_kind;

struct ls_dataset {
    ls_owned owned;
    ls_ctx  *ctx;
    const ls_dataset_kind *kind;
    char    *name;
    int64_t  rows;
    ls_row   x, y;             /* of one row */
    size_t   x_bytes, y_bytes; /* of one row */
    int64_t  features;         /* numbers in a row of x */
    double   x_scale;
    int64_t  loaders;          /* and datasets, that read from it */

    pthread_mutex_t turn; /* reading, and what follows */
    double  *mean, *deviation; /* or NULL */
    int64_t  version;          /* counts the changes of how rows are read */
    char     fingerprint[65];  /* "" until asked for */
};

/* A dataset of a kind, bytes large, owned by ctx; rows are told by the next call. NULL, with the context
 * failed, without memory. */
ls_dataset *ls_dataset_make(ls_ctx *ctx, size_t bytes, const ls_dataset_kind *kind, const char *name);
/* Checks and takes the rows and their layout; one target a row reads as [1]. False, with the context
 * failed, where they cannot be. */
bool ls_dataset_lay_out(ls_dataset *d, int64_t rows, ls_row x, ls_row y);
ls_shape_text ls_row_str(ls_row r); /* "float32 [784]" */

/* ---- lists of files -------------------------------------------------------------------------- */
/* The files that a text of paths and patterns, separated by commas, stands for: count strings one after
 * another, each with its zero, in bytes bytes from ls_memory_new(). A file that is named like the whole
 * text is just that file. */
ls_status ls_paths_find(const char *text, char **list, size_t *bytes, ls_failure *f);

/* ---- generators ------------------------------------------------------------------------------ */
struct ls_generator {
    ls_owned  owned;
    ls_ctx   *ctx;
    uint64_t  seed;
    int64_t   position; /* words drawn since */
    int64_t   loaders;  /* that draw from it */
    ls_random random;
};
void ls_generator_set_position(ls_generator *g, int64_t position);
void ls_generator_permutation(ls_generator *g, int64_t count, int64_t *out); /* torch.randperm(count, generator=g) */

/* ---- the epoch's order ----------------------------------------------------------------------- */
typedef struct ls_order {
    int64_t  rows;
    int64_t *row; /* NULL: as they lie in the dataset */
} ls_order;
/* Draws what PyTorch's loader draws at the beginning of an epoch; the seed of its order, which is put in
 * place where o is shuffled. */
uint64_t ls_order_draw(ls_order *o, ls_random *r);
void     ls_order_skip(const ls_order *o, int64_t epochs, ls_random *r); /* what so many epochs draw */
void     ls_order_set(ls_order *o, uint64_t seed);
/* The same from a generator, whose permutation is the order itself; what is drawn at the epoch's end; and
 * words in all. */
void     ls_order_draw_from(ls_order *o, ls_generator *g);
void     ls_order_end_from(const ls_order *o, ls_generator *g);
int64_t  ls_order_words(const ls_order *o);
void     ls_order_rows(const ls_order *o, int64_t first, int64_t count, int64_t *rows);

/* ---- the reading thread ---------------------------------------------------------------------- */
/* One task at a time, on a thread of its own that is made for the first one. Zero is a reader at rest. */
typedef struct ls_reader {
    pthread_t       thread;
    pthread_mutex_t turn;
    pthread_cond_t  changed;
    void (*task)(void *self);
    void *self;
    bool  is_made, is_asked, ends;
} ls_reader;
/* Begins task(self); where no thread can be made, carries it out here. Only after ls_reader_wait(). */
void ls_reader_ask(ls_reader *r, void (*task)(void *self), void *self);
void ls_reader_wait(ls_reader *r); /* until the task is done, if there is one */
void ls_reader_end(ls_reader *r);
bool    ls_reader_has_core(void); /* false: the thread would have to share the caller's */
int64_t ls_reader_sleeps(void);   /* how often the calling thread has waited so far, for whatever it was */
