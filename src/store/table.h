/* table.h -- what the ways of reading a table's rows share: through HDF5 (table.c), and past it
 * (direct.c); and digests of chunks. */
#pragma once
#include "store/h5.h"
#include <pthread.h>
#include <stdatomic.h>

typedef struct ls_wanted {
    int64_t row, place; /* place: in the order of the caller */
} ls_wanted;
typedef struct ls_band {
    int64_t number;
    uint8_t *rows;
} ls_band;

/* At the head of memory in which processes keep one copy of the values: then a byte for every chunk, as
 * checked below, and the values. */
typedef struct ls_copy {
    _Atomic uint64_t file;  /* which one; 0: nobody has said */
    _Atomic uint32_t state; /* of contiguous values, which are read at once */
} ls_copy;

/* Values that lie in the file in order: contiguous ones, or chunks of whole rows, one behind the other. */
typedef struct ls_direct {
    bool is_open;
    int64_t piece_rows, stride; /* rows of a chunk, and bytes from one to the next; all rows, and 0 */
    _Atomic uint8_t *checked;   /* a byte a chunk: it is where it was looked for, and sound */
    size_t known;               /* of values that are kept: so many chunks, from the first on, are checked */
    ls_copy *copy;              /* for several processes, or NULL */
    bool is_copied;             /* checked, and what is held, lie there */
    uint8_t *found, *stored;    /* a chunk each, while one is checked */
    int64_t calls;              /* of the system, to read rows */
    uint8_t *scratch;           /* LS_SCRATCH_BYTES for those that are not kept, once there were any; or NULL */
} ls_direct;

struct ls_table {
    ls_layout layout;
    char *path, *name;
    int64_t row_numbers; /* in one row */
    int fd;
    hid_t file, set;
    uint64_t *digests; /* the rows of a chunk, then one a chunk; or NULL */

    pthread_mutex_t turn;     /* what follows belongs to one call at a time */
    ls_wanted *order, *spare; /* spare: for sorting */
    int64_t order_room;
    uint8_t *held; /* room for all values in order, of which those of checked chunks are there; or NULL */
    size_t limit, held_limit;
    ls_direct direct;
    int64_t band_rows, band_count; /* band_count: places in the cache */
    ls_band *bands;
};
#define LS_HELD_BYTES    ((size_t)48 * 1024 * 1024) /* of values in order that are kept whole */
#define LS_SCRATCH_BYTES ((size_t)256 * 1024)

typedef struct ls_request {
    ls_table *t;
    ls_dtype type;
    ls_divisor divisor;
    bool as_is; /* a copy is enough */
    size_t out_bytes;
    char *out;
    ls_failure *f;
} ls_request;
ls_status ls_table_no_memory(const ls_table *t, size_t bytes, ls_failure *f);
/* Converts numbers, perhaps only some of a row, from the first-th on. */
ls_status ls_table_put(const ls_request *q, const ls_wanted *w, int64_t first, int64_t numbers,
                       const void *in);

/* ---- digests.c ------------------------------------------------------------------------------- */
ls_status ls_digests_put(hid_t set, int64_t chunk_rows, int64_t count, const uint64_t *digest,
                         ls_failure *f);
ls_status ls_digests_get(ls_table *t, ls_failure *f); /* t->digests, where the file has them */
/* That the chunk of rows from first on is what was written. */
ls_status ls_digests_check(const ls_table *t, int64_t first, const uint8_t *rows, ls_failure *f);

/* ---- past HDF5 ------------------------------------------------------------------------------- */
void ls_direct_open(ls_table *t); /* where the layout allows it, and there is memory */
void ls_direct_close(ls_table *t);
/* Begins to keep values where they are small enough; keeps them no longer. */
void ls_direct_hold(ls_table *t);
void ls_direct_drop(ls_table *t);
/* Rows of values that are kept. False as below. */
bool ls_direct_read_held(const ls_request *q, int64_t count, const int64_t *rows);
/* The rows in t->order. False where they do not lie in order; what is in out then is worth nothing. */
bool ls_direct_read(const ls_request *q, int64_t count);
