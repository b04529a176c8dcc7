/* h5.h -- HDF5 for the rest of store. All calls of HDF5 stand between ls_h5_begin() and ls_h5_end().
 *
 *   h5.c       the mutex, error text, opening      memory.c   HDF5 files in memory
 *   layout.c   what a dataset is, what is refused  image.c    the tree of a checkpoint, as bytes
 *   frame.c    a dataset file without its values */
#pragma once
#include "store/convert.h"
#include "store/file.h"
#define H5_USE_110_API /* later versions give some names other arguments */
#include <hdf5.h>

/* ---- the one door to HDF5 -------------------------------------------------------------------- */
/* What HDF5 did on this thread about its own errors before we came. */
typedef struct ls_h5_turn { bool known; H5E_auto2_t print; void *data; } ls_h5_turn;
ls_h5_turn ls_h5_begin(void);
void       ls_h5_end(ls_h5_turn before);
/* Before a file is opened or made: whether HDF5 has the memory without which it crashes or cannot end, or
 * MEMORY. */
bool ls_h5_has_room(ls_failure *f);
/* The failure, then ": " and the cause that HDF5 names. Call it before any other call of HDF5. */
ls_status ls_h5_failure(ls_failure *f, ls_status status, const char *form, ...)
    __attribute__((format(printf, 3, 4)));
/* Where HDF5 lacks memory: more than bytes, which is what is known of it. */
ls_status ls_h5_failure_memory(ls_failure *f, size_t bytes, const char *what);
/* Of a file that HDF5 makes nothing of: IO where the system could not read it, else DATA. */
ls_status ls_h5_failure_damaged(ls_failure *f, const char *shown);
/* The status of a read that failed: IO where the system could not read, else DATA. */
ls_status ls_h5_read_status(void);
void ls_h5_close(hid_t id); /* of any kind; negative is fine */

/* Opens a regular file for reading, and fd for its bytes. Negative: fd is closed. */
hid_t ls_h5_open(const char *path, int *fd, int64_t *bytes, ls_failure *f);
/* Opens a dataset, following no link out of the file. Negative: why, and what there is instead. */
hid_t ls_h5_dataset_open(hid_t file, const char *path, const char *name, ls_failure *f);

/* "/x [60000, 784], /y [60000]": for messages; as many as there is room for. */
ls_shown ls_h5_dataset_names(hid_t file);

/* ---- what a dataset is ----------------------------------------------------------------------- */
typedef struct ls_layout {
    ls_table_info about; /* filters is left out: */
    char          filters[64];
    ls_stored     stored;
    int64_t       offset; /* in the file: of contiguous values, or of the first chunk where those of whole rows may
                           * lie in order; -1 */
    int64_t       stride; /* from chunk to chunk; 0: contiguous */
    int64_t       file_bytes;
    bool          has_shape; /* rows and their shape are known */
} ls_layout;
/* DATA, by name, for what cannot be read as rows of numbers. file_bytes: data must lie within. */
ls_status ls_h5_layout(hid_t set, const char *path, const char *name, int64_t file_bytes, ls_layout *l,
                       ls_failure *f);

/* ---- HDF5 files in memory -------------------------------------------------------------------- */
/* What a file in memory grows by at least, filled with zeros. */
#define LS_H5_GROWTH ((size_t)256 << 10)
typedef struct ls_h5_memory {
    uint8_t *bytes;    /* pages of the system's, zero and none of them there until they are written */
    size_t   capacity; /* grows without copying */
} ls_h5_memory;
/* m stays where it is until the file is closed; nothing of the file depends on when and where it is made. */
hid_t ls_h5_memory_new(ls_h5_memory *m, int64_t user_block, ls_failure *f);
/* Closes the file. end: where it ends, perhaps behind the bytes that were written. */
ls_status ls_h5_memory_finish(ls_h5_memory *m, hid_t file, int64_t user_block, uint64_t *end, ls_failure *f);
hid_t ls_h5_memory_open(ls_h5_memory *m, size_t length, const char *name, ls_failure *f); /* read only */
void  ls_h5_memory_free(ls_h5_memory *m);
/* At least so much; false without memory. */
bool ls_h5_memory_take(ls_h5_memory *m, size_t bytes);
/* Bytes that are all zero, or not needed, give their memory back and are zero. */
void ls_h5_memory_clear(const ls_h5_memory *m, size_t from, size_t to);
/* Makes the groups above path where they are missing. shown: of the file, for messages. */
ls_status ls_h5_groups_make(hid_t file, const char *path, const char *shown, ls_failure *f);
hid_t ls_h5_list_new(hid_t of); /* a creation list whose objects carry no times */

/* ---- dataset files without their values, for writer.c ----------------------------------------- */
enum { LS_FRAME_HEAD = 4096 };
/* The bytes of a file before its values and behind them. Values that are put into the file take no
 * memory: where they belong follows from the order in which they are put, from LS_FRAME_HEAD on without
 * gaps. */
typedef struct ls_h5_frame {
    uint8_t *head, *tail; /* LS_FRAME_HEAD bytes, and tail_bytes at tail_at */
    size_t   head_used, tail_bytes;
    int64_t  values_at, tail_at; /* values_at: of the next ones */
    hid_t    driver;
} ls_h5_frame;
/* fr stays where it is until the file is closed. value_bytes: of all values. */
hid_t     ls_h5_frame_new(ls_h5_frame *fr, int64_t value_bytes, ls_failure *f);
ls_status ls_h5_frame_finish(ls_h5_frame *fr, hid_t file, ls_failure *f); /* closes the file */
void      ls_h5_frame_free(ls_h5_frame *fr);

/* ---- images, for commit.c -------------------------------------------------------------------- */
enum { LS_IMAGE_BLOCK = 512 }; /* the user block */
/* The whole file: the block, to be filled, and how many bytes. From then on nothing can be put. */
ls_status ls_image_finish(ls_image *m, uint8_t **block, size_t *length, ls_failure *f);
/* Bytes of the file from at on that lie together: how many, and where. */
size_t ls_image_run(const ls_image *m, size_t at, const uint8_t **bytes);
/* Takes over memory->bytes, also after an error. name: for messages. */
ls_image *ls_image_open(ls_h5_memory *memory, size_t length, const char *name, ls_failure *f);
