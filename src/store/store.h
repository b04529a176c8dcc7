/* store.h -- floor 1: files. The only folder that includes hdf5.h; HDF5 is entered behind one
 * mutex, its own error printing is off, plugins are off. Errors are returned by value: the prefetch
 * thread reads here and never writes the context. All local. Every message names the file, and the
 * dataset.
 *
 *   h5.c       the mutex, error text, opening            table.c    rows of a dataset
 *   layout.c   what a dataset is, what is refused        convert.c  stored numbers into ours
 *   image.c    a checkpoint as a tree in memory          memory.c   HDF5 files in memory
 *   direct.c   rows past HDF5                            frame.c    a dataset file without its values
 *   writer.c   a new dataset file                        file.c     regular files, names in messages
 *   output.c   temporary files, fsync, directories        digests.c  digests of chunks
 *   commit.c   user block, digest, rename; loading; the list of a directory
 *   lock.c     one job at a time in a directory
 */
#pragma once
#include "base/base.h"
#include <stdio.h>

/* ---- tables: a dataset whose first dimension counts rows ------------------------------------- */
typedef struct ls_table ls_table;
typedef struct ls_table_info {
    int64_t     rows;
    ls_shape    row;       /* of one row */
    bool        is_integer;
    char        type[24];  /* as stored: "uint8", "float32", "int64 big-endian" */
    int64_t     chunk_rows; /* 0: contiguous */
    int64_t     chunk_bytes;
    const char *filters;    /* "", "deflate", "shuffle deflate", ... */
    size_t      row_bytes;  /* as stored */
} ls_table_info;
/* A regular file only (a FIFO or a directory is refused, a missing file is INPUT). Refused (DATA),
 * by name: not HDF5, no such dataset, external links or storage, virtual datasets, unallocated
 * data, filters beyond shuffle, deflate, fletcher32, szip; scalars; types that are neither integer
 * nor floating; dimensions whose product overflows; more than LS_MAX_NDIM dimensions. */
ls_status ls_table_open(const char *path, const char *name, ls_table **out, ls_failure *f);
const ls_table_info *ls_table_about(const ls_table *t);
/* A number for the file as it is now, the same in every process of a machine; 0: it cannot be had. */
uint64_t  ls_table_file(const ls_table *t);
/* Rows in the order given, converted to type (LS_FLOAT32, LS_FLOAT64, LS_INT64), a floating type
 * then divided in it by divisor (1: not at all). Integers that do not fit int64 are DATA. Only the rows asked for are read (of chunked data: their chunks), or, of
 * small datasets, all. */
ls_status ls_table_read(ls_table *t, int64_t count, const int64_t *rows, ls_dtype type, double divisor, void *out,
                        ls_failure *f);
void      ls_table_close(ls_table *t);
/* How much memory decoded chunks may take; at first 256 MiB, or an eighth of the machine's memory
 * where that is less. Values that lie in order in the file are kept, as stored, up to 48 MiB, and not beyond
 * the limit. */
void      ls_table_limit(ls_table *t, size_t bytes);
/* How many bytes of memory in common processes need that keep one copy of the values, each with a table of
 * its own; 0: they are not kept. Then what they get of it, zeroed at first and aligned to 64 bytes, which stays
 * theirs: a process that has another file under that path goes without. Before anything is read. */
size_t    ls_table_copy_bytes(const ls_table *t);
void      ls_table_copy_in(ls_table *t, void *memory);
/* Names of all datasets in a file, with their shapes, one line each, for inspection. */
ls_status ls_file_describe(const char *path, FILE *out, ls_failure *f);

/* ---- a new dataset file -------------------------------------------------------------------------
 * Two datasets of equally many rows, in chunks of whole rows with checksums. It has no name, or where a file
 * system needs one a temporary one, until it is on disk; a file of that name is replaced only if replaces. After an
 * error nothing is left of it, and every call gives that error again. */
typedef struct ls_h5_writer ls_h5_writer;
/* Names NULL: "/x", "/y"; y "": there is x alone. OUTPUT: the file cannot be made, or is there already;
 * ARG: names or shapes. */
ls_status ls_h5_writer_open(const char *path, bool replaces, const ls_column *x, const ls_column *y, ls_h5_writer **out,
                            ls_failure *f);
ls_status ls_h5_writer_add(ls_h5_writer *w, int64_t rows, const void *x, const void *y, ls_failure *f);
ls_status ls_h5_writer_close(ls_h5_writer *w, ls_failure *f); /* frees w, also after an error */
void      ls_h5_writer_drop(ls_h5_writer *w);                 /* nothing is left */

/* ---- images: the contents of a checkpoint -------------------------------------------------------
 * Paths like "/model/0.weight"; groups are made as needed. Attributes sit on groups. Byte-identical
 * for the same calls: no times, fixed format version, links in order of creation not tracked. */
typedef struct ls_image ls_image;
ls_image *ls_image_new(ls_failure *f);
void      ls_image_free(ls_image *m);
ls_status ls_image_put(ls_image *m, const char *path, ls_dtype type, ls_shape shape, const void *data, ls_failure *f);
/* As put, but data stay where they are, unchanged, until the checkpoint is written. */
ls_status ls_image_lend(ls_image *m, const char *path, ls_dtype type, ls_shape shape, const void *data, ls_failure *f);
ls_status ls_image_put_words(ls_image *m, const char *path, int64_t count, const uint32_t *words, ls_failure *f);
ls_status ls_image_put_text(ls_image *m, const char *group, const char *name, const char *text, ls_failure *f);
ls_status ls_image_put_int(ls_image *m, const char *group, const char *name, int64_t value, ls_failure *f);
ls_status ls_image_put_real(ls_image *m, const char *group, const char *name, double value, ls_failure *f);
/* Getters. DATA, naming path and file, where it is missing or of another kind. */
bool      ls_image_has(const ls_image *m, const char *path);
ls_status ls_image_get(ls_image *m, const char *path, ls_dtype type, ls_shape shape, void *out, ls_failure *f);
ls_status ls_image_get_shape(ls_image *m, const char *path, ls_dtype *type, ls_shape *shape, ls_failure *f);
ls_status ls_image_get_words(ls_image *m, const char *path, int64_t count, uint32_t *out, ls_failure *f);
/* out: from ls_memory_new(), the caller's. */
ls_status ls_image_get_text(ls_image *m, const char *group, const char *name, char **out, ls_failure *f);
ls_status ls_image_get_int(ls_image *m, const char *group, const char *name, int64_t *out, ls_failure *f);
ls_status ls_image_get_real(ls_image *m, const char *group, const char *name, double *out, ls_failure *f);
/* Links of a group in order of their names; each is the caller's no longer than m lives. */
ls_status ls_image_list(ls_image *m, const char *group, int64_t *count, const char *const **names, ls_failure *f);

/* ---- checkpoints on disk ------------------------------------------------------------------------
 * NAME-<12 digits of step>.h5: a user block of 512 bytes ("LOCKSTEP", format version, total length,
 * step, SHA-256 of all bytes after it, CRC of the block itself), then the image. */
/* Writes an O_EXCL temporary file in dir (made if need be), fsync, and closes it: path in
 * temporary. */
ls_status ls_checkpoint_write(ls_image *m, const char *dir, const char *name, int64_t step,
                              char *temporary, size_t temporary_bytes, ls_failure *f);
/* Renames it to its final name, fsync of the directory; then removes all but the newest keep. */
ls_status ls_checkpoint_commit(const char *temporary, const char *dir, const char *name, int64_t step,
                               int64_t keep, ls_failure *f);
void ls_checkpoint_drop(const char *temporary); /* removes a temporary file */
/* Block, length and digest are checked before any HDF5 call. INPUT: no such file; DATA: not sound,
 * why. */
ls_status ls_checkpoint_read(const char *path, ls_image **out, int64_t *step, uint8_t digest[32], ls_failure *f);
bool      ls_is_checkpoint(const char *path); /* its first bytes are those of one */
/* The newest steps of NAME in dir first; name NULL: of any name, by step. paths: from
 * ls_memory_new(), each and the array. A directory that is not there has none. */
ls_status ls_checkpoint_list(const char *dir, const char *name, int64_t *count, char ***paths, ls_failure *f);
void      ls_checkpoint_list_free(int64_t count, char **paths);

/* Removes what killed jobs left unfinished in dir, which is locked; how many. */
int64_t ls_checkpoint_clean(const char *dir);

/* One job at a time: dir is made if need be, and locked until ls_lock_leave() or the end of the
 * process. OUTPUT: it cannot be, or another job has it, and who that is. */
typedef struct ls_lock ls_lock;
ls_status ls_lock_take(const char *dir, ls_lock **out, ls_failure *f);
void      ls_lock_beat(ls_lock *l, int64_t step); /* what is done, for who looks from outside */
void      ls_lock_leave(ls_lock *l); /* NULL is fine */

/* A directory, with those above it that are not there. OUTPUT: where and why not. "" is no
 * directory. */
ls_status ls_folder_make(const char *dir, ls_failure *f);

const char *ls_store_version(void); /* "HDF5 1.10.8" */
